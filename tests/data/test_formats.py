from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.core.canonical import Json
from journeyman.core.errors import DataError
from journeyman.core.example import object_target, text_target
from journeyman.data import table
from journeyman.data.formats import Rows, read_rows
from journeyman.data.lines import Line
from journeyman.data.record import Record, hash_row, parse_object, read_time
from journeyman.task.task import Task

ANSWER = '{"intent": "card", "urgent": true}'
USER = {"role": "user", "content": "They stole my card!"}


def rows_of(lines: Sequence[str], task: Task) -> Rows:
    return read_rows([Line(number, text) for number, text in enumerate(lines, 1)], task, "FILE")


def records_of(lines: Sequence[object], task: Task) -> list[Record]:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    found = list(rows_of(texts, task).rows)
    assert not [row.line.problem for row in found if row.record is None and not row.is_blank]
    return [row.record for row in found if row.record is not None]


def test_request_and_response(task: Task) -> None:
    row = {
        "request": {"model": "gpt", "messages": [{"role": "system", "content": "Sort."}, USER], "temperature": 0},
        "response": {
            "id": "chatcmpl-1",
            "created": 1_700_000_000,
            "model": "gpt-2026",
            "choices": [{"message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 12, "completion_tokens": 5},
        },
        "gold": {"intent": "other", "urgent": False},
    }
    (record,) = records_of([row], task)
    assert (record.key, record.model, record.time) == ("chatcmpl-1", "gpt-2026", "2023-11-14T22:13:20+00:00")
    assert (record.input_tokens, record.output_tokens) == (12, 5)
    assert record.output == text_target(ANSWER)
    assert record.gold == object_target({"intent": "other", "urgent": False})
    assert [message.role for message in record.messages] == ["system", "user"]
    assert not record.unused


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [USER, {"role": "assistant", "content": ANSWER}]},
        {"messages": [USER], "choices": [{"message": {"role": "assistant", "content": ANSWER}}]},
        {"messages": [USER], "response": {"role": "assistant", "content": [{"type": "text", "text": ANSWER}]}},
        {"messages": [USER], "response": ANSWER},
        {
            "request": {"messages": [USER]},
            "response": {"body": {"choices": [{"message": {"role": "assistant", "content": ANSWER}}]}},
        },
    ],
)
def test_flat_and_fine_tuning_forms(task: Task, row: Json) -> None:
    (record,) = records_of([row], task)
    assert record.output == text_target(ANSWER)
    assert [message.text for message in record.messages] == ["They stole my card!"]


def test_tools_tool_calls_and_response_format(task: Task) -> None:
    tool = {"type": "function", "function": {"name": "sort", "parameters": {"type": "object"}}}
    call = {"id": "c1", "type": "function", "function": {"name": "sort", "arguments": ANSWER}}
    row = {
        "messages": [USER, {"role": "assistant", "content": None, "tool_calls": [call]}],
        "tools": [tool],
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
    }
    (record,) = records_of([row], task)
    assert record.tools == (tool,)
    assert record.schema == {"type": "object"}
    assert record.output is not None
    assert record.output.kind == "tool_calls"
    assert record.output.tool_calls[0].arguments == ANSWER


def test_pairs(task: Task) -> None:
    records = records_of(
        [
            {"input": "plain", "output": {"intent": "card", "urgent": True}},
            {"input": {"message": "fields"}, "output": ANSWER, "gold": None, "id": 7, "label": "?"},
        ],
        task,
    )
    assert [record.input for record in records] == ["plain", {"message": "fields"}]
    assert [record.key for record in records] == ["", ""]
    assert records[1].unused == {"label"}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_with_any_delimiter_and_cells_over_several_lines(task: Task, delimiter: str) -> None:
    written = io.StringIO()
    writer = csv.writer(written, delimiter=delimiter)
    writer.writerow(["message", "output", "gold.intent", "gold.urgent", "note"])
    writer.writerow(['two\nlines, "quoted"; x', ANSWER, "card", "true", "n"])
    writer.writerow(["second", "", "", "", ""])
    found = rows_of(written.getvalue().splitlines(), task)
    rows = list(found.rows)
    assert found.unused == {"note"}
    first, second = (row.record for row in rows)
    assert first is not None
    assert second is not None
    assert first.input == {"message": 'two\nlines, "quoted"; x'}
    assert first.output == text_target(ANSWER)
    assert first.gold == object_target({"intent": "card", "urgent": True})
    assert (second.output, second.gold) == (None, None)
    assert [row.line.number for row in rows] == [2, 4]


