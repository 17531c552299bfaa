from __future__ import annotations

import io
import os
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.parse.archive import Limits, open_archive
from journeyman.knowledge.parse.sources import Refused, find_sources, unpack
from journeyman.knowledge.source import Source


def make_zip(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return packed.getvalue()


def sort(found: list[Source | Refused]) -> tuple[dict[str, Source], dict[str, Refused]]:
    taken = {one.name: one for one in found if isinstance(one, Source)}
    refused = {one.name: one for one in found if isinstance(one, Refused)}
    assert len(taken) + len(refused) == len(found)
    return taken, refused


def fill(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def test_a_folder_comes_sorted_without_what_is_hidden(tmp_path: Path) -> None:
    names = ["z.md", "b/c.txt", "a.md", ".git/config", ".obsidian/app.json", "node_modules/x/readme.md", ".env", "b/.x"]
    docs = fill(tmp_path / "docs", dict.fromkeys(names, b"text"))
    found = list(find_sources([docs]))
    assert [one.name for one in found] == ["docs/a.md", "docs/b/c.txt", "docs/z.md"]
    taken, refused = sort(found)
    assert not refused
    assert taken["docs/a.md"].read() == b"text"
    state = (docs / "a.md").stat()
    assert taken["docs/a.md"].stamp == f"{state.st_mtime_ns}:4"
    assert str(taken["docs/a.md"].facts["modified"]).endswith("+00:00")


def test_links_are_not_followed_out_of_the_folder_or_in_circles(tmp_path: Path) -> None:
    docs = fill(tmp_path / "docs", {"a.md": b"a", "sub/b.md": b"b", ".store/c": b"c"})
    fill(tmp_path / "private", {"secret.md": b"s"})
    (docs / "out").symlink_to(tmp_path / "private")
    (docs / "out.md").symlink_to(tmp_path / "private" / "secret.md")
    (docs / "circle").symlink_to(docs)
    (docs / "sub" / "again.md").symlink_to(docs / "a.md")
    (docs / "self").symlink_to(docs / "self")
    (docs / "kept.md").symlink_to(docs / ".store" / "c")
    taken, refused = sort(list(find_sources([docs])))
    assert list(taken) == ["docs/a.md", "docs/kept.md", "docs/sub/b.md"]
    assert sorted(refused) == ["docs/out", "docs/out.md", "docs/self"]
    assert all(one.code == "JM-901" and "leads out" in one.reason for one in refused.values())


def test_globs_and_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docs = fill(tmp_path / "docs", {"a.md": b"a", "b.txt": b"b", "sub/c.md": b"c", "sub/.d.md": b"d", "[x].md": b"x"})
    (docs / "loop").symlink_to(docs)

    def names(*given: str) -> list[str]:
        return [one.name for one in find_sources(given)]

    monkeypatch.chdir(tmp_path)
    assert names("docs/*.md") == ["docs/[x].md", "docs/a.md"]
    assert names("docs/**/*.md") == ["docs/[x].md", "docs/a.md", "docs/sub/c.md"]
    assert names(f"{docs}/**") == ["docs/[x].md", "docs/a.md", "docs/b.txt", "docs/sub/c.md"]
    assert names("docs/[x].md", "docs/s*") == ["[x].md", "docs/sub/c.md"]
    (nothing,) = find_sources(["docs/*.pdf"])
    assert isinstance(nothing, Refused)
    assert "no new file fits" in nothing.reason
    (nothing,) = find_sources(["gone.md"])
    assert isinstance(nothing, Refused)
    assert nothing.reason == "this cannot be read: nothing there"


def test_a_file_comes_once_and_a_name_once(tmp_path: Path) -> None:
    first, second = fill(tmp_path / "1", {"a.md": b"1"}), fill(tmp_path / "2", {"a.md": b"2"})
    taken, refused = sort(list(find_sources([first / "a.md", first / "a.md", second / "a.md"])))
    assert taken["a.md"].read() == b"1"
    assert refused["a.md"].code == "JM-911"


def test_large_special_and_vanished_files_are_said(tmp_path: Path) -> None:
    docs = fill(tmp_path / "docs", {"large.md": b"x" * 101, "gone.md": b"x", "grown.md": b"x"})
    os.mkfifo(docs / "pipe")
    taken, refused = sort(list(find_sources([docs], Limits(file_bytes=100))))
    assert refused["docs/large.md"].code == "JM-902"
    assert refused["docs/pipe"].reason == "this cannot be read: a pipe, socket or device"
    (docs / "gone.md").unlink()
    with pytest.raises(KnowledgeError, match="JM-901"):
        taken["docs/gone.md"].read()
    (docs / "grown.md").write_bytes(b"x" * 101)
    with pytest.raises(KnowledgeError, match="JM-902"):
        taken["docs/grown.md"].read()


def test_archives_are_unpacked_two_deep(tmp_path: Path) -> None:
    third = make_zip({"deep.md": b"deep"})
    second = make_zip({"in.md": b"in", "third.zip": third})
    first = make_zip({"b/a.md": b"a", "second.zip": second, ".hidden": b"h", "__MACOSX/x": b"m", "empty/": b""})
    (tmp_path / "pack.zip").write_bytes(first)
    taken, refused = sort(list(find_sources([tmp_path / "pack.zip"])))
    assert list(taken) == ["pack.zip/b/a.md", "pack.zip/second.zip/in.md"]
    assert {name: source.read() for name, source in taken.items()} == {
        "pack.zip/b/a.md": b"a",
        "pack.zip/second.zip/in.md": b"in",
    }
    assert taken["pack.zip/b/a.md"].stamp == "e8b7be43:1"
    assert refused["pack.zip/second.zip/third.zip"].reason.endswith("an archive 2 archives deep")
    assert next(one.name for one in unpack("stdin", first)) == "stdin/b/a.md"


def test_members_that_lead_out_or_are_encrypted_or_damaged_are_said() -> None:
    packed = make_zip({"../up.md": b"x", "/root.md": b"x", "C:/x.md": b"x", "fine.md": b"fine", "z.md": b"z"}, 0)
    broken = bytearray(packed)
    broken[broken.index(b"fine.mdfine") + 7] ^= 1
    at = broken.index(b"PK\x01\x02", broken.index(b"PK\x01\x02", broken.index(b"z.mdz")))
    for _ in range(4):
        at = broken.index(b"PK\x01\x02", at + 1)
    broken[at + 8] |= 1
    taken, refused = sort(list(unpack("p.zip", bytes(broken))))
    assert list(taken) == ["p.zip/fine.md"]
    with pytest.raises(KnowledgeError, match=r"JM-905 p\.zip/fine\.md.*\n.*damaged"):
        taken["p.zip/fine.md"].read()
    assert {name: one.reason.split(": ")[1] for name, one in refused.items()} == {
        "p.zip/../up.md": "its name leads out of the archive",
        "p.zip//root.md": "its name leads out of the archive",
        "p.zip/C:/x.md": "its name leads out of the archive",
        "p.zip/z.md": "it is encrypted",
    }


def test_bombs_are_refused() -> None:
    zeros = b"\0" * 20_000_000
    taken, refused = sort(list(unpack("bomb.zip", make_zip({"zeros.txt": zeros, "fine.txt": b"fine"}))))
    assert list(taken) == ["bomb.zip/fine.txt"]
    assert "more than 200 times" in refused["bomb.zip/zeros.txt"].reason
    (refusal,) = unpack("many.zip", make_zip({f"{number}.md": b"" for number in range(30)}), Limits(members=20))
    assert isinstance(refusal, Refused)
    assert (refusal.code, refusal.error.got) == ("JM-904", "30 members")
    (refusal,) = unpack("wide.zip", make_zip({"a": b"x" * 60, "b": b"x" * 60}), Limits(total_bytes=100))
    assert isinstance(refusal, Refused)
    assert refusal.error.got == "120 bytes unpacked"
    inner = make_zip({f"{number}": b"y" * 40 for number in range(4)})
    *_, last = unpack("nest.zip", make_zip({f"{n}.zip": inner for n in range(4)}), Limits(total_bytes=4_000, members=9))
    assert isinstance(last, Refused)
    assert last.reason.endswith("over the limits")
    for data in (b"PK\x03\x04 cut", make_zip({"a.md": b"a"})[:-5]):
        (refusal,) = unpack("cut.zip", data)
        assert isinstance(refusal, Refused)
        assert refusal.code == "JM-904"


def test_a_lie_about_the_number_of_members_is_seen() -> None:
    packed = bytearray(make_zip({f"{number:04}": b"" for number in range(2000)}))
    at = packed.rindex(b"PK\x05\x06")
    packed[at + 8 : at + 12] = b"\x01\x00\x01\x00"
    with pytest.raises(KnowledgeError, match="members"):
        open_archive("lie.zip", bytes(packed), Limits(members=100))


def test_a_mailbox_is_its_messages(tmp_path: Path) -> None:
    box = b"From a@x Mon\nSubject: one\n\nFrom here\n\n>From there\n\nFrom b@x Tue\r\nSubject: two\r\n\r\nbody\r\n"
    (tmp_path / "in.mbox").write_bytes(box)
    for found in (list(find_sources([tmp_path / "in.mbox"])), list(unpack("in.mbox", box))):
        taken, refused = sort(found)
        assert not refused
        assert {name: source.read() for name, source in taken.items()} == {
            "in.mbox/000001.eml": b"Subject: one\n\nFrom here\n\nFrom there\n\n",
            "in.mbox/000002.eml": b"Subject: two\r\n\r\nbody\r\n",
        }
    assert len({source.stamp for source in taken.values()}) == 2


def test_files_know_the_commit_that_changed_them_last(tmp_path: Path) -> None:
    repository = fill(tmp_path / "notes", {"a.md": b"1", "sub/b c.md": b"1"})

    def git(*words: str) -> str:
        settings = ("-c", "user.name=x", "-c", "user.email=x@x", "-c", "commit.gpgsign=false")
        done = subprocess.run(["git", *settings, *words], cwd=repository, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    first = git("rev-parse", "HEAD")
    fill(repository, {"sub/b c.md": b"2"})
    git("commit", "-qam", "second")
    second = git("rev-parse", "HEAD")
    fill(repository, {"new.md": b"n"})
    taken, _ = sort(list(find_sources([repository])))
    assert {name: source.facts.get("git_commit") for name, source in taken.items()} == {
        "notes/a.md": first,
        "notes/new.md": None,
        "notes/sub/b c.md": second,
    }


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docs = fill(tmp_path / "docs", {"a.md": b"a", ".git/HEAD": b"ref: refs/heads/main"})
    (one,) = find_sources([docs])
    assert isinstance(one, Source)
    assert "git_commit" not in one.facts
    monkeypatch.setenv("PATH", str(tmp_path))
    (one,) = find_sources([docs])
    assert isinstance(one, Source)
    assert "git_commit" not in one.facts
