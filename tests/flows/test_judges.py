"""Judges of a task's metrics: measured against labels of people over a real server, kept, and only then let near a gate."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

import pytest
from aiohttp import web

from journeyman.cli.compare import print_comparison
from journeyman.cli.judge import judge
from journeyman.core.errors import DataError, GateError, TaskError
from journeyman.core.example import object_target
from journeyman.evaluation.judged import load_measurement
from journeyman.flows.assess import assess, find_assessed
from journeyman.flows.compare import compare
from journeyman.flows.comparing import compare_runs
from journeyman.flows.judges import choose_judge, find_groups, measure_judge, read_labels
from journeyman.flows.ladder import climb
from journeyman.flows.panel import Panel, make_contest
from journeyman.flows.tune import tune
from journeyman.flows.workspace import Workspace, open_workspace
from journeyman.measure.metrics import Pair
from journeyman.task.grid import Grid
from tests.flows.projects import COLOURS, fill_project, journeyman, make_project, paint_rows, write_rows
from tests.tiny import write_tiny_llama

Rule = Callable[[str, str, str], str]
GATE = "gate: {metric: right, against: teacher, margin: 0.05}\n"
SHOWN = "gate: {against: teacher, margin: 0.05}\n"
METRICS = "metrics:\n  right: {kind: judge, rubric: The better answer names the colour of the line., model: %s}\n"


@dataclass
class Server:
    """A chat API on loopback that answers by a rule on request, first and second answer; a rule's text may be a status."""

    rule: Rule
    delay_s: float = 0.0
    url: str = ""
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        text = body["messages"][-1]["content"]
        self.asked.append(text)
        await asyncio.sleep(self.delay_s)
        parts = [part.split("===\n")[1].removesuffix("\n") for part in text.split("\n=== ")[:3]]
        said = self.rule(*parts)
        if said.isdigit():
            return web.Response(status=int(said), text="not now")
        message = {"role": "assistant", "content": said}
        return web.json_response({"choices": [{"index": 0, "finish_reason": "stop", "message": message}]})


@contextmanager
def serving(rule: Rule, host: str = "127.0.0.1", delay_s: float = 0.0) -> Iterator[Server]:
    server, loop, ready = Server(rule, delay_s), asyncio.new_event_loop(), threading.Event()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.answer)
    runner = web.AppRunner(app)

    async def start() -> None:
        await runner.setup()
        await web.TCPSite(runner, host, 0).start()
        server.url = f"http://{host}:{runner.addresses[0][1]}/v1"
        ready.set()

    def work() -> None:
        loop.run_until_complete(start())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert ready.wait(10)
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def better(name: str) -> str:
    return json.dumps({"better": name})


def knows(request: str, first: str, second: str) -> str:
    """A judge that knows its trade."""
    hits = [json.loads(text)["colour"] in request.split() for text in (first, second)]
    return better("tie" if hits[0] == hits[1] else "first" if hits[0] else "second")


def label_lines(count: int, seed: int = 3, ties: int = 0) -> list[dict[str, object]]:
    """The right colour stands first in every other line; the last ``ties`` pairs are equally wrong."""
    lines: list[dict[str, object]] = []
    for place, row in enumerate(paint_rows(count, seed)):
        gold = row["gold"]
        assert isinstance(gold, dict)
        others = [colour for colour in COLOURS if colour != gold["colour"]]
        right, wrong = gold, gold | {"colour": others[0]}
        if place >= count - ties:
            lines.append(
                {"input": row["input"], "first": wrong, "second": gold | {"colour": others[1]}, "better": "tie"}
            )
        elif place % 2:
            lines.append({"input": row["input"], "first": wrong, "second": right, "better": 2})
        else:
            lines.append({"input": row["input"], "first": right, "second": wrong, "better": 1})
    return lines


def write_task(folder: Path, gate: str, model: str = "teacher", more: str = "") -> None:
    task = folder / "tasks/paint.yaml"
    task.write_text(task.read_text().split("gate:")[0] + gate + METRICS % model + more)


