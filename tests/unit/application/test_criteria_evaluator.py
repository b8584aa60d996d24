"""Criteria in the story: lists, associated records, suppression and goals, as they were when the event occurred."""

import itertools
from typing import Any

import pytest

from enrollment.domain.enrollment.portal_settings import PortalSettings
from enrollment.domain.events.event import InvalidEvent
from enrollment.domain.events.moments import as_of
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.associations import Association, AssociationType, associated
from enrollment.domain.records.record import Record, RecordUpdate, TimestampedValue, apply_change
from enrollment.domain.records.record_snapshot import MAX_ASSOCIATED
from enrollment.domain.values import read_instant
from tests.support.counting import Counted
from tests.support.criteria import ADA, TO_COMPANY, associate, with_company
from tests.support.fakes import World
from tests.support.scenario import event, flow, property_filter

AT = 1_763_900_000_000


def world(**flow_changes: Any) -> World:
    made = World(now=AT + 1_000_000)
    made.put_flow({**flow({"id": 1, "event": "forms.submitted", "re_enroll": True}), **flow_changes})
    return made


def keep(made: World, key: RecordKey, *changes: RecordUpdate) -> None:
    record = made.records.get(key)
    for change in (RecordUpdate(1, creates=True), *changes):
        record = apply_change(record, key, change)
    assert record is not None
    made.records.save(record)


def decided(made: World, at: Any = AT, number: Any = "e1") -> Any:
    made.now = max(made.now, read_instant(at) or 0)
    (decision,) = made.deliver(
        event({"forms.submitted": "101", "id": number, "at": at, "sent": "2026-11-24T00:00:00Z"})
    )
    return decision


def all_of(*filters: Any, branches: Any = ()) -> dict[str, Any]:
    return {"filterBranchType": "AND", "filters": list(filters), "filterBranches": list(branches)}


def refined(branch: Any) -> dict[str, Any]:
    document = flow({"id": 1, "event": "forms.submitted", "re_enroll": True})
    document["enrollmentCriteria"]["refinementCriteria"] = branch
    return document


def in_list(list_id: str, operator: str = "IN_LIST") -> dict[str, Any]:
    return {"filterType": "IN_LIST", "operator": operator, "listId": list_id}


def test_lists_are_evaluated_at_the_time_of_the_event() -> None:
    made = world(**refined(all_of(in_list("42"), in_list("7", "NOT_IN_LIST"))))
    keep(
        made,
        ADA,
        RecordUpdate(AT - 10, memberships={"42": True}),
        RecordUpdate(AT + 10, memberships={"42": False, "7": True}),
    )
    assert str(decided(made).code) == "ENROLLED"
    later = decided(made, AT + 20, "e2")
    assert (str(later.code), later.filter.property, later.filter.found) == ("FILTERED_OUT", "list 42", False)


def membership(list_id: Any, change: str = "ADDED", at: int = AT - 10) -> dict[str, Any]:
    properties = {"hs_list_id": list_id, "hs_membership_change": change}
    return event({"lists.membership_changed": "101", "id": f"m {list_id} {change}", "at": at, "properties": properties})


@pytest.mark.parametrize("told", ["vip", "VIP", " Vip ", ["VIP"]])
@pytest.mark.parametrize("written", ["vip", "VIP", "vip "])
def test_list_ids_are_normalized_in_triggers_suppression_and_criteria(told: Any, written: str) -> None:
    made = World(now=AT + 1_000_000)
    made.put_flow(flow({"id": 1, "lists": [["IN_LIST", written]], "re_enroll": True}))
    submitted = flow({"id": 2, "event": "forms.submitted", "re_enroll": True})
    made.put_flow({**submitted, "suppressionListIds": [written]})
    made.put_flow({**refined(all_of(in_list(written))), "id": "3"})
    keep(made, ADA)
    assert [str(decision.code) for decision in made.deliver(membership(told))] == ["ENROLLED"]
    form = event({"forms.submitted": "101", "id": "f", "at": AT, "sent": "2026-11-24T00:00:00Z"})
    assert {decision.flow_id: str(decision.code) for decision in made.deliver(form)} == {
        "2": "SUPPRESSED",
        "3": "ENROLLED",
    }
    made.deliver(membership("Vip", "REMOVED", AT + 10))
    later = event({"forms.submitted": "101", "id": "g", "at": AT + 20, "sent": "2026-11-24T00:00:00Z"})
    assert {decision.flow_id: str(decision.code) for decision in made.deliver(later)} == {
        "2": "ENROLLED",
        "3": "FILTERED_OUT",
    }


