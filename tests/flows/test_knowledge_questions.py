"""Questions written by a teacher behind a real server about documents that were really read: what is kept, paid, and what a kill leaves."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from journeyman.core.errors import DataError, KnowledgeError
from journeyman.flows.knowledge import add, open_library
from journeyman.flows.knowledge_eval import evaluate
from journeyman.flows.knowledge_questions import Made, Options, forecast_questions, make_questions
from journeyman.flows.workspace import Workspace, open_workspace
from tests.flows.projects import journeyman
from tests.flows.providers import provider

PRICES = "input_usd_per_million = 1000\noutput_usd_per_million = 2000\n"
THINGS = (
    "lantern",
    "kettle",
    "ladder",
    "barrel",
    "carpet",
    "mirror",
    "hammer",
    "bucket",
    "pillow",
    "basket",
    "candle",
    "saddle",
)
PLACES = ("Aldgate", "Brixton", "Camden", "Dalston", "Euston", "Fulham", "Greenwich", "Holborn", "Islington", "Kilburn")
Body = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve documents of two sections."""
    (tmp_path / "journeyman.toml").touch()
    (tmp_path / "house").mkdir()
    for number, thing in enumerate(THINGS):
        sections = [
            f"## {place}\n\nThe {thing} of {place} costs {number * 10 + turn + 100} crowns and is kept in the cellar of the old town hall. "
            f"It was made by a smith who came over the river with his two sons, and nobody may lend it to strangers, as the council of {place} has said.\n"
            for turn, place in enumerate((PLACES[number % 10], PLACES[(number + 5) % 10]))
        ]
        (tmp_path / f"house/{thing}.md").write_text(f"# The {thing}\n\n" + "\n".join(sections), encoding="utf-8")
    with open_workspace(tmp_path) as workspace:
        add(workspace, [str(tmp_path / "house")])
    return tmp_path


def name_of(body: Body) -> str:
    return str(body["response_format"]["json_schema"]["name"])


def say(body: Body) -> tuple[int, str]:
    """One good question about a price, and one that speaks of the passage."""
    text = str(body["messages"][-1]["content"])
    thing, place, price = re.search(r"The (\w+) of (\w+) costs (\d+ crowns)", text).groups()  # type: ignore[union-attr]
    if name_of(body) == "checked":
        return 200, json.dumps({"quote": f"costs {price}", "is_clear": "Camden" not in text})
    good = {"question": f"How much does one pay in {place} for the {thing}?", "quote": price.upper()}
    bad = {"question": "Who made what this passage describes?", "quote": "a smith"}
    return 200, json.dumps({"questions": [good, bad]})


def cost(seen: list[Body], answer: Callable[[Body], tuple[int, str]] = say) -> float:
    """What the provider charged, by its own count of words."""
    words = [sum(len(str(message["content"]).split()) for message in body["messages"]) for body in seen]
    return sum(
        (read * 1000 + len(answer(body)[1].split()) * 2000) / 1e6 for read, body in zip(words, seen, strict=True)
    )


def read_rows(made: Made) -> list[dict[str, Any]]:
    return [json.loads(line) for line in made.path.read_text(encoding="utf-8").splitlines()]


def texts(workspace: Workspace) -> dict[str, str]:
    with open_library(workspace) as library:
        return {item.origin.name: library.index.document(item.id).text for item in library.index.documents()}


def test_questions_have_exact_places_and_are_what_eval_reads(folder: Path) -> None:
    with provider(folder, say, settings=PRICES) as seen, open_workspace(folder) as workspace:
        made = make_questions(workspace, Options(12, budget_usd=1000.0))
        assert (made.questions, made.documents, made.why) == (12, 12, "complete")
        assert made.dropped["it names the passage"] == made.passages
        assert made.receipt.calls == len(seen)
        assert made.receipt.usd == pytest.approx(cost(seen))
        rows, said = read_rows(made), texts(workspace)
        for row in rows:
            assert said[row["document"]][row["start"] : row["end"]] == row["quote"]
            assert re.fullmatch(r"\d+ crowns", row["quote"])
        more = make_questions(workspace, Options(20, budget_usd=1000.0))
        assert read_rows(more)[:12] == rows
        assert more.questions == 20
        assert more.receipt.calls == len(seen) == len({json.dumps(body["messages"]) for body in seen})
        compared = evaluate(workspace, more.path)
        assert max(row.recall.value for row in compared.rows) == 1
        assert compared.abstention is not None
        assert compared.abstention.is_left_out
        assert compared.abstention.accuracy > 0.8
        assert [evaluate(workspace, more.path, top=top).look for top in (5, 3, 5)] == [1, 2, 1]


