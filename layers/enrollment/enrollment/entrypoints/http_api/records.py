"""`/crm/v3/objects`, `/crm/v3/lists` and `/crm/v4/objects/…/associations`."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from enrollment.application.ports import ConcurrentModification
from enrollment.application.record_service import ChangeError, RecordAlreadyExists, RecordChange, UnknownRecord
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.associations import AssociationType, default_type
from enrollment.domain.records.record import RecordUpdate
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
    read_record_ids,
    read_update,
    read_upserts,
    write_association,
    write_record,
    write_whole_record,
)
from enrollment.serialization.requests import (
    read_cursor,
    read_limit,
    read_list_id,
    read_moment,
    read_names,
    read_object_type,
    refuse,
    write_cursor,
)

# Objects ------------------------------------------------------------------------------------------------------------


def create_record(services: Services, request: Request) -> Reply:
    change = read_creation(request.body, request.now)
    for _ in range(ID_ATTEMPTS):
        key = _key(request, object_id=new_number(services, request))
        try:
            return Reply(201, write_record(services.record_service.create(key, change).record))
        except RecordAlreadyExists:
            continue
    raise ConcurrentModification("no free id was found for the record; ask again")


def get_record(services: Services, request: Request) -> Reply:
    record = services.record_service.get(_key(request))
    return Reply(
        200, write_record(record, _names(request, "properties"), _names(request, "propertiesWithHistory") or ())
    )


def update_record(services: Services, request: Request) -> Reply:
    change = read_update(request.body, request.now)
    return Reply(200, write_record(services.record_service.change(_key(request), change).record))


def delete_record(services: Services, request: Request) -> Reply:
    services.record_service.delete(_key(request), request.now)
    return Reply(204)


def upsert_records(services: Services, request: Request) -> Reply:
    changes = [(_key(request, object_id=one), change) for one, change in read_upserts(request.body, request.now)]
    outcomes = services.record_service.change_many(changes)
    # What was asked for, and not all that is known: an answer has its limits, and the change is made.
    results = [
        {**write_record(one.record, list(change.properties)), "new": one.is_new}
        for (_, change), one in zip(changes, outcomes, strict=True)
        if isinstance(one, RecordChange)
    ]
    refused = [
        (key.object_id, one)
        for (key, _), one in zip(changes, outcomes, strict=True)
        if not isinstance(one, RecordChange)
    ]
    answer = _batch(request, results)
    if refused:
        answer |= {"numErrors": len(refused), "errors": [_refusal(object_id, one) for object_id, one in refused]}
    return Reply(207 if refused else 200, answer)


def batch_get_records(services: Services, request: Request) -> Reply:
    ids, names, history = read_record_ids(request.body)
    keys = [_key(request, object_id=one) for one in ids]
    found = services.record_service.get_many(keys)
    missing = [key.object_id for key in keys if key not in found]
    answer = _batch(request, [write_record(found[key], names, history) for key in keys if key in found])
    if missing:
        answer |= not_found("records", missing)
    return Reply(207 if missing else 200, answer)


def delete_records(services: Services, request: Request) -> Reply:
    for one in read_ids(request.body):
        # When one fails, the caller sends the whole request again: deleting what is deleted does nothing.
        services.record_service.delete(_key(request, object_id=one), request.now)
    return Reply(204)


def batch_get_records_with_history(services: Services, request: Request) -> Reply:
    keys = [_key(request, object_id=one) for one in read_ids(request.body)]
    found = services.record_service.get_many(keys)
    missing = [key.object_id for key in keys if key not in found]
    answer = _batch(request, [write_whole_record(found[key]) for key in keys if key in found])
    if missing:
        answer |= not_found("records", missing)
    return Reply(207 if missing else 200, answer)


def get_record_with_history(services: Services, request: Request) -> Reply:
    return Reply(200, write_whole_record(services.record_service.get(_key(request))))


# Lists --------------------------------------------------------------------------------------------------------------


def add_members(services: Services, request: Request) -> Reply:
    return _change_memberships(services, request, read_members(request.body), [])


def remove_members(services: Services, request: Request) -> Reply:
    return _change_memberships(services, request, [], read_members(request.body))


def add_and_remove_members(services: Services, request: Request) -> Reply:
    return _change_memberships(services, request, *read_membership_changes(request.body))


def _change_memberships(services: Services, request: Request, added: Sequence[str], removed: Sequence[str]) -> Reply:
    object_type = read_object_type(request.query.get("objectTypeId", "0-1"))
    occurred_at = request.query.get("occurredAt")
    at = read_moment(occurred_at, "occurredAt", request.now)
    time = None if occurred_at is None else read_time(occurred_at)
    change = RecordUpdate(at, arrived_at=request.now, is_to_second=time is not None and time[1])
    list_id = read_list_id(request.path["listId"], "listId")
    changes = [
        (RecordKey(request.portal_id, object_type, one), replace(change, memberships={list_id: is_member}))
        for ids, is_member in ((added, True), (removed, False))
        for one in ids
    ]
    outcomes = services.record_service.change_many(changes, all_or_none=True)
    answer: dict[str, list[str]] = {"recordsIdsAdded": [], "recordIdsRemoved": [], "recordIdsMissing": []}
    for (key, change), outcome in zip(changes, outcomes, strict=True):
        if isinstance(outcome, UnknownRecord):
            answer["recordIdsMissing"].append(key.object_id)
        elif isinstance(outcome, RecordChange):
            answer["recordsIdsAdded" if change.memberships[list_id] else "recordIdsRemoved"].append(key.object_id)
        else:
            # It is harmless to ask for all of them again: those that are done are no change.
            raise outcome
    return Reply(200, answer)


# Associations -------------------------------------------------------------------------------------------------------


def associate(services: Services, request: Request) -> Reply:
    record, other = _pair(request)
    kinds = read_association_types(request.body)
    services.record_service.associate(record, other, kinds, _at(request))
    answer = {
        "fromObjectTypeId": record.object_type_id,
        "fromObjectId": record.object_id,
        "toObjectTypeId": other.object_type_id,
        "toObjectId": other.object_id,
        "labels": [],
    }
    return Reply(201, answer)


def associate_by_default(services: Services, request: Request) -> Reply:
    record, other = _pair(request)
    kind = default_type(record.object_type_id, other.object_type_id)
    if kind is None:
        raise refuse(
            "toObjectType",
            "NO_DEFAULT_TYPE",
            f"{record.object_type_id} and {other.object_type_id} have no default association; "
            "name its type in the body of a PUT without /default",
        )
    services.record_service.associate(record, other, [kind], _at(request))
    back = default_type(other.object_type_id, record.object_type_id)
    both = ((record, other, kind), (other, record, back))
    return Reply(200, _batch(request, [_set(*one) for one in both if one[2] is not None]))


def dissociate(services: Services, request: Request) -> Reply:
    services.record_service.dissociate(*_pair(request), _at(request))
    return Reply(204)


def list_associations(services: Services, request: Request) -> Reply:
    limit = read_limit(request.query.get("limit"))
    other_type = read_object_type(request.path["toObjectType"])
    record = _key(request)
    after = read_cursor(request.query.get("after")) or ""
    found, following = services.record_service.associated(record, other_type, limit, after)
    results = [write_association(other, kinds) for other, kinds in found]
    return Reply(200, page(results, None if following is None else write_cursor(following)))


def _set(record: RecordKey, other: RecordKey, kind: AssociationType | None) -> dict[str, Any]:
    assert kind is not None
    return {
        "from": {"id": record.object_id},
        "to": {"id": other.object_id},
        "associationSpec": {"associationCategory": kind.category, "associationTypeId": kind.type_id},
    }


def _pair(request: Request) -> tuple[RecordKey, RecordKey]:
    other_type = read_object_type(request.path["toObjectType"])
    return _key(request), RecordKey(request.portal_id, other_type, request.path["toObjectId"])


def _at(request: Request) -> int:
    return read_moment(request.query.get("occurredAt"), "occurredAt", request.now)


# Both ---------------------------------------------------------------------------------------------------------------


def _key(request: Request, object_id: str | None = None) -> RecordKey:
    object_type = read_object_type(request.path["objectType"])
    return RecordKey(request.portal_id, object_type, object_id or request.path["objectId"])


def _names(request: Request, parameter: str) -> list[str] | None:
    found = request.query.get(parameter)
    return None if found is None else read_names([one for one in found.split(",") if one], parameter)


def _batch(request: Request, results: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "status": "COMPLETE",
        "results": results,
        "startedAt": iso(request.now),
        "completedAt": iso(request.now),
    }


def _refusal(object_id: str, refusal: ChangeError) -> dict[str, Any]:
    problem = problem_of(refusal)
    return {
        "status": "error",
        "category": problem.category if problem else VALIDATION,
        "message": problem.message if problem else str(refusal),
        "context": {"ids": [object_id]},
        "errors": [write_fault(one) for one in problem.faults] if problem else [],
    }


ID_PROPERTY = Query(
    "idProperty", "Only the record's id: others are not implemented.", {"type": "string", "enum": ["hs_object_id"]}
)
PROPERTIES = Query("properties", "Names of properties, separated by commas; all when absent.")
HISTORY = Query("propertiesWithHistory", "Names of properties to give with the time of their change.")
LIST_OBJECT_TYPE = Query("objectTypeId", "Of the records.", {"type": "string", "default": "0-1"})

_CONTACT = {"objectType": "contacts"}
_ADA = {**_CONTACT, "objectId": "101"}
_ADA_AND_ACME = {**_ADA, "toObjectType": "companies", "toObjectId": "201"}
_RECORD = "/crm/v3/objects/{objectType}"
_MEMBERSHIPS = "/crm/v3/lists/{listId}/memberships"
_ASSOCIATIONS = "/crm/v4/objects/{objectType}/{objectId}/associations"
EVENTS_FOLLOW = "Puts the same events on the bus as a producer would, so that it triggers flows."

ENDPOINTS = (
    Endpoint(
        "createRecord",
        "POST",
        _RECORD,
        "Create a record",
        create_record,
        {201: "Record"},
        scope=Scope.WRITE_RECORDS,
        description=f"The id is chosen here; batch/upsert takes an id of your own. {EVENTS_FOLLOW}",
        body="RecordInput",
        example=Example(path=_CONTACT, body={"properties": {"email": "eve@example.com", "city": "Dublin"}}),
    ),
    Endpoint(
        "upsertRecords",
        "POST",
        f"{_RECORD}/batch/upsert",
        "Create or change up to 100 records by their ids",
        upsert_records,
        {200: "UpsertedBatch", 207: "UpsertedBatch"},
        scope=Scope.WRITE_RECORDS,
        description=f"207: some were refused, and `errors` says which and why. {EVENTS_FOLLOW}",
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
        "Up to 100 records by their ids",
        batch_get_records,
        {200: "RecordBatch", 207: "RecordBatch"},
        body="RecordIds",
        example=Example(path=_CONTACT, body={"inputs": [{"id": "101"}], "properties": ["email"]}),
    ),
    Endpoint(
        "deleteRecords",
        "POST",
        f"{_RECORD}/batch/archive",
        "Delete up to 100 records by their ids",
        delete_records,
        {204: None},
        scope=Scope.WRITE_RECORDS,
        description="As the deletion of each. After an error, send the same request again.",
        body="Inputs",
        example=Example(path=_CONTACT, body={"inputs": [{"id": "103"}, {"id": "a/b?c#d%"}]}),
    ),
    Endpoint(
        "readRecord",
        "GET",
        f"{_RECORD}/{{objectId}}",
        "A record",
        get_record,
        {200: "Record"},
        query=(PROPERTIES, HISTORY, ID_PROPERTY),
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
        description="The last change by its time of occurrence wins, property by property: an older one than is stored "
        f"changes nothing. A null or empty value clears. {EVENTS_FOLLOW}",
        query=(ID_PROPERTY,),
        body="RecordInput",
        example=Example(path=_ADA, body={"properties": {"city": "Galway"}}),
    ),
    Endpoint(
        "deleteRecord",
        "DELETE",
        f"{_RECORD}/{{objectId}}",
        "Delete a record and all that is known of it",
        delete_record,
        {204: None},
        scope=Scope.WRITE_RECORDS,
        description="Deleting what is not there is the same. Late events of before do not bring it back.",
        query=(ID_PROPERTY,),
        example=Example(path={**_CONTACT, "objectId": "103"}),
    ),
    Endpoint(
        "readWholeRecord",
        "GET",
        "/enrollment/v1/records/{objectType}/{objectId}",
        "All that is stored of a record, with the times of the changes",
        get_record_with_history,
        {200: "WholeRecord"},
        example=Example(path=_ADA),
    ),
    Endpoint(
        "readWholeRecords",
        "POST",
        "/enrollment/v1/records/{objectType}/batch/read",
        "All that is stored of up to 100 records, by their ids",
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
        "The records of a type that a record is associated with",
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
        description="HubSpot's own types are set as seen from the other record too; of types that you defined, set "
        "each direction.",
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
        "Remove every association of two records",
        dissociate,
        {204: None},
        scope=Scope.WRITE_RECORDS,
        query=(OCCURRED_AT,),
        example=Example(path=_ADA_AND_ACME),
    ),
)
