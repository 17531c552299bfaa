"""`journeyman pull`."""

from __future__ import annotations

from typing import Annotated

import typer

from journeyman.cli.options import AsJson
from journeyman.cli.terminal import Bars, print_json, print_lines


def pull(
    model: Annotated[str, typer.Argument(help="A name of the catalog.")] = "smollm2-135m-instruct",
    is_json: AsJson = False,
) -> None:
    """Fetch a model into the cache and verify its hash.

    Example: journeyman pull smollm2-135m-instruct
    """
    from journeyman.models.catalog import find_entry, resolve_entry
    from journeyman.models.pull import pull as pull_model

    pull_model(model, Bars(is_quiet=is_json))
    resolved = resolve_entry(find_entry(model))
    if is_json:
        print_json(
            {"model": resolved.name, "path": str(resolved.path), "sha256": resolved.sha256, "licence": resolved.licence}
        )
        return
    print_lines(f"{resolved.name} is at {resolved.path} (licence {resolved.licence}, sha256 verified)")
