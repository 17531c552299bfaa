"""Replace a prompt on a large model with a small model of your own, and prove that it is as good."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from journeyman.flows.typed import task

__version__ = "0.1.0"
__all__ = ["__version__", "task"]


class _Package(ModuleType):
    """``jm.task`` is the decorator, loaded at its first use, so that ``import journeyman`` stays free of everything heavy.

    The package ``journeyman.task`` has the same name: once it is imported, Python would put it in the decorator's place.
    ``from journeyman.task.file import ...`` works as ever, since Python finds modules by their full names.
    """

    @property
    def task(self) -> object:
        from journeyman.flows.typed import task

        return task

    @task.setter
    def task(self, module: ModuleType) -> None:
        pass


sys.modules[__name__].__class__ = _Package
