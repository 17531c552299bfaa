"""`journeyman key`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from journeyman.cli.options import AsJson, ProjectFolder, working
from journeyman.cli.terminal import print_json, print_lines
from journeyman.core.canonical import Json

if TYPE_CHECKING:
    from journeyman.core.keys import Key
    from journeyman.flows.keys import Known


class Action(StrEnum):
    ADD = "add"
    LIST = "list"
    REVOKE = "revoke"


def key(
    action: Annotated[Action, typer.Argument(help="What to do.", show_default=False)],
    name: Annotated[str, typer.Argument(help="With add: a name for people. With revoke: the key's id.")] = "",
    task: Annotated[
        list[str] | None, typer.Option(help="Task that may be asked, once for each.", show_default="all")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Other models that may be asked, as a pattern such as gpt-*; '' for none.", show_default="all"
        ),
    ] = None,
    usd: Annotated[float | None, typer.Option(min=0, help="What its calls may cost in all, in US dollars.")] = None,
    usd_per_day: Annotated[float | None, typer.Option(min=0, help="What its calls may cost in a day (UTC).")] = None,
    calls_per_minute: Annotated[int | None, typer.Option(min=1, help="How often it may ask.")] = None,
    expires: Annotated[str, typer.Option(help="Date or time, in UTC, from which on it is refused.")] = "",
    may_tune: Annotated[
        bool, typer.Option("--tune", help="It may upload files and tune students of what it may ask.")
    ] = False,
    project: ProjectFolder = None,
    is_json: AsJson = False,
) -> None:
    """Keys of those who may call the server: what they may ask, how often, and what it may cost.

    As soon as there is a key, `serve` wants one of every caller. A key is shown once and kept as a hash.

    Example: journeyman key add mobile-app --task tickets --usd-per-day 5

    Example: journeyman key revoke key-20270131T101500-4k2m9x
    """
    if (action == Action.LIST) == bool(name):
        raise typer.BadParameter("`key add NAME`, `key revoke ID` or `key list`")
    from journeyman.flows.keys import add_key, list_keys, revoke_key

    with working(project, is_json) as workspace:
        if action == Action.REVOKE:
            revoke_key(workspace, name)
        if action == Action.ADD:
            made, secret = add_key(
                workspace,
                name,
                tasks=task or ("*",),
                models=[pattern for pattern in model if pattern] if model is not None else ("*",),
                usd=usd,
                usd_per_day=usd_per_day,
                calls_per_minute=calls_per_minute,
                expires=expires,
                may_tune=may_tune,
            )
        known = list_keys(workspace)
    if action == Action.ADD:
        if is_json:
            print_json({"secret": secret, **_describe(made)})
        else:
            print_lines(secret, f"This is the key of {made.name} ({made.id}). It is shown this once: keep it now.")
            print_lines("A server that is running without keys wants them once it is started again.")
    elif is_json:
        print_json({"keys": [_describe_known(item) for item in known]})
    elif action == Action.REVOKE:
        print_lines(f"{name} is refused from now on.")
    else:
        _print(known)


def _describe(made: Key) -> dict[str, Json]:
    return {
        "id": made.id,
        "name": made.name,
        "hint": made.hint,
        "time": made.time,
        "expires": made.expires,
        "revoked": made.revoked,
        **made.to_json(),
    }


def _describe_known(item: Known) -> dict[str, Json]:
    return _describe(item.key) | {"is_valid": item.is_valid, "spent_usd": item.usd, "spent_usd_today": item.usd_today}


def _print(known: list[Known]) -> None:
    if not known:
        print_lines("There are no keys: whoever reaches the server may call it. `journeyman key add NAME` makes one.")
        return
    for item in known:
        made = item.key
        state = "valid" if item.is_valid else "revoked" if made.revoked else "expired"
        until = f"until {made.expires[:16]}" if made.expires and item.is_valid else ""
        often = f"{made.calls_per_minute:,} calls a minute" if made.calls_per_minute else ""
        may = f"tasks: {', '.join(made.tasks)}; models: {', '.join(made.models) or 'none'}"
        cost = f"{_money(item.usd_today, made.usd_per_day)} today, {_money(item.usd, made.usd)} in all"
        print_lines(f"{made.id}  {made.name}  {made.hint}...  {state}")
        tune = "may tune" if made.may_tune else ""
        print_lines("  " + "; ".join(part for part in (may, cost, often, tune, until) if part))


def _money(spent: float, most: float | None) -> str:
    return f"${spent:,.2f}" + (f" of ${most:,.2f}" if most is not None else "")
