"""The report's figures as plain Plotly JSON. Colours are ``var:NAME``; the page resolves them for light, dark and print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from journeyman.core.canonical import Json
from journeyman.evaluation.document import CandidatePart, ConfidencePart, ConfusionPart, Figure, GatePart, PromisePart

Plot = dict[str, Json]


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Losses after ``step`` optimizer steps, nats per supervised token; None where not measured at that step."""

    step: int
    train: float | None = None
    dev: float | None = None


def plot_metric(name: str, candidates: Sequence[CandidatePart]) -> Plot:
    """One metric of every candidate that has it, with 95 % intervals, in percent."""
    shown = [item for item in candidates if name in item.metrics][::-1]
    figures = [item.metrics[name] for item in shown]
    trace = _whiskers(
        [_label(f"{item.name} ({item.split}, n = {item.metrics[name].n})") for item in shown], figures, "var:accent"
    )
    layout = _layout(height=70 + 44 * len(shown), x_title="%")
    layout["xaxis"] = _axis("%") | {"range": _percent_range(figures)}
    return {"data": [trace], "layout": layout}


def plot_gate(gate: GatePart) -> Plot:
    """The gated figure with its one-sided bounds and the limit that they are held against."""
    limit = {
        "teacher": -(gate.margin or 0.0),
        "floor": gate.floor or 0.0,
        "agreement": 1 - (gate.margin or 0.0),
    }[gate.against]
    name = {"teacher": "student − teacher", "floor": gate.metric, "agreement": "agreement"}[gate.against]
    color = {"pass": "var:good", "fail": "var:bad", "inconclusive": "var:open"}[gate.alone or gate.verdict]
    figure = Figure(value=gate.difference, low=gate.low, high=gate.high, n=gate.n)
    title = "points" if gate.against == "teacher" else "%"
    layout = _layout(height=150 if gate.low_95 is None else 180, x_title=title)
    lines: list[Json] = [_line(100 * limit, "var:bad", "dash")]
    labels: list[Json] = [_note(100 * limit, "margin" if gate.against == "teacher" else "limit")]
    if gate.against == "teacher":
        lines.append(_line(0.0, "var:soft", "dot"))
    layout |= {"shapes": lines, "annotations": labels}
    shown = [(name, figure, color)]
    if gate.low_95 is not None and gate.high_95 is not None:
        two_sided = Figure(value=gate.difference, low=gate.low_95, high=gate.high_95, n=gate.n)
        shown = [("95 % interval", two_sided, "var:soft"), (f"{name}, at the look's level", figure, color)]
    spread = [end for _, item, _ in shown for end in (item.low, item.high)]
    spread += [limit, *([0.0] if gate.against == "teacher" else [])]
    room = 0.1 * (max(spread) - min(spread)) or 0.01
    layout["xaxis"] = _axis(title) | {"range": [100 * (min(spread) - room), 100 * (max(spread) + room)]}
    return {"data": [_whiskers([label], [item], shade) for label, item, shade in shown], "layout": layout}


def plot_reliability(part: ConfidencePart) -> Plot:
    """Bins of calibrated confidence against the share that was right, with 95 % intervals; the diagonal is what was promised."""
    trace: Plot = {
        "type": "scatter",
        "mode": "markers",
        "x": [100 * bin.confidence for bin in part.bins],
        "y": [100 * bin.right for bin in part.bins],
        "marker": {"color": "var:accent", "size": 9},
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [100 * (bin.high - bin.right) for bin in part.bins],
            "arrayminus": [100 * (bin.right - bin.low) for bin in part.bins],
            "color": "var:accent",
            "thickness": 2,
        },
        "text": [f"n = {bin.n}" for bin in part.bins],
        "hovertemplate": "said %{x:.1f} %, right %{y:.1f} %, %{text}<extra></extra>",
    }
    diagonal: Plot = {
        "type": "scatter",
        "mode": "lines",
        "x": [0, 100],
        "y": [0, 100],
        "line": {"color": "var:soft", "dash": "dot"},
        "hoverinfo": "skip",
    }
    layout = _layout(height=380, x_title="confidence, %")
    layout["yaxis"] = _axis("right, %") | {"range": [-2, 102]}
    layout["xaxis"] = _axis("confidence, %") | {"range": [-2, 102]}
    return {"data": [diagonal, trace], "layout": layout}


