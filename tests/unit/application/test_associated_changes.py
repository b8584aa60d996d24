"""Changes of associated records: each associated record is decided as if the change were its own."""

import json
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from enrollment.application import associated_changes
from enrollment.application.associated_changes import (
    MAX_MESSAGES_IN_CHAIN,
    RECORDS_IN_MESSAGE,
    AssociatedChangeProcessor,
)
from enrollment.application.ports import Throttled
from enrollment.application.simulation import simulated
from enrollment.domain.enrollment.decisions import Code
from enrollment.domain.enrollment.processing_scope import Delivery, ProcessingScope
from enrollment.domain.events.associated_change import AssociatedChange, ChangedParts
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.associations import AssociationType, associated
from enrollment.domain.records.record import Record, TimestampedValue
from enrollment.domain.values import iso, read_instant
from enrollment.serialization.envelopes import read_event
from enrollment.serialization.redeliveries import read_redelivery
from tests.support import scenario
from tests.support.counting import Counted
from tests.support.fakes import World

START = read_instant(scenario.START) or 0
COMPANY = RecordKey("p1", "0-2", "7")
TO_COMPANY, TO_CONTACT = AssociationType("HUBSPOT_DEFINED", 279), AssociationType("HUBSPOT_DEFINED", 280)
NAMED_ACME = ["name", "IS_EQUAL_TO", "Acme"]


def contact(object_id: str) -> RecordKey:
    return RecordKey("p1", "0-1", object_id)


def associate(world: World, record: RecordKey, company: RecordKey, at: int, *, holds: bool = True) -> None:
    for source, target, kind in ((record, company, TO_COMPANY), (company, record, TO_CONTACT)):
        there = world.associations.get(source, target)
        world.associations.save([associated(there, [kind], at, holds=holds)])


def change_company(world: World, at: int, name: str, company: str = "7", **keys: Any) -> dict[str, Any]:
    """Deliver a change of a company's name, without the decisions on its contacts."""
    fields = {"crm.property_changed": company, "object": "company", "id": f"c{at}-{company}", "at": iso(START + at)}
    envelope = scenario.event({**fields, "properties": {"hs_name": "name", "hs_value": name}, **keys})
    world.deliver(envelope)
    return envelope


def world_with_contacts(number: int) -> World:
    world = World(now=START)
    world.put_flow(scenario.flow({"id": 1, "filters": [["city", "IS_EQUAL_TO", "Dublin"]], "company": [NAMED_ACME]}))
    world.put_record(COMPANY, Record(COMPANY, 0, {"name": TimestampedValue("Apex", 0)}))
    for object_id in range(number):
        city = "Cork" if object_id % 4 == 3 else "Dublin"
        key = contact(str(object_id))
        world.put_record(key, Record(key, 0, {"city": TimestampedValue(city, 0)}))
        associate(world, key, COMPANY, 0)
    world.now = START + 1_000
    return world


def changes_sent(world: World) -> list[AssociatedChange]:
    sent = [read_redelivery(text) for text in world.redeliveries.changes]
    return [change for change in sent if isinstance(change, AssociatedChange)]


def enrolled(world: World) -> list[str]:
    return sorted(message.record_key.object_id for message in world.queue.messages)


@pytest.mark.parametrize("times", [1, 2])
def test_1200_contacts_of_a_renamed_company_enroll_once_each(times: int) -> None:
    world = world_with_contacts(1_200)

    change_company(world, 500, "Acme")
    (change,) = changes_sent(world)
    world.decide_associated(times)

    assert change.object_ids is None
    assert enrolled(world) == sorted(str(number) for number in range(1_200) if number % 4 != 3)
    assert {message.cause.occurred_at for message in world.queue.messages} == {START + 500}
    assert {message.cause.name for message in world.queue.messages} == {f"at:{iso(START + 500)}"}


