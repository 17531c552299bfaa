"""A labelling session on a terminal: keys in, screens out. What keys do is the session's (``flows.label_view``)."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

from journeyman.cli.keyboard import Key, Keyboard, raw_terminal
from journeyman.cli.label_screen import PAGE, Mode, make_frame
from journeyman.cli.line_editor import Edited
from journeyman.flows.label_view import LabelSession

ARROWS = {"up": -1, "down": 1, "page up": -10, "page down": 10}


def run_session(session: LabelSession) -> None:
    """Until the person quits."""
    with raw_terminal() as keyboard:
        Screen(session, keyboard).run()


class Screen:
    """The loop, and what only the terminal knows (``Mode``)."""

    def __init__(self, session: LabelSession, keyboard: Keyboard) -> None:
        self._session, self._keyboard = session, keyboard
        self._mode = Mode()
        self._is_whole_answer = False

    def run(self) -> None:
        size = None
        is_stale = True
        while True:
            if (is_stale and not self._keyboard.is_held) or os.get_terminal_size(sys.stdout.fileno()) != size:
                size = os.get_terminal_size(sys.stdout.fileno())
                self._draw(size.columns, size.lines)
                is_stale = False
            key = self._keyboard.read()
            is_stale = is_stale or key is not None
            if key is not None and not self._press(key):
                return

    def _draw(self, width: int, height: int) -> None:
        lines = make_frame(self._session.view, self._session.actions, self._mode, width, height)
        written = "\x1b[H" + "\n".join(f"{line}\x1b[K" for line in lines) + "\x1b[J"
        sys.stdout.buffer.write(written.encode("utf-8", "backslashreplace"))
        sys.stdout.flush()

    def _press(self, key: Key) -> bool:
        """False: the session ends."""
        if self._mode.edited is not None:
            self._edit(self._mode.edited, key)
            return True
        if key.name == "quit" or key.text == "q":
            return False
        if key.is_pasted:
            return True
        if self._mode.is_help:
            self._mode = replace(self._mode, is_help=False)
        elif key.text == "?":
            self._mode = replace(self._mode, is_help=True)
        elif key.text == "v":
            self._mode = replace(self._mode, is_whole=not self._mode.is_whole, line=0)
        elif self._mode.is_whole and key.name in ARROWS:
            self._mode = replace(self._mode, line=max(0, self._mode.line + ARROWS[key.name]))
        else:
            self._tell(key)
        return True

    def _tell(self, key: Key) -> None:
        """What a key means here, to the session."""
        names = {item.key: item.name for item in self._session.actions}
        view = self._session.view
        letters = [item.letter for item in view.answers if item.letter]
        if key.name == "escape" and view.stage == "preview":
            self._session.act("cancel")
        elif key.text == "0":
            self._turn_page()
            return
        elif view.stage == "row" and key.text in letters:
            self._session.choose(key.text)
        elif view.stage == "row" and len(key.text) == 1 and key.text in "123456789" and "1-9" in names:
            self._session.set_value(int(key.text) - 1 + self._mode.page * PAGE)
        elif view.stage == "row" and names.get(key.text) in ("edit", "edit_whole"):
            self._begin_edit(is_whole=key.text == "E")
            return
        elif name := names.get(key.text or key.name):
            self._session.act(name)
        self._mode = Mode()

    def _turn_page(self) -> None:
        current = next((field for field in self._session.view.fields if field.is_current), None)
        pages = -(-len(current.choices) // PAGE) if current is not None else 1
        self._mode = replace(self._mode, page=(self._mode.page + 1) % max(1, pages))

    def _begin_edit(self, *, is_whole: bool) -> None:
        text = self._session.draft(is_whole)
        current = next((field.name for field in self._session.view.fields if field.is_current), "")
        self._is_whole_answer = is_whole
        self._mode = Mode(edited=Edited(text, len(text)), what="" if is_whole else current)

    def _edit(self, edited: Edited, key: Key) -> None:
        if key.name in ("escape", "quit"):
            self._mode = Mode()
        elif key.name != "enter":
            self._mode = replace(self._mode, edited=edited.press(key))
        elif self._session.write(edited.text, self._is_whole_answer):
            self._mode = Mode()
