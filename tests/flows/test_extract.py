"""`journeyman extract` on invoices that the example makes, with a provider on loopback as the teacher that knows the truth of some and invents the rest."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from journeyman.cli.main import run
from journeyman.core.errors import KnowledgeError
from journeyman.flows.answers import open_desk
from journeyman.flows.extracting import Extracted, Outcome, Unread, extract, write_rows
from journeyman.flows.workspace import open_workspace
from journeyman.gateway.answer import Answer, Wishes
from journeyman.measure.calibrators import Calibrator
from tests.flows.conftest import Loop
from tests.flows.providers import provider

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/invoices"
INVENTED = {"due": "1999-01-31"}


@pytest.fixture(scope="module")
def maker() -> Any:
    spec = importlib.util.spec_from_file_location("make_files", EXAMPLE / "make_files.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_files"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path: Path, maker: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four invoices with their values, a file that is none, one that is empty."""
    shutil.copytree(EXAMPLE / "tasks", tmp_path / "tasks")
    (tmp_path / "journeyman.toml").write_text('[knowledge]\nocr = "off"\n')
    monkeypatch.setattr(sys, "argv", ["make_files", "--train", "4", "--sealed", "0", "--out", str(tmp_path)])
    maker.main()
    (tmp_path / "train/broken.pdf").write_bytes(b"%PDF-1.7 and nothing else")
    (tmp_path / "train/empty.txt").write_text("   ")
    return tmp_path


def truths(project: Path) -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in sorted((project / "train").glob("*.json"))}


@pytest.fixture
def teacher(project: Path) -> Iterator[list[dict[str, Any]]]:
    """Says what is true of the invoice whose number it reads, and a due date that stands nowhere where there is none."""
    known = truths(project)

    def answer(body: dict[str, Any]) -> tuple[int, str]:
        text = body["messages"][-1]["content"]
        truth = next((one for one in known.values() if one["number"] in text), None)
        if truth is None:
            return 500, "down"
        return 200, json.dumps(truth | ({} if truth["due"] else INVENTED))

    with provider(project, answer) as seen:
        yield seen


def test_documents_become_placed_values_and_bad_files_stop_nothing(
    project: Path, teacher: list[dict[str, Any]], capfd: pytest.CaptureFixture[str]
) -> None:
    known = truths(project)
    page = project / "page.html"
    words = ["extract", "invoices", str(project / "train"), "--project", str(project), "--html", str(page), "--json"]
    assert run(words) == 1
    said = json.loads(capfd.readouterr().out)
    assert len(teacher) == 4
    assert [one["name"] for one in said["documents"]] == [f"train/{number:04}.pdf" for number in range(1, 5)]
    for one in said["documents"]:
        truth = known[Path(one["name"]).stem]
        assert one["answer"] == truth == one["truth"]
        assert {value["status"] for value in one["values"] if value["path"] != ["due"]} <= {
            "exact",
            "normalized",
            "typed",
        }
        assert all(value["page"] == 1 and value["boxes"] for value in one["values"] if value["status"] != "ungrounded")
        (due,) = [value for value in one["values"] if value["path"] == ["due"]]
        assert (due["status"] == "ungrounded") == (truth["due"] is None)
    assert any(truth["due"] is None for truth in known.values())
    assert {(one["name"], one["code"]) for one in said["unread"]} == {
        ("train/broken.pdf", "JM-921"),
        ("train/empty.txt", "JM-984"),
    }
    assert said["scores"]["all_right"]["value"] == 1.0
    assert said["scores"]["fields"]["items[].amount"]["f1"]["value"] == 1.0
    written = page.read_text()
    assert written.count("<h2>") == 6
    assert '<mark class="typed"' in written


def test_what_came_with_a_mail_is_extracted_too(project: Path, teacher: list[dict[str, Any]]) -> None:
    mail = EmailMessage()
    mail["Subject"] = "Your bill"
    mail.set_content("See what is attached.")
    bill = (project / "train/0001.pdf").read_bytes()
    mail.add_attachment(bill, maintype="application", subtype="pdf", filename="bill.pdf")
    mail.add_attachment(b"PK\x03\x04 and nothing else", maintype="application", subtype="zip", filename="broken.zip")
    post = project / "post"
    post.mkdir()
    (post / "a.eml").write_bytes(mail.as_bytes())
    (post / "a.json").write_text(json.dumps(truths(project)["0001"]))
    heard: list[Outcome] = []
    with open_workspace(project) as workspace:
        extract(workspace, "invoices", [str(post)], heard.append)
        rows = write_rows(workspace, "invoices", [str(post)], project / "rows.jsonl")
    (read,) = [one for one in heard if isinstance(one, Extracted)]
    assert (read.document.name, read.answer["number"]) == ("post/a.eml/bill.pdf", truths(project)["0001"]["number"])
    unread = {(one.name, one.code) for one in heard if isinstance(one, Unread)}
    assert {name for name, _ in unread} == {"post/a.eml", "post/a.eml/broken.zip"}
    assert (rows.documents, [one.name for one in rows.unread]) == (1, ["post/a.eml/broken.zip"])


def test_a_teacher_that_fails_for_one_document_fails_it_alone(
    project: Path, teacher: list[dict[str, Any]], capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "train/0002.json").write_text('{"number": 5}')
    (project / "other.txt").write_text("A letter about nothing.")
    words = ["extract", "invoices", "train/0001.pdf", "other.txt", "--keep-ungrounded"]
    assert run([*(str(project / word) if "." in word else word for word in words), "--project", str(project)]) == 1
    said = capfd.readouterr().out
    assert truths(project)["0001"]["number"] in said
    assert "not read: other.txt: JM-" in said
    outcomes: list[Outcome] = []
    with open_workspace(project) as workspace:
        extract(workspace, "invoices", [str(project / "train")], outcomes.append)
    codes = {one.name: one.code for one in outcomes if isinstance(one, Unread)}
    assert codes["train/0002.pdf"] == "JM-981"
    assert sum(isinstance(one, Extracted) for one in outcomes) == 3


