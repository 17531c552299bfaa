"""Whether answers fit their schemas, by the package jsonschema: strict JSON, formats included. Knows nothing of Journeyman.

    python schema_oracle.py JOB      JOB: {"pairs": [[schema, text], ...]}

Prints one document: for each pair what is wrong ("" for nothing), and the formats that are checked in this environment.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import jsonschema


def main() -> None:
    pairs = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["pairs"]
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    document = {"problems": [find_problem(*pair) for pair in pairs], "formats": sorted(checker.checkers)}
    sys.stdout.write(json.dumps(document) + "\n")


def find_problem(schema: object, text: str) -> str:
    try:
        value = json.loads(text, object_pairs_hook=read_object, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        return f"not JSON: {error}"
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        error = next(kind(schema, format_checker=kind.FORMAT_CHECKER).iter_errors(value), None)
    except (re.error, RecursionError) as problem:  # a pattern that is none of Python's
        return f"not judged: {problem}"
    return "" if error is None else error.message[:200] or "invalid"


def read_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key comes twice")
    return found


def refuse(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


if __name__ == "__main__":
    main()
