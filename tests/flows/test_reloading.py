"""Task files that are edited while the server is under load: taken over whole, or not at all."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import openai
import pytest

from journeyman.flows.keys import add_key
from journeyman.flows.workspace import open_workspace
from tests.flows.projects import TASK, make_project
from tests.flows.providers import provider
from tests.flows.running import Running, running

OTHER = TASK.replace("colour that the line asks for", "shade of the line").replace("red, green, blue", "dark, light")
OTHER = OTHER.replace("colour:", "shade:")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-the-projects-own")
    return make_project(tmp_path / "project", Path("/nowhere.gguf"))


def truth(body: dict[str, Any]) -> tuple[int, str]:
    """What the instruction wants: another instruction has another schema."""
    is_other = "shade" in str(body["messages"][0]["content"])
    return 200, json.dumps({"shade": "dark", "many": True} if is_other else {"colour": "red", "many": True})


class Load:
    """Clients that ask all the time; which answers came, how often, and what failed."""

    def __init__(self, url: str, clients: int = 4) -> None:
        self.url = url
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(30)

    def _ask(self) -> None:
        with openai.OpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0) as client:
            while not self._stopped.is_set():
                try:
                    self.answers[ask(client, "paint")] += 1
                except openai.APIError as error:
                    self.failures.append(str(error))


def ask(client: openai.OpenAI, task: str) -> str:
    reply = client.chat.completions.create(model=f"task:{task}", messages=[{"role": "user", "content": "two red"}])
    return "+".join(json.loads(str(reply.choices[0].message.content)))


def asking(server: Running) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def fields(server: Running, name: str) -> list[str]:
    """Of the answer, as the page of typed routes has it; none where there is no such route."""
    paths = server.get("/openapi.json")[1]["paths"]
    if f"/tasks/{name}" not in paths:
        return []
    schema = paths[f"/tasks/{name}"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    return list(schema["properties"])


def test_an_edit_under_load_fails_no_call_and_shows_no_half(folder: Path) -> None:
    path = folder / "tasks/paint.yaml"
    with provider(folder, truth), running(folder) as server, Load(server.url) as load:
        server.wait_until(lambda: load.answers["colour+many"] > 20)
        path.write_text(OTHER)
        server.wait_until(lambda: load.answers["shade+many"] > 20)
        assert fields(server, "paint") == ["shade", "many"]
        path.write_text("edition: 1\nname: paint\ninstruction: [")
        server.wait_until(lambda: "problems" in server.get("/readyz")[1])
        assert server.get("/readyz")[1]["problems"]["paint.yaml"].startswith("JM-2")
        assert any("paint.yaml is not taken over" in line for line in server.log)
        before = load.answers["shade+many"]
        server.wait_until(lambda: load.answers["shade+many"] > before + 20)
        path.write_text(TASK)
        before = load.answers["colour+many"]
        server.wait_until(lambda: load.answers["colour+many"] > before + 20)
        server.wait_until(lambda: server.get("/readyz") == (200, {"status": "ok"}))
    assert not load.failures
    assert set(load.answers) == {"colour+many", "shade+many"}


def test_tasks_come_and_go(folder: Path) -> None:
    new = folder / "tasks/dye.yaml"
    with provider(folder, truth), running(folder) as server, asking(server) as client:
        with pytest.raises(openai.NotFoundError, match="JM-704"):
            ask(client, "dye")
        new.write_text(OTHER.replace("name: paint", "name: dye"))
        server.wait_until(lambda: fields(server, "dye") == ["shade", "many"])
        assert ask(client, "dye") == "shade+many"
        assert fields(server, "paint") == ["colour", "many"]
        new.unlink()
        server.wait_until(lambda: not fields(server, "dye"))
        with pytest.raises(openai.NotFoundError, match="JM-704"):
            ask(client, "dye")
        assert ask(client, "paint") == "colour+many"


def test_a_teacher_and_a_budget_are_taken_over_and_settings_want_a_restart(folder: Path) -> None:
    settings, path = folder / "journeyman.toml", folder / "tasks/paint.yaml"
    with provider(folder, truth) as seen:
        prices = 'model = "big"\ninput_usd_per_million = 1.0\noutput_usd_per_million = 1.0\n'
        settings.write_text(settings.read_text().replace('model = "big"\n', prices))
        with running(folder) as server, asking(server) as client:
            ask(client, "paint")
            path.write_text(TASK + "teacher: bigger\n")
            server.wait_until(lambda: bool(ask(client, "paint")) and seen[-1]["model"] == "bigger")
            path.write_text(TASK + "budget: {usd_per_day: 0.000001}\n")

            def is_refused() -> bool:
                try:
                    ask(client, "paint")
                except openai.RateLimitError as error:
                    return "JM-742" in str(error)
                return False

            server.wait_until(is_refused)
            settings.write_text(settings.read_text() + "\n[prepare]\ntest_share = 0.3\n")
            server.wait_until(lambda: "journeyman.toml" in server.get("/readyz")[1].get("problems", {}))
            assert any("restart" in line for line in server.log)


def test_who_may_not_know_every_task_learns_of_no_problem(folder: Path) -> None:
    with open_workspace(folder) as workspace:
        limited, whole = (
            add_key(workspace, name, tasks=[tasks])[1] for name, tasks in (("app", "paint"), ("all", "*"))
        )
    with provider(folder, truth), running(folder) as server:
        (folder / "tasks/paint.yaml").write_text("nonsense")
        server.wait_until(lambda: "problems" in server.get("/readyz", key=whole)[1])
        for key in (limited, "jm-none", ""):
            assert server.get("/readyz", key=key) == (200, {"status": "ok"})
