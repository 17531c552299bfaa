"""Heads on words: which terms count, and logistic regression on them. What a task needs no model at all for shows here.

Legend: ``n`` rows, ``d`` terms, ``k`` classes.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from journeyman.core.progress import Progress, Silent
from journeyman.models.head import ClosedField, Head, Heads, Layer
from journeyman.models.words import Words, find_terms, find_words
from journeyman.tuning.head_linear import fit_linear
from journeyman.tuning.head_rows import ScaledRows
from journeyman.tuning.heads import HeadReport, HeadRows, Try, report_head, score_layers, trained_classes

PATTERNS = 6  # of a class
LEAST_PATTERN = 3  # texts of the class that have it
# Penalties as in ``tuning.heads``; vectors have length one here and are not scaled, so weights are larger.
STRENGTHS = (3.0, 1.0, 0.3, 0.1, 0.03)

Ints = npt.NDArray[np.int64]


def mine_patterns(texts: Sequence[str], labels: Sequence[Ints]) -> Words:
    """For each class of each field the words and pairs of words that tell most about it: those whose presence has the largest G² (Dunning 1993)
    among terms that are likelier inside the class than outside."""
    present = [{term for term in find_terms(find_words(text)) if not term.startswith("#")} for text in texts]
    everywhere = Counter(term for terms in present for term in terms)
    chosen: dict[str, None] = {}
    for column in labels:
        for label in np.unique(column):
            rows = np.flatnonzero(column == label)
            inside = Counter(term for row in rows for term in present[row])
            scored = [
                (_g_squared(count, len(rows), everywhere[term], len(texts)), term)
                for term, count in inside.items()
                if count >= LEAST_PATTERN and count * len(texts) > everywhere[term] * len(rows)
            ]
            chosen |= dict.fromkeys(term for _score, term in sorted(scored, reverse=True)[:PATTERNS])
    terms = tuple(sorted(chosen))
    return Words(terms, (1.0,) * len(terms), is_pattern=True)


def train_word_heads(
    words: Words, parts: Sequence[tuple[ClosedField, HeadRows, HeadRows]], progress: Progress | None = None
) -> tuple[Heads, tuple[HeadReport, ...]]:
    """One linear head per (field, train, dev) over sparse vectors, penalty and temperature chosen on dev.

    Raises:
        TuneError: JM-560, JM-561, JM-563 as ``tuning.heads.train_head``.
    """
    bar = progress or Silent()
    found = [_train(field, train, dev, bar) for field, train, dev in parts]
    return Heads(words.id, tuple(head for head, _ in found)), tuple(report for _, report in found)


def _train(field: ClosedField, train: HeadRows, dev: HeadRows, bar: Progress) -> tuple[Head, HeadReport]:
    trained = trained_classes(field, train, dev)
    inner, outer = _rows(train, trained), _rows(_known(dev, trained), trained)
    bar.start(f"head {field.name}".strip(), total=len(STRENGTHS))
    layer: Layer | None = None
    tries: list[tuple[Try, Layer]] = []
    for strength in STRENGTHS if inner.vectors.shape[1] else STRENGTHS[:1]:
        started = time.monotonic()
        layer = fit_linear(inner, strength, layer)
        tries.append((score_layers("linear", f"penalty of {strength:g} rows", (layer,), outer, started), layer))
        bar.advance()
        if len(tries) > 1 and tries[-1][0].loss > tries[-2][0].loss:
            break
    bar.finish()
    chosen, best = min(tries, key=lambda pair: pair[0].loss)
    missing = len(field.values) - len(trained)
    share = 1 / (len(train.labels) + len(field.values)) if missing else 0.0
    head = Head(field, (best,), tuple(trained.tolist()), chosen.temperature, share)
    return head, report_head(head, chosen, tuple(item for item, _ in tries), train, dev)


def _known(rows: HeadRows, trained: Ints) -> HeadRows:
    known = np.isin(rows.labels, trained)
    return HeadRows(rows.vectors[known], rows.labels[known])


def _rows(rows: HeadRows, trained: Ints) -> ScaledRows:
    weights = np.ones(len(rows.labels)) if rows.weights is None else np.asarray(rows.weights, np.float64)
    return ScaledRows(
        csr_array(rows.vectors),
        np.searchsorted(trained, rows.labels).astype(np.int64),
        (weights / weights.mean()).astype(np.float32),
        len(trained),
    )


def _g_squared(inside: int, rows: int, everywhere: int, texts: int) -> float:
    """Of the two-by-two table of a term's presence and the class."""
    table = np.array(
        [[inside, rows - inside], [everywhere - inside, texts - rows - (everywhere - inside)]], dtype=np.float64
    )
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / texts
    terms = np.where(table > 0, table * np.log(np.where(table > 0, table, 1) / np.maximum(expected, 1e-12)), 0.0)
    return float(2 * terms.sum())
