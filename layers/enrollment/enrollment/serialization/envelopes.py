"""Reading and writing of events in the EventBridge envelope (docs/events.md, "Envelope").

The reasons of InvalidEvent are INVALID_ENVELOPE, UNKNOWN_EVENT_TYPE, WRONG_CATEGORY, DETAIL_TOO_LARGE, DETAIL_TOO_DEEP,
MISSING_FIELD, MISSING_PROPERTY, UNKNOWN_OPTION, WRONG_TYPE, WRONG_LENGTH, BAD_CHARACTERS, BAD_NUMBER, BAD_TIME,
BAD_BOOL, GIVEN_TWICE, UNKNOWN_OBJECT_TYPE, TOO_MANY_PROPERTIES, SOURCE_NOT_ALLOWED, CHANGED_WITH_NOT_ALLOWED.
RECORD_TOO_LARGE and OCCURRED_IN_FUTURE can follow when the event is applied. The bus sets UNKNOWN_CATEGORY by a rule.
"""

import json
import unicodedata
from collections.abc import Mapping
from typing import Any

from enrollment.catalog import CATEGORIES, EVENT_TYPES
from enrollment.domain.enrollment.loop_detection import ENROLLED
from enrollment.domain.enrollment.replays import is_requested
from enrollment.domain.events.event import OWN_SOURCE, Event, InvalidEvent
from enrollment.domain.events.event_types import EventType, IsNotTrue
from enrollment.domain.events.manual import MANUAL
from enrollment.domain.identifiers import OBJECT_TYPE_IDS, object_type_id
from enrollment.domain.records.change_events import OutboundEvent
from enrollment.domain.values import (
    BOOLS,
    LATEST,
    SEPARATOR,
    Instant,
    Properties,
    Value,
    are_names,
    as_text,
    fold,
    is_missing,
    iso,
    iso_second,
    read_bool,
    read_name,
    read_text,
    read_time,
)
from enrollment.serialization.messages import write_outbound_event
from enrollment.serialization.validation_errors import expectation, expectation_of, suggestion

MAX_DETAIL_BYTES = 200 * 1024
# A stored event may be longer than its source sent it, because times and object types are normalized.
REWRITTEN_BYTES = 1024
MAX_DEPTH = 32
MAX_PROPERTIES = 200
MAX_NAME = 128
MAX_VALUE_BYTES = 8 * 1024
MAX_CHAIN_PARTS = 100
MAX_NUMBER = 10**38
# The largest integer up to which a float represents every integer exactly.
MAX_EXACT = 2**53
_NESTED = (dict, list)
# Required properties with a single value. In other properties a semicolon separates several values.
_NAMES = {"hs_name": "property name", "hs_list_id": "list id"}

# EventBridge's key in the envelope of a replayed event. A replayed event that is sent again has it in the detail.
REPLAY_NAME = "replay-name"

# Key of a stored event: when its first delivery was evaluated, in milliseconds.
EVALUATED_AT = "evaluatedAt"


def read_event(
    envelope: object, category: str, *, allowed_bytes: int = MAX_DETAIL_BYTES, is_stored: bool = False
) -> Event:
    """Read an event. Raises InvalidEvent for the first rule that the envelope breaks.

    ``category``: of the function that reads it; an event of another category is rejected. ``allowed_bytes``: of the
    detail. ``is_stored``: the event was accepted before, so the permissions of its source are not checked again.
    """
    if not isinstance(envelope, dict):
        raise InvalidEvent("INVALID_ENVELOPE", "$", expectation("an EventBridge event", envelope))
    event_type = MANUAL if is_stored and envelope.get("detail-type") == MANUAL.name else _event_type(envelope, category)
    detail = _detail(envelope, allowed_bytes)
    sent_at, is_to_second = checked_time("time", envelope.get("time"), "INVALID_ENVELOPE")
    occurred_at = sent_at
    if detail.get("occurredAt") is not None:
        occurred_at, is_to_second = checked_time("detail.occurredAt", detail["occurredAt"])
    fallback_id = _text(envelope, "", "id", 128, "INVALID_ENVELOPE")
    source = _text(envelope, "", "source", 256, "INVALID_ENVELOPE")
    if not is_stored:
        _check_trust(event_type, source, detail)

    object_type = _text(detail, "detail.", "objectType", 64)
    type_id = object_type_id(object_type)
    if type_id is None:
        allowed = "contact, company, deal…, a HubSpot id like 0-1, or a custom object 2-<n>"
        near = suggestion(object_type, OBJECT_TYPE_IDS)
        raise InvalidEvent("UNKNOWN_OBJECT_TYPE", "detail.objectType", expectation(allowed, object_type) + near)
    raw_properties = detail.get("properties")
    properties = {} if raw_properties is None else checked_properties("detail.properties", raw_properties)
    for name in event_type.required:
        _check_required(event_type, name, properties.get(name))
    for rule in event_type.rules:
        if isinstance(rule, IsNotTrue):
            _check_bool(rule.property, properties.get(rule.property))
    return Event(
        id=_text(detail, "detail.", "id", 128) if detail.get("id") is not None else fallback_id,
        event_type=event_type,
        portal_id=_text(detail, "detail.", "portalId", 64),
        object_type_id=type_id,
        object_id=_object_id(detail.get("objectId")),
        occurred_at=occurred_at,
        sent_at=sent_at,
        source=source,
        properties=properties,
        record_properties=_snapshot(detail),
        changed_with=_record_properties("detail.changedWith", detail.get("changedWith")) or {},
        chain=checked_chain(detail.get("chain")),
        is_to_second=is_to_second,
    )


