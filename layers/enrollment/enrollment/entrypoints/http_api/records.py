"""Serve the records API: `/crm/v3/objects`, `/crm/v3/lists`, `/crm/v4/objects/…/associations`, and the records with
their history under `/enrollment/v1/records`."""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from enrollment.application.ports import ConcurrentModification
from enrollment.application.record_service import (
    AmbiguousEmail,
    ChangeError,
    RecordAlreadyExists,
    RecordChange,
    UnknownRecord,
)
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.associations import AssociationType, default_type
from enrollment.domain.records.email import CONTACT, EMAIL
from enrollment.domain.records.record import Record, RecordUpdate
from enrollment.domain.values import iso, read_time
from enrollment.entrypoints.http_api.endpoint import (
    AFTER,
    LIMIT,
    OCCURRED_AT,
    Endpoint,
    Example,
    Query,
    Reply,
    Request,
    Scope,
    Services,
    page,
)
from enrollment.entrypoints.http_api.flows import ID_ATTEMPTS, new_number, not_found
from enrollment.entrypoints.http_api.problems import VALIDATION, problem_of
from enrollment.serialization.problems import write_fault
from enrollment.serialization.records import (
    read_association_types,
    read_creation,
    read_ids,
    read_members,
    read_membership_changes,
    read_records_query,
    read_update,
    read_upserts,
    write_association,
    write_record,
    write_whole_record,
)
from enrollment.serialization.requests import (
    CONTACT_ID_PROPERTIES,
    ID_PROPERTIES,
    check_id_property,
    read_cursor,
    read_limit,
    read_list_id,
    read_moment,
    read_names,
    read_object_type,
    refuse,
    write_cursor,
)
from enrollment.serialization.validation_errors import expectation_of

# Objects ------------------------------------------------------------------------------------------------------------


def create_record(services: Services, request: Request) -> Reply:
    """Create a record under a new ID. Raises ConcurrentModification if every ID that it attempts exists."""
    change = read_creation(request.body, request.now)
    for _ in range(ID_ATTEMPTS):
        key = _key(request, object_id=new_number(services, request))
        try:
            return Reply(201, write_record(services.record_service.create(key, change).record))
        except RecordAlreadyExists:
            continue
    raise ConcurrentModification(f"{ID_ATTEMPTS} new record IDs already exist; retrying is safe")


def get_record(services: Services, request: Request) -> Reply:
    """Return a record in HubSpot's format, with the properties that the query names."""
    if request.query.get("idProperty") == EMAIL:
        check_id_property(request.query, _id_properties(request))
        record = services.record_service.find_contact(request.portal_id, request.path["objectId"])
    else:
        record = services.record_service.get(_key(request))
    return Reply(
        200, write_record(record, _names(request, "properties"), _names(request, "propertiesWithHistory") or ())
    )


def update_record(services: Services, request: Request) -> Reply:
    """Change an existing record, and return all its properties. Raises UnknownRecord."""
    change = read_update(request.body, request.now)
    return Reply(200, write_record(services.record_service.change(_key(request), change).record))


def delete_record(services: Services, request: Request) -> Reply:
    """Delete a record. A record that does not exist is not an error."""
    services.record_service.delete(_key(request), request.now)
    return Reply(204)


def upsert_records(services: Services, request: Request) -> Reply:
    """Create or change records. The status is 207 if some were rejected, and ``errors`` has an entry for each."""
    changes = [
        (_key(request, object_id=object_id), change) for object_id, change in read_upserts(request.body, request.now)
    ]
    outcomes = services.record_service.change_many(changes)
    # Only the changed properties: all properties of 100 records could exceed the size of a response, after the change.
    results = [
        {**write_record(outcome.record, list(change.properties)), "new": outcome.is_new}
        for (_, change), outcome in zip(changes, outcomes, strict=True)
        if isinstance(outcome, RecordChange)
    ]
    errors = [
        _change_error(key.object_id, outcome)
        for (key, _), outcome in zip(changes, outcomes, strict=True)
        if not isinstance(outcome, RecordChange)
    ]
    answer = _batch(request, results)
    if errors:
        answer |= {"numErrors": len(errors), "errors": errors}
    return Reply(207 if errors else 200, answer)


