"""Files that hang, break or fill the process that reads them cost themselves, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.document import Document
from journeyman.knowledge.parse.pdf import read_pdf
from journeyman.knowledge.parse.process import AHEAD, Limits, ReadingProcess, read_all
from journeyman.knowledge.parse.reader import Reader
from journeyman.knowledge.source import Source
from tests.knowledge.parse.pdf_writer import HOSTILE, Page, write_pdf

READERS = """
import os, signal, sys, time
from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.document import Document
from journeyman.knowledge.parse.reader import Reader

def read(name, data):
    said = data[:5].decode()
    if said == "sleep": time.sleep(60)
    while said == "spin!": pass
    if said == "raise": raise ValueError("no good")
    if said == "refus": raise KnowledgeError("JM-999", "not this one", where=name, got="a", hint="b")
    if said == "abort": os.kill(os.getpid(), signal.SIGSEGV)
    if said == "leave": os._exit(3)
    if said == "grow!": held = [bytes(1 << 24) for _ in range(1000)]
    if said == "deep!": read(name, data[:5])
    if said == "print": print("noise" * 100000); sys.stderr.write("noise" * 100000)
    if said == "large": return Document(name, "x", "y" * 60_000_000, ())
    return Document(name, "text/plain", data.decode("utf-8", "replace") + f" {os.getpid()}", ())

READER = Reader("odd", 1, (".odd",), read)
"""


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("readers")
    (folder / "odd_readers.py").write_text(READERS, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        import odd_readers

        yield odd_readers.READER


LIMITS = Limits(seconds=0.4, memory_bytes=400 << 20)


def source(name: str, data: bytes) -> Source:
    return Source(name, len(data), "", lambda: data)


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        (b"sleep", "JM-931", "too long"),
        (b"spin!", "JM-931", "too long"),
        (b"raise", "JM-934", "ValueError: no good (odd_readers.py:"),
        (b"refus", "JM-999", "not this one"),
        (b"abort", "JM-932", "SIGSEGV"),
        (b"leave", "JM-932", "status 3"),
        (b"grow!", "JM-933", "too much memory"),
        (b"deep!", "JM-934", "RecursionError"),
    ],
)
def test_a_bad_file_has_its_reason_and_the_next_one_is_read(odd: Reader, data: bytes, code: str, said: str) -> None:
    with ReadingProcess(LIMITS) as process:
        started = time.monotonic()
        with pytest.raises(KnowledgeError) as caught:
            process.read(odd, "bad.odd", data)
        assert time.monotonic() - started < 20
        assert (caught.value.code, caught.value.where) == (code, "bad.odd")
        assert said in str(caught.value)
        assert process.read(odd, "good.odd", b"fine").text.startswith("fine")


def test_a_process_reads_many_files(odd: Reader) -> None:
    with ReadingProcess(LIMITS) as process:
        assert len({process.read(odd, "a.odd", b"a").text for _ in range(20)}) == 1


def test_large_files_and_large_documents_go_through(odd: Reader) -> None:
    with ReadingProcess(Limits(seconds=30)) as process:
        assert len(process.read(odd, "a.odd", b"large").text) == 60_000_000
        assert len(process.read(odd, "b.odd", b"z" * 40_000_000).text) > 40_000_000


def test_what_a_reader_prints_is_no_answer(odd: Reader) -> None:
    with ReadingProcess(LIMITS) as process:
        assert process.read(odd, "a.odd", b"print").text.startswith("print")


def test_results_come_in_the_sources_order_and_few_are_under_way(odd: Reader) -> None:
    drawn = 0

    def sources() -> Iterator[Source]:
        nonlocal drawn
        for number in range(40):
            drawn = number + 1
            yield source(f"{number}.odd", b"abort" if number % 13 == 5 else b"file %d" % number)

    names = []
    for number, (found, result) in enumerate(read_all(sources(), lambda name, head: odd, workers=2, limits=LIMITS)):
        assert drawn <= number + AHEAD * 2 + 1
        names.append(found.name)
        if number % 13 == 5:
            assert isinstance(result, KnowledgeError)
        else:
            assert isinstance(result, Document)
            assert result.text.startswith(f"file {number} ")
    assert names == [f"{number}.odd" for number in range(40)]


def test_leaving_early_ends_what_is_being_read(odd: Reader) -> None:
    started = time.monotonic()
    results = read_all(
        (source(f"{number}.odd", b"quick" if number == 0 else b"sleep") for number in range(9)),
        lambda name, head: odd,
        workers=2,
        limits=Limits(seconds=40),
    )
    assert isinstance(next(results)[1], Document)
    results.close()  # type: ignore[attr-defined]
    assert time.monotonic() - started < 20


def test_what_no_reader_wants_and_what_cannot_be_opened_is_told(odd: Reader) -> None:
    def find(name: str, head: bytes) -> Reader:
        assert head == b"whole"
        raise KnowledgeError("JM-999", "nobody reads this", where=name)

    def broken() -> bytes:
        raise PermissionError("not yours")

    given = [source("a", b"whole"), Source("b", 3, "", broken), Source("c", 1 << 40, "", lambda: b"")]
    codes = [result.code for _, result in read_all(given, find) if isinstance(result, KnowledgeError)]
    assert codes == ["JM-999", "JM-930", "JM-929"]


PDF = Reader("PDF", 1, (".pdf",), read_pdf)
REASONS = {
    "page_tree_loop": {"JM-925"},
    "million_objects": {"JM-921"},
    "million_pages": {"JM-925"},
    "truncated": {"JM-921"},
    "bomb": {"JM-931", "JM-932", "JM-933"},
    "nested_bombs": {"JM-931", "JM-932", "JM-933"},
    "endless_text": {"", "JM-931", "JM-932", "JM-933"},
    "doubling_forms": {"JM-931", "JM-932", "JM-933"},
    "form_in_itself": {""},
    "deep_nesting": {"JM-924"},
    "deep_objects": {"JM-921"},
    "outline_loop": {"JM-924"},
}


@pytest.fixture(scope="module")
def reading() -> Iterator[ReadingProcess]:
    with ReadingProcess(Limits(seconds=10, memory_bytes=300 << 20)) as process:
        yield process


@pytest.mark.parametrize("name", list(HOSTILE))
def test_no_hostile_pdf_hangs(reading: ReadingProcess, name: str) -> None:
    data = HOSTILE[name]()
    started = time.monotonic()
    try:
        reading.read(PDF, f"{name}.pdf", data)
        code = ""
    except KnowledgeError as error:
        code = error.code if error.where == f"{name}.pdf" else f"{error.code} of another file"
    assert time.monotonic() - started < 60  # ten, on a machine that is not busy
    assert code in REASONS[name]
    assert reading.read(PDF, "good.pdf", write_pdf([Page().text(60, 60, "Still here")])).text == "Still here"


def test_pdfs_are_read_side_by_side(tmp_path: Path) -> None:
    made = [source(f"{number}.pdf", write_pdf([Page().text(60, 60, f"Number {number}")])) for number in range(12)]
    read = [result for _, result in read_all(made, lambda name, head: PDF, workers=2)]
    assert [result.text for result in read if isinstance(result, Document)] == [f"Number {n}" for n in range(12)]
