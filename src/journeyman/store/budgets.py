"""What was spent, and what servers hold of budgets.

A budget is a limit on a ``scope`` (a key, a task, the project) in a ``period`` (a day, or empty: for good). A server that wants to spend takes a part of what is left
first, as a lease; what it spends moves from its lease to what was spent, in the transaction that stores the call. So spent and leased together never pass the limit,
however many servers there are. A lease ends by itself where its server died. A lease is below zero where its calls cost more than they had reserved: that is spent, and
nothing that others could have. Amounts are whole billionths of a US dollar. Leases are locked in the order of their ids, and after their budgets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, case, delete, func, insert, select, update

from journeyman.store.statements import lock
from journeyman.store.tables import LEASES, SPENT


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
    _lock(connection, [ask.lease for ask in asks])
    over = select(LEASES.c.id).where(LEASES.c.until <= now).with_for_update(skip_locked=True)
    connection.execute(delete(LEASES).where(LEASES.c.id.in_(over)))
    given = []
    for ask in asks:
        spent, leased = read_spent(connection, ask.scope, ask.period), read_leased(connection, ask.scope, ask.period)
        own = connection.scalar(select(LEASES.c.amount).where(LEASES.c.id == ask.lease)) or 0
        left = ask.limit - spent - leased - min(own, 0)
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
    totals: dict[tuple[str, str], int] = {}
    leased: dict[str, int] = {}
    for item in spends:
        place = item.scope, item.period
        totals[place] = totals.get(place, 0) + item.amount
        leased[item.lease] = leased.get(item.lease, 0) + item.amount
    for scope, period in sorted(totals):
        lock(connection, f"budget/{scope}/{period}")
        found, amount = (SPENT.c.scope == scope, SPENT.c.period == period), totals[scope, period]
        if not connection.execute(update(SPENT).where(*found).values(amount=SPENT.c.amount + amount)).rowcount:
            connection.execute(insert(SPENT).values(scope=scope, period=period, amount=amount))
    for lease, amount in sorted(leased.items()):
        connection.execute(update(LEASES).where(LEASES.c.id == lease).values(amount=LEASES.c.amount - amount))


def give_back(connection: Connection, unused: Sequence[Spend]) -> None:
    for item in sorted(unused, key=lambda item: item.lease):
        connection.execute(update(LEASES).where(LEASES.c.id == item.lease).values(amount=LEASES.c.amount - item.amount))


def renew(connection: Connection, leases: Sequence[str], now: float, until: float) -> set[str]:
    """Those that have not ended, now until ``until``."""
    _lock(connection, leases)
    there = LEASES.c.id.in_(leases), LEASES.c.until > now
    connection.execute(update(LEASES).where(*there).values(until=until))
    return set(connection.scalars(select(LEASES.c.id).where(*there)))


def drop(connection: Connection, leases: Sequence[str]) -> None:
    _lock(connection, leases)
    connection.execute(delete(LEASES).where(LEASES.c.id.in_(leases)))


def read_spent(connection: Connection, scope: str, period: str) -> int:
    query = select(SPENT.c.amount).where(SPENT.c.scope == scope, SPENT.c.period == period)
    return connection.scalar(query) or 0


def read_leased(connection: Connection, scope: str, period: str) -> int:
    held = case((LEASES.c.amount > 0, LEASES.c.amount), else_=0)
    query = select(func.sum(held)).where(LEASES.c.scope == scope, LEASES.c.period == period)
    return int(connection.scalar(query) or 0)


def _lock(connection: Connection, leases: Sequence[str]) -> None:
    connection.execute(select(LEASES.c.id).where(LEASES.c.id.in_(leases)).order_by(LEASES.c.id).with_for_update()).all()