def batch_get_records(services: Services, request: Request) -> Reply:
    """Return records in the order of the request. The status is 207 if some do not exist, or an email is not unique."""
    query = read_records_query(request.body, read_object_type(request.path["objectType"]))

    def write(record: Record) -> dict[str, Any]:
        return write_record(record, query.names, query.history)

    if not query.is_by_email:
        return _batch_of_records(services, request, query.ids, write)
    found = services.record_service.find_contacts(request.portal_id, query.ids)
    contacts = [contact for email in query.ids if isinstance(contact := found.get(email), Record)]
    missing = [email for email in query.ids if email not in found]
    ambiguous = [_change_error(email, error) for email, error in found.items() if isinstance(error, AmbiguousEmail)]
    # Two spellings of an email name one contact.
    answer = _batch(request, [write(contact) for contact in {contact.key: contact for contact in contacts}.values()])
    if missing:
        answer |= not_found("records", missing)
    if ambiguous:
        answer |= {"numErrors": len(missing) + len(ambiguous), "errors": [*answer.get("errors", ()), *ambiguous]}
    return Reply(207 if missing or ambiguous else 200, answer)


def delete_records(services: Services, request: Request) -> Reply:
    """Delete records one after the other. The first failure ends the request."""
    for object_id in read_ids(request.body):
        # After a failure the caller sends the whole request again. A record that is already deleted is no error.
        services.record_service.delete(_key(request, object_id=object_id), request.now)
    return Reply(204)


def batch_get_records_with_history(services: Services, request: Request) -> Reply:
    """Return all that is stored of records, in the order of the request. The status is 207 if some do not exist."""
    return _batch_of_records(services, request, read_ids(request.body), write_whole_record)


def _batch_of_records(
    services: Services, request: Request, object_ids: Sequence[str], write: Callable[[Record], dict[str, Any]]
) -> Reply:
    keys = [_key(request, object_id=object_id) for object_id in object_ids]
    records = services.record_service.get_many(keys)
    missing = [key.object_id for key in keys if key not in records]
    answer = _batch(request, [write(records[key]) for key in keys if key in records])
    if missing:
        answer |= not_found("records", missing)
    return Reply(207 if missing else 200, answer)


def get_record_with_history(services: Services, request: Request) -> Reply:
    """Return all that is stored of a record, with the time of each change."""
    return Reply(200, write_whole_record(services.record_service.get(_key(request))))


# Lists --------------------------------------------------------------------------------------------------------------


def add_members(services: Services, request: Request) -> Reply:
    """Add records to a list. ``recordIdsMissing`` names those that do not exist."""
    return _change_memberships(services, request, read_members(request.body), [])


def remove_members(services: Services, request: Request) -> Reply:
    """Remove records from a list. ``recordIdsMissing`` names those that do not exist."""
    return _change_memberships(services, request, [], read_members(request.body))


def add_and_remove_members(services: Services, request: Request) -> Reply:
    """Add records to a list and remove others from it in one request."""
    return _change_memberships(services, request, *read_membership_changes(request.body))


def _change_memberships(services: Services, request: Request, added: Sequence[str], removed: Sequence[str]) -> Reply:
    object_type = read_object_type(request.query.get("objectTypeId", "0-1"))
    occurred_at = request.query.get("occurredAt")
    at = read_moment(occurred_at, "occurredAt", request.now)
    time = None if occurred_at is None else read_time(occurred_at)
    change = RecordUpdate(at, arrived_at=request.now, is_to_second=time is not None and time[1])
    list_id = read_list_id(request.path["listId"], "listId")
    changes = [
        (RecordKey(request.portal_id, object_type, object_id), replace(change, memberships={list_id: is_member}))
        for object_ids, is_member in ((added, True), (removed, False))
        for object_id in object_ids
    ]
    outcomes = services.record_service.change_many(changes, all_or_none=True)
    answer: dict[str, list[str]] = {"recordsIdsAdded": [], "recordIdsRemoved": [], "recordIdsMissing": []}
    for (key, change), outcome in zip(changes, outcomes, strict=True):
        if isinstance(outcome, UnknownRecord):
            answer["recordIdsMissing"].append(key.object_id)
        elif isinstance(outcome, RecordChange):
            answer["recordsIdsAdded" if change.memberships[list_id] else "recordIdsRemoved"].append(key.object_id)
        else:
            # The caller can repeat the whole request: memberships that are stored already do not change.
            raise outcome
    return Reply(200, answer)


