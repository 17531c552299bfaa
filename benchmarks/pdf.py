"""What becomes of PDFs: the 29 of py-pdf/sample-files, and some that nobody should have to read.

    python benchmarks/pdf.py [--data FOLDER] [--json]

Each sample is read in a reading process, without a password and without OCR: its pages, characters, words with a box, blocks, and its notes or the
reason why it was not read. order: how alike our words and the file's own are as sequences (twice the longest common subsequence over both lengths, hyphens at lines' ends taken out of both), on
the samples whose program writes in reading order. speed: pages a second of a book of 117 pages, against PDFium's text without any layout, the floor, in the
same process, median of three. hostile: files of tests/knowledge/parse/pdf_writer.py within 60 processor seconds and 1 GB each.
Results go to benchmarks/results/pdf.json and docs/results/pdf.md.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pypdfium2 as pdfium
from machine import ROOT, describe_commit, describe_machine, make_parser, write_result
from rapidfuzz.distance import Indel

sys.path.insert(0, str(ROOT))

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.document import CELL, Document
from journeyman.knowledge.parse.pdf import read_pdf
from journeyman.knowledge.parse.process import Limits, ReadingProcess
from journeyman.knowledge.parse.reader import Reader
from tests.knowledge.parse.pdf_writer import HOSTILE

RESULT = ROOT / "benchmarks/results/pdf.json"
READER = Reader("PDF", 1, (".pdf",), read_pdf)
HOSTILE_LIMITS = Limits(seconds=60, memory_bytes=1 << 30)
IN_READING_ORDER = ("multicolumn", "pdflatex-4-pages", "pdflatex-outline", "GeoTopo-komprimiert", "crazyones-pdfa")
BOOK, REPEATS = "GeoTopo-komprimiert", 3


def main() -> int:
    arguments = make_parser(__doc__).parse_args()
    paths = sorted((arguments.data / "pdf_samples").glob("*/*.pdf"))
    named = {path.stem: path for path in paths}
    with ReadingProcess(Limits()) as process:
        process.read(READER, "first.pdf", paths[0].read_bytes())
        samples = [look_at(process, f"{path.parent.name}/{path.name}", path.read_bytes()) for path in paths]
    with ReadingProcess(HOSTILE_LIMITS) as process:
        hostile = [look_at(process, name, make()) for name, make in HOSTILE.items()]
    document: dict[str, Any] = {
        "command": "python benchmarks/pdf.py",
        "commit": describe_commit(),
        "machine": describe_machine(),
        "samples": samples,
        "order": [compare_order(named[name]) for name in IN_READING_ORDER],
        "speed": measure_speed(named[BOOK]),
        "hostile": hostile,
    }
    write_result(RESULT, document)
    (ROOT / "docs/results/pdf.md").write_text(describe(document), encoding="utf-8")
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if arguments.json else describe(document))
    return 0


def look_at(process: ReadingProcess, name: str, data: bytes) -> dict[str, Any]:
    started = time.monotonic()
    try:
        result: Document | KnowledgeError = process.read(READER, name, data)
    except KnowledgeError as error:
        result = error
    row: dict[str, Any] = {"file": name, "bytes": len(data), "seconds": round(time.monotonic() - started, 2)}
    if isinstance(result, KnowledgeError):
        said = result.what + (f": {result.got}" if result.got else "")
        return row | {"code": result.code, "said": said}
    return row | {
        "pages": len(result.pages),
        "characters": len(result.text),
        "words": len(result.places),
        "blocks": dict(Counter(block.kind for block in result.blocks)),
        "links": len(result.links),
        "said": "; ".join(result.notes),
    }


def compare_order(path: Path) -> dict[str, Any]:
    ours = read_pdf(path.name, path.read_bytes()).text.replace(CELL.strip(), " ").split()
    files = plain_text(path).replace("\x02\r\n", "").replace("\x02", "").split()
    ratio = Indel.normalized_similarity(ours, files)
    return {"file": path.name, "ours": len(ours), "file_words": len(files), "ratio": round(ratio, 4)}


def plain_text(path: Path) -> str:
    texts = []
    with pdfium.PdfDocument(path) as document:
        for page in document:
            text_page = page.get_textpage()
            texts.append(text_page.get_text_bounded())
            text_page.close()
            page.close()
    return "\r\n".join(texts)


def measure_speed(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    pages = len(read_pdf(path.name, data).pages)
    ours = measure(lambda: read_pdf(path.name, data))
    plain = measure(lambda: plain_text(path))
    rates = {"ours": round(pages / ours, 1), "pdfium_text": round(pages / plain, 1)}
    return {"file": path.name, "pages": pages, **rates, "ratio": round(plain / ours, 3)}


def measure(work: Callable[[], object]) -> float:
    """Seconds of the processor, so that a busy machine does not count."""
    spent = []
    for _ in range(REPEATS):
        started = time.process_time()
        work()
        spent.append(time.process_time() - started)
    return statistics.median(spent)


def describe(document: dict[str, Any]) -> str:
    machine, speed = document["machine"], document["speed"]
    where = f"{machine['cores']} cores of {machine['processor']}, Python {machine['python']}"
    read = [row for row in document["samples"] if "pages" in row]
    lines = [
        "# PDFs\n",
        f"`{document['command']}` at commit {document['commit']}, {where}.\n",
        f"The {len(document['samples'])} files of py-pdf/sample-files (CC BY-SA 4.0): {len(read)} give text, the others the reason in the last column; none",
        "ends or hangs the process that reads it. No password and no OCR here; a page that is an image gives its text with `journeyman[ocr]`.\n",
        "| file | pages | characters | words with a box | blocks | notes, or the reason |",
        "|---|---|---|---|---|---|",
        *(_sample(row) for row in document["samples"]),
        "\n## Order\n",
        "Our words and the file's own as sequences, where the program that made the file wrote it in reading order: TeX writes a column",
        "after the other. Running titles and page numbers, which we leave out, and formulas, which we put on lines, count as differences.\n",
        "| file | our words | the file's | alike |",
        "|---|---|---|---|",
        *(
            f"| {row['file']} | {row['ours']:,} | {row['file_words']:,} | {row['ratio']:.4f} |"
            for row in document["order"]
        ),
        "\n## Speed\n",
        f"{speed['file']}, {speed['pages']} pages, processor seconds, median of {REPEATS}: {speed['ours']} pages/s with words, boxes, columns, tables and headings;",
        f"PDFium's text alone {speed['pdfium_text']} pages/s, the floor ({speed['ratio']:.3f} of it). Files are read by several processes side by side.\n",
        "## Hostile files\n",
        f"Within {HOSTILE_LIMITS.seconds:.0f} processor seconds and {HOSTILE_LIMITS.memory_bytes >> 20:,} MB each; the process is replaced and the next file is read.\n",
        "| file | bytes | seconds | |",
        "|---|---|---|---|",
        *(f"| {row['file']} | {row['bytes']:,} | {row['seconds']} | {_said(row)} |" for row in document["hostile"]),
    ]
    return "\n".join(lines) + "\n"


def _sample(row: dict[str, Any]) -> str:
    if "pages" not in row:
        return f"| {row['file']} | | | | | {_said(row)} |"
    blocks = ", ".join(f"{count} {kind}" for kind, count in row["blocks"].items())
    cells: Sequence[object] = (
        row["file"],
        row["pages"],
        f"{row['characters']:,}",
        f"{row['words']:,}",
        blocks,
        _said(row),
    )
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def _said(row: dict[str, Any]) -> str:
    said = str(row["said"]).replace("|", "\\|")
    if "code" in row:
        return f"{row['code']} {said}"
    return said


if __name__ == "__main__":
    sys.exit(main())
