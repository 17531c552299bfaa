"""What shows the calls of a running server: a log line each, and spans at a collector; and `status --watch` from the store."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import openai
import pytest

from journeyman.core.ids import make_trace_id
from journeyman.core.trace import Trace
from journeyman.flows.assess import assess
from journeyman.flows.releases import release
from journeyman.flows.tune import tune
from journeyman.flows.workspace import open_workspace
from tests.flows.projects import fill_project, journeyman, make_project, paint_rows, write_rows
from tests.flows.providers import provider
from tests.flows.running import Running, running
from tests.flows.test_routing import CALIBRATION, UNSURE, lines, set_route, truth
from tests.gateway.collectors import Collector, collector

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
EVIL = 'gpt\n{"event":"call"}\r\x1b[2J\u2028'


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A released head on words, with a promise."""
    folder = make_project(tmp_path_factory.mktemp("observing") / "project", Path("/nowhere.gguf"), settings=CALIBRATION)
    for name, rows, seed in (("train", 600, 1), ("sealed", 60, 2)):
        write_rows(folder / f"{name}.jsonl", [row | {"output": row["gold"]} for row in paint_rows(rows, seed)])
    with open_workspace(folder) as workspace:
        fill_project(workspace)
        tune(workspace, "paint", {"kind": "head", "features": "words"})
        assess(workspace, "paint")
        release(workspace, "paint", force="to route its calls")
    return folder


def ask(server: Running, line: str, model: str = "task:paint") -> tuple[str, str]:
    """Its route, and its trace's id."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        reply = client.chat.completions.with_raw_response.create(
            model=model, messages=[{"role": "user", "content": line}], extra_headers={"traceparent": PARENT}
        )
    return reply.headers["x-journeyman-route"], reply.headers["x-journeyman-trace"]


def send(folder: Path, made: Collector, **more: str) -> dict[str, str]:
    """Both ways of the cascade through a running server, and its end; the calls' ids by who answered."""
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": made.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with running(folder, more=settings | more) as server:
        said = dict(ask(server, line) for line in (*lines(5, 7), UNSURE))
        server.process.terminate()
        assert server.process.wait(30) == 0
    return said


def test_a_collector_gets_the_student_the_teacher_and_the_audit_of_real_calls(folder: Path) -> None:
    set_route(folder, "{audit: 1}")
    with provider(folder, truth), collector() as made:
        said = send(folder, made)
        assert set(said) == {"student: sure", "teacher: unsure"}
        for by, sides in (("student: sure", ["student"]), ("teacher: unsure", ["student", "teacher"])):
            (whole,) = [span for span in made.by(journeyman__trace=said[by]) if span.kind == 2]
            assert (whole.name, whole.trace, whole.parent) == ("chat task:paint", *PARENT.split("-")[1:3])
            below = sorted((span for span in made.spans if span.parent == whole.id), key=lambda span: span.begin)
            assert [span.attributes["journeyman.route.by"] for span in below][: len(sides)] == sides
            assert all(whole.begin <= span.begin <= span.end for span in below)
            assert all(span.end <= whole.end for span in below[: len(sides)])
            audits = [span for span in below if span.attributes.get("journeyman.origin") == "audit"]
            assert len(audits) == (by == "student: sure")
        assert UNSURE not in repr(made.spans)
        assert "/v1/traces" in made.paths
    with open_workspace(folder) as workspace:
        stored = workspace.store.trace(said["student: sure"])
        assert stored is not None
        assert stored.meta["traceparent"] == PARENT


def test_content_goes_out_redacted_and_only_when_told(folder: Path) -> None:
    variable = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY"}
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": "", "OTEL_SERVICE_NAME": "paint-shop"}
    with provider(folder, truth), collector() as made:
        toml = folder / "journeyman.toml"
        toml.write_text(toml.read_text() + f'\n[serve]\notlp = "{made.url}"\n')
        with running(folder, more=variable | settings) as server:
            ask(server, "two red lines for ada@example.org", "big")
            server.process.terminate()
            assert server.process.wait(30) == 0
        (whole,) = [span for span in made.spans if span.kind == 2]
        assert "two red lines for <EMAIL_1>" in whole.attributes["gen_ai.input.messages"]
        assert "ada@example.org" not in repr(made.spans)
        assert made.resources[0]["service.name"] == "paint-shop"


