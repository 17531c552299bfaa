"""Heads for closed fields: linear and one-hidden-layer classifiers on a text's vector, chosen and calibrated on dev.

Linear: multinomial logistic regression with an L2 penalty, by L-BFGS from the strongest penalty to the weakest. MLP: GELU, dropout, AdamW
on a cosine, the look at dev with the smallest loss is kept, four of them averaged. Both are compared by dev loss after temperature (Guo et al.,
arXiv:1706.04599). Numbers come from five folds of banking77's train rows (docs/notebook.md). ``models.head`` runs what is made here.

Legend: ``n`` rows, ``d`` numbers of a vector, ``k`` classes with a train row, ``K`` all classes, ``h`` hidden units.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from journeyman.core.canonical import Json, dump
from journeyman.core.errors import TuneError
from journeyman.core.progress import Progress, Silent
from journeyman.measure.calibration import calibration_error
from journeyman.models.embedder import Vectors
from journeyman.models.head import ClosedField, Head, HeadKind, Heads, Layer, log_softmax
from journeyman.tuning.head_linear import fit_linear
from journeyman.tuning.head_mlp import LOOKS, MEMBERS, fit_mlp
from journeyman.tuning.head_rows import ScaledRows

# Weight of the penalty in rows: |W|^2 / 2 counts as much as so many rows' losses. Strongest first.
STRENGTHS = (300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3)
WORSE_IN_A_ROW = 2  # ends the path
KINDS: tuple[HeadKind, ...] = ("linear", "mlp")

Floats = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class HeadRows:
    """``vectors`` [n, d], ``labels`` [n]: the number of each row's value in the field. ``weights`` [n] count in training only."""

    vectors: Vectors
    labels: Ints
    weights: Floats | None = None


@dataclass(frozen=True, slots=True)
class Try:
    """One candidate: its dev loss and temperature are those of the trained classes' rows; ``setting`` says what differs."""

    kind: HeadKind
    setting: str
    loss: float
    accuracy: float
    temperature: float
    seconds: float

    def to_json(self) -> dict[str, Json]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class HeadReport:
    """What was tried, what was taken, and the taken one on dev: it was chosen there, so other rows are likely a little worse.

    ``untrained`` are values without a train row; dev rows with such a value are wrong, and left out of loss and temperature.
    """

    field: str
    train_rows: int
    dev_rows: int
    tries: tuple[Try, ...]
    chosen: Try
    calibration_error: float
    untrained: tuple[Json, ...]
    dev_rows_untrained: int

    def to_json(self) -> dict[str, Json]:
        plain: dict[str, Json] = {name: getattr(self, name) for name in ("field", "train_rows", "dev_rows")}
        return plain | {
            "tries": [item.to_json() for item in self.tries],
            "chosen": self.chosen.to_json(),
            "calibration_error": self.calibration_error,
            "untrained": list(self.untrained),
            "dev_rows_untrained": self.dev_rows_untrained,
        }


def number_values(field: ClosedField, values: Sequence[Json]) -> Ints:
    """Each value's number in the field, [n].

    Raises:
        TuneError: JM-565 a value that the field does not have.
    """
    numbers = {dump(value): number for number, value in enumerate(field.values)}
    keys = [dump(value) for value in values]
    for row, key in enumerate(keys):
        if key not in numbers:
            raise TuneError(
                "JM-565",
                f"row {row} has a value that the field {field.name or 'of the answer'} does not have",
                expected=f"one of {', '.join(list(numbers)[:10])}{', ...' if len(numbers) > 10 else ''}",
                got=key[:200],
                hint="correct the row, or add the value to the task's output",
            )
    return np.array([numbers[key] for key in keys], dtype=np.int64)


