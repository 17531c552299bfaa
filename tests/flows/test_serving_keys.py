"""`key` and `serve` as commands: who may call, and what the project's and a task's budget let through."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import openai
import pytest

from journeyman.flows.workspace import open_workspace
from tests.flows.projects import journeyman, make_project, serving
from tests.flows.providers import provider

RIGHT = '{"colour": "red", "many": true}'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-the-projects-own")
    return make_project(tmp_path / "project", Path("/nowhere.gguf"))


def ask(url: str, key: str) -> str:
    with openai.OpenAI(base_url=url, api_key=key, max_retries=0) as client:
        reply = client.chat.completions.create(model="task:paint", messages=[{"role": "user", "content": "two red"}])
    return str(reply.choices[0].message.content)


def price(folder: Path, more: str = "") -> None:
    settings = folder / "journeyman.toml"
    text = settings.read_text().replace('model = "big"\n', 'model = "big"\ninput_usd_per_million = 1.0\noutput_usd_per_million = 1.0\n')  # fmt: skip
    settings.write_text(text + more)


def key(folder: Path, *arguments: str) -> dict[str, Any]:
    done = journeyman(folder, "key", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_from_the_first_key_on_callers_need_one(folder: Path) -> None:
    with provider(folder, lambda _body: (200, RIGHT)) as seen:
        with serving(folder) as said:
            assert json.loads(ask(said["openai"], "none")) == json.loads(RIGHT)
            for path, told in (("readyz", '"ok"'), ("metrics", 'journeyman_calls_total{by="teacher"')):
                with urllib.request.urlopen(f"{said['url']}/{path}") as reply:
                    assert told in reply.read().decode()
        made = key(folder, "add", "app", "--task", "paint", "--usd-per-day", "1")
        price(folder)
        with serving(folder) as said:
            with pytest.raises(openai.AuthenticationError, match="JM-740"):
                ask(said["openai"], "none")
            assert json.loads(ask(said["openai"], made["secret"])) == json.loads(RIGHT)
            key(folder, "revoke", made["id"])
            assert key(folder, "list")["keys"][0]["is_valid"] is False
        with serving(folder, "--open") as said:
            ask(said["openai"], "none")
        assert {body["_key"] for body in seen} == {"Bearer sk-the-projects-own"}
    assert made["secret"].startswith(made["hint"])
    listed = journeyman(folder, "key", "list")
    assert "revoked" in listed.stdout
    assert made["secret"] not in listed.stdout


def test_other_machines_are_not_served_without_a_key(folder: Path) -> None:
    done = journeyman(folder, "serve", "--host", "0.0.0.0", "--port", "0")
    assert done.returncode == 2
    assert "JM-745" in done.stderr


def test_the_projects_budget_holds_for_ask_and_for_the_server(folder: Path) -> None:
    with provider(folder, lambda _body: (200, RIGHT)) as seen:
        price(folder, "\n[budget]\nusd_per_day = 0.00002\n")
        done = journeyman(folder, "ask", "paint", "two red")
        assert done.returncode == 2
        assert "JM-742 the budget of the project for" in done.stderr
        assert seen == []
        with serving(folder) as said, pytest.raises(openai.RateLimitError, match="JM-742"):
            ask(said["openai"], "none")
        assert seen == []


def test_wrong_words_are_told(folder: Path) -> None:
    assert journeyman(folder, "key", "list", "app").returncode == 2
    assert journeyman(folder, "key", "add").returncode == 2
    assert "JM-813" in journeyman(folder, "key", "revoke", "key-1").stderr
    assert "JM-110" in journeyman(folder, "key", "add", "app", "--expires", "soon").stderr
    assert "JM-110" in journeyman(folder, "key", "add", "app", "--expires", "2020-01-01").stderr
    assert journeyman(folder, "key", "add", "app", "--task", "unknown").returncode == 2
    with open_workspace(folder) as workspace:
        assert workspace.store.all_keys() == []
