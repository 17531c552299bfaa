"""The one JSON document of `assess --json`, and of a release's ``evaluation.json``.

Unknown keys are refused when reading. Shares are 0 to 1, money is in US dollars, times are milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import ceil, isfinite
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from journeyman.core.canonical import Json
from journeyman.core.errors import GateError
from journeyman.evaluation.behaviour import Tried, stand
from journeyman.evaluation.gate import Method, Verdict, VerdictName, describe_more
from journeyman.evaluation.helped import Change
from journeyman.evaluation.ladder import Rung, conclude, describe_figure
from journeyman.evaluation.safety import Refusals, Shift
from journeyman.evaluation.slices import Slice, SliceInterval
from journeyman.evaluation.threshold import FieldTrust, Trust
from journeyman.measure.calibration import Bin
from journeyman.measure.intervals import Interval
from journeyman.measure.latency import Latency
from journeyman.measure.metrics import Estimate, FieldScore
from journeyman.measure.risk import Point
from journeyman.task.behaviour import BehaviourKind
from journeyman.task.task import Against


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DatasetPart(Part):
    """Row counts by split; ``synthetic``: of them those that were made up, where there are any."""

    hash: str
    train: int
    dev: int
    calibration: int
    test: int
    synthetic: dict[str, int] = {}


class Figure(Part):
    """A figure with its 95 % interval; ``n`` is the number of distinct rows behind it."""

    value: float
    low: float
    high: float
    n: int

    @staticmethod
    def of(estimate: Estimate) -> Figure:
        return Figure(value=estimate.value, low=estimate.low, high=estimate.high, n=estimate.n)


class LatencyPart(Part):
    """Milliseconds per call with 95 % intervals; an end is null where so few calls bound it on no side."""

    p50: float
    p95: float
    p50_low: float
    p50_high: float | None
    p95_low: float
    p95_high: float | None
    n: int

    @staticmethod
    def of(latency: Latency) -> LatencyPart:
        p50, p95 = latency.p50, latency.p95
        return LatencyPart(
            p50=p50.value,
            p95=p95.value,
            p50_low=p50.low,
            p50_high=p50.high if isfinite(p50.high) else None,
            p95_low=p95.low,
            p95_high=p95.high if isfinite(p95.high) else None,
            n=p50.n,
        )


class TokensPart(Part):
    """Mean tokens per call; null where the model does not report them."""

    input: float | None
    output: float | None


class FieldPart(Part):
    field: str
    precision: Figure
    recall: Figure
    f1: Figure

    @staticmethod
    def of(score: FieldScore) -> FieldPart:
        return FieldPart(
            field=score.field,
            precision=Figure.of(score.precision),
            recall=Figure.of(score.recall),
            f1=Figure.of(score.f1),
        )


class CandidatePart(Part):
    """One model on one split. ``kind``: student, base, teacher, or the kind of the student (lora, head, ...)."""

    name: str
    kind: str
    split: str
    metrics: dict[str, Figure]
    latency_ms: LatencyPart | None = None
    tokens_per_call: TokensPart | None = None
    cost_usd_per_1000: float | None = None
    fields: tuple[FieldPart, ...] = ()
    note: str = ""


class PairCounts(Part):
    """Distinct rows by candidate and reference, 1 right and 0 wrong."""

    n11: int
    n10: int
    n01: int
    n00: int


class GatePart(Part):
    """See ``evaluation.gate.Verdict``: ``low`` and ``high`` are one-sided at ``level``, ``low_95`` and ``high_95`` two-sided. Where behavioural tests are
    required, ``verdict`` is that of all together, ``alone`` the gate's own, and ``unmet`` names the required tests that do not pass."""

    verdict: VerdictName
    against: Against
    metric: str
    difference: float
    low: float
    high: float
    low_95: float | None = None
    high_95: float | None = None
    margin: float | None
    floor: float | None
    level: float
    n: int
    groups: int | None = None
    needed: int | None
    method: Method
    counts: PairCounts | None
    heaviest: float | None = None
    cut: float | None = None
    alone: VerdictName | None = None
    unmet: dict[str, VerdictName] = {}

    @staticmethod
    def of(verdict: Verdict) -> GatePart:
        raw = asdict(verdict)
        return GatePart(**raw)


