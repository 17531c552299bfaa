"""Records the session of docs/label.md: a real process at a pseudo-terminal, over a project that is made for it. Writes docs/label.cast (asciinema v2) and docs/label.svg.

``python scripts/record_label.py``; the times between keys are the script's own, so that it says the same each time.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass, replace
from html import escape
from itertools import pairwise
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from journeyman.core.canonical import Json  # noqa: E402
from journeyman.core.example import object_target  # noqa: E402
from journeyman.flows.prepare import import_sources, prepare_task  # noqa: E402
from journeyman.flows.workspace import open_workspace  # noqa: E402
from tests.cli.terminals import FRAME, at_terminal  # noqa: E402

PLAIN, OPENED = Console(), "\x1b[?1049h"
WIDTH, HEIGHT = 92, 19
COMMAND = "journeyman label tickets --by ada"
CAST, PICTURE = ROOT / "docs/label.cast", ROOT / "docs/label.svg"
TASK = """\
edition: 1
name: tickets
instruction: Sort a message to the help desk of a bicycle hire.
input:
  message: string
output:
  topic: {enum: [lock, payment, damage, account, other]}
  urgent: boolean
  bike: string
"""
MESSAGES = (
    ("front brake of 1207 does nothing, take it off the road!", "damage", False, "1207"),
    ("bike 7 at the north gate will not unlock, the ring stays red", "payment", False, ""),
    ("bike 7 at the south gate will not unlock, the ring stays red", "payment", False, ""),
    ("you took four euros twice for yesterday's ride", "payment", False, ""),
    ("the chain of 2203 jumped off and I fell, nobody is hurt", "damage", False, "2203"),
    ("how do I change the telephone number of my account", "account", False, ""),
    ("my daughter has locked bike 318 and now it counts and counts", "lock", True, "318"),
    ("can two people ride on one ticket", "payment", False, ""),
    ("is there a student price", "payment", False, ""),
    ("I cannot log in since the new version", "account", False, ""),
    ("saddle of 882 will not stay up", "damage", False, "882"),
    ("thank you, your man at the river station was very kind", "other", False, ""),
)
BACKGROUND, FOREGROUND = "#1e2127", "#d7dae0"
COLOURS = {1: "#e06c75", 2: "#98c379", 3: "#e5c07b", 6: "#56b6c2"}
CELL, LINE, MARGIN, FONT = 8.4, 18, 12, 14


@dataclass(frozen=True, slots=True)
class Step:
    """Keys, what the screen then has, and how long it is looked at."""

    keys: str
    words: tuple[str, ...]
    pause_s: float = 1.5


@dataclass(frozen=True, slots=True)
class Shot:
    """What was written at a moment, and the screen that it made."""

    at_s: float
    written: str
    screen: str


STEPS = (
    Step("b", ("1 done", "fixed", "north gate"), 2.0),
    Step("1", ("> urgent", "topic: lock")),
    Step("\t", ("> bike",)),
    Step("e", ("write bike",), 0.8),
    Step("7", ("write bike: 7",), 1.0),
    Step("\r", ("bike: 7",)),
    Step("\r", ("2 done", "fixed"), 2.0),
    Step("n", ("1 near neighbour ", "south gate"), 2.5),
    Step("y", ("3 done", "applied to 1"), 2.0),
    Step("\r", ("4 done",)),
    Step("\r", ("5 done",)),
    Step("3", ("> urgent", "topic: damage")),
    Step("\r", ("6 done", "fixed"), 1.0),
    Step("u", ("taken back", "5 done")),
    Step("u", ("taken back", "5 done"), 2.0),
    Step("s", ("skipped",)),
    Step("?", ("Keys of this session",), 3.5),
    Step("x", ("q quit",), 1.0),
)


def main() -> int:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "bicycles"
        make_project(folder)
        shots = record(folder)
    head: dict[str, Json] = {"version": 2, "width": WIDTH, "height": HEIGHT, "title": COMMAND}
    events = [json.dumps([shot.at_s, "o", shot.written], ensure_ascii=False) for shot in shots]
    CAST.write_text("\n".join([json.dumps(head), *events]) + "\n", encoding="utf-8")
    PICTURE.write_text(draw(shots), encoding="utf-8")
    print(f"{CAST.name} {len(shots)} screens, {shots[-1].at_s:.0f} s; {PICTURE.name} {PICTURE.stat().st_size:,} bytes")
    return 0


def make_project(folder: Path) -> None:
    """Twelve messages, one of which a student answered otherwise, and one with two samples of the teacher."""
    (folder / "tasks").mkdir(parents=True)
    (folder / "tasks/tickets.yaml").write_text(TASK, encoding="utf-8")
    (folder / "journeyman.toml").write_text("[prepare]\ncalibration_share = 0.0\n", encoding="utf-8")
    rows = [_row(*message) for message in MESSAGES]
    rows[1]["alternatives"] = [{"topic": "lock", "urgent": False, "bike": "7"}]
    given = {
        "test": [_row("closed on Sundays?", "other", False, "")],
        "dev": [_row("what does a day cost", "payment", False, "")],
    }
    with open_workspace(folder) as workspace:
        for name, part in {**given, "": rows}.items():
            path = folder / f"{name or 'train'}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
            import_sources(workspace, "tickets", [str(path)], split=name or None)  # type: ignore[arg-type]
        call = next(trace for trace in workspace.store.traces("tickets") if "1207" in str(trace.input))
        answer = object_target({"topic": "damage", "urgent": True, "bike": "1207"})
        served = replace(call, id="trace-served", row_key="", origin="serve", release="tickets@1", output=answer)
        workspace.store.add_traces([served])
        prepare_task(workspace, "tickets")


def _row(message: str, topic: str, is_urgent: bool, bike: str) -> dict[str, Json]:
    return {"input": {"message": message}, "output": {"topic": topic, "urgent": is_urgent, "bike": bike}}


def record(folder: Path) -> list[Shot]:
    """The session, a shot per step."""
    shots = [Shot(0.0, f"$ {COMMAND}\r\n", f"$ {COMMAND}")]
    with at_terminal(folder, *COMMAND.split()[1:], width=WIDTH, height=HEIGHT) as terminal:
        terminal.wait("0 done", "q quit")
        shots.append(Shot(1.2, OPENED + terminal.written.partition(OPENED)[2], terminal.raw))
        at_s = 4.0
        for step in STEPS:
            begin = len(terminal.written) + len(FRAME)
            terminal.press(step.keys, *step.words)
            shots.append(Shot(round(at_s, 2), terminal.written[begin:], terminal.raw))
            at_s += step.pause_s
        begin = len(terminal.written)
        _status, said = terminal.end()
        shots.append(Shot(round(at_s, 2), terminal.written[begin:], f"$ {COMMAND}\n{said.rstrip()}\n$ "))
    return [*shots, Shot(round(at_s + 3, 2), "", shots[-1].screen)]


def draw(shots: list[Shot]) -> str:
    """An SVG that shows one screen after the other, again and again."""
    total, width, height = shots[-1].at_s, WIDTH * CELL + 2 * MARGIN, HEIGHT * LINE + 2 * MARGIN
    styles, groups = [], []
    for number, (shot, following) in enumerate(pairwise(shots)):
        begin, end = 100 * shot.at_s / total, 100 * following.at_s / total
        hidden = "" if number == 0 else "0%{visibility:hidden}"
        styles.append(
            f"@keyframes k{number}{{{hidden}{begin:.2f}%{{visibility:visible}}{end:.2f}%,100%{{visibility:hidden}}}}"
            f"#s{number}{{animation:k{number} {total}s step-end infinite;visibility:{'hidden' if number != 1 else 'visible'}}}"
        )
        groups.append(f'<g id="s{number}">{_draw_screen(shot.screen)}</g>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" role="img">'
        f"<title>{escape(COMMAND)}</title><style>text{{font:{FONT}px ui-monospace,Menlo,Consolas,monospace;fill:{FOREGROUND};white-space:pre}}"
        f"{''.join(styles)}</style>"
        f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>{"".join(groups)}</svg>\n'
    )


def _draw_screen(screen: str) -> str:
    drawn = []
    for place, line in enumerate(screen.replace("\r", "").split("\n")):
        text = Text.from_ansi(line)
        y = MARGIN + LINE * (place + 1) - 4
        column = 0
        for part in text.divide(sorted({end for span in text.spans for end in (span.start, span.end)})):
            style = part.get_style_at_offset(PLAIN, 0) if part.plain else Style.null()
            if part.plain.strip() or style.reverse:
                drawn.append(_draw_part(part.plain, style, column, y))
            column += cell_len(part.plain)
    return "".join(drawn)


def _draw_part(text: str, style: Style, column: int, y: int) -> str:
    x, width = MARGIN + column * CELL, cell_len(text) * CELL
    fill = COLOURS.get(style.color.number or 0, "") if style.color is not None else ""
    shape = (
        f'<rect x="{x:.1f}" y="{y - 14}" width="{width:.1f}" height="{LINE}" fill="{FOREGROUND}"/>'
        if style.reverse
        else ""
    )
    fill = BACKGROUND if style.reverse else fill
    marks = (f"fill:{fill};" if fill else "") + ("font-weight:bold;" if style.bold else "")
    marks += "opacity:0.6;" if style.dim else ""
    return f'{shape}<text x="{x:.1f}" y="{y}" textLength="{width:.1f}" style="{marks}">{escape(text)}</text>'


if __name__ == "__main__":
    sys.exit(main())
