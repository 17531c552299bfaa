"""The reference that an exported student is held against: teacher-forced and greedy, in torch."""

from __future__ import annotations

from pathlib import Path

import torch

from journeyman.models.torch_decoder import Decoder
from journeyman.models.torch_weights import load_decoder
from journeyman.tuning.batching import TuneRow
from journeyman.tuning.reference import Generated, _fit, compare_served, generate

PROMPTS = [[5, 6, 7], [9, 8, 7, 6, 5, 4], [20], [30, 31, 32, 33]]


def _one_by_one(decoder: Decoder, prompt: list[int], end: int, most: int) -> list[int]:
    """The plainest greedy decoding: the whole text again for every token."""
    answer: list[int] = []
    while len(answer) < most:
        token = int((decoder.hidden(torch.tensor([prompt + answer]))[0, -1] @ decoder.head.T).argmax())
        if token == end:
            break
        answer.append(token)
    return answer


def test_greedy_answers_side_by_side_are_those_of_one_row_at_a_time(tiny_gguf: Path) -> None:
    decoder = load_decoder(tiny_gguf)
    with torch.no_grad():
        free = [_one_by_one(decoder, prompt, -1, 12) for prompt in PROMPTS]
        end = free[1][4]  # a token that one row writes in the middle of its answer
        ended = [_one_by_one(decoder, prompt, end, 12) for prompt in PROMPTS]
    assert len({tuple(answer) for answer in free}) == len(PROMPTS)
    assert generate(decoder, None, PROMPTS, -1, 12) == [Generated(ids, False) for ids in free]
    for rows in (1, 3):
        answers = generate(decoder, None, PROMPTS, end, 12, batch_rows=rows)
        assert answers == [Generated(ids, len(ids) < 12) for ids in ended]
    assert _fit([[1] * 100] * 8, 100) == [[1] * 100] * 8
    assert len(_fit([[1] * 2048] * 8, 0)) == 8
    assert len(_fit([[1] * 2048] * 9, 0)) == 8
    assert len(_fit([[1] * 100, [1] * 100_000], 10)) == 1
    assert len(_fit([[1] * 100_000] * 2, 10)) == 1
    assert generate(decoder, None, [], end, 12) == []
    assert len(ended[1]) < 12


def test_a_first_difference_is_found_with_its_gap(tiny_gguf: Path) -> None:
    decoder = load_decoder(tiny_gguf)
    answer = generate(decoder, None, PROMPTS[:1], -1, 6)[0].ids
    wrong = [*answer[:3], (answer[3] + 1) % 250, *answer[4:]]
    rows = [TuneRow((*PROMPTS[0], *text), len(PROMPTS[0])) for text in (answer, wrong)]
    same, different = compare_served(decoder, None, rows)
    assert same.place is None
    assert different.place == 3
    with torch.no_grad():
        logits = decoder.hidden(torch.tensor([PROMPTS[0] + answer[:3]]))[0, -1] @ decoder.head.T
    top = logits.topk(2).values
    torch.testing.assert_close(torch.tensor(different.gap), top[0] - top[1], atol=1e-4, rtol=1e-4)