class SlicePart(Part):
    """A part of the rows that the gate looked at: the student's mean by the gate's metric, and less the teacher's where there is one. All intervals of a
    table hold together with 95 %; ``is_low``: the interval lies below the mean of all rows. For reading alone."""

    name: str
    score: Figure
    difference: Figure | None
    is_low: bool

    @staticmethod
    def of(found: Slice) -> SlicePart:
        return SlicePart(
            name=found.name,
            score=_slice_figure(found.score),
            difference=_slice_figure(found.difference) if found.difference else None,
            is_low=found.is_low,
        )


def _slice_figure(interval: SliceInterval) -> Figure:
    ends = interval.interval
    return Figure(value=interval.value, low=ends.low, high=ends.high, n=interval.n)


class ConfusionPart(Part):
    """See ``evaluation.confusion.Confusion``: rows are what was expected, columns what came."""

    field: str
    values: tuple[str, ...]
    given: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


class RungPart(Part):
    """A rung of the ladder on dev: see ``evaluation.ladder.Rung``."""

    name: str
    kind: str
    run: str
    student: str
    verdict: GatePart | None
    p50_ms: float | None
    usd_per_1000: float | None
    is_promising: bool
    note: str
    break_even_days: float | None = None

    @staticmethod
    def of(rung: Rung) -> RungPart:
        return RungPart(
            name=rung.name,
            kind=rung.kind,
            run=rung.run,
            student=rung.student,
            verdict=GatePart.of(rung.verdict) if rung.verdict else None,
            p50_ms=rung.p50_ms,
            usd_per_1000=rung.usd,
            is_promising=rung.is_promising,
            note=rung.note,
            break_even_days=rung.days,
        )


class LadderPart(Part):
    """Rungs in the order of what a call costs; ``chosen`` is the tuning run of the one that goes to the sealed split, among the runs ``seen``, by the rule
    with the hash ``rule``."""

    rungs: tuple[RungPart, ...]
    chosen: str
    advice: str
    seen: tuple[str, ...]
    rule: str

    @staticmethod
    def of(rungs: Sequence[Rung], chosen: Rung | None, advice: str, seen: Sequence[str], rule: str) -> LadderPart:
        return LadderPart(
            rungs=tuple(RungPart.of(rung) for rung in rungs),
            chosen=chosen.run if chosen else "",
            advice=advice,
            seen=tuple(seen),
            rule=rule,
        )

    def concluded(self, gate: GatePart, is_judged: bool = False) -> LadderPart:
        """With what to do now that the sealed rows have decided about the chosen rung."""
        chosen = next((rung for rung in self.rungs if rung.run and rung.run == self.chosen), None)
        if chosen is None or gate.low_95 is None or gate.high_95 is None:
            return self
        figure = describe_figure(gate.against, gate.metric, gate.n, gate.difference, gate.low_95, gate.high_95)
        more = describe_more(gate.against, is_judged)
        return self.model_copy(update={"advice": conclude(chosen.name, chosen.kind, gate.verdict, figure, more)})


class BinPart(Part):
    """Rows of like confidence: mean confidence, the share that was right with its 95 % interval."""

    confidence: float
    right: float
    low: float
    high: float
    n: int

    @staticmethod
    def of(bin: Bin) -> BinPart:
        ends = bin.interval
        return BinPart(confidence=bin.confidence, right=bin.right, low=ends.low, high=ends.high, n=bin.n)


