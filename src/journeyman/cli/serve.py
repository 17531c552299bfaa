"""`journeyman serve`."""

from __future__ import annotations

from typing import Annotated, Literal, cast

import typer

from journeyman.cli.options import AsJson, ProjectFolder, working
from journeyman.cli.terminal import print_json, print_lines


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; default: the project's.")] = "",
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port, 0 for a free one; default: the project's.")
    ] = None,
    is_open: Annotated[
        bool, typer.Option("--open", help="Want no key of callers, also where there are keys or others can call.")
    ] = False,
    is_empty: Annotated[
        bool, typer.Option("--empty", help="Start also while there is nothing to serve, for fine-tuning jobs.")
    ] = False,
    threads: Annotated[int | None, typer.Option(help="Threads of the engine; default: the fastest, by trying.")] = None,
    log: Annotated[
        Literal["off", "json", "text"] | None,
        typer.Option(help="A line for each call on stderr, without its content; default: the project's."),
    ] = None,
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Serve all releases: OpenAI's dialect at /v1, typed routes at /tasks, their page at /docs. Ctrl-C stops it.

    Example: journeyman serve --port 8765
    """
    from journeyman.flows.serving import serve as serve_all

    def ready(url: str) -> None:
        if is_json:
            print_json({"url": url, "openai": f"{url}/v1", "docs": f"{url}/docs"})
        else:
            print_lines(f"serving at {url}/v1 (typed routes: {url}/docs); Ctrl-C stops")

    with working(project, is_json) as workspace:
        settings = workspace.project
        chosen = settings.number("serve", "port") if port is None else port
        form = log or settings.text("serve", "log")
        serve_all(
            workspace,
            host or settings.text("serve", "host"),
            int(chosen or 0),
            ready,
            threads,
            is_open=is_open,
            is_empty=is_empty,
            log=None if form == "off" else cast(Literal["json", "text"], form),
        )
