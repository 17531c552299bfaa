"""The command in a pseudo-terminal, as a person sees it: keys in, screens out."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
OTHERS = re.compile(r"\x1b\[\??[0-9;]*[A-Za-z]")
FRAME = "\x1b[H"
WAIT_S = 30.0


class Terminal:
    """A running command. A screen is what was written since the cursor last went home."""

    def __init__(self, process: subprocess.Popen[bytes], file: int) -> None:
        self.process, self._file = process, file
        self.written = ""

    @property
    def raw(self) -> str:
        """The last screen with its colours."""
        return self.written.rpartition(FRAME)[2]

    @property
    def screen(self) -> str:
        return OTHERS.sub("", COLOURS.sub("", self.raw)).replace("\r", "")

    def wait(self, *words: str, without: str = "\0") -> str:
        """The screen once it has all words; fails where it never has."""
        end = time.monotonic() + WAIT_S
        while not (all(word in self.screen for word in words) and without not in self.screen):
            if time.monotonic() > end or not self._read():
                raise AssertionError(f"{words} never came:\n{self.screen}\n{self.written[-2000:]!r}")
        return self.screen

    def press(self, keys: str, *words: str, without: str = "\0") -> str:
        """Send keys, and wait for a screen after them that has these words."""
        self._read(0.0)
        self.written += FRAME
        os.write(self._file, keys.encode())
        return self.wait(*words, without=without)

    def resize(self, width: int, height: int) -> None:
        _set_size(self._file, width, height)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=WAIT_S)

    def end(self, keys: str = "q") -> tuple[int, str]:
        """Press the last key: the status, and what was written after the screen."""
        os.write(self._file, keys.encode())
        while self._read():
            pass
        status = self.process.wait(timeout=WAIT_S)
        return status, OTHERS.sub("", COLOURS.sub("", self.written.rpartition("\x1b[?1049l")[2])).replace("\r", "")

    def _read(self, wait_s: float = 5.0) -> bool:
        """Take what was written; False at the end."""
        ready, _, _ = select.select([self._file], [], [], wait_s)
        if not ready:
            return self.process.poll() is None
        try:
            data = os.read(self._file, 65536)
        except OSError:
            return False
        self.written += data.decode("utf-8", "replace")
        return bool(data)


@contextmanager
def at_terminal(
    folder: Path, *arguments: str, width: int = 100, height: int = 30, **variables: str
) -> Iterator[Terminal]:
    """`journeyman` with these arguments at a terminal of its own; killed at the end where it still runs."""
    main, other = pty.openpty()
    _set_size(main, width, height)
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "", "LINES": "", **variables}
    environment = {name: value for name, value in environment.items() if value}
    process = subprocess.Popen(
        [sys.executable, "-m", "journeyman", *arguments],
        cwd=folder,
        stdin=other,
        stdout=other,
        stderr=other,
        env=environment,
        start_new_session=True,
    )
    os.close(other)
    try:
        yield Terminal(process, main)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(timeout=WAIT_S)
        os.close(main)


def _set_size(file: int, width: int, height: int) -> None:
    fcntl.ioctl(file, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
