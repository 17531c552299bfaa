"""Where LangExtract's aligner finds quotes, in each text by itself; runs in the rival's environment. Job: {"calls": [{"text", "quotes"}], "is_fuzzy", "is_lesser"}.

The package's own front page imports clients of models, which the aligner does not use and this environment does not have: its folder is entered below it.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
import types
from pathlib import Path

found = importlib.util.find_spec("langextract")
package = types.ModuleType("langextract")
package.__path__ = list(found.submodule_search_locations)
sys.modules["langextract"] = package

from langextract.core import data  # noqa: E402
from langextract.resolver import WordAligner  # noqa: E402


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    rows, started = [], time.thread_time()
    for call in job["calls"]:
        asked = [data.Extraction("quote", quote) for quote in call["quotes"]]
        groups = WordAligner().align_extractions(
            [asked],
            call["text"],
            enable_fuzzy_alignment=job["is_fuzzy"],
            accept_match_lesser=job["is_lesser"],
        )
        rows.append([describe(one) for one in groups[0]])
    sys.stdout.write(json.dumps({"rows": rows, "seconds": time.thread_time() - started}) + "\n")


def describe(extraction: data.Extraction) -> list[object]:
    span = extraction.char_interval
    if span is None or extraction.alignment_status is None:
        return ["ungrounded", 0, 0]
    return [extraction.alignment_status.value.removeprefix("match_"), span.start_pos, span.end_pos]


if __name__ == "__main__":
    main()
