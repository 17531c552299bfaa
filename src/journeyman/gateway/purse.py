"""What this server may spend, so that no budget is passed however many calls are in flight.

Money is reserved before a model that costs is asked, and settled after. A reservation comes out of what this process leased from the store, and between the look and
the taking nothing else runs, so that the path of a call has no query in it; where the lease is used up, more of the budget is leased. What was spent is stored in the
transaction of the call's trace; where that is not stored, a little later by itself. A lease that is not renewed ends: for the others by the clock, for its holder a little earlier by one that never jumps.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil, inf
from typing import Protocol

from journeyman.core.errors import ServeError, StoreError
from journeyman.core.ids import make_id
from journeyman.core.keys import NANO
from journeyman.gateway.points import call_usd
from journeyman.store.budgets import Ask, Refusal, Spend

LOG = logging.getLogger("journeyman.gateway")
LEASE_S = 60.0
RENEW_S = 10.0
MARGIN_S = 5.0  # before the end of a lease its holder stops
SHARE = 64  # of a budget, that is leased at once
CALLS = 16  # or as many calls
MOST_TOKENS = 4096
"""Of an answer that a budget pays for, where nobody says."""


class Vault(Protocol):
    """The part of the store that keeps budgets."""

    def take(self, asks: Sequence[Ask], now: float, until: float) -> tuple[int, ...] | Refusal: ...
    def spend(self, spends: Sequence[Spend]) -> None: ...
    def give_back(self, unused: Sequence[Spend]) -> None: ...
    def renew(self, leases: Sequence[str], until: float) -> set[str]: ...
    def drop_leases(self, leases: Sequence[str]) -> None: ...


@dataclass(frozen=True, slots=True)
class Limit:
    """``amount`` billionths of a US dollar for a ``scope`` in a ``period`` (a day in UTC, or empty: for good); ``shown`` is what people call it."""

    scope: str
    period: str
    amount: int
    shown: str


@dataclass(slots=True)
class _Lease:
    """Of a budget. ``left`` may be reserved until ``ends``; it is below zero where calls cost more than they had reserved: the next one leases that much more.
    ``flying`` reservations are not settled yet."""

    id: str = field(default_factory=lambda: make_id("lease", bits=60))
    left: int = 0
    ends: float = inf
    flying: int = 0
    is_used: bool = True


@dataclass(frozen=True, slots=True)
class Reserved:
    """An ``amount`` of each of the ``limits``, out of the lease beside it: what came of one that has ended is never given to a later one."""

    limits: tuple[Limit, ...]
    leases: tuple[_Lease, ...]
    amount: int


class Purse:
    """``now`` is the clock that servers share, ``clock`` one that never jumps. Used in one event loop; `close` gives everything back."""

    def __init__(
        self,
        vault: Vault,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._vault = vault
        self._now = now
        self._clock = clock
        self._leases: dict[tuple[str, str], _Lease] = {}
        self._filling = asyncio.Lock()
        self._owed: list[Spend] = []

    async def reserve(self, limits: tuple[Limit, ...], amount: int) -> Reserved:
        """All of them, or none.

        Raises:
            ServeError: JM-742 a budget has not that much left, JM-746 it has, but calls under way hold it. StoreError: more could not be leased.
        """
        if reserved := self._take(limits, amount):
            return reserved
        async with self._filling:
            while (reserved := self._take(limits, amount)) is None:
                await self._fill([limit for limit in limits if self._find(limit).left < amount], amount)
            return reserved

    def settle(self, reserved: Reserved, spent: int) -> tuple[Spend, ...]:
        """What is to be stored with the call, which has spent so much."""
        for lease in reserved.leases:
            lease.left += reserved.amount - spent
            lease.flying -= 1
            lease.is_used = True  # what was spent is not stored yet: the lease must hold it till then
        together = zip(reserved.limits, reserved.leases, strict=True)
        return tuple(Spend(lease.id, limit.scope, limit.period, spent) for limit, lease in together) if spent else ()

    def owe(self, spends: Sequence[Spend]) -> None:
        """What a call cost whose trace was not stored."""
        self._owed += spends

    async def keep(self) -> None:
        """Renew what is held every few seconds, until it is cancelled."""
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                await self.renew()
            except StoreError as error:
                LOG.warning("leases of budgets were not renewed: %s %s", error.code, error.what)

    async def renew(self) -> None:
        """Extend the leases, and give back what was not used since the last time."""
        async with self._filling:
            await self._pay()
            unused, gone, kept = [], [], {}
            for place, lease in self._leases.items():
                if not lease.is_used and lease.left > 0:
                    unused.append(Spend(lease.id, *place, lease.left))
                    lease.left = 0
                if lease.is_used or lease.flying or lease.left:
                    kept[place] = lease
                else:
                    gone.append(lease.id)
                lease.is_used = False
            self._leases = kept
            ends = self._clock() + LEASE_S - MARGIN_S
            there = await asyncio.to_thread(self._renew, unused, gone, [lease.id for lease in kept.values()])
            for place, lease in list(kept.items()):
                if lease.id in there:
                    lease.ends = ends
                elif self._leases.get(place) is lease:
                    del self._leases[place]

    async def close(self) -> None:
        async with self._filling:
            await self._pay()
            leases, self._leases = list(self._leases.values()), {}
            if leases:
                await asyncio.to_thread(self._vault.drop_leases, [lease.id for lease in leases])

    async def _pay(self) -> None:
        owed, self._owed = self._owed, []
        try:
            if owed:
                await asyncio.to_thread(self._vault.spend, owed)
        except StoreError:
            self.owe(owed)
            raise

    def _renew(self, unused: Sequence[Spend], gone: Sequence[str], kept: Sequence[str]) -> set[str]:
        if unused:
            self._vault.give_back(unused)
        if gone:
            self._vault.drop_leases(gone)
        return self._vault.renew(kept, self._now().timestamp() + LEASE_S) if kept else set()

    def _take(self, limits: tuple[Limit, ...], amount: int) -> Reserved | None:
        """Without a pause between the look and the taking."""
        leases = tuple(self._find(limit) for limit in limits)
        if any(lease.left < amount for lease in leases):
            return None
        for lease in leases:
            lease.left -= amount
            lease.flying += 1
            lease.is_used = True
        return Reserved(limits, leases, amount)

    def _find(self, limit: Limit) -> _Lease:
        """The lease that still holds, or one of nothing."""
        place = limit.scope, limit.period
        lease = self._leases.get(place)
        if lease is None or self._clock() >= lease.ends:
            lease = self._leases[place] = _Lease()
        return lease

    async def _fill(self, limits: Sequence[Limit], amount: int) -> None:
        leases = [self._find(limit) for limit in limits]
        asks = [_ask(limit, lease, amount) for limit, lease in zip(limits, leases, strict=True)]
        ends, now = self._clock() + LEASE_S - MARGIN_S, self._now().timestamp()
        given = await asyncio.to_thread(self._vault.take, asks, now, now + LEASE_S)
        if isinstance(given, Refusal):
            raise _refused(limits[asks.index(given.ask)], given, amount)
        for lease, more in zip(leases, given, strict=True):
            lease.left += more
            lease.ends = ends
            lease.is_used = True


def _ask(limit: Limit, lease: _Lease, amount: int) -> Ask:
    need = amount - lease.left
    return Ask(
        lease.id, limit.scope, limit.period, limit.amount, need, max(CALLS * amount, limit.amount // SHARE, need)
    )


@dataclass(slots=True)
class Meter:
    """What one call may cost and has cost. ``limits`` are those that hold for it; without any nothing is reserved."""

    purse: Purse
    limits: tuple[Limit, ...] = ()
    reserved: list[Reserved] = field(default_factory=list)
    lost: list[Reserved] = field(default_factory=list)

    async def reserve(
        self, prices: tuple[float, float] | None, name: str, input_bytes: int, output_tokens: int
    ) -> None:
        """Before a model that costs is asked. A token has a byte at least, so that there are no more tokens than bytes.

        Raises:
            ServeError: JM-742 a budget has not that much left, JM-746 calls under way hold it, JM-744 the price of ``name`` is not known.
        """
        if not self.limits:
            return
        if prices is None:
            raise ServeError(
                "JM-744",
                "a budget holds for this call, and what it would cost is not known",
                where=name,
                expected="input_usd_per_million and output_usd_per_million under [teacher] in journeyman.toml, or under the models of its provider",
                hint=f'state its prices, for instance under [teacher.models] as "{name}" = {{...}}, or take the budget away',
            )
        amount = nano(call_usd(prices, input_bytes, output_tokens) or 0.0)
        self.reserved.append(await self.purse.reserve(self.limits, amount))

    @property
    def is_idle(self) -> bool:
        return not self.limits

    def without_key(self) -> Meter:
        """For a call that the server makes on its own account."""
        return Meter(self.purse, tuple(limit for limit in self.limits if not limit.scope.startswith("key/")))

    def void(self) -> None:
        """What was reserved last was for nothing: no answer came that is paid for."""
        if self.reserved:
            self.purse.settle(self.reserved.pop(), 0)

    def lose(self) -> None:
        """What was reserved last counts whole: no answer came, and it is not known whether one is paid for."""
        if self.reserved:
            self.lost.append(self.reserved.pop())

    def abandon(self) -> None:
        """The call ends without a record; nothing where it has one."""
        self.purse.owe(self.settle(None))

    def settle(self, usd: float | None) -> tuple[Spend, ...]:
        """What is to be stored with the call. ``usd``: what the answers cost that came; None: it is not known, and what was reserved counts."""
        spends = [spend for reserved in self.lost for spend in self.purse.settle(reserved, reserved.amount)]
        rest = None if usd is None else nano(usd)
        for place, reserved in enumerate(self.reserved):
            is_last = place == len(self.reserved) - 1
            spent = reserved.amount if rest is None else rest if is_last else min(rest, reserved.amount)
            spends += self.purse.settle(reserved, spent)
            rest = None if rest is None else rest - spent
        self.reserved.clear()
        self.lost.clear()
        return tuple(spends)


def nano(usd: float) -> int:
    """Billionths, up to the next one."""
    return ceil(round(usd * NANO, 3))


def _refused(limit: Limit, refusal: Refusal, amount: int) -> ServeError:
    """Where calls under way hold what is missing, another try may find it. A caller hears the sums of its own key alone."""
    is_own = limit.scope.startswith("key/")
    left = max(0, limit.amount - refusal.spent - refusal.leased)
    sums = f"{_usd(refusal.spent)} spent, {_usd(refusal.leased)} held for calls under way, {_usd(left)} left"
    expected, got = (
        f"{_usd(amount)} for this call" + (f", of {_usd(limit.amount)}" if is_own else ""),
        sums if is_own else "",
    )
    if limit.amount - refusal.spent >= amount:
        return ServeError(
            "JM-746",
            f"what is left of the budget of {limit.shown} is held for calls under way",
            expected=expected,
            got=got,
            hint="call again in a moment, or ask for fewer tokens",
            retryable=True,
        )
    return ServeError(
        "JM-742",
        f"the budget of {limit.shown} is spent",
        expected=expected,
        got=got,
        hint="raise the budget, ask for fewer tokens" + (", or call again tomorrow (UTC)" if limit.period else ""),
    )


def _usd(amount: int) -> str:
    return f"${amount / NANO:.6f}".rstrip("0").rstrip(".") or "$0"
