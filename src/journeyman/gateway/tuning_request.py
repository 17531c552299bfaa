"""What a caller asks of a fine-tuning job, in OpenAI's words, checked; and what of it the project's own tuning is given.

What cannot be honoured is refused: a job never does less than it was asked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from journeyman.core.canonical import Json
from journeyman.core.errors import ServeError

KIND = "fine-tuning"
"""Of the store's jobs."""
MethodName = Literal["supervised", "dpo"]
# OpenAI's name -> ours, the smallest and the largest value, and whether it is whole.
NUMBERS: Mapping[str, tuple[str, float, float, bool]] = {
    "n_epochs": ("epochs", 1, 1000, True),
    "batch_size": ("batch_rows", 1, 10_000, True),
    "learning_rate_multiplier": ("rate_multiplier", 1e-3, 1000, False),
    "beta": ("beta", 1e-4, 100, False),
}
OF_METHOD: Mapping[MethodName, tuple[str, ...]] = {
    "supervised": ("n_epochs", "batch_size", "learning_rate_multiplier"),
    "dpo": ("n_epochs", "batch_size", "learning_rate_multiplier", "beta"),
}
KNOWN = (
    "model",
    "training_file",
    "validation_file",
    "method",
    "hyperparameters",
    "suffix",
    "seed",
    "metadata",
    "integrations",
)
LONGEST_SUFFIX, MOST_SEED = 64, 2**31 - 1
MOST_METADATA, LONGEST_KEY, LONGEST_VALUE = 16, 64, 512


@dataclass(frozen=True, slots=True)
class TuningRequest:
    """``model`` is `base:NAME` or `task:NAME`; ``hyperparameters`` are by OpenAI's names, each a number or ``auto``."""

    model: str
    training_file: str
    validation_file: str = ""
    method: MethodName = "supervised"
    hyperparameters: Mapping[str, Json] = field(default_factory=dict)
    suffix: str = ""
    seed: int | None = None
    metadata: Mapping[str, Json] = field(default_factory=dict)

    @property
    def task(self) -> str:
        """The task that is named, empty where a base is."""
        return self.model.removeprefix("task:") if self.model.startswith("task:") else ""

    def settings(self) -> dict[str, Json]:
        """For the project's own tuning: what is not left to it."""
        given = {NUMBERS[name][0]: value for name, value in self.hyperparameters.items() if value != "auto"}
        return given | ({} if self.seed is None else {"seed": self.seed})

    def to_json(self) -> dict[str, Json]:
        plain: dict[str, Json] = {name: getattr(self, name) for name in self.__slots__}
        return plain | {"hyperparameters": dict(self.hyperparameters), "metadata": dict(self.metadata)}

    @staticmethod
    def from_json(raw: Mapping[str, Json]) -> TuningRequest:
        return TuningRequest(**raw)  # type: ignore[arg-type]


def read_request(raw: Json) -> TuningRequest:
    """Raises: ServeError: JM-772 not this shape, or what cannot be honoured; it names the parameter."""
    if not isinstance(raw, dict):
        raise refuse("body", "the body is not a job", "a JSON object", raw)
    body = {name: value for name, value in raw.items() if value is not None}
    if unknown := [name for name in body if name not in KNOWN]:
        raise refuse(unknown[0], "this parameter is not known", ", ".join(KNOWN), body[unknown[0]])
    if body.get("integrations"):
        raise refuse("integrations", "there are no integrations here", "none", body["integrations"])
    method, hyperparameters = _read_method(body)
    request = TuningRequest(
        _read_text(body, "model"),
        _read_text(body, "training_file"),
        _read_text(body, "validation_file", ""),
        method,
        hyperparameters,
        _read_suffix(body),
        _read_seed(body),
        _read_metadata(body.get("metadata", {})),
    )
    if request.task and request.suffix:
        raise refuse("suffix", "a student of a task has the task's name", "no suffix, or a base", request.suffix)
    return request


