"""What travels with an exported dataset: where its rows come from, under what terms, what was taken out, how many nobody ever asked. In Hugging Face's form of a data card, so that
`datasets.load_dataset(FOLDER)` finds the splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.example import SPLITS, Example
from journeyman.core.nodes import write_json
from journeyman.task.task import Task

CARD = "README.md"
NAMES = {"train": "train", "dev": "validation", "calibration": "calibration"}
"""What others call a split."""
TEXT = """\
---
configs:
- config_name: default
  data_files:
{files}
---

# {task}

Dataset `{dataset}`, made by Journeyman on {created}.

Task: {instruction}

{fields}

## Rows

{splits}

The sealed test split is not part of these files: what can be read can be tuned on.

| | calls |
|---|---|
{funnel}

## Where they come from

| source | rows | terms |
|---|---|---|
{sources}

{terms}

{synthetic}

## What was done to them

{privacy}
Rows are grouped by near copies (Jaccard similarity of words, pairs of words and character 4-grams, {jaccard}); no group lies on two sides, unless its rows were given to them at import. {groups:,} groups here.
{contradictions:,} inputs had contradicting answers: gold goes before a teacher's answer, then the majority, then the latest.
"""


def write_card(
    task: Task,
    dataset: str,
    manifest: Mapping[str, Json],
    rows: Iterable[tuple[str, Example]],
    files: Mapping[str, str],
) -> str:
    """``rows``: the exported ones with their splits; ``files`` by split."""
    sources, groups = Counter[tuple[str, str]](), set[str]()
    for _split, row in rows:
        sources[_source(row.provenance), row.terms] += 1
        groups.add(row.group)
    funnel = cast(Mapping[str, Json], manifest["funnel"])
    aside = cast(Mapping[str, int], funnel["set_aside"])
    synthetic = cast(Mapping[str, int], manifest.get("synthetic") or {})
    counts = cast(Mapping[str, Sequence[Json]], manifest["splits"])
    stages = {"recorded": funnel["traces"], **{f"set aside: {why}": count for why, count in aside.items() if count}, "repeats of a row": funnel["repeats"], "rows": funnel["rows"], **({"left out of train by --keep": funnel["left_out"]} if "left_out" in funnel else {})}  # fmt: skip
    restricted = sum(count for (_source, terms), count in sources.items() if terms == "restricted")
    settings = cast(Mapping[str, Json], manifest["settings"])
    return TEXT.format(
        files="\n".join(f"  - split: {NAMES[split]}\n    path: {name}" for split, name in files.items()),
        task=task.name,
        dataset=dataset,
        created=manifest["created"],
        instruction=" ".join(task.instruction.split()),
        fields=_describe_fields(task),
        splits=", ".join(f"{split} {len(counts[split]):,}" for split in SPLITS) + ".",
        funnel="\n".join(f"| {_cell(name)} | {count:,} |" for name, count in stages.items()),
        sources="\n".join(
            f"| {_cell(source)} | {count:,} | {terms} |" for (source, terms), count in sources.most_common()
        ),
        terms=f"The terms of {restricted:,} rows restrict training."
        if restricted
        else "No row's terms are known to restrict training.",
        synthetic="; ".join(
            f"{count:,} of the {split} rows are synthetic: nobody asked them" for split, count in synthetic.items()
        )
        + "."
        if synthetic
        else "No row is synthetic.",
        privacy=_describe_privacy(task),
        jaccard=_plain(settings.get("near_copy_jaccard")),
        groups=len(groups),
        contradictions=len(cast(list[Json], manifest["contradictions"])),
    )


def _describe_fields(task: Task) -> str:
    inputs = ", ".join(f"`{name}` ({write_json(dict(node))})" for name, node in task.input.items())
    answer = f"`{write_json(dict(task.schema))}`" if task.schema is not None else "text"
    return f"Input: {inputs}. Answer: {answer}."


def _describe_privacy(task: Task) -> str:
    if not task.redact:
        return "The task's file turns redaction off: personal data is as it came, secrets are removed."
    kept = f" but for the fields {', '.join(task.verbatim)}" if task.verbatim else ""
    return (
        f"E-mail addresses, phone numbers, cards, IBANs, IP addresses and the like were replaced by surrogates before they were stored{kept}, and so were secrets; rows that were given to a split at import "
        "kept their text. Names and street addresses are not looked for."
    )


def _source(provenance: str) -> str:
    """Of a file with its whole path the name alone: where it lay is nobody else's business."""
    path = PurePath(provenance)
    return (path.name if path.is_absolute() else provenance) or "not stated"


def _plain(setting: Json) -> str:
    value = setting.get("value") if isinstance(setting, dict) else setting
    return str(value)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
