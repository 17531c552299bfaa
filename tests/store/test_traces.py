from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from journeyman.core.errors import StoreError
from journeyman.core.example import Passage, Target, object_target, text_target
from journeyman.core.judgements import Judgement, read_judgements
from journeyman.core.messages import ImagePart, Message, TextPart, ToolCall
from journeyman.core.trace import Trace
from journeyman.store.database import Store
from journeyman.store.traces import PAGE

Make = Callable[..., Trace]

TEXT = st.text(st.characters(codec=None, categories=None), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
TARGET = st.none() | JSON.map(object_target) | TEXT.map(text_target)
CALL = st.builds(ToolCall, TEXT, TEXT, TEXT)
PART = st.one_of(st.builds(TextPart, TEXT), st.builds(ImagePart, st.just("ab" * 32), st.just("image/png")))


def test_traces_come_back_whole_and_in_order(store: Store, make_trace: Make) -> None:
    added = [make_trace(f"t{number}") for number in range(5)]
    assert store.add_traces(added) == 5
    assert list(store.traces("tickets")) == added
    assert store.count_traces("tickets") == 5
    assert store.trace("t3") == added[3]
    assert store.trace("nothing") is None
    assert list(store.traces("other")) == []


def test_the_order_of_an_answers_fields_survives(store: Store, make_trace: Make) -> None:
    store.add_traces([make_trace("t", output=object_target({"zebra": 1, "apple": {"y": 1, "x": 2}}))])
    read = store.trace("t")
    assert read is not None
    assert read.output is not None
    assert json.dumps(read.output.value) == '{"zebra": 1, "apple": {"y": 1, "x": 2}}'


def test_the_same_row_twice_adds_nothing(store: Store, make_trace: Make) -> None:
    first = [make_trace(f"t{number}", row_key=f"row-{number}") for number in range(3)]
    assert store.add_traces(first) == 3
    again = [make_trace(f"u{number}", row_key=f"row-{number}") for number in range(4)]
    assert store.add_traces(again) == 1
    assert [trace.id for trace in store.traces("tickets")] == ["t0", "t1", "t2", "u3"]
    other_task = [make_trace("v0", task="recipes", row_key="row-0")]
    assert store.add_traces(other_task) == 1


def test_a_repeat_inside_one_call_adds_one(store: Store, make_trace: Make) -> None:
    assert store.add_traces([make_trace("a", row_key="k"), make_trace("b", row_key="k"), make_trace("a")]) == 1
    assert store.add_traces([]) == 0


def test_traces_without_a_row_key_never_collide(store: Store, make_trace: Make) -> None:
    assert store.add_traces(make_trace(f"t{number}", row_key="") for number in range(3)) == 3


def test_the_same_id_twice_adds_nothing(store: Store, make_trace: Make) -> None:
    assert store.add_traces([make_trace("t")]) == 1
    assert store.add_traces([make_trace("t", status="error")]) == 0
    read = store.trace("t")
    assert read is not None
    assert read.status == "ok"


def test_many_traces_stream_over_pages(store: Store, make_trace: Make) -> None:
    count = 2 * PAGE + 1
    assert store.add_traces(make_trace(f"t{number:05}") for number in range(count)) == count
    assert [trace.id for trace in store.traces("tickets")] == [f"t{number:05}" for number in range(count)]


def test_a_full_last_page_ends_the_stream(store: Store, make_trace: Make) -> None:
    store.add_traces(make_trace(f"t{number:05}") for number in range(PAGE))
    assert len(list(store.traces("tickets"))) == PAGE


def test_what_is_added_while_reading_does_not_show(store: Store, make_trace: Make) -> None:
    store.add_traces([make_trace("a"), make_trace("b")])
    seen = []
    for trace in store.traces("tickets"):
        seen.append(trace.id)
        store.add_traces([make_trace(f"copy-of-{trace.id}")])
    assert seen == ["a", "b"]
    assert store.count_traces("tickets") == 4


def test_origins_select(store: Store, make_trace: Make) -> None:
    store.add_traces([make_trace("a"), make_trace("b", origin="assess"), make_trace("c", origin="serve")])
    assert [trace.id for trace in store.traces("tickets", origins={"import", "serve"})] == ["a", "c"]
    assert [trace.id for trace in store.traces("tickets", origins=["assess"])] == ["b"]
    assert list(store.traces("tickets", origins=[])) == []


def test_row_keys_that_are_there(store: Store, make_trace: Make) -> None:
    awkward = ["plain", "nul\0", "lone \ud800 surrogate", "long " * 2000]
    store.add_traces(make_trace(f"t{number}", row_key=key) for number, key in enumerate(awkward))
    assert store.has_row_keys("tickets", [*awkward, "absent", ""]) == set(awkward)
    assert store.has_row_keys("tickets", []) == set()
    assert store.has_row_keys("other", awkward) == set()
    assert store.has_row_keys("tickets", (f"key-{number}" for number in range(1200))) == set()
    assert store.add_traces(make_trace(f"u{number}", row_key=key) for number, key in enumerate(awkward)) == 0


def test_feedback_merges(store: Store, make_trace: Make) -> None:
    store.add_traces([make_trace("t", feedback={"stars": 1, "by": "ann"})])
    store.add_feedback("t", {"stars": 5, "note": "now right"})
    read = store.trace("t")
    assert read is not None
    assert read.feedback == {"stars": 5, "by": "ann", "note": "now right"}
    assert read.output == make_trace("t").output


def test_feedback_to_no_trace(store: Store) -> None:
    with pytest.raises(StoreError, match="JM-813 there is no such trace") as caught:
        store.add_feedback("t-404", {"stars": 5})
    assert "got: t-404" in str(caught.value)


def test_what_is_not_json_is_refused_and_nothing_is_stored(store: Store, make_trace: Make) -> None:
    with pytest.raises(StoreError, match="JM-815 this value cannot be stored"):
        store.add_traces([make_trace("a"), make_trace("b", input={"message": float("nan")})])
    with pytest.raises(StoreError, match="JM-815") as caught:
        store.add_traces([make_trace("a"), make_trace("b", input={"message": {1, 2}})])
    assert "set is not JSON serializable" in str(caught.value)
    with pytest.raises(StoreError, match="JM-815"):
        store.add_traces([make_trace("a"), make_trace("b", input_tokens=1 << 70)])
    assert store.count_traces("tickets") == 0


def test_a_source_that_fails_stores_nothing(store: Store, make_trace: Make) -> None:
    def broken() -> Iterator[Trace]:
        yield make_trace("a")
        raise RuntimeError("the file ended")

    with pytest.raises(RuntimeError, match="the file ended"):
        store.add_traces(broken())
    assert store.count_traces("tickets") == 0


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    input=st.dictionaries(TEXT, JSON, max_size=3),
    output=TARGET,
    gold=TARGET,
    parts=st.lists(PART, max_size=1),
    calls=st.lists(CALL, max_size=2),
    passages=st.lists(st.builds(Passage, TEXT, TEXT, TEXT), max_size=2),
    model=TEXT,
    provenance=TEXT,
    meta=st.dictionaries(TEXT, JSON, max_size=2),
    row_key=TEXT,
    cost=st.none() | st.floats(0, 1e6),
)
def test_any_trace_comes_back_equal(
    store: Store,
    input: dict[str, object],
    output: Target | None,
    gold: Target | None,
    parts: list[TextPart | ImagePart],
    calls: list[ToolCall],
    passages: list[Passage],
    model: str,
    provenance: str,
    meta: dict[str, object],
    row_key: str,
    cost: float | None,
) -> None:
    trace = Trace(
        id=uuid.uuid4().hex,
        task=uuid.uuid4().hex,
        time="2026-11-21T10:15:00Z",
        origin="serve",
        input=input,  # type: ignore[arg-type]
        messages=(Message("assistant", tuple(parts), tuple(calls)),),
        output=output,
        gold=gold,
        passages=tuple(passages),
        model=model,
        provenance=provenance,
        meta=meta,  # type: ignore[arg-type]
        row_key=row_key,
        cost_usd=cost,
    )
    assert store.add_traces([trace]) == 1
    assert store.trace(trace.id) == trace
    assert store.has_row_keys(trace.task, [row_key]) == ({row_key} if row_key else set())


