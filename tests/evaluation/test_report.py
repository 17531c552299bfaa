"""The report: one file, no network, and nothing from data can run in it."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from journeyman.core.canonical import Json
from journeyman.core.example import object_target, text_target
from journeyman.evaluation.document import (
    CandidatePart,
    ChangePart,
    ConfidencePart,
    ConfusionPart,
    DatasetPart,
    Document,
    FieldPart,
    Figure,
    GatePart,
    LatencyPart,
    PromisePart,
    SlicePart,
    TokensPart,
    WeakPart,
)
from journeyman.evaluation.gate import Score, decide
from journeyman.evaluation.plots import CurvePoint
from journeyman.evaluation.report import (
    Failure,
    FunnelStage,
    Look,
    Loss,
    ReportData,
    SettingLine,
    render_report,
    write_report,
)
from journeyman.evaluation.threshold import Outcomes, trust
from journeyman.measure.latency import measure_latency
from journeyman.measure.metrics import METRICS, Pair, estimate, score_fields
from journeyman.task.task import Gate

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


class Page(HTMLParser):
    """Collects elements, attributes, script bodies and the text that a reader sees."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.visible = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            attrs, body = self.scripts[-1]
            self.scripts[-1] = (attrs, body + data)
        elif self._inside != "style":
            self.visible += data

    @property
    def ids(self) -> set[str]:
        return {attrs["id"] or "" for _, attrs in self.elements if "id" in attrs}

    @property
    def figures(self) -> dict[str, Json]:
        (body,) = [body for attrs, body in self.scripts if attrs.get("id") == "figures"]
        loaded: dict[str, Json] = json.loads(body)
        return loaded


def make_data(word: str = "Rome", gate: Gate | None = None) -> ReportData:
    right, wrong = object_target({"intent": "a", "city": word}), object_target({"intent": "a", "city": "Bern"})
    pairs = [Pair(right, right), Pair(right, wrong), Pair(right, None)]
    reference = True if (gate or Gate()).against == "teacher" else None
    verdict = decide(gate or Gate(), [Score(True, reference)] * 300 + [Score(False, reference)] * 4, 0.02)
    candidate = CandidatePart(
        name=f"student {word}",
        kind="lora",
        split="test",
        metrics={name: Figure.of(estimate(metric, pairs)) for name, metric in METRICS.items()},
        latency_ms=LatencyPart.of(measure_latency([10.0, 12.0, 30.0])),
        tokens_per_call=TokensPart(input=40.0, output=None),
        fields=tuple(FieldPart.of(score) for score in score_fields(pairs)),
        note=word,
    )
    base = CandidatePart(
        name="base", kind="base", split="test", metrics={"valid": Figure(value=0, low=0, high=0.1, n=30)}
    )
    rng = np.random.default_rng(0)
    said = rng.random(900)
    known = Outcomes(
        said, (rng.random(900) < said**0.2).astype(np.float64), np.ones(900), tuple(map(str, range(900))), 900
    )
    trusted = trust(known, known, known, 0.05, 0.05, 1.0)
    assert trusted is not None
    confidence, promise = ConfidencePart.of(trusted), PromisePart.of(trusted)
    low, high = (Figure(value=at, low=at - 0.1, high=at + 0.05, n=30) for at in (0.2, 0.9))
    document = Document(
        task=f"tickets {word}",
        dataset=DatasetPart(hash="d" * 64, train=800, dev=80, calibration=20, test=304),
        candidates=(candidate, base),
        gate=GatePart.of(verdict),
        confidence=confidence,
        promise=promise,
        confusions=(
            ConfusionPart(
                field="city", values=(word, "b"), given=(word, "b", "no answer"), counts=((3, 1, 0), (0, 5, 2))
            ),
        ),
        slices=(
            SlicePart(name=f"city = {word}", score=low, difference=low, is_low=True),
            SlicePart(name="longest quarter", score=high, difference=None, is_low=False),
        ),
        weak=WeakPart(
            student="s" * 64,
            run="tickets-assess-1",
            dev_rows=80,
            common_rows=70,
            is_same_dataset=False,
            whole=ChangePart(
                name="all rows", rows=70, before=20, after=13, difference=Figure(value=-0.1, low=-0.2, high=0.01, n=70)
            ),
            spots=(ChangePart(name=f"city {word} missing", rows=1, before=1, after=0, difference=None),),
            weighting=f"2 on 9 of 90 train rows {word}",
        ),
    )
    return ReportData(
        document=document,
        made="2026-11-21 10:15 UTC",
        command=f"journeyman assess tickets # {word}",
        curve=(CurvePoint(1, 2.5), CurvePoint(10, 1.0, 1.2), CurvePoint(20, 0.5, 0.9)),
        funnel=(
            FunnelStage("imported", 1230, (Loss(12, f"broken JSON {word}"), Loss(18, "empty"))),
            FunnelStage("kept", 1200),
            FunnelStage("train", 800),
        ),
        failures=(
            Failure({"message": f"to {word}"}, right, wrong),
            Failure({"message": "x", "tone": "y"}, right, None, text=f"oops {word}", problem="not JSON"),
            Failure({"message": "free"}, text_target(word), text_target("other")),
        ),
        settings=(SettingLine("tune.rank", "16", "derived", f"2,100 rows {word}"),),
        looks=(Look(1, "2026-11-21", "r" * 12, 0.02, "pass"),),
        notes=(f"The base is measured on 150 rows {word}",),
    )


