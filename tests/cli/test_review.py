"""`journeyman label --extracted` at a terminal: a real process over documents that were extracted, killed in the middle and begun again."""

from __future__ import annotations

from pathlib import Path

import pytest

from journeyman.cli.main import run
from journeyman.core.judgements import settle_judgements
from journeyman.flows.workspace import open_workspace
from tests.cli.terminals import at_terminal
from tests.flows.letters import BILL, INVENTED, make_letters, say

LINES = "\n".join(f"Line {number} of a long letter." for number in range(60))


def test_a_session_shows_values_in_their_place_and_loses_none_when_it_is_killed(tmp_path: Path) -> None:
    text = BILL.replace("No. A-17\n", f"{LINES}\nNo. A-17\n{LINES}\n")
    folder = make_letters(tmp_path / "project", bill=text)
    with at_terminal(folder, "label", "letters", "--extracted", "--by", "ada") as terminal:
        terminal.wait(
            "inbox/bill.txt", "0 done, 1 left", "does not say", "> city: Atlantis", "Line 0 of", "x not there"
        )
        terminal.press("e", "write city: Atlantis")
        terminal.press("\x15Lisbon\r", f"> due: {INVENTED}")
        terminal.press("\x1b[Z", "Lisbon, the day", "> city: Lisbon")
        assert "\x1b[1;7mLisbon" in terminal.raw
        terminal.press("\x1b[Z", "No. A-17", "> number: A-17", "nothing speaks", without="Lisbon, the day")
        terminal.press("\r", f"> due: {INVENTED}")
        terminal.press("x", "> rows[1].name: ghost")
        terminal.kill()
    with at_terminal(folder, "label", "letters", "--extracted", "--by", "ada") as terminal:
        terminal.wait("begun before", "> rows[1].name: ghost", "ghost")
        terminal.press("d", "nothing is left to label", "1 done")
        status, said = terminal.end()
    assert status == 0
    assert "values decided now: 1 emptied" in said
    assert "1 windows of documents decided by ada, 0 left" in said
    assert "next: journeyman prepare letters" in said
    with open_workspace(folder) as workspace:
        (trace,) = workspace.store.traces("letters")
    gold = settle_judgements(trace.feedback)
    assert gold is not None
    assert gold.value == say(text)


def test_options_and_a_task_without_doubts_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_letters(tmp_path / "project", plain="No. B-4\n\nOslo. Nothing else.\n")
    assert run(["label", "letters", "--extracted", "--draw", "5", "--project", str(folder)]) == 2
    assert "one of --draw" in capsys.readouterr().err
    assert run(["label", "letters", "--extracted", "--project", str(folder)]) == 2
    assert "JM-370" in capsys.readouterr().err
    with at_terminal(folder, "label", "letters", "--extracted", "--by", "ada") as terminal:
        terminal.wait("JM-975", "journeyman extract letters FILES")
