"""Recorded calls to a large model become a task's: which ones do, which stay, and what they keep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from journeyman.core.errors import DataError
from journeyman.core.example import object_target, text_target
from journeyman.core.messages import Message, make_message
from journeyman.core.trace import Trace
from journeyman.data.candidates import read_trace
from journeyman.data.imports import FileReport
from journeyman.data.intake import Intake
from journeyman.data.recorded import take_recorded
from journeyman.store.database import Store
from journeyman.task.task import Task
from tests.data.conftest import NOW

NAME = "model:gpt-5"
ANSWER = '{"urgent": true, "intent": "card"}'
Take = Callable[..., FileReport]


@pytest.fixture
def take_over(task: Task, store: Store) -> Take:
    def take(*traces: Trace, of: Task = task, name: str = NAME, **options: object) -> FileReport:
        store.add_traces(traces)
        return take_recorded(name, Intake(of, NOW, **options), store)  # type: ignore[arg-type]

    return take


def call(id: str, *messages: Message, answer: str = ANSWER, **more: object) -> Trace:
    return Trace(
        id, NAME, "2026-01-02T03:04:05+00:00", "serve", {}, messages, text_target(answer) if answer else None,
        model="gpt-5", cost_usd=0.25, provenance="gateway", meta={"key": "key-1", "person": "ada"}, **more  # type: ignore[arg-type]
    )  # fmt: skip


def said(task: Task, text: str) -> tuple[Message, ...]:
    return make_message("system", task.instruction), make_message("user", text)


def test_a_call_becomes_the_tasks_and_keeps_what_it_was(task: Task, store: Store, take_over: Take) -> None:
    before = call("one", *said(task, "where is my card"))
    report = take_over(before)
    assert (report.read, report.added, report.quarantined) == (1, 1, 0)
    assert not list(store.traces(NAME))
    (trace,) = store.traces(task.name)
    assert trace.input == {"message": "where is my card"}
    assert trace.output == object_target({"intent": "card", "urgent": True})
    assert trace.messages == before.messages
    assert (trace.id, trace.time, trace.cost_usd, trace.origin) == (before.id, before.time, 0.25, "serve")
    assert [found.task for found in store.calls_of(key="key-1")] == [task.name]
    assert [found.task for found in store.calls_of(person="ada")] == [task.name]
    assert read_trace(task, trace)[1] == ""


def test_again_it_adds_what_is_new(task: Task, take_over: Take) -> None:
    take_over(call("one", *said(task, "where is my card")))
    again = take_over()
    assert (again.read, again.added, again.repeated) == (1, 0, 1)
    more = take_over(call("two", *said(task, "pay me back")))
    assert (more.added, more.repeated) == (1, 1)


def test_what_is_not_the_tasks_stays_where_it_is(task: Task, store: Store, take_over: Take) -> None:
    user = make_message("user", "hello")
    others = [
        call("other", make_message("system", "Write a poem."), user),
        call("none", user),
        call("turns", *said(task, "hello"), make_message("assistant", "hi"), user),
        call("broken", *said(task, "hello"), answer="I think it is a card."),
        call("cut", *said(task, "hello"), verdicts={"finish": "length"}),
        call("failed", *said(task, "hello"), answer="", status="http-500"),
    ]
    report = take_over(*others, call("good", *said(task, "hello")))
    assert (report.added, report.quarantined) == (1, len(others))
    assert list(store.traces(NAME)) == others
    assert report.reasons == {
        "another instruction than the task's, or none": 2,
        "this call does not have the task's shape": 1,
        "the answer is wrong and there is no gold": 2,
        "the call failed": 1,
    }


def test_calls_of_an_evaluation_are_nobodys(task: Task, store: Store, take_over: Take) -> None:
    assessed = replace(call("assessed", *said(task, "hello")), origin="assess")
    with pytest.raises(DataError, match="JM-302"):
        take_over(assessed)
    assert list(store.traces(NAME)) == [assessed]


def test_a_prompt_with_words_of_its_own_needs_no_system_message(task: Task, take_over: Take) -> None:
    worded = replace(task, prompt="Sort this: {message}")
    report = take_over(call("one", make_message("user", "Sort this: a card")), call("two", make_message("user", "hi")), of=worded)  # fmt: skip
    assert (report.added, report.reasons) == (1, {"this call does not have the task's shape": 1})


def test_a_correction_makes_a_wrong_answer_worth_taking(task: Task, store: Store, take_over: Take) -> None:
    right = object_target({"intent": "refund", "urgent": False})
    take_over(call("one", *said(task, "hello"), answer="dunno", feedback={"answer": right.to_json(), "note": "ada"}))
    (trace,) = store.traces(task.name)
    assert (trace.correction, trace.gold, trace.feedback["note"]) == (right, None, "ada")
    assert read_trace(task, trace)[0].answer == right


def test_surrogates_are_numbered_as_a_call_to_the_task_would_number_them(store: Store, take_over: Take) -> None:
    task = Task("mails", "Copy the address. Questions: help@example.org", {"message": {"type": "string"}}, None)
    recorded = make_message("system", "Copy the address. Questions: <EMAIL_1>")
    take_over(call("one", recorded, make_message("user", "I am <EMAIL_2>"), answer="<EMAIL_2>"), of=task, split="train")
    (trace,) = store.traces("mails")
    assert trace.input == {"message": "I am <EMAIL_1>"}
    assert trace.output == text_target("<EMAIL_1>")
    assert trace.instruction_hash == task.instruction_hash


def test_split_terms_and_source_are_as_told(task: Task, store: Store, take_over: Take) -> None:
    take_over(call("one", *said(task, "hello")), split="test", terms="restricted", provenance="Monday")
    (trace,) = store.traces(task.name)
    assert (trace.split, trace.terms, trace.provenance) == ("test", "restricted", "Monday")


def test_a_model_that_was_not_called_names_those_that_were(task: Task, take_over: Take) -> None:
    with pytest.raises(DataError, match=r"JM-302 model:gpt-4(?s:.*)model:gpt-5 \(1 calls\)"):
        take_over(call("one", *said(task, "hello")), name="model:gpt-4")
    with pytest.raises(DataError, match=r"JM-304 model:gpt-5(?s:.*)1 x another instruction"):
        take_over(of=replace(task, instruction="Translate."))