LETTERS = """\
edition: 1
name: letters
instruction: Read number and rows.
input: {text: string}
output:
  number: string?
  rows: [{name: string, amount: number}]
"""


def read_letter(body: dict[str, Any]) -> tuple[int, str]:
    """What a window says, without mistake."""
    lines = body["messages"][-1]["content"].splitlines()
    number = next((line.removeprefix("No. ") for line in lines if line.startswith("No. ")), None)
    cells = [line.split(" | ") for line in lines if " | " in line and not line.startswith("name")]
    rows = [{"name": name, "amount": float(amount)} for name, amount in cells]
    return 200, json.dumps({"number": number, "rows": rows})


def test_a_long_document_is_asked_about_in_windows_and_read_as_one(project: Path) -> None:
    (project / "tasks/letters.yaml").write_text(LETTERS)
    rows = [(f"thing {number % 7}", number % 11 + 0.5) for number in range(80)]
    plain = "\n".join(f"{name} | {amount}" for name, amount in rows)
    (project / "long.txt").write_text(f"No. A-1\n\n{plain}\n\nNo. B-2\n")
    outcomes: list[Outcome] = []
    with provider(project, read_letter) as seen, open_workspace(project) as workspace:
        extract(workspace, "letters", [str(project / "long.txt")], outcomes.append, most=120)
    (one,) = outcomes
    assert isinstance(one, Extracted)
    assert one.windows == len(seen) > 4
    said = [{"name": name, "amount": amount} for name, amount in rows]
    assert one.answer == {"number": "A-1", "rows": said}
    (conflict,) = one.conflicts
    assert (conflict.path, conflict.value, [other.value for other in conflict.others]) == (("number",), "A-1", ["B-2"])


def test_a_student_says_how_sure_it_is_of_each_value(loop: Loop, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(loop.folder, tmp_path / "project"))
    (folder / "line.txt").write_text("bcdfg hklmn two red prstv zbcdf")
    outcomes: list[Outcome] = []
    with open_workspace(folder) as workspace:
        extract(workspace, "paint", [str(folder / "line.txt")], outcomes.append)
    (one,) = outcomes
    assert isinstance(one, Extracted)
    assert one.releases
    assert [value.path for value in one.placed] == [("colour",), ("many",)]
    assert all(value.confidence is not None and 0 < value.confidence <= 1 for value in one.placed)
    assert one.placed[0].status == ("exact" if one.placed[0].value == "red" else "chosen")
    (release,) = (folder / ".journeyman/releases/paint").iterdir()
    evaluation = json.loads(next(release.rglob("evaluation.json")).read_text())
    part = evaluation["field_confidence"]
    fit = Calibrator(part["kind"], tuple(part["points"]))
    assert part["fitted"] % 2 == part["n"] % 2 == 0, "two values of each row"

    async def ask() -> Answer:
        async with AsyncExitStack() as stack:
            with open_workspace(folder) as workspace:
                desk = await open_desk(stack, workspace, workspace.task("paint"))
                return await desk.ask({"line": one.document.text}, "ask", Wishes(confidence=True))

    said = asyncio.run(ask())
    assert said.confidence is not None
    assert {value.path[0]: value.confidence for value in one.placed} == said.calibrated_fields
    assert said.calibrated_fields == {name: float(fit(sure)) for name, sure in said.confidence.fields.items()}


def test_documents_with_truths_become_rows(project: Path) -> None:
    with open_workspace(project) as workspace:
        done = write_rows(workspace, "invoices", [str(project / "train")], project / "rows.jsonl")
        rows = [json.loads(line) for line in (project / "rows.jsonl").read_text().splitlines()]
        assert (done.count, done.documents, done.unread) == (4, 4, ())
        assert [row["gold"] for row in rows] == list(truths(project).values())
        assert all(row["gold"]["number"] in row["input"]["document"] for row in rows)
        cut = write_rows(workspace, "invoices", [str(project / "train")], project / "cut.jsonl", most=60)
        assert cut.count > cut.documents == 4
        with pytest.raises(KnowledgeError, match="JM-983"):
            write_rows(workspace, "invoices", [str(project / "train/empty.txt")], project / "none.jsonl")
        (project / "tasks/none").mkdir()
        with pytest.raises(KnowledgeError, match="JM-982"):
            write_rows(workspace, "invoices", [str(project / "tasks/none")], project / "none.jsonl")


def test_a_task_without_a_document_is_refused(project: Path) -> None:
    (project / "tasks/plain.yaml").write_text(
        "edition: 1\nname: plain\ninstruction: Say it.\ninput: {a: string, b: string}\noutput: text\n"
    )
    with open_workspace(project) as workspace, pytest.raises(KnowledgeError, match="JM-980"):
        extract(workspace, "plain", [str(project / "train")], lambda _outcome: None)


def test_the_two_folders_share_no_vendor_and_no_layout(maker: Any) -> None:
    train = maker.make_vendors(1, maker.TRAIN_LAYOUTS, 0)
    sealed = maker.make_vendors(1, maker.SEALED_LAYOUTS, 1)
    assert not {one.name for one in train} & {one.name for one in sealed}
    assert not set(maker.TRAIN_LAYOUTS) & set(maker.SEALED_LAYOUTS)
    assert {one.language for one in train} == {one.language for one in sealed} == set(maker.LANGUAGES)
