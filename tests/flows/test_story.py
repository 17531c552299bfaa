"""The whole story with real parts: a provider on loopback, the server in its own process, the official client, and the commands as a user types them.

recorded calls ─► task ─► tune ─► gate ─► cascade ─► drift ─► back to the teacher ─► retrained ─► the student again
"""

from __future__ import annotations

import json
import random
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest

from journeyman.core.trace import Trace
from journeyman.data.dataset import read_manifest, read_split
from journeyman.flows.workspace import Workspace, open_workspace
from tests.flows.projects import journeyman, serving
from tests.flows.providers import provider

SETTINGS = '[base]\nmodel = "/nowhere.gguf"\n\n[prepare]\ncalibration_share = 0.35\ntest_share = 0.25\n'
PRICES = "input_usd_per_million = 2.0\noutput_usd_per_million = 8.0\n"
INSTRUCTION = (
    "Sort the bank customer's message. Answer with JSON: intent is one of card_lost, refund, transfer, savings."
)
TASK = f"""\
edition: 1
name: tickets
instruction: "{INSTRUCTION}"
input:
  message: string
prompt: "Customer: {{message}}"
output:
  intent: {{enum: [card_lost, refund, transfer, savings]}}
gate: {{metric: exact_match, against: agreement, margin: 0.1}}
cascade: {{error: 0.1}}
route: {{policy: cascade, audit: 0.5}}
"""

INTENTS = {
    "card_lost": ("stolen card", "lost my card", "card is missing", "block my card", "card was swallowed", "new card"),
    "refund": ("charged twice", "money back", "refund for the order", "wrong amount", "owes me a refund", "return it"),
    "transfer": ("transfer to my landlord", "transfer is late", "send money abroad", "standing order", "wrong IBAN"),
    "savings": ("interest on my savings", "a savings account", "savings rate", "fixed deposit", "put money aside"),
}
FRENCH = (
    "Ma carte a disparu",
    "Je voudrais un remboursement",
    "Mon virement est introuvable",
    "Quel est le taux du livret",
)
OPENINGS = ("Hello,", "Good morning,", "Dear team,", "Hi there,", "Excuse me,", "Please help:", "Question:")
VERBS = ("I noticed", "I am writing about", "it concerns", "I have an issue with", "my wife mentioned", "we discussed")
PLACES = ("Aachen", "Berlin", "Cardiff", "Dublin", "Essen", "Florence", "Geneva", "Hamburg", "Izmir", "Jena", "Krakow")
TIMES = (
    "yesterday",
    "this morning",
    "last week",
    "on Monday",
    "two days ago",
    "at noon",
    "over the weekend",
    "in spring",
)
THINGS = ("train", "bakery", "hotel", "airport", "market", "office", "garden", "library", "museum", "station", "school")
ENDINGS = ("Thanks a lot.", "What should I do?", "Please answer soon.", "Can you look into it?", "Best wishes.")


def write_messages(seed: int, *, has_french: bool = True, has_vault: bool = False) -> Iterator[str]:
    """What customers write. With the vault half of them mean a product that was launched since, in words that were known before; one in fifteen writes French."""
    draw = random.Random(seed)
    while True:
        phrase = draw.choice(INTENTS[draw.choice(list(INTENTS))])
        if has_french and draw.random() < 1 / 15:
            yield f"{draw.choice(FRENCH)}, {draw.choice(PLACES)} {draw.randrange(5, 900)} {draw.choice(THINGS)}."
            continue
        if has_vault and draw.random() < 0.5:
            phrase = f"vault {phrase}"
        words = [draw.choice(PLACES), draw.choice(THINGS), f"{draw.randrange(5, 900)}", draw.choice(TIMES)]
        draw.shuffle(words)
        contact = (
            f" Write to {draw.choice(PLACES).lower()}{draw.randrange(99)}@example.org." if draw.random() < 0.2 else ""
        )
        yield f"{draw.choice(OPENINGS)} {draw.choice(VERBS)} {phrase}, {' '.join(words)}.{contact} {draw.choice(ENDINGS)}"


