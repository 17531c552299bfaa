"""Requests that nobody means, from two callers with a key each: each is answered validly or refused, nobody hears a word of the other's, and every trace is its caller's.

Half are made by schemathesis from our own `/openapi.json`, valid and invalid ones by turns; half by hand: bytes that are no JSON, nesting, numbers and characters at the
edge, every field with a wrong value. Counted as a fault of ours: a status of 500; any other of 5xx whose code does not say that the provider failed or that the store is
busy; a 200 that does not fit its description (of a stream: that does not end in its mark or in an error); a connection that breaks; another key's words or secret in a reply or
header; a trace under another key.
"""

from __future__ import annotations

import copy
import http.client
import json
import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import jsonschema_rs

from hostile.project import OWN_KEY, TASK, Document, Tally, journeyman, make_project, name_providers, serving
from hostile.provider import ODD, providing
from hostile.upstreams import ENDS, UPSTREAM
from journeyman.core.trace import Trace
from journeyman.store.database import Store, open_store
from journeyman.store.engine import sqlite_url

MODELS = (
    "task:tickets",
    "task:notes",
    "chat/fine",
    "gpt-5",
    "other/slow",
    "base:none",
    "embed:none",
    "tickets@00",
    "nobody/x",
    "",
)
NOTES = """edition: 1
name: notes
instruction: Repeat the note.
input: {note: string, kind: {enum: [a, b]}}
output: text
"""
FINE = (*UPSTREAM, "JM-720", "JM-805")
"""Codes of 5xx that are no fault of ours: the provider's, and a store that is busy."""
CHARACTERS = (
    "\x00",
    "\ud800",
    "\U0010ffff",
    "\u202e",
    "é\u0301",
    "\r\nx-evil: 1",
    "{{ 1 + 1 }}",
    "' OR 1=1 --",
    "<EMAIL_1>",
    "ada@example.org",
)
NUMBERS = (b"1e400", b"-0", b"NaN", b"Infinity", b"9" * 400, b"1e-400", b"0x10", b"18446744073709551616")
STREAMABLE = ("/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses")


@dataclass
class Caller:
    """``mark`` is in all that it sends, and in nothing that the other may hear."""

    name: str
    id: str
    secret: str
    mark: str
    traces: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sent:
    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def told(self) -> str:
        return f"{self.method} {self.path[:120]} {(self.body or b'')[:300]!r}"


@dataclass
class Judge:
    """Sends requests, by turns as one caller and the other, and looks at what comes."""

    url: str
    callers: list[Caller]
    tally: Tally
    answers: dict[str, Any]
    """By method and path: what checks an answer of status 200."""
    number: int = 0

    def send(self, sent: Sent) -> None:
        caller, other = self.callers[self.number % 2], self.callers[(self.number + 1) % 2]
        self.number += 1
        self.tally.add("requests")
        try:
            status, headers, body = _exchange(self.url, sent, caller)
        except (OSError, http.client.HTTPException) as error:
            self.tally.check(False, f"{sent.told}: the connection broke: {error!r}")
            return
        self.tally.add(f"status {status}")
        shown = "".join(f"{name}: {value}\n" for name, value in headers).encode("latin-1", "replace") + body
        for secret in (other.mark, other.secret, other.id, caller.secret, OWN_KEY):
            self.tally.check(secret.encode() not in shown, f"{sent.told}: {secret} is in the reply {shown[:300]!r}")
        found = dict(headers)
        if trace := found.get("x-journeyman-trace"):
            caller.traces.append(trace)
        problem = self._look(sent, status, found.get("content-type", ""), body)
        self.tally.check(not problem, f"{sent.told}: {status} {problem} {body[:300]!r}")

    def _look(self, sent: Sent, status: int, kind: str, body: bytes) -> str:
        if status == 200 and kind.startswith("text/event-stream"):
            last = body.rstrip().rpartition(b"\n\n")[2]
            return "" if last.startswith(ENDS) or b'"error"' in last else "a stream without an end"
        try:
            said = json.loads(body)
        except ValueError:
            return "" if kind.startswith("text/plain") and sent.path.startswith("/metrics") else "no JSON"
        if status == 200:
            path = sent.path.partition("?")[0]
            check = self.answers.get(f"{sent.method} {path}") or self.answers.get(f"{sent.method} {_parent(path)}")
            return "" if check is None or check.is_valid(said) else "not as described"
        code = _code(said)
        if not code:
            return "no error of ours"
        self.tally.add(code)
        return "" if status < 500 or (status != 500 and code in FINE) else "a fault of ours"


