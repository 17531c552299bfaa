"""A prompt-injection guard that is trained by the loop, at 1 % false alarms, beside a packaged one on the same rows.

    python benchmarks/injection.py [--data FOLDER] [--folder F] [--embedded-turns 0 1 6 7] [--no-rival] [--json]

The rows are those of `examples/injection_guard/make_files.py`: eight turns, each with a project of its own for each kind of head, each sealing other inserted sentences,
so that every sentence is scored once, by guards that never saw it. MiniLM's vectors cost most of the time: ``--embedded-turns`` says in which turns it has a head. Import,
prepare, tune and assess are the product's; sealed rows are looked at once per project, by `assess`, and the ledger is counted. Thresholds are set on calibration rows.
Our scores are the chances that the server says. Everything has one core. Results go to benchmarks/results/injection.json and docs/results/injection.md.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from machine import ROOT, describe_commit, describe_machine, make_parser, write_result
from rivals import NoRival, rival_python, run_script
from scipy.stats import rankdata

from journeyman.data.dataset import read_manifest
from journeyman.evaluation.run import Prediction, Row, load_predictions
from journeyman.flows.assess import assess
from journeyman.flows.prepare import import_sources, prepare_task
from journeyman.flows.rows import read_rows
from journeyman.flows.serving import open_classifier, open_features, student_name
from journeyman.flows.student import Student
from journeyman.flows.tune import tune
from journeyman.flows.workspace import Workspace, open_workspace
from journeyman.guards.redact import Redactor
from journeyman.measure.bootstrap import bootstrap_ratio
from journeyman.measure.intervals import clopper_pearson

Document = dict[str, Any]
Thresholds = Mapping[str, Mapping[int, float]]  # by guard and turn
RESULT, PAGE = ROOT / "benchmarks/results/injection.json", ROOT / "docs/results/injection.md"
EXAMPLE = ROOT / "examples/injection_guard"
HEADS = {"words": "words", "MiniLM": "embedding"}
RIVAL, HIGHEST, OWN, MS = "SecureVector", "SecureVector, highest window", "SecureVector, its own verdict", "ms"
EITHER = "either"
RATE = 0.01  # of false alarms
LEAST = 0.5  # a guard acts where `injection` is the answer, so no threshold of two answers goes below
POINTS = ("all benign", "plain")
KINDS = {
    "recall": ("attack",),
    "false alarms": ("plain", "control"),
    "on plain": ("plain",),
    "on controls": ("control",),
}
SPLITS = {"sealed": "test", "calibration": "calibration", "dev": "dev", "train": "train"}


@dataclass(frozen=True, slots=True)
class Scored:
    """One row of one turn: ``kind`` attack, control or plain, its inserted sentence, and a chance per guard. ``is_pool``: from the further passages."""

    turn: int
    text: str
    kind: str
    inserted: str
    is_pool: bool
    scores: Mapping[str, float]

    @property
    def unit(self) -> str:
        """What is drawn as one: all rows with one sentence."""
        return self.inserted or self.text


@dataclass(frozen=True, slots=True)
class Guard:
    """One trained guard: its chances by text, of calibration and of sealed rows, milliseconds per sealed call over the server, looks in its ledger, rows by split."""

    student: Student
    calibration: Mapping[str, float]
    sealed: Mapping[str, float]
    latencies_ms: Sequence[float]
    looks: int
    rows: Mapping[str, int]


Trained = Mapping[str, Mapping[int, Guard]]
Rival = Mapping[str, Mapping[str, float]]


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--embedded-turns", type=int, nargs="*", default=list(range(8)))
    parser.add_argument("--no-rival", action="store_true")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        document = measure(arguments.data, folder, arguments.embedded_turns, not arguments.no_rival)
    write_result(RESULT, document)
    PAGE.write_text(describe(document), encoding="utf-8")
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if arguments.json else describe(document))
    return 0


def measure(data: Path, folder: Path, embedded_turns: Sequence[int], is_with_rival: bool) -> Document:
    files = load_example()
    items = list(files.read_items(data))
    pool = list(files.read_pool(data, items))
    dealt = [files.make_files(items, pool, turn) for turn in range(files.PARTS)]
    texts = {item.text: _redacted(item.text) for turn in dealt for found in turn.values() for item in found}
    rival, why = _score_rival(list(texts.values()), folder, is_with_rival)
    trained = {
        name: {
            turn: train(parts, folder / f"{turn}-{name}", features)
            for turn, parts in enumerate(dealt)
            if features != "embedding" or turn in embedded_turns
        }
        for name, features in HEADS.items()
    }
    known, split = {item.text for item in items}, dict[str, list[Scored]]()
    for name in ("calibration", "sealed"):
        split[name] = [
            Scored(turn, text, item.kind, item.inserted, item.text not in known, _scores(text, turn, trained, rival))
            for turn, parts in enumerate(dealt)
            for item in parts[name]
            for text in [texts[item.text]]
        ]
    parts = {"both heads": list(HEADS)}
    if len(trained["MiniLM"]) < len(dealt):
        parts = {"words, all turns": ["words"]} | (parts if trained["MiniLM"] else {})
    thresholds = find_thresholds(split["calibration"], [*HEADS, *_judges(rival)], POINTS[0])
    return {
        "machine": describe_machine() | {"threads": 1, "shared": True},
        "commit": describe_commit(),
        "rival": why,
        "looks": {name: [guard.looks for guard in guards.values()] for name, guards in trained.items()},
        "rows_of_first_turn": trained["words"][0].rows,
        "parts": {
            title: measure_part(split["calibration"], split["sealed"], heads, _judges(rival))
            for title, heads in parts.items()
        },
        "sentences": by_sentence(split["sealed"], thresholds),
        "latency_ms": measure_latency(trained, split["sealed"], rival),
        "shift": measure_shift(data, trained, thresholds, folder, files.MOST_CHARACTERS, bool(rival)),
    }


def train(parts: Mapping[str, Sequence[Any]], folder: Path, features: str) -> Guard:
    """Import, prepare, tune and assess in a project of its own; a kept folder goes on."""
    sys.stderr.write(f"== {folder.name}\n")
    (folder / "tasks").mkdir(parents=True, exist_ok=True)
    for name in ("journeyman.toml", "tasks/injection.yaml"):
        shutil.copy(EXAMPLE / name, folder / name)
    with open_workspace(folder) as workspace:
        for name, split in SPLITS.items():
            path = folder / f"{name}.jsonl"
            lines = (json.dumps(item.to_row(), ensure_ascii=False) + "\n" for item in parts[name])
            path.write_text("".join(lines), encoding="utf-8")
            import_sources(workspace, "injection", [str(path)], split=cast(Any, split), terms="free")
        prepare_task(workspace, "injection")
        tune(workspace, "injection", {"kind": "head", "features": features})
        return read_guard(workspace)


def read_guard(workspace: Workspace) -> Guard:
    """What `assess` asked the student through the server, from the answers that it keeps."""
    assessed = assess(workspace, "injection")
    task, student = workspace.task("injection"), assessed.student
    _, manifest = read_manifest(workspace.store, "injection")
    rows = read_rows(workspace.store, manifest)

    def answers(of: list[Row], name: str) -> list[tuple[Row, Prediction]]:
        path = assessed.run.path / f"student-{name}.jsonl"
        found = load_predictions(student_name(task, student), task, of, path, with_confidence=True)
        assert len(found) == len(of), f"{len(of) - len(found)} rows of {path} have no answer"
        return found

    calibration = answers(rows.fit, "fit") + answers(rows.threshold, "threshold")
    sealed = answers(rows.sealed, "test")
    return Guard(
        student,
        {str(row.input["text"]): _chance(said) for row, said in calibration},
        {str(row.input["text"]): _chance(said) for row, said in sealed},
        [said.latency_ms for _, said in sealed if said.latency_ms is not None],
        len(workspace.store.looks("injection")),
        {"train": len(rows.train), "dev": len(rows.dev), "calibration": len(calibration), "sealed": len(sealed)},
    )


def measure_part(
    calibration: Sequence[Scored], sealed: Sequence[Scored], heads: Sequence[str], judges: Sequence[str]
) -> Document:
    """The turns in which all of these heads were trained, with the rival on the same rows."""
    before, rows = ([row for row in of if set(heads) <= row.scores.keys()] for of in (calibration, sealed))
    names = [*heads, *judges]
    found = {point: find_thresholds(before, names, point) for point in POINTS}
    return {
        "turns": sorted({row.turn for row in rows}),
        "calibration_rows": {point: count_calibration(before, point) for point in POINTS},
        "thresholds": {
            point: {name: [round(value, 4) for value in turns.values()] for name, turns in of.items()}
            for point, of in found.items()
        },
        "auc": {name: measure_auc(rows, name) for name in names},
        "points": {point: measure_point(rows, of) for point, of in found.items()},
        "own_verdict": measure_alarms(rows, [row.scores[OWN] > 0 for row in rows]) if judges else None,
    }


def find_threshold(benign: Iterable[float], rate: float, least: float = 0.0) -> float:
    """The lowest threshold that at most ``rate`` of these chances reach, and at least ``least``."""
    ordered = sorted(benign, reverse=True)
    return max(least, float(np.nextafter(ordered[int(rate * len(ordered))], np.inf)))


def find_thresholds(rows: Sequence[Scored], names: Sequence[str], point: str) -> dict[str, dict[int, float]]:
    """From each turn's calibration rows. `either` is both heads as two guards, each at half the rate."""

    def of(name: str, rate: float) -> dict[int, float]:
        benign: dict[int, list[float]] = {}
        for row in rows:
            if name in row.scores and counts(row, point):
                benign.setdefault(row.turn, []).append(row.scores[name])
        least = LEAST if name in HEADS else 0.0
        return {turn: find_threshold(chances, rate, least) for turn, chances in benign.items()}

    found = {name: of(name, RATE) for name in names}
    return found | ({f"{EITHER}: {name}": of(name, RATE / 2) for name in HEADS} if set(HEADS) <= set(names) else {})


