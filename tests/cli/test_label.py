"""`journeyman label` at a terminal: a real process, keys and screens, killed in the middle and begun again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from journeyman.cli.at_terminal import find_person
from journeyman.cli.main import run
from journeyman.core.errors import DataError
from journeyman.core.judgements import read_judgements
from journeyman.data.dataset import read_manifest, read_split
from journeyman.flows.prepare import prepare_task
from journeyman.flows.workspace import open_workspace
from tests.cli.terminals import at_terminal
from tests.flows.tickets import MESSAGES, REFUND, make_tickets

HOSTILE = "\x1b[31mred\x1b]0;title\x07 \u202eback\u200b and \x9b2J a\rb"
LONG = "\n".join(f"line {place} of a long complaint" for place in range(80))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tickets(tmp_path_factory.mktemp("tickets") / "project")


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "project"))


def done_by(folder: Path, by: str) -> dict[str, object]:
    """What a person decided, by message, as it lies in the store."""
    found: dict[str, object] = {}
    with open_workspace(folder) as workspace:
        for trace in workspace.store.traces("tickets"):
            said = read_judgements(trace.feedback).get(by)
            if said is not None and said.state == "done" and said.answer is not None:
                found[str(trace.input["message"])] = said.answer.value
    return found


def golds(folder: Path) -> dict[str, object]:
    """What the train rows learn from people after another `prepare`."""
    with open_workspace(folder) as workspace:
        prepare_task(workspace, "tickets")
        _hash, manifest = read_manifest(workspace.store, "tickets")
        rows = read_split(workspace.store, manifest, "train")
        return {str(row.input["message"]): row.gold.value for row in rows if row.gold is not None}


def message_of(screen: str) -> str:
    return next(line.strip() for line in screen.splitlines()[2:] if line.strip())


def test_a_session_that_is_killed_loses_no_key_and_goes_on_where_it_stopped(folder: Path) -> None:
    total = len(MESSAGES)
    with at_terminal(folder, "label", "tickets", "--by", "ada") as terminal:
        first = message_of(terminal.wait(f"0 done, {total} left", "1 refund", "enter accept"))
        assert "\x1b[33mrefund" in terminal.raw
        second = message_of(terminal.press("\r", f"1 done, {total - 1} left"))
        terminal.press("2", "> urgent")  # card_lost
        terminal.press("\t", "> product")
        terminal.press("e", "write product: card")
        terminal.press("\x15Visa", "write product: Visa")
        terminal.press("\r", "product: Visa", without="write")
        third = message_of(terminal.press("\r", f"2 done, {total - 2} left", "fixed"))
        terminal.press("4", "intent: other")
        terminal.kill()
    fixed = REFUND | {"intent": "card_lost", "product": "Visa"}
    assert done_by(folder, "ada") == {first: REFUND, second: fixed}
    with at_terminal(folder, "label", "tickets", "--by", "ada") as terminal:
        screen = terminal.wait(f"2 done, {total - 2} left", "begun before", "intent: other")
        assert message_of(screen) == third
        terminal.press("\r", f"3 done, {total - 3} left")
        assert third in terminal.press("u", "taken back", f"2 done, {total - 2} left")
        terminal.press("u", "taken back", "intent: refund")
        assert second in terminal.press("u", "intent: refund", f"1 done, {total - 1} left")
        assert second not in terminal.press("2\r", f"2 done, {total - 2} left")
        status, said = terminal.end()
    assert status == 0
    assert "2 rows labelled by ada, 4 left" in said
    assert "next: journeyman prepare tickets" in said
    assert golds(folder) == {first: REFUND, second: fixed | {"product": "card"}}


def test_a_fix_goes_to_near_neighbours_after_a_preview(folder: Path) -> None:
    with at_terminal(folder, "label", "tickets", "--by", "ada") as terminal:
        screen = terminal.wait("0 done")
        for place in range(1, len(MESSAGES)):
            if "concert" in screen:
                break
            screen = terminal.press("s", f"{len(MESSAGES) - place} left")
        terminal.press("4", "intent: other")
        terminal.press("\r", "1 done")
        terminal.press("n", "1 near neighbour ", "~ I want my money back", "y apply to all of them")
        terminal.press("y", "2 done", "applied to 1")
        assert terminal.end()[0] == 0
    fixed = REFUND | {"intent": "other"}
    assert golds(folder) == {MESSAGES[0]: fixed, MESSAGES[1]: fixed}


def test_a_wrong_text_is_asked_again_and_help_and_interrupt_lose_nothing(folder: Path) -> None:
    with at_terminal(folder, "label", "tickets", "--by", "ada") as terminal:
        terminal.wait("0 done")
        terminal.press("?", "Keys of this session", "take the last decision back")
        terminal.press("x", "enter accept", without="Keys of this session")
        terminal.press("E", 'write: {"intent":"refund"')
        terminal.press("\x15{", "write: {")
        terminal.press("\r", "not JSON", "write: {")
        terminal.press("\x1b", "enter accept", without="write")
        terminal.press("\x1b[200~\raq\x1b[201~\t", "0 done", "> urgent")  # pasted keys are none
        terminal.press("\r", "1 done")
        status, said = terminal.end("\x03")
    assert status == 0, said
    assert "Traceback" not in said
    assert "1 rows labelled by ada" in said
    assert len(done_by(folder, "ada")) == 1


def test_a_small_window_says_so_and_a_larger_one_shows_the_row_here_without_colours(folder: Path) -> None:
    with at_terminal(folder, "label", "tickets", "--by", "ada", width=30, height=8, NO_COLOR="1") as terminal:
        terminal.wait("make this window")
        terminal.resize(44, 14)
        terminal.wait("0 done", "1 refund")
        for line in terminal.screen.splitlines():
            assert len(line) <= 44
        terminal.resize(120, 40)
        terminal.wait("q quit")
        assert "\x1b[33m" not in terminal.written
        assert terminal.end()[0] == 0


def test_text_of_rows_cannot_reach_the_terminal_and_long_ones_can_be_seen_whole(tmp_path: Path) -> None:
    folder = make_tickets(tmp_path / "project", messages=(HOSTILE, LONG))
    with at_terminal(folder, "label", "tickets", "--by", "ada") as terminal:
        hostile_first = "U+001B" in terminal.wait("q quit")
        for is_hostile in (True, False) if hostile_first else (False, True):
            if is_hostile:
                screen = terminal.wait(
                    "<U+001B>[31mred", "<U+0007>", "<U+202E>back<U+200B>", "<U+009B>2J", "a<U+000D>b"
                )
                assert all(char not in terminal.raw for char in "\x07\u202e\u200b\x9b")
                assert "\x1b[31m" not in terminal.raw
                assert "\x1b]" not in terminal.raw
                assert "recorded" in screen
            else:
                assert "line 79" not in terminal.wait(f"v shows all {len(LONG):,} characters", "line 0")
                assert "line 0 " in terminal.press("v", "v shows less")
                terminal.press("\x1b[6~\x1b[6~\x1b[6~\x1b[6~\x1b[6~\x1b[6~\x1b[6~", "line 79")
                terminal.press("v", "line 0 ", "q quit")
            terminal.press("s", without="2 left")
        terminal.end()


def test_without_a_terminal_one_error_names_the_other_way(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["label", "tickets", "--project", str(folder)]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("JM-370 ")
    for words in ("--draw 50", "--read labels.csv", "--doubts"):
        assert words in said.err
    assert said.out == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--draw", "5", "--read", "x.csv"), "one of"),
        (("--n", "5"), "--n belongs to --verdict"),
        (("--agreement", "--by", "ada"), "--by NAME belongs"),
        (("--read", "x.csv"), "--by NAME belongs"),
        (("--verdict", "--weak"), "belong to a session over train rows"),
        (("--json",), "a session is for people"),
    ],
)
def test_options_that_do_not_belong_together_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    assert run(["label", "tickets", "--project", str(folder), *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a\tb", "a" * 81, "\x1b[31mada"])
def test_a_name_that_cannot_be_kept_is_refused(name: str) -> None:
    with pytest.raises(DataError, match=r"JM-371 [\s\S]*--by ada"):
        find_person(name)


def test_the_login_name_is_taken_where_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "grace")
    assert find_person("") == "grace"
    assert find_person(" ada ") == "ada"


def test_two_people_and_their_agreement_by_the_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for by, keys in (("ada", "aaaaaa"), ("bob", "aaaaa4")):
        with at_terminal(folder, "label", "tickets", "--by", by, "--again", "1") as terminal:
            terminal.wait("0 done, 6 left")
            for place, key in enumerate(keys, start=1):
                if key == "4":
                    terminal.press("4", "intent: other")
                terminal.press("a" if key == "a" else "\r", f"{place} done")
            terminal.wait("nothing is left to label")
            terminal.end()
    assert run(["label", "tickets", "--project", str(folder), "--agreement"]) == 0
    said = capsys.readouterr().out
    for words in (
        "ada 6, bob 6",
        "whole answers: Krippendorff's alpha",
        "n = 6), 1 rows differ",
        "  intent: ",
        '"intent":"other"',
    ):
        assert words in said
    assert run(["label", "tickets", "--project", str(folder), "--agreement", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["train"]["n"], document["train"]["apart"], len(document["apart"])) == (6, 1, 1)
    assert document["sealed"] is None
