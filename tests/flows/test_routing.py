"""The switch while serving: the student where it is sure, the teacher for the rest, audits of what went out, and the hold when they refute the promise."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import openai
import pytest

from journeyman.core.errors import ModelError, ServeError
from journeyman.core.trace import Trace
from journeyman.data.dataset import read_manifest, read_split
from journeyman.flows.answers import open_desk
from journeyman.flows.assess import assess
from journeyman.flows.auditor import Auditor
from journeyman.flows.audits import read_promise
from journeyman.flows.prepare import prepare_task
from journeyman.flows.releases import release
from journeyman.flows.routing import FRESH_S
from journeyman.flows.tune import tune
from journeyman.flows.watching import watch
from journeyman.flows.workspace import Workspace, open_workspace
from tests.flows.projects import COLOURS, fill_project, journeyman, make_project, paint_rows, serving, write_rows
from tests.flows.providers import provider

CALIBRATION = "[prepare]\ncalibration_share = 0.4\n"
UNSURE = "xyzzy plugh frobozz nitfol"


def truth(body: dict[str, Any]) -> tuple[int, str]:
    """What the line asks for; a line without a colour is red."""
    words = str(body["messages"][-1]["content"]).split()
    colour = next((word for word in words if word in COLOURS), "red")
    return 200, json.dumps({"colour": colour, "many": "two" in words})


def other(body: dict[str, Any]) -> tuple[int, str]:
    """Another colour than the line asks for: the world has changed its mind."""
    answer = json.loads(truth(body)[1])
    return 200, json.dumps(answer | {"colour": COLOURS[(COLOURS.index(answer["colour"]) + 1) % 3]})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A released head on words, with a promise."""
    folder = make_project(tmp_path_factory.mktemp("routing") / "project", Path("/nowhere.gguf"), settings=CALIBRATION)
    for name, rows, seed in (("train", 600, 1), ("sealed", 60, 2)):
        write_rows(folder / f"{name}.jsonl", [row | {"output": row["gold"]} for row in paint_rows(rows, seed)])
    with open_workspace(folder) as workspace:
        fill_project(workspace)
        tune(workspace, "paint", {"kind": "head", "features": "words"})
        assess(workspace, "paint")
        hash = release(workspace, "paint", force="to route its calls").hash
        promise = read_promise(workspace, "paint", hash)
        assert promise is not None
        assert promise.threshold is not None
        assert promise.disagreement is not None
        assert promise.allowed == max(promise.error, promise.disagreement) < 0.1
    return folder


def edit_promise(folder: Path, key: str, value: object) -> None:
    """In the evaluation that the live release carries."""
    with open_workspace(folder) as workspace:
        hash = workspace.store.alias("paint")
    path = folder / f".journeyman/releases/paint/{hash}/attachments/evaluation.json"
    document = json.loads(path.read_text())
    document["promise"][key] = value
    path.write_text(json.dumps(document))


def set_route(folder: Path, text: str) -> None:
    task = folder / "tasks/paint.yaml"
    task.write_text(task.read_text() + f"route: {text}\n")


def lines(count: int, seed: int) -> list[str]:
    return [str(row["input"]["line"]) for row in paint_rows(count, seed)]  # type: ignore[index]


def ask(workspace: Workspace, asked: Sequence[str]) -> list[str]:
    """Who answered, and why, of each."""

    async def run() -> list[str]:
        async with AsyncExitStack() as stack:
            desk = await open_desk(stack, workspace, workspace.task("paint"))
            return [(await desk.ask({"line": line}, "serve")).by for line in asked]

    return asyncio.run(run())


def recorded(workspace: Workspace, origin: str = "serve") -> list[Trace]:
    return list(workspace.store.traces("paint", origins=[origin]))


