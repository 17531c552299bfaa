"""From tuned weights to a student folder: adapters on a base, or a whole model."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import cast

from journeyman.core.canonical import Json
from journeyman.flows.student import Student, write_manifest
from journeyman.models.catalog import ResolvedModel
from journeyman.models.codes import Codes, Writing
from journeyman.models.manifest import StudentKind
from journeyman.models.template import make_student_template
from journeyman.models.torch_decoder import Decoder
from journeyman.models.torch_weights import load_decoder
from journeyman.task.task import Task
from journeyman.tuning.gguf_adapter import save_gguf
from journeyman.tuning.gguf_model import Preset, save_model
from journeyman.tuning.lora import Adapters
from journeyman.tuning.peft_layout import CONFIG, WEIGHTS, save_peft
from journeyman.tuning.trainable import Trainable, merge_weights

# A whole model is written in a type that is finer than the base's own and half the size of 16 bits.
WHOLE_MODEL: Preset = "Q8_0"


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
    """Write weights (PEFT and GGUF), then what `write_manifest` writes.

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
    decoding: dict[str, Json] = {
        "max_tokens": task.max_output_tokens or max_tokens,
        "temperature": 0,
        "whitespace": "compact",
    }
    decoding |= _describe(writing, json_tokens) if writing else {}
    engine = f"xllamacpp {version('xllamacpp')}"
    return write_manifest(folder, kind, task, base, files, decoding, engine, template.source)


def _describe(writing: Writing, json_tokens: int) -> dict[str, Json]:
    form = "codes" if isinstance(writing, Codes) else "lines"
    return {form: writing.to_json(), "json_tokens": json_tokens}
