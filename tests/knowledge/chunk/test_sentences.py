from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.knowledge.chunk.sentences import split_sentences


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in split_sentences(text)]


@pytest.mark.parametrize(
    "sentences",
    [
        ["Dr. Smith met Mrs. Jones at 5 p.m. on Monday.", "They spoke."],
        ["It costs 3.50 euros, i.e. little.", "See Fig. 3 and pp. 4 to 6."],
        ["J. R. R. Tolkien wrote it.", "George W. Bush did not."],
        ['He said "Stop!" and left.', "“Really?”", "Yes."],
        ["Apples, pears, etc.", "We sell them."],
        ["The U.S. economy grew by 2.1 percent.", "It was 1.9 before."],
        ["Wait... what?", "Nothing."],
        ["1. First do this.", "Then that."],
        ["Das gilt z.B. für Nr. 5 der Liste.", "Siehe Abs. 3."],
        ["It was shown before.[12]", "Later it was not."],
        ["Is it?", "It is!"],
    ],
)
def test_sentences_end_where_people_end_them(sentences: list[str]) -> None:
    assert split(" ".join(sentences)) == sentences


def test_chinese_and_japanese_marks_need_no_blank() -> None:
    assert split("今日は晴れです。「明日は？」雨です！") == ["今日は晴れです。", "「明日は？」", "雨です！"]


def test_a_text_without_capitals_ends_at_full_stops() -> None:
    sentence = "the company had a loss of $ 39 million in 2017, which is due to mr. miller."
    assert split(" ".join([sentence] * 10)) == [sentence] * 10


def test_line_ends_count_unless_a_narrow_page_broke_the_line() -> None:
    assert split("A title\nSome text.\nMore") == ["A title", "Some text.", "More"]
    wrapped = (
        "This sentence was broken by a page that was so\n"
        "narrow that the author, who had more to say in\n"
        "it, had to go on below. And here is another\n"
        "one."
    )
    assert len(split(wrapped)) == 2


@given(st.text() | st.text(alphabet='aA .!?\n"\u3002)1', max_size=200), st.integers(0, 20))
def test_nothing_is_lost(text: str, start: int) -> None:
    start = min(start, len(text))
    place = start
    for first, last in split_sentences(text, start):
        assert not text[place:first].strip()
        assert text[first:last] == text[first:last].strip() != ""
        place = last
    assert not text[place:].strip()


@pytest.mark.parametrize("text", ["." * 1_000_000, '."' * 500_000, ".)" * 500_000, ".[1]" * 250_000, "! " * 200_000])
def test_marks_without_end_take_no_longer_than_others(text: str) -> None:
    assert split_sentences(text)
