"""The gateway's schema guarantee: no reply with status 200 may violate its schema, whoever answers.

    python benchmarks/schemas.py [--data FOLDER] [--oracle PYTHON] [--most N] [--base N] [--json]

Every schema of json_schema_test_suite (draft 2020-12 and 7) and every distinct one of bfcl_extraction, through a real server: asked of the base (constrained decoding, real
weights where they are pulled), of a task whose teacher says what it is told to, and of a provider that a chat completion or a response is passed on to; whole and streamed. The
scripted answers are the suite's own instances, valid and invalid, and texts that are no JSON. Bodies with status 200 are judged by the package jsonschema in its own
environment (``--oracle``: an interpreter that has it). ``--most``: schemas of each set, drawn at random. Results go to benchmarks/results/schemas.json and docs/results/schemas.md.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema_rs
from machine import ROOT, describe_commit, describe_machine, make_parser, write_result
from rivals import rival_python, run_script

sys.path.insert(0, str(ROOT))

from journeyman.core.errors import ModelError
from journeyman.models.catalog import resolve
from tests.gateway.schema_rig import (
    DRAFTS,
    Case,
    Got,
    Rig,
    named_keyword,
    open_rig,
    plan_base,
    plan_scripted,
    read_extraction,
    read_suite,
)
from tests.tiny import write_tiny_llama

RESULT = ROOT / "benchmarks/results/schemas.json"
PAGE = ROOT / "docs/results/schemas.md"
BASE = "smollm2-135m-instruct"


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--oracle", type=Path, help="an interpreter that has the package jsonschema")
    parser.add_argument("--most", type=int, default=0, help="schemas of each set; 0: all")
    parser.add_argument("--base", type=int, default=0, help="schemas that the base is asked, drawn at random; 0: all")
    arguments = parser.parse_args()
    sets = {
        "json_schema_test_suite": list(read_suite(arguments.data / "json_schema_test_suite")),
        "bfcl_extraction": list(read_extraction(arguments.data / "bfcl_extraction")),
    }
    if arguments.most:
        sets = {name: random.Random(0).sample(cases, arguments.most) for name, cases in sets.items()}
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        weights, base = find_weights(Path(folder))
        cases = [case for chosen in sets.values() for case in chosen]
        refused, replies = asyncio.run(ask_all(weights, Path(folder), cases, arguments.base))
        bodies = [got for got in replies if got.text is not None]
        job = {"pairs": [[got.asked.case.schema, got.text] for got in bodies]}
        oracle = arguments.oracle or rival_python("jsonschema")
        judged = run_script(oracle, ROOT / "benchmarks/rivals/schema_oracle.py", job, Path(folder))
    problems = dict(zip(bodies, judged["problems"], strict=True))
    unjudged = [got for got in bodies if problems[got].startswith("not judged")]
    problems |= {got: judge_again(got) for got in unjudged}
    # Of its own instances the suite knows better than any validator.
    wrong = {got: problems[got] or "the set says it is invalid" for got in bodies if is_violation(got, problems[got])}
    disputed = [got for got in bodies if got.asked.label is True and problems[got]]
    document = {
        "machine": describe_machine(),
        "commit": describe_commit(),
        "base": base,
        "command": " ".join(
            ["python benchmarks/schemas.py", *([f"--base {arguments.base}"] if arguments.base else [])]
        ),
        "seconds": round(time.monotonic() - started),
        "oracle": {"package": "jsonschema 4.26.0", "formats": judged["formats"]},
        "schemas": {name: len(chosen) for name, chosen in sets.items()},
        "admission": count_admission(cases, refused, replies),
        "ways": [count_way(way, replies, wrong) for way in dict.fromkeys(got.asked.way for got in replies)],
        "violations": [describe(got) | {"problem": problem} for got, problem in wrong.items()],
        "judged_again": len(unjudged),
        "disputed": [describe(got) | {"problem": problems[got]} for got in disputed],
        "over_refused": [describe(got) | {"message": got.message} for got in replies if is_over_refused(got)],
        "ours": [describe(got) | {"message": got.message} for got in replies if got.status >= 500],
    }
    if not arguments.most:
        write_result(RESULT, document)
        PAGE.write_text(write_page(document), encoding="utf-8")
    sys.stdout.write((json.dumps(document, indent=2) if arguments.json else write_page(document)) + "\n")
    return 1 if wrong or document["ours"] else 0


def find_weights(folder: Path) -> tuple[Path, str]:
    try:
        return resolve(BASE).path, BASE
    except ModelError:
        return write_tiny_llama(folder / "tiny.gguf"), "a tiny random model"


async def ask_all(weights: Path, folder: Path, cases: list[Case], for_base: int) -> tuple[dict[Case, str], list[Got]]:
    """Why cases have no task, and what came back of all calls."""
    async with open_rig(weights, folder, cases) as rig:
        scripted = [
            asked for asked in plan_scripted(cases) if not asked.way.startswith("task") or asked.case in rig.tasks
        ]
        drawn = random.Random(0).sample(cases, for_base) if for_base else cases
        replies = await with_progress(rig, scripted, 16) + await with_progress(rig, plan_base(drawn), 4, 100)
        return {case: error.message() for case, error in rig.refused.items()}, replies


async def with_progress(rig: Rig, calls: list[Any], at_once: int, part: int = 500) -> list[Got]:
    found: list[Got] = []
    for start in range(0, len(calls), part):
        found += await rig.ask_all(calls[start : start + part], at_once)
        sys.stderr.write(f"{len(found)} of {len(calls)} calls\n")
    return found


def count_admission(cases: list[Case], refused: dict[Case, str], replies: list[Got]) -> dict[str, Any]:
    """How many schemas a base and a task take; refusals by code and keyword, and those that name no keyword of theirs."""
    by_base = {
        got.asked.case: got
        for got in replies
        if got.asked.way.startswith("base") and got.code[:5] in ("JM-21", "JM-70")
    }
    by_pass = {got.asked.case: got.message for got in replies if got.code == "JM-721"}
    given = {
        "base": {case: got.message for case, got in by_base.items()},
        "task": refused,
        "passed on": by_pass,
    }
    return {
        name: {
            "schemas": sum(got.asked.way.startswith("base") for got in replies) if name == "base" else len(cases),
            "refused": len(messages),
            "by": count_keywords(messages),
            "unnamed": [f"{case.origin}, {case.name}: {text}" for case, text in messages.items() if not named_keyword(case.schema, text)],
        }
        for name, messages in given.items()
    }  # fmt: skip


def count_keywords(messages: dict[Case, str]) -> dict[str, int]:
    named = (f"{text[:6]} {named_keyword(case.schema, text) or '-'}" for case, text in messages.items())
    return dict(Counter(named).most_common())


def count_way(way: str, replies: list[Got], wrong: dict[Got, str]) -> dict[str, Any]:
    mine = [got for got in replies if got.asked.way == way]
    return {
        "way": way,
        "calls": len(mine),
        "ok": sum(got.text is not None for got in mine),
        "violations": sum(got.asked.way == way for got in wrong),
        "labelled_invalid": sum(got.asked.label is False and got.code != "JM-721" for got in mine),
        "labelled_valid": sum(got.asked.label is True and got.code != "JM-721" for got in mine),
        "over_refused": sum(map(is_over_refused, mine)),
        "refused": dict(Counter(got.code for got in mine if got.text is None).most_common()),
        "ours": sum(got.status >= 500 for got in mine),
    }


def judge_again(got: Got) -> str:
    """By the other validator: for patterns that Python's regular expressions do not know, and endless references."""
    schema = got.asked.case.schema
    kind = (
        jsonschema_rs.Draft7Validator
        if schema.get("$schema") == DRAFTS["draft7"]
        else jsonschema_rs.Draft202012Validator
    )
    try:
        kind(schema, validate_formats=True).validate(json.loads(got.text or ""))
    except ValueError as error:
        return str(error)[:200]
    return ""


