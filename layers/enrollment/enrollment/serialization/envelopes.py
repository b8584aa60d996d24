"""Reading and writing of events in the EventBridge envelope (docs/events.md, "Envelope").

The reasons of InvalidEvent are INVALID_ENVELOPE, UNKNOWN_EVENT_TYPE, WRONG_CATEGORY, DETAIL_TOO_LARGE, DETAIL_TOO_DEEP,
MISSING_FIELD, MISSING_PROPERTY, UNKNOWN_OPTION, WRONG_TYPE, WRONG_LENGTH, BAD_CHARACTERS, BAD_NUMBER, BAD_TIME,
BAD_BOOL, GIVEN_TWICE, UNKNOWN_OBJECT_TYPE, TOO_MANY_PROPERTIES, SOURCE_NOT_ALLOWED, CHANGED_WITH_NOT_ALLOWED.
RECORD_TOO_LARGE and OCCURRED_IN_FUTURE can follow when the event is applied. The bus sets UNKNOWN_CATEGORY by a rule.
"""

import json
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from enrollment.catalog import CATEGORIES, EVENT_TYPES
from enrollment.domain.enrollment.replays import is_requested
from enrollment.domain.events.associated_change import ASSOCIATED_RECORD_CHANGED
from enrollment.domain.events.backfill import BACKFILL
from enrollment.domain.events.event import OWN_SOURCE, Event, InvalidEvent
from enrollment.domain.events.event_types import IsNotTrue
from enrollment.domain.events.manual import MANUAL
from enrollment.domain.records.change_events import OutboundEvent
from enrollment.domain.values import iso, iso_second
from enrollment.serialization.event_faults import faults_after
from enrollment.serialization.event_fields import (
    REPLAY_NAME,
    check_bool,
    check_required,
    check_trust,
    checked_properties,
    checked_time,
    nearest_event_type,
    read_chain,
    read_detail,
    read_event_type,
    read_id_field,
    read_object_id,
    read_object_type,
    read_record_properties,
    read_snapshot,
    read_text_field,
    unknown_names,
)
from enrollment.serialization.messages import write_outbound_event
from enrollment.serialization.validation_errors import expectation, hint

MAX_DETAIL_BYTES = 200 * 1024
# A stored event may be longer than its source sent it, because times and object types are normalized.
REWRITTEN_BYTES = 1024

# Event types that are not in the catalog: such events are stored, and never on the bus.
OWN_TYPES = {event_type.name: event_type for event_type in (MANUAL, BACKFILL, ASSOCIATED_RECORD_CHANGED)}

# Keys of a stored event: when its first delivery was evaluated, in milliseconds; names that its source sent and this
# version ignores.
EVALUATED_AT = "evaluatedAt"
UNKNOWN_NAMES = "unknownNames"


def read_event(
    envelope: object, category: str, *, allowed_bytes: int = MAX_DETAIL_BYTES, is_stored: bool = False
) -> Event:
    """Read an event. Raises InvalidEvent for the first rule that the envelope breaks, with all further faults.

    ``category``: of the function that reads it; an event of another category is rejected. ``allowed_bytes``: of the
    detail. ``is_stored``: the event was accepted before, so the permissions of its source are not checked again.
    """
    try:
        return _read_event(envelope, category, allowed_bytes, is_stored=is_stored)
    except InvalidEvent as first:
        # Valid events do not pay for the search for further faults.
        first.further = faults_after(first, envelope, category, allowed_bytes, is_stored=is_stored)
        raise