class ConfidencePart(Part):
    """Calibrated confidence: the map from a model's own (``kind``, ``points``: see ``measure.calibrators``), chosen and fitted on ``fitted`` rows by
    ``losses`` (cross-validated log losses). ``brier``, ``error`` (debiased expected calibration error, 95 % interval ``low`` to ``high``) and
    ``bins`` are of ``n`` sealed rows; ``raw_error`` is the error without the map. As ``field_confidence`` all of it is of single values."""

    kind: Literal["identity", "temperature", "beta", "isotonic"]
    points: tuple[float, ...]
    losses: dict[str, float]
    fitted: int
    brier: float
    error: float
    low: float
    high: float
    raw_error: float
    bins: tuple[BinPart, ...]
    n: int

    @staticmethod
    def of(trust: Trust | FieldTrust) -> ConfidencePart:
        return ConfidencePart(
            kind=trust.calibrator.kind,
            points=trust.calibrator.points,
            losses=trust.losses,
            fitted=trust.fitted,
            brier=trust.brier,
            error=trust.error,
            low=trust.interval.low,
            high=trust.interval.high,
            raw_error=trust.raw_error,
            bins=tuple(BinPart.of(bin) for bin in trust.bins),
            n=trust.shown,
        )


class CurvePart(Part):
    """A threshold on calibrated confidence: the share of calls at or above it, the share of those that is wrong with its 95 % interval, the
    p-value of the promise there, and the independent units behind it."""

    threshold: float
    coverage: float
    wrong: float
    low: float
    high: float
    p_value: float
    accepted: int

    @staticmethod
    def of(point: Point) -> CurvePart:
        return CurvePart(
            threshold=point.threshold,
            coverage=point.coverage,
            wrong=point.wrong,
            low=point.interval.low,
            high=point.interval.high,
            p_value=point.p_value,
            accepted=point.accepted,
        )


class PromisePart(Part):
    """Of what is answered at ``threshold`` or above, at most ``error`` is wrong, with confidence 1 - ``delta``. Without a threshold nothing can be
    promised; ``needed`` is then how many accepted rows it takes at least, where there were fewer. ``n`` rows decided, of which ``gold`` had a reviewed answer:
    on the others wrong means other than the teacher's. ``disagreement`` bounds how often accepted answers differ from the teacher's, where gold decided."""

    threshold: float | None
    error: float
    delta: float
    needed: int | None
    curve: tuple[CurvePart, ...]
    n: int
    gold: int
    disagreement: float | None = None

    @staticmethod
    def of(trust: Trust, disagreement: float | None = None) -> PromisePart | None:
        """None where no row could decide."""
        promise = trust.promise
        if promise is None:
            return None
        return PromisePart(
            threshold=promise.threshold,
            error=promise.error,
            delta=promise.delta,
            needed=promise.needed,
            curve=tuple(CurvePart.of(point) for point in promise.curve),
            n=trust.decided,
            gold=trust.gold,
            disagreement=disagreement,
        )

    @property
    def allowed(self) -> float | None:
        """How often accepted answers may differ from the teacher's; None where there is no threshold, or gold decided and no row says it."""
        if self.threshold is None:
            return None
        return self.error if self.gold == 0 else self.disagreement and max(self.error, self.disagreement)

    @property
    def chosen(self) -> CurvePart | None:
        return next((point for point in self.curve if point.threshold == self.threshold), None)


class ReferencePart(Part):
    """What calls of the release are later compared with: of rows it was measured on, the model's own ``confidence`` and the ``novelty`` of the text, each
    sorted; ``words`` are checksums of the words of its train rows (``measure.novelty.Vocabulary.write``)."""

    confidence: tuple[float, ...]
    novelty: tuple[float, ...]
    words: str


class ShownPart(Part):
    """A failed case: see ``evaluation.behaviour.Shown``."""

    place: str
    input: dict[str, Any]
    changed: dict[str, Any] | None
    expected: Any
    got: Any
    problem: str


