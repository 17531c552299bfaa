from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax

from journeyman.core.errors import TuneError
from journeyman.measure.calibration import calibration_error
from journeyman.models.head import ClosedField, Head, Layer, load_heads, save_heads
from journeyman.tuning.head_linear import fit_linear
from journeyman.tuning.head_mlp import LOOKS, fit_member, fit_mlp, forward
from journeyman.tuning.head_rows import ScaledRows
from journeyman.tuning.heads import HeadRows, fit_temperature, number_values, train_head, train_heads

FIELD = ClosedField("intent", ("refund", "card_lost", "other", "hello"))


def draw(rows: int, seed: int, classes: int = 4, size: int = 12, noise: float = 1.0) -> HeadRows:
    """Vectors around one centre per class."""
    centres = np.random.default_rng(99).normal(size=(classes, size))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows)
    vectors = centres[labels] + noise * rng.normal(size=(rows, size))
    return HeadRows((0.05 * vectors + 0.3).astype(np.float32), labels)


@pytest.fixture(scope="module")
def sets() -> tuple[HeadRows, HeadRows, HeadRows]:
    return draw(300, 1), draw(200, 2), draw(2000, 3)


def test_the_linear_head_is_at_the_optimum() -> None:
    rng = np.random.default_rng(0)
    count, size, classes, strength = 40, 3, 3, 2.0
    vectors = rng.normal(size=(count, size)).astype(np.float32)
    labels = rng.integers(0, classes, count)
    weights = rng.uniform(0, 2, count).astype(np.float32)
    rows = ScaledRows(vectors, labels, weights, classes)

    def objective(flat: np.ndarray) -> float:
        weight, bias = flat[:-classes].reshape(classes, size), flat[-classes:]
        losses = -log_softmax(vectors.astype(np.float64) @ weight.T + bias, axis=1)[np.arange(count), labels]
        return float(weights @ losses + strength / 2 * (weight**2).sum())

    best = minimize(objective, np.zeros(classes * (size + 1)), method="BFGS", options={"gtol": 1e-8})
    layer = fit_linear(rows, strength)
    found = np.concatenate([layer.weight.ravel(), layer.bias]).astype(np.float64)
    assert objective(found) == pytest.approx(best.fun, rel=1e-6)
    np.testing.assert_allclose(layer.weight, best.x[:-classes].reshape(classes, size), atol=2e-3)
    again = fit_linear(rows, strength, layer)
    assert objective(np.concatenate([again.weight.ravel(), again.bias])) == pytest.approx(best.fun, rel=1e-6)


def test_a_weight_of_two_is_a_row_twice() -> None:
    rows = draw(60, 0, noise=2.0)
    weights = np.where(np.arange(60) < 20, 2.0, 1.0).astype(np.float32)
    weights[50:] = 0
    order = np.concatenate([np.repeat(np.arange(20), 2), np.arange(20, 50)])
    once = fit_linear(ScaledRows(rows.vectors, rows.labels, weights, 4), 1.0)
    twice = fit_linear(ScaledRows(rows.vectors[order], rows.labels[order], np.ones(len(order), np.float32), 4), 1.0)
    np.testing.assert_allclose(once.weight, twice.weight, atol=2e-3)


def test_the_numpy_half_gives_what_torch_gives() -> None:
    rows = draw(300, 0)
    vectors = (rows.vectors - rows.vectors.mean(axis=0)) / rows.vectors.std()
    given = ScaledRows(vectors, rows.labels, np.ones(300, np.float32), 4)
    seen: list[tuple[Layer, ...]] = []

    def look(layers: tuple[Layer, ...]) -> float:
        seen.append(layers)
        return -float(len(seen))

    members = [fit_member(given, look, seed)[0] for seed in (2, 3)]
    assert len(seen) == 2 * LOOKS
    assert members[0] is seen[LOOKS - 1]
    assert not np.array_equal(members[0][0].weight, members[1][0].weight)
    layers, _ = fit_mlp(given, look, seed=1, members=2)
    logits = [forward(torch.from_numpy(vectors), _tensors(member)) for member in members]
    expected = torch.softmax((logits[0] + logits[1]) / 2 / 1.7, dim=1).numpy()
    found = Head(FIELD, layers, (0, 1, 2, 3), 1.7, 0.0).probabilities(vectors)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def _tensors(layers: tuple[Layer, ...]) -> list[torch.Tensor]:
    return [torch.from_numpy(item) for layer in layers for item in (layer.weight, layer.bias)]


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_heads_learn_and_are_calibrated(kind: str, sets: tuple[HeadRows, HeadRows, HeadRows]) -> None:
    train, dev, held = sets
    head, report = train_head(FIELD, train, dev, kinds=(kind,))  # type: ignore[arg-type]
    shares = head.probabilities(held.vectors)
    right = shares.argmax(axis=1) == held.labels
    assert head.kind == kind == report.chosen.kind
    assert right.mean() > 0.9
    assert calibration_error(shares.max(axis=1), right) < 0.05
    dev_shares = head.probabilities(dev.vectors)[np.arange(200), dev.labels]
    assert -np.log(dev_shares).mean() == pytest.approx(report.chosen.loss, abs=1e-5)
    assert (train.labels.size, dev.labels.size) == (report.train_rows, report.dev_rows)


