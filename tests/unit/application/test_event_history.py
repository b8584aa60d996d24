"""What the event processor stores in the event history, and how it is read."""

from collections.abc import Sequence
from typing import Any

import pytest

from enrollment.application.event_history import DAY_MS, MAX_EVENTS_SCANNED, EventHistory, EventQuery
from enrollment.catalog import EVENT_TYPES
from enrollment.domain.enrollment.enrollments import Enrollment
from enrollment.domain.events.event import Event
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record
from enrollment.domain.values import iso
from enrollment.serialization.flows import read_condition
from tests.support.fakes import FakeHistory, World
from tests.support.scenario import event, flow, property_filter

ADA = RecordKey("p1", "0-1", "101")
NOW = 1_795_514_400_000


def world_with(**settings: Any) -> World:
    world = World(**settings)
    world.put_record(ADA, Record(ADA, NOW - 90 * DAY_MS))
    return world


def submitted(event_id: str = "e1", at: int = NOW - 1_000, record: str | None = "101", **fields: Any) -> dict[str, Any]:
    return event({"forms.submitted": record, "id": event_id, "at": iso(at), **fields})


def kept(world: World) -> list[str]:
    return [event.id for event, _ in world.kept_events.kept.values()]


def read(world: World, **query: Any) -> list[str]:
    record = world.records.get(ADA)
    assert record is not None
    return [event.id for event in world.history.of(record, world.now, EventQuery(**query), 100).events]


def test_every_event_of_a_known_record_is_stored_once() -> None:
    world = world_with()
    world.put_flow(flow({"id": 1, "event": "forms.submitted"}))
    for envelope in (submitted(), submitted(), submitted("e2"), event({"calls.ended": "101", "id": "e3"})):
        world.deliver(envelope)
    assert sorted(kept(world)) == ["e1", "e2", "e3"]
    assert [until for event, until in world.kept_events.kept.values() if event.id == "e1"] == [
        NOW - 1_000 + 30 * DAY_MS
    ]


