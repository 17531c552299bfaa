"""Codes: one token per answer, and the engine's probabilities of them are torch's."""

from __future__ import annotations

import asyncio
import math
from functools import partial
from pathlib import Path

import pytest
import torch

from journeyman.core.errors import ModelError
from journeyman.core.lines import Lines
from journeyman.core.messages import make_message
from journeyman.models.codes import Codes, choose_codes, choose_labels, pick
from journeyman.models.llamacpp import LlamaCpp
from journeyman.models.local import LocalModel
from journeyman.models.protocol import Decoding, Request
from journeyman.models.template import make_student_template
from journeyman.models.torch_weights import load_decoder
from journeyman.tuning.batching import TuneRow, make_batch

ANSWERS = tuple('{"colour":"' + colour + '"}' for colour in ("red", "green", "blue", "dark red"))


def test_every_answer_gets_a_token_of_its_own(tiny_gguf: Path) -> None:
    tokenizer = make_student_template(tiny_gguf).tokenizer
    codes = choose_codes(ANSWERS, tokenizer)
    assert len(set(codes.texts)) == len(set(codes.ids)) == len(ANSWERS)
    assert [tokenizer.encode(text) for text in codes.texts] == [[token] for token in codes.ids]
    assert [codes.read(codes.write(answer)) for answer in ANSWERS] == list(ANSWERS)
    assert codes.read("no code") == "no code"
    assert Codes.from_json(codes.to_json()) == codes  # type: ignore[arg-type]


def test_a_small_vocabulary_is_told(tiny_gguf: Path) -> None:
    tokenizer = make_student_template(tiny_gguf).tokenizer
    with pytest.raises(ModelError, match="JM-439"):
        choose_codes([str(number) for number in range(tokenizer.vocabulary)], tokenizer)


def test_labels_are_parts_of_the_names_where_they_are_tokens(tiny_gguf: Path) -> None:
    tokenizer = make_student_template(tiny_gguf).tokenizer
    names = ["a", "b", "a_b", "quite_unknown", "", "a"]
    labels = choose_labels(names, tokenizer)
    assert labels[1] == "b"
    assert "a" in (labels[0], labels[2], labels[5])
    assert len(set(labels)) == len(names)
    assert all(len(tokenizer.encode(label)) == 1 and not set(label) & {" ", "\n"} for label in labels)
    with pytest.raises(ModelError, match="JM-439"):
        choose_labels(["x"] * tokenizer.vocabulary, tokenizer)


def test_one_pass_gives_torchs_probabilities(runner: asyncio.Runner, tiny_gguf: Path) -> None:
    template = make_student_template(tiny_gguf)
    codes = choose_codes(ANSWERS, template.tokenizer)
    tokens = list(codes.ids)
    messages = (make_message("user", "the blue one"),)
    ids = template.prompt_ids(messages)
    decoder = load_decoder(tiny_gguf)
    batch = make_batch([TuneRow((*ids, tokens[0]), len(ids))])
    logits = decoder.states(batch.ids, batch.layout)[batch.positions] @ decoder.head.T
    expected = torch.softmax(logits[0, tokens].double(), 0).tolist()

    async def ask() -> tuple[list[float], list[object]]:
        engine = await LlamaCpp.start(tiny_gguf, threads=1, context=256)
        try:
            model = LocalModel(engine, template, "coded", writing=codes)
            replies = [
                await model.complete(Request(messages, Decoding(logprobs=True))),
                await model.complete(Request(messages, Decoding(temperature=1.0, seed=3))),
            ]
            pieces = [piece async for piece in model.stream(Request(messages))]
            return await engine.choose(ids, tokens), [*replies, pieces]
        finally:
            await engine.close()

    found, (reply, drawn, pieces) = runner.run(ask())
    assert found == pytest.approx(expected, abs=0.02)  # the engine quantizes activations
    assert sum(found) == pytest.approx(1, abs=1e-4)
    best = ANSWERS[found.index(max(found))]
    assert (reply.text, reply.finish_reason, reply.output_tokens) == (best, "stop", 1)  # type: ignore[attr-defined]
    top = reply.logprobs[0].top  # type: ignore[attr-defined]
    assert {answer for answer, _value in top} == set(ANSWERS)
    assert sum(math.exp(value) for _answer, value in top) == pytest.approx(1, abs=1e-4)
    assert pieces == [best]
    assert drawn.text in ANSWERS  # type: ignore[attr-defined]
    assert drawn.logprobs == ()  # type: ignore[attr-defined]


def test_draws_follow_the_probabilities() -> None:
    shares = [0.7, 0.2, 0.1]
    assert pick(shares, 0.0, None) == 0
    drawn = [pick(shares, 1.0, seed) for seed in range(2000)]
    assert drawn.count(0) / 2000 == pytest.approx(0.7, abs=0.05)
    assert pick(shares, 1.0, 7) == pick(shares, 1.0, 7)


def test_lines_end_with_the_turns_own_token(runner: asyncio.Runner, tiny_gguf: Path) -> None:
    """Where the text could go on, the engine would allow the token that it takes for the end, and no other."""
    template = make_student_template(tiny_gguf)
    tokenizer = template.tokenizer
    schema = {
        "type": "object",
        "properties": {"a": {"enum": ["x"]}, "b": {"enum": ["y"]}},
        "required": ["a"],
        "additionalProperties": False,
    }
    lines = Lines(schema, ("a", "b"), (("x",), ("y",)))
    other = next(token for token in range(tokenizer.vocabulary) if token != tokenizer.end)

    async def ask() -> list[tuple[int, ...]]:
        engine = await LlamaCpp.start(tiny_gguf, threads=1, context=256)
        try:
            prompt, decoding = template.prompt_ids((make_message("user", "one"),)), Decoding(schema, max_tokens=20)
            ends = [
                await engine.generate(prompt, decoding, write=partial(lines.grammar, end=end))
                for end in (tokenizer.end, other)
            ]
            return [generation.token_ids for generation in ends]
        finally:
            await engine.close()

    own, foreign = runner.run(ask())
    assert own[-1] == tokenizer.end
    assert tokenizer.decode([token for token in own if token != tokenizer.end]) in ("x", "x\nb y")
    assert other in foreign
