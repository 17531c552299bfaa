"""Keys of a terminal, one at a time and without an echo. Interrupts are keys too, so that nothing is cut off in the middle; pasted text is one key of its own."""

from __future__ import annotations

import codecs
import os
import select
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

ESCAPE_S = 0.05
"""What belongs to one escape sequence comes within this time."""
LOOK_S = 0.25
PASTE_BEGIN, PASTE_END = b"\x1b[200~", b"\x1b[201~"
NAMED = {
    b"\r": "enter",
    b"\n": "newline",
    b"\t": "tab",
    b"\x7f": "backspace",
    b"\x08": "backspace",
    b"\x01": "home",
    b"\x05": "end",
    b"\x15": "clear",
    b"\x03": "quit",
    b"\x04": "quit",
    b"\x1b": "escape",
    b"\x1b\r": "newline",
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1b[C": "right",
    b"\x1b[D": "left",
    b"\x1bOA": "up",
    b"\x1bOB": "down",
    b"\x1bOC": "right",
    b"\x1bOD": "left",
    b"\x1b[H": "home",
    b"\x1b[F": "end",
    b"\x1b[1~": "home",
    b"\x1b[4~": "end",
    b"\x1b[3~": "delete",
    b"\x1b[5~": "page up",
    b"\x1b[6~": "page down",
    b"\x1b[Z": "back tab",
}


@dataclass(frozen=True, slots=True)
class Key:
    """``name`` of a key that writes nothing, else ``text``: one character, or what was pasted."""

    name: str = ""
    text: str = ""
    is_pasted: bool = False


class Keyboard:
    """Reads keys from a terminal that ``raw_terminal`` has prepared."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._held = b""
        self._is_ended = False

    @property
    def is_held(self) -> bool:
        """Whether keys that were typed ahead wait."""
        return bool(self._held)

    def read(self) -> Key | None:
        """The next key; None where none came for a while, so that the size of the window can be looked at. The end of the input is ``quit``."""
        if not self._held and not self._fill(LOOK_S):
            return Key("quit") if self._is_ended else None
        return self._take_escape() if self._held[:1] == b"\x1b" else self._take_plain()

    def _fill(self, wait_s: float) -> bool:
        """Whether something came; at the end nothing does."""
        ready, _, _ = select.select([self._file], [], [], wait_s)
        if not ready:
            return False
        try:
            data = os.read(self._file, 4096)
        except OSError:  # the terminal is gone
            data = b""
        self._held += data
        self._is_ended = not data
        return bool(data)

    def _take_escape(self) -> Key | None:
        if len(self._held) == 1:
            self._fill(ESCAPE_S)
        if self._held.startswith(PASTE_BEGIN):
            return self._take_paste()
        size = _escape_size(self._held)
        while size == 0 and self._fill(ESCAPE_S):
            size = _escape_size(self._held)
        size = size or len(self._held)
        sequence, self._held = self._held[:size], self._held[size:]
        return Key(NAMED[sequence]) if sequence in NAMED else None

    def _take_paste(self) -> Key:
        while PASTE_END not in self._held and self._fill(1.0):
            pass
        text, _, self._held = self._held.removeprefix(PASTE_BEGIN).partition(PASTE_END)
        return Key(text=text.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n"), is_pasted=True)

    def _take_plain(self) -> Key | None:
        first = self._held[:1]
        if first in NAMED:
            self._held = self._held[1:]
            return Key(NAMED[first])
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for place in range(4):
            while len(self._held) <= place and self._fill(ESCAPE_S):
                pass
            text = decoder.decode(self._held[place : place + 1])
            if text:
                self._held = self._held[place + 1 :]
                return Key(text=text) if text.isprintable() else None
        self._held = self._held[4:]
        return None


def _escape_size(held: bytes) -> int:
    """Bytes of the sequence that begins ``held``; 0 where it is not whole yet."""
    if len(held) == 1:
        return 1
    if held[1:2] not in (b"[", b"O"):
        return 2
    for place in range(2, len(held)):
        if 0x40 <= held[place] <= 0x7E:
            return place + 1
    return 0


@contextmanager
def raw_terminal() -> Iterator[Keyboard]:
    """Standard input key by key, on a screen of its own; the terminal is as it was before, whatever happens in between."""
    file = sys.stdin.fileno()
    before = termios.tcgetattr(file)
    raw = termios.tcgetattr(file)
    raw[0] &= ~(termios.ICRNL | termios.IXON)
    raw[3] &= ~(termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN)
    termios.tcsetattr(file, termios.TCSADRAIN, raw)
    sys.stdout.write("\x1b[?1049h\x1b[?25l\x1b[?2004h")
    sys.stdout.flush()
    try:
        yield Keyboard(file)
    finally:
        sys.stdout.write("\x1b[?2004l\x1b[?25h\x1b[?1049l")
        sys.stdout.flush()
        termios.tcsetattr(file, termios.TCSADRAIN, before)
