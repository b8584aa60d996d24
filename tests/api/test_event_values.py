"""What the history suggests to an editor of triggers: values of properties, and counts of events."""

from typing import Any

import pytest

from enrollment.application import event_search
from enrollment.domain.values import iso
from tests.support.api_document import conforms
from tests.support.portal import NOW, Api, example_portal
from tests.support.scenario import event

EVENTS = "/enrollment/v1/events"
DAY = 86_400_000


def deliver(api: Api, event_type: str, number: int, at: int, **properties: Any) -> None:
    fields = {event_type: "101", "id": f"{event_type}-{number}", "at": iso(at), "properties": properties}
    api.world.deliver(event(fields))


def values(api: Api, event_type: str, **query: str) -> dict[str, Any]:
    answer = api("GET", f"{EVENTS}/{event_type}/values", query=query)
    assert answer.status == 200, answer.text
    conforms(answer.json, "EventValues")
    found: dict[str, Any] = answer.json
    return found


def pairs(found: dict[str, Any]) -> list[tuple[str, int]]:
    return [(each["value"], each["events"]) for each in found["values"]]


def test_most_frequent_values_come_first() -> None:
    api = example_portal()
    for number, form in enumerate(("f-2", "f-3", "F-2", "f-2", "g-1")):
        deliver(api, "forms.submitted", number, NOW - number, hs_form_id=form)
    found = values(api, "forms.submitted", property="hs_form_id")
    assert pairs(found) == [("f-2", 2), ("F-2", 1), ("f-1", 1), ("f-3", 1), ("g-1", 1)]
    assert (found["eventsRead"], found["since"]) == (6, iso(api.world.now - 30 * DAY))
    assert pairs(values(api, "forms.submitted", property="hs_form_id", prefix="F-2")) == [("f-2", 2), ("F-2", 1)]
    assert pairs(values(api, "forms.submitted", property="hs_form_id", limit="1")) == [("f-2", 2)]


def test_derived_values_are_suggested() -> None:
    api = example_portal()
    deliver(api, "website.page_visited", 1, NOW, hs_url="https://acme.example/pricing?x=1")
    found = values(api, "website.page_visited", property="hs_url_path")
    assert pairs(found) == [("/pricing", 1)]


def test_an_event_is_named_by_the_id_of_hubspot_too() -> None:
    found = values(example_portal(), "4-1639801", property="hs_form_id")
    assert (found["eventType"], pairs(found)) == ("forms.submitted", [("f-1", 1)])


def test_long_values_and_those_of_other_portals_are_not_suggested() -> None:
    api = example_portal()
    deliver(api, "forms.submitted", 1, NOW, hs_form_id="x" * 201)
    there = {"forms.submitted": "101", "id": "there", "portal": "p2", "record": {}}
    api.world.deliver(event({**there, "at": iso(NOW), "properties": {"hs_form_id": "secret"}}))
    assert pairs(values(api, "forms.submitted", property="hs_form_id")) == [("f-1", 1)]


def test_only_the_newest_events_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_search, "MAX_EVENTS_WITH_VALUES", 2)
    api = example_portal()
    for number in range(4):
        deliver(api, "forms.submitted", number, NOW - number, hs_form_id=f"n-{number}")
    found = values(api, "forms.submitted", property="hs_form_id")
    assert found["eventsRead"] == 2


def count(api: Api, event_type: str, **query: str) -> tuple[int, bool]:
    answer = api("GET", f"{EVENTS}/{event_type}/counts", query=query)
    assert answer.status == 200, answer.text
    conforms(answer.json, "EventCount")
    return answer.json["count"], answer.json["isExact"]


def test_events_of_the_last_days_are_counted() -> None:
    api = example_portal()
    for number in range(5):
        deliver(api, "forms.submitted", number, NOW - number * 3 * DAY)
    assert count(api, "forms.submitted") == (4, True)
    assert count(api, "forms.submitted", days="1") == (2, True)
    assert count(api, "forms.submitted", days="30") == (6, True)
    assert count(api, "calls.ended") == (0, True)


def test_count_ends_at_a_maximum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_search, "MAX_KEYS_SEARCHED", 3)
    api = example_portal()
    for number in range(5):
        deliver(api, "forms.submitted", number, NOW - number)
    assert count(api, "forms.submitted") == (3, False)


@pytest.mark.parametrize(
    ("path", "query", "fault"),
    [
        ("forms.submitted/values", {}, ("property", "MISSING_FIELD")),
        ("forms.submitted/values", {"property": "hs_fom_id"}, ("property", "UNKNOWN_PROPERTY")),
        ("forms.submitted/values", {"property": "hs_form_id", "limit": "101"}, ("limit", "WRONG_LENGTH")),
        ("forms.submitted/counts", {"days": "31"}, ("days", "WRONG_LENGTH")),
        ("forms.submitted/counts", {"days": "week"}, ("days", "WRONG_LENGTH")),
    ],
)
def test_invalid_parameters_are_rejected(path: str, query: dict[str, str], fault: tuple[str, str]) -> None:
    answer = example_portal()("GET", f"{EVENTS}/{path}", query=query)
    assert (answer.status, answer.faults) == (400, [fault])


def test_similar_names_are_suggested() -> None:
    api = example_portal()
    answer = api("GET", f"{EVENTS}/forms.submitted/values", query={"property": "hs_fom_id"})
    assert answer.json["errors"][0]["context"] == {"didYouMean": ["hs_form_id"]}
    unknown = api("GET", f"{EVENTS}/forms.submited/counts")
    assert unknown.status == 404
    assert "forms.submitted" in unknown.json["message"]
