"""Every method and kind of `tune` on the tiny model: what it learns from, what it leaves, what it refuses."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from journeyman.core.canonical import Json, dump
from journeyman.core.errors import DataError, GateError, TuneError
from journeyman.core.example import Alternative, Example, Target, object_target
from journeyman.core.lines import Lines
from journeyman.flows.assess import assess
from journeyman.flows.cards import write_card
from journeyman.flows.draws import elect, mine
from journeyman.flows.exporting import export
from journeyman.flows.masks import show_mask
from journeyman.flows.material import load_material
from journeyman.flows.prepare import import_sources, prepare_task
from journeyman.flows.releases import release
from journeyman.flows.serving import load_students
from journeyman.flows.signals import Writer
from journeyman.flows.starts import find_start, open_start
from journeyman.flows.student import Student
from journeyman.flows.tune import Request as TuneRequest
from journeyman.flows.tune import TuneResult, tune
from journeyman.flows.workspace import Workspace, open_workspace
from journeyman.models.codes import Codes
from journeyman.models.protocol import Decoding, Reply, Request
from journeyman.models.template import make_student_template
from journeyman.models.torch_weights import load_decoder
from journeyman.task.answer import read_answer
from journeyman.task.schema import constraint_schema
from journeyman.task.task import Task
from journeyman.tuning.plan import LIMITS
from tests.flows.projects import COLOURS, fill_project, journeyman, make_project, paint_rows, write_rows

SHORT = {"epochs": 2, "evaluations": 1, "rate": 2e-3}


def _corrected(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """The teacher named another colour in every third row, and the gold corrects it."""
    for index, row in enumerate(rows):
        gold = dict(row["gold"])  # type: ignore[call-overload]
        place = (COLOURS.index(gold["colour"]) + (index % 3 == 0)) % 3
        row["output"] = gold | {"colour": COLOURS[place]}
    return rows


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, tiny_gguf: Path) -> Iterator[Workspace]:
    folder = make_project(tmp_path_factory.mktemp("methods") / "project", tiny_gguf)
    write_rows(folder / "train.jsonl", _corrected(paint_rows(90, 1)))
    write_rows(folder / "open.jsonl", [{"input": row["input"]} for row in paint_rows(6, 5)])
    with open_workspace(folder) as opened:
        import_sources(opened, "paint", [str(folder / "sealed.jsonl")], split="test")
        import_sources(opened, "paint", [str(folder / "train.jsonl"), str(folder / "open.jsonl")])
        prepare_task(opened, "paint")
        yield opened


async def _ask(student: Student, fields: dict[str, Json], max_tokens: int | None = None) -> Reply:
    async with AsyncExitStack() as stack:
        (served,) = await load_students(stack, [student], threads=1)
        assert served.task is not None
        assert served.task.schema is not None
        schema = constraint_schema(served.task.schema, fields)
        decoding = Decoding(schema, max_tokens=max_tokens, logprobs=True)
        return await served.model.complete(Request(served.write(served.task, fields), decoding))


def _tune(workspace: Workspace, given: dict[str, object] | None = None, **request: object) -> TuneResult:
    return tune(workspace, "paint", SHORT | (given or {}), TuneRequest(**{"threads": 1} | request))  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["dpo", "ipo", "kto"])
def test_a_preference_run_begins_at_plain_tuning(workspace: Workspace, method: str) -> None:
    result = _tune(workspace, method=method)
    chosen = json.loads((result.run.path / "method.json").read_text())
    assert (chosen["method"], chosen["holding"]["pairs"]) == (method, chosen["holding"]["disliked"])
    lesson = result.tuned["lesson"]
    assert (lesson["pairs"] if method != "kto" else lesson["desirable"]) >= chosen["holding"]["pairs"] > 20  # type: ignore[index,operator]
    first = _tune(workspace, {}, method="sft")
    assert first.student.hash != result.student.hash
    before, after = (
        (run.path / "student/peft/adapter_model.safetensors").read_bytes() for run in (first.run, result.run)
    )
    assert len(before) == len(after)
    assert before != after


def test_orpo_needs_no_start(workspace: Workspace) -> None:
    result = _tune(workspace, {"beta": 0.5}, method="orpo")
    assert result.tuned["lesson"]["mined"] == 0  # type: ignore[index,call-overload]
    assert not (result.run.path / "reference.jsonl").exists()


def test_a_tuned_run_teaches_by_its_probabilities(workspace: Workspace) -> None:
    teacher = _tune(workspace, method="sft")
    result = _tune(workspace, method="distill", teacher=teacher.run.id)
    rows = json.loads((result.run.path / "material.json").read_text())["rows"]
    assert result.tuned["lesson"]["scored"] >= rows["train"]  # type: ignore[index,call-overload,operator]
    assert len((result.run.path / "teacher.jsonl").read_text().splitlines()) >= rows["train"]


def test_rows_on_which_student_and_teacher_differ_are_pairs(workspace: Workspace) -> None:
    start, teacher = (_tune(workspace, {"epochs": epochs}, method="sft").run.id for epochs in (4, 6))
    result = _tune(workspace, method="dpo", start=start, teacher=teacher)
    task, splits = workspace.task("paint"), load_material(workspace, "paint").splits
    answers = {name: _read(task, text) for name, (text,) in _lines(result.run.path / "answered.jsonl")}
    assert set(answers) == {row.hash for row in splits["unlabelled"]}
    taught = [replace(row, target=answers[row.hash]) for row in splits["unlabelled"] if answers[row.hash]]
    right = {row.hash: row.answer for row in (*splits["train"], *taught)}
    wrong = {
        name: {dump(target.to_json()) for text in texts if (target := _read(task, text)) not in (None, right[name])}  # type: ignore[union-attr]
        for name, texts in _lines(result.run.path / "mined.jsonl")
    }
    lesson = result.tuned["lesson"]
    assert set(wrong) == set(right)
    assert lesson["answered_by_teacher"] == len(taught) > 3  # type: ignore[index,call-overload]
    assert lesson["mined"] == sum(map(len, wrong.values())) > 0  # type: ignore[index,call-overload]
    assert any(wrong[row.hash] for row in taught)


def _lines(path: Path) -> list[tuple[str, list[str | None]]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _read(task: Task, text: str | None) -> Target | None:
    return None if text is None else read_answer(task, text)[0]


def test_what_was_rejected_is_neither_elected_nor_taken_from_a_teacher(workspace: Workspace) -> None:
    """And what was taught is no mistake of a student that says it."""
    task = workspace.task("paint")
    red, blue = (object_target({"colour": colour, "many": True}) for colour in ("red", "blue"))
    disliked = Example(
        input={"line": "two red cars"}, target=None, alternatives=(Alternative(red, verdict="rejected"),)
    )
    texts = [json.dumps(target.value) for target in (red, red, blue)]
    sampled = Example(input={"line": "two red cars"}, target=red, alternatives=(Alternative(blue),), count=3)
    asker = SimpleNamespace(task=task, ask=lambda rows, *_rest: {row.hash: [*texts, None] for row in rows})
    assert elect(asker, [disliked], lambda _ballots: [[0.7, 0.3]]) == []  # type: ignore[arg-type]
    assert elect(asker, [disliked], lambda _ballots: [[0.3, 0.7]]) == [(disliked, blue, 0.7)]  # type: ignore[arg-type]
    assert mine(asker, [sampled]) == {}  # type: ignore[arg-type]
    alone = replace(sampled, alternatives=())
    assert mine(asker, [alone]) == {alone.hash: [blue]}  # type: ignore[arg-type]


def test_draws_that_agree_become_rows(workspace: Workspace) -> None:
    result = _tune(workspace, method="reject")
    drawn = [json.loads(line) for line in (result.run.path / "drawn.jsonl").read_text().splitlines()]
    assert len(drawn) == 6
    assert all(len(texts) == 8 for _hash, texts in drawn)


def test_a_teacher_judges_the_draws(workspace: Workspace) -> None:
    teacher = _tune(workspace, {"epochs": 6}, method="sft")
    result = _tune(workspace, method="reject", teacher=teacher.run.id, start=teacher.run.id)
    judged = (result.run.path / "judged.jsonl").read_text().splitlines()
    drawn = [json.loads(line) for line in (result.run.path / "drawn.jsonl").read_text().splitlines()]
    task = workspace.task("paint")
    distinct = {(name, text) for name, texts in drawn for text in texts if _read(task, text) is not None}
    assert len(judged) <= len(distinct)
    assert bool(judged) == bool(distinct)


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_a_preference_run_finishes_as_its_student_is_served(workspace: Workspace, kind: str) -> None:
    start = _tune(workspace, {"kind": kind}, method="sft").run.id
    rounded, plain = (
        _tune(workspace, {"kind": kind, "rate": 1e-4, "batch_tokens": 256, **finish}, method="dpo", start=start)
        for finish in ({"finish": "Q8_0", "finish_share": 1.0}, {})
    )
    assert rounded.student.own_weights is not None
    losses = [[event["loss"] for event in run.run.events() if "loss" in event] for run in (rounded, plain)]
    assert losses[0][0] != losses[1][0], "the first step sees rounded weights"
    assert abs(losses[0][-1] - losses[1][-1]) < 0.1, "and still moves them"


def test_a_run_for_another_form_of_the_task_teaches_nobody(workspace: Workspace, tmp_path: Path) -> None:
    result = _tune(workspace, method="sft")
    other = replace(workspace.task("paint"), instruction="Name the colour.")
    with pytest.raises(TuneError, match="JM-550"):
        find_start(result.run.path, other)
    assert find_start(result.run.path, workspace.task("paint")).id == result.run.id


def test_a_dataset_is_prepared_for_the_output_as_it_is(tmp_path: Path, tiny_gguf: Path) -> None:
    folder = make_project(tmp_path / "project", tiny_gguf)
    file = folder / "tasks/paint.yaml"
    before, after = file.read_text(), file.read_text().replace("green, blue]", "green, blue, black]")
    with open_workspace(folder) as opened:
        fill_project(opened)
        names = [load_material(opened, "paint").dataset]
    for text in (after, before):
        file.write_text(text)
        with open_workspace(folder) as opened:
            with pytest.raises(DataError, match="JM-354"):
                load_material(opened, "paint")
            prepare_task(opened, "paint")
            names.append(load_material(opened, "paint").dataset)
    assert names[0] == names[2] != names[1], "the same rows for the same output are the same dataset"


def test_rows_without_an_answer_concern_only_who_learns_from_them(tmp_path: Path, tiny_gguf: Path) -> None:
    """A released student's own calls are such rows: they make neither its dataset nor its run another one."""
    folder = make_project(tmp_path / "project", tiny_gguf)
    runs: list[list[str]] = []
    for seed in (5, 6):
        write_rows(folder / "open.jsonl", [{"input": row["input"]} for row in paint_rows(4, seed)])
        with open_workspace(folder) as opened:
            import_sources(opened, "paint", [str(folder / "sealed.jsonl")], split="test")
            import_sources(opened, "paint", [str(folder / "train.jsonl"), str(folder / "open.jsonl")])
            prepare_task(opened, "paint")
            assert len(load_material(opened, "paint").splits["unlabelled"]) == 4 * (len(runs) + 1)
            runs.append([_tune(opened, method=method).run.id for method in ("sft", "reject")])
    assert runs[0][0] == runs[1][0]
    assert runs[0][1] != runs[1][1]


