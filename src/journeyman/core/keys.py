"""Keys that callers of the server hold: shown once, kept as a hash. A key says what may be asked with it, how often, and what that may cost."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from journeyman.core.canonical import Json

PREFIX = "jm-"
SHOWN = 7
NANO = 1_000_000_000
"""Money is counted in whole billionths of a US dollar: sums of them are exact."""


@dataclass(frozen=True, slots=True)
class Key:
    """``hash`` is the SHA-256 of the secret, ``hint`` how that begins. ``tasks`` are names, ``models`` patterns of other models' names as in a shell; ``*`` is any.
    Amounts are US dollars; None: no limit. ``expires`` and ``revoked`` are ISO 8601 in UTC, or empty."""

    id: str
    name: str
    hash: str
    hint: str
    time: str
    tasks: tuple[str, ...] = ("*",)
    models: tuple[str, ...] = ("*",)
    usd: float | None = None
    usd_per_day: float | None = None
    calls_per_minute: int | None = None
    expires: str = ""
    revoked: str = ""
    may_tune: bool = False
    """Whether files may be uploaded and students tuned with it."""

    def may_ask(self, task: str) -> bool:
        return "*" in self.tasks or task in self.tasks

    def may_pass(self, model: str) -> bool:
        return any(fnmatchcase(model, pattern) for pattern in self.models)

    def is_valid(self, now: datetime) -> bool:
        return not self.revoked and (not self.expires or now < _moment(self.expires))

    def to_json(self) -> dict[str, Json]:
        """What may be asked with it and at what cost; the rest are columns of their own."""
        return {
            "tasks": list(self.tasks),
            "models": list(self.models),
            "usd": self.usd,
            "usd_per_day": self.usd_per_day,
            "calls_per_minute": self.calls_per_minute,
            "may_tune": self.may_tune,
        }


def make_secret() -> str:
    """256 random bits: no salt and no slow hash are needed to keep what it is from its hash."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_secret(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _moment(time: str) -> datetime:
    moment = datetime.fromisoformat(time)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
