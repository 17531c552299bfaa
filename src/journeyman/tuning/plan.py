"""Every number of a tuning run, derived by a named rule or given by the user, with its origin.

Rules come from sweeps on SNIPS (docs/notebook.md) and from published practice: adapters on all linear layers matter more than rank,
and want about ten times the learning rate of full fine-tuning (Schulman et al. 2025, "LoRA Without Regret"). An optimizer whose steps
have the size of the rate moves small weights further in proportion, so rates stand for weights of SmolLM2-135M's size and are
scaled by the base's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from journeyman.core.canonical import Json
from journeyman.core.errors import TuneError
from journeyman.core.settings import Setting
from journeyman.tuning.batching import TuneRow, common_beginning
from journeyman.tuning.lora import LoraConfig

# name -> (smallest, largest) value that a user may give.
LIMITS: dict[str, tuple[float, float]] = {
    "rank": (1, 512),
    "alpha": (0.1, 4096),
    "rate": (1e-7, 1.0),
    "rate_multiplier": (1e-3, 1000.0),
    "epochs": (0.01, 1000),
    "batch_tokens": (16, 1_000_000),
    "batch_rows": (1, 10_000),
    "layers": (0, 1000),
    "input_weight": (0.0, 1.0),
    "hold": (0, 10_000),
    "beta": (1e-4, 100.0),
    "answer_weight": (0.0, 100.0),
    "soft_share": (0.0, 1.0),
    "head_tokens": (0, 10_000_000),
    "finish_share": (0.01, 1.0),
    "warmup_share": (0.0, 0.5),
    "weight_decay": (0.0, 1.0),
    "clip": (0.01, 1000.0),
    "evaluations": (1, 1000),
    "patience": (1, 1000),
    "seed": (0, 2**31 - 1),
}
Kind = Literal["lora", "qlora", "rslora", "dora", "full"]
Finish = Literal["Q8_0", "Q4_0"]
Method = Literal["sft", "distill", "dpo", "ipo", "orpo", "kto"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# What a pass over pairs changes is small: the rate is a fortieth of plain tuning's, and the answers that were wanted keep a loss of their own.
PREFERENCE_RATE = 5e-5
OF_METHOD: dict[Method, tuple[str, ...]] = {
    "sft": ("hold", "input_weight", "head_tokens"),
    "distill": ("hold", "input_weight", "soft_share"),
    "dpo": ("beta", "answer_weight"),
    "ipo": ("beta", "answer_weight"),
    "orpo": ("beta",),
    "kto": ("beta",),
}
OF_METHODS = frozenset(name for names in OF_METHOD.values() for name in names)
# The root mean square of the projections that the rates were chosen on (SmolLM2-135M).
TYPICAL_SIZE = 0.19
# A beginning of at least so many tokens is held for so many steps.
LEAST_HELD, HELD_STEPS = 64, 8
FINISHES: tuple[Finish, ...] = get_args(Finish)
WORDS: dict[str, tuple[str, ...]] = {"kind": KINDS, "finish": FINISHES}
ALL_LINEAR = (
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """``epochs`` is a float; ``batch_tokens`` counts padded positions; ``layers`` is how many of the last ones are tuned (0: all);
    ``evaluations`` is the number of looks at dev in the whole run, ``patience`` the number of looks without gain before it stops;
    with a ``finish`` the last ``finish_share`` of the run sees weights as that type holds them; ``beta`` and ``answer_weight`` are the preference objectives', ``soft_share`` is distillation's, ``head_tokens`` is
    `tuning.vocabulary`'s, ``rate_multiplier`` and ``batch_rows``, where given, are what the derived rate and batch were made with, ``hold`` and ``input_weight`` are supervised tuning's and distillation's. ``total_tokens`` is what the schedule runs over."""

    settings: Mapping[str, Setting]
    total_tokens: int

    def number(self, name: str) -> float:
        return float(cast(float, self.settings[name].value))

    def whole(self, name: str) -> int:
        return int(self.number(name))

    def text(self, name: str) -> str:
        return str(self.settings[name].value)

    @property
    def hold(self) -> int:
        """For how many steps a beginning that all rows share is held (0: it is part of every step)."""
        return self.whole("hold") if "hold" in self.settings else 0

    @property
    def head_tokens(self) -> int:
        """0 for methods that have the whole head."""
        return self.whole("head_tokens") if "head_tokens" in self.settings else 0

    def lora(self) -> LoraConfig:
        kind = self.text("kind")
        return LoraConfig(
            self.whole("rank"),
            self.number("alpha"),
            ALL_LINEAR,
            is_rank_stabilized=kind == "rslora",
            is_decomposed=kind == "dora",
        )

    def to_json(self) -> dict[str, Json]:
        values: dict[str, Json] = {name: setting.to_json() for name, setting in self.settings.items()}
        return values | {"total_tokens": self.total_tokens}

    @staticmethod
    def from_json(raw: Mapping[str, Json]) -> Plan:
        settings = {
            name: Setting(value["value"], value["origin"], str(value.get("reason", "")))  # type: ignore[arg-type]
            for name, value in raw.items()
            if isinstance(value, dict)
        }
        return Plan(settings, cast(int, raw["total_tokens"]))


