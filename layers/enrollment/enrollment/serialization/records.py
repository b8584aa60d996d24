"""Reading and writing of records, list memberships and associations in the format of HubSpot's CRM APIs."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from enrollment.domain.events.moments import as_of
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.associations import CATEGORIES, AssociationType
from enrollment.domain.records.email import CONTACT, EMAIL, MAX_EMAIL
from enrollment.domain.records.record import Record, RecordUpdate, TimestampedValue
from enrollment.domain.values import LATEST, Instant, as_text, is_missing, iso, read_time
from enrollment.serialization.requests import (
    CONTACT_ID_PROPERTIES,
    ID_PROPERTIES,
    MAX_ID,
    MAX_INPUTS,
    BodyReader,
    read_cursor,
)
from enrollment.serialization.validation_errors import expectation, expectation_of

MAX_ASSOCIATION_TYPES = 50
DEFAULT_LIMIT = 20

ASSOCIATIONS_ELSEWHERE = "expected no associations in the body. Set each with PUT /crm/v4/objects/…/associations/…"


def read_creation(body: Any, now: Instant) -> RecordUpdate:
    """Read ``{"properties": {…}, "occurredAt": …}``. ``occurredAt`` defaults to ``now``. Raises InvalidRequest."""
    reader = BodyReader()
    document = reader.mapping(body, "$")
    if document.get("associations"):
        reader.fault("$.associations", "NOT_SUPPORTED", ASSOCIATIONS_ELSEWHERE)
    change = _change(reader, document, "$", now, creates=True)
    reader.finish()
    return change


def read_update(body: Any, now: Instant) -> RecordUpdate:
    """As ``read_creation``, for a change of an existing record. Raises InvalidRequest."""
    reader = BodyReader()
    change = _change(reader, reader.mapping(body, "$"), "$", now, creates=False)
    reader.finish()
    return change


def read_upserts(body: Any, now: Instant) -> list[tuple[str, RecordUpdate]]:
    """Return the record ID and the change of each input. Raises InvalidRequest."""
    reader = BodyReader()
    changes: dict[str, RecordUpdate] = {}
    for number, document in enumerate(reader.inputs(body)):
        path = f"$.inputs[{number}]"
        record_id = reader.id(document.get("id"), f"{path}.id")
        if record_id and record_id in changes:
            reader.fault(
                f"{path}.id", "GIVEN_TWICE", expectation("each ID once", record_id, "Send one input for each record")
            )
        changes[record_id] = _change(reader, document, path, now, creates=True)
    reader.finish()
    return list(changes.items())


class RecordsQuery(Struct, frozen=True):
    """The records of a batch request, each once. ``is_by_email``: ``ids`` are emails of contacts. ``names``: of the
    requested properties; None: all. ``history``: names of properties that are requested with their history."""

    ids: Sequence[str]
    is_by_email: bool
    names: Sequence[str] | None
    history: Sequence[str]


def read_records_query(body: Any, object_type_id: str) -> RecordsQuery:
    """Read ``{"inputs": [{"id": …}], "idProperty": …, "properties": […], "propertiesWithHistory": […]}``.
    ``object_type_id``: of the records; only contacts are found by their email. Raises InvalidRequest."""
    reader = BodyReader()
    allowed = CONTACT_ID_PROPERTIES if object_type_id == CONTACT else ID_PROPERTIES
    document = body if isinstance(body, dict) else {}
    is_by_email = document.get("idProperty") == EMAIL
    longest = MAX_EMAIL if is_by_email else MAX_ID
    ids = [
        reader.id(item.get("id"), f"$.inputs[{number}].id", longest)
        for number, item in enumerate(reader.inputs(body, allowed))
    ]
    names = reader.names(document.get("properties"), "$.properties")
    history = reader.names(document.get("propertiesWithHistory"), "$.propertiesWithHistory") or []
    reader.finish()
    return RecordsQuery(list(dict.fromkeys(ids)), is_by_email, names, history)


def read_ids(body: Any) -> list[str]:
    """Read ``{"inputs": [{"id": …}]}``. Return the IDs without duplicates. Raises InvalidRequest."""
    reader = BodyReader()
    ids = _ids(reader, body)
    reader.finish()
    return ids


def read_enrollments_query(body: Any) -> tuple[str, int, str | None]:
    """Read ``{"objectId": …, "limit": …, "after": …}``. Return the record's ID, the limit and the position of the
    cursor. Raises InvalidRequest."""
    reader = BodyReader()
    document = reader.mapping(body, "$")
    object_id = reader.id(document.get("objectId"), "$.objectId")
    limit = document.get("limit", DEFAULT_LIMIT)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_INPUTS:
        message = expectation(f"a number from 1 to {MAX_INPUTS}", limit)
        reader.fault("$.limit", "WRONG_LENGTH", message)
    after = document.get("after")
    if after is not None and not isinstance(after, str):
        reader.fault("$.after", "BAD_CURSOR", expectation("paging.next.after of the previous page", after))
    reader.finish()
    return object_id, limit, read_cursor(after)


def read_members(body: Any) -> list[str]:
    """Read a list of record IDs: ``["101", …]``. Raises InvalidRequest."""
    reader = BodyReader()
    ids = reader.ids(body, "$")
    reader.finish()
    return ids


def read_membership_changes(body: Any) -> tuple[list[str], list[str]]:
    """Read ``{"recordIdsToAdd": […], "recordIdsToRemove": […]}``. Return both lists. Raises InvalidRequest."""
    reader = BodyReader()
    document = reader.mapping(body, "$")
    lists = [
        reader.ids(document[key], f"$.{key}") if document.get(key) else []
        for key in ("recordIdsToAdd", "recordIdsToRemove")
    ]
    added, removed = lists
    if not reader.faults and not (added or removed):
        reader.fault(
            "$", "WRONG_LENGTH", expectation_of("at least one ID in recordIdsToAdd or recordIdsToRemove", "none")
        )
    for record_id in set(added) & set(removed):
        reader.fault("$.recordIdsToRemove", "GIVEN_TWICE", expectation("an ID in only one of the two lists", record_id))
    reader.finish()
    return added, removed


def read_association_types(body: Any) -> list[AssociationType]:
    """Read ``[{"associationCategory": …, "associationTypeId": …}]``. Raises InvalidRequest."""
    reader = BodyReader()
    types: list[AssociationType] = []
    for number, raw_type in enumerate(reader.items(body, "$", "association types")):
        path = f"$[{number}]"
        document = reader.mapping(raw_type, path)
        category, type_id = document.get("associationCategory"), document.get("associationTypeId")
        if category not in CATEGORIES:
            allowed = " or ".join(CATEGORIES)
            reader.fault(f"{path}.associationCategory", "UNKNOWN_OPTION", expectation(allowed, category))
        elif isinstance(type_id, bool) or not isinstance(type_id, int) or not 0 < type_id < 2**31:
            reader.fault(
                f"{path}.associationTypeId",
                "WRONG_TYPE",
                expectation("a number from 1 to 2^31", type_id),
            )
        else:
            types.append(AssociationType(category, type_id))
    if len(types) > MAX_ASSOCIATION_TYPES:
        reader.fault(
            "$", "WRONG_LENGTH", expectation_of(f"at most {MAX_ASSOCIATION_TYPES} types", f"{len(types)} types")
        )
    reader.finish()
    return types


def write_record(record: Record, names: Sequence[str] | None = None, history: Sequence[str] = ()) -> dict[str, Any]:
    """Return a record in the format of ``GET /crm/v3/objects``. All values are texts, as HubSpot's are.

    ``names``: the properties to return; None: all, including the system properties. ``history``: the properties to
    return with the time of their last change.
    """
    if names is None:
        names = list(dict.fromkeys((*record.properties, *_system_properties(record.key.object_type_id))))
    written: dict[str, Any] = {
        "id": record.key.object_id,
        "properties": {name: _text(_current(record, name)) for name in names},
        "createdAt": iso(record.created_at),
        "updatedAt": iso(record.updated_at),
        "archived": False,
    }
    if history:
        written["propertiesWithHistory"] = {
            name: [
                {"value": _text(dated) or "", "timestamp": iso(dated.changed_at), "sourceType": "INTEGRATION"}
                for dated in [_current(record, name)]
                if dated is not None
            ]
            for name in history
        }
    return written


def _current(record: Record, name: str) -> TimestampedValue | None:
    changes = record.property_changes(name, as_of(LATEST))
    return changes[-1] if changes else None


def _system_properties(object_type_id: str) -> Sequence[str]:
    """Return HubSpot's names of the system properties, which differ by object type."""
    created = "hs_createdate" if object_type_id.startswith("2-") else "createdate"
    modified = "lastmodifieddate" if object_type_id == "0-1" else "hs_lastmodifieddate"
    return created, modified, "hs_object_id"