def write_settings(folder: Path, url: str, more: str = "") -> None:
    (folder / "journeyman.toml").write_text(f'[teacher]\nmodel = "big"\nurl = "{url}"\n{more}')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Words tell everything here, and no student's model is there; the teacher is wrong on every tenth row."""
    folder = make_project(tmp_path / "project", Path("/nowhere.gguf"))
    for name, rows, seed in (("train", 240, 1), ("sealed", 120, 2)):
        recorded = [
            {
                "input": row["input"],
                "gold": row["gold"],
                "output": {"colour": "blue", "many": True} if place % 10 == 0 else row["gold"],
            }
            for place, row in enumerate(paint_rows(rows, seed))
        ]
        write_rows(folder / f"{name}.jsonl", recorded)
    write_task(folder, GATE)
    write_rows(folder / "labels.jsonl", label_lines(60, ties=6))
    return folder


@contextmanager
def tuned(folder: Path) -> Iterator[Workspace]:
    with open_workspace(folder) as opened:
        fill_project(opened)
        tune(opened, "paint", {"kind": "head", "features": "words"})
        yield opened


def test_a_judge_decides_only_after_it_was_measured(folder: Path) -> None:
    with serving(knows) as server:
        write_settings(folder, server.url)
        with tuned(folder) as workspace:
            for command in (assess, climb):
                with pytest.raises(GateError, match="JM-651") as caught:
                    command(workspace, "paint")
                assert "journeyman judge paint --labels FILE.jsonl --metric right" in str(caught.value)
            assert server.asked == []
            assert workspace.store.looks("paint") == []

            measured = measure_judge(workspace, "paint", folder / "labels.jsonl")
            found = measured.measurement
            assert (found.n, found.ties, found.ties_of_people, found.unreadable) == (60, 6, 6, 0)
            assert found.kappa is not None
            assert found.kappa.value == 1.0
            assert found.kappa.low >= 0.85
            assert (found.judge.model, found.judge.url) == ("big", server.url)
            assert load_measurement(measured.path) == found
            assert measured.path.parent == folder / "judges"
            assert len(server.asked) == 120, "both orders"
            assert measure_judge(workspace, "paint", folder / "labels.jsonl").measurement.kappa == found.kappa
            assert len(server.asked) == 120, "every verdict is kept"

            first = assess(workspace, "paint").document
            assert first.gate is not None
            assert (first.gate.metric, first.gate.against, first.gate.method) == ("right", "teacher", "betting")
            assert first.gate.n == 120
            assert first.gate.difference > 0.01, "right where the teacher was wrong, and a tie elsewhere"
            assert first.gate.verdict == "pass"
            (shown,) = first.judges
            assert (shown.metric, shown.model, shown.objection) == ("right", "big", "")
            calls = len(server.asked)
            assert 120 < calls < 400, "equal answers are not asked about"
            assert assess(workspace, "paint").document == first
            assert len(server.asked) == calls
            assert find_assessed(workspace, "paint").verdict == "pass"
            assert len(workspace.store.looks("paint")) == 1
            climb(workspace, "paint")
        report = journeyman(folder, "report", "paint", "--out", "report.html")
        assert report.returncode == 0, report.stderr
        assert "agreement with people: kappa 1.00" in (folder / "report.html").read_text()

        write_task(folder, GATE.replace("margin: 0.05", "margin: 0.1"), more="")
        task = folder / "tasks/paint.yaml"
        task.write_text(task.read_text().replace("names the colour", "names the exact colour"))
        with open_workspace(folder) as workspace, pytest.raises(GateError, match="JM-651"):
            assess(workspace, "paint")


def test_the_bar_can_be_raised_and_not_lowered(folder: Path) -> None:
    def sloppy(request: str, first: str, second: str) -> str:
        """Picks the first place in a sixth of its calls, so that these pairs tie."""
        return better("first") if crc32(request.encode()) % 6 == 0 else knows(request, first, second)

    with serving(sloppy) as server:
        write_settings(folder, server.url)
        write_rows(folder / "labels.jsonl", label_lines(120))
        with open_workspace(folder) as workspace:
            measured = measure_judge(workspace, "paint", folder / "labels.jsonl")
            kappa = measured.measurement.kappa
            assert kappa is not None
            assert 0.4 < kappa.low < kappa.value < 0.9
            assert measured.measurement.position_bias.value == pytest.approx(measured.measurement.ties / 120)
            assert (measured.measurement.first, measured.measurement.second) == (measured.measurement.ties, 0)
            assert not measured.objection
            task = folder / "tasks/paint.yaml"
            task.write_text(task.read_text().replace("model: teacher", "model: teacher, least_kappa: 0.95"))
            with pytest.raises(GateError, match="JM-653") as caught:
                assess(workspace, "paint")
            assert f"{kappa.low:.3f} and not 0.95" in str(caught.value)
            task.write_text(task.read_text().replace("least_kappa: 0.95", "least_kappa: 0.2"))
            with pytest.raises(TaskError, match="least_kappa"):
                assess(workspace, "paint")


