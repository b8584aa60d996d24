"""Records over HTTP: changes are put on the bus like a producer's events, and trigger flows."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.change_events import OutboundEvent
from enrollment.domain.records.record import RecordUpdate
from enrollment.domain.values import iso_second
from tests.support.portal import NOW, Api, example_portal
from tests.support.scenario import event, flow

CONTACTS = "/crm/v3/objects/contacts"
LISTS = "/crm/v3/lists/42/memberships"


def produced(api: Api) -> list[tuple[str, str, dict[str, Any], Any]]:
    """Return the events that were put on the bus since the last call."""
    found, api.world.bus.produced = api.world.bus.produced, {}
    return [shown(event) for event in found.values()]


def shown(event: OutboundEvent) -> tuple[str, str, dict[str, Any], Any]:
    return (
        event.event_type,
        event.record_key.object_id,
        dict(event.properties),
        event.record_properties or event.changed_with,
    )


def changed(name: str, before: Any, after: Any) -> dict[str, Any]:
    return {"hs_name": name, "hs_value": after, "hs_previous_value": before}


def test_creating_a_record_publishes_one_event_with_all_its_properties() -> None:
    api = example_portal()
    created = api("POST", CONTACTS, {"properties": {"city": "Cork", "age": 3}}).json
    system = {
        "createdate": created["createdAt"],
        "lastmodifieddate": created["updatedAt"],
        "hs_object_id": created["id"],
    }
    assert created["properties"] == {"city": "Cork", "age": "3"} | system
    assert produced(api) == [("crm.object_created", created["id"], {}, {"city": "Cork", "age": 3})]


def test_change_publishes_one_event_per_changed_property() -> None:
    api = example_portal()
    api("PATCH", f"{CONTACTS}/101", {"properties": {"city": "Cork", "email": "101@example.com", "age": 3}})
    # Each event carries the whole change, so that the first to arrive sees it.
    whole = {"city": "Cork", "email": "101@example.com", "age": 3}
    assert produced(api) == [
        ("crm.property_changed", "101", changed("city", "Dublin", "Cork"), whole),
        ("crm.property_changed", "101", changed("age", None, 3), whole),
    ]
    api("PATCH", f"{CONTACTS}/101", {"properties": {"city": ""}})
    assert produced(api) == [("crm.property_changed", "101", changed("city", "Cork", None), None)]
    api("PATCH", f"{CONTACTS}/101", {"properties": {"city": None, "nothing": None}})
    assert produced(api) == []


def test_change_through_the_api_enrolls() -> None:
    api = example_portal()
    api.world.put_flow(flow({"id": 1, "event": "crm.object_created", "criteria": [["city", "IS_ANY_OF", ["Cork"]]]}))
    where = [["hs_name", "IS_ANY_OF", ["city"]], ["hs_value", "IS_ANY_OF", ["Bray"]]]
    api.world.put_flow(flow({"id": 2, "event": "crm.property_changed", "where": where}))
    api.world.put_flow(flow({"id": 3, "lists": [["IN_LIST", "42"]]}))
    api.world.put_flow(flow({"id": 4, "lists": [["NOT_IN_LIST", "42"]]}))

    contact_id = api("POST", CONTACTS, {"properties": {"city": "Cork"}}).json["id"]
    api("PATCH", f"{CONTACTS}/{contact_id}", {"properties": {"city": "Bray"}})
    api("PUT", f"{LISTS}/add", [contact_id])
    api("PUT", f"{LISTS}/remove", [contact_id])
    decisions = api.world.deliver_produced()

    enrolled = [decision.flow_id for decision in decisions if decision.code == "ENROLLED"]
    # The record has moved to Bray before its creation is processed: it is seen as it was. Flow 1002 takes every change.
    assert sorted(enrolled) == ["1", "1002", "2", "3", "4"]


def test_the_events_change_nothing_more() -> None:
    """The handlers apply an event to its record too: it ends the same."""
    api = example_portal()
    api("PATCH", f"{CONTACTS}/101", {"properties": {"city": "Cork"}})
    api("PUT", f"{LISTS}/add", ["101"])
    before = dict(api.world.records.records)
    api.world.deliver_produced()
    assert api.world.records.records == before


def test_rejection_by_the_bus_leaves_the_record_unchanged() -> None:
    api = example_portal()
    before = dict(api.world.records.records)
    api.world.bus.refuses = 9
    answer = api("PATCH", f"{CONTACTS}/101", {"properties": {"city": "Cork", "age": 3}})
    assert (answer.status, answer.json["category"]) == (503, "SERVICE_UNAVAILABLE")
    assert answer.headers["Retry-After"] == "1"
    assert api.world.records.records == before
    assert api("PATCH", f"{CONTACTS}/101", {"properties": {"city": "Cork"}}).status == 200


def test_event_applies_a_change_that_was_not_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the process dies between the bus and the store."""
    api = example_portal()

    def dead(record: object) -> Any:
        raise SystemError("the process died")

    with monkeypatch.context() as patch:
        patch.setattr(api.world.records, "save", dead)
        assert api("PATCH", f"{CONTACTS}/101", {"properties": {"city": "Cork"}}).status == 500
    decisions = api.world.deliver_produced()
    assert [str(decision.code) for decision in decisions] == ["ENROLLED"]
    assert api("GET", f"{CONTACTS}/101").json["properties"]["city"] == "Cork"


