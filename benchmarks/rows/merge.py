"""Merging against mergekit: whole processes on the same four models, wall time, peak memory and the largest difference."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import Any

import torch
import yaml
from machine import describe_commit, describe_machine, run_command
from rivals import NoRival, rival_python
from safetensors.torch import load_file

from journeyman.models.catalog import resolve
from journeyman.models.template import make_student_template
from journeyman.models.torch_weights import load_decoder
from journeyman.tuning.hf_layout import name_tensors, save_folder

Document = dict[str, Any]
ROUNDS = 3
EXACT = 1e-6
SHARES = {"one": 0.5, "two": 0.3, "three": 0.4}
# What is merged -> how; stochastic methods are compared by what they keep, not element by element.
CONFIGS: dict[str, Document] = {
    "linear": {"merge_method": "linear"},
    "slerp": {"merge_method": "slerp", "base_model": "base", "parameters": {"t": [0.2, 0.8]}},
    "task_arithmetic": {"merge_method": "task_arithmetic", "base_model": "base"},
    "ties": {"merge_method": "ties", "base_model": "base", "parameters": {"density": 0.5}},
    "dare_ties": {"merge_method": "dare_ties", "base_model": "base", "parameters": {"density": 0.5}},
    "model_stock": {"merge_method": "model_stock", "base_model": "base"},
}
BARS = {"ties": (3.0, 0.75), "slerp": (3.0, 0.75), "dare_ties": (3.0, 0.75)}
TITLE = "merge of SmolLM2-135M models in fp32 against mergekit 0.1.5"


def measure(method: str, _data: Path, folder: Path) -> list[Document]:
    """The rows of one method."""
    _make_models(folder)
    names = ["one"] if method == "slerp" else list(SHARES)
    weights = {} if method in ("slerp", "model_stock") else SHARES
    models = [
        {"model": str(folder / name), "parameters": {"weight": weights[name]} if weights else {}} for name in names
    ]
    config = CONFIGS[method] | {"models": models, "dtype": "float32"}
    if "base_model" in config:
        config["base_model"] = str(folder / "base")
    (folder / "merge.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    common = {
        "name": f"merge-{method}",
        "title": f"{TITLE}: {method}",
        "commit": describe_commit(),
        "machine": describe_machine(),
    }
    try:
        program = rival_python("mergekit").parent / "mergekit-yaml"
    except NoRival as reason:
        return [common | {"n": 0, "rival": None, "reason": str(reason)}]
    commands = {
        "ours": [sys.executable, "-m", "journeyman", "merge", "merge.yaml", "ours", "--json"],
        "theirs": [str(program), "merge.yaml", "theirs", "--random-seed", "0"],
    }
    ran: dict[str, list[Any]] = {"ours": [], "theirs": []}
    for _ in range(ROUNDS):
        for who, command in commands.items():
            _clear(folder / who)
            done = run_command(command, folder)
            if done.status:
                return [common | {"n": 0, "rival": None, "reason": f"{who} failed: {done.output[-300:]}"}]
            ran[who].append(done)
    seconds = {who: statistics.median(item.seconds for item in runs) for who, runs in ran.items()}
    peak = {who: statistics.median(item.peak_bytes for item in runs) for who, runs in ran.items()}
    speed, memory = BARS.get(method, (None, None))
    exact = None if method.startswith("dare") else EXACT
    difference, ties = _difference(folder, config) if exact else (0.0, 0)
    return [
        common
        | _figure("wall of the whole process", seconds["ours"], seconds["theirs"], "s", speed, 5.0 if speed else None),
        common
        | {
            "row": "peak memory",
            "ours": round(peak["ours"] / 1e9, 2),
            "rival": round(peak["theirs"] / 1e9, 2),
            "unit": "GB",
            "ratio": round(peak["ours"] / peak["theirs"], 2),
            "bar": memory,
            "target": 0.5 if memory else None,
            "is_most": True,
            "met": None if memory is None else peak["ours"] <= memory * peak["theirs"],
            "n": ROUNDS,
        },
        common
        | {
            "row": f"largest difference to the rival's tensors ({ties} equals at the cut left out)"
            if exact
            else "share of changed weights, ours and the rival's",
            "ours": float(f"{difference:.2g}") if exact else _changed(folder, "ours"),
            "rival": 0.0 if exact else _changed(folder, "theirs"),
            "unit": "",
            "ratio": None,
            "bar": exact,
            "target": exact,
            "is_most": True,
            "met": None if exact is None else difference <= exact,
            "n": sum(tensor.numel() for tensor in _load(folder / "ours").values()),
        },
        *([common | _to_exact(folder)] if method == "slerp" else []),
    ]


def _figure(row: str, ours: float, rival: float, unit: str, bar: float | None, target: float | None) -> Document:
    return {
        "row": row,
        "ours": round(ours, 2),
        "rival": round(rival, 2),
        "unit": unit,
        "ratio": round(rival / ours, 2),
        "bar": bar,
        "target": target,
        "met": None if bar is None else rival / ours >= bar,
        "n": ROUNDS,
    }


def _make_models(folder: Path) -> None:
    """The base, and three models that differ from it by seeded noise of a tenth of each tensor's spread."""
    base = resolve("smollm2-135m-instruct")
    template = make_student_template(base.path)
    for seed, name in enumerate(("base", *SHARES)):
        if (folder / name / "config.json").is_file():
            continue
        decoder = load_decoder(base.path)
        generator = torch.Generator().manual_seed(seed)
        for tensor in dict(name_tensors(decoder)).values() if seed else ():
            tensor.add_(torch.randn(tensor.shape, generator=generator), alpha=0.1 * float(tensor.std()))
        save_folder(folder / name, decoder, template)


