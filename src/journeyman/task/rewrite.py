"""Another instruction in a task file; every other byte stays as it is."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import yaml

from journeyman.core.errors import GateError, TaskError
from journeyman.core.files import write_atomic
from journeyman.task.document import read_document
from journeyman.task.file import load_task
from journeyman.task.task import Task

PLAIN_LINES = re.compile(r"[^\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufeff\u2028\u2029]*")


def write_instruction(path: Path, instruction: str) -> Task:
    """Replace the file's instruction, and return the task that it now describes.

    Raises:
        GateError: JM-660 the file is written so that nothing can take the instruction's place. TaskError: the file is no task. StoreError: JM-801, JM-802.
    """
    task, text = load_task(path), path.read_bytes().decode("utf-8")
    wanted = replace(task, instruction=instruction.strip("\n"))
    for value in (block(instruction), json.dumps(instruction)):
        changed = replace_instruction(text, value)
        if value and _is_task(changed, text, wanted.instruction):
            write_atomic(path, changed)
            return load_task(path)
    raise GateError(
        "JM-660",
        "the instruction cannot be replaced in this file",
        where=str(path),
        hint="put it in by hand: it is printed above",
    )


def replace_instruction(text: str, value: str) -> str:
    """``text`` with ``value`` where the value of the key ``instruction`` stands."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode), "a task file is a mapping"
    node = next(node for key, node in root.value if key.value == "instruction")
    start, end = node.start_mark.index, node.end_mark.index
    old = text[start:end]
    kept = old[len(old.rstrip()) :]  # a block reaches to the next key
    return text[:start] + value + (kept or "") + text[end:]


def block(instruction: str) -> str:
    """A block of YAML, as people write it; "" where a block cannot say it."""
    text = instruction.strip("\n")
    if not PLAIN_LINES.fullmatch(text) or not text.strip():
        return ""
    mark = "|2-" if text.startswith((" ", "\t")) else "|-"
    return "\n".join([mark, *(f"  {line}" if line else "" for line in text.split("\n"))])


def _is_task(changed: str, text: str, instruction: str) -> bool:
    """Whether the new text says the same but for the instruction."""
    try:
        new, old = (read_document(item, "").value for item in (changed, text))
    except TaskError:
        return False
    assert isinstance(old, dict), "a task file is a mapping"
    if not isinstance(new, dict) or str(new.get("instruction")).strip("\n") != instruction:
        return False
    return {**new, "instruction": ""} == {**old, "instruction": ""}
