"""Calls of a model that are made once: each is written down before it is sent and after it came, in a file of the run, and none goes out that its budget might not cover.

    begin (what it may cost) ──► call ──► end (the reply, what it cost)

A call that a kill cut off has a beginning alone: it counts as answered with nothing, at the most that it may have cost, and is not made again. So nothing is paid twice,
and what was spent is never more than the budget.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from journeyman.core.canonical import Json, content_hash, dump
from journeyman.core.errors import ModelError
from journeyman.core.files import disk_errors, mend_lines
from journeyman.core.messages import message_to_openai
from journeyman.core.providers import Price
from journeyman.models.protocol import Model, Reply, Request

TRIES, FIRST_WAIT_S = 4, 1.0
AROUND_TOKENS = 400
"""Of a request besides its texts and its schema: what a provider adds."""
REFUSED = "JM-431"
"""The provider said that it did not answer: nobody pays for that."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a call; ``text`` None: no whole answer came, and ``problem`` says why."""

    text: str | None
    usd: float
    input_tokens: int = 0
    output_tokens: int = 0
    problem: str = ""

    def to_json(self) -> dict[str, Json]:
        tokens: list[Json] = [self.input_tokens, self.output_tokens]
        return {"text": self.text, "usd": self.usd, "tokens": tokens, "problem": self.problem}

    @staticmethod
    def from_json(raw: Mapping[str, Json]) -> Ended:
        read, written = cast(list[int], raw["tokens"])
        return Ended(cast(str | None, raw["text"]), cast(float, raw["usd"]), read, written, str(raw["problem"]))


@dataclass(frozen=True, slots=True)
class Receipt:
    """Of all calls so far, tries that failed among them; ``lost`` ones were cut off, and count at their most."""

    calls: int
    failed: int
    lost: int
    input_tokens: int
    output_tokens: int
    usd: float

    def to_json(self) -> dict[str, Json]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class Forecast:
    """Of calls that are still to be made, if all goes as the examples are: ``usd`` None where a call costs nothing."""

    calls: int
    input_tokens: int
    output_tokens: int
    usd: float | None

    def to_json(self) -> dict[str, Json]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


class OutOfMoneyError(Exception):
    """What is left of the budget does not cover a further call."""


