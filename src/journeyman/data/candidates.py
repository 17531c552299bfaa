"""From traces to rows: what may become an example at all, and one row per input.

Which answer wins where several came for the same input: gold over output; of each the majority; of equals the latest by
the time that its provider recorded; else the first in alphabetical order, so that import order never matters.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, cast

from journeyman.core.canonical import Json, content_hash, dump
from journeyman.core.errors import TaskError
from journeyman.core.example import Alternative, Example, Target, Terms
from journeyman.core.judgements import is_led
from journeyman.core.trace import Trace
from journeyman.data.imports import split_suffix
from journeyman.data.intake import settle
from journeyman.task.prompt import check_input
from journeyman.task.task import Task

SYNTHETIC = "synthesize"
# Calls of an evaluation (``assess``) can never become examples, nor what a student said unseen (``shadow``).
ORIGINS = ("import", "serve", "ask", "task", "audit", SYNTHETIC)
Instructions = Literal["own", "any"]
STRICTEST: tuple[Terms, ...] = ("free", "unknown", "restricted")
# Of one input that was assigned to several splits beforehand: the sealed side first, train last.
PRECEDENCE = ("test", "dev", "calibration", "train", "")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One trace as an example. ``split`` was given at import; ``recorded`` is the provider's time, or empty; ``sources`` are the
    conversations, documents or people that it comes from; ``is_synthetic``: nobody asked it, `synthesize` made it up; ``is_led``: who labelled it
    saw a model's answer, so that it is no new row to measure on."""

    example: Example
    input_hash: str
    split: str
    recorded: str
    sources: tuple[str, ...] = ()
    is_synthetic: bool = False
    is_led: bool = False


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Several answers to one input: each with how often it came, the chosen one first."""

    input: Mapping[str, Json]
    kind: Literal["gold", "output"]
    answers: tuple[tuple[Target, int], ...]

    def to_json(self) -> dict[str, Json]:
        return {
            "input": dict(self.input),
            "kind": self.kind,
            "answers": [{"answer": target.to_json(), "count": count} for target, count in self.answers],
        }


@dataclass(slots=True)
class SetAside:
    """Traces that became no row of a split, by reason; hashes of rows where there are any."""

    counts: Counter[str] = field(default_factory=Counter)
    hashes: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, reason: str, example: Example | None = None, count: int = 1) -> None:
        self.counts[reason] += count
        if example is not None:
            self.hashes[reason].append(example.hash)


def hash_input(example: Example) -> str:
    """Identity of what was asked: rows with the same one are exact duplicates."""
    content = example.content()
    return content_hash({key: content[key] for key in ("input", "context", "passages") if key in content})


def collect(
    task: Task, traces: Iterable[Trace], tombstones: frozenset[str], instructions: Instructions, aside: SetAside
) -> list[Candidate]:
    """The traces that may become rows, one per recorded call.

    Rows imported for the sealed split are never set aside, whatever the task has become since.
    """
    found: dict[str, Candidate] = {}
    for trace in traces:
        example, reason = read_trace(task, trace, instructions)
        if example.hash in tombstones:
            reason = "erased"
        elif trace.split == "test":
            reason = ""
        if reason:
            aside.add(reason)
            continue
        recorded = "" if trace.meta.get("undated") else trace.time
        source = str(trace.meta.get("group") or "")
        sources = (source,) if source else ()
        is_synthetic = trace.origin == SYNTHETIC
        split = trace.split or ("train" if is_synthetic else "")
        led = is_led(trace.feedback)
        candidate = Candidate(example, hash_input(example), split, recorded, sources, is_synthetic, led)
        _keep_one(found, _call_key(trace), candidate, aside)
    return list(found.values())


def read_trace(task: Task, trace: Trace, instructions: Instructions = "own") -> tuple[Example, str]:
    """A trace as an example, and why it cannot be a row of this task (or ``""``)."""
    reason = ""
    stated = trace.correction or trace.gold  # what was said of the answer came later
    gold, gold_problem = settle(stated, task.schema) if stated is not None else (None, "")
    # A released student's answers are inputs to label, never labels: a student must not learn from students.
    output = trace.output if not trace.release else None
    target, problem = settle(output, task.schema) if output is not None else (None, "")
    if problem and output is not None:
        target = output
    if not trace.has_content:
        reason = "calls of which the numbers alone were kept"
    elif trace.meta.get("cached_of") and not trace.feedback:
        reason = "repeats of a call, answered from memory"
    elif trace.status != "ok" and trace.correction is None:
        reason = "failed calls"
    elif instructions == "own" and trace.instruction_hash != task.instruction_hash:
        reason = "another instruction"
    elif not _is_input(task, trace.input):
        reason = "input of another shape"
    elif gold_problem:
        reason = "gold that breaks the task's output"
    elif gold is None and target is not None and target.kind == "tool_calls":
        reason = "answered with tool calls"
    elif gold is None and problem:
        reason = "answer that breaks the task's output"
    alternatives = _settle_alternatives(task, trace.alternatives)
    thumbs = trace.feedback.get("verdict")
    if thumbs == "down" and trace.output is not None:
        # An answer that somebody did not want is nothing to learn, and something to prefer others to; a student's own too.
        alternatives, target = (
            (*alternatives, Alternative(settle(trace.output, task.schema)[0], verdict="rejected")),
            None,
        )
        reason = "" if reason.startswith("answer") else reason
    elif thumbs == "up" and target is not None:
        alternatives = (*alternatives, Alternative(target, verdict="chosen"))
    example = Example(
        input=trace.input,
        target=target,
        gold=stated if gold_problem else gold,
        alternatives=alternatives,
        schema=trace.schema,
        passages=trace.passages,
        time=trace.time,
        instruction_hash=trace.instruction_hash,
        provenance=trace.provenance,
        terms=trace.terms,
        id=trace.id,
        meta={"logprobs": trace.meta["logprobs"]} if "logprobs" in trace.meta and target is not None else {},
    )
    return example, reason


def _settle_alternatives(task: Task, alternatives: Iterable[Alternative]) -> tuple[Alternative, ...]:
    """As the task reads them now; a broken one stays only where it was rejected."""
    kept = []
    for item in alternatives:
        target, problem = settle(item.target, task.schema)
        if not problem or item.verdict == "rejected":
            kept.append(replace(item, target=item.target if problem else target))
    return tuple(kept)


def merge(candidates: Sequence[Candidate]) -> tuple[Candidate, Contradiction | None]:
    """One row for the candidates of one input, with their count and strictest terms."""
    if len(candidates) == 1:
        return candidates[0], None
    golds = _rank([(item.example.gold, item.recorded) for item in candidates])
    targets = _rank([(item.example.target, item.recorded) for item in candidates])
    if not golds:  # a thumb down speaks for all calls that were answered alike, unless somebody wanted that answer
        disliked = _disliked(candidates)
        targets = [(target, count) for target, count in targets if target not in disliked]
    gold, target = (ranked[0][0] if ranked else None for ranked in (golds, targets))
    chosen = min(candidates, key=lambda item: (item.example.gold != gold, item.example.target != target, _order(item)))
    example = replace(
        chosen.example,
        gold=gold,
        target=target,
        alternatives=_join_alternatives(candidates, targets[1:]),
        count=len(candidates),
        terms=max((item.example.terms for item in candidates), key=STRICTEST.index),
    )
    split = min((item.split for item in candidates), key=PRECEDENCE.index)
    answers, kind = (golds, "gold") if golds else (targets, "output")
    contradiction = (
        Contradiction(example.input, cast(Literal["gold", "output"], kind), tuple(answers))
        if len(answers) > 1
        else None
    )
    led = any(item.is_led for item in candidates)
    return replace(chosen, example=example, split=split, sources=join_sources(candidates), is_led=led), contradiction


def join_sources(candidates: Iterable[Candidate]) -> tuple[str, ...]:
    return tuple(sorted({source for item in candidates for source in item.sources}))


def _disliked(candidates: Sequence[Candidate]) -> list[Target]:
    """Answers that were rejected, and neither chosen nor kept beside a rejected one."""
    rejected, wanted = [], []
    for candidate in candidates:
        worse = [item.target for item in candidate.example.alternatives if item.verdict == "rejected"]
        rejected += worse
        wanted += [item.target for item in candidate.example.alternatives if item.verdict == "chosen"]
        wanted += [candidate.example.target] if worse and candidate.example.target is not None else []
    return [target for target in rejected if target not in wanted]


def _join_alternatives(
    candidates: Sequence[Candidate], others: Sequence[tuple[Target, int]]
) -> tuple[Alternative, ...]:
    """What all of them have, and the answers that came less often as samples; equal ones once, with their weights added."""
    found: dict[tuple[str, str], Alternative] = {}
    items = [item for candidate in candidates for item in candidate.example.alternatives]
    items += [Alternative(target, float(count)) for target, count in others]
    for item in items:
        key = (dump(item.target.to_json()), item.verdict)
        earlier = found.get(key)
        found[key] = item if earlier is None else replace(earlier, weight=earlier.weight + item.weight)
    return tuple(found[key] for key in sorted(found))


def _rank(answers: Iterable[tuple[Target | None, str]]) -> list[tuple[Target, int]]:
    """Distinct answers with their counts, the winner first."""
    counts: Counter[str] = Counter()
    latest: dict[str, str] = {}
    targets: dict[str, Target] = {}
    for target, recorded in answers:
        if target is None:
            continue
        name = dump(target.to_json())
        counts[name] += 1
        latest[name] = max(recorded, latest.get(name, ""))
        targets.setdefault(name, target)
    names = sorted(counts)
    names.sort(key=lambda name: (counts[name], latest[name]), reverse=True)
    return [(targets[name], counts[name]) for name in names]


def _keep_one(found: dict[str, Candidate], key: str, candidate: Candidate, aside: SetAside) -> None:
    """The same recorded call, imported for several splits, is one row, on the side that comes first; one that was audited is the audit's."""
    earlier = found.get(key)
    if earlier is None:
        found[key] = candidate
        return
    if not earlier.split and not candidate.split:
        found[key] = _join_audit(earlier, candidate)
        aside.add("calls that the teacher answered again", earlier.example)
        return
    kept, dropped = sorted((earlier, candidate), key=lambda item: PRECEDENCE.index(item.split))
    found[key] = replace(kept, sources=join_sources((earlier, candidate)))
    aside.add("copies of sealed rows" if kept.split == "test" else "imported again for another split", dropped.example)


def _join_audit(call: Candidate, audit: Candidate) -> Candidate:
    """What the teacher said to a call, and what people said of the student's answer to it: the right one is gold, an unwanted one is not learned from the teacher
    either."""
    said, asked = call.example, audit.example
    unwanted = [item.target for item in said.alternatives if item.verdict == "rejected"]
    example = replace(
        asked,
        gold=said.gold if said.gold is not None else asked.gold,
        target=None if asked.target in unwanted else asked.target,
        alternatives=(*said.alternatives, *asked.alternatives),
    )
    return replace(audit, example=example)


def _call_key(trace: Trace) -> str:
    """An audit is the call that it asks about once more."""
    if trace.row_key:
        return trace.row_key.removesuffix(split_suffix(trace.split))
    return f"trace {trace.meta.get('of') or trace.id}" if trace.origin == "audit" else f"trace {trace.id}"


def _order(candidate: Candidate) -> tuple[str, str]:
    return candidate.example.hash, candidate.example.id


def _is_input(task: Task, fields: Mapping[str, Json]) -> bool:
    try:
        check_input(task, fields)
    except TaskError:
        return False
    return True
