"""The calls to AWS that one event costs in a warm function, in order.

The table has the calls that the code made before the event processor was split into steps. Each call costs money and
time (docs/costs.md), so measure the cost before you change the table.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from enrollment.adapters.dynamodb.associations import DynamoAssociations
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.associations import Association, AssociationType, associated
from enrollment.domain.records.record import Record
from enrollment.domain.values import iso
from enrollment.entrypoints import bootstrap
from tests.support.aws import BASE_CLIENT
from tests.support.functions import CONTEXT, Stack, function, invoke, put
from tests.support.scenario import event
from tests.support.stores import open_tables

FLOWS = "GetItem flows"
# Two lists of candidates. A snapshot that changes the record concerns the list of filter-based flows too.
BOTH_FLOWS = "BatchGetItem flows"
RECORD = "GetItem records"
PREVIOUS_ENROLLMENTS = "BatchGetItem enrollments"
SAVE_RECORD = "PutItem records"
CLAIM = "PutItem enrollments"
PUBLISH = ["SendMessageBatch", "PutEvents"]
CONFIRM = "UpdateItem enrollments"
SCHEDULE = "SendMessage"

FORM = {"hs_form_id": "f-1"}
OTHER_FORM = {"hs_form_id": "f-2"}
MEETING = {"hs_meeting_source": "MEETINGS_TOOL"}

# Per kind of event: the event, the codes of its decisions, its calls.
KINDS: dict[str, tuple[dict[str, Any], list[str], list[str]]] = {
    "no candidate flow": ({"email.opened": "101"}, [], [FLOWS]),
    "one flow, not matched": (
        {"forms.submitted": "101", "properties": OTHER_FORM},
        ["NOT_MATCHED"],
        [FLOWS, RECORD],
    ),
    "one flow enrolls": (
        {"forms.submitted": "101", "properties": FORM},
        ["ENROLLED"],
        [FLOWS, RECORD, PREVIOUS_ENROLLMENTS, CLAIM, *PUBLISH, CONFIRM],
    ),
    "one flow enrolls, the event changes the record": (
        {"forms.submitted": "101", "properties": FORM, "record": {"city": "Galway"}},
        ["ENROLLED"],
        [RECORD, SAVE_RECORD, BOTH_FLOWS, PREVIOUS_ENROLLMENTS, CLAIM, *PUBLISH, CONFIRM],
    ),
    "ten flows enroll": (
        {"calls.ended": "101"},
        10 * ["ENROLLED"],
        [FLOWS, RECORD, PREVIOUS_ENROLLMENTS, *10 * [CLAIM], *PUBLISH, *10 * [CONFIRM]],
    ),
    "a filter-based flow, whose values the record does not have": (
        {"crm.property_changed": "101", "properties": {"hs_name": "city", "hs_value": "Oslo"}},
        ["NOT_MATCHED", "NOT_MATCHED"],
        [RECORD, SAVE_RECORD, FLOWS],
    ),
    "a filter-based flow, whose criteria the record does not meet": (
        {"crm.property_changed": "101", "properties": {"hs_name": "phone", "hs_value": "1"}},
        ["NOT_MATCHED", "NOT_MATCHED"],
        [RECORD, SAVE_RECORD, FLOWS],
    ),
    "a filter-based flow enrolls": (
        {"crm.property_changed": "101", "properties": {"hs_name": "city", "hs_value": "Cork"}},
        ["ENROLLED", "NOT_MATCHED"],
        [RECORD, SAVE_RECORD, FLOWS, PREVIOUS_ENROLLMENTS, CLAIM, *PUBLISH, CONFIRM],
    ),
    "a filter-based flow enrolls by a snapshot": (
        {"email.opened": "101", "record": {"city": "Cork"}},
        ["ENROLLED"],
        [RECORD, SAVE_RECORD, BOTH_FLOWS, PREVIOUS_ENROLLMENTS, CLAIM, *PUBLISH, CONFIRM],
    ),
    "a company's change that no contact's criteria mention": (
        {"crm.property_changed": "7", "object": "company", "properties": {"hs_name": "phone", "hs_value": "1"}},
        [],
        [RECORD, SAVE_RECORD, FLOWS],
    ),
    "a company's change that contacts' criteria mention": (
        {"crm.property_changed": "7", "object": "company", "properties": {"hs_name": "name", "hs_value": "Acme"}},
        [],
        [RECORD, SAVE_RECORD, FLOWS, SCHEDULE],
    ),
    # The writes: the record, with the time until which a decision is deferred, the deferred event, and the due item.
    "deferred": (
        {"meetings.booked": "101", "properties": MEETING},
        ["WAITING"],
        [FLOWS, RECORD, PREVIOUS_ENROLLMENTS, *3 * [SAVE_RECORD]],
    ),
    "unknown record": (
        {"forms.submitted": "unknown", "properties": FORM},
        ["WAITING"],
        [FLOWS, RECORD, *3 * [SAVE_RECORD], SCHEDULE],
    ),
}


def operation_and_table(operation: str, arguments: dict[str, Any]) -> str:
    """Return the operation with its tables, for example ``GetItem records``."""
    tables = [arguments["TableName"]] if "TableName" in arguments else sorted(arguments.get("RequestItems", {}))
    return " ".join([operation, *tables])


@contextmanager
def calls_made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Yield the list to which each call to AWS is added."""
    made: list[str] = []
    make = BASE_CLIENT._make_api_call

    def noted(client: Any, operation: str, arguments: Any) -> Any:
        made.append(operation_and_table(operation, arguments))
        return make(client, operation, arguments)

    with monkeypatch.context() as patched:
        patched.setattr(BASE_CLIENT, "_make_api_call", noted)
        yield made


