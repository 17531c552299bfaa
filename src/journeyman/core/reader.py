"""Reads what a student writes instead of JSON, outside of Journeyman.

A copy of this file travels with a release as ``read_answer.py``, beside its ``labels.json``; it needs nothing but Python:

    python read_answer.py < answer.txt
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

LABELS = "labels.json"
PLAIN = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}


def read(text: str, labels: dict[str, Any]) -> Any:
    """The answer that a text stands for; ``labels`` is what ``labels.json`` holds. Whether it fits the schema is for a validator to say.

    Raises:
        ValueError, KeyError: the text is no answer of this student.
    """
    if "codes" in labels:
        return labels["codes"][text]
    answer = json.loads(json.dumps(labels["empty"]))
    first, *lines = text.split("\n")
    if labels["first"]:
        lines.insert(0, f"{labels['first']} {first}")
    elif first != "-":
        raise ValueError("a line without a label")
    for line in lines:
        label, space, value = line.partition(" ")
        if not space:
            raise ValueError("a line without a value")
        _put(answer, labels["fields"][label], value)
    return answer


def _put(answer: Any, field: dict[str, Any], text: str) -> None:
    *above, name = field["path"]
    for key in above:
        answer = answer[key]
    if field["words"]:
        value = field["words"][text]
    elif field["is_text"]:
        value = re.sub(r"\\[\\nr]", lambda match: PLAIN[match[0]], text)
    else:
        value = json.loads(text)
    if field["is_list"]:
        answer[name].append(value)
    elif name in answer:
        raise ValueError(f"two values of {name}")
    else:
        answer[name] = value


if __name__ == "__main__":
    table = json.loads(Path(__file__).with_name(LABELS).read_text(encoding="utf-8"))
    sys.stdout.write(json.dumps(read(sys.stdin.read().rstrip("\n"), table), ensure_ascii=False) + "\n")