# Time of occurrence -------------------------------------------------------------------------------------------------


def test_change_with_the_latest_occurrence_time_wins_for_each_property() -> None:
    api = example_portal()
    for properties, at in (({"city": "Cork", "age": 1}, NOW - 1_000), ({"city": "Bray", "vip": True}, NOW - 3_000)):
        api("PATCH", f"{CONTACTS}/101", {"properties": properties, "occurredAt": at})
    answer = api("GET", f"{CONTACTS}/101", query={"properties": "city,age,vip,x", "propertiesWithHistory": "city"}).json
    assert answer["properties"] == {"city": "Cork", "age": "1", "vip": "true", "x": None}
    assert [version["value"] for version in answer["propertiesWithHistory"]["city"]] == ["Cork"]
    assert [event[2]["hs_name"] for event in produced(api)] == ["city", "age", "vip"], "a change that lost is no event"


def test_membership_change_with_the_latest_occurrence_time_wins() -> None:
    api = example_portal()
    api("PUT", f"{LISTS}/add", ["101"], query={"occurredAt": "2025-11-01T09:00:00Z"})
    api("PUT", f"{LISTS}/remove", ["101"], query={"occurredAt": "2025-10-01T09:00:00Z"})
    (membership,) = api("GET", "/enrollment/v1/records/contact/101").json["lists"]
    assert membership == {"listId": "42", "isMember": True, "changedAt": "2025-11-01T09:00:00.000Z"}
    assert [event[0] for event in produced(api)] == ["lists.membership_changed"]


def test_list_ids_are_normalized() -> None:
    api = example_portal()
    api("PUT", "/crm/v3/lists/VIP/memberships/add", ["101"])
    assert api("PUT", "/crm/v3/lists/ vip/memberships/add", ["101"]).json["recordsIdsAdded"] == ["101"]
    (membership,) = api("GET", "/enrollment/v1/records/contact/101").json["lists"]
    assert (membership["listId"], membership["isMember"]) == ("vip", True)
    assert [event[2]["hs_list_id"] for event in produced(api)] == ["vip"]


@pytest.mark.parametrize("list_id", ["a;b", " "])
def test_list_id_with_invalid_characters_is_rejected(list_id: str) -> None:
    answer = example_portal()("PUT", f"/crm/v3/lists/{list_id}/memberships/add", ["101"])
    assert answer.faults == [("listId", "BAD_CHARACTERS")]