class BehaviourPart(Part):
    """A behavioural test: the share of ``n`` rows or cases that held (``how`` says what was changed or asked) with its 95 % interval, the one-sided bounds
    ``low`` and ``high`` at the look's level, and what they say of ``least``. ``skipped`` rows could not be changed. ``figure`` is null where n is 0."""

    name: str
    kind: BehaviourKind
    how: str
    n: int
    skipped: int
    figure: Figure | None
    low: float
    high: float
    least: float
    required: bool
    verdict: VerdictName
    needed: int | None
    examples: tuple[ShownPart, ...] = ()

    @staticmethod
    def of(tried: Tried, level: float) -> BehaviourPart:
        found, spec = stand(tried, level), tried.spec
        ends = found.drawn
        return BehaviourPart(
            name=tried.name,
            kind=spec.kind,
            how=spec.how,
            n=found.n,
            skipped=tried.skipped,
            figure=Figure(value=found.share, low=ends.low, high=ends.high, n=found.n) if found.n else None,
            low=found.bound.low,
            high=found.bound.high,
            least=spec.least,
            required=spec.required,
            verdict=found.verdict,
            needed=found.needed,
            examples=tuple(ShownPart(**asdict(item)) for item in tried.failures),
        )


class LabelsPart(Part):
    """The labels behind a verdict (``evaluation.labels``): sealed rows with gold, with answers that score alike, and ``differing`` ones, of which people
    ``labelled`` some, each drawn with ``probability``. ``scale`` is what a group could weigh at the most, ``agreement`` that of two people on the same row."""

    labelled: int
    differing: int
    gold: int
    alike: int
    probability: float
    scale: float
    people: int
    agreement: Figure | None


class CeilingPart(Figure):
    """How often the teacher agrees with itself by the gate's metric: on inputs that were recorded twice, or on dev rows that it was asked again."""

    how: Literal["recorded", "asked"]


class ChangedPart(Part):
    """A request that only one of base and student refuses, and how their answers begin."""

    prompt: str
    before: str
    after: str


class RefusalsPart(Part):
    """Shares of ``n`` requests that the base refused ``before`` and the student ``after``, and the paired ``difference`` after less before. In ``counts`` the student
    comes first, and 1 is a refusal. ``shift``: what the interval shows, if it lies on one side of 0. ``formed``: answers of the student that begin as its task's do."""

    n: int
    before: Figure
    after: Figure
    difference: Figure
    counts: PairCounts
    shift: Shift
    formed: int = 0
    changed: tuple[ChangedPart, ...] = ()

    @staticmethod
    def of(refusals: Refusals) -> RefusalsPart:
        pairs = refusals.pairs

        def figure(value: float, ends: Interval) -> Figure:
            return Figure(value=value, low=ends.low, high=ends.high, n=pairs.n)

        return RefusalsPart(
            n=pairs.n,
            before=figure(refusals.before / pairs.n, refusals.share(refusals.before)),
            after=figure(refusals.after / pairs.n, refusals.share(refusals.after)),
            difference=figure(pairs.difference, refusals.interval),
            counts=PairCounts(**asdict(pairs)),
            shift=refusals.shift,
            formed=refusals.formed,
            changed=tuple(ChangedPart(**asdict(item)) for item in refusals.changed),
        )


class SafetyPart(Part):
    """Refusals of harmful and of harmless requests, of the first ``tokens`` of an answer, before and after tuning of ``base``; where nothing was asked, ``note`` says
    why."""

    note: str = ""
    base: str = ""
    tokens: int = 0
    harmful: RefusalsPart | None = None
    harmless: RefusalsPart | None = None

    @staticmethod
    def of(base: str, tokens: int, harmful: Refusals, harmless: Refusals) -> SafetyPart:
        return SafetyPart(
            base=base, tokens=tokens, harmful=RefusalsPart.of(harmful), harmless=RefusalsPart.of(harmless)
        )


class ReleasePart(Part):
    hash: str
    path: str


class JudgePart(Part):
    """A metric whose scores a judge gives. ``judge`` is its hash; ``kappa`` with people on as many labelled pairs, null where it was not measured or is
    not defined; ``objection`` says why it may decide no gate."""

    metric: str
    model: str
    judge: str
    kappa: Figure | None
    objection: str


