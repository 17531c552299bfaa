"""Answers that are kept as they come: a cut file goes on, with what an undisturbed run would have."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from journeyman.core.kept import keep_answers
from journeyman.core.progress import Silent

PARTS = [["a", "b", "c"], ["d", "e"], ["f"]]


def _answer(asked: list[str], part: Sequence[str]) -> list[int]:
    """One generator per part, so an answer depends on its neighbours."""
    asked.extend(part)
    draw = random.Random(part[0])
    return [draw.randrange(1000) for _ in part]


def _keep(path: Path, asked: list[str]) -> dict[str, object]:
    return dict(keep_answers(path, PARTS, str, lambda part: _answer(asked, part), Silent(), "test"))


@pytest.mark.parametrize("cut", range(0, 90, 5))
def test_a_cut_file_goes_on_with_the_same_answers(tmp_path: Path, cut: int) -> None:
    whole = _keep(tmp_path / "whole.jsonl", [])
    text = (tmp_path / "whole.jsonl").read_text()
    (tmp_path / "cut.jsonl").write_text(text[:cut])
    assert _keep(tmp_path / "cut.jsonl", []) == whole
    assert sorted((tmp_path / "cut.jsonl").read_text().splitlines()) == sorted(text.splitlines())


def test_nothing_is_asked_twice(tmp_path: Path) -> None:
    asked: list[str] = []
    _keep(tmp_path / "kept.jsonl", asked)
    _keep(tmp_path / "kept.jsonl", asked)
    assert asked == ["a", "b", "c", "d", "e", "f"]
