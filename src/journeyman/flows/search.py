"""`tune --budget 20m`: rate and rank by successive halving on dev, inside a stated time; the winner has what is left of it.

Every candidate gets the same few tokens on a schedule of its own, the better half gets twice as many, and so on (Jamieson & Talwalkar
2016, arXiv:1502.07943). A candidate's score is its loss on dev rows: exactness moves too late to tell short runs apart. Each trial's
outcome is kept, so a killed search goes on after its last whole trial.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

from journeyman.core.canonical import Json, content_hash
from journeyman.core.errors import TuneError
from journeyman.core.files import append_line, read_whole_lines
from journeyman.core.progress import Silent
from journeyman.flows.lessons import Lesson, Work
from journeyman.tuning.loop import tune
from journeyman.tuning.objective import score_rows
from journeyman.tuning.plan import LIMITS, Method, make_plan
from journeyman.tuning.trainable import make_trainable

# Of the budget, what trials may take; the rest is the winner's, less what a slower machine could cost.
SEARCH_SHARE, FINAL_SHARE = 0.4, 0.5
RATES, RANKS = (0.5, 1.0, 2.0), (1, 2)
LEAST_STEPS = 30  # of a trial: fewer say nothing
MOST_DEV = 96
MOST_EPOCHS = 10.0
TRIALS = "trials.jsonl"


@dataclass(frozen=True, slots=True)
class Trial:
    settings: Mapping[str, Json]
    tokens: int
    loss: float
    seconds: float


def search(work: Work, lesson: Lesson, given: Mapping[str, Json], method: Method, budget_s: float) -> dict[str, Json]:
    """Settings for the final run, of which ``epochs`` fill the rest of the budget.

    Raises:
        TuneError: JM-536 the budget is too short for one trial.
    """
    first = _try(work, lesson, dict(given), method, _least_tokens(lesson, given, method))
    speed = first.tokens / max(first.seconds, 1e-6)
    candidates = _candidates(work, lesson, given, method)
    tokens, count = _first_rung(speed * SEARCH_SHARE * budget_s, len(candidates), first.tokens)
    if speed * FINAL_SHARE * budget_s < first.tokens:
        raise TuneError(
            "JM-536",
            "this budget is too short",
            expected=f"at least {2 * first.tokens / speed:.0f} s, at {speed:.0f} tokens/s",
            got=f"{budget_s:.0f} s",
            hint="give more time, or tune without --budget",
        )
    note = work.progress.note
    if count < 2:
        note(f"no time to search at {speed:.0f} tokens/s: the derived settings have it all")
        best: Mapping[str, Json] = {}
        spent = first.seconds
    else:
        best, spent = _halve(work, lesson, candidates[:count], method, tokens)
        spent += first.seconds
    rest = max(FINAL_SHARE * budget_s, (1 - 0.1) * budget_s - spent)
    total = sum(len(row.ids) for row in lesson.rows)
    epochs = min(MOST_EPOCHS, speed * rest / total)
    if epochs < LIMITS["epochs"][0]:
        raise TuneError(
            "JM-536",
            "this budget is too short",
            expected=f"time for {LIMITS['epochs'][0]} of a pass over {total} tokens, at {speed:.0f} tokens/s",
            got=f"{budget_s:.0f} s",
            hint="give more time, or tune without --budget on fewer rows",
        )
    note(f"search: {spent:.0f} s, {dict(best) or 'nothing changed'}; {epochs:.2f} passes in the rest of the time")
    return dict(given) | dict(best) | {"epochs": round(cast(float, given.get("epochs", epochs)), 3)}


def _candidates(work: Work, lesson: Lesson, given: Mapping[str, Json], method: Method) -> list[dict[str, Json]]:
    """The derived setting first, then its neighbours; what the caller gave is never varied."""
    plan = make_plan(lesson.rows, given, method, work.decoder.weight_size())
    rates = (
        [None] if "rate" in given else [plan.number("rate") * factor for factor in sorted(RATES, key=lambda f: f != 1)]
    )
    is_full = plan.text("kind") == "full"
    ranks = [None] if "rank" in given or is_full else [plan.whole("rank") * factor for factor in RANKS]
    found = []
    for rank in ranks:
        for rate in rates:
            varied: dict[str, Json] = {}
            if rate is not None:
                varied["rate"] = rate
            if rank is not None:
                varied["rank"] = rank
            found.append(dict(given) | varied)
    return found


def _first_rung(affordable: float, candidates: int, least: int) -> tuple[int, int]:
    """Tokens of a trial in the first rung, and how many candidates can be in it: each rung costs about the same."""
    count = candidates
    while count >= 2:
        rungs = max(1, count.bit_length() - 1)
        tokens = int(affordable / (rungs * count))
        if tokens >= least:
            return tokens, count
        count -= 1
    return least, 1


def _halve(
    work: Work, lesson: Lesson, candidates: list[dict[str, Json]], method: Method, tokens: int
) -> tuple[dict[str, Json], float]:
    spent = 0.0
    work.progress.start("search", len(candidates), "candidates")
    while len(candidates) > 1:
        trials = []
        for settings in candidates:
            trial = _try(work, lesson, settings, method, tokens)
            spent += trial.seconds
            trials.append(trial)
            work.progress.advance(0.5, f"dev loss {trial.loss:.3f} at {_describe(settings)}")
        trials.sort(key=lambda trial: trial.loss)
        candidates = [dict(trial.settings) for trial in trials[: len(trials) // 2]]
        tokens *= 2
    work.progress.finish()
    return candidates[0], spent


def _try(work: Work, lesson: Lesson, settings: Mapping[str, Json], method: Method, tokens: int) -> Trial:
    """Tune fresh weights for ``tokens``, score dev; known trials are read."""
    path = work.folder / TRIALS
    key = content_hash({"settings": dict(settings), "tokens": tokens})
    for line in read_whole_lines(path):
        raw = json.loads(line)
        if raw["key"] == key:
            return Trial(settings, tokens, raw["loss"], raw["seconds"])
    short = {name: value for name, value in settings.items() if name != "epochs"} | {"evaluations": 1}
    plan = replace(make_plan(lesson.rows, short, method, work.decoder.weight_size()), total_tokens=tokens)
    folder = work.folder / "trial"
    shutil.rmtree(folder, ignore_errors=True)
    weights = make_trainable(work.decoder, plan)
    objective = lesson.make(plan, weights, [])
    tuned = tune(work.decoder, weights, objective, plan, folder, Silent())
    loss = score_rows(work.decoder, weights, lesson.dev[:MOST_DEV]).loss
    shutil.rmtree(folder, ignore_errors=True)
    trial = Trial(settings, tokens, loss, tuned.cursor.seconds)
    append_line(
        path,
        json.dumps({"key": key, "settings": dict(settings), "tokens": tokens, "loss": loss, "seconds": trial.seconds}),
    )
    return trial


def _least_tokens(lesson: Lesson, given: Mapping[str, Json], method: Method) -> int:
    """Tokens of the least steps, of whole rows: a step's own size leaves out what its rows share."""
    whole, own = sum(len(row.ids) for row in lesson.rows), sum(row.own for row in lesson.rows)
    return LEAST_STEPS * math.ceil(make_plan(lesson.rows, given, method).whole("batch_tokens") * whole / max(1, own))


def _describe(settings: Mapping[str, Json]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in settings.items() if isinstance(value, int | float))
