"""What is kept of calls, for how long, and how they are erased through datasets and releases."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from journeyman.core.canonical import Json
from journeyman.core.errors import StoreError
from journeyman.core.example import object_target
from journeyman.core.person import hash_person
from journeyman.core.trace import Trace
from journeyman.data.candidates import read_trace
from journeyman.data.dataset import count_erased, read_manifest, read_split
from journeyman.flows.assess import assess
from journeyman.flows.erasing import count_learned, erase, erase_old
from journeyman.flows.prepare import import_sources, prepare_task
from journeyman.flows.releases import release
from journeyman.flows.reports import report
from journeyman.flows.retention import retaining
from journeyman.flows.states import read_states
from journeyman.flows.tune import tune
from journeyman.flows.watching import watch
from journeyman.flows.workspace import Workspace, open_workspace
from tests.flows.projects import journeyman, make_project, paint_rows, serving, write_rows
from tests.flows.providers import provider
from tests.flows.test_routing import CALIBRATION, UNSURE, ask, lines, recorded, truth

OLD, NEW = "2026-01-02T03:04:05+00:00", "2126-01-02T03:04:05+00:00"


def made_of(name: str, count: int, seed: int, task_hash: str) -> list[Trace]:
    """Calls of a key that the teacher answered."""
    return [
        Trace(f"trace-{name}-{number}", "paint", OLD, "serve", row["input"], (), object_target(row["gold"]), instruction_hash=task_hash, meta={"key": name, "person": hash_person(name)})  # type: ignore[arg-type]
        for number, row in enumerate(paint_rows(count, seed))
    ]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A released head on words, trained on imported rows and on calls of two keys, with a promise."""
    folder = make_project(tmp_path_factory.mktemp("records") / "project", Path("/nowhere.gguf"), settings=CALIBRATION)
    for name, rows, seed in (("train", 500, 1), ("sealed", 60, 2)):
        write_rows(folder / f"{name}.jsonl", [row | {"output": row["gold"]} for row in paint_rows(rows, seed)])
    with open_workspace(folder) as workspace:
        import_sources(workspace, "paint", [str(folder / "sealed.jsonl")], split="test")
        import_sources(workspace, "paint", [str(folder / "train.jsonl")])
        known = workspace.task("paint").instruction_hash
        workspace.store.add_traces(made_of("ada", 40, 11, known) + made_of("bob", 30, 12, known))
        shared = made_of("ada", 41, 11, known)[-1]  # both asked the same
        workspace.store.add_traces([shared, Trace(**{name: getattr(shared, name) for name in shared.__slots__} | {"id": "trace-bob-shared", "meta": {"key": "bob"}})])  # fmt: skip
        prepare_task(workspace, "paint")
        tune(workspace, "paint", {"kind": "head", "features": "words"})
        assess(workspace, "paint")
        release(workspace, "paint", force="to erase what it learned")
    return folder


def add(folder: Path, text: str) -> None:
    task = folder / "tasks/paint.yaml"
    task.write_text(task.read_text() + text)


def inputs(workspace: Workspace) -> dict[str, set[str]]:
    _hash, manifest = read_manifest(workspace.store, "paint")
    return {
        name: {str(row.input["line"]) for row in read_split(workspace.store, manifest, name, purpose="assess")}
        for name in ("train", "dev", "calibration", "test")
    }


@pytest.mark.parametrize(("sample", "audit"), [(0.0, 0.0), (0.5, 0.0), (0.0, 1.0)])
def test_of_the_students_own_answers_a_share_is_kept_and_of_others_all(
    folder: Path, sample: float, audit: float
) -> None:
    add(folder, f"route: {{audit: {audit}}}\nrecords: {{sample: {sample}}}\n")
    with provider(folder, truth), open_workspace(folder) as workspace:
        before = len(recorded(workspace))
        said = ask(workspace, [*lines(60, 7), UNSURE])
        calls = list(workspace.store.traces("paint", origins=("serve",)))[before:]
        sure = [trace for trace, by in zip(calls, said, strict=True) if by == "student: sure"]
        others = [trace for trace, by in zip(calls, said, strict=True) if by != "student: sure"]
        assert len(sure) > 30
        assert UNSURE in {trace.input["line"] for trace in others}
        assert all(trace.has_content and trace.input and trace.output for trace in others)
        bare = [trace for trace in sure if not trace.has_content]
        assert len(bare) == len(sure) if not (sample or audit) else 0 <= len(bare) < len(sure)
        assert bool(bare) == (audit == 0)
        for trace in bare:
            assert (trace.input, trace.messages, trace.output) == ({}, (), None)
            assert trace.latency_ms
            assert trace.verdicts["route"]["by"] == "student"  # type: ignore[call-overload, index]
            assert not any(str(trace.to_json()).count(line) for line in lines(60, 7))
        funnel: Any = prepare_task(workspace, "paint").funnel
        assert funnel["set_aside"].get("calls of which the numbers alone were kept", 0) == len(bare)
        assert not watch(workspace, "paint").reason


