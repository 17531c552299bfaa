"""A comparison as one self-contained HTML file: no network, no script. Everything that comes from data is escaped by the template."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from journeyman.core.files import write_atomic
from journeyman.evaluation.comparison import Comparison, describe_difference
from journeyman.evaluation.document import Figure, describe_judge


def write_page(path: Path, comparison: Comparison, made: str = "") -> None:
    """Raises: StoreError JM-801, JM-802."""
    write_atomic(path, render_page(comparison, made))


def render_page(comparison: Comparison, made: str = "") -> str:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"difference": describe_difference, "share": _share, "ends": _ends, "worth": describe_judge}
    css, page = (_part(name) for name in ("report.css", "comparison.html.j2"))
    names = next((list(cell.metrics) for cell in comparison.cells if cell.metrics), [])
    return environment.from_string(page).render(it=comparison, names=names, made=made, css=Markup(css))


def _part(name: str) -> str:
    return (files("journeyman.evaluation") / name).read_text(encoding="utf-8")


def _share(figure: Figure) -> str:
    return f"{100 * figure.value:.1f} %"


def _ends(figure: Figure) -> str:
    return f"{100 * figure.low:.1f} to {100 * figure.high:.1f}"
