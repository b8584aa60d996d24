"""Events at once, by threads in several processes, against two implementations of DynamoDB: exactly one enrollment."""

import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import botocore.session
import pytest

from enrollment.config import NAMES
from enrollment.domain.enrollment.enrollments import StoredEnrollment
from enrollment.domain.events.moments import as_of
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.associations import AssociationType
from enrollment.domain.records.record import HISTORY_LENGTH, Record
from enrollment.domain.values import LATEST, Instant, iso, iso_second
from enrollment.entrypoints.bootstrap import now
from tests.proofs.looking_first import looking_first
from tests.proofs.traffic import (
    Outcome,
    Traffic,
    associate_request,
    manual_request,
    outcome_of,
    redelivery,
    traffic,
)
from tests.support.aws import REGION, create_resources
from tests.support.dynamodb import dynamodb_local, moto
from tests.support.emulated import emulated_aws
from tests.support.fakes import store
from tests.support.scenario import event, flow
from tests.support.stores import Stores
from tests.support.stores import stores as open_stores

pytestmark = [pytest.mark.verify, pytest.mark.xdist_group("proofs")]

# Lambda's own two, and what is sent again from the unprocessed-events queue.
REDELIVERIES = 8

TO_COMPANY = AssociationType("HUBSPOT_DEFINED", 279)


@dataclass(frozen=True)
class Place:
    """The functions' world: tables in one implementation of DynamoDB, the queue and the bus in the embedded AWS."""

    name: str
    stores: Stores
    queue_url: str
    redeliveries_url: str
    sqs: Any
    traffic: Traffic

    def records(self, portal: str, count: int) -> list[RecordKey]:
        keys = [RecordKey(portal, "0-1", str(number)) for number in range(count)]
        for key in keys:
            self.stores.records.save(Record(key, 0))
        return keys

    def put_flow(self, portal: str, at: Instant = 0, **given: Any) -> None:
        store(self.stores.authoring, portal, flow(given), at)

    def items(self, keys: Sequence[RecordKey]) -> list[StoredEnrollment]:
        return [one for key in keys for one in self.stores.enrollments.of_record(key, 10_000)]

    def messages(self) -> Counter[str]:
        """How many of each enrollment are on the queue; taken from it."""
        return Counter(json.loads(body)["enrollmentId"] for body in self._take(self.queue_url))

    def about_associated(self) -> list[str]:
        """The messages about associated records; taken from their queue."""
        return [body for body in self._take(self.redeliveries_url) if "associated" in json.loads(body)]

    def _take(self, url: str) -> Iterator[str]:
        while messages := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            yield from (one["Body"] for one in messages)
            entries = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(messages)]
            assert not self.sqs.delete_message_batch(QueueUrl=url, Entries=entries).get("Failed")

    def deliver(self, envelopes: Sequence[Mapping[str, Any]], seed: str) -> Outcome:
        return self.redeliver(self.traffic.send(envelopes, seed), seed)

    def redeliver(self, outcome: Outcome, seed: str) -> Outcome:
        """Until nothing fails."""
        waiting, outcome.failed = outcome.failed, []
        for number in range(REDELIVERIES):
            if not waiting:
                return outcome
            outcome += self.traffic.send(waiting, f"{seed}/again{number}")
            waiting, outcome.failed = outcome.failed, []
        raise AssertionError(f"{len(waiting)} events fail again and again: {outcome.errors}")


