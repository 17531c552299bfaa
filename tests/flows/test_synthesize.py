"""Rows made up by a teacher behind a real server: what is asked, kept, paid, and what a kill or the end of the money leaves."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from journeyman.core.canonical import dump
from journeyman.core.errors import DataError, ModelError
from journeyman.data.dataset import read_manifest, read_split
from journeyman.evaluation.asides import describe_asides
from journeyman.flows.assess import assess
from journeyman.flows.erasing import erase
from journeyman.flows.paid_calls import FIRST_WAIT_S
from journeyman.flows.prepare import import_sources, prepare_task
from journeyman.flows.synthesize import Options, forecast_synthesis, synthesize
from journeyman.flows.tune import tune
from journeyman.flows.workspace import open_workspace
from tests.flows.projects import COLOURS, journeyman, make_project, paint_rows, write_rows
from tests.flows.providers import provider
from tests.flows.test_routing import truth
from tests.tiny import write_tiny_llama

PRICES = "input_usd_per_million = 1000\noutput_usd_per_million = 2000\n"
Body = dict[str, Any]


def name_of(body: Body) -> str:
    return str(body.get("response_format", {}).get("json_schema", {}).get("name"))


def say(body: Body) -> tuple[int, str]:
    """Lines of the wanted colour where inputs are asked for, else the colour of a line."""
    if name_of(body) == "topics":
        return 200, json.dumps({"topics": [f"shed {body['seed']}", "boats"]})
    if name_of(body) != "inputs":
        return truth(body)
    text = str(body["messages"][-1]["content"])
    wanted = re.search(r'has colour "(\w+)"', text) or [text, "red"]
    draw = random.Random(int(body["seed"]) + 1000)
    lines = [str(row["input"]["line"]) for row in paint_rows(60, draw.randrange(1 << 30)) if wanted[1] in str(row)]  # type: ignore[index]
    count = int(re.search(r"Write (\d+) new", text)[1])  # type: ignore[index]
    return 200, json.dumps({"inputs": [{"line": line} for line in lines[:count]]})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty recorded rows, placed."""
    made = make_project(tmp_path / "project", Path("/nowhere.gguf"))
    write_rows(made / "train.jsonl", paint_rows(40, 1))
    with open_workspace(made) as workspace:
        import_sources(workspace, "paint", [str(made / "train.jsonl")])
        prepare_task(workspace, "paint")
    return made


def cost(seen: list[Body], answer: Callable[[Body], tuple[int, str]] = say) -> float:
    """What the provider charged, by its own count of words."""
    total = 0.0
    for body in seen:
        status, text = answer(body)
        words = sum(len(str(message["content"]).split()) for message in body["messages"])
        total += (words * 1000 + len(text.split()) * 2000) / 1e6 if status == 200 else 0.0
    return total


def test_rows_come_balanced_agreed_on_and_for_train_alone(folder: Path) -> None:
    with provider(folder, say, settings=PRICES) as seen, open_workspace(folder) as workspace:
        made = synthesize(workspace, "paint", Options(60, budget_usd=1000.0))
        assert (made.rows, made.why, made.unanimous) == (60, "complete", 60)
        assert set(made.by_value) == {dump(colour) for colour in COLOURS}
        assert max(made.by_value.values()) <= 25
        assert made.receipt.calls == len(seen)
        assert made.receipt.usd == pytest.approx(cost(seen))
        assert synthesize(workspace, "paint", Options(60, budget_usd=1000.0)).receipt == made.receipt
        assert made.receipt.calls == len(seen)

        before = read_manifest(workspace.store, "paint")[1]
        held_back = [row for split in ("dev", "calibration") for row in read_split(workspace.store, before, split)]
        sealed = workspace.store.rows([str(row[0]) for row in before["splits"]["test"]]).values()  # type: ignore[index, call-overload]
        asked = "".join(json.dumps(body["messages"]) for body in seen)
        assert not any(str(row.input["line"]) in asked for row in (*held_back, *sealed))

        prepared = prepare_task(workspace, "paint")
        assert prepared.manifest["synthetic"] == {"train": 60}
        assert any("60 of" in notice and "synthetic" in notice for notice in prepared.notices)
        traces = list(workspace.store.traces("paint", origins=("synthesize",)))
        assert len(traces) == 60
        recorded = {trace.id for trace in workspace.store.traces("paint", origins=("import",))}
        assert all(set(trace.meta["made_from"]) <= recorded for trace in traces)  # type: ignore[arg-type]
        assert all(trace.provenance == "synthesized by big" and trace.split == "train" for trace in traces)


def test_more_rows_continue_and_the_end_of_the_money_is_no_failure(folder: Path) -> None:
    with provider(folder, say, settings=PRICES) as seen, open_workspace(folder) as workspace:
        short = synthesize(workspace, "paint", Options(60, budget_usd=5.0))
        assert short.why == "the budget is spent"
        assert 0 < short.rows < 60
        assert short.receipt.usd == pytest.approx(cost(seen))
        assert short.receipt.usd <= 5
        whole = synthesize(workspace, "paint", Options(60, budget_usd=1000.0))
        assert (whole.rows, whole.why) == (60, "complete")
        assert len({dump(without_origin(body)) for body in seen}) == len(seen) == whole.receipt.calls
        assert sum(1 for _ in workspace.store.traces("paint", origins=("synthesize",))) == 60