def test_how_long_and_how_many_is_no_part_of_the_task(workspace: Workspace) -> None:
    before = workspace.task("paint")
    add(workspace.project.root, "records: {sample: 0.25, keep_days: 30}\n")
    after = workspace.task("paint")
    assert (after.records.sample, after.records.keep_days) == (0.25, 30)
    assert (before.to_json(), before.instruction_hash) == (after.to_json(), after.instruction_hash)


def test_a_key_is_erased_through_dataset_and_release(workspace: Workspace) -> None:
    store, hash = workspace.store, workspace.store.alias("paint")
    dataset, manifest = read_manifest(store, "paint")
    before = inputs(workspace)
    asked = {str(trace.input["line"]) for trace in store.calls_of(key="ada")}
    shared = {str(trace.input["line"]) for trace in store.calls_of(id="trace-bob-shared")}
    assert len(asked) == 41
    assert shared < asked
    dry = erase(workspace, key="ada", is_dry=True)
    assert inputs(workspace) == before
    assert not store.tombstones("paint")
    done = erase(workspace, key="ada")
    assert done == dry
    assert (done.calls, done.rows) == ({"paint": 41}, 40)
    (touched,) = done.touched
    assert (touched.dataset, touched.releases) == (dataset, (hash,))
    assert sum(touched.rows.values()) == 40
    assert dict(touched.rows) == count_erased(store, manifest)
    gone = asked - shared
    after = inputs(workspace)
    assert after == {split: found - gone for split, found in before.items()}, "the dataset is read without them"
    assert list(store.calls_of(key="ada")) == []
    assert len(list(store.calls_of(key="bob"))) == 31
    assert count_learned(workspace, "paint", str(hash)) == 40
    assert [state.erased for state in read_states(workspace)] == [40]
    assert "40 rows of this dataset were erased after it was made" in report(workspace, "paint").read_text()
    assert erase(workspace, key="ada").calls == {}
    prepare_task(workspace, "paint")
    assert not gone & {line for lines_ in inputs(workspace).values() for line in lines_}
    assert read_manifest(workspace.store, "paint")[0] != dataset


def test_an_erased_row_that_comes_again_stays_out(workspace: Workspace, tmp_path: Path) -> None:
    store = workspace.store
    _hash, manifest = read_manifest(store, "paint")
    row = read_split(store, manifest, "train")[0]
    trace = next(trace for trace in store.traces("paint", origins=("import",)) if trace.input == row.input)
    assert erase(workspace, id=trace.id).rows == 1
    import_sources(workspace, "paint", [str(workspace.project.root / "train.jsonl")])
    assert store.trace(trace.id) is not None
    funnel: Any = prepare_task(workspace, "paint").funnel
    assert funnel["set_aside"]["erased"] == 1


def test_a_call_goes_with_its_audit(workspace: Workspace) -> None:
    store = workspace.store
    trace = next(store.calls_of(key="bob"))
    fields = {name: getattr(trace, name) for name in trace.__slots__}
    store.add_traces([Trace(**fields | {"id": "trace-audit", "origin": "audit", "meta": {"of": trace.id}})])
    assert erase(workspace, id=trace.id).calls == {"paint": 2}
    assert store.trace("trace-audit") is None


def test_synthetic_rows_go_with_the_calls_that_they_were_made_from(workspace: Workspace) -> None:
    store, known = workspace.store, workspace.task("paint").instruction_hash
    ada, bob = (next(store.calls_of(key=name)).id for name in ("ada", "bob"))
    sources: dict[str, Json] = {
        "of-both": [bob, ada],
        "of-bob": [bob],
        "of-that": ["trace-synthetic-of-both"],
        "of-none": [],
        "unsaid": "trace-ada-0",
    }
    rows = [
        Trace(f"trace-synthetic-{name}", "paint", OLD, "synthesize", {"line": f"a made-up line {name}"}, (), object_target({"colour": "red", "many": True}), instruction_hash=known, meta={"made_from": ids})
        for name, ids in reversed(sources.items())
    ]  # fmt: skip
    store.add_traces(rows)
    examples = [read_trace(workspace.task("paint"), trace)[0] for trace in rows]
    hashes = {str(row.input["line"]).removeprefix("a made-up line "): row.hash for row in examples}
    dataset, manifest = read_manifest(store, "paint")
    splits: Any = manifest["splits"]
    train = [*splits["train"], *([row.hash, 1, row.hash] for row in examples)]
    store.add_rows("paint", examples)
    store.add_dataset("paint", "d" * 64, {**manifest, "splits": {**splits, "train": train}}, NEW)
    dry = erase(workspace, key="ada", is_dry=True)
    assert len(list(store.traces("paint", origins=("synthesize",)))) == 5
    done = erase(workspace, key="ada")
    assert done == dry
    assert (done.calls, done.synthetic, done.rows) == ({"paint": 41}, {"paint": 2}, 42)
    left = {trace.id.removeprefix("trace-synthetic-") for trace in store.traces("paint", origins=("synthesize",))}
    assert left == {"of-bob", "of-none", "unsaid"}
    assert {name for name, hash in hashes.items() if hash in store.tombstones("paint")} == {"of-both", "of-that"}
    assert {item.dataset: sum(item.rows.values()) for item in done.touched} == {dataset: 40, "d" * 64: 42}


