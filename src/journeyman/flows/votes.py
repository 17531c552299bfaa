"""The serving side of votes: when two samples of a task's student say the same. Knows nothing about tuning, and loads no torch."""

from __future__ import annotations

from journeyman.core.canonical import dump
from journeyman.models.protocol import Reply
from journeyman.models.votes import ReadVote
from journeyman.task.answer import read_answer
from journeyman.task.task import Task


def make_reader(task: Task) -> ReadVote:
    """Equal JSON values are one answer; texts are where they differ in white space and case alone. JSON that was cut is none, as it is to the server."""

    def read(reply: Reply) -> str | None:
        if task.is_structured and reply.finish_reason != "stop":
            return None
        target, _problem = read_answer(task, reply.text)
        if target is None:
            return None
        return dump(target.value) if task.is_structured else dump(" ".join(target.text.split()).casefold())

    return read