def test_a_trace_is_written_over_only_as_it_was_read(store: Store, make_trace: Make) -> None:
    before = [make_trace(name, task="model:big", row_key="") for name in ("kept", "changed", "erased")]
    store.add_traces(before)
    store.add_feedback("changed", {"verdict": "up"})
    store.delete_calls(["erased"])
    moves = [(trace, replace(trace, task="tickets", input={"message": "hello"})) for trace in before]
    assert store.move_traces(moves) == 1
    assert list(store.traces("tickets")) == [moves[0][1]]
    assert [trace.id for trace in store.traces("model:big")] == ["changed"]
    assert store.count_passed() == {"model:big": 1}


def test_traces_are_counted_by_origin(store: Store, make_trace: Make) -> None:
    store.add_traces([make_trace("a", origin="assess"), make_trace("b", origin="serve")])
    assert store.count_traces("tickets", origins=("serve",)) == 1
    assert store.count_traces("tickets") == 2


def test_a_judgement_is_written_beside_other_feedback_and_taken_back(store: Store, make_trace: Make) -> None:
    store.add_traces([make_trace("t", feedback={"verdict": "up"}), make_trace("u")])
    answer = object_target({"intent": "refund"})
    first = Judgement("ada", "done", answer, "2026-01-01T00:00:00Z", "drawn")
    assert store.set_judgements("ada", {"t": first.to_json(), "gone": first.to_json()}) == {"t": None}
    second = Judgement("bob", "skipped", None, "2026-01-02T00:00:00Z")
    store.set_judgements("bob", {"t": second.to_json(), "u": second.to_json()})
    read = store.trace("t")
    assert read is not None
    assert read_judgements(read.feedback) == {"ada": first, "bob": second}
    assert (read.correction, read.complaint) == (answer, None)
    store.add_feedback("t", {"note": "later"})
    assert store.set_judgements("ada", {"t": None}) == {"t": first.to_json()}
    assert store.set_judgements("bob", {"t": None, "u": None}) == {"t": second.to_json(), "u": second.to_json()}
    read = store.trace("t")
    assert read is not None
    assert read.feedback == {"verdict": "up", "note": "later"}
    assert store.trace("u") == make_trace("u")


def test_many_people_judging_one_call_at_once_lose_nothing(store: Store, make_trace: Make) -> None:
    store.add_traces([make_trace("t")])
    names = [f"person {number}" for number in range(16)]
    said = Judgement("", "done", object_target({"intent": "refund"}), "2026-01-01T00:00:00Z").to_json()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: store.set_judgements(name, {"t": said}), names))
    read = store.trace("t")
    assert read is not None
    assert sorted(read_judgements(read.feedback)) == sorted(names)
