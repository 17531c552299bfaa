from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.core.canonical import Json
from journeyman.core.errors import DataError
from journeyman.data import lines as lines_module
from journeyman.data.documents import is_document, split_document
from journeyman.data.imports import ImportReport
from journeyman.data.lines import Line, stream_source

GOOD: Json = {"intent": "card", "urgent": True}
ROWS: list[Json] = [{"input": f'a "quoted" {{[{number}', "output": GOOD, "more": [1, [], {}]} for number in range(30)]
Take = Callable[..., ImportReport]

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='ab"\\{}[],: \n\té', max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def split(text: str, size: int = 1_000) -> list[Line]:
    return list(split_document(iter([text[start : start + size] for start in range(0, len(text), size)])))


def nest(rows: list[Json]) -> Json:
    scope: Json = {"scope": {"name": "spans", "attributes": [{"key": "data"}]}, "spans": rows}
    return {"resourceSpans": [{"resource": {"attributes": [{"a": [1]}]}, "scopeSpans": [scope, scope]}]}


@given(
    st.lists(st.dictionaries(st.text(max_size=4).filter(lambda key: key not in ("data", "rows")), values), max_size=6),
    st.sampled_from([None, 2]),
    st.integers(1, 40),
)
def test_any_array_is_split_into_its_elements(rows: list[dict[str, Json]], indent: int | None, size: int) -> None:
    found = split(json.dumps(rows, indent=indent, ensure_ascii=False), size)
    assert [json.loads(line.text) for line in found] == rows
    assert [line.number for line in found] == list(range(1, len(rows) + 1))


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("indent", [None, 1])
def test_wrappers_are_opened(size: int, indent: int | None) -> None:
    page: Json = {"data": ROWS, "meta": {"rows": ["x"], "next": None}, "total": 3}
    for document, expected in ((page, ROWS), (nest(ROWS), ROWS * 2), ({"traces": ROWS}, ROWS)):
        found = split(json.dumps(document, indent=indent), size)
        assert [json.loads(line.text) for line in found] == expected
    several = "\n".join(json.dumps(page, indent=indent) for _ in range(2))
    assert len(split(several, size)) == 2 * len(ROWS)


def test_a_document_that_is_one_row_stays_whole() -> None:
    trace: Json = {"info": {}, "data": {"spans": ROWS}}
    (line,) = split(json.dumps(trace, indent=2))
    assert json.loads(line.text) == trace


def test_a_broken_element_costs_itself() -> None:
    found = split('[{"a": 1,}, {"b": NaN}, 3, "text", {"c": 2}, {"d": "x')
    assert [line.text for line in found[:5]] == ['{"a": 1,}', '{"b": NaN}', "3", '"text"', '{"c": 2}']
    assert [line.problem for line in found[5:]] == [
        "the file ends in the middle of this element",
        "the file ends in the middle of the document",
    ]


@pytest.mark.parametrize("size", [3, 100, 10_000])
def test_an_element_over_the_limit_is_passed_over(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(lines_module, "LINE_LIMIT_BYTES", 1_000)
    monkeypatch.setattr(lines_module, "KEPT_BYTES", 100)
    found = split(json.dumps([{"a": "x" * 5_000}, {"b": ["y" * 900]}, {"c": 1}]), size)
    assert [bool(line.problem) for line in found] == [True, False, False]
    assert "longer than 0.001 MB" in found[0].problem
    assert len(found[0].text) == 100


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ('[{"a": 1}]', True),
        ('[\n{"input": "x"},\n{"input": "y"}\n]', True),
        ('\ufeff  [\n{"a": 1}', True),
        ('{\n  "data": [\n{"input": "x"}', True),
        ('{"data": [\n{"input": "x"},', True),
        ('{"input": "x"}\n{"input": "y"}', False),
        ('[1, 2]\n{"input": "y"}', False),
        ('{"input": "x"\n{"input": "y"}', False),
        ('{"input": "cut off,\n{"input": "y"}', False),
        ("message,output\n[x,y", False),
        ("", False),
    ],
)
def test_documents_are_told_from_lines(head: str, expected: bool) -> None:
    assert is_document(head) is expected


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_is_imported(take: Take, tmp_path: Path, indent: int | None, packed: bool) -> None:
    bad: list[Json] = [{"nothing": 1}, 7, {"input": "x", "output": "none of it"}]
    data = json.dumps([*ROWS, *bad], indent=indent).encode()
    path = tmp_path / "rows.json"
    path.write_bytes(gzip.compress(data) if packed else data)
    report = take(path)
    assert (report.added, report.quarantined) == (len(ROWS), len(bad))
    assert report.files[0].format == "JSON document"
    assert report.quarantine is not None
    lines = [json.loads(line)["line"] for line in report.quarantine.read_text().splitlines()]
    assert lines == [31, 32, 33]
    assert take(stream_source(io.BytesIO(data))).repeated == len(ROWS)


def test_an_array_larger_than_the_look_and_broken_bytes(take: Take, tmp_path: Path) -> None:
    rows = [{"input": f"{number} " + "word " * 40, "output": GOOD} for number in range(2_000)]
    path = tmp_path / "rows.json"
    path.write_bytes(json.dumps(rows).encode()[:-1] + b', {"input": "\xff\xfe", "output": null}]')
    report = take(path)
    assert report.added == len(rows)
    assert dict(report.reasons) == {"the element is not UTF-8": 1}


def test_a_document_of_nothing_known_says_what_it_has(take: Take, tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([{"colour": 1, "size": 2}], indent=1))
    with pytest.raises(DataError, match=r"JM-303 (?s:.*)the keys colour, size"):
        take(path)
    path.write_text("[\n]\n")
    with pytest.raises(DataError, match="JM-302"):
        take(path)


@pytest.mark.parametrize("size", [3, 3_000])
def test_a_packed_document_that_breaks_keeps_its_elements_and_says_so(take: Take, tmp_path: Path, size: int) -> None:
    rows = [{"input": f"message {number} {'x' * 300}", "output": GOOD} for number in range(size)]
    whole = gzip.compress(json.dumps(rows).encode())
    path = tmp_path / "rows.json.gz"
    path.write_bytes(whole[:-8] + bytes(8))  # its last bytes are the check sum
    report = take(path)
    assert report.added == size
    assert dict(report.reasons) == {"the gzip stream is broken here": 1}
    path.write_bytes(gzip.compress(json.dumps(rows).encode()[:-400]) + b"garbage")
    assert take(path).repeated >= size - 2
