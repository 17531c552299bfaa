"""Which side of a canary a call is on: by a hash with the canary's salt, so that the same person gets the same side and a growing share keeps those who are in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b

from journeyman.core.canonical import content_hash
from journeyman.gateway.answer import Call, read_fields
from journeyman.gateway.registry import Arm, Routed
from journeyman.store.canaries import Sticky


def choose(routed: Routed, call: Call, draw: Callable[[], float]) -> Routed:
    """The route with the call's side in it; as it was where no candidate is loaded, the release is held, or an evaluation asks. ``draw`` decides whether the call is compared.

    Raises: TaskError, the call does not have the task's shape."""
    if routed.canary is None or routed.held or call.origin == "assess":
        return routed
    canary, candidate = routed.canary
    live = routed.student
    assert live is not None, "a candidate stands beside a live release"
    is_compared = routed.teacher is not None and draw() < canary.audit
    if find_place(canary.salt, find_unit(canary.sticky, call)) < canary.share:
        return replace(routed, canary=None, student=candidate, arm=Arm(canary, True, live, is_compared))
    return replace(routed, canary=None, arm=Arm(canary, False, candidate, is_compared))


def find_place(salt: str, unit: str) -> float:
    """In [0, 1), evenly."""
    return int.from_bytes(blake2b(f"{salt} {unit}".encode("utf-8", "surrogatepass"), digest_size=8).digest()) / 2**64


def find_unit(sticky: Sticky, call: Call) -> str:
    """What stays on one side: the key or the person, else the conversation, else the input."""
    if sticky == "key" and (key := call.meta.get("key")):
        return f"key {key}"
    if sticky != "input" and (person := call.meta.get("person")):
        return f"person {person}"
    if sticky != "input" and call.conversation:
        return f"conversation {call.conversation}"
    return f"input {content_hash(read_fields(call))}"
