"""Reading of the bodies and parameters of requests. All faults of a request are reported together, with their paths."""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from enrollment.domain.events.event import InvalidEvent
from enrollment.domain.identifiers import OBJECT_TYPE_IDS, any_object_type_id, join
from enrollment.domain.similar_names import nearest
from enrollment.domain.values import Instant, Properties, is_list_id, iso, read_name
from enrollment.serialization.event_fields import MAX_PROPERTIES, checked_id, checked_record_properties, checked_time
from enrollment.serialization.validation_errors import ValidationError, expectation, expectation_of, hint

# IDs or inputs in one request. HubSpot has the same limit.
MAX_INPUTS = 100
MAX_ID = 128
MAX_PORTAL_ID = 64
# Bytes of a cursor's position: an ID of 4-byte characters, and a time.
MAX_POSITION = 4 * MAX_ID + 32
# Bytes of a position as a part of a key, which escapes some characters: less than the 1,024 of a sort key in DynamoDB.
MAX_KEY_PART = 900

# API Gateway decodes a path and cuts it at a decoded question mark. It replaces bytes that are not UTF-8 by U+FFFD.
NOT_IN_PATHS = frozenset("/?#%\ufffd")
DOT_SEGMENTS = frozenset({".", ".."})

# Milliseconds by which a caller's clock may be ahead.
CLOCK_SKEW = 5 * 60 * 1000


# The properties by which records are found: by their ID everywhere, and contacts by their email where it says so.
ID_PROPERTIES = ("hs_object_id",)
CONTACT_ID_PROPERTIES = (*ID_PROPERTIES, "email")


