"""The loop learns, resumes to the same bits after a kill, and keeps the last good state on a bad loss."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from journeyman.core.canonical import file_hash
from journeyman.core.errors import TuneError
from journeyman.core.progress import Silent
from journeyman.models.torch_weights import load_decoder
from journeyman.tuning import loop
from journeyman.tuning.batching import TuneRow, share_beginning
from journeyman.tuning.checkpoint import load_checkpoint
from journeyman.tuning.loop import tune_rows
from journeyman.tuning.objective import score_rows
from journeyman.tuning.peft_layout import save_peft
from journeyman.tuning.plan import make_plan


def make_rows(count: int, seed: int) -> list[TuneRow]:
    """Answer with the last letter, twice: small enough for a random base to learn."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for _ in range(count):
        word = torch.randint(70, 75, (3,), generator=generator).tolist()
        rows.append(TuneRow((*word, 2, word[2], word[2], 2), 4))
    return rows


def run(gguf: Path, folder: Path, epochs: float = 4) -> loop.Tuned:
    torch.set_num_threads(1)
    decoder = load_decoder(gguf)
    rows = make_rows(120, 0)
    plan = make_plan(rows, {"epochs": epochs, "rate": 2e-2, "rank": 8})
    tuned = tune_rows(decoder, rows, make_rows(30, 1), plan, folder, Silent())
    save_peft(folder / "peft", tuned.adapters, "tiny")
    return tuned


def test_it_learns_and_reports_dev(tiny_gguf: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    decoder = load_decoder(tiny_gguf)
    before = score_rows(decoder, None, make_rows(30, 1))
    tuned = run(tiny_gguf, tmp_path, epochs=8)
    assert tuned.score is not None
    assert tuned.score.loss < before.loss / 2
    assert tuned.score.exact > before.exact
    after = score_rows(decoder, tuned.adapters, make_rows(30, 1))
    assert after.exact == tuned.score.exact
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [event["step"] for event in events if "loss" in event] == list(range(1, tuned.cursor.step + 1))


KILLED = """
import sys
from pathlib import Path
from journeyman.tuning import loop
loop.CHECKPOINT_S = 0.0
from tests.tuning.test_loop import run
run(Path(sys.argv[1]), Path(sys.argv[2]))
print("finished")
"""


def test_kill_9_at_random_moments_ends_in_the_same_bits(tiny_gguf: Path, tmp_path: Path) -> None:
    run(tiny_gguf, tmp_path / "calm")
    kills = 0
    for attempt in range(40):
        child = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tiny_gguf), str(tmp_path / "killed")], stdout=subprocess.PIPE, text=True
        )
        events = tmp_path / "killed" / "events.jsonl"
        seen = events.stat().st_size if events.exists() else 0
        while child.poll() is None and attempt < 4:
            if events.exists() and events.stat().st_size > seen + 300 + 811 * attempt:
                os.kill(child.pid, signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.002)
        output, _ = child.communicate(timeout=120)
        if "finished" in output:
            break
    assert kills >= 2
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert file_hash(tmp_path / "killed/peft" / name) == file_hash(tmp_path / "calm/peft" / name)
    assert (tmp_path / "killed/events.jsonl").read_text() == (tmp_path / "calm/events.jsonl").read_text()


def test_a_held_beginning_is_read_again_after_a_stop_and_the_result_is_the_same(
    tiny_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_S", 0.0)
    monkeypatch.setattr(loop, "WRITING_SHARE", float("inf"))
    torch.set_num_threads(1)
    decoder = load_decoder(tiny_gguf)
    beginning = tuple(range(5, 69))
    rows, dev = (
        share_beginning([TuneRow(beginning + row.ids, 64 + row.start) for row in make_rows(count, seed)])
        for count, seed in ((40, 0), (10, 1))
    )
    plan = make_plan(rows, {"epochs": 2, "rate": 2e-2, "rank": 8, "hold": 4})
    calm = tune_rows(decoder, rows, dev, plan, tmp_path / "calm", Silent())
    step, stops = loop._step, iter((6, 13, 27, 0))
    stop = next(stops)

    def fail_at_times(*arguments: Any) -> float:
        nonlocal stop
        if arguments[-1].step == stop:
            stop = next(stops)
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(loop, "_step", fail_at_times)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            tune_rows(decoder, rows, dev, plan, tmp_path / "stopped", Silent())
        checkpoint = load_checkpoint(tmp_path / "stopped/checkpoint.safetensors")
        assert checkpoint is not None
        assert checkpoint.cursor["step"] in (4, 12, 24)
    again = tune_rows(decoder, rows, dev, plan, tmp_path / "stopped", Silent())
    assert calm.score is not None
    assert calm.score.loss < score_rows(decoder, None, dev).loss / 2
    assert again.score == calm.score
    for (name, one), (_, other) in zip(calm.adapters.parameters(), again.adapters.parameters(), strict=True):
        assert torch.equal(one, other), name


def test_what_all_rows_begin_with_is_held_when_it_is_long() -> None:
    rows = [TuneRow((*range(100, 180), 1, last, 2), 82) for last in (3, 4)]
    assert make_plan(rows, {}).hold == 0
    assert make_plan(share_beginning(rows), {}).hold > 1
    assert make_plan(share_beginning(rows), {"hold": 0}).hold == 0
    assert make_plan(share_beginning(rows), {}).whole("batch_tokens") == 2 * 2
    assert make_plan(share_beginning(rows), {"hold": 0}).whole("batch_tokens") == 81
    assert make_plan(share_beginning(rows), {}, "dpo").hold == 0


def test_a_finished_run_is_not_run_again(tiny_gguf: Path, tmp_path: Path) -> None:
    first = run(tiny_gguf, tmp_path, epochs=2)
    again = run(tiny_gguf, tmp_path, epochs=2)
    assert first.cursor.tokens > 0
    assert first.cursor.seconds > 0
    assert again.cursor == first.cursor


def test_a_loss_that_is_no_number_names_the_rows(tiny_gguf: Path, tmp_path: Path) -> None:
    decoder = load_decoder(tiny_gguf)
    decoder.final_norm.fill_(float("nan"))
    rows = [TuneRow((5, 6, 2), 1, key="abcdef0123456789")]
    with pytest.raises(TuneError, match=r"JM-503 step 1: the loss is not a number.*(?s:.)*abcdef012345"):
        tune_rows(decoder, rows, [], make_plan(rows, {"epochs": 1}), tmp_path, Silent())


def test_a_setting_out_of_range_is_refused() -> None:
    with pytest.raises(
        TuneError, match=r"JM-502 the setting rate is out of range\n  expected: a number from 1e-07 to 1.0\n  got: 7"
    ):
        make_plan([TuneRow((1, 2), 1)], {"rate": 7})
    with pytest.raises(TuneError, match="JM-502 unknown tuning setting learning_rate"):
        make_plan([TuneRow((1, 2), 1)], {"learning_rate": 1e-3})
    with pytest.raises(TuneError, match="JM-501 there is nothing to tune on"):
        make_plan([], {})
