"""Which of several answers people's judgements come to."""

from __future__ import annotations

from journeyman.core.canonical import Json
from journeyman.core.example import Target, text_target
from journeyman.core.judgements import Judgement, read_judgements, settle_judgements


def feedback(*items: tuple[str, str, str], answer: Json = None, over: Json = None) -> dict[str, Json]:
    """People with what they said and when."""
    people: dict[str, Json] = {
        by: Judgement(by, "done", text_target(text), time, over=over).to_json() for by, text, time in items
    }
    return {"judgements": people} | ({"answer": answer} if answer else {})


def settled(raw: dict[str, Json]) -> str | None:
    found: Target | None = settle_judgements(raw)
    return found.text if found is not None else None


def test_most_decide_and_of_equals_the_latest() -> None:
    assert settled(feedback(("ada", "x", "1"), ("bob", "y", "2"))) == "y"
    assert settled(feedback(("ada", "x", "3"), ("bob", "y", "2"))) == "x"
    assert settled(feedback(("ada", "x", "1"), ("bob", "y", "9"), ("eve", "x", "2"))) == "x"
    assert settled({}) is None
    assert settled({"verdict": "up"}) is None


def test_what_is_begun_or_skipped_says_nothing() -> None:
    begun = Judgement("ada", "open", text_target("x"), "1").to_json()
    skipped = Judgement("bob", "skipped", None, "1").to_json()
    raw: dict[str, Json] = {"judgements": {"ada": begun, "bob": skipped}}
    assert settled(raw) is None
    assert {by: item.state for by, item in read_judgements(raw).items()} == {"ada": "open", "bob": "skipped"}


def test_a_correction_that_nobody_had_seen_goes_before() -> None:
    later: Json = text_target("z").to_json()
    assert settled(feedback(("ada", "x", "1"), answer=later)) is None
    assert settled(feedback(("ada", "x", "1"), answer=later, over=later)) == "x"
