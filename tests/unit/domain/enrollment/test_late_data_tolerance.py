"""How long decisions wait for late data."""

from typing import Any

import pytest
from msgspec.structs import replace

from enrollment.domain.enrollment.late_data_tolerance import GRACE_MS, DeferredEvent, ends_at, later_instants
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record, TimestampedValue
from enrollment.serialization.envelopes import read_routed_event
from tests.support.scenario import event

EVENT = read_routed_event(event({"forms.submitted": "101", "id": "e1"}))
SENT = EVENT.sent_at
DEFERRED = DeferredEvent(EVENT, {"1": 100, "2": 200}, 3, {"4": 1_000})


def test_flows_that_already_wait_do_not_change_the_deferral() -> None:
    assert DEFERRED.with_flows({"1": 100}) is DEFERRED
    assert DEFERRED.with_flows(DEFERRED.flows) is DEFERRED


def test_a_flow_that_waits_again_is_not_rejected_any_more() -> None:
    assert DEFERRED.with_flows({"4": 300}) == DeferredEvent(EVENT, {"1": 100, "2": 200, "4": 300}, 3, {})
    assert DEFERRED.with_flows({"3": 300}) == DeferredEvent(EVENT, {"1": 100, "2": 200, "3": 300}, 3, {"4": 1_000})


def test_a_decided_flow_waits_no_longer() -> None:
    assert DEFERRED.without(frozenset({"9"})) is DEFERRED
    assert DEFERRED.without(frozenset({"1"})) == DeferredEvent(EVENT, {"2": 200}, 3, {"4": 1_000})
    assert DEFERRED.without(frozenset({"4"})) == DeferredEvent(EVENT, {"1": 100, "2": 200}, 3, {})


def test_a_rejected_flow_is_kept_for_late_changes_beside_the_others() -> None:
    assert DEFERRED.without(frozenset({"1"}), {"1": 2_000}) == DeferredEvent(
        EVENT, {"2": 200}, 3, {"4": 1_000, "1": 2_000}
    )


def test_a_late_change_counts_until_the_grace_period_is_over() -> None:
    assert DEFERRED.due(100) == {"1"}
    assert DEFERRED.awaiting(999) == {"1": 100, "2": 200, "4": 1_000 - GRACE_MS}
    assert DEFERRED.awaiting(1_000) == {"1": 100, "2": 200}


@pytest.mark.parametrize(
    ("flows", "now", "expected"), [({"1": 100}, 5_000, False), ({}, 999, False), ({}, 1_000, True)]
)
def test_an_event_is_over_when_no_flow_waits(flows: dict[str, int], now: int, expected: bool) -> None:
    assert replace(DEFERRED, flows=flows).is_over(now) is expected


@pytest.mark.parametrize(
    ("evaluated", "now", "expected"),
    [
        (None, SENT, SENT + 60_000),
        (SENT + 10, SENT + 99, SENT + 60_000),
        (SENT - 10, SENT + 99, SENT + 59_990),
        # The tolerance ends at the first evaluation, or was over by then.
        (SENT + 60_000, SENT, SENT + 60_000),
        (SENT + 60_001, SENT, SENT + 60_001 + GRACE_MS),
    ],
)
def test_the_tolerance_begins_when_the_event_was_sent(evaluated: int | None, now: int, expected: int) -> None:
    assert ends_at(replace(EVENT, evaluated_at=evaluated), 60_000, now) == expected


@pytest.mark.parametrize(
    ("changed", "is_final", "expected"),
    [
        (None, False, []),
        (None, True, [60_000]),
        (5, False, [5]),
        (5, True, [5, 60_000]),
        (60_000, True, [60_000]),
        (60_001, False, []),
    ],
)
def test_criteria_are_evaluated_again_after_each_change_within_the_tolerance(
    changed: int | None, is_final: bool, expected: list[int]
) -> None:
    properties: Any = {} if changed is None else {"a": TimestampedValue("1", EVENT.occurred_at + changed)}
    record = Record(RecordKey("p1", "0-1", "101"), 0, properties)
    instants = later_instants(record, EVENT, 60_000, is_final=is_final)
    assert [instant - EVENT.occurred_at for instant in instants] == expected
