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
        self._signals: dict[str, AuditSignal | None] = {}
        self._lock = threading.Lock()

    async def hear(self, task_name: str, trace: str, audit: str) -> None:
        await asyncio.to_thread(self._hear, task_name, trace, audit)

    def _hear(self, task_name: str, trace: str, audit: str) -> None:
        from journeyman.flows.audits import hold, replay

        store = self._workspace.store
        said, asked = store.trace(trace), store.trace(audit)
        if said is None or asked is None:
            return
        with self._lock:
            if said.release not in self._signals:  # it is in the store already
                signal = replay(self._workspace, self._workspace.task(task_name), said.release)
                self._signals[said.release] = signal
            elif (signal := self._signals[said.release]) is not None:
                signal.add(said, asked)
        if signal is not None and signal.alarm:
            hold(self._workspace, task_name, said.release, signal.describe())
