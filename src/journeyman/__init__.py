"""Replace a prompt on a large model with a small model of your own, and prove that it is as good."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from journeyman.flows.typed import task

__version__ = "0.1.0"
__all__ = ["__version__", "task"]


def __getattr__(name: str) -> object:
    """``jm.task`` is loaded at its first use, so that ``import journeyman`` stays free of everything heavy."""
    if name == "task":
        from journeyman.flows.typed import task

        return task
    raise AttributeError(f"module 'journeyman' has no attribute {name!r}")
