"""Conversations and calls of tools made up by a teacher behind a real server: who says what, what is covered, and that no call is paid twice."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from journeyman.core.canonical import dump
from journeyman.data.synthesis.tools import NONE, SEVERAL
from journeyman.flows.prepare import import_sources, prepare_task
from journeyman.flows.synthesize import Options, Synthesis, forecast_synthesis, synthesize
from journeyman.flows.workspace import Workspace, open_workspace
from tests.flows.projects import write_rows
from tests.flows.providers import provider
from tests.flows.test_synthesize import PRICES, cost, name_of, without_origin

Body = dict[str, Any]
INTENTS = ("refund", "parcel", "other")
DESK = """\
edition: 1
name: desk
instruction: Say what the person wants in the end.
input:
  talk: [{role: {enum: [user, assistant]}, content: string}]
output: OUTPUT
gate: {metric: exact_match, against: agreement, margin: 0.1}
"""
TOOLS = """\
edition: 1
name: tools
instruction: Call the tools that the request needs.
input:
  request: string
output:
  type: object
  required: [calls]
  additionalProperties: false
  properties:
    calls:
      type: array
      maxItems: 3
      items:
        anyOf:
          - type: object
            required: [name, arguments]
            additionalProperties: false
            properties:
              name: {const: weather}
              arguments: {type: object, required: [city], additionalProperties: false, properties: {city: {type: string}}}
          - type: object
            required: [name, arguments]
            additionalProperties: false
            properties:
              name: {const: clock}
              arguments: {type: object, required: [zone], additionalProperties: false, properties: {zone: {type: integer}}}
