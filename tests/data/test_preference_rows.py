"""Preferences, samples, thumbs and log-probabilities: from a file's row to what a student may learn."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from journeyman.core.canonical import Json
from journeyman.core.example import Example, object_target
from journeyman.data.candidates import SetAside, collect, merge
from journeyman.data.imports import ImportReport
from journeyman.data.logprobs import read_logprobs
from journeyman.store.database import Store
from journeyman.task.task import Task

GOOD, BAD = {"intent": "card", "urgent": True}, {"intent": "refund", "urgent": False}
LINE = "They stole my card!"


@pytest.fixture
def example(
    task: Task, store: Store, write: Callable[..., Path], take: Callable[..., ImportReport]
) -> Callable[..., Example]:
    def made(*rows: Json) -> Example:
        report = take(write("rows.jsonl", rows))
        assert report.added == len(rows), report.reasons
        candidates = collect(task, store.traces(task.name), frozenset(), "own", SetAside())
        return merge(candidates)[0].example

    return made


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": LINE, "chosen": json.dumps(GOOD), "rejected": json.dumps(BAD)},
        {"input": {"message": LINE}, "chosen": GOOD, "rejected": BAD},
        {
            "prompt": [{"role": "user", "content": LINE}],
            "chosen": [{"role": "assistant", "content": json.dumps(GOOD)}],
            "rejected": [{"role": "assistant", "content": json.dumps(BAD)}],
        },
        {
            "input": {"messages": [{"role": "user", "content": LINE}]},
            "preferred_output": [{"role": "assistant", "content": json.dumps(GOOD)}],
            "non_preferred_output": [{"role": "assistant", "content": json.dumps(BAD)}],
        },
        {"input": LINE, "output": GOOD, "alternatives": [{"output": BAD, "verdict": "rejected"}]},
    ],
    ids=["trl text", "fields", "trl messages", "openai", "pairs"],
)
def test_every_form_of_a_pair_says_the_same(example: Callable[..., Example], row: Json) -> None:
    found = example(row)
    assert found.target == object_target(GOOD)
    assert [(item.target, item.verdict) for item in found.alternatives] == [(object_target(BAD), "rejected")]


def test_a_rejected_answer_of_a_broken_form_is_kept_as_its_text(example: Callable[..., Example]) -> None:
    found = example({"prompt": LINE, "chosen": json.dumps(GOOD), "rejected": "I think it is a card."})
    (item,) = found.alternatives
    assert (item.target.kind, item.target.text) == ("text", "I think it is a card.")


def test_thumbs_down_takes_an_answer_out_of_what_is_learned(example: Callable[..., Example]) -> None:
    found = example({"input": LINE, "output": BAD, "feedback": "down"})
    assert found.answer is None
    assert [(item.target, item.verdict) for item in found.alternatives] == [(object_target(BAD), "rejected")]


def test_one_answer_that_was_wanted_and_one_that_was_not(example: Callable[..., Example]) -> None:
    found = example(
        {"prompt": LINE, "completion": json.dumps(GOOD), "label": True},
        {"prompt": LINE, "completion": json.dumps(BAD), "label": False},
    )
    assert found.target == object_target(GOOD)
    verdicts = {item.target.value["intent"]: item.verdict for item in found.alternatives}  # type: ignore[index,call-overload]
    assert verdicts == {"card": "chosen", "refund": "rejected"}


def test_answers_that_came_less_often_are_samples(example: Callable[..., Example]) -> None:
    rows = [{"input": LINE, "output": output, "id": str(place)} for place, output in enumerate((GOOD, BAD, GOOD, GOOD))]
    found = example(*rows)
    assert (found.target, found.count) == (object_target(GOOD), 4)
    assert [(item.target, item.weight, item.verdict) for item in found.alternatives] == [(object_target(BAD), 1.0, "")]


def test_a_thumb_down_speaks_for_every_call_that_was_answered_alike(example: Callable[..., Example]) -> None:
    disliked = {"input": LINE, "output": BAD, "feedback": "down"}
    found = example(disliked, {"input": LINE, "output": BAD, "id": "2"}, {"input": LINE, "output": GOOD, "id": "3"})
    assert found.target == object_target(GOOD)
    assert [(item.target, item.verdict) for item in found.alternatives] == [(object_target(BAD), "rejected")]


def test_a_rejected_answer_that_came_again_is_no_answer(example: Callable[..., Example]) -> None:
    found = example({"input": LINE, "output": BAD, "feedback": "down"}, {"input": LINE, "output": BAD, "id": "2"})
    assert found.target is None
    assert [(item.target, item.verdict) for item in found.alternatives] == [(object_target(BAD), "rejected")]


def test_what_somebody_wanted_is_not_disliked(example: Callable[..., Example]) -> None:
    better = {"input": LINE, "output": GOOD, "alternatives": [{"output": BAD, "verdict": "rejected"}]}
    other = {"input": LINE, "output": BAD, "alternatives": [{"output": GOOD, "verdict": "rejected"}]}
    found = example({**better, "id": "1"}, {**better, "id": "2"}, {**other, "id": "3"})
    assert found.target == object_target(GOOD)


def test_further_choices_of_one_response_are_samples(example: Callable[..., Example]) -> None:
    choices = [{"message": {"role": "assistant", "content": json.dumps(answer)}} for answer in (GOOD, BAD)]
    cut = {"message": {"role": "assistant", "content": '{"intent'}, "finish_reason": "length"}
    found = example({"messages": [{"role": "user", "content": LINE}], "response": {"choices": [*choices, cut]}})
    assert found.target == object_target(GOOD)
    assert [item.target for item in found.alternatives] == [object_target(BAD)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": LINE, "chosen": "a", "rejected": "a"}, "the two answers are the same"),
        ({"prompt": LINE, "completion": "a", "label": "yes"}, "the label is not true or false"),
        ({"prompt": 3, "chosen": "a", "rejected": "b"}, "the prompt is neither text, fields nor messages"),
        ({"input": LINE, "output": GOOD, "feedback": "meh"}, "this feedback is unknown"),
        ({"input": LINE, "output": GOOD, "alternatives": [{"output": BAD, "weight": -1}]}, "an alternative's weight"),
        ({"input": LINE, "output": GOOD, "alternatives": "none"}, "the alternatives are not a list"),
    ],
)
def test_a_bad_row_goes_into_quarantine(
    write: Callable[..., Path], take: Callable[..., ImportReport], row: Json, reason: str
) -> None:
    good = {"input": "Another line", "output": GOOD}
    report = take(write("rows.jsonl", [good, row]))
    assert (report.added, report.quarantined) == (1, 1)
    assert any(reason in text for text in report.reasons)


def _choice(*tokens: tuple[str, float]) -> dict[str, Json]:
    content: list[Json] = [
        {
            "token": text,
            "logprob": value,
            "bytes": list(text.encode()),
            "top_logprobs": [{"token": "x", "logprob": -3.0}],
        }
        for text, value in tokens
    ]
    text = "".join(text for text, _value in tokens)
    return {"choices": [{"message": {"role": "assistant", "content": text}, "logprobs": {"content": content}}]}


def test_the_teachers_log_probabilities_are_kept_with_the_row(example: Callable[..., Example]) -> None:
    response = _choice(('{"intent": "', -0.1), ("card", -0.2), ('", "urgent": true}', -0.01))
    found = example({"messages": [{"role": "user", "content": LINE}], "response": response})
    assert found.meta["logprobs"] == [
        ['{"intent": "', -0.1, [["x", -3.0]]],
        ["card", -0.2, [["x", -3.0]]],
        ['", "urgent": true}', -0.01, [["x", -3.0]]],
    ]


def test_a_redacted_answer_loses_them(task: Task, example: Callable[..., Example]) -> None:
    """They would give away what was taken out."""
    secret = "sk-" + "a1B2" * 12
    response = _choice((f'{{"intent": "card", "urgent": true, "x": "{secret}"}}', -0.1))
    row = {"messages": [{"role": "user", "content": LINE}], "response": response, "gold": GOOD}
    assert "logprobs" not in example(row).meta


def test_vllm_and_llama_cpp_say_the_same() -> None:
    answer = "ab c"
    vllm: dict[str, Json] = {
        "prompt_logprobs": [
            None,
            {"5": {"logprob": -2.0, "rank": 9, "decoded_token": "Say"}},
            {"7": {"logprob": -0.5, "rank": 1, "decoded_token": "ab"}, "8": {"logprob": -1.5, "decoded_token": "a"}},
            {"9": {"logprob": -0.25, "rank": 1, "decoded_token": " c"}},
        ]
    }
    cpp: dict[str, Json] = {
        "completion_probabilities": [
            {"token": "ab", "logprob": -0.5, "bytes": [97, 98], "top_logprobs": [{"token": "a", "logprob": -1.5}]},
            {"token": " c", "logprob": -0.25, "bytes": [32, 99], "top_logprobs": []},
            {"token": "", "logprob": -0.01, "bytes": [], "top_logprobs": []},
        ]
    }
    first, second = read_logprobs(vllm, answer), read_logprobs(cpp, answer)
    assert [token[:2] for token in first] == [token[:2] for token in second] == [["ab", -0.5], [" c", -0.25]]  # type: ignore[index]


@pytest.mark.parametrize("spoil", ["short", "other", "nan"])
def test_half_a_signal_is_none(spoil: str) -> None:
    response = _choice(("ab", -0.1), (" c", -0.2))
    content = response["choices"][0]["logprobs"]["content"]  # type: ignore[index,call-overload]
    if spoil == "short":
        content.pop()
    elif spoil == "nan":
        content[0]["logprob"] = math.nan
    assert read_logprobs(response, "ab d" if spoil == "other" else "ab c") == []