def counts(row: Scored, point: str) -> bool:
    """Whether a calibration row counts: benign ones as the set mixes them, or all plain ones."""
    return row.kind == "plain" if point == "plain" else row.kind != "attack" and not row.is_pool


def count_calibration(rows: Sequence[Scored], point: str) -> Document:
    found = [row.turn for row in rows if counts(row, point)]
    sizes = [found.count(turn) for turn in set(found)]
    return {"least": min(sizes), "most": max(sizes)}


def alarms_of(rows: Sequence[Scored], name: str, thresholds: Thresholds) -> list[bool]:
    if name == EITHER:
        pairs = zip(*(alarms_of(rows, f"{EITHER}: {head}", thresholds) for head in HEADS), strict=True)
        return [any(pair) for pair in pairs]
    return [row.scores[name.removeprefix(f"{EITHER}: ")] >= thresholds[name][row.turn] for row in rows]


def measure_point(rows: Sequence[Scored], thresholds: Thresholds) -> Document:
    names = [name for name in thresholds if not name.startswith(EITHER)]
    names += [EITHER] if len(names) < len(thresholds) else []
    alarms = {name: alarms_of(rows, name, thresholds) for name in names}
    found = {name: measure_alarms(rows, said) for name, said in alarms.items()}
    for name in names:
        others = [other for other in ("words", RIVAL, HIGHEST) if other in alarms and other != name]
        if not name.startswith(RIVAL):
            found[name]["beside"] = {other: compare(rows, alarms[name], alarms[other]) for other in others}
    return found


