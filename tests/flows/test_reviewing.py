"""Doubted values of extracted documents, decided one by one on a real store: what is shown where, what each act keeps, and what the next `prepare` holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from journeyman.core.errors import KnowledgeError
from journeyman.core.judgements import read_judgements
from journeyman.data.dataset import read_manifest, read_split
from journeyman.flows.extracting import Extracted, write_rows
from journeyman.flows.prepare import import_sources, prepare_task
from journeyman.flows.review_queue import make_review_queue
from journeyman.flows.reviewing import ReviewSession
from journeyman.flows.workspace import Workspace, open_workspace
from tests.flows.letters import BILL, INVENTED, PLAIN, TASK, make_letters, read_letters, say

TRUTH = say(BILL)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_letters(tmp_path_factory.mktemp("letters") / "project")


def begin(workspace: Workspace, by: str = "ada") -> ReviewSession:
    return ReviewSession(workspace.store, make_review_queue(workspace, "letters", by), workspace.now)


def current(session: ReviewSession) -> tuple[str, str]:
    (field,) = [field for field in session.view.fields if field.is_current]
    return field.name, field.text


def golds(workspace: Workspace) -> dict[str, Any]:
    """What the train rows of a fresh dataset learn from people, by text."""
    prepare_task(workspace, "letters")
    _hash, manifest = read_manifest(workspace.store, "letters")
    return {
        str(row.input["text"]): row.gold.value for row in read_split(workspace.store, manifest, "train") if row.gold
    }


def test_each_doubted_value_is_shown_and_what_is_decided_is_the_row_that_a_truth_would_be(workspace: Workspace) -> None:
    reviewing = make_review_queue(workspace, "letters", "ada")
    assert reviewing.counts == {"ungrounded": 4, "conflict": 0, "unsure": 0}
    session = begin(workspace)
    assert (session.view.title, session.view.input, session.view.left) == ("inbox/bill.txt", BILL, 1)
    assert current(session) == ("city", "Atlantis")
    assert "does not say" in session.view.why
    assert session.view.mark is None
    assert session.write("Lisbon", is_whole=False)
    assert current(session) == ("due", INVENTED)
    session.act("empty")
    assert current(session) == ("rows[1].name", "ghost")
    session.act("row")
    assert (session.view.stage, session.view.done) == ("end", 1)
    assert session.made == {"mended": 1, "emptied": 2}
    assert golds(workspace) == {BILL: TRUTH}
    (row,) = [row for row in rows_of(workspace) if row["input"]["text"] == BILL]
    assert row["gold"] == TRUTH


def rows_of(workspace: Workspace) -> list[dict[str, Any]]:
    """As `extract --rows` writes the same documents with their truths beside them."""
    inbox = workspace.project.root / "inbox"
    for name, text in (("bill", BILL), ("plain", PLAIN)):
        (inbox / f"{name}.json").write_text(json.dumps(say(text)))
    write_rows(workspace, "letters", [str(inbox)], workspace.project.root / "rows.jsonl")
    return [json.loads(line) for line in (workspace.project.root / "rows.jsonl").read_text().splitlines()]


def test_rows_of_one_document_stay_on_one_side(workspace: Workspace) -> None:
    rows_of(workspace)
    import_sources(workspace, "letters", [str(workspace.project.root / "rows.jsonl")])
    groups: dict[str, set[object]] = {}
    for trace in workspace.store.traces("letters"):
        groups.setdefault(str(trace.input["text"]), set()).add(trace.meta["group"])
    assert groups.keys() == {BILL, PLAIN}
    assert all(len(group) == 1 for group in groups.values()), "extracted, or imported with its truth"


def test_a_value_is_marked_where_the_text_says_it_and_any_value_can_be_reached(workspace: Workspace) -> None:
    session = begin(workspace)
    session.act("back")
    name, text = current(session)
    assert (name, text) == ("number", "A-17")
    assert session.view.mark is not None
    assert BILL[slice(*session.view.mark)] == "A-17"
    assert session.view.why == "nothing speaks against this value"
    session.act("accept")
    assert current(session)[0] == "city", "what nobody doubts needs no word"
    assert session.view.fields[0].name == "city"
    session.act("field")
    session.act("field")
    assert current(session)[0] == "kind"
    session.set_value(1)
    assert current(session)[0] == "city"
    session.act("empty")
    assert "may not be null" in session.view.problem
    assert not session.write("", is_whole=False)
    while not current(session)[0].startswith("rows[1].amount"):
        session.act("field")
    assert not session.write("many", is_whole=False)
    assert session.view.problem


def test_who_was_killed_goes_on_with_what_was_decided(workspace: Workspace) -> None:
    session = begin(workspace)
    session.act("accept")
    session.act("empty")
    (said,) = [
        found["ada"] for trace in workspace.store.traces("letters") if (found := read_judgements(trace.feedback))
    ]
    assert (said.state, said.left) == ("open", (("rows", 1, "name"), ("rows", 1, "amount")))
    again = begin(workspace)
    assert current(again) == ("rows[1].name", "ghost")
    assert again.view.note.startswith("begun before")
    assert golds(workspace) == {}, "what was begun is no gold"
    again.act("row")
    assert golds(workspace)[BILL] == TRUTH | {"city": "Atlantis"}


def test_everything_can_be_taken_back_value_by_value(workspace: Workspace) -> None:
    before = [trace.to_json() for trace in workspace.store.traces("letters")]
    session = begin(workspace)
    session.act("accept")
    session.act("empty")
    session.act("row")
    assert session.view.stage == "end"
    session.act("undo")
    assert current(session) == ("rows[1].name", "ghost")
    session.act("undo")
    assert current(session) == ("due", INVENTED)
    session.act("undo")
    assert [trace.to_json() for trace in workspace.store.traces("letters")] == before
    assert session.made == {}
    session.act("undo")
    assert session.view.problem == "there is nothing to take back"


def test_what_somebody_else_decided_or_what_is_sealed_is_not_asked(workspace: Workspace) -> None:
    session = begin(workspace, "bob")
    assert session.write(json.dumps(TRUTH), is_whole=True)
    with pytest.raises(KnowledgeError, match="JM-975"):
        begin(workspace, "ada")
    assert begin(workspace, "bob").view.done == 1


def test_a_row_that_is_measured_on_is_never_shown(workspace: Workspace) -> None:
    sealed = workspace.project.root / "sealed.jsonl"
    sealed.write_text(json.dumps({"input": {"text": BILL}, "gold": TRUTH}) + "\n")
    import_sources(workspace, "letters", [str(sealed)], split="test")
    with pytest.raises(KnowledgeError, match="JM-975"):
        begin(workspace)


def test_windows_that_differ_offer_what_the_others_say(folder: Path) -> None:
    rows = "\n".join(f"thing {number % 7} | {number % 11 + 0.5}" for number in range(80))
    heard = read_letters(folder, {"long": f"No. A-1\n\nOslo\n\n{rows}\n\nNo. B-2\nOslo\n"}, most=120)
    one = next(one for one in heard if isinstance(one, Extracted) and one.windows > 1)
    assert {doubt.reason for doubt in one.doubts} == {"conflict"}
    with open_workspace(folder) as workspace:
        session = begin(workspace)
        while "long" not in session.view.title:
            session.act("skip")
        assert session.view.why == "windows of this document differ"
        assert current(session)[1] in ("A-1", "B-2")
        (other,) = session.view.answers
        assert {current(session)[1], other.text} == {"A-1", "B-2"}
        shown = session.view.input
        session.choose("a")
        assert golds(workspace)[shown]["number"] == other.text


def test_a_correction_may_not_bring_personal_data_into_a_redacted_task(tmp_path: Path) -> None:
    text = BILL.replace("Lisbon", "ada@example.org, Lisbon")
    folder = make_letters(tmp_path / "project", TASK.replace("redact: false\n", ""), bill=text)
    with open_workspace(folder) as workspace:
        session = begin(workspace)
        assert "ada@example.org" not in session.view.input
        assert not session.write("grace@example.org", is_whole=False)
        assert "personal data" in session.view.problem
