"""Tasks that answer from documents, whole: a real index, a real server, a teacher on loopback that reads its passages."""

from __future__ import annotations

import asyncio
import json
import random
import re
import shutil
import textwrap
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import openai
import pytest

from journeyman.core.canonical import Json
from journeyman.core.errors import KnowledgeError, ServeError, TaskError
from journeyman.core.trace import Trace
from journeyman.flows.answers import open_desk
from journeyman.flows.knowledge import add, index_path
from journeyman.flows.prepare import import_sources
from journeyman.flows.retrieving import Shelves
from journeyman.flows.synthesize import Options, synthesize
from journeyman.flows.workspace import open_workspace
from journeyman.gateway.answer import Answer
from journeyman.task.file import load_task
from tests.flows.projects import journeyman, serving
from tests.flows.providers import provider

pytestmark = pytest.mark.model
TASK = """\
edition: 1
name: helpdesk
instruction: Answer from the passages and quote them; null where they do not say it.
input:
  question: string
  passages: string
output:
  answer: string?
  source:
    anyOf:
      - type: object
        properties: {passage: {type: integer}, quote: {type: string}}
        required: [passage, quote]
        additionalProperties: false
      - type: "null"
prompt: |
  {passages}

  Question: {question}
knowledge:
  name: handbook
  top: 2
"""
HANDBOOK = {
    "returns.md": "# Returns\n\n## Deadlines\n\nGoods may be sent back within thirty days. Write to anna.berg@example.org.\n",
    "hours.md": "# Opening hours\n\nWe are open from nine to five.\n",
    "boiler.txt": "The boiler in the cellar is serviced every spring.\n",
}


def read_prompt(body: dict[str, Any]) -> tuple[int, str]:
    """What a teacher would quote: the sentence of the passages that shares a long word with the question."""
    block, _, question = str(body["messages"][-1]["content"]).rpartition("\n\nQuestion: ")
    wanted = set(re.findall(r"\w{4,}", question.lower()))
    for number, text in re.findall(r"^\[(\d+)\] ((?:.|\n)*?)(?=\n\n\[|\Z)", block, re.MULTILINE):
        for sentence in re.findall(r"[^.\n]+\.", text):
            if wanted & set(re.findall(r"\w{4,}", sentence.lower())):
                source = {"passage": int(number), "quote": sentence.strip()}
                return 200, json.dumps({"answer": sentence.strip(), "source": source})
    return 200, json.dumps({"answer": None, "source": None})


def invent(_body: dict[str, Any]) -> tuple[int, str]:
    return 200, json.dumps({"answer": "Never.", "source": {"passage": 1, "quote": "Goods are never taken back"}})


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("retrieving") / "project"
    (folder / "tasks").mkdir(parents=True)
    (folder / "journeyman.toml").touch()
    (folder / "tasks/helpdesk.yaml").write_text(TASK, encoding="utf-8")
    for name, text in HANDBOOK.items():
        (folder / "handbook").mkdir(exist_ok=True)
        (folder / "handbook" / name).write_text(text, encoding="utf-8")
    with open_workspace(folder) as workspace:
        add(workspace, [str(folder / "handbook")], "handbook")
    return folder


@pytest.fixture
def project(indexed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(indexed, tmp_path / "project"))


def ask(folder: Path, **fields: str) -> tuple[Answer, list[Any]]:
    async def asking() -> tuple[Answer, list[Any]]:
        async with AsyncExitStack() as stack:
            workspace = stack.enter_context(open_workspace(folder))
            desk = await open_desk(stack, workspace, workspace.task("helpdesk"))
            answer = await desk.ask(fields, "ask")
            return answer, answer.sources()

    return asyncio.run(asking())


def traces(folder: Path) -> list[Trace]:
    with open_workspace(folder) as workspace:
        return list(workspace.store.traces("helpdesk"))


