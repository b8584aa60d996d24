"""Random stories of a record and a filter-based flow, against a naive evaluator that gets the changes in the order of
their arrival. It keeps all of them, sorts them each time, and knows nothing of indexes, moments and candidates."""

import random
import time
from dataclasses import dataclass, field
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

FILTERS: dict[str, list[Any]] = {
    "city is Dublin": ["city", "IS_EQUAL_TO", "Dublin"],
    "city is not Cork": ["city", "IS_NOT_EQUAL_TO", "Cork", "STRING", True],
    "age is known": ["age", "IS_KNOWN"],
    "age is 3": ["age", "IS_EQUAL_TO", 3, "NUMBER"],
    "in list": ["IN_LIST", "42"],
    "not in list": ["NOT_IN_LIST", "42"],
}
TRIGGERS: dict[str, list[list[Any]]] = {
    "age known": [["hs_name", "IS_ANY_OF", ["age"]], ["hs_value", "IS_KNOWN"]],
    "city to Dublin": [["hs_name", "IS_ANY_OF", ["city"]], ["hs_value", "IS_EQUAL_TO", "Dublin"]],
    "comes into list": [["IN_LIST", "42"]],
}

Fact = tuple[int, int, str, Any]
"""The milliseconds since START, the number of the arrival, what changed, and its value."""


@dataclass(frozen=True)
class Arrival:
    """An event: what it sets. ``creates``: the record exists from then on."""

    at: int
    event_type: str
    sets: tuple[tuple[str, Any], ...]
    creates: bool


@dataclass
class Naive:
    """``branches``: the names of filters, an OR of ANDs."""

    branches: list[list[str]]
    trigger: str | None
    re_enrolls: bool
    since: int
    facts: list[Fact] = field(default_factory=list)
    created: int | None = None
    arrivals: int = 0
    enrolled: list[int] = field(default_factory=list)
    event_ids: set[str] = field(default_factory=set)

    def value(self, name: str, at: float) -> Any:
        values = [fact for fact in sorted(self.facts, key=lambda one: one[:2]) if fact[2] == name and fact[0] <= at]
        return values[-1][3] if values else None

    def holds(self, at: float) -> bool:
        if self.created is None or at < self.created:
            return False
        city, age, listed = self.value("city", at), self.value("age", at), self.value("list", at) == "ADDED"
        outcome = {
            "city is Dublin": city == "Dublin",
            "city is not Cork": city != "Cork",
            "age is known": age is not None,
            "age is 3": age == 3,
            "in list": listed,
            "not in list": not listed,
        }
        return any(all(outcome[name] for name in branch) for branch in self.branches)

    @property
    def mentioned(self) -> set[str]:
        names = {word for branch in self.branches for name in branch for word in name.split()}
        names |= set((self.trigger or "").split()) if self.re_enrolls else set()
        return names & {"city", "age", "list"}

    def occurs_again(self, at: int) -> bool:
        """At a later change, whose events have arrived before."""
        return self.occurs({name for when, _, name, _ in self.facts if when == at}, at)

    def occurs(self, changed: set[str], at: int) -> bool:
        if self.trigger is None:
            return False
        before = {name: self.value(name, at - 0.5) for name in ("city", "age", "list")}
        after = {name: self.value(name, at) for name in ("city", "age", "list")}
        if self.created == at:
            before = dict.fromkeys(before)
        return {
            "age known": "age" in changed and after["age"] is not None and before["age"] != after["age"],
            "city to Dublin": "city" in changed and after["city"] == "Dublin" and before["city"] != "Dublin",
            "comes into list": after["list"] == "ADDED" and before["list"] != "ADDED",
        }[self.trigger]

    def arrive(self, event_id: str, arrival: Arrival) -> None:
        """Decide from what is known at this arrival. A second delivery of an event changes nothing that is known."""
        self.arrivals += 1
        if event_id not in self.event_ids:
            self.facts += [(arrival.at, self.arrivals, name, value) for name, value in arrival.sets]
            self.event_ids.add(event_id)
        if arrival.creates:
            self.created = arrival.at if self.created is None else min(self.created, arrival.at)
        if self.created is None:
            return
        is_creation = arrival.creates and self.created == arrival.at
        is_concerned = bool({name for name, _ in arrival.sets} & self.mentioned) or arrival.event_type == "created"
        if not is_creation and not is_concerned:
            return
        own = max(arrival.at, self.created)
        later = {at for at, _, name, _ in self.facts if name in self.mentioned and at > own}
        instants = [at for at in (own, *sorted(later)) if at >= self.since]
        entered = next((at for at in instants if self.holds(at) and not self.holds(at - 0.5)), None)
        re_enters = (
            self.re_enrolls
            and own >= self.since
            and self.holds(own)
            and self.occurs({name for name, _ in arrival.sets}, own)
        )
        if not self.enrolled and entered is not None:
            self.enrolled.append(entered)
            self.enrolled += [at for at in sorted(later) if at > entered and self.holds(at) and self.occurs_again(at)]
        elif self.enrolled and re_enters and own not in self.enrolled:
            self.enrolled.append(own)