# Associations -------------------------------------------------------------------------------------------------------


def associate(services: Services, request: Request) -> Reply:
    """Add the association types of the body between two records. Existing types stay."""
    record, other = _pair(request)
    types = read_association_types(request.body)
    services.record_service.associate(record, other, types, _at(request))
    answer = {
        "fromObjectTypeId": record.object_type_id,
        "fromObjectId": record.object_id,
        "toObjectTypeId": other.object_type_id,
        "toObjectId": other.object_id,
        "labels": [],
    }
    return Reply(201, answer)


def associate_by_default(services: Services, request: Request) -> Reply:
    """Associate two records by HubSpot's unlabelled type, and return both directions."""
    record, other = _pair(request)
    association_type = default_type(record.object_type_id, other.object_type_id)
    if association_type is None:
        raise refuse(
            "toObjectType",
            "NO_DEFAULT_TYPE",
            expectation_of(
                "object types with a default association, for example contacts and companies",
                f"{record.object_type_id} and {other.object_type_id}",
                "Name an association type in the body of a PUT without /default",
            ),
        )
    services.record_service.associate(record, other, [association_type], _at(request))
    directions = [_direction(record, other, association_type)]
    if (inverse_type := default_type(other.object_type_id, record.object_type_id)) is not None:
        directions.append(_direction(other, record, inverse_type))
    return Reply(200, _batch(request, directions))


def dissociate(services: Services, request: Request) -> Reply:
    """Remove every association between two records, in both directions."""
    services.record_service.dissociate(*_pair(request), _at(request))
    return Reply(204)


def list_associations(services: Services, request: Request) -> Reply:
    """List the records of one type with which a record is associated, in the order of their IDs."""
    limit = read_limit(request.query.get("limit"))
    other_type = read_object_type(request.path["toObjectType"])
    record = _key(request)
    after = read_cursor(request.query.get("after")) or ""
    associated, next_position = services.record_service.associated(record, other_type, limit, after)
    results = [write_association(other, types) for other, types in associated]
    return Reply(200, page(results, None if next_position is None else write_cursor(next_position)))


def _direction(record: RecordKey, other: RecordKey, association_type: AssociationType) -> dict[str, Any]:
    spec = {"associationCategory": association_type.category, "associationTypeId": association_type.type_id}
    return {"from": {"id": record.object_id}, "to": {"id": other.object_id}, "associationSpec": spec}


def _pair(request: Request) -> tuple[RecordKey, RecordKey]:
    other_type = read_object_type(request.path["toObjectType"])
    return _key(request), RecordKey(request.portal_id, other_type, request.path["toObjectId"])


def _at(request: Request) -> int:
    return read_moment(request.query.get("occurredAt"), "occurredAt", request.now)


# Objects, lists and associations ------------------------------------------------------------------------------------


def _key(request: Request, object_id: str | None = None) -> RecordKey:
    object_type = read_object_type(request.path["objectType"])
    return RecordKey(request.portal_id, object_type, object_id or request.path["objectId"])


def _id_properties(request: Request) -> Sequence[str]:
    """Return the properties by which a record of the path's type is found."""
    return CONTACT_ID_PROPERTIES if read_object_type(request.path["objectType"]) == CONTACT else ID_PROPERTIES


def _names(request: Request, parameter: str) -> list[str] | None:
    text = request.query.get(parameter)
    return None if text is None else read_names([name for name in text.split(",") if name], parameter)


def _batch(request: Request, results: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "status": "COMPLETE",
        "results": results,
        "startedAt": iso(request.now),
        "completedAt": iso(request.now),
    }


def _change_error(object_id: str, error: ChangeError | AmbiguousEmail) -> dict[str, Any]:
    problem = problem_of(error)
    return {
        "status": "error",
        "category": problem.category if problem else VALIDATION,
        "message": problem.message if problem else str(error),
        "context": {"ids": [object_id]},
        "errors": [write_fault(fault) for fault in problem.faults] if problem else [],
    }


