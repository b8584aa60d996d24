"""Data that arrives after its event: one final decision, whatever the order of arrival."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from enrollment.application.criteria_evaluator import CriteriaEvaluator
from enrollment.application.event_processor import ATTEMPTS
from enrollment.domain.enrollment.late_data_tolerance import MINUTE
from enrollment.domain.enrollment.portal_settings import PortalSettings
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record, RecordUpdate, TimestampedValue
from enrollment.domain.values import iso
from enrollment.serialization.redeliveries import read_redelivery
from tests.support.counting import Counted
from tests.support.criteria import associate, with_company
from tests.support.fakes import World
from tests.support.scenario import event, flow, property_filter

ADA = RecordKey("p1", "0-1", "101")
AT = 1_763_892_000_000
MINUTES = 5
DUBLIN = {
    "id": 1,
    "event": "forms.submitted",
    "criteria": [["city", "IS_EQUAL_TO", "Dublin"]],
    "tolerance": MINUTES,
    "re_enroll": True,
}


def world(*flows: dict[str, Any]) -> World:
    made = World(now=AT)
    for document in flows or (DUBLIN,):
        made.put_flow(flow(document))
    made.put_record(ADA, Record(ADA, 0))
    return made


def submitted(at: int = AT, event_id: str = "e1") -> dict[str, Any]:
    return event({"forms.submitted": "101", "id": event_id, "at": at})


def moved(city: str, at: int) -> dict[str, Any]:
    changes = {"hs_name": "city", "hs_value": city}
    return event({"crm.property_changed": "101", "id": f"{city}-{at}", "at": at, "properties": changes})


def final(made: World) -> list[tuple[str, str]]:
    """Each event's decisions but for those that it waits."""
    return sorted(
        (event.id, str(decision.code)) for event, decision in made.decision_log.decisions if decision.due_at is None
    )


CHANGES = [(1, "Bray"), (2, "Dublin"), (3, "Dublin"), (4, "Cork"), (6, "Dublin")]


@settings(max_examples=60, deadline=None)
@given(
    earlier=st.sampled_from(["Dublin", "Cork", None]),
    changes=st.lists(st.sampled_from(CHANGES), unique=True, max_size=4),
    order=st.randoms(use_true_random=False),
)
def test_the_final_decision_is_the_same_in_every_order_of_arrival(
    earlier: str | None, changes: list[tuple[int, str]], order: Any
) -> None:
    """All arrive within 15 minutes after the first evaluation, whenever they occurred."""
    within = [city for minute, city in changes if minute <= MINUTES]
    expected = "ENROLLED" if "Dublin" in (earlier, *within) else "FILTERED_OUT"

    story = [submitted(), *(moved(city, AT + minute * MINUTE) for minute, city in changes)]
    story += [moved(earlier, AT - MINUTE)] if earlier else []
    order.shuffle(story)
    made = world()
    made.now = AT + 7 * MINUTE
    for envelope in story:
        made.now += 1_000
        made.deliver(envelope)
    made.pass_time(AT + 60 * MINUTE)

    assert final(made) == [("e1", expected)]
    assert len(made.queue.messages) == (expected == "ENROLLED")
    assert all(not waiting.flows for waiting in made.deferred_events.items.values())


def test_deferred_decision_has_its_due_time_and_the_failed_filter() -> None:
    made = world()
    (waits,) = made.deliver(submitted())
    until = AT + MINUTES * MINUTE
    assert waits.due_at == until
    assert waits.filter is not None
    assert waits.filter.property == "city"
    assert waits.because.endswith(f"decided again when the record changes, and finally at {iso(until)}")
    (at_last,) = made.pass_time(until)
    assert at_last.because.endswith("nor after any change within 5 minutes")


