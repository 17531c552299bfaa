"""The 29 PDFs of py-pdf/sample-files: each gives its text or a reason; what their sources say is found."""

from __future__ import annotations

import difflib
import re
from functools import cache
from pathlib import Path

import pypdfium2 as pdfium
import pytest

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.document import Document
from journeyman.knowledge.parse.pdf import read_pdf

FOLDER = Path(__file__).parents[4] / "shared" / "data" / "pdf_samples"
SCANS = {"imagemagick-ASCII85Decode", "imagemagick-CCITTFaxDecode", "imagemagick-images", "imagemagick-lzw"}
SCANS |= {"grayscale-image", "cmyk-image"}
LOCKED = "libreoffice-writer-password"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the public sets are not here")


@cache
def sample(name: str) -> Document:
    (path,) = FOLDER.glob(f"*/{name}.pdf")
    return read_pdf(path.name, path.read_bytes(), passwords=("openpassword",))


def plain_words(name: str) -> list[str]:
    """PDFium's own text, in the file's order, with parted words whole."""
    (path,) = FOLDER.glob(f"*/{name}.pdf")
    with pdfium.PdfDocument(path) as document:
        text = "\n".join(page.get_textpage().get_text_bounded() for page in document)
    return re.sub(r"[\x02￾]", "", text.replace("\x02\r\n", "")).split()


def read_or_refuse(path: Path) -> Document | KnowledgeError:
    try:
        return read_pdf(path.name, path.read_bytes())
    except KnowledgeError as error:
        return error


def test_every_file_gives_text_or_a_reason() -> None:
    paths = sorted(FOLDER.glob("*/*.pdf"))
    assert len(paths) == 29
    for path in paths:
        document = read_or_refuse(path)
        if isinstance(document, KnowledgeError):
            assert document.code == ("JM-920" if path.stem == LOCKED else "JM-924")
            assert path.stem in {LOCKED, *SCANS}
            continue
        assert document.text.strip()
        assert path.stem not in SCANS
        spans = document.places.spans
        assert (spans[1:, 0] >= spans[:-1, 1]).all()
        covered = sum(end - start for start, end in spans.tolist())
        assert covered > 0.75 * len(document.text)


def test_a_password_opens() -> None:
    assert "Lorem ipsum dolor sit amet" in sample(LOCKED).text
    with pytest.raises(KnowledgeError, match="none of those given"):
        read_pdf("x.pdf", next(FOLDER.glob(f"*/{LOCKED}.pdf")).read_bytes(), passwords=("wrong",))


def test_the_columns_of_a_two_column_article_follow_each_other() -> None:
    ours = sample("multicolumn").text.replace(" |", "").split()
    files = [word for word in plain_words("multicolumn") if word not in {"1", "2", "3"}]
    ratio = difflib.SequenceMatcher(None, ours, files, autojunk=False).ratio()
    assert ratio > 0.985  # TeX writes column by column; the table's words and two hyphens differ


def test_what_the_articles_source_says_is_there_in_its_order() -> None:
    source = next(FOLDER.glob("*/multicolumn.tex")).read_text(encoding="utf-8")
    title = re.search(r"\\title\{(.*)\}", source)
    rows = [
        [re.sub(r"\\text\w+\{([^{}]*)\}", r"\1", cell).strip() for cell in line.strip().removesuffix(r"\\").split("&")]
        for line in re.sub(r"\\textsuperscript\{2\}", "2", source).splitlines()
        if line.count("&") == 4
    ]
    assert title is not None
    assert len(rows) == 6
    text = sample("multicolumn").text
    assert text.startswith(title[1])
    assert text.index("This is a sample document with two columns filled") < text.index("Lorem ipsum dolor sit amet")
    assert "\n".join(" | ".join(row) for row in rows) in text


def test_words_of_a_book_are_those_of_the_file() -> None:
    ours, files = sample("GeoTopo-komprimiert"), plain_words("GeoTopo-komprimiert")
    mine = set(ours.text.split())
    long_words = {word for word in files if len(word) > 5 and word.isalpha() and not word.isupper()}
    assert len(long_words) > 900
    assert len(long_words - mine) < 0.02 * len(long_words)
    assert ours.title == "Geometrie und Topologie"
    assert ours.facts["author"] == "Martin Thoma"
    assert any("left out" in note for note in ours.notes)


@pytest.mark.parametrize("name", ["habibi", "habibi-oneline-cmap", "habibi-rotated"])
def test_writing_to_the_left_is_in_the_order_of_speech(name: str) -> None:
    text = sample(name).text
    assert "حَبيبي" in text
    assert "habibi" in text


def test_fields_annotations_and_attachments() -> None:
    assert "First Name: Alice" in sample("libreoffice-form").text
    assert "This is a text annotation." in sample("annotated_pdf").text
    assert any("image.png" in note for note in sample("with-attachment").notes)
    (link,) = sample("libre-office-link").links
    assert link.target.startswith("http")


def test_rotated_pages_have_their_size_as_shown() -> None:
    document = sample("habibi-rotated")
    assert {(round(width), round(height)) for width, height in document.pages} == {(595, 842), (842, 595)}
    for box, page in zip(document.places.boxes.tolist(), document.places.pages.tolist(), strict=True):
        width, height = document.pages[page - 1]
        assert -1 <= box[0] <= box[2] <= width + 1
        assert -1 <= box[1] <= box[3] <= height + 1
