"""What the requests of the console read: DynamoDB's units and SQS's requests, as docs/costs.md publishes them."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from enrollment.adapters.dynamodb.enrollments import DynamoEnrollments
from enrollment.adapters.dynamodb.event_history import DynamoHistory
from enrollment.application import flow_activity
from enrollment.catalog import EVENT_TYPES
from enrollment.domain.enrollment.enrollments import Enrollment, TriggerEvent
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.values import iso
from enrollment.entrypoints import bootstrap
from enrollment.entrypoints.http_api import handler
from enrollment.serialization.envelopes import read_event, read_stored_event, write_event
from enrollment.serialization.messages import read_message, write_message
from tests.benchmarks.capacity import consumed
from tests.support.api_function import call
from tests.support.aws import BASE_CLIENT
from tests.support.functions import Stack, invoke
from tests.support.scenario import event, flow
from tests.support.stores import open_tables

pytestmark = pytest.mark.usefixtures("fresh_api")

PREFIX = "/enrollment/v1"
CONTACTS = "/crm/v3/objects/contacts"


@contextmanager
def measured(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Units that are read by "units", the calls to DynamoDB by "calls", and the requests to SQS by their names."""
    found: Counter[str] = Counter()
    make_call = BASE_CLIENT._make_api_call

    def measuring(client: Any, name: str, arguments: Any) -> Any:
        answer = make_call(client, name, arguments)
        if client.meta.service_model.service_name == "sqs":
            found[name] += 1
        else:
            found["calls"] += 1
            for one in consumed(stack.config, name, arguments, answer, None):
                assert one.kind == "read"
                found["units"] += one.units  # type: ignore[assignment]
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(BASE_CLIENT, "_make_api_call", measuring)
        yield found


def read(stack: Stack, monkeypatch: pytest.MonkeyPatch, path: str, **query: str) -> tuple[Any, Counter[str]]:
    with measured(stack, monkeypatch) as found:
        status, answer = call("GET", path, **query)
    assert status == 200, answer
    return answer, found


def keep_events(stack: Stack, count: int) -> None:
    """Events of one contact and one type, a second apart."""
    history = DynamoHistory(open_tables(stack.config), write_event, read_stored_event)
    now = bootstrap.now()
    for number in range(count):
        envelope = event(
            {"forms.submitted": str(number % 50), "id": f"event-{number:06d}-0123456789", "at": now - number}
        )
        history.keep(read_event({**envelope, "time": "2026-11-23T10:00:00Z"}, "forms").evaluated(now), now + 10**9)


