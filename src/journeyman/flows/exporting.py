"""`export`: the live release in another tool's form.

A file that is only copied is what was measured. A model with its adapter merged in is a new one: it passes the parity gate before it
takes its place, and says which of its weights moved less than the type that it is written in can hold.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tokenizers import Tokenizer

from journeyman.core.canonical import Json
from journeyman.core.errors import GateError, TuneError
from journeyman.core.example import Example
from journeyman.core.files import disk_errors, refuse_existing
from journeyman.core.reader import LABELS
from journeyman.flows.cards import READER
from journeyman.flows.material import load_material
from journeyman.flows.parity import Parity, Trial, ask_engine, choose_prompts, judge_served, refuse_defects
from journeyman.flows.releases import find_release
from journeyman.flows.runs import ATTACHMENTS, STUDENT, RunFolder
from journeyman.flows.starts import open_start
from journeyman.flows.student import Student, load_student
from journeyman.flows.workspace import Workspace
from journeyman.models.catalog import resolve_exactly
from journeyman.models.manifest import load_manifest
from journeyman.models.template import make_student_template
from journeyman.models.torch_decoder import Decoder
from journeyman.models.torch_weights import load_decoder
from journeyman.task.prompt import student_messages
from journeyman.tuning.batching import TuneRow
from journeyman.tuning.gguf_model import PRESETS, Preset, find_lost, save_model
from journeyman.tuning.hf_layout import FOLDER_TYPES, FolderType, save_folder
from journeyman.tuning.peft_layout import open_peft
from journeyman.tuning.reference import generate
from journeyman.tuning.trainable import Trainable, merge_weights

Form = Literal["gguf", "peft", "ollama", "merged", "hf"]
Prompts = Sequence[tuple[str, Example]]
READING = (f"{ATTACHMENTS}/{LABELS}", f"{ATTACHMENTS}/{READER}")  # of students that do not write JSON
COPIED: dict[str, tuple[str, ...]] = {
    "gguf": ("adapter.gguf", "model.gguf", "template.jinja", "schema.json"),
    "peft": ("peft/adapter_model.safetensors", "peft/adapter_config.json"),
    "ollama": ("adapter.gguf", "model.gguf", f"{ATTACHMENTS}/Modelfile"),
}
# How a merged model is written when nobody says it: half the size of 16 bits, and what most tools load.
MERGED_TYPE: Preset = "Q8_0"
FOLDER_TYPE: FolderType = "BF16"
# Kinds of students that other tools have no form for, in words.
FORMLESS = {
    "head": "a head, which has no form for other tools",
    "nearest": "a memory of examples, which has no form for other tools",
    "prompt": "its base as it is, with a prompt",
    "votes": "a vote over several answers of a student, which only a server can hold",
}


@dataclass(frozen=True, slots=True)
class Exported:
    """``parity`` and ``lost`` are there for a merged model: how it answers beside torch, and which matrices moved by less than the
    error of the type."""

    files: tuple[Path, ...]
    parity: Parity | None = None
    lost: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Json]:
        return {
            "files": [str(path) for path in self.files],
            "parity": self.parity.to_json() if self.parity else None,
            "lost": list(self.lost),
        }


def export(workspace: Workspace, task_name: str, form: Form, out: Path, written_as: str = "") -> Exported:
    """Write the live release to the folder ``out``.

    ``gguf``: the adapter or the whole model, and the template. ``peft``: the folder PEFT loads. ``ollama``: Modelfile and weights.
    ``merged``: one GGUF with the adapter in it. ``hf``: a folder that transformers and vLLM load.

    Raises:
        GateError: JM-623, JM-628 a head, JM-629 an adapter's form of a whole model. StoreError: JM-822 the target exists. TuneError: JM-506 the merged model answers differently,
        JM-507 a type that this form cannot have.
    """
    folder = find_release(workspace, task_name)
    if (kind := load_manifest(folder, verify=False).kind) in FORMLESS:
        raise GateError(
            "JM-628",
            f"this release is {FORMLESS[kind]}",
            where=str(folder),
            expected="a release that was tuned from a language model",
            hint="journeyman serve answers with it"
            + ("; what is asked can be exported once it is released by itself" if kind == "votes" else ""),
        )
    refuse_existing(out)
    if form in ("merged", "hf"):
        return _export_merged(workspace, task_name, Student(folder, load_manifest(folder)), form, out, written_as)
    if written_as:
        raise _wrong_type(form, written_as, "nothing: its files are copies")
    if not any((folder / name).is_file() for name in COPIED[form]):
        raise GateError(
            "JM-629",
            f"this release has no form for {form}",
            where=str(folder),
            expected="an adapter" if form == "peft" else "weights",
            got="a whole model" if form == "peft" else "neither adapter nor model",
            hint=f"journeyman export {task_name} --to hf --out FOLDER",
        )
    written = []
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        for name in (*COPIED[form], *READING):
            if (folder / name).is_file():
                written.append(Path(shutil.copy2(folder / name, out / Path(name).name)))
    return Exported(tuple(written))


def _export_merged(
    workspace: Workspace, task_name: str, student: Student, form: Form, out: Path, written_as: str
) -> Exported:
    """Merge in fp32, write beside the target, ask both, then take the target's name."""
    material = load_material(workspace, task_name, is_current=False)
    base = resolve_exactly(student.manifest.base.name, student.manifest.base.sha256)
    decoder = load_decoder(base.path)
    weights: Trainable
    if student.adapter:
        weights = open_peft(decoder, student.folder / "peft", base.sha256)
    else:
        weights = open_start(_run_of(workspace, student), decoder)
    whole = merge_weights(decoder, weights)
    template = make_student_template(base.path)
    prompts = choose_prompts(dict(material.splits))
    trial = Trial(material.task, template, prompts, student.max_tokens, student.writing)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    name = f"{task_name} on {base.name}"
    try:
        if form == "merged":
            preset = _preset(written_as)
            path = partial / f"{task_name}.gguf"
            save_model(path, whole, base.path, preset, name, template.source)
            lost = find_lost(decoder, whole, preset)
            served, mismatches = asyncio.run(ask_engine(trial, path, {}, workspace.progress))
        else:
            kind = _folder_type(written_as)
            save_folder(partial, whole, template, FOLDER_TYPES[kind])
            lost = find_lost(decoder, whole, kind)
            served, mismatches = _ask_folder(trial, load_decoder(partial)), _count_mismatches(trial, partial)
        parity = judge_served(trial, decoder, weights, served, mismatches)
        refuse_defects(parity)
        with disk_errors(out):
            for source in (student.folder / name for name in READING):
                if source.is_file():
                    shutil.copy2(source, partial / source.name)
            out.parent.mkdir(parents=True, exist_ok=True)
            if out.is_dir():
                out.rmdir()
            partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Exported(tuple(sorted(path for path in out.iterdir())), parity, tuple(lost))


