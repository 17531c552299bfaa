"""Asking a model: order, resuming, retries, and that an unreadable answer stays as a wrong one."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from journeyman.core.canonical import Json
from journeyman.core.errors import GateError, ModelError, ServeError, StoreError
from journeyman.core.example import Example, object_target
from journeyman.evaluation import run as evaluation_run
from journeyman.evaluation.run import Predictions, Row, evaluate
from journeyman.models.protocol import Reply, Request
from journeyman.task.task import Task

SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}
TASK = Task(name="count", instruction="Count.", input={"message": {"type": "string"}}, schema=SCHEMA)
ROWS = [Row(f"row{index}", {"message": f"say {index}"}, object_target({"n": index}), None) for index in range(12)]


class Scripted:
    """Answers with a function of the last message, and remembers what it was asked."""

    def __init__(self, answer: Callable[[str], str], name: str = "scripted") -> None:
        self.name = name
        self.asked: list[Request] = []
        self.most_at_once = 0
        self._at_once = 0
        self._answer = answer

    async def complete(self, request: Request) -> Reply:
        self.asked.append(request)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await asyncio.sleep(0.001)
            return Reply(self._answer(request.messages[-1].text), latency_ms=5.0, input_tokens=7, output_tokens=3)
        finally:
            self._at_once -= 1

    async def stream(self, request: Request) -> AsyncIterator[str]:
        yield (await self.complete(request)).text

    async def close(self) -> None:
        pass


def right(text: str) -> str:
    return json.dumps({"n": int(text.split()[-1])})


def run(model: Scripted, cache: Path, rows: list[Row] = ROWS, delays: tuple[float, ...] = (0.0, 0.0)) -> Predictions:
    return asyncio.run(evaluate(model, TASK, rows, requests_in_flight=4, cache_path=cache, retry_delays_s=delays))


def test_every_row_is_asked_once_in_order_and_within_the_limit(tmp_path: Path) -> None:
    model = Scripted(right)
    got = run(model, tmp_path / "deep" / "cache.jsonl")
    assert [item.row for item in got.items] == [row.hash for row in ROWS]
    assert [item.target for item in got.items] == [row.gold for row in ROWS]
    assert (len(model.asked), got.reused, got.failed) == (12, 0, 0)
    assert 1 < model.most_at_once <= 4
    assert got.latencies_ms == [5.0] * 12
    request = model.asked[0]
    assert request.headers["x-journeyman-origin"] == "assess"
    assert (request.decoding.schema, request.decoding.schema_name) == (SCHEMA, "count")
    assert request.decoding.temperature == 0.0


def test_the_teacher_prompt_carries_the_instruction_and_has_its_own_cache_lines(tmp_path: Path) -> None:
    cache = tmp_path / "cache.jsonl"
    run(Scripted(right), cache)
    teacher = Scripted(right)
    asyncio.run(evaluate(teacher, TASK, ROWS, requests_in_flight=2, cache_path=cache, prompt="teacher"))
    assert len(teacher.asked) == 12
    assert any("Count." in message.text for message in teacher.asked[0].messages)


def test_unreadable_answers_are_kept_as_wrong(tmp_path: Path) -> None:
    got = run(Scripted(lambda text: "three" if text.endswith(" 3") else '{"n": "x"}'), tmp_path / "cache.jsonl")
    assert all(item.target is None and item.problem for item in got.items)
    assert got.items[3].text == "three"
    assert len(got.items) == 12


def test_an_answer_that_the_server_refused_to_hand_out_is_kept_as_a_wrong_one(tmp_path: Path) -> None:
    def refused(text: str) -> str:
        if text.endswith(" 3"):
            raise ModelError(
                "JM-432",
                "the provider refused the request",
                got='422: {"error":{"message":"JM-720 paint: no valid answer"}}',
            )
        return right(text)

    cache = tmp_path / "cache.jsonl"
    first = run(Scripted(refused), cache)
    assert first.failed == 0
    assert first.items[3].target is None
    assert "JM-720" in first.items[3].problem
    assert len(first.latencies_ms) == 12
    model = Scripted(right)
    assert run(model, cache).items == first.items
    assert model.asked == []


def test_a_second_run_asks_nothing_and_says_the_same(tmp_path: Path) -> None:
    cache = tmp_path / "cache.jsonl"
    first = run(Scripted(right), cache)
    model = Scripted(right)
    second = run(model, cache)
    assert model.asked == []
    assert second.reused == 12
    assert second.items == first.items


def test_another_model_or_task_does_not_reuse_answers(tmp_path: Path) -> None:
    cache = tmp_path / "cache.jsonl"
    run(Scripted(right), cache)
    other = Scripted(right, name="other")
    run(other, cache)
    assert len(other.asked) == 12


def test_a_line_cut_in_half_is_asked_again(tmp_path: Path) -> None:
    cache = tmp_path / "cache.jsonl"
    first = run(Scripted(right), cache)
    cache.write_bytes(cache.read_bytes()[:-20])
    model = Scripted(right)
    assert run(model, cache).items == first.items
    assert len(model.asked) == 1
    assert run(Scripted(right), cache).reused == 12


def test_a_killed_evaluation_resumes_without_asking_twice(tmp_path: Path) -> None:
    """The first process dies without cleaning up, in the middle of its eighth call."""
    cache = tmp_path / "cache.jsonl"
    script = f"""
