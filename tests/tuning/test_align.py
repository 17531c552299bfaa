from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.tuning.align import TeacherToken, align, closed_masses

# A student that knows these words and every byte.
WORDS = {b"Play": 300, b"Pl": 301, b"Add": 302, b" it": 303, b" now": 304, b"Pause": 305}


def first_token(text: bytes) -> int | None:
    fitting = [word for word in WORDS if text.startswith(word)]
    return WORDS[max(fitting, key=len)] if fitting else (text[0] if text else None)


def token(text: str, p: float, **others: float) -> TeacherToken:
    alternatives = [(name.encode(), math.log(q)) for name, q in others.items()]
    return TeacherToken(text.encode(), math.log(p), alternatives)


def cut(*texts: bytes) -> list[tuple[int, bytes]]:
    return [(WORDS.get(text, text[0]), text) for text in texts]


def masses(teacher: list[TeacherToken], student: list[tuple[int, bytes]]) -> list[dict[int, float]]:
    positions = align(teacher, student, first_token)
    assert positions is not None
    return [{key: round(value, 6) for key, value in position.masses.items()} for position in positions]


def test_tokens_that_line_up_carry_their_alternatives() -> None:
    teacher = [token("Play", 0.6, Add=0.3, Pause=0.05), token(" it", 0.9)]
    assert masses(teacher, cut(b"Play", b" it")) == [{300: 0.6, 302: 0.3, 305: 0.05}, {303: 0.9}]


def test_a_longer_alternative_speaks_for_the_students_token() -> None:
    """`Playlist` begins with the student's `Play`."""
    teacher = [token("Play", 0.6, Playlist=0.3), token(" it", 0.9)]
    assert masses(teacher, cut(b"Play", b" it"))[0] == {300: 0.9}


def test_a_student_token_over_two_of_the_teachers_has_their_product() -> None:
    teacher = [token("Pl", 0.5, Add=0.4), token("ay", 0.8, ug=0.1), token(" it", 0.9)]
    assert masses(teacher, cut(b"Play", b" it"))[0] == {300: 0.4, 302: 0.4}


def test_inside_a_teachers_token_nothing_is_known() -> None:
    teacher = [token("Play", 0.6, Add=0.3)]
    assert masses(teacher, cut(b"Pl", b"a", b"y")) == [{301: 0.6, 302: 0.3}, {}, {}]


def test_a_shorter_beginning_of_the_answer_stays_in_the_tail() -> None:
    teacher = [token("Play", 0.6, Pl=0.2)]
    assert masses(teacher, cut(b"Play")) == [{300: 0.6}]


def test_values_of_another_answer_are_not_used() -> None:
    assert align([token("Play", 0.6)], cut(b"Add"), first_token) is None


@given(st.binary(min_size=1, max_size=30), st.data())
def test_masses_never_exceed_one_and_every_shared_boundary_is_known(answer: bytes, data: st.DataObject) -> None:
    def pieces() -> list[bytes]:
        cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(answer) - 1)), max_size=6)) - {len(answer)})
        edges = [0, *cuts, len(answer)]
        return [answer[start:end] for start, end in pairwise(edges) if end > start]

    teacher = [
        TeacherToken(piece, math.log(0.5), [(data.draw(st.binary(min_size=1, max_size=3)), math.log(0.4))])
        for piece in pieces()
    ]
    student = [(piece[0], piece) for piece in pieces()]
    positions = align(teacher, student, first_token)
    assert positions is not None
    starts, place = set(), 0
    for item in teacher:
        starts.add(place)
        place += len(item.text)
    place = 0
    for position, (_, text) in zip(positions, student, strict=True):
        assert position.is_known == (place in starts)
        assert sum(position.masses.values()) == pytest.approx(min(1.0, sum(position.masses.values())))
        place += len(text)


@given(
    st.lists(st.text("abc", min_size=1, max_size=4), min_size=2, max_size=6, unique=True),
    st.data(),
)
def test_closed_answers_get_the_probability_that_the_tokens_give_them(words: list[str], data: st.DataObject) -> None:
    """A teacher that writes letter by letter and names every alternative gives each answer what it gives to its branch."""
    answers = [f"{word}." for word in words]
    shares = [data.draw(st.integers(1, 9)) for _ in answers]
    written = data.draw(st.sampled_from(answers))
    teacher, open_to = [], list(range(len(answers)))
    for place, letter in enumerate(written):
        total = sum(shares[index] for index in open_to)
        sums: dict[str, float] = {}
        for index in open_to:
            sums[answers[index][place]] = sums.get(answers[index][place], 0) + shares[index] / total
        teacher.append(token(letter, sums[letter], **sums))
        open_to = [index for index in open_to if answers[index][place] == letter]
    found = closed_masses(teacher, [answer.encode() for answer in answers])
    assert found is not None
    assert sum(found) == pytest.approx(1)
    for index, answer in enumerate(answers):
        place = next((at for at in range(len(written)) if not answer.startswith(written[: at + 1])), len(written))
        branch = [other for other in range(len(answers)) if answers[other].startswith(answer[: place + 1])]
        expected = sum(shares[other] for other in branch) / sum(shares) / len(branch)
        assert found[index] == pytest.approx(expected)


def test_unnamed_answers_and_other_texts() -> None:
    teacher = [token('{"x":"', 1.0), token("red", 0.7, red=0.7, dark=0.1, re=0.1), token('"}', 1.0)]
    answers = [f'{{"x":"{name}"}}'.encode() for name in ("red", "dark red", "darkest", "blue")]
    assert closed_masses(teacher, answers) == pytest.approx([0.7, 0.05, 0.05, 0.0])
    assert closed_masses(teacher, answers[1:]) is None