def read_routed_event(envelope: object) -> Event:
    """Read an event by its own category, as the bus routes it. Raises InvalidEvent, also for an unknown category."""
    name = envelope.get("detail-type") if isinstance(envelope, dict) else None
    category = name.partition(".")[0] if isinstance(name, str) else ""
    if isinstance(name, str) and category not in CATEGORIES:
        raise InvalidEvent(
            "UNKNOWN_CATEGORY",
            "detail-type",
            expectation("an event type like forms.submitted", name),
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
    }


def read_stored_event(envelope: Mapping[str, Any]) -> Event:
    """Read an event that ``write_event`` wrote."""
    name = envelope["detail-type"]
    allowed_bytes = MAX_DETAIL_BYTES + REWRITTEN_BYTES
    event = read_event(envelope, name.partition(".")[0], allowed_bytes=allowed_bytes, is_stored=True)
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


def _event_type(envelope: Mapping[str, Any], category: str) -> EventType:
    name = envelope.get("detail-type")
    if not isinstance(name, str):
        raise InvalidEvent("INVALID_ENVELOPE", "detail-type", expectation("an event type", name))
    event_type = EVENT_TYPES.get(name)
    if event_type is not None and event_type.category == category:
        return event_type
    names = [known.name for known in CATEGORIES[category].event_types]
    if event_type is not None:
        raise InvalidEvent(
            "WRONG_CATEGORY", "detail-type", expectation(f"one of {', '.join(names)} for this function", name)
        )
    raise InvalidEvent(
        "UNKNOWN_EVENT_TYPE",
        "detail-type",
        expectation(f"{', '.join(names)}{suggestion(name, names)}", name),
    )


def _check_trust(event_type: EventType, source: str, detail: Mapping[str, Any]) -> None:
    """Check what only some producers may send (docs/security.md, "Who may say what on the bus")."""
    if event_type.name == ENROLLED and source != OWN_SOURCE:
        raise InvalidEvent(
            "SOURCE_NOT_ALLOWED",
            "source",
            expectation(OWN_SOURCE, source, f"Only the stack itself may put {ENROLLED} on the bus"),
        )
    if detail.get("changedWith") and not event_type.changes_properties:
        raise InvalidEvent(
            "CHANGED_WITH_NOT_ALLOWED",
            "detail.changedWith",
            expectation(
                f"no changedWith in {event_type.name}",
                detail["changedWith"],
                "Put the properties of the record into detail.record.properties",
            ),
        )


def _detail(envelope: Mapping[str, Any], allowed_bytes: int) -> dict[str, Any]:
    detail = envelope.get("detail")
    if not isinstance(detail, dict):
        raise InvalidEvent("INVALID_ENVELOPE", "detail", expectation("an object", detail))
    _check_depth(detail)
    # A character of Python's notation takes at most four bytes of JSON. This check is cheaper than encoding, and is
    # enough for most events.
    if len(str(detail)) * 4 > allowed_bytes:
        size = len(json.dumps(detail, ensure_ascii=False).encode("utf-8", "surrogatepass"))
        if size > allowed_bytes:
            raise InvalidEvent(
                "DETAIL_TOO_LARGE", "detail", expectation_of(f"at most {allowed_bytes:,} bytes", f"{size:,} bytes")
            )
    return detail


