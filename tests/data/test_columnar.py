from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from journeyman.core.canonical import Json
from journeyman.core.errors import DataError
from journeyman.core.example import object_target
from journeyman.data import columnar
from journeyman.data.columnar import open_columns
from journeyman.data.folders import find_files
from journeyman.data.imports import ImportReport
from journeyman.data.lines import stream_source
from journeyman.store.database import Store

GOOD: Json = {"intent": "card", "urgent": True}
ANSWER = json.dumps(GOOD)
Take = Callable[..., ImportReport]
ROWS: list[dict[str, Any]] = [{"message": f"message {number}", "output": ANSWER} for number in range(25)]


def write_arrow(path: Path, rows: list[dict[str, Any]], *, is_stream: bool = True) -> Path:
    table = pa.Table.from_pylist(rows)
    make = pa.ipc.new_stream if is_stream else pa.ipc.new_file
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file, make(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=7)
    return path


def write_parquet(path: Path, rows: list[dict[str, Any]], group: int = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=group)
    return path


@pytest.mark.parametrize("form", ["parquet", "arrow stream", "arrow file"])
def test_tables_of_the_tasks_fields(take: Take, store: Store, tmp_path: Path, form: str) -> None:
    rows = [*ROWS, {"message": None, "output": ANSWER}, {"message": "bad", "output": "no"}]
    path = tmp_path / "rows.bin"
    if form == "parquet":
        write_parquet(path, rows)
    else:
        write_arrow(path, rows, is_stream=form == "arrow stream")
    report = take(path)
    assert (report.added, report.quarantined) == (len(ROWS), 2)
    assert report.quarantine is not None
    assert [json.loads(line)["line"] for line in report.quarantine.read_text().splitlines()] == [26, 27]
    found = list(store.traces("tickets"))
    assert [trace.input["message"] for trace in found] == [row["message"] for row in ROWS]
    assert found[0].output == object_target(GOOD)
    assert take(path).repeated == len(ROWS)


@pytest.mark.parametrize(
    "row",
    [
        {
            "messages": [
                {"role": "user", "content": "hi", "name": None},
                {"role": "assistant", "content": ANSWER, "name": "x"},
            ]
        },
        {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": ANSWER}]},
        {"instruction": "hi", "input": "", "output": ANSWER},
        {"input": {"message": "hi"}, "output": {"intent": "card", "urgent": True}},
        {"prompt": "hi", "chosen": ANSWER, "rejected": "no"},
        {"text": f"<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n{ANSWER}<|im_end|>"},
    ],
)
def test_columns_of_every_json_format(take: Take, store: Store, tmp_path: Path, row: dict[str, Any]) -> None:
    report = take(write_parquet(tmp_path / "rows.parquet", [row]))
    assert (report.added, report.files[0].format) == (1, "Parquet")
    (trace,) = store.traces("tickets")
    assert (trace.input["message"], trace.output) == ("hi", object_target(GOOD))


def test_typed_values_and_columns_of_an_answer(take: Take, store: Store, tmp_path: Path) -> None:
    rows = [
        {
            "message": "hi",
            "output.intent": "card",
            "output.urgent": True,
            "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            "group": 7,
            "score": float("nan"),
            "price": Decimal("1.10"),
        },
        {"message": "again", "output.intent": "other", "output.urgent": False, "time": None, "group": 8},
    ]
    report = take(write_parquet(tmp_path / "rows.parquet", rows))
    assert (report.added, report.files[0].unused) == (2, ("price", "score"))
    first, second = store.traces("tickets")
    assert (first.output, first.time) == (object_target(GOOD), "2026-01-02T03:04:05+00:00")
    assert second.output == object_target({"intent": "other", "urgent": False})
    assert first.meta["group"] != second.meta["group"]


def test_values_become_json(tmp_path: Path) -> None:
    row = {
        "a": b"text",
        "b": Decimal("1.5"),
        "c": [1.5, float("nan")],
        "d": {"e": date(2026, 1, 1), "f": None},
    }
    table = pa.Table.from_pylist([row]).append_column("m", pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())))
    pq.write_table(table, tmp_path / "rows.parquet")
    with open_columns(tmp_path / "rows.parquet") as columns:
        (found,) = columns.rows
    expected = {"a": "text", "b": "1.5", "c": [1.5, None], "d": {"e": "2026-01-01", "f": None}, "m": [["k", 1]]}
    assert found == expected


