"""Folders of a data set in Hugging Face's two layouts, as the files in them.

    save_to_disk:  state.json (names the .arrow files), dataset_info.json; several splits are folders under one with dataset_dict.json
    hub:           README.md or dataset_info.json beside *.parquet, *.jsonl, *.json or *.csv, in the folder, data/ or a folder for each configuration

A folder with several splits or configurations is refused, and what to give instead is said: which rows are sealed is for the user to say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from journeyman.core.errors import DataError

STATE, SPLITS, INFO = "state.json", "dataset_dict.json", ("dataset_info.json", "README.md", "dataset_infos.json")
ENDINGS = (".parquet", ".arrow", ".jsonl", ".jsonl.gz", ".ndjson", ".json", ".json.gz", ".csv", ".csv.gz", ".tsv")
NAMES = {"train": "train", "training": "train", "test": "test", "testing": "test", "eval": "test", "evaluation": "test"}
NAMES |= dict.fromkeys(("validation", "valid", "val", "dev", "development"), "validation")


def find_files(folder: Path) -> list[Path]:
    """The data files of one split, in order.

    Raises:
        DataError: JM-308 a layout that is not known, JM-309 several splits or configurations.
    """
    if (folder / STATE).is_file():
        return _saved(folder)
    if (folder / SPLITS).is_file():
        parts = sorted(path for path in folder.iterdir() if (path / STATE).is_file())
        if len(parts) == 1:
            return _saved(parts[0])
        raise _several(folder, [str(part) for part in parts])
    return _from_hub(folder)


def _saved(folder: Path) -> list[Path]:
    try:
        listed = json.loads((folder / STATE).read_text(encoding="utf-8"))["_data_files"]
        paths = [folder / Path(item["filename"]).name for item in listed]
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise _unknown(folder, f"{STATE}: {error}") from error
    missing = [path.name for path in paths if not path.is_file()]
    if missing or not paths:
        raise _unknown(
            folder, f"{STATE} names {missing[0]}, which is not there" if missing else f"{STATE} names no file"
        )
    return paths


def _from_hub(folder: Path) -> list[Path]:
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name.endswith(ENDINGS) and path.name not in (STATE, SPLITS, *INFO)
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not files or not any((folder / name).is_file() for name in INFO):
        raise _unknown(folder, f"{len(files)} files of data and neither {STATE} nor {' nor '.join(INFO[:2])}")
    groups: dict[tuple[Path, str], list[Path]] = {}
    for path in files:
        groups.setdefault((path.parent, find_split(path.relative_to(folder))), []).append(path)
    if len(groups) > 1:
        raise _several(folder, [_shown(paths) for paths in groups.values()])
    return files


def find_split(path: Path) -> str:
    """The split that a file's or a folder's name says, as Hugging Face reads it; nothing for none."""
    words = [word for part in reversed(path.parts) for word in re.split(r"[^a-z]+", part.lower())]
    return next((NAMES[word] for word in words if word in NAMES), "")


def _shown(paths: Sequence[Path]) -> str:
    """The one file, or a pattern for a shell: what the names begin with."""
    if len(paths) == 1:
        return str(paths[0])
    names = [path.name for path in paths]
    same = next((place for place, letters in enumerate(zip(*names, strict=False)) if len(set(letters)) > 1), None)
    return str(paths[0].parent / f"{names[0][:same]}*")


def _several(folder: Path, parts: Sequence[str]) -> DataError:
    return DataError(
        "JM-309",
        "this folder holds several splits or configurations",
        where=str(folder),
        expected="one of them at a time",
        got=", ".join(parts)[:400],
        hint="journeyman import PART --task T for the rows to learn from, and --split test for those that only measure",
    )


def _unknown(folder: Path, got: str) -> DataError:
    return DataError(
        "JM-308",
        "this is no folder of a data set that can be imported",
        where=str(folder),
        expected="a folder of Hugging Face: state.json and .arrow files, or README.md beside .parquet, .jsonl or .csv files",
        got=got,
        hint="give the files themselves",
    )