def _check_depth(detail: object) -> None:
    """Check the depth level by level. Recursion could exhaust the stack."""
    level: list[Any] = [detail]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, _NESTED)
        ]
        if not level:
            return
    raise InvalidEvent("DETAIL_TOO_DEEP", "detail", expectation_of(f"at most {MAX_DEPTH} levels of nesting", "more"))


def _text(holder: Mapping[str, Any], prefix: str, key: str, longest: int, reason: str | None = None) -> str:
    value = holder.get(key)
    if isinstance(value, str) and 0 < len(value) <= longest and value.isascii() and value.isprintable():
        return value  # fast path for nearly all texts; the rest finds the reason
    field = prefix + key
    if key not in holder:
        raise InvalidEvent(
            reason or "MISSING_FIELD", field, expectation_of(f"a string of 1 to {longest} characters", "no value")
        )
    if not isinstance(value, str):
        raise InvalidEvent(
            reason or "WRONG_TYPE",
            field,
            expectation(f"a string of 1 to {longest} characters", value),
        )
    return checked_id(value, field, longest, reason)


def checked_id(value: str, field: str, longest: int, reason: str | None = None) -> str:
    """Return an ID of 1 to ``longest`` characters that can be a key and a message attribute. Raises InvalidEvent.

    ``reason``: the code of all faults; None: a code for each.
    """
    if not 1 <= len(value) <= longest:
        raise InvalidEvent(
            reason or "WRONG_LENGTH", field, expectation_of(f"1 to {longest} characters", f"{len(value):,} characters")
        )
    # Control characters and lone surrogates can't be keys, group ids or message attributes.
    if not value.isascii() or not value.isprintable():
        for character in value:
            if unicodedata.category(character) in ("Cc", "Cs") or ord(character) & 0xFFFE == 0xFFFE:
                raise InvalidEvent(
                    reason or "BAD_CHARACTERS", field, expectation_of("printable characters only", f"{character!a}")
                )
    return value


def _object_id(value: object) -> str | None:
    if value is None:
        return None
    allowed = "a string of 1 to 128 characters, an integer, or null for an unknown visitor"
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) >= MAX_NUMBER:
            raise InvalidEvent("BAD_NUMBER", "detail.objectId", expectation_of(allowed, "an integer beyond 10^38"))
        return str(value)
    if isinstance(value, float) and value.is_integer():
        # JSON does not distinguish 101.0 from the integer 101.
        if abs(value) > MAX_EXACT:
            # A float of this size has lost its last digits.
            action = "Write a number of this size as a string"
            raise InvalidEvent("BAD_NUMBER", "detail.objectId", expectation(allowed, value, action))
        return str(int(value))
    if not isinstance(value, str):
        raise InvalidEvent("WRONG_TYPE", "detail.objectId", expectation(allowed, value))
    return checked_id(value, "detail.objectId", 128)


def checked_time(field: str, value: object, reason: str = "BAD_TIME") -> tuple[Instant, bool]:
    """Return an instant, and whether it is known to the second only. Raises InvalidEvent if the value is not a time
    from 1970 to 9999 in one of the accepted notations."""
    time = read_time(value)
    if time is None or not 0 <= time[0] <= LATEST:
        expected = (
            "a time from 1970 to 9999 in ISO-8601 with a zone (2026-11-23T10:00:00.000Z), in epoch seconds "
            "(9 or 10 digits), or in epoch milliseconds (12 or 13 digits)"
        )
        raise InvalidEvent(reason, field, expectation(expected, value))
    return time


def checked_properties(field: str, raw_properties: object) -> Properties:
    """Return valid properties of an event or a record. Raises InvalidEvent."""
    if not isinstance(raw_properties, dict):
        raise InvalidEvent("WRONG_TYPE", field, expectation("an object", raw_properties))
    if len(raw_properties) > MAX_PROPERTIES:
        raise InvalidEvent(
            "TOO_MANY_PROPERTIES",
            field,
            expectation_of(f"at most {MAX_PROPERTIES} properties", f"{len(raw_properties):,}"),
        )
    for name, value in raw_properties.items():
        # The name is checked first, because the messages on the value contain it.
        checked_id(name, f"{field} (a name)", MAX_NAME)
        _check_value(f"{field}.{name}", value)
    return raw_properties


def _record_properties(field: str, raw_properties: object) -> Properties | None:
    return None if raw_properties is None else checked_record_properties(field, raw_properties)