@pytest.fixture(scope="module", params=["the embedded AWS", "a second DynamoDB"])
def place(request: pytest.FixtureRequest, prove: bool) -> Iterator[Place]:
    with ExitStack() as stack:
        emulated = stack.enter_context(emulated_aws())
        session = botocore.session.get_session()
        config, environment, name = emulated.config, dict(emulated.environment), "MiniStack"
        if request.param == "a second DynamoDB":
            name, second = ("DynamoDB Local", dynamodb_local) if prove else ("moto", moto)
            address = stack.enter_context(second())
            client = session.create_client("dynamodb", region_name=REGION, endpoint_url=address)
            config = create_resources("second-", client)
            environment |= {variable: getattr(config, variable.lower()) for variable in NAMES}
            environment["AWS_ENDPOINT_URL_DYNAMODB"] = address
        yield Place(
            name=name,
            stores=open_stores(
                config, endpoint_url=environment.get("AWS_ENDPOINT_URL_DYNAMODB", environment["AWS_ENDPOINT_URL"])
            ),
            queue_url=config.enrollments_queue_url,
            redeliveries_url=environment["REDELIVERIES_QUEUE_URL"],
            sqs=session.create_client("sqs", region_name=REGION),
            traffic=stack.enter_context(traffic(environment)),
        )


@pytest.fixture(autouse=True)
def _leaves_nothing(place: Place) -> Iterator[None]:
    """A proof that fails leaves its messages to none of the others."""
    yield
    place.messages()
    place.about_associated()


@dataclass
class Tally:
    """What a proof has seen, over all its seeds."""

    place: str
    title: str
    each: tuple[str, ...] = ()
    seeds: int = 0
    deliveries: int = 0
    enrollments: int = 0
    doubles: int = 0
    messages: int = 0
    conflicts: int = 0
    changes: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, deliveries: int, items: int, messages: int, outcome: Outcome) -> None:
        self.seeds += 1
        self.deliveries += deliveries
        self.enrollments += items
        self.messages += messages
        self.doubles += doubles(outcome, *self.each)
        self.conflicts += outcome.conflicts
        self.errors += outcome.errors

    def __str__(self) -> str:
        return (
            f"{self.place}: {self.title}: {self.seeds} seeds, {self.deliveries:,} deliveries, "
            f"{self.enrollments:,} enrollments, {self.doubles} doubles, {self.messages:,} messages, "
            f"{self.conflicts:,} conflicts met, {self.changes:,} changes of flows, "
            f"delivered again after {dict(self.errors)}"
        )


@pytest.fixture
def seeds(place: Place, prove: bool) -> range:
    """moto is slow."""
    short = 1 if place.name == "moto" else 2
    return range(50 if prove else short)


def submitted(key: RecordKey, event_id: str) -> dict[str, Any]:
    at = iso(now())
    return event({"forms.submitted": key.object_id, "portal": key.portal_id, "id": event_id, "at": at})


def checked(place: Place, keys: Sequence[RecordKey], outcome: Outcome) -> tuple[list[StoredEnrollment], Counter[str]]:
    """The items of the records, and how many messages there are of each; what holds of them in every proof."""
    items, messages = place.items(keys), place.messages()
    ids = [one.enrollment.id for one in items]
    assert len(set(ids)) == len(ids)
    assert set(messages) == set(ids), "at least one message for each enrollment, and none without"
    assert all(one.is_confirmed for one in items)
    assert {one["enrollmentId"] for one in outcome.enrolled} <= set(ids)
    occurrences = Counter(
        (one.enrollment.record_key, one.enrollment.flow_id, one.enrollment.cause.key) for one in items
    )
    assert max(occurrences.values(), default=1) == 1
    firsts = Counter(
        (key, flow_id) for one in items if not one.enrollment.is_re_enrollment for key, flow_id in [place_of(one)]
    )
    assert firsts == Counter(dict.fromkeys(map(place_of, items), 1))
    return items, messages


def place_of(stored: StoredEnrollment) -> tuple[RecordKey, str]:
    return stored.enrollment.record_key, stored.enrollment.flow_id


def doubles(outcome: Outcome, *each: str) -> int:
    """Decisions to enroll beyond the first, of each record in a flow; of each event too, in one that re-enrolls."""
    return len(outcome.enrolled) - len(
        {tuple(one[name] for name in ("objectId", "flowId", *each)) for one in outcome.enrolled}
    )


