"""Cells, requests, votes and passages by themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.core.errors import DataError
from journeyman.core.example import Example, object_target
from journeyman.data.near import Known
from journeyman.data.synthesis.asking import ask_inputs, find_sizes, read_inputs, read_verdict, vote
from journeyman.data.synthesis.cells import CASES, LENGTHS, NOISE, STYLES, find_axis, make_cells, quota
from journeyman.data.synthesis.passages import LETTERS, read_passages, split_passages
from journeyman.task.task import Task

SCHEMA = {
    "type": "object",
    "properties": {"intent": {"enum": ["refund", "parcel", "other"]}, "note": {"type": "string"}},
    "required": ["intent", "note"],
    "additionalProperties": False,
}
TASK = Task("tickets", "Sort {it}.", {"message": {"type": "string"}}, SCHEMA)  # type: ignore[dict-item]
ROW = Example({"message": "Where is it?"}, object_target({"intent": "parcel", "note": ""}))


def test_the_value_with_the_fewest_rows_is_asked_for_first() -> None:
    axis = find_axis(SCHEMA)  # type: ignore[arg-type]
    assert axis is not None
    assert axis.field == "intent"
    cells = list(make_cells(0, 10, axis, {'"refund"': 8, '"parcel"': 2}))
    wanted = Counter(cell.wanted[1] for cell in cells if cell.wanted)
    assert wanted == {"other": 6, "parcel": 4}
    assert quota(90, axis) == 38
    assert find_axis(None) is None
    assert find_axis({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}) is None


def test_every_length_meets_every_style_and_noise() -> None:
    cells = list(make_cells(0, 200, None, {}))
    assert {(cell.length, cell.style) for cell in cells} == set(product(LENGTHS, STYLES))
    assert {(cell.style, cell.noise) for cell in cells} == set(product(STYLES, NOISE))
    assert [cell.language for cell in make_cells(0, 4, None, {}, ("en", "de"))] == ["en", "de", "en", "de"]


def test_the_kind_of_case_with_the_fewest_rows_is_asked_for_first() -> None:
    plain, trap = CASES[0], next(case for case in CASES if "trap" in case)
    even = Counter(cell.case for cell in make_cells(0, 70, None, {}))
    assert even == {case: 10 * CASES.count(case) for case in CASES}
    had = dict.fromkeys(CASES, 10.0) | {plain: 20.0, trap: 4.0}
    cells = list(make_cells(3, 6, None, {}, cases=had))
    assert [cell.case for cell in cells] == [trap] * 6


def test_a_request_shows_examples_and_bounds_what_is_written() -> None:
    (cell,) = make_cells(0, 1, find_axis(SCHEMA), {})  # type: ignore[arg-type]
    request = ask_inputs(TASK, cell, [ROW], 4, find_sizes(TASK, [ROW]), 7, "a passage")
    text = request.messages[0].text
    assert "Sort {it}." in text
    assert '"Where is it?"} -> {"intent":"parcel"' in text
    assert "a passage" in text
    assert 'has intent "refund"' in text
    assert request.decoding.max_tokens is not None


@pytest.mark.parametrize(
    ("text", "kept", "unfit"),
    [
        ('{"inputs": [{"message": " a "}, {"message": "b"}]}', ["a", "b"], 0),
        ('{"inputs": [{"message": ""}, {"other": "b"}, {"message": 3}, "x"]}', [], 4),
        ('{"inputs": {}}', [], 1),
        ("not JSON", [], 1),
        (
            '{"inputs": [{"message": "a"}, {"message": "b"}, {"message": "c"}, {"message": "d"}, {"message": "e"}]}',
            ["a", "b", "c", "d"],
            0,
        ),
    ],
)
def test_inputs_are_read_as_they_come(text: str, kept: list[str], unfit: int) -> None:
    found, lost = read_inputs(TASK, text, 4)
    assert ([item["message"] for item in found], lost) == (kept, unfit)


def test_votes_count_what_can_be_read() -> None:
    one, other = '{"intent":"refund","note":""}', '{"intent": "other", "note": ""}'
    target, share, others = vote(TASK, [other, one, one, "nonsense", None], 5)
    assert target == object_target({"intent": "refund", "note": ""})
    assert share == 0.4
    assert others == [(object_target({"intent": "other", "note": ""}), 1)]
    assert vote(TASK, ["nonsense", None], 2) == (None, 0.0, [])


@pytest.mark.parametrize(
    ("text", "is_right"),
    [('{"wrong": "", "is_right": true}', True), ('{"is_right": "yes"}', False), ("true", False), ("", False)],
)
def test_a_verdict_that_cannot_be_read_is_none(text: str, is_right: bool) -> None:
    assert read_verdict(text) is is_right


@given(st.text(alphabet="ab \n\r", max_size=6000))
def test_no_word_of_a_document_is_lost(text: str) -> None:
    passages = list(split_passages(text))
    assert "".join("".join(passages).split()) == "".join(text.split())
    assert all(0 < len(passage) <= LETTERS + 2 for passage in passages)


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty").write_text(" \n")
    for name in ("bytes", "empty", "missing"):
        with pytest.raises(DataError, match="JM-362"):
            read_passages([tmp_path / name])


def test_only_new_texts_are_new() -> None:
    known = Known(0.7, ["please send me a new card for my account"])
    assert not known.add("Please send me a new card for my account!")
    assert known.add("what does a transfer abroad cost")
    assert not known.add("What does a transfer abroad cost?")
    assert all(
        known.add(f"text number {number} {hash(str(number))} is about {number * number}") for number in range(1500)
    )


NEAREST = """
import random
from journeyman.core.example import Example, object_target
from journeyman.data.synthesis.seeds import Seeds

draw = random.Random(0)
words = "will it rain or snow in the city near a lake on monday at noon this week".split()
texts = [" ".join(draw.sample(words, 10)) for _ in range(60)]
rows = tuple(Example({"text": text}, object_target({})) for text in texts[:40])
seeds = Seeds(rows, frozenset(), ())
print([texts.index(str(row.input["text"])) for text in texts for row in seeds.nearest(text, 4)])
"""


def test_the_nearest_examples_are_the_same_in_every_process() -> None:
    """Else a command that goes on would ask, and pay for, other calls than the one that was killed."""
    found = {
        subprocess.run(
            [sys.executable, "-c", NEAREST],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1
