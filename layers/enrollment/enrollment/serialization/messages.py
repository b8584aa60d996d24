"""The message on the enrollments queue (docs/enrollments.md), both ways."""

import json
from typing import Any

from enrollment.domain.enrollment.enrollments import Announcement, Enrollment, StoredEnrollment, TriggerEvent
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.json_text import byte_length, json_text
from enrollment.domain.records.change_events import OutboundEvent
from enrollment.domain.values import Properties, iso, iso_second, read_instant

SCHEMA_VERSION = "1.0"

# The queue takes 256 KB with the message attributes; ids of at most 128 characters leave room enough in the rest.
MAX_MESSAGE_BYTES = 250_000


def write_message(enrollment: Enrollment) -> str:
    """Properties that would exceed the limit, in bytes of UTF-8, are left out, the longest first."""
    cause = enrollment.cause
    text = _dump(enrollment, cause.properties, truncated=False)
    size = byte_length(text)
    if size <= MAX_MESSAGE_BYTES:
        return text
    excess = size - MAX_MESSAGE_BYTES + len(', "propertiesTruncated": true')
    sizes = {name: byte_length(json_text({name: value})) for name, value in cause.properties.items()}
    kept = dict(cause.properties)
    for name in sorted(sizes, key=lambda one: (-sizes[one], one)):
        if excess <= 0:
            break
        del kept[name]
        excess -= sizes[name]
    return _dump(enrollment, kept, truncated=True)


def read_message(text: str) -> Enrollment:
    """What write_message wrote; a property left out there is missing here."""
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
    """The ``Detail`` of ``workflows.enrolled``."""
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


def write_outbound_event(production: OutboundEvent) -> str:
    """The ``Detail`` of an event that a change made here puts on the bus."""
    key = production.record_key
    detail: dict[str, Any] = {
        "id": production.id,
        "portalId": key.portal_id,
        "objectType": key.object_type_id,
        "objectId": key.object_id,
        "occurredAt": (iso_second if production.is_to_second else iso)(production.occurred_at),
        "properties": dict(production.properties),
    }
    if production.record_properties is not None:
        detail["record"] = {"properties": dict(production.record_properties)}
    if production.changed_with is not None:
        detail["changedWith"] = dict(production.changed_with)
    return json_text(detail)


def write_stored(stored: StoredEnrollment) -> dict[str, Any]:
    """The message, with what is noted of its delivery."""
    message: dict[str, Any] = json.loads(write_message(stored.enrollment))
    due = {} if stored.due_at is None else {"dueAt": iso(stored.due_at)}
    return message | {"isPublished": stored.is_published, "isAnnounced": stored.is_announced} | due
