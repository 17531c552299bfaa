"""The parity gate: does the exported student, in the engine that serves it, answer what torch answers in fp32?

Token ids and rendered prompts must be equal. Greedy answers must be equal on at least 97 % of the prompts (llama.cpp quantizes
activations, so not all can be), the task metric may differ by at most one point, and a first difference where torch's two best
logits are more than 1.0 apart is a failure. Whose failure it is, the export's or that of the engine's arithmetic on quantized weights, the
same adapter on weights in fp32 says. Prompts come from dev, calibration and unlabelled rows, then from train, never from sealed rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from journeyman.core.canonical import Json
from journeyman.core.errors import TuneError
from journeyman.core.example import Example, Target
from journeyman.core.progress import Progress
from journeyman.models.codes import Writing
from journeyman.models.llamacpp import LlamaCpp
from journeyman.models.protocol import Decoding
from journeyman.models.template import Template
from journeyman.models.torch_decoder import Decoder
from journeyman.task.answer import read_answer
from journeyman.task.prompt import student_messages
from journeyman.task.task import Task
from journeyman.tuning.batching import TuneRow
from journeyman.tuning.gguf_model import save_model
from journeyman.tuning.reference import compare_served, generate
from journeyman.tuning.trainable import Trainable

PROMPTS = 200
LEAST_EQUAL = 0.97
MOST_METRIC_DIFFERENCE = 0.01
LARGEST_GAP = 1.0


@dataclass(frozen=True, slots=True)
class Parity:
    """``n`` prompts; ``equal`` of them with the same greedy answer; metrics are exact match on the labelled ones.

    ``exact_gap`` is the largest gap where the prompts with a gap too large were asked again on weights in fp32; None: none was.
    """

    n: int
    sources: dict[str, int]
    prompt_mismatches: int
    equal: int
    largest_gap: float
    exact_gap: float | None
    labelled: int
    torch_exact: int
    served_exact: int
    defects: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def is_passed(self) -> bool:
        return not self.problems and not self.defects

    def to_json(self) -> dict[str, Json]:
        raw: dict[str, Json] = asdict(self)
        return raw | {"is_passed": self.is_passed, "problems": list(self.problems), "defects": list(self.defects)}


def choose_prompts(splits: dict[str, Sequence[Example]], count: int = PROMPTS) -> list[tuple[str, Example]]:
    """Dev, calibration and unlabelled rows first; train rows fill up to ``count``."""
    chosen = [(name, row) for name in ("dev", "calibration", "unlabelled") for row in splits.get(name, ())]
    chosen += [("train", row) for row in splits.get("train", ())][: max(0, count - len(chosen))]
    return chosen[:count]


@dataclass(frozen=True, slots=True)
class Trial:
    """What both are asked, and how their answers are read."""

    task: Task
    template: Template
    prompts: Sequence[tuple[str, Example]]
    max_tokens: int
    writing: Writing | None = None

    def ids(self) -> list[list[int]]:
        return [self.template.prompt_ids(student_messages(self.task, row.input)) for _source, row in self.prompts]

    def read(self, ids: Sequence[int]) -> Target | None:
        text = self.template.tokenizer.decode(ids)
        return read_answer(self.task, self.writing.read(text) if self.writing else text)[0]


async def ask_engine(
    trial: Trial, weights: Path, adapters: Mapping[str, Path], progress: Progress
) -> tuple[list[TuneRow], int]:
    """The engine's greedy answers as rows of tokens, and how many prompts have other token ids there than here.

    ``weights`` is the GGUF to load; ``adapters`` holds at most one, which then answers.
    """
    engine = await LlamaCpp.start(weights, adapters)
    try:
        return await _ask(trial, next(iter(adapters), None), engine, progress)
    finally:
        await engine.close()


async def _ask(trial: Trial, adapter: str | None, engine: LlamaCpp, progress: Progress) -> tuple[list[TuneRow], int]:
    template, end = trial.template, trial.template.tokenizer.end
    progress.start("parity", len(trial.prompts), "prompts")
    served: list[TuneRow] = []
    mismatches = 0
    for (_source, row), ids in zip(trial.prompts, trial.ids(), strict=True):
        rendered = template.render(student_messages(trial.task, row.input))
        mismatches += ids != list(await engine.tokenize(rendered))
        reply = await engine.generate(ids, Decoding(max_tokens=trial.max_tokens), adapter=adapter)
        answer = [token for token in reply.token_ids if token != end]
        served.append(TuneRow((*ids, *answer, *((end,) if reply.finish_reason == "stop" else ())), len(ids)))
        progress.advance()
    progress.finish()
    return served, mismatches


def ask_in_fp32(
    trial: Trial, decoder: Decoder, base: Path, adapters: Mapping[str, Path], path: Path, progress: Progress
) -> list[TuneRow]:
    """``ask_engine`` on the base's weights written to ``path`` in fp32, for which the engine does not quantize activations; the file goes."""
    try:
        save_model(path, decoder, base, "F32", base.stem)
        return asyncio.run(ask_engine(trial, path, adapters, progress))[0]
    finally:
        path.unlink(missing_ok=True)


