"""What shows the server's calls beside its numbers: a log on stderr, and OpenTelemetry spans, where the standard environment variables or ``[serve] otlp`` say where these go."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from journeyman.core.errors import ServeError
from journeyman.core.settings import Project, environment
from journeyman.core.trace import Trace
from journeyman.flows.workspace import Workspace
from journeyman.gateway.journal import Form, Noting, keeping_log

if TYPE_CHECKING:
    from journeyman.gateway.spans import Spans

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
SPOKEN = "http/protobuf"


@dataclass(frozen=True, slots=True)
class Observers:
    """Who is told of stored calls; ``count_spans`` is there where spans are made."""

    heard: tuple[Callable[[Trace], None], ...] = ()
    count_spans: Callable[[], Mapping[str, int]] | None = None


@contextmanager
def observing(workspace: Workspace, log: Form | None) -> Iterator[tuple[Workspace, Observers]]:
    """The workspace, whose notes go into the log where there is one, and the observers; what waits is written and sent at the end of the block. Raises as `open_spans`
    does."""
    with ExitStack() as stack:
        observers = Observers()
        if log is not None:
            journal = stack.enter_context(keeping_log(log, sys.stderr))
            workspace = replace(workspace, progress=Noting())
            observers = Observers((journal.observe,))
        spans = open_spans(workspace.project)
        if spans is not None:
            stack.callback(spans.close)
            observers = Observers((*observers.heard, spans.observe), spans.count)
        yield workspace, observers


def open_spans(project: Project) -> Spans | None:
    """To be closed; None where nobody asked for spans.

    Raises:
        ServeError: JM-790 the packages are not installed, JM-791 the environment asks for a protocol that is not spoken.
    """
    url = project.text("serve", "otlp")
    is_wanted = bool(url) or any(environment(name) for name in ENDPOINTS)
    is_off = environment("OTEL_SDK_DISABLED").lower() == "true" or environment("OTEL_TRACES_EXPORTER") == "none"
    if not is_wanted or is_off:
        return None
    _check_protocol()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        from journeyman.gateway.spans import Spans
    except ModuleNotFoundError as error:
        raise ServeError(
            "JM-790",
            "spans need packages that are not installed",
            expected="opentelemetry-sdk and opentelemetry-exporter-otlp-proto-http",
            got=f"no module {error.name}",
            hint='pip install "journeyman[otel]", or take away the collector\'s address',
        ) from error
    exporter = OTLPSpanExporter(f"{url.rstrip('/')}/v1/traces") if url else OTLPSpanExporter()
    wish = environment(CONTENT).lower()
    return Spans(exporter, project.text("teacher", "url"), has_content=wish in ("true", "span_only", "span_and_event"))


def _check_protocol() -> None:
    name = next((name for name in PROTOCOLS if environment(name)), "")
    if name and environment(name) != SPOKEN:
        raise ServeError(
            "JM-791",
            "spans are not sent by this protocol",
            where=name,
            expected=SPOKEN,
            got=environment(name),
            hint=f"give the collector's address for HTTP (port 4318 as a rule) and set {name}={SPOKEN}",
        )
