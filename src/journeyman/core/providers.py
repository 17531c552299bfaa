"""Providers of models that ``journeyman.toml`` names: where they are, how they are spoken to, which variable holds the key, and what their models cost.

    [providers.other]                       a model of it is called other/NAME
    url = "https://llm.example.org/v1"
    api_key_env = "OTHER_KEY"
    [providers.other.models]
    "gpt-5*" = {input_usd_per_million = 1.25, output_usd_per_million = 10.0}

These addresses are all that a project's calls can reach: no request names another one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, Literal, cast
from urllib.parse import urlsplit

from journeyman.core.canonical import Json
from journeyman.core.places import unknown_setting, wrong_value

Kind = Literal["openai", "anthropic", "any-llm"]
KINDS: tuple[Kind, ...] = ("openai", "anthropic", "any-llm")
Price = tuple[float, float]
"""US dollars of a million input and a million output tokens."""
DEFAULT = "teacher"
"""The provider that the section [teacher] is about."""
ANTHROPIC: Final = "anthropic"
URLS: Mapping[Kind, str] = {"anthropic": "https://api.anthropic.com/v1"}
KEY_NAMES: Mapping[Kind, str] = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
SIDES = ("input_usd_per_million", "output_usd_per_million")
TEXTS = ("url", "api_key_env", "kind", "provider")
KEYS = (*TEXTS, *SIDES, "models")


@dataclass(frozen=True, slots=True)
class Provider:
    """``url`` ends before ``/chat/completions`` or ``/messages``. ``price`` is of models that no pattern in ``prices`` names. ``service`` is what any-llm calls it."""

    name: str
    url: str = ""
    key_name: str = ""
    kind: Kind = "openai"
    service: str = ""
    price: Price | None = None
    prices: Mapping[str, Price] = field(default_factory=dict)


def find_price(prices: Mapping[str, Price], model: str) -> Price | None:
    """By the model's own name, else by the longest pattern that it fits; None where none does."""
    if not prices or model in prices:
        return prices.get(model)
    fitting = [pattern for pattern in prices if fnmatchcase(model, pattern)]
    return prices[max(fitting, key=len)] if fitting else None


def read_providers(path: Path, raw: Json) -> dict[str, Provider]:
    """What stands under ``[providers]``.

    Raises:
        SettingsError: JM-103 unknown key, JM-104 wrong type.
    """
    if not isinstance(raw, dict):
        raise wrong_value(path, "providers", "a section for each provider, as [providers.other]", raw)
    return {name: _read(path, name, values) for name, values in raw.items()}


def read_prices(path: Path, where: str, raw: Json) -> dict[str, Price]:
    """Prices by model, or by pattern: ``{"gpt-5*" = {input_usd_per_million = 1, output_usd_per_million = 8}}``.

    Raises:
        SettingsError: JM-104.
    """
    if not isinstance(raw, dict):
        raise wrong_value(path, where, "a table of models, or patterns of them, and their prices", raw)
    found = {}
    for pattern, values in raw.items():
        price = _price(path, f"{where}.{pattern}", values) if isinstance(values, dict) else None
        if price is None or set(cast(dict[str, Json], values)) != set(SIDES):
            raise wrong_value(path, f"{where}.{pattern}", f"{{{SIDES[0]} = 1.0, {SIDES[1]} = 8.0}}", values)
        found[pattern] = price
    return found


def _read(path: Path, name: str, values: Json) -> Provider:
    where = f"providers.{name}"
    if not isinstance(values, dict) or name == DEFAULT or "/" in name:
        raise wrong_value(path, where, "a section of a name of its own: not teacher, and without a slash", values)
    for key, value in values.items():
        if key not in KEYS:
            raise unknown_setting(path, f"{where}.{key}", [f"{where}.{known}" for known in KEYS])
        if key in TEXTS and not isinstance(value, str):
            raise wrong_value(path, f"{where}.{key}", "text", value)
    kind = values.get("kind", ANTHROPIC if name == ANTHROPIC else "openai")
    if kind not in KINDS:
        raise wrong_value(path, f"{where}.kind", " | ".join(KINDS), kind)
    return Provider(
        name,
        _read_url(path, f"{where}.url", str(values.get("url", URLS.get(kind, ""))), kind),
        str(values.get("api_key_env", KEY_NAMES.get(kind, ""))),
        kind,
        str(values.get("provider", name)) if kind == "any-llm" else "",
        _price(path, where, values),
        read_prices(path, f"{where}.models", values.get("models", {})),
    )


def _read_url(path: Path, where: str, url: str, kind: Kind) -> str:
    parts = urlsplit(url)
    has_secret = bool(parts.username or parts.password)
    is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and not has_secret
    if not is_address and (url or kind != "any-llm"):
        expected = "an address that begins with https:// or http://, without a name or password"
        raise wrong_value(path, where, expected, "a name or a password in it" if has_secret else url)
    return url


def _price(path: Path, where: str, values: Mapping[str, Json]) -> Price | None:
    sides = []
    for key in SIDES:
        value = values.get(key)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (is_number and math.isfinite(cast(float, value)) and cast(float, value) >= 0):
            raise wrong_value(path, f"{where}.{key}", "a number from 0 on", value)
        sides.append(cast("float | None", value))
    to_read, to_write = sides
    return None if to_read is None or to_write is None else (to_read, to_write)
