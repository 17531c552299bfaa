from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journeyman.core.canonical import content_hash
from journeyman.core.errors import DataError
from journeyman.core.example import SPLITS
from journeyman.data.near import Groups, find_pairs, jaccard, make_shingles
from journeyman.data.shares import make_shares
from journeyman.data.splits import (
    FORMERLY_SEALED,
    GROUP_SEALED,
    LINKS_SPLITS,
    NEAR_SEALED,
    Item,
    Placement,
    place,
    rows_needed,
    wanted_shares,
)
from tests.data import plain_near

WORDS = [
    "the",
    "card",
    "was",
    "stolen",
    "in",
    "paris",
    "and",
    "nobody",
    "at",
    "your",
    "bank",
    "picks",
    "up",
    "my",
    "calls",
    "since",
    "monday",
    "please",
    "help",
    "me",
    "now",
]
SHARES = make_shares()


def sentence(draw: random.Random, length: int = 9) -> str:
    return " ".join(draw.choice(WORDS) + draw.choice(["", "s", "ed", str(draw.randrange(99))]) for _ in range(length))


def corpus(seed: int, size: int) -> list[str]:
    """Sentences, a third of which are near copies of an earlier one."""
    draw = random.Random(seed)
    texts: list[str] = []
    for _ in range(size):
        if texts and draw.random() < 0.33:
            texts.append(draw.choice(texts) + draw.choice(["!", " please", " x"]))
        else:
            texts.append(sentence(draw))
    return list(dict.fromkeys(texts))


def item(text: str, **more: object) -> Item:
    return Item(content_hash(text), text, **more)  # type: ignore[arg-type]


def side(found: Placement, text: str) -> str:
    return found.splits.get(content_hash(text), "")


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.5, 0.7, 0.8, 0.95]))
def test_pairs_are_those_of_brute_force(seed: int, threshold: float) -> None:
    texts = corpus(seed, 60)
    sets = [make_shingles(text) for text in texts]
    expected = {
        (first, second)
        for second in range(len(texts))
        for first in range(second)
        if jaccard(sets[first], sets[second]) >= threshold
    }
    found = set(find_pairs(texts, threshold))
    # The index may miss one pair in a thousand that lies right at the threshold, and adds none.
    assert found <= expected
    assert len(expected - found) <= 1


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.5, 0.8, 0.95]), st.integers(0, 120))
def test_the_index_finds_what_a_plain_one_finds(seed: int, threshold: float, kept: int) -> None:
    texts = corpus(seed, 60) + [f"User {number} asked for the report of today and went away" for number in range(60)]
    random.Random(seed).shuffle(texts)
    assert list(find_pairs(texts, threshold, kept=kept)) == list(plain_near.find_pairs(texts, threshold, kept=kept))


def test_case_spaces_and_width_make_no_difference() -> None:
    assert list(find_pairs(["My  CARD was\nstolen", "my card was stolen", "Ｍｙ card was stolen", "a"], 1.0)) == [
        (0, 1),
        (0, 2),
        (1, 2),
    ]


@pytest.mark.parametrize("texts", [["", "", "a"], ["é" * 3, "e" * 3], ["x"]])
def test_tiny_texts(texts: list[str]) -> None:
    assert list(find_pairs(texts, 0.8)) == ([(0, 1)] if texts[0] == "" else [])


def test_many_lines_of_one_pattern_stay_one_group() -> None:
    texts = [f"User {number:05d} asked for the report of today and then went away again" for number in range(600)]
    groups = Groups(len(texts))
    for first, second in find_pairs(texts, 0.8):
        groups.join(first, second)
    assert len({groups.find(row) for row in range(len(texts))}) == 1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_groups_stay_whole_and_order_does_not_matter(seed: int, shuffled: random.Random) -> None:
    items = [item(text) for text in corpus(seed, 80)]
    found = place(items, SHARES)
    mixed = list(items)
    shuffled.shuffle(mixed)
    again = place(mixed, SHARES)
    assert (found.splits, found.groups, found.aside) == (again.splits, again.groups, again.aside)
    assert set(found.splits) == {item.input_hash for item in items}
    sides: dict[str, set[str]] = {}
    for name, split in found.splits.items():
        sides.setdefault(found.groups[name], set()).add(split)
    assert all(len(chosen) == 1 for chosen in sides.values())
    assert all(group in found.groups for group in found.groups.values())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 79))
