"""What a chart or a diagram of Office shows: the numbers behind the one, the lines of the other."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from journeyman.knowledge.parse.numbers import write_number
from journeyman.knowledge.parse.ooxml import to_int

C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
D = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
MOST_POINTS = 5_000
MOST_SERIES = 100


def read_chart(root: Element) -> tuple[str, list[list[str]]]:
    """The title and a table: a row for each category, a column for each series, as they were when the file was saved."""
    title = root.find(f"{C}chart/{C}title")
    names: list[str] = []
    categories: dict[int, str] = {}
    columns: list[dict[int, str]] = []
    for series in list(root.iter(C + "ser"))[:MOST_SERIES]:
        names.append(" ".join(_points(series.find(C + "tx")).values()))
        categories |= _points(_first(series, "cat", "xVal"))
        columns.append(_points(_first(series, "val", "yVal")))
    numbers = sorted(set(categories).union(*columns))
    rows = [[categories.get(number, ""), *(column.get(number, "") for column in columns)] for number in numbers]
    return _text(title), [["", *names], *rows] if rows else []


def read_diagram(root: Element) -> Iterator[str]:
    """The texts of a diagram in the order of its points."""
    for point in root.iter(D + "pt"):
        if text := _text(point):
            yield text


def _first(series: Element, *names: str) -> Element | None:
    return next((found for name in names if (found := series.find(C + name)) is not None), None)


def _points(element: Element | None) -> dict[int, str]:
    """Of categories with several levels the innermost."""
    if element is None:
        return {}
    level = element.find(f"{C}multiLvlStrRef/{C}multiLvlStrCache/{C}lvl")
    points = list((element if level is None else level).iter(C + "pt"))[:MOST_POINTS]
    if points:
        return {to_int(point.get("idx")): write_number(point.findtext(C + "v") or "") for point in points}
    value = element.findtext(C + "v")
    return {0: value} if value else {}


def _text(element: Element | None) -> str:
    if element is None:
        return ""
    return " ".join(" ".join(text.text or "" for text in element.iter(A + "t")).split())