def test_a_local_model_is_measured_and_refused(folder: Path) -> None:
    """A random model's verdicts are real ones, and worth nothing."""
    model = write_tiny_llama(folder / "judge.gguf", context=4096)
    write_task(folder, GATE, str(model))
    write_rows(folder / "few.jsonl", label_lines(20))
    write_rows(folder / "labels.jsonl", label_lines(52))
    done = journeyman(folder, "judge", "paint", "--labels", "few.jsonl", "--json")
    assert done.returncode == 1, done.stderr
    said = json.loads(done.stdout)
    assert not said["may_decide"]
    assert said["objection"] == "measured on 20 independent pairs, fewer than 50"
    measurement = said["measurement"]
    assert len(measurement["judge"]["sha256"]) == 64
    assert measurement["position_bias"]["n"] == 20
    shown = journeyman(folder, "judge", "paint", "--labels", "labels.jsonl")
    assert shown.returncode == 1, shown.stderr
    assert "Cohen's kappa" in shown.stdout
    assert "it may not decide a gate: kappa" in shown.stdout
    with open_workspace(folder) as workspace, pytest.raises(GateError, match="JM-653"):
        assess(workspace, "paint")


def test_a_metric_that_is_only_shown_needs_no_measurement(folder: Path) -> None:
    with serving(knows) as server:
        write_settings(folder, server.url)
        write_task(folder, SHOWN)
        with tuned(folder) as workspace:
            document = assess(workspace, "paint").document
        assert document.gate is not None
        assert document.gate.metric == "exact_match"
        (found,) = document.judges
        assert (found.kappa, found.objection) == (None, "not measured")
        by_name = {candidate.kind: candidate.metrics["right"] for candidate in document.candidates}
        assert by_name["head"].value == pytest.approx(0.5, abs=0.05), "as good as gold is a tie"
        assert by_name["teacher"].value < by_name["head"].value
        assert journeyman(folder, "report", "paint", "--out", "report.html").returncode == 0
        text = (folder / "report.html").read_text()
        assert "agreement with people not measured; it may decide no gate: not measured" in text


