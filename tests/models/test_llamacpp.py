from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from journeyman.core.errors import ModelError
from journeyman.core.messages import make_message
from journeyman.models.llamacpp import Generation, LlamaCpp
from journeyman.models.llamacpp_process import thread_counts
from journeyman.models.local import LocalModel
from journeyman.models.protocol import Decoding, Request
from journeyman.models.template import load_base_template
from journeyman.models.tokenizer import load_tokenizer
from tests.models.adapters import write_adapter

PROMPT = [1, *range(40, 60), 2, 90]  # a tiny random model repeats its last token, so that is not the end token
SCHEMA = {
    "type": "object",
    "properties": {"zeta": {"enum": ["book", "play"]}, "alpha": {"type": "boolean"}, "mid": {"enum": [1, 22]}},
    "required": ["zeta", "alpha", "mid"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("adapters")
    return dict(write_adapter(folder / f"{seed}.gguf", seed=seed, width=64) for seed in (1, 2))


@pytest.fixture(scope="module")
def engine(runner: asyncio.Runner, tiny_gguf: Path, adapters: dict[str, Path]) -> Iterator[LlamaCpp]:
    one = runner.run(LlamaCpp.start(tiny_gguf, adapters, threads=1, context=256))
    yield one
    runner.run(one.close())


def _answer(runner: asyncio.Runner, engine: LlamaCpp, adapter: str | None = None) -> Generation:
    return runner.run(engine.generate(PROMPT, Decoding(max_tokens=8, logprobs=True), adapter=adapter))


def test_greedy_is_the_same_again_with_and_without_a_cache(runner: asyncio.Runner, engine: LlamaCpp) -> None:
    runs = [_answer(runner, engine) for _ in range(3)]
    assert runs[1].cached_tokens == runs[2].cached_tokens == len(PROMPT) - 1
    assert runs[0].token_ids == runs[1].token_ids == runs[2].token_ids
    assert runs[0].input_tokens == len(PROMPT)


def test_adapters_never_touch_the_base_or_each_other(runner: asyncio.Runner, engine: LlamaCpp) -> None:
    first, second = engine.adapters
    before = {name: _answer(runner, engine, name).logprobs for name in (None, first, second)}
    assert len({logprobs[0].logprob for logprobs in before.values()}) == 3
    for name in (first, second, None, second, first, None):
        again = _answer(runner, engine, name)
        assert again.cached_tokens == len(PROMPT) - 1
        assert [item.token for item in again.logprobs] == [item.token for item in before[name]]
        expected = [item.logprob for item in before[name]]
        assert [item.logprob for item in again.logprobs] == pytest.approx(expected, abs=1e-4)


def test_adapters_answer_alike_alone_and_all_at_once(runner: asyncio.Runner, engine: LlamaCpp) -> None:
    names = [None, *engine.adapters] * 4
    alone = {name: _answer(runner, engine, name).token_ids for name in names}

    async def together() -> list[Generation]:
        return await asyncio.gather(*(engine.generate(PROMPT, Decoding(max_tokens=8), adapter=name) for name in names))

    assert [item.token_ids for item in runner.run(together())] == [alone[name] for name in names]


def test_the_base_with_adapters_loaded_is_the_base_alone(
    runner: asyncio.Runner, engine: LlamaCpp, tiny_gguf: Path
) -> None:
    bare = runner.run(LlamaCpp.start(tiny_gguf, threads=1, context=256))
    try:
        ours, reference = _answer(runner, engine), _answer(runner, bare)
    finally:
        runner.run(bare.close())
    expected = [item.logprob for item in reference.logprobs]
    assert [item.logprob for item in ours.logprobs] == pytest.approx(expected, abs=1e-4)


def test_constrained_answers_are_compact_and_keep_the_declared_order(runner: asyncio.Runner, engine: LlamaCpp) -> None:
    for seed in range(6):
        text = runner.run(engine.generate(PROMPT, Decoding(schema=SCHEMA, temperature=1.5, seed=seed))).text
        value = json.loads(text)
        assert list(value) == ["zeta", "alpha", "mid"]
        assert json.dumps(value, separators=(",", ":")) == text


def test_length_and_stop(runner: asyncio.Runner, engine: LlamaCpp) -> None:
    assert runner.run(engine.generate(PROMPT, Decoding(max_tokens=3))).finish_reason == "length"
    assert runner.run(engine.generate(PROMPT, Decoding(schema=SCHEMA))).finish_reason == "stop"
    unbounded = runner.run(engine.generate(PROMPT, Decoding(schema={"type": "string", "minLength": 5000})))
    assert unbounded.finish_reason == "length"
    assert unbounded.input_tokens + unbounded.output_tokens == engine.context_tokens


def test_stream_is_the_whole_answer_in_pieces(runner: asyncio.Runner, engine: LlamaCpp) -> None:
    async def collect() -> list[object]:
        return [piece async for piece in engine.stream(PROMPT, Decoding(max_tokens=8))]

    pieces = runner.run(collect())
    whole = _answer(runner, engine)
    assert "".join(piece.text for piece in pieces) == whole.text  # type: ignore[attr-defined]
    assert tuple(token for piece in pieces for token in piece.token_ids) == whole.token_ids  # type: ignore[attr-defined]
    assert [piece.finish_reason for piece in pieces][-2:] == [None, "length"]  # type: ignore[attr-defined]


def test_a_seed_fixes_a_sample(runner: asyncio.Runner, engine: LlamaCpp) -> None:
    def sample(seed: int) -> tuple[int, ...]:
        return runner.run(engine.generate(PROMPT, Decoding(max_tokens=8, temperature=1.0, seed=seed))).token_ids

    assert sample(7) == sample(7)
    assert len({sample(seed) for seed in range(8)}) > 1


def test_tokenize_agrees_with_the_template(runner: asyncio.Runner, engine: LlamaCpp, tiny_gguf: Path) -> None:
    template = load_base_template(tiny_gguf)
    messages = [make_message("user", "2 kg  of flour, naïve 🙂")]
    assert runner.run(engine.tokenize(template.render(messages))) == template.prompt_ids(messages)
    plain = runner.run(engine.tokenize("<|im_end|>", special=False))
    assert plain == load_tokenizer(tiny_gguf).encode("<|im_end|>")
    assert 2 not in plain


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ({"prompt_ids": [5] * 256}, "JM-422", "1 to 255 tokens"),
        ({"prompt_ids": []}, "JM-422", "the prompt is empty"),
        ({"prompt_ids": [5], "adapter": "f00"}, "JM-423", "f00"),
        ({"prompt_ids": [99999]}, "JM-424", "invalid tokens"),
    ],
)
def test_refused_calls(
    runner: asyncio.Runner, engine: LlamaCpp, arguments: dict[str, object], code: str, says: str
) -> None:
    with pytest.raises(ModelError, match=says) as caught:
        runner.run(engine.generate(**arguments))  # type: ignore[arg-type]
    assert caught.value.code == code
    assert not caught.value.retryable


