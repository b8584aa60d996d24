"""An event is found by its ID alone, over HTTP: by the index, or among the events of a type and a day."""

from typing import Any

import pytest
from msgspec.structs import replace

from enrollment.application import event_search
from enrollment.domain.enrollment.portal_settings import PortalSettings
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record
from enrollment.domain.values import iso
from tests.support.counting import Counted
from tests.support.portal import NOW, Answer, Api, example_portal, token
from tests.support.scenario import event

PATH = "/enrollment/v1/occurrences"
HOUR = 3_600_000


def find(api: Api, event_id: str, **query: str) -> Answer:
    return api("GET", PATH, query={"eventId": event_id, **query})


def ids(answer: Answer) -> list[tuple[str, str]]:
    assert answer.status == 200, answer.text
    return [(one["id"], one["objectId"]) for one in answer.json["results"]]


def without_index(api: Api) -> Api:
    """The same portal in a stack that does not find events by their ID."""
    api.world.history = replace(api.world.history, is_found_by_id=False)
    return Api(api.world)


def deliver(api: Api, event_id: str, at: int, **given: Any) -> None:
    api.world.deliver(event({"forms.submitted": "101", "id": event_id, "at": iso(at), "sent": iso(at), **given}))


@pytest.mark.parametrize("event_id", ["e/1", "e?1#%2F", "événement 1", "x" * 124])
def test_event_is_found_by_its_id_whatever_its_characters(event_id: str) -> None:
    api = example_portal()
    deliver(api, event_id, NOW - HOUR)
    (found,) = find(api, event_id).json["results"]
    assert (found["id"], found["objectType"], found["objectId"]) == (event_id, "CONTACT", "101")
    assert (found["eventType"], found["occurredAt"]) == ("forms.submitted", iso(NOW - HOUR))
    assert (found["sentAt"], found["source"]) == (iso(NOW - HOUR), "acme")


def test_event_that_is_not_kept_has_no_result() -> None:
    answer = find(example_portal(), "never-sent").json
    assert answer["results"] == []
    assert answer["since"] < iso(NOW - 29 * 24 * HOUR)


def test_event_of_another_portal_is_not_found() -> None:
    api = example_portal()
    assert ids(find(api, "e1")) == [("e1", "101")]
    of_other = api(
        "GET", PATH, query={"eventId": "e1"}, authorizer=token(portal_id="p2"), headers={"x-portal-id": "p2"}
    )
    assert ids(of_other) == []


def test_id_that_was_used_for_two_records_has_two_results_newest_first() -> None:
    api = example_portal()
    other = RecordKey("p1", "0-1", "102")
    api.world.put_record(other, Record(other, 1_000))
    deliver(api, "twice", NOW - 2 * HOUR)
    deliver(api, "twice", NOW - HOUR, **{"forms.submitted": "102"})
    assert ids(find(api, "twice")) == [("twice", "102"), ("twice", "101")]


def test_stack_without_the_index_asks_for_the_type_and_the_day() -> None:
    answer = find(without_index(example_portal()), "e1")
    assert (answer.status, answer.faults) == (400, [("eventType", "MISSING_FIELD"), ("day", "MISSING_FIELD")])
    assert "FindEventsById" in answer.text


def test_stack_without_the_index_searches_the_day_in_the_time_zone_of_the_portal() -> None:
    api = without_index(example_portal())
    deliver(api, "late/night", NOW - 11 * HOUR)  # 2026-11-23T23:00Z, which is 24 November in Oslo
    deliver(api, "late/night", NOW - 10 * HOUR, **{"forms.submitted": "103"})

    def records(day: str) -> list[tuple[str, str]]:
        return ids(find(api, "late/night", eventType="4-1639801", day=day))

    assert records("2026-11-23") == [("late/night", "101")]
    assert records("2026-11-24") == [("late/night", "103")]
    api.world.portals.save("p1", PortalSettings("Europe/Oslo"))
    assert records("2026-11-23") == []
    assert records("2026-11-24") == [("late/night", "103"), ("late/night", "101")]
    assert ids(find(api, "late/night", eventType="forms.viewed", day="2026-11-24")) == []


def test_search_of_a_day_is_bounded_and_goes_on_at_its_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_search, "MAX_KEYS_SEARCHED", 4)
    api = without_index(example_portal())
    for number in range(6):
        deliver(api, f"s{number}", NOW - number * 1_000)
        deliver(api, f"s{number}", NOW - number * 1_000, **{"forms.submitted": "103"})
    store = Counted(api.world.kept_events)
    api.world.history = replace(api.world.history, events=store)
    api = Api(api.world)
    query, pages = {"eventType": "forms.submitted", "day": "2026-11-24"}, []
    while True:
        answer = find(api, "s4", **query)
        pages.append(ids(answer))
        if "paging" not in answer.json:
            break
        query["after"] = answer.json["paging"]["next"]["after"]
    assert pages == [[], [], [("s4", "103"), ("s4", "101")]]
    # Only events that have the ID are read, each page by one call.
    assert store.calls.count("get_many") == 1


def test_event_that_is_older_than_the_history_is_not_found_in_its_day() -> None:
    api = without_index(example_portal())
    deliver(api, "old", NOW - 29 * 24 * HOUR)
    day = iso(NOW - 29 * 24 * HOUR)[:10]
    assert ids(find(api, "old", eventType="forms.submitted", day=day)) == [("old", "101")]
    api.world.now += 2 * 24 * HOUR
    assert ids(find(api, "old", eventType="forms.submitted", day=day)) == []


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ({}, ("eventId", "MISSING_FIELD")),
        ({"eventId": ""}, ("eventId", "WRONG_LENGTH")),
        ({"eventId": "x" * 129}, ("eventId", "WRONG_LENGTH")),
    ],
)
def test_invalid_ids_are_rejected(query: dict[str, str], fault: tuple[str, str]) -> None:
    answer = example_portal()("GET", PATH, query=query)
    assert (answer.status, answer.faults) == (400, [fault])


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ({"eventType": "forms.submited", "day": "2026-11-24"}, ("eventType", "UNKNOWN_EVENT")),
        ({"eventType": "forms.submitted", "day": "24.11.2026"}, ("day", "BAD_TIME")),
        ({"eventType": "forms.submitted", "day": "2026-11-31"}, ("day", "BAD_TIME")),
        ({"eventType": "forms.submitted", "day": "9999-12-31"}, ("day", "BAD_TIME")),
        ({"eventType": "forms.submitted", "day": "2026-11-24", "after": "x"}, ("after", "BAD_CURSOR")),
    ],
)
def test_invalid_searches_of_a_day_are_rejected(query: dict[str, str], fault: tuple[str, str]) -> None:
    answer = find(without_index(example_portal()), "e1", **query)
    assert (answer.status, answer.faults) == (400, [fault])
