"""Metrics of embeddings, latencies and costs from the task file to the verdict: a real encoder, a real server, real clocks."""

from __future__ import annotations

import json
import shutil
import statistics
from pathlib import Path

import pytest

from journeyman.core.errors import GateError
from journeyman.core.example import object_target, text_target
from journeyman.flows.assess import assess, find_assessed
from journeyman.flows.compare import compare
from journeyman.flows.costs import Prices
from journeyman.flows.improve import Options, improve
from journeyman.flows.labels import TEST_ANSWERS, draw_labels
from journeyman.flows.ladder import climb
from journeyman.flows.measures import Measures
from journeyman.flows.prepare import import_sources, prepare_task
from journeyman.flows.read_labels import read_labels
from journeyman.flows.reports import report
from journeyman.flows.students import gate_rule
from journeyman.flows.tune import tune
from journeyman.flows.workspace import Workspace, open_workspace
from journeyman.measure.metrics import Call, Pair
from journeyman.task.grid import Grid
from tests.flows.projects import fill_project, journeyman, make_project, paint_rows, write_rows
from tests.flows.teaching import teaching

HOUR = "[serve]\nmachine_usd_per_hour = 3.6\n"  # a millisecond is a millionth of a dollar
WRONG = {"colour": "blue", "many": True}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_gguf: Path) -> Path:
    """A student on words; the teacher is wrong on every tenth row. Do not change it."""
    folder = make_project(tmp_path_factory.mktemp("measures") / "project", tiny_gguf, settings=HOUR)
    for name, rows, seed in (("train", 240, 1), ("sealed", 60, 2)):
        recorded = [
            {"input": row["input"], "gold": row["gold"], "output": WRONG if place % 10 == 0 else row["gold"]}
            for place, row in enumerate(paint_rows(rows, seed))
        ]
        write_rows(folder / f"{name}.jsonl", recorded)
    with open_workspace(folder) as opened:
        fill_project(opened)
        tune(opened, "paint", {"kind": "head", "features": "words"})
    return folder


def declare(workspace: Workspace, gate: str, **metrics: str) -> None:
    path = workspace.project.tasks / "paint.yaml"
    lines = "".join(f"  {name}: {described}\n" for name, described in metrics.items())
    path.write_text(f"{path.read_text().split('gate:')[0]}gate: {gate}\nmetrics:\n{lines}")


def restate(workspace: Workspace, settings: str) -> Workspace:
    """The same project with other settings behind its first section."""
    path = workspace.project.root / "journeyman.toml"
    path.write_text(path.read_text().split("[serve]")[0] + settings)
    return workspace


def kept_latencies(workspace: Workspace, name: str = TEST_ANSWERS) -> list[float]:
    (path,) = workspace.project.runs.glob(f"paint-assess-*/{name}")
    return [json.loads(line)["latency_ms"] for line in path.read_text().splitlines()]


@pytest.mark.model
def test_all_three_are_shown_and_nothing_is_asked_twice(workspace: Workspace) -> None:
    declare(
        workspace,
        "{against: teacher, margin: 0.05}",
        near="{kind: embedding, field: colour}",
        quick="{kind: latency, most_ms: 60000}",
        never="{kind: latency, most_ms: 0.000001}",
        cheap="{kind: cost, most_usd: 0.06}",
    )
    document = assess(workspace, "paint").document
    student, *others = [item for item in document.candidates if item.split == "test"]
    assert student.metrics["quick"].value == student.metrics["cheap"].value == 1
    assert student.metrics["never"].value == 0
    assert student.metrics["quick"].n == 60
    near = student.metrics["near"]
    wrong = 1 - next(item for item in student.fields if item.field == "colour").f1.value
    assert 1 - wrong < near.value < 1 if wrong else near.value == 1, "another colour is like the right one, in part"
    (teacher,) = [item for item in others if item.kind == "teacher"]
    assert 0.9 < teacher.metrics["near"].value < 1
    assert not {"quick", "never", "cheap"} & set(teacher.metrics), "nobody knows what a recorded answer took"
    latencies = kept_latencies(workspace)
    again = find_assessed(workspace, "paint").document
    assert again == document
    declare(workspace, "{against: teacher, margin: 0.05}", half=f"{{kind: latency, most_ms: {middle(latencies)}}}")
    (student, *_others) = assess(workspace, "paint").document.candidates
    assert student.metrics["half"].value == 0.5, "kept answers have the latencies that they had"
    assert kept_latencies(workspace) == latencies
    assert report(workspace, "paint").is_file()


