from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journeyman.core.canonical import Json
from journeyman.core.errors import DataError
from journeyman.core.example import SPLITS, object_target
from journeyman.core.trace import Trace
from journeyman.data.candidates import Candidate, hash_input, merge, read_trace
from journeyman.data.dataset import calibration_half, entries, read_manifest, read_split, read_unlabelled
from journeyman.data.imports import ImportReport, import_files
from journeyman.data.prepare import Prepared, prepare
from journeyman.data.shares import make_shares
from journeyman.store.database import Store, open_store
from journeyman.task.task import Task

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
CARD: Json = {"intent": "card", "urgent": False}
REFUND: Json = {"intent": "refund", "urgent": False}
OTHER: Json = {"intent": "other", "urgent": False}
Take = Callable[..., ImportReport]
Write = Callable[..., Path]


def rows(size: int, seed: int = 1, **more: Json) -> list[dict[str, Json]]:
    draw = random.Random(seed)
    return [{"input": f"{draw.getrandbits(80):x} {draw.getrandbits(80):x}", "output": CARD} | more for _ in range(size)]


def check_funnel(made: Prepared) -> None:
    funnel = cast(dict[str, int], made.funnel)
    aside = cast(dict[str, int], made.funnel["set_aside"])
    splits = cast(dict[str, int], made.funnel["splits"])
    assert funnel["traces"] == sum(aside.values()) + funnel["repeats"] + funnel["rows"]
    assert funnel["rows"] == sum(splits.values()) + funnel["unlabelled"] + funnel["retired"]
    assert splits == {split: made.count(split) for split in SPLITS}


def test_a_dataset_from_start_to_end(task: Task, take: Take, write: Write, store: Store) -> None:
    twice = {"input": "the same", "output": CARD}
    take(write("rows.jsonl", [*rows(100), twice, twice, {"input": "no answer"}]))
    made = prepare(task, store, make_shares(test=0.3), now=NOW)
    check_funnel(made)
    assert made.funnel["repeats"] == 1
    assert made.funnel["unlabelled"] == 1
    assert made.manifest["settings"] == {
        "dev_share": {"value": 0.08, "origin": "default"},
        "calibration_share": {"value": 0.02, "origin": "default"},
        "test_share": {"value": 0.3, "origin": "flag"},
        "near_copy_jaccard": {"value": 0.8, "origin": "default"},
        "instructions": "own",
    }
    every = [example for split in SPLITS for example in read_split(store, made.manifest, split, purpose="assess")]
    assert len(every) == 101
    assert {example.input["message"]: example.count for example in every}["the same"] == 2
    assert all(example.group for example in every)
    assert [example.input["message"] for example in read_unlabelled(store, made.manifest)] == ["no answer"]
    assert read_manifest(store, "tickets") == (made.hash, made.manifest)
    assert prepare(task, store, make_shares(test=0.3), now=NOW + timedelta(days=1)).hash == made.hash


def test_rows_without_an_answer_that_come_later_join_the_same_dataset(
    task: Task, take: Take, write: Write, store: Store
) -> None:
    take(write("rows.jsonl", rows(100)))
    before = prepare(task, store, make_shares(test=0.3), now=NOW)
    take(write("open.jsonl", [{"input": f"open {word}"} for word in ("one", "two")]))
    after = prepare(task, store, make_shares(test=0.3), now=NOW)
    assert after.hash == before.hash
    latest, manifest = read_manifest(store, "tickets", before.hash[:12])
    assert (latest, len(read_unlabelled(store, manifest))) == (after.hash, 2)
    assert manifest["funnel"] == after.funnel != before.funnel


def test_a_split_of_the_calibration_rows(task: Task, take: Take, write: Write, store: Store) -> None:
    take(write("rows.jsonl", rows(200)))
    manifest = prepare(task, store, make_shares(calibration=0.3), now=NOW).manifest
    fit = read_split(store, manifest, "calibration", half="fit")
    threshold = read_split(store, manifest, "calibration", half="threshold")
    assert len(fit) + len(threshold) == 60
    assert min(len(fit), len(threshold)) > 15
    assert {calibration_half(example.group) for example in fit} == {"fit"}


