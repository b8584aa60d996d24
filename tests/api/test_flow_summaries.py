"""What flows did lately over HTTP: enrollments counted or estimated, the last enrollment and the last decision."""

from typing import Any

import pytest
from msgspec.structs import replace

from enrollment.application.flow_activity import MAX_EXACT_ENTRIES, MAX_SAMPLED_ENTRIES
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record, TimestampedValue
from enrollment.domain.values import Instant, iso
from tests.support.api_document import conforms
from tests.support.portal import NOW, Api, example_portal
from tests.support.scenario import event, flow

SUMMARIES = "/enrollment/v1/flows/summaries"
DAY = 24 * 3_600_000


def summaries(api: Api, *flow_ids: str, **given: Any) -> list[dict[str, Any]]:
    answer = api("POST", SUMMARIES, {"flowIds": list(flow_ids)}, **given)
    assert answer.status == 200, answer.text
    conforms(answer.json, "FlowActivityBatch")
    results: list[dict[str, Any]] = answer.json["results"]
    return results


def submit(api: Api, number: int, record: str, at: Instant, **given: Any) -> None:
    api.world.now = at
    one = {"forms.submitted": record, "id": f"s{number}", "at": iso(at), "properties": {"hs_form_id": "f-1"}}
    api.world.deliver(event(one | given))


def copy_enrollments(api: Api, count: int, records: int, over: int) -> None:
    """Store copies of the example's enrollment, spread over this many milliseconds before now."""
    (stored,) = api.world.enrollments.of_flow("p1", "1001", 1)
    for number in range(count):
        one = replace(
            stored.enrollment,
            id=f"copy-{number:06d}",
            record_key=RecordKey("p1", "0-1", f"r{number % records}"),
            is_re_enrollment=True,
            cause=replace(stored.enrollment.cause, event_id=f"copy-{number}"),
            enrolled_at=NOW - 1 - number * over // count,
        )
        assert api.world.enrollments.claim(one)


def test_enrollments_are_counted_by_day() -> None:
    api = example_portal()
    (stored,) = api.world.enrollments.of_flow("p1", "1001", 1)
    for number, age in enumerate((DAY - 1_000, DAY + 1_000, 3 * DAY, 6 * DAY, 8 * DAY)):
        key = RecordKey("p1", "0-1", f"r{number}")
        old = replace(stored.enrollment, id=f"old-{number}", record_key=key, enrolled_at=NOW - age)
        assert api.world.enrollments.claim(old)
    (found,) = summaries(api, "1001")
    # NOW is 10:00 in UTC, so the last 24 hours are of two days.
    assert iso(NOW)[10:] == "T10:00:00.000Z"
    assert found["enrolled"] == {
        "last24h": 2,
        "days": [1, 0, 0, 1, 0, 2, 1],
        "since": iso(NOW - 6 * DAY)[:10] + "T00:00:00.000Z",
        "isExact": True,
    }
    assert (found["lastEnrollment"]["objectId"], found["lastEnrollment"]["enrolledAt"]) == ("101", iso(NOW))


def test_days_are_those_of_the_portal() -> None:
    api = example_portal()
    assert api("PATCH", "/enrollment/v1/portal", {"timeZone": "Pacific/Kiritimati"}).status == 200
    (found,) = summaries(api, "1001")
    assert found["enrolled"]["since"][10:] == "T10:00:00.000Z"
    assert found["enrolled"]["days"] == [0, 0, 0, 0, 0, 0, 1]


def test_a_busy_flow_is_estimated() -> None:
    api = example_portal()
    copy_enrollments(api, count=4_800, records=4_000, over=6 * DAY)
    (found,) = summaries(api, "1001")
    assert found["enrolled"]["isExact"] is False
    assert found["enrolled"]["last24h"] == pytest.approx(801, rel=0.4)
    assert sum(found["enrolled"]["days"]) == pytest.approx(4_801, rel=0.15)


def test_a_day_with_more_enrollments_than_are_read_is_estimated() -> None:
    api = example_portal()
    copy_enrollments(api, count=16 * 2 * MAX_SAMPLED_ENTRIES, records=5_000, over=DAY)
    (found,) = summaries(api, "1001")
    assert found["enrolled"]["isExact"] is False
    assert found["enrolled"]["last24h"] == pytest.approx(16 * 2 * MAX_SAMPLED_ENTRIES, rel=0.15)


