"""`tune --text FILE`: continued pre-training on plain text, a stage before the task's own rows are learned.

The text is cut into stretches of equal length in tokens, every one of which carries a loss; each twentieth is kept back, and the weights
that predict those best are what tuning begins at. The stage is a run of its own, so several tasks and settings share it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from journeyman.core.canonical import Json, content_hash, file_hash
from journeyman.core.errors import DataError, TuneError
from journeyman.flows.material import Material
from journeyman.flows.runs import MACHINE, MATERIAL, PLAN, RESULT, RunFolder, find_run
from journeyman.flows.workspace import Workspace
from journeyman.models.families import read_config
from journeyman.models.template import make_student_template
from journeyman.models.tokenizer import Tokenizer
from journeyman.models.torch_weights import load_decoder
from journeyman.tuning.batching import TuneRow
from journeyman.tuning.loop import tune
from journeyman.tuning.machine import Machine, check_memory, estimate_bytes, free_bytes, use_machine
from journeyman.tuning.objective import supervised
from journeyman.tuning.plan import Plan, make_plan, scale_rate
from journeyman.tuning.trainable import make_trainable, settle

STRETCH = 256  # tokens
KEPT_BACK = 20  # each such stretch is not learned
# Text is learned more gently than answers: it should move what the model knows, not how it writes. On weights of TYPICAL_SIZE.
RATES = {"full": 5e-5}
RATE = 5e-4


def read_texts(
    workspace: Workspace,
    material: Material,
    files: Sequence[str],
    shape: Mapping[str, Json],
    number: str,
    probe: Callable[[], Machine],
) -> RunFolder:
    """The finished run of this stage; its weights are what ``open_start`` opens. ``number`` is a type that the user gave, or empty.

    Raises:
        DataError: JM-301 a file cannot be read. TuneError: JM-538 too little text.
    """
    paths = [Path(name) for name in files]
    hashes = {str(path): _hash(path) for path in paths}
    key: dict[str, Json] = {
        "base": material.base.sha256,
        "texts": list[Json](sorted(hashes.values())),
        "shape": dict(shape),
        "number": number,
    }
    run = find_run(workspace.project.runs, material.task.name, "text", key)
    with run.lock():
        if run.read(RESULT) is not None:
            return run
        rows, kept = cut(paths, make_student_template(material.base.path).tokenizer)
        run.decide(MATERIAL, lambda: _describe(material, hashes, rows, kept))
        machine = Machine.from_json(run.decide(MACHINE, lambda: probe().to_json()))
        use_machine(machine)
        available = free_bytes(machine.device)
        decoder = load_decoder(material.base.path, machine.number, is_packed=shape.get("kind") == "qlora")
        rate = scale_rate(RATES.get(str(shape.get("kind")), RATE), decoder.weight_size())
        given: dict[str, Json] = {"rate": rate, "epochs": 1.0, "head_tokens": 0, **shape}
        plan = Plan.from_json(run.decide(PLAN, lambda: make_plan(rows, given).to_json()))
        workspace.progress.note(f"text: {len(rows)} stretches of {STRETCH} tokens, {len(kept)} kept back")
        config = read_config(material.base.path)
        check_memory(estimate_bytes(config, plan, STRETCH, machine.number), available)
        weights = make_trainable(decoder, plan)
        settle(decoder, weights, plan)
        objective = supervised(decoder, weights, rows, kept, plan)
        before = objective.look() if objective.look else None
        tuned = tune(decoder, weights, objective, plan, run.path, workspace.progress)
        run.write(
            RESULT,
            {
                "seconds": round(tuned.cursor.seconds, 1),
                "tokens": tuned.cursor.tokens,
                "loss_before": before.loss if before else None,
                "loss": tuned.score.loss if tuned.score else None,
            },
        )
    return run


def cut(paths: Sequence[Path], tokenizer: Tokenizer) -> tuple[list[TuneRow], list[TuneRow]]:
    """Stretches to learn and stretches kept back; the last tokens of a file that fill no half of one are left out.

    Raises:
        TuneError: JM-538 fewer than two stretches in all.
    """
    stretches: list[TuneRow] = []
    first = () if tokenizer.bos is None else (tokenizer.bos,)
    for path in paths:
        ids = tokenizer.encode(_read(path))
        size = STRETCH - len(first)
        for start in range(0, len(ids), size):
            part = ids[start : start + size]
            if len(part) >= size // 2 or (not stretches and len(paths) == 1):
                stretches.append(TuneRow((*first, *part), 1, key=content_hash(list(part))))
    if len(stretches) < 2:
        raise TuneError(
            "JM-538",
            "this is too little text to learn from",
            expected=f"two stretches of {STRETCH} tokens",
            got=f"{len(stretches)} in {len(paths)} files",
        )
    kept = stretches[KEPT_BACK - 1 :: KEPT_BACK] or stretches[-1:]
    names = {id(row) for row in kept}
    return [row for row in stretches if id(row) not in names], kept


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            "JM-301", "this file cannot be read", where=str(path), expected="plain text in UTF-8", got=str(error)
        ) from error


def _hash(path: Path) -> str:
    if not path.is_file():
        raise DataError(
            "JM-301", "this file cannot be read", where=str(path), expected="plain text in UTF-8", got="no file"
        )
    return file_hash(path)


def _describe(
    material: Material, hashes: Mapping[str, str], rows: Sequence[TuneRow], kept: Sequence[TuneRow]
) -> dict[str, Json]:
    return {
        "base": {"name": material.base.name, "sha256": material.base.sha256},
        "texts": dict(hashes),
        "rows": {"learned": len(rows), "kept back": len(kept)},
    }
