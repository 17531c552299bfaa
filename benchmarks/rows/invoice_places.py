"""Where the true values of made-up invoices are found: how many stand somewhere, sums in the line that names them, values of rows in the line of their row's description, in the columns of their table.

No model is asked: this is what looking values up can do by itself, on what the PDF reader made of the page.
"""

from __future__ import annotations

import importlib.util
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from journeyman.knowledge.document import Document
from journeyman.knowledge.extract.place import Placed, place
from journeyman.knowledge.parse.pdf import read_pdf
from journeyman.measure.intervals import clopper_pearson
from journeyman.task.file import load_task

SUMS = ("net", "tax", "total")
CELLS = ("description", "quantity", "price", "amount")
Counts = Counter[tuple[str, bool]]


def measure(example: Path, documents: int) -> list[dict[str, Any]]:
    """Shares with their exact intervals, over as many documents of the layouts to learn from and of the sealed ones."""
    maker, task = load_maker(example), load_task(example / "tasks/invoices.yaml")
    counts: Counts = Counter()
    for folder, layouts, offset in (("train", maker.TRAIN_LAYOUTS, 0), ("sealed", maker.SEALED_LAYOUTS, 1)):
        vendors = maker.make_vendors(1, layouts, offset)
        for number in range(documents):
            vendor = vendors[number % len(vendors)]
            pdf, truth = maker.make_invoice(random.Random(f"1/{folder}/{number}"), vendor, 6)
            document = read_pdf("invoice.pdf", pdf)
            counts.update(judge(place(truth, task.schema or {}, document), document, vendor, maker))
    names = dict.fromkeys(name for name, _is_right in counts)
    return [_share(name, counts[name, True], counts[name, True] + counts[name, False]) for name in names]


def judge(placed: Sequence[Placed], document: Document, vendor: Any, maker: Any) -> Iterator[tuple[str, bool]]:
    at = {one.path: one for one in placed}
    words = maker.LANGUAGES[vendor.language]
    for one in placed:
        yield "values that are found", one.is_grounded
        if one.path[0] in SUMS:
            label = getattr(words, str(one.path[0]))[vendor.layout.wording]
            yield "sums in the line of their label", label in _line(document, one)
        if one.path[0] == "items":
            own = at[("items", one.path[1], "description")]
            yield "values of rows in their row's line", _line(document, one) == _line(document, own)
    for number in {path[1] for path in at if path[0] == "items"}:
        row = sorted((at["items", number, name].start, name) for name in CELLS)
        wanted = [name for name in vendor.layout.columns if name in CELLS]
        yield "rows with each value in its column", [name for _start, name in row] == wanted


def load_maker(example: Path) -> Any:
    spec = importlib.util.spec_from_file_location("make_files", example / "make_files.py")
    if spec is None or spec.loader is None:
        raise SystemExit(f"{example} has no generator")
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_files"] = module
    spec.loader.exec_module(module)
    return module


def _line(document: Document, one: Placed) -> str:
    """With its place, so that lines that say the same are told apart."""
    start = document.text.rfind("\n", 0, one.start) + 1
    return f"{start}: {document.text[start:].partition(chr(10))[0]}"


def _share(name: str, right: int, of: int) -> dict[str, Any]:
    interval = clopper_pearson(right, of)
    return {"row": name, "value": right / of, "low": interval.low, "high": interval.high, "n": of}