def measure_alarms(rows: Sequence[Scored], alarms: Sequence[bool]) -> Document:
    """Recall, and the share of benign rows with an alarm, in all and by kind."""
    pairs = list(zip(rows, alarms, strict=True))
    return {name: measure_share([pair for pair in pairs if pair[0].kind in kinds]) for name, kinds in KINDS.items()}


def measure_share(rows: Sequence[tuple[Scored, bool]]) -> Document:
    """``exact`` takes rows as independent (Clopper-Pearson); ``low`` and ``high`` draw units again."""
    units: dict[str, list[bool]] = {}
    for row, said in rows:
        units.setdefault(row.unit, []).append(said)
    hits = sum(said for _, said in rows)
    drawn = bootstrap_ratio([sum(of) for of in units.values()], [len(of) for of in units.values()])
    exact = clopper_pearson(hits, len(rows))
    return {
        "value": round(hits / len(rows), 4),
        "low": round(drawn.low, 4),
        "high": round(drawn.high, 4),
        "exact": [round(exact.low, 4), round(exact.high, 4)],
        "hits": hits,
        "n": len(rows),
        "units": len(units),
    }


def compare(rows: Sequence[Scored], ours: Sequence[bool], theirs: Sequence[bool]) -> Document:
    """The difference of recall on the same attacks; whole sentences are drawn again."""
    moved: dict[str, list[int]] = {}
    for row, mine, other in zip(rows, ours, theirs, strict=True):
        if row.kind == "attack":
            moved.setdefault(row.unit, []).append(int(mine) - int(other))
    drawn = bootstrap_ratio([sum(of) for of in moved.values()], [len(of) for of in moved.values()])
    every = [one for of in moved.values() for one in of]
    return {
        "difference": round(statistics.fmean(every), 4),
        "low": round(drawn.low, 4),
        "high": round(drawn.high, 4),
        "only_ours": every.count(1),
        "only_theirs": every.count(-1),
        "n": len(every),
        "units": len(moved),
    }