def story(dice: random.Random) -> tuple[dict[str, Any], Naive, list[Arrival]]:
    branches = [dice.sample(list(FILTERS), dice.randint(1, 2)) for _ in range(dice.randint(1, 2))]
    re_enrolls, trigger = dice.random() < 0.5, dice.choice([None, *TRIGGERS])
    since = dice.choice([0, 0, 8])
    flow = {
        "id": 1,
        "any_filters": [[FILTERS[name] for name in branch] for branch in branches],
        "re_enroll": re_enrolls,
        "re_enroll_when": [TRIGGERS[trigger]] if trigger else [],
        "on_since": START + since if since else None,
    }
    naive = Naive(branches, trigger if re_enrolls else None, re_enrolls and trigger is not None, since)
    arrivals = [Arrival(dice.randint(0, 6), "created", dice.choice([(), (("city", "Dublin"),)]), creates=True)]
    for _ in range(dice.randint(1, 6)):
        at = dice.randint(1, 20)
        match dice.choice(["city", "age", "list", "snapshot"]):
            case "city":
                arrivals.append(Arrival(at, "property", (("city", dice.choice(["Dublin", "Cork"])),), creates=False))
            case "age":
                arrivals.append(Arrival(at, "property", (("age", dice.choice([3, 4, None])),), creates=False))
            case "list":
                arrivals.append(Arrival(at, "list", (("list", dice.choice(["ADDED", "REMOVED"])),), creates=False))
            case _:
                sets = (("city", dice.choice(["Dublin", "Cork"])), ("age", dice.choice([3, 4])))
                arrivals.append(Arrival(at, "snapshot", sets, creates=True))
    dice.shuffle(arrivals)
    return flow, naive, arrivals


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


def play(seed: int) -> tuple[list[int], list[int], Any]:
    dice = random.Random(seed)
    flow, naive, arrivals = story(dice)
    world = World(now=START)
    world.put_flow(scenario.flow(flow), at=flow["on_since"])
    events = [(f"e{number}", arrival) for number, arrival in enumerate(arrivals)]
    for number, (event_id, arrival) in enumerate([*events, *dice.sample(events, dice.randint(0, 2))]):
        world.now = START + 100 + number
        world.deliver(envelope(event_id, arrival))
        naive.arrive(event_id, arrival)
    found = [one.cause.occurred_at - START for one in world.queue.messages]
    return found, naive.enrolled, (flow, events)


def test_a_thousand_stories_enroll_as_a_naive_evaluator_does() -> None:
    for seed in range(1_000):
        found, expected, told = play(seed)
        assert found == expected, (seed, told)


@pytest.mark.verify
def test_ten_thousand_stories_enroll_as_a_naive_evaluator_does() -> None:
    for seed in range(1_000, 11_000):
        found, expected, told = play(seed)
        assert found == expected, (seed, told)


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
