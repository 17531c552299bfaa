from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from journeyman.core.errors import ModelError
from journeyman.models.embedder import (
    BATCH_TOKENS,
    DEFAULT,
    MOST_TOKENS,
    Embedder,
    load_embedder,
    make_batches,
    open_embedder,
)
from tests.models.minilm import load_reference

LONG = "where is my card " * 200


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return open_embedder(threads=1)


@dataclass
class Bar:
    told: list[object] = field(default_factory=list)

    def start(self, stage: str, total: float | None = None, unit: str = "") -> None:
        self.told.append((stage, total, unit))

    def advance(self, amount: float = 1.0, detail: str = "") -> None:
        self.told.append(amount)

    def finish(self, detail: str = "") -> None:
        self.told.append("finished")

    def note(self, text: str) -> None:
        self.told.append(text)


@pytest.mark.model
def test_vectors_are_those_of_the_published_weights(embedder: Embedder) -> None:
    texts, expected = load_reference()
    found = embedder.embed(texts).vectors
    assert found.dtype == np.float32
    assert found.shape == expected.shape == (len(texts), embedder.dimension)
    assert np.sum(found * expected, axis=1).min() > 0.995
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


@pytest.mark.model
def test_a_text_has_one_vector_whatever_is_embedded_with_it(embedder: Embedder) -> None:
    texts = [*load_reference()[0], LONG, *(f"card number {number}" for number in range(40))]
    together = embedder.embed(texts).vectors
    alone = np.concatenate([embedder.embed([text]).vectors for text in texts])
    shuffled = np.random.default_rng(0).permutation(len(texts))
    again = open_embedder(threads=3).embed([texts[row] for row in shuffled]).vectors
    np.testing.assert_array_equal(together[shuffled], again)
    np.testing.assert_allclose(together, alone, atol=1e-6)  # equal bits on the processors that were tried


@pytest.mark.model
def test_what_is_cut_is_told(embedder: Embedder) -> None:
    done = embedder.embed(["short", LONG, "also short"])
    assert done.cut == [1]
    assert done.tokens[1] == len(embedder.tokenizer.encode(LONG).ids) > MOST_TOKENS == done.most_tokens
    words = LONG.split()[: MOST_TOKENS - 2]  # each is one token
    np.testing.assert_array_equal(done.vectors[1], embedder.embed([" ".join(words)]).vectors[0])


@pytest.mark.model
def test_no_texts_empty_texts_and_texts_that_are_no_unicode(embedder: Embedder) -> None:
    assert embedder.embed([]).vectors.shape == (0, embedder.dimension)
    odd = embedder.embed(["", "\ud800", "\x00", "  \n"])
    assert np.isfinite(odd.vectors).all()
    assert odd.tokens.min() == 2


@pytest.mark.model
def test_progress_counts_every_text(embedder: Embedder) -> None:
    bar = Bar()
    embedder.embed(["a", "b", "a longer one"], bar)
    assert bar.told == [("embed", 3, "texts"), 2, 1, "finished"]


@pytest.mark.model
def test_the_id_names_the_content(embedder: Embedder, tmp_path: Path) -> None:
    source = Path(str(embedder.session._model_path))  # type: ignore[attr-defined]
    changed = (
        (source.with_name("tokenizer.json"))
        .read_text(encoding="utf-8")
        .replace('"lowercase":true', '"lowercase":false')
    )
    (tmp_path / "tokenizer.json").write_text(changed + " ", encoding="utf-8")
    assert load_embedder(source, source.with_name("tokenizer.json")).id == embedder.id
    assert load_embedder(source, tmp_path / "tokenizer.json").id != embedder.id


def test_batches_hold_equal_lengths_and_every_row_once() -> None:
    lengths = [int(number) for number in np.random.default_rng(0).integers(2, MOST_TOKENS + 1, 300)] + [7] * 200
    batches = list(make_batches([[0] * length for length in lengths]))
    assert sorted(row for rows in batches for row in rows) == list(range(500))
    assert all(len({lengths[row] for row in rows}) == 1 for rows in batches)
    assert max(len(rows) * lengths[rows[0]] for rows in batches) <= BATCH_TOKENS


def test_a_model_for_another_use_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNEYMAN_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="JM-435 smollm2-135m-instruct is no embedding model") as caught:
        open_embedder("smollm2-135m-instruct")
    assert DEFAULT in caught.value.expected
    with pytest.raises(ModelError, match="JM-401") as caught:
        open_embedder()
    assert caught.value.hint == f"journeyman pull {DEFAULT}"
    with pytest.raises(ModelError, match="JM-402"):
        open_embedder("all-minilm-l9")


def test_files_of_another_kind_are_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"JM-438 .*model\.onnx: this embedding model cannot be loaded") as caught:
        load_embedder(tmp_path / "model.onnx", tmp_path / "tokenizer.json")
    assert caught.value.got
    with pytest.raises(ModelError, match="JM-438"):
        load_embedder(tmp_path / "absent.onnx", tmp_path / "tokenizer.json")


def test_importing_the_module_loads_no_engine() -> None:
    code = "import sys, journeyman.models.embedder, journeyman.models.head; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'numpy'" in done.stdout
    assert not {name for name in ("onnxruntime", "torch", "scipy", "tokenizers") if f"'{name}'" in done.stdout}