def calls_of(monkeypatch: pytest.MonkeyPatch, envelope: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return the codes of the decisions about an event, and the calls to AWS in order."""
    with calls_made(monkeypatch) as made:
        answer = invoke(envelope, envelope["detail-type"].partition(".")[0])
    return [decision["code"] for decision in answer["decisions"]], made


@pytest.mark.parametrize("kind", KINDS)
def test_calls_to_aws_per_event(kind: str, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    put(stack, id=1, where=[["hs_form_id", "IS_ANY_OF", ["f-1"]]])
    for number in range(10, 20):
        put(stack, id=number, event="calls.ended")
    put(stack, id=30, filters=[["city", "IS_EQUAL_TO", "Cork"]])
    put(stack, id=31, filters=[["phone", "IS_KNOWN"], ["age", "IS_GREATER_THAN", 20]])
    put(stack, id=32, filters=[], company=[["name", "IS_EQUAL_TO", "Acme"]])
    put(stack, id=20, event="meetings.booked", criteria=[["city", "IS_EQUAL_TO", "Cork"]], tolerance=5)
    stack.stores.records.save(Record(RecordKey("p1", "0-1", "101"), 0))
    stack.stores.records.save(Record(RecordKey("p1", "0-1", "warm"), 0))
    for object_id in ("7", "warm"):
        stack.stores.records.save(Record(RecordKey("p1", "0-2", object_id), 0))
    time.sleep(0.01)  # the events are sent after the flows were written
    fields, codes, calls = KINDS[kind]
    instant = iso(bootstrap.now())
    sent = {"sent": instant, "at": instant}
    (event_type,) = (name for name in fields if "." in name)
    # A function is warm when it has read each list of candidates once, and the settings of the portal.
    is_change = event_type == "crm.property_changed"
    snapshot = {"record": {"city": "Cork"}} if "record" in fields or is_change else {}
    snapshot |= {"properties": {"hs_name": "fax", "hs_value": "1"}} if is_change else {}
    kind_of_record = {"object": fields["object"]} if "object" in fields else {}
    warm = {event_type: "warm", "id": "warm", **sent, **snapshot, **kind_of_record}
    invoke(event(warm), event_type.partition(".")[0])

    assert calls_of(monkeypatch, event({"id": "e", **sent, **fields})) == (codes, calls)


ASSOCIATIONS = "Query records"
READ_COMPANY = "BatchGetItem records"
ENROLL = [PREVIOUS_ENROLLMENTS, CLAIM, *PUBLISH, CONFIRM]


def test_calls_to_aws_for_the_contacts_of_a_changed_company(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The company and the flows are read once for the contacts of a message."""
    put(stack, id=32, filters=[], company=[["name", "IS_EQUAL_TO", "Acme"]])
    company = RecordKey("p1", "0-2", "7")
    stack.stores.records.save(Record(company, 0))
    associations = DynamoAssociations(open_tables(stack.config))
    for number in range(3):
        contact = RecordKey("p1", "0-1", str(number))
        stack.stores.records.save(Record(contact, 0))
        for source, target, kind in ((contact, company, 279), (company, contact, 280)):
            there = Association(source, target)
            associations.save([associated(there, [AssociationType("HUBSPOT_DEFINED", kind)], 0, holds=True)])
    now = iso(bootstrap.now())
    properties = {"hs_name": "name", "hs_value": "Acme"}
    fields = {"crm.property_changed": "7", "object": "company", "id": "c", "at": now, "sent": now}
    invoke(event({**fields, "properties": properties}), "crm")
    (message,) = stack.sqs.receive_message(QueueUrl=stack.config.redeliveries_queue_url)["Messages"]
    batch = {"Records": [{"messageId": "m", "body": message["Body"]}]}
    with calls_made(monkeypatch) as made:
        assert function("redeliveries").handler(batch, CONTEXT) == {"batchItemFailures": []}

    first = [RECORD, "Query flows", ASSOCIATIONS, READ_COMPANY, *ENROLL]
    next_contact = [RECORD, ASSOCIATIONS, *ENROLL]
    assert made == [ASSOCIATIONS, *first, *next_contact, *next_contact]
    assert len(stack.enrollments()) == 3
