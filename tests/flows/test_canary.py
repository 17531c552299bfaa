"""A canary from its first call to its verdict: two real releases, a provider that is the teacher, and the server."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest

from journeyman.core.errors import GateError, ServeError
from journeyman.core.trace import Trace
from journeyman.data.dataset import read_manifest, read_split
from journeyman.flows.answers import open_desk
from journeyman.flows.assess import assess
from journeyman.flows.canaries import act, catch_up, open_evidence, read_evidence
from journeyman.flows.candidates import start, stop
from journeyman.flows.prepare import prepare_task
from journeyman.flows.releases import release
from journeyman.flows.routing import FRESH_S
from journeyman.flows.tune import tune
from journeyman.flows.workspace import Workspace, open_workspace
from journeyman.store.canaries import Canary
from tests.flows.projects import COLOURS, fill_project, journeyman, make_project, paint_rows, serving, write_rows
from tests.flows.providers import Answer, provider

CALIBRATION = "[prepare]\ncalibration_share = 0.4\n"


def truth(body: dict[str, Any]) -> tuple[int, str]:
    words = str(body["messages"][-1]["content"]).split()
    return 200, json.dumps({"colour": next(word for word in words if word in COLOURS), "many": "two" in words})


def other(body: dict[str, Any]) -> tuple[int, str]:
    """Another colour than the line asks for: the world has changed its mind."""
    answer = json.loads(truth(body)[1])
    return 200, json.dumps(answer | {"colour": COLOURS[(COLOURS.index(answer["colour"]) + 1) % 3]})


def find_trust(folder: Path, hash: str) -> Path:
    return folder / f".journeyman/releases/paint/{hash}/attachments/evaluation.json"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two releases: a head on words that is nearly always right, live, and the nearest row, which is mostly wrong. Neither has a threshold."""
    folder = make_project(tmp_path_factory.mktemp("canary") / "project", Path("/nowhere.gguf"), settings=CALIBRATION)
    for name, rows, seed in (("train", 600, 1), ("sealed", 60, 2)):
        write_rows(folder / f"{name}.jsonl", [row | {"output": row["gold"]} for row in paint_rows(rows, seed)])
    with open_workspace(folder) as workspace:
        fill_project(workspace)
        for kind in ({"kind": "nearest"}, {"kind": "head", "features": "words"}):
            result = tune(workspace, "paint", kind)
            assess(workspace, "paint", named=result.run.id)
            hash = release(workspace, "paint", force="for its canary").hash
        path = find_trust(folder, hash)
        document = json.loads(path.read_text())
        document["promise"]["threshold"] = None
        path.write_text(json.dumps(document))
    return folder


def hashes(workspace: Workspace) -> tuple[str, str]:
    """The good release, and the bad one."""
    good, bad = (entry.release for entry in workspace.store.alias_history("paint")[:2])
    return good, bad


def lines(count: int, seed: int) -> list[str]:
    return [str(row["input"]["line"]) for row in paint_rows(count, seed)]  # type: ignore[index]


def ask(workspace: Workspace, asked: list[str]) -> None:
    async def run() -> None:
        async with AsyncExitStack() as stack:
            desk = await open_desk(stack, workspace, workspace.task("paint"))
            for line in asked:
                await desk.ask({"line": line}, "serve")

    asyncio.run(run())


def recorded(workspace: Workspace, origin: str = "serve") -> list[Trace]:
    return list(workspace.store.traces("paint", origins=[origin]))


def edit_task(folder: Path, text: str) -> None:
    task = folder / "tasks/paint.yaml"
    task.write_text(task.read_text() + text)


class Clients:
    """People that call a server, and the releases that answered each."""

    def __init__(self, client: openai.OpenAI) -> None:
        self.client = client
        self.answered: dict[str, list[str]] = {}

    def ask(self, person: str, line: str) -> str:
        reply = self.client.chat.completions.with_raw_response.create(
            model="task:paint", messages=[{"role": "user", "content": line}], user=person
        )
        found = str(reply.headers["x-journeyman-release"])
        self.answered.setdefault(person, []).append(found)
        return found


def wait_for(is_there: Callable[[], bool], patience_s: float = 60.0) -> None:
    until = time.monotonic() + patience_s
    while not is_there():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.05)


