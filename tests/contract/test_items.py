"""Items that users' tables have had since the first version can be read, and are still written in the same form."""

from collections.abc import Iterator
from typing import Any

import pytest

from enrollment.adapters.dynamodb.associations import DynamoAssociations
from enrollment.adapters.dynamodb.enrollments import DynamoEnrollments
from enrollment.adapters.dynamodb.records import DynamoRecords
from enrollment.adapters.dynamodb.tables import Table, Tables
from enrollment.application.ports import ConcurrentModification
from enrollment.domain.enrollment.enrollments import Enrollment, ExistingEnrollments, TriggerEvent
from enrollment.domain.events.moments import as_of
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.associations import Association, AssociationType
from enrollment.domain.records.record import EARLY_CHANGES_KEPT_MS, NOT_CREATED, Record, TimestampedValue
from enrollment.serialization.messages import read_message, write_message
from tests.support.aws import aws
from tests.support.stores import open_tables

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
RECORD_WITH_ORIGINS = PK | {
    "sk": {"S": "record"},
    "version": {"N": "2"},
    "createdAt": {"N": "5000"},
    "knownAt": {"N": "5020"},
    "properties": {"S": '{"a": ["x", 5000, 0, 1], "b": ["y", 7, 0]}'},
    "memberships": {"S": '{"9": [true, 6100, 1]}'},
    "firsts": {"S": "{}"},
    "earlierProperties": {"S": '{"a": [["b", 1]]}'},
    "earlierMemberships": {"S": "{}"},
    "origins": {"S": '[["ev1", 5020], ["ev2", 6110]]'},
}
ASSOCIATION = PK | {
    "sk": {"S": "associated/0-2/2"},
    "version": {"N": "1"},
    "types": {"S": '[["HUBSPOT_DEFINED", 279, [false, 2], [true, 5]]]'},
}
MESSAGE = (
    '{"schemaVersion": "1.0", "enrollmentId": "01X", "idempotencyKey": "idem", "portalId": "p/1", "flowId": "7", '
    '"flowName": "näme", "flowRevisionId": "3", "objectTypeId": "0-1", "objectId": "1ü%", '
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
    query: dict[str, Any] = {
        "TableName": table.name,
        "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": {":pk": PK["pk"]},
    }
    (item,) = tables.client.query(**query)["Items"]
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
        properties={"a": TimestampedValue("ü\n", 3), "n": TimestampedValue(1.5, 4), "l": TimestampedValue(["x"], 4)},
        memberships={"9": TimestampedValue(True, 3)},
        firsts={"f": "e"},
        version=2,
        deleted_at=9,
        earlier_properties={"a": (TimestampedValue("b", 1),)},
        awaited_until=99,
    )
    records.save(found)
    # Written as UTF-8; records that were written as ASCII before can be read.
    properties = {"S": '{"a": ["ü\\n", 3], "n": [1.5, 4], "l": [["x"], 4]}'}
    assert stored(tables, tables.records) == RECORD | {"version": {"N": "3"}, "properties": properties}


def test_a_record_with_the_origins_of_its_changes(tables: Tables) -> None:
    put(tables, tables.records, RECORD_WITH_ORIGINS)
    records = DynamoRecords(tables)
    found = records.get(KEY)
    assert found == Record(
        KEY,
        5000,
        properties={"a": TimestampedValue("x", 5000, 5020, "ev1", True), "b": TimestampedValue("y", 7, 5020, "ev1")},
        memberships={"9": TimestampedValue(True, 6100, 6110, "ev2")},
        version=2,
        earlier_properties={"a": (TimestampedValue("b", 1),)},
        known_at=5020,
    )
    records.save(found)
    listed = {"typeShard": {"S": "p%2F1/0-1/record/14"}}
    assert stored(tables, tables.records) == RECORD_WITH_ORIGINS | listed | {"version": {"N": "3"}}