ID_PROPERTY = Query("idProperty", "The record is found by its ID.", {"type": "string", "enum": list(ID_PROPERTIES)})
ID_OR_EMAIL = Query(
    "idProperty",
    "`email`: the path has the email of a contact instead of its ID, in any case. It is found within a second after it "
    "was stored. If several contacts have it, the status is 409 (AMBIGUOUS_EMAIL), and `errors[0].context.ids` has "
    "their IDs.",
    {"type": "string", "enum": list(CONTACT_ID_PROPERTIES)},
)
PROPERTIES = Query("properties", "Names of the properties to return, separated by commas. All if absent.")
HISTORY = Query("propertiesWithHistory", "Names of properties to return with their history, separated by commas.")
LIST_OBJECT_TYPE = Query("objectTypeId", "The object type of the records.", {"type": "string", "default": "0-1"})

_CONTACT = {"objectType": "contacts"}
_ADA = {**_CONTACT, "objectId": "101"}
_ADA_AND_ACME = {**_ADA, "toObjectType": "companies", "toObjectId": "201"}
_RECORD = "/crm/v3/objects/{objectType}"
_MEMBERSHIPS = "/crm/v3/lists/{listId}/memberships"
_ASSOCIATIONS = "/crm/v4/objects/{objectType}/{objectId}/associations"
EVENTS_FOLLOW = "Publishes the same events as a producer would, so the change can trigger flows."

