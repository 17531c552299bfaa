"""Addresses, from a real server on loopback."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from journeyman.core.errors import KnowledgeError
from journeyman.flows.knowledge import add, list_documents, remove
from journeyman.flows.workspace import open_workspace
from journeyman.knowledge.parse.archive import Limits
from journeyman.knowledge.parse.fetched import fetch, is_address
from tests.knowledge.parse.test_sources import make_zip

PAGE = b"<!doctype html><title>Returns</title><h1>Returns</h1><p>Goods may be sent back within thirty days.</p>"


class Handler(BaseHTTPRequestHandler):
    pages: ClassVar[dict[str, tuple[int, dict[str, str], bytes]]] = {}

    def do_GET(self) -> None:
        if self.path == "/drip":
            self.send_response(200)
            self.end_headers()
            for _ in range(50):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.05)
            return
        status, headers, body = self.pages.get(self.path, (404, {}, b"none"))
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Handler.pages = {
        "/returns": (200, {"Content-Type": "text/html", "Last-Modified": "Mon, 06 May 2024 10:00:00 GMT"}, PAGE),
        "/": (200, {"Content-Type": "text/html; charset=utf-8"}, PAGE),
        "/moved": (302, {"Location": "/returns"}, b""),
        "/circle": (302, {"Location": "/circle"}, b""),
        "/file": (302, {"Location": "file:///etc/hostname"}, b""),
        "/pack.zip": (200, {}, make_zip({"a.md": b"# A\n\nThe ferry leaves at dawn.\n"})),
        "/busy": (503, {}, b"later"),
        "/short": (200, {"Content-Length": "1000"}, b"not all of it"),
    }
    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{serving.server_port}"
    serving.shutdown()
    serving.server_close()


@pytest.mark.parametrize(
    ("path", "name"),
    [("/returns", "/returns.html"), ("/", "/index.html"), ("/moved#part", "/moved.html"), ("/pack.zip", "/pack.zip")],
)
def test_what_stands_there_comes_under_its_address(server: str, path: str, name: str) -> None:
    assert is_address(server + path)
    found, data, facts = fetch(server + path)
    assert (found, facts["url"]) == (server + name, server + path)
    assert data == Handler.pages[path.replace("/moved#part", "/returns")][2]
    assert facts.get("modified") == ("2024-05-06T10:00:00+00:00" if "returns" in path or "moved" in path else None)


@pytest.mark.parametrize(
    ("path", "said", "is_retryable"),
    [
        ("/nothing", "404", False),
        ("/busy", "503", True),
        ("/circle", "redirect", True),
        ("/file", "not allowed", True),
        ("/short", "ended before its end", True),
        ("/drip", "not ended in time", True),
    ],
)
def test_what_cannot_be_fetched_says_why(server: str, path: str, said: str, is_retryable: bool) -> None:
    with pytest.raises(KnowledgeError, match="JM-901") as told:
        fetch(server + path, whole_s=0.3)
    assert said in str(told.value)
    assert told.value.retryable is is_retryable


def test_no_more_is_fetched_than_may_be_read(server: str) -> None:
    with pytest.raises(KnowledgeError, match="JM-902"):
        fetch(f"{server}/returns", Limits(file_bytes=20))
    with pytest.raises(KnowledgeError, match="JM-901"):
        fetch("http://127.0.0.1:1/nobody")
    with pytest.raises(KnowledgeError, match="JM-901"):
        fetch("http://[nowhere/")


@pytest.mark.model
def test_an_address_is_followed_by_add_and_goes_with_remove(server: str, tmp_path: Path) -> None:
    (tmp_path / "journeyman.toml").touch()
    page, pack = f"{server}/returns", f"{server}/pack.zip"
    with open_workspace(tmp_path) as workspace:
        first = [item.done for item in add(workspace, [page, pack, f"{server}/nothing"])]
        assert [(done.added, len(done.refused)) for done in first] == [(1, 0), (1, 0), (0, 1)]
        kept = {item.origin.name: item.facts for item in list_documents(workspace)}
        assert set(kept) == {f"{page}.html", f"{pack}/a.md"}
        assert kept[f"{page}.html"]["url"] == page
        assert [item.done.unchanged for item in add(workspace, [page, pack])] == [1, 1]
        Handler.pages["/returns"] = (200, {"Content-Type": "text/html"}, PAGE.replace(b"thirty", b"forty"))
        assert [item.done.changed for item in add(workspace, [page])] == [1]
        Handler.pages["/returns"] = (503, {}, b"")
        assert [len(item.done.refused) for item in add(workspace, [page])] == [1]
        assert len(list_documents(workspace)) == 2
        assert remove(workspace, [page]) == 1
