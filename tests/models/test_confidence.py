"""Confidence: what a grammar forces is certain, what it leaves open is shared out, and the shares of all answers make one."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from journeyman.core.canonical import Json
from journeyman.core.messages import make_message
from journeyman.models import llamacpp
from journeyman.models.codes import Codes
from journeyman.models.confidence import Step, align, bound_shares, free_shares, json_spans, read_confidence
from journeyman.models.llamacpp import LlamaCpp
from journeyman.models.local import LocalModel
from journeyman.models.protocol import Confidence, Decoding, Request
from journeyman.models.template import load_base_template
from journeyman.models.tokenizer import Tokenizer, load_tokenizer

SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": {"one": {"enum": ["book", "bake", "play"]}, "two": {"enum": [1, 22]}},
    "required": ["one", "two"],
    "additionalProperties": False,
}
GRAMMAR = '%llguidance {}\nstart: "a" ("b" | "c" "d")'


@pytest.fixture(scope="module")
def tokenizer(tiny_gguf: Path) -> Tokenizer:
    return load_tokenizer(tiny_gguf)


@pytest.fixture(scope="module")
def engine(runner: asyncio.Runner, tiny_gguf: Path) -> Iterator[LlamaCpp]:
    one = runner.run(LlamaCpp.start(tiny_gguf, threads=1, context=256))
    yield one
    runner.run(one.close())


def _step(tokenizer: Tokenizer, letter: str, **chances: float) -> Step:
    def token(text: str) -> int:
        return tokenizer.end if text == "end" else tokenizer.encode(text)[0]

    top = tuple((token(name), math.log(value)) for name, value in chances.items())
    return Step(token(letter), math.log(chances[letter]), top)


def _shares(steps: list[Step], tokenizer: Tokenizer) -> list[float]:
    return bound_shares([step.token for step in steps], steps, GRAMMAR, tokenizer.guide)


def test_a_token_is_weighed_against_what_the_grammar_admits(tokenizer: Tokenizer) -> None:
    steps = [
        _step(tokenizer, "a", a=0.01, x=0.99),  # forced, however unlikely
        _step(tokenizer, "c", c=0.3, b=0.1, x=0.6),  # b and c are admitted, x is not
        _step(tokenizer, "d", d=0.2, x=0.8),
        _step(tokenizer, "end", end=0.7, x=0.3),
    ]
    assert _shares(steps, tokenizer) == pytest.approx([1.0, 0.75, 1.0, 1.0])
    assert free_shares(steps) == pytest.approx([0.01, 0.3, 0.2, 0.7])


def test_what_was_not_reported_counts_against_it(tokenizer: Tokenizer) -> None:
    steps = [_step(tokenizer, "a", a=1.0), _step(tokenizer, "c", c=0.3, x=0.6)]  # b may have the other tenth
    assert _shares(steps, tokenizer)[1] == pytest.approx(0.75)


def test_a_token_that_the_grammar_forbids_is_taken_as_it_is(tokenizer: Tokenizer) -> None:
    steps = [_step(tokenizer, "x", x=0.4, a=0.6), _step(tokenizer, "b", b=0.5, c=0.5)]
    assert _shares(steps, tokenizer) == pytest.approx([0.4, 0.5])


def test_a_token_that_was_not_reported_does_not_lose_the_grammar(tokenizer: Tokenizer) -> None:
    """The engine reports a character's last token alone."""
    grammar = '%llguidance {}\nstart: "é" ("b" | "c")'
    first, last = tokenizer.encode("é")
    steps = [Step(last, math.log(0.2), ((5, math.log(0.8)),)), _step(tokenizer, "b", b=0.3, c=0.1, x=0.6)]
    tokens = [first, last, steps[1].token]
    aligned = align(tokens, steps)
    assert aligned == [None, *steps]
    assert bound_shares(tokens, aligned, grammar, tokenizer.guide) == pytest.approx([1.0, 1.0, 0.75])
    assert free_shares(aligned) == pytest.approx([0.2, 0.2, 0.3])
    assert align(tokens[:2], steps) == [None, *steps], "what comes after the text counts too"


