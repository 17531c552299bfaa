"""What documents say reaches a terminal as text alone, and `--json` is JSON whatever they say."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from journeyman.cli.main import run
from journeyman.cli.terminal import Bars, print_json
from journeyman.knowledge.chunk.chunk import Chunk
from journeyman.knowledge.document import Block, Document
from journeyman.knowledge.index.file import Origin, Ready, Refusal, open_index

SIGNS = "\x1b]0;renamed\x07\x1b[2J\x9b31m\r\x08\u202eevil\u2066\u2028"
NAME = f"docs/{SIGNS}\nrefused  good.txt: JM-901.txt"
HARM = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "journeyman.toml").touch()
    text = f"Zebras {SIGNS} graze."
    with open_index(tmp_path / ".journeyman/knowledge/documents.db", is_writer=True) as index:
        document = Document(
            NAME,
            "text/plain",
            text,
            (Block("paragraph", 0, len(text)),),
            title=SIGNS,
            facts={SIGNS: SIGNS, "number": 2**80, "none": float("inf")},
        )
        ready = [Ready(Chunk(0, len(text), (SIGNS,)), SIGNS, text, b"1" * 16)]
        index.put(Origin("docs", NAME, "", "", "made:1"), document, ready, {b"1" * 16: np.ones(384, np.float32)})
        index.refuse(Refusal("docs", f"{NAME}2", "", "", "JM-901", SIGNS))
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMMANDS = (["list"], ["search", "zebras", "--ranker", "lexical"])


@pytest.mark.parametrize("command", COMMANDS)
def test_names_titles_headings_and_texts_are_shown_plainly(
    project: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    assert run(["knowledge", *command]) == 0
    shown = capsys.readouterr().out
    assert not HARM.search(shown)
    assert "<U+001B>" in shown
    assert not [line for line in shown.splitlines() if line.startswith("refused  good")]


@pytest.mark.parametrize("command", [*COMMANDS, ["search", "zebras \udcff", "--ranker", "lexical"]])
def test_json_is_json(project: Path, capfd: pytest.CaptureFixture[str], command: list[str]) -> None:
    assert run(["knowledge", *command, "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert NAME in json.dumps(said, ensure_ascii=False).replace("\\n", "\n") or said
    if command == ["list"]:
        assert said["documents"][0]["name"] == NAME
        assert said["documents"][0]["facts"]["number"] == 2**80


def test_errors_about_names_that_are_no_text_are_json_too(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["knowledge", "remove", "caf\udce9", "--json"]) == 2
    assert json.loads(capfd.readouterr().out)["error"]["code"] == "JM-963"


def test_what_orjson_refuses_is_written_with_escapes(capfd: pytest.CaptureFixture[str]) -> None:
    document = {"half": "\ud83d", "large": 2**90, "fine": "ü", "not": float("nan")}
    print_json(document)
    said = capfd.readouterr().out
    assert "NaN" not in said
    assert json.loads(said) == {"half": "\ud83d", "large": 2**90, "fine": "ü", "not": None}


def test_a_bar_shows_no_control_characters() -> None:
    written = io.StringIO()
    bars = Bars(Console(file=written, force_terminal=True, width=200))
    bars.start(f"read {SIGNS}")
    bars.advance(1, f"{SIGNS}\nnext")
    bars.finish()
    assert "\x1b]0;" not in written.getvalue()
    assert "\x1b[2J" not in written.getvalue()
    assert "\u202e" not in written.getvalue()
    assert "renamed" in written.getvalue()