def is_violation(got: Got, problem: str) -> bool:
    return bool(problem) if got.asked.label is None else not got.asked.label


def is_over_refused(got: Got) -> bool:
    """A valid answer that did not leave, though its schema was taken."""
    return got.asked.label is True and got.text is None and got.code != "JM-721"


def describe(got: Got) -> dict[str, Any]:
    case = got.asked.case
    answer = got.asked.answer if got.text is None else got.text
    return {"schema": f"{case.origin}, {case.name}", "way": got.asked.way, "answer": (answer or "")[:200], "status": got.status}  # fmt: skip


def write_page(document: dict[str, Any]) -> str:
    schemas, machine = document["schemas"], document["machine"]
    total, ok = sum(schemas.values()), sum(way["ok"] for way in document["ways"])
    calls, disputed = sum(way["calls"] for way in document["ways"]), len(document["disputed"])
    lines = [
        "# No reply that violates its schema",
        "",
        f"`{document['command']}` at commit {document['commit']}, {machine['cores']} cores of {machine['processor']}; base: {document['base']}.",
        "",
        f"{total:,} schemas ("
        + ", ".join(f"{count:,} of {name}" for name, count in schemas.items())
        + f"), {calls:,} calls through a real server: **{len(document['violations'])} of {ok:,} replies with status 200 violate their schema**, "
        f"{len(document['ours'])} replies are a 5xx of ours. Judged by {document['oracle']['package']}, which checks these formats: {', '.join(document['oracle']['formats'])}. Of the suite's own instances ({disputed} replies) "
        "its labels decide where that package says otherwise: it reads regular expressions as Python does, and few forms of some formats. Other formats are judged by these labels alone, "
        f"and {document['judged_again']} replies under patterns that are none of Python's by jsonschema-rs.",
        "",
        "`base`: constrained decoding, 24 tokens at the most (48 for bfcl_extraction), so that many answers are cut and refused. `task`: a teacher that says what it is told to. `passed` and `responses`: another model's call with a strict schema, "
        "passed on. Each instance of the suite, and each gold answer, is one scripted answer in each of the six ways; texts that are no JSON, or more than JSON, or twice a key, come besides. Valid instances are those of schemas that were taken.",
        "",
        "| answered by | calls | status 200 | of these violate the schema | invalid answers | valid answers | refused of these | other replies by code |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for way in document["ways"]:
        refused = ", ".join(f"{code or 'stream error'} {count:,}" for code, count in way["refused"].items())
        lines.append(
            f"| {way['way']} | {way['calls']:,} | {way['ok']:,} | {way['violations']} | {way['labelled_invalid'] or ''} | {way['labelled_valid'] or ''} | {way['over_refused'] if way['labelled_valid'] else ''} | {refused} |"
        )
    for name, found in document["admission"].items():
        taken = found["schemas"] - found["refused"]
        lines += [
            "",
            f"## Refused schemas: {name}",
            "",
            f"{taken:,} of {found['schemas']:,} schemas are taken, {found['refused']:,} refused before anything is asked; {len(found['unnamed'])} of these refusals name no keyword of their schema"
            + (" (those of `true` and `false`, which have none)." if name == "base" else "."),
            "",
            "| code | keyword | schemas |",
            "|---|---|---|",
        ]
        lines += [f"| {by.split()[0]} | `{by.split()[1]}` | {count} |" for by, count in found["by"].items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