def train_heads(
    embedder: str,
    parts: Sequence[tuple[ClosedField, HeadRows, HeadRows]],
    *,
    kinds: Sequence[HeadKind] = KINDS,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[Heads, tuple[HeadReport, ...]]:
    """One head per (field, train, dev), over the vectors of the embedder with that id.

    Raises:
        TuneError: as ``train_head``.
    """
    done = [train_head(field, train, dev, kinds=kinds, seed=seed, progress=progress) for field, train, dev in parts]
    return Heads(embedder, tuple(head for head, _ in done)), tuple(report for _, report in done)


def train_head(
    field: ClosedField,
    train: HeadRows,
    dev: HeadRows,
    *,
    kinds: Sequence[HeadKind] = KINDS,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[Head, HeadReport]:
    """The candidate with the smallest dev loss after temperature; of equals the first, and linear ones come first.

    Equal arguments give equal bits on one machine with one number of threads.

    Raises:
        TuneError: JM-560 no train rows, JM-561 one class only, JM-562 vectors that are not finite, JM-563 dev has no rows of a trained
            class, JM-564 shapes, labels or weights that do not fit.
    """
    _check(field, train, "train")
    _check(field, dev, "dev")
    if dev.vectors.shape[1] != train.vectors.shape[1]:
        wide, other = train.vectors.shape[1], dev.vectors.shape[1]
        raise _misfit(
            f"dev rows of the field {field.name}", f"vectors of {wide} numbers, as in train", f"{other} numbers"
        )
    train = _counted(train)
    trained = trained_classes(field, train, dev)
    centre, scale = _measure_scale(train.vectors)
    inner = _scaled(train, trained, centre, scale)
    known = np.isin(dev.labels, trained)
    outer = _scaled(HeadRows(dev.vectors[known], dev.labels[known]), trained, centre, scale)
    bar = progress or Silent()
    bar.start(
        f"head {field.name}".strip(),
        total=sum({"linear": len(STRENGTHS), "mlp": LOOKS * MEMBERS}[kind] for kind in kinds),
    )
    found: list[tuple[Try, tuple[Layer, ...]]] = []
    if "linear" in kinds:
        found += _linear_path(inner, outer, bar)
    if "mlp" in kinds:
        found.append(_mlp(inner, outer, seed, bar))
    bar.finish()
    chosen, layers = min(found, key=lambda pair: pair[0].loss)
    missing = len(field.values) - len(trained)
    share = 1 / (len(train.labels) + len(field.values)) if missing else 0.0
    head = Head(field, _unscale(layers, centre, scale), tuple(trained.tolist()), chosen.temperature, share)
    return head, report_head(head, chosen, tuple(item for item, _ in found), train, dev)


def fit_temperature(logits: Floats, labels: Ints) -> tuple[float, float]:
    """The positive number that logits [n, k] are best divided by, and the mean loss with it."""

    def loss(log_temperature: float) -> float:
        scores = log_softmax(logits / np.exp(log_temperature))
        return -float(scores[np.arange(len(labels)), labels].mean())

    best = minimize_scalar(loss, bounds=(-4.0, 4.0), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(best.x)), float(best.fun)


def _linear_path(train: ScaledRows, dev: ScaledRows, bar: Progress) -> Iterator[tuple[Try, tuple[Layer, ...]]]:
    layer: Layer | None = None
    best, worse = np.inf, 0
    for strength in STRENGTHS:
        started = time.monotonic()
        layer = fit_linear(train, strength, layer)
        tried = score_layers("linear", f"penalty of {strength:g} rows", (layer,), dev, started)
        yield tried, (layer,)
        bar.advance()
        best, worse = (tried.loss, 0) if tried.loss < best else (best, worse + 1)
        if worse == WORSE_IN_A_ROW:
            return


def _mlp(train: ScaledRows, dev: ScaledRows, seed: int, bar: Progress) -> tuple[Try, tuple[Layer, ...]]:
    started = time.monotonic()

    def look(layers: tuple[Layer, ...]) -> float:
        bar.advance()
        return score_layers("mlp", "", layers, dev, started).loss

    layers, setting = fit_mlp(train, look, seed)
    return score_layers("mlp", setting, layers, dev, started), layers


def score_layers(kind: HeadKind, setting: str, layers: tuple[Layer, ...], dev: ScaledRows, started: float) -> Try:
    everything = tuple(range(len(layers[-1].bias)))
    logits = Head(ClosedField("", everything), layers, everything, 1.0, 0.0).logits(dev.vectors)
    temperature, loss = fit_temperature(logits, dev.labels)
    accuracy = float((logits.argmax(axis=1) == dev.labels).mean())
    return Try(kind, setting, loss, accuracy, temperature, round(time.monotonic() - started, 3))


def report_head(head: Head, chosen: Try, tries: tuple[Try, ...], train: HeadRows, dev: HeadRows) -> HeadReport:
    shares = head.probabilities(dev.vectors)
    right = shares.argmax(axis=1) == dev.labels
    return HeadReport(
        field=head.field.name,
        train_rows=len(train.labels),
        dev_rows=len(dev.labels),
        tries=tries,
        chosen=chosen,
        calibration_error=calibration_error(shares.max(axis=1), right),
        untrained=head.untrained,
        dev_rows_untrained=int((~np.isin(dev.labels, head.trained)).sum()),
    )


def _counted(rows: HeadRows) -> HeadRows:
    """Without the rows of weight zero."""
    if rows.weights is None:
        return rows
    kept = rows.weights > 0
    return HeadRows(rows.vectors[kept], rows.labels[kept], rows.weights[kept])


def _measure_scale(vectors: Single) -> tuple[Single, float]:
    centre = vectors.mean(axis=0, dtype=np.float64)
    deviation = float(np.sqrt(np.square(vectors - centre).mean()))
    return centre.astype(np.float32), deviation or 1.0


def _scaled(rows: HeadRows, trained: Ints, centre: Single, scale: float) -> ScaledRows:
    weights = np.ones(len(rows.labels)) if rows.weights is None else np.asarray(rows.weights, np.float64)
    return ScaledRows(
        vectors=np.ascontiguousarray((rows.vectors - centre) / np.float32(scale), dtype=np.float32),
        labels=np.searchsorted(trained, rows.labels).astype(np.int64),
        weights=(weights / weights.mean()).astype(np.float32),
        classes=len(trained),
    )


def _unscale(layers: tuple[Layer, ...], centre: Single, scale: float) -> tuple[Layer, ...]:
    """Fold centre and scale into the first layer, so that it takes vectors as they are."""
    weight = layers[0].weight.astype(np.float64) / scale
    first = Layer(weight.astype(np.float32), (layers[0].bias - weight @ centre).astype(np.float32))
    return (first, *layers[1:])


def trained_classes(field: ClosedField, train: HeadRows, dev: HeadRows) -> Ints:
    """Numbers of the classes that have a train row, ascending."""
    name = field.name or "of the answer"
    if not len(train.labels):
        raise TuneError(
            "JM-560",
            f"the field {name} has no train rows",
            expected="rows with a weight",
            hint="import rows with answers, then prepare",
        )
    trained = np.unique(train.labels).astype(np.int64)
    if len(trained) == 1:
        raise TuneError(
            "JM-561",
            f"all train rows of the field {name} have one value",
            expected="two values or more",
            got=f"{dump(field.values[trained[0]])} in {len(train.labels)} rows",
            hint="import rows with other values, or make the field a constant",
        )
    if not np.isin(dev.labels, trained).any():
        raise TuneError(
            "JM-563",
            f"dev has no rows to choose a head of the field {name} on",
            expected="dev rows with a value that train rows have",
            got=f"{len(dev.labels)} dev rows",
            hint="import more rows, or raise dev_share under [prepare] in journeyman.toml",
        )
    return trained


def _check(field: ClosedField, rows: HeadRows, split: str) -> None:
    """Raises: TuneError JM-562, JM-564."""
    where = f"{split} rows of the field {field.name or 'of the answer'}"
    count = len(rows.labels)
    if (
        rows.vectors.ndim != 2
        or len(rows.vectors) != count
        or (rows.weights is not None and rows.weights.shape != (count,))
    ):
        shapes = [rows.vectors.shape, rows.labels.shape] + ([] if rows.weights is None else [rows.weights.shape])
        raise _misfit(where, "one vector, label and weight a row", f"shapes {', '.join(map(str, shapes))}")
    if count and not 0 <= rows.labels.min() <= rows.labels.max() < len(field.values):
        raise _misfit(where, f"labels from 0 to {len(field.values) - 1}", f"{rows.labels.min()} to {rows.labels.max()}")
    if rows.weights is not None and not np.all(np.isfinite(rows.weights) & (rows.weights >= 0)):
        raise _misfit(
            where, "weights that are finite and not negative", f"{rows.weights.min()} to {rows.weights.max()}"
        )
    bad = np.flatnonzero(~np.isfinite(rows.vectors).all(axis=1))
    if len(bad):
        raise TuneError(
            "JM-562",
            "these vectors are not finite",
            where=where,
            expected="numbers",
            got=f"NaN or infinity in {len(bad)} of {count} rows, the first is row {bad[0]}",
            hint="embed the texts again; if it stays, the embedding model is damaged: pull it again",
        )


def _misfit(where: str, expected: str, got: str) -> TuneError:
    return TuneError(
        "JM-564",
        "these rows do not fit together",
        where=where,
        expected=expected,
        got=got,
        hint="give one vector and one label for each row",
    )
