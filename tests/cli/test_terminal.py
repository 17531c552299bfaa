"""What people see is the text as it is: a name that looks like markup of the terminal library stays a name."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from journeyman.cli.compare import print_comparison
from journeyman.cli.improve import _print as print_improvement
from journeyman.cli.judge import _print as print_measured
from journeyman.cli.terminal import SLOW_LOG_S, Bars, print_error, print_lines
from journeyman.cli.verdicts import print_ladder
from journeyman.core.errors import DataError
from journeyman.evaluation.comparison import CellPart, Comparison
from journeyman.evaluation.document import Figure, LadderPart, RungPart
from journeyman.evaluation.improvement import ArmPart, ChosenPart, Improvement
from journeyman.evaluation.judged import Measurement, WhoPart
from journeyman.flows.judges import Measured

NAMES = ("[red]x[/red]", "[/]", "models/[/tmp]/a.gguf", ":red_car:")
FIGURE = Figure(value=0.5, low=0.4, high=0.6, n=100)


def compared(name: str) -> None:
    cells = tuple(
        CellPart(
            number=number,
            name=f"{name} {number}",
            instruction=name,
            model=name,
            shots=0,
            temperature=0,
            metrics={name: FIGURE},
            failed=failed,
        )
        for number, failed in ((1, ""), (2, f"{name} is not there"))
    )
    comparison = Comparison(
        task="t", dataset="d", metric=name, rows=9, groups=9, baseline=1, instructions={}, cells=cells
    )
    print_comparison(comparison)


def improved(name: str) -> None:
    arm, chosen = (
        ArmPart(phase="examples", name=name, rows=9, score=0.5),
        ChosenPart(name=name, instruction="", shots=0),
    )
    print_improvement(
        Improvement(task="t", dataset="d", metric=name, model="m", arms=(arm,), chosen=chosen, budget_s=1)
    )


def measured(name: str) -> None:
    who = WhoPart(model=name, sha256="", url="", rubric="", prompt=1, asked="", hash="")
    found = Measurement(
        task="t",
        metric=name,
        judge=who,
        labels="",
        time="",
        n=9,
        groups=9,
        accuracy=FIGURE,
        kappa=None,
        position_bias=FIGURE,
        first=0,
        second=0,
        ties=0,
        ties_of_people=0,
        unreadable=0,
    )
    print_measured(Measured(path=Path("p"), measurement=found, least_kappa=0.4, objection=""))


def climbed(name: str) -> None:
    rung = RungPart(
        name=name,
        kind="head",
        run="r",
        student="s",
        verdict=None,
        is_promising=False,
        p50_ms=1.0,
        usd_per_1000=None,
        note=name,
    )
    print_ladder(LadderPart(rungs=(rung,), chosen="", advice=name, seen=(), rule=""))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("show", [compared, improved, measured, climbed])
def test_tables_show_names_as_they_are(
    show: Callable[[str], None], name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    show(name)
    table = capsys.readouterr().out.split("└")[0]
    assert name in table


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("is_terminal", [True, False])
def test_bars_show_names_as_they_are(name: str, is_terminal: bool) -> None:
    file = io.StringIO()
    bars = Bars(Console(file=file, force_terminal=is_terminal, width=300, color_system=None))
    bars.start(f"stage {name}", total=2)
    bars.logged -= 2 * SLOW_LOG_S
    bars.advance(1, f"detail {name}")
    bars.finish(f"end {name}")
    for text in (f"stage {name}", f"detail {name}", f"end {name}"):
        assert text in file.getvalue()


def test_a_terminal_gets_no_control_characters_of_data(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = "\x1b]0;title\x07\x1b[31mred\r\x9b1m \ud800 é\tö"
    print_error(DataError("JM-303", "no format", got=hostile), is_json=False)
    Bars(Console(file=(noted := io.StringIO()))).note(hostile)
    print_lines("as it is\x1b[0m")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_lines(hostile)
    shown = capsys.readouterr()
    assert shown.out.startswith("as it is\x1b[0m\n")
    for text in (shown.err, noted.getvalue(), shown.out.split("\n", 1)[1]):
        assert "\\x1b]0;title\\x07\\x1b[31mred\\x0d\\x9b1m" in text
        assert not any(sign in text for sign in "\x1b\x07\r\x9b\ud800")