class InvalidRequest(ValueError):
    """The request is rejected. ``faults``: everything that is wrong with it."""

    def __init__(self, faults: Sequence[ValidationError]) -> None:
        super().__init__("; ".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


def refuse(path: str, code: str, message: str, meant: str | None = None) -> InvalidRequest:
    """Return the exception for a request with one fault."""
    return InvalidRequest([ValidationError(path, code, message + hint(meant), meant)])


class BodyReader:
    """Reads parts of a body and collects faults. Methods return what they could read, or an empty value."""

    def __init__(self) -> None:
        self.faults: list[ValidationError] = []

    def finish(self) -> None:
        """Raise InvalidRequest if there are faults. Call this after the last value is read."""
        if self.faults:
            raise InvalidRequest(self.faults)

    def fault(self, path: str, code: str, message: str) -> None:
        """Add a fault. ``path``: the JSON path, for example ``$.inputs[0].id``."""
        self.faults.append(ValidationError(path, code, message))

    def mapping(self, value: Any, path: str) -> Mapping[str, Any]:
        """Return a JSON object, or an empty one if the value is not an object."""
        if isinstance(value, dict):
            return value
        self.fault(path, "WRONG_TYPE", expectation("an object", value))
        return {}

    def items(self, value: Any, path: str, allowed: str) -> list[Any]:
        """Return a list of 1 to MAX_INPUTS items. ``allowed``: the plural of the items, for messages."""
        if not isinstance(value, list):
            self.fault(path, "WRONG_TYPE", expectation(f"a list of {allowed}", value))
            return []
        if not 1 <= len(value) <= MAX_INPUTS:
            self.fault(
                path, "WRONG_LENGTH", expectation_of(f"1 to {MAX_INPUTS} {allowed}", f"{len(value):,} {allowed}")
            )
            return []
        return value

    def id(self, value: Any, path: str, longest: int = MAX_ID) -> str:
        """Return an ID as text. HubSpot's clients send IDs as texts or as numbers. Empty if it is invalid."""
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**38:
            return str(value)
        if not isinstance(value, str):
            self.fault(path, "WRONG_TYPE", expectation(f"an id of 1 to {longest} characters", value))
            return ""
        try:
            return checked_id(value, path, longest)
        except InvalidEvent as invalid:
            self._add(invalid)
            return ""

    def id_property(self, body: Mapping[str, Any], path: str, allowed: Sequence[str] = ID_PROPERTIES) -> None:
        """Report an ``idProperty`` that is not allowed."""
        if (fault := other_id_property(body.get("idProperty"), f"{path}.idProperty", allowed)) is not None:
            self.faults.append(fault)

    def inputs(self, body: Any, id_properties: Sequence[str] = ID_PROPERTIES) -> Iterator[Mapping[str, Any]]:
        """Yield the inputs of a batch request: ``{"inputs": [{…}]}``. ``id_properties``: those that the request may
        name for all inputs."""
        document = self.mapping(body, "$")
        self.id_property(document, "$", id_properties)
        for number, raw_input in enumerate(self.items(document.get("inputs"), "$.inputs", "inputs")):
            item = self.mapping(raw_input, f"$.inputs[{number}]")
            self.id_property(item, f"$.inputs[{number}]")
            yield item

    def ids(self, value: Any, path: str) -> list[str]:
        """Return a list of IDs without duplicates."""
        ids = [self.id(raw_id, f"{path}[{number}]") for number, raw_id in enumerate(self.items(value, path, "ids"))]
        return list(dict.fromkeys(ids))

    def names(self, value: Any, path: str) -> list[str] | None:
        """Return a list of property names. None: the value is absent or invalid."""
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            self.fault(path, "WRONG_TYPE", expectation("a list of names of properties", value))
            return None
        try:
            return read_names(value, path)
        except InvalidRequest as invalid:
            self.faults += invalid.faults
            return None

    def properties(self, value: Any, path: str) -> Properties:
        """Return the properties of a record, with normalized names."""
        try:
            return checked_record_properties(path, value)
        except InvalidEvent as invalid:
            self._add(invalid)
            return {}

    def time(self, value: Any, path: str, now: Instant) -> Instant:
        """Return a time that is not in the future. ``now`` if the value is absent or invalid."""
        if value is None:
            return now
        try:
            return _past(path, checked_time(path, value)[0], now)
        except InvalidEvent as invalid:
            self._add(invalid)
            return now

    def _add(self, invalid: InvalidEvent) -> None:
        self.faults.append(fault_of(invalid))


def fault_of(invalid: InvalidEvent) -> ValidationError:
    """Return the fault of a request for a rule of events that it breaks."""
    return ValidationError(invalid.field, invalid.reason, invalid.message.removeprefix(f"{invalid.field}: "))


# Parameters ----------------------------------------------------------------------------------------------------------


def read_object_type(value: str) -> str:
    """Return the ID of an object type, given its ID, its name, or the plural as in HubSpot's paths. Raises
    InvalidRequest."""
    known = any_object_type_id(value)
    if known is None:
        allowed = "contacts, companies, deals…, a HubSpot id like 0-1, or a custom object 2-<n>"
        message = expectation(allowed, value)
        raise refuse("objectType", "UNKNOWN_OBJECT_TYPE", message, nearest(value.lower(), OBJECT_TYPE_IDS))
    return known


def read_id(value: str, name: str, longest: int = MAX_ID) -> str:
    """Return a valid ID of at most ``longest`` characters. ``name``: of the parameter. Raises InvalidRequest."""
    try:
        return checked_id(value, name, longest)
    except InvalidEvent as invalid:
        raise InvalidRequest([fault_of(invalid)]) from invalid


def read_path_id(value: str, name: str) -> str:
    """Return an ID from a decoded path. Raises InvalidRequest.

    API Gateway decodes paths and cuts them at a decoded ``?``. So an ID with one of the characters that it may have
    changed is rejected, because it could be the ID of another record.
    """
    if value in DOT_SEGMENTS or any(character in NOT_IN_PATHS for character in value):
        raise refuse(
            name,
            "NOT_IN_A_PATH",
            expectation(
                "an ID in a path without / ? # %, and not . or ..",
                value,
                "Send it in the body of a batch route, for example POST /crm/v3/objects/{objectType}/batch/read",
            ),
        )
    return read_id(value, name)


def check_id_property(query: Mapping[str, str], allowed: Sequence[str] = ID_PROPERTIES) -> None:
    """Raise InvalidRequest if the query names a property that is not allowed to find records by."""
    if (fault := other_id_property(query.get("idProperty"), "idProperty", allowed)) is not None:
        raise InvalidRequest([fault])


def other_id_property(value: Any, path: str, allowed: Sequence[str] = ID_PROPERTIES) -> ValidationError | None:
    """Return the fault of an ``idProperty`` that is not allowed. None: it is absent or allowed."""
    if value is None or value in allowed:
        return None
    expected = " or ".join(allowed)
    reason = ", because records are found by ID only here" if len(allowed) == 1 else ""
    return ValidationError(path, "NOT_SUPPORTED", expectation(f"{expected}{reason}", value))


def read_list_id(value: str, name: str) -> str:
    """Return the normalized ID of a list. Raises InvalidRequest if it is blank or has a semicolon."""
    if not is_list_id(value):
        raise refuse(name, "BAD_CHARACTERS", expectation("the ID of one list, for example 42", value))
    return read_name(value)


def read_names(raw_names: Sequence[str], path: str) -> list[str]:
    """Return normalized property names without duplicates. Raises InvalidRequest if there are too many."""
    names = list(dict.fromkeys(map(read_name, raw_names)))
    if len(names) > MAX_PROPERTIES:
        raise refuse(path, "WRONG_LENGTH", expectation_of(f"at most {MAX_PROPERTIES} names", f"{len(names):,} names"))
    return names


def read_limit(value: str | None, default: int = MAX_INPUTS, maximum: int = MAX_INPUTS) -> int:
    """Return the limit of a page, from 1 to ``maximum``. Raises InvalidRequest."""
    if value is None:
        return default
    number = int(value) if value.isascii() and value.isdigit() and len(value) < 6 else 0
    if not 1 <= number <= maximum:
        raise refuse("limit", "WRONG_LENGTH", expectation(f"a number from 1 to {maximum}", value))
    return number


def read_number(position: str, name: str, most: int) -> int:
    """Return the number of a decoded cursor. ``name``: of the parameter. Raises InvalidRequest."""
    number = int(position) if position.isascii() and position.isdigit() and len(position) < 20 else most + 1
    if number > most:
        raise refuse(name, "BAD_CURSOR", expectation("paging.next.after of the previous page", write_cursor(position)))
    return number


def read_flag(value: str | None, name: str) -> bool:
    """Return a flag of the query; False if it is absent. Raises InvalidRequest."""
    if value is not None and value.lower() not in ("true", "false"):
        raise refuse(name, "WRONG_TYPE", expectation("true or false", value))
    return value is not None and value.lower() == "true"


def read_moment(value: str | None, name: str, now: Instant) -> Instant:
    """Return the time of a query parameter, or ``now`` if it is absent. Raises InvalidRequest for a future time."""
    if value is None:
        return now
    try:
        return _past(name, checked_time(name, value)[0], now)
    except InvalidEvent as invalid:
        raise InvalidRequest([fault_of(invalid)]) from invalid


def _past(field: str, instant: Instant, now: Instant) -> Instant:
    """Return the instant. Raises InvalidEvent for a future time: its value would override all changes until then."""
    if instant > now + CLOCK_SKEW:
        raise InvalidEvent("BAD_TIME", field, expectation_of("a time that is not in the future", iso(instant)))
    return instant


def write_cursor(position: str) -> str:
    """Return the cursor of a position. It is opaque to clients, so that positions can change."""
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


def read_cursor(cursor: str | None) -> str | None:
    """Return the position of a cursor. None: no cursor. Raises InvalidRequest if it is not one of ``write_cursor``."""
    if cursor is None:
        return None
    try:
        position = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, ValueError):
        position = ""
    fits = 1 <= len(position.encode()) <= MAX_POSITION and len(join(position).encode()) <= MAX_KEY_PART
    if not fits or write_cursor(position) != cursor:
        raise refuse("after", "BAD_CURSOR", expectation("paging.next.after of the previous page", cursor))
    return position
