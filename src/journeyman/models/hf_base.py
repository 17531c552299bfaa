"""A Hugging Face folder as a base: converted once to a GGUF in the user's cache, which the engine, the decoder and every command read.

The file is named by the content of the folder's files, so a moved or copied folder is the same base, and a changed one another. Weights keep
their own number type (norms and biases are F32, as llama.cpp wants them) and pass through memory one tensor at a time. No torch here.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFWriter, LlamaFileType
from numpy.typing import NDArray

from journeyman.core.canonical import bytes_hash, content_hash
from journeyman.core.errors import ModelError
from journeyman.core.files import disk_errors, locked, write_atomic
from journeyman.core.progress import Progress, Silent
from journeyman.core.settings import cache_folder
from journeyman.models.families import FAMILIES, DecoderConfig, read_config, refuse_architecture
from journeyman.models.gguf_layout import GGUF_NAMES, OUTER, add_config, norm_names, permute_rows, permuted_heads
from journeyman.models.hf_tokenizer import read_tokenizer_fields
from journeyman.models.remembered import remembered_hash
from journeyman.models.safetensors_file import Stored, misfit, quantized, read_tensors, to_fp32, weight_files

# Counts up when the same folder would give another file.
EDITION = 1
FILE_TYPES = {
    "F32": LlamaFileType.ALL_F32,
    "F16": LlamaFileType.MOSTLY_F16,
    "BF16": LlamaFileType.MOSTLY_BF16,
}
NEEDED = ("config.json", "tokenizer.json")
FURTHER = ("tokenizer_config.json", "generation_config.json", "chat_template.jinja", "model.safetensors.index.json")
# What older files carry beside the weights: it follows from the configuration.
DERIVED = "rotary_emb.inv_freq"


@dataclass(frozen=True, slots=True)
class Planned:
    """One tensor of the GGUF: where it comes from, by how many heads its rows are permuted, what is added to it."""

    name: str
    source: Stored
    heads: int = 0
    offset: float = 0.0

    @property
    def is_plain(self) -> bool:
        """Norms and biases, which are F32 in any GGUF."""
        return len(self.source.shape) == 1

    @property
    def kind(self) -> Kind:
        return Kind.F32 if self.is_plain else Kind[self.source.kind]

    @property
    def bytes(self) -> int:
        return math.prod(self.source.shape) * (4 if self.kind == Kind.F32 else 2)

    def make(self) -> NDArray[Any]:
        """The bytes as they are written: F32, F16, or BF16 as its 16 bits."""
        data = self.source.map()
        if self.is_plain:
            return np.asarray(to_fp32(data, self.source.kind) + np.float32(self.offset), dtype=np.float32)
        return permute_rows(data, self.heads) if self.heads else data


def find_gguf(folder: Path, progress: Progress | None = None) -> Path:
    """The GGUF of a Hugging Face folder, converted when it is not in the cache, or not what was written there.

    Raises:
        ModelError: JM-414 not such a folder, JM-405 or JM-408 from its configuration, JM-417 quantized weights, JM-418 files that are
        damaged or do not fit, JM-406 or JM-419 from its tokenizer. StoreError: JM-801 disk full, JM-802 the cache cannot be written.
    """
    files = list_files(folder)
    home = cache_folder() / "converted"
    notes = home / "notes" / bytes_hash(str(folder.resolve()).encode())[:16]
    with disk_errors(folder):
        hashes = {path.name: remembered_hash(path, notes) for path in files}
    path = home / f"{content_hash({'edition': EDITION, 'files': hashes})}.gguf"
    if _is_whole(path):
        return path
    with disk_errors(home):
        home.mkdir(parents=True, exist_ok=True)
        with locked(home / ".lock"):
            if not _is_whole(path):
                _convert(folder, path, progress or Silent())
    return path


def list_files(folder: Path) -> list[Path]:
    """The files that make the model.

    Raises:
        ModelError: JM-414 one that is needed is not there, JM-418 the index of the weights cannot be read.
    """
    files = [folder / name for name in NEEDED] + weight_files(folder)
    missing = [path.name for path in files if not path.is_file()]
    if missing:
        raise ModelError(
            "JM-414",
            "this folder is not a whole model",
            where=str(folder),
            expected="config.json, tokenizer.json and model.safetensors (or its shards and their index), as transformers saves them",
            got=f"no {', '.join(missing)}" + _instead(folder),
            hint="name a .gguf file, a whole folder, or a model of the catalog",
        )
    return files + [folder / name for name in FURTHER if (folder / name).is_file()]


def _instead(folder: Path) -> str:
    """What the folder seems to be, if it is none of ours."""
    for pattern, meaning in (
        ("adapter_config.json", "an adapter, not a base"),
        ("*.gguf", "name the file itself"),
        ("*.bin", "save it again with safetensors"),
        ("tokenizer.model", "save its tokenizer again with transformers, which writes tokenizer.json"),
    ):
        if found := sorted(folder.glob(pattern)):
            return f"; there is {found[0].name}: {meaning}"
    return ""


def _is_whole(path: Path) -> bool:
    """Whether the file is there and is what was written."""
    record = path.with_suffix(".json")
    try:
        return bool(json.loads(record.read_text(encoding="utf-8"))["sha256"] == remembered_hash(path))
    except (OSError, ValueError, KeyError, TypeError):  # not there, or no record of it: it is made again
        return False


def _convert(folder: Path, path: Path, progress: Progress) -> None:
    """Write beside the target, look at what was written, take its name; the record of its hash comes last."""
    config, raw = read_config(folder), json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if "quantization_config" in raw:
        raise quantized(
            str(folder / "config.json"), f"quantization_config {json.dumps(raw['quantization_config'])[:200]}"
        )
    if not math.isclose(config.query_scale, 1 / math.sqrt(config.head_size)):
        refuse_architecture(
            folder / "config.json", f"{raw['model_type']} with query_pre_attn_scalar other than head_dim"
        )
    tensors = read_tensors(folder)
    plan = list(_plan(folder, config, tensors, is_tied=bool(raw.get("tie_word_embeddings", _is_tied(config)))))
    found = read_tokenizer_fields(folder, config.vocabulary)
    partial = path.with_name(path.name + ".partial")
    progress.start(f"convert {folder.name}", total=sum(item.bytes for item in plan), unit="B")
    try:
        _write(partial, config, found, plan, progress)
        if not _agree(config, read_config(partial)):
            raise misfit(partial, f"{read_config(partial)}", f"{config}")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    record = {"sha256": remembered_hash(path), "folder": str(folder.resolve()), "edition": EDITION}
    write_atomic(path.with_suffix(".json"), json.dumps(record))
    progress.finish()


def _is_tied(config: DecoderConfig) -> bool:
    """What a configuration that does not say it means: gemma's head is its embedding."""
    return config.family is FAMILIES["gemma3"]