def test_it_tells_the_whole_story() -> None:
    page = Page(render_report(make_data()))
    for words in (
        "Pass: on exact_match the student is shown to be no more than 5 points below the teacher.",
        "difference -1.3 points",
        "both were right on 300",
        "student Rome",
        "broken JSON Rome",
        "1,230",
        "Failures on dev",
        "not JSON",
        "oops Rome",
        "tune.rank",
        "2,100 rows Rome",
        "Looks at the sealed split",
        "Of what the student answers itself, at most 5 % are wrong, with confidence 95 %",
        "Debiased expected calibration error",
        "city = Rome",
        "city Rome missing",
        "-10.0 points",
        "70 of 80, since the dataset was another one",
        "student − teacher",
        "journeyman assess tickets # Rome",
    ):
        assert words in page.visible, words
    metrics = {f"metric-{place}" for place in range(len(METRICS))}
    assert {"gate", "loss", "reliability", "promise", "confusion-0", *metrics} == set(page.figures) & page.ids


def test_the_fields_that_differ_are_marked_and_only_they() -> None:
    html = render_report(make_data())
    marked = re.findall(r'<tr class="differs"><td><code>([^<]+)</code></td><td>([^<]+)</td><td>([^<]+)</td>', html)
    assert ("city", "Rome", "Bern") in marked
    assert ("intent", "a", "–") in marked  # of the unreadable answer
    assert ("intent", "a", "a") not in marked
    assert '<tr class="differs"><td>city = Rome</td>' in html
    assert "<tr><td>longest quarter</td>" in html
    assert ("answer", "Rome", "other") in marked


def test_hostile_text_stays_text() -> None:
    page = Page(render_report(make_data(HOSTILE)))
    assert HOSTILE in page.visible
    assert len(page.scripts) == 3
    assert not [tag for tag, attrs in page.elements if tag == "img" or any(name.startswith("on") for name in attrs)]
    assert "<" not in next(body for attrs, body in page.scripts if attrs.get("id") == "figures")
    assert "owned" in json.dumps(page.figures)


def test_only_our_two_scripts_may_run_and_nothing_is_fetched() -> None:
    page = Page(render_report(make_data(HOSTILE)))
    policy = next(attrs["content"] for tag, attrs in page.elements if attrs.get("http-equiv")) or ""
    assert policy.startswith("default-src 'none'")
    running = [body for attrs, body in page.scripts if attrs.get("type") != "application/json"]
    assert len(running) == 2
    for body in running:
        assert f"'sha256-{base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()}'" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1]
    assert not [attrs for _, attrs in page.elements if {"src", "href"} & set(attrs)]


