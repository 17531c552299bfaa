"""Supervised tuning against TRL and Unsloth: time to the rival's own final dev loss, and examples per second.

The rival tunes with its settings; its adapter is then scored on dev by our code. Ours tunes with its own settings, looks at dev as it
goes, and is timed until its dev loss is the rival's; our looks count, the rival takes none.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import describe_commit, describe_machine
from rivals import NoRival, rival_python, run_script

from journeyman.core.cores import count_cores
from journeyman.models.catalog import resolve
from journeyman.models.template import make_student_template
from journeyman.models.torch_weights import load_decoder
from journeyman.tuning.hf_layout import save_folder
from rows.snips import read_rows, to_ids

Document = dict[str, Any]
HERE = Path(__file__).resolve().parent.parent
ROWS_PER_INTENT, DEV_PER_INTENT = slice(0, 75), slice(400, 420)
# Passes of our schedule, by what the rival reaches: its best settings learn much, its default rate of 2e-5 little.
OURS = {"evaluations": 1, "patience": 1}
LIMIT_S = 25 * 60  # for the rival; what it has learned by then is the goal
# Without `use_cpu` TRL refuses to start on a machine without a GPU. Its default of bf16 is left only to processors that have it: here
# three steps of autocast were not done after seven minutes, and float32 is the harder comparison.
DEFAULTS: Document = {"use_cpu": True, "per_device_train_batch_size": 16}
if "bf16" not in str(describe_machine()["processor"]):
    DEFAULTS["bf16"] = False
# What makes TRL fastest here, alone and under Unsloth: no recomputation, batches of like lengths, the number type that the machine is
# fast in. (Unsloth takes `packing` and `padding_free` on the CPU, and computes the same in the same time.)
BEST = DEFAULTS | {
    "bf16": False,
    "gradient_checkpointing": False,
    "train_sampling_strategy": "group_by_length",
    "learning_rate": 2e-3,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 0.05,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison. ``settings`` go to the rival's configuration on top of its defaults; ``rivals/RIVAL_sft.py`` runs it."""

    title: str
    base: str
    settings: Document
    bar: float | None
    target: float | None
    instruction: str = ""
    rival: str = "trl"
    epochs: float = 0.85


# About 400 tokens that stay in front of every item.
INSTRUCTION = (
    "You read one sentence that somebody says to a voice assistant and return one JSON object with two keys: intent and slots. "
    "The intent is exactly one of these seven. AddToPlaylist: a song, an album or an artist is to be put on a list of music. "
    "BookRestaurant: a table is to be reserved, for a number of people, at a place, at a time. GetWeather: somebody asks how the "
    "weather is or will be at a place, now or later. PlayMusic: music is to be played, named by its title, artist, album, genre, "
    "year or service. RateBook: a book, an essay, a novel or a series gets a number of points or stars. SearchCreativeWork: somebody "
    "looks for a book, a film, a game, a song, a picture or a show by its name. SearchScreeningEvent: somebody asks where or when a "
    "film is shown, or what is on at a cinema. The slots are an object whose keys are the names of slots and whose values are copied "
    "from the sentence, letter by letter, with the spelling, the capitals and the mistakes that they have there. A slot that the "
    "sentence does not fill is left out; no slot is given twice; nothing is added that was not said. Keep the slots in the order in "
    "which they come in the sentence. Words such as please, now or for me belong to no slot unless they say when or where. A number "
    "that is spelled out stays spelled out. When a name could be a song or an album, follow the word that introduces it; without "
    "such a word take the more general slot. When a place could be a city, a state or a country, take what most people would mean. "
    "Return the object alone, without line breaks, without spaces between keys and values, without a comment before or after it."
)
ROWS: dict[str, Row] = {
    "sft-defaults": Row(
        "SFT of SmolLM2-135M, rank 16, ours as derived, TRL 1.16 at its defaults with batch 16",
        "smollm2-135m-instruct",
        DEFAULTS,
        3.0,
        4.0,
        epochs=0.3,
    ),
    "sft-best": Row(
        "SFT of SmolLM2-135M, rank 16, ours as derived, TRL 1.16 at its best settings with batch 16",
        "smollm2-135m-instruct",
        BEST,
        2.0,
        3.0,
    ),
    "sft-same": Row(
        "SFT of SmolLM2-135M, rank 16, TRL 1.16 with our settings too: batch 2, 2e-3, cosine, 0.85 passes",
        "smollm2-135m-instruct",
        BEST | {"per_device_train_batch_size": 2, "num_train_epochs": 0.85},
        None,
        None,
    ),
    "sft-unsloth": Row(
        "SFT of SmolLM2-135M, rank 16, ours as derived, Unsloth 2026.10.9 on the CPU at its best settings with batch 16",
        "smollm2-135m-instruct",
        BEST,
        1.3,
        1.5,
        rival="unsloth",
    ),
    "sft-gemma": Row(
        "SFT of Gemma-3-270M (262k tokens), rank 16, ours as derived, TRL 1.16 at its defaults with batch 16",
        "gemma-3-270m",
        DEFAULTS,
        3.5,
        6.0,
        epochs=0.3,
    ),
    "sft-instruction": Row(
        "SFT of SmolLM2-135M with a 400-token instruction kept before 60-token items, against TRL 1.16 at its best settings",
        "smollm2-135m-instruct",
        BEST,
        5.0,
        8.0,
        INSTRUCTION,
        epochs=0.25,  # TRL takes more than a minute a step, so its goal is what it knows after a fifth of its steps
    ),
}


