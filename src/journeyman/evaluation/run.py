"""Ask a model every row of a split, once, and keep each answer as it comes.

This module knows nothing about metrics or gates: it turns rows into predictions.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, cast

from journeyman.core.canonical import Json, content_hash
from journeyman.core.errors import GateError, ModelError, ServeError
from journeyman.core.example import Example, Target
from journeyman.core.files import disk_errors
from journeyman.core.messages import Message, message_to_openai
from journeyman.core.progress import Progress, Silent
from journeyman.models.protocol import Confidence, Decoding, Model, Reply, Request
from journeyman.task.answer import read_answer
from journeyman.task.prompt import student_messages, teacher_messages
from journeyman.task.task import Task

Prompt = Literal["student", "teacher"]
ASSESS_HEADERS: Mapping[str, str] = {"x-journeyman-origin": "assess"}
INVALID = re.compile(r"^\d{3}: \{\"error\":\{\"message\":\"JM-720 ")  # of our server: the model gave no valid answer
RETRY_DELAYS_S: tuple[float, ...] = (0.5, 2.0, 8.0)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a split: ``gold`` is the reviewed answer, ``teacher`` the recorded one, ``count`` how often it came."""

    hash: str
    input: Mapping[str, Json]
    gold: Target | None
    teacher: Target | None
    count: int = 1
    group: str = ""

    @staticmethod
    def from_example(example: Example) -> Row:
        return Row(example.hash, example.input, example.gold, example.target, example.count, example.group)

    @property
    def expected(self) -> Target | None:
        """What an answer is scored against where no gate says otherwise: gold, else the teacher's answer."""
        return self.gold if self.gold is not None else self.teacher


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model said to one row. ``target`` None is a wrong answer: ``problem`` says why the text was not readable,
    ``error`` why there is none. ``is_paid``: it came from a model whose tokens are paid for."""

    row: str
    text: str
    target: Target | None
    problem: str = ""
    error: str = ""
    latency_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    finish_reason: str = ""
    confidence: Confidence | None = None
    is_paid: bool = False


@dataclass(frozen=True, slots=True)
class Predictions:
    """One prediction per row, in the order of the rows. ``reused`` came from the cache."""

    model: str
    items: tuple[Prediction, ...]
    reused: int = 0

    @property
    def latencies_ms(self) -> list[float]:
        return [item.latency_ms for item in self.items if item.latency_ms is not None]

    @property
    def failed(self) -> int:
        return sum(bool(item.error) for item in self.items)


async def evaluate(
    model: Model,
    task: Task,
    rows: Sequence[Row],
    *,
    requests_in_flight: int,
    cache_path: Path,
    progress: Progress | None = None,
    prompt: Prompt = "student",
    max_tokens: int | None = None,
    with_confidence: bool = False,
    headers: Mapping[str, str] = ASSESS_HEADERS,
    retry_delays_s: Sequence[float] = RETRY_DELAYS_S,
) -> Predictions:
    """Ask ``model`` each row, ``requests_in_flight`` at a time, greedy, under the task's schema.

    Each answer is a line of ``cache_path`` before the next row is taken, keyed by everything that was asked, so that a
    killed evaluation asks only what is missing. What the server refused to hand out, since it is no valid answer, is an answer too, and a wrong one. A retryable error is tried again after each of ``retry_delays_s``; then,
    like any other error of the model, it makes the row a wrong one that keeps the error's text. ``max_tokens`` bounds an
    answer where the task does not: an untuned model may never end one. ``with_confidence`` asks how sure the model is of each. Errors are not answers
    and are not cached: the same command asks those rows again.

    Raises:
        GateError: JM-601 no rows, JM-602 no row at all got an answer (the set-up is wrong, not the model).
        StoreError: JM-801, JM-802.
    """
    if not rows:
        raise GateError(
            "JM-601", "there is nothing to evaluate: the split has no rows", hint="run `journeyman prepare TASK`"
        )
    bar = progress or Silent()
    limit = task.max_output_tokens or max_tokens
    requests = [_make_request(task, row, prompt, limit, headers, with_confidence) for row in rows]
    keys = [_request_key(model.name, request) for request in requests]
    known = _load(cache_path)
    answers = {index: known[key] for index, key in enumerate(keys) if key in known}
    reused = len(answers)
    bar.start(f"asking {_short(model.name)}", total=len(rows), unit="rows")
    bar.advance(reused)
    waiting = iter([index for index in range(len(rows)) if index not in answers])

    async def work(file: IO[bytes]) -> None:
        for index in waiting:
            answers[index] = answer = await _ask(model, requests[index], retry_delays_s)
            if not answer.error:
                _append(file, keys[index], answer)
            bar.advance(1)

    with disk_errors(cache_path):
        cache_path.parent.mkdir(parents=True, exist_ok=True)
        with _open_for_append(cache_path) as file:
            await _run_together([work(file) for _ in range(max(1, requests_in_flight))])
    bar.finish()
    items = tuple(_read(task, row, answers[index]) for index, row in enumerate(rows))
    _refuse_all_failed(model.name, items)
    return Predictions(model.name, items, reused)


def load_predictions(
    model: str,
    task: Task,
    rows: Sequence[Row],
    cache_path: Path,
    prompt: Prompt = "student",
    with_confidence: bool = False,
) -> list[tuple[Row, Prediction]]:
    """The rows that an earlier `evaluate` of this model has answers for, with them; nothing is asked."""
    known = _load(cache_path)
    requests = [_make_request(task, row, prompt, task.max_output_tokens, {}, with_confidence) for row in rows]
    keys = [_request_key(model, request) for request in requests]
    return [(row, _read(task, row, known[key])) for row, key in zip(rows, keys, strict=True) if key in known]


@dataclass(frozen=True, slots=True)
class _Answer:
    """A reply as it lies in the cache, or an error, which does not. ``problem``: why the server handed out no reply."""

    text: str = ""
    problem: str = ""
    error: str = ""
    latency_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    finish_reason: str = ""
    confidence: Confidence | None = None

    def to_json(self) -> dict[str, Json]:
        raw: dict[str, Json] = {
            "text": self.text,
            "latency_ms": self.latency_ms,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "finish_reason": self.finish_reason,
        }
        if self.problem:
            raw["problem"] = self.problem
        if self.confidence is not None:
            raw["confidence"] = [self.confidence.whole, dict(self.confidence.fields)]
        return raw

    @staticmethod
    def from_json(raw: Mapping[str, Json]) -> _Answer:
        sure = cast(tuple[float, dict[str, float]] | None, raw.get("confidence"))
        return _Answer(
            text=str(raw["text"]),
            problem=str(raw.get("problem", "")),
            latency_ms=cast(float | None, raw["latency_ms"]),
            input_tokens=cast(int | None, raw["input_tokens"]),
            output_tokens=cast(int | None, raw["output_tokens"]),
            finish_reason=str(raw["finish_reason"]),
            confidence=Confidence(*sure) if sure is not None else None,
        )


def _short(name: str) -> str:
    """A release's name with the beginning of its hash."""
    return re.sub(r"@([0-9a-f]{12})[0-9a-f]+$", r"@\1", name)