def test_figures_hold_the_numbers_of_the_document() -> None:
    data = make_data()
    figures = json.loads(json.dumps(Page(render_report(data)).figures))
    gate = data.document.gate
    assert gate is not None
    drawn, trace, layout = *figures["gate"]["data"], figures["gate"]["layout"]
    assert drawn["x"] == trace["x"]
    assert drawn["x"][0] - drawn["error_x"]["arrayminus"][0] == pytest.approx(100 * gate.low_95)
    assert trace["x"] == [pytest.approx(100 * gate.difference)]
    assert trace["x"][0] - trace["error_x"]["arrayminus"][0] == pytest.approx(100 * gate.low)
    assert -5.0 in [shape["x0"] for shape in layout["shapes"]]
    assert layout["xaxis"]["range"][0] < -5.0 < 0 < layout["xaxis"]["range"][1]
    right, wrong = (trace["z"] for trace in figures["confusion-0"]["data"])
    assert right == [[None, 5, None], [3, None, None]]
    assert wrong == [[None, None, 2], [None, 1, None]]
    promise, confidence = data.document.promise, data.document.confidence
    assert promise is not None
    assert confidence is not None
    assert promise.chosen is not None
    assert figures["promise"]["data"][2]["x"] == [pytest.approx(100 * promise.chosen.coverage)]
    assert figures["promise"]["layout"]["shapes"][0]["y0"] == pytest.approx(5)
    assert figures["reliability"]["data"][1]["y"] == [pytest.approx(100 * bin.right) for bin in confidence.bins]
    assert [trace["name"] for trace in figures["loss"]["data"]] == ["train", "dev"]
    assert figures["loss"]["data"][1]["x"] == [10, 20]


@pytest.mark.parametrize("gate", [Gate(against="floor", floor=0.9, margin=None), Gate(against="agreement")])
def test_the_other_gates_are_told_too(gate: Gate) -> None:
    page = Page(render_report(make_data(gate=gate)))
    assert "the student was right on 300 and wrong on 4" in page.visible
    assert ("is not quality" in page.visible) == (gate.against == "agreement")


def test_a_bare_document_makes_a_page() -> None:
    document = Document(task="t", dataset=DatasetPart(hash="d", train=0, dev=0, calibration=0, test=0), candidates=())
    page = Page(render_report(ReportData(document)))
    assert "No gate was decided." in page.visible
    assert page.figures == {}


BROWSER = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), "")
needs_browser = pytest.mark.skipif(not BROWSER, reason="no chromium on PATH")


def open_in_browser(address: str, folder: Path) -> str:
    """The page as it stands once its scripts have run; they may write nothing to the console."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=8000"]
    got = subprocess.run(
        [BROWSER, *flags, f"--user-data-dir={folder / 'profile'}", "--dump-dom", address],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in got.stderr, got.stderr
    return got.stdout


@needs_browser
def test_it_opens_in_a_browser_without_an_error_and_draws_its_plots(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    write_report(report, make_data(HOSTILE))
    page = open_in_browser(report.as_uri(), tmp_path)
    for figure in (
        "gate",
        "loss",
        "reliability",
        "promise",
        "confusion-0",
        "metric-0",
        "metric-1",
        "metric-2",
        "metric-3",
    ):
        assert re.search(rf'id="{figure}" class="plot js-plotly-plot"', page), figure
    assert page.count('class="main-svg"') >= 8
    assert "<title>owned</title>" not in page


@needs_browser
def test_failures_are_filtered_by_field_and_text_and_the_address_keeps_the_choice(tmp_path: Path) -> None:
    wanted = object_target({"intent": "card", "city": "Paris"})
    failures = tuple(
        Failure({"text": text}, wanted, object_target(got), "", "")
        for text, got in (
            ("lost it", {"intent": "card", "city": "Rome"}),
            ("stolen", {"intent": "other", "city": "Paris"}),
            ("lost too", {"intent": "other", "city": "Rome"}),
        )
    )
    report = tmp_path / "report.html"
    write_report(report, dataclasses.replace(make_data("plain"), failures=failures))
    for address, shown in (("", 3), ("#field=city", 2), ("#field=intent&text=LOST", 1), ("#text=nothing", 0)):
        page = open_in_browser(report.as_uri() + address, tmp_path)
        assert f">{shown} of 3<" in page, address
        assert len(re.findall(r'<div class="failure" data-fields=[^>]* hidden', page)) == 3 - shown
