"""JSON Schemas of the events in the EventBridge envelope and of the enrollment message, generated from the catalog.

    python -m enrollment.serialization.schemas events/schemas

The schemas are for authors and their editors. ``serialization.envelopes`` decides which events are accepted. Rules that
a schema cannot express (sizes in bytes, depth, unpaired surrogates) are in its descriptions.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from enrollment.catalog import EVENT_TYPES
from enrollment.domain.enrollment.loop_detection import ENROLLED
from enrollment.domain.events.event import OWN_SOURCE
from enrollment.domain.events.event_types import EventType, Property, PropertyType
from enrollment.domain.events.own_types import ASSOCIATED_RECORD_EVENT, BACKFILL_EVENT, MANUAL_EVENT
from enrollment.domain.identifiers import OBJECT_TYPE_IDS
from enrollment.domain.values import BOOLS
from enrollment.serialization.envelopes import MAX_DETAIL_BYTES
from enrollment.serialization.event_fields import MAX_CHAIN_PARTS, MAX_NAME, MAX_PROPERTIES, MAX_VALUE_BYTES
from enrollment.serialization.messages import MAX_MESSAGE_BYTES, SCHEMA_VERSION

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"

_READ_AS = {
    PropertyType.STRING: "Text.",
    PropertyType.ENUMERATION: "An option; several are one text joined with `;`, or a list.",
    PropertyType.NUMBER: "A number, or a text that is one.",
    PropertyType.BOOL: f"{BOOLS.capitalize()}; a boolean, a number, or a text in any case.",
    PropertyType.DATETIME: "Epoch milliseconds, or ISO-8601.",
}

# The notations that ``read_time`` accepts: ISO-8601, epoch seconds, epoch milliseconds.
TIMES: list[Schema] = [
    {"type": "string", "format": "date-time"},
    {"type": "string", "pattern": "^([0-9]{9,10}|[0-9]{12,13})$"},
    {"type": "integer", "minimum": 10**8, "exclusiveMaximum": 10**10},
    {"type": "number", "minimum": 10**11, "exclusiveMaximum": 10**13},
]

_VALUE: Schema = {
    "description": f"A text of at most {MAX_VALUE_BYTES} bytes (a list: joined with `;`), a number, a boolean or null.",
    "anyOf": [
        {"type": "string", "maxLength": MAX_VALUE_BYTES},
        {"type": ["number", "boolean", "null"]},
        {"type": "array", "items": {"type": "string"}},
    ],
}


_BLANK: Schema = {"type": "string", "pattern": "^\\s*$"}
_GIVEN: Schema = {
    "description": "Not empty, and not only blanks.",
    "not": {"anyOf": [{"type": "null"}, _BLANK, {"type": "array", "items": _BLANK}]},
}


def event_schema(event_type: EventType) -> Schema:
    """Return the schema of an event type in the EventBridge envelope. Unknown keys are allowed everywhere."""
    return {
        "$schema": _DIALECT,
        "$id": f"urn:enroll:event:{event_type.name}",
        "title": event_type.label,
        "description": f"{event_type.name}: can trigger flows of {event_type.object_types.label}.",
        "type": "object",
        "required": ["id", "detail-type", "source", "time", "detail"],
        "properties": {
            "version": {"type": "string"},
            "id": _text(128, "The bus's id of the event."),
            "detail-type": {"const": event_type.name},
            "source": _text(256, "Who produced the event, e.g. acme.website.")
            if event_type.name != ENROLLED
            else {"const": OWN_SOURCE, "description": "Only the stack itself sends it."},
            "account": {"type": "string"},
            "time": {"type": "string", "format": "date-time"},
            "region": {"type": "string"},
            "resources": {"type": "array", "items": {"type": "string"}},
            "detail": _detail(event_type),
        },
        "$defs": {"value": _VALUE, "given": _GIVEN},
    }


def enrollment_schema() -> Schema:
    """Return the schema of a message on the enrollments queue."""
    identifier = {"type": "string", "minLength": 1}
    moment = {"type": "string", "format": "date-time"}
    trigger = {
        "groupIndex": {
            "type": ["integer", "null"],
            "minimum": 0,
            "description": "The trigger group: eventFilterBranches first, then listMembershipFilterBranches. Of a "
            "filter-based flow, the branch of listFilterBranch. Null for a manual enrollment and for a backfill.",
        },
        "eventType": {
            "enum": [*EVENT_TYPES, ASSOCIATED_RECORD_EVENT, MANUAL_EVENT, BACKFILL_EVENT],
            "description": f"As what the event triggered. {MANUAL_EVENT}: a caller enrolled the record. "
            f"{BACKFILL_EVENT}: a backfill did. {ASSOCIATED_RECORD_EVENT}: an associated record changed.",
        },
        "eventTypeId": {"type": ["string", "null"], "description": "HubSpot's id of it; null where there is none."},
        "eventId": identifier,
        "occurredAt": moment,
        "source": identifier,
        "properties": {
            "type": "object",
            "additionalProperties": {"$ref": "#/$defs/value"},
            "description": "The event's properties, those that were derived included.",
        },
    }
    message = {
        "schemaVersion": {"const": SCHEMA_VERSION},
        "enrollmentId": identifier | {"description": "The same on every copy of the message."},
        "idempotencyKey": identifier,
        "portalId": identifier,
        "flowId": identifier,
        "flowName": {"type": "string"},
        "flowRevisionId": identifier,
        "objectTypeId": {"type": "string", "pattern": "^[02]-[0-9]{1,16}$"},
        "objectId": identifier,
        "isReEnrollment": {"type": "boolean", "description": "Whether the record has been in the flow before."},
        "trigger": {
            "type": "object",
            "required": list(trigger),
            "properties": trigger
            | {
                "change": {
                    "type": "string",
                    "pattern": "^at:",
                    "description": "Of a filter-based flow only: the name of the change at which the record came to "
                    "meet the criteria.",
                },
                "propertiesTruncated": {
                    "const": True,
                    "description": f"Properties were left out: a message is at most {MAX_MESSAGE_BYTES} bytes.",
                },
            },
        },
        "enrolledAt": moment,
    }
    return {
        "$schema": _DIALECT,
        "$id": "urn:enroll:enrollment",
        "title": "Enrollment",
        "description": "A record enters a flow: a message on the enrollments queue.",
        "type": "object",
        "required": list(message),
        "properties": message,
        "$defs": {"value": _VALUE},
    }


def all_schemas() -> dict[str, Schema]:
    """Return all schemas by the path of their file in the folder of schemas."""
    events = {
        f"{event_type.name.replace('.', '/')}.json": event_schema(event_type) for event_type in EVENT_TYPES.values()
    }
    return events | {"enrollment.json": enrollment_schema()}


def written(schema: Schema) -> str:
    """Return the text of a schema's file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def write_schemas(folder: Path) -> None:
    """Write the files of all schemas. Existing files are overwritten."""
    for name, schema in all_schemas().items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(written(schema), encoding="utf-8")


