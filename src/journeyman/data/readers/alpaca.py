"""Alpaca: ``{"instruction": ..., "input": ..., "output": ...}``, and as LLaMA-Factory extends it, with ``system`` and ``history``.

The instruction is the system text and the input what the user says; without an input the instruction is what the user says.
"""

from __future__ import annotations

from collections.abc import Mapping

from journeyman.core.canonical import Json
from journeyman.core.messages import Message, make_message
from journeyman.data.record import Record, hash_content, read_group, read_target, read_time, row_error

KNOWN = frozenset({"instruction", "input", "output", "system", "history", "gold", "group", "id", "time", "model"})


def matches(row: Mapping[str, Json]) -> bool:
    return "instruction" in row and "output" in row


def read(row: dict[str, Json]) -> Record:
    """Raises: DataError: JM-311, instruction, input or history is no text."""
    instruction, said, system = (_text(row, name) for name in ("instruction", "input", "system"))
    turns = [message for turn in _history(row.get("history")) for message in turn]
    above = [text for text in (system, instruction if said else "") if text]
    return Record(
        key="",
        content=hash_content(row),
        messages=(
            *((make_message("system", "\n\n".join(above)),) if above else ()),
            *turns,
            make_message("user", said or instruction),
        ),
        output=read_target(row["output"]),
        gold=read_target(row.get("gold")),
        group=read_group(row.get("group")),
        model=str(row.get("model") or ""),
        time=read_time(row.get("time")),
        unused=frozenset(row) - KNOWN,
    )


def _text(row: Mapping[str, Json], name: str) -> str:
    value = row.get(name)
    if value is not None and not isinstance(value, str):
        raise row_error(f"the {name} is no text", where=name, got=value)
    return value or ""


def _history(value: Json) -> list[tuple[Message, Message]]:
    if not value:
        return []
    turns = []
    for turn in value if isinstance(value, list) else [value]:
        match turn:
            case [str(asked), str(answered)]:
                turns.append((make_message("user", asked), make_message("assistant", answered)))
            case _:
                raise row_error("the history is not made of pairs of texts", where="history", got=turn)
    return turns
