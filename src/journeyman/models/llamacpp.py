"""llama.cpp behind token ids: one base, any number of LoRA adapters, constrained decoding.

Three traps of the engine are closed here and nowhere else. A call that leaves out the adapters' scales applies all of
them, so every call states every scale. A cache that another adapter filled would be reused, so each adapter owns its
slots. A schema that cannot be compiled is dropped in silence, so every caller verifies what comes back.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

import orjson

from journeyman.core.canonical import Json
from journeyman.core.errors import ModelError
from journeyman.core.grammar import write_grammar
from journeyman.core.nodes import Node
from journeyman.models.confidence import Step
from journeyman.models.events import read_events
from journeyman.models.http_client import HttpClient, HttpReply
from journeyman.models.llamacpp_process import ThreadProbe, Worker, make_config, probe_threads, start_worker
from journeyman.models.llamacpp_worker import WorkerConfig
from journeyman.models.protocol import Decoding, TokenLogprob
from journeyman.models.remembered import remembered_hash
from journeyman.models.slots import Slots

TOP_LOGPROBS = 5  # alternatives reported for a token
LIKELIEST = 40  # alternatives that confidence looks at
FAR_UP = 1000.0  # added to a logit, it leaves the others no probability that a float can hold
GREEDY = Decoding()
Stop = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Generation:
    """What was generated. ``input_tokens`` counts the whole prompt, ``cached_tokens`` the part that was not recomputed."""

    text: str
    token_ids: tuple[int, ...]
    finish_reason: Stop
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    prompt_ms: float
    decode_ms: float
    logprobs: tuple[TokenLogprob, ...] = ()
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a streamed generation; the last one has a ``finish_reason``, and counts the tokens of prompt and answer."""

    text: str
    token_ids: tuple[int, ...] = ()
    finish_reason: Stop | None = None
    input_tokens: int = 0
    output_tokens: int = 0


