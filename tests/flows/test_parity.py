"""The parity gate: a large gap is the export's defect, unless weights in fp32 show that it is the engine's arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from journeyman.core.errors import TuneError
from journeyman.core.example import Example
from journeyman.core.progress import Silent
from journeyman.flows import parity as gate
from journeyman.flows.parity import Trial, ask_in_fp32, judge_served, refuse_defects
from journeyman.models.template import make_student_template
from journeyman.models.torch_weights import load_decoder
from journeyman.task.file import task_from_mapping
from journeyman.tuning.batching import TuneRow
from journeyman.tuning.reference import generate

TASK = task_from_mapping(
    {"edition": 1, "name": "say", "instruction": "Say it.", "input": {"text": "string"}, "output": "text"},
    "say.yaml",
)


def test_a_large_gap_is_a_defect_only_where_fp32_shows_it_too(
    tiny_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder, template = load_decoder(tiny_gguf), make_student_template(tiny_gguf)
    rows = [Example(input={"text": text}, target=None) for text in ("one", "two", "three")]
    trial = Trial(TASK, template, [("dev", row) for row in rows], max_tokens=4)

    def in_torch(asked: Trial) -> list[TuneRow]:
        ids = asked.ids()
        answers = generate(decoder, None, ids, template.tokenizer.end, asked.max_tokens)
        return [TuneRow((*start, *answer.ids), len(start)) for start, answer in zip(ids, answers, strict=True)]

    def spoil(served: Sequence[TuneRow]) -> list[TuneRow]:
        first, *others = served
        return [replace(first, ids=(*first.ids[: first.start], (first.ids[first.start] + 1) % 99)), *others]

    monkeypatch.setattr(gate, "LARGEST_GAP", 0.0)
    right = in_torch(trial)
    assert judge_served(trial, decoder, None, right, 0).is_passed
    alone = judge_served(trial, decoder, None, spoil(right), 0)
    assert (len(alone.defects), alone.equal, alone.exact_gap) == (1, 2, None)

    asked: list[int] = []

    def in_fp32(doubtful: Trial) -> list[TuneRow]:
        asked.append(len(doubtful.prompts))
        return ask_in_fp32(doubtful, decoder, tiny_gguf, {}, tmp_path / "exact.gguf", Silent())

    excused = judge_served(trial, decoder, None, spoil(right), 0, in_fp32)
    assert (excused.defects, excused.exact_gap, asked) == ((), 0.0, [1]), (
        "the engine gives torch's answer to that one prompt"
    )
    assert any("fp32" in problem for problem in excused.problems), "it is not released without force"
    assert not excused.is_passed
    refuse_defects(excused)
    assert not list(tmp_path.iterdir())

    broken = judge_served(trial, decoder, None, spoil(right), 0, lambda doubtful: spoil(in_torch(doubtful)))
    assert broken.exact_gap == broken.largest_gap > 0
    with pytest.raises(TuneError, match="JM-506"):
        refuse_defects(broken)
