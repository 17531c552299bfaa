"""Fewer train rows that keep what the whole teaches: which to take, and the dataset that has them.

Each stratum (rows with the same values of the closed fields) gets rows by the square root of its size, so that rare values are not lost; within it rows are taken that cover the others
(``measure.coverage``), in parts of bounded size. Then come rows that a classifier barely gets right: half of those taken where a stratum gets 200 or more, else a quarter where a quarter of all rows or
more is kept. Few rows should be typical ones and many hard ones (Sorscher et al., "Beyond neural scaling laws", arXiv:2206.14486); rows that it gets wrong are left to coverage, for some of them are labelled wrong.
What was tried besides: docs/results/subset.md.

Legend: ``n`` rows, ``d`` numbers of a vector.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, cast

import numpy as np
import numpy.typing as npt

from journeyman.core.canonical import Json
from journeyman.core.progress import Progress, Silent
from journeyman.data.dataset import entries
from journeyman.data.prepare import Prepared, name_dataset
from journeyman.measure.coverage import Ints, Single, cover, share_out
from journeyman.measure.margins import find_margins
from journeyman.store.database import Store

By = Literal["coverage", "random"]
POWER = 0.5
PART_ROWS = 2048
"""Of a stratum that are compared with each other: 16 MB of similarities."""
HARD_SHARE = HARD_FROM = 0.25
MANY, HARD_OF_MANY = 200, 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """``vectors`` [n, d] of length one; ``strata`` [n] from 0 on; ``folds`` [n], near copies in one; ``counts`` [n], how often each row came."""

    vectors: Single
    strata: Ints
    folds: Ints
    counts: Single


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """``rows``: numbers of the pool's, in ascending order; ``hard``: how many of them are there for being so, which coverage would not have taken."""

    rows: Ints
    hard: int


def choose_rows(pool: Pool, count: int, seed: int = 0, progress: Progress | None = None) -> Chosen:
    """``count`` rows by coverage, some by difficulty. ``seed`` deals large strata into parts. Equal arguments choose equal rows on one machine.

    Raises:
        ValueError: the pool has fewer rows.
    """
    bar, draw = progress or Silent(), np.random.default_rng(seed)
    quotas = share_out(np.bincount(pool.strata), count, POWER)
    least = HARD_SHARE if count >= HARD_FROM * len(pool.strata) else 0.0
    shares = np.where(quotas >= MANY, HARD_OF_MANY, least)
    margins = None
    if shares.any() and len(quotas) > 1 and len(np.unique(pool.folds)) > 1:
        margins = find_margins(pool.vectors, pool.strata, pool.folds)
    found, hard = list[Ints](), 0
    bar.start("choose rows", count, "rows")
    for stratum, part, quota in _deal(pool.strata, quotas, draw):
        order = part[cover(pool.vectors[part], quota, pool.counts[part])]
        taken = order if margins is None else _mix(order, part, margins, round(float(shares[stratum]) * quota))
        hard += len(np.setdiff1d(taken, order))
        found.append(taken)
        bar.advance(quota)
    bar.finish()
    return Chosen(np.sort(np.concatenate(found)), hard)


def draw_rows(size: int, count: int, seed: int = 0) -> Chosen:
    """``count`` of ``size`` rows at random."""
    return Chosen(np.sort(np.random.default_rng(seed).permutation(size)[:count]), 0)


def keep_rows(
    store: Store,
    prepared: Prepared,
    kept: Set[str],
    terms: Mapping[str, int],
    account: Mapping[str, Json],
    now: datetime,
) -> Prepared:
    """Store the dataset whose train rows are those of ``prepared`` with a hash in ``kept`` and make it the latest; the other one stays, and ``account`` names it.
    ``terms`` are those of the rows left out."""
    whole = prepared.manifest
    train = [list(entry) for entry in entries(whole, "train") if entry[0] in kept]
    splits = {**cast(Mapping[str, list[list[Json]]], whole["splits"]), "train": cast(list[list[Json]], train)}
    left = len(entries(whole, "train")) - len(train)
    funnel = dict(prepared.funnel)
    funnel["splits"] = {**cast(dict[str, Json], funnel["splits"]), "train": len(train)}
    funnel["left_out"] = left
    synthetic = dict(cast(Mapping[str, int], whole["synthetic"]))
    if "train" in synthetic:
        synthetic["train"] = sum(str(entry[0]) in prepared.made_up for entry in train)
    manifest: dict[str, Json] = {
        **whole,
        "splits": cast(Json, splits),
        "funnel": funnel,
        "terms": cast(Json, dict(Counter(cast(dict[str, int], whole["terms"])) - Counter(terms))),
        "synthetic": cast(Json, {split: count for split, count in synthetic.items() if count}),
        "kept": {"of": prepared.hash, "rows": len(train), "left_out": left, **account},
        "created": now.isoformat(timespec="seconds"),
    }
    hash = name_dataset(store, str(whole["task"]), manifest)
    store.add_dataset(str(whole["task"]), hash, manifest, now.isoformat(timespec="seconds"))
    return replace(prepared, hash=hash, manifest=manifest, funnel=funnel)


def _deal(strata: Ints, quotas: Ints, draw: np.random.Generator) -> Iterator[tuple[int, Ints, int]]:
    """Rows of each stratum in parts of at most ``PART_ROWS``, with how many to take of each."""
    order = np.argsort(strata, kind="stable")
    rows_of = np.split(order, np.cumsum(np.bincount(strata))[:-1])
    for stratum, (rows, quota) in enumerate(zip(rows_of, quotas, strict=True)):
        number = max(1, -(-len(rows) // PART_ROWS))
        parts = np.array_split(draw.permutation(rows), number) if number > 1 else [rows]
        shares = share_out(np.array([len(part) for part in parts]), int(quota), 1.0)
        yield from ((stratum, part, int(share)) for part, share in zip(parts, shares, strict=True) if share)


def _mix(order: Ints, part: Ints, margins: npt.NDArray[np.float64], hard: int) -> Ints:
    """The first of ``order``, then ``hard`` rows of ``part`` that are barely right, and where these are too few the next of ``order``."""
    first = order[: len(order) - hard]
    others = np.setdiff1d(part, first)
    right = others[margins[others] > 0]
    barely = right[np.argsort(margins[right], kind="stable")][:hard]
    rest = order[len(first) :]
    return np.concatenate([first, barely, rest[~np.isin(rest, barely)][: hard - len(barely)]])