class LlamaCpp:
    """A worker process with one base model. Make one with `start`; `close` it."""

    def __init__(self, config: WorkerConfig, adapters: Sequence[str], slots: int, worker: Worker, threads: ThreadProbe):
        self.threads = threads
        self.context_tokens = config.context_tokens
        self._config = config
        self._adapters: tuple[str | None, ...] = (None, *adapters)
        self._slots = Slots(len(self._adapters), slots)
        self._worker = worker
        self._restarts_left = 1
        self._is_closed = False
        self._starting = threading.Lock()
        self._client = HttpClient(keep_alive=False)

    @classmethod
    async def start(
        cls,
        base: Path,
        adapters: Mapping[str, Path] | None = None,
        *,
        threads: int | None = None,
        slots: int = 1,
        context: int = 2048,
        sleep_after_s: int | None = None,
    ) -> LlamaCpp:
        """Load ``base`` and its adapters in a worker.

        Args:
            adapters: SHA-256 of an adapter's GGUF -> its path.
            threads: None measures and chooses; the outcome is ``.threads``.
            slots: calls at once per adapter (and for the bare base).
            context: tokens of prompt and answer together, per call.
            sleep_after_s: seconds without a call after which the weights are given back until the next.

        Raises:
            ModelError: JM-403 an adapter is not what its hash says, JM-404 a file is missing, JM-420 not loadable.
        """
        named = dict(adapters or {})
        for path in (base, *named.values()):
            if not path.is_file():
                raise ModelError("JM-404", "there is no such model file", where=str(path), hint="check the path")
        for name, path in named.items():
            _check_hash(name, path)
        config = make_config(
            base, tuple(named.values()), threads or 1, slots * (1 + len(named)), context, sleep_after_s
        )
        if threads is None:
            worker, probe = await asyncio.to_thread(probe_threads, config)
        else:
            worker = await asyncio.to_thread(start_worker, config)
            probe = ThreadProbe(threads, "chosen by the caller", {})
        return cls(replace(config, threads=probe.value), tuple(named), slots, worker, probe)

    @property
    def adapters(self) -> tuple[str, ...]:
        return tuple(name for name in self._adapters if name is not None)

    @property
    def is_alive(self) -> bool:
        return self._worker.is_alive

    @property
    def is_warm(self) -> bool:
        """Whether it can answer at once; who makes it sleep knows better."""
        return self._worker.is_alive

    async def wake(self) -> None:
        """Returns when a worker that sleeps has its weights again. Raises: ModelError JM-421 the worker died."""
        await self.tokenize("")

    @property
    def worker_pid(self) -> int:
        return self._worker.process.pid

    async def generate(
        self,
        prompt_ids: Sequence[int],
        decoding: Decoding = GREEDY,
        *,
        adapter: str | None = None,
        write: Callable[[Node], str] = write_grammar,
        patience_s: float | None = None,
    ) -> Generation:
        """Answer one prompt; logprobs are those before any constraint, which ``write`` forms from the decoding's schema. ``patience_s`` is the longest that it waits for a
        slot.

        Raises:
            ModelError: JM-427 no slot was free in time (retryable), JM-421 the worker died (retryable), JM-422 longer than the context, JM-423 unknown adapter,
                JM-424 the engine refused the call.
        """
        body = self._body(prompt_ids, decoding, adapter, write)
        async with self._call("/completion", body, adapter, patience_s) as reply:
            raw = orjson.loads(await reply.read())
        self._restarts_left = 1
        return _read_generation(raw)

    async def choose(
        self,
        prompt_ids: Sequence[int],
        tokens: Sequence[int],
        *,
        adapter: str | None = None,
        patience_s: float | None = None,
    ) -> list[float]:
        """The probability of each of ``tokens`` [n] to come next, as shares of all of them: one forward pass.

        Raises: as ``generate``.
        """
        body = self._body(prompt_ids, Decoding(max_tokens=1, temperature=1.0), adapter) | {
            "logit_bias": [[token, FAR_UP] for token in tokens],  # every other token's probability becomes zero
            "samplers": ["temperature"],
            "n_probs": len(tokens),
            "post_sampling_probs": True,
        }
        async with self._call("/completion", body, adapter, patience_s) as reply:
            raw = orjson.loads(await reply.read())
        self._restarts_left = 1
        found = {item["id"]: item["prob"] for item in raw["completion_probabilities"][0]["top_probs"]}
        return [float(found.get(token, 0.0)) for token in tokens]

    async def stream(
        self,
        prompt_ids: Sequence[int],
        decoding: Decoding = GREEDY,
        *,
        adapter: str | None = None,
        patience_s: float | None = None,
    ) -> AsyncGenerator[Piece, None]:
        """Like `generate`, piece by piece and without logprobs; leaving the loop early stops the generation."""
        body = self._body(prompt_ids, replace(decoding, logprobs=False, confidence=False), adapter)
        async with self._call("/completion", body | {"stream": True}, adapter, patience_s) as reply:
            async for data in read_events(reply.content.iter_any()):
                raw = json.loads(data)
                if "error" in raw:
                    raise _refused(json.dumps(raw["error"]), raw["error"].get("code", 500))
                yield Piece(
                    text=raw["content"],
                    token_ids=tuple(raw["tokens"]),
                    finish_reason=_finish(raw) if raw["stop"] else None,
                    input_tokens=raw["tokens_evaluated"],
                    output_tokens=raw["tokens_predicted"],
                )
        self._restarts_left = 1

    async def tokenize(self, text: str, special: bool = True) -> list[int]:
        """Token ids of ``text`` by the engine's own tokenizer; ``special`` parses control tokens in it and adds the model's BOS."""
        body: dict[str, Json] = {"content": text, "add_special": special, "parse_special": special}
        async with self._call("/tokenize", body, None) as reply:
            return cast(list[int], (orjson.loads(await reply.read()))["tokens"])

    async def close(self) -> None:
        self._is_closed = True
        await self._client.close()
        try:
            stopping = asyncio.get_running_loop().run_in_executor(None, self._worker.stop)
        except RuntimeError:  # the interpreter is going down and starts no thread any more
            self._worker.stop()
        else:
            await stopping

    def _body(
        self,
        prompt_ids: Sequence[int],
        decoding: Decoding,
        adapter: str | None,
        write: Callable[[Node], str] = write_grammar,
    ) -> dict[str, Json]:
        if adapter not in self._adapters:
            raise ModelError(
                "JM-423",
                "this adapter is not loaded",
                expected="one of " + (", ".join(self.adapters) or "none: only the base is loaded"),
                got=str(adapter),
                hint="start the engine with this adapter",
            )
        room = self.context_tokens - len(prompt_ids)
        if room < 1 or not prompt_ids:
            raise ModelError(
                "JM-422",
                "this prompt does not fit into the model's context" if prompt_ids else "the prompt is empty",
                expected=f"1 to {self.context_tokens - 1} tokens",
                got=f"{len(prompt_ids)} tokens",
                hint="shorten the input, or start the engine with a larger context",
            )
        body: dict[str, Json] = {
            "prompt": list(prompt_ids),
            "n_predict": min(room, room if decoding.max_tokens is None else decoding.max_tokens),
            "temperature": decoding.temperature,
            "top_k": 1 if decoding.temperature == 0 else 0,
            "top_p": 1.0 if decoding.top_p is None else decoding.top_p,
            "min_p": 0.0,
            "seed": -1 if decoding.seed is None else decoding.seed,
            "stop": list(decoding.stop),
            "n_probs": LIKELIEST if decoding.confidence else TOP_LOGPROBS if decoding.logprobs else 0,
            "cache_prompt": True,
            "return_tokens": True,
            "lora": [{"id": index, "scale": float(name == adapter)} for index, name in enumerate(self.adapters)],
        }
        return body | ({"grammar": make_grammar(decoding.schema, write)} if decoding.schema is not None else {})

    @asynccontextmanager
    async def _call(
        self, path: str, body: dict[str, Json], adapter: str | None, patience_s: float | None = None
    ) -> AsyncIterator[HttpReply]:
        """One HTTP call on a slot that belongs to the adapter; waits until one is free."""
        async with self._slots.hold(self._adapters.index(adapter), patience_s) as slot:
            worker = self._worker if self._worker.is_alive else await asyncio.to_thread(self._revive)
            headers = {"content-type": "application/json", "authorization": f"Bearer {worker.key}"}
            try:
                data = json.dumps(body | {"id_slot": slot}).encode()
                async with await self._client.post(worker.url + path, data, headers) as reply:
                    if reply.status != 200:
                        raise _refused(await reply.text(), reply.status)
                    yield reply
            except ConnectionError as error:
                await asyncio.to_thread(worker.wait_for_end)
                raise self._died(worker, error) from error

    def _revive(self) -> Worker:
        """Start the worker again, once until a call has succeeded."""
        with self._starting:
            if self._worker.is_alive:
                return self._worker
            if self._is_closed or not self._restarts_left:
                raise self._died(self._worker, None)
            self._restarts_left -= 1
            self._worker.stop()
            self._worker = start_worker(self._config)
            return self._worker

    def _died(self, worker: Worker, error: BaseException | None) -> ModelError:
        can_restart = bool(self._restarts_left) and not self._is_closed
        said = worker.log_tail
        return ModelError(
            "JM-421",
            "the local engine was closed" if self._is_closed else "the local engine stopped while it answered",
            got=(f"exit status {worker.process.poll()}" + (f", it said: {said}" if said else ""))
            + (f" ({type(error).__name__})" if error else ""),
            hint="call again: the engine is started anew"
            if can_restart
            else "check memory, then start the server again",
            retryable=can_restart,
        )