def test_the_sure_calls_are_the_students_and_the_rest_the_teachers(folder: Path) -> None:
    set_route(folder, "{audit: 0}")
    settings = folder / "journeyman.toml"
    prices = "input_usd_per_million = 2.0\noutput_usd_per_million = 8.0\n"
    with provider(folder, truth) as seen:
        settings.write_text(settings.read_text() + prices)
        with open_workspace(folder) as workspace:
            said = ask(workspace, [*lines(20, 7), UNSURE])
            assert said.count("student: sure") >= 15
            assert said[-1] == "teacher: unsure"
            assert len(seen) == sum(by.startswith("teacher") for by in said)
            *_, last = recorded(workspace)
            route = last.verdicts["route"]
            assert route["policy"] == "cascade"  # type: ignore[call-overload, index]
            assert route["chance"] < route["threshold"]  # type: ignore[call-overload, index]
            assert (last.release, last.model) == ("", "big")
            assert last.output is not None
            assert last.output.value == {"colour": "red", "many": False}
            student = last.verdicts["student"]
            assert student["release"] == workspace.store.alias("paint")  # type: ignore[call-overload, index]
            assert student["output"]["kind"] == "object"  # type: ignore[call-overload, index]
            assert not recorded(workspace, "audit")


def test_a_release_without_a_teacher_answers_alone_and_a_cascade_without_one_refuses(folder: Path) -> None:
    with open_workspace(folder) as workspace:
        assert ask(workspace, [lines(1, 7)[0], UNSURE]) == ["student: policy"] * 2
    set_route(folder, "{policy: cascade}")
    with open_workspace(folder) as workspace, pytest.raises(ServeError, match="JM-731") as caught:
        ask(workspace, [UNSURE])
    assert "not sure enough" in caught.value.got


def test_a_policy_that_is_stated_holds(folder: Path) -> None:
    set_route(folder, "{policy: teacher}")
    with provider(folder, truth) as seen, open_workspace(folder) as workspace:
        assert ask(workspace, lines(3, 7)) == ["teacher: policy"] * 3
        assert len(seen) == 3
    task = folder / "tasks/paint.yaml"
    task.write_text(task.read_text().replace("policy: teacher", "policy: student"))
    with provider(folder, truth) as seen, open_workspace(folder) as workspace:
        assert ask(workspace, [UNSURE]) == ["student: policy"]
        assert not seen


def test_a_release_that_promises_nothing_answers_nothing_under_a_cascade(folder: Path) -> None:
    set_route(folder, "{policy: cascade}")
    edit_promise(folder, "threshold", None)
    with provider(folder, truth), open_workspace(folder) as workspace:
        assert ask(workspace, lines(2, 7)) == ["teacher: no threshold"] * 2
        assert watch(workspace, "paint").audits is None


def test_audits_are_labels_and_a_teacher_that_agrees_raises_no_alarm(folder: Path) -> None:
    set_route(folder, "{audit: 1}")
    with provider(folder, truth), open_workspace(folder) as workspace:
        sure = ask(workspace, lines(30, 7)).count("student: sure")
        audits = recorded(workspace, "audit")
        assert len(audits) == sure > 20
        calls = {trace.id: trace for trace in recorded(workspace)}
        for audit in audits:
            call = calls[str(audit.meta["of"])]
            assert audit.input == call.input
            assert call.verdicts["route"]["audit"] is True  # type: ignore[call-overload, index]
            assert (audit.release, audit.meta["chance"]) == ("", 1.0)
        found = watch(workspace, "paint").audits
        assert found is not None
        assert found.watch.seen == sure
        assert not found.alarm
        prepare_task(workspace, "paint")
        _dataset, manifest = read_manifest(workspace.store, "paint")
        inputs = {
            str(row.input["line"])
            for name in ("train", "dev", "calibration")
            for row in read_split(workspace.store, manifest, name)
        }
        assert {str(audit.input["line"]) for audit in audits} & inputs