@pytest.mark.parametrize("kind", ["qlora", "rslora", "dora", "full"])
def test_kinds_of_weights(workspace: Workspace, kind: str) -> None:
    result = _tune(workspace, {"kind": kind, "layers": 1}, method="sft")
    assert result.student.manifest.kind == ("full" if kind in ("dora", "full") else "lora")
    assert (result.student.own_weights is None) == (kind in ("qlora", "rslora"))
    assert result.parity["prompt_mismatches"] == 0


def test_codes_answer_in_one_token_with_every_probability(workspace: Workspace, tmp_path: Path) -> None:
    result = _tune(workspace, answers="codes")
    codes = result.student.writing
    assert isinstance(codes, Codes)
    assert len(codes.answers) == 6
    assert result.parity["prompt_mismatches"] == 0
    shown = show_mask(workspace, "paint", {}, 3, form="codes")
    assert all(row.spans[-1][1].rstrip() for row in shown)
    assert all(sum(token.weight > 0 for token in row.tokens) == 2 for row in shown), "a code and the end of the turn"
    reply = asyncio.run(_ask(result.student, {"line": "two red cars"}))
    assert read_answer(workspace.task("paint"), reply.text)[0] is not None
    assert (reply.output_tokens, {answer for answer, _value in reply.logprobs[0].top}) == (1, set(codes.answers))
    write_card(tmp_path, result.student.manifest, {}, "")
    card = (tmp_path / "README.md").read_text()
    assert all(f"| `{code}` | `{answer}` |" in card for code, answer in zip(codes.texts, codes.answers, strict=True))
    for options in ({"method": "dpo", "start": result.run.id}, {"method": "distill", "teacher": result.run.id}):
        with pytest.raises(TuneError, match="JM-545"):
            _tune(workspace, **options)
    soft = _tune(workspace, method="distill", teacher=_tune(workspace, method="sft").run.id, answers="codes")
    rows = json.loads((soft.run.path / "material.json").read_text())["rows"]
    assert soft.tuned["lesson"]["scored"] >= rows["train"]  # type: ignore[index,call-overload,operator]
    with pytest.raises(TuneError, match="JM-539"):
        _tune(workspace, method="orpo", answers="codes")