def checked_record_properties(field: str, raw_properties: object) -> Properties:
    """As ``checked_properties``, with normalized names. Two spellings of a name must have the same value."""
    properties = checked_properties(field, raw_properties)
    if are_names(properties):
        return properties
    named: dict[str, Value] = {}
    for written_name, value in properties.items():
        name = read_name(written_name)
        if not name:
            raise InvalidEvent(
                "WRONG_LENGTH",
                f"{field} (a name)",
                expectation("the name of a property, for example city", written_name),
            )
        if named.get(name, value) != value:
            expected = "one value for each name (names are compared without case and without blanks at the ends)"
            raise InvalidEvent("GIVEN_TWICE", f"{field}.{name}", expectation_of(expected, "two", "Send the name once"))
        named[name] = value
    return named


def _check_required(event_type: EventType, name: str, value: Value) -> None:
    """Check a required property: it has a value, which can be stored as a name, and one of the known options if any."""
    field = f"detail.properties.{name}"
    if is_missing(value) or not any(part.strip() for part in (value if isinstance(value, list) else [as_text(value)])):
        raise InvalidEvent(
            "MISSING_PROPERTY", field, expectation(f"a value, which every {event_type.name} needs", value)
        )
    if name in _NAMES and SEPARATOR in as_text(value):
        expected, action = f"one {_NAMES[name]}, without a semicolon", f"Send one event for each {_NAMES[name]}"
        raise InvalidEvent("BAD_CHARACTERS", field, expectation(expected, value, action))
    if len(as_text(value)) > MAX_NAME:
        raise InvalidEvent(
            "WRONG_LENGTH",
            field,
            expectation_of(f"at most {MAX_NAME} characters", f"{len(as_text(value)):,} characters"),
        )
    known = event_type.property(name)
    if known is not None and known.options and read_text(value) not in {fold(option) for option in known.options}:
        raise InvalidEvent("UNKNOWN_OPTION", field, expectation(f"{' or '.join(known.options)}", value))


def _check_bool(name: str, value: Value) -> None:
    """Check a boolean on which the eligibility of the event depends. A value that is not clear is rejected."""
    if not is_missing(value) and read_bool(value) is None:
        field = f"detail.properties.{name}"
        raise InvalidEvent("BAD_BOOL", field, expectation(f"{BOOLS} in any case", value))


def _check_value(field: str, value: Value) -> None:
    if isinstance(value, str):
        _check_text(field, value)
    elif value is None or isinstance(value, bool):
        return
    elif isinstance(value, int | float):
        # `not <` is also true for NaN.
        if not abs(value) < MAX_NUMBER:
            raise InvalidEvent(
                "BAD_NUMBER", field, expectation_of("a finite number below 10^38", "a larger number or NaN")
            )
    elif isinstance(value, list) and all(isinstance(part, str) for part in value):
        _check_text(field, ";".join(value))
    else:
        allowed = "a string, a number, a boolean, null, or a list of strings"
        raise InvalidEvent("WRONG_TYPE", field, expectation(allowed, value))


def _check_text(field: str, text: str) -> None:
    if text.isascii():
        size = len(text)
    else:
        try:
            size = len(text.encode())
        except UnicodeEncodeError as error:
            raise InvalidEvent(
                "BAD_CHARACTERS",
                field,
                expectation_of("valid Unicode", f"half of a surrogate pair at character {error.start}"),
            ) from None
    if size > MAX_VALUE_BYTES:
        raise InvalidEvent(
            "WRONG_LENGTH", field, expectation_of(f"at most {MAX_VALUE_BYTES:,} bytes", f"{size:,} bytes")
        )


def _snapshot(detail: Mapping[str, Any]) -> Properties | None:
    record = detail.get("record")
    if record is None:
        return None
    if not isinstance(record, dict):
        raise InvalidEvent("WRONG_TYPE", "detail.record", expectation("an object", record))
    return _record_properties("detail.record.properties", record.get("properties"))


def checked_chain(value: object, field: str = "detail.chain") -> tuple[str, ...]:
    """Return the IDs of the flows that led to an event, or to a request. Raises InvalidEvent. ``field``: the path."""
    if value is None or value == []:
        return ()
    if not isinstance(value, list) or not all(isinstance(flow_id, str) for flow_id in value):
        raise InvalidEvent("WRONG_TYPE", field, expectation("a list of flow IDs", value))
    if len(value) > MAX_CHAIN_PARTS:
        raise InvalidEvent(
            "WRONG_LENGTH",
            field,
            expectation_of(f"at most {MAX_CHAIN_PARTS} flow IDs", f"{len(value):,} flow IDs"),
        )
    return tuple(checked_id(flow_id, field, 128) for flow_id in value)
