"""OpenAI's embeddings on the wire: read a request, write vectors, and pass a request on."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.errors import ServeError
from journeyman.core.messages import Message, make_message
from journeyman.gateway.dialects.chat_record import read_usage
from journeyman.gateway.points import Asked, Heard
from journeyman.gateway.wire import Wire, has_list
from journeyman.models.embedder import Floats

MOST_TEXTS = 2048  # as OpenAI has it


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    model: str
    texts: tuple[str, ...]
    is_base64: bool
    dimensions: int | None


def read_embedding(raw: Json) -> EmbeddingRequest:
    """Raises: ServeError JM-760 a parameter that is wrong, or that a model of this machine does not take."""
    if not isinstance(raw, dict):
        raise wrong_embedding("body", "a JSON object", raw)
    if not isinstance(raw.get("model"), str):
        raise wrong_embedding("model", "text", raw.get("model"))
    form = raw.get("encoding_format") or "float"
    if form not in ("float", "base64"):
        raise wrong_embedding("encoding_format", "float or base64", form)
    dimensions = raw.get("dimensions")
    if dimensions is not None and (type(dimensions) is not int or dimensions < 1):
        raise wrong_embedding("dimensions", "a whole number from 1 on", dimensions)
    return EmbeddingRequest(str(raw["model"]), _read_texts(raw.get("input")), form == "base64", dimensions)


def write_embedding(asked: EmbeddingRequest, vectors: Floats, tokens: int) -> dict[str, Json]:
    """``vectors`` float32 [n, d], each as a list of numbers, or as the base64 of its bytes in little endian."""
    little = vectors.astype("<f4")
    shown = [base64.b64encode(row.tobytes()).decode() if asked.is_base64 else row.tolist() for row in little]
    data = [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(shown)]
    usage: dict[str, Json] = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": cast(Json, data), "model": asked.model, "usage": usage}


def wrong_embedding(name: str, expected: str, got: object, hint: str = "") -> ServeError:
    return ServeError(
        "JM-760",
        f"{name} of this embedding is missing or wrong",
        where=name,
        expected=expected,
        got="nothing" if got is None else f"{got!r:.80}",
        hint=hint or f"correct {name}",
    )


def _read_texts(raw: Json) -> tuple[str, ...]:
    texts = [raw] if isinstance(raw, str) else raw
    if not isinstance(texts, list) or not 1 <= len(texts) <= MOST_TEXTS:
        got = f"a list of {len(texts)}" if isinstance(texts, list) else texts
        raise wrong_embedding("input", f"a text, or a list of 1 to {MOST_TEXTS} texts", got)
    for place, text in enumerate(texts):
        if isinstance(text, int | list):
            raise wrong_embedding("input", "texts: token ids are another model's", text, "send the text itself")
        if not isinstance(text, str) or not text:
            raise wrong_embedding(f"input[{place}]", "a text that is not empty", text)
    return tuple(str(text) for text in texts)


def read_input(value: Json) -> tuple[Message, ...]:
    """The texts of a request for the record, a message each; token ids are left out."""
    texts = value if isinstance(value, list) else [value]
    return tuple(make_message("user", text) for text in texts if isinstance(text, str))


def _read_reply(raw: Json) -> Heard:
    """Its usage; the vectors are not kept."""
    heard = Heard()
    read_usage(raw, heard)
    heard.output_tokens = None if heard.input_tokens is None else 0
    return heard


def _read_asked(raw: Mapping[str, Json]) -> Asked:
    return Asked(read_input(raw.get("input")))


EMBEDDINGS_WIRE = Wire(
    "/embeddings", _read_asked, _read_reply, lambda _raw: (0, {}), is_answer=partial(has_list, "data")
)