def test_message_that_is_delivered_several_times_at_once_enrolls_each_contact_once() -> None:
    world = world_with_contacts(40)
    change_company(world, 500, "Acme")
    (change,) = changes_sent(world)
    about_all = replace(change, object_ids=tuple(map(str, range(40))))

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(world.associated_changes.process, about_all) for _ in range(4)]:
            done.result()

    assert len(world.enrollments.items) == 30
    assert {message.record_key.object_id for message in world.queue.messages} == set(enrolled(world))
    assert len({message.id for message in world.queue.messages}) == 30


def test_redelivered_company_change_sends_its_message_again_and_enrolls_no_record() -> None:
    world = world_with_contacts(3)
    envelope = change_company(world, 500, "Acme")
    world.redeliveries.changes.clear()  # as if the process had ended before

    world.deliver(envelope)
    world.decide_associated()
    world.deliver(envelope)
    world.decide_associated()

    assert enrolled(world) == ["0", "1", "2"]
    codes = [decision.code for _, decision in world.decision_log.decisions]
    assert codes == [*[Code.ENROLLED] * 3, *[Code.DUPLICATE_EVENT] * 3]


def test_contacts_beyond_one_page_of_associations_follow_with_another_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(associated_changes, "MAX_ASSOCIATIONS", 40)
    world = world_with_contacts(100)
    change_company(world, 500, "Acme")
    (first,) = changes_sent(world)
    world.redeliveries.changes.clear()

    world.associated_changes.process(first)
    messages = changes_sent(world)
    world.decide_associated()

    assert [len(message.object_ids or ()) for message in messages] == [RECORDS_IN_MESSAGE, 40 - RECORDS_IN_MESSAGE, 0]
    assert messages[-1].object_ids is None
    assert messages[-1].after
    assert len(enrolled(world)) == 75


def test_long_list_of_contacts_is_continued_by_the_timer_before_lambda_would_stop_the_chain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(associated_changes, "MAX_ASSOCIATIONS", 2)
    world = world_with_contacts(60)
    change_company(world, 500, "Acme")
    by_timer: list[int] = []
    send = world.redeliveries.send_by_timer

    def noted(change: AssociatedChange) -> None:
        by_timer.append(change.messages_before)
        send(change)

    monkeypatch.setattr(world.redeliveries, "send_by_timer", noted)
    world.decide_associated()

    assert by_timer == [MAX_MESSAGES_IN_CHAIN, 2 * MAX_MESSAGES_IN_CHAIN, 3 * MAX_MESSAGES_IN_CHAIN]
    assert len(enrolled(world)) == 45


def test_delivery_that_is_repeated_after_an_error_of_the_queue_leaves_one_further_chain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(associated_changes, "MAX_ASSOCIATIONS", 2)
    world = world_with_contacts(60)
    change_company(world, 500, "Acme")
    (first,) = changes_sent(world)
    tenth = replace(first, messages_before=MAX_MESSAGES_IN_CHAIN - 1)
    by_timer: list[AssociatedChange] = []
    monkeypatch.setattr(world.redeliveries, "send_by_timer", by_timer.append)
    processor = AssociatedChangeProcessor(world.processor)
    with monkeypatch.context() as patch:
        patch.setattr(world.redeliveries, "send", Mock(side_effect=Throttled("SQS did not accept 1 message")))
        with pytest.raises(Throttled):
            processor.process(tenth)
    processor.process(tenth)
    assert len(by_timer) == 1


def test_small_company_needs_no_further_message() -> None:
    world = world_with_contacts(RECORDS_IN_MESSAGE)
    change_company(world, 500, "Acme")
    (change,) = changes_sent(world)
    world.redeliveries.changes.clear()

    world.associated_changes.process(change)

    assert world.redeliveries.changes == []
    assert len(enrolled(world)) == 19


