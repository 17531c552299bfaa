"""A release that is made live while the server runs answers without a restart, and no call is lost on the way."""

from __future__ import annotations

import time
from pathlib import Path

import openai
import pytest

from journeyman.flows.assess import assess
from journeyman.flows.releases import release
from journeyman.flows.tune import tune
from journeyman.flows.workspace import open_workspace
from tests.flows.projects import fill_project, make_project, serving
from tests.flows.providers import provider

RIGHT = '{"colour": "red", "many": true}'


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A released head on words."""
    folder = make_project(tmp_path_factory.mktemp("loading") / "project", Path("/nowhere.gguf"), rows=200)
    with open_workspace(folder) as workspace:
        fill_project(workspace)
        tune(workspace, "paint", {"kind": "head", "features": "words"})
        assess(workspace, "paint")
        release(workspace, "paint", force="the first")
    return folder


def another(folder: Path) -> str:
    """The hash of another student: tuned, released and live, by somebody else than the server."""
    with open_workspace(folder) as workspace:
        result = tune(workspace, "paint", {"kind": "nearest"})
        assess(workspace, "paint", named=result.run.id)
        return release(workspace, "paint", force="the second").hash


def ask(client: openai.OpenAI) -> tuple[str, str]:
    """Which release answered, if one did, and the route."""
    reply = client.chat.completions.with_raw_response.create(
        model="task:paint", messages=[{"role": "user", "content": "two red things"}]
    )
    return reply.headers["x-journeyman-release"], reply.headers["x-journeyman-route"]


def ask_until(client: openai.OpenAI, release: str, patience_s: float = 60.0) -> list[tuple[str, str]]:
    """All that answered until this release did."""
    found, until = [], time.monotonic() + patience_s
    while time.monotonic() < until:
        found.append(ask(client))
        if found[-1][0] == release:
            return found
        time.sleep(0.02)
    raise AssertionError(f"never answered: {release[:12]}, but {set(found)}")


@pytest.mark.parametrize("has_teacher", [False, True], ids=["alone", "with a teacher"])
def test_the_next_release_takes_over_and_a_rollback_takes_it_back(folder: Path, has_teacher: bool) -> None:
    with open_workspace(folder) as workspace:
        first = str(workspace.store.alias("paint"))

    def play() -> None:
        with serving(folder) as said, openai.OpenAI(base_url=said["openai"], api_key="none", max_retries=0) as client:
            assert ask(client)[0] == first
            second = another(folder)
            assert second != first
            found = ask_until(client, second)
            allowed = {first, second, ""} if has_teacher else {first, second}
            assert {hash for hash, _ in found} <= allowed
            with open_workspace(folder) as workspace:
                workspace.store.roll_back("paint", "it was worse", workspace.now())
            ask_until(client, first)

    if has_teacher:
        with provider(folder, lambda _body: (200, RIGHT)):
            play()
    else:
        play()


def test_a_release_that_cannot_be_loaded_leaves_the_one_before(folder: Path) -> None:
    with serving(folder) as said, openai.OpenAI(base_url=said["openai"], api_key="none", max_retries=0) as client:
        before = ask(client)
        with open_workspace(folder) as workspace:
            workspace.store.set_alias("paint", "f" * 64, "gone", workspace.now())
        time.sleep(1.0)
        assert [ask(client) for _ in range(5)] == [before] * 5