def test_the_teacher_answers_from_what_is_found_and_the_trace_keeps_it(project: Path) -> None:
    with provider(project, read_prompt) as seen:
        answer, sources = ask(project, question="until when can goods be sent back?")
    told = json.loads(answer.text)
    assert told["answer"] == "Goods may be sent back within thirty days."
    number = told["source"]["passage"]
    cited = sources[number - 1]
    assert cited["document"] == "handbook/returns.md"
    document = HANDBOOK["returns.md"]
    (place,) = cited["cited"]
    assert document[place["start"] : place["end"]] == "Goods may be sent back within thirty days."
    assert place["status"] == "exact"
    (trace,) = traces(project)
    assert trace.verdicts["grounding"] == {"absent": False, "citations": 1, "grounded": 1}
    assert [item.source.partition("#")[0] for item in trace.passages][number - 1] == "handbook/returns.md"
    assert len(trace.passages) == 2
    kept = json.dumps(trace.to_json())
    assert "anna.berg" not in kept  # what documents say of people is redacted as what callers say
    assert "anna.berg" not in json.dumps(seen[0]["messages"])
    assert str(trace.input["passages"]) in str(seen[0]["messages"][-1]["content"])


def test_personal_data_of_a_document_is_put_back_in_the_answer(project: Path) -> None:
    with provider(project, read_prompt):
        answer, _sources = ask(project, question="whom do I write to?")
    assert json.loads(answer.text)["answer"] == "Write to anna.berg@example.org."


def test_not_in_the_documents(project: Path) -> None:
    with provider(project, read_prompt):
        answer, sources = ask(project, question="zzyx?")
    assert json.loads(answer.text) == {"answer": None, "source": None}
    assert all(source["cited"] == [] for source in sources)
    assert traces(project)[0].verdicts["grounding"] == {"absent": True, "citations": 0, "grounded": 0}


def test_too_little_evidence_is_no_passage(project: Path) -> None:
    path = project / "tasks/helpdesk.yaml"
    path.write_text(TASK + "  least: 0.9\n")
    with provider(project, read_prompt) as seen:
        answer, sources = ask(project, question="zzyx?")
    assert "(no passage)" in str(seen[0]["messages"][-1]["content"])
    assert (json.loads(answer.text)["source"], sources) == (None, [])


def test_a_task_may_ask_for_passages_that_differ(project: Path) -> None:
    older = (project / "handbook/returns.md").read_text().replace("thirty", "twenty")
    (project / "handbook/older.md").write_text(older)
    fields: dict[str, Json] = {"question": "within how many days can goods be sent back? when are you open?"}

    def found(more: str) -> set[str]:
        (project / "tasks/helpdesk.yaml").write_text(TASK + more)
        with open_workspace(project) as workspace, Shelves(workspace) as shelves:
            return {item.name for item in shelves.fill(workspace.task("helpdesk"), fields).found}

    with open_workspace(project) as workspace:
        add(workspace, [str(project / "handbook")], "handbook")
        plain = workspace.task("helpdesk").knowledge
        assert plain is not None
        assert not {"diversity", "named", "least"} & set(plain.to_json())
    assert found("") == {"handbook/returns.md", "handbook/older.md"}
    assert found("  diversity: 0.5\n  named: true\n") & {"handbook/hours.md"}


def test_an_invented_quote_leaves_the_answer_or_refuses_it(project: Path) -> None:
    with provider(project, invent) as seen:
        answer, _sources = ask(project, question="until when can goods be sent back?")
        assert json.loads(answer.text) == {"answer": "Never.", "source": None}
        path = project / "tasks/helpdesk.yaml"
        path.write_text(TASK + "  ungrounded: refuse\n")
        with pytest.raises(ServeError, match="no valid answer") as refused:
            ask(project, question="until when can goods be sent back?")
    assert refused.value.code == "JM-720"
    assert "stands in none of the passages" in refused.value.got
    assert len(seen) == 3  # once, then once more after the refusal
    assert [trace.status for trace in traces(project)] == ["ok", "invalid"]


def test_what_a_passage_embeds_is_cited_in_its_own_document(project: Path) -> None:
    (project / "handbook/trip.md").write_text("# Trip\n\nThe lighthouse excursion. ![[hours]]\n", encoding="utf-8")
    with open_workspace(project) as workspace:
        add(workspace, [str(project / "handbook")], "handbook")
    (project / "tasks/helpdesk.yaml").write_text(TASK.replace("top: 2", "top: 1\n  embeds: true"), encoding="utf-8")

    def quote(_body: dict[str, Any]) -> tuple[int, str]:
        return 200, json.dumps({"answer": "From nine.", "source": {"passage": 2, "quote": "open from nine to five"}})

    with provider(project, quote) as seen:
        _answer, sources = ask(project, question="when is the lighthouse excursion?")
    assert [source["document"] for source in sources] == ["handbook/trip.md", "handbook/hours.md"]
    assert "[2] " in str(seen[0]["messages"][-1]["content"])
    (place,) = sources[1]["cited"]
    assert HANDBOOK["hours.md"][place["start"] : place["end"]] == "open from nine to five"


