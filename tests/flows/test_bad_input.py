"""Bad input, as a user meets it: one clear message with its next step, exit status 2, nothing written."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.flows.conftest import Loop
from tests.flows.projects import TASK, journeyman, make_project, serving


def _task(text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "tasks/paint.yaml").write_text(text) and None  # type: ignore[func-returns-value]


def _base(value: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "journeyman.toml").write_text(f'[base]\nmodel = "{value}"\n')

    return change


def _garbage(folder: Path) -> None:
    (folder / "broken.gguf").write_bytes(b"GGUF" + b"\xff" * 400)
    _base(str(folder / "broken.gguf"))(folder)


def _empty_file(folder: Path) -> None:
    (folder / "nothing.jsonl").touch()


def _all_wrong(folder: Path) -> None:
    rows = [{"input": {"line": "two red"}, "gold": {"colour": "pink", "many": True}}] * 3
    (folder / "wrong.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _nothing(folder: Path) -> None:
    pass


IMPORT = ("import", "train.jsonl", "--task", "paint")
TABLE: tuple[tuple[str, Callable[[Path], None], tuple[str, ...], str, str], ...] = (
    ("a missing file", _nothing, ("import", "gone.jsonl", "--task", "paint"), "JM-301", "gone.jsonl"),
    ("an empty file", _empty_file, ("import", "nothing.jsonl", "--task", "paint"), "JM-302", "nothing.jsonl"),
    ("rows of another schema", _all_wrong, ("import", "wrong.jsonl", "--task", "paint"), "JM-304", "wrong.jsonl"),
    ("an unknown key", _task(TASK.replace("output:", "outputs:")), IMPORT, "JM-202", "paint.yaml:6"),
    ("no YAML", _task("edition: 1\nname: [paint\n"), IMPORT, "JM-201", "paint.yaml:"),
    ("a contradiction", _task(TASK.replace("floor: 0.99", "margin: 0.1")), IMPORT, "JM-206", "paint.yaml:"),
    ("an unknown setting", lambda f: (f / "journeyman.toml").write_text("[oven]\nheat = 3\n"), IMPORT, "JM-103", ":1"),
    ("settings that are no TOML", lambda f: (f / "journeyman.toml").write_text("[base\n"), IMPORT, "JM-102", ".toml"),
    ("a task that is not there", _nothing, ("prepare", "point"), "JM-260", "paint"),
    ("nothing imported", _nothing, ("prepare", "paint"), "JM-306", "paint"),
    ("nothing prepared", _nothing, ("tune", "paint"), "JM-352", "paint"),
    ("nothing tuned", _nothing, ("release", "paint"), "JM-352", "paint"),
    ("nothing to serve", _nothing, ("serve",), "JM-625", "releases"),
    ("a number out of range", _nothing, ("import", "train.jsonl"), "JM-100", "task"),
)


@pytest.fixture
def fresh(tmp_path: Path, tiny_gguf: Path) -> Path:
    return make_project(tmp_path / "project", tiny_gguf)


@pytest.mark.parametrize(("what", "change", "arguments", "code", "names"), TABLE, ids=[row[0] for row in TABLE])
def test_bad_input_is_one_clear_message(
    fresh: Path, what: str, change: Callable[[Path], object], arguments: tuple[str, ...], code: str, names: str
) -> None:
    change(fresh)
    done = journeyman(fresh, *arguments)
    _is_one_message(done, code, names)


def _is_one_message(done: subprocess.CompletedProcess[str], code: str, names: str) -> None:
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert done.stderr.startswith(code) or f"\n{code}" in done.stderr, done.stderr
    assert done.stderr.count("JM-") == 1, done.stderr
    assert names in done.stderr
    assert "next:" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def prepared(fresh: Path) -> Path:
    for arguments in (("import", "sealed.jsonl", "--task", "paint", "--split", "test"), IMPORT, ("prepare", "paint")):
        assert journeyman(fresh, *arguments).returncode == 0
    return fresh


def test_bad_models_are_one_clear_message_each(prepared: Path, tmp_path: Path) -> None:
    for change, code, names in (
        (_base("no-such-model"), "JM-402", "smollm2"),
        (_base(str(tmp_path / "gone.gguf")), "JM-404", "gone.gguf"),
        (_garbage, "JM-405", "broken.gguf"),
    ):
        change(prepared)
        _is_one_message(journeyman(prepared, "tune", "paint"), code, names)


def test_a_model_that_is_not_pulled_or_was_changed(prepared: Path, tmp_path: Path) -> None:
    _base("smollm2-135m-instruct")(prepared)
    environment = os.environ | {"JOURNEYMAN_CACHE": str(tmp_path / "cache"), "XDG_CACHE_HOME": str(tmp_path / "cache")}

    def tune() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "journeyman", "tune", "paint"]
        return subprocess.run(command, cwd=prepared, env=environment, capture_output=True, text=True, check=False)

    done = tune()
    _is_one_message(done, "JM-401", "journeyman pull smollm2-135m-instruct")
    path = Path(next(word for word in done.stderr.split() if word.endswith(".gguf") or ".gguf:" in word).rstrip(":"))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"another file")
    _is_one_message(tune(), "JM-403", "sha256")


def test_a_port_in_use_and_another_system_prompt(loop: Loop, tmp_path: Path) -> None:
    project = Path(shutil.copytree(loop.folder, tmp_path / "project"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        _is_one_message(journeyman(project, "serve", "--port", port), "JM-701", port)
    messages = [
        {"role": "system", "content": "You are a pirate."},
        {"role": "user", "content": "two red"},
    ]
    body = json.dumps({"model": "task:paint", "messages": messages}).encode()
    with serving(project) as said:
        url = said["openai"] + "/chat/completions"
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(urllib.request.Request(url, body, {"content-type": "application/json"}), timeout=30)
        assert caught.value.code == 422
        assert "system text" in json.loads(caught.value.read())["error"]["message"]


@pytest.mark.parametrize(
    "change",
    [("the colour that", "which colour"), ("  many: boolean\n", "")],
    ids=["another instruction", "another order of the keys"],
)
def test_a_student_of_another_task_file_is_not_assessed(loop: Loop, tmp_path: Path, change: tuple[str, str]) -> None:
    project = Path(shutil.copytree(loop.folder, tmp_path / "project"))
    before, after = change
    text = TASK.replace(before, after)
    if not after:
        text = text.replace("output:\n", f"output:\n{before}")
    (project / "tasks/paint.yaml").write_text(text, encoding="utf-8")
    _is_one_message(journeyman(project, "assess", "paint"), "JM-630", "journeyman tune paint")
