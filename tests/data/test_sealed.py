"""Sealed rows never reach training: every path that could carry them there is tried."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from journeyman.core.canonical import Json
from journeyman.core.errors import DataError
from journeyman.core.example import SPLITS, Example, Split, object_target
from journeyman.data.candidates import hash_input
from journeyman.data.dataset import find_leaks, read_split, read_unlabelled
from journeyman.data.imports import ImportReport, import_files
from journeyman.data.prepare import Prepared, prepare
from journeyman.data.shares import make_shares
from journeyman.store.database import Store
from journeyman.task.task import Task

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
CARD: Json = {"intent": "card", "urgent": True}
OTHER: Json = {"intent": "other", "urgent": False}
WORDS = [
    "card",
    "stolen",
    "paris",
    "nobody",
    "bank",
    "picks",
    "calls",
    "monday",
    "help",
    "please",
    "refund",
    "order",
    "lost",
    "invoice",
    "wrong",
    "phone",
    "late",
]
OPEN: tuple[Split, ...] = ("train", "dev", "calibration")
Take = Callable[..., ImportReport]
Write = Callable[..., Path]


def messages(size: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choice(WORDS) + str(draw.randrange(30)) for _ in range(10)) for _ in range(size)]


def pairs(texts: Sequence[str], answer: Json = CARD, key: str = "output") -> list[dict[str, Json]]:
    return [{"input": text, key: answer} for text in texts]


def make(task: Task, store: Store) -> Prepared:
    return prepare(task, store, make_shares(), now=NOW)


def sealed_rows(store: Store, made: Prepared) -> list[Example]:
    return read_split(store, made.manifest, "test", purpose="assess")


def open_rows(store: Store, made: Prepared) -> list[Example]:
    found = [row for split in OPEN for row in read_split(store, made.manifest, split)]
    return found + read_unlabelled(store, made.manifest)


def check_sealed(store: Store, made: Prepared) -> None:
    rows, sealed = open_rows(store, made), sealed_rows(store, made)
    assert rows
    assert sealed
    assert find_leaks(rows, sealed, 0.8) == []


@pytest.fixture(params=["by share", "by file"])
def sealed_by(request: pytest.FixtureRequest, task: Task, take: Take, write: Write, store: Store) -> Prepared:
    take(write("rows.jsonl", pairs(messages(100, 1))))
    if request.param == "by file":
        take(write("test.jsonl", pairs(messages(30, 2), key="gold")), split="test")
    made = make(task, store)
    check_sealed(store, made)
    return made


def test_the_sealed_split_opens_for_an_assessment_only(store: Store, sealed_by: Prepared) -> None:
    for purpose in ("look", "tune"):
        with pytest.raises(DataError, match="JM-351 task tickets: the test split is sealed"):
            read_split(store, sealed_by.manifest, "test", purpose=purpose)
    with pytest.raises(DataError, match="JM-351"):
        read_split(store, sealed_by.manifest, "test")


@pytest.mark.parametrize("split", [None, "train", "dev", "calibration"])
def test_importing_sealed_rows_again(
    task: Task, take: Take, write: Write, store: Store, sealed_by: Prepared, split: Split | None
) -> None:
    before = sealed_rows(store, sealed_by)
    again = pairs([str(row.input["message"]) for row in before]) + pairs(
        [str(row.input["message"]) for row in before], OTHER
    )
    take(write("again.jsonl", again), split=split)
    made = make(task, store)
    check_sealed(store, made)
    assert {row.input["message"] for row in sealed_rows(store, made)} == {row.input["message"] for row in before}


@pytest.mark.parametrize("split", ["train", "dev", "calibration"])
def test_importing_the_same_file_again_for_another_split(
    task: Task, take: Take, write: Write, store: Store, sealed_by: Prepared, tmp_path: Path, split: Split
) -> None:
    before = [row.input for row in sealed_rows(store, sealed_by)]
    for name in ("rows.jsonl", "test.jsonl"):
        if (tmp_path / name).exists():
            take(tmp_path / name, split=split)
    take(write("more.jsonl", pairs(messages(60, 9))))
    made = make(task, store)
    check_sealed(store, made)
    assert [row.input for row in sealed_rows(store, made)] == before


@pytest.mark.parametrize("ending", ["!", " please"])
def test_near_copies_of_sealed_rows(
    task: Task, take: Take, write: Write, store: Store, sealed_by: Prepared, ending: str
) -> None:
    before = sealed_rows(store, sealed_by)
    copies = [str(row.input["message"]).upper() + ending for row in before]
    take(write("near.jsonl", [*pairs(copies), *({"input": f"{copy}?"} for copy in copies)]))
    made = make(task, store)
    check_sealed(store, made)
    if made.manifest["sealed_by"] == "file":
        assert len(sealed_rows(store, made)) == len(before)
        aside = cast(dict[str, int], made.funnel["set_aside"])
        assert aside["near copies of sealed rows"] == 2 * len(before)


def test_calls_of_an_assessment_and_retries_of_users(task: Task, store: Store, sealed_by: Prepared) -> None:
    one = next(store.traces("tickets"))
    before = sealed_rows(store, sealed_by)
    for number, row in enumerate(before):
        asked = replace(one, row_key="", split="", input=row.input, output=object_target(OTHER), provenance="serve")
        store.add_traces([replace(asked, id=f"assess-{number}", origin="assess", input={"message": f"never {number}"})])
        store.add_traces([replace(asked, id=f"assess-same-{number}", origin="assess")])
        store.add_traces([replace(asked, id=f"serve-{number}-{again}", origin="serve") for again in range(2)])
        store.add_traces([replace(asked, id=f"student-{number}", origin="serve", release="abc")])
    made = make(task, store)
    check_sealed(store, made)
    assert {row.input["message"] for row in sealed_rows(store, made)} == {row.input["message"] for row in before}
    assert not any(str(row.input["message"]).startswith("never") for row in open_rows(store, made))


def test_rows_of_a_test_file_are_never_dropped_merged_or_changed(
    task: Task, take: Take, write: Write, store: Store
) -> None:
    sealed = pairs(messages(10, 2), key="gold")
    twice = [*sealed, sealed[0], sealed[0] | {"gold": OTHER}, {"input": str(sealed[1]["input"]) + "!", "gold": CARD}]
    mail = {"input": "write to ann@example.org", "gold": CARD}
    take(write("test.jsonl", [*twice, mail]), split="test")
    take(write("rows.jsonl", pairs(messages(50, 1))))
    made = make(task, store)
    found = sealed_rows(store, made)
    assert Counter(str(row.input["message"]) for row in found) == Counter(str(row["input"]) for row in [*twice, mail])
    assert all(row.count == 1 for row in found)
    assert made.manifest["sealed_by"] == "file"


def test_no_other_row_is_sealed_once_a_test_file_came(task: Task, take: Take, write: Write, store: Store) -> None:
    take(write("rows.jsonl", pairs(messages(100, 1))))
    before = {hash_input(row) for row in sealed_rows(store, make(task, store))}
    take(write("test.jsonl", pairs(messages(30, 2), key="gold")), split="test")
    made = make(task, store)
    check_sealed(store, made)
    assert len(sealed_rows(store, made)) == 30
    assert not before & {hash_input(row) for row in open_rows(store, made)}
    aside = cast(dict[str, int], made.funnel["set_aside"])
    assert aside["sealed before the test file was imported"] == len(before)


def test_revealed_rows_are_retired_and_not_learned_from(task: Task, store: Store, sealed_by: Prepared) -> None:
    shown = sealed_rows(store, sealed_by)[:4]
    store.add_reveal("tickets", [row.hash for row in shown], "wanted to see", "2026-01-01")
    made = make(task, store)
    assert made.count("test") == sealed_by.count("test") - 4
    assert made.funnel["retired"] == 4
    assert not {row.hash for row in shown} & {row.hash for row in open_rows(store, made)}
    one = next(store.traces("tickets"))
    relabelled = replace(one, id="new", row_key="", split="", input=shown[0].input, gold=object_target(OTHER))
    store.add_traces([relabelled])
    later = make(task, store)
    assert shown[0].input not in [row.input for row in [*open_rows(store, later), *sealed_rows(store, later)]]


def test_given_near_copies_are_kept_and_told(task: Task, take: Take, write: Write, store: Store) -> None:
    sealed = messages(20, 2)
    take(write("test.jsonl", pairs(sealed, key="gold")), split="test")
    take(write("train.jsonl", pairs([*messages(50, 1), sealed[0], sealed[1] + "!"])), split="train")
    take(write("dev.jsonl", pairs(messages(10, 3))), split="dev")
    made = make(task, store)
    assert [made.count(split) for split in SPLITS] == [51, 10, 0, 20]
    assert cast(dict[str, int], made.funnel["set_aside"]) == {"copies of sealed rows": 1}
    assert any("1 pairs of near copies lie across train and test" in notice for notice in made.notices)
    leaks = find_leaks(read_split(store, made.manifest, "train"), sealed_rows(store, made), 0.8)
    assert [(leak.is_exact, leak.similarity > 0.8) for leak in leaks] == [(False, True)]


def test_a_leak_is_found(store: Store, sealed_by: Prepared) -> None:
    sealed = sealed_rows(store, sealed_by)
    (leak,) = find_leaks([sealed[0]], sealed, 0.8)
    assert (leak.is_exact, leak.similarity, leak.sealed_hash) == (True, 1.0, sealed[0].hash)


def test_snips(take: Take, write: Write, store: Store, task: Task, tmp_path: Path) -> None:
    """The public benchmark as its users split it: 300 rows of each intent, 700 validation rows sealed."""
    folder = Path(__file__).parents[3] / "shared" / "data" / "snips_nlu"
    if not folder.exists():
        pytest.skip("the SNIPS rows are not here")
    chosen: list[dict[str, Json]] = []
    seen: Counter[str] = Counter()
    for row in _read(folder / "train.jsonl"):
        seen[row["intent"]] += 1
        if seen[row["intent"]] <= 300:
            chosen.append(_pair(row))
    snips = Task(
        "tickets",
        "Find intent and slots.",
        {"message": {"type": "string"}},
        {
            "type": "object",
            "properties": {
                "intent": {"enum": [*sorted(seen)]},
                "slots": {"type": "object", "additionalProperties": {"type": "string"}},
            },
            "required": ["intent", "slots"],
            "additionalProperties": False,
        },
    )
    folder_q = tmp_path / "quarantine"
    first = import_files(snips, [write("train.jsonl", chosen)], store, quarantine_folder=folder_q, now=NOW)
    sealed = [_pair(row) for row in _read(folder / "validate.jsonl")]
    second = import_files(
        snips, [write("test.jsonl", sealed)], store, quarantine_folder=folder_q, now=NOW, split="test"
    )
    assert (first.added, second.added, first.quarantined + second.quarantined) == (2_100, 700, 0)
    made = make(snips, store)
    assert made.count("test") == 700
    assert abs(made.count("dev") - 168) <= 2
    check_sealed(store, made)


def _read(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _pair(row: dict[str, str]) -> dict[str, Json]:
    slots = cast(list[dict[str, str]], row["slots"])
    return {
        "input": row["text"],
        "gold": {"intent": row["intent"], "slots": {item["slot"]: item["value"] for item in slots}},
    }
