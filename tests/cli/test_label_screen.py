"""What a session's screens and keys come to, without a terminal: any text in any window, any bytes from a keyboard."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from journeyman.cli.keyboard import Key, Keyboard
from journeyman.cli.label_screen import LEAST_HEIGHT, LEAST_WIDTH, Mode, make_frame
from journeyman.cli.line_editor import Edited
from journeyman.cli.plain import show_plainly
from journeyman.flows import labelling, verdict_labelling
from journeyman.flows.label_view import ShownAnswer, ShownField, View

STYLE = re.compile(r"\x1b\[[0-9;]*m")
TEXT = st.text(st.characters(codec=None, categories=None), max_size=120) | st.sampled_from(
    ["\x1b]0;x\x07", "x" * 500, "語" * 90, "a\nb\n" * 60, "\u202e\u200b", "👩‍👩‍👧 ok", "\ud800"]
)
ANSWER = st.builds(ShownAnswer, st.sampled_from("abcd"), TEXT, TEXT)
FIELD = st.builds(ShownField, TEXT, TEXT, st.lists(TEXT, max_size=20).map(tuple), st.booleans(), st.booleans())
VIEW = st.builds(
    View,
    stage=st.sampled_from(["row", "preview", "end"]),
    title=TEXT,
    input=TEXT,
    mark=st.none() | st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda ends: (min(ends), max(ends))),
    answers=st.lists(ANSWER, max_size=4).map(tuple),
    fields=st.lists(FIELD, max_size=4).map(tuple),
    why=TEXT,
    done=st.integers(0, 10**6),
    left=st.integers(0, 10**6),
    note=TEXT,
    problem=TEXT,
    near=st.lists(TEXT, max_size=8).map(tuple),
    near_count=st.integers(8, 900),
)
EDITED = st.none() | st.builds(lambda text, place: Edited(text, min(place, len(text))), TEXT, st.integers(0, 200))
MODE = st.builds(Mode, st.integers(0, 3), st.integers(0, 99), st.booleans(), st.booleans(), EDITED, TEXT)


@settings(max_examples=150, deadline=None)
@given(VIEW, MODE, st.integers(1, 200), st.integers(1, 60), st.booleans())
def test_no_text_leaves_its_window_or_moves_its_cursor(
    view: View, mode: Mode, width: int, height: int, is_verdict: bool
) -> None:
    actions = (verdict_labelling if is_verdict else labelling).ACTIONS
    lines = make_frame(view, actions, mode, width, height)
    assert 1 <= len(lines) <= height
    for line in lines:
        plain = STYLE.sub("", line)
        assert cell_len(plain) <= max(width, 2), "a wide character needs two cells"
        assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u200b\ud800-\udfff]", plain)


@given(TEXT)
def test_harmless_text_stays_as_it_is(text: str) -> None:
    shown = show_plainly(text)
    assert show_plainly(shown) == shown
    if text.isascii() and text.replace("\n", "").isprintable():
        assert shown == text


def test_what_writing_systems_need_is_left_alone() -> None:
    for text in ("café", "می‌خواهم", "👩‍👩‍👧", "日本語", "naïve — “so”"):
        assert show_plainly(text) == text


@pytest.fixture
def pipe() -> Iterator[tuple[Keyboard, int]]:
    read, write = os.pipe()
    yield Keyboard(read), write
    os.close(read)


@pytest.mark.parametrize(
    ("data", "key"),
    [
        (b"a", Key(text="a")),
        ("é".encode(), Key(text="é")),
        ("語".encode(), Key(text="語")),
        ("👍".encode(), Key(text="👍")),
        (b"\r", Key("enter")),
        (b"\x03", Key("quit")),
        (b"\x04", Key("quit")),
        (b"\x1b[A", Key("up")),
        (b"\x1b[6~", Key("page down")),
        (b"\x1b", Key("escape")),
        (b"\x1b\r", Key("newline")),
        (b"\x1b[200~a\rq\x1b[A\x1b[201~", Key(text="a\nq\x1b[A", is_pasted=True)),
        (b"\x1b[99;99R", None),
        (b"\x00", None),
        (b"", Key("quit")),
    ],
)
def test_bytes_are_one_key(pipe: tuple[Keyboard, int], data: bytes, key: Key | None) -> None:
    keyboard, write = pipe
    os.write(write, data)
    if not data:
        os.close(write)
    assert keyboard.read() == key
    if data:
        os.write(write, b"z")
        assert keyboard.read() == Key(text="z"), "nothing of it is left"
        os.close(write)


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=1, max_size=30))
def test_any_bytes_come_to_an_end(data: bytes) -> None:
    read, write = os.pipe()
    keyboard = Keyboard(read)
    os.write(write, data)
    os.close(write)
    for _ in range(len(data) + 1):
        if keyboard.read() == Key("quit") and not keyboard.is_held:
            break
    else:
        raise AssertionError("more keys than bytes")
    os.close(read)


def test_a_text_is_edited_in_place() -> None:
    edited = Edited("card", 4)
    for key in (Key("home"), Key(text="V"), Key("delete"), Key("right"), Key(text="é"), Key("end"), Key("backspace")):
        edited = edited.press(key)
    assert edited == Edited("Vaér", 4)
    assert edited.press(Key("newline")).text == "Vaér\n"
    assert edited.press(Key("clear")) == Edited("", 0)
    assert edited.press(Key("left")).press(Key(text="x\ny", is_pasted=True)).text == "Vaéx\nyr"
    assert Edited("", 0).press(Key("backspace")) == Edited("", 0)
    assert edited.press(Key("up")) == edited


def test_a_long_input_has_room_and_says_how_to_see_it() -> None:
    view = View("row", "tickets", input="\n".join(f"line {place}" for place in range(400)), done=1, left=2)
    lines = [STYLE.sub("", line) for line in make_frame(view, labelling.ACTIONS, Mode(), LEAST_WIDTH, LEAST_HEIGHT)]
    assert any("line 0" in line for line in lines)
    assert any("v shows all" in line for line in lines)
    whole = make_frame(view, labelling.ACTIONS, Mode(is_whole=True, line=9999), 100, 30)
    assert any("line 399" in line for line in whole)