@pytest.mark.parametrize("list_id", ["vip;gold", ["vip", "gold"], ";", " ; "])
def test_membership_with_several_lists_is_rejected(list_id: Any) -> None:
    with pytest.raises(InvalidEvent, match="one list id, without a semicolon") as refused:
        world().deliver(membership(list_id))
    assert (refused.value.reason, refused.value.field) == ("BAD_CHARACTERS", "detail.properties.hs_list_id")


@pytest.mark.parametrize("list_id", [" ", "\u3000", [" "]])
def test_membership_without_a_list_is_rejected(list_id: Any) -> None:
    with pytest.raises(InvalidEvent) as refused:
        world().deliver(membership(list_id))
    assert (refused.value.reason, refused.value.field) == ("MISSING_PROPERTY", "detail.properties.hs_list_id")


@pytest.mark.parametrize("told", ["city", "City", " CITY "])
@pytest.mark.parametrize("written", ["city", "City"])
def test_property_names_are_normalized_in_events_records_and_criteria(told: str, written: str) -> None:
    made = world(**refined(all_of(property_filter([written, "IS_EQUAL_TO", "Oslo"]))))
    keep(made, ADA, RecordUpdate(AT - 100, {"city": "Cork"}))
    properties = {"hs_name": told, "hs_value": "Oslo", "hs_previous_value": "Cork"}
    made.deliver(event({"crm.property_changed": "101", "id": "p", "at": AT - 10, "properties": properties}))
    assert str(decided(made).code) == "ENROLLED"
    made.deliver(event({"forms.submitted": "101", "id": "s", "at": AT + 10, "record": {told: "Cork"}}))
    assert str(decided(made, AT + 20, "e2").code) == "FILTERED_OUT"
    assert set(made.records.get(ADA).properties) == {"city"}


def test_compared_property_names_are_normalized() -> None:
    compared = {"operationType": "COMPARATIVE_STRING", "operator": "IS_EQUAL_TO", "comparisonPropertyName": "Town"}
    made = world(**refined(all_of({"filterType": "PROPERTY", "property": "city", "operation": compared})))
    keep(made, ADA, RecordUpdate(AT - 100, {"city": "Cork", "town": "Cork"}))
    assert str(decided(made).code) == "ENROLLED"


def test_property_with_two_values_is_rejected() -> None:
    submitted = {"forms.submitted": "101", "id": "s", "at": AT}
    with pytest.raises(InvalidEvent, match="without case") as refused:
        world().deliver(event({**submitted, "record": {"City": "Oslo", "city": "Cork"}}))
    assert (refused.value.reason, refused.value.field) == ("GIVEN_TWICE", "detail.record.properties.city")
    made = world()
    made.deliver(event({**submitted, "record": {"City": "Oslo", "city": "Oslo"}}))
    assert made.records.get(ADA).values_at(as_of(AT)) == {"city": "Oslo"}


def test_one_matching_associated_record_passes_at_the_time_of_the_event() -> None:
    city = property_filter(["city", "IS_EQUAL_TO", "Cork"])
    made = world(**refined(all_of(branches=[with_company(city)])))
    keep(made, ADA)
    for number, place in (("1", "Bray"), ("2", "Cork")):
        keep(made, RecordKey("p1", "0-2", number), RecordUpdate(AT - 100, {"city": place}))
        associate(made, number, AT - 50)
    assert str(decided(made).code) == "ENROLLED"

    associate(made, "2", AT + 10, holds=False)
    assert str(decided(made, AT + 5, "e2").code) == "ENROLLED"
    later = decided(made, AT + 20, "e3")
    assert (str(later.code), later.filter.property, later.filter.found) == ("FILTERED_OUT", "associated 0-2", 1)
    early = decided(made, AT - 60, "e4")
    assert (str(early.code), early.filter.found) == ("FILTERED_OUT", 0)


def test_deleted_associated_records_and_other_types_do_not_count() -> None:
    made = world(**refined(all_of(branches=[with_company(in_list("9", "NOT_IN_LIST"))])))
    keep(made, ADA)
    keep(made, RecordKey("p1", "0-2", "1"))
    there = made.associations.get(ADA, RecordKey("p1", "0-2", "1"))
    primary = associated(there, [AssociationType("HUBSPOT_DEFINED", 1)], AT - 5, holds=True)
    made.associations.save([primary])
    assert str(decided(made).code) == "FILTERED_OUT"
    associate(made, "1", AT - 5)
    assert str(decided(made, number="e2").code) == "ENROLLED"
    made.record_service.delete(RecordKey("p1", "0-2", "1"), AT)
    assert str(decided(made, number="e3").code) == "FILTERED_OUT"


