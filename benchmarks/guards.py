"""What redaction costs a call, beside what it cost when every pattern was searched through the whole text, twice.

    python benchmarks/guards.py [--data FOLDER] [--only identity|times] [--json]

times: `Redactor().value({"message": text})` of this commit and of 46accae, which is taken from git, by turns on the same texts; the median processor time over 60
texts, none seen before. Plain text are rows of BANKING77's train part without a digit, chat text benign rows with one, text rich in personal data Presidio's synthetic rows, code this
package, JSON Snips' train rows. identity: both on every row of Presidio's synthetic set, of the guardrails set and of BANKING77's train part; findings and
redacted texts must be the same, so recall and precision are. Results go to benchmarks/results/guards.json and docs/results/guards.md.
"""

from __future__ import annotations

import csv
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from machine import ROOT, describe_commit, describe_machine, make_parser, write_result

from journeyman.guards import detect, redact

Document = dict[str, Any]
RESULT = ROOT / "benchmarks/results/guards.json"
BEFORE = "46accae"
SIZES, TEXTS = (500, 2000, 10_000), 60
BARS = {("plain text", 2000): 0.3, ("rich in personal data", 2000): 0.6}


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--only", choices=["identity", "times"])
    arguments = parser.parse_args()
    known = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
    with tempfile.TemporaryDirectory() as folder:
        before = load_before(Path(folder))
        document = known | {"commit": describe_commit(), "before": BEFORE, "machine": describe_machine()}
        if arguments.only != "times":
            document["identity"] = [compare(name, rows, *before) for name, rows in read_rows(arguments.data).items()]
        if arguments.only != "identity":
            kinds = {kind: "\n".join(parts) for kind, parts in read_kinds(arguments.data).items()}
            document["rows"] = [measure(kind, size, text, before[1]) for kind, text in kinds.items() for size in SIZES]
    write_result(RESULT, document)
    (ROOT / "docs/results/guards.md").write_text(describe(document), encoding="utf-8")
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if arguments.json else describe(document))
    return 0


def load_before(folder: Path) -> tuple[ModuleType, ModuleType]:
    """The detectors and the redaction of the commit ``BEFORE``, under a name of their own beside today's."""
    package = folder / "guards_before"
    package.mkdir()
    for name in ("__init__.py", "detect.py", "redact.py"):
        shown = subprocess.run(
            ["git", "show", f"{BEFORE}:src/journeyman/guards/{name}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        text = shown.stdout.replace("journeyman.guards", package.name)
        (package / name).write_text(text, encoding="utf-8")
    sys.path.insert(0, str(folder))
    from guards_before import detect, redact  # type: ignore[import-not-found]

    return detect, redact


def read_rows(data: Path) -> dict[str, list[str]]:
    """Every text of the sets that are compared."""
    return {
        "presidio_pii_synth": list(_texts(data / "presidio_pii_synth")),
        "guardrails": list(_texts(data / "guardrails")),
        "banking77, train": _banking(data),
    }


def read_kinds(data: Path) -> dict[str, list[str]]:
    """The texts of each kind, to be cut into pieces of a size."""
    benign = (json.loads(line)["text"] for line in _lines(data / "guardrails/benign.jsonl"))
    return {
        "plain text": [text for text in _banking(data) if not any(map(str.isdigit, text))],
        "chat with digits": [text for text in benign if any(map(str.isdigit, text))],
        "rich in personal data": list(_texts(data / "presidio_pii_synth")),
        "code": [path.read_text(encoding="utf-8") for path in sorted((ROOT / "src/journeyman").rglob("*.py"))],
        "JSON": _lines(data / "snips_nlu/train.jsonl"),
    }


def compare(name: str, texts: list[str], detect_before: ModuleType, redact_before: ModuleType) -> Document:
    """How many texts have the same findings and become the same text, before and now."""
    found = same = 0
    for text in texts:
        ours, theirs = (
            [(item.kind, item.start, item.end) for item in side.detect(text)] for side in (detect, detect_before)
        )
        now, then = redact.Redactor(), redact_before.Redactor()
        is_same = ours == theirs and now.value({"message": text}) == then.value({"message": text})
        same += is_same and now.counts == then.counts
        found += len(theirs)
    return {"set": name, "n": len(texts), "findings": found, "same": same, "met": same == len(texts)}


def measure(kind: str, size: int, text: str, redact_before: ModuleType) -> Document:
    step = (len(text) - size) // TEXTS
    assert step > 0, f"too little {kind}"
    ours, theirs = list[float](), list[float]()
    gc.collect()
    gc.disable()
    for index in range(TEXTS):
        piece = text[index * step : index * step + size]
        theirs.append(_milliseconds(redact_before.Redactor, piece))
        ours.append(_milliseconds(redact.Redactor, piece))
    gc.enable()
    now, then, bar = statistics.median(ours), statistics.median(theirs), BARS.get((kind, size))
    return {
        "row": f"{kind}, {size:,} characters",
        "ours": round(now, 3),
        "rival": round(then, 3),
        "unit": "ms",
        "ratio": round(then / now, 1),
        "slowest_of_20": round(statistics.quantiles(ours, n=20)[-1], 3),
        "bar": bar,
        "met": bar is None or now <= bar,
        "n": TEXTS,
    }


def describe(document: Document) -> str:
    machine = document["machine"]
    lines = [
        "# What redaction costs a call",
        "",
        f"`python benchmarks/guards.py` at commit {document['commit']}, {machine['cores']} cores of {machine['processor']}, Python {machine['python']}.",
        "",
        '`Redactor().value({"message": text})`: median milliseconds of the processor over texts not seen before, by turns with the same of',
        f"commit {document['before']}, which searched every pattern through the whole text, twice.",
        "",
        "| text | n | before, ms | now, ms | ratio | now, 95th percentile | bar |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in document.get("rows", ()):
        bar = "" if row["bar"] is None else f"≤ {row['bar']:g}: {'met' if row['met'] else 'missed'}"
        lines.append(
            f"| {row['row']} | {row['n']} | {row['rival']:.2f} | {row['ours']:.3f} | {row['ratio']:g} | {row['slowest_of_20']:.3f} | {bar} |"
        )
    lines += ["", "The same findings and the same redacted text as before, row by row:", ""]
    lines += ["| set | rows | findings | rows that are the same |", "|---|---|---|---|"]
    lines += [
        f"| {row['set']} | {row['n']:,} | {row['findings']:,} | {row['same']:,} |"
        for row in document.get("identity", ())
    ]
    return "\n".join([*lines, ""])


def _milliseconds(make: Callable[[], redact.Redactor], text: str) -> float:
    """Of the processor: other processes of a busy machine do not count."""
    started = time.thread_time()
    make().value({"message": text})
    return 1000 * (time.thread_time() - started)


def _banking(data: Path) -> list[str]:
    with (data / "banking77/train.csv").open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]


def _texts(folder: Path) -> Iterator[str]:
    """The strings of a folder's rows that are not names of kinds or sources."""
    for path in sorted(folder.glob("*.jsonl")):
        for line in _lines(path):
            row = json.loads(line)
            yield from (row[key] for key in ("text", "question", "passage", "objective", "response") if key in row)


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1]


if __name__ == "__main__":
    raise SystemExit(main())