class ChangePart(Part):
    """See ``evaluation.helped.Change``: ``difference`` is after less before, as a share of the rows; all intervals of a table hold together with 95 %."""

    name: str
    rows: int
    before: int
    after: int
    difference: Figure | None

    @staticmethod
    def of(change: Change) -> ChangePart:
        found = change.difference
        figure = Figure(value=found.value, low=found.low, high=found.high, n=found.n) if found else None
        return ChangePart(
            name=change.name, rows=change.rows, before=change.before, after=change.after, difference=figure
        )


class WeakPart(Part):
    """The weak spots of the ``student`` before, which ``run`` assessed, on the ``common_rows`` of ``dev_rows`` that both answered; ``whole``: all errors on these.
    ``weighting``: which rows this student's tuning gave more weight, where it did."""

    student: str
    run: str
    dev_rows: int
    common_rows: int
    is_same_dataset: bool
    whole: ChangePart
    spots: tuple[ChangePart, ...]
    weighting: str


class Document(Part):
    edition: Literal[1] = 1
    task: str
    dataset: DatasetPart
    candidates: tuple[CandidatePart, ...]
    gate: GatePart | None = None
    confidence: ConfidencePart | None = None
    field_confidence: ConfidencePart | None = None
    promise: PromisePart | None = None
    slices: tuple[SlicePart, ...] = ()
    confusions: tuple[ConfusionPart, ...] = ()
    ladder: LadderPart | None = None
    reference: ReferencePart | None = None
    behaviours: tuple[BehaviourPart, ...] = ()
    judges: tuple[JudgePart, ...] = ()
    labels: LabelsPart | None = None
    ceiling: CeilingPart | None = None
    safety: SafetyPart | None = None
    weak: WeakPart | None = None
    release: ReleasePart | None = None

    def to_json(self) -> dict[str, Json]:
        raw: dict[str, Json] = self.model_dump(mode="json")
        return raw

    def shown(self) -> dict[str, Json]:
        """Without what only a release needs: the rows that its calls are compared with."""
        return {key: part for key, part in self.to_json().items() if key != "reference"}

    @staticmethod
    def from_json(raw: Mapping[str, Json] | str | bytes, where: str = "") -> Document:
        """Raises: GateError JM-609, not an evaluation of an edition that is known here."""
        try:
            if isinstance(raw, str | bytes):
                return Document.model_validate_json(raw)
            return Document.model_validate(raw)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(item) for item in first["loc"])
            raise GateError(
                "JM-609",
                "this is not an evaluation document of edition 1",
                where=where or place,
                expected=first["msg"],
                got=f"{place}: {first['input']!r:.80}",
                hint="run `journeyman assess TASK` to make a new one",
            ) from error


def describe_judge(judge: JudgePart) -> str:
    """What a judge's scores are worth, in one sentence."""
    found = judge.kappa
    kappa = f": kappa {found.value:.2f} ({found.low:.2f} to {found.high:.2f}, n = {found.n:,})" if found else ""
    worth = "agreement with people not measured" if not found else "agreement with people" + kappa
    return f"{judge.metric} is the verdict of {judge.model}, {worth}" + (
        f"; it may decide no gate: {judge.objection}." if judge.objection else "."
    )


def describe_promise(promise: PromisePart) -> str:
    """What the student may answer by itself, in one sentence."""
    error, sure = f"{100 * promise.error:.4g} %", f"{100 * (1 - promise.delta):.4g} %"
    wrong = "wrong"
    if promise.gold < promise.n:
        most = f", which is what {promise.n - promise.gold:,} of the {promise.n:,} rows say" if promise.gold else ""
        wrong = f"other than the teacher's{most}"
    if (chosen := promise.chosen) is None:
        more = f"; with all of them right it takes {promise.needed:,} accepted rows at least" if promise.needed else ""
        return f"No threshold can promise that at most {error} of the student's own answers are {wrong}{more}: with `policy: cascade` everything goes to the teacher."
    threshold = min(1.0, ceil(chosen.threshold * 1e4) / 1e4)
    return (
        f"Of what the student answers itself, at most {error} are {wrong}, with confidence {sure}: that is {100 * chosen.coverage:.1f} % of calls, "
        f"those with a calibrated confidence of {threshold:.4f} or more (n = {promise.n:,})."
    )


