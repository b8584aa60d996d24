"""The event processor when calls fail: nothing is lost or duplicated."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from enrollment.application.enrollment_publisher import NotDelivered
from enrollment.domain.enrollment.decisions import Code
from enrollment.domain.events.event import InvalidEvent
from enrollment.domain.events.moments import as_of
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record, RecordUpdate, TimestampedValue
from enrollment.domain.values import CLOCK_SKEW_MS, LATEST, iso, iso_second
from enrollment.serialization.redeliveries import read_redelivery
from tests.support.fakes import World, switch
from tests.support.scenario import event, flow

ADA = RecordKey("p1", "0-1", "101")


class Crash(BaseException):
    """The process ends here: no code of the story may catch it."""


def world_with(*flows: Mapping[str, Any]) -> World:
    world = World()
    for flow_fields in flows:
        world.put_flow(flow(flow_fields))
    world.put_record(ADA, Record(ADA, 0))
    # Events are sent after the flows were written, which is the usual case.
    world.now += 1_000_000_000_000
    return world


def submitted(event_id: str = "e1", **fields: Any) -> dict[str, Any]:
    return event({"forms.submitted": "101", "id": event_id, **fields})


# The time of the world's clock.
LATER = 1_795_514_400_000 + 1_000_000_000_000
ONCE = {"id": 1, "event": "forms.submitted"}
AGAIN = {"id": 2, "event": "forms.submitted", "re_enroll": True}


def codes(world: World, envelope: Mapping[str, Any]) -> list[str]:
    return [str(decision.code) for decision in world.deliver(envelope)]


def final_state(world: World) -> dict[str, Any]:
    """Ids differ between runs in which some were lost, so they are left out."""
    return {
        "enrollments": sorted(
            (item.enrollment.flow_id, item.enrollment.idempotency_key, item.is_confirmed)
            for item in world.enrollments.items.values()
        ),
        "messages": {message.id for message in world.queue.messages},
        "waiting": {place: (item.flows, item.rejected) for place, item in world.deferred_events.items.items()},
        "records": world.records.records,
    }


def test_next_delivery_publishes_only_the_messages_that_the_queue_rejected() -> None:
    world = world_with(ONCE, AGAIN)
    world.queue.refuses = 1
    with pytest.raises(NotDelivered, match="e1"):
        world.deliver(submitted())
    assert [message.flow_id for message in world.queue.messages] == ["2"]

    assert codes(world, submitted()) == ["DUPLICATE_EVENT", "DUPLICATE_EVENT"]

    assert [message.flow_id for message in world.queue.messages] == ["2", "1"]
    assert [announcement.enrollment.flow_id for announcement in world.bus.announcements] == ["2", "1"]


def test_next_delivery_announces_what_the_bus_rejected_without_sending_the_message_again() -> None:
    world = world_with(ONCE)
    world.bus.refuses = 1
    with pytest.raises(NotDelivered):
        world.deliver(submitted())

    world.deliver(submitted())
    world.deliver(submitted())

    assert len(world.queue.messages) == 1
    assert len(world.bus.announcements) == 1


def test_redelivery_completes_an_enrollment_after_the_flow_is_off_changed_or_deleted() -> None:
    changes: list[Callable[[World], object]] = [
        lambda world: switch(world.authoring, "p1", "1", world.now, on=False),
        lambda world: world.authoring.delete("p1", "1", world.now),
        lambda world: world.put_flow(flow({**ONCE, "where": [["hs_form_id", "IS_ANY_OF", ["other"]]]})),
        lambda world: world.put_flow(flow({**ONCE, "event": "calls.ended"})),
        lambda world: world.put_flow(flow({**ONCE, "criteria": [["city", "IS_EQUAL_TO", "nowhere"]]})),
        lambda world: world.put_flow(flow({**ONCE, "re_enroll": True})),
        lambda world: (
            switch(world.authoring, "p1", "1", world.now, on=False),
            switch(world.authoring, "p1", "1", world.now, on=True),
        ),
    ]
    for change in changes:
        world = world_with(ONCE)
        world.queue.refuses = 1
        with pytest.raises(NotDelivered):
            world.deliver(submitted())
        world.now += 60_000
        change(world)

        assert codes(world, submitted()) == ["DUPLICATE_EVENT"]

        assert len(world.queue.messages) == 1
        assert len(world.enrollments.items) == 1


@pytest.mark.parametrize("ahead_ms", [-CLOCK_SKEW_MS, 3_000, CLOCK_SKEW_MS - 2_000])
@pytest.mark.parametrize("flow_count", [1, 200])
def test_redelivery_completes_an_enrollment_despite_a_different_bus_clock(ahead_ms: int, flow_count: int) -> None:
    """The envelope's time is ahead of the function's clock, or behind it; the author turns the flow off a second after
    the queue refused the message."""
    other_flows = [
        {**ONCE, "id": 1_000 + n, "where": [["hs_form_id", "IS_ANY_OF", ["other"]]]} for n in range(flow_count)
    ]
    world = world_with(ONCE, *other_flows[1:])
    sent = submitted(sent=iso(world.now + ahead_ms), at=iso(world.now))
    world.queue.refuses = 1
    with pytest.raises(NotDelivered):
        world.deliver(sent)
    world.now += 1_000
    switch(world.authoring, "p1", "1", world.now, on=False)
    world.now += 10 * 60_000

    assert codes(world, sent)[0] == "DUPLICATE_EVENT"

    assert [message.flow_id for message in world.queue.messages] == ["1"]
    assert all(item.is_confirmed for item in world.enrollments.items.values())
    world.deliver(sent)
    assert len(world.queue.messages) == 1


@pytest.mark.parametrize("is_created_again", [False, True])
def test_redelivery_completes_an_enrollment_after_the_record_was_deleted(is_created_again: bool) -> None:
    world = world_with(ONCE, {**ONCE, "id": 2, "where": [["hs_form_id", "IS_ANY_OF", ["other"]]]})
    world.queue.refuses = 1
    sent = submitted(sent=iso(world.now))
    with pytest.raises(NotDelivered):
        world.deliver(sent)
    world.now += 60_000
    world.record_service.delete(ADA, world.now)
    if is_created_again:
        world.record_service.change(ADA, RecordUpdate(world.now + 1, creates=True))

    assert codes(world, sent) == ["DUPLICATE_EVENT", "UNKNOWN_RECORD"]

    assert len(world.queue.messages) == 1
    assert len(world.enrollments.items) == 1


@pytest.mark.parametrize(
    ("trigger", "kind", "properties"),
    [
        (
            {"where": [["hs_name", "IS_ANY_OF", ["city"]]]},
            "crm.property_changed",
            {"hs_name": "city", "hs_value": "Bray"},
        ),
        (
            {"where": [["hs_previous_value", "IS_EQUAL_TO", "Cork"], ["hs_name", "IS_ANY_OF", ["city"]]]},
            "crm.property_changed",
            {"hs_name": "city", "hs_value": "Oslo"},
        ),
    ],
    ids=["no change any more", "another previous value"],
)
def test_redelivery_completes_an_enrollment_after_an_earlier_change_arrived(
    trigger: dict[str, Any], kind: str, properties: dict[str, str]
) -> None:
    world = world_with({"id": 1, "event": kind, **trigger, "re_enroll": True})
    start = world.now

    def changed(event_id: str, at: int, properties: dict[str, str]) -> dict[str, Any]:
        return event({kind: "101", "id": event_id, "at": iso(at), "sent": iso(at), "properties": properties})

    world.deliver(changed("cork", start, {"hs_name": "city", "hs_value": "Cork"}))
    world.now += 10 * 60_000
    late = changed("late", world.now, properties)
    world.queue.refuses = 1
    with pytest.raises(NotDelivered):
        world.deliver(late)
    published = len(world.queue.messages)
    world.now += 10
    world.deliver(changed("between", start + 60_000, {"hs_name": "city", "hs_value": "Bray"}))
    world.now += 10

    assert codes(world, late) == ["DUPLICATE_EVENT"]

    assert [message.cause.event_id for message in world.queue.messages[published:]].count("late") == 1
    assert all(item.is_confirmed for item in world.enrollments.items.values())


def test_a_record_can_be_created_again_in_the_second_of_its_deletion() -> None:
    world = World()
    world.now += 200
    world.deliver(submitted(at=iso_second(world.now), record={"city": "Cork"}))
    world.now += 200
    world.record_service.delete(ADA, world.now)
    world.now += 200
    assert world.record_service.change(ADA, RecordUpdate(world.now, creates=True)).is_new
    assert not world.record_service.get(ADA).changes


@pytest.mark.parametrize(("occurred", "code"), [(100, "UNKNOWN_RECORD"), (101, "ENROLLED")])
def test_event_from_before_a_deletion_does_not_enroll_the_next_record(occurred: int, code: str) -> None:
    world = world_with(ONCE)
    start = world.now
    world.record_service.delete(ADA, start + 100)
    world.record_service.change(ADA, RecordUpdate(start + 5_000, creates=True))
    world.now += 6_000
    assert codes(world, submitted(at=iso(start + occurred))) == [code]


def about_bob(event_type: str, event_id: str, second: int, properties: Any = None, **fields: Any) -> dict[str, Any]:
    """An event of a record that does not exist before its creation is delivered."""
    at = iso(LATER + second * 1000)
    return event({event_type: "102", "id": event_id, "at": at, "properties": properties or {}, **fields})


IN_CORK = {**ONCE, "criteria": [["city", "IS_EQUAL_TO", "Cork"]]}

STORIES: dict[str, tuple[list[Mapping[str, Any]], list[dict[str, Any]]]] = {
    "once": ([ONCE], [submitted()]),
    "several flows": ([ONCE, AGAIN, {**AGAIN, "id": 3}], [submitted()]),
    "again": ([AGAIN], [submitted("e0"), submitted("e1")]),
    "with a snapshot": ([ONCE], [submitted(record={"city": "Cork"})]),
    "of a change": (
        [{"id": 1, "event": "crm.property_changed"}],
        [event({"crm.property_changed": "101", "id": "e", "properties": {"hs_name": "city", "hs_value": "Cork"}})],
    ),
    "of a first view": (
        [{"id": 1, "event": "sales_documents.viewed", "re_enroll": True}],
        [event({"sales_documents.viewed": "101", "id": "v", "properties": {"hs_document_id": "d"}})],
    ),
    "of a change that comes late": (
        [{**ONCE, "criteria": [["city", "IS_EQUAL_TO", "Cork"]], "tolerance": 5}],
        [
            submitted(sent=LATER, at=LATER),
            event(
                {
                    "crm.property_changed": "101",
                    "id": "c",
                    "at": LATER,
                    "properties": {"hs_name": "city", "hs_value": "Cork"},
                }
            ),
        ],
    ),
    "beyond the limit": (
        [{**AGAIN, "limit": {"count": 1, "period": "HOUR"}}],
        [submitted("e0"), submitted("e1")],
    ),
    "of a creation after the record's changes": (
        [
            {**IN_CORK, "event": "crm.object_created"},
            {"id": 2, "event": "crm.property_changed"},
            {"id": 3, "lists": [["IN_LIST", "42"]]},
            {"id": 4, "event": "forms.submitted", "suppressed_by": ["42"]},
            {**IN_CORK, "id": 5},
        ],
        [
            about_bob("lists.membership_changed", "m", 1, {"hs_list_id": "42", "hs_membership_change": "ADDED"}),
            about_bob("crm.property_changed", "c", 2, {"hs_name": "city", "hs_value": "Cork"}),
            about_bob("crm.object_created", "o", 0, record={"city": "Cork"}),
            about_bob("forms.submitted", "e", 3),
        ],
    ),
    "of an event that waits for its record": (
        [ONCE, {**IN_CORK, "id": 2}],
        [about_bob("forms.submitted", "e", 1), about_bob("crm.object_created", "o", 0, record={"city": "Cork"})],
    ),
    "of an event that waits for its record, and then for data": (
        [{**ONCE, "re_enroll": True, "record_tolerance": 60}, {**IN_CORK, "id": 2, "tolerance": 5}],
        [
            about_bob("forms.submitted", "e", 1),
            about_bob("crm.object_created", "o", 0, record={"city": "Dublin"}),
        ],
    ),
    "known to the second, with a snapshot": (
        [IN_CORK],
        [submitted(at=iso_second(LATER), sent=LATER, record={"city": "Cork"}), submitted("e2", at=iso_second(LATER))],
    ),
    "known to the second, older than the history": ([ONCE], [submitted(at="2026-11-23T10:00:00Z", sent=LATER)]),
}


class Interruption:
    """Ends the process before or after the `number`th call to a port; an ended process makes no further call."""

    def __init__(self, world: World, before: bool, number: int) -> None:
        self.calls = 0
        self.ended = False
        for port in (
            *("flows", "records", "kept_events", "enrollments"),
            *("deferred_events", "redeliveries", "rate_limits", "queue", "bus"),
        ):
            fake = getattr(world, port)
            for name in (
                *("relevant", "get", "of", "save", "find", "claim", "confirm"),
                *("publish", "announce", "schedule", "take", "keep", "keep_evaluation"),
            ):
                method = getattr(fake, name, None)
                if method is not None and (port != "flows" or name == "relevant"):
                    setattr(fake, name, self._interrupted(method, before, number))

    def _interrupted(self, method: Callable[..., Any], before: bool, number: int) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            self.calls += 1
            is_here = self.calls == number
            if self.ended or (is_here and before):
                self.ended = True
                raise Crash
            answer = method(*args, **named)
            if is_here:
                self.ended = True
                raise Crash
            return answer

        return call


@pytest.mark.parametrize("story", STORIES)
def test_crash_before_or_after_any_call_does_not_change_the_final_state(story: str) -> None:
    flows, events = STORIES[story]
    undisturbed = world_with(*flows)
    recorded = Interruption(undisturbed, before=True, number=0)
    steps: list[Callable[[World], object]] = [
        *(lambda world, envelope=envelope: world.deliver(envelope) for envelope in events),  # type: ignore[misc]
        lambda world: world.pass_time(LATER + 86_400_000),
    ]
    for step in steps:
        step(undisturbed)
    expected, count = final_state(undisturbed), recorded.calls
    assert count >= 5
    assert expected["enrollments"]
    assert not any(item.flows for item in undisturbed.deferred_events.items.values()), "each event is decided finally"

    for number in range(1, count + 1):
        for before in (True, False):
            world = world_with(*flows)
            interruption = Interruption(world, before, number)
            for step in steps:
                try:
                    step(world)
                except Crash:
                    interruption.ended = False
                    step(world)
            found = final_state(world)
            assert found["waiting"] == expected["waiting"], (number, before)
            assert found["enrollments"] == expected["enrollments"], (number, before)
            assert len(found["messages"]) == len(expected["enrollments"]), (number, before)
            assert {key: record.properties for key, record in found["records"].items()} == {
                key: record.properties for key, record in expected["records"].items()
            }


def test_a_crash_in_a_late_final_decision_keeps_the_time_for_late_changes() -> None:
    late_change = event(
        {
            "crm.property_changed": "101",
            "id": "c",
            "at": iso(LATER + 1000),
            "properties": {"hs_name": "city", "hs_value": "Cork"},
        }
    )
    number, crashes = 0, 1
    while crashes:
        number, crashes = number + 1, 0
        for before in (True, False):
            world = world_with({**IN_CORK, "tolerance": 5})
            world.deliver(submitted(at=iso(LATER), sent=iso(LATER)))
            ((at, text),) = world.redeliveries.scheduled
            world.now = at + 3 * 3_600_000
            interruption = Interruption(world, before, number)
            try:
                world.processor.resume(*read_redelivery(text))
            except Crash:
                crashes += 1
                interruption.ended = False
                world.processor.resume(*read_redelivery(text))
            interruption.calls = number  # no later call is interrupted
            world.deliver(late_change)
            assert len(world.queue.messages) == 1, (number, before)
    assert number > 5


def test_concurrent_events_and_deliveries_enroll_once() -> None:
    world = world_with(ONCE, AGAIN)
    events = [submitted(f"e{number % 5}") for number in range(100)]
    with ThreadPoolExecutor(8) as pool:
        made = [code for decisions in pool.map(world.deliver, events) for code in decisions]

    enrolled = sorted(decision.flow_id for decision in made if decision.code is Code.ENROLLED)
    assert enrolled == ["1", "2", "2", "2", "2", "2"]
    assert len(world.enrollments.items) == 6
    assert len({message.id for message in world.queue.messages}) == 6


def test_write_with_a_lost_response_is_recognized_on_retry() -> None:
    world = world_with(ONCE)
    claim = world.enrollments.claim

    def lost(enrollment: Any, *how: Any) -> bool:
        claim(enrollment, *how)
        return claim(enrollment, *how)  # as the SDK repeats a write that timed out

    world.enrollments.claim = lost  # type: ignore[method-assign]
    assert codes(world, submitted()) == ["ENROLLED"]
    assert len(world.queue.messages) == 1


def test_concurrent_changes_of_a_record_are_all_kept() -> None:
    world = world_with()
    changes = [
        event({"crm.property_changed": "101", "id": f"c{n}", "properties": {"hs_name": f"p{n}", "hs_value": n}})
        for n in range(30)
    ]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(world.deliver, changes))
    assert set(world.records.records[ADA].properties) == {f"p{n}" for n in range(30)}


def test_changes_in_any_order_and_repeated_give_the_same_record() -> None:
    changes = [
        event(
            {
                "crm.property_changed": "101",
                "id": f"c{n}",
                "at": f"2026-11-23T10:00:0{n // 2}.{n % 2}00Z",
                "properties": {"hs_name": "city", "hs_value": f"v{n}"},
            }
        )
        for n in range(8)
    ]
    for order in (changes, changes[::-1], changes[3:] + changes, changes + changes[:5]):
        world = world_with()
        for change in order:
            world.deliver(change)
        ada = world.records.records[ADA]
        assert ada.values_at(as_of(LATEST)) == {"city": "v7"}
        assert [property_change.value for property_change in ada.property_changes("city", as_of(LATEST))] == [
            f"v{n}" for n in range(8)
        ]


def test_the_announcement_carries_the_chain_and_the_flow() -> None:
    world = world_with(ONCE)
    world.deliver(submitted(chain=["8", "9"]))
    assert world.bus.announcements[0].chain == ("8", "9", "1")


def test_an_event_without_candidates_reads_no_record() -> None:
    world = world_with()
    world.records.get = None  # type: ignore[assignment, method-assign]
    assert world.deliver(submitted()) == ()


@pytest.mark.parametrize(("text", "count"), [("x" * 8000, 43), ("\u4e2d" * 2000, 58)])
def test_record_larger_than_its_item_is_rejected(text: str, count: int) -> None:
    world = world_with()
    stored = world.records.records[ADA]
    held = {f"p{n}": TimestampedValue(text, 1) for n in range(count)}
    world.put_record(ADA, Record(ADA, 0, held, version=stored.version))
    with pytest.raises(InvalidEvent) as raised:
        world.deliver(submitted(record={"more": text}))
    assert raised.value.reason == "RECORD_TOO_LARGE"


def test_the_message_names_the_row_that_matched_and_has_the_derived_properties() -> None:
    world = world_with({"id": 1, "event": "sequences.unenrolled"}, {"id": 2, "event": "sequences.unenrolled_manually"})
    codes(world, event({"sequences.unenrolled_manually": "101", "id": "e", "properties": {"hs_unenrolled_by": None}}))
    causes = {message.flow_id: message.cause for message in world.queue.messages}
    assert (causes["1"].event_type, causes["1"].properties) == ("sequences.unenrolled", {"hs_unenrolled_by": "MANUAL"})
    assert causes["2"].event_type == "sequences.unenrolled_manually"
