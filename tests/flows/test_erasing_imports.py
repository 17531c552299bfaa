"""A person who was named in imported logs is found, and nothing of what they said stays in the project's database."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from journeyman.core.canonical import Json
from journeyman.flows.erasing import erase
from journeyman.flows.prepare import import_sources, prepare_task
from journeyman.flows.workspace import open_workspace

TASK = """\
edition: 1
name: notes
instruction: Sort the note.
input:
  message: string
output:
  kind: {enum: [a, b]}
gate: {metric: exact_match, against: agreement, margin: 0.05}
"""
WHO = "ada-of-the-north"
TURNS: list[Json] = [{"role": "user", "content": "MARK"}]
ANSWER = '{"kind": "a"}'
CHAT: Json = {"choices": [{"message": {"role": "assistant", "content": ANSWER}}]}
MESSAGE: Json = {"id": "m", "type": "message", "role": "assistant", "content": [{"type": "text", "text": ANSWER}]}
SPOKEN = {"llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": "MARK"}
SPOKEN |= {"llm.output_messages.0.message.role": "assistant", "llm.output_messages.0.message.content": ANSWER}
INPUTS = {"mlflow.spanInputs": json.dumps({"messages": TURNS}), "mlflow.spanOutputs": ANSWER}
LOGS: dict[str, Json] = {
    "openai": {"request": {"messages": TURNS, "user": WHO}, "response": CHAT},
    "flat": {"messages": TURNS, "safety_identifier": WHO, "response": CHAT},
    "anthropic": {"request": {"messages": TURNS, "max_tokens": 9, "metadata": {"user_id": WHO}}, "response": MESSAGE},
    "langfuse": {
        "id": "t",
        "timestamp": "2026-01-01T00:00:00Z",
        "sessionId": "s",
        "userId": WHO,
        "input": TURNS,
        "output": ANSWER,
        "observations": [{"id": "o", "type": "GENERATION", "traceId": "t", "input": TURNS, "output": ANSWER}],
    },
    "spans": {
        "context": {"trace_id": "1", "span_id": "2"},
        "span_kind": "LLM",
        "attributes": {**SPOKEN, "user.id": WHO, "openinference.span.kind": "LLM"},
    },
    "litellm": {"id": "l", "call_type": "acompletion", "messages": TURNS, "response": CHAT, "end_user": WHO},
    "mlflow": {
        "info": {"request_id": "a", "trace_metadata": {"mlflow.trace.user": WHO}},
        "data": {"spans": [{"attributes": {**INPUTS, "mlflow.spanType": '"CHAT_MODEL"'}}]},
    },
}


@pytest.mark.parametrize("form", LOGS)
def test_a_person_in_imported_logs_is_erased_to_the_last_byte(tmp_path: Path, form: str) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/notes.yaml").write_text(TASK)
    (tmp_path / "journeyman.toml").write_text("")
    said = "the lighthouse keeper asked about zanzibar twice"
    others = [{"input": f"note {number} about {7 * number} things", "output": {"kind": "b"}} for number in range(40)]
    logs = tmp_path.parent / f"{tmp_path.name}-logs.jsonl"
    rows = [json.loads(json.dumps(LOGS[form]).replace("MARK", said)), *others]
    logs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with open_workspace(tmp_path) as workspace:
        assert import_sources(workspace, "notes", [str(logs)]).added == 41
        prepare_task(workspace, "notes")
        assert find(tmp_path, said)
        assert dict(erase(workspace, user="somebody else").calls) == {}
        done = erase(workspace, user=WHO)
        assert (dict(done.calls), done.rows) == ({"notes": 1}, 1)
        assert workspace.store.count_traces("notes") == 40
    assert not find(tmp_path, said)
    assert not find(tmp_path, WHO)


def find(folder: Path, text: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]
