"""An event that is simulated over HTTP."""

from typing import Any

import pytest

from tests.api.portal import example_portal
from tests.scenarios.scenario import event

PATH = "/enrollment/v1/simulate"
SUBMITTED = {"hs_form_id": "f-1"}


def submitted(record: str, **given: Any) -> dict[str, Any]:
    return event({"forms.submitted": record, "id": "s", "properties": SUBMITTED, "at": "2030-01-01T00:00:00Z"} | given)


@pytest.mark.parametrize("record", ["101", "103", "999"])
def test_it_is_decided_as_the_real_one_and_leaves_no_trace(record: str) -> None:
    api = example_portal()
    before = repr((api.world.records.records, api.world.enrollments.items, api.world.queue.messages))

    answer = api("POST", PATH, {"event": submitted(record)})

    assert repr((api.world.records.records, api.world.enrollments.items, api.world.queue.messages)) == before
    decided = [(one.flow_id, one.code.value) for one in api.world.deliver(submitted(record))]
    assert answer.json["eventId"] == "s"
    assert [(one["flowId"], one["code"]) for one in answer.json["decisions"]] == decided
    assert decided != []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"detail-type": "weather.changed"}, "UNKNOWN_CATEGORY"),
        ({"detail-type": "forms.vanished"}, "UNKNOWN_EVENT_TYPE"),
        ({"detail-type": None}, "INVALID_ENVELOPE"),
        ({"detail": "text"}, "INVALID_ENVELOPE"),
    ],
)
def test_what_would_be_refused_has_its_reason(change: dict[str, Any], reason: str) -> None:
    answer = example_portal()("POST", PATH, {"event": submitted("101") | change})
    assert (answer.status, answer.json["unprocessed"]["reason"]) == (200, reason)
    assert "decisions" not in answer.json


def test_the_event_is_of_the_portal_that_the_request_is_about() -> None:
    api = example_portal()
    assert api("POST", PATH, {"event": submitted("101", portal="p2")}).faults == [
        ("$.event.detail.portalId", "OTHER_PORTAL")
    ]
    assert api("POST", PATH, {}).faults == [("$.event", "WRONG_TYPE")]