def test_without_a_word_nothing_is_sent_or_noted(folder: Path) -> None:
    with provider(folder, truth), running(folder) as server:
        _route, id = ask(server, "two red lines", "big")
        with open_workspace(folder) as workspace:
            stored = workspace.store.trace(id)
            assert stored is not None
            assert "traceparent" not in stored.meta
        assert not any('"event"' in line or id in line for line in server.log)


def test_what_cannot_be_sent_is_refused_at_the_start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    done = journeyman(folder, "serve", "--port", "0")
    assert done.returncode == 2
    assert "JM-791 OTEL_EXPORTER_OTLP_PROTOCOL" in done.stderr


def test_a_log_is_whole_lines_of_json_whatever_a_client_calls_its_model(folder: Path) -> None:
    set_route(folder, "{audit: 0}")  # which would be a call of its own
    with provider(folder, truth), running(folder, "--log", "json") as server:
        ids = [ask(server, "two red lines", model)[1] for model in ("task:paint", EVIL)]
        (folder / "tasks/paint.yaml").write_text("nonsense")
        server.wait_until(lambda: any("not taken over" in line for line in server.log))
        server.process.terminate()
        assert server.process.wait(30) == 0
        raw = server.errors.read_bytes()
    assert raw.isascii()
    found = [json.loads(line) for line in raw.decode().split("\n")[:-1]]
    calls = [line for line in found if line["event"] == "call"]
    assert [line["trace"] for line in calls] == ids
    assert calls[1]["task"] == f"model:{EVIL}"
    assert calls[0]["release"]
    assert any(line["event"] == "note" and line["message"].startswith("paint: the student") for line in found)
    assert b"two red" not in raw


def fill(folder: Path) -> None:
    """Calls of a minute ago, and others that are not of these minutes, not ours, or nobody's."""
    draw, now = random.Random(3), datetime.now(UTC)
    with open_workspace(folder) as workspace:

        def add(count: int, ago_s: float, **given: object) -> None:
            moment = now - timedelta(seconds=ago_s)
            base = {
                "task": "paint",
                "origin": "serve",
                "input": {},
                "messages": (),
                "output": None,
                "cost_usd": 0.5,
                "latency_ms": 10.0,
            }
            workspace.store.add_traces(
                [Trace(**(base | {"id": make_trace_id(moment), "time": moment.isoformat()} | given)) for _ in range(count)]  # type: ignore[arg-type]
            )  # fmt: skip

        took = list(range(1, 101))
        draw.shuffle(took)
        for number in took:
            add(
                1,
                60,
                latency_ms=float(number),
                release="r" if number <= 72 else "",
                status="ok" if number <= 90 else "JM-720",
            )
        add(50, 1200)
        add(50, 60, origin="audit")
        add(50, 60, origin="assess")
        add(4, 60, task="model:gpt-5", latency_ms=7.0, cost_usd=None)


def test_status_watches_the_last_minutes(folder: Path) -> None:
    fill(folder)
    task = folder / "tasks/paint.yaml"
    task.write_text(task.read_text() + "budget: {usd_per_day: 3}\n")
    done = journeyman(folder, "status", "--watch", "--minutes", "10", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    paint, others = said["tasks"]
    assert (paint["name"], paint["calls_per_minute"], paint["errors"], paint["p50_ms"], paint["p95_ms"]) == (
        "paint",
        10.0,
        10,
        50.0,
        95.0,
    )
    assert (paint["student_share"], paint["usd"], paint["usd_today"], paint["usd_per_day"]) == (0.8, 50.0, 0.0, 3.0)
    assert (others["name"], others["calls_per_minute"], others["p95_ms"], others["student_share"]) == (
        "",
        0.4,
        7.0,
        0.0,
    )
    assert (said["minutes"], said["usd_per_day"]) == (10.0, None)
    plain = journeyman(folder, "status", "--watch")
    assert plain.returncode == 0
    assert "\x1b" not in plain.stdout
    assert "(other models)" in plain.stdout
    assert "live release" in journeyman(folder, "status").stdout