def test_a_server_notices_a_canary_loads_it_and_keeps_each_person_on_one_side(folder: Path) -> None:
    edit_task(folder, "route: {policy: student}\n")
    with open_workspace(folder) as workspace:
        good, bad = hashes(workspace)
        started = journeyman(
            folder, "canary", "paint", "--share", "0", "--release", bad[:12], "--reason", "a try", "--json"
        )
        assert started.returncode == 0, started.stderr
        begun = json.loads(started.stdout)["canary"]
        assert (begun["release"], begun["live"], begun["steps"][0]["reason"]) == (bad, good, "a try")
        assert begun["steps"][0]["by"]
        with (
            serving(folder) as server,
            openai.OpenAI(base_url=server["openai"], api_key="none", max_retries=0) as client,
        ):
            people = Clients(client)
            asked = [(f"person-{number}", line) for number, line in enumerate(lines(40, 9))]
            assert {people.ask(*each) for each in asked} == {good}
            shares = {}
            for share in (0.3, 0.7):
                start(workspace, "paint", share=share)
                time.sleep(2 * FRESH_S)
                found = [
                    {people.ask(person, line) for line in (line, *lines(2, number))}
                    for number, (person, line) in enumerate(asked)
                ]
                assert all(len(sides) == 1 for sides in found), "nobody is on both sides"
                shares[share] = {person for (person, _), sides in zip(asked, found, strict=True) if sides == {bad}}
            assert 4 <= len(shares[0.3]) <= 20
            assert shares[0.3] < shares[0.7], "who was in stays in"
            stop(workspace, "paint", "enough")
            time.sleep(2 * FRESH_S)
            assert {people.ask(*each) for each in asked} == {good}
        sides = Counter(trace.verdicts["route"].get("side") for trace in recorded(workspace))  # type: ignore[union-attr]
        assert sides["candidate"] == 3 * (len(shares[0.3]) + len(shares[0.7]))
        assert sides[None] == 40, "of those after its end"
        ended = workspace.store.last_canary("paint")
        assert ended is not None
        assert [step.share for step in ended.steps] == [0, 0.3, 0.7]
        assert ended.why.endswith(": enough")


def test_a_release_that_was_never_live_is_a_candidate_and_answers_once_it_is_loaded(folder: Path) -> None:
    edit_task(folder, "route: {policy: student}\n")
    with open_workspace(folder) as workspace:
        good, _bad = hashes(workspace)
    with serving(folder) as server, openai.OpenAI(base_url=server["openai"], api_key="none", max_retries=0) as client:
        people = Clients(client)
        assert people.ask("ada", lines(1, 3)[0]) == good
        with open_workspace(folder) as workspace:
            write_rows(folder / "more.jsonl", paint_rows(100, 44))
            assert journeyman(folder, "import", "more.jsonl", "--task", "paint").returncode == 0
            prepare_task(workspace, "paint")
            result = tune(workspace, "paint", {"kind": "nearest"})
            assess(workspace, "paint", named=result.run.id)
            with pytest.raises(GateError, match="JM-621"):
                start(workspace, "paint", share=1.0)
            begun = start(workspace, "paint", share=1.0, force="for a test")
            assert begun.release not in {entry.release for entry in workspace.store.alias_history("paint")}
            assert workspace.store.alias("paint") == good
            wait_for(lambda: people.ask("ada", lines(1, 3)[0]) == begun.release)
            assert set(people.answered["ada"]) == {good, begun.release}, "no call was refused on the way"


def play(folder: Path, live: int, seed: int, teacher: Answer = truth, **more: Any) -> tuple[Canary, Workspace]:
    """Make one of `hashes` live and the other its candidate, and ask a few hundred lines, all compared."""
    with provider(folder, teacher), open_workspace(folder) as workspace:
        both = hashes(workspace)
        workspace.store.set_alias("paint", both[live], "for a test", workspace.now())
        begun = start(workspace, "paint", release=both[1 - live], share=0.5, audit=1.0, **more)
        ask(workspace, lines(160, seed))
    return begun, workspace


