"""The whole loop in a small form, on the real base model: what `make demo` runs, then the README's commands in its folder."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.projects import journeyman

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("demo") / "project"
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "demo.py"), "--small", str(folder)],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


@pytest.mark.timeout(1000)
@pytest.mark.model
def test_the_loop_ends_in_an_answer_through_the_official_client(demo: tuple[Path, str]) -> None:
    folder, output = demo
    answer = json.loads(re.search(r"^answer:   (.*)$", output, re.M)[1])
    assert list(answer) == ["quantity", "unit", "item", "preparation", "optional"]
    assert "on exact_match the student" in output
    (release,) = (folder / ".journeyman/releases/ingredients").iterdir()
    manifest = json.loads((release / "manifest.json").read_text())
    assert manifest["hash"] == release.name
    evaluation = json.loads((release / "attachments/evaluation.json").read_text())
    assert evaluation["forced"] == "demo"
    assert {item["kind"] for item in evaluation["candidates"]} == {"lora", "base", "teacher"}


@pytest.mark.timeout(1000)
@pytest.mark.model
def test_the_readmes_commands_work_in_the_demos_folder(demo: tuple[Path, str]) -> None:
    folder, _ = demo
    block = re.search(r"<!-- tested -->\n```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.S)[1]
    commands = [line.removeprefix("journeyman ") for line in block.splitlines() if line.startswith("journeyman ")]
    assert len(commands) >= 5
    for command in commands:
        arguments = [first or second for first, second in re.findall(r'"([^"]*)"|(\S+)', command)]
        done = journeyman(folder, *arguments, timeout=600)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    assert (folder / "report.html").stat().st_size > 100_000
    assert (folder / "for-ollama/Modelfile").is_file()


@pytest.mark.timeout(1000)
@pytest.mark.model
def test_running_again_asks_nothing_and_takes_no_new_look(demo: tuple[Path, str]) -> None:
    folder, _ = demo
    before = json.loads(journeyman(folder, "status", "--json").stdout)["tasks"][0]
    done = journeyman(folder, "run", "ingredients", "--epochs", "0.2", "--base-rows", "2", "--json", timeout=600)
    assert done.returncode in (0, 1), done.stderr
    document = json.loads(done.stdout)
    assert document["gate"]["n"] == 12
    after = json.loads(journeyman(folder, "status", "--json").stdout)["tasks"][0]
    assert after["looks"] == before["looks"] == 1
    assert after["traces"] == before["traces"]


def test_errors_of_use_are_one_clear_message_and_exit_2(tmp_path: Path) -> None:
    for arguments, code in (
        (("status",), "JM-101"),
        (("nonsense",), "JM-100"),
        (("tune",), "JM-100"),
        (("pull", "no-such-model"), "JM-402"),
    ):
        done = journeyman(tmp_path, *arguments)
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith(code), done.stderr
        assert "Traceback" not in done.stderr
    assert journeyman(tmp_path, "init", ".").returncode == 0
    assert journeyman(tmp_path, "new", "tickets").returncode == 0
    for arguments, code in (
        (("tune", "nobody"), "JM-260"),
        (("tune", "tickets"), "JM-352"),
        (("import", "missing.jsonl", "--task", "tickets"), "JM-301"),
        (("serve",), "JM-625"),
        (("ask", "tickets", "hello"), "JM-730"),
    ):
        done = journeyman(tmp_path, *arguments)
        assert done.returncode == 2, (arguments, done.stdout, done.stderr)
        assert code in done.stderr