def test_company_is_read_once_for_the_contacts_of_a_message() -> None:
    world = world_with_contacts(RECORDS_IN_MESSAGE)
    change_company(world, 500, "Acme")
    (change,) = changes_sent(world)
    records: Any = Counted(world.records)
    world.processor = replace(world.processor, evaluator=replace(world.evaluator, records=records))

    replace(world.associated_changes, processor=world.processor).process(change)

    assert records.calls == ["get_many"]


@pytest.mark.parametrize(
    ("properties", "is_sent"),
    [
        ({"hs_name": "name", "hs_value": "Acme"}, True),
        ({"hs_name": "NAME ", "hs_value": "Acme"}, True),
        ({"hs_name": "name", "hs_value": "Apex"}, False),
        ({"hs_name": "phone", "hs_value": "1"}, False),
    ],
)
def test_only_changes_that_criteria_mention_are_sent(properties: dict[str, str], is_sent: bool) -> None:
    world = world_with_contacts(1)
    fields = {"crm.property_changed": "7", "object": "company", "id": "c", "at": iso(START + 500)}
    world.deliver(scenario.event({**fields, "properties": properties}))
    assert bool(world.redeliveries.changes) == is_sent


def test_message_has_only_the_mentioned_names_of_a_snapshot() -> None:
    world = world_with_contacts(1)
    fields = {"calls.ended": "7", "object": "company", "id": "c", "at": iso(START + 500)}
    world.deliver(scenario.event({**fields, "record": {"name": "Acme", "phone": "1", "city": "Dublin"}}))

    (change,) = changes_sent(world)

    assert change.parts == ChangedParts(frozenset({"name"}))
    assert change.event.record_properties == {"name": "Acme"}
    assert change.event_about("0").record_properties is None
    assert change.event.evaluated_at == world.now


def test_names_beyond_the_limit_are_not_named() -> None:
    names = frozenset(f"a_very_long_name_of_a_property_{number:0100}" for number in range(100))
    assert ChangedParts(names).limited() == ChangedParts()
    assert ChangedParts(frozenset({"name"})).limited() == ChangedParts(frozenset({"name"}))


def test_error_of_one_contact_does_not_keep_the_others_from_being_decided() -> None:
    world = world_with_contacts(3)
    change_company(world, 500, "Acme")
    (change,) = changes_sent(world)
    world.queue.refuses = 1

    with pytest.raises(ExceptionGroup) as raised:
        world.associated_changes.process(change)
    assert len(raised.value.exceptions) == 1
    assert enrolled(world) == ["1", "2"]

    world.associated_changes.process(change)
    assert enrolled(world) == ["0", "1", "2"]


def test_properties_that_change_together_are_one_change() -> None:
    """The event of the second property has not arrived yet."""
    world = world_with_contacts(1)
    criteria = [NAMED_ACME, ["size", "IS_NOT_EQUAL_TO", 5, "NUMBER", True]]
    world.put_flow(scenario.flow({"id": 2, "filters": [], "company": criteria}), at=0)
    fields = {"crm.property_changed": "7", "object": "company", "id": "c", "at": iso(START + 500)}
    envelope = scenario.event({**fields, "properties": {"hs_name": "name", "hs_value": "Acme"}})
    envelope["detail"]["changedWith"] = {"name": "Acme", "size": 5}

    world.deliver(envelope)
    world.decide_associated()

    codes = {decision.flow_id: decision.code for _, decision in world.decision_log.decisions}
    assert codes == {"1": Code.ENROLLED, "2": Code.NOT_MATCHED}


def test_enrollment_names_the_company_and_what_changed() -> None:
    world = world_with_contacts(1)
    change_company(world, 500, "Acme")
    world.decide_associated()

    (message,) = world.queue.messages

    assert message.cause.event_type == "crm.associated_record_changed"
    assert message.cause.event_id == "c500-7"
    assert message.cause.properties == {
        "hs_to_object_type_id": "0-2",
        "hs_to_object_id": "7",
        "hs_changed_properties": ["name"],
    }


