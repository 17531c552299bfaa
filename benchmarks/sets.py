"""Public sets as import files: which rows are for tuning, which are sealed. See each set's README for source and licence.

`benchmarks/loop.py` runs them. The folder of the sets is not part of this repository: its place is given by a flag.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class PublicSet:
    """``tune`` and ``sealed`` yield import rows ``{"input", "gold"}`` from the set's folder; ``task`` names the task's file."""

    name: str
    task: str
    folder: str
    tune: Callable[[Path], Iterator[Row]]
    sealed: Callable[[Path], Iterator[Row]]
    slots: str  # the path of the fields whose micro-F1 is reported beside all fields'
    label: str  # a closed field whose accuracy is reported, or empty
    bars: dict[str, float]
    most_tuning_s: float | None = None


def write_import_files(chosen: PublicSet, data: Path, folder: Path) -> None:
    """``train.jsonl`` and ``sealed.jsonl`` in ``folder``."""
    source = data / chosen.folder
    for name, rows in (("train", chosen.tune(source)), ("sealed", chosen.sealed(source))):
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


def _read(path: Path) -> Iterator[dict[str, object]]:
    with path.open(encoding="utf-8") as file:
        yield from (json.loads(line) for line in file)


def _snips_row(row: dict[str, object]) -> Row:
    """Slots in the order of the text; no row repeats a slot."""
    slots = {item["slot"]: item["value"] for item in row["slots"]}  # type: ignore[attr-defined]
    return {"input": {"text": str(row["text"]).strip()}, "gold": {"intent": row["intent"], "slots": slots}}


def _snips_tune(folder: Path, per_intent: int = 300) -> Iterator[Row]:
    """The first 300 rows of each intent in file order."""
    seen: Counter[object] = Counter()
    for row in _read(folder / "train.jsonl"):
        seen[row["intent"]] += 1
        if seen[row["intent"]] <= per_intent:
            yield _snips_row(row)


def _nyt_row(row: dict[str, object]) -> Row:
    fields = ("name", "quantity", "unit", "preparation", "comment")
    return {"input": {"line": row["input"]}, "gold": {field: row[field] for field in fields}}


def _nyt_tune(folder: Path, count: int = 2000) -> Iterator[Row]:
    """The first 2,000 rows in file order."""
    for index, row in enumerate(_read(folder / "train.jsonl")):
        if index >= count:
            return
        yield _nyt_row(row)


SETS = {
    "snips": PublicSet(
        "snips",
        "snips",
        "snips_nlu",
        _snips_tune,
        lambda folder: (_snips_row(row) for row in _read(folder / "validate.jsonl")),
        slots="slots",
        label="intent",
        bars={"exact_match": 0.78, "slots_f1": 0.90, "intent": 0.985, "valid": 1.0},
        most_tuning_s=2100,
    ),
    "snips-all": PublicSet(
        "snips-all",
        "snips",
        "snips_nlu",
        lambda folder: (_snips_row(row) for row in _read(folder / "train.jsonl")),
        lambda folder: (_snips_row(row) for row in _read(folder / "validate.jsonl")),
        slots="slots",
        label="intent",
        bars={},
        most_tuning_s=5400,
    ),
    "nyt": PublicSet(
        "nyt",
        "nyt",
        "nyt_ingredients",
        _nyt_tune,
        lambda folder: (_nyt_row(row) for row in _read(folder / "val.jsonl")),
        slots="",
        label="",
        bars={},
    ),
}
