"""Refusals before and after: the prompts that travel with the package, the paired counts, and what is said about them."""

from __future__ import annotations

from collections import Counter

from journeyman.evaluation.asides import describe_asides, describe_safety
from journeyman.evaluation.document import DatasetPart, Document, SafetyPart
from journeyman.evaluation.report import ReportData, render_report
from journeyman.evaluation.safety import MOST_PROMPTS, choose_prompts, compare_refusals, load_prompts
from journeyman.measure.intervals import Paired, tango

NO, YES = "I'm sorry, but I can't help with that.", "Sure, here is how."
HOSTILE = "<script>document.title='owned'</script>"


def checked(before: int, after: int, over_before: int = 0, over_after: int = 0, most: int = 60) -> SafetyPart:
    """The base refuses the first ``before`` harmful requests, the student the first ``after``; harmless ones likewise."""
    prompts = choose_prompts(most)

    def answers(harmful: int, harmless: int) -> dict[str, str]:
        left = {True: harmful, False: harmless}
        said = {}
        for item in prompts:
            kind = item.kind == "harmful"
            said[item.text] = NO if left[kind] > 0 else YES
            left[kind] -= 1
        return said

    return SafetyPart.of(
        "small", 12, *compare_refusals(prompts, answers(before, over_before), answers(after, over_after))
    )


def document(safety: SafetyPart | None) -> Document:
    dataset = DatasetPart(hash="0" * 64, train=1, dev=1, calibration=1, test=1)
    return Document(task="tickets", dataset=dataset, candidates=(), safety=safety)


def test_every_prompt_is_there_once_with_a_licence_that_lets_it_travel() -> None:
    prompts = load_prompts()
    assert Counter(item.kind for item in prompts) == {"harmful": 60, "plain": 30, "borderline": 30}
    assert len({item.text.casefold() for item in prompts}) == len(prompts)
    assert {item.source: item.licence for item in prompts} == {"PyRIT 1.1.0": "MIT", "Journeyman": "Apache-2.0"}
    assert all(item.text == item.text.strip() and "\n" not in item.text for item in prompts)


def test_a_larger_number_asks_the_same_and_more_of_every_kind() -> None:
    few, all_of_them = choose_prompts(8), choose_prompts(MOST_PROMPTS)
    assert all_of_them[: len(few)] == few
    assert Counter(item.kind for item in few) == {"harmful": 8, "plain": 4, "borderline": 4}
    assert set(all_of_them) == set(load_prompts())


def test_a_fall_of_refusals_is_a_warning_with_its_interval() -> None:
    safety = checked(31, 12)
    assert safety.harmful is not None
    assert safety.harmful.counts.model_dump() == {"n11": 12, "n10": 0, "n01": 19, "n00": 29}
    assert (safety.harmful.shift, len(safety.harmful.changed)) == ("fell", 10)
    pairs = Paired(12, 0, 19, 29)
    ends = tango(pairs)
    assert (safety.harmful.difference.low, safety.harmful.difference.high) == (ends.low, ends.high)
    assert safety.harmful.difference.value == pairs.difference
    first, second = describe_safety(safety)
    assert first == (
        "Warning: tuning changed refusals of harmful requests: 31 of 60 by the base, 12 by the student; "
        f"difference -31.7 points ({100 * ends.low:+.0f} to {100 * ends.high:+.0f}, n = 60): they fell."
    )
    assert second.startswith("Refusals of harmless requests: 0 of 60 by the base, 0 by the student")
    assert second.endswith("no change is shown.")


def test_over_refusal_that_rises_is_a_warning_and_one_that_falls_is_none() -> None:
    worse, better = describe_safety(checked(30, 30, 2, 20)), describe_safety(checked(30, 30, 20, 2))
    assert worse[1].startswith("Warning: tuning changed refusals of harmless requests")
    assert better[1].startswith("Refusals of harmless requests: 20 of 60")
    assert better[1].endswith("they fell.")
    assert describe_safety(checked(0, 9))[0].endswith("they rose.")


def test_a_base_that_refuses_nothing_cannot_show_a_fall_and_the_lines_say_so() -> None:
    assert describe_safety(checked(0, 0))[-1] == (
        "small itself refuses none of these harmful requests, so no fall could show."
    )
    assert describe_asides(document(checked(0, 0)))[-3:] == describe_safety(checked(0, 0))


def test_the_report_shows_the_table_and_folds_what_changed() -> None:
    page = render_report(ReportData(document(checked(31, 12))))
    assert "<h2>Refusals</h2>" in page
    assert "51.7 %" in page
    assert "20.0 %" in page
    assert "<details><summary>Harmful requests that only one of the two refuses: 10 shown</summary>" in page
    assert "Harmless requests that only one" not in page
    assert "<h2>Refusals</h2>" not in render_report(ReportData(document(None)))


def test_answers_in_the_tasks_own_form_are_counted_beside_the_refusals() -> None:
    prompts = choose_prompts(4)
    before = {item.text: NO for item in prompts}
    after = {item.text: '{"item":"bomb"}' if item.kind == "harmful" else YES for item in prompts}
    part = SafetyPart.of("small", 12, *compare_refusals(prompts, before, after, "{"))
    assert part.harmful is not None
    assert part.harmless is not None
    assert (part.harmful.formed, part.harmless.formed) == (4, 0)
    assert describe_safety(part)[2] == (
        "4 of the student's 4 answers to harmful requests begin as its task's answers do: neither a refusal nor help."
    )
    assert "4 answered as the task does" in render_report(ReportData(document(part)))
    free = SafetyPart.of("small", 12, *compare_refusals(prompts, before, after))
    assert free.harmful is not None
    assert free.harmful.formed == 0


def test_what_a_model_wrote_cannot_run_in_the_report() -> None:
    prompts = choose_prompts(4)
    said = {item.text: HOSTILE for item in prompts}
    part = SafetyPart.of("small", 12, *compare_refusals(prompts, dict.fromkeys(said, NO), said))
    page = render_report(ReportData(document(part)))
    assert HOSTILE not in page
    assert "&lt;script&gt;document.title" in page


def test_a_head_says_that_it_can_do_neither() -> None:
    note = "A head answers with its labels only: it can neither refuse nor comply."
    assert describe_safety(SafetyPart(note=note)) == [f"Refusals: {note}"]
    assert note in render_report(ReportData(document(SafetyPart(note=note))))


def test_the_document_is_read_back_as_it_was() -> None:
    whole = document(checked(31, 12, 1, 3))
    assert Document.from_json(whole.to_json()) == whole
    assert Document.from_json({key: value for key, value in whole.to_json().items() if key != "safety"}).safety is None
