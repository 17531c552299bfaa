"""One screen of a labelling session as text for a terminal: what ``flows.label_view`` says, laid out in the window's size."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from rich.console import Console
from rich.text import Text

from journeyman.cli.line_editor import Edited
from journeyman.cli.plain import show_plainly
from journeyman.flows.label_view import Action, ShownField, View

LEAST_WIDTH, LEAST_HEIGHT = 40, 12
PAGE = 9
"""Choices that have a key at once."""
FEWEST_LINES = 3
MARKED = "bold reverse"
MOST_SHOWN = 200_000
"""Characters of an input: more of them make a key slow."""
COMMON = (
    Action("v", "all", "all of it", "show a long input whole; v again shows less"),
    Action("?", "help", "help", "show or hide what the keys do"),
    Action("q", "quit", "quit", "stop; the same command goes on here"),
)


@dataclass(frozen=True, slots=True)
class Mode:
    """What the terminal adds to the session: ``page`` of the choices, the first ``line`` of the input that is shown, whether all of it is, the help, and a text that is edited."""

    page: int = 0
    line: int = 0
    is_whole: bool = False
    is_help: bool = False
    edited: Edited | None = None
    what: str = ""


def make_frame(view: View, actions: Sequence[Action], mode: Mode, width: int, height: int) -> list[str]:
    """The lines of a screen, at most ``height`` of them, with their colours."""
    if width < LEAST_WIDTH or height < LEAST_HEIGHT:
        lines = [Text(f"make this window {LEAST_WIDTH} x {LEAST_HEIGHT} or larger"), Text("q stops; nothing is lost")]
    elif mode.is_help:
        lines = _help(view, actions)
    elif view.stage == "end":
        lines = _end(view, actions, width)
    else:
        lines = _lay_out(view, actions, mode, width, height)
    return _draw([part for line in lines for part in _wrap(line, width)][:height], width)


def _lay_out(view: View, actions: Sequence[Action], mode: Mode, width: int, height: int) -> list[Text]:
    """The input gets what the rest leaves of the window."""
    head = _wrap(_head(view), width)
    below = [*_middle(view, mode), Text(), *_say(view), *_bar(actions, view, mode, width)]
    foot = [part for line in below for part in _wrap(line, width)]
    room = max(FEWEST_LINES, height - len(head) - len(foot) - 2)
    if mode.is_whole:
        foot, room = [_dim("up and down move, v shows less")], height - len(head) - 3
    body = _body(view, mode, width - 2, room)
    begin = mode.line if mode.is_whole else _find_mark(body) - room // 2
    begin = max(0, min(begin, len(body) - room))
    cut = body[begin : begin + room]
    if len(body) > room and not mode.is_whole:
        cut = [*cut[: room - 1], _dim(f"... v shows all {len(view.input):,} characters")]
    return [*head, Text(), *(Text("  ") + line for line in cut), Text(), *foot]


def _body(view: View, mode: Mode, width: int, room: int) -> list[Text]:
    """The input, or of its beginning more than there is room for; the neighbours, a line each."""
    if view.stage == "preview":
        lines = [Text(f"~ {show_plainly(' '.join(text.split()))}") for text in view.near]
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        hidden = view.near_count - len(view.near)
        return [*lines, _dim(f"and {hidden:,} more")] if hidden else lines
    most = MOST_SHOWN if mode.is_whole or view.mark is not None else (room + 1) * width
    text = view.input[:most]
    lines = [part for line in _mark(text, view.mark).split("\n", allow_blank=True) for part in _wrap(line, width)]
    return [*lines, _dim(f"... the first {most:,} characters")] if mode.is_whole and len(view.input) > most else lines


def _mark(text: str, mark: tuple[int, int] | None) -> Text:
    start, end = mark or (0, 0)
    return Text.assemble(show_plainly(text[:start]), (show_plainly(text[start:end]), MARKED), show_plainly(text[end:]))


def _find_mark(lines: Sequence[Text]) -> int:
    """The line in which the marked stretch begins; the first where there is none."""
    return next((place for place, line in enumerate(lines) if any(span.style == MARKED for span in line.spans)), 0)


def _head(view: View) -> Text:
    count = f"{view.done:,} done, {view.left:,} left" + (f", {view.skipped:,} skipped" if view.skipped else "")
    title = (
        f"{view.near_count:,} near neighbour{'s' if view.near_count > 1 else ''}"
        if view.stage == "preview"
        else view.title
    )
    return Text.assemble(
        (show_plainly(title), "bold"), "  ", (count, "cyan"), ("  " + show_plainly(view.why) if view.why else "", "dim")
    )


def _middle(view: View, mode: Mode) -> list[Text]:
    lines = [
        Text.assemble(
            (f"{item.letter:>2} ", "bold"),
            (f"{show_plainly(item.who)}: " if item.who else "", "dim"),
            show_plainly(item.text),
        )
        for item in view.answers
    ]
    if view.fields and view.stage == "row":
        lines += [Text(), *(line for field in view.fields for line in _field(field, mode))]
    if mode.edited is not None:
        lines += [Text(), _edited(mode)]
    return lines


def _field(field: ShownField, mode: Mode) -> list[Text]:
    style = "bold" if field.is_changed else ""
    if not field.name and not field.choices:
        return []
    mark = "> " if field.is_current else "  "
    name = f"{show_plainly(field.name)}: " if field.name else ""
    head = Text.assemble((mark, "green"), name, (show_plainly(field.text) or "-", f"{style} yellow".strip()))
    if not (field.is_current and field.choices):
        return [head]
    begin = mode.page * PAGE
    choices = Text("    ")
    for number, choice in enumerate(field.choices[begin : begin + PAGE], start=1):
        choices.append(f"{number} ", "bold").append(f"{show_plainly(choice) or 'none'}   ")
    if len(field.choices) > PAGE:
        choices.append(f"0 further choices ({len(field.choices)})", "dim")
    return [head, choices]


def _edited(mode: Mode) -> Text:
    """The cursor stands on the character that it is before."""
    assert mode.edited is not None
    text, place = mode.edited.text, mode.edited.place
    at = text[place : place + 1]
    parts = [show_plainly(part).replace("\n", "⏎\n") for part in (text[:place], text[place + 1 :])]
    shown = "⏎" if at == "\n" else show_plainly(at) or " "
    name = f" {show_plainly(mode.what)}" if mode.what else ""
    return Text.assemble(
        (f"write{name}: ", "green"), parts[0], (shown, "reverse"), "\n" if at == "\n" else "", parts[1]
    )


def _say(view: View) -> list[Text]:
    if view.problem:
        return [Text(show_plainly(view.problem), "red")]
    return [Text(show_plainly(view.note), "dim")]


def _bar(actions: Sequence[Action], view: View, mode: Mode, width: int) -> list[Text]:
    if mode.edited is not None:
        return _keys([("enter", "keep"), ("esc", "leave"), ("ctrl-u", "clear"), ("alt-enter", "new line")], width)
    common = [] if view.stage == "preview" else [(item.key, item.word) for item in COMMON]
    return _keys([*((item.key, item.word) for item in actions if item.word), *common], width)


def _keys(pairs: Sequence[tuple[str, str]], width: int) -> list[Text]:
    """Keys and what they do, none of them broken over two lines."""
    lines = [Text()]
    for key, word in pairs:
        shown = Text.assemble((key, "bold"), f" {word}   ")
        if lines[-1].cell_len + shown.cell_len > width + 3:
            lines.append(Text())
        lines[-1].append_text(shown)
    return lines


def _help(view: View, actions: Sequence[Action]) -> list[Text]:
    lines = [Text(f"Keys of this session: {show_plainly(view.title)}", "bold"), Text()]
    lines += [Text.assemble((f"{item.key:>6}  ", "bold"), item.help) for item in (*actions, *COMMON)]
    return [*lines, Text(), _dim("every decision is kept at once; any key goes back")]


def _end(view: View, actions: Sequence[Action], width: int) -> list[Text]:
    further = [(item.key, item.word) for item in actions if item.name in ("undo", "near")]
    return [
        Text(f"{show_plainly(view.title)}: nothing is left to label", "bold"),
        Text(f"{view.done:,} done" + (f", {view.skipped:,} skipped" if view.skipped else ""), "cyan"),
        Text(),
        *_say(view),
        *_keys([*further, ("q", "quit")], width),
    ]


def _dim(text: str) -> Text:
    return Text(text, "dim")


def _wrap(line: Text, width: int) -> list[Text]:
    return list(line.wrap(_console(width), width, overflow="fold")) if line.plain else [line]


@lru_cache(maxsize=2)
def _console(width: int) -> Console:
    """With the colours of this terminal: none where NO_COLOR says so."""
    return Console(file=io.StringIO(), width=width, force_terminal=True, markup=False, emoji=False, highlight=False)


def _draw(lines: Sequence[Text], width: int) -> list[str]:
    drawn, console = [], _console(width)
    for line in lines:
        line.rstrip()
        with console.capture() as captured:
            console.print(line, end="", soft_wrap=True)
        drawn.append(captured.get())
    return drawn
