"""A judge: both orders, ties, what cannot be read, and a real engine under the schema."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from journeyman.core.errors import GateError, ModelError
from journeyman.evaluation.judge import INSTRUCTION, PROMPT, Contest, Judge, Verdict, judge, load_said, questions
from journeyman.evaluation.judged import LEAST_GROUPS, Measurement, find_objection, load_measurement
from journeyman.models.llamacpp import LlamaCpp
from journeyman.models.local import LocalModel
from journeyman.models.protocol import Reply, Request
from journeyman.models.template import load_base_template
from tests.tiny import write_tiny_llama

RUBRIC = Judge("The longer answer is better.", "Answer the question.")
CONTESTS = [Contest("Why?", "because", "no"), Contest("Who?", "me", "somebody"), Contest("What?", "this", "this")]


class Rule:
    """A model that answers by a rule on both answers, and counts."""

    def __init__(self, rule: Callable[[str, str], str], name: str = "rule") -> None:
        self.name, self.rule, self.asked = name, rule, list[Request]()

    async def complete(self, request: Request) -> Reply:
        self.asked.append(request)
        text = request.messages[-1].text
        first = text.split("=== First answer ===\n")[1].split("\n=== Second answer ===\n")[0]
        second = text.split("=== Second answer ===\n")[1].split("\n=== End ===")[0]
        return Reply(self.rule(first, second))

    async def stream(self, request: Request) -> AsyncIterator[str]:
        yield (await self.complete(request)).text

    async def close(self) -> None:
        pass


def better(name: str) -> str:
    return json.dumps({"better": name})


def longer(first: str, second: str) -> str:
    return better("first" if len(first) > len(second) else "second" if len(first) < len(second) else "tie")


def ask(model: Rule, folder: Path, contests: list[Contest] = CONTESTS, rubric: Judge = RUBRIC) -> list[Verdict]:
    return asyncio.run(judge(model, rubric, contests, cache_path=folder / "said.jsonl"))


def test_both_orders_and_equal_answers_without_a_call(tmp_path: Path) -> None:
    model = Rule(longer)
    one, two, same = ask(model, tmp_path)
    assert (one.better, one.positions, one.score) == ("one", ("first", "second"), 1.0)
    assert (two.better, two.positions, two.score) == ("two", ("second", "first"), 0.0)
    assert (same.better, same.positions, same.score, same.favoured) == ("tie", (), 0.5, None)
    assert len(model.asked) == 4
    system, user = model.asked[0].messages
    assert RUBRIC.rubric in system.text
    assert RUBRIC.instruction in system.text
    assert "Why?" in user.text
    decoding = model.asked[0].decoding
    assert decoding.schema is not None
    assert decoding.max_tokens == 1024
    assert decoding.temperature == 0


def test_a_judge_of_positions_ties_always_and_is_caught(tmp_path: Path) -> None:
    verdicts = ask(Rule(lambda _one, _two: better("second")), tmp_path)
    assert [verdict.better for verdict in verdicts] == ["tie"] * 3
    assert [verdict.favoured for verdict in verdicts] == ["second", "second", None]


@pytest.mark.parametrize("said", ["tie", "half"])
def test_a_tie_in_one_order_is_a_tie(tmp_path: Path, said: str) -> None:
    rule = (lambda first, _second: better("first" if first == "because" else "tie")) if said == "half" else None
    verdict, *_ = ask(Rule(rule or (lambda _first, _second: better("tie"))), tmp_path)
    assert (verdict.better, verdict.favoured) == ("tie", "neither")


def test_what_cannot_be_read_is_a_tie_and_is_counted(tmp_path: Path) -> None:
    verdicts = ask(Rule(lambda first, _: "the first!" if first == "because" else better("second")), tmp_path)
    assert (verdicts[0].better, verdicts[0].positions, verdicts[0].unreadable) == ("tie", (None, "second"), 1)
    assert verdicts[0].favoured == "neither"


def test_answers_are_kept_by_what_was_asked(tmp_path: Path) -> None:
    first = ask(Rule(longer), tmp_path)
    model = Rule(longer)
    assert ask(model, tmp_path) == first
    assert model.asked == []
    assert len(load_said("rule", RUBRIC, CONTESTS, tmp_path / "said.jsonl")) == len(questions(CONTESTS)) == 4
    mirrored = [Contest(item.request, item.two, item.one) for item in CONTESTS]
    assert [verdict.score for verdict in ask(model, tmp_path, mirrored)] == [0.0, 1.0, 0.5]
    assert model.asked == [], "the same two questions"
    assert not load_said("another", RUBRIC, CONTESTS, tmp_path / "said.jsonl")
    ask(model, tmp_path, rubric=Judge("The shorter answer is better.", RUBRIC.instruction))
    assert len(model.asked) == 4
    assert len({Judge("a").hash, Judge("b").hash, Judge("a", "told").hash}) == 3


def test_a_call_that_failed_decides_nothing_and_loses_nothing(tmp_path: Path) -> None:
    def fails_once(first: str, second: str) -> str:
        if first == "no":
            raise ModelError("JM-433", "the provider refused the key")
        return longer(first, second)

    with pytest.raises(GateError, match="JM-657") as caught:
        ask(Rule(fails_once), tmp_path)
    assert "1 of 4 calls" in str(caught.value)
    model = Rule(longer)
    assert ask(model, tmp_path)[0].better == "one"
    assert len(model.asked) == 1


def test_a_question_that_does_not_fit_is_a_tie(tmp_path: Path) -> None:
    def short_only(first: str, second: str) -> str:
        if len(first) + len(second) > 9:
            raise ModelError("JM-422", "this prompt does not fit into the model's context")
        return longer(first, second)

    verdicts = ask(Rule(short_only), tmp_path)
    assert [verdict.better for verdict in verdicts] == ["one", "tie", "tie"]
    assert verdicts[1].unreadable == 2


def test_nothing_to_ask_asks_nothing(tmp_path: Path) -> None:
    model = Rule(longer)
    assert [item.better for item in ask(model, tmp_path, [Contest("a", "b", "b")])] == ["tie"]
    assert ask(model, tmp_path, []) == []
    assert model.asked == []


def test_a_real_model_answers_under_the_schema(tmp_path: Path) -> None:
    tiny_gguf = write_tiny_llama(tmp_path / "tiny.gguf", context=4096)

    async def work() -> list[Verdict]:
        engine = await LlamaCpp.start(tiny_gguf, threads=1, context=4096)
        try:
            model = LocalModel(engine, load_base_template(tiny_gguf), "tiny")
            return await judge(model, RUBRIC, CONTESTS, cache_path=tmp_path / "said.jsonl")
        finally:
            await engine.close()

    verdicts = asyncio.run(work())
    assert all(place in ("first", "second", "tie") for verdict in verdicts for place in verdict.positions)
    assert [len(verdict.positions) for verdict in verdicts] == [2, 2, 0]
    lines = [json.loads(line) for line in (tmp_path / "said.jsonl").read_text().splitlines()]
    assert {json.loads(line["text"])["better"] for line in lines} <= {"first", "second", "tie"}


def test_the_prompts_edition_is_raised_with_the_prompt() -> None:
    """Another text is another judge, whose measurements are others: raise EDITION and mend this hash."""
    assert "{rubric}" in INSTRUCTION
    assert PROMPT.count("===") == 8
    assert Judge("r").hash == "427df1c08fa871ed0319c087d75868902c11d74e12ace620403b177a328cf688"


def _measured(groups: int, kappa: dict[str, float] | None) -> Measurement:
    figure = {"value": 0.8, "low": 0.7, "high": 0.9, "n": groups}
    return Measurement.model_validate(
        {
            "task": "t",
            "metric": "m",
            "judge": {"model": "j", "sha256": "", "url": "u", "rubric": "r", "prompt": 1, "asked": "a", "hash": "h"},
            "labels": "l",
            "time": "2026-01-01T00:00:00Z",
            "n": groups,
            "groups": groups,
            "accuracy": figure,
            "kappa": kappa and figure | kappa,
            "position_bias": figure,
            "first": 1,
            "second": 2,
            "ties": 3,
            "ties_of_people": 4,
            "unreadable": 0,
        }
    )


@pytest.mark.parametrize(
    ("measurement", "least", "code", "says"),
    [
        (None, 0.4, "JM-651", "not measured"),
        (_measured(LEAST_GROUPS - 1, {"low": 0.9}), 0.4, "JM-652", "49 independent pairs"),
        (_measured(100, None), 0.4, "JM-653", "not defined"),
        (_measured(100, {"low": 0.39}), 0.4, "JM-653", "0.390 and not 0.4"),
        (_measured(100, {"low": 0.5}), 0.6, "JM-653", "not 0.6"),
        (_measured(LEAST_GROUPS, {"low": 0.4}), 0.4, "", ""),
    ],
)
def test_who_may_decide(measurement: Measurement | None, least: float, code: str, says: str) -> None:
    found, text = find_objection(measurement, least)
    assert found == code
    assert says in text


def test_a_damaged_measurement_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    assert load_measurement(path) is None
    known = _measured(60, {"low": 0.5})
    path.write_text(json.dumps(known.to_json()))
    assert load_measurement(path) == known
    path.write_text(json.dumps(known.to_json() | {"edition": 2}))
    with pytest.raises(GateError, match="JM-658") as caught:
        load_measurement(path)
    assert str(path) in str(caught.value)
    path.write_text("{")
    with pytest.raises(GateError, match="JM-658"):
        load_measurement(path)
