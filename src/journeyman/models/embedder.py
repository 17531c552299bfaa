"""Texts to unit vectors with a sentence encoder in ONNX, without torch.

The catalog's encoder keeps int8 weights and computes in float32. Texts share a batch only when they have the same number of tokens, so
that nothing is padded: the vector of a text was bit-equal alone, in its batch, and padded to 256 tokens (docs/notebook.md). Another
processor may round otherwise; on one machine a text has one vector.

Legend: ``n`` texts, ``d`` numbers of a vector, ``T`` tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from journeyman.core.canonical import content_hash
from journeyman.core.cores import count_cores
from journeyman.core.errors import ModelError
from journeyman.core.progress import Progress, Silent
from journeyman.models.catalog import CATALOG, Entry, find_entry, resolve_entry
from journeyman.models.remembered import remembered_hash

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from scipy.sparse import csr_array
    from tokenizers import Tokenizer

DEFAULT = "all-minilm-l6-v2"
MOST_TOKENS = 256  # what all-MiniLM-L6-v2 was trained with, [CLS] and [SEP] included
BATCH_TOKENS = 512  # measured: more is no faster
TOKENIZED = 1024  # texts at once
POOLING = "mean"
UNKNOWN = "[UNK]"

Floats = npt.NDArray[np.float32]
Vectors: TypeAlias = "Floats | csr_array"
Ids = list[int]


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """``vectors`` float32 [n, d], each of length one where an encoder made them; ``tokens`` int [n], as many as each text has, also where it was cut."""

    vectors: Vectors
    tokens: npt.NDArray[np.int64]
    most_tokens: int

    @property
    def cut(self) -> list[int]:
        """Which texts were longer than the encoder reads; their ends are not in their vectors."""
        return [int(row) for row in np.flatnonzero(self.tokens > self.most_tokens)]


class Features(Protocol):
    """What makes the vectors that heads read; ``id`` names it by its content."""

    @property
    def id(self) -> str: ...

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> Embedded: ...


@dataclass(frozen=True, slots=True, eq=False)
class Embedder:
    """Mean of the last states over a text's tokens, scaled to length one (Reimers and Gurevych, arXiv:1908.10084).

    ``id`` names what makes the vectors: the content of both files, the pooling and the cut.
    """

    id: str
    dimension: int
    threads: int
    session: InferenceSession
    tokenizer: Tokenizer

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> Embedded:
        """One vector per text, in the texts' order."""
        bar = progress or Silent()
        ids, tokens = self._tokenize(texts)
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        bar.start("embed", total=len(texts), unit="texts")
        with ThreadPoolExecutor(self.threads) as pool:
            batches = list(make_batches(ids))
            run = pool.map if len(batches) > 1 else map  # one call's text needs no thread of its own
            found = run(lambda rows: self._run([ids[row] for row in rows]), batches)
            for rows, block in zip(batches, found, strict=True):
                vectors[rows] = block
                bar.advance(len(rows))
        bar.finish()
        return Embedded(vectors, tokens, MOST_TOKENS)

    def unread(self, texts: Sequence[str]) -> list[list[str]]:
        """What of each text the encoder knows no token for, such as emoji: its vector is the same whatever stands there."""
        unknown = self.tokenizer.token_to_id(UNKNOWN)
        return [
            [text[start:end] for id, (start, end) in zip(item.ids, item.offsets, strict=True) if id == unknown]
            for text, item in zip(texts, self.tokenizer.encode_batch(_plain(texts)), strict=True)
        ]

    def _tokenize(self, texts: Sequence[str]) -> tuple[list[Ids], npt.NDArray[np.int64]]:
        """Ids cut to what the encoder reads, [SEP] kept at the end; and how many there were."""
        ids: list[Ids] = []
        for start in range(0, len(texts), TOKENIZED):
            ids += [encoding.ids for encoding in self.tokenizer.encode_batch(_plain(texts[start : start + TOKENIZED]))]
        tokens = np.array([len(item) for item in ids], dtype=np.int64)
        return [item if len(item) <= MOST_TOKENS else [*item[: MOST_TOKENS - 1], item[-1]] for item in ids], tokens

    def _run(self, batch: list[Ids]) -> Floats:
        """Vectors of texts with equally many tokens, [len(batch), d]."""
        ids = np.array(batch, dtype=np.int64)
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        states: Floats = self.session.run(None, feeds)[0]  # [b, T, d]
        means = states.mean(axis=1)
        vectors: Floats = means / np.linalg.norm(means, axis=1, keepdims=True)
        return vectors


def _plain(texts: Sequence[str]) -> list[str]:
    """A lone surrogate is no text to the tokenizer."""
    return [text.encode("utf-8", "replace").decode() for text in texts]


def make_batches(ids: Sequence[Ids]) -> Iterator[list[int]]:
    """Row numbers by length, shortest first; the rows of a batch have equally many tokens."""
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    for length, group in groupby(order, key=lambda row: len(ids[row])):
        rows, most = list(group), max(1, BATCH_TOKENS // length)
        yield from (rows[start : start + most] for start in range(0, len(rows), most))


def open_embedder(name: str = DEFAULT, threads: int | None = None, catalog: Mapping[str, Entry] = CATALOG) -> Embedder:
    """The catalog's embedding model of that name; ``threads`` batches at once, by default as many as this process has cores.

    Raises:
        ModelError: JM-401 not pulled, JM-402 unknown name, JM-403 wrong hash, JM-435 no embedding model, JM-438 cannot be loaded.
    """
    model = resolve_entry(find_entry(name, catalog, "embedding")).path
    return load_embedder(model, model.with_name("tokenizer.json"), threads)


def load_embedder(model: Path, tokenizer: Path, threads: int | None = None) -> Embedder:
    """An encoder whose ONNX file maps input_ids, attention_mask, token_type_ids [b, T] to states [b, T, d].

    Raises:
        ModelError: JM-438 a file that is missing or of another kind.
    """
    try:
        session, engine = _open_session(model), _load_tokenizer(tokenizer)
        dimension = int(session.get_outputs()[0].shape[-1])
        names = (POOLING, str(MOST_TOKENS), remembered_hash(model), remembered_hash(tokenizer))
    except Exception as error:  # the native sides raise classes of their own, and plain Exception
        raise ModelError(
            "JM-438",
            "this embedding model cannot be loaded",
            where=str(model),
            expected="an encoder in ONNX and its tokenizer.json",
            got=str(error).splitlines()[0][:300] if str(error) else type(error).__name__,
            hint=f"journeyman pull {DEFAULT}",
        ) from error
    return Embedder(content_hash(names), dimension, threads or count_cores(), session, engine)


def _open_session(path: Path) -> InferenceSession:
    """One thread inside a batch: batches run beside each other, which two threads in one batch do not reach on busy cores."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _load_tokenizer(path: Path) -> Tokenizer:
    """Without the padding and the cut at 128 tokens that the file asks for."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