def test_a_command_for_more_rows_asks_what_the_first_did_and_goes_on(folder: Path) -> None:
    with provider(folder, say) as seen, open_workspace(folder) as workspace:
        for rows in (7, 25, 60):
            made = synthesize(workspace, "paint", Options(rows))
            assert (made.rows, made.why, made.receipt.calls) == (rows, "complete", len(seen))
            assert sum(1 for _ in workspace.store.traces("paint", origins=("synthesize",))) >= rows
        asked = len(seen)
        assert len({dump(without_origin(body)) for body in seen}) == asked
        assert max(made.by_value.values()) <= 25
    with provider(folder, say) as seen, open_workspace(folder) as workspace:
        synthesize(workspace, "paint", Options(60, seed=1))
        assert abs(len(seen) - asked) < 20


def without_origin(body: Body) -> Body:
    return {name: value for name, value in body.items() if not name.startswith("_")}


@pytest.mark.parametrize("after", [3, 40])
def test_a_kill_repeats_no_call_and_keeps_the_budget(folder: Path, after: int) -> None:
    def slow(body: Body) -> tuple[int, str]:
        time.sleep(0.01)
        return say(body)

    with provider(folder, slow, settings=PRICES) as seen:
        command = [sys.executable, "-m", "journeyman", "synthesize", "paint", "--n", "40", "--budget", "200usd"]
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while len(seen) < after and process.poll() is None:
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        done = journeyman(folder, *command[3:], "--json")
        assert done.returncode == 0, done.stderr
        made = json.loads(done.stdout)
        assert (made["rows"], made["why"]) == (40, "complete")
        assert len({dump(without_origin(body)) for body in seen}) == len(seen)
        receipt = made["receipt"]
        assert receipt["calls"] >= len(seen)
        assert cost(seen) <= receipt["usd"] + 1e-9 <= 200
        assert receipt["lost"] <= 8


def test_what_the_teacher_is_not_sure_of_is_dropped(folder: Path) -> None:
    def fickle(body: Body) -> tuple[int, str]:
        if name_of(body) in ("inputs", "topics"):
            return say(body)
        return 200, json.dumps({"colour": COLOURS[int(body.get("seed") or 0) % 3], "many": False})

    with provider(folder, fickle) as _seen, open_workspace(folder) as workspace:
        made = synthesize(workspace, "paint", Options(20))
        assert (made.rows, made.why) == (0, "hardly anything new comes")
        assert made.dropped["the teacher disagrees with itself"] > 20
        assert made.receipt.usd == 0.0


def test_what_the_judge_finds_wrong_is_dropped(folder: Path) -> None:
    def judged(body: Body) -> tuple[int, str]:
        if name_of(body) == "verdict":
            is_right = "red" not in str(body["messages"][-1]["content"]).split("answered:")[1]
            return 200, json.dumps({"wrong": "", "is_right": is_right})
        return say(body)

    with provider(folder, judged), open_workspace(folder) as workspace:
        made = synthesize(workspace, "paint", Options(15, is_judged=True, samples=1))
        assert dump("red") not in made.by_value
        assert made.dropped["judged to be wrong"] > 0


def test_a_key_that_is_refused_costs_nothing_and_can_be_mended(folder: Path) -> None:
    state = {"is_open": False}

    def door(body: Body) -> tuple[int, str]:
        return say(body) if state["is_open"] else (401, "who are you?")

    with provider(folder, door, settings=PRICES), open_workspace(folder) as workspace:
        with pytest.raises(ModelError, match="401"):
            synthesize(workspace, "paint", Options(10, budget_usd=1000.0))
        state["is_open"] = True
        made = synthesize(workspace, "paint", Options(10, budget_usd=1000.0))
        assert (made.rows, made.receipt.failed, made.receipt.lost) == (10, 0, 0)


def test_a_refused_try_is_made_again_and_costs_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("journeyman.flows.paid_calls.FIRST_WAIT_S", FIRST_WAIT_S / 100)
    tried: Counter[str] = Counter()

    def busy(body: Body) -> tuple[int, str]:
        tried[dump(without_origin(body))] += 1
        return say(body) if tried[dump(without_origin(body))] > 1 else (503, "busy")

    with provider(folder, busy, settings=PRICES) as seen, open_workspace(folder) as workspace:
        made = synthesize(workspace, "paint", Options(10, budget_usd=1000.0))
        assert made.rows == 10
        assert made.receipt.failed == len(seen) / 2
        assert made.receipt.usd == pytest.approx(cost(seen) / 2)