def test_decided_change_is_in_the_history_of_the_contact() -> None:
    world = world_with_contacts(1)
    change_company(world, 500, "Acme")
    world.decide_associated()
    kept = [event for (record, _), (event, _) in world.kept_events.kept.items() if record == contact("0")]
    assert [(event.event_type.name, event.id) for event in kept] == [("crm.associated_record_changed", "c500-7")]
    assert kept[0].evaluated_at == START + 1_000


def test_delayed_enrollment_by_a_company_change_is_published_when_it_is_due() -> None:
    world = world_with_contacts(2)
    limit = {"count": 1, "period": "HOUR"}
    document = scenario.flow({"id": 1, "filters": [], "company": [NAMED_ACME], "limit": limit})
    world.put_flow(document, at=0)
    change_company(world, 500, "Acme")
    world.decide_associated()
    assert len(enrolled(world)) < 2

    world.pass_time(START + 3 * 3_600_000)

    assert enrolled(world) == ["0", "1"]


def test_simulation_and_dry_run_send_nothing() -> None:
    world = world_with_contacts(1)
    fields = {"crm.property_changed": "7", "object": "company", "id": "c", "at": iso(START + 500)}
    envelope = scenario.event({**fields, "properties": {"hs_name": "name", "hs_value": "Acme"}})
    assert simulated(world.processor, read_event(envelope, "crm")) == ()
    assert world.redeliveries.changes == []


def test_replay_for_a_flow_decides_its_contacts_from_before_the_flow_was_turned_on() -> None:
    world = world_with_contacts(1)
    world.put_flow(scenario.flow({"id": 2, "filters": [], "company": [NAMED_ACME]}), at=START + 900)
    envelope = change_company(world, 500, "Acme")
    world.decide_associated()
    assert [message.flow_id for message in world.queue.messages] == ["1"]

    scope = ProcessingScope(frozenset({"2"}), Delivery.REPLAY)
    world.processor.process(read_event(envelope, "crm"), scope)
    world.decide_associated()

    assert [message.flow_id for message in world.queue.messages] == ["1", "2"]


# Order of arrival ---------------------------------------------------------------------------------------------------

Fact = tuple[int, str, str]
"""The milliseconds since START, what changed (``city``, ``name <company>``, ``association <company>``, or ``created
<record>``), its value."""


class Naive:
    """Keeps all facts that have arrived, and decides the contact again at each arrival."""

    def __init__(self, created_late: Collection[str] = (), *, is_in: bool) -> None:
        self.created_late = created_late
        self.is_in = is_in
        self.facts: list[Fact] = []
        self.enrolled: list[int] = []

    def value(self, property_name: str, at: float) -> str | None:
        values = [value for when, name, value in sorted(self.facts) if name == property_name and when <= at]
        return values[-1] if values else None

    def exists(self, record: str, at: float) -> bool:
        return record not in self.created_late or self.value(f"created {record}", at) is not None

    def holds(self, at: float) -> bool:
        if not self.exists("1", at):
            return False
        acme = [
            company
            for company in ("7", "8")
            if self.exists(company, at)
            and self.value(f"association {company}", at) == "ADDED"
            and self.value(f"name {company}", at) == "Acme"
        ]
        return self.value("city", at) == "Dublin" and bool(acme) == self.is_in

    def arrive(self, fact: Fact) -> None:
        self.facts.append(fact)
        instants = [fact[0], *sorted(when for when, _, _ in self.facts if when > fact[0])]
        starts = [at for at in instants if self.holds(at) and not self.holds(at - 0.5)]
        if starts and not self.enrolled:
            self.enrolled.append(starts[0])


FACTS = st.lists(
    st.one_of(
        st.tuples(st.just("city"), st.sampled_from(["Dublin", "Cork"])),
        st.tuples(st.sampled_from(["name 7", "name 8"]), st.sampled_from(["Acme", "Apex"])),
        st.tuples(st.sampled_from(["association 7", "association 8"]), st.sampled_from(["ADDED", "REMOVED"])),
    ),
    min_size=2,
    max_size=7,
)