def test_who_brings_passages_keeps_them(project: Path) -> None:
    with provider(project, read_prompt):
        answer, _sources = ask(project, question="how is the weather?", passages="[1] The weather is fine.")
    assert json.loads(answer.text)["source"] == {"passage": 1, "quote": "The weather is fine."}
    (trace,) = traces(project)
    assert trace.passages == ()
    assert trace.verdicts["grounding"] == {"absent": False, "citations": 1, "grounded": 1}


def test_served_in_each_dialect(project: Path) -> None:
    question = "until when can goods be sent back?"
    with provider(project, read_prompt), serving(project) as server:
        client = openai.OpenAI(base_url=f"{server['url']}/v1", api_key="none", max_retries=0)
        said = client.chat.completions.create(model="task:helpdesk", messages=[{"role": "user", "content": question}])
        assert "thirty days" in str(said.choices[0].message.content)
        pieces = client.chat.completions.create(
            model="task:helpdesk", messages=[{"role": "user", "content": question}], stream=True
        )
        assert "thirty days" in "".join(piece.choices[0].delta.content or "" for piece in pieces)
        plain = post(f"{server['url']}/tasks/helpdesk", {"question": question})
        told = post(f"{server['url']}/tasks/helpdesk?sources=true", {"question": question})
        assert told["answer"] == plain
        assert told["sources"][plain["source"]["passage"] - 1]["cited"][0]["status"] == "exact"
        described = json.loads(urllib.request.urlopen(f"{server['url']}/openapi.json").read())
        body = described["paths"]["/tasks/helpdesk"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert (body["required"], list(body["properties"])) == (["question"], ["question", "passages"])
        index_path_of(project).unlink()
        with pytest.raises(urllib.error.HTTPError) as missing:
            post(f"{server['url']}/tasks/helpdesk", {"question": question})
        assert missing.value.code == 503
        assert b"JM-950" in missing.value.read()
    assert len(traces(project)) == 4


def test_a_correction_with_personal_data_needs_the_question_alone(project: Path) -> None:
    with provider(project, read_prompt), serving(project) as server:
        fields = {"question": "whom does Anna Karlsson <anna.karlsson@example.org> write to?"}
        post(f"{server['url']}/tasks/helpdesk", fields)
        (trace,) = traces(project)
        right = {"answer": "To anna.karlsson@example.org.", "source": None}
        url = f"{server['url']}/v1/feedback"
        for given in (fields, [{"role": "user", "content": fields["question"]}]):
            assert post(url, {"trace": trace.id, "answer": right, "input": given})["stored"] == ["answer"]
        with pytest.raises(urllib.error.HTTPError) as other:
            post(url, {"trace": trace.id, "answer": right, "input": {"question": "whom?"}})
        assert b"JM-754" in other.value.read()
    (trace,) = traces(project)
    said = json.dumps(trace.to_json())
    assert "anna.karlsson" not in said
    stored = cast(dict[str, Any], trace.feedback)["answer"]["value"]["answer"]
    assert stored.removeprefix("To ").rstrip(".") in str(trace.input["question"])


def post(url: str, body: Mapping[str, Any]) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request) as reply:
        return json.loads(reply.read())


def index_path_of(folder: Path) -> Path:
    with open_workspace(folder) as workspace:
        return index_path(workspace, "handbook")