def test_a_better_candidate_is_promoted_and_it_says_why(folder: Path) -> None:
    with open_workspace(folder) as workspace:
        good, _bad = hashes(workspace)
        path = find_trust(folder, good)
        document = json.loads(path.read_text())
        document["promise"]["threshold"] = 0.999
        path.write_text(json.dumps(document))
    begun, _ = play(folder, live=1, seed=21, is_promoting=True)
    with open_workspace(folder) as workspace:
        calls, unseen, audits = (recorded(workspace, origin) for origin in ("serve", "shadow", "audit"))
        assert len(calls) == len(unseen) == len(audits) == 160
        by_id = {trace.id: trace for trace in calls}
        for other in unseen:
            assert {other.release, by_id[str(other.meta["of"])].release} == {begun.release, begun.live}
        evidence = read_evidence(workspace, begun)
        assert evidence.watch.differences.seen == evidence.calls.total() == 160
        assert evidence.right["candidate"] > evidence.right["live"] + 15
        assert evidence.promise is not None
        assert evidence.promise.watch.seen == 0, "it promises nothing of answers that no threshold let through"
        again = open_evidence(workspace, begun)
        for _ in range(3):
            catch_up(workspace, again)
        assert again.to_json() == evidence.to_json(), "each call counts once"
    told = journeyman(folder, "canary", "paint")
    assert "promoted: over" in told.stdout, told.stderr
    assert "answers of the candidate" in told.stdout
    with open_workspace(folder) as workspace:
        assert workspace.store.alias("paint") == begun.release
        live = workspace.store.live("paint")
        assert live is not None
        assert live.reason.startswith(f"{begun.id}: over 160 calls")
        prepare_task(workspace, "paint")
        _dataset, manifest = read_manifest(workspace.store, "paint")
        rows = [
            row for split in ("train", "dev", "calibration") for row in read_split(workspace.store, manifest, split)
        ]
        found = [row for row in rows if row.input["line"] in set(lines(160, 21))]
        assert len(found) > 80, "audits are rows"
        assert all(row.target is not None and row.target.value == json.loads(truth({"messages": [{"content": row.input["line"]}]})[1]) for row in found)  # fmt: skip


def test_a_worse_one_is_only_told_of_where_nobody_said_to_act(folder: Path) -> None:
    begun, _ = play(folder, live=0, seed=22)
    told = journeyman(folder, "canary", "paint", "--json")
    found = json.loads(told.stdout)
    assert found["evidence"]["verdict"] == "roll back"
    assert "worse by more than 5 points" in found["evidence"]["why"]
    assert found["evidence"]["interval"][1] < -0.05
    assert "would roll back it" in " ".join(journeyman(folder, "status").stdout.split())
    with open_workspace(folder) as workspace:
        assert workspace.store.canary("paint") == begun
        start(workspace, "paint", share=0.5, is_promoting=True)
        ended = act(workspace, read_evidence(workspace, begun))
        assert ended is not None
        assert (ended.outcome, workspace.store.alias("paint")) == ("rolled back", begun.live)
        assert workspace.store.canary("paint") is None


def test_a_running_server_decides_by_itself(folder: Path) -> None:
    with provider(folder, truth), open_workspace(folder) as workspace:
        good, bad = hashes(workspace)
        begun = start(workspace, "paint", release=bad, share=0.5, audit=1.0, is_promoting=True, sticky="input")
        assert begun.live == good
        with (
            serving(folder) as server,
            openai.OpenAI(base_url=server["openai"], api_key="none", max_retries=0) as client,
        ):
            people, asked = Clients(client), iter(lines(2000, 23))
            wait_for(lambda: bool(people.ask("ada", next(asked))) and workspace.store.canary("paint") is None)
            ended = workspace.store.last_canary("paint")
            assert ended is not None
            assert ended.outcome == "rolled back"
            time.sleep(2 * FRESH_S)
            assert {people.ask("ada", line) for line in lines(10, 24)} == {good}


def test_a_candidate_that_fails_is_rolled_back_without_a_teacher(folder: Path) -> None:
    """Its answers break the schema: the engine is real, the task of the release is another one by then."""
    edit_task(folder, "route: {policy: student}\n")
    with open_workspace(folder) as workspace:
        _good, bad = hashes(workspace)
        begun = start(workspace, "paint", release=bad, share=0.5, is_promoting=True)

        async def run() -> None:
            async with AsyncExitStack() as stack:
                desk = await open_desk(stack, workspace, workspace.task("paint"))
                broken = desk.registry._releases["paint"][bad]
                schema = {**dict(broken.task.schema or {}), "required": ["colour", "many", "size"]}  # type: ignore[union-attr]
                desk.registry.add(replace(broken, task=replace(broken.task, schema=schema)))  # type: ignore[arg-type]
                for line in lines(60, 31):
                    with suppress(ServeError):  # JM-720
                        await desk.ask({"line": line}, "serve")

        asyncio.run(run())
        evidence = read_evidence(workspace, begun)
        assert evidence.failed["candidate"] == evidence.calls["candidate"] > 15
        assert evidence.failed["live"] == 0
        ended = act(workspace, evidence)
        assert ended is not None
        assert ended.outcome == "rolled back"
        assert "fails more often than the live release" in ended.why


