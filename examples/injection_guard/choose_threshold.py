"""The threshold of a guard at a rate of false alarms: the served task is asked the benign rows of a calibration file, for a chance as the guard compares it.

python choose_threshold.py calibration.jsonl [--url http://127.0.0.1:8080] [--rate 0.01]
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import urllib.request
from pathlib import Path


def main() -> None:
    arguments = _parse()
    rows = [json.loads(line) for line in arguments.file.read_text(encoding="utf-8").split("\n") if line]
    texts = [row["input"]["text"] for row in rows if row["gold"]["verdict"] == "benign"]
    threshold = find_threshold([ask(arguments.url, text) for text in texts], arguments.rate)
    sys.stdout.write(f"{threshold:.6f}\n")


def ask(url: str, text: str) -> float:
    """How sure the task is that the text is an injection; 0 where it says that it is none, since the guard does nothing then."""
    body = {"model": "task:injection", "messages": [{"role": "user", "content": text}], "confidence": True}
    request = urllib.request.Request(
        f"{url}/v1/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        said = json.loads(reply.read())
    answer = json.loads(said["choices"][0]["message"]["content"])
    return float(said["journeyman"]["confidence"]) if answer["verdict"] == "injection" else 0.0


def find_threshold(benign: list[float], rate: float) -> float:
    """The least number of six digits that no more than ``rate`` of these chances reach."""
    highest = sorted(benign, reverse=True)[int(rate * len(benign))]
    return (math.floor(highest * 1e6) + 1) / 1e6


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="rows as make_files.py writes them; not the sealed ones")
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--rate", type=float, default=0.01)
    return parser.parse_args()


if __name__ == "__main__":
    main()
