"""The ladder of labelled documents as a picture: F1 of all values and the share of documents that are all right, with their intervals, over how many are labelled. SVG without scripts or fonts of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from journeyman.knowledge.extract.scores import Figure

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 56, 24, 48, 56
COLOURS = ("#0b5cad", "#b3541e", "#4d7c0f", "#7c3aed", "#0f766e", "#be123c")
TICKS = (0, 25, 50, 75, 100)
SHIFT = 5.0  # pixels between the whiskers of two lines


@dataclass(frozen=True, slots=True)
class Line:
    """``points`` by the places on the axis, from 0; None where it was not measured. ``is_level``: one figure that holds at every place, such as a teacher's."""

    name: str
    points: Sequence[Figure | None]
    is_level: bool = False


def draw_curve(title: str, places: Sequence[str], lines: Sequence[Line]) -> str:
    """``places`` are the steps' names, in their order, evenly spaced."""
    body = [*_axes(places), *(part for number, line in enumerate(lines) for part in _line(line, number, len(places)))]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="system-ui, sans-serif" font-size="13" fill="#333">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
            f'<text x="{LEFT}" y="22" font-size="15" font-weight="600">{escape(title)}</text>',
            *body,
            "</svg>",
            "",
        ]
    )


def _axes(places: Sequence[str]) -> Iterator[str]:
    for tick in TICKS:
        y = _y(tick / 100)
        yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#ddd"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick} %</text>'
    for number, name in enumerate(places):
        x = _x(number, len(places))
        yield f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{escape(name)}</text>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield f'<text x="{middle:.1f}" y="{HEIGHT - 12}" text-anchor="middle" fill="#666">labelled documents</text>'


def _line(line: Line, number: int, places: int) -> Iterator[str]:
    colour = COLOURS[number % len(COLOURS)]
    x = LEFT + 150 * number
    yield f'<rect x="{x}" y="32" width="12" height="4" fill="{colour}"/>'
    yield f'<text x="{x + 17}" y="38" font-size="12">{escape(line.name)}</text>'
    known = [(place, figure) for place, figure in enumerate(line.points) if figure is not None]
    if line.is_level:
        for _place, figure in known[:1]:
            y = _y(figure.value)
            yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="{colour}" stroke-dasharray="6 4"><title>{_say(line, figure)}</title></line>'
        return
    shift = SHIFT * number
    path = " ".join(f"{_x(place, places) + shift:.1f},{_y(figure.value):.1f}" for place, figure in known)
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
    for place, figure in known:
        at = _x(place, places) + shift
        low, high = _y(figure.interval.low), _y(figure.interval.high)
        yield f'<line x1="{at:.1f}" y1="{low:.1f}" x2="{at:.1f}" y2="{high:.1f}" stroke="{colour}"/>'
        yield f'<circle cx="{at:.1f}" cy="{_y(figure.value):.1f}" r="4" fill="{colour}"><title>{_say(line, figure)}</title></circle>'


def _say(line: Line, figure: Figure) -> str:
    low, high = 100 * figure.interval.low, 100 * figure.interval.high
    return escape(f"{line.name}: {100 * figure.value:.1f} % ({low:.1f} to {high:.1f}), n = {figure.n}")


def _x(place: int, places: int) -> float:
    return LEFT + 24 + place * (WIDTH - LEFT - RIGHT - 60) / max(1, places - 1)


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
