"""What stands beside a verdict, in a sentence each: the labels that it rests on, the teacher's agreement with itself, what became of earlier errors, and what tuning did to refusals."""

from __future__ import annotations

from journeyman.evaluation.document import (
    CeilingPart,
    ChangePart,
    DatasetPart,
    Document,
    Figure,
    LabelsPart,
    RefusalsPart,
    SafetyPart,
    WeakPart,
)

SHOWN_SPOTS = 3


def describe_asides(document: Document) -> list[str]:
    lines = [describe_labels(document.labels)] if document.labels else []
    gate = document.gate
    if (
        document.labels
        and gate
        and gate.verdict == "inconclusive"
        and document.labels.labelled == document.labels.differing
    ):
        lines.append("Every row on which the answers differ is labelled: only more sealed rows can settle it.")
    lines += [describe_ceiling(document.ceiling)] if document.ceiling else []
    lines += describe_weak(document.weak) if document.weak else []
    lines += describe_synthetic(document.dataset)
    return lines + (describe_safety(document.safety) if document.safety else [])


def describe_synthetic(dataset: DatasetPart) -> list[str]:
    counts = {split: (count, getattr(dataset, split)) for split, count in dataset.synthetic.items()}
    lines = [f"{count:,} of {rows:,} {split} rows are synthetic." for split, (count, rows) in counts.items()]
    if "test" in counts:
        lines.append("So the verdict is about what was made up, and says nothing of real calls that differ from it.")
    return lines


def describe_labels(labels: LabelsPart) -> str:
    people = "1 person" if labels.people == 1 else f"{labels.people:,} people"
    drawn = (
        f"labels by {people} for {labels.labelled:,} of the {labels.differing:,} rows where the answers differ, each drawn with probability "
        f"{labels.probability:.3g}"
        if labels.differing
        else "no row where the answers differ"
    )
    agreed = (
        f" Two people say the same on {_share(labels.agreement)} of the rows that both labelled."
        if labels.agreement
        else ""
    )
    return f"The verdict rests on {labels.gold:,} rows with gold, {labels.alike:,} with answers that must score alike, and {drawn}.{agreed}"


def describe_ceiling(ceiling: CeilingPart) -> str:
    how = {"recorded": "inputs that were recorded twice", "asked": "dev rows that it was asked again"}[ceiling.how]
    return (
        f"The teacher agrees with itself in {_share(ceiling)} of {how}: more agreement than that cannot be asked for."
    )


def _share(figure: Figure) -> str:
    return f"{100 * figure.value:.1f} % ({100 * figure.low:.0f} to {100 * figure.high:.0f}, n = {figure.n:,})"


def describe_weak(weak: WeakPart) -> list[str]:
    """All errors, then the spots that they were counted by."""
    other = "" if weak.is_same_dataset else "; the dataset was another one, so rows that both answered count alone"
    weighed = f", tuned with weight {weak.weighting}" if weak.weighting else ""
    lines = [
        f"Against the student assessed before ({weak.student[:12]}){weighed}, errors on {weak.common_rows:,} of {weak.dev_rows:,} dev rows: {_change(weak.whole)}{other}."
    ]
    if weak.spots:
        spots = "; ".join(f"{item.name} {_change(item)}" for item in weak.spots[:SHOWN_SPOTS])
        more = f"; {len(weak.spots) - SHOWN_SPOTS} more in the report" if len(weak.spots) > SHOWN_SPOTS else ""
        lines.append(
            f"Its weak spots: {spots}{more}. They were picked by its errors, so part of a fall comes by itself."
        )
    return lines


def _change(change: ChangePart) -> str:
    found = change.difference
    ends = f", {100 * found.value:+.1f} points, {100 * found.low:+.1f} to {100 * found.high:+.1f}" if found else ""
    return f"{change.before:,} → {change.after:,} (of {change.rows:,}{ends})"


def describe_safety(safety: SafetyPart) -> list[str]:
    """A sentence for the harmful requests and one for the harmless, each a warning where the change for the worse is shown."""
    if safety.harmful is None or safety.harmless is None:
        return [f"Refusals: {safety.note}"]
    lines = [_shifted("harmful", safety.harmful, "fell"), _shifted("harmless", safety.harmless, "rose")]
    if safety.harmful.formed:
        lines.append(
            f"{safety.harmful.formed} of the student's {safety.harmful.n} answers to harmful requests begin as its task's answers do: neither a refusal nor help."
        )
    if not safety.harmful.before.value:
        lines.append(f"{safety.base} itself refuses none of these harmful requests, so no fall could show.")
    return lines


def _shifted(kind: str, found: RefusalsPart, worse: str) -> str:
    before, after = (round(figure.value * found.n) for figure in (found.before, found.after))
    ends = found.difference
    figures = (
        f"difference {100 * ends.value:+.1f} points ({100 * ends.low:+.0f} to {100 * ends.high:+.0f}, n = {found.n:,})"
    )
    said = f"refusals of {kind} requests: {before} of {found.n} by the base, {after} by the student; {figures}"
    if found.shift == worse:
        return f"Warning: tuning changed {said}: they {worse}."
    return f"{said[0].upper()}{said[1:]}: {'no change is shown' if found.shift == 'none shown' else f'they {found.shift}'}."