def test_import_fills_what_rows_lack_and_two_questions_about_one_page_are_two(project: Path) -> None:
    questions = [
        f"{word} goods sent back within how many days, {word}?" for word in ("lamp", "chair", "table", "mirror")
    ]
    rows = [{"input": question, "gold": {"answer": "thirty", "source": None}} for question in questions]
    rows.append({"input": {"question": "mine?", "passages": "[1] Mine."}, "gold": {"answer": None, "source": None}})  # type: ignore[dict-item]
    (project / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with open_workspace(project) as workspace:
        report = import_sources(workspace, "helpdesk", [str(project / "rows.jsonl")])
        assert report.added == 5
        found = {str(trace.input["question"]): trace for trace in workspace.store.traces("helpdesk")}
        assert found["mine?"].input["passages"] == "[1] Mine."
        for question in questions:
            assert "thirty days" in str(found[question].input["passages"])
            assert len(found[question].passages) == 2


def test_the_task_of_the_docs_is_answered(project: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/answers.md").read_text(encoding="utf-8")
    block = page.partition("# tasks/helpdesk.yaml\n")[2].partition("journeyman ask")[0]
    (project / "tasks/helpdesk.yaml").write_text(textwrap.dedent(block), encoding="utf-8")

    def quote(body: dict[str, Any]) -> tuple[int, str]:
        told = json.loads(read_prompt(body)[1])
        return 200, json.dumps(
            {"answer": told["answer"], "sources": [told["source"], {"passage": 1, "quote": "nine lives"}]}
        )

    with provider(project, quote):
        answer, _sources = ask(project, question="until when can goods be sent back?")
    (source,) = json.loads(answer.text)["sources"]
    assert source["quote"] == "Goods may be sent back within thirty days."


def make_up(body: dict[str, Any]) -> tuple[int, str]:
    """Inputs where inputs are asked for, each of other words; else an answer."""
    asked = str(body["messages"][-1]["content"])
    if (body.get("response_format") or {}).get("json_schema", {}).get("name") != "inputs":
        return read_prompt(body)
    said = re.findall(r"[a-z]{4,}", asked.partition("Take the content from this text:")[2].lower())
    draw = random.Random(asked)
    made = [
        " ".join([*draw.sample(said, 2), *("".join(draw.choices("bdfgklmnprst", k=6)) for _ in range(4))])
        for _ in range(8)
    ]
    return 200, json.dumps({"inputs": [{"question": question} for question in made]})


def test_made_up_questions_are_about_the_documents_and_get_their_passages(project: Path) -> None:
    with provider(project, make_up) as seen, open_workspace(project) as workspace:
        made = synthesize(workspace, "helpdesk", Options(rows=12, samples=1, is_judged=False))
        assert made.rows == 12
        found = list(workspace.store.traces("helpdesk"))
    asked = [str(body["messages"][-1]["content"]) for body in seen if "Take the content from" in str(body)]
    assert asked
    assert all("question (" in text and "passages (" not in text for text in asked)
    assert len(found) == 12
    assert all(str(trace.input["passages"]).startswith("[1] ") for trace in found)
    assert any(trace.output is not None and trace.output.value["source"] for trace in found)  # type: ignore[call-overload, index]


def test_without_an_index_the_import_says_what_to_do(project: Path) -> None:
    (project / "rows.csv").write_text("question,output\nwhen?,\n")
    shutil.rmtree(project / ".journeyman/knowledge")
    (project / "rows.jsonl").write_text(json.dumps({"input": "when?", "gold": {"answer": None, "source": None}}))
    with open_workspace(project) as workspace, pytest.raises(KnowledgeError) as missing:
        import_sources(workspace, "helpdesk", [str(project / "rows.jsonl")])
    assert missing.value.code == "JM-950"


def test_the_command_shows_what_is_cited(project: Path) -> None:
    with provider(project, read_prompt):
        done = journeyman(project, "ask", "helpdesk", "until when can goods be sent back?")
    assert done.returncode == 0, done.stderr
    assert 'handbook/returns.md: "Goods may be sent back within thirty days."' in done.stdout


@pytest.mark.parametrize(
    ("knowledge", "said"),
    [("fill: context", "context"), ("question: topic", "topic"), ("fill: question\n  question: question", "question")],
)
def test_a_field_that_is_not_there_is_refused_with_its_line(tmp_path: Path, knowledge: str, said: str) -> None:
    path = tmp_path / "helpdesk.yaml"
    path.write_text(TASK.replace("name: handbook", f"name: handbook\n  {knowledge}"))
    with pytest.raises(TaskError) as wrong:
        load_task(path)
    assert wrong.value.code == "JM-272"
    assert said in wrong.value.got
