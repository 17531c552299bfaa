"""The catalog's embedding models that are on this machine, for the gateway."""

from __future__ import annotations

from functools import partial

from journeyman.core.errors import ModelError
from journeyman.gateway.embedding import PREFIX, Openers
from journeyman.models.catalog import CATALOG, resolve_entry
from journeyman.models.embedder import open_embedder


def find_embedders(threads: int | None = None) -> Openers:
    """By ``embed:NAME``. None is opened yet; one that is not pulled, or is damaged, is left out."""
    found = {}
    for entry in CATALOG.values():
        if entry.use == "embedding" and _is_here(entry.name):
            found[f"{PREFIX}{entry.name}"] = partial(open_embedder, entry.name, threads)
    return found


def _is_here(name: str) -> bool:
    try:
        resolve_entry(CATALOG[name])
    except ModelError:
        return False
    return True