def test_a_second_reading_confirms(folder: Path) -> None:
    with provider(folder, say) as seen, open_workspace(folder) as workspace:
        made = make_questions(workspace, Options(100, is_checked=True))
        assert made.why == "no passages are left"
        assert made.passages == 24
        assert not any("Camden" in row["question"] for row in read_rows(made))
        assert made.dropped["a second reading does not confirm it"] > 0
        assert {name_of(body) for body in seen} == {"questions", "checked"}


def test_money_is_limited_before_it_is_spent(folder: Path) -> None:
    with provider(folder, say, settings=PRICES) as seen, open_workspace(folder) as workspace:
        told = forecast_questions(workspace, Options(20))
        assert told.forecast.usd is not None
        with pytest.raises(DataError, match=r"JM-360(.|\n)*knowledge questions(.|\n)*--budget"):
            make_questions(workspace, Options(20))
        assert seen == []
        short = make_questions(workspace, Options(20, budget_usd=4.0))
        assert short.why == "the budget is spent"
        assert 0 < short.questions < 20
        assert short.receipt.usd == pytest.approx(cost(seen))
        assert short.receipt.usd <= 4
        whole = make_questions(workspace, Options(20, budget_usd=1000.0))
        assert (whole.questions, whole.why) == (20, "complete")
        assert len({json.dumps(body["messages"]) for body in seen}) == len(seen)


def test_a_kill_repeats_no_call(folder: Path) -> None:
    def slow(body: Body) -> tuple[int, str]:
        time.sleep(0.05)
        return say(body)

    with provider(folder, slow, settings=PRICES) as seen:
        command = [sys.executable, "-m", "journeyman", "knowledge", "questions", "--n", "24", "--budget", "500usd"]
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while len(seen) < 5 and process.poll() is None:
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        done = journeyman(folder, *command[3:], "--json")
        assert done.returncode == 0, done.stderr
        made = json.loads(done.stdout)
        assert len({json.dumps(body["messages"]) for body in seen}) == len(seen)
        assert made["receipt"]["calls"] >= len(seen)
        assert made["questions"] + made["receipt"]["lost"] >= 20
        assert cost(seen) <= made["receipt"]["usd"] + 1e-9


def test_a_file_that_somebody_changed_is_not_written_over(folder: Path) -> None:
    with provider(folder, say), open_workspace(folder) as workspace:
        made = make_questions(workspace, Options(5))
        assert make_questions(workspace, Options(6)).questions == 6
        made.path.write_text(made.path.read_text().replace("How much", "What"))
        with pytest.raises(KnowledgeError, match=r"JM-914(.|\n)*--out"):
            make_questions(workspace, Options(7))
        assert make_questions(workspace, Options(7, out=folder / "other.jsonl")).questions == 7
        assert "What" in made.path.read_text()


def test_what_is_missing_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "short.txt").write_text("Nothing much.")
    with open_workspace(folder) as workspace:
        for name in ("JOURNEYMAN_TEACHER", "OPENAI_API_KEY"):
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(KnowledgeError, match=r"JM-913(.|\n)*--teacher"):
            make_questions(workspace, Options())
        add(workspace, [str(folder / "short.txt")], "short")
        with provider(folder, say), open_workspace(folder) as again, pytest.raises(KnowledgeError, match="JM-912"):
            make_questions(again, Options(), "short")
        with pytest.raises(KnowledgeError, match="JM-950"):
            make_questions(workspace, Options(), "none")