def large_model(body: dict[str, Any]) -> tuple[int, str]:
    """The team in charge: the vault is a savings product, whatever else is said of it. One message in eighty is misread, always the same ones."""
    text = str(body["messages"][-1]["content"])
    phrases = {phrase: name for name, known in INTENTS.items() for phrase in known}
    said = next(name for phrase, name in (phrases | dict(zip(FRENCH, INTENTS, strict=True))).items() if phrase in text)
    intent = "savings" if "vault" in text else said
    if zlib.crc32(text.encode()) % 80 == 0:
        intent = list(INTENTS)[zlib.crc32(text[::-1].encode()) % len(INTENTS)]
    return 200, json.dumps({"intent": intent})


@dataclass(frozen=True)
class Reply:
    """``route`` says who answered and why, ``release`` which release, if one did."""

    intent: str
    route: str
    release: str
    trace: str


@dataclass
class Bank:
    """The caller's side: the official client, and the messages that it sends."""

    client: openai.OpenAI

    def ask(self, model: str, message: str) -> Reply:
        raw = self.client.chat.completions.with_raw_response.create(
            model=model,
            messages=[
                {"role": "system", "content": INSTRUCTION},
                {"role": "user", "content": f"Customer: {message}"},
            ],
        )
        content = raw.parse().choices[0].message.content
        headers = raw.headers
        intent = json.loads(str(content))["intent"]
        return Reply(
            intent,
            headers["x-journeyman-route"],
            headers.get("x-journeyman-release", ""),
            headers["x-journeyman-trace"],
        )

    def ask_many(self, model: str, messages: Iterator[str], count: int) -> list[Reply]:
        return [self.ask(model, next(messages)) for _ in range(count)]


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def tell(folder: Path, *arguments: str, status: int = 0) -> str:
    """What a command prints, as a user reads it."""
    done = journeyman(folder, *arguments)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / "tasks").mkdir(parents=True)
    (folder / "journeyman.toml").write_text(SETTINGS)
    return folder


def test_from_recorded_calls_to_a_student_and_through_drift_back_to_one(folder: Path) -> None:
    with (
        provider(folder, large_model, "gpt-5", PRICES) as seen,
        serving(folder) as server,
        open_workspace(folder) as workspace,
    ):
        bank = Bank(openai.OpenAI(base_url=server["openai"], api_key="none", max_retries=0))
        calls_are_passed_on_and_recorded(bank, workspace, seen)
        the_recorded_calls_become_a_task(bank, workspace)
        first = a_student_passes_the_gate(workspace, looks=1)
        routes = the_student_answers_what_it_is_sure_of(bank, workspace, first, write_messages(2))
        assert routes["teacher: unsure"], "nobody wrote French on Monday"
        the_world_changes_and_the_release_is_held(bank, workspace, first)
        the_teacher_answers_everything(bank, workspace)
        second = a_student_passes_the_gate(workspace, looks=2)
        assert second != first
        assert learned_from(workspace, audits_of(workspace, first))
        the_student_answers_what_it_is_sure_of(bank, workspace, second, write_messages(5, has_vault=True))
        the_first_release_stays_held(workspace, first, second)


def calls_are_passed_on_and_recorded(bank: Bank, workspace: Workspace, seen: list[dict[str, Any]]) -> None:
    replies = bank.ask_many("gpt-5", write_messages(1, has_french=False), 500)
    assert {reply.route for reply in replies} == {"teacher: policy"}
    assert len(seen) == 500
    other = bank.client.chat.completions.create(model="gpt-5", messages=[{"role": "user", "content": "lost my card"}])
    traces = list(workspace.store.traces("model:gpt-5"))
    assert [trace.id for trace in traces] == [*[reply.trace for reply in replies], other._request_id]
    assert all(trace.cost_usd for trace in traces)
    assert not any("@example.org" in str(trace.to_json()) for trace in traces)
    spent = sum(trace.cost_usd or 0 for trace in traces)
    assert f"{spent:.4f}" in tell(workspace.project.root, "status", "--watch")


