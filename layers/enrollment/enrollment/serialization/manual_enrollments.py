"""Reading of requests for manual enrollments."""

from collections.abc import Mapping, Sequence
from typing import Any

from enrollment.domain.events.event import InvalidEvent
from enrollment.domain.events.manual import MAX_IDEMPOTENCY_KEY
from enrollment.serialization.event_fields import read_chain
from enrollment.serialization.flow_keys import unknown_keys
from enrollment.serialization.requests import BodyReader, fault_of, read_id
from enrollment.serialization.validation_errors import ValidationError, expectation, expectation_of

IDEMPOTENCY_KEY = "Idempotency-Key"

_RECORD = frozenset({"objectId"})
_REQUEST = frozenset({"objectId", "inputs", "chain", "override"})


def read_idempotency_key(headers: Mapping[str, str]) -> str | None:
    """Return the idempotency key of a request. None: it has none. ``headers``: by lower-case name. Raises
    InvalidRequest."""
    key = headers.get(IDEMPOTENCY_KEY.lower())
    return None if key is None else read_id(key, IDEMPOTENCY_KEY, MAX_IDEMPOTENCY_KEY)


def read_manual_enrollment(body: Any) -> tuple[Sequence[str], tuple[str, ...], bool]:
    """Read ``{"objectId": "101"}`` or ``{"inputs": [{"objectId": "101"}, …]}``, with an optional ``chain``.

    Return the IDs of the records, each once, the flows that led to the request, and whether it is a batch. Raises
    InvalidRequest with all faults.
    """
    reader = BodyReader()
    document = reader.mapping(body, "$")
    reader.faults += unknown_keys(document, _REQUEST, "$")
    is_batch = "inputs" in document
    if isinstance(body, dict) and is_batch == ("objectId" in document):
        found = "both" if is_batch else "neither"
        expected = 'either the objectId of a record or inputs, for example {"objectId": "101"}'
        reader.fault("$", "WRONG_TYPE", expectation_of(expected, found))
    object_ids = []
    if is_batch:
        for number, raw_input in enumerate(reader.items(document["inputs"], "$.inputs", "inputs")):
            path = f"$.inputs[{number}]"
            record = reader.mapping(raw_input, path)
            reader.faults += unknown_keys(record, _RECORD, path)
            if isinstance(raw_input, dict):
                object_ids.append(reader.id(record.get("objectId"), f"{path}.objectId"))
    elif "objectId" in document:
        object_ids.append(reader.id(document["objectId"], "$.objectId"))
    chain = _read_chain(reader, document.get("chain"))
    _check_override(reader, document.get("override"))
    reader.finish()
    return list(dict.fromkeys(object_ids)), chain, is_batch


def _read_chain(reader: BodyReader, value: Any) -> tuple[str, ...]:
    try:
        return read_chain(value, "$.chain")
    except InvalidEvent as invalid:
        reader.faults.append(fault_of(invalid))
        return ()


def _check_override(reader: BodyReader, value: Any) -> None:
    if not isinstance(value, bool | None):
        reader.fault("$.override", "WRONG_TYPE", expectation("true or false", value))
    elif value:
        message = "override is not supported yet (it ignores limits of entries). Remove it, because it would be ignored"
        reader.faults.append(ValidationError("$.override", "NOT_YET_SUPPORTED", message))
