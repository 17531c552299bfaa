"""A small project of letters to extract from, and a teacher that invents some of what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from journeyman.flows.extracting import Outcome, extract
from journeyman.flows.workspace import open_workspace
from tests.flows.providers import provider

TASK = """\
edition: 1
name: letters
instruction: Read number, city, due and rows.
input: {text: string}
output:
  number: string?
  city: string
  due: date?
  kind: {enum: [bill, reminder]}
  rows: [{name: string, amount: number}]
redact: false
"""
SETTINGS = "[prepare]\ndev_share = 0.0\ncalibration_share = 0.0\ntest_share = 0.0\n"
BILL = """\
No. A-17

Lisbon, the day after.

name | amount
chair | 12.5
table | 80

Thank you for your order.
"""
PLAIN = "No. B-4\n\nOslo. Nothing else.\n"
INVENTED = "1999-01-31"
GHOST = {"name": "ghost", "amount": 666.25}


def say(text: str) -> dict[str, Any]:
    """What is true of a letter."""
    lines = text.splitlines()
    number = next((line.removeprefix("No. ") for line in lines if line.startswith("No. ")), None)
    cells = [line.split(" | ") for line in lines if " | " in line and not line.startswith("name")]
    rows = [{"name": name, "amount": float(amount)} for name, amount in cells]
    city = next((name for name in ("Lisbon", "Oslo") if name in text), "")
    return {"number": number, "city": city, "due": None, "kind": "bill", "rows": rows}


def answer(body: dict[str, Any]) -> tuple[int, str]:
    """Bills get a date and a row that nobody wrote, and another city."""
    text = body["messages"][-1]["content"]
    truth = say(text)
    if "table | 80" in text:
        truth |= {"due": INVENTED, "city": "Atlantis", "rows": [truth["rows"][0], GHOST, *truth["rows"][1:]]}
    return 200, json.dumps(truth)


def make_letters(folder: Path, task: str = TASK, **texts: str) -> Path:
    """Letters with their teacher's answers in the store."""
    (folder / "tasks").mkdir(parents=True)
    (folder / "tasks/letters.yaml").write_text(task, encoding="utf-8")
    (folder / "journeyman.toml").write_text(SETTINGS, encoding="utf-8")
    read_letters(folder, texts or {"bill": BILL, "plain": PLAIN})
    return folder


def read_letters(folder: Path, texts: dict[str, str], most: int = 1500) -> list[Outcome]:
    """Add letters, and extract from all there are."""
    (folder / "inbox").mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / f"inbox/{name}.txt").write_text(text, encoding="utf-8")
    heard: list[Outcome] = []
    with provider(folder, answer), open_workspace(folder) as workspace:
        extract(workspace, "letters", [str(folder / "inbox")], heard.append, most=most)
    return heard
