"""`journeyman knowledge links`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from journeyman.cli.knowledge import Name
from journeyman.cli.options import AsJson, ProjectFolder, working
from journeyman.cli.plain import show_line
from journeyman.cli.terminal import print_json, print_lines
from journeyman.core.canonical import Json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from journeyman.flows.knowledge_links import Pointed

SHOWN = 50  # links of each kind that are listed


def links(
    note: Annotated[
        str,
        typer.Argument(help="A note by its name, path or alias; default: the bad links of all.", show_default=False),
    ] = "",
    name: Name = "documents",
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Where the links of a note lead, and what links to it, as Obsidian resolves them; without a note, which links of all documents lead nowhere or may mean several.

    Example: journeyman knowledge links "recipes/Bread" --name notes
    """
    from journeyman.flows.knowledge_links import find_bad_links, show_links

    with working(project, is_json) as workspace:
        if not note:
            count, bad = find_bad_links(workspace, name)
            if is_json:
                print_json({"name": name, "links": count, "bad": [_to_json(item) for item in bad]})
            else:
                _print(bad, lambda item: f"{item.source}:{item.line}  ")
                print_lines(f"{count:,} links between documents, {len(bad):,} lead nowhere or may mean several.")
            return
        found = show_links(workspace, note, name)
    if is_json:
        told: dict[str, Json] = {
            "links": [_to_json(item) for item in found.links],
            "backlinks": [_to_json(item) for item in found.backlinks],
        }
        print_json({"name": name, "document": found.note, **told})
        return
    print_lines(show_line(found.note), "", f"{len(found.links):,} links")
    _print(found.links, lambda item: f"line {item.line}  ")
    print_lines("", f"{len(found.backlinks):,} links to it")
    _print(found.backlinks, lambda item: f"{item.source}:{item.line}  ")
    print_lines("", f'next: journeyman knowledge search "..." --embeds --name {name}')


def _print(items: Sequence[Pointed], begin: Callable[[Pointed], str]) -> None:
    print_lines(*(f"  {show_line(begin(item) + _describe(item))}" for item in items[:SHOWN]))
    if len(items) > SHOWN:
        print_lines(f"  and {len(items) - SHOWN:,} more: --json has all")


def _describe(item: Pointed) -> str:
    mark = "!" if item.link.kind == "embed" else ""
    said = f"{mark}[[{item.link.target}]]"
    if item.status == "outside":
        return f"{mark}{item.link.target}"
    if item.status == "dead":
        return f"{said}  leads nowhere"
    if item.status == "not read":
        return f"{said}  was not read: {item.why}"
    led = f"{said}  {item.document}" + (f" [{item.start}:{item.end}]" if item.start else "")
    if item.lacks:
        led += f"; there is no {item.lacks} in it"
    return led + (f"; may also mean {', '.join(item.others)}" if item.others else "")


def _to_json(item: Pointed) -> dict[str, Json]:
    """``place`` is null where a link leads to no document."""
    place: dict[str, Json] = {"document": item.document, "start": item.start, "end": item.end, "text": item.text}
    return {
        "source": item.source,
        "line": item.line,
        "start": item.link.start,
        "end": item.link.end,
        "target": item.link.target,
        "kind": item.link.kind,
        "status": item.status,
        "place": place if item.document else None,
        "others": list(item.others),
        "lacks": item.lacks or None,
        "why": item.why or None,
    }
