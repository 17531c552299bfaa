from __future__ import annotations

import gzip
import io
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from journeyman.core.canonical import Json
from journeyman.core.errors import DataError
from journeyman.core.example import object_target, text_target
from journeyman.core.progress import Silent
from journeyman.core.trace import Trace
from journeyman.data import imports as imports_module
from journeyman.data import lines as lines_module
from journeyman.data.imports import ImportReport, import_files
from journeyman.data.lines import stream_source
from journeyman.store.database import Store, open_store
from journeyman.task.task import Task

GOOD: Json = {"intent": "card", "urgent": True}
NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
Take = Callable[..., ImportReport]
Write = Callable[..., Path]


def traces(store: Store) -> list[Trace]:
    return list(store.traces("tickets"))


def check_sums(report: ImportReport) -> None:
    assert report.read == report.added + report.repeated + report.quarantined
    quarantined = 0
    if report.quarantine is not None:
        rows = [json.loads(line) for line in report.quarantine.read_text(encoding="utf-8").splitlines()]
        assert all(row["reason"] and row["line"] > 0 and row["file"] for row in rows)
        quarantined = len(rows)
    assert quarantined == report.quarantined == sum(report.reasons.values())


def chat(text: str, answer: Json, system: str = "", **more: Json) -> dict[str, Json]:
    messages: list[Json] = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": text})
    content = answer if isinstance(answer, str) else json.dumps(answer)
    row: dict[str, Json] = {
        "request": {"messages": messages},
        "response": {"choices": [{"message": {"role": "assistant", "content": content}}]},
    }
    return row | more