def test_property_names_are_normalized() -> None:
    api = example_portal()
    api("PATCH", f"{CONTACTS}/101", {"properties": {"City": "Oslo"}})
    api("PATCH", f"{CONTACTS}/101", {"properties": {" CITY ": "Oslo"}})
    assert [event[2]["hs_name"] for event in produced(api)] == ["city"]
    answer = api("GET", f"{CONTACTS}/101", query={"properties": "City,city", "propertiesWithHistory": "CITY"}).json
    assert answer["properties"] == {"city": "Oslo"}
    assert [version["value"] for version in answer["propertiesWithHistory"]["city"]] == ["Oslo"]
    twice = api("PATCH", f"{CONTACTS}/101", {"properties": {"City": "Oslo", "city": "Cork"}})
    assert twice.faults == [("$.properties.city", "GIVEN_TWICE")]


def test_concurrent_changes_are_all_kept() -> None:
    """Below the API, whose resolver serves one request at a time, as Lambda does."""
    api = example_portal()
    ada = RecordKey("p1", "0-1", "101")

    def change(number: int) -> None:
        api.world.record_service.change(ada, RecordUpdate(NOW + number, {f"p{number}": number}))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(change, range(40)))
    properties = api("GET", f"{CONTACTS}/101").json["properties"]
    assert {f"p{number}": str(number) for number in range(40)}.items() <= properties.items()
    assert len(produced(api)) == 40


# Creating, deleting -------------------------------------------------------------------------------------------------


def test_upsert_creates_and_changes_and_reports_each_rejection() -> None:
    api = example_portal()
    api("DELETE", f"{CONTACTS}/104")
    answer = api(
        "POST",
        f"{CONTACTS}/batch/upsert",
        {
            "inputs": [
                {"id": "new/1", "properties": {"city": "Cork"}},
                {"id": 101, "properties": {"city": "Cork"}},
                {"id": "103", "properties": {f"p{n}": "x" * 8000 for n in range(40)}},
                {"id": "104", "properties": {}, "occurredAt": NOW - 5},
            ]
        },
    )
    assert answer.status == 207
    assert [(result["id"], result["new"]) for result in answer.json["results"]] == [
        ("new/1", True),
        ("101", False),
        ("103", False),
    ]
    assert [(error["category"], error["context"]["ids"]) for error in answer.json["errors"]] == [("CONFLICT", ["104"])]
    kinds = Counter(event[0] for event in produced(api))
    assert kinds == {"crm.object_created": 1, "crm.property_changed": 41}


def test_too_large_record_is_rejected_completely() -> None:
    api = example_portal()
    big = {"properties": {f"p{n}": "x" * 8000 for n in range(40)}}
    assert api("POST", CONTACTS, big).faults == [("$", "DETAIL_TOO_LARGE")]
    assert api("PATCH", f"{CONTACTS}/101", big).status == 200
    produced(api)
    more = api("PATCH", f"{CONTACTS}/101", {"properties": {f"q{n}": "x" * 8000 for n in range(40)}})
    assert (more.status, [code for _, code in more.faults]) == (400, ["RECORD_TOO_LARGE"])
    assert produced(api) == []