def refuse(where: str, what: str, expected: str, got: object) -> ServeError:
    """``where`` is the parameter, which OpenAI's error object names too."""
    return ServeError("JM-772", what, where=where[:80], expected=expected, got=f"{got!r:.80}", hint="mend the request")


def _read_method(body: Mapping[str, Json]) -> tuple[MethodName, dict[str, Json]]:
    stated = body.get("method", {"type": "supervised"})
    if not isinstance(stated, dict) or str(stated.get("type")) not in OF_METHOD:
        raise refuse("method", "this method is not known", "type: supervised or dpo", stated)
    method = cast(MethodName, stated["type"])
    for name in stated:
        if name not in ("type", method) and stated[name] is not None:
            raise refuse(f"method.{name}", "the method has settings of another", f"type, {method}", stated[name])
    own = stated.get(method) or {}
    if not isinstance(own, dict) or set(own) - {"hyperparameters"}:
        raise refuse(f"method.{method}", "the method has a setting that is not known", "hyperparameters", own)
    old, place = body.get("hyperparameters"), f"method.{method}.hyperparameters"
    if old and own.get("hyperparameters"):
        raise refuse("hyperparameters", "they are stated twice", f"{place} alone", old)
    if old and method != "supervised":
        raise refuse("hyperparameters", "they are those of supervised jobs", place, old)
    return method, _read_numbers(old or own.get("hyperparameters") or {}, method, "hyperparameters" if old else place)


def _read_numbers(raw: Json, method: MethodName, where: str) -> dict[str, Json]:
    known = OF_METHOD[method]
    if not isinstance(raw, dict):
        raise refuse(where, "the hyperparameters are no object", ", ".join(known), raw)
    for name, value in raw.items():
        if name not in known:
            raise refuse(f"{where}.{name}", f"{method} has no such setting", ", ".join(known), value)
        if value is not None and value != "auto":
            _check_number(name, value, where)
    return {name: raw[name] if raw.get(name) is not None else "auto" for name in known}


def _check_number(name: str, value: Json, where: str) -> None:
    _, low, high, is_whole = NUMBERS[name]
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or not low <= cast(float, value) <= high or (is_whole and not isinstance(value, int)):
        kind = "a whole number" if is_whole else "a number"
        raise refuse(f"{where}.{name}", "this value cannot be", f"auto, or {kind} from {low:g} to {high:g}", value)


def _read_text(body: Mapping[str, Json], name: str, default: str | None = None) -> str:
    value = body.get(name, default)
    if not isinstance(value, str) or (default is None and not value):
        raise refuse(name, "this parameter is a text", "a name" if name == "model" else "a file's id", value)
    return value


def _read_suffix(body: Mapping[str, Json]) -> str:
    suffix = _read_text(body, "suffix", "")
    if len(suffix) > LONGEST_SUFFIX or (suffix and not make_slug(suffix)):
        raise refuse("suffix", "this suffix cannot be", f"at most {LONGEST_SUFFIX} characters, a letter in it", suffix)
    return suffix


def make_slug(text: str) -> str:
    """As names of tasks begin: lower-case letters, digits, - and _, a letter first."""
    return re.sub(r"^[^a-z]+", "", re.sub(r"[^a-z0-9_]+", "-", text.lower())).strip("-")[:40]


def _read_seed(body: Mapping[str, Json]) -> int | None:
    seed = body.get("seed")
    if seed is None:
        return None
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MOST_SEED:
        raise refuse("seed", "this seed cannot be", f"a whole number from 0 to {MOST_SEED}", seed)
    return seed


def _read_metadata(raw: Json) -> dict[str, Json]:
    is_fit = isinstance(raw, dict) and len(raw) <= MOST_METADATA
    pairs = raw.items() if isinstance(raw, dict) else ()
    if not is_fit or any(not isinstance(value, str) or len(name) > LONGEST_KEY or len(value) > LONGEST_VALUE for name, value in pairs):  # fmt: skip
        raise refuse("metadata", "this metadata cannot be", f"at most {MOST_METADATA} short texts by name", raw)
    return dict(pairs)
