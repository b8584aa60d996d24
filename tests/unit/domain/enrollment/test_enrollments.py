"""Causes of enrollments, and the detection of two events with one ID."""

from typing import Any

import pytest
from msgspec.structs import replace

from enrollment.catalog import EVENT_TYPES
from enrollment.domain.enrollment.decisions import Match
from enrollment.domain.enrollment.enrollments import (
    change_cause,
    enroll,
    has_other_content,
    idempotency_key,
    trigger_event,
)
from enrollment.domain.events.event import Event, occurrences
from enrollment.domain.flows.flow import Flow, revised
from enrollment.domain.identifiers import RecordKey
from enrollment.serialization.envelopes import read_routed_event
from enrollment.serialization.flows import read_flow
from tests.support.scenario import event, flow

KEY = RecordKey("p1", "0-1", "101")


def submission(**fields: Any) -> Event:
    properties = {"hs_form_id": "f-1", "hs_page_id": "p-1"}
    return read_routed_event(event({"forms.submitted": "101", "id": "e1", "properties": properties, **fields}))


def form_flow(**fields: Any) -> Flow:
    return read_flow(revised(None, "p1", "1", flow({"id": 1, "event": "4-1639801", **fields}), 0))


def match_of(sent: Event, triggered: Flow) -> Match:
    return Match(triggered.groups[0], occurrences(sent, EVENT_TYPES)[0])


CAUSE = trigger_event(match_of(submission(), form_flow()), submission())


def test_the_cause_names_the_trigger_group_and_the_event() -> None:
    assert (CAUSE.group_index, CAUSE.event_type, CAUSE.event_type_id) == (0, "forms.submitted", "4-1639801")
    assert (CAUSE.event_id, CAUSE.source, CAUSE.occurred_at) == ("e1", "acme", submission().occurred_at)
    assert CAUSE.properties["hs_form_id"] == "f-1"
    assert CAUSE.name == ""


def test_the_cause_in_a_filter_based_flow_names_the_change() -> None:
    cause = change_cause(match_of(submission(), form_flow()), submission(), 7, "at:x")
    assert cause == replace(CAUSE, occurred_at=7, name="at:x")


def test_an_enrollment_has_the_name_and_the_revision_of_its_flow() -> None:
    triggered = form_flow()
    enrollment = enroll(triggered, CAUSE, KEY, enrolled_before=False, enrollment_id="E1", now=9)
    assert (enrollment.id, enrollment.flow_id, enrollment.flow_name) == ("E1", "1", "Flow 1")
    assert enrollment.flow_revision_id == triggered.revision_id
    assert enrollment.idempotency_key == idempotency_key(KEY, triggered, CAUSE)
    assert (enrollment.is_re_enrollment, enrollment.cause, enrollment.enrolled_at) == (False, CAUSE, 9)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (submission(), False),
        (submission(at="2026-11-23T10:00:00.001Z"), True),
        # A time that is known to the second, or that the system replaced, is not compared.
        (submission(at="2026-11-23T10:00:05Z"), False),
        (replace(submission(at="2026-11-23T10:00:00.001Z"), claimed_at=1), False),
        (submission(properties={"hs_form_id": "f-2", "hs_page_id": "p-1"}), True),
        # Properties can be missing from a message that was too large, and an empty value is a missing one.
        (submission(properties={"hs_form_id": "f-1"}), False),
        (submission(properties={"hs_form_id": "f-1", "hs_page_id": ""}), False),
        (submission(properties={"hs_form_id": "f-1", "hs_new": "x"}), False),
    ],
)
def test_an_event_with_the_same_id_and_other_content_is_recognized(other: Event, expected: bool) -> None:
    assert has_other_content(CAUSE, other, occurrences(other, EVENT_TYPES)) is expected


def test_an_event_of_another_type_has_other_content() -> None:
    visit = read_routed_event(event({"website.page_visited": "101", "id": "e1", "properties": {"hs_url": "https://a"}}))
    assert has_other_content(CAUSE, visit, occurrences(visit, EVENT_TYPES))
    assert has_other_content(replace(CAUSE, event_type="crm.object_created"), submission(), ())


def test_the_time_of_a_change_is_not_the_time_of_its_event() -> None:
    cause = replace(CAUSE, occurred_at=7, name="at:x")
    assert not has_other_content(cause, submission(), occurrences(submission(), EVENT_TYPES))