def test_portal_tolerance_applies_to_flows_without_one() -> None:
    silent = {key: value for key, value in DUBLIN.items() if key != "tolerance"}
    made = world(silent, {**DUBLIN, "id": 2, "tolerance": 0})
    made.portals.save("p1", PortalSettings(tolerance=30 * MINUTE))
    assert [str(decision.code) for decision in made.deliver(submitted())] == ["WAITING", "FILTERED_OUT"]
    made.pass_time(AT + 30 * MINUTE - 1)
    made.deliver(moved("Dublin", AT + 29 * MINUTE))
    assert final(made) == [("e1", "ENROLLED"), ("e1", "FILTERED_OUT")]


def test_change_between_reading_the_record_and_storing_the_deferral_is_not_missed() -> None:
    """Neither when the event is the first that waits, nor when others wait already."""
    for waits_already in (False, True):
        made = world()
        if waits_already:
            made.deliver(submitted(event_id="e0"))
            made.deferred_events.items.clear()  # so that only e1 is looked at
        keep = made.deferred_events.save

        def meanwhile(waiting: Any, made: World = made, keep: Any = keep) -> None:
            made.deferred_events.save = keep  # type: ignore[method-assign]
            made.deliver(moved("Dublin", AT + 1))
            keep(waiting)

        made.deferred_events.save = meanwhile  # type: ignore[method-assign]
        assert [str(decision.code) for decision in made.deliver(submitted())] == ["ENROLLED"]
        made.pass_time(AT + 60 * MINUTE)
        assert ("e1", "FILTERED_OUT") not in final(made)
        assert [message.cause.event_id for message in made.queue.messages] == ["e1"]


def test_change_through_the_api_reevaluates_deferred_events() -> None:
    made = world()
    made.deliver(submitted())
    made.now += 1_000
    made.record_service.change(ADA, RecordUpdate(made.now, {"city": "Dublin"}))
    made.deliver_produced()
    assert final(made) == [("e1", "ENROLLED")]


def test_changes_to_associated_records_count_in_the_final_decision() -> None:
    document = flow({**DUBLIN, "criteria": [["city", "IS_EQUAL_TO", "Dublin"]]})
    criteria = {
        "filterBranchType": "AND",
        "filterBranchOperator": "AND",
        "filters": [],
        "filterBranches": [with_company(property_filter(["city", "IS_EQUAL_TO", "Dublin"]))],
    }
    document["enrollmentCriteria"]["refinementCriteria"] = criteria
    made = world()
    made.put_flow(document)
    company = RecordKey("p1", "0-2", "c1")
    made.put_record(company, Record(company, 0, {"city": TimestampedValue("Dublin", 1)}))
    made.deliver(submitted())
    associate(made, "c1", AT + MINUTE)
    made.pass_time(AT + MINUTES * MINUTE)
    assert final(made) == [("e1", "ENROLLED")]


def test_deferred_events_enroll_in_the_order_in_which_they_occurred() -> None:
    made = world({**DUBLIN, "re_enroll": False}, {**DUBLIN, "id": 2})
    for number, event_id in enumerate("cab"):
        made.deliver(submitted(AT + number, event_id))
    made.deliver(moved("Dublin", AT + 10))
    entered = [(message.flow_id, message.cause.event_id) for message in made.queue.messages]
    assert entered == [("1", "c"), ("2", "c"), ("2", "a"), ("2", "b")]


def test_late_change_decides_an_event_whose_final_decision_is_due() -> None:
    """The decision may be under way, on the record as it was before the change."""
    made = world()
    save, made.records.save = made.records.save, Mock(side_effect=OSError)  # type: ignore[method-assign]
    with pytest.raises(OSError):  # noqa: PT011 - a crash, after the event was kept
        made.deliver(submitted())
    made.records.save = save  # type: ignore[method-assign]
    made.now = AT + 6 * MINUTE
    made.deliver(submitted())
    made.deliver(submitted(AT + 6 * MINUTE, "e2"))
    made.deliver(moved("Dublin", AT + 4 * MINUTE))
    assert final(made) == [("e1", "ENROLLED"), ("e1", "FILTERED_OUT"), ("e2", "ENROLLED")]