def measure(name: str, data: Path, folder: Path) -> list[Document]:
    """The rows of one comparison."""
    row, folder = ROWS[name], folder / name
    shutil.rmtree(folder, ignore_errors=True)
    base = resolve(row.base)
    template = make_student_template(base.path)
    rows, dev = (
        [to_ids(raw, template, row.instruction) for raw in read_rows(data, part)]
        for part in (ROWS_PER_INTENT, DEV_PER_INTENT)
    )
    save_folder(folder / "base", load_decoder(base.path), template)
    job = {"rows": rows, "dev": dev, "threads": count_cores(), "rank": 16, "limit_s": LIMIT_S}
    try:
        theirs = run_script(
            rival_python(row.rival),
            HERE / f"rivals/{row.rival}_sft.py",
            job | {"model": str(folder / "base"), "out": str(folder / row.rival), "settings": row.settings},
            folder,
        )
    except NoRival as reason:
        return [_common(name, row, len(rows)) | {"rival": None, "reason": str(reason)}]
    ours = run_script(
        Path(sys.executable),
        HERE / "rows/ours_sft.py",
        job
        | {"model": str(base.path), "out": str(folder / "ours"), "given": OURS | {"rank": 16, "epochs": row.epochs}}
        | {"score": [str(folder / row.rival)]},
        folder,
    )
    return _compare(name, row, theirs, ours, len(rows), len(dev), str(folder / row.rival))


def _compare(
    name: str, row: Row, theirs: Document, ours: Document, rows: int, dev: int, adapter: str
) -> list[Document]:
    goal = ours["scores"][adapter]
    reached = next((look for look in ours["looks"] if look["dev_loss"] <= goal["loss"]), None)
    seconds = reached["seconds"] if reached else None
    ratio = round(theirs["seconds"] / seconds, 2) if seconds else None
    rate = rows * row.epochs / ours["seconds"], theirs["examples"] / theirs["seconds"]
    common = _common(name, row, rows)
    return [
        common
        | {
            "row": "time to the rival's final dev loss"
            + (
                ""
                if theirs["is_finished"]
                else f" (stopped after {theirs['steps']} of {theirs['planned_steps']} steps)"
            ),
            "ours": seconds and round(seconds, 1),
            "rival": round(theirs["seconds"], 1),
            "unit": "s",
            "ratio": ratio,
            "bar": row.bar,
            "target": row.target,
            "met": row.bar and ratio is not None and ratio >= row.bar,
            "goal": goal | {"dev_rows": dev},
            "rival_ran_with": {key: value for key, value in theirs.items() if key not in ("seconds", "examples")},
            "looks": [
                {key: look[key] for key in ("seconds", "tokens", "dev_loss", "dev_exact")} for look in ours["looks"]
            ],
            "plan": ours["plan"],
            "numbers": ours["machine"],
        },
        common
        | {
            "row": "throughput, our looks at dev included",
            "ours": round(rate[0], 2),
            "rival": round(rate[1], 2),
            "unit": "examples/s",
            "ratio": round(rate[0] / rate[1], 2),
            "bar": None,
            "met": None,
        },
    ]


def _common(name: str, row: Row, n: int) -> Document:
    return {"name": name, "title": row.title, "n": n, "commit": describe_commit(), "machine": describe_machine()}