def test_one_row_group_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 MB of text in one group, of which a few batches are in memory at a time."""
    rows = [{"message": f"{number} " + "x" * 2_000, "output": ANSWER} for number in range(10_000)]
    path = write_parquet(tmp_path / "rows.parquet", rows, group=len(rows))
    del rows
    monkeypatch.setattr(columnar, "BATCH_BYTES", 500_000)
    before = pa.total_allocated_bytes()
    highest, count = 0, 0
    tracemalloc.start()
    with open_columns(path) as columns:
        for _row in columns.rows:
            count += 1
            if count % 100 == 0:
                highest = max(highest, pa.total_allocated_bytes() - before)
        assert columns.read_bytes() == path.stat().st_size
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 10_000
    assert highest < 8_000_000
    assert peak < 8_000_000


def test_damaged_tables_and_unknown_columns(take: Take, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "rows.parquet", ROWS)
    data = path.read_bytes()
    path.write_bytes(data[:-30])
    with pytest.raises(DataError, match=r"JM-303 .*rows\.parquet(?s:.*)a whole Parquet or Arrow file"):
        take(path)
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"(?s)stdin.*a Parquet file.*from a path"):
        take(stream_source(path.open("rb")))
    with pytest.raises(DataError, match=r"(?s)JM-303.*the columns colour, size"):
        take(write_parquet(tmp_path / "other.parquet", [{"colour": 1, "size": 2}]))
    pq.write_table(pa.table({"message": pa.array([], pa.string())}), tmp_path / "empty.parquet")
    with pytest.raises(DataError, match="JM-302"):
        take(tmp_path / "empty.parquet")


def test_a_table_that_breaks_in_the_middle_keeps_what_came_before(take: Take, tmp_path: Path) -> None:
    path = write_arrow(tmp_path / "rows.arrow", ROWS)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    report = take(path)
    assert 0 < report.added < len(ROWS)
    (reason,) = report.reasons
    assert reason.startswith("the file is damaged here")


def saved(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """As ``save_to_disk`` lays a split out, in two files."""
    names = [f"data-0000{place}-of-00002.arrow" for place in range(2)]
    for place, name in enumerate(names):
        write_arrow(folder / name, rows[place::2])
    (folder / "state.json").write_text(
        json.dumps({"_data_files": [{"filename": name} for name in names], "_split": None})
    )
    (folder / "dataset_info.json").write_text("{}")
    return folder


def test_folders_that_were_saved_to_disk(take: Take, tmp_path: Path) -> None:
    report = take(saved(tmp_path / "one", ROWS))
    assert (report.added, len(report.files)) == (len(ROWS), 2)
    several = tmp_path / "several"
    for name in ("train", "test"):
        saved(several / name, ROWS)
    (several / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    with pytest.raises(DataError, match=r"(?s)JM-309.*several/test.*several/train.*--split test"):
        take(several)
    assert take(several / "test", split="test").added == len(ROWS)
    (tmp_path / "one/data-00001-of-00002.arrow").unlink()
    with pytest.raises(DataError, match=r"(?s)JM-308.*which is not there"):
        take(tmp_path / "one")


def test_folders_of_the_hub(take: Take, tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    write_parquet(folder / "data/train-00000-of-00002.parquet", ROWS[:10])
    write_parquet(folder / "data/train-00001-of-00002.parquet", ROWS[10:])
    with pytest.raises(DataError, match=r"(?s)JM-308.*README"):
        take(folder)
    (folder / "README.md").write_text("---\ndataset_info: {}\n---\n")
    assert [path.name for path in find_files(folder)] == [
        "train-00000-of-00002.parquet",
        "train-00001-of-00002.parquet",
    ]
    assert take(folder).added == len(ROWS)
    write_parquet(folder / "data/test-00000-of-00001.parquet", ROWS)
    with pytest.raises(DataError, match=r"(?s)JM-309.*test-00000-of-00001\.parquet.*data/train-0000\*"):
        take(folder)
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines/README.md").write_text("# Rows\n")
    (tmp_path / "lines/rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert take(tmp_path / "lines").read == len(ROWS)


def test_an_empty_folder_is_refused(take: Take, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"(?s)JM-308.*0 files of data"):
        take(tmp_path / "empty")


def test_a_text_is_no_list_of_turns(take: Take, store: Store, tmp_path: Path) -> None:
    """A column that a format's name is part of, in a task of that very field, is the field."""
    report = take(write_parquet(tmp_path / "rows.parquet", [{"message": "hi", "instruction": "x", "output": ANSWER}]))
    assert report.files[0].unused == ("instruction",)
    (trace,) = store.traces("tickets")
    assert trace.output == object_target(GOOD)