def test_the_same_event_many_times_at_once_enrolls_once(place: Place, seeds: range, prove: bool) -> None:
    tally = Tally(place.name, "the same event at once, a once-only and a re-enrolling flow")
    for seed in seeds:
        portal = f"same-{seed}"
        place.put_flow(portal, id=1, event="forms.submitted")
        place.put_flow(portal, id=2, event="forms.submitted", re_enroll=True)
        (ada,) = keys = place.records(portal, 1)
        events = [submitted(ada, "e1")] * (1000 if prove else 48)

        outcome = place.deliver(events, portal)

        items, messages = checked(place, keys, outcome)
        assert sorted(one.enrollment.flow_id for one in items) == ["1", "2"], portal
        assert doubles(outcome) == 0, portal
        tally.add(len(events), len(items), messages.total(), outcome)
    print(tally)


def test_requests_and_events_at_once_enroll_once(place: Place, seeds: range, prove: bool) -> None:
    tally = Tally(place.name, "one request, another and an event at once, a once-only and a re-enrolling flow")
    for seed in seeds:
        portal = f"manual-{seed}"
        place.put_flow(portal, id=1, event="forms.submitted")
        place.put_flow(portal, id=2, event="forms.submitted", re_enroll=True)
        (ada,) = keys = place.records(portal, 1)
        requests = [manual_request(ada, flow_id, key) for flow_id in ("1", "2") for key in ("k1", "k2")]
        deliveries = [submitted(ada, "e1"), *requests] * (100 if prove else 10)

        outcome = place.deliver(deliveries, portal)

        items, messages = checked(place, keys, outcome)
        places = sorted((one.enrollment.flow_id, one.enrollment.cause.event_id) for one in items)
        assert [one for one in places if one[0] == "2"] == [("2", "e1"), ("2", "manual:k1"), ("2", "manual:k2")], portal
        assert len(places) == 4, portal
        answers = {(one["flowId"], one["eventId"], one["enrollmentId"]) for one in outcome.enrolled}
        assert len(answers) == 4, "a repeated request has the answer of the first"
        tally.add(
            len(deliveries), len(items), messages.total(), Outcome(errors=outcome.errors, conflicts=outcome.conflicts)
        )
    print(tally)


def test_ten_events_at_once_enroll_a_record_once(place: Place, seeds: range, prove: bool) -> None:
    tally = Tally(place.name, "10 events of each record at once, a once-only flow")
    for seed in seeds:
        portal = f"ten-{seed}"
        place.put_flow(portal, id=1, event="forms.submitted")
        keys = place.records(portal, 200 if prove else 10)

        outcome = place.deliver(ten_of_each(keys), portal)

        items, messages = checked(place, keys, outcome)
        assert Counter(one.enrollment.record_key for one in items) == Counter(keys), portal
        assert doubles(outcome) == 0, portal
        tally.add(10 * len(keys), len(items), messages.total(), outcome)
    print(tally)


def ten_of_each(keys: Sequence[RecordKey]) -> list[dict[str, Any]]:
    return [submitted(key, f"{key.object_id}-{number}") for key in keys for number in range(10)]


def test_this_traffic_doubles_what_only_looks_first(place: Place, seeds: range, prove: bool) -> None:
    """The races do happen: so the proofs above could fail."""
    tally = Tally(place.name, "the same against a store that looks first and writes unconditionally")
    for seed in seeds[:1]:
        portal = f"naive-{seed}"
        place.put_flow(portal, id=1, event="forms.submitted")
        # Of ten it may happen that none is doubled.
        keys = place.records(portal, 200 if prove else 80)

        outcome = place.traffic.send(ten_of_each(keys), portal, looking_first)

        assert not outcome.failed, outcome.errors
        assert doubles(outcome) > 0
        tally.add(10 * len(keys), len(place.items(keys)), place.messages().total(), outcome)
    print(tally)