def test_a_deleted_record_is_gone_and_late_events_do_not_bring_it_back() -> None:
    api = example_portal()
    assert [api("DELETE", f"{CONTACTS}/101").status for _ in range(2)] == [204, 204]
    for method, body in (("GET", None), ("PATCH", {"properties": {}})):
        answer = api(method, f"{CONTACTS}/101", body)
        assert (answer.status, answer.faults) == (404, [("objectId", "RECORD_DELETED")])
        assert answer.json["errors"][0]["context"] == {"deletedAt": ["2026-11-24T10:00:00.001Z"]}
    key = RecordKey("p1", "0-1", "101")
    assert api.world.records.records[key].properties == {}

    late = {"forms.submitted": "101", "id": "late", "at": NOW, "record": {"city": "Dublin"}}
    decisions = api.world.deliver(event({**late, "properties": {"hs_form_id": "f-1"}}))
    assert [str(decision.code) for decision in decisions] == ["UNKNOWN_RECORD"]
    assert api.world.records.records[key].properties == {}
    assert api("GET", f"{CONTACTS}/101").status == 404

    api("POST", f"{CONTACTS}/batch/upsert", {"inputs": [{"id": "101", "properties": {"city": "Bray"}}]})
    assert api("GET", f"{CONTACTS}/101", query={"properties": "city"}).json["properties"] == {"city": "Bray"}
    assert produced(api) == [("crm.object_created", "101", {}, {"city": "Bray"})]


def test_response_names_records_that_do_not_exist() -> None:
    answer = example_portal()("POST", f"{CONTACTS}/batch/read", {"inputs": [{"id": "9"}, {"id": "101"}, {"id": "9"}]})
    assert answer.status == 207
    assert [result["id"] for result in answer.json["results"]] == ["101"]
    assert answer.json["errors"][0]["context"] == {"ids": ["9"]}


@pytest.mark.parametrize(
    ("method", "path", "body", "faults"),
    [
        ("POST", CONTACTS, {"properties": {"a": {}}}, [("$.properties.a", "WRONG_TYPE")]),
        ("POST", CONTACTS, {"properties": {"a": "\ud800"}}, [("$", "BAD_CHARACTERS")]),
        ("POST", CONTACTS, {"properties": {}, "associations": [1]}, [("$.associations", "NOT_SUPPORTED")]),
        ("POST", CONTACTS, {"properties": {}, "occurredAt": "today"}, [("$.occurredAt", "BAD_TIME")]),
        (
            "POST",
            f"{CONTACTS}/batch/upsert",
            {"inputs": [{"id": ""}, {"id": True}, {"id": "1", "idProperty": "email"}, {"id": "1"}]},
            [
                ("$.inputs[0].id", "WRONG_LENGTH"),
                ("$.inputs[1].id", "WRONG_TYPE"),
                ("$.inputs[2].idProperty", "NOT_SUPPORTED"),
                ("$.inputs[3].id", "GIVEN_TWICE"),
            ],
        ),
        (
            "POST",
            f"{CONTACTS}/batch/read",
            {"inputs": [{"id": str(n)} for n in range(101)]},
            [("$.inputs", "WRONG_LENGTH")],
        ),
        ("PUT", f"{LISTS}/add", [], [("$", "WRONG_LENGTH")]),
        ("PUT", f"{LISTS}/add", ["1"] * 101, [("$", "WRONG_LENGTH")]),
        (
            "PUT",
            f"{LISTS}/add-and-remove",
            {"recordIdsToAdd": ["1"], "recordIdsToRemove": ["1"]},
            [("$.recordIdsToRemove", "GIVEN_TWICE")],
        ),
    ],
)
def test_invalid_record_requests_are_rejected(method: str, path: str, body: Any, faults: list[tuple[str, str]]) -> None:
    api = example_portal()
    before = dict(api.world.records.records)
    answer = api(method, path, body)
    assert (answer.status, answer.faults) == (400, faults)
    assert api.world.records.records == before
    assert produced(api) == []


# Lists and associations ---------------------------------------------------------------------------------------------


def test_members_are_added_and_removed_and_unknown_records_are_named() -> None:
    api = example_portal()
    api("PUT", f"{LISTS}/add", ["104"])
    produced(api)
    body = {"recordIdsToAdd": ["101", "103", "9"], "recordIdsToRemove": ["104"]}
    answer = api("PUT", f"{LISTS}/add-and-remove", body).json
    assert answer == {"recordsIdsAdded": ["101", "103"], "recordIdsRemoved": ["104"], "recordIdsMissing": ["9"]}
    assert [(event[1], event[2]["hs_membership_change"]) for event in produced(api)] == [
        ("101", "ADDED"),
        ("103", "ADDED"),
        ("104", "REMOVED"),
    ]
    api("PUT", f"{LISTS}/add", ["101"])
    assert produced(api) == [], "it is a member already"
    api("PUT", f"{LISTS}/add", ["201"], query={"objectTypeId": "companies"})
    assert [event[1] for event in produced(api)] == ["201"]


