"""No reply with status 200 violates its schema: sixty schemas of public sets through a real server. `benchmarks/schemas.py` asks them all."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path

import jsonschema_rs
import pytest

from tests.gateway.schema_rig import (
    DRAFTS,
    Asked,
    Case,
    Got,
    named_keyword,
    open_rig,
    plan_base,
    plan_scripted,
    read_extraction,
    read_suite,
)

DATA = Path(__file__).parents[3] / "shared" / "data"
TWICE = Case("own", "twice", {"type": "object"}, (('{"a": 1}', True), ('{"a": 1, "a": 2}', False)))


def sample() -> list[Case]:
    sets = read_suite(DATA / "json_schema_test_suite"), read_extraction(DATA / "bfcl_extraction")
    suite, extraction = map(list, sets)
    return [*random.Random(5).sample(suite, 45), *random.Random(5).sample(extraction, 14), TWICE]


def is_valid(case: Case, text: str) -> bool:
    """By a validator of its own, made for the draft that the schema names."""
    schema = case.schema
    is_old = isinstance(schema, dict) and schema.get("$schema") == DRAFTS["draft7"]
    kind = jsonschema_rs.Draft7Validator if is_old else jsonschema_rs.Draft202012Validator
    return kind(schema, validate_formats=True).is_valid(json.loads(text))


def test_nothing_invalid_leaves_and_nothing_valid_is_kept_back(tiny_gguf: Path, tmp_path: Path) -> None:
    if not DATA.exists():
        pytest.skip("the public sets are not here")
    cases = sample()

    async def run() -> tuple[list[Got], dict[Case, str]]:
        async with open_rig(tiny_gguf, tmp_path, cases) as rig:
            scripted = [call for call in plan_scripted(cases) if call.way[:4] != "task" or call.case in rig.tasks]
            replies = await rig.ask_all([*scripted, *plan_base(cases)])
            return replies, {case: error.message() for case, error in rig.refused.items()}

    replies, refused = asyncio.run(run())
    assert not [got for got in replies if got.status >= 500 or got.code == "stream error"]
    left = [got for got in replies if got.text is not None]
    assert not [got for got in left if got.asked.label is False]
    assert not [got for got in left if got.asked.label is None and not is_valid(got.asked.case, got.text or "")]
    kept = [got for got in replies if got.asked.label is True and got.text is None]
    assert not [got for got in kept if got.code != "JM-721"]
    by_way = {way: sum(got.asked.way == way for got in left) for way in {got.asked.way for got in replies}}
    assert len(by_way) == 8
    assert min(count for way, count in by_way.items() if not way.startswith("base")) > 40
    assert sum(got.asked.label is False for got in replies) > 500
    words = refused | {got.asked.case: got.message for got in replies if got.code in ("JM-721", "JM-211", "JM-214")}
    assert len(words) > 10
    assert not [text for case, text in words.items() if not named_keyword(case.schema, text)]


@pytest.mark.parametrize("way", ["base", "passed"])
def test_a_schema_that_is_nested_too_deeply_is_refused(tiny_gguf: Path, tmp_path: Path, way: str) -> None:
    schema: dict[str, object] = {"type": "string"}
    for _ in range(300):
        schema = {"items": schema}

    async def run() -> Got:
        async with open_rig(tiny_gguf, tmp_path, []) as rig:
            return await rig.ask(Asked(Case("own", "deep", schema), way, None if way == "base" else '"a"'))

    got = asyncio.run(run())
    assert (got.status, got.code) == (400, "JM-703")
    assert "nest it less deeply" in got.message


@pytest.mark.parametrize("way", ["task", "task, streamed", "passed", "responses, streamed"])
def test_a_deep_answer_leaves_or_is_refused_and_never_breaks_the_server(tiny_gguf: Path, tmp_path: Path, way: str) -> None:  # fmt: skip
    case = Case("own", "any", {"type": "object"})
    deep = ['{"a":' * depth + '"ada@example.org"' + "}" * depth for depth in (90, 100, 101, 150, 250, 600, 950, 3000)]

    async def run() -> list[Got]:
        async with open_rig(tiny_gguf, tmp_path, [case]) as rig:
            return await rig.ask_all([Asked(case, way, text) for text in deep])

    assert [got.status for got in asyncio.run(run())] == [200] * 2 + [422] * 6
