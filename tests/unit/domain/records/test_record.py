"""The values of a record at a moment, whatever the order in which its changes arrived."""

import itertools
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrollment.domain.events.moments import as_of, moment_of
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import (
    EARLY_CHANGES_KEPT_MS,
    MAX_EARLY_CHANGES,
    MAX_RECORD_BYTES,
    Record,
    RecordUpdate,
    TimestampedValue,
    absent,
    apply_change,
    deleted,
    with_co_changed_properties,
)
from enrollment.domain.values import LATEST, Value, is_missing
from enrollment.serialization.envelopes import read_routed_event
from tests.support.scenario import event

KEY = RecordKey("p", "0-1", "1")

# Times at which no two changes of one property are equal.
CHANGES = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from(["a", "b"]), st.sampled_from(["x", "y", "", None])),
    max_size=12,
    unique_by=lambda change: change[:2],
)


def after(changes: Sequence[tuple[int, str, str | None]], history_length: int = 20) -> Record:
    record = Record(KEY, 0)
    for at, name, value in changes:
        record = apply(record, RecordUpdate(at, {name: value}), history_length)
    return record


def apply(record: Record | None, change: RecordUpdate, history_length: int = 20) -> Record:
    found = apply_change(record, KEY, change, history_length)
    assert found is not None
    return found


@given(CHANGES, st.randoms())
def test_order_of_arrival_does_not_matter_where_times_differ(
    changes: list[tuple[int, str, str | None]], chance: random.Random
) -> None:
    assert after(chance.sample(changes, len(changes)) + changes[:3]) == after(changes)


@given(CHANGES, st.integers(0, 31))
def test_values_at_an_instant_are_those_of_the_latest_changes_until_then(
    changes: list[tuple[int, str, str | None]], instant: int
) -> None:
    expected = {}
    for at, name, value in sorted(changes, key=lambda change: change[0]):
        if at <= instant:
            expected[name] = None if is_missing(value) else value
    assert after(changes).values_at(as_of(instant)) == expected


@given(CHANGES, st.integers(0, 3))
def test_history_has_at_most_its_maximum_length(changes: list[tuple[int, str, str | None]], length: int) -> None:
    record, whole = after(changes, length), after(changes)
    for name in record.properties:
        kept = record.property_changes(name, as_of(99))
        assert len(kept) <= length + 1
        every = whole.property_changes(name, as_of(99))
        assert kept[-1] == every[-1]
        # Repeated values are dropped before others.
        assert list(kept) == [dated for dated in every if dated in kept]


def test_repeated_values_do_not_displace_earlier_ones() -> None:
    changes: list[tuple[int, str, str | None]] = [(0, "a", "Cork"), *((at, "a", "Dublin") for at in range(1, 200))]
    assert [property_change.value for property_change in after(changes).property_changes("a", as_of(999))][:2] == [
        "Cork",
        "Dublin",
    ]


def test_of_two_changes_at_one_millisecond_the_later_arrival_wins() -> None:
    for first, second in (("5", ["5"]), (True, 1), ("true", True), ("zebra", "ant"), ("ant", "zebra")):
        record = apply(None, RecordUpdate(1, {"x": first}, creates=True, event_id="e1"))
        record = apply(record, RecordUpdate(1, {"x": second}, event_id="e2"))
        assert repr(record.properties["x"].value) == repr(second)
        # The first event, delivered again, changes nothing.
        assert apply(record, RecordUpdate(1, {"x": first}, event_id="e1")) is record


SECOND = 1_795_428_000_000
Arrival = tuple[int, bool, str]


def stories() -> st.SearchStrategy[list[Arrival]]:
    """Changes in order of arrival: when they occurred, whether that is known to the second only, and the value."""
    times = st.sampled_from([SECOND - 1, *(SECOND + ms for ms in (0, 1, 300, 999, 1000, 1500))])
    return st.lists(st.tuples(times, st.booleans(), st.sampled_from("abc")), min_size=1, max_size=8)


def stored(story: Sequence[Arrival], history_length: int = 20) -> tuple[Record, list[RecordUpdate]]:
    record: Record | None = Record(KEY, 0)
    changes = []
    for number, (at, is_to_second, value) in enumerate(story):
        start = at - at % 1000 if is_to_second else at
        change = RecordUpdate(
            start, {"x": value}, arrived_at=SECOND + 2_000 + number, event_id=f"e{number}", is_to_second=is_to_second
        )
        record = apply(record, change, history_length)
        changes.append(change)
    assert record is not None
    return record, changes


