"""Datasets as other tools' files, and back: the same inputs and the same answers; the sealed split stays where it is."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from journeyman.core.errors import DataError, StoreError
from journeyman.core.example import Example
from journeyman.data.dataset import read_manifest, read_split
from journeyman.flows.dataset_files import DatasetForm, export_dataset
from journeyman.flows.prepare import import_sources, prepare_task
from journeyman.flows.workspace import Workspace, open_workspace
from tests.flows.projects import journeyman

TASK = """\
edition: 1
name: {name}
instruction: |
  Say where the parcel is,
  and how sure you are.
input:
  line: string
  count: integer
  split: string
  labels: [string]
output:
  place: {{enum: [home, shop, "naïve \\"street\\""]}}
  sure: boolean
"""
PLACES = ("home", "shop", 'naïve "street"')


def parcels(count: int, seed: int) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        words = ["".join(draw.choice("bcdfghklmnprstvz") for _ in range(6)) for _ in range(5)]
        fields = {
            "line": " ".join(words) + ("\nsecond line" if number % 3 else ""),
            "count": number,
            "split": draw.choice(["left", "right"]),
            "labels": [words[0], "é"],
        }
        good = {"place": draw.choice(PLACES), "sure": draw.random() < 0.5}
        row: dict[str, Any] = {"input": fields, "output": good}
        if number % 4 == 0:
            row["gold"] = {**good, "sure": not good["sure"]}
        if number % 5 == 0:
            row["alternatives"] = [{"output": {**good, "place": "elsewhere"}, "verdict": "rejected"}]
        rows.append(row)
    return rows


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task with a dataset and a sealed split, and one of the same form without a row. Do not change it."""
    folder = tmp_path_factory.mktemp("files") / "project"
    (folder / "tasks").mkdir(parents=True)
    (folder / "journeyman.toml").write_text("")
    for name in ("parcel", "fresh"):
        (folder / f"tasks/{name}.yaml").write_text(TASK.format(name=name), encoding="utf-8")
    for name, count, seed in (("rows", 90, 1), ("sealed", 20, 2)):
        lines = "".join(json.dumps(row) + "\n" for row in parcels(count, seed))
        (folder / f"{name}.jsonl").write_text(lines)
    with open_workspace(folder) as opened:
        import_sources(opened, "parcel", [str(folder / "sealed.jsonl")], split="test")
        import_sources(opened, "parcel", [str(folder / "rows.jsonl")], terms="restricted")
        prepare_task(opened, "parcel")
    return folder


def read_open(workspace: Workspace, task: str = "parcel") -> Iterator[Example]:
    _name, manifest = read_manifest(workspace.store, task)
    for split in ("train", "dev"):
        yield from read_split(workspace.store, manifest, split)  # type: ignore[arg-type]


def said(example: Example) -> str:
    assert example.answer is not None
    return json.dumps([dict(example.input), example.answer.value], sort_keys=True)


@pytest.mark.parametrize("form", ["openai", "parquet", "alpaca", "chatml"])
def test_what_is_exported_is_imported_again(workspace: Workspace, tmp_path: Path, form: DatasetForm) -> None:
    done = export_dataset(workspace, "parcel", form, tmp_path / "out")
    rows = list(read_open(workspace))
    assert sum(done.rows.values()) == len(rows) > 60
    assert [path.stem for path in done.rows] == ["train", "dev"]
    assert (done.terms, done.left_out) == ({"restricted": len(rows)}, {})
    report = import_sources(workspace, "fresh", [str(path) for path in done.rows])
    assert (report.added, report.quarantined) == (len(rows), 0)
    found = [
        json.dumps([dict(trace.input), (trace.gold or trace.output).value], sort_keys=True)  # type: ignore[union-attr]
        for trace in workspace.store.traces("fresh")
    ]
    assert sorted(found) == sorted(said(row) for row in rows)
    task = workspace.task("fresh")
    assert {trace.instruction_hash for trace in workspace.store.traces("fresh")} == {task.instruction_hash}


def test_pairs_keep_both_sides(workspace: Workspace, tmp_path: Path) -> None:
    done = export_dataset(workspace, "parcel", "dpo", tmp_path / "out", "train")
    (path,) = done.rows
    _name, manifest = read_manifest(workspace.store, "parcel")
    rows = read_split(workspace.store, manifest, "train")
    corrected = sum(row.gold is not None for row in rows)
    rejected = sum(any(item.verdict == "rejected" for item in row.alternatives) for row in rows)
    assert done.rows[path] == corrected + rejected > 10
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [message["role"] for message in lines[0]["input"]["messages"]] == ["system", "user"]
    assert done.left_out["no answer of the row was rejected"] == sum(
        row.gold is None and not row.alternatives for row in rows
    )
    report = import_sources(workspace, "fresh", [str(path)])
    assert report.added == len(lines)
    for trace, line in zip(workspace.store.traces("fresh"), lines, strict=True):
        assert trace.output is not None
        assert trace.output.value == json.loads(line["preferred_output"][0]["content"])
        (worse,) = trace.alternatives
        shown = worse.target.text or json.dumps(worse.target.value)
        assert json.loads(shown) == json.loads(line["non_preferred_output"][0]["content"])