def test_a_comparison_tells_what_a_judge_is_worth_and_asks_nothing_where_it_is_absent(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid, worth = (
        Grid({"own": None}, ("student",), (0,), (0.0,), 9, 0, "grid.yaml"),
        "agreement with people not measured",
    )
    write_task(folder, SHOWN)
    with tuned(folder) as workspace:
        runs = [tune(workspace, "paint", {"kind": "head", "features": name}).run.id for name in ("none", "words")]
        for ask in (
            lambda: compare(workspace, "paint", grid),
            lambda: compare_runs(workspace, "paint", (runs[0], runs[1])),
        ):
            with pytest.raises(GateError, match="JM-659"):
                ask()
        assert not [trace for trace in workspace.store.traces("paint") if trace.origin == "assess"]
    with serving(knows) as server:
        write_settings(folder, server.url)
        with open_workspace(folder) as workspace:
            compared = compare(workspace, "paint", grid)
            both, page = compare_runs(workspace, "paint", (runs[0], runs[1]))
    assert worth in page.read_text()
    for found in (compared, both):
        assert (found.judges[0].metric, found.judges[0].objection) == ("right", "not measured")
        assert "right" in found.cells[0].metrics
        print_comparison(found)
        assert worth in capsys.readouterr().out


def test_scores_of_answers(folder: Path) -> None:
    with serving(knows) as server:
        write_settings(folder, server.url)
        with open_workspace(folder) as workspace:
            task = workspace.task("paint")
            panel = Panel(workspace, task)
            red, blue = (object_target({"many": True, "colour": name}) for name in ("red", "blue"))
            line = {"line": "two red cars"}
            pairs = [
                Pair(blue, red, 1, line),
                Pair(red, blue, 1, line),
                Pair(red, red, 1, line),
                Pair(red, None, 1, line),
            ]
            metric = panel.metrics["right"]
            assert metric.score(pairs) == [(1.0, 1.0), (0.0, 1.0), (0.5, 1.0), (0.0, 1.0)]
            assert panel.right(metric).score(pairs) == [(1.0, 1.0), (0.0, 1.0), (1.0, 1.0), (0.0, 1.0)]
            assert len(server.asked) == 2, "the second pair is the first, turned round"
            contest = make_contest(task, pairs[0])
            assert (contest.request, contest.one) == ("two red cars", '{"colour":"red","many":true}')


def test_paid_calls_are_capped_before_they_happen(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.2 is this machine, and no address that we take for it."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with serving(knows, host="127.0.0.2") as server, open_workspace(_at(folder, server)) as workspace:
        with pytest.raises(GateError, match="JM-659") as caught:
            measure_judge(workspace, "paint", folder / "labels.jsonl")
        assert "OPENAI_API_KEY not set" in str(caught.value)
        with pytest.raises(GateError, match="JM-659"):
            assess(workspace, "paint")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with serving(knows, host="127.0.0.2") as server:
        with open_workspace(_at(folder, server)) as workspace:
            for ask in (
                lambda: measure_judge(workspace, "paint", folder / "labels.jsonl"),
                lambda: assess(workspace, "paint"),
            ):
                with pytest.raises(GateError, match="JM-656") as caught:
                    ask()
                assert "set most_calls = N under [judge]" in str(caught.value)
        capped = _at(folder, server, "[judge]\nmost_calls = 119\n")
        with open_workspace(capped) as workspace, pytest.raises(GateError, match="at most 119 calls") as caught:
            measure_judge(workspace, "paint", folder / "labels.jsonl")
        assert "set most_calls = 120 under [judge]" in str(caught.value)
        assert server.asked == []
        with open_workspace(_at(folder, server, "[judge]\nmost_calls = 120\n")) as workspace:
            assert not measure_judge(workspace, "paint", folder / "labels.jsonl").objection
        assert len(server.asked) == 120
        write_rows(folder / "more.jsonl", label_lines(2, seed=9))
        with open_workspace(folder) as workspace, pytest.raises(GateError, match="4 calls, after 120"):
            measure_judge(workspace, "paint", folder / "more.jsonl")
        assert len(server.asked) == 120


def _at(folder: Path, server: Server, more: str = "") -> Path:
    write_settings(folder, server.url, more)
    return folder


def test_a_provider_that_refuses_some_calls_loses_none(folder: Path) -> None:
    seen: list[str] = []

    def grudging(request: str, first: str, second: str) -> str:
        seen.append(request)
        return "403" if 50 < len(seen) <= 53 else knows(request, first, second)

    with serving(grudging) as server:
        with open_workspace(_at(folder, server)) as workspace:
            with pytest.raises(GateError, match="JM-657") as caught:
                measure_judge(workspace, "paint", folder / "labels.jsonl")
            assert "3 of 120 calls" in str(caught.value)
            assert not (folder / "judges").exists()
            assert measure_judge(workspace, "paint", folder / "labels.jsonl").measurement.n == 60
        assert len(server.asked) == 123


def test_what_cannot_be_read_is_a_tie_and_is_told(folder: Path) -> None:
    with serving(lambda _request, _first, _second: "The first one, I think.") as server:
        write_settings(folder, server.url)
        done = journeyman(folder, "judge", "paint", "--labels", "labels.jsonl")
    assert done.returncode == 1, done.stderr
    assert "120 verdicts could not be read and count as ties" in done.stdout
    assert "60 ties of the judge, 6 of people" in done.stdout


def test_all_ties_leave_kappa_undefined_and_say_so(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines = [line | {"first": line["second"], "better": "tie"} for line in label_lines(60)]
    write_rows(folder / "labels.jsonl", lines)
    write_settings(folder, "http://127.0.0.1:9/v1")
    assert judge("paint", folder / "labels.jsonl", project=folder) == 1
    assert "not defined: people and judge say tie" in " ".join(capfd.readouterr().out.split())
    assert judge("paint", folder / "labels.jsonl", project=folder, is_json=True) == 1
    said = json.loads(capfd.readouterr().out)
    assert said["measurement"]["kappa"] is None
    assert said["objection"].startswith("kappa is not defined")


def test_a_killed_measurement_goes_on(folder: Path) -> None:
    with serving(knows, delay_s=0.05) as server:
        write_settings(folder, server.url)
        command = [sys.executable, "-m", "journeyman", "judge", "paint", "--labels", "labels.jsonl", "--json"]
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            until = time.monotonic() + 60
            while len(server.asked) < 30 and time.monotonic() < until:
                time.sleep(0.01)
            os.kill(process.pid, signal.SIGKILL)
        asked = len(server.asked)
        assert 30 <= asked < 120
        done = journeyman(folder, *command[3:])
        assert done.returncode == 0, done.stderr
        assert len(server.asked) <= 120 + 4, "only what was in flight is asked again"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not JSON"),
        ("[1]", "line:"),
        ('{"input": "x", "first": "a", "second": "b"}', "better: Field required"),
        ('{"input": "x", "first": "a", "second": "b", "better": 3}', "better:"),
        ('{"input": "x", "first": "a", "second": "b", "better": true}', "better:"),
        ('{"input": "x", "first": null, "second": "b", "better": 1}', "an answer is missing"),
        ('{"input": {"lime": "x"}, "first": "a", "second": "b", "better": 1}', "unknown input field 'lime'"),
        ('{"input": "x", "first": "a", "second": NaN, "better": 1}', "JSON"),
        ("\0", "NUL"),
    ],
)
def test_a_damaged_label_is_named_by_its_line(folder: Path, line: str, says: str) -> None:
    good = [json.dumps(row) for row in label_lines(2)]
    path = folder / "labels.jsonl"
    path.write_text("\n".join([good[0], "", line, good[1]]) + "\n")
    with open_workspace(folder) as workspace:
        with pytest.raises(GateError, match="JM-654") as caught:
            read_labels(path, workspace.task("paint"))
        assert f"{path}:3" in str(caught.value)
        assert says in str(caught.value)


def test_files_that_are_no_labels(folder: Path) -> None:
    with open_workspace(folder) as workspace:
        task = workspace.task("paint")
        write_rows(folder / "one.jsonl", label_lines(1))
        with pytest.raises(GateError, match="JM-655"):
            read_labels(folder / "one.jsonl", task)
        with pytest.raises(DataError, match="JM-301"):
            read_labels(folder / "none.jsonl", task)
        (folder / "empty.jsonl").touch()
        with pytest.raises(DataError, match="JM-302"):
            read_labels(folder / "empty.jsonl", task)


def test_text_and_fields_and_near_copies(folder: Path) -> None:
    lines = label_lines(4)
    asked = lines[0]["input"]
    assert isinstance(asked, dict)
    lines[1] |= {"input": asked["line"]}
    lines[2] |= {"group": "g", "by": "Ada"}
    lines[3] |= {"group": "g", "first": "red it is"}
    write_rows(folder / "labels.jsonl", lines)
    with open_workspace(folder) as workspace:
        pairs = read_labels(folder / "labels.jsonl", workspace.task("paint"))
    assert pairs[0].contest.request == pairs[1].contest.request
    assert pairs[3].contest.one == "red it is"
    assert find_groups(pairs, 0.8) == ["0", "0", "2", "2"]


def test_which_judge_is_meant(folder: Path) -> None:
    with open_workspace(folder) as workspace:
        task = workspace.task("paint")
        assert choose_judge(task, "") == choose_judge(task, "right") == "right"
        with pytest.raises(GateError, match="JM-650") as caught:
            choose_judge(task, "wrong")
        assert "expected: right" in str(caught.value)
        write_task(folder, SHOWN, more="  kind: {kind: judge, rubric: Be kind.}\n")
        with pytest.raises(GateError, match="JM-650"):
            choose_judge(workspace.task("paint"), "")
        assert choose_judge(workspace.task("paint"), "kind") == "kind"


@pytest.mark.parametrize(
    ("gate", "metrics", "says"),
    [
        (SHOWN, ["right: {kind: judge}"], "needs a rubric"),
        (SHOWN, ["right: {kind: judge, rubric: r, field: colour}"], "gets the whole answer"),
        (SHOWN, ["right: {kind: token_f1, rubric: r}"], "rubric belongs to kind: judge"),
        (SHOWN, ["right: {kind: token_f1, model: base}"], "model belongs to kind: judge"),
        (GATE.replace("teacher", "agreement"), ["right: {kind: judge, rubric: r}"], "against: teacher"),
    ],
)
def test_what_a_task_file_cannot_say(folder: Path, gate: str, metrics: Sequence[str], says: str) -> None:
    task = folder / "tasks/paint.yaml"
    task.write_text(task.read_text().split("gate:")[0] + gate + "metrics:\n  " + "\n  ".join(metrics) + "\n")
    with open_workspace(folder) as workspace, pytest.raises(TaskError, match="JM-206") as caught:
        workspace.task("paint")
    assert says in str(caught.value)