def make_grammar(schema: Node, write: Callable[[Node], str] = write_grammar) -> str:
    """The grammar of a JSON Schema as llama.cpp takes it."""
    return "%llguidance {}\n" + write(schema)


def _check_hash(name: str, path: Path) -> None:
    got = remembered_hash(path)
    if got != name:
        raise ModelError(
            "JM-416",
            "an adapter is named by the hash of its file, and this one is not",
            where=str(path),
            expected=name,
            got=got,
            hint="restore the release from a copy, or release again",
        )


def _read_generation(raw: dict[str, Json]) -> Generation:
    timings = cast(dict[str, float], raw["timings"])
    listed = cast(list[dict[str, Json]], raw.get("completion_probabilities") or [])
    return Generation(
        text=cast(str, raw["content"]),
        token_ids=tuple(cast(list[int], raw["tokens"])),
        finish_reason=_finish(raw),
        input_tokens=cast(int, raw["tokens_evaluated"]),
        output_tokens=cast(int, raw["tokens_predicted"]),
        cached_tokens=int(timings["cache_n"]),
        prompt_ms=timings["prompt_ms"],
        decode_ms=timings["predicted_ms"],
        logprobs=tuple(_read_logprob(item) for item in listed),
        steps=tuple(_read_step(item) for item in listed),
    )


def _read_step(raw: dict[str, Json]) -> Step:
    top = cast(list[dict[str, Json]], raw.get("top_logprobs") or [])
    alike = tuple((cast(int, item["id"]), cast(float, item["logprob"])) for item in top)
    return Step(cast(int, raw["id"]), cast(float, raw["logprob"]), alike)


def _read_logprob(raw: dict[str, Json]) -> TokenLogprob:
    top = cast(list[dict[str, Json]], raw.get("top_logprobs") or [])
    return TokenLogprob(
        token=cast(str, raw["token"]),
        logprob=cast(float, raw["logprob"]),
        top=tuple((cast(str, item["token"]), cast(float, item["logprob"])) for item in top[:TOP_LOGPROBS]),
    )


def _finish(raw: Mapping[str, Json]) -> Stop:
    return "length" if raw.get("stop_type") == "limit" else "stop"


def _refused(said: str, status: int) -> ModelError:
    if "exceed_context_size_error" in said:  # a model may have been made for less than the engine was started with
        return ModelError(
            "JM-422",
            "this prompt does not fit into the model's context",
            got=said[:300],
            hint="shorten the input, or take a model with a larger context",
        )
    return ModelError(
        "JM-424",
        "the local engine refused this call",
        got=f"{status}: {said[:300]}",
        hint="this is likely a defect: report it" if status < 500 else "call again",
        retryable=status >= 500,
    )