def middle(values: list[float]) -> float:
    """Between two values, half of them on either side."""
    assert len(set(values)) == len(values)
    return statistics.median(values)


def test_a_latency_decides_a_gate_and_the_promise_stays_about_answers(workspace: Workspace) -> None:
    simple = workspace.project.root / "simple.jsonl"
    write_rows(simple, [{"input": row["input"], "output": WRONG} for row in paint_rows(20, 9)])
    gate = "{metric: quick, against: floor, floor: 0.9}"
    declare(workspace, gate, quick="{kind: latency, most_ms: 60000}")
    path = workspace.project.tasks / "paint.yaml"
    path.write_text(path.read_text() + "behaviour:\n  simple: {kind: minimum, cases: simple.jsonl}\n")
    document = assess(workspace, "paint").document
    assert document.gate is not None
    assert (document.gate.verdict, document.gate.method, document.gate.n) == ("pass", "clopper_pearson", 60)
    assert document.behaviours[0].figure is not None
    assert document.behaviours[0].figure.value < 0.5, "a minimum is about what was answered, and quickly wrong is wrong"
    assert document.ceiling is None
    declare(workspace, gate, quick="{kind: latency, most_ms: 0.000001}")
    late = assess(workspace, "paint").document
    assert late.gate is not None
    assert (late.gate.verdict, late.gate.difference) == ("fail", 0.0)
    assert len(workspace.store.looks("paint")) == 2, "another limit is another rule"
    with pytest.raises(GateError, match="JM-692"):
        assess(workspace, "paint", ceiling=5)


def test_a_cost_needs_a_price_before_anything_is_asked(workspace: Workspace) -> None:
    declare(workspace, "{metric: cheap, against: floor, floor: 0.9}", cheap="{kind: cost, most_usd: 0.06}")
    with open_workspace(restate(workspace, "").project.root) as unpriced:
        for command in (assess, climb):
            with pytest.raises(GateError, match=r"JM-691 .*serve\.machine_usd_per_hour is not set") as caught:
                command(unpriced, "paint")
            assert caught.value.hint.startswith("set machine_usd_per_hour under [serve]")
        with pytest.raises(GateError, match="JM-691"):
            improve(unpriced, "paint", Options(budget_s=3000))
        assert unpriced.store.looks("paint") == []
        assert not list(unpriced.project.runs.glob("paint-assess-*"))
    done = journeyman(workspace.project.root, "assess", "paint")
    assert done.returncode == 2
    assert done.stderr.count("JM-") == done.stderr.count("JM-691") == 1
    with open_workspace(restate(workspace, HOUR).project.root) as priced:
        document = assess(priced, "paint").document
        assert document.gate is not None
        assert document.gate.verdict == "pass"
        rule = gate_rule(priced, priced.task("paint"))
    usd = middle(kept_latencies(workspace)) / 1e6
    with open_workspace(restate(workspace, HOUR.replace("3.6", "7.2")).project.root) as dearer:
        assert gate_rule(dearer, dearer.task("paint")) != rule
        declare(dearer, "{metric: cheap, against: floor, floor: 0.9}", cheap=f"{{kind: cost, most_usd: {2 * usd!r}}}")
        assert assess(dearer, "paint").document.candidates[0].metrics["cheap"].value == 0.5