ACME = "/crm/v4/objects/contacts/101/associations/companies/201"


def types(api: Api, path: str) -> dict[str, list[int]]:
    found = api("GET", path).json["results"]
    return {
        association["toObjectId"]: [kind["typeId"] for kind in association["associationTypes"]] for association in found
    }


def test_an_association_is_seen_from_both_records() -> None:
    api = example_portal()
    there, back = "/crm/v4/objects/contact/101/associations/company", "/crm/v4/objects/0-2/201/associations/contacts"
    body = [
        {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1},
        {"associationCategory": "USER_DEFINED", "associationTypeId": 77},
    ]
    assert api("PUT", ACME, body).status == 201
    assert api("PUT", ACME.replace("/companies", "/default/companies")).status == 200
    assert types(api, there) == {"201": [1, 279, 77]}
    assert types(api, back) == {"101": [2, 280]}

    assert [api("DELETE", ACME).status for _ in range(2)] == [204, 204]
    assert (types(api, there), types(api, back)) == ({}, {})


def test_the_later_change_of_an_association_wins() -> None:
    api = example_portal()
    api("PUT", ACME.replace("/companies", "/default/companies"), query={"occurredAt": "2025-11-02T09:00:00Z"})
    api("DELETE", ACME, query={"occurredAt": "2025-11-01T09:00:00Z"})
    assert types(api, "/crm/v4/objects/contact/101/associations/company") == {"201": [279]}


def test_deleted_record_has_no_associations() -> None:
    api = example_portal()
    path = "/crm/v4/objects/contact/101/associations/company"
    api("PUT", ACME.replace("/companies", "/default/companies"))
    api("DELETE", "/crm/v3/objects/companies/201")
    assert types(api, path) == {}
    assert api("PUT", ACME.replace("/companies", "/default/companies")).status == 404
    assert api("GET", path.replace("101", "9")).status == 404


def test_object_types_without_a_default_association_type_are_rejected() -> None:
    api = example_portal()
    key = RecordKey("p1", "2-7", "1")
    api("POST", "/crm/v3/objects/2-7/batch/upsert", {"inputs": [{"id": key.object_id}]})
    answer = api("PUT", "/crm/v4/objects/contacts/101/associations/default/2-7/1")
    assert (answer.status, answer.faults) == (400, [("toObjectType", "NO_DEFAULT_TYPE")])


# Enrollments --------------------------------------------------------------------------------------------------------


def test_enrollments_are_paginated_newest_first() -> None:
    api = example_portal()
    for number in range(5):
        api.world.now += 1
        api("PATCH", f"{CONTACTS}/101", {"properties": {"n": number}})
        api.world.deliver_produced()

    def pages(path: str) -> list[list[str]]:
        found: list[list[str]] = []
        query = {"limit": "2"}
        while True:
            answer = api("GET", path, query=query).json
            found.append([result["trigger"]["properties"].get("hs_value", "e1") for result in answer["results"]])
            if "paging" not in answer:
                return found
            query["after"] = answer["paging"]["next"]["after"]

    assert pages("/enrollment/v1/flows/1002/enrollments") == [[4, 3], [2, 1], [0]]
    assert pages("/enrollment/v1/records/contacts/101/enrollments") == [[4, 3], [2, 1], [0, "e1"]]
    assert pages("/enrollment/v1/flows/9/enrollments") == [[]]


# Regressions of a hostile review -------------------------------------------------------------------------------------


