"""OpenAI's chat completions as a dialect of the server."""

from __future__ import annotations

import time

from journeyman.core.errors import JourneymanError
from journeyman.gateway.answer import Answer
from journeyman.gateway.dialects.chat_record import CHAT_WIRE
from journeyman.gateway.dialects.dialect import Dialect, data_event
from journeyman.gateway.dialects.openai import ChatRequest, ChunkWriter, read_chat, write_completion, write_error

DONE = b"data: [DONE]\n\n"


class ChatEvents:
    def __init__(self, model: str, trace: str, asked: ChatRequest) -> None:
        self._writer = ChunkWriter(model, trace, int(time.time()), asked.with_usage)

    def open(self) -> bytes:
        return data_event(self._writer.open())

    def write(self, item: str | Answer) -> bytes:
        return b"".join(map(data_event, self._writer.write(item)))

    def end(self) -> bytes:
        return DONE

    def fail(self, error: JourneymanError, status: int) -> bytes:
        return data_event(write_error(error, status))


CHAT = Dialect(read_chat, write_completion, ChatEvents, lambda raw: (raw, CHAT_WIRE))
