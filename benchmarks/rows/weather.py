"""SNIPS' questions about the weather as rows of a task, from the train file alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_weather(data: Path) -> list[dict[str, Any]]:
    """``{"input": {"text": ...}, "gold": {slot: value}}`` in the file's order."""
    with (data / "snips_nlu/train.jsonl").open(encoding="utf-8") as file:
        every = [json.loads(line) for line in file]
    return [
        {"input": {"text": row["text"].strip()}, "gold": {item["slot"]: item["value"] for item in row["slots"]}}
        for row in every
        if row["intent"] == "GetWeather"
    ]