def test_mutually_associated_records_do_not_recurse_forever() -> None:
    made = World(now=AT + 1_000_000)
    made.put_flow(
        refined(all_of(branches=[{**with_company(in_list("9")), "objectTypeId": "0-1", "associationTypeId": 449}]))
    )
    keep(made, ADA, RecordUpdate(AT - 1, memberships={"9": True}))
    kind = AssociationType("HUBSPOT_DEFINED", 449)
    made.associations.save([associated(Association(ADA, ADA), [kind], AT - 1, holds=True)])
    assert str(decided(made).code) == "ENROLLED"


def test_only_a_limited_number_of_associated_records_is_read_and_the_decision_says_so() -> None:
    made = world(**refined(all_of(branches=[with_company(in_list("9"))])))
    keep(made, ADA)
    for number in range(10_000):
        associate(made, f"{number:05d}", AT - 1)
    keep(made, RecordKey("p1", "0-2", f"{MAX_ASSOCIATED - 1:05d}"), RecordUpdate(AT - 1, memberships={"9": True}))
    assert str(decided(made).code) == "ENROLLED"
    made.record_service.delete(RecordKey("p1", "0-2", f"{MAX_ASSOCIATED - 1:05d}"), AT)
    decision = decided(made, number="e2")
    assert str(decision.code) == "FILTERED_OUT"
    assert "only 1,000 associated records are evaluated" in decision.because


def test_record_created_after_the_event_is_not_associated() -> None:
    made = world(**refined(all_of(branches=[with_company(property_filter(["a", "IS_UNKNOWN"]))])))
    keep(made, ADA)
    made.records.save(Record(RecordKey("p1", "0-2", "1"), AT + 5_000))
    associate(made, "1", AT - 10)
    assert str(decided(made).code) == "FILTERED_OUT"
    assert str(decided(made, AT + 6_000, "e2").code) == "ENROLLED"


def test_associations_of_another_type_do_not_displace_matching_ones() -> None:
    made = world(**refined(all_of(branches=[with_company(in_list("9"))])))
    keep(made, ADA)
    kind = AssociationType("HUBSPOT_DEFINED", 449)
    for number in range(6_000):
        there = Association(ADA, RecordKey("p1", "0-1", f"x{number}"))
        made.associations.save([associated(there, [kind], 1, holds=True)])
    keep(made, RecordKey("p1", "0-2", "1"), RecordUpdate(2, memberships={"9": True}))
    associate(made, "1", AT - 10)
    assert str(decided(made).code) == "ENROLLED"


# Suppression, goal ---------------------------------------------------------------------------------------------------


def test_suppression_goal_and_criteria_are_checked_in_order() -> None:
    document = refined(all_of(property_filter(["city", "IS_EQUAL_TO", "Cork"])))
    document |= {
        "suppressionListIds": [12, "13"],
        "goalFilterBranch": all_of(property_filter(["stage", "IS_EQUAL_TO", "won"])),
    }
    made = world(**document)
    steps = [
        (RecordUpdate(AT + 0, {"city": "Bray", "stage": "won"}, {"13": True}), "SUPPRESSED"),
        (RecordUpdate(AT + 10, memberships={"13": False}), "GOAL_MET"),
        (RecordUpdate(AT + 20, {"stage": "lost"}), "FILTERED_OUT"),
        (RecordUpdate(AT + 30, {"city": "Cork"}), "ENROLLED"),
    ]
    keep(made, ADA, *(change for change, _ in steps))
    for change, code in steps:
        decision = decided(made, change.at + 5, f"e{change.at}")
        assert str(decision.code) == code, decision
    because = [decided(made, change.at + 5, f"f{change.at}").because for change, _ in steps[:2]]
    assert because == ["the record is suppressed: list 13 IN_LIST", "the record meets the goal: stage IS_EQUAL_TO"]


def test_suppression_filter_applies_to_a_company() -> None:
    made = World(now=AT)
    document = flow({"id": 1, "object": "company", "event": "crm.object_created"})
    made.put_flow({**document, "suppressionFilterBranch": all_of(property_filter(["size", "IS_LESS_THAN", 10]))})
    codes = []
    for number, size in (("1", 5), ("2", 50)):
        created = {"crm.object_created": number, "object": "company", "id": number, "at": AT, "record": {"size": size}}
        (decision,) = made.deliver(event(created))
        codes.append(str(decision.code))
    assert codes == ["SUPPRESSED", "ENROLLED"]


