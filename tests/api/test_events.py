"""What happened to a record, over HTTP: HubSpot's Events API, and whether something has occurred."""

import json
from typing import Any

import pytest

from enrollment.domain.identifiers import RecordKey
from enrollment.domain.values import iso
from tests.support.portal import NOW, Api, example_portal, token
from tests.support.scenario import event, property_filter

EVENTS = "/events/v3/events"
ADA = {"objectType": "contacts", "objectId": "101"}
OCCURRED = "/enrollment/v1/records/contact/101/occurred"


def portal_with_events() -> Api:
    api = example_portal()
    for number in range(1, 6):
        properties = {"hs_form_id": f"f-{number}", "n": number, "nothing": None, "many": ["a", "b"]}
        given = {"forms.submitted": "101", "id": f"s/{number}", "at": iso(NOW - number * 1_000)}
        api.world.deliver(event({**given, "properties": properties}))
    api.world.deliver(event({"calls.ended": "101", "id": "call", "at": iso(NOW - 2_500)}))
    return api


def ids(api: Api, **query: Any) -> list[str]:
    answer = api("GET", EVENTS, query={**ADA, **query})
    assert answer.status == 200, answer.text
    return [one["id"] for one in answer.json["results"]]


def test_events_are_returned_in_the_format_of_hubspots_api() -> None:
    answer = portal_with_events()("GET", EVENTS, query={**ADA, "id": "s/2"}).json
    assert answer["results"] == [
        {
            "objectType": "CONTACT",
            "objectId": "101",
            "eventType": "forms.submitted",
            "eventTypeId": "4-1639801",
            "occurredAt": iso(NOW - 2_000),
            "sentAt": iso(NOW - 2_000),
            "source": "acme",
            "id": "s/2",
            "properties": {"hs_form_id": "f-2", "n": "2", "many": "a;b"},
        }
    ]
    assert answer["since"] < iso(NOW - 29 * 86_400_000)


def test_events_are_filtered_and_sorted() -> None:
    api = portal_with_events()
    assert ids(api) == ["e1", "s/1", "s/2", "call", "s/3", "s/4", "s/5"]
    assert ids(api, sort="ASCENDING") == list(reversed(ids(api)))
    assert ids(api, eventType="4-1741072") == ids(api, eventType="calls.ended") == ["call"]
    assert ids(api, occurredAfter=iso(NOW - 2_500)) == ["e1", "s/1", "s/2"]
    assert ids(api, occurredBefore=str(NOW - 3_000)) == ["s/4", "s/5"]
    assert ids(api, eventType="forms.viewed") == []


def test_events_are_paginated() -> None:
    api = portal_with_events()
    for sort in ("DESCENDING", "ASCENDING"):
        found: list[str] = []
        after: dict[str, str] = {}
        while True:
            page = api(
                "GET", EVENTS, query={**ADA, "limit": "3", "sort": sort, "eventType": "forms.submitted", **after}
            )
            found += [one["id"] for one in page.json["results"]]
            if "paging" not in page.json:
                break
            after = page.json["paging"]["next"]
        assert found == ids(api, sort=sort, eventType="forms.submitted")


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ({"objectId": "101"}, ("objectType", "MISSING_FIELD")),
        ({"objectType": "contact"}, ("objectId", "MISSING_FIELD")),
        ({**ADA, "eventType": "forms.submited"}, ("eventType", "UNKNOWN_EVENT")),
        ({**ADA, "sort": "up"}, ("sort", "UNKNOWN_OPTION")),
        ({**ADA, "occurredAfter": "yesterday"}, ("occurredAfter", "BAD_TIME")),
        ({**ADA, "after": "x"}, ("after", "BAD_CURSOR")),
    ],
)
def test_invalid_event_queries_are_rejected(query: dict[str, str], fault: tuple[str, str]) -> None:
    answer = example_portal()("GET", EVENTS, query=query)
    assert (answer.status, answer.faults) == (400, [fault])


def test_events_of_other_portals_and_deleted_records_are_not_returned() -> None:
    api = portal_with_events()
    for path, query in ((EVENTS, ADA), (OCCURRED, {"eventType": "forms.submitted"})):
        assert (
            api("GET", path, query=query, authorizer=token(portal_id="p2"), headers={"x-portal-id": "p2"}).status == 404
        )
    assert api("DELETE", "/crm/v3/objects/contacts/101").status == 204
    for path, query in ((EVENTS, ADA), (OCCURRED, {"eventType": "forms.submitted"})):
        assert api("GET", path, query=query).status == 404
    assert api.world.kept_events.kept.keys() >= {(RecordKey("p1", "0-1", "101"), f"{iso(NOW - 2_500)}/call")}


def test_whether_something_has_occurred() -> None:
    api = portal_with_events()
    filters = json.dumps([property_filter(["hs_form_id", "IS_ANY_OF", ["f-2", "f-4"]])])
    found = api("GET", OCCURRED, query={"eventType": "4-1639801", "filters": filters}).json
    assert (found["occurred"], found["count"]) == (True, 2)
    assert (found["first"]["id"], found["last"]["id"]) == ("s/4", "s/2")
    assert found["isComplete"] is False
    later = api("GET", OCCURRED, query={"eventType": "calls.ended", "since": iso(NOW - 2_000)}).json
    assert (later["occurred"], later["first"], later["isComplete"]) == (False, None, True)
    assert later["since"] == iso(NOW - 2_000)


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ({}, ("eventType", "MISSING_FIELD")),
        ({"eventType": "fax.sent"}, ("eventType", "UNKNOWN_EVENT")),
        ({"eventType": "calls.ended", "filters": "["}, ("filters", "MALFORMED_JSON")),
        ({"eventType": "calls.ended", "filters": "{}"}, ("filters", "WRONG_TYPE")),
        ({"eventType": "calls.ended", "filters": "[{}]"}, ("filters[0].filterType", "UNKNOWN_FILTER")),
        (
            {"eventType": "calls.ended", "filters": json.dumps([property_filter(["hs_form_id", "IS_KNOWN"])])},
            ("filters[0].property", "UNKNOWN_PROPERTY"),
        ),
        (
            {"eventType": "crm.object_created", "filters": json.dumps([property_filter(["a", "IS_KNOWN"])])},
            ("filters", "NOT_REFINABLE"),
        ),
        ({"eventType": "calls.ended", "since": "2999-01-01T00:00:00Z"}, ("since", "BAD_TIME")),
    ],
)
def test_invalid_occurrence_conditions_are_rejected(query: dict[str, str], fault: tuple[str, str]) -> None:
    answer = example_portal()("GET", OCCURRED, query=query)
    assert (answer.status, answer.faults) == (400, [fault])
