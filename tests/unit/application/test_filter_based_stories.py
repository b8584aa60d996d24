"""Stories of a record and a filter-based flow: hostile trees and histories, late changes, deliveries that stop.

``tests/proofs/test_filter_based_order.py`` compares random stories with a naive evaluator.
"""

import time
from dataclasses import dataclass
from typing import Any

import pytest

from enrollment.application.enrollment_publisher import NotDelivered
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record, TimestampedValue
from enrollment.domain.values import iso, read_instant
from tests.support import scenario
from tests.support.criteria import ADA, TO_COMPANY, associate, with_company
from tests.support.fakes import World

START = read_instant(scenario.START) or 0

FILTERS: dict[str, list[Any]] = {"city is Dublin": ["city", "IS_EQUAL_TO", "Dublin"]}
TRIGGERS: dict[str, list[list[Any]]] = {"age known": [["hs_name", "IS_ANY_OF", ["age"]], ["hs_value", "IS_KNOWN"]]}


@dataclass(frozen=True)
class Arrival:
    """An event: what it sets. ``creates``: the record exists from then on."""

    at: int
    event_type: str
    sets: tuple[tuple[str, Any], ...]
    creates: bool


def envelope(event_id: str, arrival: Arrival) -> dict[str, Any]:
    given: dict[str, Any] = {"id": event_id, "at": iso(START + arrival.at)}
    sets = dict(arrival.sets)
    match arrival.event_type:
        case "created":
            given |= {"crm.object_created": "101", **({"record": sets} if sets else {})}
        case "snapshot":
            given |= {"calls.ended": "101", "record": sets}
        case "list":
            properties = {"hs_list_id": "42", "hs_membership_change": sets["list"]}
            given |= {"lists.membership_changed": "101", "properties": properties}
        case _:
            ((name, value),) = arrival.sets
            given |= {"crm.property_changed": "101", "properties": {"hs_name": name, "hs_value": value}}
    return scenario.event(given)


def test_hostile_tree_and_history_take_bounded_work() -> None:
    """250 filters in 12 levels, on a record whose properties changed as often as its history keeps."""
    filters = [
        scenario.property_filter([f"p{number}", "IS_NOT_EQUAL_TO", "x", "STRING", True]) for number in range(240)
    ]
    branch: dict[str, Any] = {"filterBranchType": "AND", "filters": filters}
    for _ in range(10):
        branch = {"filterBranchType": "NOT_ANY", "filters": [filters[0]], "filterBranches": [branch]}
    tree = {"filterBranchType": "AND", "filters": [], "filterBranches": [branch]}
    document = scenario.flow({"id": 1, "filters": [["city", "IS_KNOWN"]]})
    document["enrollmentCriteria"]["listFilterBranch"] = tree
    world = World(now=START)
    world.put_flow(document)
    world.deliver(scenario.event({"crm.object_created": "101", "id": "c", "at": iso(START)}))
    for number in range(20):
        snapshot = {f"p{each}": f"{number}-{each}" for each in range(200)}
        given = {"calls.ended": "101", "id": f"s{number}", "at": iso(START + 10 + number), "record": snapshot}
        world.now = START + 100 + number
        world.deliver(scenario.event(given))

    started = time.perf_counter()
    late = {"hs_name": "p0", "hs_value": "late"}
    world.deliver(scenario.event({"crm.property_changed": "101", "id": "l", "at": iso(START + 5), "properties": late}))

    assert time.perf_counter() - started < 5


def test_late_change_of_a_record_with_many_changed_associated_records_takes_bounded_work() -> None:
    """1,000 companies changed after the contact. Its own late change is evaluated at fewer of these changes."""
    world = World(now=START + 10_000)
    world.put_record(ADA, Record(ADA, 0))
    values = {f"p{number}": TimestampedValue("x", START) for number in range(20)}
    for number in range(1_000):
        company = RecordKey("p1", "0-2", str(number))
        world.put_record(company, Record(company, 0, values))
        associate(world, str(number), START + 1_000 + number)
    known = [scenario.property_filter([name, "IS_KNOWN"]) for name in values]
    document = scenario.flow({"id": 1, "filters": [FILTERS["city is Dublin"]]})
    branch = document["enrollmentCriteria"]["listFilterBranch"]["filterBranches"][0]
    branch["filterBranches"] = [with_company(*known, scenario.property_filter(["name", "IS_KNOWN"]))]
    world.put_flow(document)

    started = time.process_time()
    world.deliver(envelope("city", Arrival(5, "property", (("city", "Dublin"),), creates=False)))

    assert time.process_time() - started < 15


