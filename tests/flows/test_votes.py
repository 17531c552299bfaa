"""A student that is asked several times: how votes are counted, and that it is made, measured, released, served and refused like any other."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from journeyman.core.errors import GateError, JourneymanError, ModelError, TuneError
from journeyman.core.messages import make_message
from journeyman.core.progress import Silent
from journeyman.flows.assess import assess
from journeyman.flows.exporting import export
from journeyman.flows.ladder import climb
from journeyman.flows.material import load_material
from journeyman.flows.prepare import import_sources, prepare_task
from journeyman.flows.releases import release
from journeyman.flows.runs import PARITY, PLAN, RESULT
from journeyman.flows.serving import load_students, loadable, serve_student
from journeyman.flows.student import load_student
from journeyman.flows.students import finished_students
from journeyman.flows.tune import Request as TuneRequest
from journeyman.flows.tune import tune
from journeyman.flows.votes import make_reader
from journeyman.flows.workspace import Workspace, open_workspace
from journeyman.models.manifest import MANIFEST
from journeyman.models.protocol import Confidence, Decoding, Reply, Request
from journeyman.models.votes import Election, Votes
from journeyman.task.task import Task
from tests.flows.conftest import Loop
from tests.flows.projects import COLOURS, journeyman, make_project, paint_rows, write_rows

KIND = {"kind": "votes"}
OPEN = "  word: {type: string, minLength: 4, maxLength: 8}\n"


class Noted(Silent):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, tiny_gguf: Path) -> Iterator[Workspace]:
    """An output with a free text of four to eight characters, of which a random model writes another one each time."""
    folder = make_project(tmp_path_factory.mktemp("votes") / "project", tiny_gguf)
    task = folder / "tasks/paint.yaml"
    task.write_text(task.read_text().replace("  many: boolean\n", OPEN))
    for name, rows, seed in (("train", 90, 1), ("sealed", 30, 2)):
        write_rows(
            folder / f"{name}.jsonl",
            [
                {"input": row["input"], "gold": {"colour": COLOURS[place % 3], "word": str(row["input"])[10:14]}}
                for place, row in enumerate(paint_rows(rows, seed))
            ],
        )
    with open_workspace(folder, Noted()) as opened:
        import_sources(opened, "paint", [str(folder / "sealed.jsonl")], split="test")
        import_sources(opened, "paint", [str(folder / "train.jsonl")])
        prepare_task(opened, "paint")
        tune(opened, "paint", {"kind": "prompt"})
        yield opened


def _reply(text: str, likelihood: float = 0.5) -> Reply:
    return Reply(text, confidence=Confidence(likelihood))


def _elect(texts: Sequence[str], likelihoods: Sequence[float] = ()) -> Election:
    votes: dict[str, list[Reply]] = {}
    for place, text in enumerate(texts):
        if text:
            votes.setdefault(text, []).append(_reply(text, likelihoods[place] if likelihoods else 0.5))
    return Election(votes, len(texts))


def test_most_votes_win_then_the_likelier_then_the_first() -> None:
    assert _elect(["1", "2", "2", "3", "2"], [0.9, 0.1, 0.1, 0.9, 0.1]).winner == "2"
    assert _elect(["1", "2", "2", "1"], [0.2, 0.3, 0.3, 0.3]).winner == "2"
    assert _elect(["1", "2", "3"], [0.1, 0.2, 0.4]).winner == "3"
    assert _elect(["1", "2", "3"]).winner == "1"
    election = _elect(["1", "", "1", ""])
    assert (election.winner, election.share) == ("1", 0.5), "what cannot be read is no vote, and agrees with nothing"


def test_each_field_has_the_share_that_says_the_same_there() -> None:
    election = _elect(
        ['{"a":1,"b":{"c":[1]}}', '{"a":1,"b":{"c":[2]}}', '{"a":1,"b":{"c":[2]}}', '{"a":2,"b":{"c":[2]}}']
    )
    assert election.confidence() == Confidence(0.5, {"a": 0.75, "b.c": 0.75})
    assert _elect(['"a text"', '"a text"']).confidence() == Confidence(1.0, {})


@given(some.lists(some.tuples(some.sampled_from(["", "1", "2", "3"]), some.floats(0, 1)), min_size=2, max_size=9))
def test_to_stop_once_it_is_decided_changes_no_winner(drawn: list[tuple[str, float]]) -> None:
    texts, likelihoods = [text for text, _ in drawn], [value for _, value in drawn]
    for count in range(1, len(drawn) + 1):
        early = _elect(texts[:count], likelihoods[:count])
        if early.is_decided(len(drawn)):
            whole = _elect(texts, likelihoods)
            assert early.winner == whole.winner
            assert early.votes[early.winner][0] == whole.votes[whole.winner][0]


def test_what_counts_as_the_same_answer(workspace: Workspace) -> None:
    task = workspace.task("paint")
    read = make_reader(task)
    same = ['{"colour":"red","word":"abcd"}', '{ "word": "abcd",\n "colour": "red" }']
    assert read(Reply(same[0])) == read(Reply(same[1])) is not None
    assert read(Reply('{"colour":"red","word":"Abcd"}')) != read(Reply(same[0]))
    for text in ("red", '{"colour":"pink","word":"abcd"}', '{"colour":"red"}', ""):
        assert read(Reply(text)) is None
    assert read(Reply(same[0], finish_reason="length")) is None
    plain = make_reader(replace(task, schema=None))
    assert plain(Reply(" It is\nRED ")) == plain(Reply("it is red")) is not None
    assert plain(Reply("It is red.")) != plain(Reply("It is red"))
    assert plain(Reply(" \n")) is None


async def _ask(workspace: Workspace, samples: int, *decodings: Decoding) -> tuple[list[Reply], list[Reply]]:
    """Replies of the votes to one question, one for each decoding, and of the single samples under the first of them."""
    student = tune(workspace, "paint", KIND | {"samples": samples, "temperature": 1.5}).student
    async with AsyncExitStack() as stack:
        (served,) = await load_students(stack, [student], threads=1)
        task, model = served.task, served.model
        assert isinstance(task, Task)
        assert isinstance(model, Votes)
        request = Request(served.write(task, {"line": "two red cars"}), replace(decodings[0], schema=task.schema))
        voted = [
            await model.complete(replace(request, decoding=replace(decoding, schema=task.schema)))
            for decoding in decodings
        ]
        single = [
            await model.model.complete(replace(request, decoding=model.decoding_of(request, number)))
            for number in range(samples)
        ]
    return voted, single


def test_samples_that_all_differ_elect_the_likeliest(workspace: Workspace) -> None:
    (voted, again, plain), single = asyncio.run(
        _ask(workspace, 4, *(Decoding(max_tokens=64, confidence=is_sure) for is_sure in (True, True, False)))
    )
    assert len({reply.text for reply in single}) == 4, "this model is random"
    likeliest = max(single, key=lambda reply: reply.confidence.whole if reply.confidence else 0.0)
    assert voted.text == again.text == plain.text == likeliest.text
    assert voted.confidence is not None
    assert voted.confidence.whole == 0.25
    assert plain.confidence is None
    assert voted.input_tokens == sum(reply.input_tokens or 0 for reply in single)
    assert voted.output_tokens == sum(reply.output_tokens or 0 for reply in single)


def test_a_sample_that_was_cut_is_no_vote(workspace: Workspace) -> None:
    _voted, whole = asyncio.run(_ask(workspace, 6, Decoding(max_tokens=64)))
    lengths = sorted(reply.output_tokens or 0 for reply in whole)
    assert lengths[0] < lengths[-1]
    (voted,), single = asyncio.run(_ask(workspace, 6, Decoding(max_tokens=lengths[-1] - 1, confidence=True)))
    read = [reply for reply in single if reply.finish_reason == "stop"]
    assert 0 < len(read) < 6
    assert voted.text in {reply.text for reply in read}
    assert voted.confidence is not None
    assert voted.confidence.whole == 1 / 6
    assert voted.output_tokens == sum(reply.output_tokens or 0 for reply in single)


def test_where_no_sample_can_be_read_the_answer_cannot(workspace: Workspace) -> None:
    (voted,), single = asyncio.run(_ask(workspace, 3, Decoding(max_tokens=2, confidence=True)))
    assert voted.finish_reason == "length"
    assert voted.text == single[0].text
    assert voted.confidence is None
    assert voted.output_tokens == 6
    student = tune(workspace, "paint", KIND).student

    async def ask() -> Reply:
        async with (
            serve_student(workspace, workspace.task("paint"), student) as served,
            served.asking(served.student_name) as client,
        ):
            return await client.complete(Request((make_message("user", "two red cars"),), Decoding(max_tokens=2)))

    with pytest.raises(ModelError, match="JM-720"):
        asyncio.run(ask())


def test_once_most_agree_no_more_are_drawn(loop: Loop, tmp_path: Path) -> None:
    """The tuned student of a choice is sure of its answers; the vote is asked for by hand."""
    folder = Path(shutil.copytree(loop.folder, tmp_path / "project"))
    with open_workspace(folder) as opened:
        student = tune(opened, "paint", KIND | {"samples": 5, "temperature": 0.01}).student
        line = paint_rows(90, 1)[0]["input"]["line"]  # type: ignore[index]

        async def ask(is_sure: bool) -> Reply:
            async with (
                serve_student(opened, opened.task("paint"), student) as served,
                served.asking(served.student_name) as client,
            ):
                return await client.complete(Request((make_message("user", line),), Decoding(confidence=is_sure)))

        plain, sure = asyncio.run(ask(False)), asyncio.run(ask(True))
    assert plain.text == sure.text
    assert sure.confidence is not None
    assert sure.confidence.whole == 1.0
    assert sure.confidence.fields == {"colour": 1.0, "many": 1.0}
    assert 5 * (plain.output_tokens or 0) == 3 * (sure.output_tokens or 0), "three of five are most"
    assert 5 * (plain.input_tokens or 0) == 3 * (sure.input_tokens or 0)


def test_it_is_made_once_and_made_up_after_a_kill(loop: Loop, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(loop.folder, tmp_path / "project"))
    asked = loop.result.assessed
    with open_workspace(folder) as opened:
        made = tune(opened, "paint", KIND)
        assert tune(opened, "paint", KIND | {"samples": 5, "temperature": 0.7, "of": asked.tune_run.id}).run == made.run
        assert tune(opened, "paint", KIND | {"samples": 3}).run != made.run
        student = made.student
        assert student.manifest.kind == "votes"
        assert student.sampling is not None
        assert (student.sampling.student, student.sampling.kind) == (asked.student.hash, "lora")
        assert student.adapter == asked.student.adapter
        assert made.run.read(PARITY) == asked.tune_run.read(PARITY), "its weights are those that were compared"
        plan = made.run.read(PLAN)
        assert plan is not None
        assert plan["samples"] == {"value": 5, "origin": "default"}
        for left in ((), ("adapter.gguf",)):  # killed before the manifest, and in the middle of the weights
            (student.folder / MANIFEST).unlink()
            for name in left:
                path = student.folder / name
                path.write_bytes(path.read_bytes()[:100])
            (made.run.path / PARITY).unlink()
            (made.run.path / RESULT).unlink()
            assert student.hash not in {
                found.hash for _run, found in finished_students(opened, opened.task("paint"), made.dataset)
            }
            again = tune(opened, "paint", KIND)
            assert (again.run, again.student.hash) == (made.run, student.hash)
            assert load_student(student.folder) is not None


def test_it_is_released_served_and_has_no_other_form(loop: Loop, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(loop.folder, tmp_path / "project"))
    shutil.rmtree(folder / ".journeyman/releases")
    told = journeyman(folder, "tune", "paint", "--kind", "votes", "--samples", "3", "--json")
    assert told.returncode == 0, told.stderr
    made = json.loads(told.stdout)
    with open_workspace(folder) as opened:
        assert assess(opened, "paint", base_rows=2).student.hash != made["student"], (
            "nobody measured what votes are worth"
        )
        with pytest.raises(GateError, match="JM-695"):
            assess(opened, "paint", named="paint-tune-ffffffffffff")
        assessed = assess(opened, "paint", base_rows=2, named=Path(made["run"]).name)
        assert assessed.student.hash == made["student"]
        assert {item.kind for item in assessed.document.candidates} == {"votes", "base"}
        assert assessed.document.reference is not None
        assert set(assessed.document.reference.confidence) <= {0.0, 1 / 3, 2 / 3, 1.0}
        released = release(opened, "paint", "a test")
        card = (released.path / "attachments/README.md").read_text()
        assert "most of 3 samples agree on, each at temperature 0.7 from an adapter on" in card
        with pytest.raises(GateError, match="JM-628") as refused:
            export(opened, "paint", "gguf", folder / "out")
        assert "once it is released by itself" in str(refused.value)
        with pytest.raises(TuneError, match="JM-533"):
            tune(opened, "paint", {}, TuneRequest(method="dpo", start=assessed.tune_run.id))
    asked = journeyman(folder, "ask", "paint", "two red cars", "--json")
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout)["model"].endswith(released.hash)
    assert journeyman(folder, "report", "paint", "--out", "report.html").returncode == 0
    assert "votes" in (folder / "report.html").read_text()
    state = journeyman(folder, "status", "--json")
    assert json.loads(state.stdout)["tasks"][0]["release"] == released.hash
    path = released.path / "adapter.gguf"
    path.write_bytes(path.read_bytes() + b"!")
    with open_workspace(folder) as opened, pytest.raises(ModelError, match="JM-412"):
        loadable(opened, "paint")


def test_the_ladder_takes_votes_of_the_best_language_model(workspace: Workspace) -> None:
    ladder = climb(workspace, "paint", is_whole=True)
    names = [rung.name for rung in ladder.rungs]
    (voted,) = [rung for rung in ladder.rungs if rung.kind == "votes" and rung.name.startswith("5 votes of")]
    prompts = [rung for rung in ladder.rungs if rung.kind == "prompt"]
    assert voted.name.removeprefix("5 votes of ") in names
    assert voted.verdict is not None
    assert voted.p50_ms is not None
    assert voted.p50_ms > min(rung.p50_ms or 0.0 for rung in prompts)
    assert [rung.p50_ms for rung in ladder.rungs] == sorted(rung.p50_ms or 0.0 for rung in ladder.rungs)
    by_hand = [rung for rung in ladder.rungs if rung.kind == "votes" and rung != voted]
    made = {
        run
        for run, student in finished_students(
            workspace, workspace.task("paint"), load_material(workspace, "paint", use="none").dataset
        )
        if student.sampling
    }
    assert {rung.run for rung in [voted, *by_hand]} == made
    assert climb(workspace, "paint", is_whole=True) == ladder, "nothing is asked twice"
    assert ladder.chosen is not None
    other = next(rung for rung in [voted, *prompts] if rung != ladder.chosen)
    named = assess(workspace, "paint", base_rows=0, named=other.run)
    assert (named.student.hash, named.document.ladder) == (other.student, None), "the ladder chose another"
    assert assess(workspace, "paint", base_rows=0).student.hash == other.student
    climb(workspace, "paint", is_whole=True)
    climbed = assess(workspace, "paint", base_rows=0)
    assert climbed.student.hash == ladder.chosen.student
    assert climbed.document.ladder is not None


def test_the_ladder_leaves_votes_out_of_a_choice(loop: Loop, tmp_path: Path) -> None:
    folder, noted = Path(shutil.copytree(loop.folder, tmp_path / "project")), Noted()
    with open_workspace(folder, noted) as opened:
        ladder = climb(opened, "paint", is_whole=True)
    assert not [rung for rung in ladder.rungs if rung.kind == "votes"]
    assert [note for note in noted.notes if note.startswith("left out: votes: the output is a choice")]


def test_the_ladder_says_where_no_language_model_is_there(tmp_path: Path) -> None:
    folder, noted = make_project(tmp_path / "project", Path("/nowhere.gguf")), Noted()
    task = folder / "tasks/paint.yaml"
    task.write_text(task.read_text().replace("many: boolean", "many: string"))
    for name in ("train", "sealed"):
        rows = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
        write_rows(
            folder / f"{name}.jsonl", [row | {"gold": row["gold"] | {"many": str(row["gold"]["many"])}} for row in rows]
        )
    with open_workspace(folder, noted) as opened:
        import_sources(opened, "paint", [str(folder / "sealed.jsonl")], split="test")
        import_sources(opened, "paint", [str(folder / "train.jsonl")])
        prepare_task(opened, "paint")
        assert {rung.kind for rung in climb(opened, "paint", is_whole=True).rungs} == {"nearest"}
        assert [note for note in noted.notes if note.startswith("left out: votes: no language model")]
        with pytest.raises(TuneError, match="JM-598"):
            tune(opened, "paint", KIND)


@pytest.mark.parametrize(
    ("given_", "request_", "code"),
    [
        ({"samples": 1}, TuneRequest(), "JM-595"),
        ({"samples": 0}, TuneRequest(), "JM-595"),
        ({"samples": 100}, TuneRequest(), "JM-595"),
        ({"temperature": 0.0}, TuneRequest(), "JM-595"),
        ({"temperature": float("nan")}, TuneRequest(), "JM-595"),
        ({"temperature": 3.0}, TuneRequest(), "JM-595"),
        ({"rate": 1e-3}, TuneRequest(), "JM-595"),
        ({}, TuneRequest(base="other"), "JM-595"),
        ({}, TuneRequest(method="dpo"), "JM-595"),
        ({}, TuneRequest(threads=2), "JM-595"),
        ({"of": "paint-tune-ffffffffffff"}, TuneRequest(), "JM-596"),
        ({"of": "../paint"}, TuneRequest(), "JM-596"),
    ],
)
def test_what_cannot_be_is_refused(
    workspace: Workspace, given_: dict[str, object], request_: TuneRequest, code: str
) -> None:
    before = sorted(path.name for path in workspace.project.runs.iterdir())
    with pytest.raises(TuneError, match=code):
        tune(workspace, "paint", KIND | given_, request_)  # type: ignore[arg-type]
    assert sorted(path.name for path in workspace.project.runs.iterdir()) == before


def test_only_what_can_vote_is_asked(loop: Loop, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(loop.folder, tmp_path / "project"))
    with open_workspace(folder) as opened:
        head = tune(opened, "paint", {"kind": "head", "features": "words"}).run.id
        nearest = tune(opened, "paint", {"kind": "nearest"}).run.id
        coded = tune(opened, "paint", {"epochs": 1}, TuneRequest(answers="codes", threads=1)).run.id
        votes = tune(opened, "paint", KIND).run.id
        for run, what in ((head, "kind head"), (nearest, "kind nearest"), (coded, "one token"), (votes, "votes")):
            with pytest.raises(TuneError, match="JM-597") as refused:
                tune(opened, "paint", KIND | {"of": run})
            assert what in str(refused.value)
        other = folder / "tasks/other.yaml"
        other.write_text((folder / "tasks/paint.yaml").read_text().replace("name: paint", "name: other"))
        import_sources(opened, "other", [str(folder / "train.jsonl")])
        prepare_task(opened, "other")
        with pytest.raises(TuneError, match="JM-596"):
            tune(opened, "other", KIND | {"of": loop.result.assessed.tune_run.id})
    refused_ = journeyman(folder, "tune", "paint", "--kind", "votes", "--samples", "1")
    assert refused_.returncode == 2
    assert "JM-595" in refused_.stderr
    assert "2 to 40" in refused_.stderr
    misplaced = journeyman(folder, "tune", "paint", "--samples", "3")
    assert misplaced.returncode == 2


def test_a_request_may_say_its_own_temperature_and_seed(workspace: Workspace) -> None:
    student = tune(workspace, "paint", KIND | {"samples": 2}).student

    async def decodings() -> list[Decoding]:
        async with AsyncExitStack() as stack:
            (served,) = await load_students(stack, [student], threads=1)
            assert isinstance(served.model, Votes)
            wanted = [Decoding(), Decoding(), Decoding(temperature=0.2), Decoding(seed=9)]
            asked = [Request((make_message("user", "two"),), decoding) for decoding in wanted]
            other = Request((make_message("user", "one"),))
            votes = served.model
            return [votes.decoding_of(request, 0) for request in [*asked, other]] + [votes.decoding_of(asked[0], 1)]

    first, same, cooler, seeded, other, second = asyncio.run(decodings())
    assert first == same
    assert (first.temperature, cooler.temperature) == (0.7, 0.2)
    assert len({first.seed, seeded.seed, other.seed, second.seed}) == 4


def test_errors_name_the_next_step(workspace: Workspace) -> None:
    for wrong in ({"samples": 1}, {"of": "nowhere"}):
        with pytest.raises(JourneymanError) as refused:
            tune(workspace, "paint", KIND | wrong)  # type: ignore[arg-type]
        assert refused.value.hint
        assert refused.value.expected