def test_switching_stopping_and_editing_flows_amid_traffic(place: Place, seeds: range, prove: bool) -> None:
    tally = Tally(
        place.name,
        "3 events of each record, delivered twice at once and twice later, amid changes of flows",
        ("eventId",),
    )
    for seed in seeds:
        portal = f"amid-{seed}"
        given = [{"id": number, "event": "forms.submitted"} for number in (EDITED, SWITCHED, STOPPED)]
        for one in given:
            place.put_flow(portal, **one)
        keys = place.records(portal, 40 if prove else 6)
        events = [submitted(key, f"{key.object_id}-{number}") for key in keys for number in range(3)]

        shares = place.traffic.begin([one for one in events for _ in range(2)] + events, portal)
        changes = change_amid(place, portal, random.Random(seed), shares)
        outcome = place.redeliver(outcome_of(shares), portal)
        place.put_flow(portal, now(), id=SWITCHED, event="forms.submitted", re_enroll=True)
        outcome += place.deliver(events, f"{portal}/replay")

        items, messages = checked(place, keys, outcome)
        of_flow = {flow_id: [] for flow_id in (EDITED, SWITCHED, STOPPED)}
        for one in items:
            of_flow[int(one.enrollment.flow_id)].append(one.enrollment)
        assert Counter(one.record_key for one in of_flow[EDITED]) == Counter(keys), portal
        assert sorted(one.cause.event_id for one in of_flow[SWITCHED]) == sorted(one["detail"]["id"] for one in events)
        tally.add(4 * len(events), len(items), messages.total(), outcome)
        tally.changes += changes
    assert tally.changes > 3 * tally.seeds
    print(tally)


# Flows that change amid traffic: in what does not concern enrolling, in whether they re-enroll, in everything.
EDITED, SWITCHED, STOPPED = 1, 2, 3


def change_amid(place: Place, portal: str, chance: random.Random, shares: Sequence[Future[Outcome]]) -> int:
    """Until the traffic is over; how many changes were made."""
    count = 0
    while not all(one.done() for one in shares):
        time.sleep(chance.uniform(0, 0.03))
        number = chance.choice((EDITED, SWITCHED, STOPPED))
        given: dict[str, Any] = {"id": number, "event": "forms.submitted"}
        if number == EDITED:
            given["groups"] = [{"event": "forms.submitted"}, {"event": chance.choice(["forms.viewed", "calls.ended"])}]
        elif number == SWITCHED:
            given["re_enroll"] = chance.random() < 0.5
        else:
            given |= {"re_enroll": chance.random() < 0.5, "enabled": chance.random() < 0.7}
            given["event"] = chance.choice(["forms.submitted", "forms.submitted", "forms.viewed"])
            given["where"] = chance.choice([[], [["hs_form_id", "IS_KNOWN"]]])
        place.put_flow(portal, now(), **given)
        count += 1
    return count


def test_changes_of_one_record_at_once_lose_nothing(place: Place, seeds: range, prove: bool) -> None:
    tally = Tally(place.name, "changes of one record at once, a property of each and one that all change")
    for seed in seeds:
        portal = f"record-{seed}"
        (ada,) = place.records(portal, 1)
        started, count = now(), 50 if prove else 10
        events = [
            changed(ada, f"{name}-{number}", started + number, name, number)
            for number in range(count)
            for name in (f"own{number}", "shared")
        ]

        outcome = place.deliver(events * 2, portal)

        record = place.stores.records.get(ada)
        expected = {f"own{number}": number for number in range(count)} | {"shared": count - 1}
        assert record is not None
        assert record.values_at(as_of(LATEST)) == expected, portal
        kept = [one.value for one in record.property_changes("shared", as_of(LATEST))]
        assert kept == list(range(count))[-HISTORY_LENGTH - 1 :]
        tally.add(2 * len(events), 0, 0, outcome)
    print(tally)


def changed(
    key: RecordKey, event_id: str, at: Instant, name: str, value: object, object_type: str = "contact"
) -> dict[str, Any]:
    properties = {"hs_name": name, "hs_value": value}
    return event(
        {
            "crm.property_changed": key.object_id,
            "object": object_type,
            "portal": key.portal_id,
            "id": event_id,
            "at": iso(at),
            "properties": properties,
        }
    )


