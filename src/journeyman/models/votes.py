"""A model asked several times, and the answer that most of its samples agree on: self-consistency (Wang et al., arXiv:2203.11171).

What a sample counts as is told from outside: nothing here knows a task. Samples of one question are drawn one after another in one slot, where the prompt is read once.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from journeyman.core.canonical import content_hash
from journeyman.core.messages import message_to_openai
from journeyman.models.codes import list_values
from journeyman.models.protocol import Confidence, Decoding, Model, Reply, Request, find_start

SEEDS = 2**31 - 1
ReadVote = Callable[[Reply], str | None]
"""What a sample says, as canonical JSON that equal answers share; None where it says nothing that could be read."""


@dataclass(frozen=True, slots=True)
class Election:
    """``votes``: the samples of each answer, in the order of their first appearance; ``drawn`` samples in all, those that could not be read among them."""

    votes: Mapping[str, Sequence[Reply]]
    drawn: int

    @property
    def winner(self) -> str:
        """The answer of most samples; of equals the one whose samples are likelier in all, else the first to appear."""
        return max(self.votes, key=lambda name: (len(self.votes[name]), _likelihood(self.votes[name])))

    @property
    def share(self) -> float:
        """Of all samples: one that could not be read is no vote for anything."""
        return len(self.votes[self.winner]) / self.drawn

    def is_decided(self, samples: int) -> bool:
        """Whether none of those that are still to come, up to ``samples``, could change the winner."""
        counts = [*sorted((len(replies) for replies in self.votes.values()), reverse=True), 0, 0]
        return counts[0] > counts[1] + samples - self.drawn

    def confidence(self) -> Confidence:
        """The winner's share, and for each of its fields the share of samples with the same value there."""
        listed = {name: dict(list_values(json.loads(name))) for name in self.votes}
        shares = {
            path: sum(len(self.votes[name]) for name, values in listed.items() if values.get(path) == value)
            for path, value in listed[self.winner].items()
            if path
        }
        return Confidence(self.share, {path: count / self.drawn for path, count in shares.items()})


@dataclass(frozen=True)
class Votes:
    """``samples`` draws of ``model`` at ``temperature``, each with a seed made of ``seed``, the messages and its number: the same question has the same answer.

    A temperature above zero and a seed of a request's own hold instead. Where no confidence is asked for, it stops drawing once the winner is certain.
    """

    model: Model
    samples: int
    temperature: float
    read: ReadVote = field(repr=False)
    seed: int = 0

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def is_warm(self) -> bool:
        return find_start(self.model) != "cold"

    async def complete(self, request: Request) -> Reply:
        """The first sample of the winner, with the tokens of all; a sample that could not be read where there is no other.

        Raises: as the model that is asked.
        """
        started, replies = time.perf_counter(), list[Reply]()
        votes: dict[str, list[Reply]] = {}
        for number in range(self.samples):
            reply = await self.model.complete(replace(request, decoding=self.decoding_of(request, number)))
            replies.append(reply)
            said = self.read(reply)
            if said is not None:
                votes.setdefault(said, []).append(reply)
            if not request.decoding.confidence and Election(votes, len(replies)).is_decided(self.samples):
                break
        election = Election(votes, len(replies))
        return replace(
            votes[election.winner][0] if votes else replies[0],
            input_tokens=_total([reply.input_tokens for reply in replies]),
            output_tokens=_total([reply.output_tokens for reply in replies]),
            latency_ms=(time.perf_counter() - started) * 1000,
            start=replies[0].start,
            confidence=election.confidence() if votes and request.decoding.confidence else None,
        )

    async def stream(self, request: Request) -> AsyncIterator[str]:
        """In one piece: nothing is known before the votes are counted."""
        yield (await self.complete(request)).text

    async def close(self) -> None:
        await self.model.close()

    def decoding_of(self, request: Request, number: int) -> Decoding:
        """Of one sample. How likely it is is always asked for, because it decides ties: an answer must not hang on whether its confidence was wanted."""
        wanted = request.decoding
        seed = self.seed if wanted.seed is None else wanted.seed
        key = [seed, number, [message_to_openai(message) for message in request.messages]]
        return replace(
            wanted,
            temperature=wanted.temperature or self.temperature,
            seed=int(content_hash(key)[:8], 16) % SEEDS,
            confidence=True,
        )


def _likelihood(replies: Sequence[Reply]) -> float:
    """Summed over samples; 0 where the model told none."""
    return sum(reply.confidence.whole for reply in replies if reply.confidence is not None)


def _total(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
