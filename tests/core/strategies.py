"""Random values of every core type, in the one form that survives the wire.

Two forms do not: neighbouring text parts of a message without images are joined by the chat-completions shape, and an
image has either a blob or an address, never both.
"""

from __future__ import annotations

import string
from collections.abc import Mapping

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from journeyman.core.canonical import Json
from journeyman.core.example import Alternative, Example, Passage, Target, Terms
from journeyman.core.messages import ROLES, ImagePart, Message, Part, TextPart, ToolCall
from journeyman.core.trace import Origin, Trace

TEXT = st.text(max_size=12)
NAMES = st.text(string.ascii_lowercase + "_", min_size=1, max_size=8)
HASHES = st.text("0123456789abcdef", min_size=64, max_size=64)
SCALARS: SearchStrategy[Json] = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
)
JSON: SearchStrategy[Json] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)
OBJECTS: SearchStrategy[Mapping[str, Json]] = st.dictionaries(NAMES, JSON, max_size=3)
TERMS: SearchStrategy[Terms] = st.sampled_from(("free", "unknown", "restricted"))
ORIGINS: SearchStrategy[Origin] = st.sampled_from(("import", "serve", "ask", "task", "assess", "synthesize", "audit"))

TEXT_PARTS = st.builds(TextPart, TEXT)
BLOBS = st.builds(ImagePart, blob=HASHES, media_type=st.sampled_from(("image/png", "image/jpeg")))
ADDRESSES = st.builds(
    ImagePart, blob=st.just(""), media_type=st.just(""), url=st.text(min_size=1).map("https://example.org/{}".format)
)


def _as_parts(parts: list[Part]) -> tuple[Part, ...]:
    is_text = all(isinstance(part, TextPart) for part in parts)
    return tuple(parts[:1]) if is_text else tuple(parts)


PARTS: SearchStrategy[tuple[Part, ...]] = st.lists(st.one_of(TEXT_PARTS, BLOBS, ADDRESSES), max_size=4).map(_as_parts)
CALLS = st.lists(st.builds(ToolCall, id=TEXT, name=NAMES, arguments=TEXT), max_size=2).map(tuple)
MESSAGES = st.builds(Message, role=st.sampled_from(ROLES), parts=PARTS, tool_calls=CALLS, tool_call_id=TEXT, name=TEXT)
TARGETS: SearchStrategy[Target] = st.one_of(
    st.builds(Target, st.just("object"), value=JSON),
    st.builds(Target, st.just("text"), text=TEXT),
    st.builds(Target, st.just("tool_calls"), tool_calls=CALLS),
    st.just(Target("abstain")),
)
PASSAGES = st.lists(st.builds(Passage, chunk=HASHES, text=TEXT, source=TEXT), max_size=2).map(tuple)
ALTERNATIVES = st.builds(
    Alternative,
    target=TARGETS,
    weight=st.floats(0, 10),
    verdict=st.sampled_from(("", "chosen", "rejected")),
)
EXAMPLES = st.builds(
    Example,
    input=OBJECTS,
    target=st.none() | TARGETS,
    gold=st.none() | TARGETS,
    context=st.lists(MESSAGES, max_size=2).map(tuple),
    alternatives=st.lists(ALTERNATIVES, max_size=2).map(tuple),
    schema=st.none() | OBJECTS,
    passages=PASSAGES,
    group=TEXT,
    count=st.integers(0, 9),
    weight=st.floats(0, 10),
    time=TEXT,
    instruction_hash=TEXT,
    provenance=TEXT,
    terms=TERMS,
    id=TEXT,
    meta=OBJECTS,
)
TRACES = st.builds(
    Trace,
    id=TEXT,
    task=NAMES,
    time=TEXT,
    origin=ORIGINS,
    input=OBJECTS,
    messages=st.lists(MESSAGES, max_size=2).map(tuple),
    output=st.none() | TARGETS,
    gold=st.none() | TARGETS,
    schema=st.none() | OBJECTS,
    tools=st.lists(OBJECTS, max_size=2).map(tuple),
    passages=PASSAGES,
    model=TEXT,
    release=TEXT,
    input_tokens=st.none() | st.integers(0),
    output_tokens=st.none() | st.integers(0),
    cost_usd=st.none() | st.floats(0, 10),
    latency_ms=st.none() | st.floats(0, 1e6),
    status=st.sampled_from(("ok", "error", "refused")),
    instruction_hash=TEXT,
    row_key=TEXT,
    split=st.sampled_from(("", "train", "dev", "calibration", "test")),
    provenance=TEXT,
    terms=TERMS,
    verdicts=OBJECTS,
    feedback=OBJECTS,
    meta=OBJECTS,
)