BROKEN = pa.Array.from_buffers(
    pa.string(),
    3,
    [None, pa.py_buffer(bytes([0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0])), pa.py_buffer(b"a\xffc")],
)


@pytest.mark.parametrize(
    "values",
    [
        BROKEN,
        pa.ListArray.from_arrays([0, 1, 2, 3], BROKEN),
        pa.array([1, 2**30, 3], pa.date32()),
        pa.array([1, 2**62, 3], pa.duration("s")),
        pa.array([1, 2**60, 3], pa.timestamp("us")),
    ],
)
def test_a_value_that_cannot_be_read_costs_its_own_row(take: Take, tmp_path: Path, values: Any) -> None:
    table = pa.table({"message": ["one", "two", "three"], "output": [ANSWER] * 3, "noted": values})
    with (tmp_path / "rows.arrow").open("wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    report = take(tmp_path / "rows.arrow")
    assert (report.read, report.added) == (3, 2)
    assert dict(report.reasons) == {"a value of the column noted cannot be read": 1}
    assert report.quarantine is not None
    assert json.loads(report.quarantine.read_text())["line"] == 2


def test_a_first_row_that_cannot_be_read_does_not_hide_the_format(take: Take, tmp_path: Path) -> None:
    chats = [[{"role": "user", "content": f"hi {n}"}, {"role": "assistant", "content": ANSWER}] for n in range(3)]
    pq.write_table(
        pa.table({"messages": chats, "noted": pa.array([2**60, 1, 2], pa.timestamp("us"))}), tmp_path / "a.parquet"
    )
    assert take(tmp_path / "a.parquet").added == 2


@pytest.mark.parametrize("kind", [pa.timestamp("ns"), pa.timestamp("ns", "UTC"), pa.time64("ns"), pa.duration("ns")])
def test_nanoseconds_need_no_pandas(tmp_path: Path, kind: Any) -> None:
    pq.write_table(pa.table({"noted": pa.array([1_001], kind)}), tmp_path / "a.parquet")
    with open_columns(tmp_path / "a.parquet") as columns:
        (row,) = columns.rows
    assert isinstance(row, dict)
    assert "00.000001" in str(row["noted"])
    assert "000001001" not in str(row["noted"])


def test_a_column_that_comes_twice_is_refused(take: Take, tmp_path: Path) -> None:
    twice = pa.Table.from_arrays(
        [pa.array(["one"]), pa.array([ANSWER]), pa.array(["two"])], ["message", "output", "message"]
    )
    pq.write_table(twice, tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"(?s)JM-303.*comes twice.*message"):
        take(tmp_path / "a.parquet")