def test_sides_are_for_good_while_rows_come_in(seed: int, cut: int) -> None:
    items = [item(text) for text in corpus(seed, 80)]
    first = place(items[:cut], SHARES)
    stored = [replace(old, stored=first.splits.get(old.input_hash, "")) for old in items[:cut]]
    again = place(stored, SHARES)
    assert (again.splits, again.groups) == (first.splits, first.groups)
    later = place([*stored, *items[cut:]], SHARES)
    assert {name: later.splits[name] for name in first.splits} == first.splits
    kept = [old for old in items if old.input_hash in later.splits]
    texts = [old.text for old in kept]
    for one, two in find_pairs(texts, SHARES.jaccard):
        assert later.splits[kept[one].input_hash] == later.splits[kept[two].input_hash]
    settled = place([replace(old, stored=later.splits.get(old.input_hash, "")) for old in items], SHARES)
    assert (settled.splits, settled.aside) == (later.splits, later.aside)


@pytest.mark.parametrize("size", [150, 1_000])
def test_shares_are_met_in_rows(size: int) -> None:
    draw = random.Random(size)
    found = place([item(f"{sentence(draw, 14)} {number}") for number in range(size)], SHARES)
    counts = Counter(found.splits.values())
    for split in SPLITS:
        assert abs(counts[split] - SHARES.share(split) * size) <= max(2, 0.01 * size)


def test_a_group_larger_than_a_split_goes_to_train() -> None:
    draw = random.Random(5)
    alike = [f"{' '.join(WORDS)} {number}" for number in range(60)]
    found = place([item(text) for text in [*alike, *(sentence(draw, 14) for _ in range(100))]], SHARES)
    assert {side(found, text) for text in alike} == {"train"}
    assert Counter(found.splits.values())["test"] >= 25


def test_a_new_row_joins_its_group_and_one_between_two_sides_is_set_aside() -> None:
    words = [f"w{number}" for number in range(20)]
    left, right, between = (
        " ".join(words[:same] + other)
        for same, other in (
            (20, []),
            (12, [f"v{number}" for number in range(12, 20)]),
            (16, [f"v{number}" for number in range(16, 20)]),
        )
    )
    shares = make_shares(near_copy_jaccard=0.55)
    assert sorted(find_pairs([left, right, between], 0.55)) == [(0, 2), (1, 2)]
    old = [item(left, stored="train"), item(right, stored="dev")]
    found = place([*old, item(between), item(left + " z")], shares)
    assert found.aside == {content_hash(between): LINKS_SPLITS}
    assert side(found, left + " z") == "train"


def test_a_test_file_seals_its_rows_and_no_others() -> None:
    draw = random.Random(6)
    sealed = [sentence(draw) for _ in range(20)]
    free = [sentence(draw) for _ in range(100)]
    copies = [text + "!" for text in sealed[:7]]
    items = [item(text, given="test") for text in sealed] + [item(text) for text in [*free, *copies]]
    found = place(items, SHARES)
    assert {side(found, text) for text in sealed} == {"test"}
    assert found.aside == {content_hash(text): NEAR_SEALED for text in copies}
    counts = Counter(side(found, text) for text in free)
    assert counts["test"] == 0
    assert abs(counts["dev"] - 8) <= 1


def test_given_near_copies_stay_and_are_counted() -> None:
    text = " ".join(WORDS)
    found = place(
        [item(text, given="test"), item(text + "!", given="train"), item(text + " x", given="dev"), item("other")],
        SHARES,
    )
    assert (side(found, text), side(found, text + "!"), side(found, text + " x")) == ("test", "train", "dev")
    assert found.crossing == {
        (*sides, "near copies"): 1 for sides in (("train", "test"), ("dev", "test"), ("train", "dev"))
    }