def test_future_event_expires_no_later_than_a_current_one() -> None:
    world = world_with()
    world.deliver(submitted(at=NOW + DAY_MS // 2))
    assert [until for _, until in world.kept_events.kept.values()] == [NOW + 30 * DAY_MS]


def test_events_of_visitors_and_unknown_or_deleted_records_are_not_stored() -> None:
    world = world_with()
    for envelope in (submitted("e1", record=None), submitted("e2", record="9")):
        world.deliver(envelope)
    world.record_service.delete(ADA, NOW)
    world.deliver(submitted("e3"))
    world.deliver(submitted("e4", at=NOW + 1))
    assert kept(world) == []
    world.deliver(submitted("e5", at=NOW + 2, record="8") | {"detail-type": "crm.object_created"})
    assert kept(world) == ["e5"]


@pytest.mark.parametrize("kind", ["forms.submitted", "sales_documents.viewed"])
def test_event_that_waits_for_its_record_is_stored(kind: str) -> None:
    world = world_with()
    world.put_flow(flow({"id": 1, "event": kind}))
    viewed = {"properties": {"hs_document_id": "d"}}
    world.deliver(submitted("early", record="9", **viewed) | {"detail-type": kind})
    assert kept(world) == ["early"]
    world.now += 5_000
    world.deliver(submitted("c", at=NOW - 2_000, record="9") | {"detail-type": "crm.object_created"})
    assert [message.cause.event_id for message in world.queue.messages] == ["early"]
    assert {event.id: event.evaluated_at for event, _ in world.kept_events.kept.values()} == {
        "c": NOW + 5_000,
        "early": NOW,
    }


def test_event_older_than_the_history_makes_no_call() -> None:
    world = world_with()
    world.records.get = None  # type: ignore[assignment, method-assign]
    world.deliver(submitted(at=NOW - 31 * DAY_MS))
    turned_off = world_with(history_days=0)
    turned_off.records.get = None  # type: ignore[assignment, method-assign]
    turned_off.deliver(submitted())
    assert kept(world) == kept(turned_off) == []


def test_event_is_in_the_history_before_its_enrollment_is_published() -> None:
    world = world_with()
    world.put_flow(flow({"id": 1, "event": "forms.submitted"}))
    publish, seen = world.queue.publish, list[list[str]]()

    def publishing(enrollments: Sequence[Enrollment]) -> frozenset[str]:
        seen.append(kept(world))
        return publish(enrollments)

    world.queue.publish = publishing  # type: ignore[method-assign]
    world.deliver(submitted())
    assert seen == [["e1"]]


def test_event_that_could_not_be_stored_is_decided_by_the_next_delivery() -> None:
    world = world_with()
    world.put_flow(flow({"id": 1, "event": "forms.submitted"}))
    keep = world.kept_events.keep

    def failing(event: Event, until: int) -> None:
        raise OSError("throttled")

    world.kept_events.keep = failing  # type: ignore[method-assign]
    with pytest.raises(OSError, match="throttled"):
        world.deliver(submitted())
    assert (world.enrollments.items, world.queue.messages) == ({}, [])
    world.kept_events.keep = keep  # type: ignore[method-assign]
    assert [str(decision.code) for decision in world.deliver(submitted())] == ["ENROLLED"]
    assert (kept(world), len(world.queue.messages)) == (["e1"], 1)


def test_deferred_event_is_in_the_history_before_a_change_can_enroll_it() -> None:
    world = world_with()
    criteria = [["city", "IS_EQUAL_TO", "Cork"]]
    world.put_flow(flow({"id": 1, "event": "forms.submitted", "criteria": criteria, "tolerance": 5}))

    def dying(*arguments: Any) -> None:
        raise OSError("ended")

    schedule = world.redeliveries.schedule
    world.redeliveries.schedule = dying  # type: ignore[method-assign]
    with pytest.raises(OSError, match="ended"):
        world.deliver(submitted(at=NOW, sent=iso(NOW)))
    world.redeliveries.schedule = schedule  # type: ignore[method-assign]
    changed = {"hs_name": "city", "hs_value": "Cork"}
    world.deliver(event({"crm.property_changed": "101", "id": "c", "at": iso(NOW + 1), "properties": changed}))
    assert [message.cause.event_id for message in world.queue.messages] == ["e1"]
    assert sorted(kept(world)) == ["c", "e1"]


def test_deferred_event_is_stored_once_by_its_first_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_with()
    criteria = [["city", "IS_EQUAL_TO", "Cork"]]
    world.put_flow(flow({"id": 1, "event": "forms.submitted", "criteria": criteria, "tolerance": 5}))
    writes: list[str] = []
    keep = world.kept_events.keep
    world.kept_events.keep = lambda event, until: writes.append(event.id) or keep(event, until)  # type: ignore[func-returns-value, method-assign]
    world.deliver(submitted(at=NOW, sent=iso(NOW)))
    changed = {"hs_name": "city", "hs_value": "Bray"}
    world.deliver(event({"crm.property_changed": "101", "id": "c", "at": iso(NOW + 1), "properties": changed}))
    world.pass_time(NOW + 10 * 60_000)
    assert writes == ["e1", "c"]


def test_expired_events_are_not_returned_while_still_stored() -> None:
    world = world_with()
    world.deliver(submitted())
    assert read(world) == ["e1"]
    world.now += 31 * DAY_MS
    assert (read(world), kept(world)) == ([], ["e1"])


def test_events_before_a_deletion_are_not_returned_for_the_next_record() -> None:
    world = world_with()
    world.deliver(submitted())
    world.record_service.delete(ADA, NOW)
    world.deliver(submitted("e2", at=NOW + 5, record="101") | {"detail-type": "crm.object_created"})
    assert (read(world), sorted(kept(world))) == (["e2"], ["e1", "e2"])


def test_one_query_scans_a_limited_number_of_events_and_returns_a_cursor() -> None:
    world = world_with()
    for number in range(MAX_EVENTS_SCANNED + 5):
        kind = "forms.viewed" if number else "forms.submitted"
        world.deliver({**submitted(f"e{number}", at=NOW - 5_000 + number), "detail-type": kind})
    record = world.records.get(ADA)
    assert record is not None
    query = EventQuery(frozenset(["forms.submitted"]))
    page = world.history.of(record, NOW, query, 10)
    assert page.events == ()
    assert page.following is not None
    rest = world.history.of(record, NOW, EventQuery(query.event_types, position=page.following), 10)
    assert ([event.id for event in rest.events], rest.following) == (["e0"], None)
    found = world.history.occurred(record, NOW, read_condition("forms.submitted", []), EVENT_TYPES, 0)
    assert (found.events, found.is_complete, found.since) == ((), False, NOW - 5_000 + 5)


def test_page_is_bounded_when_all_events_have_one_id_and_one_time() -> None:
    world = World(now=NOW)
    for number in range(MAX_EVENTS_SCANNED + 5):
        key = RecordKey("p1", "0-1", f"r{number}")
        world.put_record(key, Record(key, NOW - 90 * DAY_MS))
        world.deliver(submitted("batch", at=NOW - 10, record=key.object_id))
    world.deliver(submitted("before", at=NOW - 20, record="r1"))
    page = world.history.latest("p1", frozenset(["forms.submitted"]), NOW, 1, None)
    assert [event.id for event in page.events] == ["batch"] * MAX_EVENTS_SCANNED
    rest = world.history.latest("p1", frozenset(["forms.submitted"]), NOW, 1, page.following)
    assert ([event.id for event in rest.events], rest.following) == (["before"], None)


def occurred(world: World, name: str, filters: list[Any] | None = None, since: int = 0) -> tuple[list[str], bool]:
    record = world.records.get(ADA)
    assert record is not None
    condition = read_condition(name, [property_filter(filter_) for filter_ in filters or []])
    found = world.history.occurred(record, world.now, condition, EVENT_TYPES, since)
    return [event.id for event in found.events], found.is_complete


def test_event_occurrences_respect_refinements_and_rules() -> None:
    world = world_with()
    by_hand = {"hs_logged_manually": True}
    for envelope in (
        submitted("f1", properties={"hs_form_id": "f-1", "hs_url": "https://acme.com/pricing?x=1"}),
        submitted("f2", at=NOW - 500, properties={"hs_form_id": "f-2"}),
        event({"sequences.unenrolled": "101", "id": "u", "properties": {"hs_unenrolled_by": "MANUAL"}}),
        event({"calls.ended": "101", "id": "c1", "properties": by_hand}),
        event({"email.bounced": "101", "id": "b", "properties": {"hs_bounce_type": "HARD"}}),
        event(
            {
                "lists.membership_changed": "101",
                "id": "l",
                "properties": {"hs_list_id": "42", "hs_membership_change": "ADDED"},
            }
        ),
    ):
        world.deliver(envelope)
    assert occurred(world, "4-1639801")[0] == ["f2", "f1"]
    assert occurred(world, "forms.submitted", [["hs_form_id", "IS_ANY_OF", ["f-1"]]])[0] == ["f1"]
    assert occurred(world, "forms.submitted", [["hs_url_path", "IS_EQUAL_TO", "/pricing"]])[0] == ["f1"]
    assert occurred(world, "forms.submitted", since=NOW - 500)[0] == ["f2"]
    assert occurred(world, "sequences.unenrolled_manually")[0] == ["u"]
    assert occurred(world, "sequences.unenrolled_by_workflow")[0] == []
    assert occurred(world, "calls.ended")[0] == []
    assert occurred(world, "lists.membership_changed", [["hs_list_id", "IS_ANY_OF", ["42"]]])[0] == ["l"]


def test_answer_says_whether_the_history_covers_the_period() -> None:
    world = world_with()
    assert occurred(world, "forms.submitted") == ([], False)
    assert occurred(world, "forms.submitted", since=NOW - 30 * DAY_MS) == ([], True)
    assert occurred(world, "forms.submitted", since=NOW - 30 * DAY_MS - 1) == ([], False)
    young = World()
    young.put_record(ADA, Record(ADA, NOW - DAY_MS))
    assert occurred(young, "forms.submitted") == ([], True)
    without = EventHistory(FakeHistory(), days=0)
    found = without.occurred(Record(ADA, NOW - DAY_MS), NOW, read_condition("forms.submitted", []), EVENT_TYPES, 0)
    assert (found.events, found.is_complete, found.since) == ((), False, NOW)