def plot_promise(part: PromisePart) -> Plot:
    """The share of wrong answers among those that are accepted, by how many are; the promise's limit and the point that was chosen."""
    curve = sorted(part.curve, key=lambda point: point.coverage)
    shown: list[Json] = [100 * point.coverage for point in curve]
    ends: list[Json] = [*(100 * point.high for point in curve), *(100 * point.low for point in curve[::-1])]
    band: Plot = {
        "type": "scatter",
        "mode": "lines",
        "x": shown + shown[::-1],
        "y": ends,
        "fill": "toself",
        "opacity": 0.3,
        "line": {"color": "var:accent", "width": 0},
        "hoverinfo": "skip",
    }
    line: Plot = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": shown,
        "y": [100 * point.wrong for point in curve],
        "text": [f"confidence from {point.threshold:.3f}, n = {point.accepted}" for point in curve],
        "line": {"color": "var:accent"},
        "marker": {"size": 5},
        "hovertemplate": "%{x:.1f} % answered, %{y:.1f} % of them wrong; %{text}<extra></extra>",
    }
    data: list[Json] = [band, line]
    if (chosen := part.chosen) is not None:
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [100 * chosen.coverage],
                "y": [100 * chosen.wrong],
                "marker": {"color": "var:good", "size": 13, "symbol": "diamond"},
                "hovertemplate": "the promise's threshold<extra></extra>",
            }
        )
    layout = _layout(height=340, x_title="answered by the student, %")
    limit = 100 * part.error
    layout["xaxis"] = _axis("answered by the student, %") | {"range": [0, 101]}
    layout["yaxis"] = _axis("wrong among them, %") | {"rangemode": "tozero"}
    layout["shapes"] = [
        {
            "type": "line",
            "xref": "paper",
            "x0": 0,
            "x1": 1,
            "y0": limit,
            "y1": limit,
            "line": {"color": "var:bad", "width": 2, "dash": "dash"},
        }
    ]
    return {"data": data, "layout": layout}


def plot_confusion(part: ConfusionPart) -> Plot:
    """Counts as a heatmap; what is right lies on the diagonal, which has the other colour's end, so that few mistakes show."""
    expected: list[Json] = [_label(name) for name in reversed(part.values)]
    given: list[Json] = [_label(name) for name in part.given]
    wrong: list[Json] = [
        [None if name == other or not count else count for other, count in zip(part.given, row, strict=True)]
        for name, row in zip(part.values[::-1], part.counts[::-1], strict=True)
    ]
    right: list[Json] = [
        [count if name == other else None for other, count in zip(part.given, row, strict=True)]
        for name, row in zip(part.values[::-1], part.counts[::-1], strict=True)
    ]
    shared: Plot = {"type": "heatmap", "x": given, "y": expected, "xgap": 1, "ygap": 1}
    data: list[Json] = [
        shared
        | {
            "z": cells,
            "colorscale": [[0, "rgba(127,127,127,0.08)"], [1, color]],
            "showscale": False,
            "hovertemplate": "expected %{y}, came %{x}: %{z}<extra></extra>",
        }
        for cells, color in ((right, "rgb(46,125,50)"), (wrong, "rgb(198,40,40)"))
    ]
    size = 18 if len(part.values) > 20 else 32
    layout = _layout(height=140 + size * len(part.values), x_title="came")
    layout["yaxis"] = {"automargin": True, "title": {"text": "expected"}, "type": "category"}
    layout["xaxis"] = {"automargin": True, "title": {"text": "came"}, "type": "category", "tickangle": -60}
    return {"data": data, "layout": layout}


def plot_loss(curve: Sequence[CurvePoint]) -> Plot:
    """Train and dev losses by step."""
    traces: list[Json] = []
    for name, color, values in (
        ("train", "var:accent", [(point.step, point.train) for point in curve]),
        ("dev", "var:second", [(point.step, point.dev) for point in curve]),
    ):
        kept = [(step, value) for step, value in values if value is not None]
        if kept:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers" if len(kept) < 60 else "lines",
                    "name": name,
                    "x": [step for step, _ in kept],
                    "y": [value for _, value in kept],
                    "line": {"color": color},
                }
            )
    layout = _layout(height=320, x_title="step")
    layout |= {"showlegend": True, "yaxis": _axis("loss") | {"rangemode": "tozero"}, "xaxis": _axis("step")}
    return {"data": traces, "layout": layout}


def _whiskers(labels: list[str], figures: Sequence[Figure], color: str) -> Plot:
    names: list[Json] = list(labels)
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [100 * figure.value for figure in figures],
        "y": names,
        "marker": {"color": color, "size": 10},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [100 * (figure.high - figure.value) for figure in figures],
            "arrayminus": [100 * (figure.value - figure.low) for figure in figures],
            "color": color,
            "thickness": 2,
        },
        "hovertemplate": "%{x:.1f}<extra></extra>",
    }


def _percent_range(figures: Sequence[Figure]) -> Json:
    low = min((figure.low for figure in figures), default=0.0)
    return [100 * max(-0.01, low - 0.05 - 0.1 * (1 - low)), 101]


def _layout(height: int, x_title: str) -> Plot:
    return {
        "height": height,
        "margin": {"l": 20, "r": 20, "t": 24, "b": 44},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": "var:text", "family": "system-ui, sans-serif"},
        "showlegend": False,
        "xaxis": _axis(x_title),
        "yaxis": {"automargin": True, "gridcolor": "var:line"},
    }


def _axis(title: str) -> Plot:
    return {"title": {"text": title}, "gridcolor": "var:line", "zeroline": False, "automargin": True}


def _line(x: float, color: str, dash: str) -> Json:
    return {
        "type": "line",
        "x0": x,
        "x1": x,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "line": {"color": color, "width": 2, "dash": dash},
    }


def _note(x: float, text: str) -> Json:
    return {"x": x, "y": 1, "yref": "paper", "yanchor": "bottom", "text": text, "showarrow": False}


def _label(text: str) -> str:
    """Plotly reads a few tags in labels; a name must not be one."""
    return escape(text, quote=False)