def test_rows_sealed_before_a_test_file_came_cannot_be_learned_from() -> None:
    found = place([item("file row", given="test"), item("old sealed row", stored="test"), item("free row")], SHARES)
    assert found.aside == {content_hash("old sealed row"): FORMERLY_SEALED}


def test_unlabelled_rows_have_no_split_and_keep_away_from_sealed_ones() -> None:
    text = " ".join(WORDS)
    found = place(
        [item(text, stored="test"), item(text + "!", is_labelled=False), item("lonely", is_labelled=False)], SHARES
    )
    assert found.aside == {content_hash(text + "!"): NEAR_SEALED}
    assert side(found, "lonely") == ""


def test_rows_needed_fill_the_splits() -> None:
    draw = random.Random(7)
    for shares in (SHARES, make_shares(dev=0.3, test=0.3), make_shares(test=0.0), make_shares(dev=0.01)):
        needed = rows_needed(wanted_shares(shares, set()))
        items = [item(f"{sentence(draw, 14)} {number}") for number in range(needed)]
        filled = set(place(items, shares).splits.values())
        assert {split for split in SPLITS if shares.share(split) > 0} - {"calibration"} <= filled


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"dev": 0.5, "test": 0.5}, "less than 1, for train takes the rest"),
        ({"test": -0.1}, "prepare.test_share: this setting cannot be used"),
        ({"near_copy_jaccard": 0.0}, "a similarity above 0 and up to 1"),
    ],
)
def test_shares_that_cannot_be_used(values: dict[str, float], expected: str) -> None:
    with pytest.raises(DataError, match=expected) as caught:
        make_shares(**values)
    assert caught.value.code == "JM-307"


def _by_source(items: list[Item]) -> list[list[Item]]:
    found: dict[str, list[Item]] = {}
    for item in items:
        for source in item.sources:
            found.setdefault(source, []).append(item)
    return list(found.values())


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_rows_of_one_source_are_never_on_two_sides(seed: int) -> None:
    draw = random.Random(seed)
    items = [
        Item(
            content_hash(f"{seed} {row}"),
            sentence(draw),
            given="test" if draw.random() < 0.2 else "",
            sources=tuple(sorted({f"talk {draw.randrange(25)}" for _ in range(draw.randrange(3))})),
        )
        for row in range(60)
    ]
    placed = place(items, SHARES)
    for members in _by_source(items):
        sides = {placed.splits[item.input_hash] for item in members if item.input_hash in placed.splits}
        assert len(sides) <= 1, "a source is learned from or measured on, never both"
        if any(item.given for item in members):
            assert all(item.given or placed.aside[item.input_hash] == GROUP_SEALED for item in members)
        groups = {placed.groups[item.input_hash] for item in members if item.input_hash in placed.splits}
        assert len(groups) <= 1, "they stand or fall together"


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_rows_of_a_source_that_was_split_before(seed: int) -> None:
    """Who names sources late has them on several sides: those of one side are one group, and a new row of such a source is on no side."""
    draw = random.Random(seed)
    items = [
        Item(
            content_hash(f"{seed} {row}"),
            sentence(draw),
            stored=draw.choice(["", "", "train", "dev", "test"]),
            sources=tuple(sorted({f"talk {draw.randrange(20)}" for _ in range(draw.randrange(3))})),
        )
        for row in range(60)
    ]
    placed = place(items, SHARES)
    for members in _by_source(items):
        stored = {item.stored for item in members if item.stored}
        for item in members:
            if not item.stored and len(stored) > 1:
                assert placed.aside[item.input_hash] == LINKS_SPLITS
            elif not item.stored and stored and item.input_hash in placed.splits:
                assert placed.splits[item.input_hash] in stored
        for side in stored:
            alike = [item for item in members if item.stored == side and item.input_hash in placed.splits]
            assert len({placed.groups[item.input_hash] for item in alike}) <= 1
