"""The rules of the single fields of an event (docs/events.md, "Envelope"). Every function raises InvalidEvent, with a
message that names the field.

``envelopes`` reads whole events with these functions, and ``event_faults`` finds all faults of an event.
"""

import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from enrollment.catalog import CATEGORIES, EVENT_TYPE_IDS, EVENT_TYPES
from enrollment.domain.enrollment.loop_detection import ENROLLED
from enrollment.domain.events.event import OWN_SOURCE, InvalidEvent
from enrollment.domain.events.event_types import EventType
from enrollment.domain.identifiers import OBJECT_TYPE_IDS, any_object_type_id
from enrollment.domain.similar_names import nearest
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
    read_bool,
    read_name,
    read_text,
    read_time,
)
from enrollment.serialization.validation_errors import expectation, expectation_of, format_value, hint, suggestion

MAX_DEPTH = 32
MAX_PROPERTIES = 200
MAX_NAME = 128
MAX_VALUE_BYTES = 8 * 1024
MAX_CHAIN_PARTS = 100
MAX_NUMBER = 10**38
# The largest integer up to which a float represents every integer exactly.
MAX_EXACT = 2**53
_NESTED = (dict, list)
# Of the names that this version does not know, an event keeps this many, cut to this many characters.
MAX_UNKNOWN_NAMES = 10
MAX_UNKNOWN_NAME = 128

# EventBridge's key in the envelope of a replayed event. A replayed event that is sent again has it in the detail.
REPLAY_NAME = "replay-name"
DETAIL_KEYS = frozenset(
    {
        "id",
        "portalId",
        "objectType",
        "objectId",
        "occurredAt",
        "properties",
        "record",
        "changedWith",
        "chain",
        REPLAY_NAME,
    }
)
RECORD_KEYS = frozenset({"properties"})
PROPERTY_NAMES: Mapping[str, frozenset[str]] = MappingProxyType(
    {event_type.name: frozenset(known.name for known in event_type.properties) for event_type in EVENT_TYPES.values()}
)
# Required properties with a single value. In other properties a semicolon separates several values.
_NAMES = {"hs_name": "property name", "hs_list_id": "list id"}


def read_event_type(envelope: Mapping[str, Any], category: str) -> EventType:
    """Return the event type of an envelope. The case of its name does not matter, because the bus routes an event by
    its category only."""
    name = envelope.get("detail-type")
    if not isinstance(name, str):
        raise InvalidEvent("INVALID_ENVELOPE", "detail-type", expectation("an event type", name))
    event_type = EVENT_TYPES.get(name) or EVENT_TYPES.get(fold(name))
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
        expectation(f"{', '.join(names)}{hint(nearest_event_type(name, names))}", name),
    )


def nearest_event_type(name: str, names: Iterable[str] = EVENT_TYPES) -> str | None:
    """Return the event type that a name probably stands for: by HubSpot's ID, or by the most similar of ``names``."""
    if name in EVENT_TYPE_IDS:
        return EVENT_TYPE_IDS[name][0].name
    return nearest(fold(name[:MAX_NAME]), names)


def check_trust(event_type: EventType, source: str, detail: Mapping[str, Any]) -> None:
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


def read_detail(envelope: Mapping[str, Any], allowed_bytes: int) -> dict[str, Any]:
    """Return the detail, which is an object of at most ``allowed_bytes`` of JSON."""
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


def read_text_field(holder: Mapping[str, Any], prefix: str, key: str, longest: int, reason: str | None = None) -> str:
    """Return the text of a required field. ``prefix``: of the field's path. ``reason``: the code of all faults; None: a
    code for each."""
    value = holder.get(key)
    if isinstance(value, str) and 0 < len(value) <= longest and value.isascii() and value.isprintable():
        return value  # fast path for nearly all texts; the rest finds the reason
    field = prefix + key
    if key not in holder:
        expected = f"a string of 1 to {longest} characters"
        raise InvalidEvent(
            reason or "MISSING_FIELD", field, expectation_of(expected, "no value", _rename(key, holder, DETAIL_KEYS))
        )
    if not isinstance(value, str):
        raise InvalidEvent(
            reason or "WRONG_TYPE",
            field,
            expectation(f"a string of 1 to {longest} characters", value),
        )
    return checked_id(value, field, longest, reason)


def read_id_field(detail: Mapping[str, Any], key: str, longest: int) -> str:
    """Return the ID in a required field of the detail. Sources also write IDs as integers."""
    value = detail.get(key)
    if not isinstance(value, str) and isinstance(value, int | float) and not isinstance(value, bool):
        expected = f"a string of 1 to {longest} characters or an integer"
        return checked_id(_read_integer(value, f"detail.{key}", expected), f"detail.{key}", longest)
    return read_text_field(detail, "detail.", key, longest)


def _rename(key: str, holder: Mapping[str, Any], known: frozenset[str]) -> str:
    """Return what to do about an unknown key that probably stands for a missing one. Empty if there is none."""
    unknown = [name[:MAX_UNKNOWN_NAME] for name in list(holder)[:MAX_PROPERTIES] if name not in known]
    near = nearest(key, unknown)
    return "" if near is None else f"Rename {format_value(near)} to {key}"


def read_object_type(detail: Mapping[str, Any]) -> str:
    """Return the ID of the object type."""
    object_type = read_text_field(detail, "detail.", "objectType", 64)
    type_id = any_object_type_id(object_type)
    if type_id is None:
        allowed = "contact, company, deal…, a HubSpot id like 0-1, or a custom object 2-<n>"
        near = suggestion(object_type.lower(), OBJECT_TYPE_IDS)
        raise InvalidEvent("UNKNOWN_OBJECT_TYPE", "detail.objectType", expectation(allowed, object_type) + near)
    return type_id


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