@pytest.mark.model
def test_a_missing_encoder_is_told_before_anything_is_asked(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(workspace, "{metric: near, against: teacher, margin: 0.05}", near="{kind: embedding}")
    monkeypatch.setenv("JOURNEYMAN_CACHE", str(tmp_path / "empty"))
    for command in (assess, climb):
        with pytest.raises(GateError, match=r"JM-690 .*the metric near compares embeddings") as caught:
            command(workspace, "paint")
        assert caught.value.hint == "journeyman pull all-minilm-l6-v2"
    with pytest.raises(GateError, match="JM-690"):
        draw_labels(workspace, "paint", 5, tmp_path / "labels.csv")
    assert workspace.store.looks("paint") == []
    assert not list(workspace.project.runs.glob("paint-assess-*"))
    done = journeyman(workspace.project.root, "assess", "paint", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == "JM-690"


@pytest.mark.model
def test_embeddings_decide_a_gate_on_the_ladder_too(workspace: Workspace) -> None:
    declare(
        workspace,
        "{metric: near, against: teacher, margin: 0.1}",
        near="{kind: embedding}",
        quick="{kind: latency, most_ms: 60000}",
        cheap="{kind: cost, most_usd: 0.06}",
    )
    ladder = climb(workspace, "paint")
    assert ladder.chosen is not None
    assert ladder.chosen.verdict is not None
    assert ladder.chosen.verdict.metric == "near"
    done = journeyman(workspace.project.root, "assess", "paint", "--ladder", "--json")
    assert done.returncode in (0, 1), done.stderr
    gate = json.loads(done.stdout)["gate"]
    assert (gate["metric"], gate["method"]) == ("near", "betting")
    assert report(workspace, "paint").is_file()


@pytest.mark.model
def test_people_label_where_embeddings_decide(workspace: Workspace, tmp_path: Path) -> None:
    rows = [{"input": row["input"], "output": WRONG if place % 3 == 0 else row["gold"]} for place, row in enumerate(paint_rows(40, 3))]  # fmt: skip
    write_rows(tmp_path / "more.jsonl", rows)
    declare(workspace, "{metric: near, against: teacher, margin: 0.1}", near="{kind: embedding}")
    import_sources(workspace, "paint", [str(tmp_path / "more.jsonl")], split="test")
    prepare_task(workspace, "paint")
    tune(workspace, "paint", {"kind": "head", "features": "words"})
    sheet = tmp_path / "labels.jsonl"
    drawn = draw_labels(workspace, "paint", 5, sheet)
    assert drawn.written == 5
    lines = [json.loads(line) | {"right": "both"} for line in sheet.read_text().splitlines()]
    write_rows(sheet, lines)
    assert read_labels(workspace, "paint", sheet, "ada").open == 0
    document = assess(workspace, "paint").document
    assert document.labels is not None
    assert document.labels.labelled == 5


@pytest.mark.model
def test_texts_are_embedded_once(workspace: Workspace) -> None:
    declare(
        workspace,
        "{metric: near, against: floor, floor: 0.5}",
        near="{kind: embedding}",
        also="{kind: embedding, field: colour}",
    )
    told: list[float | None] = []

    class Bar:
        def start(self, stage: str, total: float | None = None, unit: str = "") -> None:
            told.append(total)

        def advance(self, amount: float = 1.0, detail: str = "") -> None: ...

        def finish(self, detail: str = "") -> None: ...

        def note(self, text: str) -> None: ...

    measures = Measures(workspace, workspace.task("paint"), Bar())
    red, blue, green = (object_target({"colour": name}) for name in ("red", "blue", "green"))
    near, also = measures.metrics["near"], measures.metrics["also"]
    ((first, _),) = near.score([Pair(red, blue)])
    assert told == [2]
    assert 0 < first < 1
    assert near.score([Pair(blue, red), Pair(red, red)]) == [(pytest.approx(first), 1.0), (1.0, 1.0)]
    also.score([Pair(red, blue), Pair(red, green), Pair(green, blue)])
    assert told == [2, 1], "one new text"


@pytest.mark.model
def test_answers_that_are_odd(workspace: Workspace) -> None:
    declare(workspace, "{metric: near, against: floor, floor: 0.5}", near="{kind: embedding}")
    metric = Measures(workspace, workspace.task("paint")).metrics["near"]
    long = " ".join(f"Point {number} of the contract is about a red car." for number in range(220))
    assert len(long) > 10_000
    ended = long + " All of it is void." * 200
    said = [text_target(text) for text in ("The refund was sent.", "A refund has been paid out.", "Bees make honey.")]
    pairs = [
        Pair(said[0], said[1]),
        Pair(said[0], said[2]),
        Pair(said[0], None),
        Pair(said[0], text_target("")),
        Pair(text_target(""), text_target("")),
        Pair(text_target(long), text_target(long)),
        Pair(text_target(long), text_target(ended)),
        Pair(text_target(long), text_target("\u200b")),
        Pair(said[0], text_target("\ud800")),
        Pair(text_target("x" * 10_000), said[0]),
    ]
    scores = [top for top, _bottom in metric.score(pairs)]
    assert all(0 <= score <= 1 for score in scores)
    assert scores[0] > 0.6 > 0.3 > scores[1]
    assert scores[2:6] == [0.0, 0.0, 1.0, 1.0]
    assert 0.3 < scores[6] < 0.97, "what is beyond the encoder's first tokens counts"
    assert scores[7] == 0.0


@pytest.mark.model
def test_prompts_are_compared_and_improved_by_them(workspace: Workspace) -> None:
    declare(
        workspace,
        "{metric: near, against: teacher, margin: 0.1}",
        near="{kind: embedding}",
        quick="{kind: latency, most_ms: 60000}",
        cheap="{kind: cost, most_usd: 0.06}",
    )
    grid = Grid({"own": None}, ("base", "student"), (0,), (0.0,), 8, 0, "grid.yaml")
    comparison = compare(workspace, "paint", grid)
    base, student = comparison.cells
    assert base.metrics["quick"].value == base.metrics["cheap"].value == 1
    assert student.difference is not None
    assert student.difference.method == "betting"
    gain = student.metrics["near"].value - base.metrics["near"].value
    assert student.difference.value == pytest.approx(gain)
    found = improve(workspace, "paint", Options(budget_s=3000))
    assert found.metric == "near"
    assert all(0 <= arm.score <= 1 for arm in found.arms if arm.score is not None)


def test_a_teachers_call_costs_its_tokens(made: Path, tmp_path: Path, tiny_gguf: Path) -> None:
    folder = Path(shutil.copytree(made, tmp_path / "project"))
    grid = Grid({"own": None}, ("base", "teacher"), (0,), (0.0,), 4, 8, "grid.yaml")
    with teaching(tiny_gguf, tmp_path / "teacher") as teacher:
        path = folder / "journeyman.toml"
        path.write_text(path.read_text() + teacher.settings)
        with open_workspace(folder) as opened:
            declare(
                opened,
                "{metric: cheap, against: floor, floor: 0.9}",
                cheap="{kind: cost, most_usd: 0.06}",
                quick="{kind: latency, most_ms: 60000}",
            )
            with pytest.raises(GateError, match=r"JM-691 .*teacher\.input_usd_per_million is not set"):
                compare(opened, "paint", grid)
            assert teacher.asked() == []
        path.write_text(path.read_text() + "input_usd_per_million = 1000000.0\noutput_usd_per_million = 0.0\n")
        with open_workspace(folder) as opened:
            base, paid = compare(opened, "paint", grid).cells
            assert paid.tokens_per_call is not None
            assert (paid.tokens_per_call.input or 0) > 1
            assert (base.metrics["cheap"].value, paid.metrics["cheap"].value) == (1, 0), "a dollar a token"


def test_what_a_call_costs() -> None:
    prices = Prices(3.6, 1.0, 4.0)
    assert prices.usd(Call(250.0, 1000, 250)) == pytest.approx(0.00025)
    assert prices.usd(Call(250.0, 1000, 250, is_paid=True)) == pytest.approx(0.002)
    assert prices.usd(Call(250.0, None, 250, is_paid=True)) is None
    assert prices.usd(Call(None, 1000, 250)) is None
    assert Prices(None, 1.0, 4.0).usd(Call(250.0, 1000, 250)) is None
    assert Prices(3.6, None, 4.0).usd(Call(250.0, 1000, 250, is_paid=True)) is None