def make_plan(
    rows: Sequence[TuneRow], given: Mapping[str, Json], method: Method = "sft", weight_size: float = TYPICAL_SIZE
) -> Plan:
    """Derive what the user did not give; ``weight_size`` is `Decoder.weight_size` of the base.

    Raises:
        TuneError: JM-501 no rows, JM-502 a value out of range or unknown.
    """
    if not rows:
        raise TuneError("JM-501", "there is nothing to tune on", hint="import rows with answers, then prepare")
    tokens = sum(len(row.ids) for row in rows)
    kind = cast(str, given.get("kind", "lora"))
    of_method = _of_method(method, rows)
    hold = given["hold"] if "hold" in given else of_method["hold"].value if "hold" in of_method else 0
    settings = {
        "kind": Setting("lora", "default"),
        "layers": Setting(0, "default", "all"),
        "rank": _derive_rank(len(rows)),
        "rate": _derive_rate(kind, method, weight_size, _number(given, "rate_multiplier", 1.0)),
        "epochs": _derive_epochs(len(rows), method),
        "batch_tokens": _derive_batch(rows, bool(hold), int(_number(given, "batch_rows", 0))),
        **of_method,
        "finish": Setting("", "default", "no rounding"),
        "finish_share": Setting(0.25, "default", "of the run, when there is a finish"),
        "warmup_share": Setting(0.05, "default"),
        "weight_decay": Setting(0.0, "default"),
        "clip": Setting(1.0, "default"),
        "patience": Setting(3, "default"),
        "seed": Setting(0, "default"),
    }
    refuse_foreign(method, given)
    for name, value in given.items():
        settings[name] = Setting(_checked(name, value), "flag")
    if kind == "qlora" and settings["finish"].value:
        raise TuneError(
            "JM-502",
            "a finish rounds weights that adapters are merged into, and those of a base in 4 bits are not",
            expected="--kind lora with a finish, or --kind qlora without",
            got=f"kind qlora, finish {settings['finish'].value}",
        )
    if "evaluations" not in settings:
        settings["evaluations"] = _derive_evaluations(cast(float, settings["epochs"].value))
    if "alpha" not in settings:
        settings["alpha"] = _derive_alpha(kind, cast(int, settings["rank"].value))
    return Plan(settings, int(tokens * float(cast(float, settings["epochs"].value))))


def refuse_foreign(method: Method, given: Mapping[str, Json]) -> None:
    """Raises: TuneError: JM-502 a setting that other methods have."""
    for name, value in given.items():
        if name in OF_METHODS and name not in OF_METHOD[method]:
            raise TuneError(
                "JM-502",
                f"{method} has no setting {name}",
                expected=", ".join(OF_METHOD[method]),
                got=f"{name} {value}",
                hint=f"leave out --{name.replace('_', '-')}",
            )


def _of_method(method: Method, rows: Sequence[TuneRow]) -> dict[str, Setting]:
    """Settings that some methods alone have."""
    every = {
        "hold": _derive_hold(rows),
        "input_weight": Setting(0.0, "default"),
        "head_tokens": Setting(16_384, "default", "and the rows' own, of a vocabulary four times as large"),
        "soft_share": Setting(0.5, "default"),
        "beta": Setting(0.1, "default"),
        "answer_weight": Setting(0.2, "default", "keeps what was wanted likely in itself"),
    }
    return {name: every[name] for name in OF_METHOD[method]}


