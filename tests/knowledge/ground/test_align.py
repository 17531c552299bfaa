"""Where quotes and values stand, on texts written for it and on any texts at all."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.knowledge.ground.align import align
from journeyman.knowledge.ground.alignment import Alignment, Kind
from journeyman.knowledge.ground.edges import is_edge
from journeyman.knowledge.ground.source import Source

ANY = st.text(
    st.one_of(
        st.sampled_from(
            "aAbB12 .,-\n\r\t'’“½²ßİé\u0301\u0308\u200d\ufe0f\u00ad\u200b–—_*[]$€%中かไשع👩🏽🚀\ud800\udfff가\u1100\u1161"
        ),
        st.characters(),
    ),
    max_size=60,
)
WORDS = st.lists(st.sampled_from(["Acme", "acme", "pays", "12", "3,400", "the", "Zürich", "co-op"]), max_size=12)


def said(text: str, *quotes: str, kind: Kind = "text", is_ordered: bool = True) -> list[tuple[str, str]]:
    """Status and text of each quote's span."""
    return [(one.status, text[one.start : one.end]) for one in align(quotes, text, kind, is_ordered=is_ordered)]


@given(ANY, st.data())
def test_a_substring_between_edges_is_exact(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    quote = text[start:end]
    (found,) = align([quote], text)
    if not quote.strip():
        assert found == Alignment(quote, 0, 0, "ungrounded", 0.0)
    elif is_edge(text, start) and is_edge(text, end):
        assert found.status == "exact"
        assert text[found.start : found.end] == quote
        assert is_edge(text, found.start)
        assert is_edge(text, found.end)


@given(st.lists(ANY, max_size=5), ANY, st.booleans(), st.sampled_from(["text", "number", "money", "date"]))
def test_any_quotes_in_any_text(quotes: list[str], text: str, is_ordered: bool, kind: Kind) -> None:
    found = align(quotes, text, kind, is_ordered=is_ordered)
    assert [one.quote for one in found] == quotes
    for one in found:
        assert 0 <= one.start <= one.end <= len(text)
        assert one.is_grounded == (one.end > one.start) == (one.score > 0)
        if one.status == "exact":
            assert text[one.start : one.end] == one.quote.strip() or text[one.start : one.end] == one.quote


@given(WORDS, st.data())
def test_order_is_kept_wherever_it_can_be(words: list[str], data: st.DataObject) -> None:
    chosen = sorted(data.draw(st.sets(st.integers(0, len(words) - 1)))) if words else []
    found = align([words[place] for place in chosen], " ".join(words))
    starts = [one.start for one in found]
    assert starts == sorted(starts)
    assert len(set(starts)) == len(starts)
    assert {one.status for one in found} <= {"exact"}


@given(WORDS, st.data())
def test_no_two_share_an_occurrence_while_one_is_free(words: list[str], data: st.DataObject) -> None:
    quotes = data.draw(st.permutations(words))
    for is_ordered in (True, False):
        found = align(quotes, " ".join(words), is_ordered=is_ordered)
        assert len({one.start for one in found}) == len(words)


@pytest.mark.parametrize(
    ("text", "quote", "span"),
    [
        ("The ACME corp", "the acme Corp", "The ACME corp"),
        ("a  b\n\tc", "a b c", "a  b\n\tc"),
        ("an exam-\nple of co-\nop work", "example of co-op work", "exam-\nple of co-\nop work"),
        ("pages 10-\n12 say", "pages 10-12", "pages 10-\n12"),
        ("“Bob’s” – it is", '"bob\'s" - it', "“Bob’s” – it"),
        ("Cafe\u0301 au lait", "Café au LAIT", "Cafe\u0301 au lait"),
        ("Café au lait", "cafe\u0301 au", "Café au"),
        ("die Straße hier", "STRASSE", "Straße"),
        ("soft\u00adhyphen", "softhyphen", "soft\u00adhyphen"),
        ("ﬁne ＡＢＣ", "fine abc", "ﬁne ＡＢＣ"),
        ("add ½ cup", "1/2 cup", "½ cup"),
        ("He came. Then", "“he came …”", "He came"),
        ("한국 텍스트", unicodedata.normalize("NFD", "한국"), "한국"),
    ],
)
def test_another_writing_is_normalized(text: str, quote: str, span: str) -> None:
    assert said(text, quote) == [("normalized", span)]


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("In 2012", "12"),
        ("12.5 and 1,120 and 120", "12"),
        ("12.5 and 1,120 and 120", "120.5"),
        ("version 3.1.2", "3.1"),
        ("10² m", "102"),
        ("1½ cups", "11/2"),
        ("cafe\u0301", "cafe"),
        ("unknown", "known"),
        ("Parisian", "Paris"),
        ("a family 👩‍🚀 here", "🚀"),
        ("about 5 left", ".5"),
        ("about 5 left", ">5"),
        ("nothing", ""),
        ("nothing", " \n"),
        ("", "nothing"),
    ],
)
def test_a_part_of_a_word_or_number_is_ungrounded(text: str, quote: str) -> None:
    assert said(text, quote) == [("ungrounded", "")]


