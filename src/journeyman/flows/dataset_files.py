"""`export --to openai|dpo|parquet|alpaca|chatml`: the current dataset in the form of other tools, a file for each split.

The sealed split is never written: whoever can read it can tune on it, and its figures would show nothing any more.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO

from journeyman.core.canonical import Json
from journeyman.core.errors import DataError
from journeyman.core.example import Example
from journeyman.core.files import disk_errors, refuse_existing
from journeyman.core.nodes import write_json
from journeyman.data.better import best_answer, unwanted
from journeyman.data.dataset import Manifest, check_current, entries, read_manifest, stream_split
from journeyman.data.rendering import (
    COLUMNS,
    Unsayable,
    column_of,
    find_unsaid,
    plain_type,
    to_alpaca,
    to_chatml,
    to_columns,
    to_dpo,
    to_openai,
)
from journeyman.flows.data_card import CARD, write_card
from journeyman.flows.workspace import Workspace
from journeyman.task.task import Task

DatasetForm = Literal["openai", "dpo", "parquet", "alpaca", "chatml"]
DATASET_FORMS: tuple[DatasetForm, ...] = ("openai", "dpo", "parquet", "alpaca", "chatml")
OpenSplit = Literal["train", "dev", "calibration"]
DEFAULT: tuple[OpenSplit, ...] = ("train", "dev")
GROUP_ROWS = 10_000  # of a Parquet file's row groups
Node = dict[str, Json]
LINES: dict[str, Callable[[Task, Example], Node]] = {"openai": to_openai, "alpaca": to_alpaca, "chatml": to_chatml}


@dataclass(frozen=True, slots=True)
class Written:
    """``rows`` by file; ``left_out`` by reason; ``terms`` of the rows that were written; ``unsaid``: of how many of these the form has no place for something."""

    dataset: str
    rows: dict[Path, int]
    left_out: dict[str, int]
    terms: dict[str, int]
    unsaid: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> Node:
        return {
            "dataset": self.dataset,
            "files": [str(path) for path in self.rows],
            "rows": {path.name: count for path, count in self.rows.items()},
            "left_out": dict(self.left_out),
            "terms": dict(self.terms),
            "unsaid": dict(self.unsaid),
        }


def export_dataset(
    workspace: Workspace, task_name: str, form: DatasetForm, out: Path, split: OpenSplit | Literal["test"] | None = None
) -> Written:
    """Write the folder ``out`` with a file for ``split``, or one each for train and dev, and a data card: beside its place first, and under its name when it is whole.

    Raises:
        DataError: JM-352 nothing prepared, JM-354 it was for another output, JM-355 the sealed split, JM-356 not one row has this form, JM-390 it has other input fields.
        StoreError: JM-801, JM-802 it cannot be written, JM-822 the target exists.
    """
    if split == "test":
        raise _sealed(task_name)
    task = workspace.task(task_name)
    name, manifest = read_manifest(workspace.store, task_name)
    check_current(manifest, task_name, task.schema)
    refuse_existing(out)
    place = out.resolve()
    partial = place.with_name(f".{place.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    left_out, terms, unsaid = Counter[str](), Counter[str](), Counter[str]()
    rows: dict[Path, int] = {}
    try:
        with disk_errors(out):
            partial.mkdir(parents=True)
            for part in DEFAULT if split is None else (split,):
                path = partial / f"{part}.{'parquet' if form == 'parquet' else 'jsonl'}"
                workspace.progress.start(f"export {part}", len(entries(manifest, part)), "rows")
                nodes = _render(workspace, task, manifest, part, form, left_out, terms, unsaid)
                count = _write_table(path, task, nodes) if form == "parquet" else _write_lines(path, nodes)
                if count:
                    rows[out / path.name] = count
                else:
                    path.unlink()
                workspace.progress.finish(f"{count:,} rows")
            if not rows:
                raise _nothing(task_name, form, left_out)
            files = {path.stem: path.name for path in rows}
            shown = ((part, row) for part in files for row in stream_split(workspace.store, manifest, part))  # type: ignore[arg-type]
            (partial / CARD).write_text(write_card(task, name, manifest, shown, files), encoding="utf-8")
            if place.is_dir():
                place.rmdir()
            partial.rename(place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Written(name, rows, dict(left_out), dict(terms), dict(unsaid))


def refuse_options(form: str, split: str | None, written_as: str) -> None:
    """Raises: DataError: JM-357, an option of models with a dataset's form, or the other way round."""
    is_dataset = form in DATASET_FORMS
    if (split is not None and not is_dataset) or (written_as and is_dataset):
        option = "--as" if is_dataset else "--split"
        raise DataError(
            "JM-357",
            f"an export to {form} takes no {option}",
            expected="--split for " + ", ".join(DATASET_FORMS) + "; --as for merged and hf",
            got=f"{option} {split if option == '--split' else written_as}",
            hint=f"leave {option} out",
        )


