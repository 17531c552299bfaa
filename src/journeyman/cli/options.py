"""Options that several commands share, so that they are spelled and explained once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from journeyman.cli.terminal import Bars
from journeyman.core.errors import SettingsError

if TYPE_CHECKING:
    from journeyman.flows.workspace import Workspace

TaskName = Annotated[str, typer.Argument(help="Name of a task: tasks/NAME.yaml.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]
ProjectFolder = Annotated[
    Path | None,
    typer.Option("--project", help="Project folder; default: this one or one above it.", show_default=False),
]
KeepRows = Annotated[
    int | None,
    typer.Option(
        "--keep",
        min=2,
        help="Keep no more train rows than this, those that a student learns most from; default: all.",
        show_default=False,
    ),
]


def parse_duration(text: str) -> float:
    """``90s``, ``20m``, ``1.5h`` in seconds; a bare number is seconds.

    Raises:
        SettingsError: JM-106, something else.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip())
    if found is None or not float(found[1]):
        raise SettingsError("JM-106", "this is no length of time", expected="for example 90s, 20m or 1h", got=text)
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


def parse_usd(text: str) -> float:
    """``5usd``, ``$5``, ``0.50``.

    Raises:
        SettingsError: JM-107, something else.
    """
    found = re.fullmatch(r"\$?\s*(\d+(?:\.\d+)?)\s*(?:usd|\$)?", text.strip().lower())
    if found is None or not float(found[1]):
        raise SettingsError("JM-107", "this is no amount of US dollars", expected="for example 5usd or 0.50", got=text)
    return float(found[1])


@contextmanager
def working(project: Path | None, is_json: bool) -> Iterator[Workspace]:
    """The project, opened, with bars on a terminal."""
    from journeyman.flows.workspace import open_workspace

    with open_workspace(project, Bars(is_quiet=is_json)) as workspace:
        yield workspace
