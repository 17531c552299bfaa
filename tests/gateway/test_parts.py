from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict

from journeyman.core.canonical import Json
from journeyman.core.errors import ServeError
from journeyman.gateway.registry import Registry
from journeyman.gateway.server import address, is_loopback, open_socket
from journeyman.gateway.shape import has_same_shape
from tests.gateway.conftest import SCHEMA


class Place(BaseModel):
    model_config = ConfigDict(extra="forbid")
    city: str
    kind: Literal["home", "work"]


class Visit(BaseModel):
    """A visit."""

    model_config = ConfigDict(extra="forbid")
    places: list[Place]
    mood: Literal["good"]


def test_pydantics_form_of_a_schema_is_the_same_schema() -> None:
    place: dict[str, Json] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["kind", "city"],
        "properties": {"kind": {"enum": ["work", "home"]}, "city": {"type": "string", "description": "where"}},
    }
    ours: dict[str, Json] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["mood", "places"],
        "properties": {"places": {"type": "array", "items": place}, "mood": {"const": "good"}},
    }
    assert has_same_shape(Visit.model_json_schema(), ours)
    assert has_same_shape(SCHEMA, dict(reversed(SCHEMA.items())))


@pytest.mark.parametrize(
    "other",
    [
        SCHEMA | {"additionalProperties": True},
        SCHEMA | {"required": ["intent"]},
        SCHEMA | {"properties": {"intent": {"enum": ["refund"]}, "urgent": {"type": "boolean"}}},
        {"type": "object", "properties": {"title": {"type": "string"}}},
    ],
)
def test_other_schemas_are_other_schemas(other: dict[str, Json]) -> None:
    assert not has_same_shape(SCHEMA, other)


def test_a_property_called_title_counts() -> None:
    one: dict[str, Json] = {"type": "object", "properties": {"title": {"type": "string"}}}
    two: dict[str, Json] = {"type": "object", "properties": {"description": {"type": "string"}}}
    assert not has_same_shape(one, two)


def test_recursive_schemas_end() -> None:
    tree: dict[str, Json] = {"$ref": "#/$defs/node", "$defs": {"node": {"items": {"$ref": "#/$defs/node"}}}}
    assert has_same_shape(tree, tree)


def test_a_port_in_use_is_one_clear_error() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ServeError, match=f"JM-701 127.0.0.1:{port}: the port {port} is in use") as caught:
            open_socket("127.0.0.1", port)
    assert "--port" in caught.value.hint


def test_an_address_that_is_not_ours() -> None:
    with pytest.raises(ServeError, match="JM-717"):
        open_socket("203.0.113.1", 0)


def test_an_empty_registry_says_that_it_is_empty() -> None:
    with pytest.raises(ServeError, match="this server has nothing to serve"):
        Registry([], lambda task: None).find("task:tickets")


def test_the_server_in_the_foreground_stops_on_a_signal() -> None:
    code = (
        "from starlette.applications import Starlette\n"
        "from starlette.responses import PlainTextResponse\n"
        "from starlette.routing import Route\n"
        "from journeyman.gateway.server import open_socket, run\n"
        "app = Starlette(routes=[Route('/', lambda request: PlainTextResponse('here'))])\n"
        "run(app, open_socket('127.0.0.1', 0), ready=lambda url: print(url, flush=True))\n"
        "print('stopped', flush=True)\n"
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        with subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert urllib.request.urlopen(url).read() == b"here"
            os.kill(process.pid, number)
            said, complaint = process.communicate(timeout=30)
        assert "Traceback" not in complaint
        assert said == "stopped\n"
        assert process.returncode == 0


def test_an_address_is_written_as_a_url() -> None:
    with open_socket("127.0.0.1", 0) as listener:
        assert address(listener).startswith("http://127.0.0.1:")


def test_importing_the_gateway_package_costs_nothing() -> None:
    code = "import sys, journeyman.gateway; print([n for n in ('uvicorn', 'fastapi', 'aiohttp') if n in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("127.8.9.1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("example.org", False),
    ],
)
def test_what_only_this_machine_reaches(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
