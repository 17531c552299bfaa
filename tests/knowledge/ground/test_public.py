"""Alignment on public paragraphs, where their folder lies beside the project."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from journeyman.knowledge.ground.align import align

PARAGRAPHS = Path(__file__).parents[4] / "shared" / "data" / "xquad_en" / "xquad.en.json"


@pytest.mark.skipif(not PARAGRAPHS.is_file(), reason="the public set xquad_en is not here")
def test_annotated_answers_are_found_and_those_of_the_next_article_are_not_exact() -> None:
    articles = json.loads(PARAGRAPHS.read_text(encoding="utf-8"))["data"]
    parts = [article["paragraphs"][0] for article in articles]
    answers = [[one["text"] for asked in part["qas"] for one in asked["answers"]] for part in parts]
    n = found = wrong = 0
    for part, right, other in zip(parts, answers, answers[1:] + answers[:1], strict=True):
        n += len(right)
        found += sum(one.status == "exact" for one in align(right, part["context"]))
        wrong += sum(one.is_grounded for one in align(other, part["context"]) if len(one.quote.split()) > 2)
    assert n > 200
    assert found / n > 0.99
    assert wrong == 0