def test_audits_that_refute_the_promise_send_everything_to_the_teacher_until_somebody_says_otherwise(
    folder: Path,
) -> None:
    set_route(folder, "{audit: 1}")
    with provider(folder, other), open_workspace(folder) as workspace:
        said = ask(workspace, lines(60, 7))
        first = said.index("teacher: held")
        assert said[:5].count("student: sure") >= 4
        assert set(said[first:]) == {"teacher: held"}
        held = workspace.store.held("paint")
        assert held is not None
        assert "audited answers" in held.reason
        assert watch(workspace, "paint").is_alarm
    done = journeyman(folder, "drift", "paint", "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["is_held"]
    assert told["audits"]["different"] > told["audits"]["allowed"] * told["audits"]["answers"]
    assert "held" in journeyman(folder, "status").stdout
    with open_workspace(folder) as workspace, pytest.raises(ServeError, match="JM-731"):  # the teacher is gone
        ask(workspace, lines(1, 8))
    resumed = journeyman(folder, "drift", "paint", "--resume", "the teacher was wrong", "--json")
    assert not json.loads(resumed.stdout)["is_held"]
    assert journeyman(folder, "drift", "paint", "--resume", "again").returncode == 2
    with provider(folder, truth), open_workspace(folder) as workspace:  # what was before is not held against it again
        assert "teacher: held" not in ask(workspace, lines(40, 8))
        found = watch(workspace, "paint")
        assert not found.is_alarm
        assert found.audits is not None
        assert 30 < found.audits.watch.seen <= 40


def test_strange_words_hold_a_release_when_told_to(folder: Path) -> None:
    set_route(folder, "{policy: student}")
    draw = random.Random(4)
    with open_workspace(folder) as workspace:
        ask(
            workspace,
            [f"kolor {draw.randrange(999)} {draw.choice(['bil', 'hus'])} malet {place}" for place in range(120)],
        )
        assert watch(workspace, "paint").is_alarm
        assert not watch(workspace, "paint").held
    done = journeyman(folder, "drift", "paint", "--hold")
    assert done.returncode == 1
    assert "The release is held" in done.stdout
    with open_workspace(folder) as workspace:
        assert watch(workspace, "paint").held.startswith("new words")


def test_a_teacher_that_fails_fails_the_call_and_an_audit_that_fails_nothing(folder: Path) -> None:
    set_route(folder, "{audit: 1}")
    with provider(folder, lambda _body: (500, "down")), open_workspace(folder) as workspace:
        line = lines(1, 7)[0]
        assert ask(workspace, [line]) == ["student: sure"]
        (audit,) = recorded(workspace, "audit")
        assert audit.status == "JM-431"
        found = watch(workspace, "paint").audits
        assert found is not None
        assert found.watch.seen == 0


def test_each_audit_counts_once_however_many_calls_come_at_once(folder: Path) -> None:
    set_route(folder, "{audit: 1}")
    with provider(folder, other), open_workspace(folder) as workspace:

        async def run() -> None:
            async with AsyncExitStack() as stack:
                auditor = Auditor(workspace)
                desk = await open_desk(stack, workspace, workspace.task("paint"))
                await asyncio.gather(*(desk.ask({"line": line}, "serve") for line in lines(30, 7)))
                await desk.router.close()
                for audit in recorded(workspace, "audit"):
                    await auditor.hear("paint", str(audit.meta["of"]), audit.id)
                (signal,) = auditor._signals.values()
                assert signal is not None
                assert signal.watch.seen == len(recorded(workspace, "audit")) > 20

        asyncio.run(run())


def test_calls_of_an_evaluation_are_never_audited(folder: Path) -> None:
    set_route(folder, "{audit: 1}")
    with provider(folder, truth) as seen, open_workspace(folder) as workspace:

        async def run() -> None:
            async with AsyncExitStack() as stack:
                desk = await open_desk(stack, workspace, workspace.task("paint"))
                assert (await desk.ask({"line": lines(1, 7)[0]}, "assess")).by == "student: sure"

        asyncio.run(run())
        assert not seen
        assert not recorded(workspace, "audit")


def test_a_refused_call_is_kept_with_what_the_student_said(folder: Path) -> None:
    set_route(folder, "{policy: cascade, audit: 1}")
    with open_workspace(folder) as workspace:
        assert ask(workspace, lines(1, 7)) == ["student: sure"]  # nobody to audit it
        with pytest.raises(ServeError, match="JM-731"):
            ask(workspace, [UNSURE])
        sure, refused = recorded(workspace)
        assert "audit" not in sure.verdicts["route"]  # type: ignore[operator]
        assert (refused.status, refused.verdicts["route"]["why"]) == ("JM-731", "unsure")  # type: ignore[call-overload, index]
        assert refused.verdicts["student"]["output"] is not None  # type: ignore[call-overload, index]


def test_a_release_made_live_after_the_start_is_not_called_none(folder: Path) -> None:
    with provider(folder, truth), open_workspace(folder) as workspace:

        async def run() -> None:
            async with AsyncExitStack() as stack:
                desk = await open_desk(stack, workspace, workspace.task("paint"))
                workspace.store.set_alias("paint", "f" * 64, "another", workspace.now())
                assert (await desk.ask({"line": UNSURE}, "serve")).by == "teacher: not loaded"

        asyncio.run(run())


def test_where_gold_decided_and_no_teacher_answered_audits_hold_nothing(folder: Path) -> None:
    set_route(folder, "{audit: 1}")
    edit_promise(folder, "disagreement", None)
    with provider(folder, other), open_workspace(folder) as workspace:
        assert "teacher: held" not in ask(workspace, lines(30, 7))
        assert watch(workspace, "paint").audits is None
    assert "none decides" in journeyman(folder, "drift", "paint").stdout


def test_a_file_that_changed_since_the_release_does_not_change_its_answers(folder: Path) -> None:
    task = folder / "tasks/paint.yaml"
    task.write_text(task.read_text().replace("  many: boolean", "  plural: boolean") + "route: {audit: 0}\n")
    with provider(folder, truth), open_workspace(folder) as workspace:
        assert ask(workspace, [UNSURE]) == ["teacher: unsure"]
        (trace,) = recorded(workspace)
        assert trace.output is not None
        assert trace.output.value == {"colour": "red", "many": False}


def test_the_server_says_who_answers_and_serves_a_task_before_it_has_a_release(folder: Path) -> None:
    set_route(folder, "{audit: 0}")
    with provider(folder, truth), serving(folder) as server:
        client = openai.OpenAI(base_url=server["openai"], api_key="none", max_retries=0)
        replies = [
            client.chat.completions.with_raw_response.create(
                model="task:paint", messages=[{"role": "user", "content": line}]
            )
            for line in (lines(1, 7)[0], UNSURE)
        ]
        assert [reply.headers["x-journeyman-route"] for reply in replies] == ["student: sure", "teacher: unsure"]
        stream = client.chat.completions.create(
            model="task:paint", messages=[{"role": "user", "content": UNSURE}], stream=True
        )
        chunks = list(stream)
        assert {chunk.model for chunk in chunks} == {"big"}
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        assert json.loads(text) == {"colour": "red", "many": False}
        with open_workspace(folder) as workspace:
            hash = str(workspace.store.alias("paint"))
            workspace.store.hold("paint", hash, "by hand", workspace.now())
            time.sleep(2 * FRESH_S)
            held = client.chat.completions.with_raw_response.create(
                model="task:paint", messages=[{"role": "user", "content": lines(1, 7)[0]}]
            )
            assert held.headers["x-journeyman-route"] == "teacher: held"
            by_hash = client.chat.completions.create(
                model=f"paint@{hash}", messages=[{"role": "user", "content": lines(1, 7)[0]}]
            )
            assert by_hash.model == f"paint@{hash}"
    shutil.rmtree(folder / ".journeyman")
    with provider(folder, truth), serving(folder) as server:
        client = openai.OpenAI(base_url=server["openai"], api_key="none", max_retries=0)
        names = [model.id for model in client.models.list()]
        assert [name for name in names if not name.startswith("embed:")] == ["task:paint"]
        reply = client.chat.completions.with_raw_response.create(
            model="task:paint", messages=[{"role": "user", "content": "one blue thing"}]
        )
        assert reply.headers["x-journeyman-route"] == "teacher: no release"
        assert json.loads(str(reply.parse().choices[0].message.content)) == {"colour": "blue", "many": False}


def test_a_call_of_another_shape_is_the_teachers_and_other_models_of_its_provider_are_passed_on(folder: Path) -> None:
    set_route(folder, "{audit: 0}")
    weather: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    turns: list[Any] = [
        {"role": "user", "content": "one red thing"},
        {"role": "assistant", "content": "red"},
        {"role": "user", "content": "and two blue ones"},
    ]
    with provider(folder, truth) as seen, serving(folder) as server:
        client = openai.OpenAI(base_url=server["openai"], api_key="none", max_retries=0)
        create = client.chat.completions.with_raw_response.create
        with_tools = create(model="task:paint", messages=[turns[0]], tools=[weather])
        assert with_tools.headers["x-journeyman-route"] == "teacher: shape"
        assert create(model="task:paint", messages=turns).headers["x-journeyman-route"] == "teacher: shape"
        other = create(model="large-2", messages=turns)
        assert other.headers["x-journeyman-route"] == "teacher: policy"
        assert [body["model"] for body in seen] == ["big", "big", "large-2"]
        assert seen[0]["tools"] == [weather]
        with pytest.raises(openai.BadRequestError, match="JM-705"):
            create(model="task:paint", messages=turns, temperature=9)
        assert len(seen) == 3
        with open_workspace(folder) as workspace:
            shapes = [trace for trace in recorded(workspace) if trace.verdicts["route"]["why"] == "shape"]  # type: ignore[call-overload, index]
            assert [len(trace.messages) for trace in shapes] == [1, 3]
            assert [len(trace.tools) for trace in shapes] == [1, 0]
            (passed,) = workspace.store.traces("model:large-2")
            assert passed.messages[-1].text == "and two blue ones"
            prepare_task(workspace, "paint")  # calls of another shape are no rows


def test_where_the_teacher_fails_an_unsure_answer_may_stand(folder: Path) -> None:
    set_route(folder, "{fallback: student, audit: 0}")
    with provider(folder, lambda _body: (503, "down")) as seen, open_workspace(folder) as workspace:
        assert ask(workspace, [UNSURE]) == ["student: fallback"]
        answered, failed = sorted(recorded(workspace), key=lambda trace: trace.status != "ok")
        assert answered.verdicts["route"]["error"] == "JM-431"  # type: ignore[call-overload, index]
        assert answered.release == workspace.store.alias("paint")
        assert (failed.status, failed.meta["of"]) == ("JM-431", answered.id)
        said = ask(workspace, [UNSURE] * 4)
        assert said == ["student: fallback"] * 4
        asked = len(seen)
        assert asked < 2 * 5, "after five failures in a row the teacher is left alone"


def test_a_release_that_is_held_stands_in_for_nobody(folder: Path) -> None:
    set_route(folder, "{fallback: student, audit: 0}")
    with provider(folder, lambda _body: (503, "down")), open_workspace(folder) as workspace:
        workspace.store.hold("paint", str(workspace.store.alias("paint")), "by hand", workspace.now())
        with pytest.raises(ModelError, match="JM-431"):
            ask(workspace, [lines(1, 7)[0]])


def test_an_answer_that_the_teacher_refuses_is_no_outage(folder: Path) -> None:
    set_route(folder, "{fallback: student, audit: 0}")
    with (
        provider(folder, lambda _body: (400, "no")),
        open_workspace(folder) as workspace,
        pytest.raises(ModelError, match="JM-432"),
    ):
        ask(workspace, [UNSURE])