@given(stories())
def test_history_is_ordered_by_time_and_then_by_arrival(story: list[Arrival]) -> None:
    record, changes = stored(story)
    history = [*record.earlier_properties.get("x", ()), record.properties["x"]]
    assert len(history) == len(changes)
    for number, earlier in enumerate(history):
        for later in history[number + 1 :]:
            assert not later.is_before(earlier)
    last = changes[-1]
    # The latest arrival is current, unless its time is certainly earlier than that of another change.
    if record.properties["x"].event_id != last.event_id:
        assert any(last.latest < change.at for change in changes)


def test_a_repeated_value_that_cannot_be_ordered_is_kept_to_recognize_its_redelivery() -> None:
    record, changes = stored(
        [
            (SECOND + 1_500, False, "a"),
            (SECOND + 1_000, True, "a"),
            (SECOND - 1, False, "a"),
            (SECOND + 1_000, False, "a"),
        ],
        history_length=0,
    )
    assert apply(record, changes[0], 0).properties == record.properties


@given(stories(), st.data(), st.sampled_from([0, 1, 20]))
def test_a_change_that_is_delivered_again_changes_nothing(
    story: list[Arrival], data: st.DataObject, history_length: int
) -> None:
    record, changes = stored(story, history_length)
    again = data.draw(st.sampled_from(changes))
    kept = {dated.event_id for dated in record.changes}
    repeated = apply(record, again, history_length)
    assert repeated.properties == record.properties
    if again.event_id in kept:
        assert repeated is record


def seen(record: Record, at: int, *, is_to_second: bool, evaluated_at: int) -> Value:
    moment = moment_of(at, is_to_second=is_to_second, known_until=evaluated_at, event_id="the event")
    return record.values_at(moment).get("x")


def test_an_event_sees_what_arrived_in_its_second_before_its_first_evaluation() -> None:
    record = apply(Record(KEY, 0), RecordUpdate(SECOND - 1, {"x": "before"}))
    record = apply(record, RecordUpdate(SECOND + 300, {"x": "exact"}, arrived_at=SECOND + 310))
    record = apply(record, RecordUpdate(SECOND, {"x": "rough"}, arrived_at=SECOND + 900, is_to_second=True))

    assert seen(record, SECOND, is_to_second=True, evaluated_at=SECOND + 100) == "before"
    assert seen(record, SECOND, is_to_second=True, evaluated_at=SECOND + 500) == "exact"
    assert seen(record, SECOND, is_to_second=True, evaluated_at=SECOND + 950) == "rough"
    # An exact time determines which exact changes came first.
    assert seen(record, SECOND + 200, is_to_second=False, evaluated_at=SECOND + 500) == "before"
    assert seen(record, SECOND + 200, is_to_second=False, evaluated_at=SECOND + 950) == "rough"
    assert seen(record, SECOND + 400, is_to_second=False, evaluated_at=SECOND + 500) == "exact"
    # Times of different seconds determine the order, whatever arrived first.
    assert seen(record, SECOND + 1_000, is_to_second=True, evaluated_at=SECOND) == "rough"
    assert seen(record, SECOND - 2_000, is_to_second=True, evaluated_at=SECOND + 9_000) is None


def test_values_that_an_event_does_not_see_do_not_affect_their_order() -> None:
    record = apply(Record(KEY, 0), RecordUpdate(SECOND + 900, {"x": "last"}, arrived_at=SECOND + 910))
    record = apply(record, RecordUpdate(SECOND, {"x": "rough"}, arrived_at=SECOND + 920, is_to_second=True))
    record = apply(record, RecordUpdate(SECOND + 100, {"x": "first"}, arrived_at=SECOND + 930))
    # Of all three, "first" is before "last" by time, and "rough" arrived after "last".
    assert record.properties["x"].value == "rough"
    # An event that does not see "last" sees the one of the others that arrived later.
    assert seen(record, SECOND + 500, is_to_second=False, evaluated_at=SECOND + 950) == "first"


def test_the_first_millisecond_of_an_events_second_is_ordered_by_arrival() -> None:
    record = apply(Record(KEY, 0), RecordUpdate(SECOND, {"x": "exact"}, arrived_at=SECOND + 600))
    assert seen(record, SECOND, is_to_second=True, evaluated_at=SECOND + 500) is None
    assert seen(record, SECOND, is_to_second=True, evaluated_at=SECOND + 700) == "exact"
    assert seen(record, SECOND, is_to_second=False, evaluated_at=SECOND + 500) == "exact"


