"""A student that nobody sees: asked beside the teacher, recorded, measured, never a row; and what does become a row."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import openai
import pytest

from journeyman.core.example import Example
from journeyman.core.trace import Trace
from journeyman.data.dataset import read_manifest, read_split, read_unlabelled
from journeyman.flows.answers import open_desk
from journeyman.flows.assess import assess
from journeyman.flows.erasing import erase
from journeyman.flows.prepare import prepare_task
from journeyman.flows.releases import release
from journeyman.flows.tune import tune
from journeyman.flows.workspace import Workspace, open_workspace
from journeyman.gateway.answer import Answerer
from journeyman.gateway.recorder import Recorder
from journeyman.gateway.registry import Routed
from journeyman.gateway.unseen import AT_ONCE, Unseen
from journeyman.task.task import Shadow
from tests.flows.projects import COLOURS, fill_project, journeyman, make_project, paint_rows, serving, write_rows
from tests.flows.providers import provider


def other(body: dict[str, Any]) -> tuple[int, str]:
    """Not what the student was taught."""
    words = str(body["messages"][-1]["content"]).split()
    colour = next(word for word in words if word in COLOURS)
    return 200, json.dumps({"colour": COLOURS[(COLOURS.index(colour) + 1) % 3], "many": "two" in words})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A released head on words, with a threshold."""
    settings = "[prepare]\ncalibration_share = 0.4\n"
    folder = make_project(tmp_path_factory.mktemp("shadow") / "project", Path("/nowhere.gguf"), settings=settings)
    for name, rows, seed in (("train", 600, 1), ("sealed", 60, 2)):
        write_rows(folder / f"{name}.jsonl", [row | {"output": row["gold"]} for row in paint_rows(rows, seed)])
    with open_workspace(folder) as workspace:
        fill_project(workspace)
        tune(workspace, "paint", {"kind": "head", "features": "words"})
        assess(workspace, "paint")
        release(workspace, "paint", force="to stand in the shadow")
    return folder


def set_route(folder: Path, text: str) -> None:
    task = folder / "tasks/paint.yaml"
    task.write_text(task.read_text() + f"route: {text}\n")


def lines(count: int, seed: int = 7) -> list[str]:
    return [str(row["input"]["line"]) for row in paint_rows(count, seed)]  # type: ignore[index]


def ask(workspace: Workspace, asked: list[str], origin: Any = "serve") -> list[str]:
    async def run() -> list[str]:
        async with AsyncExitStack() as stack:
            desk = await open_desk(stack, workspace, workspace.task("paint"))
            return [(await desk.ask({"line": line}, origin)).by for line in asked]

    return asyncio.run(run())


def recorded(workspace: Workspace, origin: str = "serve") -> list[Trace]:
    return list(workspace.store.traces("paint", origins=[origin]))


def wait_for(is_there: Callable[[], bool], patience_s: float = 30.0) -> None:
    until = time.monotonic() + patience_s
    while not is_there():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.01)


def rows_of(workspace: Workspace, asked: list[str]) -> dict[str, Example]:
    """Of a new dataset, by their line."""
    prepare_task(workspace, "paint")
    _dataset, manifest = read_manifest(workspace.store, "paint")
    found = [row for split in ("train", "dev", "calibration") for row in read_split(workspace.store, manifest, split)]
    found += [
        *read_split(workspace.store, manifest, "test", purpose="assess"),
        *read_unlabelled(workspace.store, manifest),
    ]
    return {str(row.input["line"]): row for row in found if row.input["line"] in asked}


