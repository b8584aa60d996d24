"""Records, list memberships and associations in the shapes of HubSpot's CRM APIs."""

from collections.abc import Mapping, Sequence
from typing import Any

from enrollment.domain.events.moments import as_of
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.associations import CATEGORIES, AssociationType
from enrollment.domain.records.record import Record, RecordUpdate, TimestampedValue
from enrollment.domain.values import LATEST, Instant, as_text, is_missing, iso, read_time
from enrollment.serialization.requests import MAX_INPUTS, BodyReader, read_cursor
from enrollment.serialization.validation_errors import expectation, expectation_of

MAX_ASSOCIATION_TYPES = 50
DEFAULT_LIMIT = 20

ASSOCIATIONS_ELSEWHERE = "expected no associations in the body. Set each with PUT /crm/v4/objects/…/associations/…"


def read_creation(body: Any, now: Instant) -> RecordUpdate:
    """``{"properties": {…}}``, and when it became so: ``occurredAt`` (now). Raises InvalidRequest."""
    reader = BodyReader()
    given = reader.mapping(body, "$")
    if given.get("associations"):
        reader.fault("$.associations", "NOT_SUPPORTED", ASSOCIATIONS_ELSEWHERE)
    change = _change(reader, given, "$", now, creates=True)
    reader.finish()
    return change


def read_update(body: Any, now: Instant) -> RecordUpdate:
    """As ``read_creation``. Raises InvalidRequest."""
    reader = BodyReader()
    change = _change(reader, reader.mapping(body, "$"), "$", now, creates=False)
    reader.finish()
    return change


def read_upserts(body: Any, now: Instant) -> list[tuple[str, RecordUpdate]]:
    """Each input's record id, and its change. Raises InvalidRequest."""
    reader = BodyReader()
    changes: dict[str, RecordUpdate] = {}
    for number, given in enumerate(reader.inputs(body)):
        path = f"$.inputs[{number}]"
        record_id = reader.id(given.get("id"), f"{path}.id")
        if record_id and record_id in changes:
            reader.fault(
                f"{path}.id", "GIVEN_TWICE", expectation("each ID once", record_id, "Send one input for each record")
            )
        changes[record_id] = _change(reader, given, path, now, creates=True)
    reader.finish()
    return list(changes.items())


def read_record_ids(body: Any) -> tuple[list[str], list[str] | None, list[str]]:
    """``{"inputs": [{"id": …}]}``: the ids, the names of the properties asked for (None: all), and of those asked for
    with their history. Raises InvalidRequest."""
    reader = BodyReader()
    ids = _ids(reader, body)
    given = body if isinstance(body, dict) else {}
    names = reader.names(given.get("properties"), "$.properties")
    history = reader.names(given.get("propertiesWithHistory"), "$.propertiesWithHistory") or []
    reader.finish()
    return ids, names, history


def read_ids(body: Any) -> list[str]:
    """``{"inputs": [{"id": …}]}``: each id once. Raises InvalidRequest."""
    reader = BodyReader()
    ids = _ids(reader, body)
    reader.finish()
    return ids


def read_enrollments_query(body: Any) -> tuple[str, int, str | None]:
    """``{"objectId": …, "limit": …, "after": …}``: the record's id, the limit and the position. Raises
    InvalidRequest."""
    reader = BodyReader()
    given = reader.mapping(body, "$")
    object_id = reader.id(given.get("objectId"), "$.objectId")
    limit = given.get("limit", DEFAULT_LIMIT)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_INPUTS:
        message = expectation(f"a number from 1 to {MAX_INPUTS}", limit)
        reader.fault("$.limit", "WRONG_LENGTH", message)
    after = given.get("after")
    if after is not None and not isinstance(after, str):
        reader.fault("$.after", "BAD_CURSOR", expectation("paging.next.after of the previous page", after))
    reader.finish()
    return object_id, limit, read_cursor(after)


def read_members(body: Any) -> list[str]:
    """``["101", …]``. Raises InvalidRequest."""
    reader = BodyReader()
    ids = reader.ids(body, "$")
    reader.finish()
    return ids


def read_membership_changes(body: Any) -> tuple[list[str], list[str]]:
    """``{"recordIdsToAdd": […], "recordIdsToRemove": […]}``. Raises InvalidRequest."""
    reader = BodyReader()
    given = reader.mapping(body, "$")
    lists = [
        reader.ids(given[key], f"$.{key}") if given.get(key) else [] for key in ("recordIdsToAdd", "recordIdsToRemove")
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
    """``[{"associationCategory": …, "associationTypeId": …}]``. Raises InvalidRequest."""
    reader = BodyReader()
    types: list[AssociationType] = []
    for number, one in enumerate(reader.items(body, "$", "association types")):
        path = f"$[{number}]"
        given = reader.mapping(one, path)
        category, type_id = given.get("associationCategory"), given.get("associationTypeId")
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
    """``names`` None: all properties, and those that HubSpot gives every record. Values are texts, as HubSpot's are."""
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
    """HubSpot's names of them, which differ by object type."""
    created = "hs_createdate" if object_type_id.startswith("2-") else "createdate"
    modified = "lastmodifieddate" if object_type_id == "0-1" else "hs_lastmodifieddate"
    return created, modified, "hs_object_id"


def write_whole_record(record: Record) -> dict[str, Any]:
    """All that is stored of it, with the times of the changes."""
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
    types = [{"category": kind.category, "typeId": kind.type_id, "label": None} for kind in kinds]
    return {"toObjectId": other.object_id, "associationTypes": types}


def _change(reader: BodyReader, given: Mapping[str, Any], path: str, now: Instant, *, creates: bool) -> RecordUpdate:
    occurred_at = given.get("occurredAt")
    time = None if occurred_at is None else read_time(occurred_at)
    return RecordUpdate(
        at=reader.time(occurred_at, f"{path}.occurredAt", now),
        arrived_at=now,
        is_to_second=time is not None and time[1],
        properties=reader.properties(given.get("properties", {}), f"{path}.properties"),
        creates=creates,
    )


def _ids(reader: BodyReader, body: Any) -> list[str]:
    ids = [reader.id(one.get("id"), f"$.inputs[{number}].id") for number, one in enumerate(reader.inputs(body))]
    return list(dict.fromkeys(ids))


def _text(dated: TimestampedValue | None) -> str | None:
    return None if dated is None or is_missing(dated.value) else as_text(dated.value)
