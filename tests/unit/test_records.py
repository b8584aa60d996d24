"""What a record was: the same whatever the order in which its changes arrive."""

import random

from hypothesis import given
from hypothesis import strategies as st

from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records import MAX_RECORD_BYTES, Change, Dated, Record, changed, with_companions
from enrollment.domain.values import is_missing
from enrollment.wire.envelopes import read_routed_event
from tests.scenarios.scenario import event

KEY = RecordKey("p", "0-1", "1")

CHANGES = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from(["a", "b"]), st.sampled_from(["x", "y", "", None])), max_size=12
)


def after(changes: list[tuple[int, str, str | None]], history_length: int = 20) -> Record:
    record: Record = Record(KEY, 0)
    for at, name, value in changes:
        found = changed(record, KEY, Change(at, {name: value}), history_length)
        assert found is not None
        record = found
    return record


@given(CHANGES, st.randoms())
def test_the_order_of_arrival_leaves_no_trace(
    changes: list[tuple[int, str, str | None]], chance: random.Random
) -> None:
    assert after(chance.sample(changes, len(changes)) + changes[:3]) == after(changes)


@given(CHANGES, st.integers(0, 10))
def test_a_record_is_seen_as_it_was(changes: list[tuple[int, str, str | None]], instant: int) -> None:
    """The latest change until then; of two at one moment the greater text."""
    expected = {}
    for at, name, value in sorted(changes, key=lambda one: (one[0], one[2] or "")):
        if at <= instant:
            expected[name] = None if is_missing(value) else value
    assert after(changes).values_at(instant) == expected


@given(CHANGES, st.integers(0, 3))
def test_as_many_earlier_values_are_kept_as_is_said(changes: list[tuple[int, str, str | None]], length: int) -> None:
    record, whole = after(changes, length), after(changes)
    for name in record.properties:
        kept = record.property_changes(name, 99)
        assert len(kept) <= length + 1
        every = whole.property_changes(name, 99)
        assert kept[-1] == every[-1]
        # What is told again goes before what was another.
        assert list(kept) == [one for one in every if one in kept]


def test_to_be_told_the_same_again_and_again_does_not_push_history_out() -> None:
    changes: list[tuple[int, str, str | None]] = [(0, "a", "Cork"), *((at, "a", "Dublin") for at in range(1, 200))]
    assert [one.value for one in after(changes).property_changes("a", 999)][:2] == ["Cork", "Dublin"]


def test_values_that_read_the_same_and_are_not_end_the_same_in_any_order() -> None:
    for one, other in (("5", ["5"]), (True, 1), ("true", True)):
        ends = [
            changed(changed(Record(KEY, 0), KEY, Change(1, {"x": a})), KEY, Change(1, {"x": b}))
            for a, b in ((one, other), (other, one))
        ]
        assert repr(ends[0]) == repr(ends[1])


def test_history_gives_way_before_a_record_is_refused() -> None:
    record = Record(KEY, 0)
    for at in range(60):
        found = changed(record, KEY, Change(at, {"a": f"{at:02d}" * 4_000, "b": at}), 50)
        assert found is not None
        record = found
    assert record.properties == {"a": Dated("59" * 4_000, 59), "b": Dated(59, 59)}
    sizes = [len(str(one.value)) for many in record.earlier_properties.values() for one in many]
    assert MAX_RECORD_BYTES / 3 < sum(sizes) < MAX_RECORD_BYTES


def test_what_changed_with_an_event_is_seen_beside_all_that_is_kept_however_large() -> None:
    full = {f"p{number}": Dated("x" * 8_000, 1) for number in range(43)}
    record = Record(KEY, 0, {**full, "city": Dated("Cork", 5)}, earlier_properties={"city": (Dated("Bray", 3),)})
    envelope = event({"forms.submitted": "1", "id": "e", "at": "1970-01-01T00:00:00.009Z"})
    envelope["detail"]["changedWith"] = {"bio": "y" * 8_000, "city": "Dublin"}
    seen = with_companions(record, read_routed_event(envelope))
    assert seen.values_at(9)["bio"] == "y" * 8_000
    assert [one.value for one in seen.property_changes("city", 9)] == ["Bray", "Cork", "Dublin"]
    assert seen.values_at(8) == record.values_at(8)
