"""Sheets of rows to label, filled as people would."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

from journeyman.core.canonical import Json
from tests.flows.projects import paint_rows

SEALED = 160
GOLD: dict[str, Json] = {str(row["input"]["line"]): row["gold"] for row in paint_rows(SEALED, 2)}  # type: ignore[index,call-overload]
Cells = dict[str, str]


def read_cells(path: Path) -> list[Cells]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def write_cells(path: Path, cells: list[Cells]) -> Path:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(cells[0]))
        writer.writeheader()
        writer.writerows(cells)
    return path


def judge(row: Cells) -> Cells:
    """What a careful person says."""
    right = [json.loads(row[side]) == GOLD[row["input"]] for side in ("first", "second")]
    return row | {"right": {(True, False): "first", (False, True): "second"}.get((right[0], right[1]), "neither")}


def fill(path: Path, how: Callable[[Cells], Cells] = judge) -> Path:
    return write_cells(path, [how(row) for row in read_cells(path)])