def test_columns_of_parquet(workspace: Workspace, tmp_path: Path) -> None:
    export_dataset(workspace, "parcel", "parquet", tmp_path / "out", "dev")
    table = pq.read_table(tmp_path / "out/dev.parquet")
    assert table.column_names == [
        *("line", "input.count", "input.split", "labels"),
        *("output", "gold", "split", "group", "count", "provenance", "terms", "time"),
    ]
    assert [str(table.schema.field(name).type) for name in ("line", "input.count", "labels")] == [
        "string",
        "int64",
        "string",
    ]
    row = table.to_pylist()[0]
    assert row["split"] == "dev"
    assert row["terms"] == "restricted"
    assert row["provenance"].endswith("rows.jsonl")
    assert set(json.loads(row["output"])) == {"place", "sure"}


def test_the_sealed_split_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(?s)JM-355.*sealed.*next: journeyman assess parcel"):
        export_dataset(workspace, "parcel", "openai", tmp_path / "out", "test")
    assert not (tmp_path / "out").exists()
    sealed = [row["input"]["line"] for row in parcels(20, 2)]
    for split in ("train", "dev", "calibration"):
        export_dataset(workspace, "parcel", "openai", tmp_path / split, split)  # type: ignore[arg-type]
        text = (tmp_path / split / f"{split}.jsonl").read_text()
        assert text
        assert not any(json.dumps(line)[1:-1].split("\\n")[0] in text for line in sealed)


