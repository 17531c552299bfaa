"""Extractions as one self-contained HTML file: each document's text with its values marked, a table of them, and what windows disagreed on.

No network and no script, and a policy in the file that forbids both: everything that comes from documents and answers is escaped by the template. Documents are written as they
come, beside the file's place, which they take when all are there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import IO

from jinja2 import Environment, StrictUndefined, Template

from journeyman.core.files import disk_errors
from journeyman.knowledge.document import Document
from journeyman.knowledge.extract.leaves import write_path
from journeyman.knowledge.extract.merge import Conflict
from journeyman.knowledge.extract.place import Placed

HEAD = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Extracted values</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1b; background: #fff; }
table { border-collapse: collapse; margin: 1rem 0; }
td, th { border: 1px solid #ccc; padding: .2rem .6rem; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f6f6f4; padding: 1rem; font: 14px/1.6 ui-monospace, monospace; }
mark { background: #cdeccd; }
mark.typed { background: #cfe3fa; }
mark.fuzzy { background: #fbe6b4; }
mark:target, mark:has(:target) { outline: 2px solid #b3261e; }
.ungrounded { color: #b3261e; }
.note { color: #555; }
</style>
</head>
<body>
<h1>Extracted values</h1>
<p>Marked: <mark class="exact">as it is written</mark> <mark class="typed">equal in another writing</mark> <mark class="fuzzy">alike</mark>.
<span class="ungrounded">Ungrounded</span> values do not stand in their document.</p>
"""
FOOT = "</body>\n</html>\n"


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text that the same values cover; ``begins`` are the numbers of those that begin here."""

    text: str
    status: str
    paths: str
    begins: tuple[int, ...]


class Page:
    def __init__(self, file: IO[str], template: Template) -> None:
        self._file, self._template, self._count = file, template, 0

    def add(self, document: Document, placed: Sequence[Placed], conflicts: Sequence[Conflict] = ()) -> None:
        self._count += 1
        self._file.write(
            self._template.render(
                number=self._count,
                document=document,
                pieces=cut_pieces(document.text, placed),
                placed=placed,
                conflicts=conflicts,
                reason="",
            )
        )

    def refuse(self, name: str, reason: str) -> None:
        """A file that nothing could be extracted from."""
        self._file.write(self._template.render(number=0, document={"name": name}, reason=reason))


@contextmanager
def open_page(path: Path) -> Iterator[Page]:
    """Raises: StoreError JM-801, JM-802."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["path"] = write_path
    template = environment.from_string(
        (files("journeyman.knowledge.extract") / "document.html.j2").read_text(encoding="utf-8")
    )
    part = path.with_name(f".{path.name}.part")
    with disk_errors(path):
        try:
            with part.open("w", encoding="utf-8", errors="replace") as file:
                file.write(HEAD)
                yield Page(file, template)
                file.write(FOOT)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def cut_pieces(text: str, placed: Sequence[Placed]) -> list[Piece]:
    """All of the text, cut where a value begins or ends; values may lie within each other."""
    starts: dict[int, list[int]] = {}
    ends: dict[int, list[int]] = {}
    for number, one in enumerate(placed, start=1):
        if one.is_grounded:
            starts.setdefault(one.start, []).append(number)
            ends.setdefault(one.end, []).append(number)
    cuts = sorted({0, *starts, *ends, len(text)})
    open_, pieces = dict[int, None](), list[Piece]()
    for start, end in pairwise(cuts):
        for number in ends.get(start, ()):
            open_.pop(number, None)
        open_ |= dict.fromkeys(starts.get(start, ()))
        covering = [placed[number - 1] for number in open_]
        pieces.append(
            Piece(
                text[start:end],
                covering[-1].status if covering else "",
                ", ".join(write_path(one.path) for one in covering),
                tuple(starts.get(start, ())),
            )
        )
    return pieces