async def _run_together(works: Sequence[Coroutine[None, None, None]]) -> None:
    """Run all; the first error stops the others and is raised as itself."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def _ask(model: Model, request: Request, retry_delays_s: Sequence[float]) -> _Answer:
    for delay in (*retry_delays_s, None):
        started = time.perf_counter()
        try:
            return _from_reply(await model.complete(request))
        except (ModelError, ServeError) as error:
            if INVALID.search(error.got):
                waited = (time.perf_counter() - started) * 1000
                return _Answer(problem=" ".join(error.got.split())[:300], latency_ms=waited)
            if not error.retryable or delay is None:
                return _Answer(error=str(error))
            await asyncio.sleep(delay)
    raise AssertionError("the last delay is None, which returns")


def _from_reply(reply: Reply) -> _Answer:
    return _Answer(
        text=reply.text,
        latency_ms=reply.latency_ms,
        input_tokens=reply.input_tokens,
        output_tokens=reply.output_tokens,
        finish_reason=reply.finish_reason,
        confidence=reply.confidence,
    )


def _read(task: Task, row: Row, answer: _Answer) -> Prediction:
    target, problem = (None, answer.problem) if answer.error or answer.problem else read_answer(task, answer.text)
    return Prediction(
        row=row.hash,
        text=answer.text,
        target=target,
        problem=problem,
        error=answer.error,
        latency_ms=answer.latency_ms,
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
        finish_reason=answer.finish_reason,
        confidence=answer.confidence,
    )


def _make_request(
    task: Task, row: Row, prompt: Prompt, max_tokens: int | None, headers: Mapping[str, str], with_confidence: bool
) -> Request:
    make = student_messages if prompt == "student" else teacher_messages
    messages: tuple[Message, ...] = tuple(make(task, row.input))
    decoding = Decoding(schema=task.schema, schema_name=task.name, max_tokens=max_tokens, confidence=with_confidence)
    return Request(messages=messages, decoding=decoding, headers=dict(headers))


def _request_key(model: str, request: Request) -> str:
    """Hash of what is asked and of whom: an answer is reused only for the very same question."""
    decoding = request.decoding
    return content_hash(
        {
            "model": model,
            "messages": [message_to_openai(message) for message in request.messages],
            "schema": dict(decoding.schema) if decoding.schema is not None else None,
            "max_tokens": decoding.max_tokens,
        }
        | ({"confidence": True} if decoding.confidence else {})
    )


def _load(path: Path) -> dict[str, _Answer]:
    """Answers by request key. A line that was cut off by a kill is left out."""
    if not path.exists():
        return {}
    return dict(_lines(path.read_bytes()))


def _lines(data: bytes) -> Iterator[tuple[str, _Answer]]:
    for line in data.split(b"\n"):
        try:
            raw = json.loads(line)
            yield str(raw["key"]), _Answer.from_json(raw)
        except (ValueError, KeyError, TypeError):
            continue


def _open_for_append(path: Path) -> IO[bytes]:
    """The cache, positioned on a fresh line even after a kill in the middle of one."""
    file = path.open("ab+")
    if file.tell():
        file.seek(-1, 2)
        if file.read(1) != b"\n":
            file.write(b"\n")
    return file


def _append(file: IO[bytes], key: str, answer: _Answer) -> None:
    line = json.dumps({"key": key} | answer.to_json(), ensure_ascii=True)
    file.write(line.encode() + b"\n")
    file.flush()


def _refuse_all_failed(model: str, items: Sequence[Prediction]) -> None:
    errors = [item.error for item in items if item.error]
    if len(errors) == len(items):
        raise GateError(
            "JM-602",
            f"{model} answered none of the {len(items)} rows, so there is nothing to measure",
            got=errors[0],
            hint="mend the model or its address, then run the same command again",
        )