def run(folder: Path, *, is_small: bool) -> Tally:
    warnings.simplefilter("ignore")
    tally, draw, count = Tally(), random.Random(0), 600 if is_small else 10_000
    with providing() as provider:
        more = name_providers("chat", "other")
        cached = TASK + "route: {policy: teacher, cache: {seconds: 60}}\n"
        project = make_project(folder / "project", provider.url, more=more, task=cached)
        (project / "tasks/notes.yaml").write_text(NOTES, encoding="utf-8")
        with serving(project) as server:  # before there is a key, it describes itself
            described = json.loads(_exchange(server.url, Sent("GET", "/openapi.json"), None)[2])
        callers = []
        for name in ("one", "two"):
            made = journeyman(project, "key", "add", name, "--tune", "--usd-per-day", "1000")
            callers.append(Caller(name, made["id"], made["secret"], f"mark-of-{name}-{draw.getrandbits(64):x}"))
        with serving(project) as server:
            judge = Judge(server.url, callers, tally, _read_answers(described))
            _schemathesize(described, judge, count // 2)
            for sent in by_hand(judge, draw, count - judge.number):
                judge.send(sent)
            _cross(judge)
            tally.check(server.process.poll() is None, "the server ended")
            tally.counts["bytes at the end"] = server.bytes
        log = (project / "serve.log").read_text(encoding="utf-8")
        tally.check("Traceback" not in log, "the server logged a defect: " + log[log.find("Traceback") :][-3000:])
        with open_store(sqlite_url(project / ".journeyman/journeyman.db")) as store:
            _check_traces(store, callers, tally)
    return tally


def _exchange(url: str, sent: Sent, caller: Caller | None) -> tuple[int, list[tuple[str, str]], bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    headers = {"content-type": "application/json", **sent.headers}
    if caller is not None and "authorization" not in headers:
        headers["authorization"] = f"Bearer {caller.secret}"
    try:
        connection.request(sent.method, quote(sent.path, safe="/?&=%:@+,;!$'()*~-._"), sent.body, headers)
        reply = connection.getresponse()
        return reply.status, [(name.lower(), value) for name, value in reply.getheaders()], reply.read()
    finally:
        connection.close()


def _read_answers(described: Document) -> dict[str, Any]:
    """A validator for each operation's answer."""
    found = {}
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            content = operation["responses"]["200"].get("content", {})
            if schema := content.get("application/json", {}).get("schema"):
                whole = {**schema, "components": described["components"]}
                found[f"{method.upper()} {path}"] = jsonschema_rs.validator_for(whole)
    return found


def _parent(path: str) -> str:
    return "/v1/models/{name}" if path.startswith("/v1/models/") else path


def _code(said: Any) -> str:
    error = said.get("error") if isinstance(said, dict) else None
    if not isinstance(error, dict):
        return ""
    code = error.get("code")
    return str(code) if code else str(error.get("message", "")).split(" ")[0]


def _seeds(mark: str) -> list[tuple[str, Document]]:
    """Good requests, one for each route."""
    talk = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": f"Where is {mark}?"}]
    tool = {"type": "function", "function": {"name": "send", "parameters": {"type": "object", "properties": {}}}}
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    return [
        ("/v1/chat/completions", {"messages": talk, "user": mark, "seed": 1, "stop": ["x"], "stream": False}),
        ("/v1/chat/completions", {"messages": talk, "tools": [tool], "response_format": form, "n": 1, "max_tokens": 9}),
        ("/v1/chat/completions", {"messages": talk[1:], "stream": True, "stream_options": {"include_usage": True}}),
        ("/v1/completions", {"prompt": [f"Where is {mark}"], "max_tokens": 4, "logprobs": 2, "suffix": ""}),
        ("/v1/messages", {"messages": talk[1:], "max_tokens": 9, "system": [{"type": "text", "text": "Be kind."}], "metadata": {"user_id": mark}}),
        ("/v1/messages", {"messages": talk[1:], "max_tokens": 9, "stream": True, "tools": [{"name": "send", "input_schema": schema}], "tool_choice": {"type": "auto"}}),
        ("/v1/messages/count_tokens", {"messages": talk[1:]}),
        ("/v1/responses", {"input": talk, "instructions": "Be kind.", "max_output_tokens": 9, "text": {"format": {"type": "json_schema", "name": "n", "schema": schema}}}),
        ("/v1/responses", {"input": f"Where is {mark}?", "stream": True}),
        ("/v1/embeddings", {"input": [f"Where is {mark}?"], "encoding_format": "float", "dimensions": 2}),
        ("/v1/feedback", {"trace": "trace-1", "verdict": "up", "outcome": {"a": mark}, "note": mark}),
        ("/tasks/tickets", {"message": f"Where is {mark}?"}),
        ("/tasks/notes", {"note": mark, "kind": "a"}),
        ("/v1/fine_tuning/jobs", {"model": "tiny", "training_file": "file-1", "suffix": mark, "method": {"type": "supervised"}}),
    ]  # fmt: skip


def by_hand(judge: Judge, draw: random.Random, count: int) -> Iterator[Sent]:
    makers: list[Callable[[random.Random, str, Document], bytes]] = [
        _odd,
        _odd,
        _odd,
        _raw,
        _deep,
        _number,
        _twice,
        _cut,
    ]
    for _ in range(count):
        caller = judge.callers[judge.number % 2]
        kind = draw.random()
        if kind < 0.08:
            yield _odd_call(draw, caller)
            continue
        path, body = draw.choice(_seeds(caller.mark))
        if path.startswith("/v1") and "fine_tuning" not in path and "feedback" not in path:
            body = {"model": draw.choice(MODELS), **body}
        if path == "/v1/feedback" and caller.traces and draw.random() < 0.7:
            body = body | {"trace": draw.choice(caller.traces)}
        yield Sent("POST", path, draw.choice(makers)(draw, path, body))


def _odd(draw: random.Random, _path: str, body: Document) -> bytes:
    """One to three values are others than they should be; characters at the edge in texts."""
    spoilt = copy.deepcopy(body)
    for _ in range(draw.randint(0, 3)):
        node: Any = spoilt
        while True:
            key = draw.choice(list(node) if isinstance(node, dict) else range(len(node)))
            if isinstance(node[key], dict | list) and node[key] and draw.random() < 0.8:
                node = node[key]
                continue
            if isinstance(node[key], str) and draw.random() < 0.5:
                node[key] += draw.choice(CHARACTERS)
            elif isinstance(node, dict) and draw.random() < 0.2:
                node[draw.choice(CHARACTERS)] = node.pop(key)
            else:
                node[key] = copy.deepcopy(draw.choice(ODD))
            break
        if not spoilt:
            break
    return json.dumps(spoilt).encode()


def _raw(draw: random.Random, _path: str, body: Document) -> bytes:
    text = json.dumps(body).encode()
    choices = (
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"1",
        b"\xff\xfe" + text,
        b"\xef\xbb\xbf" + text,
        text + text,
        b"\x00" * 100,
    )
    return draw.choice((*choices, draw.randbytes(200)))


def _deep(draw: random.Random, _path: str, body: Document) -> bytes:
    depth, name = draw.choice((50, 120, 250, 500, 1000, 5000, 100_000)), draw.choice((*body, "metadata", "tools"))
    left, right = draw.choice(((b"[", b"]"), (b'{"a":', b"}")))
    text = json.dumps({key: value for key, value in body.items() if key != name}).encode()
    return text[:-1] + b', "' + name.encode() + b'": ' + left * depth + b"1" + right * depth + b"}"


def _number(draw: random.Random, _path: str, body: Document) -> bytes:
    name = draw.choice((*body, "temperature", "seed", "max_tokens", "n", "top_p", "logit_bias"))
    text = json.dumps({key: value for key, value in body.items() if key != name}).encode()
    return text[:-1] + b', "' + name.encode() + b'": ' + draw.choice(NUMBERS) + b"}"


def _twice(draw: random.Random, _path: str, body: Document) -> bytes:
    """A key that comes twice, with another value."""
    name, text = draw.choice(list(body)), json.dumps(body).encode()
    return text[:-1] + b', "' + name.encode() + b'": ' + json.dumps(draw.choice((body[name], *ODD))).encode() + b"}"


def _cut(draw: random.Random, _path: str, body: Document) -> bytes:
    text = json.dumps(body).encode()
    return text[: draw.randrange(len(text))]


def _odd_call(draw: random.Random, caller: Caller) -> Sent:
    """Another method, path or header than anybody expects."""
    text = json.dumps({"model": "chat/fine", "messages": [{"role": "user", "content": caller.mark}]}).encode()
    path = draw.choice((*STREAMABLE, "/v1/models", "/tasks", "/metrics", "/v1/files", "/v1/nothing", "/tasks/../v1/models", "//", "/v1/models/%00", "/v1/models/task:tickets", "/v1/files/file-1/content", "/v1/files?limit=-1&after=x", "/v1/fine_tuning/jobs?limit=x", "/healthz", "/readyz"))  # fmt: skip
    odd = draw.choice(
        (
            {"content-type": "text/plain"},
            {"content-type": "multipart/form-data; boundary=" + "x" * 300},
            {"authorization": "Bearer"},
            {"authorization": "Basic \xff\xfe"},
            {"authorization": "Bearer " + "j" * 5000},
            {"x-journeyman-origin": "assess"},
            {"traceparent": "00-" + "0" * 32},
            {"accept-encoding": "gzip;q=x", "content-encoding": "gzip"},
            {"x-api-key": "jm-x"},
            {"range": "bytes=5-1"},
            {"openai-organization": "\xe9" * 50, "user-agent": ""},
        )
    )
    return Sent(draw.choice(("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")), path, text, odd)


def _schemathesize(described: Document, judge: Judge, count: int) -> None:
    """As many requests from each operation, valid ones and invalid ones by turns."""
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, seed, settings

    loaded = schemathesis.openapi.from_dict(described)
    operations = [operation.ok() for operation in loaded.get_all_operations()]
    modes = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
    places = [(operation, mode) for operation in operations for mode in modes]
    for place, (operation, mode) in enumerate(places):
        most = (count - judge.number) // (len(places) - place)
        if most <= 0:
            continue

        @seed(place)
        @settings(
            max_examples=most,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(mode))
        def ask(case: Any) -> None:
            judge.send(_sent(case, judge))

        try:
            ask()
        except Exception as error:
            if type(error).__name__ not in ("Unsatisfiable", "Unsatisfied"):
                raise
            judge.tally.add(f"nothing to make: {mode.value} {operation.label}")
    judge.tally.counts["requests by schemathesis"] = judge.number


def _sent(case: Any, judge: Judge) -> Sent:
    """With a model that is there, and the caller's mark, wherever the body is an object."""
    made = case.as_transport_kwargs(base_url=judge.url)
    body: bytes | None = made.get("data") if isinstance(made.get("data"), bytes) else None
    if body is None and "json" in made:
        said = made["json"]
        if isinstance(said, dict) and isinstance(said.get("model"), str):
            place = judge.number
            said = said | {"model": MODELS[place % 4], "user": judge.callers[place % 2].mark}
        body = json.dumps(said).encode()
    path = made["url"].removeprefix(judge.url)
    return Sent(made["method"].upper(), path, body, {"content-type": "application/json"})


def _cross(judge: Judge) -> None:
    """What is one caller's, asked for by the other: files, jobs, feedback on calls."""
    one, two = judge.callers
    before = len(judge.tally.problems)
    rows = "".join(json.dumps({"messages": [{"role": "user", "content": f"{one.mark} {n}"}, {"role": "assistant", "content": "x"}]}) + "\n" for n in range(12))  # fmt: skip
    form = f'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n--b\r\ncontent-disposition: form-data; name="file"; filename="{one.mark}.jsonl"\r\n\r\n{rows}\r\n--b--\r\n'
    upload = Sent("POST", "/v1/files", form.encode(), {"content-type": "multipart/form-data; boundary=b"})
    status, _, body = _exchange(judge.url, upload, one)
    judge.tally.check(status == 200, f"the upload got {status} {body[:300]!r}")
    file = json.loads(body).get("id", "none")
    for path in ("/v1/files", f"/v1/files/{file}", f"/v1/files/{file}/content", "/v1/fine_tuning/jobs"):
        status, _, body = _exchange(judge.url, Sent("GET", path), two)
        judge.tally.check(one.mark.encode() not in body, f"{path} tells {body[:300]!r}")
        judge.tally.check(status == (404 if file in path else 200), f"{path}: {status}")
        judge.tally.add("requests across keys")
    for trace in one.traces[-100:]:
        said = json.dumps({"trace": trace, "verdict": "down", "note": two.mark}).encode()
        status, _, body = _exchange(judge.url, Sent("POST", "/v1/feedback", said), two)
        judge.tally.check(status == 404, f"feedback on another key's call: {status} {body[:200]!r}")
        judge.tally.add("requests across keys")
    judge.tally.check(len(judge.tally.problems) == before, "what is one caller's was another's")


def _check_traces(store: Store, callers: list[Caller], tally: Tally) -> None:
    """Each trace that a reply named is there under the key that was used; each that holds a mark has that mark's key."""
    for caller, other in (callers, callers[::-1]):
        named = dict.fromkeys(caller.traces)
        for id in named:
            trace = store.trace(id)
            tally.check(trace is not None, f"{id} was named in a reply and is not in the store")
            tally.check(trace is None or trace.meta.get("key") == caller.id, f"{id} is stored under another key")
        tally.add("traces looked up", len(named))
        found = list(store.calls_of(key=caller.id))
        tally.add("traces read whole", len(found))
        for found_trace in found:
            tally.check(other.mark not in _text(found_trace), f"{found_trace.id} has the other's words")


def _text(trace: Trace) -> str:
    return json.dumps(trace.to_json())
