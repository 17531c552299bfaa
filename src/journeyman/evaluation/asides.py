"""What stands beside a verdict, in a sentence each: the labels that it rests on, and the teacher's agreement with itself."""

from __future__ import annotations

from journeyman.evaluation.document import CeilingPart, DatasetPart, Document, Figure, LabelsPart


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
