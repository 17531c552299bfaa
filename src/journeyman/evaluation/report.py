"""The evaluation as one self-contained HTML file: no network, no script but ours.

Everything that comes from data is escaped by the template or sits in a JSON block without a single ``<``; a content
security policy names the two scripts by hash, so that no other can run.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from journeyman.core.canonical import Json
from journeyman.core.example import Target
from journeyman.core.files import write_atomic
from journeyman.evaluation.document import (
    Document,
    Figure,
    asks_judge,
    describe_interval,
    describe_promise,
    describe_verdict,
)
from journeyman.evaluation.plots import (
    CurvePoint,
    Plot,
    plot_confusion,
    plot_gate,
    plot_loss,
    plot_metric,
    plot_promise,
    plot_reliability,
)
from journeyman.measure.metrics import differing_fields, flatten

METHODS = {
    "tango": "Tango's score interval for paired proportions (1998)",
    "clopper_pearson": "Clopper and Pearson's exact interval (1934)",
    "betting": "Waudby-Smith and Ramdas's betting bound (2024), which needs no rows of one weight and no scores of 0 and 1",
}


@dataclass(frozen=True, slots=True)
class Loss:
    """Rows that a stage left out, and why."""

    rows: int
    reason: str


@dataclass(frozen=True, slots=True)
class FunnelStage:
    """A stage of the data's way (imported, kept, train, ...) and the rows that are in it."""

    name: str
    rows: int
    losses: tuple[Loss, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """A dev row on which the student was wrong. ``text`` is the answer as it came, ``problem`` why it is unreadable."""

    input: Mapping[str, Json]
    expected: Target
    got: Target | None
    text: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class SettingLine:
    name: str
    value: str
    origin: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """One line of the ledger of the sealed split."""

    number: int
    time: str
    release: str
    level: float
    verdict: str


@dataclass(frozen=True, slots=True)
class ReportData:
    """All that the report shows. ``failures`` come from dev, never from the sealed split; ``made`` is a time as text."""

    document: Document
    made: str = ""
    command: str = ""
    curve: tuple[CurvePoint, ...] = ()
    funnel: tuple[FunnelStage, ...] = ()
    failures: tuple[Failure, ...] = ()
    settings: tuple[SettingLine, ...] = ()
    looks: tuple[Look, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _FieldLine:
    path: str
    expected: str
    got: str
    differs: bool


@dataclass(frozen=True, slots=True)
class _FailureView:
    input: list[tuple[str, str]]
    problem: str
    raw: str
    fields: list[_FieldLine]

    @property
    def differing(self) -> list[str]:
        return [line.path for line in self.fields if line.differs]


def write_report(path: Path, data: ReportData) -> None:
    """Raises: StoreError JM-801, JM-802."""
    write_atomic(path, render_report(data))


def render_report(data: ReportData) -> str:
    document = data.document
    names = list(dict.fromkeys(name for item in document.candidates for name in item.metrics))
    plots = {f"metric-{index}": plot_metric(name, document.candidates) for index, name in enumerate(names)}
    metric_plots = list(zip(plots, names, strict=True))
    if document.gate:
        plots["gate"] = plot_gate(document.gate)
    if document.confidence:
        plots["reliability"] = plot_reliability(document.confidence)
    if document.promise and document.promise.curve:
        plots["promise"] = plot_promise(document.promise)
    confusion_plots = [(f"confusion-{place}", item) for place, item in enumerate(document.confusions)]
    plots |= {name: plot_confusion(item) for name, item in confusion_plots}
    if data.curve:
        plots["loss"] = plot_loss(data.curve)
    failures = [_view(failure) for failure in data.failures]
    plotly_js, report_js = _plotly_script(), _part("report.js")
    return (
        _environment()
        .from_string(_part("report.html.j2"))
        .render(
            data=data,
            gate=document.gate,
            headline=describe_verdict(document.gate, asks_judge(document.gate, document.judges))
            if document.gate
            else "",
            figures_line=describe_interval(document.gate) if document.gate else "",
            promise_line=describe_promise(document.promise) if document.promise else "",
            methods=METHODS,
            metric_names=names,
            metric_plots=metric_plots,
            confusion_plots=confusion_plots,
            widest=max((stage.rows for stage in data.funnel), default=0),
            failures=failures,
            failure_fields=sorted({path for item in failures for path in item.differing}),
            css=Markup(_part("report.css")),
            figures=_json_block(plots),
            plotly_js=Markup(plotly_js),
            report_js=Markup(report_js),
            script_hashes=Markup(" ".join(_script_hash(script) for script in (plotly_js, report_js))),
        )
    )


def _environment() -> Environment:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"figure": _figure, "ms": _ms, "number": _number, "share_of": _share_of, "say": _say}
    environment.filters["fields"] = _fields
    return environment


def _json_block(plots: Mapping[str, Plot]) -> Markup:
    """JSON that cannot end its script element: no <, > or & is left in it."""
    text = json.dumps(plots, allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _script_hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


@cache
def _plotly_script() -> str:
    """Plotly's own script, as it lies in its Python package (importing plotly is not needed)."""
    return (files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")


def _part(name: str) -> str:
    return (files("journeyman.evaluation") / name).read_text(encoding="utf-8")


def _view(failure: Failure) -> _FailureView:
    wanted, given = _leaves(failure.expected), _leaves(failure.got)
    wrong = set(differing_fields(failure.expected, failure.got))
    return _FailureView(
        input=[(name, _say(value)) for name, value in failure.input.items()],
        problem=failure.problem,
        raw=failure.text if failure.got is None else "",
        fields=[
            _FieldLine(path, _say(wanted.get(path)), _say(given.get(path)), path in wrong)
            for path in dict.fromkeys([*wanted, *given])
        ],
    )


def _leaves(target: Target | None) -> dict[str, Json]:
    if target is None:
        return {}
    if target.kind == "object":
        return flatten(target.value)
    raw = target.to_json()
    return {"": raw.get("text") or raw.get("tool_calls") or target.kind}


def _say(value: Json) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _fields(input: Mapping[str, Json]) -> str:
    return "\n".join(f"{name}: {_say(value)}" if len(input) > 1 else _say(value) for name, value in input.items())


def _figure(figure: Figure) -> Markup:
    return Markup("{} %<br><span class='soft'>{} to {}, n = {}</span>").format(
        f"{100 * figure.value:.1f}", f"{100 * figure.low:.1f}", f"{100 * figure.high:.1f}", f"{figure.n:,}"
    )


def _ms(value: float | None) -> str:
    return "?" if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"


def _share_of(stage: FunnelStage, widest: int) -> str:
    return f"{100 * stage.rows / widest:.1f}" if widest else "0"
