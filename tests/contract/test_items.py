"""Items as they lie in users' tables since the first version: they are read, and what is written is still the same."""

from collections.abc import Iterator
from typing import Any

import pytest

from enrollment.adapters.associations import DynamoAssociations
from enrollment.adapters.enrollments import DynamoEnrollments
from enrollment.adapters.records import DynamoRecords
from enrollment.adapters.tables import Table, Tables
from enrollment.domain.associations import Association, AssociationType
from enrollment.domain.enrollments import Cause, Enrolled, Enrollment
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records import Dated, Record
from enrollment.ports import Conflict
from enrollment.wire.messages import read_message, write_message
from tests.aws import aws
from tests.stores import open_tables

KEY = RecordKey("p/1", "0-1", "1ü%")
PK = {"pk": {"S": "p%2F1/0-1/1ü%25"}}

RECORD = PK | {
    "sk": {"S": "record"},
    "version": {"N": "2"},
    "createdAt": {"N": "5"},
    "properties": {"S": r'{"a": ["\u00fc\n", 3], "n": [1.5, 4], "l": [["x"], 4]}'},
    "memberships": {"S": '{"9": [true, 3]}'},
    "firsts": {"S": '{"f": "e"}'},
    "earlierProperties": {"S": '{"a": [["b", 1]]}'},
    "earlierMemberships": {"S": "{}"},
    "deletedAt": {"N": "9"},
    "awaitedUntil": {"N": "99"},
}
ASSOCIATION = PK | {
    "sk": {"S": "associated/0-2/2"},
    "version": {"N": "1"},
    "types": {"S": '[["HUBSPOT_DEFINED", 279, [false, 2], [true, 5]]]'},
}
MESSAGE = (
    '{"schemaVersion": "1.0", "enrollmentId": "01X", "idempotencyKey": "idem", "portalId": "p/1", "flowId": "7", '
    r'"flowName": "n\u00e4me", "flowRevisionId": "3", "objectTypeId": "0-1", "objectId": "1\u00fc%", '
    '"isReEnrollment": false, "trigger": {"groupIndex": 0, "eventType": "forms.submitted", "eventTypeId": null, '
    '"eventId": "ev1", "occurredAt": "1970-01-01T00:00:00.001Z", "source": "s", "properties": {"a": 1}}, '
    '"enrolledAt": "2001-09-09T01:46:40.000Z"}'
)
ENROLLMENT = PK | {
    "sk": {"S": "7"},
    "enrollmentId": {"S": "01X"},
    "eventId": {"S": "ev1"},
    "flowShard": {"S": "p%2F1/7/14"},
    "enrolledAt": {"S": "2001-09-09T01:46:40.000Z/01X"},
    "message": {"S": MESSAGE},
    "dueAt": {"N": "77"},
    "publishedAt": {"S": "2001-09-09T01:46:40.001Z"},
    "announcedAt": {"S": "2001-09-09T01:46:40.001Z"},
}


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tables]:
    with aws(monkeypatch) as config:
        yield open_tables(config)


def stored(tables: Tables, table: Table) -> Any:
    asked: dict[str, Any] = {
        "TableName": table.name,
        "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": {":pk": PK["pk"]},
    }
    (item,) = tables.client.query(**asked)["Items"]
    return item


def put(tables: Tables, table: Table, item: Any) -> None:
    tables.client.put_item(TableName=table.name, Item=item)


def test_a_record(tables: Tables) -> None:
    put(tables, tables.records, RECORD)
    records = DynamoRecords(tables)
    found = records.get(KEY)
    assert found == Record(
        KEY,
        5,
        properties={"a": Dated("ü\n", 3), "n": Dated(1.5, 4), "l": Dated(["x"], 4)},
        memberships={"9": Dated(True, 3)},
        firsts={"f": "e"},
        version=2,
        deleted_at=9,
        earlier_properties={"a": (Dated("b", 1),)},
        awaited_until=99,
    )
    records.save(found)
    assert stored(tables, tables.records) == RECORD | {"version": {"N": "3"}}


def test_a_record_that_was_stored_in_several_spellings(tables: Tables) -> None:
    """As records were stored before list ids and property names had one spelling."""
    spelled = RECORD | {
        "properties": {"S": '{"City": ["Oslo", 7], "city": ["Cork", 4]}'},
        "earlierProperties": {"S": '{"city": [["Bray", 2]]}'},
        "memberships": {"S": '{"VIP": [true, 3], " vip": [false, 6], "9": [true, 3]}'},
        "earlierMemberships": {"S": '{"VIP": [[false, 2]]}'},
    }
    put(tables, tables.records, spelled)
    found = DynamoRecords(tables).get(KEY)
    assert found is not None
    assert found.properties == {"city": Dated("Oslo", 7)}
    assert found.earlier_properties == {"city": (Dated("Bray", 2), Dated("Cork", 4))}
    assert found.memberships == {"vip": Dated(False, 6), "9": Dated(True, 3)}
    assert found.earlier_memberships == {"vip": (Dated(False, 2), Dated(True, 3))}
    assert [found.is_member("Vip", at) for at in (1, 2, 3, 5, 6)] == [False, False, True, True, False]


def test_an_association(tables: Tables) -> None:
    put(tables, tables.records, ASSOCIATION)
    associations, company = DynamoAssociations(tables), RecordKey("p/1", "0-2", "2")
    kind = AssociationType("HUBSPOT_DEFINED", 279)
    found = associations.get(KEY, company)
    assert found == Association(
        KEY, company, types={kind: Dated(True, 5)}, earlier={kind: (Dated(False, 2),)}, version=1
    )
    associations.save([found])
    assert stored(tables, tables.records) == ASSOCIATION | {"version": {"N": "2"}}


def test_an_enrollment(tables: Tables) -> None:
    cause = Cause(0, "forms.submitted", None, "ev1", 1, "s", {"a": 1})
    written = Enrollment("01X", KEY, "7", "näme", "3", "idem", False, cause, 10**12)
    enrollments = DynamoEnrollments(tables, write_message, read_message)
    assert enrollments.claim(written, 77)
    enrollments.confirm(written, is_published=True, is_announced=True, now=10**12 + 1)
    assert stored(tables, tables.enrollments) == ENROLLMENT
    found = enrollments.find(KEY, "ev1", ["7"])["7"]
    assert found.first is not None
    assert found == Enrolled(first=found.first, own=found.first)
    assert (found.first.enrollment, found.first.is_confirmed, found.first.due_at) == (written, True, 77)


def test_a_confirmation_is_of_its_own_enrollment_alone(tables: Tables) -> None:
    """Whoever took the place in between is not confirmed by it."""
    put(tables, tables.enrollments, ENROLLMENT | {"enrollmentId": {"S": "01Z"}})
    cause = Cause(0, "forms.submitted", None, "ev1", 1, "s", {"a": 1})
    mine = Enrollment("01X", KEY, "7", "näme", "3", "idem", False, cause, 10**12)
    with pytest.raises(Conflict):
        DynamoEnrollments(tables, write_message, read_message).confirm(
            mine, is_published=True, is_announced=True, now=1
        )
    assert stored(tables, tables.enrollments)["publishedAt"] == ENROLLMENT["publishedAt"]
