"""A labelling session over train rows on a real store: what is asked first, what each act keeps, and what the next `prepare` holds."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from journeyman.core.errors import DataError
from journeyman.core.example import Example, object_target
from journeyman.core.judgements import is_led, read_judgements
from journeyman.core.trace import Trace
from journeyman.data.candidates import hash_input
from journeyman.data.dataset import read_manifest, read_split
from journeyman.flows.label_agreement import find_agreement
from journeyman.flows.label_queue import make_queue
from journeyman.flows.labelling import TrainLabelling
from journeyman.flows.prepare import import_sources, prepare_task
from journeyman.flows.workspace import Workspace, open_workspace
from tests.flows.projects import COLOURS, make_project, paint_rows, write_rows
from tests.flows.tickets import MESSAGES, REFUND, TASK, make_tickets, start_tickets

LOST = {"intent": "card_lost", "urgent": True, "product": "card"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tickets(tmp_path_factory.mktemp("tickets") / "project")


def begin(workspace: Workspace, by: str = "ada", **options: float) -> TrainLabelling:
    return TrainLabelling(workspace.store, make_queue(workspace, "tickets", by, **options), workspace.now)  # type: ignore[arg-type]


def find(workspace: Workspace, words: str, by: str = "ada", **options: float) -> TrainLabelling:
    """A session that shows the row with these words; what was passed is not decided."""
    session = begin(workspace, by, **options)
    while words not in session.view.input:
        assert session.view.stage == "row", f"{words} is not in the queue"
        session.act("skip")
    return session


def golds(workspace: Workspace) -> dict[str, object]:
    """What the train rows of a fresh dataset learn from people, by message."""
    prepare_task(workspace, "tickets")
    _hash, manifest = read_manifest(workspace.store, "tickets")
    rows: list[Example] = read_split(workspace.store, manifest, "train")
    return {str(row.input["message"]): row.gold.value for row in rows if row.gold is not None}


def documents(workspace: Workspace) -> list[str]:
    return [json.dumps(trace.to_json()) for trace in workspace.store.traces("tickets")]


def test_what_is_accepted_and_mended_is_gold_of_the_next_dataset(workspace: Workspace) -> None:
    session = begin(workspace)
    assert (session.view.done, session.view.left) == (0, len(MESSAGES))
    session = find(workspace, "purse")
    session.set_value(1)
    session.set_value(1)
    assert [field.text for field in session.view.fields] == ["card_lost", "true", "card"]
    session.act("accept")
    session = find(workspace, "machine")
    session.act("accept")
    held = golds(workspace)
    assert held == {MESSAGES[2]: LOST, MESSAGES[3]: REFUND}
    said = [read_judgements(trace.feedback).get("ada") for trace in workspace.store.traces("tickets")]
    done = [item for item in said if item is not None and item.state == "done"]
    assert len(done) == 2
    assert all(item.time > "2020" and item.why == "drawn" for item in done)


def test_everything_taken_back_leaves_the_store_as_it_was(workspace: Workspace) -> None:
    before = documents(workspace)
    session = begin(workspace)
    session.act("accept")
    session.act("skip")
    session.set_value(2)
    session.set_value(1)
    session.act("accept")
    assert documents(workspace) != before
    again = begin(workspace)
    for _ in range(3):
        again.act("undo")
    assert documents(workspace) == before
    again.act("undo")
    assert again.view.problem == "there is nothing to take back"
    assert golds(workspace) == {}


def test_undo_shows_the_row_again_with_what_was_begun(workspace: Workspace) -> None:
    session = begin(workspace)
    shown = session.view.input
    session.set_value(1)
    session.act("accept")
    assert session.view.input != shown
    session.act("undo")
    assert session.view.input == shown
    assert session.view.fields[0].text == "card_lost"
    session.act("undo")
    assert session.view.input == shown
    assert session.view.fields[0].text == "refund"


def test_whoever_was_stopped_goes_on_with_what_was_begun(workspace: Workspace) -> None:
    session = begin(workspace)
    done = session.view.input
    session.act("accept")
    shown = session.view.input
    session.set_value(3)
    resumed = begin(workspace)
    assert resumed.view.input == shown
    assert resumed.view.fields[0].text == "other"
    assert (resumed.view.done, resumed.view.left) == (1, len(MESSAGES) - 1)
    assert golds(workspace) == {done: REFUND}, "what was begun is no gold"
    assert begin(workspace).view.input == shown, "nor does another dataset lose it"


def test_a_fix_goes_to_near_neighbours_after_a_preview(workspace: Workspace) -> None:
    session = find(workspace, "two concert")
    before = documents(workspace)
    session.set_value(3)
    session.act("accept")
    session.act("near")
    view = session.view
    assert (view.stage, view.near, view.near_count) == ("preview", (MESSAGES[1],), 1)
    session.act("accept")
    assert session.view.stage == "preview", "other keys wait"
    session.act("cancel")
    assert session.view.stage != "preview"
    session.act("near")
    session.act("apply")
    fixed = REFUND | {"intent": "other"}
    assert golds(workspace) == {MESSAGES[0]: fixed, MESSAGES[1]: fixed}
    session.act("undo")
    assert golds(workspace) == {MESSAGES[0]: fixed}
    session.act("undo")
    session.act("undo")
    assert documents(workspace) == before


def test_neighbours_with_another_answer_or_decided_are_left_alone(tmp_path: Path) -> None:
    near = [text.replace("two", word) for word in ("four", "five") for text in MESSAGES[:1]]
    more = [{"input": {"message": near[0]}, "output": LOST}, {"input": {"message": near[1]}, "output": dict(REFUND)}]
    folder = make_tickets(tmp_path / "project", more=more)  # type: ignore[arg-type]
    with open_workspace(folder) as workspace:
        other = find(workspace, "five concert", "bob")
        other.act("accept")
        session = find(workspace, "two concert")
        session.set_value(3)
        session.act("accept")
        session.act("near")
        assert session.view.near == (MESSAGES[1],)


def test_written_text_is_checked_against_the_schema_and_asked_again(workspace: Workspace) -> None:
    session = begin(workspace)
    for _ in range(2):
        session.act("field")
    assert session.draft(is_whole=False) == "card"
    assert session.write("Visa card", is_whole=False)
    assert session.view.fields[2].text == "Visa card"
    assert json.loads(session.draft(is_whole=True)) == REFUND | {"product": "Visa card"}
    before = documents(workspace)
    assert not session.write('{"intent": "refund"}', is_whole=True)
    assert "urgent" in session.view.problem
    assert not session.write("no JSON", is_whole=True)
    assert documents(workspace) == before
    shown = session.view.input
    assert session.write('{"product": "x", "urgent": true, "intent": "limit"}', is_whole=True)
    assert golds(workspace) == {shown: {"intent": "limit", "urgent": True, "product": "x"}}


def test_a_choice_that_is_none_says_so(workspace: Workspace) -> None:
    session = begin(workspace)
    session.set_value(7)
    assert session.view.problem == "intent has 4 choices"
    session.choose("c")
    assert session.view.problem == "there is no answer c"
    session.act("near")
    assert "no fix" in session.view.problem
    assert session.view.done == 0


def test_personal_data_that_the_row_has_not_are_refused(workspace: Workspace) -> None:
    before = documents(workspace)
    session = find(workspace, "fee of last month")
    assert "ada@example.org" not in session.view.input
    surrogate = next(word for word in session.view.input.split() if "EMAIL" in word or "@" in word)
    for _ in range(2):
        session.act("field")
    assert not session.write("mail to eve@example.org", is_whole=False)
    assert "personal data" in session.view.problem
    assert not session.write(json.dumps(REFUND | {"product": "eve@example.org"}), is_whole=True)
    assert "eve@" not in "".join(documents(workspace))
    assert session.write(surrogate, is_whole=False)
    session.act("accept")
    assert surrogate in "".join(str(value) for value in golds(workspace).values())
    assert len(documents(workspace)) == len(before)


def test_a_row_whose_text_was_kept_may_have_what_it_has_already_in_its_answer(tmp_path: Path) -> None:
    folder = make_tickets(tmp_path / "project")
    (folder / "kept.jsonl").write_text(
        json.dumps({"input": {"message": "write to eve@example.org of the branch"}, "output": REFUND}) + "\n"
    )
    with open_workspace(folder) as workspace:
        import_sources(workspace, "tickets", [str(folder / "kept.jsonl")], split="train")
        prepare_task(workspace, "tickets")
        session = find(workspace, "eve@example.org")
        assert session.write(json.dumps(REFUND | {"product": "eve@example.org"}), is_whole=True)
        session = find(workspace, "machine")
        assert not session.write(json.dumps(REFUND | {"product": "eve@example.org"}), is_whole=True)


def test_all_calls_of_an_input_are_judged_and_repeats_do_not_outvote_it(tmp_path: Path) -> None:
    copies = [{"input": {"message": MESSAGES[0]}, "output": dict(REFUND), "id": f"again {place}"} for place in range(3)]
    folder = make_tickets(tmp_path / "project", more=copies)  # type: ignore[arg-type]
    with open_workspace(folder) as workspace:
        session = find(workspace, "two concert")
        session.set_value(3)
        session.act("accept")
        judged = [
            trace
            for trace in workspace.store.traces("tickets")
            if any(item.state == "done" for item in read_judgements(trace.feedback).values())
        ]
        assert len(judged) == 4
        assert golds(workspace)[MESSAGES[0]] == REFUND | {"intent": "other"}


def find_trace(workspace: Workspace, message: str) -> Trace:
    return next(trace for trace in workspace.store.traces("tickets") if trace.input.get("message") == message)


def test_a_later_correction_of_the_caller_goes_before_what_was_labelled_without_it(workspace: Workspace) -> None:
    session = find(workspace, "purse")
    session.act("accept")
    correction = {"answer": object_target(LOST).to_json(), "time": workspace.now()}
    workspace.store.add_feedback(find_trace(workspace, MESSAGES[2]).id, correction)
    assert golds(workspace)[MESSAGES[2]] == LOST
    session.act("undo")
    again = find(workspace, "purse", "bob")
    assert [field.text for field in again.view.fields] == ["card_lost", "true", "card"]
    again.set_value(2)
    again.act("accept")
    assert golds(workspace)[MESSAGES[2]] == LOST | {"intent": "limit"}


def test_what_a_release_said_otherwise_comes_first_and_can_be_taken(workspace: Workspace) -> None:
    call = find_trace(workspace, MESSAGES[3])
    said = object_target({"intent": "limit", "urgent": False, "product": "card"})
    workspace.store.add_traces(
        [replace(call, id="trace-served", row_key="", origin="serve", release="r1", output=said)]
    )
    session = begin(workspace)
    view = session.view
    assert view.input == MESSAGES[3]
    assert "something else than the recorded answer" in view.why
    assert [(item.letter, item.who) for item in view.answers] == [("a", "recorded"), ("b", "the student")]
    session.choose("b")
    assert golds(workspace)[MESSAGES[3]] == said.value


def test_samples_that_differ_come_before_the_random_rest_which_has_a_kept_seed(tmp_path: Path) -> None:
    other = {"intent": "other", "urgent": True, "product": "card"}
    unsure = {"input": {"message": "is it you or is it me"}, "output": dict(REFUND), "alternatives": [other]}
    folder = make_tickets(tmp_path / "project", more=[unsure])  # type: ignore[list-item]
    with open_workspace(folder) as workspace:
        queue = make_queue(workspace, "tickets", "ada")
        assert queue.rows[0].example.input["message"] == "is it you or is it me"
        assert "50 %" in queue.rows[0].why
        assert dict(queue.counts) == {
            "differs": 0,
            "doubted": 0,
            "uncertain": 1,
            "unanswered": 0,
            "drawn": len(MESSAGES),
        }
        kept = list(workspace.project.runs.glob("tickets-label-*/queue.json"))
        assert [json.loads(path.read_text())["seed"] for path in kept] == [queue.seed]
        assert [row.name for row in make_queue(workspace, "tickets", "ada").rows] == [row.name for row in queue.rows]


def test_doubted_labels_come_before_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNEYMAN_CACHE", str(tmp_path / "no models"))  # by words: the embedding model takes seconds
    folder = make_project(tmp_path / "project", Path("/nowhere.gguf"))
    rows = paint_rows(120, 1)
    lines = [str(row["input"]["line"]) for row in rows[::12]]  # type: ignore[index,call-overload]
    for row in rows:
        row["output"] = row.pop("gold")
    for row in rows[::12]:
        answer = row["output"]
        assert isinstance(answer, dict)
        answer["colour"] = COLOURS[(COLOURS.index(answer["colour"]) + 1) % 3]
    write_rows(folder / "train.jsonl", rows)
    with open_workspace(folder) as workspace:
        import_sources(workspace, "paint", [str(folder / "train.jsonl")])
        import_sources(workspace, "paint", [str(folder / "sealed.jsonl")], split="test")
        prepare_task(workspace, "paint")
        queue = make_queue(workspace, "paint", "ada")
        doubted = [row for row in queue.rows if row.reason == "doubted"]
        assert doubted
        assert [row.reason for row in queue.rows[: len(doubted)]] == ["doubted"] * len(doubted)
        right = sum(str(row.example.input["line"]) in lines for row in doubted)
        assert right / len(doubted) >= 0.5, f"{right} of {len(doubted)}; of all rows one of twelve"
        assert "rather" in doubted[0].why


def test_a_second_person_sees_rows_again_blind_and_agreement_counts_them(workspace: Workspace) -> None:
    """Ada decides all six, bob some of them, one otherwise: alpha by hand."""
    session = begin(workspace)
    while session.view.stage == "row":
        if "purse" in session.view.input:
            session.set_value(1)
        session.act("accept")
    prepare_task(workspace, "tickets")
    assert begin(workspace, "bob").view.stage == "end", "without --again nobody is asked twice"
    again = begin(workspace, "bob", again=1.0)
    assert again.view.left == len(MESSAGES)
    for _ in range(4):
        assert [json.loads(item.text) for item in again.view.answers] == [REFUND], "ada's answer does not show"
        again.act("accept")
    while "purse" not in again.view.input and again.view.stage == "row":
        again.act("accept")
    again.act("accept")
    found = find_agreement(workspace, "tickets")
    assert found.train is not None
    decided = again.view.done
    assert found.labelled == {"ada": 6, "bob": decided}
    # 2n ratings, one unit apart: D_o = 2 / 2n, D_e = (1 * (2n - 1) * 2) / (2n * (2n - 1)).
    total = 2 * decided
    expected = 1 - (2 / total) / (2 * (total - 1) / (total * (total - 1)))
    assert found.train.alpha == pytest.approx(expected)
    assert (found.train.n, found.train.apart) == (decided, 1)
    assert found.fields["urgent"].apart == 0
    assert found.fields["intent"].apart == 1
    assert [item.input for item in found.apart] == [MESSAGES[2]]
    assert set(found.apart[0].said) == {"ada", "bob"}
    assert found.sealed is None
    assert golds(workspace)[MESSAGES[2]] == REFUND, "of equals the latest"


def test_a_row_that_somebody_else_decided_meanwhile_is_passed(workspace: Workspace) -> None:
    ada, bob = begin(workspace), begin(workspace, "bob")
    first = ada.view.input
    assert bob.view.input == first
    ada.act("accept")
    second = ada.view.input
    ada.act("accept")
    bob.act("skip")
    assert bob.view.input not in (first, second)


def test_a_row_that_was_erased_meanwhile_is_passed_and_nothing_is_kept(workspace: Workspace) -> None:
    session = begin(workspace)
    workspace.store.delete_calls(
        [trace.id for trace in workspace.store.traces("tickets") if trace.input.get("message") == session.view.input]
    )
    gone = session.view.input
    session.act("accept")
    assert "erased" in session.view.problem
    assert session.view.input != gone
    assert session.view.done == 0


def text_project(folder: Path) -> Path:
    task = TASK.split("output:")[0] + "output: text\n"
    messages = [{"input": {"message": text}, "output": f"Dear customer, {text}."} for text in MESSAGES]
    folder = make_tickets(folder)
    (folder / "tasks/answers.yaml").write_text(task.replace("name: tickets", "name: answers"))
    for split in ("train", "dev", "test"):
        rows = messages if split == "train" else [{"input": {"message": f"{split} {split} words"}, "output": "none"}]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        with open_workspace(folder) as workspace:
            import_sources(workspace, "answers", [str(folder / f"{split}.jsonl")], split=split)  # type: ignore[arg-type]
    return folder


def test_an_answer_in_text_is_written_whole(tmp_path: Path) -> None:
    with open_workspace(text_project(tmp_path / "project")) as workspace:
        prepare_task(workspace, "answers")
        session = TrainLabelling(workspace.store, make_queue(workspace, "answers", "ada"), workspace.now)
        assert session.draft(is_whole=False).startswith("Dear customer, ")
        assert not session.write("  ", is_whole=False)
        assert session.view.problem == "the answer is empty"
        assert session.write("Good day,\nwe will look.", is_whole=False)
        assert session.view.done == 1


def test_before_there_is_a_dataset_inputs_without_an_answer_are_asked(tmp_path: Path) -> None:
    folder = start_tickets(tmp_path / "project")
    bare = [{"input": {"message": text}} for text in MESSAGES[:3]]
    write_rows(folder / "bare.jsonl", [*bare, {"input": {"message": MESSAGES[3]}, "output": dict(REFUND)}])
    with open_workspace(folder) as workspace:
        import_sources(workspace, "tickets", [str(folder / "bare.jsonl")])
        session = begin(workspace)
        assert (session.view.left, session.view.answers, session.view.why) == (3, (), "it has no answer yet")
        session.act("accept")
        assert session.view.problem.startswith("there is no answer to accept")
        session.set_value(1)
        session.act("accept")
        assert "urgent" in session.view.problem, "an answer that lacks a field is none"
        session.set_value(1)
        assert session.write("card", is_whole=False)
        session.act("accept")
        assert (session.view.done, session.view.left) == (1, 2)
        (said,) = [trace for trace in workspace.store.traces("tickets") if trace.correction is not None]
        assert said.correction == object_target(LOST)
        assert not is_led(said.feedback), "nobody's answer was in sight"
        assert (begin(workspace).view.done, begin(workspace).view.left) == (1, 2)


def test_what_is_said_with_a_students_answer_in_sight_is_never_measured_on(tmp_path: Path) -> None:
    folder, draw = start_tickets(tmp_path / "project", settings=""), random.Random(0)
    texts = [" ".join("".join(draw.choices("abcdefgh", k=5)) for _ in range(8)) for _ in range(70)]
    write_rows(folder / "own.jsonl", [{"input": {"message": text}, "output": dict(REFUND)} for text in texts[:40]])
    with open_workspace(folder) as workspace:
        import_sources(workspace, "tickets", [str(folder / "own.jsonl")])
        one = next(iter(workspace.store.traces("tickets")))
        served = [
            replace(one, id=f"served-{place}", row_key="", origin="serve", release="r1", input={"message": text})
            for place, text in enumerate(texts[40:])
        ]
        workspace.store.add_traces(served)
        prepare_task(workspace, "tickets")
        session = begin(workspace)
        while session.view.stage == "row":
            if session.view.input in texts[40:]:
                assert [item.who for item in session.view.answers] == ["the student"]
                session.choose("a")
            else:
                session.act("skip")
        prepare_task(workspace, "tickets")
        assigned = workspace.store.assignments("tickets")
        shown = {hash_input(Example({"message": text}, None)) for text in texts[40:]}
        assert {assigned[name].split for name in shown} == {"train"}
        assert {assigned[name].split for name in set(assigned) - shown} > {"train"}


def test_a_task_without_rows_has_nothing_to_label(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "project", Path("/nowhere.gguf"))
    with open_workspace(folder) as workspace, pytest.raises(DataError, match="JM-372"):
        make_queue(workspace, "paint", "ada")


def test_weak_rows_wait_for_an_assessed_student(workspace: Workspace) -> None:
    with pytest.raises(Exception, match="JM-630"):
        make_queue(workspace, "tickets", "ada", is_weak=True)
