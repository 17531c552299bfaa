"""`prepare T --quality`: what a dataset holds, and what is wrong with it, each finding with the command that acts on it. Sealed rows are counted and not read.

Labels that are likely wrong come from heads that did not learn the row in question: five folds of near-copy groups, three to learn, one to choose the penalty, one to
look at.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import cast

import numpy as np
import numpy.typing as npt

from journeyman.core.canonical import Json, content_hash, dump
from journeyman.core.errors import TuneError
from journeyman.core.example import SPLITS, Example
from journeyman.core.files import refuse_existing, write_atomic
from journeyman.data.dataset import read_manifest, read_split
from journeyman.data.near import near_text
from journeyman.data.oddities import find_far, find_garbled, says_answer
from journeyman.flows.values import read_value
from journeyman.flows.vectors import embed_rows
from journeyman.flows.workspace import Workspace
from journeyman.guards.redact import USUAL_KINDS, redact
from journeyman.measure.noise import LEAST_ROWS, find_suspects
from journeyman.models.head import ClosedField
from journeyman.task.closed import choices_of
from journeyman.task.prompt import user_text
from journeyman.task.task import Task

FOLDS = 5
FEW, MANY_TIMES = 5, 10
MOST_SHOWN = 5
FEW_SHOWN, LONGEST_SHOWN = 3, 200
READ = ("train", "dev", "calibration")


@dataclass(frozen=True, slots=True)
class Finding:
    """``what`` is wrong with how many rows, and the command that acts on it; ``examples`` are inputs of some that are not sealed."""

    what: str
    rows: int
    command: str
    examples: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Json]:
        return {"what": self.what, "rows": self.rows, "command": self.command, "examples": list(self.examples)}


@dataclass(frozen=True, slots=True)
class Doubt:
    """A row whose value of a closed field is likely another; ``answer`` is all that it says."""

    hash: str
    input: Mapping[str, Json]
    field: str
    value: Json
    likely: Json
    given: float
    taken: float
    answer: Json

    def to_json(self) -> dict[str, Json]:
        return {name: cast(Json, getattr(self, name)) for name in self.__dataclass_fields__} | {
            "input": dict(self.input)
        }


@dataclass(frozen=True, slots=True)
class Quality:
    """``splits`` rows by split; ``lengths`` of inputs and answers in letters at the 5th, 50th and 95th of a hundred, and the longest; ``values`` train rows by closed field and
    value; ``scripts`` rows by writing; ``doubts`` the most certain first, ``unlooked`` why labels were not looked at."""

    task: str
    dataset: str
    splits: Mapping[str, int]
    lengths: Mapping[str, tuple[int, int, int, int]]
    values: Mapping[str, Mapping[str, int]]
    scripts: Mapping[str, int]
    groups: int
    findings: tuple[Finding, ...]
    doubts: tuple[Doubt, ...]
    unlooked: str

    def to_json(self) -> dict[str, Json]:
        own = {name: cast(Json, getattr(self, name)) for name in self.__dataclass_fields__}
        lists: dict[str, Json] = {
            "lengths": {name: list(ends) for name, ends in self.lengths.items()},
            "findings": [item.to_json() for item in self.findings],
            "doubts": [item.to_json() for item in self.doubts],
        }
        return own | lists


def inspect_dataset(workspace: Workspace, task_name: str) -> Quality:
    """Of the latest dataset of a task.

    Raises:
        DataError: JM-352 nothing prepared. ModelError: JM-403, JM-438 of the embedding model, where there is one.
    """
    task = workspace.task(task_name)
    dataset, manifest = read_manifest(workspace.store, task_name)
    rows = [row for split in READ for row in read_split(workspace.store, manifest, split)]  # type: ignore[arg-type]
    sizes = {str(split): len(cast(list[Json], cast(dict[str, Json], manifest["splits"])[split])) for split in SPLITS}
    lengths = {"input": [len(near_text(row)) for row in rows]}
    lengths["answer"] = [len(dump(row.answer.to_json())) for row in rows if row.answer is not None]
    values = {field: _count_values(field, found, rows) for field, found in choices_of(task.schema)}
    vectors = embed_rows([user_text(task, row.input) for row in rows], workspace.progress)[0]
    answered = [place for place, row in enumerate(rows) if row.answer is not None]
    doubts, unlooked = find_doubts(task, [rows[place] for place in answered], vectors[answered])
    quality = Quality(
        task=task_name,
        dataset=dataset,
        splits=sizes,
        lengths={name: _ends(counts) for name, counts in lengths.items() if counts},
        values=values,
        scripts=dict(Counter(_script(near_text(row)) for row in rows).most_common()),
        groups=len({row.group for row in rows}),
        findings=(),
        doubts=tuple(doubts),
        unlooked=unlooked,
    )
    return _judge(quality, task, rows, manifest, _find_odd(task, rows, vectors))


def write_doubts(quality: Quality, out: Path, now: str) -> int:
    """Rows to look at, as pairs that `import` reads once ``gold`` is filled in; the time makes it win over an earlier gold. Raises: StoreError: JM-822 the file exists."""
    refuse_existing(out, is_file=True)
    lines = [
        json.dumps(
            {
                "input": dict(item.input),
                "field": item.field,
                "value": item.value,
                "likely": item.likely,
                "answer": item.answer,
                "gold": None,
                "time": now,
            },
            ensure_ascii=False,
        )
        for item in quality.doubts
    ]
    write_atomic(out, "".join(f"{line}\n" for line in lines))
    return len(lines)


def _find_odd(task: Task, rows: Sequence[Example], vectors: npt.NDArray[np.float32]) -> list[Finding]:
    """Rows whose text alone tells that something is wrong with them."""
    texts, mend = [near_text(row) for row in rows], f"journeyman import FIXED.jsonl --task {task.name}"
    odd = {
        "inputs of far fewer letters than is usual": (
            [texts[row] for row in find_garbled(texts)],
            "look at them: leave them out, or clean them before import",
        ),
        "inputs unlike all others": (
            [texts[row] for row in find_far(vectors) if texts[row].strip()],
            f"look at them; journeyman synthesize {task.name} makes more of those that belong",
        ),
    }
    for field, _values in choices_of(task.schema):
        said = [text for text, row in zip(texts, rows, strict=True) if _says_own(text, row, field)]
        odd[f"inputs that say their own {field or 'answer'}"] = (said, f"take it out of the text, then {mend}")
    return [
        Finding(what, len(found), command, tuple(text[:LONGEST_SHOWN] for text in found[:FEW_SHOWN]))
        for what, (found, command) in odd.items()
        if found
    ]


def _says_own(text: str, row: Example, field: str) -> bool:
    value = read_value(row, field)
    return isinstance(value, str) and says_answer(text, field, value)


def _judge(
    quality: Quality, task: Task, rows: Sequence[Example], manifest: Mapping[str, Json], odd: Sequence[Finding]
) -> Quality:
    name = task.name
    found = list[Finding]()
    for crossing in cast(list[dict[str, Json]], manifest.get("crossing") or []):
        what = f"pairs of {crossing['kind']} across {crossing['first']} and {crossing['second']}, which were given to their split at import"
        found.append(Finding(what, cast(int, crossing["pairs"]), "import one of the files without --split"))
    contradictions = len(cast(list[Json], manifest.get("contradictions") or []))
    if contradictions:
        found.append(
            Finding("inputs with contradicting answers", contradictions, f"journeyman import FIXED.jsonl --task {name}")
        )
    for field, counts in quality.values.items():
        rare = [value for value, count in counts.items() if count < FEW]
        if rare:
            shown = ", ".join(rare[:MOST_SHOWN]) + (", ..." if len(rare) > MOST_SHOWN else "")
            what = f"values of {field or 'the answer'} with fewer than {FEW} rows: {shown}"
            found.append(
                Finding(
                    what,
                    sum(counts[value] for value in rare),
                    f"journeyman synthesize {name} --n {FEW * 4 * len(rare)}",
                )
            )
    typical = quality.lengths["input"][1] if "input" in quality.lengths else 0
    if long := [row for row in rows if len(near_text(row)) > MANY_TIMES * max(typical, 1)]:
        found.append(
            Finding(
                f"inputs over {MANY_TIMES} times as long as the middle one",
                len(long),
                f"journeyman tune {name} says which are cut",
            )
        )
    if copies := len(rows) - quality.groups:
        found.append(
            Finding(
                "rows that are near copies of another",
                copies,
                "nothing: a group is on one side, and counts as one draw",
            )
        )
    foreign = sum(count for place, count in enumerate(quality.scripts.values()) if place)
    if foreign:
        found.append(
            Finding(
                "rows in another script than most", foreign, f"journeyman synthesize {name} --n 200 --language LANGUAGE"
            )
        )
    personal = sum((Counter(redact([near_text(row)]).counts) for row in rows), Counter[str]())
    personal = Counter({kind: count for kind, count in personal.items() if kind in USUAL_KINDS})
    if personal:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in personal.most_common())
        found.append(
            Finding(
                f"personal data in rows that were given to a split at import ({kinds})",
                sum(personal.values()),
                "import them without --split",
            )
        )
    if restricted := sum(row.terms == "restricted" for row in rows):
        found.append(
            Finding(
                "rows whose terms restrict training",
                restricted,
                f"journeyman release {name} --force REASON, or leave them out",
            )
        )
    found += odd
    if quality.doubts:
        found.append(
            Finding(
                "labels that are likely wrong",
                len(quality.doubts),
                f"journeyman prepare {name} --quality --doubts FILE, then fill in gold and import it",
            )
        )
    return Quality(**{key: getattr(quality, key) for key in quality.__dataclass_fields__} | {"findings": tuple(found)})


def find_doubts(task: Task, rows: Sequence[Example], vectors: npt.NDArray[np.float32]) -> tuple[list[Doubt], str]:
    """Of rows with an answer, the most certain first; and why labels were not looked at, or only some of them. ``vectors`` [n, d] of their inputs."""
    closed = choices_of(task.schema)
    if not closed:
        return [], "the answer has no closed field"
    if len(rows) < LEAST_ROWS:
        return [], f"fewer than {LEAST_ROWS} rows with an answer"
    from journeyman.tuning.heads import number_values  # here: torch takes seconds, and few rows need it not

    folds = _fold(rows)
    doubts: list[Doubt] = []
    for name, values in closed:
        field = ClosedField(name, tuple(values))
        try:
            labels = number_values(field, [read_value(row, name) for row in rows])
            shares = cross_validate(field, vectors, labels, folds)
        except TuneError as error:
            return doubts, f"{name or 'the answer'}: {error.what}"
        doubts += [
            Doubt(
                rows[item.row].hash,
                rows[item.row].input,
                name,
                values[item.label],
                values[item.likely],
                round(item.given, 4),
                round(item.taken, 4),
                read_value(rows[item.row], ""),
            )
            for item in find_suspects(shares, labels)
        ]
    return sorted(doubts, key=lambda item: item.given - item.taken), ""


def cross_validate(
    field: ClosedField, vectors: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], folds: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Probabilities [n, k] of each row by a head that learned other folds. Raises: TuneError: JM-56x folds that nothing can be learned from."""
    from journeyman.tuning.heads import HeadRows, train_head

    shares = np.zeros((len(labels), len(field.values)))
    for fold in range(FOLDS):
        looked, choosing = folds == fold, folds == (fold + 1) % FOLDS
        learned = ~(looked | choosing)
        train, dev = (HeadRows(vectors[part], labels[part]) for part in (learned, choosing))
        head, _report = train_head(field, train, dev, kinds=("linear",))
        shares[looked] = head.probabilities(vectors[looked])
    return shares


def _fold(rows: Sequence[Example]) -> npt.NDArray[np.int64]:
    """By group, groups in the order of their hashes."""
    order = {group: place for place, group in enumerate(sorted({row.group for row in rows}, key=content_hash))}
    return np.array([order[row.group] % FOLDS for row in rows], dtype=np.int64)


def _count_values(field: str, values: Sequence[Json], rows: Sequence[Example]) -> dict[str, int]:
    counts = Counter(dump(read_value(row, field)) for row in rows if row.answer is not None)
    return {dump(value): counts[dump(value)] for value in values}


def _ends(counts: Sequence[int]) -> tuple[int, int, int, int]:
    if len(counts) < 2:
        return (counts[0],) * 4
    cuts = quantiles(counts, n=20, method="inclusive")
    return round(cuts[0]), round(cuts[9]), round(cuts[18]), max(counts)


def _script(text: str) -> str:
    """The writing that most of the first letters are of."""
    names = Counter(unicodedata.name(char, "unknown").split()[0] for char in text[:200] if char.isalpha())
    return names.most_common(1)[0][0].lower() if names else "none"
