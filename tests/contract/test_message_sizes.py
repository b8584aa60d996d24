"""Messages stay within the sizes and characters that SQS accepts, and text that is not ASCII costs its UTF-8."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import event as seen
from hypothesis import strategies as st

from enroll.dead_letters.message import read_unprocessed
from enrollment.adapters.sqs import SqsQueue, SqsUnprocessed
from enrollment.config import MAX_SQS_BYTES, SQS_BYTES
from enrollment.domain.enrollment.enrollments import Announcement, Enrollment, TriggerEvent
from enrollment.domain.events.event import InvalidEvent
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.json_text import byte_length, json_text
from enrollment.domain.records.change_events import change_events
from enrollment.domain.records.record import Record, RecordUpdate, apply_change
from enrollment.serialization.envelopes import read_routed_event
from enrollment.serialization.messages import (
    MAX_MESSAGE_BYTES,
    read_message,
    write_announcement,
    write_message,
    write_outbound_event,
)
from enrollment.serialization.unprocessed import write_unprocessed
from tests.support.scenario import event
from tests.support.sqs_rules import check_message

INVALID = InvalidEvent("DETAIL_TOO_LARGE", "detail", "found 300,000 bytes, allowed are 204,800")
# A character of each length, one that JSON escapes, those that SQS refuses, and half of a surrogate pair.
CHARACTERS = 'aж…𝄞"\\\n\x00\x7f\ufffe\uffff\ud83d\udc00'
LARGEST_EVENT = 1024 * 1024


def sent(envelope: object, max_bytes: int, invalid: InvalidEvent = INVALID) -> dict[str, Any]:
    """The message as the queue accepted it."""
    messages: list[dict[str, Any]] = []

    def send_message(**message: Any) -> None:
        check_message(max_bytes, **message)
        messages.append(message)

    service: Any = SimpleNamespace(send_message=send_message)
    queue = SqsUnprocessed(service, "url", lambda *put: write_unprocessed(*put, bus="events", max_bytes=max_bytes))
    queue.put(envelope, invalid)
    (message,) = messages
    return message


def check_kept(envelope: Any, max_bytes: int, invalid: InvalidEvent = INVALID) -> bool:
    """Return whether the whole event was kept. Check that the command line can read it."""
    found = read_unprocessed(sent(envelope, max_bytes, invalid)["MessageBody"], {})
    assert found.reason == invalid.reason
    if found.truncated is None:
        assert found.event == envelope
        return True
    assert found.entry("events") is None
    written = json_text(envelope)
    assert found.truncated["bytes"] == byte_length(written)
    assert written.startswith(found.truncated["beginning"])
    return False


texts = st.text(CHARACTERS, max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def as_received(envelope: Any) -> Any:
    """Two halves of a surrogate pair become one character when JSON is read."""
    return json.loads(json.dumps(envelope))


@st.composite
def envelopes(draw: st.DrawFn) -> Any:
    """Of any shape, up to 1 MB: one text of it, a name or a list is repeated until it has the size that was drawn."""
    kind = draw(st.sampled_from(["event", "any"]))
    unit = draw(st.text(CHARACTERS, min_size=1, max_size=4))
    size = draw(st.sampled_from([LARGEST_EVENT, SQS_BYTES, SQS_BYTES // 2, 1_000]) | st.integers(0, LARGEST_EVENT))
    count = size // len(unit.encode("utf-8", "surrogatepass"))
    large = draw(
        st.sampled_from([unit * count, [unit] * (count // 2), {unit * count: 1}, {str(n): unit for n in range(50)}])
    )
    if kind == "any":
        return draw(st.sampled_from([large, [large], {"detail": large}, {"detail": {"id": large}, "id": large}]))
    envelope = event({"forms.submitted": draw(texts), "id": draw(texts), "properties": {"large": large}})
    place = draw(st.sampled_from(["id", "source", "time", "detail-type", "detail"]))
    envelope[place] = draw(values | st.just(large))
    return envelope


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(envelopes().map(as_received), st.sampled_from([SQS_BYTES, MAX_SQS_BYTES]))
def test_any_event_becomes_a_message(envelope: Any, max_bytes: int) -> None:
    is_whole = check_kept(envelope, max_bytes)
    seen(f"whole: {is_whole}")
    assert is_whole or byte_length(json_text(envelope)) > max_bytes - 2_000


@pytest.mark.verify
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(envelopes().map(as_received))
def test_rejected_event_of_any_size_is_stored_with_its_reason(envelope: Any) -> None:
    try:
        read_routed_event(envelope)
    except InvalidEvent as invalid:
        check_kept(envelope, SQS_BYTES, invalid)


@pytest.mark.parametrize("max_bytes", [SQS_BYTES, MAX_SQS_BYTES])
@pytest.mark.parametrize("unit", [*CHARACTERS])
def test_an_event_is_cut_only_where_it_must_be(unit: str, max_bytes: int) -> None:
    size = len(json_text(unit).encode()) - 2
    for count, is_whole in ((max_bytes // size - 1_000, True), (max_bytes // size, False)):
        envelope = event({"forms.submitted": "101", "id": "e", "properties": {"large": unit * count}})
        assert check_kept(envelope, max_bytes) is is_whole


def test_a_cut_event_has_its_identity_and_fills_the_message() -> None:
    envelope = event({"forms.submitted": "101", "id": "e-1", "properties": {"message": "ж" * 400_000}})

    message = sent(envelope, SQS_BYTES)

    assert byte_length(message["MessageBody"]) > SQS_BYTES - 1_000
    body = json.loads(message["MessageBody"])
    detail = {key: envelope["detail"][key] for key in ("id", "portalId", "objectType", "objectId", "occurredAt")}
    assert body["event"] == {
        **{key: envelope[key] for key in ("id", "detail-type", "source", "account", "region", "time")},
        "detail": detail,
    }
    assert body["truncated"]["archive"] == {"bus": "events", "eventId": "bus-e-1", "time": envelope["time"]}


def test_an_event_that_is_nested_too_deeply_for_python_is_cut_too() -> None:
    nested: Any = "ж" * 200_000
    for _ in range(40_000):
        nested = [nested]
    body = json.loads(sent(event({"forms.submitted": "1", "id": "e", "properties": nested}), SQS_BYTES)["MessageBody"])
    assert body["event"]["detail"]["id"] == "e"
    assert body["truncated"]["beginning"].count("[") > 39_000


def enrollment(**properties: Any) -> Enrollment:
    return Enrollment(
        id="01K",
        record_key=RecordKey("p1", "0-1", "101"),
        flow_id="1",
        flow_name="Добро пожаловать \ud83d\uffff",
        flow_revision_id="1",
        idempotency_key="p1/1/0-1/101",
        is_re_enrollment=False,
        cause=TriggerEvent(0, "forms.submitted", "4-1639801", "e1", 0, "acme", properties),
        enrolled_at=0,
    )


@pytest.mark.parametrize("unit", [*'aж…𝄞"\uffff'])
def test_the_message_of_an_enrollment_costs_its_utf_8(unit: str) -> None:
    """And is complete where it fits."""
    size = len(json_text(unit).encode()) - 2
    large = enrollment(**{f"p{number}": unit * (8_000 // size) for number in range(30)})
    batches: list[Any] = []

    def send_message_batch(QueueUrl: str, Entries: list[Any]) -> Any:
        for entry in Entries:
            check_message(SQS_BYTES, **entry)
        assert sum(len(entry["MessageBody"].encode()) for entry in Entries) <= SQS_BYTES
        batches.append(Entries)
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries]}

    service: Any = SimpleNamespace(send_message_batch=send_message_batch)
    assert list(SqsQueue(service, "url", write_message).publish([large, large])) == ["01K", "01K"]
    assert [len(batch) for batch in batches] == [1, 1]
    text = batches[0][0]["MessageBody"]
    assert read_message(text).cause.properties == large.cause.properties
    assert len(text.encode()) < 8_000 * 30 + 2_000


@pytest.mark.parametrize("unit", [*"aж𝄞\uffff"])
def test_properties_that_do_not_fit_are_left_out_by_their_bytes(unit: str) -> None:
    size = len(json_text(unit).encode()) - 2
    properties = {f"p{number:02d}": unit * (8_000 // size) for number in range(40)} | {"short": unit}
    text = write_message(enrollment(**properties))
    assert MAX_MESSAGE_BYTES - 9_000 < len(text.encode()) <= MAX_MESSAGE_BYTES
    kept = json.loads(text)["trigger"]
    assert kept["propertiesTruncated"] is True
    assert kept["properties"]["short"] == unit


def test_stored_messages_in_ascii_are_still_read() -> None:
    text = write_message(enrollment(name="жø…𝄞"))
    assert read_message(json.dumps(json.loads(text))) == read_message(text)


def test_an_announcement_costs_the_utf_8_of_the_flow_s_name() -> None:
    text = write_announcement(Announcement(enrollment(), ("1",)))
    assert "Добро" in text
    assert text.encode()
    assert json.loads(text)["properties"]["hs_flow_name"] == enrollment().flow_name


@pytest.mark.parametrize(("unit", "count"), [("x", 8_000), ("ж", 4_000), ("𝄞", 2_000)])
def test_events_of_a_change_carry_it_by_its_bytes(unit: str, count: int) -> None:
    """Eleven properties of 8 KB of any characters stay below the limit of 1 MB for all events together."""
    key = RecordKey("p1", "0-1", "101")
    before = Record(key, 0)
    for number, is_carried in ((11, True), (12, False)):
        properties = {f"p{place}": unit * count for place in range(number)}
        change = RecordUpdate(5, properties=properties)
        after = apply_change(before, key, change)
        made = list(change_events(before, after, change))
        assert len(made) == number
        assert {event.changed_with is not None for event in made} == {is_carried}
        assert all(unit in write_outbound_event(event) for event in made)
