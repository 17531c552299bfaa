"""`merge CONFIG OUT`: several models become one folder that transformers and vLLM load.

Torch takes longer to import than a merge of folders does, which needs none of it: it is imported for adapters and GGUF files alone.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from journeyman.core.files import disk_errors, refuse_existing, write_atomic
from journeyman.core.progress import Progress
from journeyman.models.families import read_config
from journeyman.models.template import make_student_template
from journeyman.tuning.merge.config import MergeConfig, is_adapter_merge, load_merge
from journeyman.tuning.merge.engine import Merged, merge_models
from journeyman.tuning.merge.sources import path_of

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
    merged = merge_models(config, root, out, progress)
    with disk_errors(out):
        shutil.copyfile(path, out / "mergekit_config.yml")
    write_atomic(out / "README.md", _card(config, merged))
    _describe(_lender(config), root, merged)
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


def _lender(config: MergeConfig) -> str:
    """Whose tokenizer and configuration the result has: the one that the file names, the base, the first model."""
    first = config.as_slices()[0].sources[0].model
    named = config.tokenizer_source if config.tokenizer_source not in (None, "base") else None
    return named or config.base_model or first


def _describe(lender: str, root: Path, merged: Merged) -> None:
    source, out = path_of(lender, root), merged.folder
    if source.suffix == ".gguf":
        from journeyman.tuning.hf_layout import save_description

        config, template = read_config(source), make_student_template(source)
        save_description(out, config, template, merged.kind, is_tied=merged.is_tied)
        raw = json.loads((out / "config.json").read_text(encoding="utf-8"))
    else:
        with disk_errors(out):
            for name in TOKENIZER_FILES:
                if (source / name).is_file():
                    shutil.copyfile(source / name, out / name)
        raw = json.loads((source / "config.json").read_text(encoding="utf-8"))
    if raw["num_hidden_layers"] != merged.layers:
        raw["num_hidden_layers"] = merged.layers
        raw.pop("layer_types", None)
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
