"""`merge CONFIG OUT`: several models become one folder that transformers and vLLM load.

Torch takes longer to import than a merge of folders does, which needs none of it: it is imported for adapters and GGUF files alone.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, cast

from journeyman.core.canonical import Json
from journeyman.core.errors import ModelError, TuneError
from journeyman.core.files import disk_errors, refuse_existing, write_atomic
from journeyman.core.progress import Progress
from journeyman.models.families import read_config
from journeyman.models.gguf_header import read_fields
from journeyman.models.template import load_base_template
from journeyman.tuning.merge.config import MergeConfig, is_adapter_merge, load_merge
from journeyman.tuning.merge.engine import Merged, merge_models
from journeyman.tuning.merge.sources import path_of, unreadable

if TYPE_CHECKING:
    from journeyman.tuning.merge.adapters import Report as AdapterReport

__all__ = ["is_adapter_merge", "merge", "merge_adapter_files"]
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "generation_config.json",
)


def merge(path: Path, out: Path, progress: Progress) -> Merged:
    """Merge as the YAML at ``path`` says; references are relative to its folder. ``config.json`` is written last.

    Raises:
        TuneError: JM-540 to JM-543. StoreError: JM-822 the target exists, JM-801, JM-802 from the disk.
    """
    config, root = load_merge(path), path.parent
    refuse_existing(out)
    lender = path_of(config.base_model or config.as_slices()[0].sources[0].model, root)
    teller = _find_teller(config, lender, root)
    raw = None if lender.suffix == ".gguf" else _read_config(lender)
    merged = merge_models(config, root, out, progress)
    with disk_errors(out):
        shutil.copyfile(path, out / "mergekit_config.yml")
    write_atomic(out / "README.md", _card(config, merged))
    _describe(raw, lender, teller, merged)
    return merged


def merge_adapter_files(path: Path, out: Path, progress: Progress) -> AdapterReport:
    """Adapters into one, or one out of a tuned model.

    Raises:
        TuneError: JM-540, JM-541, JM-544. StoreError: JM-822 the target exists.
    """
    from journeyman.tuning.merge.adapters import merge_adapters

    refuse_existing(out)
    report = merge_adapters(path, out, progress)
    write_atomic(out / "merge-report.json", report.model_dump_json(indent=2) + "\n")
    return report


def _find_teller(config: MergeConfig, lender: Path, root: Path) -> Path:
    """Whose tokenizer the result has: the model that the file names, else the one that lends the configuration.

    Raises:
        TuneError: JM-542 the two number their tokens differently, and no row of the embedding is moved here.
    """
    if config.tokenizer_source in (None, "base"):
        return lender
    teller = path_of(str(config.tokenizer_source), root)
    if teller.suffix == ".gguf" and lender.suffix != ".gguf":
        raise TuneError(
            "JM-542",
            "tokenizer_source is a GGUF file and the models are folders",
            where=str(teller),
            expected="a folder with tokenizer.json",
            hint="leave out tokenizer_source, or name a folder",
        )
    if teller != lender and _read_tokens(teller) != _read_tokens(lender):
        raise TuneError(
            "JM-542",
            "tokenizer_source numbers its tokens otherwise than the models",
            where=str(teller),
            expected=f"the tokens of {lender}",
            hint="leave out tokenizer_source: rows of the embedding are not moved here",
        )
    return teller


def _read_tokens(path: Path) -> dict[str, int]:
    """Raises: TuneError: JM-541 there is no tokenizer."""
    try:
        if path.suffix == ".gguf":
            return {
                text: place for place, text in enumerate(cast(list[str], read_fields(path)["tokenizer.ggml.tokens"]))
            }
        raw = json.loads((path / "tokenizer.json").read_text(encoding="utf-8"))
        known = raw["model"]["vocab"]
        tokens = known if isinstance(known, dict) else {piece: place for place, (piece, _score) in enumerate(known)}
        return dict(tokens) | {item["content"]: item["id"] for item in raw.get("added_tokens") or []}
    except (OSError, KeyError, TypeError, ValueError, ModelError) as error:
        raise unreadable(path, "a folder with tokenizer.json, or a .gguf file", error) from error


def _read_config(folder: Path) -> dict[str, Json]:
    """Raises: TuneError: JM-541 there is no ``config.json``."""
    try:
        raw: dict[str, Json] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        raw["num_hidden_layers"]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise unreadable(folder, "a folder with config.json", error) from error
    return raw


def _describe(raw: dict[str, Json] | None, lender: Path, teller: Path, merged: Merged) -> None:
    """Tokenizer files, then ``config.json``; ``raw`` is the lender's, None where that is a GGUF file."""
    out = merged.folder
    if raw is None:
        from journeyman.tuning.hf_layout import save_description

        template = load_base_template(teller if teller.suffix == ".gguf" else lender)
        save_description(out, read_config(lender), template, merged.kind, is_tied=merged.is_tied)
        raw = _read_config(out)
    source = lender if teller.suffix == ".gguf" else teller
    if source.suffix != ".gguf":
        with disk_errors(out):
            for name in TOKENIZER_FILES:
                if (source / name).is_file():
                    shutil.copyfile(source / name, out / name)
    if raw["num_hidden_layers"] != merged.layers:
        raw["num_hidden_layers"] = merged.layers
        raw.pop("layer_types", None)
    if merged.is_tied:
        raw["tie_word_embeddings"] = True
    if merged.vocabulary is not None:
        raw["vocab_size"] = merged.vocabulary
    raw["dtype"] = merged.kind
    write_atomic(out / "config.json", json.dumps(raw, indent=2) + "\n")


def _card(config: MergeConfig, merged: Merged) -> str:
    models = sorted({source.model for part in config.as_slices() for source in part.sources})
    return "\n".join(
        [
            f"# {config.name or merged.folder.name}",
            "",
            f"Merged by `{config.merge_method}` from:",
            "",
            *(f"- `{model}`" + (" (base)" if model == config.base_model else "") for model in models),
            "",
            f"{merged.layers} layers, {merged.tensors} tensors. The file it was made from is `mergekit_config.yml`;",
            "what happened to each tensor is in `merge-report.json`.",
            "",
        ]
    )
