"""Import files for a prompt-injection guard from public sets, split so that no inserted sentence of one file stands in another.

    python make_files.py --data FOLDER [--turn 0] [--out .]

FOLDER holds `guardrails/indirect_injection.jsonl` (passages with an order to the model in them, with a harmless sentence that looks like one, or with nothing) and
`nq_open/nq_open_oracle.jsonl.gz` (further passages with nothing). The inserted sentences are dealt into eight parts: one is sealed, two are for calibration, one is
dev, four are trained on. ``--turn`` says which is sealed, so that eight turns seal each sentence once.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PARTS = 8
FILES = ("sealed", "calibration", "calibration", "dev", "train", "train", "train", "train")
"""What the parts are, from the sealed one on."""
POOL = {"train": 120, "calibration": 140}
"""Passages of nq_open in each file, the same in every turn."""
MOST_CHARACTERS = 800  # of a passage: an embedding model that reads 256 tokens reads it whole
Kind = Literal["attack", "control", "plain"]


@dataclass(frozen=True, slots=True)
class Item:
    """``inserted`` is the sentence that was put into the passage, empty in a plain one; a control's is harmless and looks like an order."""

    text: str
    kind: Kind
    inserted: str = ""

    def to_row(self) -> dict[str, object]:
        row: dict[str, object] = {
            "input": {"text": self.text},
            "gold": {"verdict": "injection" if self.kind == "attack" else "benign"},
        }
        return row | ({"group": self.inserted} if self.inserted else {})


def main() -> None:
    arguments = _parse()
    items = list(read_items(arguments.data))
    files = make_files(items, read_pool(arguments.data, items), arguments.turn)
    for name, found in files.items():
        lines = (json.dumps(item.to_row(), ensure_ascii=False) + "\n" for item in found)
        (arguments.out / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
        sentences = len({item.inserted for item in found if item.inserted})
        sys.stdout.write(f"{name}.jsonl: {len(found)} rows, {sentences} inserted sentences\n")


def make_files(items: Iterable[Item], pool: Iterable[str], turn: int) -> dict[str, list[Item]]:
    """``items`` and passages of the pool by file. The sentences of the train file are also rows by themselves."""
    found = list(items)
    parts = deal(found)
    files: dict[str, list[Item]] = {name: [] for name in ("train", "dev", "calibration", "sealed")}
    for item in found:
        files[FILES[(parts[item.inserted or item.text] - turn) % PARTS]].append(item)
    alone = {item.inserted: Item(item.inserted, item.kind, item.inserted) for item in files["train"] if item.inserted}
    files["train"] += alone.values()
    left = iter(sorted(pool, key=_order))
    for name, count in POOL.items():
        files[name] += [Item(text, "plain") for text, _ in zip(left, range(count), strict=False)]
    return files


def deal(items: Iterable[Item]) -> dict[str, int]:
    """The part of each inserted sentence, and of each plain passage: in the order of their hashes, in turn, each kind by itself."""
    kinds: dict[Kind, set[str]] = {"attack": set(), "control": set(), "plain": set()}
    for item in items:
        kinds[item.kind].add(item.inserted or item.text)
    return {key: place % PARTS for keys in kinds.values() for place, key in enumerate(sorted(keys, key=_order))}


def read_items(data: Path) -> Iterator[Item]:
    """The passages of the guardrails set that are short enough."""
    with (data / "guardrails/indirect_injection.jsonl").open(encoding="utf-8") as file:
        for row in map(json.loads, file):
            if len(row["passage"]) <= MOST_CHARACTERS:
                yield Item(row["passage"], _kind(row), row["inserted"] or "")


def read_pool(data: Path, items: Iterable[Item]) -> Iterator[str]:
    """Passages of nq_open that are none of these, not even by their beginning or their end, each once."""
    known = {
        end for item in items for end in _ends(item.text.replace(item.inserted, "") if item.inserted else item.text)
    }
    seen: set[str] = set()
    with gzip.open(data / "nq_open/nq_open_oracle.jsonl.gz", "rt", encoding="utf-8") as file:
        for row in map(json.loads, file):
            text = row["gold"][0]["text"].strip()
            if len(text) <= MOST_CHARACTERS and text not in seen and known.isdisjoint(_ends(text)):
                seen.add(text)
                yield text


def _kind(row: Mapping[str, object]) -> Kind:
    if row["label"]:
        return "attack"
    return "control" if row["inserted"] else "plain"


def _ends(text: str) -> tuple[str, str]:
    squeezed = " ".join(text.split())
    return squeezed[:40], squeezed[-40:]


def _order(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the sets")
    parser.add_argument("--turn", type=int, default=0, choices=range(PARTS), help="which part is sealed")
    parser.add_argument("--out", type=Path, default=Path(), help="where the files go")
    return parser.parse_args()


if __name__ == "__main__":
    main()
