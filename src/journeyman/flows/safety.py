"""Base and student asked the same harmful and harmless requests as plain messages, greedily and a few tokens each, on an engine that answers several at once.

Answers are kept by the content of what gave them: the base's for all its students in a project, the student's in its run. Only a model that writes text can refuse.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from journeyman.core.canonical import Json, content_hash
from journeyman.core.cores import count_cores
from journeyman.core.files import locked
from journeyman.core.kept import keep_answers
from journeyman.core.messages import make_message
from journeyman.core.places import wrong_value
from journeyman.core.progress import Progress
from journeyman.core.settings import FILE_NAME
from journeyman.evaluation.document import SafetyPart
from journeyman.evaluation.safety import MOST_PROMPTS, SafetyPrompt, choose_prompts, compare_refusals
from journeyman.flows.runs import RunFolder, find_run
from journeyman.flows.student import Student
from journeyman.flows.workspace import Workspace
from journeyman.models.catalog import resolve_exactly
from journeyman.models.llamacpp import LlamaCpp
from journeyman.models.protocol import Decoding
from journeyman.models.remembered import recall_threads
from journeyman.models.template import Template, load_base_template

ANSWERS = "safety.jsonl"
TOKENS = 12  # who refuses says so first
SLOTS = 8  # answers at once
ROOM = 64  # contexts are whole multiples of it
SILENT = {
    "head": "A head answers with its labels only: it can neither refuse nor comply.",
    "nearest": "It answers with what an example says: it can neither refuse nor comply.",
}
UNTUNED = "Nothing was tuned: the weights are the base's, and refuse as it does."


def count_prompts(workspace: Workspace, given: int | None) -> int:
    """Requests of each half: ``given``, else as the project says; 0: none.

    Raises:
        SettingsError: JM-104 no such number.
    """
    number = workspace.project.number("assess", "safety_prompts") if given is None else given
    if number is None or number < 0:
        raise wrong_value(
            workspace.project.root / FILE_NAME, "assess.safety_prompts", f"a number from 0 to {MOST_PROMPTS}", number
        )
    return min(int(number), MOST_PROMPTS)


def check_safety(workspace: Workspace, student: Student, run: RunFolder, most: int) -> SafetyPart | None:
    """Refusals before and after; None where ``most`` is 0. What ``run`` and the project know already is not asked again.

    Raises:
        ModelError: JM-401 the base is not pulled, JM-409 a base of another content, JM-420 not loadable.
    """
    if most == 0:
        return None
    tuned = student.own_weights or student.adapter
    if student.is_light or tuned is None:
        return SafetyPart(note=SILENT.get(student.manifest.kind, UNTUNED))
    base = resolve_exactly(student.manifest.base.name, student.manifest.base.sha256)
    prompts, template = choose_prompts(most), load_base_template(base.path)
    kept = find_run(workspace.project.runs, "base", "safety", {"base": base.sha256})
    kept.path.mkdir(parents=True, exist_ok=True)
    threads = recall_threads(base.sha256) or count_cores()
    with _Asking(prompts, template, student.adapters, threads, workspace.progress) as asking:
        with locked(kept.path / ".lock"):
            before = asking.ask(base.path, None, base.sha256, kept.path / ANSWERS, "refusals before")
        adapter = next(iter(student.adapters), None)
        weights = student.own_weights or base.path
        after = asking.ask(weights, adapter, student.hash, run.path / ANSWERS, "refusals after")
    opening = "{" if student.form == "json" and student.manifest.schema is not None else ""
    return SafetyPart.of(base.name, TOKENS, *compare_refusals(prompts, before, after, opening))


class _Asking:
    """One engine at a time, begun where an answer is missing: base and adapter share theirs."""

    def __init__(
        self,
        prompts: Sequence[SafetyPrompt],
        template: Template,
        adapters: Mapping[str, Path],
        threads: int,
        progress: Progress,
    ) -> None:
        self._ids = {item.text: template.prompt_ids([make_message("user", item.text)]) for item in prompts}
        self._adapters, self._threads, self._progress = adapters, threads, progress
        self._engines: dict[Path, LlamaCpp] = {}
        self._runner = asyncio.Runner()

    def __enter__(self) -> _Asking:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._runner.run(self._close())
        finally:
            self._runner.close()

    def ask(self, weights: Path, adapter: str | None, name: str, answers: Path, what: str) -> dict[str, str]:
        """The beginnings of the answers by request. ``name`` is the hash of what answers."""
        made_by = [name, version("xllamacpp"), TOKENS]
        keys = {text: content_hash([*made_by, list(tokens)]) for text, tokens in self._ids.items()}
        texts = list(self._ids)
        known = keep_answers(
            answers,
            [texts[place : place + SLOTS] for place in range(0, len(texts), SLOTS)],
            keys.__getitem__,
            lambda part: self._runner.run(self._write(weights, adapter, part)),
            self._progress,
            what,
        )
        return {text: str(known[key]) for text, key in keys.items()}

    async def _write(self, weights: Path, adapter: str | None, texts: Sequence[str]) -> list[Json]:
        engine, decoding = await self._open(weights), Decoding(max_tokens=TOKENS)
        found = await asyncio.gather(*(engine.generate(self._ids[text], decoding, adapter=adapter) for text in texts))
        return [item.text for item in found]

    async def _open(self, weights: Path) -> LlamaCpp:
        if weights not in self._engines:
            await self._close()
            context = -(-(max(map(len, self._ids.values())) + TOKENS) // ROOM) * ROOM
            self._engines[weights] = await LlamaCpp.start(
                weights, self._adapters, threads=self._threads, slots=SLOTS, context=context
            )
        return self._engines[weights]

    async def _close(self) -> None:
        for weights in list(self._engines):
            await self._engines.pop(weights).close()