def test_an_event_sees_its_own_change_last_unless_another_certainly_came_later() -> None:
    """The order of storing does not matter: a clock that stands still, and three changes of which each comes after
    another (5 arrived before 10, 10 before 20, and the change that arrived at 20 occurred first)."""
    same_moment = [("bray", 1, False, 10), ("own", 0, True, 10), ("bandon", 2, False, 10)]
    in_a_circle = [("bandon", 2, False, 5), ("own", 0, True, 10), ("bray", 1, False, 20)]
    for story in (same_moment, in_a_circle):
        for order in itertools.permutations(story):
            record = Record(KEY, 0)
            for value, ms, is_to_second, arrival in order:
                event_id = "the event" if value == "own" else value
                change = RecordUpdate(
                    SECOND + ms,
                    {"x": value},
                    arrived_at=SECOND + arrival,
                    event_id=event_id,
                    is_to_second=is_to_second,
                )
                record = apply(record, change)
            assert seen(record, SECOND, is_to_second=True, evaluated_at=SECOND + 10) == "own", order
    # A later evaluation, for data that arrived after the event.
    record = apply(record, RecordUpdate(SECOND + 3, {"x": "late"}, arrived_at=SECOND + 30, event_id="late"))
    moment = moment_of(SECOND, is_to_second=True, known_until=SECOND + 10, event_id="the event")
    assert record.values_at(moment.until(SECOND + 2_000))["x"] == "late"


def test_changes_before_the_creation_count_from_then_on() -> None:
    record = apply(None, RecordUpdate(10, {"city": "Cork"}, arrived_at=10, event_id="e1"))
    record = apply(record, RecordUpdate(20, memberships={"7": True}, arrived_at=21, event_id="e2"))
    assert not record.exists
    assert not record.existed_at(LATEST)

    created = apply(record, RecordUpdate(15, {"name": "Ada"}, creates=True, arrived_at=30, event_id="e3"))
    assert created.exists
    assert created.created_at == 15
    assert created.known_at == 30
    assert created.values_at(as_of(15)) == {"city": "Cork", "name": "Ada"}
    assert not created.is_member("7", as_of(19))
    assert created.is_member("7", as_of(20))


def test_changes_before_the_creation_are_bounded_and_expire() -> None:
    record: Record | None = None
    for number in range(MAX_EARLY_CHANGES + 20):
        record = apply(record, RecordUpdate(number, {f"p{number}": number}, arrived_at=number, event_id=f"e{number}"))
    assert record is not None
    assert len(record.changes) == MAX_EARLY_CHANGES
    assert "p19" not in record.properties

    late = EARLY_CHANGES_KEPT_MS + 100
    created = apply(record, RecordUpdate(late, creates=True, arrived_at=late))
    assert set(created.properties) == {f"p{number}" for number in range(100, MAX_EARLY_CHANGES + 20)}


def test_order_of_changes_does_not_depend_on_a_change_that_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("enrollment.domain.records.record.MAX_EARLY_CHANGES", 3)
    record: Record | None = None
    arrivals = [("Oslo", 8, False), ("Cork", 0, True), ("Bray", 5, False), ("Rome", 5, False)]
    for number, (city, at, is_to_second) in enumerate(arrivals):
        change = RecordUpdate(
            at, {"city": city}, arrived_at=10 + number, event_id=f"e{number}", is_to_second=is_to_second
        )
        record = apply(record, change)
    assert record is not None
    # Only Oslo, which is not kept, is certainly after Rome. Of the others, Rome arrived last.
    assert record.properties["city"].value == "Rome"


def test_changes_before_the_creation_fit_into_the_item() -> None:
    record: Record | None = None
    for number in range(MAX_EARLY_CHANGES):
        record = apply(
            record, RecordUpdate(number, {f"p{number}": "x" * 8_000}, arrived_at=number, event_id=f"e{number}")
        )
    assert record is not None
    assert 5 < len(record.changes) < 13
    # The creation's own values have room.
    assert (
        len(apply(record, RecordUpdate(200, {f"q{n}": "x" * 8_000 for n in range(25)}, creates=True)).properties) > 30
    )
    assert f"p{MAX_EARLY_CHANGES - 1}" in record.properties


def test_a_second_deletion_discards_what_arrived_after_the_first() -> None:
    record = deleted(Record(KEY, 0), 50)
    record = deleted(apply(record, RecordUpdate(60, {"city": "Oslo"}, arrived_at=61)), 70)
    assert (record.is_deleted, record.deleted_at, record.changes) == (True, 70, [])


