"""A replay reaches only its requested flows, and a dry run counts what the replay would do."""

from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace

from enrollment.application.ports import REPLAY_PARTS
from enrollment.catalog import EVENT_TYPES
from enrollment.domain.enrollment.decisions import Code, Decision
from enrollment.domain.enrollment.replays import RETENTION_MS, DryRunResult, Replay, tally
from enrollment.domain.events.event import InvalidEvent, satisfying
from enrollment.serialization.envelopes import read_routed_event
from tests.support.fakes import World
from tests.support.scenario import event, flow

ALL = frozenset(EVENT_TYPES)


def order(world: World, *flow_ids: str, is_dry_run: bool = False) -> Replay:
    flows = frozenset(flow_ids) or None
    made = Replay(f"enroll-{len(world.replays.orders)}", "p1", flows, ALL, is_dry_run, world.now)
    world.replays.save(made)
    return made


def submitted(object_id: str, event_id: str, at: int, **fields: Any) -> dict[str, Any]:
    return event({"forms.submitted": object_id, "id": event_id, "at": at, "sent": at} | fields)


def world_with_a_new_flow() -> tuple[World, list[dict[str, Any]]]:
    """Flow 1 has decided the events; flows 2 and, for every event, 3 were turned on after them."""
    world = World()
    world.put_flow(flow({"id": 1, "event": "forms.submitted"}))
    past = [
        submitted(record, f"{record}{number}", world.now + number, record={"city": "Cork" if record != "c" else "Bray"})
        for record in ("a", "b", "c")
        for number in range(3)
    ]
    world.now += 1_000
    for envelope in past:
        world.deliver(envelope)
    fields = {"event": "forms.submitted", "criteria": [["city", "IS_EQUAL_TO", "Cork"]]}
    world.put_flow(flow({"id": 2, **fields}), at=world.now)
    world.put_flow(flow({"id": 3, **fields, "re_enroll": True}), at=world.now)
    world.now += 1_000
    return world, past


def replayed(world: World, replay: Replay, past: list[dict[str, Any]]) -> list[Decision]:
    return [
        decision
        for envelope in past
        for decision in world.replay_processor.process(read_routed_event(envelope), replay)
    ]


def counted(world: World, replay: Replay) -> dict[str, Counter[Code]]:
    rehearsals = [result for part in range(REPLAY_PARTS) for result in world.replays.counted(replay, part)]
    return tally(rehearsals, {"3"})


def test_replay_applies_only_the_given_flow_to_past_events() -> None:
    world, past = world_with_a_new_flow()
    before = dict(world.enrollments.items)

    decisions = replayed(world, order(world, "2"), past)

    assert {decision.flow_id for decision in decisions} == {"2"}
    new = [item.enrollment for place, item in world.enrollments.items.items() if place not in before]
    assert sorted((enrollment.flow_id, enrollment.record_key.object_id) for enrollment in new) == [
        ("2", "a"),
        ("2", "b"),
    ]
    assert [message.flow_id for message in world.queue.messages if message.flow_id != "1"] == ["2", "2"]


def test_replay_without_a_flow_ignores_events_before_the_activation() -> None:
    world, past = world_with_a_new_flow()
    codes = Counter((decision.flow_id, decision.code) for decision in replayed(world, order(world), past))
    assert codes == {
        ("1", Code.DUPLICATE_EVENT): 3,
        ("1", Code.ALREADY_ENROLLED): 6,
        ("2", Code.BEFORE_ACTIVATION): 9,
        ("3", Code.BEFORE_ACTIVATION): 9,
    }


@pytest.mark.parametrize("flow_ids", [("2",), ("3",), ("2", "3"), ("1", "2"), ()])
def test_dry_run_has_the_same_counts_as_the_replay(flow_ids: tuple[str, ...]) -> None:
    world, past = world_with_a_new_flow()
    rehearsal = order(world, *flow_ids, is_dry_run=True)
    records, enrollments = dict(world.records.records), dict(world.enrollments.items)
    # The counts do not depend on repetitions or on the order of the events.
    for events in (past, past[::-1], past[:4]):
        replayed(world, rehearsal, events)
    assert (world.records.records, world.enrollments.items) == (records, enrollments)
    expected = counted(world, rehearsal)

    decisions = replayed(world, order(world, *flow_ids), past)

    found: dict[str, Counter[Code]] = {}
    for decision in decisions:
        found.setdefault(decision.flow_id, Counter())[decision.code] += 1
    assert expected == found
    assert sum(codes[Code.ENROLLED] for codes in found.values()) == len(world.enrollments.items) - len(enrollments)


def test_replay_does_not_defer_events() -> None:
    world = World()
    world.put_flow(flow({"id": 1, "event": "forms.submitted", "criteria": [["city", "IS_KNOWN"]], "tolerance": 5}))
    envelope = submitted("a", "a1", world.now, record={})
    assert [code.code for code in replayed(world, order(world, "1"), [envelope])] == [Code.FILTERED_OUT]
    assert (world.deferred_events.items, world.redeliveries.scheduled) == ({}, [])


def test_replay_skips_events_of_other_portals_and_types() -> None:
    made = Replay("enroll-1", "p1", None, frozenset(["forms.submitted"]), False, 0)
    assert made.concerns(read_routed_event(submitted("a", "1", 1_764_000_000_000)))
    assert not made.concerns(read_routed_event(submitted("a", "1", 1_764_000_000_000, portal="p2")))
    assert not made.concerns(read_routed_event(event({"calls.ended": "a", "id": "1"})))


def test_unknown_replay_is_rejected() -> None:
    world = World()
    made = order(world)
    assert world.replay_processor.requested(made.name) is made
    for name, later in (("enroll-x", 0), (made.name, RETENTION_MS)):
        world.now += later
        with pytest.raises(InvalidEvent, match="15 days") as refused:
            world.replay_processor.requested(name)
        assert refused.value.reason == "UNKNOWN_REPLAY"
    assert replace(made, created_at=1).expires_at == RETENTION_MS + 1


def test_event_types_that_lead_to_a_trigger() -> None:
    """A row that another event also satisfies is reached by both."""
    assert satisfying({"forms.submitted"}, EVENT_TYPES) == {"forms.submitted"}
    found = satisfying({"sequences.unenrolled"}, EVENT_TYPES)
    assert found >= {"sequences.unenrolled", "sequences.unenrolled_manually", "sequences.unenrolled_by_workflow"}
    assert satisfying((), EVENT_TYPES) == frozenset()


def test_once_only_a_records_first_enrollment_counts() -> None:
    entering = [DryRunResult(record, {"1": Code.ENROLLED, "3": Code.ENROLLED}) for record in ("a", "a", "b")]
    assert tally(entering, {"3"}) == {
        "1": {Code.ENROLLED: 2, Code.ALREADY_ENROLLED: 1},
        "3": {Code.ENROLLED: 3},
    }