# Long enough for the slowest run.
TOLERANT = {"tolerance": 10, "record_tolerance": 600}


def test_a_creation_among_what_follows_it_loses_nothing(place: Place, seeds: range, prove: bool) -> None:
    """Whatever arrives first: each change is stored, and each event enrolls once."""
    tally = Tally(place.name, "a creation, a change, a membership and a form of each record at once, twice")
    for seed in seeds:
        portal = f"early-{seed}"
        place.put_flow(portal, id=1, event="forms.submitted", criteria=[["city", "IS_EQUAL_TO", "Cork"]], **TOLERANT)
        place.put_flow(portal, id=2, lists=[["IN_LIST", "42"]], **TOLERANT)
        place.put_flow(portal, id=3, event="crm.object_created", **TOLERANT)
        place.put_flow(portal, id=4, event="crm.property_changed", re_enroll=True, **TOLERANT)
        keys = [RecordKey(portal, "0-1", str(number)) for number in range(40 if prove else 6)]
        started = now()
        events = [one for key in keys for one in story_of(key, started)]

        outcome = place.deliver([one for one in events for _ in range(2)], portal)

        items, messages = checked(place, keys, outcome)
        enrolled = Counter((one.enrollment.record_key, one.enrollment.flow_id) for one in items)
        assert enrolled == Counter((key, flow_id) for key in keys for flow_id in "1234"), (portal, outcome.codes)
        for key in keys:
            record = place.stores.records.get(key)
            assert record is not None
            assert record.created_at == started
            assert record.values_at(as_of(LATEST)) == {"city": "Cork"}
            assert [one.value for one in record.property_changes("city", as_of(LATEST))] == ["Bray", "Cork"]
            assert record.is_member("42", as_of(LATEST))
            assert not place.stores.deferred_events.of(key, 10), "each waiting event is decided"
        tally.add(2 * len(events), len(items), messages.total(), outcome)
    print(tally)


def story_of(key: RecordKey, started: Instant) -> list[dict[str, Any]]:
    def about(event_type: str, event_id: str, at: Instant, **given: Any) -> dict[str, Any]:
        event_id = f"{event_id}-{key.object_id}"
        return event({event_type: key.object_id, "portal": key.portal_id, "id": event_id, "at": iso(at), **given})

    membership = {"hs_list_id": "42", "hs_membership_change": "ADDED"}
    return [
        about("crm.object_created", "created", started, record={"city": "Bray"}),
        changed(key, f"moved-{key.object_id}", started + 1, "city", "Cork"),
        about("lists.membership_changed", "added", started + 2, properties=membership),
        about("forms.submitted", "form", started + 3),
    ]


def test_an_event_known_to_the_second_has_one_first_evaluation(place: Place, seeds: range, prove: bool) -> None:
    """Its snapshot has one place among the other changes of its second, and later deliveries change nothing."""
    tally = Tally(place.name, "an event with a snapshot, known to the second, among changes of its second")
    for seed in seeds:
        portal = f"second-{seed}"
        place.put_flow(portal, id=1, event="forms.submitted", criteria=[["city", "IS_EQUAL_TO", "Cork"]])
        keys = place.records(portal, 20 if prove else 3)
        second = now() // 1000 * 1000 - 1000
        events = [
            one
            for key in keys
            for one in (
                changed(key, f"bray-{key.object_id}", second + 1, "city", "Bray"),
                rough(key, f"form-{key.object_id}", second, {"city": "Cork"}),
                changed(key, f"bandon-{key.object_id}", second + 2, "city", "Bandon"),
            )
        ]

        outcome = place.deliver([one for one in events for _ in range(4)], portal)
        stored = [place.stores.records.get(key) for key in keys]
        outcome += place.deliver(events * 2, f"{portal}/again")

        items, messages = checked(place, keys, outcome)
        assert Counter(one.enrollment.record_key for one in items) == Counter(keys), portal
        assert [place.stores.records.get(key) for key in keys] == stored
        for record in stored:
            assert record is not None
            changes = record.property_changes("city", as_of(LATEST))
            assert sorted(str(one.value) for one in changes) == ["Bandon", "Bray", "Cork"]
            assert [one.value for one in changes if not one.is_to_second] == ["Bray", "Bandon"]
            (snapshot,) = (one for one in changes if one.is_to_second)
            # One that arrived earlier can follow, if the times tell that it came after one that arrived later.
            following = changes[changes.index(snapshot) + 1 :][:1]
            assert all(one.arrival >= snapshot.arrival for one in following), changes
        tally.add(6 * len(events), len(items), messages.total(), outcome)
    print(tally)