def test_money_is_limited_before_it_is_spent(folder: Path) -> None:
    with provider(folder, say, settings=PRICES) as seen, open_workspace(folder) as workspace:
        with pytest.raises(DataError, match="JM-360"):
            synthesize(workspace, "paint", Options(60))
        told = forecast_synthesis(workspace, "paint", Options(60))
        assert told.forecast.usd is not None
        assert not seen
        made = synthesize(workspace, "paint", Options(60, budget_usd=1000.0))
        assert 0.5 < made.receipt.calls / told.forecast.calls < 1.5
    settings = folder / "journeyman.toml"
    settings.write_text(
        settings.read_text() + '\n[teacher]\nmodel = "big"\nurl = "https://llm.example.org/v1"\napi_key_env = "PATH"\n'
    )
    with open_workspace(folder) as workspace, pytest.raises(DataError, match="JM-361"):
        synthesize(workspace, "paint", Options(60, budget_usd=5.0))


def test_a_few_examples_without_a_dataset_leave_some_for_measuring(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "project", Path("/nowhere.gguf"))
    write_rows(folder / "train.jsonl", paint_rows(20, 1))
    with provider(folder, say), open_workspace(folder) as workspace:
        import_sources(workspace, "paint", [str(folder / "train.jsonl")])
        made = synthesize(workspace, "paint", Options(30))
        assert made.examples == 12
        prepared = prepare_task(workspace, "paint")
        assert prepared.manifest["synthetic"] == {"train": 30}
        assert prepared.count("test") >= 1
        assert prepared.count("train") >= 42


def test_a_local_model_teaches_for_nothing(folder: Path, tmp_path: Path) -> None:
    """It knows nothing, so what is shown is that it is asked, bound to the schema, and that it comes to an end."""
    teacher = write_tiny_llama(tmp_path / "teacher.gguf", context=4096)
    done = journeyman(folder, "synthesize", "paint", "--n", "2", "--teacher", str(teacher), "--samples", "1", "--json")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["receipt"]["usd"] == 0
    assert made["forecast"]["usd"] is None
    assert made["receipt"]["calls"] >= 1
    assert made["rows"] == 2 or made["why"] == "hardly anything new comes"


def test_the_command_says_what_was_made(folder: Path) -> None:
    with provider(folder, say, settings=PRICES):
        done = journeyman(folder, "synthesize", "paint", "--n", "12", "--budget", "$500")
    assert done.returncode == 0, done.stderr
    assert "12 of 12 rows for train" in done.stdout
    assert re.search(r"receipt: \d+ calls", done.stdout)
    assert "next: journeyman prepare paint" in done.stdout


def test_sealed_rows_that_were_made_up_are_told_wherever_the_verdict_is(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "project", Path("/nowhere.gguf"))
    task = folder / "tasks/paint.yaml"
    task.write_text(task.read_text().replace("against: floor\n  floor: 0.99", "against: agreement\n  margin: 0.05"))
    with provider(folder, say), open_workspace(folder) as workspace:
        import_sources(workspace, "paint", [str(folder / "train.jsonl")])
        synthesize(workspace, "paint", Options(20, into="test"))
        prepared = prepare_task(workspace, "paint")
        assert prepared.manifest["synthetic"] == {"test": 20}
        tune(workspace, "paint", {"kind": "head", "features": "words"})
        document = assess(workspace, "paint").document
        assert document.dataset.synthetic == {"test": 20}
        assert any("made up" in line for line in describe_asides(document))


def test_rows_aim_at_what_the_student_errs_in_and_dev_rows_stay_unseen(folder: Path) -> None:
    with provider(folder, say) as seen, open_workspace(folder) as workspace:
        with pytest.raises(DataError, match="JM-385"):
            synthesize(workspace, "paint", Options(20, is_aimed=True))
        tune(workspace, "paint", {"kind": "head", "features": "none"})
        dev = assess(workspace, "paint").dev
        made = synthesize(workspace, "paint", Options(20, is_aimed=True))
        assert made.rows == 20
        assert sum(spot.errors for spot in made.spots) == sum(item.target != row.expected for row, item in dev)
        asked = [str(body["messages"][-1]["content"]) for body in seen if name_of(body) == "inputs"]
        wanted = {value for text in asked for value in re.findall(r"has (\w+) \S+\. They", text)}
        assert wanted == {spot.field for spot in made.spots if spot.kind == "taken for another"}
        assert not any(str(row.input["line"]) in text for text in asked for row, _item in dev)


def test_erasing_an_example_takes_what_was_made_from_it(folder: Path) -> None:
    with provider(folder, say), open_workspace(folder) as workspace:
        synthesize(workspace, "paint", Options(40))
        made = list(workspace.store.traces("paint", origins=("synthesize",)))
        sources = Counter(str(id) for trace in made for id in trace.meta["made_from"])  # type: ignore[union-attr]
        (rarest, count) = sources.most_common()[-1]
        erased = erase(workspace, id=rarest)
        assert (erased.calls, erased.synthetic) == ({"paint": 1}, {"paint": count})
        left = list(workspace.store.traces("paint", origins=("synthesize",)))
        assert len(left) == len(made) - count
        assert not any(rarest in trace.meta["made_from"] for trace in left)  # type: ignore[operator]