def _detail(event_type: EventType) -> Schema:
    required = ["portalId", "objectType", *(["properties"] if event_type.required else [])]
    return {
        "type": "object",
        "description": f"At most {MAX_DETAIL_BYTES} bytes.",
        "required": required,
        "properties": {
            "id": {
                "description": "The producer's id of this event, its idempotency key. Absent or null: the bus's id.",
                "anyOf": [_text(128), {"type": ["integer", "null"]}],
            },
            "portalId": {"description": "The tenant.", "anyOf": [_text(64), {"type": "integer"}]},
            "objectType": _text(
                64, "The name of a standard object type, its plural or its id, or a custom object 2-<n>; any case."
            )
            | {"pattern": "^([A-Za-z_]+|[02]-[0-9]{1,16})$", "examples": [*OBJECT_TYPE_IDS, "0-1", "2-77"]},
            "objectId": {
                "description": "The record that the event is about. Absent or null: an unknown visitor.",
                "anyOf": [_text(128), {"type": ["integer", "null"]}],
            },
            "occurredAt": {
                "description": "ISO-8601 with a zone, epoch seconds, or epoch milliseconds. "
                "Absent or null: the time of the envelope.",
                "anyOf": [*TIMES, {"type": "null"}],
            },
            "properties": _properties(event_type.properties, event_type.required),
            "record": {
                "type": ["object", "null"],
                "description": "A snapshot of the record, applied before the event is evaluated.",
                "properties": {"properties": _properties()},
            },
            "changedWith": _properties()
            | {"description": "Properties that changed together with what the event tells; seen, not stored."}
            if event_type.changes_properties
            else {"description": "Only crm events have it.", "type": ["object", "null"], "maxProperties": 0},
            "chain": {
                "description": "The flows that led to this event: only the system's own events have it.",
                "type": ["array", "null"],
                "maxItems": MAX_CHAIN_PARTS,
                "items": _text(128),
            },
        },
    }


def _properties(known: Sequence[Property] = (), required: Sequence[str] = ()) -> Schema:
    schema: Schema = {
        "type": "object" if required else ["object", "null"],
        "maxProperties": MAX_PROPERTIES,
        "propertyNames": {"minLength": 1, "maxLength": MAX_NAME},
        "additionalProperties": {"$ref": "#/$defs/value"},
    }
    if known:
        schema["properties"] = {prop.name: _property(prop, prop.name in required) for prop in known}
    if required:
        schema["required"] = list(required)
    return schema


def _property(known: Property, is_required: bool) -> Schema:
    schema: Schema = {
        "title": known.label,
        "description": "Of any type." if known.holds_any_type else _READ_AS[known.type],
    }
    if known.options:
        # Examples instead of an enumeration, because case is ignored and HubSpot may add options.
        schema["examples"] = list(known.options)
    elif known.type is PropertyType.BOOL:
        schema["examples"] = [True, False]
    schema["$ref"] = "#/$defs/value"
    if is_required:
        schema["allOf"] = [{"$ref": "#/$defs/given"}]
    return schema


def _text(longest: int, description: str | None = None) -> Schema:
    schema: Schema = {"type": "string", "minLength": 1, "maxLength": longest}
    return schema if description is None else {"description": description, **schema}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m enrollment.serialization.schemas <folder>")
    write_schemas(Path(sys.argv[1]))