def test_the_order_of_import_does_not_change_the_dataset(task: Task, write: Write, tmp_path: Path) -> None:
    draw = random.Random(3)
    shared = rows(40, seed=9)
    files = [
        write(
            f"{name}.jsonl",
            [row | {"output": draw.choice([CARD, REFUND])} for row in draw.sample(shared, 30)] + rows(20, seed=number),
        )
        for number, name in enumerate("abc")
    ]
    hashes = set()
    for number, order in enumerate(permutations(files)):
        with open_store(f"sqlite:///{tmp_path / f'{number}.db'}") as store:
            import_files(task, order, store, quarantine_folder=tmp_path, now=NOW + timedelta(hours=number))
            made = prepare(task, store, make_shares(), now=NOW)
            check_funnel(made)
            assert made.contradictions
            hashes.add(made.hash)
    assert len(hashes) == 1


def make_candidate(intent: str, recorded: str, gold: str, number: int) -> Candidate:
    trace = Trace(
        id=f"trace-{number}",
        task="tickets",
        time=recorded or "2026-01-01T00:00:00+00:00",
        origin="import",
        input={"message": "x"},
        messages=(),
        output=object_target({"intent": intent, "urgent": False}) if intent else None,
        gold=object_target({"intent": gold, "urgent": False}) if gold else None,
    )
    task = Task("tickets", "Sort.", {"message": {"type": "string"}}, {"type": "object"})
    example = read_trace(task, trace)[0]
    return Candidate(example, hash_input(example), "", recorded)


intents = st.sampled_from(["", "card", "refund", "other"])
candidates = st.lists(st.tuples(intents, st.sampled_from(["", "2025", "2026"]), intents), min_size=1, max_size=7)


@settings(deadline=None)
@given(candidates, st.randoms(use_true_random=False))
def test_one_row_per_input_whatever_the_order(drawn: list[tuple[str, str, str]], shuffled: random.Random) -> None:
    items = [make_candidate(*values, number) for number, values in enumerate(drawn)]
    row, contradiction = merge(items)
    mixed = list(items)
    shuffled.shuffle(mixed)
    again, same = merge(mixed)
    assert (row.example.hash, row.example.count) == (again.example.hash, len(items))
    assert (contradiction is None) == (same is None)
    golds = [gold for _, _, gold in drawn if gold]
    if golds:
        assert row.example.gold is not None
        assert golds.count(cast(dict[str, str], row.example.gold.value)["intent"]) == max(map(golds.count, golds))
        assert (contradiction is not None) == (len(set(golds)) > 1)


@pytest.mark.parametrize(
    ("drawn", "wins"),
    [
        ([("card", "", ""), ("card", "", ""), ("refund", "2026", "")], "card"),
        ([("card", "2025", ""), ("refund", "2026", "")], "refund"),
        ([("refund", "", ""), ("card", "", "")], "card"),
        ([("card", "", ""), ("card", "", ""), ("refund", "", "other")], "other"),
    ],
)
def test_which_answer_wins(drawn: list[tuple[str, str, str]], wins: str) -> None:
    row, contradiction = merge([make_candidate(*values, number) for number, values in enumerate(drawn)])
    assert row.example.answer is not None
    assert cast(dict[str, str], row.example.answer.value)["intent"] == wins
    if wins != "other":
        assert contradiction is not None
        assert contradiction.answers[0][0] == row.example.answer


def test_what_cannot_be_a_row_is_counted_by_reason(task: Task, take: Take, write: Write, store: Store) -> None:
    take(write("rows.jsonl", rows(60)))
    one = next(store.traces("tickets"))

    def add(name: str, **changes: object) -> None:
        made = {"id": name, "row_key": name, "origin": "serve", "input": {"message": f"{name} message"}} | changes
        store.add_traces([replace(one, **made)])  # type: ignore[arg-type]

    add("assess", origin="assess")
    add("synthetic", origin="synthesize", split="")
    add("failed", status="error")
    add("instruction", instruction_hash="0" * 64)
    add("shape", input={"text": "x"})
    add("schema", output=object_target({"intent": "gone", "urgent": False}))
    add("goldless", gold=object_target({"intent": "gone", "urgent": False}))
    add("student", release="abc", output=object_target(OTHER))
    add("asked", origin="ask")
    add("audited", origin="audit")
    erased = replace(one, id="erased", row_key="erased", input={"message": "erased"})
    store.add_traces([erased])
    store.add_tombstones("tickets", [read_trace(task, erased)[0].hash], "asked for", "2026-01-01")
    made = prepare(task, store, make_shares(), now=NOW)
    check_funnel(made)
    assert made.funnel["set_aside"] == {
        "another instruction": 1,
        "answer that breaks the task's output": 1,
        "erased": 1,
        "failed calls": 1,
        "gold that breaks the task's output": 1,
        "input of another shape": 1,
    }
    assert made.funnel["rows"] == 64
    assert made.manifest["synthetic"] == {"train": 1}
    assert [row.input["message"] for row in read_unlabelled(store, made.manifest)] == ["student message"]
    assert any("another instruction" in notice for notice in made.notices)
    mixed = prepare(task, store, make_shares(), now=NOW, instructions="any")
    assert "another instruction" not in cast(dict[str, int], mixed.funnel["set_aside"])