def test_lines_are_written_and_json_is_returned(workspace: Workspace, tmp_path: Path) -> None:
    plain = _tune(workspace, method="sft")
    result = _tune(workspace, {"epochs": 6}, method="sft", answers="lines")
    lines = result.student.writing
    assert isinstance(lines, Lines)
    assert result.parity["prompt_mismatches"] == 0
    shown = show_mask(workspace, "paint", {}, 90, form="lines")
    assert result.student.json_tokens == plain.student.max_tokens == plain.student.json_tokens
    label, (yes, no) = lines.labels[1], ("true", "false")
    texts = {row.spans[-1][1].removesuffix("<|im_end|>") for row in shown}
    assert texts == {f"{word}\n{label} {value}" for word in lines.words[0] for value in (yes, no)}
    reply, longer = (
        asyncio.run(_ask(student, {"line": "two red cars"})) for student in (result.student, plain.student)
    )
    assert read_answer(workspace.task("paint"), reply.text)[0] is not None
    assert reply.output_tokens * 2 < longer.output_tokens
    cut = asyncio.run(_ask(result.student, {"line": "two red cars"}, max_tokens=2))
    assert (cut.finish_reason, read_answer(workspace.task("paint"), cut.text)[0]) == ("length", None)
    write_card(tmp_path, result.student.manifest, {}, "")
    card = (tmp_path / "README.md").read_text()
    assert f"| `{label}` | `many` |" in card
    assert f'`{lines.words[0][0]}` "red"' in card
    answer = {"colour": "red", "many": True}
    read = subprocess.run(
        [sys.executable, "-I", "-S", str(tmp_path / "read_answer.py")],
        input=lines.write(json.dumps(answer, separators=(",", ":"))),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(read.stdout) == answer
    tokens = [run.tuned["dev_row_loss"] / run.tuned["dev_loss"] for run in (result, plain)]  # type: ignore[operator]
    assert 1 < tokens[0] * 2 < tokens[1], "a loss per answer, whatever its tokens"
    moved = _tune(workspace, method="dpo", start=result.run.id, answers="lines")
    assert moved.student.form == "lines"
    assert moved.tuned["lesson"]["pairs"]  # type: ignore[index,call-overload]
    for options in ({"method": "dpo", "start": result.run.id}, {"method": "distill", "teacher": result.run.id}):
        with pytest.raises(TuneError, match="JM-545"):
            _tune(workspace, **options)
    with pytest.raises(TuneError, match="JM-545"):
        _tune(workspace, method="distill", teacher=plain.run.id, answers="lines")
    base = workspace.project.text("base", "model")
    with pytest.raises(TuneError, match="JM-547 distill teaches lines only from a student that writes them"):
        _tune(workspace, method="distill", teacher=base, answers="lines")
    taught = _tune(workspace, method="distill", teacher=result.run.id, answers="lines")
    assert taught.student.writing == lines
    assert taught.tuned["lesson"]["scored"] >= taught.tuned["lesson"]["answered_by_teacher"] + 40  # type: ignore[index,call-overload,operator]


def test_text_is_read_before_the_rows_are_learned(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("The quick brown fox jumps over the lazy dog. " * 120, encoding="utf-8")
    texts = (str(tmp_path / "text.txt"),)
    result = _tune(workspace, {"rank": 4}, method="sft", texts=texts)
    (stage,) = workspace.project.runs.glob("paint-text-*")
    read = json.loads((stage / "tuned.json").read_text())
    assert read["loss"] < read["loss_before"]
    plan = json.loads((result.run.path / "plan.json").read_text())
    assert plan["rank"]["value"] == 4
    again = _tune(workspace, {"rank": 4, "rate": 1e-3}, method="sft", texts=texts)
    assert again.run.id != result.run.id
    assert len(list(workspace.project.runs.glob("paint-text-*"))) == 1, "the stage is shared"
    (tmp_path / "short.txt").write_text("too short")
    with pytest.raises(TuneError, match="JM-538"):
        _tune(workspace, {}, method="sft", texts=(str(tmp_path / "short.txt"),))


def test_rows_that_do_not_fit_are_counted(workspace: Workspace) -> None:
    material = load_material(workspace, "paint")
    writer = Writer(material.task, make_student_template(material.base.path), 60)
    with pytest.raises(TuneError, match=r"JM-505 .*81 of 81 rows are longer"):
        writer.rows(material.splits["train"])


def test_a_finish_tunes_what_is_served(workspace: Workspace) -> None:
    result = _tune(workspace, {"finish": "Q4_0", "finish_share": 0.5}, method="sft")
    assert result.student.own_weights is not None
    served = load_decoder(result.student.own_weights)
    tuned = open_start(result.run, load_decoder(Path(workspace.project.text("base", "model"))))
    for (layer, group), weight in tuned.merged.items():
        assert torch.equal(served.layers[layer].projections[group], weight)


def test_a_whole_model_is_assessed_released_and_exported(workspace: Workspace, tmp_path: Path) -> None:
    """It is the best on dev here, so `assess` chooses it."""
    result = _tune(workspace, {"kind": "full", "epochs": 30, "rate": 2e-3}, method="sft")
    assessed = assess(workspace, "paint", base_rows=3)
    assert assessed.student.hash == result.student.hash
    assert {candidate.kind for candidate in assessed.document.candidates} >= {"full", "base"}
    released = release(workspace, "paint", "tiny")
    modelfile = (released.path / "attachments/Modelfile").read_text()
    assert modelfile.startswith("FROM ./model.gguf\nTEMPLATE")
    assert 'PARAMETER stop "<|im_end|>"' in modelfile
    files = export(workspace, "paint", "gguf", tmp_path / "out").files
    assert {path.name for path in files} >= {"model.gguf", "template.jinja"}
    with pytest.raises(GateError, match="JM-629"):
        export(workspace, "paint", "peft", tmp_path / "peft")
    merged = export(workspace, "paint", "merged", tmp_path / "merged", "F16")
    assert merged.parity is not None
    assert merged.parity.prompt_mismatches == 0
    asked = journeyman(workspace.project.root, "ask", "paint", "bcdfg two red hklmn", "--json")
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout)["model"].endswith(released.hash)


@pytest.mark.parametrize(
    ("given", "request_", "code"),
    [
        ({"soft_share": 0.3}, {"method": "sft"}, "JM-502"),
        ({"kind": "tiny"}, {"method": "sft"}, "JM-502"),
        ({}, {"method": "distill"}, "JM-531"),
        ({}, {"method": "dpo", "start": "paint-tune-none"}, "JM-533"),
        ({}, {"method": "distill", "teacher": "no-such-model"}, "JM-402"),
        ({}, {"method": "kto", "teacher": "no-such-model"}, "JM-548"),
        ({}, {"method": "sft", "start": "paint-tune-none"}, "JM-549"),
        ({}, {"method": "dpo", "start": "paint-tune-none", "texts": ("no-such-file",)}, "JM-549"),
        ({"kind": "full", "rank": 4}, {"method": "sft"}, "JM-549"),
        ({"input_weight": 0.1}, {"method": "orpo"}, "JM-502"),
        ({}, {"method": "sft", "number": "fp16"}, "JM-502"),
        ({}, {"method": "sft", "threads": -1}, "JM-502"),
    ],
)
def test_what_cannot_be_is_refused(
    workspace: Workspace, given: dict[str, object], request_: dict[str, object], code: str
) -> None:
    with pytest.raises(Exception, match=code):
        _tune(workspace, given, **request_)


def test_a_search_tries_less_than_a_user_may_ask_for(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LIMITS, "epochs", (0.4, 1000))
    request = TuneRequest(method="sft", threads=1, budget_s=11)
    run = tune(workspace, "paint", {"batch_tokens": 16}, request).run
    trials = [json.loads(line) for line in (run.path / "trials.jsonl").read_text().splitlines()]
    plan = json.loads((run.path / "plan.json").read_text())
    assert min(trial["tokens"] for trial in trials) < 0.4 * plan["total_tokens"] / plan["epochs"]["value"]


def test_a_search_keeps_to_its_time_and_goes_on_where_it_was(workspace: Workspace) -> None:
    request = TuneRequest(method="sft", threads=1, budget_s=12)
    result = tune(workspace, "paint", {}, request)
    trials = (result.run.path / "trials.jsonl").read_text().splitlines()
    assert len(trials) >= 3
    plan = json.loads((result.run.path / "plan.json").read_text())
    assert plan["epochs"]["value"] > 0.5
    again = tune(workspace, "paint", {}, request)
    assert again.student.hash == result.student.hash
    assert (result.run.path / "trials.jsonl").read_text().splitlines() == trials


@pytest.mark.parametrize(("budget", "method", "code"), [(0.01, "sft", "JM-536"), (30, "dpo", "JM-537")])
def test_a_search_that_cannot_be_is_refused(workspace: Workspace, budget: float, method: str, code: str) -> None:
    with pytest.raises(TuneError, match=code):
        tune(workspace, "paint", {}, TuneRequest(method=method, threads=1, budget_s=budget))  # type: ignore[arg-type]


def test_the_mask_is_what_tuning_sees(workspace: Workspace) -> None:
    shown = journeyman(workspace.project.root, "tune", "paint", "--show-mask", "2", "--input-weight", "0.1", "--json")
    rows = json.loads(shown.stdout)["rows"]
    assert len(rows) == 2
    for row in rows:
        answer = "".join(token["text"] for token in row["tokens"] if token["weight"] == 1)
        assert json.loads(answer.removesuffix("<|im_end|>")).keys() == {"colour", "many"}
        assert {token["weight"] for token in row["tokens"]} == {0, 0.1, 1}
    plain = journeyman(workspace.project.root, "tune", "paint", "--show-mask", "1")
    assert "  loss 1   | {" in plain.stdout


def test_a_shape_that_differs_from_the_start_is_refused(workspace: Workspace) -> None:
    first = _tune(workspace, method="sft")
    with pytest.raises(TuneError, match="JM-502"):
        _tune(workspace, {"rank": 3}, method="dpo", start=first.run.id)


def test_the_method_follows_from_the_data_and_says_why(workspace: Workspace) -> None:
    result = _tune(workspace, {"epochs": 1})
    chosen = json.loads((result.run.path / "method.json").read_text())
    assert chosen["method"] == "sft", "27 pairs are too few"
    assert "pairs" in chosen["reason"]