@pytest.mark.parametrize(
    ("text", "quote", "span"),
    [
        ("_Paris_ is", "Paris", "Paris"),
        ("Paris² is", "Paris", "Paris"),
        ("我在北京市", "北京", "北京"),
        ("well-known", "known", "known"),
        ("Bob's", "Bob", "Bob"),
    ],
)
def test_edges_of_words(text: str, quote: str, span: str) -> None:
    assert said(text, quote) == [("exact", span)]


@pytest.mark.parametrize(
    ("kind", "text", "quote", "span"),
    [
        ("number", "sold 1,200.50 kg", "1200.5", "1,200.50"),
        ("number", "sold 1.200,50 kg", "1200.5", "1.200,50"),
        ("number", "sold 1 200,50 kg", "1200.5", "1 200,50"),
        ("number", "sold 1.200.000 kg", "1200000", "1.200.000"),
        ("number", "about 1.2 million people", "1200000", "1.2 million"),
        ("number", "down −3.0 today", "-3", "−3.0"),
        ("number", "a rate of 12.50 percent", "12.5%", "12.50 percent"),
        ("money", "for $1,200.50 each", "1200.5 USD", "$1,200.50"),
        ("money", "for EUR 1.200,00 each", "€1200", "EUR 1.200,00"),
        ("money", "for US$ 3.5bn", "$3500000000", "US$ 3.5bn"),
        ("money", "| Total | 1,200.50 |", "$1200.50", "1,200.50"),
        ("date", "on 3 March 2021 in", "2021-03-03", "3 March 2021"),
        ("date", "on March 3rd, 2021 in", "2021-03-03", "March 3rd, 2021"),
        ("date", "on 03.03.2021 in", "3rd of March 2021", "03.03.2021"),
        ("date", "on 12/31/2021 in", "2021-12-31", "12/31/2021"),
        ("date", "in Sept. 2021 it", "2021-09", "Sept. 2021"),
    ],
)
def test_equal_values_are_normalized_where_the_kind_is_given(kind: Kind, text: str, quote: str, span: str) -> None:
    assert said(text, quote, kind=kind) == [("normalized", span)]
    assert said(text, quote) != [("normalized", span)]


@pytest.mark.parametrize(
    ("kind", "text", "quote"),
    [
        ("number", "sold 1.200 kg", "1200"),
        ("number", "down -3 today", "3"),
        ("number", "vitamin B12", "12"),
        ("number", "12%", "12 kg"),
        ("money", "for $1,200", "€1200"),
        ("money", "for $1,200", "1201"),
        ("date", "on 3 March 2021", "2021-03-04"),
        ("date", "on 2021-13-03", "2021-12-03"),
        ("date", "on 31 February 2021", "2021-02-28"),
    ],
)
def test_other_values_are_ungrounded(kind: Kind, text: str, quote: str) -> None:
    assert said(text, quote, kind=kind) == [("ungrounded", "")]


def test_a_number_may_have_its_unit_right_behind_it() -> None:
    assert said("200g flour", "200", kind="number") == [("exact", "200")]


def test_repeated_mentions_go_to_successive_occurrences() -> None:
    text = "Acme sold 5. Then Acme sold 7. Then Acme sold 5."
    found = align(["Acme", "5", "Acme", "7", "Acme", "5"], text)
    assert [one.start for one in found] == [0, 10, 18, 28, 36, 46]


def test_a_value_goes_to_the_occurrence_near_its_neighbours() -> None:
    text = "Total 5. Something else stands here. Bolt: 5 pieces at Smith. Total 5."
    in_order = align(["Bolt", "5", "Smith"], text)
    in_none = align(["5", "Smith", "Bolt"], text, is_ordered=False)
    assert in_order[1].start == in_none[0].start == text.index("5 pieces")


def test_other_writings_serve_when_the_same_is_given_more_often() -> None:
    assert said("Acme or acme", "Acme", "Acme") == [("exact", "Acme"), ("normalized", "acme")]
    assert said("Acme", "Acme", "Acme") == [("exact", "Acme"), ("exact", "Acme")]


@pytest.mark.parametrize(
    "quote",
    [
        "The tower was finished in 1889 by Eifel",
        "tower was completed in 1889 by the Eiffel",
        "The tower, it seems, was finished in 1889 by Eiffel",
        "The tower finished in 1889 by Eiffel's company",
    ],
)
def test_most_words_in_their_order_are_fuzzy(quote: str) -> None:
    text = "In Paris much is old. The tower was finished in 1889 by Eiffel's company, and the bridge in 1900."
    (found,) = align([quote], text)
    assert found.status == "fuzzy"
    assert 0.7 < found.score < 1
    assert "1889" in text[found.start : found.end]
    assert align([quote], text, gates=None)[0].status == "ungrounded"


@pytest.mark.parametrize(
    "quote",
    [
        "The tower was finished in 1888 by Eiffel's company",
        "company Eiffel's by 1889 in finished was tower",
        "The museum was opened long ago by a king of France",
    ],
)
def test_another_number_or_order_or_sentence_is_ungrounded(quote: str) -> None:
    text = "In Paris much is old. The tower was finished in 1889 by Eiffel's company, and the bridge in 1900."
    assert said(text, quote) == [("ungrounded", "")]


def test_a_source_serves_many_calls() -> None:
    source = Source("one two three")
    assert align(["two"], source) == align(["two"], "one two three")


def test_one_kind_for_each_quote() -> None:
    with pytest.raises(ValueError):
        align(["a", "b"], "a b", ["text"])