gate: {metric: exact_match, against: agreement, margin: 0.1}
"""


def words(draw: random.Random, count: int) -> str:
    return " ".join("".join(draw.choice("bcdfghklmnprstvz") for _ in range(5)) for _ in range(count))


def prompt_of(body: Body) -> str:
    return str(body["messages"][-1]["content"])


def talk(draw: random.Random, messages: int) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    return [
        {"role": roles[place % 2], "content": f"{words(draw, 4)} {draw.choice(INTENTS)}"} for place in range(messages)
    ]


def wants(turns: list[dict[str, str]]) -> str:
    return turns[-1]["content"].split()[-1]


@pytest.fixture
def make(tmp_path: Path) -> Callable[[str, str, list[dict[str, object]]], Path]:
    def make_folder(name: str, text: str, rows: list[dict[str, object]]) -> Path:
        folder = tmp_path / name
        (folder / "tasks").mkdir(parents=True)
        (folder / f"tasks/{name}.yaml").write_text(text)
        (folder / "journeyman.toml").write_text('[base]\nmodel = "/nowhere.gguf"\n')
        write_rows(folder / "rows.jsonl", rows)
        with open_workspace(folder) as workspace:
            import_sources(workspace, name, [str(folder / "rows.jsonl")])
            prepare_task(workspace, name)
        return folder

    return make_folder


def desk_rows(is_text: bool = False) -> list[dict[str, object]]:
    draw = random.Random(1)
    made = [talk(draw, 1 + 2 * (place % 3)) for place in range(40)]
    return [
        {"input": {"talk": turns}, "gold": f"So: {wants(turns)}" if is_text else {"intent": wants(turns)}}
        for turns in made
    ]


def play(body: Body) -> tuple[int, str]:
    """First messages, further ones, and what is wanted in the last of them."""
    if name_of(body) == "topics":
        return 200, json.dumps({"topics": ["boats"]})
    draw = random.Random(f"{body.get('seed')} {prompt_of(body)}")
    if name_of(body) == "inputs":
        count = int(re.search(r"Write (\d+) new", prompt_of(body))[1])  # type: ignore[index]
        wanted = re.search(r'has intent "(\w+)"', prompt_of(body))
        intent = wanted[1] if wanted else draw.choice(INTENTS)
        return 200, json.dumps({"inputs": [{"talk": f"{words(draw, 6)} {intent}"} for _ in range(count)]})
    if name_of(body) == "turn":
        return 200, json.dumps({"message": f"{words(draw, 5)} {draw.choice(INTENTS)}"})
    said = wants(json.loads(prompt_of(body)))
    is_text = "response_format" not in body
    return 200, f"So: {said}" if is_text else json.dumps({"intent": said})


def made_rows(workspace: Workspace, task: str) -> list[Any]:
    return list(workspace.store.traces(task, origins=("synthesize",)))


def test_a_conversation_is_played_a_turn_at_a_time_and_its_last_answer_is_voted_on(make: Callable[..., Path]) -> None:
    folder = make("desk", DESK.replace("OUTPUT", "{intent: {enum: [refund, parcel, other]}}"), desk_rows())
    with provider(folder, play, settings=PRICES) as seen, open_workspace(folder) as workspace:
        told = forecast_synthesis(workspace, "desk", Options(30))
        made = synthesize(workspace, "desk", Options(30, budget_usd=1000.0))
        assert (made.rows, made.why) == (30, "complete")
        assert made.receipt.calls == len(seen)
        assert made.receipt.usd == pytest.approx(cost(seen, play))
        assert 0.5 < made.receipt.calls / told.forecast.calls < 1.5
        traces = made_rows(workspace, "desk")
        lengths = Counter(len(trace.input["talk"]) for trace in traces)
        assert set(lengths) == {1, 3, 5}
        assert min(lengths.values()) >= 5
        for trace in traces:
            turns = trace.input["talk"]
            assert [turn["role"] for turn in turns] == ["user", "assistant", "user", "assistant", "user"][: len(turns)]
            assert trace.output.value == {"intent": wants(turns)}
        assert len({dump(without_origin(body)) for body in seen}) == len(seen)
        turns_asked = [body for body in seen if name_of(body) == "turn"]
        assert {("You play a person" in prompt_of(body)) for body in turns_asked} == {True, False}
        assert prepare_task(workspace, "desk").manifest["synthetic"] == {"train": 30}


def test_in_a_task_of_texts_the_assistant_is_the_task_itself(make: Callable[..., Path]) -> None:
    folder = make("desk", DESK.replace("OUTPUT", "text"), desk_rows(is_text=True))
    with provider(folder, play) as seen, open_workspace(folder) as workspace:
        made = synthesize(workspace, "desk", Options(12))
        assert made.rows == 12
        for trace in made_rows(workspace, "desk"):
            turns = trace.input["talk"]
            for asked, answered in zip(turns[::2], turns[1::2], strict=False):
                assert answered["content"] == f"So: {wants([asked])}"
        ids = {trace.id: trace for trace in workspace.store.traces("desk", origins=("import",))}
        asked_turns = [body for body in seen if "response_format" not in body]
        for trace in made_rows(workspace, "desk"):
            beginnings = [dump(trace.input["talk"][:count]) for count in range(1, len(trace.input["talk"]) + 1, 2)]
            for body in asked_turns:
                if dump(json.loads(prompt_of(body))) in beginnings:
                    shown = {str(message["content"]) for message in body["messages"][1:-1] if message["role"] == "user"}
                    shown = {dump(json.loads(text)) for text in shown}
                    assert shown <= {dump(ids[id].input["talk"]) for id in trace.meta["made_from"]}


def test_the_end_of_the_money_in_a_conversation_loses_and_repeats_nothing(make: Callable[..., Path]) -> None:
    folder = make("desk", DESK.replace("OUTPUT", "{intent: {enum: [refund, parcel, other]}}"), desk_rows())
    with provider(folder, play, settings=PRICES) as seen, open_workspace(folder) as workspace:
        results: list[Synthesis] = []
        for budget in (1.0, 2.5, 4.0, 6.0, 1000.0):
            results.append(synthesize(workspace, "desk", Options(20, budget_usd=budget)))
            assert results[-1].receipt.calls == len(seen)
            assert results[-1].receipt.usd == pytest.approx(cost(seen, play))
            assert results[-1].receipt.usd <= budget
        assert [item.why for item in results[:2]] == ["the budget is spent"] * 2
        assert (results[-1].rows, results[-1].why) == (20, "complete")
        assert len({dump(without_origin(body)) for body in seen}) == len(seen)
        assert all(len(trace.input["talk"]) in (1, 3, 5) for trace in made_rows(workspace, "desk"))


def test_turns_that_cannot_be_read_end_their_conversation(make: Callable[..., Path]) -> None:
    def mumbling(body: Body) -> tuple[int, str]:
        return (200, json.dumps({"message": "  "})) if name_of(body) == "turn" else play(body)

    folder = make("desk", DESK.replace("OUTPUT", "{intent: {enum: [refund, parcel, other]}}"), desk_rows())
    with provider(folder, mumbling), open_workspace(folder) as workspace:
        made = synthesize(workspace, "desk", Options(10))
        assert made.dropped["conversations that broke off"] > 0
        assert {len(trace.input["talk"]) for trace in made_rows(workspace, "desk")} == {1}


def read_calls(text: str) -> list[dict[str, object]]:
    """Which calls a request needs, as its words say."""
    found: list[dict[str, object]] = [
        {"name": "weather", "arguments": {"city": city}} for city in re.findall(r"weather in (\w+)", text)
    ]
    return found + [{"name": "clock", "arguments": {"zone": int(zone)}} for zone in re.findall(r"clock of (\d+)", text)]


def tool_rows() -> list[dict[str, object]]:
    draw = random.Random(2)
    made = []
    for place in range(40):
        parts = [f"weather in {words(draw, 1)}", f"clock of {draw.randrange(24)}"]
        chosen = [parts[:1], parts[1:], [], parts][place % 4]
        request = f"{words(draw, 3)} {' and '.join(chosen)} {words(draw, 3)}"
        made.append({"input": {"request": request}, "gold": {"calls": read_calls(request)}})
    return made  # type: ignore[return-value]


def call(body: Body) -> tuple[int, str]:
    if name_of(body) == "topics":
        return 200, json.dumps({"topics": ["boats"]})
    text = prompt_of(body)
    if name_of(body) != "inputs":
        return 200, json.dumps({"calls": read_calls(text)})
    draw = random.Random(f"{body.get('seed')} {text}")
    asked = text.rpartition("kind: ")[2]
    count = int(re.search(r"Write (\d+) new", text)[1])  # type: ignore[index]
    rows = []
    for _ in range(count):
        needs = [f"weather in {words(draw, 1)}"] if '"weather"' in asked else []
        needs += [f"clock of {draw.randrange(24)}"] if '"clock"' in asked else []
        rows.append({"request": f"{words(draw, 3)} {' and '.join(needs)} {words(draw, 3)}"})
    return 200, json.dumps({"inputs": rows})


def test_requests_need_each_tool_none_and_several(make: Callable[..., Path]) -> None:
    folder = make("tools", TOOLS, tool_rows())
    with provider(folder, call, settings=PRICES) as seen, open_workspace(folder) as workspace:
        made = synthesize(workspace, "tools", Options(48, budget_usd=1000.0))
        assert (made.rows, made.why) == (48, "complete")
        assert set(made.by_value) == {dump(value) for value in ("weather", "clock", NONE, SEVERAL)}
        assert max(made.by_value.values()) <= 15
        assert made.receipt.usd == pytest.approx(cost(seen, call))
        asked = " ".join(prompt_of(body) for body in seen if name_of(body) == "inputs")
        for said in (
            "leaves out something that the tool must be told",
            'calls the tool "clock" alone',
            "more than one call",
        ):
            assert said in asked, said
        for trace in made_rows(workspace, "tools"):
            assert trace.output.value["calls"] == read_calls(trace.input["request"])


def test_calls_that_break_their_tools_schema_are_not_kept(make: Callable[..., Path]) -> None:
    def careless(body: Body) -> tuple[int, str]:
        status, text = call(body)
        return status, re.sub(r'"zone": (\d+)', r'"zone": "\1"', text)

    folder = make("tools", TOOLS, tool_rows())
    with provider(folder, careless), open_workspace(folder) as workspace:
        made = synthesize(workspace, "tools", Options(40))
        assert made.dropped["no answer fits the task's output"] > 0
        assert dump("clock") not in made.by_value


OFFERED = """\
edition: 1
name: offered
instruction: Call the tools that the request needs, of those that it comes with.
input:
  request: string
  tools: [{name: string, parameters: {type: object}}]
