"""Answers with citations: read, checked against their passages, written as places in documents."""

from __future__ import annotations

import json

import jsonschema_rs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.document import Block, Document, Places
from journeyman.knowledge.ground.answers import SCHEMA, Cited, Statement, read_marked, read_object
from journeyman.knowledge.ground.citing import CheckedAnswer, CheckedStatement, check_answer
from journeyman.knowledge.ground.passages import Passage
from journeyman.knowledge.ground.scores import (
    Share,
    abstention_accuracy,
    citation_precision,
    citation_recall,
    cited_passages,
    groundedness,
)

TEXT = "The tower was finished in 1889. It is 330 m high.\n\nThe bridge was opened in 1900 by the king."
DOCUMENT = Document(
    "paris.pdf",
    "application/pdf",
    TEXT,
    (Block("paragraph", 0, 49, page=1), Block("paragraph", 51, len(TEXT), page=2)),
    places=Places(
        np.array([[0, 31], [32, 49], [51, len(TEXT)]], np.int32),
        np.array([1, 1, 2], np.int32),
        np.array([[10, 10, 90, 20], [10, 30, 90, 40], [10, 10, 90, 20]], np.float32),
    ),
)
PASSAGES = [Passage(1, "paris.pdf", 0, TEXT[:49]), Passage(2, "paris.pdf", 51, TEXT[51:])]


def checked(*statements: Statement, **options: object) -> CheckedAnswer:
    return check_answer(statements, PASSAGES, {"paris.pdf": DOCUMENT}, **options)  # type: ignore[arg-type]


def test_a_quote_becomes_a_place_in_its_document_with_its_box() -> None:
    answer = checked(Statement("Opened by a king.", (Cited(2, "Opened in 1900"),)))
    (citation,) = answer.statements[0].citations
    assert TEXT[citation.start : citation.end] == citation.text == "opened in 1900"
    assert (citation.status, citation.document, citation.boxes[0].page) == ("normalized", "paris.pdf", 2)
    assert answer.is_supported
    said = json.loads(json.dumps(answer.to_json()))
    assert said["statements"][0]["citations"][0]["boxes"][0]["right"] == 90


def test_repeated_quotes_go_to_successive_places() -> None:
    passage = Passage(1, "a", 100, "Acme here and Acme there")
    (statement,) = check_answer([Statement("x", (Cited(1, "Acme"), Cited(1, "Acme")))], [passage]).statements
    assert [citation.start for citation in statement.citations] == [100, 114]


def test_what_is_not_grounded_is_dropped_marked_or_refused() -> None:
    bad = Statement("It is 331 m high.", (Cited(1, "331 m high"), Cited(7, "anything"), Cited(1, "330 m high")))
    dropped, marked = checked(bad).statements[0], checked(bad, ungrounded="mark").statements[0]
    assert [citation.quote for citation in dropped.citations] == ["330 m high"]
    assert (dropped.dropped, dropped.is_supported) == (2, True)
    assert [citation.status for citation in marked.citations] == ["ungrounded", "ungrounded", "exact"]
    assert marked.dropped == 0
    with pytest.raises(KnowledgeError, match=r"JM-971 .*none of its passages(.|\n)*331 m high"):
        checked(bad, ungrounded="refuse")


def test_a_statement_without_a_citation_is_unsupported() -> None:
    statement = Statement("Paris is old.")
    assert not checked(statement).is_supported
    with pytest.raises(KnowledgeError, match="Paris is old"):
        checked(statement, ungrounded="refuse")


def test_a_quote_of_another_passage_is_moved_there() -> None:
    (citation,) = checked(Statement("x", (Cited(1, "by the king"),))).statements[0].citations
    assert (citation.passage, citation.moved_from, citation.status) == (2, 1, "exact")
    both = [Passage(3, "a", 0, "one two"), Passage(4, "b", 0, "one two")]
    (statement,) = check_answer([Statement("x", (Cited(1, "one two"),))], both).statements
    assert statement.citations == ()


@pytest.mark.parametrize(
    ("said", "is_supported"),
    [
        ("In 1889 they finished the tower [1].", True),
        ("The king opened the bridge in 1900. [2]", True),
        ("The king opened the bridge in 1901 [2].", False),
        ("A museum stands beside the river [1].", False),
        ("The tower was finished in 1889.", False),
        ('It "is 330 m high" [1].', True),
        ('It "is 330 m wide" [1].', False),
    ],
)
def test_marked_sentences_are_held_against_their_passages(said: str, is_supported: bool) -> None:
    assert checked(*read_marked(said)).is_supported == is_supported


def test_marks_are_read_before_and_behind_the_full_stop() -> None:
    said = 'Old "tower of iron" [1][2]. New one. [3] Then 3.5 m [1, 4]\n\n- A list [2]\n- B\n[5]'
    assert [(one.text, [cited.passage for cited in one.citations]) for one in read_marked(said)] == [
        ('Old "tower of iron".', [1, 2]),
        ("New one.", [3]),
        ("Then 3.5 m", [1, 4]),
        ("- A list", [2]),
        ("- B", [5]),
    ]
    assert read_marked(said)[0].citations[0].quote == "tower of iron"


@given(st.text(st.one_of(st.sampled_from('ab .!?\n"“”[]12,-#'), st.characters()), max_size=80))
def test_any_answer_can_be_read_and_checked(answer: str) -> None:
    json.dumps(checked(*read_marked(answer)).to_json())


def test_an_object_of_the_schema_is_read() -> None:
    raw = {"statements": [{"text": "a", "citations": [{"passage": 1, "quote": "b"}]}]}
    jsonschema_rs.validate(dict(SCHEMA), raw)
    assert read_object(raw) == [Statement("a", (Cited(1, "b"),))]


@pytest.mark.parametrize(
    "raw",
    [
        None,
        [],
        {},
        {"statements": 1},
        {"statements": ["a"]},
        {"statements": [{"text": 1, "citations": []}]},
        {"statements": [{"text": "a", "citations": [{"passage": "1", "quote": "b"}]}]},
        {"statements": [{"text": "a", "citations": [{"passage": True, "quote": "b"}]}]},
    ],
)
def test_an_object_of_another_form_is_one_error(raw: object) -> None:
    with pytest.raises(KnowledgeError, match="JM-970"):
        read_object(raw)


def test_scores_are_counts_over_all_answers() -> None:
    supported = CheckedStatement("a", True, ())
    answers = [CheckedAnswer((supported, CheckedStatement("b", False, ()))), CheckedAnswer(()), CheckedAnswer(())]
    gold: list[set[int]] = [{1}, set(), {2}]
    assert groundedness(answers) == Share(1, 2)
    assert abstention_accuracy(answers, gold) == Share(2, 3)
    assert citation_precision([{1, 3}, set(), set()], gold) == Share(1, 2)
    assert citation_recall([{1, 3}, set(), set()], gold) == Share(1, 2)
    assert Share(0, 0).value is None
    assert Share(0, 0).interval is None
    interval = Share(1, 2).interval
    assert interval is not None
    assert interval.low < 0.5 < interval.high
    assert cited_passages(checked(Statement("x", (Cited(2, "by the king"), Cited(1, "not there"))))) == {2}