ENDPOINTS = (
    Endpoint(
        "createRecord",
        "POST",
        _RECORD,
        "Create a record",
        create_record,
        {201: "Record"},
        scope=Scope.WRITE_RECORDS,
        description=f"The API generates the ID. Use batch/upsert to choose it yourself. {EVENTS_FOLLOW}",
        body="RecordInput",
        example=Example(path=_CONTACT, body={"properties": {"email": "eve@example.com", "city": "Dublin"}}),
    ),
    Endpoint(
        "upsertRecords",
        "POST",
        f"{_RECORD}/batch/upsert",
        "Create or change up to 100 records by ID",
        upsert_records,
        {200: "UpsertedBatch", 207: "UpsertedBatch"},
        scope=Scope.WRITE_RECORDS,
        description=f"The status is 207 if some were rejected; `errors` lists them with the reason. {EVENTS_FOLLOW}",
        body="Upserts",
        example=Example(
            path=_CONTACT,
            body={
                "inputs": [
                    {"id": "101", "properties": {"city": "Cork"}},
                    {"id": "102", "properties": {"email": "ben@example.com"}, "occurredAt": "2025-11-01T09:00:00Z"},
                ]
            },
        ),
    ),
    Endpoint(
        "readRecords",
        "POST",
        f"{_RECORD}/batch/read",
        "Get up to 100 records by ID",
        batch_get_records,
        {200: "RecordBatch", 207: "RecordBatch"},
        description="With `idProperty` `email`, each `id` is the email of a contact, in any case. The status is 207 if "
        "some do not exist, or if several contacts have an email; `errors` says which.",
        body="RecordIds",
        example=Example(path=_CONTACT, body={"inputs": [{"id": "101"}], "properties": ["email"]}),
    ),
    Endpoint(
        "deleteRecords",
        "POST",
        f"{_RECORD}/batch/archive",
        "Delete up to 100 records by ID",
        delete_records,
        {204: None},
        scope=Scope.WRITE_RECORDS,
        description="Deletes the records one after the other. After an error, send the same request again.",
        body="Inputs",
        example=Example(path=_CONTACT, body={"inputs": [{"id": "103"}, {"id": "a/b?c#d%"}]}),
    ),
    Endpoint(
        "readRecord",
        "GET",
        f"{_RECORD}/{{objectId}}",
        "Get a record",
        get_record,
        {200: "Record"},
        query=(PROPERTIES, HISTORY, ID_OR_EMAIL),
        example=Example(path=_ADA, query={"properties": "email,city"}),
    ),
    Endpoint(
        "updateRecord",
        "PATCH",
        f"{_RECORD}/{{objectId}}",
        "Change properties of a record",
        update_record,
        {200: "Record"},
        scope=Scope.WRITE_RECORDS,
        description="For each property, the change with the latest `occurredAt` wins: a change older than the stored "
        f"value has no effect. A null or empty value clears the property. {EVENTS_FOLLOW}",
        query=(ID_PROPERTY,),
        body="RecordInput",
        example=Example(path=_ADA, body={"properties": {"city": "Galway"}}),
    ),
    Endpoint(
        "deleteRecord",
        "DELETE",
        f"{_RECORD}/{{objectId}}",
        "Delete a record with its properties and list memberships",
        delete_record,
        {204: None},
        scope=Scope.WRITE_RECORDS,
        description="A record that does not exist is not an error. Late events that occurred before the deletion do "
        "not create the record again.",
        query=(ID_PROPERTY,),
        example=Example(path={**_CONTACT, "objectId": "103"}),
    ),
    Endpoint(
        "readWholeRecord",
        "GET",
        "/enrollment/v1/records/{objectType}/{objectId}",
        "Get all that is stored of a record, with the time of each change",
        get_record_with_history,
        {200: "WholeRecord"},
        example=Example(path=_ADA),
    ),
    Endpoint(
        "readWholeRecords",
        "POST",
        "/enrollment/v1/records/{objectType}/batch/read",
        "Get all that is stored of up to 100 records, by ID",
        batch_get_records_with_history,
        {200: "WholeRecordBatch", 207: "WholeRecordBatch"},
        body="Inputs",
        example=Example(path=_CONTACT, body={"inputs": [{"id": "101"}]}),
    ),
    Endpoint(
        "addMembers",
        "PUT",
        f"{_MEMBERSHIPS}/add",
        "Add records to a list",
        add_members,
        {200: "MembershipChanges"},
        scope=Scope.WRITE_RECORDS,
        description=EVENTS_FOLLOW,
        query=(LIST_OBJECT_TYPE, OCCURRED_AT),
        body="Ids",
        example=Example(path={"listId": "42"}, body=["101", "999"]),
    ),
    Endpoint(
        "removeMembers",
        "PUT",
        f"{_MEMBERSHIPS}/remove",
        "Remove records from a list",
        remove_members,
        {200: "MembershipChanges"},
        scope=Scope.WRITE_RECORDS,
        description=EVENTS_FOLLOW,
        query=(LIST_OBJECT_TYPE, OCCURRED_AT),
        body="Ids",
        example=Example(path={"listId": "42"}, body=["101"]),
    ),
    Endpoint(
        "addAndRemoveMembers",
        "PUT",
        f"{_MEMBERSHIPS}/add-and-remove",
        "Add records to a list and remove others",
        add_and_remove_members,
        {200: "MembershipChanges"},
        scope=Scope.WRITE_RECORDS,
        description=EVENTS_FOLLOW,
        query=(LIST_OBJECT_TYPE, OCCURRED_AT),
        body="MembershipsInput",
        example=Example(path={"listId": "42"}, body={"recordIdsToAdd": ["101"], "recordIdsToRemove": ["104"]}),
    ),
    Endpoint(
        "listAssociations",
        "GET",
        f"{_ASSOCIATIONS}/{{toObjectType}}",
        "List the records of a type with which a record is associated",
        list_associations,
        {200: "AssociationPage"},
        query=(LIMIT, AFTER),
        example=Example(path={**_ADA, "toObjectType": "companies"}),
    ),
    Endpoint(
        "associate",
        "PUT",
        f"{_ASSOCIATIONS}/{{toObjectType}}/{{toObjectId}}",
        "Associate two records",
        associate,
        {201: "LabelsBetweenRecords"},
        scope=Scope.WRITE_RECORDS,
        description="For a type that HubSpot defines, the opposite direction is set too. For a type that you define, "
        "set each direction.",
        query=(OCCURRED_AT,),
        body="AssociationTypes",
        example=Example(path=_ADA_AND_ACME, body=[{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1}]),
    ),
    Endpoint(
        "associateByDefault",
        "PUT",
        f"{_ASSOCIATIONS}/default/{{toObjectType}}/{{toObjectId}}",
        "Associate two records by HubSpot's unlabelled type",
        associate_by_default,
        {200: "AssociatedBatch"},
        scope=Scope.WRITE_RECORDS,
        query=(OCCURRED_AT,),
        example=Example(path=_ADA_AND_ACME),
    ),
    Endpoint(
        "dissociate",
        "DELETE",
        f"{_ASSOCIATIONS}/{{toObjectType}}/{{toObjectId}}",
        "Remove every association between two records",
        dissociate,
        {204: None},
        scope=Scope.WRITE_RECORDS,
        query=(OCCURRED_AT,),
        example=Example(path=_ADA_AND_ACME),
    ),
)