def test_a_killed_worker_is_one_retryable_error_then_a_new_worker(runner: asyncio.Runner, engine: LlamaCpp) -> None:
    before, old = _answer(runner, engine), engine.worker_pid

    async def kill_while_answering() -> None:
        os.kill(old, signal.SIGSTOP)  # so that the answer cannot be ready before the kill
        call = asyncio.create_task(engine.generate(PROMPT))
        await asyncio.sleep(0.1)
        os.kill(old, signal.SIGKILL)
        await call

    with pytest.raises(ModelError, match="the local engine stopped while it answered") as caught:
        runner.run(kill_while_answering())
    assert (caught.value.code, caught.value.retryable) == ("JM-421", True)
    assert _answer(runner, engine).token_ids == before.token_ids
    assert engine.worker_pid != old


def test_a_closed_engine_says_so(runner: asyncio.Runner, tiny_gguf: Path) -> None:
    engine = runner.run(LlamaCpp.start(tiny_gguf, threads=1))
    runner.run(engine.close())
    with pytest.raises(ModelError, match="JM-421 the local engine was closed"):
        _answer(runner, engine)


def test_the_worker_ends_with_its_parent(tiny_gguf: Path) -> None:
    code = (
        "import asyncio, pathlib, sys\n"
        "from journeyman.models.llamacpp import LlamaCpp\n"
        "async def main():\n"
        f"    engine = await LlamaCpp.start(pathlib.Path({str(tiny_gguf)!r}), threads=1)\n"
        "    print(engine.worker_pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    assert psutil.wait_procs([worker], timeout=20)[1] == []


def test_unreadable_models_and_adapters(
    runner: asyncio.Runner, tiny_gguf: Path, adapters: dict[str, Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF and then nothing of use")
    with pytest.raises(ModelError, match=r"JM-420 .*broken\.gguf.*could not load this model") as caught:
        runner.run(LlamaCpp.start(broken, threads=1))
    assert "failed to load model" in caught.value.got
    with pytest.raises(ModelError, match=r"JM-416 .*named by the hash"):
        runner.run(LlamaCpp.start(tiny_gguf, {"0" * 64: next(iter(adapters.values()))}, threads=1))
    with pytest.raises(ModelError, match="JM-404"):
        runner.run(LlamaCpp.start(tmp_path / "absent.gguf", threads=1))
    wide = write_adapter(tmp_path / "wide.gguf", seed=3, width=128)
    with pytest.raises(ModelError, match="JM-420") as caught:
        runner.run(LlamaCpp.start(tiny_gguf, dict([wide]), threads=1))
    assert "1 LoRA adapters made for it" in caught.value.expected


def test_the_probe_measures_and_says_why(runner: asyncio.Runner, tiny_gguf: Path) -> None:
    engine = runner.run(LlamaCpp.start(tiny_gguf))
    try:
        probe = engine.threads
        assert 1 in probe.tokens_per_s
        assert set(probe.tokens_per_s) <= set(thread_counts())
        fastest = max(probe.tokens_per_s.values())
        assert probe.tokens_per_s[probe.value] * 1.1 >= fastest
        assert probe.reason.startswith("tokens/s by threads, 1: ")
        assert _answer(runner, engine).output_tokens > 0
    finally:
        runner.run(engine.close())


def test_more_slots_give_each_adapter_its_own(
    runner: asyncio.Runner, tiny_gguf: Path, adapters: dict[str, Path]
) -> None:
    async def main() -> list[Generation]:
        engine = await LlamaCpp.start(tiny_gguf, adapters, threads=1, slots=2, context=256)
        try:
            calls = [
                engine.generate(PROMPT, Decoding(max_tokens=8), adapter=name)
                for name in (None, *adapters)
                for _ in "abc"
            ]
            return await asyncio.gather(*calls)
        finally:
            await engine.close()

    answers = runner.run(main())
    for start in (0, 3, 6):
        assert len({item.token_ids for item in answers[start : start + 3]}) == 1


def test_a_local_model_answers_messages(runner: asyncio.Runner, engine: LlamaCpp, tiny_gguf: Path) -> None:
    model = LocalModel(engine, load_base_template(tiny_gguf), "base:tiny", schema=SCHEMA, max_tokens=64)
    request = Request((make_message("user", "Play!"),), Decoding(logprobs=True))
    reply = runner.run(model.complete(request))
    assert list(json.loads(reply.text)) == ["zeta", "alpha", "mid"]
    assert (reply.model, reply.finish_reason) == ("base:tiny", "stop")
    assert reply.logprobs[0].top

    async def collect() -> str:
        return "".join([piece async for piece in model.stream(request)])

    assert runner.run(collect()) == reply.text
    with pytest.raises(ModelError, match="JM-425 base:tiny cannot call tools"):
        runner.run(model.complete(Request(request.messages, tools=({"type": "function"},))))


def test_leaving_a_stream_early_frees_the_slot(runner: asyncio.Runner, engine: LlamaCpp, tiny_gguf: Path) -> None:
    endless = LocalModel(
        engine, load_base_template(tiny_gguf), "base:tiny", schema={"type": "string", "minLength": 5000}
    )

    async def leave() -> None:
        stream = endless.stream(Request((make_message("user", "hi"),)))
        async for _ in stream:
            break
        await stream.aclose()  # type: ignore[attr-defined]

    runner.run(leave())
    assert runner.run(engine.generate(PROMPT, Decoding(max_tokens=1))).output_tokens == 1
