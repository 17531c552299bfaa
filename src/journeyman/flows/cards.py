"""What travels with a release for people and other tools: model card, Modelfile, an example of a call."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from journeyman.core import reader
from journeyman.core.canonical import Json, dump
from journeyman.core.files import write_atomic
from journeyman.core.lines import NO_FIRST
from journeyman.core.reader import LABELS
from journeyman.flows.student import Student
from journeyman.models.codes import Codes, Writing
from journeyman.models.manifest import Manifest
from journeyman.models.template import read_turn

CARD = """\
# {task}

A student tuned with Journeyman: {what} `{base}` (GGUF sha256 `{base_hash}`, licence {licence}).
Release `{hash}`.

Task: {instruction}

## Is it as good?

{verdict}

{table}

{forced}
## Use it without Journeyman

The prompt has no instruction: it is in the weights. `template.jinja` is the exact template that was trained: one user
turn without a system message; the answer ends with the model's end-of-turn token.
{writing}
llama.cpp:

    llama-completion -m {weights} -no-cnv --temp 0 -n {max_tokens} {schema_flag}\\
      -p $'{prompt}'

Ollama ({beside}):

    ollama create {task} -f Modelfile
    ollama run {task} '{example}'

{transformers}
"""
HEAD_CARD = """\
# {task}

A student made with Journeyman: classifiers on {features}.
Release `{hash}`.

Task: {instruction}

## Is it as good?

{verdict}

{table}

{forced}
## What is in it

`heads.json` names the fields and their values, `heads.safetensors` holds the classifiers (float32): {heads}.
`journeyman serve` answers with it; `journeyman.models.head.load_heads` reads it with numpy alone, given the text's vector{words}.
"""
NEAREST_CARD = """\
# {task}

The answer of the most similar example. `examples.json` holds the examples (the train rows and their answers, as they are), `words.json` what tells which is near.
Nothing was tuned. Release `{hash}`.

Task: {instruction}

## Is it as good?

{verdict}

{table}

{forced}
Use it:

    journeyman serve

"""
PROMPT_CARD = """\
# {task}

`{base}` (sha256 `{base_hash}`, licence {licence}) as it is, with the task's instruction and {shots} before each input. Nothing was tuned.
Release `{hash}`.

Task: {instruction}

## Is it as good?

{verdict}

{table}

{forced}
## What is in it

`template.jinja` is the base's own chat template, `schema.json` what an answer must fit{files}. `journeyman serve` answers with it.
"""
VOTES_CARD = """\
# {task}

The answer that most of {samples} samples agree on, each at temperature {temperature} from {what} on `{base}` (sha256 `{base_hash}`, licence {licence}; student `{student}`).
Nothing was tuned for the vote. Release `{hash}`.

Task: {instruction}

## Is it as good?

{verdict}

{table}

{forced}
## What is in it

The files of the student that is asked. `journeyman serve` asks it, counts and answers; a call costs up to {samples} answers. Its confidence is the share of samples that agree.
"""
MODELFILE = '''\
FROM ./{from_file}
{adapter}TEMPLATE """{before}{{{{ .Prompt }}}}{between}"""
PARAMETER temperature 0
PARAMETER num_predict {max_tokens}
{stop}'''
READER = "read_answer.py"
LINED = """
It writes lines instead of JSON: first {first}, then a line for each field, `label value`. `python read_answer.py < ANSWER` gives the JSON
(no more than Python and `labels.json` is needed). The labels:

| label | field | words for its values |
|---|---|---|
{rows}
"""
CODED = """
It writes one token for a whole answer, and `python read_answer.py < ANSWER` gives the JSON:

| code | answer |
|---|---|
{rows}
"""
PEFT = 'transformers with PEFT: load the base, then `PeftModel.from_pretrained(base, "peft")`.'
WHOLE = "transformers: `journeyman export TASK --to hf` writes the folder."


def write_card(
    folder: Path, manifest: Manifest, evaluation: Mapping[str, Json], forced: str, against: Sequence[str] = ()
) -> None:
    """Write ``README.md``, ``Modelfile``, ``call.json``, and for a student that does not write JSON what reads it, into ``folder``.

    ``forced`` is the reason for releasing it although ``against``.
    """
    common = {
        "task": manifest.task_name,
        "base": manifest.base.name,
        "base_hash": manifest.base.sha256,
        "licence": manifest.base.licence or "unknown",
        "hash": manifest.hash,
        "instruction": str(manifest.task["instruction"]),
        "verdict": _verdict_line(evaluation),
        "table": _table(evaluation) + _weighting(evaluation),
        "forced": f"Released although {' and '.join(against or ['nothing stood against it'])}; the reason given: {forced}\n"
        if forced
        else "",
    }
    write_atomic(folder / "call.json", json.dumps(_call(manifest), indent=2, ensure_ascii=False) + "\n")
    if manifest.kind == "head":
        names = cast(list[str], manifest.decoding["order"]) or ["the answer"]
        has_words = "words" in manifest.files
        features = "the vectors of the embedding model `{base}` (sha256 `{base_hash}`, licence {licence})".format(
            **common
        )
        if has_words:
            features = "the words of a text, without any model"
        words = ", which `journeyman.models.words` makes from `words.json`" if has_words else ""
        card = HEAD_CARD.format(**common, heads=", ".join(names), features=features, words=words)
        write_atomic(folder / "README.md", card)
        return
    if manifest.kind == "nearest":
        write_atomic(folder / "README.md", NEAREST_CARD.format(**common))
        return
    if drawn := Student(folder, manifest).sampling:
        what = {"prompt": "a prompt", "full": "a whole model tuned"}.get(drawn.kind, "an adapter")
        values = common | {"samples": drawn.samples, "temperature": drawn.temperature, "student": drawn.student[:12]}
        write_atomic(folder / "README.md", VOTES_CARD.format(**values, what=what))
        return
    if manifest.kind == "prompt":
        count = cast(int, manifest.decoding["shots"])
        shots = f"the {count} nearest examples" if count else "no examples"
        files = "; `examples.json` holds the examples, `words.json` what tells which are near" if count else ""
        write_atomic(folder / "README.md", PROMPT_CARD.format(**common, shots=shots, files=files))
        return
    turn, is_whole = read_turn(manifest.template), "model" in manifest.files
    base_file = f"{Path(manifest.base.name).name.removesuffix('.gguf')}.gguf"
    written = Student(folder, manifest).writing
    writing = _describe_writing(written)
    values = common | {
        "what": "a whole model, made from" if is_whole else "a LoRA adapter for",
        "weights": "model.gguf" if is_whole else f"{base_file} --lora adapter.gguf",
        "from_file": "model.gguf" if is_whole else base_file,
        "adapter": "" if is_whole else "ADAPTER ./adapter.gguf\n",
        "beside": "put model.gguf beside the Modelfile" if is_whole else "put the base GGUF beside the Modelfile",
        "transformers": WHOLE if is_whole else PEFT,
        "before": turn.before,
        "between": turn.between,
        "prompt": f"{turn.before}...{turn.between}".replace("\n", "\\n"),
        "stop": f'PARAMETER stop "{turn.stop}"\n' if turn.stop else "",
        "max_tokens": manifest.decoding["max_tokens"],
        "schema_flag": "--json-schema-file schema.json " if manifest.schema and not writing else "",
        "writing": writing,
        "example": "...",
    }
    write_atomic(folder / "README.md", CARD.format(**values))
    write_atomic(folder / "Modelfile", MODELFILE.format(**values))
    if written:
        write_atomic(folder / LABELS, json.dumps(written.table(), indent=2, ensure_ascii=False) + "\n")
        write_atomic(folder / READER, Path(reader.__file__).read_text(encoding="utf-8"))


def _describe_writing(writing: Writing | None) -> str:
    if isinstance(writing, Codes):
        pairs = zip(writing.texts, writing.answers, strict=True)
        return CODED.format(rows="\n".join(f"| `{code}` | `{answer}` |" for code, answer in pairs))
    if writing is None:
        return ""
    rows = []
    for label, words, field in zip(writing.labels, writing.words, writing.fields.values(), strict=True):
        values = ", ".join(f"`{word}` {dump(value)}" for word, value in zip(words, field.choices, strict=False))
        rows.append(f"| `{label}` | `{'.'.join(field.path)}` | {values} |")
    first = f"the value of `{'.'.join(writing.first.path)}`" if writing.first else f"`{NO_FIRST}`"
    return LINED.format(first=first, rows="\n".join(rows))


def _call(manifest: Manifest) -> dict[str, Json]:
    """A request for any OpenAI client pointed at `journeyman serve`."""
    names = list(cast(dict[str, Json], manifest.task["input"]))
    text = "..." if len(names) == 1 else "\n".join(f"{name}: ..." for name in names)
    return {"model": f"{manifest.task_name}@{manifest.hash}", "messages": [{"role": "user", "content": text}]}


def _verdict_line(evaluation: Mapping[str, Json]) -> str:
    gate = cast(dict[str, Json] | None, evaluation.get("gate"))
    if gate is None:
        return "No gate was decided."
    unmet = cast(dict[str, Json], gate.get("unmet") or {})
    limit = f"floor {gate['floor']}" if gate["against"] == "floor" else f"margin {gate['margin']}"
    return (
        f"Gate: **{gate['verdict']}** ({gate['metric']} against {gate['against']}, {limit}): "
        f"{gate['difference']:+.4f}, interval {gate['low']:+.4f} to {gate['high']:+.4f} "
        f"at one-sided level {gate['level']}, n = {gate['n']}."
        + (f" Required tests that do not pass: {', '.join(unmet)}." if unmet else "")
    )


def _weighting(evaluation: Mapping[str, Json]) -> str:
    weak = cast(dict[str, Json], evaluation.get("weak") or {})
    said = weak.get("weighting")
    return f"\n\nTuned with weight {said}: those of weak spots of an earlier student." if said else ""


def _table(evaluation: Mapping[str, Json]) -> str:
    lines = ["| model | split | metric | value | 95 % interval | n |", "|---|---|---|---|---|---|"]
    for candidate in cast(list[dict[str, Json]], evaluation.get("candidates", [])):
        for name, figure in cast(dict[str, dict[str, float]], candidate["metrics"]).items():
            interval = f"{figure['low']:.4f} to {figure['high']:.4f}"
            head = f"| {candidate['name']} | {candidate['split']} | {name} "
            lines.append(f"{head}| {figure['value']:.4f} | {interval} | {figure['n']:.0f} |")
    return "\n".join(lines)