def test_occurrence_costs_a_unit_and_a_half(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_events(stack, 1)
    answer, found = read(stack, monkeypatch, f"{PREFIX}/occurrences", eventId="event-000000-0123456789")
    assert (len(answer["results"]), found["units"]) == (1, 1.5)
    answer, found = read(stack, monkeypatch, f"{PREFIX}/occurrences", eventId="unknown")
    assert (len(answer["results"]), found["units"]) == (0, 0.5)


def test_search_of_a_day_costs_half_a_unit_for_25_events(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIND_EVENTS_BY_ID", "false")
    handler._parts.cache_clear()
    query = {"eventId": "unknown", "eventType": "forms.submitted", "day": today()}
    _, found = read(stack, monkeypatch, f"{PREFIX}/occurrences", **query)
    # The 16 partitions of the type, and the portal's settings.
    assert found["units"] == 8 + 1
    keep_events(stack, 200)
    answer, found = read(stack, monkeypatch, f"{PREFIX}/occurrences", **query)
    assert answer["results"] == []
    assert found["units"] == 8


def today() -> str:
    return iso(bootstrap.now())[:10]


@pytest.mark.parametrize(("types", "units"), [(1, 8), (12, 96)])
def test_activity_costs_8_units_a_type(stack: Stack, monkeypatch: pytest.MonkeyPatch, types: int, units: int) -> None:
    names = ",".join(list(EVENT_TYPES)[:types])
    _, found = read(stack, monkeypatch, f"{PREFIX}/activity", eventTypes=names)
    assert found["units"] == units


def test_activity_reads_the_listed_events_and_counts_the_others_by_their_keys(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_events(stack, 60)
    answer, found = read(stack, monkeypatch, f"{PREFIX}/activity", eventTypes="forms.submitted")
    assert (len(answer["results"]), answer["more"]) == (25, 35)
    assert found["units"] == 25 + 8


def test_activity_with_decisions_costs_8_units_more_for_each_event(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("PUT", "/automation/v4/flows/1", flow({"id": 1, "event": "forms.submitted"}))[0] == 201
    inputs = [{"id": "101", "properties": {"city": "Dublin"}}]
    assert call("POST", f"{CONTACTS}/batch/upsert", {"inputs": inputs})[0] == 200
    for number in range(10):
        invoke(event({"forms.submitted": "101", "id": f"e{number}", "at": iso(bootstrap.now())}))
    query = {"eventTypes": "forms.submitted", "limit": "10"}
    _, listed = read(stack, monkeypatch, f"{PREFIX}/activity", **query)
    answer, decided = read(stack, monkeypatch, f"{PREFIX}/activity", **query, decisions="true")
    assert [len(one["decisions"]) for one in answer["results"]] == [1] * 10
    assert listed["units"] == 8 + 10
    assert (decided["units"] - listed["units"]) / 10 == 8


def test_contact_by_email_costs_a_unit_and_a_half(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = [{"id": "101", "properties": {"email": "ada@example.com"}}]
    assert call("POST", f"{CONTACTS}/batch/upsert", {"inputs": inputs})[0] == 200
    answer, found = read(stack, monkeypatch, f"{CONTACTS}/ada@example.com", idProperty="email")
    assert (answer["id"], found["units"]) == ("101", 1.5)


def test_unprocessed_events_cost_no_units(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, found = read(stack, monkeypatch, f"{PREFIX}/unprocessed/count")
    assert (answer["count"], found) == (0, Counter(GetQueueAttributes=1))
    for number in range(12):
        invoke(event({"forms.submitted": "101", "id": f"no-zone-{number}", "at": "2026-11-24T10:00:00"}))
    answer, found = read(stack, monkeypatch, f"{PREFIX}/unprocessed")
    assert len(answer["results"]) == 12
    assert found == Counter(ReceiveMessage=3, GetQueueAttributes=1, ChangeMessageVisibilityBatch=2)


def summarize(stack: Stack, monkeypatch: pytest.MonkeyPatch, *flow_ids: str) -> tuple[Any, Counter[str]]:
    # The settings of the portal are in the cache of a warm function.
    assert call("POST", f"{PREFIX}/flows/summaries", {"flowIds": [flow_ids[0]]})[0] == 200
    with measured(stack, monkeypatch) as found:
        status, answer = call("POST", f"{PREFIX}/flows/summaries", {"flowIds": list(flow_ids)})
    assert status == 200, answer
    return answer["results"], found


def put_flows(*flow_ids: str, event_type: str = "forms.submitted", **given: Any) -> None:
    for flow_id in flow_ids:
        document = flow({"id": flow_id, "event": event_type, "re_enroll": True, **given})
        assert call("PUT", f"/automation/v4/flows/{flow_id}", document)[0] == 201


def enroll_copies(stack: Stack, count: int, records: int = 10_000, over: int = 3_600_000) -> None:
    """Enrollments in flow 1, of this many records, within this many milliseconds before now."""
    enrollments = DynamoEnrollments(open_tables(stack.config), write_message, read_message)
    now = bootstrap.now()
    cause = TriggerEvent(0, "forms.submitted", "4-1639801", "event-of-a-usual-id", now, "acme", {"hs_form_id": "f-1"})
    for number in range(count):
        key = RecordKey("p1", "0-1", f"1000{number % records}")
        event_id, enrollment_id = f"submission-{number:06d}", f"01KC5Z0000000000000{number:07d}"
        own = replace(cause, event_id=event_id)
        at = now - number * over // count
        one = Enrollment(enrollment_id, key, "1", "Welcome", "1", f"p1/1/{event_id}", True, own, at)
        assert enrollments.claim(one)


def test_summary_of_a_flow_without_enrollments_costs_8_units_and_8_a_trigger_type(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_flows("1", "2")
    results, found = summarize(stack, monkeypatch, "1")
    assert results[0]["enrolled"]["isExact"]
    # The flow, 16 partitions of its enrollments, and 16 of its event type.
    assert found["units"] == 1 + 8 + 8
    _, both = summarize(stack, monkeypatch, "1", "2")
    assert both["units"] == found["units"] + 1 + 8


def test_last_enrollment_and_last_decision_cost_10_units(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    put_flows("1")
    inputs = [{"id": "101", "properties": {"city": "Dublin"}}]
    assert call("POST", f"{CONTACTS}/batch/upsert", {"inputs": inputs})[0] == 200
    invoke(event({"forms.submitted": "101", "id": "e1", "at": iso(bootstrap.now())}))
    results, found = summarize(stack, monkeypatch, "1")
    assert (results[0]["lastDecision"]["code"], results[0]["lastEnrollment"]["objectId"]) == ("ENROLLED", "101")
    assert found["units"] == 1 + 8 + 8 + 10


@pytest.mark.parametrize(("enrollments", "is_exact", "units"), [(75, True, 18), (640, True, 26)])
def test_enrollments_are_counted_exactly_up_to_60_in_a_shard(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, enrollments: int, is_exact: bool, units: float
) -> None:
    put_flows("1")
    enroll_copies(stack, enrollments)
    results, found = summarize(stack, monkeypatch, "1")
    assert (sum(results[0]["enrolled"]["days"]), results[0]["enrolled"]["isExact"]) == (enrollments, is_exact)
    assert found["units"] == units


def test_a_busy_flow_reads_a_limited_number_of_entries_for_each_day(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partition with more enrollments on each day than are read, which are those of a record that enters often."""
    monkeypatch.setattr(flow_activity, "MAX_SAMPLED_ENTRIES", 20)
    put_flows("1")
    enroll_copies(stack, 210, records=1, over=7 * 24 * 3_600_000)
    results, found = summarize(stack, monkeypatch, "1")
    assert results[0]["enrolled"]["isExact"] is False
    assert results[0]["enrolled"]["last24h"] == pytest.approx(30, abs=2)
    # For each of the eight periods: 20 entries of 200 bytes are half a unit or a unit, and each step back half a unit.
    assert found["units"] <= (1 + 8 + 1) + (15 * 0.5 + 2) + 8 * (1 + 12 * 0.5)


def test_list_of_flows_costs_a_unit_for_4_kb_of_flows(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    put_flows(*(str(number) for number in range(20)))
    stored, listed = read(stack, monkeypatch, "/automation/v4/flows")
    answer, found = read(stack, monkeypatch, f"{PREFIX}/flows", limit="100")
    assert (len(answer["results"]), len(stored["results"])) == (20, 20)
    assert found["units"] == listed["units"] == 3


def test_detection_of_loops_reads_the_list_of_candidates_once(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    put_flows(*(str(number) for number in range(10)), event_type="workflows.enrolled")
    read(stack, monkeypatch, f"{PREFIX}/flows")
    answer, found = read(stack, monkeypatch, f"{PREFIX}/flows")
    _, listed = read(stack, monkeypatch, "/automation/v4/flows")
    assert all("loop" in " ".join(one["warnings"]) for one in answer["results"])
    assert found["units"] == listed["units"] + 1


def test_revisions_cost_a_unit_for_4_kb(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    put_flows("1")
    for number in range(1, 20):
        changed = flow({"id": "1", "event": "forms.submitted"}) | {"revisionId": str(number)}
        assert call("PUT", "/automation/v4/flows/1", changed)[0] == 200
    answer, found = read(stack, monkeypatch, f"{PREFIX}/flows/1/revisions")
    assert (len(answer["results"]), found["units"]) == (20, 3)
    answer, found = read(stack, monkeypatch, f"{PREFIX}/flows/1/revisions/7")
    assert (answer["revisionId"], found["units"]) == ("7", 1)


def previewed(stack: Stack, monkeypatch: pytest.MonkeyPatch, **more: Any) -> tuple[Any, Counter[str]]:
    """Preview a draft of flow 1, whose settings of the portal are in the cache of a warm function."""
    body = {"flow": flow({"id": 1, "event": "forms.submitted", "criteria": [["city", "IS_KNOWN"]]}), **more}
    assert call("POST", f"{PREFIX}/preview", body)[0] == 200
    with measured(stack, monkeypatch) as found:
        status, answer = call("POST", f"{PREFIX}/preview", body)
    assert status == 200, answer
    return answer, found


def test_preview_costs_a_unit_for_each_event_and_each_record(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    put_flows("1")
    inputs = [{"id": str(number), "properties": {"city": "Dublin"}} for number in range(50)]
    assert call("POST", f"{CONTACTS}/batch/upsert", {"inputs": inputs})[0] == 200
    keep_events(stack, 100)
    answer, found = previewed(stack, monkeypatch)
    assert (len(answer["results"]), answer["eventsRead"]) == (100, 100)
    # 16 partitions of the type, the events and the records. No enrollments.
    assert (found["units"], found["calls"]) == (8 + 100 + 50, 16 + 2)
    # The other version costs the read of its revision.
    answer, found = previewed(stack, monkeypatch, compareWith={"revisionId": "1"})
    assert all(each["compared"] is not None for each in answer["results"])
    assert (found["units"], found["calls"]) == (8 + 100 + 50 + 1, 16 + 2 + 1)
    _, found = previewed(stack, monkeypatch, details=True)
    assert found["units"] == 8 + 100 + 50


def test_preview_does_not_read_the_events_after_its_page(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = [{"id": str(number), "properties": {"city": "Dublin"}} for number in range(50)]
    assert call("POST", f"{CONTACTS}/batch/upsert", {"inputs": inputs})[0] == 200
    keep_events(stack, 60)
    answer, found = previewed(stack, monkeypatch, limit=20)
    assert (answer["eventsRead"], "paging" in answer) == (20, True)
    assert found["units"] == 8 + 20 + 20


def test_preview_of_one_record_costs_a_unit_for_4_kb_of_its_history(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("POST", f"{CONTACTS}/batch/upsert", {"inputs": [{"id": "7", "properties": {"city": "Cork"}}]})[0] == 200
    keep_events(stack, 100)
    answer, found = previewed(stack, monkeypatch, objectId="7", details=True)
    assert len(answer["results"]) == 2
    # The record, twice, and its history.
    assert found["units"] == 3


def test_test_of_a_draft_costs_a_unit_for_the_record(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call("POST", f"{CONTACTS}/batch/upsert", {"inputs": [{"id": "7", "properties": {"city": "Cork"}}]})[0] == 200
    body = {"flow": flow({"id": 1, "event": "forms.submitted", "criteria": [["city", "IS_KNOWN"]]}), "objectId": "7"}
    # The settings of the portal are in the cache of a warm function.
    assert call("POST", f"{PREFIX}/flows/test", body)[0] == 200
    with measured(stack, monkeypatch) as found:
        status, answer = call("POST", f"{PREFIX}/flows/test", body)
    assert (status, answer["passed"], found["units"]) == (200, True, 1)


def test_values_cost_a_unit_for_each_of_the_newest_200_events(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_events(stack, 210)
    path = f"{PREFIX}/events/forms.submitted/values"
    answer, found = read(stack, monkeypatch, path, property="hs_form_id")
    assert answer["eventsRead"] == 200
    assert found["units"] == 8 + 200


def test_count_of_events_costs_half_a_unit_for_25_events(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"{PREFIX}/events/forms.submitted/counts"
    _, found = read(stack, monkeypatch, path)
    assert found["units"] == 8
    keep_events(stack, 400)
    answer, found = read(stack, monkeypatch, path)
    assert (answer["count"], answer["isExact"]) == (400, True)
    assert found["units"] <= 8 + 400 * 0.5 / 25


def test_default_properties_of_records_cost_nothing(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, found = read(stack, monkeypatch, "/crm/v3/properties/contacts")
    assert (len(answer["results"]) > 50, found) == (True, Counter())
