"""A teacher whose answers are known to be right: it writes the examples that it is shown anew, with other places, times and conditions, and knows what it wrote.

What it cannot do is write a question of another form than it was shown: a large model can, so this is a lower bound of what such rows are worth, of a teacher that makes
no mistakes.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SHOWN = re.compile(r"^Example: (\{.*?\}) -> (\{.*\})$", re.M)
COUNT = re.compile(r"Write (\d+) new inputs")
VALUES: Mapping[str, tuple[str, ...]] = {
    "city": ("Leipzig", "Porto", "Kampala", "Osaka", "Tucson", "Valparaiso", "Tromso", "Mysore", "Ghent", "Halifax", "Perth", "Dakar", "Cork", "Boise", "Baku", "Lima"),
    "country": ("Portugal", "Uganda", "Japan", "Chile", "Norway", "India", "Belgium", "Canada", "Senegal", "Ireland", "Azerbaijan", "Peru", "Kenya", "Laos"),
    "state": ("Arizona", "Idaho", "Vermont", "Nova Scotia", "Saxony", "Ohio", "NV", "MT", "GA", "Oregon", "Kansas", "WI"),
    "timeRange": ("tomorrow", "at noon", "next Tuesday", "in two hours", "this weekend", "on March 3", "tonight", "in 9 days", "at 6 am", "on Sunday", "right now", "later today", "on the 21st of June"),
    "condition_description": ("rain", "snow", "fog", "hail", "storms", "sunny", "cloudy", "a blizzard", "windy", "drizzle"),
    "condition_temperature": ("hot", "cold", "chilly", "freezing", "warm", "mild", "cooler", "warmer"),
    "geographic_poi": ("Lake Constance", "Yosemite National Park", "the Black Forest", "Mount Kenya", "Banff National Park", "the Serengeti"),
    "spatial_relation": ("near", "close to", "around", "not far from", "nearby", "within a mile of"),
    "current_location": ("here", "my current location", "my area", "this place", "where I am"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """A call as the provider's own books have it: the hash of its body, tokens read and written."""

    body: str
    read: int
    written: int


class _Teacher:
    """Lines it wrote, with their answers."""

    def __init__(self) -> None:
        self.known: dict[str, dict[str, str]] = {}
        self.lock = threading.Lock()

    def answer(self, body: Mapping[str, object]) -> str:
        messages = body["messages"]
        assert isinstance(messages, list)
        asked = str(messages[-1]["content"])
        count = COUNT.search(asked)
        if count:
            return json.dumps({"inputs": [{"text": text} for text in self.write(asked, int(count[1]), body)]})
        if "List 20 different things" in asked:
            return json.dumps({"topics": ["weather"]})
        return json.dumps(self.known.get(asked.strip(), {}))

    def write(self, asked: str, count: int, body: Mapping[str, object]) -> Iterator[str]:
        draw = random.Random(str(body.get("seed")))
        shown = [(json.loads(fields)["text"], json.loads(slots)) for fields, slots in SHOWN.findall(asked)]
        for _ in range(count):
            text, slots = draw.choice(shown)
            made = {}
            for slot, value in slots.items():
                made[slot] = draw.choice(VALUES[slot])
                text = text.replace(value, made[slot], 1)
            text = draw.choice(
                (text, text, text.lower().capitalize(), text.rstrip("?. ") + " please", "tell me " + text)
            )
            kept = {
                slot: found[0] for slot, value in made.items() if (found := re.findall(re.escape(value), text, re.I))
            }
            with self.lock:
                self.known[text.strip()] = kept
            yield text


@contextmanager
def serve_teacher(books: list[Asked] | None = None, delay_s: float = 0.0) -> Iterator[str]:
    """Its URL. Every call it answers is written into ``books``, also where nobody waits for the answer any more."""
    teacher = _Teacher()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            body = json.loads(raw)
            time.sleep(delay_s)
            text = teacher.answer(body)
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
            read = sum(len(str(message["content"])) for message in body["messages"]) // 4
            usage = {"prompt_tokens": read, "completion_tokens": len(text) // 4}
            if books is not None:
                books.append(Asked(hashlib.sha256(raw).hexdigest(), read, len(text) // 4))
            data = json.dumps({"id": "x", "model": "scripted", "choices": [choice], "usage": usage}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *values: object) -> None:
            """Nothing is said."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