@pytest.mark.parametrize("is_in_order", [True, False])
def test_property_change_and_association_enroll_in_either_order_of_arrival(is_in_order: bool) -> None:
    world = World(now=START)
    for key in (ADA, RecordKey("p1", "0-2", "1")):
        world.put_record(key, Record(key, 0))
    document = scenario.flow({"id": 1, "filters": [FILTERS["city is Dublin"]]})
    tree = {"filterBranchType": "AND", "filters": [scenario.property_filter(FILTERS["city is Dublin"])]}
    document["enrollmentCriteria"]["listFilterBranch"] = {**tree, "filterBranches": [with_company()]}
    world.put_flow(document)

    def change_the_city() -> None:
        properties = {"hs_name": "city", "hs_value": "Dublin"}
        at = iso(START + 101)
        world.deliver(scenario.event({"crm.property_changed": "101", "id": "city", "at": at, "properties": properties}))

    def associate_the_company() -> None:
        world.record_service.associate(ADA, RecordKey("p1", "0-2", "1"), [TO_COMPANY], START + 301)
        world.deliver_produced()

    steps = [change_the_city, associate_the_company]
    for step in steps if is_in_order else reversed(steps):
        world.now = max(world.now + 400, START + 400)
        step()

    (enrollment,) = world.queue.messages
    assert enrollment.cause.occurred_at == START + 301


def test_another_event_of_the_change_publishes_again_what_is_not_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends between the queue and the confirmation. The queue drops the second message by its deduplication
    ID. After the confirmation, no event of the change sends it again."""
    world = World(now=START + 400)
    world.put_record(ADA, Record(ADA, 0))
    world.put_flow(scenario.flow({"id": 1, "filters": [FILTERS["city is Dublin"]]}))
    change = Arrival(5, "property", (("city", "Dublin"),), creates=False)

    def end(*args: Any, **named: Any) -> None:
        raise TimeoutError

    with monkeypatch.context() as patch:
        patch.setattr(world.enrollments, "confirm", end)
        with pytest.raises(TimeoutError):
            world.deliver(envelope("first", change))
    for event_id in ("second", "third", "first"):
        world.deliver(envelope(event_id, change))

    (stored,) = world.enrollments.items.values()
    assert stored.is_confirmed
    assert stored.enrollment.cause.event_id == "first"
    assert [message.id for message in world.queue.messages] == [stored.enrollment.id] * 2
    assert len({message.deduplication_id for message in world.queue.messages}) == 1


def test_two_events_of_one_change_at_once_make_one_enrollment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second event is delivered while the first one has published the enrollment and not confirmed it yet."""
    world = World(now=START + 400)
    world.put_record(ADA, Record(ADA, 0))
    world.put_flow(scenario.flow({"id": 1, "filters": [FILTERS["city is Dublin"]]}))
    change = Arrival(5, "property", (("city", "Dublin"),), creates=False)
    announce = world.bus.announce

    def announce_after_the_second(*args: Any) -> Any:
        monkeypatch.undo()
        world.deliver(envelope("second", change))
        return announce(*args)

    monkeypatch.setattr(world.bus, "announce", announce_after_the_second)
    world.deliver(envelope("first", change))

    (stored,) = world.enrollments.items.values()
    assert stored.is_confirmed
    assert {message.deduplication_id for message in world.queue.messages} == {stored.enrollment.deduplication_id}


def test_later_changes_re_enroll_after_a_first_enrollment_whose_delivery_stopped() -> None:
    """The queue accepts nothing at the first delivery, or the process ends after the first claim."""
    world = World(now=START)
    world.put_record(ADA, Record(ADA, 0))
    given = {"id": 1, "filters": [FILTERS["city is Dublin"]], "re_enroll": True}
    world.put_flow(scenario.flow({**given, "re_enroll_when": [TRIGGERS["age known"]]}))
    for number, age in ((10, 3), (20, 4)):
        world.now = START + 100 + number
        world.deliver(envelope(f"age{number}", Arrival(number, "property", (("age", age),), creates=False)))
    city = envelope("city", Arrival(5, "property", (("city", "Dublin"),), creates=False))

    for refused in (3, 2, 0):
        world.queue.refuses = refused
        try:
            world.deliver(city)
        except NotDelivered:
            assert refused

    times = sorted(message.cause.occurred_at - START for message in world.queue.messages)
    assert times == [5, 10, 20]
    assert len(world.enrollments.items) == 3
    assert all(stored.is_confirmed for stored in world.enrollments.items.values())


