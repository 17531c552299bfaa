"""The recorded session of docs/label.md is one that asciinema and browsers read, and shows the keys as they are now."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

from journeyman.flows.labelling import ACTIONS

DOCS = Path(__file__).resolve().parents[1] / "docs"
STYLE = re.compile(r"\x1b\[\??[0-9;]*[A-Za-z]")


def test_the_cast_is_whole_and_its_keys_are_those_of_the_session() -> None:
    head, *events = [json.loads(line) for line in (DOCS / "label.cast").read_text(encoding="utf-8").splitlines()]
    assert head["version"] == 2
    assert len(events) > 15
    assert [event[0] for event in events] == sorted(event[0] for event in events)
    assert {event[1] for event in events} == {"o"}
    screens = [STYLE.sub("", event[2]) for event in events]
    for action in ACTIONS:
        assert any(action.help in " ".join(screen.split()) for screen in screens), "run scripts/record_label.py again"
        assert not action.word or any(f"{action.key} {action.word}" in screen for screen in screens)
    for words in ("the student says something else", "near neighbour", "taken back", "skipped", "rows labelled by ada"):
        assert any(words in screen for screen in screens)
    for screen in screens:
        assert all(len(line) <= head["width"] for line in screen.replace("\r", "").split("\n"))


def test_the_picture_is_small_and_nothing_in_it_runs_or_is_fetched() -> None:
    path = DOCS / "label.svg"
    assert path.stat().st_size < 200_000
    root = ElementTree.parse(path).getroot()
    names = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert names == {"svg", "title", "style", "rect", "g", "text"}
    assert not any("href" in name for element in root.iter() for name in element.attrib)