def the_recorded_calls_become_a_task(bank: Bank, workspace: Workspace) -> None:
    (workspace.project.tasks / "tickets.yaml").write_text(TASK)
    wait_until(lambda: "task:tickets" in {model.id for model in bank.client.models.list()})
    shown = tell(workspace.project.root, "import", "model:gpt-5", "--task", "tickets")
    assert "501 read = 500 added + 0 already there + 1 left there" in shown
    assert len(list(workspace.store.traces("model:gpt-5"))) == 1


def a_student_passes_the_gate(workspace: Workspace, looks: int) -> str:
    folder = workspace.project.root
    tell(folder, "prepare", "tickets")
    tell(folder, "tune", "tickets", "--kind", "head", "--features", "words")
    assert "Pass: on exact_match" in tell(folder, "assess", "tickets")
    assert len(workspace.store.looks("tickets")) == looks
    tell(folder, "release", "tickets")
    hash = str(workspace.store.alias("tickets"))
    assert workspace.store.held("tickets") is None
    assert hash[:12] in tell(folder, "status")
    return hash


def the_student_answers_what_it_is_sure_of(
    bank: Bank, workspace: Workspace, release: str, messages: Iterator[str]
) -> Counter[str]:
    """Without a restart of the server; who answered how many calls."""
    wait_until(lambda: bank.ask("task:tickets", next(messages)).release == release)
    replies = bank.ask_many("task:tickets", messages, 100)
    routes = Counter(reply.route for reply in replies)
    assert set(routes) <= {"student: sure", "teacher: unsure"}
    assert routes["student: sure"] > 70
    assert {reply.release for reply in replies if reply.route == "student: sure"} == {release}
    wait_until(lambda: bool(audits_of(workspace, release)))
    assert workspace.store.held("tickets") is None
    assert "no sign of too many" in tell(workspace.project.root, "drift", "tickets")
    return routes


def audits_of(workspace: Workspace, release: str) -> list[Trace]:
    """Audits, each beside an answer of this release."""
    audits = workspace.store.traces("tickets", origins=["audit"])
    said = ((audit, workspace.store.trace(str(audit.meta["of"]))) for audit in audits)
    return [audit for audit, call in said if call is not None and call.release == release]


def learned_from(workspace: Workspace, traces: list[Trace]) -> int:
    """How many of these calls the latest dataset's students learn."""
    _hash, manifest = read_manifest(workspace.store, "tickets")
    learned = {str(row.input["message"]) for row in read_split(workspace.store, manifest, "train")}
    return sum(str(trace.input["message"]) in learned for trace in traces)


def the_world_changes_and_the_release_is_held(bank: Bank, workspace: Workspace, release: str) -> None:
    messages, routes = write_messages(3, has_vault=True), list[str]()
    while "teacher: held" not in routes:
        routes.append(bank.ask("task:tickets", next(messages)).route)
        assert len(routes) < 1000
    held = workspace.store.held("tickets")
    assert held is not None
    assert held.release == release
    assert "differ from the teacher's, where at most 10.0 % may" in held.reason
    told = tell(workspace.project.root, "drift", "tickets", status=1)
    assert "TOO OFTEN" in told
    assert "The release is held" in told
    assert "held: of" in tell(workspace.project.root, "status")


def the_teacher_answers_everything(bank: Bank, workspace: Workspace) -> None:
    replies = bank.ask_many("task:tickets", write_messages(4, has_vault=True), 300)
    assert {(reply.route, reply.release) for reply in replies} == {("teacher: held", "")}


def the_first_release_stays_held(workspace: Workspace, first: str, second: str) -> None:
    moves = [(entry.action, entry.release) for entry in workspace.store.alias_history("tickets")]
    assert moves == [("set", second), ("hold", first), ("set", first)]
    workspace.store.roll_back("tickets", "to look at it", workspace.now())
    held = workspace.store.held("tickets")
    assert held is not None
    assert held.release == first