def test_suppression_branch_without_filters_suppresses_no_record() -> None:
    made = world(
        suppressionFilterBranch={"filterBranchType": "OR", "filterBranches": [], "filters": []}, goalFilterBranch=None
    )
    keep(made, ADA)
    assert str(decided(made).code) == "ENROLLED"


# As it was then ------------------------------------------------------------------------------------------------------


def test_order_of_arrival_does_not_change_the_enrollments() -> None:
    """Whenever each event's own causes have come: a record's creation before all, and each change before its event."""
    where = [["hs_name", "IS_ANY_OF", ["city"]]]
    stories = [
        event({"crm.object_created": "101", "id": "c0", "at": AT, "record": {"city": "Oslo"}}),
        event(
            {
                "crm.property_changed": "101",
                "id": "c1",
                "at": AT + 10,
                "properties": {"hs_name": "city", "hs_value": "Cork"},
            }
        ),
        event({"forms.submitted": "101", "id": "f1", "at": AT + 15}),
        event(
            {
                "crm.property_changed": "101",
                "id": "c2",
                "at": AT + 20,
                "properties": {"hs_name": "city", "hs_value": "Bray"},
            }
        ),
        event({"forms.submitted": "101", "id": "f2", "at": AT + 25}),
        event(
            {
                "lists.membership_changed": "101",
                "id": "l1",
                "at": AT + 30,
                "properties": {"hs_list_id": "42", "hs_membership_change": "ADDED"},
            }
        ),
        event({"forms.submitted": "101", "id": "f3", "at": AT + 35}),
    ]
    causes = {"f1": {"c0", "c1"}, "f2": {"c0", "c1", "c2"}, "f3": {"c0", "c1", "c2", "l1"}}
    causes |= {"c1": {"c0"}, "c2": {"c0"}, "l1": {"c0"}}

    def told(order: tuple[int, ...]) -> set[tuple[str, str, str]]:
        made = World(now=AT + 1_000)
        for number, criteria in enumerate(
            ([["city", "IS_EQUAL_TO", "Cork"]], [["city", "IS_NOT_EQUAL_TO", "Cork"]]), 1
        ):
            made.put_flow(flow({"id": number, "event": "forms.submitted", "re_enroll": True, "criteria": criteria}))
        made.put_flow({**refined(all_of(in_list("42"))), "id": 3})
        made.put_flow(
            flow(
                {
                    "id": 4,
                    "event": "crm.property_changed",
                    "where": where,
                    "re_enroll": True,
                    "criteria": [["city", "IS_EQUAL_TO", "Cork"]],
                }
            )
        )
        return {
            (envelope["detail"]["id"], decision.flow_id, str(decision.code))
            for envelope in (stories[number] for number in order)
            for decision in made.deliver(envelope)
        }

    def is_told(order: tuple[int, ...]) -> bool:
        names = [stories[number]["detail"]["id"] for number in order]
        return all(causes.get(name, set()) <= set(names[:place]) for place, name in enumerate(names))

    orders = [permutation for permutation in itertools.permutations(range(len(stories))) if is_told(permutation)]
    assert len(orders) > 50
    assert {frozenset(told(one)) for one in orders} == {frozenset(told(tuple(range(len(stories)))))}


def test_days_use_the_time_zone_of_the_portal() -> None:
    document = refined(
        all_of(
            {
                "filterType": "PROPERTY",
                "property": "x",
                "operation": {
                    "operationType": "ROLLING_DATE_RANGE",
                    "operator": "IS_LESS_THAN_X_DAYS_AGO",
                    "numberOfDays": 1,
                },
            }
        )
    )
    for zone, code in (("UTC", "ENROLLED"), ("America/New_York", "FILTERED_OUT")):
        made = world(**document)
        made.portals.save("p1", PortalSettings(zone))
        keep(made, ADA, RecordUpdate(AT - 100, {"x": "2025-11-24T03:00:00Z"}))
        assert str(decided(made, "2025-11-24T09:00:00Z").code) == code


# One read, one evaluation --------------------------------------------------------------------------------------------


