"""What travels with a release for people and other tools: model card, Modelfile, an example of a call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.files import write_atomic
from journeyman.models.manifest import Manifest

CARD = """\
# {task}

A student tuned with Journeyman: a LoRA adapter ({kind}) for `{base}` (GGUF sha256 `{base_hash}`, licence {licence}).
Release `{hash}`.

Task: {instruction}

## Is it as good?

{verdict}

{table}

{forced}
## Use it without Journeyman

The prompt has no instruction: it is in the weights. `template.jinja` is the exact template that was trained: one user
turn in ChatML without a system message; the answer ends with the model's end-of-turn token.

llama.cpp:

    llama-completion -m {base_file} --lora adapter.gguf -no-cnv --temp 0 -n {max_tokens} {schema_flag}\\
      -p $'<|im_start|>user\n{example}<|im_end|>\n<|im_start|>assistant\n'

Ollama (put the base GGUF beside the Modelfile):

    ollama create {task} -f Modelfile
    ollama run {task} '{example}'

transformers with PEFT: load the base, then `PeftModel.from_pretrained(base, "peft")`.
"""
MODELFILE = '''\
FROM ./{base_file}
ADAPTER ./adapter.gguf
TEMPLATE """<|im_start|>user
{{{{ .Prompt }}}}<|im_end|>
<|im_start|>assistant
"""
PARAMETER temperature 0
PARAMETER num_predict {max_tokens}
PARAMETER stop "<|im_end|>"
'''


def write_card(folder: Path, manifest: Manifest, evaluation: Mapping[str, Json], forced: str) -> None:
    """Write ``README.md``, ``Modelfile`` and ``call.json`` into ``folder``."""
    values = {
        "task": manifest.task_name,
        "kind": manifest.kind,
        "base": manifest.base.name,
        "base_hash": manifest.base.sha256,
        "base_file": f"{manifest.base.name}.gguf",
        "licence": manifest.base.licence or "unknown",
        "hash": manifest.hash,
        "instruction": str(manifest.task["instruction"]),
        "verdict": _verdict_line(evaluation),
        "table": _table(evaluation),
        "forced": f"Released although the gate did not pass; the reason given: {forced}\n" if forced else "",
        "max_tokens": manifest.decoding["max_tokens"],
        "schema_flag": "--json-schema-file schema.json " if manifest.schema else "",
        "example": "...",
    }
    write_atomic(folder / "README.md", CARD.format(**values))
    write_atomic(folder / "Modelfile", MODELFILE.format(**values))
    write_atomic(folder / "call.json", json.dumps(_call(manifest), indent=2, ensure_ascii=False) + "\n")


def _call(manifest: Manifest) -> dict[str, Json]:
    """A request for any OpenAI client pointed at `journeyman serve`."""
    names = list(cast(dict[str, Json], manifest.task["input"]))
    text = "..." if len(names) == 1 else "\n".join(f"{name}: ..." for name in names)
    return {"model": f"{manifest.task_name}@{manifest.hash}", "messages": [{"role": "user", "content": text}]}


def _verdict_line(evaluation: Mapping[str, Json]) -> str:
    gate = cast(dict[str, Json] | None, evaluation.get("gate"))
    if gate is None:
        return "No gate was decided."
    limit = f"floor {gate['floor']}" if gate["against"] == "floor" else f"margin {gate['margin']}"
    return (
        f"Gate: **{gate['verdict']}** ({gate['metric']} against {gate['against']}, {limit}): "
        f"{gate['difference']:+.4f}, interval {gate['low']:+.4f} to {gate['high']:+.4f} "
        f"at one-sided level {gate['level']}, n = {gate['n']}."
    )


def _table(evaluation: Mapping[str, Json]) -> str:
    lines = ["| model | split | metric | value | 95 % interval | n |", "|---|---|---|---|---|---|"]
    for candidate in cast(list[dict[str, Json]], evaluation.get("candidates", [])):
        for name, figure in cast(dict[str, dict[str, float]], candidate["metrics"]).items():
            interval = f"{figure['low']:.4f} to {figure['high']:.4f}"
            head = f"| {candidate['name']} | {candidate['split']} | {name} "
            lines.append(f"{head}| {figure['value']:.4f} | {interval} | {figure['n']:.0f} |")
    return "\n".join(lines)
