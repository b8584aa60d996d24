"""Reading and writing of messages on the enrollments queue, and of the events that this system publishes
(docs/enrollments.md)."""

import json
from typing import Any

from enrollment.domain.enrollment.enrollments import Announcement, Enrollment, StoredEnrollment, TriggerEvent
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.json_text import byte_length, json_text
from enrollment.domain.records.change_events import OutboundEvent
from enrollment.domain.values import Properties, iso, iso_second, read_instant

SCHEMA_VERSION = "1.0"

# SQS limits a message with its attributes to 256 KB. The attributes are IDs of at most 128 characters.
MAX_MESSAGE_BYTES = 250_000


def write_message(enrollment: Enrollment) -> str:
    """Return the JSON of a message of at most MAX_MESSAGE_BYTES in UTF-8. Omit the longest properties if needed."""
    cause = enrollment.cause
    text = _dump(enrollment, cause.properties, truncated=False)
    size = byte_length(text)
    if size <= MAX_MESSAGE_BYTES:
        return text
    excess = size - MAX_MESSAGE_BYTES + len(', "propertiesTruncated": true')
    sizes = {name: byte_length(json_text({name: value})) for name, value in cause.properties.items()}
    kept = dict(cause.properties)
    for name in sorted(sizes, key=lambda key: (-sizes[key], key)):
        if excess <= 0:
            break
        del kept[name]
        excess -= sizes[name]
    return _dump(enrollment, kept, truncated=True)


def read_message(text: str) -> Enrollment:
    """Read what ``write_message`` wrote. Omitted properties are missing."""
    message: dict[str, Any] = json.loads(text)
    trigger = message["trigger"]
    return Enrollment(
        id=message["enrollmentId"],
        record_key=RecordKey(message["portalId"], message["objectTypeId"], message["objectId"]),
        flow_id=message["flowId"],
        flow_name=message["flowName"],
        flow_revision_id=message["flowRevisionId"],
        idempotency_key=message["idempotencyKey"],
        is_re_enrollment=message["isReEnrollment"],
        cause=TriggerEvent(
            group_index=trigger["groupIndex"],
            event_type=trigger["eventType"],
            event_type_id=trigger["eventTypeId"],
            event_id=trigger["eventId"],
            occurred_at=_instant(trigger["occurredAt"]),
            source=trigger["source"],
            properties=trigger["properties"],
            name=trigger.get("change", ""),
        ),
        enrolled_at=_instant(message["enrolledAt"]),
    )


def _dump(enrollment: Enrollment, properties: Properties, *, truncated: bool) -> str:
    cause = enrollment.cause
    trigger: dict[str, Any] = {
        "groupIndex": cause.group_index,
        "eventType": cause.event_type,
        "eventTypeId": cause.event_type_id,
        "eventId": cause.event_id,
        "occurredAt": iso(cause.occurred_at),
        "source": cause.source,
        "properties": dict(properties),
    }
    if cause.name:
        trigger["change"] = cause.name
    if truncated:
        trigger["propertiesTruncated"] = True
    return json_text(
        {
            "schemaVersion": SCHEMA_VERSION,
            "enrollmentId": enrollment.id,
            "idempotencyKey": enrollment.idempotency_key,
            "portalId": enrollment.record_key.portal_id,
            "flowId": enrollment.flow_id,
            "flowName": enrollment.flow_name,
            "flowRevisionId": enrollment.flow_revision_id,
            "objectTypeId": enrollment.record_key.object_type_id,
            "objectId": enrollment.record_key.object_id,
            "isReEnrollment": enrollment.is_re_enrollment,
            "trigger": trigger,
            "enrolledAt": iso(enrollment.enrolled_at),
        }
    )


def _instant(text: str) -> int:
    instant = read_instant(text)
    assert instant is not None, text
    return instant


def write_announcement(announcement: Announcement) -> str:
    """Return the ``Detail`` of the event ``workflows.enrolled``."""
    enrollment = announcement.enrollment
    return json_text(
        {
            "id": enrollment.id,
            "portalId": enrollment.record_key.portal_id,
            "objectType": enrollment.record_key.object_type_id,
            "objectId": enrollment.record_key.object_id,
            "occurredAt": iso(enrollment.enrolled_at),
            "properties": {"hs_flow_id": enrollment.flow_id, "hs_flow_name": enrollment.flow_name},
            "chain": list(announcement.chain),
        }
    )


def write_outbound_event(event: OutboundEvent) -> str:
    """Return the ``Detail`` of an event about a change through the records API."""
    key = event.record_key
    detail: dict[str, Any] = {
        "id": event.id,
        "portalId": key.portal_id,
        "objectType": key.object_type_id,
        "objectId": key.object_id,
        "occurredAt": (iso_second if event.is_to_second else iso)(event.occurred_at),
        "properties": dict(event.properties),
    }
    if event.record_properties is not None:
        detail["record"] = {"properties": dict(event.record_properties)}
    if event.changed_with is not None:
        detail["changedWith"] = dict(event.changed_with)
    return json_text(detail)


def write_stored(stored: StoredEnrollment) -> dict[str, Any]:
    """Return the message of an enrollment with the state of its delivery."""
    message: dict[str, Any] = json.loads(write_message(stored.enrollment))
    due = {} if stored.due_at is None else {"dueAt": iso(stored.due_at)}
    return message | {"isPublished": stored.is_published, "isAnnounced": stored.is_announced} | due
