"""all-MiniLM-L6-v2 in numpy and float32, from the published safetensors: the reference of `test_embedder.py`.

    python tests/models/minilm.py model.safetensors tokenizer.json

writes `minilm.json`: texts with their vectors, in float16 and base64. Made from the file with sha256
53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file
from scipy.special import erf, softmax
from tokenizers import Tokenizer

REFERENCE = Path(__file__).with_suffix(".json")
TEXTS = (
    "My card has not arrived yet.",
    "Where is the card that you sent me?",
    "I'd like my money back, please: €12.50 were taken twice!",
    "ÜBERWEISUNG nach Zürich, naïve café",
    "",
    "a",
    "The quick brown fox jumps over the lazy dog. " * 12,
)
HEADS, LAYERS = 12, 6

Array = npt.NDArray[np.float32]


def encode(ids: list[int], weights: dict[str, Array]) -> Array:
    """The unit vector [384] of one text's token ids: BERT's encoder, mean over tokens, length one."""
    embeddings = "embeddings."
    states = weights[embeddings + "word_embeddings.weight"][ids]
    states = states + weights[embeddings + "position_embeddings.weight"][: len(ids)]
    states = states + weights[embeddings + "token_type_embeddings.weight"][0]
    states = _norm(states, embeddings + "LayerNorm", weights)
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}."
        attended = _dense(_attend(states, name + "attention.self.", weights), name + "attention.output.dense", weights)
        states = _norm(states + attended, name + "attention.output.LayerNorm", weights)
        wide = _dense(states, name + "intermediate.dense", weights)
        wide = wide * (1 + erf(wide / np.sqrt(2))) / 2
        states = _norm(states + _dense(wide, name + "output.dense", weights), name + "output.LayerNorm", weights)
    mean = states.mean(axis=0)
    vector: Array = mean / np.linalg.norm(mean)
    return vector


def load_reference() -> tuple[list[str], Array]:
    """Texts and their vectors [n, 384]."""
    text = json.loads(REFERENCE.read_text(encoding="utf-8"))
    vectors = np.frombuffer(base64.b64decode(text["vectors"]), dtype="<f2").astype(np.float32)
    return text["texts"], vectors.reshape(len(text["texts"]), -1)


def _attend(states: Array, name: str, weights: dict[str, Array]) -> Array:
    query, key, value = (
        _dense(states, name + part, weights).reshape(len(states), HEADS, -1).swapaxes(0, 1)
        for part in ("query", "key", "value")
    )
    shares = softmax(query @ key.swapaxes(1, 2) / np.sqrt(query.shape[-1]), axis=-1)
    mixed: Array = (shares @ value).swapaxes(0, 1).reshape(states.shape)
    return mixed


def _dense(states: Array, name: str, weights: dict[str, Array]) -> Array:
    result: Array = states @ weights[name + ".weight"].T + weights[name + ".bias"]
    return result


def _norm(states: Array, name: str, weights: dict[str, Array]) -> Array:
    centred = states - states.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + 1e-12)
    result: Array = scaled * weights[name + ".weight"] + weights[name + ".bias"]
    return result


def main(model: str, tokenizer: str) -> None:
    weights, engine = load_file(model), Tokenizer.from_file(tokenizer)
    engine.no_padding()
    engine.no_truncation()
    vectors = np.stack([encode(engine.encode(text).ids, weights) for text in TEXTS]).astype("<f2")
    written = {"texts": TEXTS, "vectors": base64.b64encode(vectors.tobytes()).decode()}
    REFERENCE.write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
