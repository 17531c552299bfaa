"""From examples to rows for tuning, and from tuned adapters to a student folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from journeyman.core.canonical import file_hash
from journeyman.core.errors import TuneError
from journeyman.core.example import Example
from journeyman.core.files import write_atomic
from journeyman.flows.student import Student
from journeyman.models.catalog import ResolvedModel
from journeyman.models.families import DecoderConfig
from journeyman.models.manifest import MANIFEST, BaseRef, Manifest
from journeyman.models.template import Template, make_student_template
from journeyman.task.answer import answer_text
from journeyman.task.prompt import student_messages
from journeyman.task.task import Task
from journeyman.tuning.batching import TuneRow, share_beginning
from journeyman.tuning.gguf_adapter import save_gguf
from journeyman.tuning.lora import Adapters
from journeyman.tuning.peft_layout import CONFIG, WEIGHTS, save_peft

SPARE_TOKENS = 1.5


def make_rows(task: Task, template: Template, examples: Sequence[Example], context: int) -> list[TuneRow]:
    """Prompt, answer and loss mask of each example that has an answer.

    Raises:
        TuneError: JM-505 a row is longer than the model's context; nothing is cut silently.
    """
    rows = []
    for example in examples:
        if example.answer is None:
            continue
        span = template.supervise(student_messages(task, example.input), answer_text(task, example.answer))
        if len(span.ids) > context:
            raise TuneError(
                "JM-505",
                "a row is longer than the model's context",
                where=f"row {example.hash[:12]}",
                expected=f"at most {context} tokens",
                got=str(len(span.ids)),
                hint="remove the row, or use a base with a longer context",
            )
        rows.append(TuneRow(span.ids, span.start, example.weight, example.hash))
    return share_beginning(rows)


def answer_budget(rows: Sequence[TuneRow]) -> int:
    """Most tokens that a student may write: half as much again as the longest answer it learned, at least 64."""
    longest = max((row.supervised for row in rows), default=0)
    return max(64, int(SPARE_TOKENS * longest) + 8)


def write_student(
    folder: Path, task: Task, base: ResolvedModel, config: DecoderConfig, adapters: Adapters, max_tokens: int
) -> Student:
    """Write adapter (PEFT and GGUF), template, schema and manifest; the manifest comes last, so a folder with one is whole."""
    template = make_student_template(base.path)
    save_peft(folder / "peft", adapters, base.name)
    save_gguf(folder / "adapter.gguf", adapters, config, f"{task.name} on {base.name}")
    write_atomic(folder / "template.jinja", template.source)
    if task.schema is not None:
        write_atomic(folder / "schema.json", json.dumps(task.schema, indent=2, ensure_ascii=False) + "\n")
    manifest = Manifest(
        kind="lora",
        base=BaseRef(base.name, base.sha256, base.licence),
        files={
            role: {"path": path, "sha256": file_hash(folder / path)}
            for role, path in {
                "adapter": "adapter.gguf",
                "peft": f"peft/{WEIGHTS}",
                "peft_config": f"peft/{CONFIG}",
            }.items()
        },
        template=template.source,
        task=task.answering(),
        decoding={"max_tokens": task.max_output_tokens or max_tokens, "temperature": 0, "whitespace": "compact"},
        engine=f"xllamacpp {version('xllamacpp')}",
    )
    write_atomic(folder / MANIFEST, json.dumps(manifest.to_json(), indent=2, ensure_ascii=False) + "\n")
    return Student(folder, manifest)