def test_too_few_rows_say_how_many_are_needed(task: Task, take: Take, write: Write, store: Store) -> None:
    with pytest.raises(DataError, match="JM-306 task tickets: this task has no traces yet"):
        prepare(task, store, make_shares(), now=NOW)
    take(write("few.jsonl", [*rows(2), {"input": "no answer"}]))
    with pytest.raises(DataError) as caught:
        prepare(task, store, make_shares(), now=NOW)
    assert caught.value.code == "JM-305"
    assert caught.value.what == "too few rows to fill dev"
    assert caught.value.got == "2 such rows, 1 without an answer"
    needed = int(caught.value.expected.split()[2])
    take(write("more.jsonl", rows(needed - 2, seed=2)))
    assert prepare(task, store, make_shares(), now=NOW).count("dev") > 0


def test_a_failed_prepare_assigns_nothing(task: Task, take: Take, write: Write, store: Store) -> None:
    take(write("few.jsonl", rows(2)))
    with pytest.raises(DataError):
        prepare(task, store, make_shares(), now=NOW)
    assert store.assignments("tickets") == {}
    assert store.latest_dataset("tickets") is None


@pytest.mark.parametrize("step", ["add_rows", "add_assignments", "add_dataset"])
def test_stopped_at_any_write_and_run_again_gives_the_same(
    task: Task, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = write("rows.jsonl", rows(60))
    hashes = []
    for is_stopped in (False, True):
        with open_store(f"sqlite:///{tmp_path / f'{is_stopped}.db'}") as store:
            import_files(task, [path], store, quarantine_folder=tmp_path, now=NOW)
            if is_stopped:
                with monkeypatch.context() as patch:
                    patch.setattr(Store, step, _stop)
                    with pytest.raises(KeyboardInterrupt):
                        prepare(task, store, make_shares(), now=NOW)
            hashes.append(prepare(task, store, make_shares(), now=NOW).hash)
    assert hashes[0] == hashes[1]


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def test_terms_and_one_large_group_are_told(task: Task, take: Take, write: Write, store: Store) -> None:
    alike = [
        {"input": f"{number} " + "the same long message about a card that was stolen", "output": CARD}
        for number in range(60)
    ]
    take(write("rows.jsonl", [*rows(40), *alike]), terms="restricted")
    made = prepare(task, store, make_shares(), now=NOW)
    assert made.manifest["terms"] == {"restricted": 100}
    assert any("one group of near copies holds 60 of 100 rows" in notice for notice in made.notices)
    assert any("the terms of 100 rows restrict training" in notice for notice in made.notices)


def test_a_missing_row_and_a_missing_dataset(task: Task, take: Take, write: Write, store: Store) -> None:
    with pytest.raises(DataError, match="JM-352 task tickets: this task has no dataset yet"):
        read_manifest(store, "tickets")
    take(write("rows.jsonl", rows(50)))
    made = prepare(task, store, make_shares(), now=NOW)
    with pytest.raises(DataError, match="JM-352 task tickets: there is no such dataset"):
        read_manifest(store, "tickets", "0" * 64)
    broken = json.loads(json.dumps(made.manifest))
    broken["splits"]["dev"][0][0] = "0" * 64
    with pytest.raises(DataError, match="JM-353 task tickets: 1 rows of this dataset are no longer in the store"):
        read_split(store, broken, "dev")
    assert len(entries(made.manifest, "dev")) == made.count("dev")


@pytest.mark.parametrize("kind", ["pairs", "calls", "table", "preferences"])
def test_rows_of_a_conversation_are_one_group(task: Task, write: Write, take: Take, store: Store, kind: str) -> None:
    """Whatever the file's form, ``group`` says what belongs together."""
    texts = [str(row["input"]) for row in rows(120)]
    groups = [f"talk {place // 4}" for place in range(120)]
    answer = json.dumps(CARD)
    if kind == "table":
        path = write("rows.csv", [])
        lines = [
            "input,output.intent,output.urgent,group",
            *(f"{a},card,false,{b}" for a, b in zip(texts, groups, strict=True)),
        ]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    elif kind == "calls":
        said = [{"role": "system", "content": task.instruction}]
        path = write(
            "rows.jsonl",
            [
                {
                    "request": {"messages": [*said, {"role": "user", "content": text}]},
                    "response": answer,
                    "group": group,
                }
                for text, group in zip(texts, groups, strict=True)
            ],
        )
    elif kind == "preferences":
        wrong = json.dumps(OTHER)
        path = write(
            "rows.jsonl",
            [
                {"prompt": text, "chosen": answer, "rejected": wrong, "group": group}
                for text, group in zip(texts, groups, strict=True)
            ],
        )
    else:
        path = write(
            "rows.jsonl", [{"input": a, "output": CARD, "group": b} for a, b in zip(texts, groups, strict=True)]
        )
    assert not [file.unused for file in take(path).files if file.unused]
    made = prepare(task, store, make_shares(test=0.3), now=NOW)
    found = {split: read_split(store, made.manifest, split, purpose="assess") for split in SPLITS}
    assert sum(len(part) for part in found.values()) == 120
    assert len({row.group for part in found.values() for row in part}) == 30
    sides: dict[str, set[str]] = {}
    for split, part in found.items():
        for row in part:
            sides.setdefault(row.group, set()).add(split)
    assert all(len(side) == 1 for side in sides.values())
    assert found["test"]


def test_a_copy_of_a_sealed_row_takes_its_conversation_with_it(
    task: Task, write: Write, take: Take, store: Store
) -> None:
    """The public test file knows no conversations; the log does, and holds one of its rows."""
    texts = [str(row["input"]) for row in rows(60)]
    sealed = [{"input": f"sealed {place} {texts[place]}", "gold": CARD} for place in range(5)]
    take(write("sealed.jsonl", sealed), split="test")
    log = [{"input": sealed[0]["input"], "output": CARD, "group": "talk"}]
    log += [
        {"input": text, "output": CARD, "group": "talk" if place < 3 else f"other {place}"}
        for place, text in enumerate(texts)
    ]
    take(write("log.jsonl", log))
    made = prepare(task, store, make_shares(), now=NOW)
    learned = {row.input["message"] for split in ("train", "dev") for row in read_split(store, made.manifest, split)}
    assert not learned & set(texts[:3])
    assert cast(dict[str, int], made.funnel["set_aside"])["of one group with sealed rows"] == 3


def test_rows_that_a_given_group_holds_together_are_not_called_near_copies(
    task: Task, write: Write, take: Take, store: Store
) -> None:
    texts = [str(row["input"]) for row in rows(100)]
    take(write("test.jsonl", [{"input": "sealed", "gold": CARD, "group": "split"}]), split="test")
    take(write("dev.jsonl", [{"input": "dev", "output": CARD, "group": "split"}]), split="dev")
    log = [
        {"input": text, "output": CARD} | ({"group": "talk"} if place < 60 else {}) for place, text in enumerate(texts)
    ]
    take(write("log.jsonl", log))
    made = prepare(task, store, make_shares(), now=NOW)
    said = " ".join(made.notices)
    assert "1 pairs of rows of one given group lie across dev and test" in said
    assert "one group of rows with one `group`, and their near copies, holds 60 of 10" in said
    assert "of near copies" not in said


def test_a_group_is_not_kept_as_it_was_written_and_makes_no_other_row(
    task: Task, write: Write, take: Take, store: Store
) -> None:
    plain = [{"input": f"hello {place}", "output": CARD} for place in range(3)]
    assert take(write("one.jsonl", plain)).added == 3
    assert take(write("two.jsonl", [row | {"group": "alice@example.com"} for row in plain])).added == 0
    take(write("three.jsonl", [{"input": "new", "output": CARD, "group": "alice@example.com"}]))
    assert not [trace for trace in store.traces(task.name) if "alice" in json.dumps(trace.to_json())]