def write_whole_record(record: Record) -> dict[str, Any]:
    """Return all current values of a record with the times of their changes."""
    return {
        "portalId": record.key.portal_id,
        "objectTypeId": record.key.object_type_id,
        "objectId": record.key.object_id,
        "createdAt": iso(record.created_at),
        "properties": {
            name: {"value": dated.value, "changedAt": iso(dated.changed_at)}
            for name, dated in sorted(record.properties.items())
        },
        "lists": [
            {"listId": list_id, "isMember": dated.value is True, "changedAt": iso(dated.changed_at)}
            for list_id, dated in sorted(record.memberships.items())
        ],
    }


def write_association(other: RecordKey, kinds: Sequence[AssociationType]) -> dict[str, Any]:
    """Return an association with ``other`` in the format of HubSpot's v4 API. This system has no labels."""
    types = [{"category": kind.category, "typeId": kind.type_id, "label": None} for kind in kinds]
    return {"toObjectId": other.object_id, "associationTypes": types}


def _change(reader: BodyReader, document: Mapping[str, Any], path: str, now: Instant, *, creates: bool) -> RecordUpdate:
    occurred_at = document.get("occurredAt")
    time = None if occurred_at is None else read_time(occurred_at)
    return RecordUpdate(
        at=reader.time(occurred_at, f"{path}.occurredAt", now),
        arrived_at=now,
        is_to_second=time is not None and time[1],
        properties=reader.properties(document.get("properties", {}), f"{path}.properties"),
        creates=creates,
    )


def _ids(reader: BodyReader, body: Any) -> list[str]:
    ids = [reader.id(item.get("id"), f"$.inputs[{number}].id") for number, item in enumerate(reader.inputs(body))]
    return list(dict.fromkeys(ids))


def _text(dated: TimestampedValue | None) -> str | None:
    return None if dated is None or is_missing(dated.value) else as_text(dated.value)