class PaidCalls:
    """``price`` of a million tokens read and written; ``budget_usd`` None where the model costs nothing. Used in one event loop, under the lock of the run that ``path`` is in."""

    def __init__(
        self,
        path: Path,
        model: Model | None,
        price: Price,
        budget_usd: float | None,
        identity: Json,
        in_flight: int = 8,
    ) -> None:
        self._path = path
        self._model = model
        self._price = price
        self._budget_usd = budget_usd
        self._identity = identity
        self._turns = asyncio.Semaphore(in_flight)
        self._changed = asyncio.Condition()
        self._under_way = 0
        self._spent = 0.0
        self._begun: dict[str, float] = {}
        self._ended: dict[str, Ended] = {}
        for line in mend_lines(path):
            self._note(cast(dict[str, Json], json.loads(line)))

    @property
    def spent_usd(self) -> float:
        """With the most of those that were begun."""
        return self._spent

    async def ask_all(self, requests: Sequence[Request]) -> tuple[list[Ended | None], bool]:
        """What became of each, in their order, None for those that the budget did not cover; and whether there were such. What is known is not asked.

        Raises:
            ModelError: what is no matter of one call, such as a wrong key; nothing was paid for it.
        """
        distinct = {self._name(request): request for request in requests}
        found = await asyncio.gather(*map(self._ask, distinct, distinct.values()), return_exceptions=True)
        ended: dict[str, Ended] = {}
        for name, item in zip(distinct, found, strict=True):
            if isinstance(item, Ended):
                ended[name] = item
            elif not isinstance(item, OutOfMoneyError):
                raise item
        told = [ended.get(self._name(request)) for request in requests]
        return told, None in told

    def receipt(self) -> Receipt:
        ended = self._ended.values()
        return Receipt(
            calls=len(self._begun),
            failed=sum(item.text is None for item in ended),
            lost=len(self._begun) - len(self._ended),
            input_tokens=sum(item.input_tokens for item in ended),
            output_tokens=sum(item.output_tokens for item in ended),
            usd=round(self._spent, 9),
        )

    def most_usd(self, request: Request) -> float:
        """What a call may cost: no token is shorter than a byte."""
        assert request.decoding.max_tokens is not None, "a call without a limit can cost anything"
        return (count_bytes(request) * self._price[0] + request.decoding.max_tokens * self._price[1]) / 1e6

    async def _ask(self, name: str, request: Request) -> Ended:
        """Raises: OutOfMoneyError. ModelError."""
        most = self.most_usd(request)
        ended = Ended(None, 0.0, problem="not asked")
        for tried in range(1, TRIES + 1):
            call = f"{name}#{tried}"
            if call not in self._begun:
                if tried > 1:
                    await asyncio.sleep(FIRST_WAIT_S * 2 ** (tried - 2))
                ended = await self._try(call, request, most)
            elif call in self._ended:
                ended = self._ended[call]
            else:
                return Ended(None, most, problem="cut off")
            if not ended.problem.startswith("JM-"):
                return ended
        return ended

    async def _try(self, call: str, request: Request, most: float) -> Ended:
        assert self._model is not None, "a forecast asks nobody"
        async with self._turns:
            await self._wait_for_money(most)
            self._under_way += 1
            self._write({"call": call, "most": most})
            try:
                ended = self._settle(await self._model.complete(request), most)
            except ModelError as error:
                if not error.retryable:
                    self._write({"call": call, "void": True})
                    raise
                ended = Ended(None, 0.0 if error.code == REFUSED else most, problem=error.code)
            finally:
                self._under_way -= 1
                async with self._changed:
                    self._changed.notify_all()
            self._write({"call": call, **ended.to_json()})
            return ended

    async def _wait_for_money(self, most: float) -> None:
        """Until the budget covers this call beside those under way.

        Raises:
            OutOfMoneyError: it does not when they have ended.
        """
        async with self._changed:
            while self._budget_usd is not None and self._spent + most > self._budget_usd:
                if not self._under_way:
                    raise OutOfMoneyError
                await self._changed.wait()

    def _settle(self, reply: Reply, most: float) -> Ended:
        read, written = reply.input_tokens, reply.output_tokens
        is_counted = read is not None and written is not None
        usd = ((read or 0) * self._price[0] + (written or 0) * self._price[1]) / 1e6 if is_counted else most
        is_whole = reply.finish_reason == "stop"
        text, problem = (reply.text, "") if is_whole else (None, reply.finish_reason)
        return Ended(text, usd, read or 0, written or 0, problem)

    def _write(self, said: dict[str, Json]) -> None:
        with disk_errors(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(said) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._note(said)

    def _note(self, said: Mapping[str, Json]) -> None:
        call = str(said["call"])
        if "most" in said:
            self._begun[call] = cast(float, said["most"])
            self._spent += self._begun[call]
        elif "void" in said:
            self._spent -= self._begun.pop(call)
        else:
            self._ended[call] = Ended.from_json(said)
            self._spent += self._ended[call].usd - self._begun[call]

    def _name(self, request: Request) -> str:
        """All that decides a reply."""
        decoding = request.decoding
        messages: list[Json] = [message_to_openai(message) for message in request.messages]
        schema = dict(decoding.schema) if decoding.schema is not None else None
        said: list[Json] = [self._identity, messages, schema, decoding.max_tokens, decoding.temperature, decoding.seed]
        return content_hash(said)[:40]


def count_bytes(request: Request) -> int:
    """Of what is read, and what a provider may add, in tokens at the most."""
    schema = request.decoding.schema
    texts = [dump(message_to_openai(message)) for message in request.messages]
    texts += [dump(dict(schema))] if schema is not None else []
    return AROUND_TOKENS + sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
