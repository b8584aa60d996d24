"""Enrollments that no delivery confirmed are published, and nothing else is."""

from collections.abc import Callable
from typing import Any

import pytest

from enrollment.application.enrollment_publisher import NotDelivered
from enrollment.application.unconfirmed_enrollments import UNCONFIRMED_AFTER_MS
from enrollment.domain.enrollment.enrollments import Announcement, Enrollment
from tests.support.fakes import World, switch
from tests.support.scenario import event, flow

LATER = UNCONFIRMED_AFTER_MS + 1


def submitted(record: str = "101", **fields: Any) -> dict[str, Any]:
    return event({"forms.submitted": record, "id": f"e-{record}", "record": {}, **fields})


def world_with(*documents: dict[str, Any]) -> World:
    world = World()
    for document in documents or ({"id": 1},):
        world.put_flow(flow({"event": "forms.submitted", **document}))
    return world


def fail(world: World, **fields: Any) -> None:
    """The queue refuses the message of the next enrollment."""
    world.queue.refuses = 1
    with pytest.raises(NotDelivered):
        world.deliver(submitted(**fields))


def finish(world: World) -> list[tuple[str, bool]]:
    return [
        (stored.enrollment.record_key.object_id, failure is None)
        for stored, failure in world.unconfirmed_publisher.publish_all()
    ]


def test_claimed_enrollment_is_published_announced_and_confirmed_without_its_event() -> None:
    world = world_with()
    fail(world)
    assert world.queue.messages == []
    world.now += UNCONFIRMED_AFTER_MS
    assert finish(world) == []
    world.now += 1
    assert finish(world) == [("101", True)]
    assert [message.record_key.object_id for message in world.queue.messages] == ["101"]
    assert [announcement.chain for announcement in world.bus.announcements] == [("1",)]
    assert all(item.is_confirmed for item in world.enrollments.items.values())
    assert finish(world) == []
    assert [str(decision.code) for decision in world.deliver(submitted())] == ["DUPLICATE_EVENT"]
    assert (len(world.queue.messages), len(world.bus.announcements)) == (1, 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda world: switch(world.authoring, "p1", "1", world.now, on=False),
        lambda world: world.authoring.delete("p1", "1", world.now),
    ],
)
def test_claimed_enrollment_is_published_after_its_flow_is_off_or_deleted(change: Callable[[World], object]) -> None:
    world = world_with()
    fail(world)
    change(world)
    world.now += LATER
    assert finish(world) == [("101", True)]
    assert len(world.queue.messages) == 1


def test_enrollment_rejected_by_the_bus_is_announced_and_not_published_again() -> None:
    world = world_with()
    world.bus.refuses = 1
    with pytest.raises(NotDelivered):
        world.deliver(submitted())
    world.now += LATER
    assert finish(world) == [("101", True)]
    assert (len(world.queue.messages), len(world.bus.announcements)) == (1, 1)


def test_the_chain_of_the_event_is_announced() -> None:
    """Without it, flows that enroll by one another would not be stopped."""
    world = world_with()
    fail(world, chain=["7", "8"])
    world.now += LATER
    finish(world)
    assert [announcement.chain for announcement in world.bus.announcements] == [("7", "8", "1")]


def test_delayed_enrollment_is_published_when_its_redelivery_is_lost() -> None:
    world = world_with({"id": 1, "re_enroll": True, "limit": {"count": 1, "period": "HOUR"}})
    for record in ("1", "2", "3"):
        world.deliver(submitted(record))
    world.redeliveries.scheduled.clear()
    due = sorted(item.due_at for item in world.enrollments.items.values() if item.due_at is not None)
    for count, at in enumerate(due, 1):
        world.now = at + UNCONFIRMED_AFTER_MS
        assert finish(world) == []
        assert len(world.queue.messages) == count
        world.now += 1
        assert [is_published for _, is_published in finish(world)] == [True]
    assert [message.record_key.object_id for message in world.queue.messages] == ["1", "2", "3"]


def test_rejected_enrollment_does_not_block_others() -> None:
    world = world_with()
    for number in range(25):
        fail(world, record=str(number))
        world.now += 1
    world.now += LATER
    world.queue.refuses = 1
    found = finish(world)
    assert found[0] == ("0", False)
    assert found[1:] == [(str(number), True) for number in range(1, 25)]
    assert finish(world) == [("0", True)]
    assert sorted(int(message.record_key.object_id) for message in world.queue.messages) == list(range(25))


@pytest.mark.parametrize("port", ["queue", "bus"])
def test_enrollment_that_makes_a_call_fail_does_not_block_others_or_resend(
    port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQS and EventBridge refuse a request as a whole that has something in it that they can not read."""
    world = world_with()
    for number in range(12):
        fail(world, record=str(number))
        world.now += 1
    world.now += LATER
    publish, announce = world.queue.publish, world.bus.announce

    def poisoned_queue(enrollments: list[Enrollment]) -> frozenset[str]:
        if any(enrollment.record_key.object_id == "3" for enrollment in enrollments):
            raise ConnectionError
        return publish(enrollments)

    def poisoned_bus(announcements: list[Announcement]) -> frozenset[str]:
        if any(announcement.enrollment.record_key.object_id == "3" for announcement in announcements):
            raise ConnectionError
        return announce(announcements)

    monkeypatch.setattr(world.queue, "publish", poisoned_queue if port == "queue" else publish)
    monkeypatch.setattr(world.bus, "announce", poisoned_bus if port == "bus" else announce)
    for expected in ([(str(number), number != 3) for number in range(12)], [("3", False)]):
        assert finish(world) == expected
    published = sorted(int(message.record_key.object_id) for message in world.queue.messages)
    announced = sorted(int(announcement.enrollment.record_key.object_id) for announcement in world.bus.announcements)
    without = [number for number in range(12) if number != 3]
    assert published == (without if port == "queue" else list(range(12)))
    assert announced == without


def test_stopped_run_leaves_the_rest_to_the_next_run() -> None:
    world = world_with()
    for number in range(25):
        fail(world, record=str(number))
    world.now += LATER
    run = world.unconfirmed_publisher.publish_all()
    for _ in range(3):
        next(run)
    assert len(world.queue.messages) == 10
    assert len(finish(world)) == 15
    assert len(world.queue.messages) == len(world.bus.announcements) == 25