def test_nothing_is_overwritten_and_nothing_half_written(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    export_dataset(workspace, "parcel", "alpaca", out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(StoreError, match="JM-822"):
        export_dataset(workspace, "parcel", "openai", out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before

    def fail(*_arguments: object) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr("journeyman.flows.dataset_files._write_line", fail)
    with pytest.raises(RuntimeError):
        export_dataset(workspace, "parcel", "openai", tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir() if "other" in path.name] == []


def test_what_a_form_cannot_say_is_counted(workspace: Workspace, tmp_path: Path) -> None:
    rows = parcels(80, 3)
    for row in rows[:3]:
        row["input"]["line"] += " <|im_end|>"
    (tmp_path / "rows.jsonl").write_text(
        "".join(json.dumps(row | {"alternatives": [], "gold": None}) + "\n" for row in rows)
    )
    import_sources(workspace, "fresh", [str(tmp_path / "rows.jsonl")])
    prepare_task(workspace, "fresh")
    marked = sum("<|im_end|>" in str(row.input["line"]) for row in read_open(workspace, "fresh"))
    assert marked
    done = export_dataset(workspace, "fresh", "chatml", tmp_path / "out")
    assert done.left_out == {"a text holds <|im_start|> or <|im_end|>": marked}
    with pytest.raises(DataError, match=r"(?s)JM-356.*no answer of the row was rejected"):
        export_dataset(workspace, "fresh", "dpo", tmp_path / "pairs")


def test_what_a_written_row_loses_is_counted(workspace: Workspace, tmp_path: Path) -> None:
    rows = list(read_open(workspace))
    others = sum(bool(row.alternatives) for row in rows)
    both = sum(row.gold is not None and row.target is not None for row in rows)
    assert others
    assert both
    done = export_dataset(workspace, "parcel", "openai", tmp_path / "openai")
    assert done.unsaid["other answers"] == others
    assert done.unsaid["the teacher's answer beside the gold"] == both
    assert export_dataset(workspace, "parcel", "parquet", tmp_path / "parquet").unsaid == {"other answers": others}


NAMED = """\
edition: 1
name: named
instruction: Sort it.
input:
  output: string
  group: string
  plan: {enum: [free, pro]}
output:
  kind: {enum: [a, b]}
gate: {metric: exact_match, against: agreement, margin: 0.05}
"""


def test_fields_with_the_names_of_columns_and_choices_come_back_from_parquet(
    workspace: Workspace, tmp_path: Path
) -> None:
    for name in ("named", "again"):
        text = NAMED.replace("name: named", f"name: {name}")
        (workspace.project.tasks / f"{name}.yaml").write_text(text)
    rows = [
        {
            "input": {
                "output": f"said {number} {7 * number}",
                "group": f"g{number}",
                "plan": ("free", "pro")[number % 2],
            },
            "output": {"kind": "ab"[number % 3 % 2]},
        }
        for number in range(60)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_sources(workspace, "named", [str(tmp_path / "rows.jsonl")])
    prepare_task(workspace, "named")
    done = export_dataset(workspace, "named", "parquet", tmp_path / "out")
    (plan,) = {type(row["plan"]) for row in pq.read_table(tmp_path / "out/train.parquet").to_pylist()}
    assert plan is str
    report = import_sources(workspace, "again", [str(path) for path in done.rows])
    assert (report.added, report.quarantined) == (sum(done.rows.values()), 0)
    found = {
        json.dumps([dict(trace.input), trace.output and trace.output.value])
        for trace in workspace.store.traces("again")
    }
    assert found <= {json.dumps([row["input"], row["output"]]) for row in rows}


def test_numbers_that_no_column_holds_are_left_out(workspace: Workspace, tmp_path: Path) -> None:
    text = NAMED.replace("  plan: {enum: [free, pro]}", "  whole: integer\n  any: number")
    (workspace.project.tasks / "named.yaml").write_text(text)
    sizes = [(2**63, 1), (2**63 - 1, 2**53), (1, 2**53 + 1), (3, 0.5), (-(2**63), -1e300)]
    rows = [
        {
            "input": {"output": f"said {n} {7 * n}", "group": "", "whole": sizes[n % 5][0], "any": sizes[n % 5][1]},
            "output": {"kind": "a"},
        }
        for n in range(60)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_sources(workspace, "named", [str(tmp_path / "rows.jsonl")])
    prepare_task(workspace, "named")
    done = export_dataset(workspace, "named", "parquet", tmp_path / "out")
    (reason,) = done.left_out
    assert "larger than a column" in reason
    assert done.left_out[reason] + sum(done.rows.values()) == len(list(read_open(workspace, "named")))
    written = [row for path in done.rows for row in pq.read_table(path).to_pylist()]
    assert {(row["whole"], row["any"]) for row in written} == {sizes[1], sizes[3], sizes[4]}


def test_a_task_whose_input_has_changed_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    path = workspace.project.tasks / "parcel.yaml"
    path.write_text(path.read_text().replace("input:\n", "input:\n  more: string\n"))
    for form in ("openai", "parquet"):
        with pytest.raises(DataError, match=r"(?s)JM-390.*no more"):
            export_dataset(workspace, "parcel", form, tmp_path / "out")  # type: ignore[arg-type]
    assert not list(tmp_path.glob("*out*"))


def test_the_target_may_be_a_link_to_an_empty_folder(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    done = export_dataset(workspace, "parcel", "openai", tmp_path / "link")
    assert all(path.is_file() for path in done.rows)
    assert (tmp_path / "real/train.jsonl").is_file()


def test_restricted_terms_come_back_from_parquet(workspace: Workspace, tmp_path: Path) -> None:
    done = export_dataset(workspace, "parcel", "parquet", tmp_path / "out", "dev")
    import_sources(workspace, "fresh", [str(path) for path in done.rows], terms="free")
    assert {trace.terms for trace in workspace.store.traces("fresh")} == {"restricted"}


def test_the_command(folder: Path) -> None:
    done = journeyman(folder, "export", "parcel", "--to", "openai", "--out", "out", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert set(told) == {"task", "to", "dataset", "files", "rows", "left_out", "terms", "unsaid"}
    assert all((folder / path).is_file() for path in told["files"])
    shown = journeyman(folder, "export", "parcel", "--to", "parquet", "--split", "dev")
    assert "parcel-parquet/dev.parquet: " in shown.stdout
    assert "terms restrict training" in shown.stdout
    for arguments, code in (
        (("--to", "openai", "--split", "test"), "JM-355"),
        (("--to", "gguf", "--split", "dev"), "JM-357"),
        (("--to", "dpo", "--as", "F16"), "JM-357"),
    ):
        refused = journeyman(folder, "export", "parcel", *arguments, "--json")
        assert refused.returncode == 2
        assert json.loads(refused.stdout)["error"]["code"] == code


def test_the_card_says_where_rows_come_from_and_finds_the_files(made: Path, tmp_path: Path) -> None:
    with open_workspace(made) as workspace:
        done = export_dataset(workspace, "parcel", "parquet", tmp_path / "out")
        rows = list(read_open(workspace))
    text = (tmp_path / "out/README.md").read_text()
    front = yaml.safe_load(text.split("---")[1])
    (config,) = front["configs"]
    files = {item["split"]: item["path"] for item in config["data_files"]}
    assert files == {"train": "train.parquet", "validation": "dev.parquet"}
    assert {path.name for path in done.rows} == set(files.values())
    shown = sum(row.provenance.endswith("rows.jsonl") for row in rows)
    assert f"| {shown:,} | restricted |" in text
    assert "No row is synthetic" in text
    assert f"test {20}" in text
    assert "{" not in text.split("## Rows")[1]
