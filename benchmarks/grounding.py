"""Whether quotes and values are found where they stand, and not found where they do not, beside LangExtract's aligner on the same quotes.

    python benchmarks/grounding.py [--data FOLDER] [--cases N] [--only ROW] [--choose] [--json]

xquad: the annotated answers of XQuAD in their paragraphs. changed: N quotes of paragraphs of XQuAD and of pieces of chunking_evaluation's documents, changed by rules (see
benchmarks/quotes.py), each looked for by itself. long: 200 quotes in 1.5 million characters. ``--choose`` prints what gates do on the other half of the articles, by title,
which is where ours were chosen; figures are of the half that they were not chosen on. Results go to benchmarks/results/grounding.json and docs/results/grounding.md.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from machine import ROOT, describe_commit, describe_machine, make_parser, write_result
from quotes import CORPORA, NEAR, NONE, SAME, Case, Paragraph, choose_titles, iou, is_same, make_cases, read_paragraphs
from rivals import NoRival, rival_python, run_script

from journeyman.knowledge.ground import fuzzy
from journeyman.knowledge.ground.align import align
from journeyman.knowledge.ground.fuzzy import Gates
from journeyman.knowledge.ground.source import Source
from journeyman.knowledge.ground.support import LEAST, find_sentences, find_support
from journeyman.measure.intervals import clopper_pearson

Document = dict[str, Any]
Place = tuple[str, int, int]  # status, start, end
RESULT, PAGE = ROOT / "benchmarks/results/grounding.json", ROOT / "docs/results/grounding.md"
SEED, BAR, OVERLAP = 6, 0.99, 0.5
LENGTH, LONG_QUOTES = 1_500_000, 200
SURE = ("exact", "normalized")


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--only", choices=("xquad", "changed", "support", "long"))
    parser.add_argument("--choose", action="store_true", help="try gates on the half that they are chosen on")
    arguments = parser.parse_args()
    if arguments.choose:
        choose(make_cases(read_paragraphs(arguments.data, "choose", SEED), arguments.cases, SEED))
        choose_support(read_paragraphs(arguments.data, "choose", SEED), arguments.cases // 10)
        return 0
    parts: dict[str, Callable[[], list[Document]]] = {
        "xquad": lambda: measure_xquad(arguments.data),
        "changed": lambda: measure_changed(arguments.data, arguments.cases),
        "support": lambda: measure_support(arguments.data, arguments.cases // 10),
        "long": lambda: measure_long(arguments.data),
    }
    document: Document = {
        "command": f"python benchmarks/grounding.py --cases {arguments.cases}",
        "machine": describe_machine(),
        "commit": describe_commit(),
        "rows": [row for name, part in parts.items() if arguments.only in (None, name) for row in part()],
    }
    if arguments.only is None:
        write_result(RESULT, document)
        PAGE.write_text(describe(document), encoding="utf-8")
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if arguments.json else describe(document))
    return 0


def measure_changed(data: Path, count: int) -> list[Document]:
    cases = make_cases(read_paragraphs(data, "report", SEED), count, SEED)
    calls = [(case.text, [case.quote], case.kind) for case in cases]
    ours, seconds = ask_ours(calls)
    theirs, their_seconds = ask_rival(calls)
    strict, _strict_seconds = ask_rival(calls, is_lesser=False)
    rows = list[Document]()
    for status in ("exact", "normalized", "fuzzy", "lesser"):
        judged = [judge_status(cases, places, status) for places in (ours, theirs, strict)]
        rows.append(make_row(f"changed: precision of {status}", *judged, BAR if status in SURE else None))
    for change in (*SAME, *NEAR, "shuffled words", *NONE):
        judged = [judge_change(cases, places, change) for places in (ours, theirs, strict)]
        rows.append(make_row(f"changed: {change}", *judged))
    return [*rows, make_time_row("changed: time", len(cases), seconds, their_seconds)]


def judge_status(cases: Sequence[Case], places: Sequence[Place] | str, status: str) -> list[bool] | str:
    """Of what has the status, whether it is right."""
    if isinstance(places, str):
        return places
    return [is_right(case, place) for case, place in zip(cases, places, strict=True) if place[0] == status]


def judge_change(cases: Sequence[Case], places: Sequence[Place] | str, change: str) -> list[bool] | str:
    """Whether each quote is found in the right place, or left alone where it stands nowhere."""
    if isinstance(places, str):
        return places
    pairs = [(case, place) for case, place in zip(cases, places, strict=True) if case.change == change]
    return [is_right(case, place) if case.end else place[0] == "ungrounded" for case, place in pairs]


def is_right(case: Case, place: Place) -> bool:
    """An exact or normalized span says what is meant, there or elsewhere; another shares half of its characters with the true one."""
    status, start, end = place
    if not case.end:
        return False
    return is_same(case.text[start:end], case.meant) or (
        status not in SURE and iou((start, end), (case.start, case.end)) >= OVERLAP
    )


def measure_xquad(data: Path) -> list[Document]:
    """Answers alone, then all of a paragraph in the order of the questions and in that of the text."""
    articles = json.loads((data / "xquad_en/xquad.en.json").read_text(encoding="utf-8"))["data"]
    titles = choose_titles([article["title"] for article in articles], "report", SEED)
    chosen = [part for article in articles if article["title"] in titles for part in article["paragraphs"]]
    paragraphs = [
        (part["context"], [(one["text"], one["answer_start"]) for asked in part["qas"] for one in asked["answers"]])
        for part in chosen
    ]
    alone = [(text, [answer]) for text, answers in paragraphs for answer in answers]
    in_order = [(text, sorted(answers, key=lambda answer: answer[1])) for text, answers in paragraphs]
    rows = []
    for name, groups, is_ordered in (
        ("each alone", alone, True),
        ("in the order of the questions", paragraphs, True),
        ("in the order of the questions, as unordered", paragraphs, False),
        ("in the order of the text", in_order, True),
    ):
        calls = [(text, [quote for quote, _start in answers], "text") for text, answers in groups]
        ours, _seconds = ask_ours(calls, is_ordered)
        theirs, _their_seconds = ask_rival(calls)
        wanted = [(text, *answer) for text, answers in groups for answer in answers]
        for row, judge in (("any occurrence", _is_said), ("the annotated occurrence", _is_there)):
            got = [judge(one, place) for one, place in zip(wanted, ours, strict=True)]
            rival = (
                theirs
                if isinstance(theirs, str)
                else [judge(one, place) for one, place in zip(wanted, theirs, strict=True)]
            )
            rows.append(make_row(f"xquad: {name}, {row}", got, rival))
    return rows


def _is_said(wanted: tuple[str, str, int], place: Place) -> bool:
    return wanted[0][place[1] : place[2]] == wanted[1]


def _is_there(wanted: tuple[str, str, int], place: Place) -> bool:
    return place[1:] == (wanted[2], wanted[2] + len(wanted[1]))


def measure_support(data: Path, count: int) -> list[Document]:
    own, other = score_support(read_paragraphs(data, "report", SEED), count, LEAST)
    return [
        make_row("support: a sentence without a third of its words, shuffled: found", own, "checks quotes only"),
        make_row("support: the same in another paragraph of the article: left alone", other, "checks quotes only"),
    ]


def score_support(paragraphs: Sequence[Paragraph], count: int, least: float) -> tuple[list[bool], list[bool]]:
    """For sentences with a third of their words left away and the rest shuffled: found in their own paragraph, left alone in another of the same article."""
    rng = random.Random(SEED)
    own, other = list[bool](), list[bool]()
    while len(own) < count:
        paragraph = rng.choice(paragraphs)
        spans = [
            span for span in find_sentences(paragraph.text)[1:-1] if len(paragraph.text[slice(*span)].split()) >= 8
        ]
        near = [one for one in paragraphs if one.source == paragraph.source and one != paragraph]
        if not spans or not near:
            continue
        start, end = rng.choice(spans)
        words = paragraph.text[start:end].split()
        said = " ".join(rng.sample(words, len(words) * 2 // 3))
        found = find_support(said, Source(paragraph.text), least)
        own.append(found.is_grounded and found.start <= start and found.end >= end)
        other.append(not find_support(said, Source(rng.choice(near).text), least).is_grounded)
    return own, other


def choose_support(paragraphs: Sequence[Paragraph], count: int) -> None:
    for least in (0.5, 0.6, 0.7, 0.8):
        own, other = (sum(right) / len(right) for right in score_support(paragraphs, count, least))
        sys.stdout.write(f"support {least}: found {own:.4f}, left alone in another paragraph {other:.4f}, of {count}\n")


def measure_long(data: Path) -> list[Document]:
    """Time for one long text: quotes as they are, in capitals, and with a word too many."""
    text = "\n\n".join(
        (data / f"chunking_evaluation/corpora/{name}.md").read_text(encoding="utf-8") for name in CORPORA
    )
    text = (text * (1 + LENGTH // len(text)))[:LENGTH]
    rng, quotes = random.Random(SEED), list[str]()
    while len(quotes) < LONG_QUOTES:
        start = rng.randrange(LENGTH - 400)
        words = text[start : start + 400].split(" ")[1:-1][: rng.randint(5, 30)]
        if len(words) > 4:
            quotes.append(" ".join(words))
    asked = {
        "as they are": (quotes, False),
        "in capitals": ([quote.upper() for quote in quotes], False),
        "with a word too many": ([" ".join(_insert(quote)) for quote in quotes], True),
    }
    rows = []
    for name, (given, is_fuzzy) in asked.items():
        _found, seconds = ask_ours([(text, given, "text")], is_fuzzy=is_fuzzy)
        their_seconds: float | str = (
            "not asked: minutes" if is_fuzzy else ask_rival([(text, given, "text")], is_fuzzy=False)[1]
        )
        rows.append(
            make_time_row(
                f"long: {LONG_QUOTES} quotes {name}, {LENGTH:,} characters", len(given), seconds, their_seconds
            )
        )
    return rows


def _insert(quote: str) -> list[str]:
    words = quote.split(" ")
    return [*words[:2], "indeed", *words[2:]]


Call = tuple[str, list[str], str]


def ask_ours(calls: Sequence[Call], is_ordered: bool = True, is_fuzzy: bool = True) -> tuple[list[Place], float]:
    started = time.thread_time()
    found = [
        align(quotes, text, kind, is_ordered=is_ordered, **({} if is_fuzzy else {"gates": None}))  # type: ignore[arg-type]
        for text, quotes, kind in calls
    ]
    seconds = time.thread_time() - started
    return [(one.status, one.start, one.end) for group in found for one in group], seconds


def ask_rival(
    calls: Sequence[Call], is_fuzzy: bool = True, is_lesser: bool = True
) -> tuple[list[Place], float] | tuple[str, str]:
    """Its places and processor seconds, or the reason why there are none."""
    job = {
        "calls": [{"text": text, "quotes": quotes} for text, quotes, _kind in calls],
        "is_fuzzy": is_fuzzy,
        "is_lesser": is_lesser,
    }
    script = ROOT / "benchmarks/rivals/langextract_align.py"
    try:
        with tempfile.TemporaryDirectory() as folder:
            said = run_script(rival_python("langextract"), script, job, Path(folder))
    except NoRival as reason:
        return str(reason), str(reason)
    return [(status, start, end) for group in said["rows"] for status, start, end in group], said["seconds"]


def make_row(
    name: str,
    ours: Sequence[bool] | str,
    rival: Sequence[bool] | str,
    strict: Sequence[bool] | str | None = None,
    bar: float | None = None,
) -> Document:
    """``strict`` is the rival without its status lesser."""
    mine = ours if isinstance(ours, str) else _share(ours)
    return {
        "row": name,
        "ours": mine,
        "rival": rival if isinstance(rival, str) else _share(rival),
        "rival_without_lesser": strict if isinstance(strict, str) else _share(strict or []),
        "unit": "share",
        "ratio": None,
        "bar": bar,
        "met": bar is None or (isinstance(mine, dict) and mine["value"] >= bar),
        "n": len(ours),
    }


def make_time_row(name: str, n: int, ours: float, rival: float | str) -> Document:
    ratio = None if isinstance(rival, str) else round(rival / ours, 2)
    return {
        "row": name,
        "ours": round(ours, 3),
        "rival": rival,
        "unit": "s",
        "ratio": ratio,
        "bar": None,
        "met": True,
        "n": n,
    }


def _share(right: Sequence[bool]) -> Document | None:
    if not right:
        return None
    interval = clopper_pearson(sum(right), len(right))
    return {
        "value": round(sum(right) / len(right), 4),
        "low": round(interval.low, 4),
        "high": round(interval.high, 4),
        "n": len(right),
    }


def choose(cases: Sequence[Case]) -> None:
    """What gates do on quotes that are not found in another writing."""
    hard = [case for case in cases if case.kind == "text" and case.change in (*NEAR, *NONE, "shuffled words")]
    sources = [Source(case.text) for case in hard]
    for coverage, density, gap in itertools.product((0.6, 0.7, 0.8), (0.4, 0.5, 0.6), (0.2, 0.35, 0.5)):
        fuzzy.GAP = gap
        gates = Gates(coverage, density)
        found = [align([case.quote], source, gates=gates)[0] for case, source in zip(hard, sources, strict=True)]
        places = [(one.status, one.start, one.end) for one in found]
        given = [is_right(case, place) for case, place in zip(hard, places, strict=True) if place[0] == "fuzzy"]
        near = [is_right(case, place) for case, place in zip(hard, places, strict=True) if case.change in NEAR]
        sys.stdout.write(
            f"coverage {coverage} density {density} gap {gap}: precision {sum(given) / len(given):.4f} of {len(given)}, "
            f"recall of near quotes {sum(near) / len(near):.4f} of {len(near)}\n"
        )


def describe(document: Document) -> str:
    machine = document["machine"]
    lines = [
        "# Whether quotes are found where they stand",
        "",
        f"`{document['command']}` at commit {document['commit']}, {machine['cores']} cores of {machine['processor']}, Python {machine['python']}.",
        "",
        "Shares with 95 % intervals (Clopper and Pearson). A status *exact* or *normalized* is right when the span has the letters and digits of the true one, another one when it",
        f"shares {OVERLAP:.0%} of the characters of both with the true one. Bar: {BAR:.0%} of *exact* and of *normalized* right. *changed*: quotes of up to 25 words, changed by rules, each",
        "by itself; a quote that stands nowhere counts when it is left ungrounded, a shuffled one when its place is found. *support*: all words of the sentence stand in the paragraph,",
        "which says nothing about synonyms. Time is of one processor.",
        "",
        "Gates, and the rule for the order of answers, were chosen on the other half of the articles (by title; by first and second half of long documents). The rule for dashes was mended",
        "after a look at misses in a split by another seed, which shares articles with this one. The least share for *support* was not chosen by figures.",
        "",
        "LangExtract 1.7.1, as it is and with `accept_match_lesser=False`: its *exact* takes small for capital letters, its *lesser* is a part of the quote. It is judged by our rules: that a",
        "quote with another number is like what the text says is its design.",
        "",
        "| | ours | LangExtract | without *lesser* |",
        "|---|---|---|---|",
    ]
    for row in document["rows"]:
        mark = "" if row["met"] else " **missed**"
        lines.append(
            f"| {row['row']} | {_cell(row['ours'], row)}{mark} | {_cell(row['rival'], row)} | {_cell(row.get('rival_without_lesser'), row)} |"
        )
    return "\n".join([*lines, ""])


def _cell(value: Mapping[str, Any] | float | str | None, row: Document) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return f"{value:.2f} s" + (f", {row['ratio']:g} times" if value == row["rival"] else "")
    return f"{100 * value['value']:.2f} % ({100 * value['low']:.2f} to {100 * value['high']:.2f}), n = {value['n']:,}"


if __name__ == "__main__":
    raise SystemExit(main())