def test_what_was_killed_half_way_is_done_by_the_next(workspace: Workspace) -> None:
    store, folder = workspace.store, workspace.project.root
    store.add_traces(made_of("ada", 4000, 21, workspace.task("paint").instruction_hash)[41:])
    total, known = store.count_traces("paint"), len(list(store.calls_of(key="ada")))
    with subprocess.Popen([sys.executable, "-m", "journeyman", "erase", "--key", "ada"], cwd=folder) as child:
        while child.poll() is None and store.count_traces("paint") == total:
            pass
        child.kill()
    left = len(list(store.calls_of(key="ada")))
    assert left < known
    assert len(store.tombstones("paint")) == 3999, "rows are marked before the first call goes"
    assert erase(workspace, key="ada").calls == ({"paint": left} if left else {})
    assert list(store.calls_of(key="ada")) == []
    assert count_learned(workspace, "paint", str(store.alias("paint"))) == 40


def test_old_calls_go_and_their_rows_stay(workspace: Workspace) -> None:
    store = workspace.store
    before = inputs(workspace)
    with pytest.raises(StoreError, match="JM-825"):
        erase_old(workspace, "paint")
    add(workspace.project.root, "records: {keep_days: 30}\n")
    store.add_traces([Trace("trace-new", "paint", NEW, "serve", {"line": "x"}, (), None)])
    imported = len(recorded(workspace, "import"))
    assert erase_old(workspace, "paint", is_dry=True).calls == {"paint": 72}
    assert erase_old(workspace, "paint").calls == {"paint": 72}
    assert [trace.id for trace in recorded(workspace)] == ["trace-new"]
    assert len(recorded(workspace, "import")) == imported
    assert inputs(workspace) == before
    assert erase_old(workspace, "model:big", 30).calls == {}


def test_while_it_runs_the_server_deletes_what_is_too_old(workspace: Workspace) -> None:
    add(workspace.project.root, "records: {keep_days: 30}\n")
    store, asleep = workspace.store, threading.Event()
    with retaining(workspace, workspace.tasks(), every_s=0.05):
        for name in ("first", "second"):
            store.add_traces([Trace(f"trace-{name}", "paint", OLD, "serve", {"line": "x"}, (), None)])
            for _ in range(600):
                if not recorded(workspace):
                    break
                asleep.wait(0.05)
            assert recorded(workspace) == [], name


async def _say(url: str, trace: str) -> int:
    async with aiohttp.ClientSession() as http, http.post(f"{url}/v1/feedback", json={"trace": trace, "verdict": "down", "answer": {"colour": "red", "many": True}}) as reply:  # fmt: skip
        return reply.status


def test_the_commands(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-the-projects-own")
    add(folder, "records: {keep_days: 30}\n")
    with provider(folder, truth), serving(folder) as said, openai.OpenAI(base_url=said["openai"], api_key="none", max_retries=0) as client:  # fmt: skip
        raw = client.chat.completions.with_raw_response.create(model="task:paint", messages=[{"role": "user", "content": "two red"}], user="ada@example.org")  # fmt: skip
        client.chat.completions.create(model="big", messages=[{"role": "user", "content": "two red"}], safety_identifier="ada@example.org")  # fmt: skip
        trace = raw.headers["x-journeyman-trace"]
        assert asyncio.run(_say(said["url"], trace)) == 200
    with open_workspace(folder) as workspace:
        assert [call.task for call in workspace.store.calls_of(person=hash_person("ada@example.org"))] == ["paint", "model:big"]  # fmt: skip
        found = workspace.store.trace(trace)
        assert found is not None
        assert found.correction == object_target({"colour": "red", "many": True})
        assert "ada@example.org" not in json.dumps(found.to_json())
        assert not list(workspace.store.calls_of(key="bob")), "the server had them deleted: they were too old"
    for arguments in ((), ("--key", "a", "--user", "b"), ("--key", "a", "--older-than-days", "3")):
        assert journeyman(folder, "erase", *arguments).returncode == 2
    for extra in ("--dry-run", ""):
        done = journeyman(folder, "erase", "--user", "ada@example.org", "--json", *([extra] if extra else []))
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert (told["calls"], told["is_dry_run"]) == ({"model:big": 1, "paint": 1}, bool(extra))
    told = journeyman(folder, "erase", "--user", "ada@example.org")
    assert "no such calls" in told.stdout
    with open_workspace(folder) as workspace:
        assert workspace.store.trace(trace) is None
        known = workspace.task("paint").instruction_hash
        workspace.store.add_traces(made_of("ada", 40, 11, known))
    assert "was trained or measured with them" in journeyman(folder, "erase", "--key", "ada").stdout
    assert "of its rows erased" in journeyman(folder, "status").stdout
    done = journeyman(folder, "erase", "--task", "paint", "--older-than-days", "0", "--json")
    assert json.loads(done.stdout)["datasets"] == []
