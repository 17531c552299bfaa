"""The folded form of a text, and the way back from it."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from journeyman.knowledge.ground.folded import fold

ANY = st.text(
    st.one_of(
        st.sampled_from("aZé ß½²\u0301\u0323\u00ad-–\r\n\t“’\ufb01İ\u1100\u1161\u11a8가한क्\u09c7\u09be\u200d\ufe0f१Ａ"),
        st.characters(),
    ),
    max_size=40,
)


@given(ANY, st.data())
def test_every_span_goes_back_to_where_it_came_from(text: str, data: st.DataObject) -> None:
    folded = fold(text)
    if not folded.text:
        return
    start = data.draw(st.integers(0, len(folded.text) - 1))
    end = data.draw(st.integers(start + 1, len(folded.text)))
    span = folded.span(start, end)
    if span is not None:
        assert 0 <= span[0] < span[1] <= len(text)
        after = folded.span(end, end + 1) if end < len(folded.text) else None
        assert after is None or after[0] >= span[1]


@given(ANY)
def test_the_whole_covers_all_that_is_seen(text: str) -> None:
    folded = fold(text)
    if folded.text:
        span = folded.span(0, len(folded.text))
        assert span is not None
        assert fold(text[: span[0]] + text[span[1] :]).text.strip("- ") == ""


@given(ANY)
def test_composed_and_decomposed_texts_are_one(text: str) -> None:
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]  # type: ignore[arg-type]
    left, right = (fold(form).text for form in forms)
    assert unicodedata.normalize("NFKC", left) == unicodedata.normalize("NFKC", right)


@given(st.text(st.characters(codec="ascii", exclude_characters="-"), max_size=40))
def test_case_and_blanks_do_not_count(text: str) -> None:
    assert fold(text.upper()).text == fold(text.lower()).text
    assert fold(text.replace(" ", " \n")).text == fold(text).text