def _read_event(envelope: object, category: str, allowed_bytes: int, *, is_stored: bool) -> Event:
    if not isinstance(envelope, dict):
        raise InvalidEvent("INVALID_ENVELOPE", "$", expectation("an EventBridge event", envelope))
    event_type = OWN_TYPES.get(str(envelope.get("detail-type"))) if is_stored else None
    if event_type is None:
        event_type = read_event_type(envelope, category)
    detail = read_detail(envelope, allowed_bytes)
    sent_at, is_to_second = checked_time("time", envelope.get("time"), "INVALID_ENVELOPE")
    occurred_at = sent_at
    if detail.get("occurredAt") is not None:
        occurred_at, is_to_second = checked_time("detail.occurredAt", detail["occurredAt"])
    fallback_id = read_text_field(envelope, "", "id", 128, "INVALID_ENVELOPE")
    source = read_text_field(envelope, "", "source", 256, "INVALID_ENVELOPE")
    if not is_stored:
        check_trust(event_type, source, detail)

    type_id = read_object_type(detail)
    raw_properties = detail.get("properties")
    properties = {} if raw_properties is None else checked_properties("detail.properties", raw_properties)
    for name in event_type.required:
        check_required(event_type, name, properties)
    for rule in event_type.rules:
        if isinstance(rule, IsNotTrue):
            check_bool(rule.property, properties.get(rule.property))
    return Event(
        id=read_id_field(detail, "id", 128) if detail.get("id") is not None else fallback_id,
        event_type=event_type,
        portal_id=read_id_field(detail, "portalId", 64),
        object_type_id=type_id,
        object_id=read_object_id(detail.get("objectId")),
        occurred_at=occurred_at,
        sent_at=sent_at,
        source=source,
        properties=properties,
        record_properties=read_snapshot(detail),
        changed_with=read_record_properties("detail.changedWith", detail.get("changedWith")) or {},
        chain=read_chain(detail.get("chain")),
        is_to_second=is_to_second,
        unknown_names=() if is_stored else unknown_names(event_type, detail, properties),
    )


def read_routed_event(envelope: object) -> Event:
    """Read an event by its own category, as the bus routes it. Raises InvalidEvent, also for an unknown category."""
    name = envelope.get("detail-type") if isinstance(envelope, dict) else None
    category = name.partition(".")[0] if isinstance(name, str) else ""
    if isinstance(name, str) and category not in CATEGORIES:
        raise InvalidEvent(
            "UNKNOWN_CATEGORY",
            "detail-type",
            expectation("an event type like forms.submitted", name) + hint(nearest_event_type(name)),
        )
    return read_event(envelope, category)


def replay_name(envelope: object) -> str | None:
    """Return the name of the requested replay that delivered the event. None: no such replay did.

    EventBridge sets the name in the envelope. A replayed event that was sent again has it in the detail. If that event
    is replayed in turn, the envelope takes precedence.
    """
    if not isinstance(envelope, dict):
        return None
    detail = envelope.get("detail")
    named = envelope if REPLAY_NAME in envelope else detail if isinstance(detail, dict) else {}
    name = named.get(REPLAY_NAME)
    return name if isinstance(name, str) and is_requested(name) else None


def write_event(event: Event) -> dict[str, Any]:
    """Return the normalized envelope of an event, for ``read_stored_event``. The event's ID is in the envelope only, so
    that the detail does not become longer."""
    detail: dict[str, Any] = {
        "portalId": event.portal_id,
        "objectType": event.object_type_id,
        "objectId": event.object_id,
        "properties": dict(event.properties),
    }
    if event.is_to_second or event.given_time != event.sent_at:
        detail["occurredAt"] = iso_second(event.given_time) if event.is_to_second else iso(event.given_time)
    if event.record_properties is not None:
        detail["record"] = {"properties": dict(event.record_properties)}
    if event.changed_with:
        detail["changedWith"] = dict(event.changed_with)
    if event.chain:
        detail["chain"] = list(event.chain)
    return {
        "id": event.id,
        "detail-type": event.event_type.name,
        "source": event.source,
        "time": iso(event.sent_at),
        "detail": detail,
        **({} if event.evaluated_at is None else {EVALUATED_AT: event.evaluated_at}),
        **({UNKNOWN_NAMES: list(event.unknown_names)} if event.unknown_names else {}),
    }


def read_stored_event(envelope: Mapping[str, Any]) -> Event:
    """Read an event that ``write_event`` wrote."""
    name = envelope["detail-type"]
    allowed_bytes = MAX_DETAIL_BYTES + REWRITTEN_BYTES
    event = read_event(envelope, name.partition(".")[0], allowed_bytes=allowed_bytes, is_stored=True)
    if UNKNOWN_NAMES in envelope:
        event = replace(event, unknown_names=tuple(envelope[UNKNOWN_NAMES]))
    return event.evaluated(envelope[EVALUATED_AT]) if EVALUATED_AT in envelope else event


def check_production(event: OutboundEvent) -> None:
    """Raise InvalidEvent if the event would be rejected when the bus delivers it."""
    envelope = {
        "id": event.id,
        "detail-type": event.event_type,
        "source": OWN_SOURCE,
        "time": iso(event.occurred_at),
        "detail": json.loads(write_outbound_event(event)),
    }
    read_event(envelope, EVENT_TYPES[event.event_type].category)