def _count_mismatches(trial: Trial, folder: Path) -> int:
    """Prompts that the written tokenizer reads otherwise. Texts that hold a special token's name are left out: here they are text."""
    written = Tokenizer.from_file(str(folder / "tokenizer.json"))
    own = trial.template.tokenizer
    count = 0
    for (_source, row), ids in zip(trial.prompts, trial.ids(), strict=True):
        messages = student_messages(trial.task, row.input)
        if any(name in message.text for message in messages for name in own.special):
            continue
        read = written.encode(trial.template.render(messages), add_special_tokens=False).ids
        count += read != (ids if own.bos is None else ids[1:])
    return count


def _ask_folder(trial: Trial, decoder: Decoder) -> list[TuneRow]:
    end, most = trial.template.tokenizer.end, trial.max_tokens
    asked = trial.ids()
    answers = generate(decoder, None, asked, end, most)
    return [
        TuneRow((*ids, *answer.ids, *((end,) if answer.is_whole else ())), len(ids))
        for ids, answer in zip(asked, answers, strict=True)
    ]


def _run_of(workspace: Workspace, student: Student) -> RunFolder:
    """The run that tuned a whole model: its fp32 weights are there alone.

    Raises:
        GateError: JM-627 the run's folder is gone.
    """
    for path in sorted(workspace.project.runs.glob(f"{student.manifest.task_name}-tune-*")):
        found = load_student(path / STUDENT)
        if found is not None and found.hash == student.hash:
            return RunFolder(path)
    raise GateError(
        "JM-627",
        "the run that made this release is gone, and with it its weights in fp32",
        where=str(workspace.project.runs),
        hint="export it with --to gguf: that is the model as it was measured",
    )


def _preset(written_as: str) -> Preset:
    if written_as and written_as not in PRESETS:
        raise _wrong_type("merged", written_as, " | ".join(PRESETS))
    return written_as or MERGED_TYPE


def _folder_type(written_as: str) -> FolderType:
    if written_as and written_as not in FOLDER_TYPES:
        raise _wrong_type("hf", written_as, " | ".join(FOLDER_TYPES))
    return written_as or FOLDER_TYPE


def _wrong_type(form: str, got: str, expected: str) -> TuneError:
    return TuneError("JM-507", f"an export to {form} cannot be written in this type", expected=expected, got=got)