@pytest.mark.parametrize("minutes_ago", [0, 180])
def test_estimate_after_a_backfill_has_the_right_magnitude(minutes_ago: int) -> None:
    api = example_portal()
    copy_enrollments(api, count=11_200, records=5_000, over=240_000)
    api.world.now += minutes_ago * 60_000
    (found,) = summaries(api, "1001")
    assert found["enrolled"]["isExact"] is False
    for count in (found["enrolled"]["last24h"], sum(found["enrolled"]["days"])):
        assert 0.85 * 11_200 < count < 2.2 * 11_200


def test_many_enrollments_of_one_record_are_counted_exactly() -> None:
    api = example_portal()
    copy_enrollments(api, count=MAX_EXACT_ENTRIES * 3, records=1, over=DAY // 2)
    (found,) = summaries(api, "1001")
    assert (found["enrolled"]["last24h"], found["enrolled"]["isExact"]) == (MAX_EXACT_ENTRIES * 3 + 1, True)


def test_a_flow_without_enrollments_and_events_has_neither() -> None:
    api = example_portal()
    api("PUT", "/automation/v4/flows/1005", flow({"id": 1005, "event": "email.opened"}))
    (found,) = summaries(api, "1005")
    assert (found["enrolled"]["last24h"], found["enrolled"]["days"]) == (0, [0] * 7)
    assert (found["lastEnrollment"], found["lastDecision"]) == (None, None)


def test_last_decision_is_that_on_the_newest_event() -> None:
    api = example_portal()
    key = RecordKey("p1", "0-1", "105")
    api.world.put_record(key, Record(key, 1_000, {"city": TimestampedValue("Oslo", 1_000)}))
    submit(api, 1, "105", NOW + 5_000)
    api.world.now = NOW + 60_000
    (found,) = summaries(api, "1001")
    assert (found["lastDecision"]["code"], found["lastDecision"]["objectId"]) == ("FILTERED_OUT", "105")
    assert (found["lastDecision"]["eventId"], found["lastDecision"]["occurredAt"]) == ("s1", iso(NOW + 5_000))
    assert found["lastDecision"]["flowRevisionId"] == "1"
    assert found["lastEnrollment"]["objectId"] == "101"


def test_last_decision_is_that_of_explain() -> None:
    api = example_portal()
    (found,) = summaries(api, "1001")
    query = {"objectType": "contact", "objectId": "101", "flowId": "1001", "limit": "1"}
    explained = api("GET", "/enrollment/v1/explain", query=query).json["results"][0]
    (account,) = explained["decisions"]
    last = found["lastDecision"]
    assert {key: last[key] for key in ("code", "because", "flowRevisionId", "notes")} == {
        key: account[key] for key in ("code", "because", "flowRevisionId", "notes")
    }
    assert (last["code"], last["eventId"]) == ("ENROLLED", explained["event"]["id"])


def test_an_event_of_another_object_type_is_not_the_last() -> None:
    api = example_portal()
    changed = {"id": "c1", "at": iso(NOW), "properties": {"hs_name": "city", "hs_value": "Cork"}}
    api.world.deliver(event({"crm.property_changed": "103"} | changed))
    api.world.now = NOW + 1_000
    company = {"crm.property_changed": "201", "object": "company", "id": "c2", "at": iso(NOW + 1_000)}
    api.world.deliver(event(company | {"properties": {"hs_name": "city", "hs_value": "Cork"}}))
    (found,) = summaries(api, "1002")
    assert (found["lastDecision"]["objectId"], found["lastDecision"]["eventId"]) == ("103", "c1")


def test_flows_are_in_the_order_of_the_request_and_missing_ones_are_named() -> None:
    api = example_portal()
    answer = api("POST", SUMMARIES, {"flowIds": ["1002", 77, "1001", "1002"]})
    assert answer.status == 207
    assert [one["flowId"] for one in answer.json["results"]] == ["1002", "1001"]
    assert answer.json["errors"][0]["context"] == {"ids": ["77"]}


def test_another_portal_has_no_summaries() -> None:
    answer = example_portal()("POST", SUMMARIES, {"flowIds": ["1001"]}, headers={"x-portal-id": "p2"})
    assert (answer.status, answer.json["results"]) == (207, [])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"flowIds": []}, "WRONG_LENGTH"),
        ({"flowIds": [str(number) for number in range(11)]}, "WRONG_LENGTH"),
        ({"flowIds": "1001"}, "WRONG_TYPE"),
        ({}, "WRONG_TYPE"),
    ],
)
def test_one_to_ten_flows_are_summarized(body: dict[str, Any], code: str) -> None:
    answer = example_portal()("POST", SUMMARIES, body)
    assert (answer.status, answer.faults) == (400, [("$.flowIds", code)])
