from __future__ import annotations

import pytest

from journeyman.core import errors
from journeyman.core.errors import DataError, JourneymanError, UserError

CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, JourneymanError)]


def test_a_whole_message_reads_top_down() -> None:
    error = DataError(
        "JM-301", "this row is not JSON", where="calls.jsonl:7", expected="an object", got="[", hint="mend the line"
    )
    assert str(error) == (
        "JM-301 calls.jsonl:7: this row is not JSON\n  expected: an object\n  got: [\n  next: mend the line"
    )
    assert error.to_json() == {
        "code": "JM-301",
        "message": "this row is not JSON",
        "where": "calls.jsonl:7",
        "expected": "an object",
        "got": "[",
        "hint": "mend the line",
        "retryable": False,
    }


def test_what_is_not_known_takes_no_line() -> None:
    assert str(DataError("JM-301", "this row is not JSON")) == "JM-301 this row is not JSON"


@pytest.mark.parametrize("kind", CLASSES)
def test_every_class_is_in_the_tree_at_the_top(kind: type[JourneymanError]) -> None:
    assert kind.__name__ in (errors.__doc__ or "")
    if kind not in (JourneymanError, UserError):
        assert kind.__mro__[1] is UserError