def asks_judge(gate: GatePart, judges: Sequence[JudgePart]) -> bool:
    """Whether the gate's metric is one of these judges."""
    return any(judge.metric == gate.metric for judge in judges)


def describe_verdict(gate: GatePart, is_judged: bool = False) -> str:
    """The verdict in one plain sentence; in two where required tests stand against a pass."""
    if gate.unmet:
        said = {"fail": "is shown to hold too seldom", "inconclusive": "is not settled"}
        tests = ", ".join(f"{name} {said[verdict]}" for name, verdict in gate.unmet.items())
        own = describe_verdict(gate.model_copy(update={"verdict": gate.alone, "unmet": {}}), is_judged)
        return f"{gate.verdict.capitalize()}, with the required tests: {tests}. The gate by itself: {own}"
    points = _points(gate.margin or 0.0)
    floor = f"{100 * (gate.floor or 0.0):.4g} %"
    if gate.verdict == "inconclusive":
        none = "no affordable number of rows would settle it"
        more = describe_more(gate.against, is_judged, gate.needed) if gate.needed else none
        return f"Inconclusive on {gate.n:,} rows: {more}."
    claims: dict[tuple[str, str], str] = {
        (
            "teacher",
            "pass",
        ): f"Pass: on {gate.metric} the student is shown to be no more than {points} below the teacher.",
        ("teacher", "fail"): f"Fail: on {gate.metric} the student is shown to be more than {points} below the teacher.",
        ("floor", "pass"): f"Pass: the student's {gate.metric} is shown to be at least {floor}.",
        ("floor", "fail"): f"Fail: the student's {gate.metric} is shown to be below {floor}.",
        (
            "agreement",
            "pass",
        ): f"Pass: on {gate.metric} the student is shown to be no more than {points} short of full agreement with the teacher.",
        (
            "agreement",
            "fail",
        ): f"Fail: on {gate.metric} the student is shown to be more than {points} short of full agreement with the teacher.",
    }
    return claims[(gate.against, gate.verdict)]


def describe_behaviour(test: BehaviourPart) -> str:
    """A test's figures, on one line."""
    said = {"pass": "holds", "fail": "does not hold", "inconclusive": "not settled"}[test.verdict]
    share = f"{100 * test.figure.value:.1f} % of {test.n:,} held" if test.figure else "no row could be asked"
    ends = f", 95 % interval {100 * test.figure.low:.1f} to {100 * test.figure.high:.1f}" if test.figure else ""
    more = f", {test.needed:,} more would settle it" if test.needed else ""
    skipped = f", {test.skipped:,} rows could not be changed" if test.skipped else ""
    must = "required" if test.required else "wanted"
    return (
        f"{test.name} ({test.kind}, {test.how}): {share}{ends}; {must} {100 * test.least:.4g} %: {said}{more}{skipped}"
    )


def describe_interval(gate: GatePart) -> str:
    """The figures behind the verdict, on one line."""
    sign = "+" if gate.against == "teacher" else ""
    name = {"teacher": "difference", "floor": gate.metric, "agreement": "agreement"}[gate.against]
    unit = "points" if gate.against == "teacher" else "%"
    limit = {
        "teacher": f"margin -{100 * (gate.margin or 0):.4g} points",
        "floor": f"floor {100 * (gate.floor or 0):.4g} %",
    }
    return (
        f"{name} {100 * gate.difference:{sign}.1f} {unit}, one-sided bounds {100 * gate.low:{sign}.1f} and "
        f"{100 * gate.high:{sign}.1f} at level {gate.level:.4g}, n = {gate.n:,}, "
        f"{limit.get(gate.against, f'limit {100 * (1 - (gate.margin or 0)):.4g} %')}"
    )


def _points(share: float) -> str:
    number = f"{100 * share:.4g}"
    return f"{number} point" if number == "1" else f"{number} points"
