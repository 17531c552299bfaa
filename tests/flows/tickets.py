"""A small project of tickets to label: train rows that were redacted, a sealed row and a dev row that were given."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from journeyman.core.canonical import Json
from journeyman.flows.prepare import import_sources, prepare_task
from journeyman.flows.workspace import open_workspace

TASK = """\
edition: 1
name: tickets
instruction: Sort a bank customer's message.
input:
  message: string
output:
  intent: {enum: [refund, card_lost, limit, other]}
  urgent: boolean
  product: string
"""
SETTINGS = "[prepare]\ncalibration_share = 0.0\n"
REFUND = {"intent": "refund", "urgent": False, "product": "card"}
MESSAGES = (
    "I want my money back for the two concert tickets that I never bought",
    "I want my money back for the ten concert tickets that I never bought",
    "they took my purse on the tram and my card was in it",
    "how much may I take from a machine abroad in one day",
    "please write to ada@example.org about the fee of last month",
    "good morning, is anybody reading this",
)


def make_tickets(
    folder: Path, messages: Sequence[str] = MESSAGES, more: Sequence[dict[str, Json]] = (), task: str = TASK
) -> Path:
    """Each message with the same recorded answer, and further rows; prepared."""
    start_tickets(folder, task)
    rows: list[dict[str, Json]] = [{"input": {"message": text}, "output": dict(REFUND)} for text in messages]
    given = {
        "train": [*rows, *more],
        "dev": [_other("nothing in particular happened today")],
        "test": [_other("zebras live in the south")],
    }
    for name, part in given.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
    with open_workspace(folder) as workspace:
        for split in ("test", "dev"):
            import_sources(workspace, "tickets", [str(folder / f"{split}.jsonl")], split=split)  # type: ignore[arg-type]
        import_sources(workspace, "tickets", [str(folder / "train.jsonl")])
        prepare_task(workspace, "tickets")
    return folder


def start_tickets(folder: Path, task: str = TASK, settings: str = SETTINGS) -> Path:
    """The project without a row."""
    (folder / "tasks").mkdir(parents=True)
    (folder / "tasks/tickets.yaml").write_text(task, encoding="utf-8")
    (folder / "journeyman.toml").write_text(settings, encoding="utf-8")
    return folder


def _other(message: str) -> dict[str, Json]:
    return {"input": {"message": message}, "output": {"intent": "other", "urgent": False, "product": ""}}
