"""What stands beside a verdict, in a sentence each: the labels that it rests on, the teacher's agreement with itself, and what became of earlier errors."""

from __future__ import annotations

from journeyman.evaluation.document import CeilingPart, ChangePart, DatasetPart, Document, Figure, LabelsPart, WeakPart

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
    return lines + describe_synthetic(document.dataset)


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