output:
  calls: [{name: string, arguments: {type: object}}]
gate: {metric: exact_match, against: agreement, margin: 0.1}
"""
CLOCK = {"type": "object", "properties": {"zone": {"type": "integer"}}, "required": ["zone"]}


def test_offered_tools_hold_the_calls_of_their_own_input(make: Callable[..., Path]) -> None:
    """One in three of the inputs has a tool whose schema is none, and one in three an answer that breaks it."""

    def offering(body: Body) -> tuple[int, str]:
        status, text = call(body)
        if name_of(body) == "inputs":
            draw = random.Random(text)
            rows = []
            for place in range(5):
                kind = ("integer", "integer", "whole")[place % 3]
                tools = [{"name": "clock", "parameters": CLOCK | {"properties": {"zone": {"type": kind}}}}]
                zone = draw.randrange(24) + 100 * (place % 2)
                rows.append({"request": f"{words(draw, 3)} clock of {zone} {words(draw, 3)}", "tools": tools})
            return 200, json.dumps({"inputs": rows})
        return status, re.sub(r'"zone": (1\d\d)\b', r'"zone": "\1"', text)

    draw = random.Random(3)
    rows: list[dict[str, object]] = [
        {
            "input": {"request": f"{words(draw, 4)} clock of 2", "tools": [{"name": "clock", "parameters": CLOCK}]},
            "gold": {"calls": [{"name": "clock", "arguments": {"zone": 2}}]},
        }
        for _ in range(20)
    ]
    folder = make("offered", OFFERED, rows)
    with provider(folder, offering), open_workspace(folder) as workspace:
        made = synthesize(workspace, "offered", Options(6))
        assert made.rows > 0
        assert made.dropped["tools that nothing can be held against"] > 0
        assert made.dropped["no answer fits the task's output"] > 0
        for trace in made_rows(workspace, "offered"):
            assert trace.input["tools"][0]["parameters"] == CLOCK
            (called,) = trace.output.value["calls"]
            assert 0 <= called["arguments"]["zone"] < 24
