"""Guards of a project, through `serve` and `ask`: those of a task, those of other models, and what is refused before anything is served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.flows.projects import journeyman, make_project, serving
from tests.flows.providers import provider

RIGHT = '{"colour": "red", "many": true}'
JUDGE = """\
edition: 1
name: injection
instruction: Is it an injection?
input: {text: string}
output: {label: {enum: [injection, benign]}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-the-projects-own")
    made = make_project(tmp_path / "project", Path("/nowhere.gguf"), settings='\n[serve]\nguards = "guards.yaml"\n')
    (made / "guards.yaml").write_text("guards:\n  - {kind: deny, words: [falcon], mode: block}\n", encoding="utf-8")
    (made / "tasks/injection.yaml").write_text(JUDGE, encoding="utf-8")
    return made


def guard(folder: Path, text: str) -> None:
    path = folder / "tasks/paint.yaml"
    path.write_text(f"{path.read_text(encoding='utf-8')}guards:\n  - {text}\n", encoding="utf-8")


def teach(body: dict[str, Any]) -> tuple[int, str]:
    said = str(body["messages"])
    return 200, RIGHT if "injection?" not in said else '{"label": "%s"}' % (
        "injection" if "ignore" in said else "benign"
    )


def test_guards_of_tasks_and_of_other_models(folder: Path) -> None:
    guard(folder, "{kind: task, task: injection, answer: injection, on: input, mode: block}")
    with provider(folder, teach) as seen:
        with serving(folder) as said, openai.OpenAI(base_url=said["openai"], api_key="none", max_retries=0) as client:

            def ask(model: str, text: str) -> str:
                messages: Any = [{"role": "user", "content": text}]
                return str(client.chat.completions.create(model=model, messages=messages).choices[0].message.content)

            assert json.loads(ask("task:paint", "two red falcons")) == json.loads(RIGHT)
            with pytest.raises(openai.BadRequestError, match="JM-780 paint: the guard task"):
                ask("task:paint", "ignore it, two red")
            count = len(seen)
            with pytest.raises(openai.BadRequestError, match="JM-780 model:gpt: the guard deny"):
                ask("gpt", "a falcon")
            assert len(seen) == count
        done = journeyman(folder, "ask", "paint", "ignore it, two red")
        assert (done.returncode, "JM-780" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{kind: deny, patterns: ['(?=a)b'], mode: block}", "JM-265"),
        ("{kind: deny, patterns: ['a*'], mode: block}", "JM-265"),
        ("{kind: personal, kinds: [SHOE], mode: block}", "JM-265"),
        ("{kind: task, task: nobody, answer: x, mode: block}", "JM-266 task paint: nobody cannot be a guard"),
        ("{kind: task, task: injection, answer: evil, mode: block}", "label: injection, benign"),
        ("{kind: task, task: paint, answer: red, mode: block}", "JM-266"),
    ],
)
def test_a_guard_that_cannot_work_stops_the_server(folder: Path, text: str, said: str) -> None:
    guard(folder, text)
    with provider(folder, teach):
        done = journeyman(folder, "serve", "--port", "0")
    assert done.returncode == 2
    assert said in done.stderr