def _render(
    workspace: Workspace,
    task: Task,
    manifest: Manifest,
    split: OpenSplit,
    form: DatasetForm,
    left_out: Counter[str],
    terms: Counter[str],
    unsaid: Counter[str],
) -> Iterator[Node]:
    for example in stream_split(workspace.store, manifest, split):
        workspace.progress.advance()
        if missing := [name for name in task.input if name not in example.input]:
            raise _other_fields(task.name, missing)
        try:
            nodes = list(_nodes(task, example, split, form))
        except Unsayable as error:
            left_out[str(error)] += 1
            continue
        terms[example.terms] += bool(nodes)
        unsaid.update(find_unsaid(example, form) if nodes else ())
        left_out["no answer of the row was rejected"] += not nodes
        yield from nodes
    left_out += Counter()  # without zeros


def _nodes(task: Task, example: Example, split: OpenSplit, form: DatasetForm) -> Iterator[Node]:
    """One for a row; in ``dpo`` one for each answer that is worse than the best."""
    if form == "parquet":
        yield to_columns(task, example, split)
    elif form != "dpo":
        yield LINES[form](task, example)
    elif (best := best_answer(example)) is not None:
        for worse in unwanted(example):
            yield to_dpo(task, example, best, worse)


def _write_lines(path: Path, nodes: Iterator[Node]) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for node in nodes:
            _write_line(file, node)
            count += 1
    return count


def _write_line(file: TextIO, node: Node) -> None:
    file.write(write_json(node) + "\n")


def _write_table(path: Path, task: Task, nodes: Iterator[Node]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, count, group = _schema(task), 0, list[Node]()
    with pq.ParquetWriter(path, schema) as writer:
        for node in nodes:
            group.append(node)
            count += 1
            if len(group) == GROUP_ROWS:
                writer.write_table(pa.Table.from_pylist(group, schema))
                group = []
        if group:
            writer.write_table(pa.Table.from_pylist(group, schema))
    return count


def _schema(task: Task) -> Any:
    import pyarrow as pa

    types = {"integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}
    fields = [(column_of(name), types.get(plain_type(dict(kind)), pa.string())) for name, kind in task.input.items()]
    return pa.schema([*fields, *((name, pa.int64() if name == "count" else pa.string()) for name in COLUMNS)])


def _sealed(task_name: str) -> DataError:
    return DataError(
        "JM-355",
        "the test split is sealed and is never exported: a row that can be read can be tuned on, and then measures nothing",
        where=f"task {task_name}",
        expected="--split train, dev or calibration",
        got="--split test",
        hint=f"journeyman assess {task_name} measures on it; to measure elsewhere, export --split dev",
    )


def _other_fields(task_name: str, missing: list[str]) -> DataError:
    return DataError(
        "JM-390",
        "the task's input has changed since this dataset was prepared",
        where=f"task {task_name}",
        expected="rows with the fields of the task file",
        got="no " + ", ".join(missing),
        hint=f"import rows with these fields, then journeyman prepare {task_name}",
    )


def _nothing(task_name: str, form: str, left_out: Counter[str]) -> DataError:
    return DataError(
        "JM-356",
        "not one row of these splits has this form",
        where=f"task {task_name}",
        expected="a rejected answer beside a better one" if form == "dpo" else "an answer",
        got="; ".join(f"{count:,} x {reason}" for reason, count in left_out.most_common(3)),
        hint="import feedback, or preference pairs" if form == "dpo" else "import rows with answers",
    )
