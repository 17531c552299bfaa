"""Hears of audits while calls are served. Statistics are loaded with the first audit: serving starts without them."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from journeyman.flows.workspace import Workspace

if TYPE_CHECKING:
    from journeyman.flows.audits import AuditSignal


class Auditor:
    """Hears of audits while they are made, and holds a release whose promise they refute."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._signals: dict[tuple[str, str], AuditSignal | None] = {}
        self._lock = threading.Lock()

    async def hear(self, task_name: str, trace: str, _audit: str) -> None:
        await asyncio.to_thread(self._hear, task_name, trace)

    def _hear(self, task_name: str, trace: str) -> None:
        from journeyman.flows.audits import catch_up, hold, open_signal

        workspace = self._workspace
        said = workspace.store.trace(trace)
        if said is None:
            return
        resumed = workspace.store.resumed(task_name, said.release)
        key = (said.release, resumed.time if resumed else "")
        with self._lock:
            if key not in self._signals:
                self._signals[key] = open_signal(workspace, workspace.task(task_name), said.release)
            signal = self._signals[key]
            if signal is not None:
                catch_up(workspace, signal, task_name, said.release)
        if signal is not None and signal.alarm:
            hold(workspace, task_name, said.release, signal.describe())
