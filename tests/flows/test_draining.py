"""The end of a server: it says so at once, still answers for a while, lets calls and streams end, keeps their records, and ends with 0."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import openai
import pytest

from journeyman.flows.workspace import open_workspace
from tests.flows.projects import journeyman, make_project
from tests.flows.running import Running, running, slow_provider

ASK = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-the-projects-own")
    return make_project(tmp_path / "project", Path("/nowhere.gguf"), settings="[serve]\ndrain_s = 2\nfinish_s = 20\n")


def ask(server: Running, said: list[str], *, is_streamed: bool = False) -> None:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        if is_streamed:
            pieces = client.chat.completions.create(model="big", messages=ASK, stream=True)  # type: ignore[call-overload]
            said.append("".join(piece.choices[0].delta.content or "" for piece in pieces))
        else:
            reply = client.chat.completions.create(model="big", messages=ASK)  # type: ignore[call-overload]
            said.append(reply.choices[0].message.content)


def test_calls_and_streams_end_and_new_ones_are_taken_for_a_while(folder: Path) -> None:
    with slow_provider(folder, 4.0) as seen, running(folder) as server:
        said: list[str] = []
        calls = [threading.Thread(target=ask, args=(server, said), kwargs={"is_streamed": bool(i)}) for i in (0, 1)]
        for call in calls:
            call.start()
        server.wait_until(lambda: len(seen) == 2)
        assert server.get("/readyz")[0] == 200
        server.process.send_signal(signal.SIGTERM)
        server.wait_until(lambda: server.get("/readyz") == (503, {"status": "stopping"}))
        assert server.get("/healthz")[0] == 200
        late = threading.Thread(target=ask, args=(server, said))
        late.start()
        for call in (*calls, late):
            call.join(30)
        assert sorted(said) == ["late", "late", "one two three"]
        assert server.process.wait(30) == 0
    with open_workspace(folder) as workspace:
        assert [trace.status for trace in workspace.store.traces("model:big")] == ["ok"] * 3


def test_a_second_signal_ends_all_at_once(folder: Path) -> None:
    settings = folder / "journeyman.toml"
    settings.write_text(settings.read_text().replace("finish_s = 20", "finish_s = 100"))
    with slow_provider(folder, 60.0) as seen, running(folder) as server:
        failed: list[Exception] = []

        def call() -> None:
            try:
                ask(server, [])
            except openai.APIError as error:
                failed.append(error)

        asking = threading.Thread(target=call)
        asking.start()
        server.wait_until(lambda: len(seen) == 1)
        server.process.send_signal(signal.SIGTERM)
        server.wait_until(lambda: server.get("/readyz")[0] == 503)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        asking.join(30)
        assert failed, "the call was waited for"


def test_a_negative_time_is_refused_before_anything_is_loaded(folder: Path) -> None:
    settings = folder / "journeyman.toml"
    settings.write_text(settings.read_text().replace("drain_s = 2", "drain_s = -1"))
    done = journeyman(folder, "serve", "--port", "0")
    assert done.returncode == 2
    assert "JM-792 serve.drain_s" in done.stderr