@pytest.mark.parametrize("stored_first", [True, False])
def test_each_event_of_a_change_is_decided_with_the_whole_change(
    stored_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = example_portal()
    where, criteria = [["hs_name", "IS_ANY_OF", ["stage"]]], [["city", "IS_ANY_OF", ["Cork"]]]
    api.world.put_flow(flow({"id": 1, "event": "crm.property_changed", "where": where, "criteria": criteria}))
    decided: list[str] = []
    publish = api.world.bus.publish

    def at_once(productions: Any) -> Any:
        """The handlers are faster than the rest of the request."""
        taken = publish(productions)
        decided.extend(str(decision.code) for decision in api.world.deliver_produced() if decision.flow_id == "1")
        return taken

    if not stored_first:
        monkeypatch.setattr(api.world.bus, "publish", at_once)
    api("PATCH", f"{CONTACTS}/101", {"properties": {"stage": "won", "city": "Cork"}})
    decided.extend(str(decision.code) for decision in api.world.deliver_produced() if decision.flow_id == "1")
    assert sorted(decided) == ["ENROLLED", "NOT_MATCHED"]


def test_same_change_by_two_simultaneous_requests_has_the_same_event_id() -> None:
    """And again after an answer that was lost, while the store does not know of it yet."""
    first_portal, other = example_portal(), example_portal()
    for api in (first_portal, other):
        api.world.bus = first_portal.world.bus
        api("PATCH", f"{CONTACTS}/101", {"properties": {"city": "Cork"}})
        api("POST", f"{CONTACTS}/batch/upsert", {"inputs": [{"id": "9", "properties": {"city": "Cork"}}]})
    # Of two portals with the same history, the same changes are the same events.
    assert {event.id for event in list(first_portal.world.bus.produced.values())} == set(
        first_portal.world.bus.produced
    )
    first = Api(example_portal().world)
    first("PATCH", f"{CONTACTS}/101", {"properties": {"city": "Cork"}})
    second = Api(example_portal().world)
    second.world.now += 500
    second("PATCH", f"{CONTACTS}/101", {"properties": {"city": "Cork"}})
    assert set(first.world.bus.produced) == set(second.world.bus.produced)


def test_same_change_of_a_recreated_record_is_a_new_event() -> None:
    api = example_portal()
    for _ in range(2):
        api.world.now += 1_000
        api("POST", f"{CONTACTS}/batch/upsert", {"inputs": [{"id": "9", "properties": {}}]})
        api("PATCH", f"{CONTACTS}/9", {"properties": {"city": "Cork"}})
        api("PUT", f"{LISTS}/add", ["9"])
        api.world.now += 1_000
        api("DELETE", f"{CONTACTS}/9")
    kinds = ["crm.object_created", "crm.property_changed", "lists.membership_changed"]
    assert sorted(event.event_type for event in api.world.bus.produced.values()) == sorted(kinds * 2)


@pytest.mark.parametrize(
    ("trigger", "back", "change"),
    [
        (
            {"event": "crm.property_changed"},
            {"crm.property_changed": "101", "properties": {"hs_name": "city", "hs_value": "Bray"}},
            ("PATCH", f"{CONTACTS}/101", {"properties": {"city": "Cork"}}),
        ),
        (
            {"lists": [["IN_LIST", "42"]]},
            {
                "lists.membership_changed": "101",
                "properties": {"hs_list_id": "42", "hs_membership_change": "REMOVED"},
            },
            ("PUT", f"{LISTS}/add", ["101"]),
        ),
    ],
)
def test_same_change_after_different_events_of_one_second_enrolls_each_time(
    trigger: dict[str, Any], back: dict[str, Any], change: tuple[str, str, Any]
) -> None:
    """The value that is changed is the same and has the same time, in whole seconds. Another event brought it."""
    api = example_portal()
    api.world.put_flow(flow({"id": 1, "re_enroll": True, **trigger}))
    codes: list[str] = []
    for number in range(3):
        api.world.deliver(event({**back, "id": f"back-{number}", "at": iso_second(NOW)}))
        api(*change)
        codes += [str(decision.code) for decision in api.world.deliver_produced() if decision.flow_id == "1"]
    assert codes == ["ENROLLED"] * 3


def test_only_properties_whose_events_the_bus_accepted_are_changed() -> None:
    api = example_portal()
    api.world.bus.refuses = 1
    answer = api("PATCH", f"{CONTACTS}/101", {"properties": {"city": "Cork", "age": 3}})
    assert answer.status == 503
    assert "did not accept 1 of the 2 events" in answer.json["message"]
    properties = api("GET", f"{CONTACTS}/101").json["properties"]
    assert (properties["city"], properties.get("age")) == ("Dublin", "3")
    assert api("PATCH", f"{CONTACTS}/101", {"properties": {"city": "Cork", "age": 3}}).status == 200
    assert sorted(event[2]["hs_name"] for event in produced(api)) == ["age", "city"]


def test_event_of_another_property_does_not_apply_a_property_rejected_by_the_bus() -> None:
    api = example_portal()
    api.world.put_flow(flow({"id": 5, "event": "crm.property_changed", "where": [["hs_name", "IS_ANY_OF", ["city"]]]}))
    whole = {"properties": {"city": "Cork", "age": 3}}
    api.world.bus.refuses = 1
    assert api("PATCH", f"{CONTACTS}/101", whole).status == 503
    api.world.deliver_produced()
    assert api("GET", f"{CONTACTS}/101").json["properties"]["city"] == "Dublin"

    assert api("PATCH", f"{CONTACTS}/101", whole).status == 200

    decisions = api.world.deliver_produced()
    assert [decision.flow_id for decision in decisions if decision.code == "ENROLLED"] == ["1002", "5"]


def test_event_is_decided_with_co_changed_properties_but_stores_only_its_own() -> None:
    api = example_portal()
    criteria = [["city", "IS_EQUAL_TO", "Cork"]]
    of_age = [["hs_name", "IS_ANY_OF", ["age"]]]
    api.world.put_flow(flow({"id": 5, "event": "crm.property_changed", "where": of_age, "criteria": criteria}))
    changed_together = event(
        {"crm.property_changed": "101", "id": "e", "at": NOW, "properties": changed("age", None, 3)}
    )
    changed_together["detail"]["changedWith"] = {"city": "Cork"}

    decisions = api.world.deliver(changed_together)

    assert [decision.flow_id for decision in decisions if decision.code == "ENROLLED"] == ["1002", "5"]
    stored = api.world.records.records[RecordKey("p1", "0-1", "101")]
    assert (stored.properties["age"].value, stored.properties["city"].value) == (3, "Dublin")


def test_memberships_are_changed_atomically() -> None:
    api = example_portal()
    full = {f"p{n}": "x" * 8000 for n in range(43)}
    assert api("PATCH", f"{CONTACTS}/103", {"properties": full}).status == 200
    produced(api)
    long = "/crm/v3/lists/" + "l" * 128 + "/memberships/add"
    answers = [api("PUT", long.replace("l" * 128, f"{n:0128d}"), ["101", "103", "104"]) for n in range(60)]
    refused = next(number for number, answer in enumerate(answers) if answer.status == 400)
    assert answers[refused].faults[0][1] == "RECORD_TOO_LARGE"
    members = [
        len(api.world.records.records[RecordKey("p1", "0-1", contact_id)].memberships)
        for contact_id in ("101", "103", "104")
    ]
    assert members == [refused] * 3


def test_response_to_a_completed_change_is_never_too_large() -> None:
    api = example_portal()
    for number in range(30):
        properties = {f"p{n}": '"' * 8000 for n in range(10)}
        api("POST", f"{CONTACTS}/batch/upsert", {"inputs": [{"id": f"b{number}", "properties": properties}]})
    inputs = [{"id": f"b{number}", "properties": {"tiny": 1}} for number in range(30)]
    assert api("POST", f"{CONTACTS}/batch/upsert", {"inputs": inputs}).status == 200
    ids = {"inputs": [{"id": f"b{number}"} for number in range(30)]}
    assert "Request fewer items" in api("POST", f"{CONTACTS}/batch/read", ids).json["message"]


def test_used_id_is_not_generated_again(monkeypatch: pytest.MonkeyPatch) -> None:
    api = example_portal()
    monkeypatch.setattr(api, "_tick", lambda: NOW)
    api.__post_init__()
    ids = [api("POST", CONTACTS, {"properties": {"n": n}}).json["id"] for n in range(150)]
    flows = [
        api("POST", "/automation/v4/flows", flow({"id": 1, "event": "calls.ended"})).json["id"] for _ in range(150)
    ]
    assert len(set(ids)) == len(set(flows)) == 150


def test_recreated_record_does_not_have_its_earlier_associations() -> None:
    api = example_portal()
    api("PUT", ACME.replace("/companies", "/default/companies"))
    api("DELETE", "/crm/v3/objects/companies/201")
    api("POST", "/crm/v3/objects/companies/batch/upsert", {"inputs": [{"id": "201"}]})
    there, back = "/crm/v4/objects/contact/101/associations/company", "/crm/v4/objects/company/201/associations/contact"
    assert (types(api, there), types(api, back)) == ({}, {})
    api("PUT", ACME.replace("/companies", "/default/companies"))
    assert types(api, there) == {"201": [279]}


def test_association_types_between_two_records_are_limited() -> None:
    api = example_portal()
    statuses = set()
    for start in range(0, 300, 50):
        body = [{"associationCategory": "USER_DEFINED", "associationTypeId": start + n + 1} for n in range(50)]
        statuses.add(api("PUT", ACME, body).status)
    assert statuses == {201, 400}
    assert api("DELETE", ACME).status == 204


@pytest.mark.parametrize(
    ("before", "after", "is_event"), [(True, 1, True), ("3", 3, False), (None, "", False), (0, "", True)]
)
def test_value_changes_when_its_text_form_changes(before: Any, after: Any, is_event: bool) -> None:
    api = example_portal()
    api("PATCH", f"{CONTACTS}/101", {"properties": {"x": before}})
    produced(api)
    api("PATCH", f"{CONTACTS}/101", {"properties": {"x": after}})
    assert bool(produced(api)) == is_event


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"properties": {}, "occurredAt": 10**400}, "BAD_TIME"),
        ({"properties": {}, "occurredAt": "2062-01-01T00:00:00Z"}, "BAD_TIME"),
    ],
)
def test_invalid_times_are_rejected(body: Any, code: str) -> None:
    assert example_portal()("PATCH", f"{CONTACTS}/101", body).faults == [("$.occurredAt", code)]


def test_number_of_property_names_is_limited() -> None:
    body = {"inputs": [{"id": "101"}], "properties": [str(n) for n in range(201)]}
    assert example_portal()("POST", f"{CONTACTS}/batch/read", body).faults == [("$.properties", "WRONG_LENGTH")]


def test_object_type_id_with_leading_zeros_is_rejected() -> None:
    assert example_portal()("GET", "/crm/v3/objects/0-01/101").faults == [("objectType", "UNKNOWN_OBJECT_TYPE")]


def test_event_with_a_future_time_does_not_restore_a_deleted_record() -> None:
    api = example_portal()
    ahead = event(
        {"crm.object_created": "101", "id": "ahead", "at": api.world.now + 60_000, "record": {"city": "Cork"}}
    )
    api.world.deliver(ahead)
    api("DELETE", f"{CONTACTS}/101")
    api.world.deliver(ahead)
    assert api("GET", f"{CONTACTS}/101").status == 404