def test_the_teacher_answers_and_the_student_beside_it_is_measured(folder: Path) -> None:
    set_route(folder, "{policy: shadow}")
    asked = lines(12)
    with provider(folder, other) as seen, serving(folder) as server, open_workspace(folder) as workspace:
        client = openai.OpenAI(base_url=server["openai"], api_key="none", max_retries=0)
        for number, line in enumerate(asked, start=1):
            reply = client.chat.completions.with_raw_response.create(
                model="task:paint", messages=[{"role": "user", "content": line}], user="ada"
            )
            assert reply.headers["x-journeyman-route"] == "teacher: policy"
            assert reply.parse().choices[0].message.content == other({"messages": [{"content": line}]})[1]
            wait_for(lambda number=number: len(recorded(workspace, "shadow")) == number)  # type: ignore[misc]
        assert len(seen) == len(asked)
    with open_workspace(folder) as workspace:
        live, calls, unseen = workspace.store.alias("paint"), recorded(workspace), recorded(workspace, "shadow")
        assert {trace.meta["of"] for trace in unseen} == {trace.id for trace in calls}
        for said in unseen:
            assert (said.release, said.status, said.cost_usd) == (live, "ok", None)
            assert said.input == next(call.input for call in calls if call.id == said.meta["of"])
            assert said.verdicts["route"] == {"by": "student", "why": "shadow"}
        found = rows_of(workspace, asked)
        assert len(found) == 12
        for line, row in found.items():
            assert row.target is not None
            assert row.target.value == json.loads(other({"messages": [{"content": line}]})[1])
            assert (row.count, row.alternatives) == (1, ()), "what the student said is nowhere in it"
        told = json.loads(journeyman(folder, "shadow", "paint", "--json").stdout)
        assert (told["calls"], told["valid"]) == (12, 12)
        assert (
            told["alike"]
            == sum(said.output == call.output for said in unseen for call in calls if call.id == said.meta["of"])
            < 6
        )
        assert told["interval"][0] <= told["alike"] / 12 <= told["interval"][1]
        assert told["student_ms"] > 0
        assert "as the teacher" in journeyman(folder, "shadow", "paint").stdout
        assert erase(workspace, id=calls[0].id).calls == {"paint": 2}
        assert erase(workspace, user="ada").calls == {"paint": 22}


def test_a_share_and_no_evaluation(folder: Path) -> None:
    set_route(folder, "{policy: shadow, shadow: {share: 0.3}}")
    with provider(folder, other), open_workspace(folder) as workspace:
        ask(workspace, lines(60))
        assert 5 <= len(recorded(workspace, "shadow")) <= 35
        before = len(recorded(workspace, "shadow"))
        ask(workspace, lines(30), "assess")
        assert len(recorded(workspace, "shadow")) == before


def test_a_cap_on_calls_a_minute(folder: Path) -> None:
    set_route(folder, "{policy: shadow, shadow: {calls_per_minute: 5}}")
    with provider(folder, other), open_workspace(folder) as workspace:
        assert ask(workspace, lines(20)) == ["teacher: policy"] * 20
        assert len(recorded(workspace, "shadow")) == 5


def test_the_minute_slides_and_few_are_asked_at_once(workspace: Workspace) -> None:
    now = [0.0]
    recorder = Recorder(workspace.store)

    async def run() -> None:
        async with AsyncExitStack() as stack:
            desk = await open_desk(stack, workspace, workspace.task("paint"))
            student = desk.registry.find_task("paint").student
            unseen = Unseen(Answerer(recorder), lambda: now[0])
            routed = Routed("paint", student, shadow=Shadow(calls_per_minute=2))
            assert [unseen.may_shadow(routed) for _ in range(3)] == [True, True, False]
            now[0] = 59.9
            assert not unseen.may_shadow(routed)
            now[0] = 60.0
            assert [unseen.may_shadow(routed) for _ in range(3)] == [True, True, False]
            assert not unseen.may_shadow(Routed("paint", None))
            unseen._under_way["paint"] = AT_ONCE
            assert not unseen.may_shadow(Routed("paint", student))

    try:
        asyncio.run(run())
    finally:
        recorder.close()


def test_a_teacher_that_fails_has_no_shadow_and_a_task_without_a_release_none_either(folder: Path) -> None:
    set_route(folder, "{policy: shadow}")
    with provider(folder, lambda _body: (503, "down")), open_workspace(folder) as workspace:
        with pytest.raises(Exception, match="JM-431"):
            ask(workspace, lines(1))
        assert not recorded(workspace, "shadow")


def test_escalations_and_audits_are_rows_with_the_teachers_answer(folder: Path) -> None:
    set_route(folder, "{policy: cascade, audit: 1}")
    asked = ["xyzzy plugh red frobozz nitfol", *lines(10)]
    with provider(folder, other), open_workspace(folder) as workspace:
        said = ask(workspace, asked)
        kinds = dict(zip(asked, said, strict=True))
        assert {"student: sure", "teacher: unsure"} <= set(said)
        found = rows_of(workspace, asked)
        assert len(found) == len(asked)
        for line, row in found.items():
            assert row.target is not None, kinds[line]
            assert row.target.value == json.loads(other({"messages": [{"content": line}]})[1]), kinds[line]
