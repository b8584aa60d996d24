"""What the requests of the console read: DynamoDB's units and SQS's requests, as docs/costs.md publishes them."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from enrollment.adapters.dynamodb.event_history import DynamoHistory
from enrollment.catalog import EVENT_TYPES
from enrollment.domain.values import iso
from enrollment.entrypoints import bootstrap
from enrollment.entrypoints.http_api import handler
from enrollment.serialization.envelopes import read_event, read_stored_event, write_event
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
    """Units that are read by "units", and the requests to SQS by their names."""
    found: Counter[str] = Counter()
    make_call = BASE_CLIENT._make_api_call

    def measuring(client: Any, name: str, arguments: Any) -> Any:
        answer = make_call(client, name, arguments)
        if client.meta.service_model.service_name == "sqs":
            found[name] += 1
        else:
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
