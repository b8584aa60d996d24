"""The EventBridge envelope of an event, to the domain (docs/events.md, "Envelope").

Reasons of an InvalidEvent: INVALID_ENVELOPE, UNKNOWN_EVENT_TYPE, WRONG_CATEGORY, DETAIL_TOO_LARGE, DETAIL_TOO_DEEP,
MISSING_FIELD, MISSING_PROPERTY, UNKNOWN_OPTION, WRONG_TYPE, WRONG_LENGTH, BAD_CHARACTERS, BAD_NUMBER, BAD_TIME,
BAD_BOOL, GIVEN_TWICE, UNKNOWN_OBJECT_TYPE, TOO_MANY_PROPERTIES, SOURCE_NOT_ALLOWED, CHANGED_WITH_NOT_ALLOWED (and
RECORD_TOO_LARGE and OCCURRED_IN_FUTURE, when it is applied; UNKNOWN_CATEGORY is the rule's).
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
# By which an event that is written again may be longer than it came: a time as a number, a type by its id.
REWRITTEN_BYTES = 1024
MAX_DEPTH = 32
MAX_PROPERTIES = 200
MAX_NAME = 128
MAX_VALUE_BYTES = 8 * 1024
MAX_CHAIN_PARTS = 100
MAX_NUMBER = 10**38
# Up to which a float tells every integer from its neighbours.
MAX_EXACT = 2**53
_NESTED = (dict, list)
# Required properties that name one thing of the record. Elsewhere a semicolon separates several values.
_NAMES = {"hs_name": "property name", "hs_list_id": "list id"}

# EventBridge's key of an event that is replayed; in the detail of one that was replayed and is put on the bus again.
REPLAY_NAME = "replay-name"

# Key of a stored event: when its first delivery was evaluated, in milliseconds.
EVALUATED_AT = "evaluatedAt"


def read_event(
    envelope: object, category: str, *, allowed_bytes: int = MAX_DETAIL_BYTES, is_stored: bool = False
) -> Event:
    """Raises InvalidEvent, for the first rule that the envelope breaks. ``is_stored``: it was accepted before,
    and who may say what is not checked again."""
    if not isinstance(envelope, dict):
        raise InvalidEvent("INVALID_ENVELOPE", "$", expectation("an EventBridge event", envelope))
    event_type = _event_type(envelope, category)
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
    found = detail.get("properties")
    properties = {} if found is None else checked_properties("detail.properties", found)
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
        chain=_chain(detail.get("chain")),
        is_to_second=is_to_second,
    )


def read_routed_event(envelope: object) -> Event:
    """As the bus routes it: to its category. Raises InvalidEvent, of an event of no category as the rule of these."""
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
    """Of the ordered replay that the event is part of. EventBridge names it in the envelope. The detail of an event
    that was put on the bus again has it too; whatever replays that one counts instead."""
    if not isinstance(envelope, dict):
        return None
    detail = envelope.get("detail")
    named = envelope if REPLAY_NAME in envelope else detail if isinstance(detail, dict) else {}
    found = named.get(REPLAY_NAME)
    return found if isinstance(found, str) and is_requested(found) else None


def write_event(event: Event) -> dict[str, Any]:
    """The envelope of an event as it was understood: what ``read_stored_event`` reads back. Its id is that of the
    envelope, so that nothing is longer than the source sent it."""
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
    """Of ``write_event``."""
    name = envelope["detail-type"]
    allowed_bytes = MAX_DETAIL_BYTES + REWRITTEN_BYTES
    event = read_event(envelope, EVENT_TYPES[name].category, allowed_bytes=allowed_bytes, is_stored=True)
    return event.evaluated(envelope[EVALUATED_AT]) if EVALUATED_AT in envelope else event


def check_production(production: OutboundEvent) -> None:
    """Raises InvalidEvent for an event that would be refused when it comes back from the bus."""
    envelope = {
        "id": production.id,
        "detail-type": production.event_type,
        "source": OWN_SOURCE,
        "time": iso(production.occurred_at),
        "detail": json.loads(write_outbound_event(production)),
    }
    read_event(envelope, EVENT_TYPES[production.event_type].category)


def _event_type(envelope: Mapping[str, Any], category: str) -> EventType:
    name = envelope.get("detail-type")
    if not isinstance(name, str):
        raise InvalidEvent("INVALID_ENVELOPE", "detail-type", expectation("an event type", name))
    found = EVENT_TYPES.get(name)
    if found is not None and found.category == category:
        return found
    own = [one.name for one in CATEGORIES[category].event_types]
    if found is not None:
        raise InvalidEvent(
            "WRONG_CATEGORY", "detail-type", expectation(f"one of {', '.join(own)} for this function", name)
        )
    raise InvalidEvent(
        "UNKNOWN_EVENT_TYPE",
        "detail-type",
        expectation(f"{', '.join(own)}{suggestion(name, own)}", name),
    )


def _check_trust(event_type: EventType, source: str, detail: Mapping[str, Any]) -> None:
    """What only some producers may say: docs/security.md, "Who may say what on the bus"."""
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
    # No character of Python's own notation stands for more than four bytes of JSON, so most details need not be encoded
    # to know that they fit.
    if len(str(detail)) * 4 > allowed_bytes:
        size = len(json.dumps(detail, ensure_ascii=False).encode("utf-8", "surrogatepass"))
        if size > allowed_bytes:
            raise InvalidEvent(
                "DETAIL_TOO_LARGE", "detail", expectation_of(f"at most {allowed_bytes:,} bytes", f"{size:,} bytes")
            )
    return detail


def _check_depth(detail: object) -> None:
    """Without recursion, so that no nesting can exhaust the stack."""
    level: list[Any] = [detail]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for one in level
            for child in (one.values() if isinstance(one, dict) else one)
            if isinstance(child, _NESTED)
        ]
        if not level:
            return
    raise InvalidEvent("DETAIL_TOO_DEEP", "detail", expectation_of(f"at most {MAX_DEPTH} levels of nesting", "more"))


def _text(holder: Mapping[str, Any], prefix: str, key: str, longest: int, reason: str | None = None) -> str:
    found = holder.get(key)
    if isinstance(found, str) and 0 < len(found) <= longest and found.isascii() and found.isprintable():
        return found  # as nearly every text: the rest says what is wrong
    field = prefix + key
    if key not in holder:
        raise InvalidEvent(
            reason or "MISSING_FIELD", field, expectation_of(f"a string of 1 to {longest} characters", "no value")
        )
    if not isinstance(found, str):
        raise InvalidEvent(
            reason or "WRONG_TYPE",
            field,
            expectation(f"a string of 1 to {longest} characters", found),
        )
    return checked_id(found, field, longest, reason)


def checked_id(found: str, field: str, longest: int, reason: str | None = None) -> str:
    """Raises InvalidEvent for what can't be an id."""
    if not 1 <= len(found) <= longest:
        raise InvalidEvent(
            reason or "WRONG_LENGTH", field, expectation_of(f"1 to {longest} characters", f"{len(found):,} characters")
        )
    # Control characters and lone surrogates can't be keys, group ids or message attributes.
    if not found.isascii() or not found.isprintable():
        for character in found:
            if unicodedata.category(character) in ("Cc", "Cs") or ord(character) & 0xFFFE == 0xFFFE:
                raise InvalidEvent(
                    reason or "BAD_CHARACTERS", field, expectation_of("printable characters only", f"{character!a}")
                )
    return found