def judge_served(
    trial: Trial,
    decoder: Decoder,
    weights: Trainable | None,
    served: Sequence[TuneRow],
    mismatches: int,
    ask_exactly: Callable[[Trial], Sequence[TuneRow]] | None = None,
) -> Parity:
    """Run torch once over what was served, and let it answer where the two part.

    ``ask_exactly`` serves the same on weights in fp32: what has a gap too large is asked again there.
    """
    prompts = trial.prompts
    differences = compare_served(decoder, weights, served)
    torch_exact = served_exact = labelled = equal = 0
    largest = 0.0
    unlike = [index for index, difference in enumerate(differences) if difference.place is not None]
    asked = [served[index].ids[: served[index].start] for index in unlike]
    answered = generate(decoder, weights, asked, trial.template.tokenizer.end, trial.max_tokens)
    in_torch = {index: answer.ids for index, answer in zip(unlike, answered, strict=True)}
    for index, ((_source, row), answer, difference) in enumerate(zip(prompts, served, differences, strict=True)):
        equal += difference.place is None
        largest = max(largest, difference.gap)
        if row.answer is None:
            continue
        labelled += 1
        ours = trial.read(answer.ids[answer.start :])
        theirs = trial.read(in_torch[index]) if index in in_torch else ours
        served_exact += ours == row.answer
        torch_exact += theirs == row.answer
    sources: dict[str, int] = {}
    for source, _row in prompts:
        sources[source] = sources.get(source, 0) + 1
    far = [prompt for prompt, difference in zip(prompts, differences, strict=True) if difference.gap > LARGEST_GAP]
    exact_gap = None
    if far and ask_exactly:
        again = compare_served(decoder, weights, ask_exactly(replace(trial, prompts=far)))
        exact_gap = round(max(difference.gap for difference in again), 4)
    return Parity(
        n=len(prompts),
        sources=sources,
        prompt_mismatches=mismatches,
        equal=equal,
        largest_gap=round(largest, 4),
        exact_gap=exact_gap,
        labelled=labelled,
        torch_exact=torch_exact,
        served_exact=served_exact,
        defects=_defects(len(prompts), mismatches, largest if exact_gap is None else exact_gap),
        problems=_problems(len(prompts), equal, labelled, torch_exact, served_exact)
        + (() if exact_gap is None else (f"{_far(largest)}, and of {exact_gap:.2f} on weights in fp32",)),
    )


def _defects(n: int, mismatches: int, largest: float) -> tuple[str, ...]:
    """What a sound export can never show."""
    defects = []
    if mismatches:
        defects.append(f"{mismatches} of {n} prompts have other token ids in the engine")
    if largest > LARGEST_GAP:
        defects.append(_far(largest))
    return tuple(defects)


def _far(largest: float) -> str:
    return f"a first difference has a logit gap of {largest:.2f}, at most {LARGEST_GAP} may be"


def _problems(n: int, equal: int, labelled: int, torch_exact: int, served_exact: int) -> tuple[str, ...]:
    """What a sound export of an unsure student shows too, since the engine quantizes activations."""
    problems = []
    if equal < LEAST_EQUAL * n:
        problems.append(f"{equal} of {n} greedy answers are equal, at least {LEAST_EQUAL:.0%} must be")
    if labelled and abs(torch_exact - served_exact) > MOST_METRIC_DIFFERENCE * labelled:
        problems.append(f"exact match is {served_exact} served and {torch_exact} in torch, of {labelled}")
    return tuple(problems)


def refuse_defects(parity: Parity) -> None:
    """Raises: TuneError JM-506 with every defect. A student that fails on ``problems`` alone can be assessed, not released."""
    if parity.defects:
        raise TuneError(
            "JM-506",
            "the exported student does not answer what the tuned one answers",
            got="; ".join((*parity.defects, *parity.problems)),
            hint="this is a defect of the export; keep the run folder and report it",
        )