def test_a_record_that_does_not_exist_yet_expires(tables: Tables) -> None:
    records = DynamoRecords(tables)
    saved = records.save(Record(KEY, NOT_CREATED, {"a": TimestampedValue("x", 5000, 5020, "ev1")}, awaited_until=9000))
    assert records.get(KEY) == saved
    item = stored(tables, tables.records)
    assert "createdAt" not in item
    assert item["expiresAt"] == {"N": str((9000 + EARLY_CHANGES_KEPT_MS) // 1000)}


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
    assert found.properties == {"city": TimestampedValue("Oslo", 7)}
    assert found.earlier_properties == {"city": (TimestampedValue("Bray", 2), TimestampedValue("Cork", 4))}
    assert found.memberships == {"vip": TimestampedValue(False, 6), "9": TimestampedValue(True, 3)}
    assert found.earlier_memberships == {"vip": (TimestampedValue(False, 2), TimestampedValue(True, 3))}
    assert [found.is_member("Vip", as_of(at)) for at in (1, 2, 3, 5, 6)] == [False, False, True, True, False]


def test_an_association(tables: Tables) -> None:
    put(tables, tables.records, ASSOCIATION)
    associations, company = DynamoAssociations(tables), RecordKey("p/1", "0-2", "2")
    kind = AssociationType("HUBSPOT_DEFINED", 279)
    found = associations.get(KEY, company)
    assert found == Association(
        KEY, company, types={kind: TimestampedValue(True, 5)}, earlier={kind: (TimestampedValue(False, 2),)}, version=1
    )
    associations.save([found])
    assert stored(tables, tables.records) == ASSOCIATION | {"version": {"N": "2"}}


def test_an_enrollment(tables: Tables) -> None:
    cause = TriggerEvent(0, "forms.submitted", None, "ev1", 1, "s", {"a": 1})
    written = Enrollment("01X", KEY, "7", "näme", "3", "idem", False, cause, 10**12)
    enrollments = DynamoEnrollments(tables, write_message, read_message)
    assert enrollments.claim(written, 77)
    enrollments.confirm(written, is_published=True, is_announced=True, now=10**12 + 1)
    assert stored(tables, tables.enrollments) == ENROLLMENT
    found = enrollments.find(KEY, "ev1", ["7"])["7"]
    assert found.first is not None
    assert found == ExistingEnrollments(first=found.first, for_event=found.first)
    assert (found.first.enrollment, found.first.is_confirmed, found.first.due_at) == (written, True, 77)


def test_an_enrollment_whose_message_is_in_ascii(tables: Tables) -> None:
    """As it was written before messages cost the UTF-8 of their text."""
    in_ascii = MESSAGE.replace("ä", r"\u00e4").replace("ü", r"\u00fc")
    put(tables, tables.enrollments, ENROLLMENT | {"message": {"S": in_ascii}})
    found = DynamoEnrollments(tables, write_message, read_message).find(KEY, "ev1", ["7"])["7"].first
    assert found is not None
    assert (found.enrollment.flow_name, found.enrollment.record_key) == ("näme", KEY)


def test_an_enrollment_that_is_not_confirmed_has_its_place_in_the_index(tables: Tables) -> None:
    """And the chain of its event, if there is one. Confirmed, it is as it has always been."""
    cause = TriggerEvent(0, "forms.submitted", None, "ev1", 1, "s", {"a": 1})
    written = Enrollment("01X", KEY, "7", "näme", "3", "idem", False, cause, 10**12)
    enrollments = DynamoEnrollments(tables, write_message, read_message)
    confirmations = ("dueAt", "publishedAt", "announcedAt")
    claimed = {name: value for name, value in ENROLLMENT.items() if name not in confirmations} | {
        "unconfirmedShard": {"S": "46"},
        "publishAt": {"N": str(10**12)},
    }
    assert enrollments.claim(written)
    assert stored(tables, tables.enrollments) == claimed
    enrollments.confirm(written, is_published=True, is_announced=False, now=10**12 + 1)
    assert stored(tables, tables.enrollments) == claimed | {"publishedAt": ENROLLMENT["publishedAt"]}
    tables.client.delete_item(TableName=tables.enrollments.name, Key={"pk": PK["pk"], "sk": {"S": "7"}})
    assert enrollments.claim(written, 77, ("5", "6"))
    delayed = claimed | {"dueAt": {"N": "77"}, "publishAt": {"N": "77"}, "chain": {"S": '["5", "6"]'}}
    assert stored(tables, tables.enrollments) == delayed


def test_an_enrollment_claimed_by_an_earlier_version_is_confirmed(tables: Tables) -> None:
    item = {name: value for name, value in ENROLLMENT.items() if name not in ("publishedAt", "announcedAt")}
    put(tables, tables.enrollments, item)
    enrollments = DynamoEnrollments(tables, write_message, read_message)
    kept = enrollments.find(KEY, "ev1", ["7"])["7"].for_event
    assert kept is not None
    assert (kept.is_confirmed, kept.chain, list(enrollments.unconfirmed(10**13))) == (False, (), [])
    enrollments.confirm(kept.enrollment, is_published=True, is_announced=True, now=10**12 + 1)
    assert stored(tables, tables.enrollments) == ENROLLMENT


def test_confirmation_changes_only_its_enrollment(tables: Tables) -> None:
    """Whoever took the place in between is not confirmed by it."""
    put(tables, tables.enrollments, ENROLLMENT | {"enrollmentId": {"S": "01Z"}})
    cause = TriggerEvent(0, "forms.submitted", None, "ev1", 1, "s", {"a": 1})
    mine = Enrollment("01X", KEY, "7", "näme", "3", "idem", False, cause, 10**12)
    with pytest.raises(ConcurrentModification):
        DynamoEnrollments(tables, write_message, read_message).confirm(
            mine, is_published=True, is_announced=True, now=1
        )
    assert stored(tables, tables.enrollments)["publishedAt"] == ENROLLMENT["publishedAt"]