import asyncio, os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_run as t
count = 0
def answer(text):
    global count
    count += 1
    if count == 8:
        os._exit(9)
    return t.right(text)
t.run(t.Scripted(answer), t.Path({str(cache)!r}))
"""
    died = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert died.returncode == 9, died.stderr
    model = Scripted(right)
    got = run(model, cache)
    assert (got.reused, len(model.asked)) == (7, 5)
    assert [item.target for item in got.items] == [row.gold for row in ROWS]


def failing(error: Exception, times: int, on: str = " 5") -> Callable[[str], str]:
    left = [times]

    def answer(text: str) -> str:
        if text.endswith(on) and left[0]:
            left[0] -= 1
            raise error
        return right(text)

    return answer


def test_a_passing_error_is_tried_again(tmp_path: Path) -> None:
    busy = ServeError("JM-799", "the model is busy", retryable=True)
    got = run(Scripted(failing(busy, times=2)), tmp_path / "cache.jsonl")
    assert got.failed == 0


def test_an_error_that_stays_is_a_wrong_answer_with_its_text_and_is_asked_again_next_time(tmp_path: Path) -> None:
    busy = ServeError("JM-799", "the model is busy", retryable=True)
    got = run(Scripted(failing(busy, times=3)), tmp_path / "cache.jsonl")
    assert got.failed == 1
    assert got.items[5].target is None
    assert "the model is busy" in got.items[5].error
    again = Scripted(right)
    assert run(again, tmp_path / "cache.jsonl").failed == 0
    assert len(again.asked) == 1


def test_a_final_error_is_not_tried_again(tmp_path: Path) -> None:
    model = Scripted(failing(ModelError("JM-499", "too long"), times=9))
    got = run(model, tmp_path / "cache.jsonl")
    assert (got.failed, len(model.asked)) == (1, 12)


def test_a_defect_of_ours_is_raised_as_itself(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        run(Scripted(failing(ZeroDivisionError(), times=1)), tmp_path / "cache.jsonl")


def test_a_model_that_never_answers_is_not_a_score(tmp_path: Path) -> None:
    def refuse(text: str) -> str:
        raise ModelError("JM-498", "no such key")

    with pytest.raises(GateError, match="JM-602") as caught:
        run(Scripted(refuse), tmp_path / "cache.jsonl")
    assert "no such key" in str(caught.value)


def test_no_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GateError, match="JM-601"):
        run(Scripted(right), tmp_path / "cache.jsonl", rows=[])


def test_a_full_disk_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/full takes nothing, so the first answer cannot be kept; read back it would give zeros without end."""
    full = Path("/dev/full")
    monkeypatch.setattr(evaluation_run, "_load", lambda path: {})
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(StoreError, match="JM-801"):
        run(Scripted(right), full)


def test_a_row_is_made_from_an_example() -> None:
    example = Example(
        {"message": "hi"}, target=object_target({"n": 1}), gold=object_target({"n": 2}), count=3, group="g"
    )
    row = Row.from_example(example)
    assert (row.hash, row.count, row.group) == (example.hash, 3, "g")
    assert row.expected == object_target({"n": 2})