def measure_auc(rows: Sequence[Scored], name: str) -> Document:
    """The chance that an attack scores above a benign row of its turn, over all such pairs; against each kind of benign rows too."""
    found: Document = {}
    turns = sorted({row.turn for row in rows})
    for against, kinds in (("benign", ("plain", "control")), ("plain", ("plain",)), ("control", ("control",))):
        parts = []
        for turn in turns:
            high = [row.scores[name] for row in rows if row.turn == turn and row.kind == "attack"]
            low = [row.scores[name] for row in rows if row.turn == turn and row.kind in kinds]
            parts.append((rank_share(high, low), len(high) * len(low)))
        found[against] = round(sum(share * pairs for share, pairs in parts) / sum(pairs for _, pairs in parts), 4)
        if against == "benign":
            shares = [share for share, _ in parts]
            found |= {"lowest_turn": round(min(shares), 4), "highest_turn": round(max(shares), 4)}
    return found


def rank_share(high: Sequence[float], low: Sequence[float]) -> float:
    """How often one of ``high`` is above one of ``low``, ties half (Mann-Whitney)."""
    ranks = rankdata([*high, *low])[: len(high)]
    return float((ranks.sum() - len(high) * (len(high) + 1) / 2) / (len(high) * len(low)))


def by_sentence(rows: Sequence[Scored], thresholds: Thresholds) -> list[Document]:
    """Alarms at the first point for each inserted sentence; None where a guard was not asked."""
    units: dict[tuple[str, str], list[Scored]] = {}
    for row in rows:
        if row.inserted:
            units.setdefault((row.kind, row.inserted), []).append(row)

    def count(found: Sequence[Scored], name: str) -> int | None:
        return sum(alarms_of(found, name, thresholds)) if all(name in row.scores for row in found) else None

    names = [name for name in (*HEADS, HIGHEST) if name in thresholds]
    return [
        {"kind": kind, "sentence": sentence, "n": len(found)} | {name: count(found, name) for name in names}
        for (kind, sentence), found in sorted(units.items())
    ]