def rough(key: RecordKey, event_id: str, second: Instant, record: Mapping[str, Any]) -> dict[str, Any]:
    at = iso_second(second)
    given = {"forms.submitted": key.object_id, "portal": key.portal_id, "id": event_id, "at": at, "record": record}
    return event({**given, "sent": at})


def test_contacts_of_companies_that_change_enroll_by_the_same_changes_in_every_order(
    place: Place, seeds: range, prove: bool
) -> None:
    """A contact starts to meet the criteria at the last of three changes: its own, that of its company, and that of
    their association. Whichever is decided last, this one enrolls it, and a later change enrolls it again."""
    tally = Tally(place.name, "a contact, its company and their association change at once, twice; a later change")
    for seed in seeds:
        portal = f"associated-{seed}"
        criteria = {"filters": [["city", "IS_EQUAL_TO", "Cork"]], "company": [["name", "IS_EQUAL_TO", "Acme"]]}
        trigger = [["hs_name", "IS_ANY_OF", ["age"]], ["hs_value", "IS_KNOWN"]]
        place.put_flow(portal, id=1, **criteria)
        place.put_flow(portal, id=2, **criteria, re_enroll=True, re_enroll_when=[trigger])
        companies = [RecordKey(portal, "0-2", str(number)) for number in range(4 if prove else 2)]
        for company in companies:
            place.stores.records.save(Record(company, 0))
        keys = place.records(portal, 40 if prove else 6)
        started = now() - 1000
        renamed = [changed(one, f"named-{one.object_id}", started + 10, "name", "Acme", "company") for one in companies]
        # A change of some companies is stored before, and the message about it is delivered among the other events.
        outcome = place.deliver(renamed[: seed % 2 * len(companies) // 2], f"{portal}/before")
        events, last = list(renamed), {}
        for number, key in enumerate(keys):
            moved_at, associated_at = started + (5, 15, 20)[number % 3], started + (20, 5, 15)[number % 3]
            last[key] = max(moved_at, associated_at, started + 10)
            events += [
                changed(key, f"moved-{key.object_id}", moved_at, "city", "Cork"),
                changed(key, f"aged-{key.object_id}", started + 30, "age", number),
                associate_request(key, companies[number % len(companies)], TO_COMPANY, associated_at),
            ]
        events += [redelivery(body) for body in place.about_associated()]
        count = len(events)

        outcome += place.deliver([one for one in events for _ in range(2)], portal)
        while bodies := place.about_associated():
            count += len(bodies)
            outcome += place.deliver([redelivery(body) for body in bodies for _ in range(2)], f"{portal}/associated")

        items, messages = checked(place, keys, outcome)
        found = sorted(
            (one.enrollment.flow_id, str(one.enrollment.record_key), one.enrollment.cause.occurred_at) for one in items
        )
        once = [("1", str(key), last[key]) for key in keys]
        again = [("2", str(key), at) for key in keys for at in (last[key], started + 30)]
        assert found == sorted([*once, *again]), (portal, outcome.codes)
        tally.add(2 * count, len(items), messages.total(), Outcome(errors=outcome.errors, conflicts=outcome.conflicts))
    print(tally)