def test_a_deletion_discards_what_arrived_before_the_creation() -> None:
    record = deleted(apply(None, RecordUpdate(10, {"city": "Cork"}, arrived_at=10)), 50)
    assert record.is_deleted
    assert apply(record, RecordUpdate(11, {"city": "Cork"}, arrived_at=60)) is record
    waits = apply(record, RecordUpdate(51, {"city": "Oslo"}, arrived_at=60))
    assert not waits.exists
    created = apply(waits, RecordUpdate(55, creates=True, arrived_at=70))
    assert created.exists
    assert created.values_at(as_of(60)) == {"city": "Oslo"}


def test_a_creation_that_is_delivered_again_after_a_deletion_in_the_same_second_creates_nothing() -> None:
    creation = RecordUpdate(SECOND, {"city": "Cork"}, creates=True, arrived_at=SECOND + 50, is_to_second=True)
    record = deleted(apply(None, creation), SECOND + 300)
    assert apply(record, creation) is record
    later = RecordUpdate(SECOND, {"city": "Oslo"}, creates=True, arrived_at=SECOND + 500, is_to_second=True)
    assert apply(record, later).exists


def test_every_record_has_the_properties_that_hubspot_gives_it() -> None:
    record = apply(None, RecordUpdate(SECOND, {"city": "Cork"}, creates=True, arrived_at=SECOND))
    record = apply(record, RecordUpdate(SECOND + 5_000, {"city": "Oslo"}, arrived_at=SECOND + 5_000))

    def value(name: str, at: int) -> Value:
        return record.property_changes(name, as_of(at))[-1].value

    for name in ("createdate", "hs_createdate"):
        assert value(name, SECOND + 9_000) == "2026-11-23T10:00:00.000Z"
    for name in ("lastmodifieddate", "hs_lastmodifieddate"):
        assert value(name, SECOND + 1) == "2026-11-23T10:00:00.000Z"
        assert value(name, SECOND + 5_000) == "2026-11-23T10:00:05.000Z"
    assert value("hs_object_id", SECOND) == "1"
    sent = apply(record, RecordUpdate(SECOND + 6_000, {"createdate": "2020-01-01"}, arrived_at=SECOND + 6_000))
    assert sent.property_changes("createdate", as_of(SECOND + 7_000))[-1].value == "2020-01-01"
    assert absent(KEY).property_changes("createdate", as_of(LATEST)) == ()


def test_history_is_cut_before_a_record_is_refused() -> None:
    record = Record(KEY, 0)
    for at in range(60):
        record = apply(record, RecordUpdate(at, {"a": f"{at:02d}" * 4_000, "b": at}), 50)
    assert record.properties == {"a": TimestampedValue("59" * 4_000, 59), "b": TimestampedValue(59, 59)}
    sizes = [
        len(str(timestamped_value.value))
        for values in record.earlier_properties.values()
        for timestamped_value in values
    ]
    assert MAX_RECORD_BYTES / 3 < sum(sizes) < MAX_RECORD_BYTES


def test_text_counts_by_its_bytes_in_utf8() -> None:
    values = {f"p{number}": "ø" * 4_000 for number in range(42)}
    record = apply(None, RecordUpdate(0, values, creates=True))
    assert len(record.properties) == 42


def test_changes_of_an_event_are_seen_with_the_full_history_of_any_size() -> None:
    full = {f"p{number}": TimestampedValue("x" * 8_000, 1) for number in range(43)}
    record = Record(
        KEY,
        0,
        {**full, "city": TimestampedValue("Cork", 5)},
        earlier_properties={"city": (TimestampedValue("Bray", 3),)},
    )
    change = {"hs_name": "name", "hs_value": "Ada"}
    envelope = event({"crm.property_changed": "1", "id": "e", "at": "1970-01-01T00:00:00.009Z", "properties": change})
    envelope["detail"]["changedWith"] = {"bio": "y" * 8_000, "city": "Dublin"}
    seen = with_co_changed_properties(record, read_routed_event(envelope))
    assert seen.values_at(as_of(9))["bio"] == "y" * 8_000
    assert [property_change.value for property_change in seen.property_changes("city", as_of(9))] == [
        "Bray",
        "Cork",
        "Dublin",
    ]
    assert seen.values_at(as_of(8)) == record.values_at(as_of(8))
