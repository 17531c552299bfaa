"""What was spent, and what servers hold of budgets.

A budget is a limit on a ``scope`` (a key, a task, the project) in a ``period`` (a day, or empty: for good). A server that wants to spend takes a part of what is left
first, as a lease; what it spends moves from its lease to what was spent, in the transaction that stores the call. So spent and leased together never pass the limit,
however many servers there are. A lease ends by itself where its server died. Amounts are whole billionths of a US dollar.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, text, update

from journeyman.store.statements import lock
from journeyman.store.tables import LEASES, SPENT

# Both databases write an upsert alike; these two are on the path of every call that costs.
ADD_SPENT = (
    "INSERT INTO spent (scope, period, amount) VALUES (:scope, :period, :amount) "
    "ON CONFLICT (scope, period) DO UPDATE SET amount = spent.amount + excluded.amount"
)
TAKE_LEASED = "UPDATE leases SET amount = amount - :less WHERE id = :lease"


@dataclass(frozen=True, slots=True)
class Ask:
    """``need`` more at least for the lease, ``want`` where there is plenty."""

    lease: str
    scope: str
    period: str
    limit: int
    need: int
    want: int


@dataclass(frozen=True, slots=True)
class Spend:
    """An amount of a lease: spent, or not used."""

    lease: str
    scope: str
    period: str
    amount: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Which budget had not enough left: ``spent`` is gone, ``leased`` is held for calls under way."""

    ask: Ask
    spent: int
    leased: int


def take(connection: Connection, asks: Sequence[Ask], now: float, until: float) -> tuple[int, ...] | Refusal:
    """Lease from every budget that is asked, or from none. Of what is left a quarter at the most, where that is enough: others may want some. Times are seconds since
    1970."""
    for ask in sorted(asks, key=lambda ask: (ask.scope, ask.period)):
        lock(connection, f"budget/{ask.scope}/{ask.period}")
    ended = select(LEASES.c.id).where(LEASES.c.until <= now).with_for_update(skip_locked=True)
    connection.execute(delete(LEASES).where(LEASES.c.id.in_(ended)))
    given = []
    for ask in asks:
        spent, leased = read_both(connection, ask.scope, ask.period, now)
        left = ask.limit - spent - leased
        if left < ask.need:
            return Refusal(ask, spent, leased)
        given.append(max(ask.need, min(left // 4, ask.want)))
    for ask, amount in zip(asks, given, strict=True):
        more = {"amount": LEASES.c.amount + amount, "until": until}
        if not connection.execute(update(LEASES).where(LEASES.c.id == ask.lease).values(more)).rowcount:
            new = {"id": ask.lease, "scope": ask.scope, "period": ask.period, "amount": amount, "until": until}
            connection.execute(insert(LEASES).values(new))
    return tuple(given)


def spend(connection: Connection, spends: Sequence[Spend]) -> None:
    """Move amounts from leases to what was spent. A lease that ended meanwhile is none: the money is spent all the same."""
    totals, leased = _sum(spends)
    connection.execute(text(ADD_SPENT), totals)
    connection.execute(text(TAKE_LEASED), leased)


def spend_plainly(connection: sqlite3.Connection, spends: Sequence[Spend]) -> None:
    """The same on SQLite's own connection."""
    totals, leased = _sum(spends)
    connection.executemany(ADD_SPENT, totals)
    connection.executemany(TAKE_LEASED, leased)


def _sum(spends: Sequence[Spend]) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """One row for each budget, and one for each lease, in one order, so that two writers never wait for each other."""
    totals: dict[tuple[str, str], int] = {}
    leased: dict[str, int] = {}
    for item in spends:
        place = item.scope, item.period
        totals[place] = totals.get(place, 0) + item.amount
        leased[item.lease] = leased.get(item.lease, 0) + item.amount
    return (
        [{"scope": scope, "period": period, "amount": amount} for (scope, period), amount in sorted(totals.items())],
        [{"lease": lease, "less": amount} for lease, amount in sorted(leased.items())],
    )


def give_back(connection: Connection, unused: Sequence[Spend]) -> None:
    _totals, leased = _sum(unused)
    connection.execute(text(TAKE_LEASED), leased)


def renew(connection: Connection, leases: Sequence[str], now: float, until: float) -> set[str]:
    """Those that have not ended, now until ``until``."""
    there = LEASES.c.id.in_(leases), LEASES.c.until > now
    connection.execute(update(LEASES).where(*there).values(until=until))
    return set(connection.scalars(select(LEASES.c.id).where(*there)))


def drop(connection: Connection, leases: Sequence[str]) -> None:
    connection.execute(delete(LEASES).where(LEASES.c.id.in_(leases)))


def read_both(connection: Connection, scope: str, period: str, now: float) -> tuple[int, int]:
    """Spent and leased, seen at one moment: what moves from one to the other meanwhile is in neither or both of two queries."""
    spent = select(SPENT.c.amount).where(SPENT.c.scope == scope, SPENT.c.period == period).scalar_subquery()
    leases = select(func.sum(LEASES.c.amount)).where(
        LEASES.c.scope == scope, LEASES.c.period == period, LEASES.c.until > now
    )
    found = connection.execute(select(spent, leases.scalar_subquery())).one()
    return int(found[0] or 0), int(found[1] or 0)


def read_spent(connection: Connection, scope: str, period: str) -> int:
    query = select(SPENT.c.amount).where(SPENT.c.scope == scope, SPENT.c.period == period)
    return connection.scalar(query) or 0


def read_leased(connection: Connection, scope: str, period: str) -> int:
    query = select(func.sum(LEASES.c.amount)).where(LEASES.c.scope == scope, LEASES.c.period == period)
    return int(connection.scalar(query) or 0)