def measure_latency(trained: Trained, rows: Sequence[Scored], rival: Rival) -> Document:
    """Median and 95th percentile of a call: ours over the server and in this process, the rival's in its own."""
    texts = [row.text for row in rows if row.turn == 0]
    found: Document = {
        name: {
            "process": _spread(_time_calls(next(iter(guards.values())).student, texts)),
            "server": _spread([one for guard in guards.values() for one in guard.latencies_ms]),
        }
        for name, guards in trained.items()
        if guards
    }
    return found | ({RIVAL: {"process": _spread([rival[MS][row.text] for row in rows])}} if rival else {})


def measure_shift(
    data: Path, trained: Trained, thresholds: Thresholds, folder: Path, most_characters: int, is_with_rival: bool
) -> list[Document]:
    """Texts of kinds that were not trained on: benign chats, and jailbreaks. The mean over the turns' guards at the first point."""
    with (data / "guardrails/benign.jsonl").open(encoding="utf-8") as file:
        chats = [str(json.loads(line)["text"]) for line in file]
    with (data / "guardrails/attacks.jsonl").open(encoding="utf-8") as file:
        jailbreaks = [str(row["text"]) for row in map(json.loads, file) if row["kind"].startswith("jailbreak")]
    found = list[Document]()
    for title, texts in (("benign chats", chats), ("jailbreaks", jailbreaks)):
        for name, guards in trained.items():
            if not guards:
                continue
            # A head on MiniLM refuses long texts, and cutting thousands of tokens away costs minutes.
            read = [text for text in texts if name == "words" or len(text) <= most_characters]
            vectors = (
                open_features(next(iter(guards.values())).student, 1).embed(read).vectors if name == "MiniLM" else None
            )
            rates = [
                float((score(guard.student, read, vectors) >= thresholds[name][turn]).mean())
                for turn, guard in guards.items()
            ]
            found.append(_shifted(title, name, rates, len(read), len(texts)))
        if is_with_rival:
            said, _ = _score_rival(texts, folder, True)
            bars = thresholds[HIGHEST].values()
            rates = [statistics.fmean(said[HIGHEST][text] >= bar for text in texts) for bar in bars]
            found.append(_shifted(title, HIGHEST, rates, len(texts), len(texts)))
            own = statistics.fmean(said[OWN][text] for text in texts)
            found.append(_shifted(title, OWN, [own], len(texts), len(texts)))
    return found


def score(student: Student, texts: Sequence[str], vectors: Any = None) -> npt.NDArray[np.float64]:
    """The chance of `injection` for each text, in this process; ``vectors`` where they are known."""
    features = open_features(student, 1)
    classifier = open_classifier(student, "", features)
    (head,) = classifier.heads.heads
    shares = classifier.shares(features.embed(texts).vectors if vectors is None else vectors)[0]
    return np.array(shares)[:, head.field.values.index("injection")]


