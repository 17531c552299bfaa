"""The map of questions' vectors: its slope, what it finds where there is something to find, and that it leaves the rest alone."""

import numpy as np
import numpy.typing as npt
import pytest

from journeyman.tuning.retriever import Asked, Ints, fit_turn, measure_loss, train_turn

Floats = npt.NDArray[np.float32]
D, CHUNKS = 12, 300


def unit(vectors: npt.ArrayLike) -> Floats:
    rows = np.asarray(vectors, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def make(count: int, turn: Floats, noise: float, seed: int) -> tuple[Asked, Floats]:
    """Chunks drawn on the sphere; questions are their vectors turned away, with noise."""
    draw = np.random.default_rng(seed)
    chunks = unit(np.random.default_rng(99).standard_normal((CHUNKS, D)))
    rows = draw.integers(0, CHUNKS, count)
    questions = unit(chunks[rows] @ turn + noise * draw.standard_normal((count, D)))
    return Asked(questions, [np.array([row]) for row in rows]), chunks


def share_first(asked: Asked, turn: Floats, chunks: Floats) -> float:
    best = (asked.vectors @ turn @ chunks.T).argmax(axis=1)
    return float(np.mean([row in right for row, right in zip(best, asked.right, strict=True)]))


def make_folds(count: int) -> Ints:
    return np.arange(count, dtype=np.int64) % 2


ROTATED = np.linalg.qr(np.random.default_rng(5).standard_normal((D, D)))[0].astype(np.float32)
SAME = np.eye(D, dtype=np.float32)


def test_a_turned_space_is_turned_back() -> None:
    asked, chunks = make(400, ROTATED, 0.05, 1)
    unseen, _ = make(200, ROTATED, 0.05, 2)
    found = train_turn(asked, make_folds(400), chunks)
    assert found.turn is not None
    before, after = share_first(unseen, SAME, chunks), share_first(unseen, found.turn, chunks)
    assert before < 0.1
    assert after > 0.9
    losses = dict(found.losses)
    assert losses[found.pull] == min(losses.values()) < losses[None] / 4
    assert np.allclose(np.linalg.norm(found.held, axis=1), 1, atol=1e-5)
    assert share_first(Asked(found.held, asked.right), SAME, chunks) > 0.9


def test_where_answers_are_by_chance_nothing_is_learned() -> None:
    asked, chunks = make(150, SAME, 0.1, 3)
    by_chance = np.random.default_rng(4).integers(0, CHUNKS, 150)
    found = train_turn(Asked(asked.vectors, [np.array([row]) for row in by_chance]), make_folds(150), chunks)
    held = measure_loss(SAME, Asked(found.held, [np.array([row]) for row in by_chance]), chunks)
    assert held <= dict(found.losses)[None] + 1e-5  # what is chosen is never worse across folds than no map
    asked, chunks = make(150, SAME, 0.01, 3)
    found = train_turn(asked, make_folds(150), chunks)
    turn = SAME if found.turn is None else found.turn
    assert share_first(make(200, SAME, 0.01, 6)[0], turn, chunks) == 1


def test_the_pull_holds_the_map_at_the_identity() -> None:
    asked, chunks = make(200, ROTATED, 0.05, 1)
    far, near = (np.linalg.norm(fit_turn(asked, chunks, pull) - SAME) for pull in (0.01, 30.0))
    assert near < 0.2 < 1 < far
    assert np.array_equal(fit_turn(asked, chunks, 0.1), fit_turn(asked, chunks, 0.1))


def test_several_right_chunks_share_the_credit_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, chunks = make(90, SAME, 0.3, 7)
    scores = asked.vectors.astype(np.float64) @ chunks.T.astype(np.float64) / 0.05
    several = Asked(asked.vectors, [np.array([row[0], (row[0] + 1) % CHUNKS]) for row in asked.right])
    expected = np.mean(
        [
            np.log(np.exp(row).sum()) - np.log(np.exp(row[right]).sum())
            for row, right in zip(scores, several.right, strict=True)
        ]
    )
    assert measure_loss(SAME, several, chunks) == pytest.approx(expected, rel=1e-4)
    monkeypatch.setattr("journeyman.tuning.retriever.BLOCK", 7)
    assert measure_loss(SAME, several, chunks) == pytest.approx(expected, rel=1e-4)


def test_the_slope_is_that_of_the_loss() -> None:
    from journeyman.tuning import retriever

    asked, chunks = make(40, SAME, 0.3, 8)
    (vectors, mask), *_ = retriever._blocks(asked, CHUNKS)
    turn = (SAME + 0.1 * np.random.default_rng(9).standard_normal((D, D))).astype(np.float32)
    value, slope = retriever._loss_and_slope(turn, vectors, mask, chunks)
    assert value == pytest.approx(40 * measure_loss(turn, asked, chunks), rel=1e-4)
    for seed in range(4):
        step = 1e-2 * np.random.default_rng(seed).standard_normal((D, D)).astype(np.float32)
        rise = 40 * (measure_loss(turn + step, asked, chunks) - measure_loss(turn - step, asked, chunks))
        assert rise == pytest.approx(2 * float((slope * step).sum()), rel=0.05, abs=0.02)