def test_a_hundred_flows_read_a_record_once_and_evaluate_each_filter_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = World(now=AT + 1_000_000)
    city = property_filter(["city", "IS_EQUAL_TO", "Cork"])
    for number in range(100):
        document = refined(all_of(city, in_list("42"), branches=[with_company(city)]))
        made.put_flow({**document, "id": number})
    keep(made, ADA, RecordUpdate(AT - 100, {"city": "Cork"}, {"42": True}))
    for number in range(150):
        keep(made, RecordKey("p1", "0-2", str(number)), RecordUpdate(AT - 100, {"city": "Bray"}))
        associate(made, str(number), AT - 50)
    records, associations = Counted(made.records), Counted(made.associations)
    evaluator = type(made.evaluator)(records, associations, made.portals)
    made.processor = type(made.processor)(
        **{name: getattr(made.processor, name) for name in made.processor.__slots__}
        | {"records": records, "evaluator": evaluator}
    )
    asked: list[str] = []
    holds = Record.property_changes

    def counting(record: Record, name: str, instant: int) -> Any:
        asked.append(name)
        return holds(record, name, instant)

    monkeypatch.setattr(Record, "property_changes", counting)
    decisions = made.deliver(event({"forms.submitted": "101", "id": "e", "at": AT, "sent": "2026-11-24T00:00:00Z"}))

    assert {str(decision.code) for decision in decisions} == {"FILTERED_OUT"}
    assert len(decisions) == 100
    assert (records.calls, associations.calls) == (["get", "get_many"], ["all_of"])
    # The city of each record is evaluated once. Each decision reads the city of the record and of three associated
    # records again, for the value and for the reason.
    assert len(asked) <= 151 + 2 * 100 + 2 * 3 * 100


# Filter-based flows about associated records -------------------------------------------------------------------------

COMPANY = RecordKey("p1", "0-2", "201")


def of_companies(operator: str, *filters: Any) -> dict[str, Any]:
    branch = {
        "filterBranchType": "AND",
        "filters": [],
        "filterBranches": [{**with_company(*filters), "operator": operator}],
    }
    return {
        "id": "1",
        "type": "CONTACT_FLOW",
        "objectTypeId": "0-1",
        "isEnabled": True,
        "enrollmentCriteria": {"type": "LIST_BASED", "shouldReEnroll": False, "listFilterBranch": branch},
    }


def associated_world(document: dict[str, Any]) -> World:
    made = World()
    made.put_flow(document, at=0)
    for key in (ADA, COMPANY):
        made.put_record(key, Record(key, 0, {"name": TimestampedValue("Acme", 0)}))
    return made


def test_association_enrolls_in_a_filter_based_flow() -> None:
    made = associated_world(of_companies("IN_LIST", property_filter(["name", "IS_EQUAL_TO", "Acme"])))

    made.record_service.associate(ADA, COMPANY, [TO_COMPANY], made.now)
    decisions = made.deliver_produced()

    assert [str(decision.code) for decision in decisions] == ["ENROLLED"]
    assert made.queue.messages[0].cause.event_type == "crm.association_changed"


def test_association_with_another_record_does_not_enroll() -> None:
    made = associated_world(of_companies("IN_LIST", property_filter(["name", "IS_EQUAL_TO", "Globex"])))
    made.record_service.associate(ADA, COMPANY, [TO_COMPANY], made.now)
    assert [str(decision.code) for decision in made.deliver_produced()] == ["NOT_MATCHED"]


def test_removed_association_enrolls_where_no_associated_record_may_exist() -> None:
    made = associated_world(of_companies("NOT_IN_LIST"))
    made.record_service.associate(ADA, COMPANY, [TO_COMPANY], made.now)
    assert [str(decision.code) for decision in made.deliver_produced()] == ["NOT_MATCHED"]

    made.now += 1_000
    made.record_service.dissociate(ADA, COMPANY, made.now)

    assert [str(decision.code) for decision in made.deliver_produced()] == ["ENROLLED"]


def test_repeated_association_announces_the_same_events() -> None:
    made = associated_world(of_companies("IN_LIST"))
    made.record_service.associate(ADA, COMPANY, [TO_COMPANY], made.now)
    first = set(made.bus.produced)
    assert len(first) == 2, "one for each record"
    assert [str(decision.code) for decision in made.deliver_produced()] == ["ENROLLED"]

    made.now += 1_000
    made.record_service.associate(ADA, COMPANY, [TO_COMPANY], made.now)

    assert set(made.bus.produced) == first
    assert [str(decision.code) for decision in made.deliver_produced()] == ["DUPLICATE_EVENT"]