def test_the_smallest_dev_loss_is_taken(sets: tuple[HeadRows, HeadRows, HeadRows]) -> None:
    train, dev, _ = sets
    head, report = train_head(FIELD, train, dev)
    assert report.chosen.loss == min(item.loss for item in report.tries)
    assert {item.kind for item in report.tries} == {"linear", "mlp"}
    assert head.temperature == report.chosen.temperature
    assert report.to_json()["chosen"] == report.chosen.to_json()


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_the_seed_decides_every_bit_and_touches_nothing_else(kind: str, tmp_path: Path) -> None:
    train, dev = draw(80, 1), draw(60, 2)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    for name in "ab":
        heads, _ = train_heads("id", [(FIELD, train, dev)], kinds=(kind,), seed=3)  # type: ignore[arg-type]
        save_heads(tmp_path / name, heads)
    assert torch.equal(torch.get_rng_state(), state)
    for name in ("heads.safetensors", "heads.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_temperature_undoes_what_sharpened_the_logits() -> None:
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(20_000, 5))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    for factor in (0.5, 1.0, 3.0):
        temperature, loss = fit_temperature(factor * logits, labels)
        assert temperature == pytest.approx(factor, rel=0.05)
        assert loss == pytest.approx(fit_temperature(logits, labels)[1], abs=1e-5)


def test_several_fields_over_the_same_vectors_survive_the_disk(tmp_path: Path) -> None:
    train, dev = draw(120, 1), draw(80, 2)
    urgent = ClosedField("urgent", (True, False))
    halves = (replace(train, labels=train.labels % 2), replace(dev, labels=dev.labels % 2))
    parts = [(FIELD, train, dev), (urgent, *halves)]
    heads, reports = train_heads("id", parts, kinds=("linear",))
    save_heads(tmp_path, heads)
    back = load_heads(tmp_path, "id").probabilities(dev.vectors)
    for name, shares in heads.probabilities(dev.vectors).items():
        np.testing.assert_array_equal(back[name], shares)
    assert [report.field for report in reports] == ["intent", "urgent"] == list(back)


def test_values_without_a_train_row_are_kept_and_told() -> None:
    field = replace(FIELD, values=("never", *FIELD.values, "neither"))
    train, dev = draw(100, 1), draw(60, 2)
    train, dev = (
        replace(train, labels=train.labels + 1),
        replace(dev, labels=np.where(dev.labels == 0, 0, dev.labels + 1)),
    )
    head, report = train_head(field, train, dev, kinds=("linear",))
    assert report.untrained == head.untrained == ("never", "neither")
    assert report.dev_rows_untrained == (dev.labels == 0).sum() > 0
    shares = head.probabilities(dev.vectors)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert (shares[:, [0, 5]] == 1 / 106).all()


def test_rows_of_weight_zero_are_no_rows() -> None:
    train, dev = draw(100, 1), draw(60, 2)
    weights = np.where(train.labels == 3, 0.0, 1.0)
    head, report = train_head(FIELD, replace(train, weights=weights), dev, kinds=("linear",))
    kept = train.labels != 3
    other, _ = train_head(FIELD, HeadRows(train.vectors[kept], train.labels[kept]), dev, kinds=("linear",))
    assert head.untrained == ("hello",)
    assert report.train_rows == kept.sum()
    np.testing.assert_array_equal(head.layers[0].weight, other.layers[0].weight)


def test_equal_vectors_are_no_reason_to_fail() -> None:
    same = HeadRows(np.ones((20, 3), np.float32), np.arange(20) % 4)
    head, _ = train_head(FIELD, same, same, kinds=("linear",))
    np.testing.assert_allclose(head.probabilities(same.vectors), 0.25, atol=0.02)


def test_values_become_numbers_by_their_json() -> None:
    field = ClosedField("", (True, 1, "1", None, 2.5))
    assert number_values(field, ["1", 1, True, None, 2.5, 1.0]).tolist() == [2, 1, 0, 3, 4, 1]
    with pytest.raises(
        TuneError, match="JM-565 row 1 has a value that the field of the answer does not have"
    ) as caught:
        number_values(field, [1, False])
    assert caught.value.got == "false"


def broken(rows: HeadRows, place: int, value: float) -> HeadRows:
    vectors = rows.vectors.copy()
    vectors[place, 1] = value
    return replace(rows, vectors=vectors)


EMPTY = HeadRows(np.empty((0, 12), np.float32), np.empty(0, np.int64))


@pytest.mark.parametrize(
    ("code", "said", "train", "dev"),
    [
        ("JM-560", "the field intent has no train rows", EMPTY, draw(5, 0)),
        ("JM-560", "no train rows", replace(draw(5, 0), weights=np.zeros(5)), draw(5, 0)),
        ("JM-561", '"card_lost" in 8 rows', replace(draw(8, 0), labels=np.ones(8, np.int64)), draw(5, 0)),
        ("JM-562", "NaN or infinity in 1 of 8 rows, the first is row 3", broken(draw(8, 0), 3, np.nan), draw(5, 0)),
        ("JM-562", "dev rows of the field intent", draw(8, 0), broken(draw(5, 0), 4, np.inf)),
        ("JM-563", "got: 0 dev rows", draw(8, 0), EMPTY),
        (
            "JM-563",
            "got: 5 dev rows",
            replace(draw(8, 0), labels=np.arange(8) % 2),
            replace(draw(5, 0), labels=np.full(5, 3)),
        ),
        ("JM-564", "(8, 12), (7,)", replace(draw(8, 0), labels=np.zeros(7, np.int64)), draw(5, 0)),
        ("JM-564", "labels from 0 to 3", replace(draw(8, 0), labels=np.full(8, 4)), draw(5, 0)),
        ("JM-564", "not negative", replace(draw(8, 0), weights=np.full(8, -1.0)), draw(5, 0)),
        ("JM-564", "12 numbers", draw(8, 0), draw(5, 0, size=7)),
    ],
)
def test_what_cannot_be_trained_is_one_clear_error(code: str, said: str, train: HeadRows, dev: HeadRows) -> None:
    with pytest.raises(TuneError, match=code) as caught:
        train_head(FIELD, train, dev)
    assert said in str(caught.value)
    assert caught.value.hint