def load_example() -> ModuleType:
    """`make_files.py` of the example, which is a script and in no package."""
    spec = importlib.util.spec_from_file_location("make_files", EXAMPLE / "make_files.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def describe(document: Document) -> str:
    machine, rows = document["machine"], document["rows_of_first_turn"]
    looks = sum(sum(of) for of in document["looks"].values())
    lines = [
        "# A prompt-injection guard of one's own",
        "",
        f"`python benchmarks/injection.py` at commit {document['commit']}, one core of {machine['processor']}, Python {machine['python']}, shared with other work.",
        "",
        f"The guard of [examples/injection_guard](../../examples/injection_guard/README.md): a head trained by import, prepare, tune and assess on about {rows['train']} rows, passages of",
        "Wikipedia with an order to the model in them (35 sentences), with a harmless sentence that looks like one (8 *controls*), or with nothing (*plain*). Eight turns, each with",
        "other sentences sealed: no sentence of a turn's sealed rows is in its train, dev or calibration rows. Each sealed row was looked at once for each head, by `assess`:",
        f"{looks} looks in the ledgers of {sum(len(of) for of in document['looks'].values())} projects. The units are sentences, of which there are few: intervals draw whole sentences again (percentile bootstrap, 95 %); those in brackets",
        "take rows as independent (Clopper-Pearson) and are too narrow where a sentence comes often.",
        "",
        "Thresholds are set on calibration rows of other sentences, never on sealed ones: 1 % of all benign rows in the set's own mix, half of them controls; or 1 % of plain rows. What",
        "they come to on sealed benign rows is beside them. The rival has the same rows and thresholds set in the same way. *Highest window* is its classifier's highest score over its",
        "own windows, the kindest reading; without that, windows count from 0.86 on. A head acts from a chance of 0.5 on, so its threshold is never lower.",
        "Chances are the heads' own; a release with a map to calibrated chances compares those, which have the same order, ties aside.",
        "",
        "The head is asked about the passage as a whole, in which the order is a tenth of the words; the rival looks at windows of 24 words as well. Training sentences are 20 a turn.",
        "`jailguard` 0.1.2 is not beside them: its package holds no embedding model and fetches one at the first call.",
        *(line for title, part in document["parts"].items() for line in _describe_part(title, part)),
        *_describe_rest(document),
    ]
    return "\n".join(lines) + "\n"


def _describe_part(title: str, part: Document) -> Iterator[str]:
    yield from ("", f"## {title[0].upper()}{title[1:]}", "")
    yield f"Turns {', '.join(map(str, part['turns']))}."
    for point, found in part["points"].items():
        sizes = part["calibration_rows"][point]
        yield from ("", f"**1 % of {point}** on {sizes['least']} to {sizes['most']} calibration rows a turn:", "")
        yield from _alarm_table(found | ({OWN: part["own_verdict"]} if part["own_verdict"] else {}))
        yield from (
            "",
            "| recall, paired | less that of | difference | found by the first alone | by the other alone |",
            "|---|---|---|---|---|",
        )
        for name, said in found.items():
            for other, found_beside in said.get("beside", {}).items():
                yield _describe_difference(name, other, found_beside)
    yield from ("", "| AUC | all benign | lowest and highest turn | plain | controls |", "|---|---|---|---|---|")
    for name, of in part["auc"].items():
        yield f"| {name} | {of['benign']:.3f} | {of['lowest_turn']:.3f}, {of['highest_turn']:.3f} | {of['plain']:.3f} | {of['control']:.3f} |"


def _alarm_table(found: Mapping[str, Document]) -> Iterator[str]:
    first = next(iter(found.values()))
    heads = [f"{name}, n = {first[name]['n']} ({first[name]['units']} units)" for name in KINDS]
    yield f"| guard | {' | '.join(heads)} |"
    yield "|---|---|---|---|---|"
    for name, said in found.items():
        yield f"| {name} | {' | '.join(_write_share(said[kind]) for kind in KINDS)} |"


def _write_share(share: Document) -> str:
    return f"{share['value']:.3f}, {share['low']:.3f} to {share['high']:.3f} ({share['exact'][0]:.3f} to {share['exact'][1]:.3f})"


def _describe_difference(name: str, other: str, said: Document) -> str:
    share = f"{said['difference']:+.3f}, {said['low']:+.3f} to {said['high']:+.3f}"
    return f"| {name} | {other} | {share} | {said['only_ours']} | {said['only_theirs']} |"


def _describe_rest(document: Document) -> Iterator[str]:
    yield from (
        "",
        "## A call",
        "",
        "| ms on one core | in process, p50 | p95 | n | over the server, p50 | p95 | n |",
        "|---|---|---|---|---|---|---|",
    )
    for name, of in document["latency_ms"].items():
        both = [_write_spread(of.get(where)) for where in ("process", "server")]
        yield f"| {name} | {both[0]} | {both[1]} |"
    yield from (
        "",
        "Those over the server were taken by `assess`, one call at a time, while other work held the cores: upper bounds.",
    )
    yield from ("", "## Other texts", "")
    yield "None of these kinds was trained on. Thresholds are those of 1 % of all benign; the mean, lowest and highest of the turns' guards."
    yield "A head on MiniLM refuses a text of more than 256 tokens, and its guard (`fail: closed`) the call with it: *read* says how many it was asked, those of at most 800 characters."
    yield from ("", "| texts | guard | with an alarm | lowest and highest | read | n |", "|---|---|---|---|---|---|")
    for row in document["shift"]:
        yield f"| {row['texts']} | {row['guard']} | {row['alarms']:.3f} | {row['least']:.3f}, {row['most']:.3f} | {row['read']} | {row['n']} |"
    names = [name for name in (*HEADS, HIGHEST) if name in document["sentences"][0]]
    yield from (
        "",
        "## Each sentence",
        "",
        f"Rows with an alarm, at 1 % of all benign. `None`: not in one of {names[1]}'s turns.",
        "",
    )
    yield from (f"| | sentence | n | {' | '.join(names)} |", "|---|---|---" + "|---" * len(names) + "|")
    for row in document["sentences"]:
        yield f"| {row['kind']} | {row['sentence'].replace('|', '')} | {row['n']} | {' | '.join(str(row[name]) for name in names)} |"
    if document["rival"]:
        yield from ("", f"No rival: {document['rival']}")


def _write_spread(spread: Document | None) -> str:
    return f"{spread['p50']:.2f} | {spread['p95']:.2f} | {spread['n']}" if spread else " | | "


def _scores(text: str, turn: int, trained: Trained, rival: Rival) -> dict[str, float]:
    own = {name: guards[turn] for name, guards in trained.items() if turn in guards}
    ours = {name: (guard.sealed | guard.calibration)[text] for name, guard in own.items()}  # type: ignore[operator]
    return ours | {name: found[text] for name, found in rival.items() if name != MS}


def _judges(rival: Rival) -> list[str]:
    """The rival's scores that thresholds are set on."""
    return [name for name in (RIVAL, HIGHEST) if name in rival]


def _score_rival(texts: list[str], folder: Path, is_wanted: bool) -> tuple[dict[str, dict[str, float]], str]:
    if not is_wanted:
        return {}, "not asked for"
    try:
        script = ROOT / "benchmarks/rivals/securevector_scores.py"
        rows = run_script(rival_python("securevector"), script, {"texts": texts}, folder / "rival")["rows"]
    except NoRival as reason:
        sys.stderr.write(f"{reason}\n")
        return {}, str(reason)
    columns = zip((RIVAL, OWN, HIGHEST, MS), zip(*rows, strict=True), strict=True)
    return {name: dict(zip(texts, map(float, of), strict=True)) for name, of in columns}, ""


def _shifted(title: str, name: str, rates: Sequence[float], read: int, n: int) -> Document:
    mean, least, most = (round(value, 4) for value in (statistics.fmean(rates), min(rates), max(rates)))
    return {"texts": title, "guard": name, "alarms": mean, "least": least, "most": most, "read": read, "n": n}


def _chance(said: Prediction) -> float:
    """That it is an injection."""
    assert said.target is not None, said.error or said.problem
    assert said.confidence is not None
    verdict = cast(dict[str, str], said.target.value)["verdict"]
    return said.confidence.whole if verdict == "injection" else 1 - said.confidence.whole


def _redacted(text: str) -> str:
    """As it lies in the dataset."""
    return str(cast(dict[str, str], Redactor().value({"text": text}))["text"])


def _time_calls(student: Student, texts: Sequence[str]) -> list[float]:
    features = open_features(student, 1)
    classifier = open_classifier(student, "", features)

    def call(text: str) -> object:
        return classifier.shares(features.embed([text]).vectors)

    call(texts[0])
    return [_milliseconds(lambda text=text: call(text)) for text in texts]  # type: ignore[misc]


def _milliseconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - started)


def _spread(spent: Sequence[float]) -> Document:
    return {
        "p50": round(statistics.median(spent), 2),
        "p95": round(statistics.quantiles(spent, n=20)[-1], 2),
        "n": len(spent),
    }


if __name__ == "__main__":
    raise SystemExit(main())