def test_bad_rows_are_named_and_the_counts_add_up(
    take: Take, write: Write, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines_module, "LINE_LIMIT_BYTES", 20_000)
    good = [{"input": f"message {number}", "output": GOOD} for number in range(5)]
    bad: dict[str, str] = {
        '{"input": "x", "output"': "this is not valid JSON",
        "{}": "this row has none of the known shapes",
        '{"input": "", "output": {"intent": "card", "urgent": true}}': "the input is empty",
        '{"input": {"text": "x"}, "output": {"intent": "card", "urgent": true}}': "unknown input field 'text'",
        '{"input": "x", "output": {"intent": "none", "urgent": true}}': "the answer is wrong and there is no gold",
        '{"input": "x", "output": "I cannot help."}': "the answer is wrong and there is no gold",
        '{"input": "x", "gold": {"intent": "card"}}': "the gold breaks the task's output",
        '{"input": "' + "long " * 5_000 + '"}': "the line is longer than 0.02 MB",
        json.dumps(chat("x", GOOD) | {"request": {"messages": []}}): "this call does not have the task's shape",
    }
    path = write("rows.jsonl", [*good[:2], "", *bad, "   ", *good[2:]])
    path.write_bytes(path.read_bytes() + b'{"input": "\xff"}\n{"input": "a\0b"}\n')
    report = take(path)
    check_sums(report)
    assert report.read == len(good) + len(bad) + 2
    assert (report.added, report.blank) == (5, 2)
    wanted = [*bad.values(), "the line is not UTF-8", "the line holds NUL bytes"]
    assert dict(report.reasons) == {reason: wanted.count(reason) for reason in wanted}
    assert [trace.input["message"] for trace in traces(store)] == [row["input"] for row in good]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    junk=st.lists(st.binary(max_size=60).map(lambda part: part.replace(b"\n", b"")), max_size=8), packed=st.booleans()
)
def test_junk_between_rows_never_stops_an_import(
    junk: list[bytes], packed: bool, task: Task, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("junk")
    rows = [json.dumps({"input": f"message {number}", "output": GOOD}).encode() for number in range(len(junk) + 1)]
    data = b"\n".join(part for pair in zip(rows, [*junk, b""], strict=True) for part in pair)
    (folder / "rows").write_bytes(gzip.compress(data) if packed else data)
    with open_store(f"sqlite:///{folder / 'journeyman.db'}") as store:
        report = import_files(task, [folder / "rows"], store, quarantine_folder=folder, now=NOW)
        check_sums(report)
        assert report.added == len(rows)
        assert report.read + report.blank in (2 * len(rows), 2 * len(rows) - 1)


@pytest.mark.parametrize("form", ["gzip", "stdin", "stdin gzip"])
def test_gzip_and_stdin(take: Take, write: Write, store: Store, form: str) -> None:
    path = write("rows.jsonl", [{"input": f"message {number}", "output": GOOD} for number in range(3)])
    data = gzip.compress(path.read_bytes()) if "gzip" in form else path.read_bytes()
    packed = path.with_name("rows.gz")
    packed.write_bytes(data)
    report = take(stream_source(io.BytesIO(data)) if "stdin" in form else packed)
    assert report.added == 3
    assert traces(store)[0].provenance == ("stdin" if "stdin" in form else str(packed))


def test_a_pipe_is_read(take: Take) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as file:
        file.write(json.dumps({"input": "from a pipe", "output": GOOD}).encode())
    with os.fdopen(reading, "rb") as pipe:
        assert take(stream_source(pipe)).added == 1


def test_the_same_file_twice_adds_nothing_and_real_repeats_stay(take: Take, write: Write, store: Store) -> None:
    row = {"input": "again", "output": GOOD}
    rows: list[object] = [row, {"input": "once", "output": GOOD}, row, row]
    path = write("rows.jsonl", rows)
    assert take(path).added == 4
    second = take(path, path)
    assert (second.added, second.repeated, second.read) == (0, 8, 8)
    longer = take(write("longer.jsonl", [*rows, row]))
    assert (longer.added, longer.repeated) == (1, 4)
    assert len(traces(store)) == 5


def test_a_provider_id_is_the_row(take: Take, write: Write) -> None:
    first = chat("one", GOOD)
    first["response"] = first["response"] | {"id": "chatcmpl-1"}  # type: ignore[operator]
    other = chat("two", GOOD)
    other["response"] = other["response"] | {"id": "chatcmpl-1"}  # type: ignore[operator]
    report = take(write("rows.jsonl", [first, first, other]))
    check_sums(report)
    assert (report.added, report.repeated) == (1, 1)
    assert dict(report.reasons) == {"the provider's id came before with other content": 1}
    assert take(write("renamed.jsonl", [first])).repeated == 1


def test_batches_of_any_size_say_the_same(
    take: Take, write: Write, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports_module, "BATCH_ROWS", 3)
    path = write("rows.jsonl", [{"input": f"message {number % 7}", "output": GOOD} for number in range(20)])
    report = take(path)
    assert (report.added, take(path).repeated) == (20, 20)
    assert [trace.input["message"] for trace in traces(store)] == [f"message {number % 7}" for number in range(20)]


def test_a_wrong_answer_stays_beside_its_gold(take: Take, write: Write, store: Store) -> None:
    take(
        write(
            "rows.jsonl",
            [
                {"input": "a", "output": {"intent": "none"}, "gold": GOOD},
                {"input": "b", "output": "no JSON", "gold": json.dumps(GOOD)},
                chat("c", '{"intent": "card", "urg', gold=GOOD),
                {"input": "d"},
            ],
        )
    )
    found = traces(store)
    assert [trace.output for trace in found] == [
        text_target('{"intent":"none"}'),
        text_target("no JSON"),
        text_target('{"intent": "card", "urg'),
        None,
    ]
    assert [trace.gold for trace in found] == [object_target(GOOD)] * 3 + [None]
    assert "not JSON" in str(found[1].verdicts["output"])


def test_a_cut_off_answer_is_wrong_even_where_it_parses(take: Take, write: Write) -> None:
    row = chat("a", GOOD)
    row["response"]["choices"][0]["finish_reason"] = "length"  # type: ignore[index,call-overload]
    with pytest.raises(DataError, match="1 x the answer is wrong and there is no gold"):
        take(write("rows.jsonl", [row]))


def test_instructions_schemas_and_tools_travel_with_the_row(task: Task, take: Take, write: Write, store: Store) -> None:
    wider: Json = {"type": "object", "properties": {"intent": {"type": "string"}}, "required": ["intent"]}

    def asked_for(schema: Json) -> Json:
        return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}

    call = {"id": "c", "type": "function", "function": {"name": "sort", "arguments": json.dumps(GOOD)}}
    looked_up = {"id": "c", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    rows = [
        chat("own", GOOD, system="Sort a  customer's message.\n"),
        chat("other", GOOD, system="Something else."),
        chat("same schema", GOOD)
        | {
            "request": {
                "messages": [{"role": "user", "content": "same schema"}],
                "response_format": asked_for(dict(task.schema or {})),
            }
        },
        chat("wider", {"intent": "sale"})
        | {"request": {"messages": [{"role": "user", "content": "wider"}], "response_format": asked_for(wider)}},
        {
            "messages": [
                {"role": "user", "content": "call"},
                {"role": "assistant", "content": None, "tool_calls": [call]},
            ]
        },
        {
            "messages": [
                {"role": "user", "content": "tool"},
                {"role": "assistant", "content": None, "tool_calls": [looked_up]},
            ]
        },
    ]
    assert take(write("rows.jsonl", rows)).added == 6
    own, other, same, wide, called, tool = traces(store)
    assert own.instruction_hash == same.instruction_hash == task.instruction_hash != other.instruction_hash
    assert (same.schema, wide.schema) == (None, wider)
    assert called.output == object_target(GOOD)
    assert tool.output is not None
    assert tool.output.tool_calls[0].name == "look_up"
    assert [message.role for message in other.messages] == ["system", "user"]


def test_redaction_comes_before_storage_and_agrees_over_the_row(
    task: Task, take: Take, write: Write, store: Store
) -> None:
    free = replace(task, schema=None)
    secret = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD"
    row = {"input": f"I am ann@example.org, key {secret}", "output": "Mail ann@example.org."}
    path = write("rows.jsonl", [row])
    folder = path.parent / "quarantine"
    import_files(free, [path], store, quarantine_folder=folder, now=NOW)
    (trace,) = traces(store)
    assert trace.output == text_target("Mail <EMAIL_1>.")
    assert trace.input == {"message": "I am <EMAIL_1>, key <SECRET>"}
    import_files(free, [path], store, quarantine_folder=folder, now=NOW, split="test")
    public = traces(store)[1]
    assert public.input == {"message": "I am ann@example.org, key <SECRET>"}
    kept = replace(free, name="kept", verbatim=("message",))
    import_files(kept, [path], store, quarantine_folder=folder, now=NOW)
    assert next(store.traces("kept")).input == {"message": "I am ann@example.org, key <SECRET>"}


def test_a_quarantined_row_is_shown_without_secrets_and_cut(take: Take, write: Write) -> None:
    secret = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD"
    broken = '{"input": "key ' + secret + '", "mail": "ann@example.org" ' + "x" * 5_000
    report = take(write("rows.jsonl", [{"input": "fine", "output": GOOD}, broken]))
    assert report.quarantine is not None
    text = report.quarantine.read_text(encoding="utf-8")
    assert secret not in text
    assert "ann@example.org" not in text
    row = json.loads(text)
    assert (row["line"], row["reason"], len(row["raw"])) == (2, "this is not valid JSON", 2_000)
    assert report.quarantine.name == f"{report.id}.jsonl"


def test_nothing_imported_says_where_the_reasons_are(take: Take, write: Write) -> None:
    with pytest.raises(DataError) as caught:
        take(write("rows.jsonl", [{"input": "x", "output": "?"}, {"input": "y", "output": "?"}]))
    assert caught.value.code == "JM-304"
    assert caught.value.got == "2 x the answer is wrong and there is no gold"
    assert Path(caught.value.hint.removeprefix("read the reasons in ")).is_file()


def test_a_wrong_file_stops_before_the_first_row(take: Take, write: Write, store: Store, tmp_path: Path) -> None:
    good = write("good.jsonl", [{"input": "x", "output": GOOD}])
    for bad, code in ((tmp_path / "none.jsonl", "JM-301"), (write("bad.txt", ["hello"]), "JM-303")):
        with pytest.raises(DataError, match=code):
            take(good, bad)
    assert traces(store) == []


def test_a_row_given_to_a_split_needs_an_answer(take: Take, write: Write) -> None:
    report = take(write("rows.jsonl", [{"input": "x", "gold": GOOD}, {"input": "y"}]), split="test")
    assert dict(report.reasons) == {"a row for test needs an output or a gold": 1}


def test_terms_provenance_and_unused_keys(take: Take, write: Write, store: Store) -> None:
    path = write("rows.jsonl", [{"input": "x", "output": GOOD, "label": 3}])
    report = take(path, terms="restricted", provenance="shop 2026")
    (trace,) = traces(store)
    assert (trace.terms, trace.provenance, trace.origin) == ("restricted", "shop 2026", "import")
    assert report.files[0].unused == ("label",)


CHILD = """
import os, signal, sys
from pathlib import Path
from datetime import UTC, datetime
from journeyman.data import imports
from journeyman.store.database import Store, open_store
from journeyman.task.task import Task

imports.BATCH_ROWS = 10
folder, left = Path(sys.argv[1]), int(sys.argv[2])
add = Store.add_traces
def add_then_die(self, items):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return add(self, items)
Store.add_traces = add_then_die
task = Task("tickets", "Sort.", {"message": {"type": "string"}}, None)
with open_store(f"sqlite:///{folder / 'journeyman.db'}") as store:
    imports.import_files(task, [folder / "rows.jsonl"], store, quarantine_folder=folder, now=datetime.now(UTC))
"""


def test_killed_in_the_middle_and_run_again_gives_the_same(write: Write, tmp_path: Path) -> None:
    write("rows.jsonl", [{"input": f"message {number % 40}", "output": "yes"} for number in range(60)])
    for batches in (2, 4, 0):
        done = subprocess.run(
            [sys.executable, "-c", CHILD, str(tmp_path), str(batches)], check=False, env=dict(os.environ)
        )
        assert done.returncode == (-signal.SIGKILL if batches else 0)
    with open_store(f"sqlite:///{tmp_path / 'journeyman.db'}") as store:
        assert [trace.input["message"] for trace in traces(store)] == [f"message {number % 40}" for number in range(60)]


def test_the_order_of_files_does_not_matter(task: Task, write: Write, tmp_path: Path) -> None:
    draw = random.Random(4)
    files = [
        write(f"{name}.jsonl", [{"input": f"message {draw.randrange(9)}", "output": GOOD} for _ in range(20)])
        for name in "abc"
    ]
    keys = set()
    for order in (files, files[::-1], [files[1], files[2], files[0]]):
        with open_store(f"sqlite:///{tmp_path / f'{order[0].stem}.db'}") as store:
            import_files(task, order, store, quarantine_folder=tmp_path, now=NOW)
            keys.add(frozenset(trace.row_key for trace in traces(store)))
    assert len(keys) == 1


def test_counts_of_tokens_that_are_none_cost_nothing(take: Take, write: Write, store: Store) -> None:
    def call(number: int, tokens: Json) -> Json:
        choice: Json = {"message": {"role": "assistant", "content": json.dumps(GOOD)}}
        usage: Json = {"prompt_tokens": tokens, "completion_tokens": 2}
        return {
            "messages": [{"role": "user", "content": f"hi {number}"}],
            "response": {"choices": [choice], "usage": usage},
        }

    report = take(write("a.jsonl", [call(number, tokens) for number, tokens in enumerate((5, 10**30, -3, "9", True))]))
    assert report.added == 5
    assert [trace.input_tokens for trace in store.traces("tickets")] == [5, None, None, None, None]


def test_a_file_that_is_gone_when_its_turn_comes_is_named(
    task: Task, store: Store, write: Write, tmp_path: Path
) -> None:
    first, second = write("a.jsonl", [chat("one", GOOD)]), write("b.jsonl", [chat("two", GOOD)])

    class Removing(Silent):
        def finish(self, detail: str = "") -> None:
            second.unlink(missing_ok=True)

    with pytest.raises(DataError, match=r"(?s)JM-301 .*b\.jsonl"):
        import_files(task, [first, second], store, quarantine_folder=tmp_path / "q", now=NOW, progress=Removing())
    assert store.count_traces("tickets") == 1


def test_an_id_that_comes_in_another_file_with_other_content_is_named(take: Take, write: Write) -> None:
    def call(text: str, **more: Json) -> Json:
        made = chat(text, GOOD, **more)
        made["response"] = {**made["response"], "id": "chatcmpl-1"}  # type: ignore[dict-item]
        return made

    assert take(write("a.jsonl", [call("one")])).added == 1
    assert take(write("b.jsonl", [call("one", exported_at="today")])).repeated == 1
    for changed in (call("two"), call("one", gold=GOOD), call("one", feedback="down")):
        report = take(write("c.jsonl", [chat("more", GOOD), changed]))
        check_sums(report)
        assert dict(report.reasons) == {"this id is recorded already, with other content": 1}
