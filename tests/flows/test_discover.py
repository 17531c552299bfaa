"""From raw traffic to task files that import it, and the small form of benchmarks/discover.py."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from journeyman.core.errors import DataError, TaskError
from journeyman.core.example import text_target
from journeyman.core.messages import make_message
from journeyman.core.trace import Trace
from journeyman.flows.discover import Discovery, discover, write_tasks
from journeyman.flows.prepare import import_sources
from journeyman.flows.workspace import Workspace, open_workspace
from tests.flows.projects import journeyman, write_rows

ROOT = Path(__file__).resolve().parent.parent.parent
TREES = "alder birch cedar dogwood elm fir gorse hazel ivy juniper kauri larch maple nutmeg oak pine rowan spruce teak willow"
SORT = "Sort the visitor's note by what must be done: plant, cut or wait."
ASK = "Extract tree and age from the letter as JSON.\n\nLetter: {letter}\n\nSigned: {signed}"


def words(draw: random.Random, least: int = 4) -> str:
    return " ".join(draw.choice(TREES.split()) for _ in range(draw.randint(least, least + 9)))


def row(draw: random.Random, number: int, messages: list[tuple[str, str]], answer: str) -> dict[str, Any]:
    return {
        "request": {"model": "big", "messages": [{"role": role, "content": text} for role, text in messages]},
        "response": {
            "id": f"call-{number}",
            "created": 1_770_000_000 + 60 * number,
            "model": "big",
            "choices": [{"message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 10},
        },
    }


def traffic() -> list[dict[str, Any]]:
    """300 notes to sort, 240 letters, 100 chats."""
    draw, rows = random.Random(1), list[dict[str, Any]]()
    for number in range(640):
        kind = number % 32
        if kind < 15:
            rows.append(
                row(draw, number, [("system", SORT), ("user", words(draw))], draw.choice(("plant", "cut", "wait")))
            )
        elif kind < 27:
            mail = f"{draw.choice('abc')}{number}@example.org" if number % 2 else ""
            letter = ASK.format(letter=f"{words(draw)} {mail} {words(draw)}", signed=words(draw, 1))
            rows.append(row(draw, number, [("user", letter)], json.dumps({"tree": words(draw, 1), "age": number})))
        else:
            rows.append(
                row(draw, number, [("system", "You are a helpful assistant."), ("user", words(draw))], words(draw))
            )
    return rows


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "journeyman.toml").write_text("")
    write_rows(tmp_path / "calls.jsonl", traffic())
    with open_workspace(tmp_path) as opened:
        yield opened


def look(workspace: Workspace, *names: str) -> Discovery:
    return discover(workspace, [name if ":" in name else str(workspace.project.root / name) for name in names])


def test_a_file_of_calls_shows_its_tasks_and_their_files_import_it(workspace: Workspace) -> None:
    found = look(workspace, "calls.jsonl")
    assert (found.calls, found.rest.calls, found.measure, found.unread) == (640, 100, "tokens", {})
    notes, letters = sorted(found.found, key=lambda item: -item.group.tally.calls)
    assert (notes.verdict.worth, letters.verdict.worth) == ("yes", "yes")
    assert (letters.group.draft.fields, letters.group.draft.prompt) == (("letter", "signed"), ASK)
    assert notes.share == pytest.approx(300 / 640)
    paths = write_tasks(workspace, found, [f"notes={notes.group.number}", f"letters={letters.group.number}"])
    assert [path.name for path in paths] == ["notes.yaml", "letters.yaml"]
    task = workspace.task("letters")
    assert task.schema is not None
    assert task.schema["required"] == ["tree", "age"]
    for name, item in (("notes", notes), ("letters", letters)):
        report = import_sources(workspace, name, [str(workspace.project.root / "calls.jsonl")])
        assert report.added >= 0.95 * item.group.tally.calls
        assert report.added == item.group.tally.calls


def test_recorded_calls_become_the_written_tasks(workspace: Workspace) -> None:
    draw = random.Random(2)
    messages = [(make_message("system", SORT), make_message("user", words(draw))) for _ in range(60)]
    answers = [text_target(draw.choice(("plant", "cut", "wait"))) for _ in messages]
    workspace.store.add_traces(
        Trace(
            f"t{n}",
            "model:big",
            f"2026-01-01T00:{n:02d}:00+00:00",
            "serve",
            {},
            said,
            answer,
            model="big",
            cost_usd=0.01,
            latency_ms=20.0,
        )
        for n, (said, answer) in enumerate(zip(messages, answers, strict=True))
    )
    found = look(workspace)
    (item,) = found.found
    assert found.sources == ("model:big",)
    assert (item.verdict.worth, found.measure) == ("later", "spend")
    assert item.group.tally.cost_usd == pytest.approx(0.6)
    assert item.group.tally.latency_ms.median == 20.0
    write_tasks(workspace, found, ["notes=1"])
    report = import_sources(workspace, "notes", ["model:big"])
    assert (report.added, report.quarantined) == (60, 0)


def test_costs_come_from_the_projects_prices_or_are_not_known(workspace: Workspace) -> None:
    assert look(workspace, "calls.jsonl").found[0].group.tally.cost_usd is None
    (workspace.project.root / "journeyman.toml").write_text(
        "[teacher]\ninput_usd_per_million = 10.0\noutput_usd_per_million = 100.0\n"
    )
    with open_workspace(workspace.project.root) as priced:
        found = look(priced, "calls.jsonl")
    assert found.measure == "spend"
    assert found.total == pytest.approx(640 * (100 * 10 + 10 * 100) / 1e6)


def test_a_group_that_no_task_file_can_say_is_told(workspace: Workspace, tmp_path: Path) -> None:
    draw = random.Random(3)
    turns = [("user", "oak"), ("assistant", "a tree"), ("user", "and ivy")]
    rows = [
        row(draw, n, [("system", SORT), *turns, ("assistant", words(draw)), ("user", words(draw))], "wait")
        for n in range(40)
    ]
    write_rows(tmp_path / "turns.jsonl", rows)
    found = look(workspace, "turns.jsonl")
    assert found.found[0].verdict.worth == "no"
    assert "earlier turns" in found.found[0].verdict.reasons[0]
    with pytest.raises(DataError, match="a task file cannot say this group"):
        write_tasks(workspace, found, ["turns=1"])


def test_a_system_text_that_changes_from_call_to_call_waits(workspace: Workspace, tmp_path: Path) -> None:
    draw = random.Random(4)
    rows = [
        row(draw, n, [("system", f"This is request {n * n} of the park. {SORT}"), ("user", words(draw))], "wait")
        for n in range(300)
    ]
    write_rows(tmp_path / "stamped.jsonl", rows)
    (item,) = look(workspace, "stamped.jsonl").found
    assert item.verdict.worth == "later"
    assert "send what changes in the user message" in " ".join(item.verdict.reasons)
    assert item.group.draft.instruction == f"This is request … of the park. {SORT}"


def test_nothing_is_written_over_or_half(workspace: Workspace) -> None:
    found = look(workspace, "calls.jsonl")
    tasks = workspace.project.tasks
    (tasks / "notes.yaml").write_text("mine")
    for wishes, code in (
        (["new=1", "notes=2"], "JM-262"),
        (["new=1", "other=9"], "JM-364"),
        (["New=1"], "JM-261"),
        (["same=1", "same=2"], "JM-366"),
    ):
        with pytest.raises((DataError, TaskError)) as caught:
            write_tasks(workspace, found, wishes)
        assert caught.value.code == code
    assert [path.name for path in tasks.iterdir()] == ["notes.yaml"]
    assert (tasks / "notes.yaml").read_text() == "mine"
    assert len(write_tasks(workspace, found, ["all"])) == 2


def test_rows_without_a_call_are_counted_and_no_call_is_an_error(workspace: Workspace, tmp_path: Path) -> None:
    lines = [json.dumps(item) for item in traffic()[:50]] + [
        "not json",
        json.dumps({"input": "oak", "output": "tree"}),
        "",
    ]
    (tmp_path / "mixed.jsonl").write_text("\n".join(lines))
    found = look(workspace, "mixed.jsonl")
    assert found.calls == 50
    assert sum(found.unread.values()) == 2
    write_rows(tmp_path / "pairs.jsonl", [{"input": "oak", "output": "tree"}])
    for name in ("pairs.jsonl", "model:none"):
        with pytest.raises(DataError, match="there is no call to look at"):
            look(workspace, name)
    with pytest.raises(DataError, match="JM-301"):
        look(workspace, "absent.jsonl")


def test_the_command_says_one_document_without_personal_data(workspace: Workspace) -> None:
    folder = workspace.project.root
    done = journeyman(folder, "discover", "calls.jsonl", "--json", "--write", "all")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert "@example.org" not in done.stdout
    assert [item["worth"] for item in document["groups"]] == ["yes", "yes"]
    assert document["worth_share"] == pytest.approx(540 / 640)
    assert sorted(Path(path).stem for path in document["written"]) == sorted(
        path.stem for path in (folder / "tasks").iterdir()
    )
    shown = journeyman(folder, "discover", "calls.jsonl")
    assert "2 worth a student" in shown.stdout
    assert "next: journeyman discover calls.jsonl --write" in shown.stdout


@pytest.mark.slow
def test_prompts_are_found_in_made_traffic() -> None:
    command = [sys.executable, str(ROOT / "benchmarks/discover.py"), "--small", "--only", "fresh", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (measured,) = json.loads(done.stdout)["sets"]
    assert measured["share"] >= 0.95
    assert measured["rival"] < measured["share"]
    assert measured["found"] == 20


def test_every_arrangement_that_can_be_imported_is_read(workspace: Workspace) -> None:
    rows = traffic()
    folder = workspace.project.root
    (folder / "array.json").write_text(json.dumps(rows, indent=1))
    flat = [item["request"]["messages"] + [item["response"]["choices"][0]["message"]] for item in rows]
    pq.write_table(pa.Table.from_pylist([{"messages": messages} for messages in flat]), folder / "calls.parquet")
    whole = discover(workspace, (str(folder / "calls.jsonl"),))
    for name in ("array.json", "calls.parquet"):
        found = discover(workspace, (str(folder / name),))
        assert [item.group.draft.instruction for item in found.found] == [
            item.group.draft.instruction for item in whole.found
        ]
        assert [item.group.tally.calls for item in found.found] == [item.group.tally.calls for item in whole.found]


def test_a_system_text_longer_than_the_sample_keeps_is_found_and_written_whole(
    workspace: Workspace, tmp_path: Path
) -> None:
    draw = random.Random(5)
    long = "Sort the parcel notes by colour. " + " ".join(f"Rule {number}: keep it tidy." for number in range(700))
    assert len(long) > 12_000
    rows = [
        row(draw, number, [("system", long), ("user", f"Note: {words(draw)}")], words(draw, 1)) for number in range(40)
    ]
    write_rows(tmp_path / "long.jsonl", rows)
    found = look(workspace, "long.jsonl")
    (item,) = found.found
    assert (item.group.tally.calls, item.group.tally.instructed, found.rest.calls) == (40, 40, 0)
    (path,) = write_tasks(workspace, found, ["long=1"])
    assert workspace.task("long").instruction == long
    assert path.name == "long.yaml"