def _derive_rank(rows: int) -> Setting:
    rank = 8 if rows < 500 else 16 if rows < 8000 else 32
    return Setting(rank, "derived", f"{rows} rows")


def _derive_alpha(kind: str, rank: int) -> Setting:
    """A scale of one, which for rank-stabilized adapters is set at rank 16 and holds for the others."""
    return Setting(4, "derived", "a scale of 4/√rank") if kind == "rslora" else Setting(rank, "derived", "the rank")


def _number(given: Mapping[str, Json], name: str, default: float) -> float:
    return float(cast(float, _checked(name, given[name]))) if name in given else default


def _derive_rate(kind: str, method: Method, weight_size: float, multiplier: float) -> Setting:
    if method in ("dpo", "ipo", "kto"):
        rate, reason = PREFERENCE_RATE, f"{method} on a tuned student"
    elif kind == "full":
        rate, reason = 1e-4, "all weights want a twentieth of the adapters' rate"
    else:
        rate, reason = 2e-3, "steps are few, so they are large"
    times = f"; times {multiplier:g}" if multiplier != 1.0 else ""
    reason = f"{reason}; weights of size {weight_size:.2g}{times}"
    return Setting(scale_rate(rate * multiplier, weight_size), "derived", reason)


def scale_rate(rate: float, weight_size: float) -> float:
    """A rate that was chosen on weights of ``TYPICAL_SIZE``, for weights of another size; two digits."""
    return float(f"{rate * weight_size / TYPICAL_SIZE:.2g}")


def _derive_epochs(rows: int, method: Method) -> Setting:
    """Small sets are seen more often; from a few thousand rows on, fewer passes reach the same dev score."""
    if method in ("dpo", "ipo", "kto"):
        return Setting(2, "derived", "a tuned student moves a little")
    epochs = 4 if rows < 1000 else 3 if rows < 4000 else 2
    return Setting(epochs, "derived", f"{rows} rows")


def _derive_evaluations(epochs: float) -> Setting:
    """A look at dev costs as much as tuning on a third of it: two looks a pass at most, five in all."""
    return Setting(max(1, min(5, round(2 * epochs))), "derived", f"{epochs:g} epochs")


def _derive_hold(rows: Sequence[TuneRow]) -> Setting:
    """A beginning is held when it would be a large part of a step (docs/notebook.md)."""
    shared = len(common_beginning(rows))
    if shared < LEAST_HELD:
        return Setting(0, "derived", f"the rows share {shared} tokens")
    return Setting(HELD_STEPS, "derived", f"steps; all rows share {shared} tokens")


def _derive_batch(rows: Sequence[TuneRow], is_held: bool, given: int) -> Setting:
    """Two rows a step on small sets: what early tuning lacks is steps (docs/notebook.md). A beginning that rows share and that is not held
    is computed once a step, so a step holds at least as much of its rows as of that."""
    own = max(1, sum(row.own for row in rows) // len(rows))
    shared = max(row.shared for row in rows)
    per_batch = given or (2 if len(rows) < 4000 else 4 if len(rows) < 20_000 else 8)
    if shared > per_batch * own and not is_held and not given:
        return Setting(shared, "derived", f"as much as the {shared} tokens that all rows share")
    return Setting(per_batch * own, "derived", f"about {per_batch} rows of {own} tokens")


def _checked(name: str, value: Json) -> Json:
    if name in WORDS:
        if value not in WORDS[name]:
            raise TuneError("JM-502", f"unknown {name}", expected=" | ".join(WORDS[name]), got=repr(value))
        return value
    if name not in LIMITS:
        raise TuneError("JM-502", f"unknown tuning setting {name}", expected=" | ".join(LIMITS), got=name)
    low, high = LIMITS[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise TuneError(
            "JM-502", f"the setting {name} is out of range", expected=f"a number from {low} to {high}", got=repr(value)
        )
    return value