def arrive(world: World, fact: Fact) -> None:
    at, fact_name, value = fact
    name, _, company = fact_name.partition(" ")
    fields: dict[str, Any] = {"id": f"{fact_name}-{at}", "at": iso(START + at)}
    match name:
        case "city":
            properties = {"hs_name": "city", "hs_value": value}
            world.deliver(scenario.event({"crm.property_changed": "1", **fields, "properties": properties}))
        case "name":
            change_company(world, at, value, company)
        case "created":
            object_type = "contact" if company == "1" else "company"
            world.deliver(scenario.event({"crm.object_created": company, "object": object_type, **fields}))
        case _:
            associate(world, contact("1"), RecordKey("p1", "0-2", company), START + at, holds=value == "ADDED")
            other = {"hs_to_object_type_id": "0-2", "hs_to_object_id": company}
            properties = {"hs_association_change": value, **other}
            world.deliver(scenario.event({"crm.association_changed": "1", **fields, "properties": properties}))
    world.decide_associated()


@settings(max_examples=400)
@given(FACTS, st.randoms(use_true_random=False), st.booleans(), st.sets(st.sampled_from(["1", "7"])))
def test_order_of_arrival_makes_no_difference_to_a_naive_evaluator(
    changes: list[tuple[str, str]], dice: Any, is_in: bool, created_late: set[str]
) -> None:
    for record in sorted(created_late):
        changes.insert(dice.randint(0, len(changes)), (f"created {record}", "yes"))
    facts = [(10 * number + 1, fact_name, value) for number, (fact_name, value) in enumerate(changes)]
    dice.shuffle(facts)
    world, naive = World(now=START + 1_000), Naive(created_late, is_in=is_in)
    key = "company" if is_in else "no_company"
    world.put_flow(scenario.flow({"id": 1, "filters": [["city", "IS_EQUAL_TO", "Dublin"]], key: [NAMED_ACME]}))
    for key_of_record in (contact("1"), COMPANY, RecordKey("p1", "0-2", "8")):
        if key_of_record.object_id not in created_late:
            world.put_record(key_of_record, Record(key_of_record, 0))

    for number, fact in enumerate(facts):
        world.now = START + 1_000 + number
        arrive(world, fact)
        naive.arrive(fact)

    found = [message.cause.occurred_at - START for message in world.queue.messages]
    assert found == naive.enrolled, facts


@settings(max_examples=200)
@given(st.permutations(["city", "association 7", "name 7"]), st.permutations([1, 11, 21]))
def test_contact_enrolls_when_the_last_of_three_changes_happened(arrivals: Sequence[str], times: Sequence[int]) -> None:
    values = {"city": "Dublin", "association 7": "ADDED", "name 7": "Acme"}
    world = World(now=START + 1_000)
    world.put_flow(scenario.flow({"id": 1, "filters": [["city", "IS_EQUAL_TO", "Dublin"]], "company": [NAMED_ACME]}))
    for record in (contact("1"), COMPANY):
        world.put_record(record, Record(record, 0))
    at = dict(zip(values, times, strict=True))

    for fact_name in arrivals:
        world.now += 1
        arrive(world, (at[fact_name], fact_name, values[fact_name]))

    assert [message.cause.occurred_at for message in world.queue.messages] == [START + 21]


def test_stored_event_about_an_associated_record_round_trips() -> None:
    world = world_with_contacts(1)
    change_company(world, 500, "Acme", chain=["8"])
    text = json.dumps(json.loads(world.redeliveries.changes[0]))
    change = read_redelivery(text)
    assert isinstance(change, AssociatedChange)
    about = change.event_about("0")
    assert (about.id, about.chain, about.record_key) == ("c500-7", ("8",), contact("0"))