def test_later_changes_re_enroll_after_the_schedule_has_confirmed_the_first_enrollment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The process ends after the first claim. The event is delivered again when the schedule has published it."""
    world = World(now=START)
    world.put_record(ADA, Record(ADA, 0))
    given = {"id": 1, "filters": [FILTERS["city is Dublin"]], "re_enroll": True}
    world.put_flow(scenario.flow({**given, "re_enroll_when": [TRIGGERS["age known"]]}))
    world.now = START + 110
    world.deliver(envelope("age10", Arrival(10, "property", (("age", 3),), creates=False)))
    city = envelope("city", Arrival(5, "property", (("city", "Dublin"),), creates=False))
    claim = world.enrollments.claim

    def claim_and_end(*args: Any) -> bool:
        claim(*args)
        raise TimeoutError

    with monkeypatch.context() as patch:
        patch.setattr(world.enrollments, "claim", claim_and_end)
        with pytest.raises(TimeoutError):
            world.deliver(city)
    world.now += 6 * 60_000
    assert len(list(world.unconfirmed_publisher.publish_all())) == 1
    # The flow's own action changes the record. This stops as a loop, whenever the event of the first enrollment comes.
    looped = scenario.event(
        {
            "crm.property_changed": "101",
            "id": "looped",
            "at": iso(START + 300),
            "chain": ["1"],
            "properties": {"hs_name": "age", "hs_value": "5"},
        }
    )
    world.deliver(looped)

    world.deliver(city)
    world.deliver(city)

    assert sorted(message.cause.occurred_at - START for message in world.queue.messages) == [5, 10]


def limited_flow_with_later_changes(limit: dict[str, Any], ages: int) -> World:
    """Return a world in which a late change has made the first enrollment in a flow with a rate limit, and each of the
    ages a re-enrollment at a later change."""
    world = World(now=START)
    world.put_record(ADA, Record(ADA, 0))
    given = {"id": 1, "filters": [FILTERS["city is Dublin"]], "re_enroll": True, "limit": limit}
    world.put_flow(scenario.flow({**given, "re_enroll_when": [TRIGGERS["age known"]]}))
    for age in range(ages):
        world.now = START + 100 + age
        world.deliver(envelope(f"age{age}", Arrival(10 + age, "property", (("age", age),), creates=False)))
    world.deliver(envelope("city", Arrival(5, "property", (("city", "Dublin"),), creates=False)))
    return world


def test_rate_limit_lets_re_enrollments_at_later_changes_enter_when_they_are_due() -> None:
    world = limited_flow_with_later_changes({"count": 1, "period": "HOUR"}, ages=3)
    assert len(world.queue.messages) == 1

    published = []
    for hour in (1, 2, 3, 4):
        world.pass_time(START + hour * 3_600_000 + 1_000)
        published.append(len(world.queue.messages))

    assert published == [2, 3, 4, 4]
    assert all(stored.is_confirmed for stored in world.enrollments.items.values())
    assert not world.redeliveries.scheduled


def test_re_enrollments_at_several_later_changes_enter_at_the_same_time() -> None:
    world = limited_flow_with_later_changes({"count": 2, "period": "HOUR"}, ages=3)

    world.pass_time(START + 3_600_000 + 1_000)

    assert sorted(message.cause.occurred_at - START for message in world.queue.messages) == [5, 10, 11, 12]
    assert not world.redeliveries.scheduled


def test_delayed_re_enrollment_at_a_later_change_is_published_once_if_its_event_is_delivered_again() -> None:
    world = limited_flow_with_later_changes({"count": 1, "period": "HOUR"}, ages=2)

    world.deliver(envelope("city", Arrival(5, "property", (("city", "Dublin"),), creates=False)))
    world.pass_time(START + 4 * 3_600_000)

    assert sorted(message.cause.occurred_at - START for message in world.queue.messages) == [5, 10, 11]
    assert not world.redeliveries.scheduled


def test_later_change_that_is_decided_before_the_first_claim_re_enrolls(monkeypatch: pytest.MonkeyPatch) -> None:
    """The later change is stored after the record was read and decided before the first enrollment is claimed. So its
    own event does not re-enroll the record yet."""
    world = World(now=START + 400)
    world.put_record(ADA, Record(ADA, 0))
    given = {"id": 1, "filters": [FILTERS["city is Dublin"]], "re_enroll": True}
    world.put_flow(scenario.flow({**given, "re_enroll_when": [TRIGGERS["age known"]]}))
    city = envelope("city", Arrival(5, "property", (("city", "Dublin"),), creates=False))
    age = envelope("age", Arrival(10, "property", (("age", 3),), creates=False))
    claim = world.enrollments.claim

    def claim_after_the_age(*args: Any) -> bool:
        monkeypatch.undo()
        world.now += 1
        world.deliver(age)
        return claim(*args)

    monkeypatch.setattr(world.enrollments, "claim", claim_after_the_age)
    world.deliver(city)

    assert sorted(message.cause.occurred_at - START for message in world.queue.messages) == [5, 10]