def test_a_candidate_whose_promise_breaks_is_rolled_back(folder: Path) -> None:
    with open_workspace(folder) as workspace:
        good, bad = hashes(workspace)
        for hash, promise in (
            (good, {"threshold": 0.999, "disagreement": None}),
            (bad, {"threshold": 0.0, "disagreement": 0.02}),
        ):
            document = json.loads(find_trust(folder, hash).read_text())
            document["promise"] |= promise
            find_trust(folder, hash).write_text(json.dumps(document))
    edit_task(folder, "route: {policy: cascade, audit: 0}\n")
    begun, _ = play(folder, live=0, seed=32, teacher=other, is_promoting=True)
    with open_workspace(folder) as workspace:
        evidence = read_evidence(workspace, begun)
        assert evidence.promise is not None
        assert evidence.promise.alarm
        assert evidence.describe().startswith("it does not keep its promise: of ")
        assert act(workspace, evidence) is not None
        assert workspace.store.held("paint") is None, "the live release is not to blame"
        compared = recorded(workspace, "shadow")
        assert len(compared) == 160, "escalated calls are compared too"


def test_what_cannot_be_a_candidate(folder: Path) -> None:
    with open_workspace(folder) as workspace:
        good, bad = hashes(workspace)
        with pytest.raises(GateError, match="JM-636") as caught:
            start(workspace, "paint", release=good, share=0.1)
        assert "is live itself" in caught.value.got
        with pytest.raises(GateError, match="JM-623"):
            start(workspace, "paint", release="0000", share=0.1)
        with pytest.raises(GateError, match="JM-638"):
            stop(workspace, "paint", "")
        document = json.loads(find_trust(folder, good).read_text())
        document["promise"]["threshold"] = 0.9
        find_trust(folder, good).write_text(json.dumps(document))
        with pytest.raises(GateError, match="JM-637") as caught:
            start(workspace, "paint", release=bad, share=0.1)
        assert "no threshold" in caught.value.got
        document["promise"]["threshold"] = None
        find_trust(folder, good).write_text(json.dumps(document))
        start(workspace, "paint", release=bad, share=0.1)
        with pytest.raises(GateError, match="JM-636") as caught:
            start(workspace, "paint", release=good, share=0.1)
        assert "--stop" in caught.value.hint
    edit_task(folder, "route: {policy: teacher}\n")
    with open_workspace(folder) as workspace:
        stop(workspace, "paint", "")
        with pytest.raises(GateError, match="JM-639"):
            start(workspace, "paint", release=bad, share=0.1)


def test_calls_of_an_evaluation_and_a_release_by_its_hash_are_no_canarys(folder: Path) -> None:
    edit_task(folder, "route: {policy: student}\n")
    with open_workspace(folder) as workspace:
        good, bad = hashes(workspace)
        start(workspace, "paint", release=bad, share=1.0)

        async def run() -> None:
            async with AsyncExitStack() as stack:
                desk = await open_desk(stack, workspace, workspace.task("paint"))
                line = {"line": lines(1, 7)[0]}
                assert (await desk.ask(line, "serve")).release == bad
                assert (await desk.ask(line, "assess")).release == good
                workspace.store.hold("paint", good, "by hand", workspace.now())
                with pytest.raises(Exception, match="JM-731"):
                    await desk.ask(line, "serve")

        asyncio.run(run())


def test_answers_from_memory_are_forgotten_when_another_release_is_live_or_it_is_held(folder: Path) -> None:
    edit_task(folder, "route: {cache: {seconds: 3600}}\n")
    line = lines(1, 51)[0]
    with provider(folder, truth) as seen, serving(folder) as server, open_workspace(folder) as workspace:
        good, bad = hashes(workspace)
        with openai.OpenAI(base_url=server["openai"], api_key="none", max_retries=0) as client:

            def ask() -> tuple[str, str]:
                reply = client.chat.completions.with_raw_response.create(
                    model="task:paint", messages=[{"role": "user", "content": line}]
                )
                return str(reply.headers["x-journeyman-cache"]), str(reply.headers["x-journeyman-release"])

            assert [ask() for _ in range(2)] == [("miss", good), ("hit", good)]
            workspace.store.set_alias("paint", bad, "for a test", workspace.now())
            time.sleep(2 * FRESH_S)
            assert [ask() for _ in range(2)] == [("miss", bad), ("hit", bad)]
            workspace.store.set_alias("paint", good, "for a test", workspace.now())
            time.sleep(2 * FRESH_S)
            assert ask() == ("miss", good), "nothing of before comes back"
            workspace.store.hold("paint", good, "by hand", workspace.now())
            time.sleep(2 * FRESH_S)
            assert not seen
            assert [ask() for _ in range(2)] == [("miss", ""), ("hit", "")]
            assert len(seen) == 1
            workspace.store.resume("paint", "again", workspace.now())
            time.sleep(2 * FRESH_S)
            assert ask() == ("miss", good)
