"""A judge against people: LLMBar's pairs with verified labels, a local model as the judge, and a rule that reads nothing.

    python benchmarks/judge.py [--data FOLDER] [--model NAME ...] [--most N] [--folder F] [--json]

Each model is asked about each pair in both orders, as `journeyman judge` does; nothing about prompt or rubric was chosen on these pairs. All natural pairs,
and N of each adversarial set, drawn at random. Beside it stands "the longer answer is better". Verdicts are kept in --folder, so that the same command goes on
where it was stopped. Results go to benchmarks/results/judge.json and docs/results/judge.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from machine import ROOT, describe_commit, describe_machine, write_result

from journeyman.cli.terminal import Bars
from journeyman.core.settings import cache_folder
from journeyman.evaluation.judge import EDITION, Contest, Judge, Verdict, find_worth, judge
from journeyman.evaluation.judged import LEAST_GROUPS
from journeyman.flows.judges import LABELS, Labelled, find_groups
from journeyman.measure.metrics import Estimate
from journeyman.models.catalog import resolve
from journeyman.models.llamacpp import LlamaCpp
from journeyman.models.local import LocalModel
from journeyman.models.template import load_base_template
from journeyman.task.task import LEAST_KAPPA

Document = dict[str, Any]
RESULT = ROOT / "benchmarks/results/judge.json"
SETS = ("natural", "adversarial_neighbor", "adversarial_gptinst", "adversarial_gptout", "adversarial_manual")
CONTEXT, SEED, NEAR = 4096, 11, 0.8
RUBRIC = (
    "The better answer does what the request asks, all of it and nothing else, and what it says is right. Style, tone, length and effort do not make up "
    "for that."
)
BASELINE = "the longer answer is better"


def main() -> int:
    arguments = _parse()
    parts = read_pairs(arguments.data / "llmbar", arguments.most)
    pairs = [pair for part in parts.values() for pair in part]
    judges = {BASELINE: [longer(pair.contest) for pair in pairs]}
    judges |= {name: ask(name, pairs, arguments.folder) for name in arguments.model or ["smollm2-135m-instruct"]}
    rows = [row for name, verdicts in judges.items() for row in measure(name, parts, verdicts)]
    document: Document = {
        "command": f"python benchmarks/judge.py --most {arguments.most}",
        "commit": describe_commit(),
        "machine": describe_machine(),
        "prompt": EDITION,
        "rubric": RUBRIC,
        "rows": rows,
    }
    write_result(RESULT, document)
    (ROOT / "docs/results/judge.md").write_text(describe(document), encoding="utf-8")
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if arguments.json else describe(document))
    return 0


def read_pairs(folder: Path, most: int) -> dict[str, list[Labelled]]:
    """All natural pairs, and ``most`` of each adversarial set, drawn before any verdict."""
    parts: dict[str, list[Labelled]] = {}
    for part in SETS:
        lines = (folder / f"llmbar_{part}.jsonl").read_text(encoding="utf-8").splitlines()
        drawn = random.Random(SEED).sample(range(len(lines)), len(lines))
        places = sorted(drawn if part == "natural" else drawn[:most])  # of a larger N these are a part
        rows = [json.loads(lines[place]) for place in places]
        parts[part] = [
            Labelled(Contest(row["input"], row["output_1"], row["output_2"]), LABELS[row["label"]]) for row in rows
        ]
    return parts


def longer(contest: Contest) -> Verdict:
    """In characters. It reads no request, and no position either."""
    one, two = len(contest.one), len(contest.two)
    if one == two:
        return Verdict("tie", ("tie", "tie"))
    return Verdict("one", ("first", "second")) if one > two else Verdict("two", ("second", "first"))


def ask(name: str, pairs: Sequence[Labelled], folder: Path) -> list[Verdict]:
    model = resolve(name)

    async def work() -> list[Verdict]:
        engine = await LlamaCpp.start(model.path, threads=1, context=CONTEXT)
        try:
            local = LocalModel(engine, load_base_template(model.path), f"{name}@{model.sha256}")
            contests = [pair.contest for pair in pairs]
            kept = folder / f"judge-{name}.jsonl"
            return await judge(local, Judge(RUBRIC), contests, cache_path=kept, progress=Bars())
        finally:
            await engine.close()

    return asyncio.run(work())


def measure(name: str, parts: dict[str, list[Labelled]], verdicts: Sequence[Verdict]) -> list[Document]:
    """A row per set and one for all; the bar is that of a gate."""
    rows, start = [], 0
    everything = [pair for part in parts.values() for pair in part]
    for part, pairs in [*parts.items(), ("all", everything)]:
        said = verdicts if part == "all" else verdicts[start : start + len(pairs)]
        start += len(pairs)
        worth = find_worth([pair.better for pair in pairs], said, find_groups(pairs, NEAR))
        kappa = worth.kappa
        row: Document = {
            "row": name,
            "set": part,
            "n": worth.n,
            "groups": worth.groups,
            "accuracy": _figure(worth.accuracy),
            "kappa": _figure(kappa) if kappa else None,
            "position_bias": _figure(worth.position_bias),
            "first": worth.first,
            "second": worth.second,
            "ties": worth.ties,
            "unreadable": sum(verdict.unreadable for verdict in said),
        }
        if part == "all":
            row["bar"] = LEAST_KAPPA
            row["met"] = bool(kappa and kappa.low >= LEAST_KAPPA and worth.groups >= LEAST_GROUPS)
        rows.append(row)
    return rows


def describe(document: Document) -> str:
    machine = document["machine"]
    lines = [
        "# A judge against people, on LLMBar",
        "",
        f"`{document['command']}` at commit {document['commit']}, {machine['cores']} cores of {machine['processor']}, Python {machine['python']}.",
        "",
        "Pairs of answers with verified labels (Zeng et al., arXiv:2310.07641; MIT): all natural ones, and a random draw of each adversarial set, where the worse",
        "answer looks better. No label is a tie. Each pair is asked in both orders; verdicts that disagree are ties, and a tie counts half in the accuracy. Kappa counts",
        "a tie as disagreement. Position bias is the share of pairs where the judge picks one position in both orders. All intervals are 95 %. Nothing about prompt",
        f"(edition {document['prompt']}) or rubric was chosen on these pairs.",
        "",
        f"> {document['rubric']}",
        "",
        "| judge | set | n | accuracy | kappa | position bias | first, second | ties |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in document["rows"]:
        cells = [_shown(row[name]) for name in ("accuracy", "kappa", "position_bias")]
        lines.append(
            f"| {row['row']} | {row['set'].replace('_', ' ')} | {row['n']} | {' | '.join(cells)} | {row['first']}, {row['second']} | {row['ties']} |"
        )
    lines += ["", f"A gate asks for a lower end of kappa of {LEAST_KAPPA:g} or more on {LEAST_GROUPS} pairs:", ""]
    for row in document["rows"]:
        if row["set"] == "all":
            low = "not defined" if row["kappa"] is None else f"{row['kappa']['low']:.3f}"
            lines.append(
                f"* {row['row']}: {'may decide' if row['met'] else 'may not decide'} ({low}, {row['n']} pairs, {row['groups']} independent; "
                f"{row['unreadable']} verdicts could not be read)."
            )
    return "\n".join([*lines, ""])


def _figure(found: Estimate) -> Document:
    return {"value": round(found.value, 4), "low": round(found.low, 4), "high": round(found.high, 4), "n": found.n}


def _shown(figure: Document | None) -> str:
    return "–" if figure is None else f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data", help="the folder of public sets")
    parser.add_argument("--model", action="append", help="catalog name; may be repeated")
    parser.add_argument("--most", type=int, default=200, help="pairs of each adversarial set; default: all")
    parser.add_argument("--folder", type=Path, default=cache_folder() / "benchmarks", help="where verdicts are kept")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
