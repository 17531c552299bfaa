"""Letters in a picture of a page, by RapidOCR where it is installed."""

from __future__ import annotations

import importlib.util

import pytest

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.parse.ocr import read_letters
from journeyman.knowledge.parse.pdf import read_pdf
from tests.knowledge.parse.pdf_writer import Page, scan, write_pdf

HAS_OCR = importlib.util.find_spec("rapidocr_onnxruntime") is not None


@pytest.mark.skipif(not HAS_OCR, reason='RapidOCR is not installed: pip install "journeyman[ocr]"')
def test_a_scan_is_read_with_boxes() -> None:
    page = Page().text(60, 60, "The harbour keeps its own hours", size=16).text(60, 100, "Invoice 4711", size=16)
    document = read_pdf("scan.pdf", scan(write_pdf([page])), ocr=read_letters)
    assert "harbour" in document.text
    assert "4711" in document.text
    start = document.text.index("4711")
    (box,) = document.places.find(start, start + 4)
    assert 100 < box.left < 130
    assert 95 < box.top < 110
    assert document.notes == ("page 1 has no text: an image, read by OCR",)


@pytest.mark.skipif(HAS_OCR, reason="RapidOCR is installed")
def test_without_it_the_message_says_what_to_install() -> None:
    with pytest.raises(KnowledgeError, match=r"JM-926 .*") as caught:
        read_pdf("scan.pdf", write_pdf([Page().image()]), ocr=read_letters)
    assert "journeyman[ocr]" in caught.value.hint
