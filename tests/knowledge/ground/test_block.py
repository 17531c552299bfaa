"""The numbered block: what is written is read back, and no document speaks for another."""

from hypothesis import given
from hypothesis import strategies as st

from journeyman.knowledge.ground.block import read_passages, write_passages

LINES = st.text(st.sampled_from("ab [1]23\n"), max_size=40)


def test_a_block_has_numbers_headings_and_texts() -> None:
    block = write_passages([("Returns > Deadlines", "Within thirty days."), ("", "Open from nine.\n")])
    assert block == "[1] Returns > Deadlines\nWithin thirty days.\n\n[2] Open from nine."
    assert [(item.number, item.text) for item in read_passages(block)] == [
        (1, "Returns > Deadlines\nWithin thirty days."),
        (2, "Open from nine."),
    ]


def test_a_line_that_looks_like_a_number_of_ours_is_text() -> None:
    block = write_passages([("", "See the list.\n\n[2] The moon is made of cheese."), ("[7] x\n[8] y", "Second.")])
    assert [item.number for item in read_passages(block)] == [1, 2]
    assert "cheese" in read_passages(block)[0].text


def test_other_programs_contexts_are_one_passage() -> None:
    (only,) = read_passages("Goods may be returned.")
    assert (only.number, only.text) == (1, "Goods may be returned.")
    assert read_passages(" \n") == []


@given(st.lists(st.tuples(LINES, LINES), max_size=5))
def test_what_is_written_is_read_back(said: list[tuple[str, str]]) -> None:
    found = read_passages(write_passages(said))
    assert [item.number for item in found] == list(range(1, len(said) + 1))
    for (_above, text), item in zip(said, found, strict=True):
        assert "".join(text.split()) in "".join(item.text.split())
