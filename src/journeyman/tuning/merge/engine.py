"""The merge: tensors side by side on all cores, each a block after a block in fp32, from files to one new file, with a report on each."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import re
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path

import numpy as np

from journeyman.core.cores import count_cores
from journeyman.core.errors import TuneError
from journeyman.core.files import disk_errors, write_atomic
from journeyman.core.progress import Progress
from journeyman.tuning.merge.blocks import NumberType, Read, cut
from journeyman.tuning.merge.config import Added, MergeConfig, Parameters, Slice, Source, look_up
from journeyman.tuning.merge.files import TensorWriter
from journeyman.tuning.merge.methods import METHODS
from journeyman.tuning.merge.methods.method import Job, Method, Part
from journeyman.tuning.merge.sources import Model, open_model

LAYER = re.compile(r"(.*\blayers\.)(\d+)(\..*)")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
KEPT_BYTES = 32 << 20
ROWS_MAY_DIFFER = ("embed_tokens.weight", "lm_head.weight")


@dataclass(frozen=True, slots=True)
class Output:
    """One tensor of the result: its name, the slice it belongs to, its place in it (0 to 1), its name in each source."""

    name: str
    part: Slice
    t: float
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Merged:
    """``report`` has one entry per tensor: what the method noted, and the change against the first model or the base. ``vocabulary``: rows of
    the embedding."""

    folder: Path
    tensors: int
    layers: int
    vocabulary: int | None
    kind: NumberType
    is_tied: bool
    report: Sequence[Mapping[str, object]]


def merge_models(config: MergeConfig, root: Path, out: Path, progress: Progress) -> Merged:
    """Write ``model.safetensors`` and ``merge-report.json`` to ``out``; references are relative to ``root``.

    Raises:
        TuneError: JM-541 a model cannot be read, JM-542 the models do not fit each other, JM-543 a parameter is missing or the number
            of models is wrong. StoreError: JM-801, JM-802 from the disk.
    """
    method = METHODS[config.merge_method]
    _check(config, method)
    slices = config.as_slices()
    references = {source.model for part in slices for source in part.sources}
    references |= {config.base_model} if config.base_model else set()
    models = {name: open_model(name, root) for name in sorted(references)}
    outputs = _plan(slices, models, config.base_model)
    kind = _written_as(config, models, slices)
    shapes = {output.name: _shape(output, models) for output in outputs}
    jobs = [_job(config, method, output, models, shapes[output.name]) for output in outputs]
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    _keep_freed_memory()
    progress.start("merge", len(outputs), "tensors")
    with TensorWriter(out / "model.safetensors", shapes, kind) as writer, ThreadPoolExecutor(count_cores()) as pool:
        made = [
            pool.submit(_write, writer, method, output.name, job) for output, job in zip(outputs, jobs, strict=True)
        ]
        try:
            for item in made:
                item.result()
                progress.advance()
        finally:
            pool.shutdown(cancel_futures=True)
    progress.finish()
    report = [{"tensor": output.name, **job.report} for output, job in zip(outputs, jobs, strict=True)]
    write_atomic(out / "merge-report.json", json.dumps(report, indent=1) + "\n")
    layers = {match[2] for output in outputs if (match := LAYER.fullmatch(output.name))}
    vocabulary = next((shape[0] for name, shape in shapes.items() if name.endswith(ROWS_MAY_DIFFER[0])), None)
    return Merged(out, len(outputs), len(layers), vocabulary, kind, "lm_head.weight" not in shapes, report)


def _write(writer: TensorWriter, method: Method, name: str, job: Job) -> None:
    blend = method.begin(job)
    for block in job.blocks:
        writer.write(name, block, blend(block))


def _job(
    config: MergeConfig, method: Method, output: Output, models: Mapping[str, Model], shape: tuple[int, ...]
) -> Job:
    base: Read | None = None
    parts = []
    for source, name in zip(output.part.sources, output.names, strict=True):
        read = partial(models[source.model].read, name)
        if method.needs_base and source.model == config.base_model:
            base = read
        elif not isinstance(source, Added):
            levels = (source.parameters, output.part.parameters, config.parameters)
            parts.append(Part(read, _numbers(method.of_part, levels, output, source.model)))
    if method.needs_base and base is None:
        raise _miscounted(config, f"the base is not among the sources of {output.name}")
    least, most = method.models
    if not least <= len(parts) <= most:
        raise _miscounted(config, f"{len(parts)} models besides the base for {output.name}")
    numbers = _numbers(method.of_whole, (output.part.parameters, config.parameters), output, "the merge")
    seed = int.from_bytes(hashlib.sha256(f"{config.random_seed}:{output.name}".encode()).digest()[:6])
    return Job(parts, base, numbers, seed, cut(shape), prod(shape))


def _numbers(
    wanted: Mapping[str, float | None], levels: tuple[Parameters, ...], output: Output, where: str
) -> dict[str, float]:
    numbers = {}
    for name, default in wanted.items():
        found = look_up(levels, name, output.name, output.t)
        if found is None and default is None:
            raise TuneError(
                "JM-543",
                f"the parameter {name} has no value for {output.name}",
                where=where,
                hint="give it under parameters of the model, the slice or the file",
            )
        numbers[name] = float(found if found is not None else default)  # type: ignore[arg-type]
    return numbers


def _plan(slices: Sequence[Slice], models: Mapping[str, Model], base: str | None) -> list[Output]:
    """Outer tensors come from the first slice (embedding) or the last (norm and head), at place 0; then layer after layer."""
    first = models[base or slices[0].sources[0].model]
    outputs, place = [], 0
    stems: dict[tuple[str, str], None] = {}
    is_tied = any("lm_head.weight" not in model.shapes for model in models.values())
    for name in first.shapes:
        if is_tied and _is_own_embedding(first, name):
            continue
        match = LAYER.fullmatch(name)
        if match:
            stems[(match[1], match[3])] = None
        else:
            part = slices[0] if "embed" in name else slices[-1]
            outputs.append(Output(name, part, 0.0, (name,) * len(part.sources)))
    known = {output.name for output in outputs} | stems.keys()
    for reference, model in models.items():
        for name in model.shapes:
            match = LAYER.fullmatch(name)
            key = (match[1], match[3]) if match else name
            if key not in known and not name.endswith("inv_freq") and not _is_own_embedding(model, name):
                raise _unlike(f"{reference} has a tensor that others lack", name)
    for part in slices:
        ranges = [_range(source, models[source.model]) for source in part.sources]
        count = ranges[0][1] - ranges[0][0]
        if any(last - start != count for start, last in ranges) or count < 1:
            raise _unlike("layer ranges of one slice differ in length", str([list(item) for item in ranges]))
        for index in range(count):
            t = index / (count - 1) if count > 1 else 1.0
            for head, tail in stems:
                names = tuple(f"{head}{start + index}{tail}" for start, _last in ranges)
                outputs.append(Output(f"{head}{place}{tail}", part, t, names))
            place += 1
    return outputs


def _is_own_embedding(model: Model, name: str) -> bool:
    """A head that is written down although it is the embedding."""
    embedding = "model.embed_tokens.weight"
    if name != "lm_head.weight" or model.shapes.get(embedding) != model.shapes[name]:
        return False
    return all(
        np.array_equal(model.read(name, block), model.read(embedding, block)) for block in cut(model.shapes[name])
    )


def _range(source: Source, model: Model) -> tuple[int, int]:
    count = 1 + max((int(match[2]) for name in model.shapes if (match := LAYER.fullmatch(name))), default=-1)
    start, last = source.layer_range or (0, count)
    if not 0 <= start < last <= count:
        raise _unlike(f"a layer range lies outside {source.model}", f"{start} to {last} of {count} layers")
    return start, last


def _shape(output: Output, models: Mapping[str, Model]) -> tuple[int, ...]:
    """The shape of every source; embeddings of vocabularies that differ are cut to the rows that all have."""
    shapes = []
    for source, name in zip(output.part.sources, output.names, strict=True):
        if name not in models[source.model].shapes:
            raise _unlike(f"{source.model} has no tensor {name}", "another architecture")
        shapes.append(tuple(models[source.model].shapes[name]))
    is_cut = output.name.endswith(ROWS_MAY_DIFFER) and len({shape[1:] for shape in shapes}) == 1
    if len(set(shapes)) == 1 or is_cut:
        return (min(shape[0] for shape in shapes), *shapes[0][1:])
    raise _unlike(f"the models' tensors {output.name} have other shapes", " | ".join(map(str, shapes)))


def _written_as(config: MergeConfig, models: Mapping[str, Model], slices: Sequence[Slice]) -> NumberType:
    return config.out_dtype or config.dtype or models[config.base_model or slices[0].sources[0].model].kind


def _keep_freed_memory() -> None:
    """Have the C library keep what blocks leave behind: glibc gives arrays of their size back to the system and faults them in again,
    which cost a third of a merge's time. Elsewhere nothing happens."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            for parameter in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
                ctypes.CDLL(None).mallopt(parameter, KEPT_BYTES)


def _check(config: MergeConfig, method: Method) -> None:
    known = {name for each in METHODS.values() for name in (*each.of_part, *each.of_whole)}
    levels = [config.parameters]
    for part in config.as_slices():
        levels += [part.parameters, *(source.parameters for source in part.sources)]
    for name in sorted({name for level in levels for name in level} - known):
        raise TuneError(
            "JM-543",
            f"no method has a parameter {name}",
            expected=", ".join(sorted({*method.of_part, *method.of_whole})) or f"{config.merge_method} has none",
            hint="see docs/merge.md for each method's parameters",
        )
    if method.needs_base and not config.base_model:
        raise TuneError("JM-543", f"{config.merge_method} needs a base_model", hint="add base_model: PATH to the file")


def _miscounted(config: MergeConfig, got: str) -> TuneError:
    least, most = METHODS[config.merge_method].models
    expected = f"{least} models besides the base" if least == most else f"at least {least}"
    return TuneError("JM-543", f"{config.merge_method} takes another number of models", expected=expected, got=got)


def _unlike(message: str, got: str) -> TuneError:
    return TuneError("JM-542", message, got=got, hint="merge models of one architecture and size")
