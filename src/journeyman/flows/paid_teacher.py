"""The model whose calls a command pays for: the project's teacher behind its URL, or one that runs here and costs nothing."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from math import ceil

from journeyman.core.canonical import Json
from journeyman.core.errors import DataError
from journeyman.core.providers import Price
from journeyman.flows.paid_calls import Forecast
from journeyman.flows.upstream import Upstream
from journeyman.flows.workspace import Workspace
from journeyman.models.catalog import resolve
from journeyman.models.llamacpp import LlamaCpp
from journeyman.models.local import LocalModel
from journeyman.models.protocol import Model
from journeyman.models.template import load_base_template

CONTEXT = 4096


@dataclass(frozen=True, slots=True)
class PaidTeacher:
    """``model`` None: a forecast asks nobody. ``price`` None: it costs nothing. ``identity`` is what decides its replies besides what it is asked."""

    name: str
    model: Model | None
    price: Price | None
    identity: Json
    in_flight: int


async def open_local_teacher(workspace: Workspace, wanted: str, stack: AsyncExitStack, *, is_dry: bool) -> PaidTeacher:
    """A catalog name, a path, or ``base`` for the project's base; ``stack`` closes its engine."""
    name = workspace.project.text("base", "model") if wanted == "base" else wanted
    source = resolve(name, progress=workspace.progress)
    if is_dry:
        return PaidTeacher(name, None, None, source.sha256, 1)
    engine = await LlamaCpp.start(source.path, context=CONTEXT)
    stack.push_async_callback(engine.close)
    return PaidTeacher(name, LocalModel(engine, load_base_template(source.path), name), None, source.sha256, 1)


def open_upstream_teacher(upstream: Upstream, stack: AsyncExitStack) -> PaidTeacher:
    """Raises: DataError: JM-361 its price is not known."""
    price = upstream.price
    if price is None and not upstream.is_local:
        raise DataError(
            "JM-361",
            "the teacher's price is not known, so its calls cannot be limited",
            where=upstream.name,
            expected="input_usd_per_million and output_usd_per_million under [teacher] in journeyman.toml",
            hint="state both; 0 where it costs nothing",
        )
    model = upstream.open()
    stack.push_async_callback(model.close)
    free = price is None or not any(price)
    return PaidTeacher(upstream.name, model, None if free else price, [upstream.name, upstream.url], 8)


def refuse_unbounded(teacher: PaidTeacher, budget_usd: float | None, forecast: Forecast, command: str) -> None:
    """Raises: DataError: JM-360."""
    if teacher.price is not None and budget_usd is None:
        raise DataError(
            "JM-360",
            "this teacher costs money, and there is no limit",
            where=teacher.name,
            expected="--budget, in US dollars",
            got=f"a forecast of {forecast.calls:,} calls and {forecast.usd or 0:.2f} US dollars",
            hint=f"{command} --budget {max(0.01, ceil(150 * (forecast.usd or 0)) / 100):.2f}",
        )
