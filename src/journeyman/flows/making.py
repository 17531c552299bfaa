"""From tuned weights to a student folder: adapters on a base, or a whole model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import cast

from journeyman.core.canonical import Json, file_hash
from journeyman.core.files import write_atomic
from journeyman.flows.student import Student
from journeyman.models.catalog import ResolvedModel
from journeyman.models.codes import Codes, Writing
from journeyman.models.manifest import MANIFEST, BaseRef, Manifest, StudentKind
from journeyman.models.template import make_student_template
from journeyman.models.torch_decoder import Decoder
from journeyman.models.torch_weights import load_decoder
from journeyman.task.task import Task
from journeyman.tuning.batching import TuneRow
from journeyman.tuning.gguf_adapter import save_gguf
from journeyman.tuning.gguf_model import Preset, save_model
from journeyman.tuning.lora import Adapters
from journeyman.tuning.peft_layout import CONFIG, WEIGHTS, save_peft
from journeyman.tuning.trainable import Trainable, merge_weights

SPARE_TOKENS = 1.5
# A whole model is written in a type that is finer than the base's own and half the size of 16 bits.
WHOLE_MODEL: Preset = "Q8_0"


def answer_budget(rows: Sequence[TuneRow]) -> int:
    """Most tokens that a student may write: half as much again as the longest answer it learned, at least 64."""
    longest = max((row.supervised for row in rows), default=0)
    return max(64, int(SPARE_TOKENS * longest) + 8)


def write_student(
    folder: Path,
    task: Task,
    base: ResolvedModel,
    decoder: Decoder,
    tuned: Trainable,
    max_tokens: int,
    finish: str = "",
    writing: Writing | None = None,
    json_tokens: int = 0,
) -> Student:
    """Write weights (PEFT and GGUF), template, schema and manifest; the manifest comes last, so a folder with one is whole.

    ``json_tokens`` is what the answers would take as JSON, where the student writes something else: models beside it are given that.
    LoRA stays an adapter. What an adapter cannot say to the engine (DoRA's magnitudes, all weights, a ``finish`` in the type that is
    served) becomes a whole model.
    """
    template = make_student_template(base.path)
    name = f"{task.name} on {base.name}"
    files = {}
    if isinstance(tuned, Adapters):
        save_peft(folder / "peft", tuned, base.name, base.sha256)
        files = {"peft": f"peft/{WEIGHTS}", "peft_config": f"peft/{CONFIG}"}
    kind: StudentKind = "lora"
    if isinstance(tuned, Adapters) and not tuned.config.is_decomposed and not finish:
        save_gguf(folder / "adapter.gguf", tuned, decoder.config, name)
        files = {"adapter": "adapter.gguf"} | files
    else:
        kind = "full"
        exact = decoder if decoder.is_exact else load_decoder(base.path)
        whole = merge_weights(exact, tuned.onto(exact))
        save_model(folder / "model.gguf", whole, base.path, cast(Preset, finish or WHOLE_MODEL), name, template.source)
        files = {"model": "model.gguf"} | files
    write_atomic(folder / "template.jinja", template.source)
    if task.schema is not None:
        write_atomic(folder / "schema.json", json.dumps(task.schema, indent=2, ensure_ascii=False) + "\n")
    decoding: dict[str, Json] = {
        "max_tokens": task.max_output_tokens or max_tokens,
        "temperature": 0,
        "whitespace": "compact",
    }
    manifest = Manifest(
        kind=kind,
        base=BaseRef(base.name, base.sha256, base.licence),
        files={role: {"path": path, "sha256": file_hash(folder / path)} for role, path in files.items()},
        template=template.source,
        task=task.answering(),
        decoding=decoding | (_describe(writing, json_tokens) if writing else {}),
        engine=f"xllamacpp {version('xllamacpp')}",
    )
    write_atomic(folder / MANIFEST, json.dumps(manifest.to_json(), indent=2, ensure_ascii=False) + "\n")
    return Student(folder, manifest)


def _describe(writing: Writing, json_tokens: int) -> dict[str, Json]:
    form = "codes" if isinstance(writing, Codes) else "lines"
    return {form: writing.to_json(), "json_tokens": json_tokens}