def test_csv_cells_of_a_required_text_are_the_empty_text() -> None:
    schema: dict[str, Json] = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "unit": {"type": "string"}, "note": {"type": "string"}},
        "required": ["name", "unit"],
    }
    task = Task("lines", "Read.", {"line": {"type": "string"}}, schema)
    (record,) = records_of(["line,gold.unit,gold.name,gold.note", "salt,,salt,"], task)
    assert record.gold is not None
    assert list(record.gold.value.items()) == [("name", "salt"), ("unit", "")]  # type: ignore[union-attr]


def test_an_open_quote_costs_its_own_line_only(task: Task) -> None:
    rows = list(rows_of(["message,output", '"never closed,x', "good,y", "too,many,cells", "last,z"], task).rows)
    assert [row.line.problem for row in rows] == [
        "a quote is opened here and never closed",
        "",
        "the row has another number of cells than the header",
        "",
    ]
    assert [row.line.number for row in rows] == [2, 3, 4, 5]


@given(st.lists(st.text(alphabet='ab",\n\r;é ', max_size=12), max_size=12))
def test_csv_reads_what_the_csv_module_writes(cells: list[str]) -> None:
    # A bare carriage return inside a cell is a line end to nobody but the csv module.
    cells = [cell.replace("\r", "") for cell in cells]
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerows([[cell, "x"] for cell in cells])
    lines = (Line(number, text) for number, text in enumerate(written.getvalue().split("\n")[:-1], 2))
    header = table.Header(("message", "output"), ",")
    found = list(table.split_rows(lines, header))
    assert [row for _, row in found] == [[cell, "x"] for cell in cells]


def test_one_bad_row_each(task: Task) -> None:
    bad = {
        "[1, 2]": "this row is not a JSON object",
        '{"input": "x"': "this is not valid JSON",
        '{"input": NaN}': "this is not valid JSON",
        '{"input": 4}': "input is neither text nor an object of fields",
        '{"text": "x"}': "this row has none of the known shapes",
        '{"messages": "x"}': "this is not a chat message",
        '{"messages": [], "response": {"choices": []}}': "the response has no choices",
        '{"request": {"model": "x"}}': "the request has no messages",
        '{"messages": [], "response": {"error": {"message": "overloaded"}}}': "the recorded response is an error",
        '{"input": "\\ud800"}': "this row holds what no store keeps",
        '{"input": "\\u0000"}': "this row holds NUL characters",
        '{"input": ' + "[" * 200 + "]" * 200 + "}": "the JSON is nested deeper than 100 levels",
        '{"input": ' + "[" * 200_000 + "]" * 200_000 + "}": "the JSON is nested deeper than 100 levels",
        '{"input": "x", "output": 1e999}': "this row holds what no store keeps",
    }
    rows = list(rows_of(['{"input": "good"}', *bad], task).rows)
    assert [row.line.problem for row in rows] == ["", *bad.values()]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["hello world", "again"], "got: 'hello world'"),
        (['{"text": "a", "label": "b"}'], "got: JSON lines with the keys text, label"),
        (["a,b", "1,2"], "CSV with a header that names message"),
        (["message,message,output"], "a column of this table comes twice"),
        (["", "  "], "JM-302"),
    ],
)
def test_unknown_formats_say_what_was_found(task: Task, lines: list[str], expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        rows_of(lines, task)


def test_an_unknown_file_does_not_show_its_secrets(task: Task) -> None:
    with pytest.raises(DataError) as caught:
        rows_of(["api_key = sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD"], task)
    assert "abcdefghijkl" not in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=4))
def test_any_json_object_is_read_or_named(value: dict[str, Json]) -> None:
    written = json.dumps(value)
    if "\\u0000" in written or "\\ud" in written:
        with suppress(DataError):
            hash_row(parse_object(written))
        return
    assert parse_object(written) == value
    assert len(hash_row(value)) == 64


@given(json_values)
def test_any_time_is_read_or_left_out(value: Json) -> None:
    found = read_time(value)
    assert found == "" or found.endswith("+00:00")


def test_a_field_called_input_beside_others_is_a_field() -> None:
    task = Task("t", "Answer.", {"input": {"type": "string"}, "context": {"type": "string"}}, None)
    (row,) = read_rows(iter([Line(1, '{"input": "why", "context": "because", "output": "so"}')]), task, "a").rows
    assert row.record is not None
    assert (row.record.input, row.record.output) == ({"input": "why", "context": "because"}, text_target("so"))