def _load(folder: Path) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        tensors |= load_file(str(path))
    return tensors


def _difference(folder: Path, config: Document) -> tuple[float, int]:
    """The largest difference, and how many elements differ only because equal magnitudes lie on both sides of the density's cut.

    Which of equals a sort keeps is arbitrary; an element counts as such only when its own magnitude is the cut's in one of the models.
    """
    ours, theirs, base = _load(folder / "ours"), _load(folder / "theirs"), _load(folder / "base")
    assert ours.keys() == theirs.keys(), ours.keys() ^ theirs.keys()
    density = config.get("parameters", {}).get("density")
    models = [_load(Path(item["model"])) for item in config["models"]] if density else []
    largest, ties = 0.0, 0
    for name in ours:
        difference = (ours[name] - theirs[name]).abs().flatten()
        if models and float(difference.max()) > EXACT:
            for model in models:
                change = (model[name] - base[name]).abs().flatten()
                cut = change.kthvalue(change.numel() - int(density * change.numel()) + 1).values
                is_tie = (change == cut) & (difference > EXACT)
                ties += int(is_tie.sum())
                difference[is_tie] = 0
        largest = max(largest, float(difference.max()))
    return largest, ties


def _to_exact(folder: Path) -> Document:
    """Both beside the formula in double precision: where they differ, whose rounding is it?"""
    ours, theirs, base, other = (_load(folder / name) for name in ("ours", "theirs", "base", "one"))
    layers = 1 + max(int(name.split(".")[2]) for name in ours if ".layers." in name)
    largest = dict.fromkeys(("ours", "rival"), 0.0)
    for name in ours:
        place = int(name.split(".")[2]) / (layers - 1) if ".layers." in name else 0.0
        first, last = CONFIGS["slerp"]["parameters"]["t"]
        t, a, b = first + (last - first) * place, base[name].double(), other[name].double()
        angle = torch.acos((a * b).sum() / (a.norm() * b.norm()))
        exact = (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)
        for who, made in (("ours", ours), ("rival", theirs)):
            largest[who] = max(largest[who], float((made[name].double() - exact).abs().max()))
    return {
        "row": "largest difference to the formula in double precision",
        **{who: float(f"{value:.2g}") for who, value in largest.items()},
        "unit": "",
        "ratio": None,
        "bar": EXACT,
        "target": EXACT,
        "is_most": True,
        "met": largest["ours"] <= EXACT,
        "n": sum(tensor.numel() for tensor in ours.values()),
    }


def _changed(folder: Path, who: str) -> float:
    merged, base = _load(folder / who), _load(folder / "base")
    changed = sum(int((merged[name] != base[name]).sum()) for name in merged)
    return round(changed / sum(tensor.numel() for tensor in merged.values()), 4)


def _clear(folder: Path) -> None:
    for path in folder.glob("*") if folder.is_dir() else ():
        path.unlink()
