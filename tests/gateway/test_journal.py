"""Log lines: one for each call, whole, that nobody can forge."""

from __future__ import annotations

import io
import json
import logging
import os
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.core.messages import make_message
from journeyman.core.trace import Trace
from journeyman.gateway.journal import Form, Journal, Noting, Writer, keeping_log, shown

EVIL = 'gpt\n{"event":"call","trace":"forged"}\r\x1b[2J\x85\u2028\u202e\x00 ok  paint'


def trace(**changes: Any) -> Trace:
    given = {"id": "trace-1", "task": "tickets", "time": "2026-11-23T04:47:16+00:00", "origin": "serve", "input": {"message": "secret words"},
             "messages": (make_message("user", "secret words"),), "output": None, "latency_ms": 20.0, "input_tokens": 5, "output_tokens": 7, "cost_usd": 0.25,
             "model": "big", "verdicts": {"route": {"by": "teacher", "why": "unsure", "policy": "cascade"}}, "meta": {"key": "key-1", "person": "whose"}}  # fmt: skip
    return Trace(**(given | changes))


def lines_of(form: Form, *traces: Trace) -> list[str]:
    stream = io.StringIO()
    with keeping_log(form, stream) as journal:
        for item in traces:
            journal.observe(item)
    return stream.getvalue().split("\n")[:-1]


def test_a_call_is_a_line_of_json_without_its_content() -> None:
    (line,) = lines_of("json", trace())
    said = json.loads(line)
    assert said == {"time": "2026-11-23T04:47:16+00:00", "level": "info", "event": "call", "trace": "trace-1", "task": "tickets", "model": "big", "by": "teacher",
                    "why": "unsure", "status": "ok", "origin": "serve", "latency_ms": 20.0, "input_tokens": 5, "output_tokens": 7, "cost_usd": 0.25, "key": "key-1"}  # fmt: skip


def test_a_call_is_a_short_line_of_text() -> None:
    (line,) = lines_of("text", trace())
    assert line == "04:47:16  ok  tickets  teacher: unsure  big  20 ms  5+7 tokens  $0.250000  trace-1"


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_hostile_name_forges_no_line_and_moves_no_cursor(form: Form) -> None:
    found = lines_of(form, trace(task=f"model:{EVIL}", model=EVIL * 100), trace(id="trace-2"))
    assert len(found) == 2
    assert all(line.isprintable() for line in found)
    assert len(found[0]) < 2_000 or form == "json"
    if form == "json":
        assert json.loads(found[0])["task"] == f"model:{EVIL}"
        assert json.loads(found[0])["trace"] == "trace-1"
    else:
        assert found[0].endswith("  trace-1")
        assert len(found[0].split("  ")) == len(found[1].split("  "))


@given(st.text(max_size=300))
def test_a_name_is_one_visible_word(name: str) -> None:
    assert shown(name).isprintable()
    assert " " not in shown(name)
    assert shown("café") == "café"


def test_notes_and_failures_are_lines_too() -> None:
    def note() -> list[str]:
        log = logging.getLogger("journeyman.gateway")
        stream = io.StringIO()
        with keeping_log(form, stream):
            Noting().note("paint: the teacher, big")
            log.warning("two\nlines of %s", EVIL)
            logging.getLogger("somebody.else").info("not ours, and not urgent")
            try:
                raise ValueError(f"no\n{EVIL}")
            except ValueError:
                log.exception("a call failed")
        return stream.getvalue().split("\n")[:-1]

    form: Form = "json"
    first, second, third = map(json.loads, note())
    assert (first["message"], first["level"], first["event"]) == ("paint: the teacher, big", "info", "note")
    assert second["message"] == f"two\nlines of {EVIL}"
    assert third["exception"].startswith("Traceback")
    form = "text"
    found = note()
    assert found[0].endswith("info  paint: the teacher, big")
    assert "\\n" in found[1]
    assert all(line.startswith("    ") for line in found[3:])
    assert all(line.isprintable() for line in found)


def test_a_reader_that_stands_still_stops_no_call_and_loses_no_order() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream, os.fdopen(reading) as reader:
        writer = Writer(stream, most_waiting=100)
        journal = Journal("json", writer)
        for number in range(5_000):
            journal.observe(trace(id=f"trace-{number}"))
        assert writer.dropped > 1_000
        found: list[str] = []
        reads = threading.Thread(target=lambda: found.extend(reader))
        reads.start()
        writer.close()
        stream.close()
        reads.join(10)
    ids = [int(json.loads(line)["trace"].removeprefix("trace-")) for line in found]
    assert ids == sorted(ids)
    assert len(ids) + writer.dropped == 5_000


def test_nobody_reading_any_more_stops_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    writer = Writer(stream)
    writer.write("nobody hears this")
    writer.close()
    assert writer.dropped == 1
    with pytest.raises(BrokenPipeError):
        stream.close()
