"""`knowledge add` and what is found, through real files, real readers and the real encoder."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

import pytest

from journeyman.cli.main import run
from journeyman.core.errors import KnowledgeError
from journeyman.flows.knowledge import add, index_path, list_documents, open_library, remove
from journeyman.flows.knowledge_eval import evaluate
from journeyman.flows.knowledge_watch import follow
from journeyman.flows.workspace import Workspace, open_workspace
from journeyman.knowledge.index.file import open_index
from journeyman.knowledge.retrieve.recipe import Recipe

pytestmark = pytest.mark.model
SAMPLES = Path(__file__).resolve().parents[3] / "shared/data/pdf_samples"
LOCKED = SAMPLES / "005-libreoffice-writer-password/libreoffice-writer-password.pdf"
PAGES = {
    "handbook/returns.md": "---\nlang: en\nyear: 2021\n---\n# Returns\n\n## Deadlines\n\nGoods may be sent back within thirty days.\n\n## Costs\n\nThe customer pays for the parcel.\n",
    "handbook/opening.html": "<html><head><title>Opening hours</title><script>alert('x')</script></head><body><h1>Opening hours</h1><p>We are open from nine to five.</p></body></html>",
    "handbook/prices.csv": "item,price\nlamp,12\nchair,40\n",
    "handbook/notes/plain.txt": "The boiler in the cellar is serviced every spring.\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "journeyman.toml").touch()
    for name, text in PAGES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def first(workspace: Workspace, question: str, **where: object) -> tuple[str, str]:
    with open_library(workspace) as library:
        found = library.find(question, Recipe(top=1), where or None)  # type: ignore[arg-type]
        return library.index.document(found[0].piece.document).name, found[0].text


def test_what_is_new_is_read_what_is_not_costs_nothing_and_what_is_gone_leaves(project: Path) -> None:
    handbook = str(project / "handbook")
    with open_workspace(project) as workspace:
        done = add(workspace, [handbook])[0].done
        assert (done.added, done.changed, done.unchanged, done.removed, done.refused) == (4, 0, 0, 0, [])
        assert first(workspace, "until when can I return something?")[0] == "handbook/returns.md"
        assert first(workspace, "when is the shop open?") == (
            "handbook/opening.html",
            "Opening hours\n\nWe are open from nine to five.",
        )
        assert "script" not in json.dumps([first(workspace, "alert script")[1]])
        assert first(workspace, "sent back", lang="en", year={"gte": 2020})[0] == "handbook/returns.md"
        again = add(workspace, [handbook])[0].done
        assert (again.added, again.unchanged, again.chunks, again.embedded) == (0, 4, 0, 0)
        (project / "handbook/returns.md").write_text(PAGES["handbook/returns.md"].replace("thirty", "forty"))
        (project / "handbook/prices.csv").unlink()
        os.utime(project / "handbook/opening.html")
        third = add(workspace, [handbook])[0].done
        assert (third.added, third.changed, third.unchanged, third.removed, third.embedded) == (0, 1, 2, 1, 1)
        assert "forty days" in first(workspace, "until when can I return something?")[1]
        copied = project / "copy/plain.txt"
        copied.parent.mkdir()
        copied.write_text(PAGES["handbook/notes/plain.txt"])
        assert add(workspace, [str(copied)])[0].done.embedded == 0


def test_a_bad_file_is_listed_and_the_rest_goes_on(project: Path) -> None:
    (project / "handbook/broken.pdf").write_bytes(b"%PDF-1.7 and nothing else")
    (project / "handbook/picture.bin").write_bytes(bytes(range(256)) * 40)
    (project / "handbook/broken.docx").write_bytes(b"PK\x03\x04 no archive")
    with open_workspace(project) as workspace:
        done = add(workspace, [str(project / "handbook"), str(project / "nowhere")])
        refused = {item.name: item.code for part in done for item in part.done.refused}
        assert set(refused) == {
            "handbook/broken.pdf",
            "handbook/picture.bin",
            "handbook/broken.docx",
            str(project / "nowhere"),
        }
        assert all(code.startswith("JM-9") for code in refused.values())
        assert done[0].done.added == 4
        again = add(workspace, [str(project / "handbook")])[0].done
        assert len(again.refused) == 3
        assert again.unchanged == 4


def test_standard_input_has_a_name(project: Path) -> None:
    with open_workspace(project) as workspace:
        added = add(
            workspace, ["-"], stdin=lambda: b"# Keys\n\nThe spare key lies below the stone.\n", stdin_name="keys.md"
        )
        assert added[0].done.added == 1
        assert first(workspace, "where is the spare key?") == (
            "keys.md",
            "Keys\n\nThe spare key lies below the stone.",
        )


def test_names_of_indexes_are_names_of_files(project: Path) -> None:
    with open_workspace(project) as workspace:
        for name in ("", "../x", "a/b", "ü", "a b"):
            with pytest.raises(KnowledgeError, match="JM-956"):
                index_path(workspace, name)
        with (
            pytest.raises(KnowledgeError, match=r"JM-950(.|\n)*journeyman knowledge add"),
            open_library(workspace, "other"),
        ):
            pass


def test_a_killed_add_goes_on_where_it_stopped(project: Path) -> None:
    for number in range(300):
        (project / f"handbook/{number:03}.txt").write_text(
            f"Entry {number} tells of the {number}th lamp in the hall. " * 20
        )
    command = [sys.executable, "-m", "journeyman", "knowledge", "add", "handbook", "--json"]
    path = project / ".journeyman/knowledge/documents.db"
    process = subprocess.Popen(
        command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    began = time.monotonic()
    before: set[str] = set()
    while len(before) < 5 and time.monotonic() - began < 120:
        time.sleep(0.05)
        if path.is_file() and path.stat().st_size:
            try:
                with open_index(path) as index:
                    before = {item.origin.name for item in index.documents()}
            except KnowledgeError:  # its tables are being made
                continue
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    with open_index(path) as index:
        kept = {item.origin.name for item in index.documents()}
        assert index.rows("PRAGMA integrity_check")[0][0] == "ok"
    assert before <= kept
    assert len(kept) < 304, "it was killed too late to show anything"
    ended = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
    done = json.loads(ended.stdout)["added"][0]
    assert done["unchanged"] == len(kept)
    assert done["added"] == 304 - len(kept)


def test_a_folder_is_followed(project: Path) -> None:
    with open_workspace(project) as workspace:
        add(workspace, [str(project / "handbook")])
        changes = follow(workspace, [str(project / "handbook")])
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"import time; time.sleep(1.5); open({str(project / 'handbook/new.txt')!r}, 'w').write('A new lamp.')",
            ]
        )
        assert next(changes)[0].done.added == 1
        assert process.wait() == 0
        with pytest.raises(KnowledgeError, match="JM-957"):
            next(follow(workspace, ["-", str(project / "gone")]))


def test_recipes_are_compared_on_questions_from_a_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[dict[str, object]] = [
        {
            "question": "until when can I return something?",
            "document": "handbook/returns.md",
            "quote": "within THIRTY days",
        },
        {
            "question": "who pays for the parcel?",
            "gold": [{"document": "handbook/returns.md", "start": 90, "end": 110}],
        },
        {
            "question": "what does a lamp cost?",
            "document": "handbook/prices.csv",
            "quote": "lamp,12",
            "where": {"media": "text/csv"},
        },
    ]
    path = project / "questions.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    with open_workspace(project) as workspace:
        add(workspace, [str(project / "handbook")])
        compared = evaluate(workspace, path)
        assert {row.name for row in compared.rows} >= {"words", "vectors"}
        assert all(row.n == 3 for row in compared.rows)
        assert max(row.recall.value for row in compared.rows) == 1
        for bad, code in (
            ({"question": "x", "document": "nowhere.md", "quote": "x"}, "JM-961"),
            ({"question": "x", "document": "handbook/returns.md", "quote": "within ninety years of it"}, "JM-962"),
            ({"question": "x", "document": "handbook/returns.md", "start": 5, "end": 9_999}, "JM-960"),
            ({"question": "", "document": "handbook/returns.md", "quote": "x"}, "JM-960"),
            ({"question": "x", "document": "handbook/returns.md", "quot": "x"}, "JM-960"),
        ):
            path.write_text(json.dumps(bad))
            with pytest.raises(KnowledgeError, match=f"{code} .*questions.jsonl:1"):
                evaluate(workspace, path)
        path.write_text("")
        with pytest.raises(KnowledgeError, match="JM-959"):
            evaluate(workspace, path)
    path.write_text("\n".join(json.dumps(row) for row in rows))
    monkeypatch.chdir(project)
    assert run(["knowledge", "eval", "questions.jsonl", "--json"]) == 0
    assert run(["knowledge", "eval", "questions.jsonl"]) == 0
    assert run(["knowledge", "search", "opening hours", "--where", "media=text/html", "--window", "1"]) == 0
    assert run(["knowledge", "list"]) == 0


def test_what_cannot_be_looked_at_stays_and_what_is_taken_out_leaves(project: Path) -> None:
    handbook = project / "handbook"
    with open_workspace(project) as workspace:
        add(workspace, [str(handbook)])
        handbook.rename(project / "away")
        gone = add(workspace, [str(handbook)])[0].done
        assert (gone.removed, [item.code[:4] for item in gone.refused]) == (0, ["JM-9"])
        assert len(list_documents(workspace)) == 4
        (project / "away").rename(handbook)
        again = add(workspace, [str(handbook)])[0].done
        assert (again.unchanged, again.embedded) == (4, 0)
        assert remove(workspace, [str(handbook / "notes")]) == 1
        assert {item.origin.name for item in list_documents(workspace)} == set(PAGES) - {"handbook/notes/plain.txt"}
        with pytest.raises(KnowledgeError, match="JM-963"):
            remove(workspace, [str(handbook / "hand")])
        for path in list(handbook.rglob("*.*")):
            path.unlink()
        emptied = add(workspace, [str(handbook)])[0].done
        assert (emptied.removed, list_documents(workspace)) == (3, [])
        add(workspace, ["-"], stdin=lambda: b"one", stdin_name="a.txt")
        assert remove(workspace, ["-"]) == 1


def test_documents_alone_are_counted_as_they_leave(project: Path) -> None:
    (project / "handbook/notes/broken.pdf").write_bytes(b"%PDF-1.7 and nothing else")
    with open_workspace(project) as workspace:
        assert len(add(workspace, [str(project / "handbook")])[0].done.refused) == 1
        assert remove(workspace, [str(project / "handbook/notes")]) == 1
        with open_library(workspace) as library:
            assert library.index.refusals() == []


def test_vectors_of_another_encoder_are_not_compared_with(project: Path) -> None:
    with open_workspace(project) as workspace:
        add(workspace, [str(project / "handbook")])
        with open_library(workspace, is_writer=True) as library, library.index.writing() as connection:
            connection.execute("UPDATE meta SET value = 'another' WHERE key = 'embedder'")
        for is_writer in (False, True):
            with (
                open_library(workspace, is_writer=is_writer) as library,
                pytest.raises(KnowledgeError, match=r"JM-953(.|\n)*expected: another(.|\n)*--anew"),
            ):
                library.find("when is the shop open?")


def make_mail(subject: str, *files: tuple[str, bytes]) -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"], mail["From"] = subject, "anne@example.org"
    mail.set_content("See what is attached.")
    for file, data in files:
        mail.add_attachment(data, maintype="application", subtype="octet-stream", filename=file)
    return mail


def test_what_came_with_a_mail_comes_and_leaves_with_it(project: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("terms.txt", "The guarantee lasts for seven years.")
    inner = make_mail("Inner", ("deep.txt", b"The ferry leaves at dawn."))
    mail = make_mail("Bill", ("bill.txt", b"You owe 311 guilders."), ("x.bin", bytes(range(256))))
    mail.add_attachment(inner)
    mail.add_attachment(packed.getvalue(), maintype="application", subtype="zip", filename="pack.zip")
    post = project / "post"
    post.mkdir()
    (post / "a.eml").write_bytes(mail.as_bytes())
    (post / "box.mbox").write_bytes(b"From a@b.c Mon Jan  1 00:00:00 2024\n" + mail.as_bytes() + b"\n")
    mails = {f"post/{name}" for name in ("a.eml", "box.mbox/000001.eml")}
    below = ("", "/bill.txt", "/message.eml", "/message.eml/deep.txt", "/pack.zip/terms.txt")
    with open_workspace(project) as workspace:
        done = add(workspace, [str(post)])[0].done
        documents = {item.origin.name: item for item in list_documents(workspace)}
        assert set(documents) == {mail + end for mail in mails for end in below}
        assert {(item.name, item.code) for item in done.refused} == {(f"{mail}/x.bin", "JM-958") for mail in mails}
        assert documents["post/a.eml/bill.txt"].facts == {"modified": documents["post/a.eml"].facts["modified"]}
        assert first(workspace, "how long does the guarantee last?")[0].endswith("eml/pack.zip/terms.txt")
        again = add(workspace, [str(post)])[0].done
        assert (again.added, again.unchanged, again.removed, len(again.refused)) == (0, 10, 0, 2)
        with open_library(workspace, is_writer=True) as library:  # as a killed run leaves it
            library.index.remove("post", ["post/a.eml/message.eml/deep.txt", "post/a.eml/pack.zip/terms.txt"])
        mended = add(workspace, [str(post)])[0].done
        assert (mended.added, mended.unchanged, mended.removed) == (2, 8, 0)
        (post / "a.eml").write_bytes(make_mail("Bill", ("bill.txt", b"You owe 312 guilders.")).as_bytes())
        changed = add(workspace, [str(post)])[0].done
        assert (changed.changed, changed.removed, len(changed.refused)) == (2, 3, 1)
        (post / "box.mbox").unlink()
        assert add(workspace, [str(post)])[0].done.removed == 5
        assert remove(workspace, [str(post / "a.eml")]) == 2


def test_mails_in_mails_end(project: Path) -> None:
    mail = make_mail("0", ("bill.txt", b"You owe 311 guilders."))
    for number in range(1, 5):
        outer = make_mail(str(number))
        outer.add_attachment(mail)
        mail = outer
    (project / "nest.eml").write_bytes(mail.as_bytes())
    with open_workspace(project) as workspace:
        done = add(workspace, [str(project / "nest.eml")])[0].done
        assert (done.added, [(item.name.count("/"), item.code) for item in done.refused]) == (3, [(3, "JM-905")])
        again = add(workspace, [str(project / "nest.eml")])[0].done
        assert (again.added, again.unchanged, again.changed, len(again.refused)) == (0, 3, 0, 1)


def test_what_a_password_opens_is_read_at_the_next_run(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not LOCKED.is_file():
        pytest.skip("shared/data/pdf_samples is not here")
    (project / "handbook/locked.pdf").write_bytes(LOCKED.read_bytes())
    with open_workspace(project) as workspace:
        monkeypatch.delenv("KNOWLEDGE_PASSWORDS", raising=False)
        assert [item.code for item in add(workspace, [str(project / "handbook")])[0].done.refused] == ["JM-920"]
        monkeypatch.setenv("KNOWLEDGE_PASSWORDS", "wrong\nopenpassword\n")
        done = add(workspace, [str(project / "handbook")])[0].done
        assert (done.added, done.unchanged, done.refused) == (1, 4, [])
        monkeypatch.delenv("KNOWLEDGE_PASSWORDS")
        assert add(workspace, [str(project / "handbook")])[0].done.unchanged == 5


VAULT = {
    "vault/Trip.md": "# Trip\n\nThe trip to the lighthouse. ![[Boat#Times]]\n\nSee [[Boat|the boat]], [[Rules#Dogs]], [[Gone]], [the web](https://example.org/), [[scan.bin]].\n",
    "vault/Boat.md": "---\naliases: [Ferry]\n---\n# Boat\n\n## Times\n\nIt leaves at dawn, back to [[Trip]].\n",
    "vault/new/Rules.md": "# Rules\n\nNo smoking.\n",
    "vault/old/Rules.md": "# Rules\n\nSmoking.\n",
}


def test_links_are_shown_from_the_index_alone_and_follow_what_changes(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in VAULT.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    (project / "vault/scan.bin").write_bytes(bytes(range(256)) * 40)
    monkeypatch.chdir(project)

    def ask(*arguments: str, status: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        assert run(["knowledge", *arguments, "--json"]) == status
        return cast(dict[str, Any], json.loads(capsys.readouterr().out))

    assert run(["knowledge", "add", "vault"]) == 0
    shutil.move("vault", "away")  # from the index alone
    told = ask("links", "trip")
    assert told["document"] == "vault/Trip.md"
    assert [(link["line"], link["target"], link["kind"], link["status"]) for link in told["links"]] == [
        (3, "Boat#Times", "embed", "found"),
        (5, "Boat", "link", "found"),
        (5, "Rules#Dogs", "link", "no such part"),
        (5, "Gone", "link", "dead"),
        (5, "https://example.org/", "link", "outside"),
        (5, "scan.bin", "link", "not read"),
    ]
    times = told["links"][0]["place"]
    assert (times["document"], times["text"]) == ("vault/Boat.md", "Times It leaves at dawn, back to [[Trip]].")
    assert told["links"][2]["others"] == ["vault/old/Rules.md"]
    assert told["links"][5]["why"].startswith("JM-958")
    assert [(link["source"], link["line"], link["target"]) for link in told["backlinks"]] == [
        ("vault/Boat.md", 8, "Trip")
    ]
    assert len(ask("links", "ferry")["backlinks"]) == 2
    bad = ask("links")
    assert (bad["links"], [link["target"] for link in bad["bad"]]) == (6, ["Rules#Dogs", "Gone", "scan.bin"])
    for missing, code in (("Trap", "JM-995"), ("Rules", "JM-996")):
        capsys.readouterr()
        assert run(["knowledge", "links", missing]) == 2
        said = capsys.readouterr().err
        assert code in said
        assert "vault/" in said
    assert run(["knowledge", "links", "Trip"]) == 0
    assert "[[Gone]]  leads nowhere" in capsys.readouterr().out
    assert run(["knowledge", "links"]) == 0
    assert "6 links between documents, 3 lead nowhere" in capsys.readouterr().out
    shutil.move("away", "vault")
    (project / "vault/Gone.md").write_text("# Gone\n\nBack again.\n")
    (project / "vault/new/Rules.md").write_text("# Rules\n\n## Dogs\n\nOn a leash.\n")
    (project / "vault/old/Rules.md").unlink()
    assert ask("add", "vault")["added"][0]["unchanged"] == 2
    assert [link["status"] for link in ask("links", "Trip")["links"][:4]] == ["found"] * 4
    assert len(ask("links", "Gone")["backlinks"]) == 1


def test_a_passage_is_read_with_what_it_embeds(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in VAULT.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    monkeypatch.chdir(project)
    assert run(["knowledge", "add", "vault"]) == 0
    capsys.readouterr()
    asked = ["knowledge", "search", "trip to the lighthouse", "--top", "1", "--embeds"]
    assert run([*asked, "--json"]) == 0
    passages = json.loads(capsys.readouterr().out)["passages"]
    assert [(item["document"], item["embedded"]) for item in passages] == [
        ("vault/Trip.md", False),
        ("vault/Boat.md", True),
    ]
    boat = passages[1]
    assert VAULT["vault/Boat.md"][boat["start"] : boat["end"]] == boat["text"]
    assert boat["text"].startswith("Times\n\nIt leaves at dawn")
    assert run(asked) == 0
    assert "(embedded above)" in capsys.readouterr().out
