"""Rewrites of an instruction by the teacher, from the instruction, the schema and TRAIN rows that were answered wrong; dev and sealed rows are never shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.errors import ModelError
from journeyman.core.example import Example
from journeyman.core.messages import make_message
from journeyman.flows.instructions import Edit, describe_failures
from journeyman.flows.runs import RunFolder
from journeyman.models.protocol import Decoding, Model, Request
from journeyman.task.task import Task

REWRITES = "rewrites.json"
MOST_LETTERS, MOST_SCHEMA = 6000, 4000
TEMPERATURE = 0.8
ASKED = """\
A language model is told:

{instruction}
{schema}
It answered these inputs wrong:

{failures}

Write a better instruction for it: what to do, what each part of the answer means, what to watch for. Do not repeat the inputs. Write the instruction alone."""


async def rewrite(
    teacher: Model,
    task: Task,
    failures: Sequence[tuple[Example, str]],
    count: int,
    run: RunFolder,
    has_time: Callable[[], bool],
) -> tuple[list[Edit], str]:
    """At most ``count`` rewrites, one call each, and why there are no more. What the teacher wrote is kept in the run and not asked again; a call counts
    before it is made, so one that a kill cut off is not made again."""
    kept = run.read(REWRITES) or {}
    written = cast(list[Json], kept.get("texts") or [])
    problem = ""
    for seed in range(cast(int, kept.get("calls", len(written))), count):
        if not has_time():
            break
        run.write(REWRITES, {"texts": list(written), "calls": seed + 1})
        decoding = Decoding(temperature=TEMPERATURE, seed=seed, max_tokens=1024)
        messages = (make_message("user", _ask(task, failures)),)
        try:
            reply = await teacher.complete(Request(messages, decoding))
        except ModelError as error:
            problem = str(error)
            break
        written.append(reply.text)
        run.write(REWRITES, {"texts": list(written), "calls": seed + 1})
    texts = dict.fromkeys(_clean(str(text)) for text in written)
    fitting = [text for text in texts if text and len(text) <= MOST_LETTERS and text != task.instruction]
    return [Edit(f"rewrite {place}", text) for place, text in enumerate(fitting, start=1)], problem


def _ask(task: Task, failures: Sequence[tuple[Example, str]]) -> str:
    schema = json.dumps(task.schema, ensure_ascii=False)[:MOST_SCHEMA] if task.schema is not None else ""
    return ASKED.format(
        instruction=task.instruction,
        schema=f"\nIts answers must fit this JSON Schema: {schema}\n" if schema else "",
        failures="\n\n".join(describe_failures(task, failures)) or "(none was seen)",
    )


def _clean(text: str) -> str:
    """Without the fence that some models put around a text."""
    lines = text.strip().splitlines()
    if len(lines) > 1 and lines[0].startswith("```") and lines[-1].strip() == "```":
        lines = lines[1:-1]
    return "\n".join(lines).strip()
