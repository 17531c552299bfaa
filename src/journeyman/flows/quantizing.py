"""`quantize IN OUT`: a smaller file of the same model, with what it lost on a task's rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from journeyman.core.canonical import Json
from journeyman.core.files import refuse_existing
from journeyman.core.progress import Progress
from journeyman.flows.material import load_material
from journeyman.flows.signals import Writer
from journeyman.flows.workspace import Workspace
from journeyman.models.catalog import resolve
from journeyman.models.template import make_student_template
from journeyman.models.torch_decoder import Decoder
from journeyman.models.torch_weights import load_decoder
from journeyman.tuning.batching import TuneRow
from journeyman.tuning.gguf_model import Preset, Written, save_model
from journeyman.tuning.importance import measure_importance
from journeyman.tuning.objective import DevScore, score_rows

IMPORTANCE_ROWS = 256


@dataclass(frozen=True, slots=True)
class Quantized:
    """``before`` and ``after`` are scores on the task's dev rows; None without a task."""

    written: Written
    bytes_before: int
    before: DevScore | None
    after: DevScore | None

    def to_json(self) -> dict[str, Json]:
        raw: dict[str, Json] = asdict(self)
        return raw | {
            "written": asdict(self.written) | {"path": str(self.written.path), "kinds": dict(self.written.kinds)}
        }


def quantize(source: str, out: Path, preset: Preset, progress: Progress) -> Quantized:
    """Without a task: nothing is weighted by importance, nothing is scored.

    Raises:
        StoreError: JM-822 the target exists, JM-801, JM-802 from the disk. ModelError: JM-401 to JM-408 from the source.
    """
    refuse_existing(out, is_file=True)
    model = resolve(source, progress=progress)
    decoder = load_decoder(model.path)
    progress.note(f"writing {out} as {preset}")
    written = save_model(out, decoder, model.path, preset, f"{Path(model.name).name.removesuffix('.gguf')} {preset}")
    return Quantized(written, model.path.stat().st_size, None, None)


def quantize_for(workspace: Workspace, task: str, source: str, out: Path, preset: Preset) -> Quantized:
    """With importance from the task's train rows, and the loss and exactness on its dev rows before and after.

    Raises:
        DataError: JM-352 nothing prepared; else as ``quantize``.
    """
    refuse_existing(out, is_file=True)
    material = load_material(workspace, task, source)
    model = material.base
    template = make_student_template(model.path)
    decoder = load_decoder(model.path)

    def rows(split: str) -> Sequence[TuneRow]:
        return Writer(material.task, template, decoder.config.context).answers(material.splits[split])

    importance = measure_importance(decoder, rows("train")[:IMPORTANCE_ROWS], workspace.progress)
    dev = rows("dev")
    before = _score(decoder, dev)
    written = save_model(out, decoder, model.path, preset, f"{task} {preset}", importance=importance)
    return Quantized(written, model.path.stat().st_size, before, _score(load_decoder(out), dev))


def _score(decoder: Decoder, dev: Sequence[TuneRow]) -> DevScore | None:
    return score_rows(decoder, None, dev) if dev else None