def test_a_fields_confidence_is_that_of_the_tokens_that_touch_it() -> None:
    text = '{"a":"x","b":{"c":[1,2],"d.e":true}}'
    pieces = [b'{"a":', b'"x', b'","b":{"c":', b"[1", b",2]", b',"d.e":tr', b"ue}}", b""]
    shares = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]
    spans = list(json_spans(text))
    assert [(path, text[start:end]) for path, start, end in spans] == [
        ("a", '"x"'),
        ("b.c", "[1,2]"),
        ("b.c.0", "1"),
        ("b.c.1", "2"),
        ("b.d\\.e", "true"),
    ]
    sure = read_confidence(shares, pieces, spans)
    assert sure.whole == pytest.approx(math.prod(shares))
    assert sure.fields == pytest.approx(
        {"a": 0.9 * 0.8, "b.c": 0.7 * 0.6, "b.c.0": 0.7, "b.c.1": 0.6, "b.d\\.e": 0.5 * 0.4}
    )


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("{}", [""]),
        ('{"a":{}}', ["a"]),
        ("[1,2]", [""]),
        ('"x"', [""]),
        ('{"a":', []),
        ("", []),
        ('{"ä":"ö","b":1}', ["ä", "b"]),
        ('{ "a" : 1 , "b" : null }', ["a", "b"]),
        ('{"a":[ {"b":1} , [2,[]] ],"c":[]}', ["a", "a.0.b", "a.1", "a.1.0", "a.1.1", "c"]),
        ('{"a":[1 2]}', []),
    ],
)
def test_leaves_of_any_text(text: str, paths: list[str]) -> None:
    spans = list(json_spans(text))
    assert [path for path, _start, _end in spans] == paths
    for _path, start, end in spans:
        json.loads(text.encode()[start:end])


def test_the_shares_of_all_answers_make_one(
    runner: asyncio.Runner, engine: LlamaCpp, tokenizer: Tokenizer, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All tokens are reported here, so that the shares are exact; each answer has one spelling in tokens of a byte. Heat brings all answers
    up; log-probabilities are those without it."""
    monkeypatch.setattr(llamacpp, "LIKELIEST", tokenizer.vocabulary)
    model = LocalModel(engine, load_base_template(tiny_gguf), "tiny")

    async def ask(seed: int) -> tuple[str, Confidence]:
        decoding = Decoding(schema=SCHEMA, max_tokens=40, temperature=20.0, seed=seed, confidence=True)
        reply = await model.complete(Request((make_message("user", "hello"),), decoding))
        assert reply.confidence is not None
        assert not reply.logprobs
        return reply.text, reply.confidence

    found: dict[str, Confidence] = {}
    for seed in range(150):
        text, sure = runner.run(ask(seed))
        assert found.setdefault(text, sure).whole == pytest.approx(sure.whole, rel=1e-3)
        assert sure.whole == pytest.approx(math.prod(sure.fields.values()), rel=1e-6)
        if len(found) == 6:
            break
    assert len(found) == 6
    assert sum(sure.whole for sure in found.values()) == pytest.approx(1.0, abs=2e-3)
    first = {json.loads(text)["one"]: sure.fields["one"] for text, sure in found.items()}
    assert sum(first.values()) == pytest.approx(1.0, abs=2e-3)


def test_fewer_reported_tokens_make_it_no_surer(runner: asyncio.Runner, engine: LlamaCpp, tiny_gguf: Path) -> None:
    model = LocalModel(engine, load_base_template(tiny_gguf), "tiny")
    asked = Request((make_message("user", "hello"),), Decoding(schema=SCHEMA, max_tokens=40, confidence=True))
    few = runner.run(model.complete(asked)).confidence
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(llamacpp, "LIKELIEST", 300)
        every = runner.run(model.complete(asked)).confidence
    assert few is not None
    assert every is not None
    assert few.whole <= every.whole + 1e-6


def test_an_answer_that_was_cut_has_none(runner: asyncio.Runner, engine: LlamaCpp, tiny_gguf: Path) -> None:
    model = LocalModel(engine, load_base_template(tiny_gguf), "tiny")
    asked = Request((make_message("user", "hello"),), Decoding(schema=SCHEMA, max_tokens=3, confidence=True))
    assert runner.run(model.complete(asked)).confidence is None


def test_codes_sum_over_answers_that_share_a_value() -> None:
    answers = ('{"a":1,"b":true}', '{"a":1,"b":false}', '{"a":2,"b":true}')
    codes = Codes(answers, ("x", "y", "z"), (1, 2, 3))
    sure = codes.confidence([0.5, 0.2, 0.3], 0)
    assert sure.whole == 0.5
    assert sure.fields == pytest.approx({"a": 0.7, "b": 0.8})
    assert Codes(('"one"', '"two"'), ("x", "y"), (1, 2)).confidence([0.6, 0.4], 0) == Confidence(0.6, {})