def test_the_final_decision_is_taken_although_the_clock_is_set_back_meanwhile() -> None:
    made = world()
    made.deliver(submitted())
    until = AT + MINUTES * MINUTE
    times = iter([until, until - 1])
    processor = replace(made.processor, clock=lambda: next(times, until))
    decisions = processor.resume(*read_redelivery(made.redeliveries.scheduled[0][1]))
    assert [str(decision.code) for decision in decisions] == ["FILTERED_OUT"]


def test_events_of_one_moment_share_one_deferral_on_their_record() -> None:
    """Otherwise each event would invalidate the reads of all others, and some of many events would give up."""
    made = world()
    made.now += 1_000
    save, numbers = made.deferred_events.save, itertools.count(1)

    def meanwhile(waiting: Any) -> None:
        if waiting.event.id == "e1":
            number = next(numbers)
            made.deliver(submitted(AT + number, f"other-{number}"))
        save(waiting)

    made.deferred_events.save = meanwhile  # type: ignore[method-assign]
    assert [str(decision.code) for decision in made.deliver(submitted())] == ["WAITING"]
    assert next(numbers) <= ATTEMPTS


def test_deferred_event_of_a_deleted_record_does_not_enroll() -> None:
    made = world()
    made.deliver(submitted())
    made.record_service.delete(ADA, AT + 1)
    made.pass_time(AT + 60 * MINUTE)
    assert final(made) == [("e1", "UNKNOWN_RECORD")]


def test_an_event_that_enrolled_already_does_not_wait_for_its_record() -> None:
    """Another event with its ID that arrives after the deletion of the record would wait for the next record."""
    made = world({"id": 1, "event": "forms.submitted"})
    made.deliver(submitted())
    made.record_service.delete(ADA, AT + 1_000)
    made.now = AT + 2_000
    assert [str(decision.code) for decision in made.deliver(submitted(made.now))] == ["DUPLICATE_EVENT"]
    assert not made.deferred_events.items
    assert not made.redeliveries.scheduled


def test_redelivery_of_every_message_changes_nothing() -> None:
    story = [submitted(), submitted(event_id="e2"), moved("Dublin", AT + 1), submitted(AT + 2, "e3")]
    for repeated in itertools.product(story, repeat=2):
        made = world()
        for envelope in (*story, *repeated):
            made.deliver(envelope)
        scheduled = list(made.redeliveries.scheduled)
        made.pass_time(AT + 60 * MINUTE)
        made.redeliveries.scheduled = scheduled
        made.pass_time(AT + 61 * MINUTE)
        assert sorted(message.cause.event_id for message in made.queue.messages) == ["e1", "e2", "e3"]
        assert {code for _, code in final(made)} <= {"ENROLLED", "DUPLICATE_EVENT"}


def test_failure_of_one_deferred_event_does_not_block_others() -> None:
    made = world()
    for event_id in ("e1", "e2", "e3"):
        made.deliver(submitted(event_id=event_id))
    find = made.enrollments.find

    def failing(record: RecordKey, event_id: str, flow_ids: Sequence[str], changes: Mapping[str, str]) -> Any:
        if event_id == "e1":
            raise TimeoutError("no answer")
        return find(record, event_id, flow_ids, changes)

    made.enrollments.find = failing  # type: ignore[method-assign]
    with pytest.raises(ExceptionGroup, match="events that waited"):
        made.deliver(moved("Dublin", AT + 1))
    assert final(made) == [("e2", "ENROLLED"), ("e3", "ENROLLED")]
    made.enrollments.find = find  # type: ignore[method-assign]
    made.deliver(moved("Dublin", AT + 1))
    assert final(made) == [("e1", "ENROLLED"), ("e2", "ENROLLED"), ("e3", "ENROLLED")]


# Limits of flows -----------------------------------------------------------------------------------------------------

LIMITED = {"id": 1, "event": "forms.submitted", "re_enroll": True, "limit": {"count": 2, "period": "MINUTE"}}


