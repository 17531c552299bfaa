from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from journeyman.core.errors import ModelError
from journeyman.models.head import (
    DESCRIPTION,
    WEIGHTS,
    ClosedField,
    Head,
    Heads,
    Layer,
    gelu,
    load_heads,
    log_softmax,
    save_heads,
)


def make_head(name: str, values: int, trained: int, size: int, hidden: int | None, seed: int) -> Head:
    rng = np.random.default_rng(seed)
    widths = [size, *([hidden] if hidden else []), trained]
    layers = tuple(
        Layer(rng.normal(size=(out, inputs)).astype(np.float32), rng.normal(size=out).astype(np.float32))
        for inputs, out in pairwise(widths)
    )
    numbers = tuple(sorted(rng.choice(values, trained, replace=False).tolist()))
    return Head(
        ClosedField(name, tuple(f"{name} {number}" for number in range(values))),
        layers,
        numbers,
        float(rng.uniform(0.2, 3)),
        0.0 if trained == values else 0.01,
    )


heads = st.builds(
    lambda values, missing, size, hidden, seed: make_head("a", values, max(2, values - missing), size, hidden, seed),
    st.integers(2, 9),
    st.integers(0, 4),
    st.integers(1, 6),
    st.none() | st.integers(1, 5),
    st.integers(0, 1000),
)


@given(head=heads, rows=st.integers(0, 5))
def test_probabilities_are_a_distribution_over_all_values(head: Head, rows: int) -> None:
    vectors = np.random.default_rng(rows).normal(size=(rows, head.layers[0].weight.shape[1])).astype(np.float32)
    shares = head.probabilities(vectors)
    assert shares.shape == (rows, len(head.field.values))
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-12)
    assert (shares >= 0).all()
    untrained = [number for number in range(len(head.field.values)) if number not in head.trained]
    assert head.untrained == tuple(head.field.values[number] for number in untrained)
    assert (shares[:, untrained] == head.untrained_share).all()


def test_a_linear_head_by_hand() -> None:
    layer = Layer(np.array([[1, 0], [0, 1]], np.float32), np.array([0, 1], np.float32))
    head = Head(ClosedField("urgent", (False, True)), (layer,), (0, 1), 2.0, 0.0)
    assert head.kind == "linear"
    odds = np.exp((3.0 + 1) / 2 - 1.0 / 2)
    np.testing.assert_allclose(head.probabilities([[1.0, 3.0]]), [[1 / (1 + odds), odds / (1 + odds)]])


def test_very_large_logits_stay_numbers() -> None:
    np.testing.assert_array_equal(log_softmax(np.array([[1e6, 0.0]])), [[0.0, -1e6]])
    np.testing.assert_allclose(gelu(np.array([-50.0, 0.0, 50.0])), [0.0, 0.0, 50.0], atol=1e-12)


@settings(deadline=None)
@given(first=heads, second=heads)
def test_heads_come_back_as_they_were_written(
    first: Head, second: Head, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("heads")
    odd = (None, 1, True, "x", 2.5, *range(10, 20))
    second = replace(second, field=ClosedField("b/ö", odd[: len(second.field.values)]))
    save_heads(folder / "one", Heads("id", (first, second)))
    back = load_heads(folder / "one", "id")
    save_heads(folder / "two", back)
    for name in (WEIGHTS, DESCRIPTION):
        assert (folder / "one" / name).read_bytes() == (folder / "two" / name).read_bytes()
    assert [head.field for head in back.heads] == [first.field, second.field]
    vectors = np.ones((2, first.layers[0].weight.shape[1]), np.float32)
    np.testing.assert_array_equal(back.heads[0].probabilities(vectors), first.probabilities(vectors))


def test_every_field_has_its_probabilities() -> None:
    both = Heads("id", (make_head("intent", 4, 4, 3, None, 0), make_head("urgent", 2, 2, 3, 5, 1)))
    shares = both.probabilities(np.ones((7, 3), np.float32))
    assert {name: found.shape for name, found in shares.items()} == {"intent": (7, 4), "urgent": (7, 2)}


def test_heads_of_another_embedder_are_refused(tmp_path: Path) -> None:
    save_heads(tmp_path, Heads("one", (make_head("a", 2, 2, 3, None, 0),)))
    assert load_heads(tmp_path).embedder == "one"
    with pytest.raises(ModelError, match=r"JM-437 .*the vectors of another embedder") as caught:
        load_heads(tmp_path, "two")
    assert (caught.value.expected, caught.value.got) == ("one", "two")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.update(edition=2), "edition"),
        (lambda text: text.update(more=1), "more"),
        (lambda text: text["heads"][0].update(temperature=0.0), "temperature"),
        (lambda text: text["heads"][0].update(trained=[0, 5, 1]), "3 outputs for the classes"),
        (lambda text: text["heads"][0].update(trained=[0, 0, 1]), "3 outputs for the classes"),
        (lambda text: text["heads"][0].update(trained=[0, 1]), "3 outputs for the classes"),
        (lambda text: text["heads"][0].update(layers=1), "5 outputs for the classes"),
        (lambda text: text["heads"].append(text["heads"][0]), "1.0.weight"),
        (lambda text: text.update(weights_sha256="0"), "is not the file that heads.json names"),
    ],
)
def test_a_changed_description_is_refused(tmp_path: Path, change: object, said: str) -> None:
    save_heads(tmp_path, Heads("id", (make_head("a", 3, 3, 4, 5, 0),)))
    text = json.loads((tmp_path / DESCRIPTION).read_text())
    change(text)  # type: ignore[operator]
    (tmp_path / DESCRIPTION).write_text(json.dumps(text))
    with pytest.raises(ModelError, match=r"JM-436 .*these heads cannot be read") as caught:
        load_heads(tmp_path)
    assert said in caught.value.got


def test_damaged_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="JM-436"):
        load_heads(tmp_path)
    save_heads(tmp_path, Heads("id", (make_head("a", 3, 3, 4, None, 0),)))
    whole = (tmp_path / WEIGHTS).read_bytes()
    (tmp_path / WEIGHTS).write_bytes(whole[:-4])
    with pytest.raises(ModelError, match="JM-436"):
        load_heads(tmp_path)
    (tmp_path / WEIGHTS).unlink()
    save_file({"0.0.weight": np.zeros((3, 4), np.float64)}, tmp_path / WEIGHTS)
    with pytest.raises(ModelError, match="JM-436"):
        load_heads(tmp_path)
    (tmp_path / DESCRIPTION).write_bytes(b"\xff\xfe")
    with pytest.raises(ModelError, match="JM-436"):
        load_heads(tmp_path)