def read_object_id(value: object) -> str | None:
    """Return the ID of the record. None: an unknown visitor."""
    if value is None:
        return None
    if isinstance(value, str):
        return checked_id(value, "detail.objectId", 128)
    expected = "a string of 1 to 128 characters, an integer, or null for an unknown visitor"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _read_integer(value, "detail.objectId", expected)
    raise InvalidEvent("WRONG_TYPE", "detail.objectId", expectation(expected, value))


def _read_integer(value: int | float, field: str, expected: str) -> str:
    """Return the digits of an integer. JSON does not distinguish 101.0 from the integer 101."""
    if isinstance(value, int):
        if abs(value) >= MAX_NUMBER:
            raise InvalidEvent("BAD_NUMBER", field, expectation_of(expected, "an integer beyond 10^38"))
        return str(value)
    if not value.is_integer():
        raise InvalidEvent("WRONG_TYPE", field, expectation(expected, value))
    if abs(value) > MAX_EXACT:
        # A float of this size has lost its last digits.
        action = "Write a number of this size as a string"
        raise InvalidEvent("BAD_NUMBER", field, expectation(expected, value, action))
    return str(int(value))


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
    properties = properties_of(field, raw_properties)
    for name, value in properties.items():
        check_property(field, name, value)
    return properties


def properties_of(field: str, raw_properties: object) -> Properties:
    """Return properties whose names and values are not checked yet. Raises InvalidEvent."""
    if not isinstance(raw_properties, dict):
        raise InvalidEvent("WRONG_TYPE", field, expectation("an object", raw_properties))
    if len(raw_properties) > MAX_PROPERTIES:
        raise InvalidEvent(
            "TOO_MANY_PROPERTIES",
            field,
            expectation_of(f"at most {MAX_PROPERTIES} properties", f"{len(raw_properties):,}"),
        )
    return raw_properties


def check_property(field: str, name: str, value: Value) -> None:
    """Check a name and its value. ``field``: the path of the properties. Raises InvalidEvent."""
    # The name is checked first, because the messages on the value contain it.
    checked_id(name, f"{field} (a name)", MAX_NAME)
    check_value(f"{field}.{name}", value)


def read_record_properties(field: str, raw_properties: object) -> Properties | None:
    """Return valid properties of a record, with normalized names. None: there are none."""
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


def check_required(event_type: EventType, name: str, properties: Properties) -> None:
    """Check a required property: it has a value, which can be stored as a name, and one of the known options if any.
    Raises InvalidEvent."""
    value, field = properties.get(name), f"detail.properties.{name}"
    if is_missing(value) or not any(part.strip() for part in (value if isinstance(value, list) else [as_text(value)])):
        expected = f"a value, which every {event_type.name} needs"
        action = _rename(name, properties, PROPERTY_NAMES[event_type.name])
        raise InvalidEvent("MISSING_PROPERTY", field, expectation(expected, value, action))
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
        near = suggestion(as_text(value).upper(), known.options)
        raise InvalidEvent("UNKNOWN_OPTION", field, expectation(f"{' or '.join(known.options)}", value) + near)


def check_bool(name: str, value: Value) -> None:
    """Check a boolean on which the eligibility of the event depends. A value that is not clear is rejected."""
    if not is_missing(value) and read_bool(value) is None:
        field = f"detail.properties.{name}"
        raise InvalidEvent("BAD_BOOL", field, expectation(f"{BOOLS} in any case", value))


def check_value(field: str, value: Value) -> None:
    """Check the value of a property. Raises InvalidEvent."""
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


def read_snapshot(detail: Mapping[str, Any]) -> Properties | None:
    """Return the snapshot of the record's properties. None: the event has none."""
    return read_record_properties("detail.record.properties", raw_snapshot(detail))


def raw_snapshot(detail: Mapping[str, Any]) -> object:
    """Return ``record.properties``, which are not checked yet. None: the event has none."""
    record = detail.get("record")
    if record is None:
        return None
    if not isinstance(record, dict):
        raise InvalidEvent("WRONG_TYPE", "detail.record", expectation("an object", record))
    return record.get("properties")


def read_chain(value: object, field: str = "detail.chain") -> tuple[str, ...]:
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


def unknown_names(event_type: EventType, detail: Mapping[str, Any], properties: Properties) -> tuple[str, ...]:
    """Return the paths of keys and event properties that this version does not know and ignores, at most
    MAX_UNKNOWN_NAMES of them. They are often misspelled."""
    record = detail.get("record")
    # Nearly all events have only known names, and a comparison of sets is fast.
    if (
        detail.keys() <= DETAIL_KEYS
        and properties.keys() <= PROPERTY_NAMES[event_type.name]
        and (not record or record.keys() <= RECORD_KEYS)
    ):
        return ()
    paths = (
        *_unknown("detail", detail, DETAIL_KEYS),
        *_unknown("detail.properties", properties, PROPERTY_NAMES[event_type.name]),
        *_unknown("detail.record", record or {}, RECORD_KEYS),
    )
    return paths[:MAX_UNKNOWN_NAMES]


def _unknown(path: str, holder: Mapping[str, Any], known: frozenset[str]) -> Iterator[str]:
    for name in holder:
        if name not in known:
            shown = name[:MAX_UNKNOWN_NAME]
            yield f"{path}.{shown if shown.isprintable() else ascii(shown)[1:-1]}"