def test_enrollments_above_the_rate_limit_are_delayed_and_not_dropped() -> None:
    made = world(LIMITED)
    decisions = [made.deliver(submitted(event_id=f"e{number}"))[0] for number in range(6)]
    assert {str(decision.code) for decision in decisions} == {"ENROLLED"}
    assert [decision.due_at and decision.due_at - AT for decision in decisions] == [
        None,
        None,
        30_000,
        60_000,
        90_000,
        120_000,
    ]
    assert len(made.enrollments.items) == 6

    entered = []
    for seconds in range(0, 130, 5):
        made.pass_time(AT + seconds * 1_000)
        entered.append(len(made.queue.messages))
    assert entered == sorted(entered)
    assert (entered[0], entered[6], entered[-1]) == (2, 3, 6)
    assert all(item.is_confirmed for item in made.enrollments.items.values())
    assert len(made.bus.announcements) == 6

    made.now += 600_000
    assert made.deliver(submitted(event_id="later"))[0].due_at is None


def test_redelivery_does_not_publish_before_the_due_time() -> None:
    made = world(LIMITED)
    for number in range(3):
        made.deliver(submitted(event_id=f"e{number}"))
    assert [str(decision.code) for decision in made.deliver(submitted(event_id="e2"))] == ["DUPLICATE_EVENT"]
    assert len(made.queue.messages) == 2
    made.pass_time(AT + 30_000)
    assert len(made.queue.messages) == 3


@pytest.mark.parametrize(
    "change", [{"enabled": False}, {"limit": {"count": 1, "period": "DAY"}}, {"event": "calls.ended"}]
)
def test_delayed_enrollment_is_published_after_the_flow_changed(change: dict[str, Any]) -> None:
    made = world(LIMITED)
    for number in range(3):
        made.deliver(submitted(event_id=f"e{number}"))
    made.put_flow(flow({**LIMITED, **change}))
    made.pass_time(AT + 30_000)
    assert len(made.queue.messages) == 3


COMPANIES = 40


def world_of_associates(waiting: int) -> World:
    """A record with many companies, none of which is in Dublin, and events that wait for one that is."""
    document = {key: value for key, value in DUBLIN.items() if key != "criteria"}
    company = with_company(property_filter(["city", "IS_EQUAL_TO", "Dublin"]))
    made = world(document)
    refined = {"filterBranchType": "AND", "filters": [], "filterBranches": [company]}
    stored = flow(document)
    made.put_flow({**stored, "enrollmentCriteria": {**stored["enrollmentCriteria"], "refinementCriteria": refined}})
    for number in range(COMPANIES):
        key = RecordKey("p1", "0-2", str(number))
        made.put_record(key, Record(key, 0, {"city": TimestampedValue("Cork", 0)}))
        associate(made, str(number), AT - 1_000)
    for number in range(waiting):
        made.now += 1
        assert [str(decision.code) for decision in made.deliver(submitted(AT + number, f"e{number}"))] == ["WAITING"]
    return made


@pytest.mark.parametrize("waiting", [2, 10, 25])
def test_associated_records_are_read_once_for_all_deferred_events(waiting: int) -> None:
    made = world_of_associates(waiting)
    records, associations = Counted(made.records), Counted(made.associations)
    made.processor = replace(made.processor, evaluator=CriteriaEvaluator(records, associations, made.portals))
    made.now = AT + 1_000
    made.deliver(moved("Bray", AT + 1_000))
    assert associations.calls == ["all_of"]
    # At most once at the time of the events, and once after the change.
    assert set(records.calls) == {"get_many"}
    assert len(records.calls) <= 2
    assert made.decision_log.left == []


def test_deferred_events_beyond_the_time_budget_are_decided_when_due() -> None:
    made = world_of_associates(4)
    start = made.now
    reads = itertools.count()

    def clock() -> int:
        """Three seconds pass at each reading."""
        return start + next(reads) * 3_000

    made.processor = replace(made.processor, clock=clock)
    made.deliver(moved("Bray", AT + 1_000))
    assert next(left for _, left in made.decision_log.left) in range(1, 5)
    made.processor = replace(made.processor, clock=lambda: made.now)
    made.pass_time(AT + 60 * MINUTE)
    assert final(made) == [(f"e{number}", "FILTERED_OUT") for number in range(4)]
