"""SNIPS rows as token ids for the comparisons of tuning, and pairs of a right and a spoiled answer made from them.

A slice of dev rows is neither tuned on in other benchmarks nor sealed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from journeyman.core.messages import make_message
from journeyman.models.template import Template

Document = dict[str, Any]


def read_rows(data: Path, part: slice) -> list[Document]:
    """``{"text", "intent", "slots"}`` of a part of each intent's rows, in the file's order."""
    intents: dict[str, list[Document]] = {}
    for line in (data / "snips_nlu/train.jsonl").read_text(encoding="utf-8").splitlines():
        raw = json.loads(line)
        slots = {slot["slot"]: slot["value"] for slot in raw["slots"]}
        intents.setdefault(raw["intent"], []).append(
            {"text": raw["text"].strip(), "intent": raw["intent"], "slots": slots}
        )
    return [row for rows in intents.values() for row in rows[part]]


def to_ids(row: Document, template: Template, instruction: str = "", write: Callable[[str], str] = str) -> Document:
    """``{"ids", "start"}`` of a row's turns; the answer begins at ``start``, as ``write`` writes its JSON."""
    messages = [make_message("system", instruction)] if instruction else []
    span = template.supervise([*messages, make_message("user", row["text"])], write(_answer(row)))
    return {"ids": list(span.ids), "start": span.start}


def to_pair(row: Document, other: Document, index: int, template: Template) -> Document:
    """``{"prompt", "chosen", "rejected"}`` of ids; what is wrong goes round: the intent, a slot left out, a slot by another's name."""
    names = list(row["slots"])
    spoiled = dict(row)
    if index % 3 == 0 or not names:
        spoiled["intent"] = other["intent"]
    elif index % 3 == 1:
        spoiled["slots"] = {name: row["slots"][name] for name in names[:-1]}
    else:
        stranger = next((name for name in other["slots"] if name not in names), "name")
        spoiled["slots"] = {stranger if name == names[-1] else name: row["slots"][name] for name in names}
    good, bad = to_ids(row, template), to_ids(spoiled, template)
    start = good["start"]
    return {"prompt": good["ids"][:start], "chosen": good["ids"][start:], "rejected": bad["ids"][start:]}


def make_pairs(data: Path, part: slice, template: Template) -> list[Document]:
    """Pairs whose two answers differ; the stranger that spoils an answer is a row of the next intent."""
    rows = read_rows(data, part)
    step = max(1, len(rows) // 7)
    pairs = [to_pair(row, rows[(index + step) % len(rows)], index, template) for index, row in enumerate(rows)]
    return [pair for pair in pairs if pair["chosen"] != pair["rejected"]]


def _answer(row: Document) -> str:
    answer = {"intent": row["intent"], "slots": row["slots"]}
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