def _object_id(found: object) -> str | None:
    if found is None:
        return None
    allowed = "a string of 1 to 128 characters, an integer, or null for an unknown visitor"
    if isinstance(found, int) and not isinstance(found, bool):
        if abs(found) >= MAX_NUMBER:
            raise InvalidEvent("BAD_NUMBER", "detail.objectId", expectation_of(allowed, "an integer beyond 10^38"))
        return str(found)
    if isinstance(found, float) and found.is_integer():
        # In JSON 101.0 is the integer 101.
        if abs(found) > MAX_EXACT:
            # A float of this size has lost its last digits.
            action = "Write a number of this size as a string"
            raise InvalidEvent("BAD_NUMBER", "detail.objectId", expectation(allowed, found, action))
        return str(int(found))
    if not isinstance(found, str):
        raise InvalidEvent("WRONG_TYPE", "detail.objectId", expectation(allowed, found))
    return checked_id(found, "detail.objectId", 128)


def checked_time(field: str, found: object, reason: str = "BAD_TIME") -> tuple[Instant, bool]:
    """Return when something occurred, and whether that is known to the second only. Raise InvalidEvent if ``found`` is
    not such a time."""
    time = read_time(found)
    if time is None or not 0 <= time[0] <= LATEST:
        expected = (
            "a time from 1970 to 9999 in ISO-8601 with a zone (2026-11-23T10:00:00.000Z), in epoch seconds "
            "(9 or 10 digits), or in epoch milliseconds (12 or 13 digits)"
        )
        raise InvalidEvent(reason, field, expectation(expected, found))
    return time


def checked_properties(field: str, found: object) -> Properties:
    """Raises InvalidEvent for what can't be the properties of an event or a record."""
    if not isinstance(found, dict):
        raise InvalidEvent("WRONG_TYPE", field, expectation("an object", found))
    if len(found) > MAX_PROPERTIES:
        raise InvalidEvent(
            "TOO_MANY_PROPERTIES", field, expectation_of(f"at most {MAX_PROPERTIES} properties", f"{len(found):,}")
        )
    for name, value in found.items():
        # The name is shown in messages, so it is checked before it is used in one.
        checked_id(name, f"{field} (a name)", MAX_NAME)
        _check_value(f"{field}.{name}", value)
    return found


def _record_properties(field: str, found: object) -> Properties | None:
    return None if found is None else checked_record_properties(field, found)


def checked_record_properties(field: str, found: object) -> Properties:
    """As ``checked_properties``, with the names in their one spelling."""
    properties = checked_properties(field, found)
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
    """What an event says about the record must be said in a way that can be stored."""
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
    """Whether an event is eligible depends on the value, so it must not be guessed."""
    if not is_missing(value) and read_bool(value) is None:
        field = f"detail.properties.{name}"
        raise InvalidEvent("BAD_BOOL", field, expectation(f"{BOOLS} in any case", value))


def _check_value(field: str, value: Value) -> None:
    if isinstance(value, str):
        _check_text(field, value)
    elif value is None or isinstance(value, bool):
        return
    elif isinstance(value, int | float):
        # `not <` also holds of NaN.
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


def _chain(found: object) -> tuple[str, ...]:
    if found is None or found == []:
        return ()
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise InvalidEvent("WRONG_TYPE", "detail.chain", expectation("a list of flow IDs", found))
    if len(found) > MAX_CHAIN_PARTS:
        raise InvalidEvent(
            "WRONG_LENGTH",
            "detail.chain",
            expectation_of(f"at most {MAX_CHAIN_PARTS} flow IDs", f"{len(found):,} flow IDs"),
        )
    return tuple(checked_id(one, "detail.chain", 128) for one in found)