def _plan(folder: Path, config: DecoderConfig, tensors: Mapping[str, Stored], *, is_tied: bool) -> Iterator[Planned]:
    """The GGUF's tensors in their order; what is left over, or missing, or of another shape is refused."""
    left = {name for name in tensors if not name.endswith(DERIVED)}
    offset = config.family.norm_offset

    def take(name: str, gguf: str, *shape: int, heads: int = 0, offset: float = 0.0) -> Planned:
        if name not in tensors:
            raise misfit(folder, f"no tensor {name}")
        if tensors[name].shape != shape:
            raise misfit(tensors[name].path, f"{name} {list(tensors[name].shape)}", f"{list(shape)}, by config.json")
        left.discard(name)
        return Planned(gguf, tensors[name], heads, offset)

    embedding, head = "model.embed_tokens.weight", "lm_head.weight"
    yield take(embedding, f"{OUTER['embed_tokens']}.weight", config.vocabulary, config.hidden)
    yield take("model.norm.weight", f"{OUTER['norm']}.weight", config.hidden, offset=offset)
    if not is_tied or (head in tensors and not _are_equal(tensors[head], tensors[embedding])):
        yield take(head, f"{OUTER['lm_head']}.weight", config.vocabulary, config.hidden)
    left.discard(head)
    for index in range(config.layers):
        prefix, target = f"model.layers.{index}.", f"blk.{index}."
        for key, (name, gguf) in norm_names(config).items():
            size = config.head_size if key in ("q", "k") else config.hidden
            yield take(f"{prefix}{name}.weight", f"{target}{gguf}.weight", size, offset=offset)
        for name, shape in config.shapes().items():
            heads = permuted_heads(config, name)
            yield take(f"{prefix}{name}.weight", f"{target}{GGUF_NAMES[name]}.weight", *shape, heads=heads)
            if config.family.has_qkv_bias and name in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"):
                yield take(f"{prefix}{name}.bias", f"{target}{GGUF_NAMES[name]}.bias", shape[0])
    if left:
        refuse_architecture(folder, f"{config.family.architecture} with the tensor {min(left)}")


def _are_equal(one: Stored, other: Stored) -> bool:
    return (one.kind, one.shape) == (other.kind, other.shape) and np.array_equal(one.map(), other.map())


def _write(
    path: Path, config: DecoderConfig, found: Mapping[str, object], plan: list[Planned], progress: Progress
) -> None:
    writer = GGUFWriter(str(path), config.family.architecture)
    try:
        writer.add_type("model")
        writer.add_file_type(FILE_TYPES[next(item.kind.name for item in plan if not item.is_plain)])
        add_config(writer, config)
        for key, value in found.items():
            _add_field(writer, key, value)
        for item in plan:
            writer.add_tensor_info(item.name, item.source.shape, np.dtype(np.float32), item.bytes, raw_dtype=item.kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for item in plan:
            writer.write_tensor_data(item.make())
            progress.advance(item.bytes)
    finally:
        writer.close()
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _add_field(writer: GGUFWriter, key: str, value: object) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, list):
        writer.add_array(key, value)
    else:
        writer.add_string(key, str(value))


def _agree(one: DecoderConfig, other: DecoderConfig) -> bool:
    """Whether two configurations are one but for the rounding of fractions to 32 bits."""
    for field in fields(DecoderConfig):
        ours, theirs = getattr(one, field.name), getattr(other, field.name)
        is_close = isinstance(ours, float) and math.isclose(ours, theirs, rel_tol=1e-6)
        if ours != theirs and not is_close:
            return False
    return True
