"""Reading the bodies and parameters of requests: all faults at once, each with where it was found."""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from enrollment.domain.events.event import InvalidEvent
from enrollment.domain.identifiers import OBJECT_TYPE_IDS, object_type_id
from enrollment.domain.values import Instant, Properties, is_list_id, iso, read_name
from enrollment.serialization.envelopes import MAX_PROPERTIES, checked_id, checked_record_properties, checked_time
from enrollment.serialization.validation_errors import ValidationError, expectation, expectation_of, hint, nearest

# Ids and inputs in one request, HubSpot's own limit.
MAX_INPUTS = 100
MAX_ID = 128
MAX_PORTAL_ID = 64
# Bytes, of an id of the longest characters, and a time; a key of DynamoDB takes twice as many.
MAX_POSITION = 4 * MAX_ID + 32

# API Gateway passes a path on decoded, and cut at a decoded question mark; U+FFFD stands for bytes that are not UTF-8.
NOT_IN_PATHS = frozenset("/?#%\ufffd")
DOT_SEGMENTS = frozenset({".", ".."})

# Milliseconds by which a caller's clock may be ahead.
CLOCK_SKEW = 5 * 60 * 1000


class InvalidRequest(ValueError):
    """``faults`` are all that is wrong with it."""

    def __init__(self, faults: Sequence[ValidationError]) -> None:
        super().__init__("; ".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


def refuse(path: str, code: str, message: str, meant: str | None = None) -> InvalidRequest:
    """Return the exception for a request with one fault."""
    return InvalidRequest([ValidationError(path, code, message + hint(meant), meant)])


class BodyReader:
    """Reads parts of a body and collects faults: each method returns what it could read."""

    def __init__(self) -> None:
        self.faults: list[ValidationError] = []

    def finish(self) -> None:
        """Raises InvalidRequest when anything was wrong."""
        if self.faults:
            raise InvalidRequest(self.faults)

    def fault(self, path: str, code: str, message: str) -> None:
        self.faults.append(ValidationError(path, code, message))

    def mapping(self, found: Any, path: str) -> Mapping[str, Any]:
        if isinstance(found, dict):
            return found
        self.fault(path, "WRONG_TYPE", expectation("an object", found))
        return {}

    def items(self, found: Any, path: str, allowed: str) -> list[Any]:
        if not isinstance(found, list):
            self.fault(path, "WRONG_TYPE", expectation(f"a list of {allowed}", found))
            return []
        if not 1 <= len(found) <= MAX_INPUTS:
            self.fault(
                path, "WRONG_LENGTH", expectation_of(f"1 to {MAX_INPUTS} {allowed}", f"{len(found):,} {allowed}")
            )
            return []
        return found

    def id(self, found: Any, path: str) -> str:
        """HubSpot's clients write ids as texts or as numbers."""
        if isinstance(found, int) and not isinstance(found, bool) and abs(found) < 10**38:
            return str(found)
        if not isinstance(found, str):
            self.fault(path, "WRONG_TYPE", expectation(f"an id of 1 to {MAX_ID} characters", found))
            return ""
        try:
            return checked_id(found, path, MAX_ID)
        except InvalidEvent as invalid:
            self._add(invalid)
            return ""

    def id_property(self, given: Mapping[str, Any], path: str) -> None:
        """Refuses every one but that of the record's own id."""
        if (fault := other_id_property(given.get("idProperty"), f"{path}.idProperty")) is not None:
            self.faults.append(fault)

    def inputs(self, body: Any) -> Iterator[Mapping[str, Any]]:
        """``{"inputs": [{…}]}``, as every batch has it: one after the other."""
        given = self.mapping(body, "$")
        self.id_property(given, "$")
        for number, found in enumerate(self.items(given.get("inputs"), "$.inputs", "inputs")):
            one = self.mapping(found, f"$.inputs[{number}]")
            self.id_property(one, f"$.inputs[{number}]")
            yield one

    def ids(self, found: Any, path: str) -> list[str]:
        """Each once."""
        given = [self.id(one, f"{path}[{number}]") for number, one in enumerate(self.items(found, path, "ids"))]
        return list(dict.fromkeys(given))

    def names(self, found: Any, path: str) -> list[str] | None:
        """Of properties; None: nothing was said."""
        if found is None:
            return None
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            self.fault(path, "WRONG_TYPE", expectation("a list of names of properties", found))
            return None
        try:
            return read_names(found, path)
        except InvalidRequest as invalid:
            self.faults += invalid.faults
            return None

    def properties(self, found: Any, path: str) -> Properties:
        try:
            return checked_record_properties(path, found)
        except InvalidEvent as invalid:
            self._add(invalid)
            return {}

    def time(self, found: Any, path: str, now: Instant) -> Instant:
        if found is None:
            return now
        try:
            return _past(path, checked_time(path, found)[0], now)
        except InvalidEvent as invalid:
            self._add(invalid)
            return now

    def _add(self, invalid: InvalidEvent) -> None:
        self.faults.append(fault_of(invalid))


def fault_of(invalid: InvalidEvent) -> ValidationError:
    return ValidationError(invalid.field, invalid.reason, invalid.message.removeprefix(f"{invalid.field}: "))


# Parameters ----------------------------------------------------------------------------------------------------------


def read_object_type(found: str) -> str:
    """The id of an object type, by its id, its name, or the plural of it as HubSpot's paths have it. Raises
    InvalidRequest."""
    singular = found[:-3] + "y" if found.lower().endswith("ies") else found.removesuffix("s").removesuffix("S")
    known = object_type_id(found) or object_type_id(singular)
    if known is None:
        allowed = "contacts, companies, deals…, a HubSpot id like 0-1, or a custom object 2-<n>"
        message = expectation(allowed, found)
        raise refuse("objectType", "UNKNOWN_OBJECT_TYPE", message, nearest(found.lower(), OBJECT_TYPE_IDS))
    return known


def read_id(found: str, name: str, longest: int = MAX_ID) -> str:
    """Raises InvalidRequest."""
    try:
        return checked_id(found, name, longest)
    except InvalidEvent as invalid:
        raise InvalidRequest([fault_of(invalid)]) from invalid


def read_path_id(found: str, name: str) -> str:
    """An id in a path, decoded. Raises InvalidRequest for one that API Gateway may have changed: it decodes a path, and
    cuts it at a decoded ``?``, so that what arrives could be the id of another record."""
    if found in DOT_SEGMENTS or any(one in NOT_IN_PATHS for one in found):
        raise refuse(
            name,
            "NOT_IN_A_PATH",
            expectation(
                "an ID in a path without / ? # %, and not . or ..",
                found,
                "Send it in the body of a batch route, for example POST /crm/v3/objects/{objectType}/batch/read",
            ),
        )
    return read_id(found, name)


def check_id_property(query: Mapping[str, str]) -> None:
    """Raises InvalidRequest for a property by whose value a record is to be found."""
    if (fault := other_id_property(query.get("idProperty"), "idProperty")) is not None:
        raise InvalidRequest([fault])


def other_id_property(found: Any, path: str) -> ValidationError | None:
    """The fault of an ``idProperty`` that is not the record's own id."""
    if found in (None, "hs_object_id"):
        return None
    return ValidationError(
        path, "NOT_SUPPORTED", expectation("hs_object_id, because records are found by ID only", found)
    )


def read_list_id(found: str, name: str) -> str:
    """Return the id of a list in its one spelling. Raise InvalidRequest if it is blank or has a semicolon."""
    if not is_list_id(found):
        raise refuse(name, "BAD_CHARACTERS", expectation("the ID of one list, for example 42", found))
    return read_name(found)


def read_names(found: Sequence[str], path: str) -> list[str]:
    """Return names of properties in their one spelling, each once. Raise InvalidRequest if there are too many."""
    names = list(dict.fromkeys(map(read_name, found)))
    if len(names) > MAX_PROPERTIES:
        raise refuse(path, "WRONG_LENGTH", expectation_of(f"at most {MAX_PROPERTIES} names", f"{len(names):,} names"))
    return names


def read_limit(found: str | None, default: int = MAX_INPUTS) -> int:
    """Raises InvalidRequest."""
    if found is None:
        return default
    number = int(found) if found.isascii() and found.isdigit() and len(found) < 6 else 0
    if not 1 <= number <= MAX_INPUTS:
        raise refuse("limit", "WRONG_LENGTH", expectation(f"a number from 1 to {MAX_INPUTS}", found))
    return number


def read_flag(found: str | None, name: str) -> bool:
    """Raises InvalidRequest."""
    if found is not None and found.lower() not in ("true", "false"):
        raise refuse(name, "WRONG_TYPE", expectation("true or false", found))
    return found is not None and found.lower() == "true"


def read_moment(found: str | None, name: str, now: Instant) -> Instant:
    """Return the time of a query parameter, or ``now`` if it is absent. Raise InvalidRequest if it is no time."""
    if found is None:
        return now
    try:
        return _past(name, checked_time(name, found)[0], now)
    except InvalidEvent as invalid:
        raise InvalidRequest([fault_of(invalid)]) from invalid


def _past(field: str, instant: Instant, now: Instant) -> Instant:
    """A value from the future would win over every change until then."""
    if instant > now + CLOCK_SKEW:
        raise InvalidEvent("BAD_TIME", field, expectation_of("a time that is not in the future", iso(instant)))
    return instant


def write_cursor(position: str) -> str:
    """Opaque to callers, so that what it stands for can change."""
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


def read_cursor(found: str | None) -> str | None:
    """Raises InvalidRequest for one that was not given out here."""
    if found is None:
        return None
    try:
        position = base64.urlsafe_b64decode(found + "=" * (-len(found) % 4)).decode()
    except (binascii.Error, ValueError):
        position = ""
    if not 1 <= len(position.encode()) <= MAX_POSITION or write_cursor(position) != found:
        raise refuse("after", "BAD_CURSOR", expectation("paging.next.after of the previous page", found))
    return position
