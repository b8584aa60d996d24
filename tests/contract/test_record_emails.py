"""Contacts are found by their email in the index, which only another email writes to."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from enrollment.adapters.dynamodb.record_emails import DynamoRecordEmails
from enrollment.adapters.dynamodb.record_repository import RecordRepository
from enrollment.adapters.dynamodb.records import DynamoRecords
from enrollment.adapters.dynamodb.schema import RECORD
from enrollment.application.ports import RecordEmails, Records
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import NOT_CREATED, Record, TimestampedValue, deleted
from tests.benchmarks.capacity import index_writes
from tests.support.aws import aws
from tests.support.fakes import FakeRecords
from tests.support.stores import open_tables

NOW = 1_764_000_000_000
ADA = RecordKey("p1", "0-1", "101")


@pytest.fixture(params=["fake", "event path", "models"])
def stores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Records, RecordEmails]]:
    if request.param == "fake":
        fake = FakeRecords()
        yield fake, fake
        return
    with aws(monkeypatch) as config:
        tables = open_tables(config)
        records = RecordRepository(tables) if request.param == "models" else DynamoRecords(tables)
        yield records, DynamoRecordEmails(tables)


def contact(object_id: str, email: object, portal: str = "p1", object_type: str = "0-1", **given: Any) -> Record:
    properties = {"email": TimestampedValue(email, NOW)}  # type: ignore[arg-type]
    return Record(RecordKey(portal, object_type, object_id), **{"created_at": NOW, "properties": properties, **given})


def test_contacts_are_found_by_their_normalized_email(stores: tuple[Records, RecordEmails]) -> None:
    records, emails = stores
    for record in (
        contact("a/1", "Ada@Example.com"),
        contact("2", " ada@example.com"),
        contact("3", "ada@example.com", portal="p1/x"),
        contact("4", "ada@example.com", object_type="0-2"),
        contact("5", "x/%@example.com"),
        contact("6", "ada@example.com", created_at=NOT_CREATED),
        contact("7", "n/a"),
        contact("8", "x" * 60_000 + "@example.com"),
    ):
        records.save(record)

    def ids(portal: str, email: str, limit: int = 10) -> list[str]:
        return sorted(key.object_id for key in emails.with_email(portal, email, limit))

    assert ids("p1", "ada@example.com") == ["2", "a/1"]
    assert len(ids("p1", "ada@example.com", 1)) == 1
    assert ids("p1/x", "ada@example.com") == ["3"]
    assert ids("p1", "x/%@example.com") == ["5"]
    assert ids("p1", "other@example.com") == ids("p2", "ada@example.com") == []


def test_contact_is_found_by_its_latest_email_until_it_is_deleted(stores: tuple[Records, RecordEmails]) -> None:
    records, emails = stores
    record = records.save(contact("101", "a@example.com"))
    record = records.save(replace(record, properties={"email": TimestampedValue("b@example.com", NOW + 1)}))
    assert list(emails.with_email("p1", "a@example.com", 10)) == []
    assert list(emails.with_email("p1", "b@example.com", 10)) == [ADA]
    records.save(deleted(record, NOW + 2))
    assert list(emails.with_email("p1", "b@example.com", 10)) == []


def with_email(email: object) -> Callable[[Record], Record]:
    return lambda record: replace(record, properties={"email": TimestampedValue(email, NOW)})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "change", "writes"),
    [
        (None, with_email("a@example.com"), 1),
        ("a@example.com", with_email("b@example.com"), 2),
        ("a@example.com", with_email(None), 1),
        ("a@example.com", with_email("A@EXAMPLE.com"), 0),
        ("a@example.com", lambda record: replace(record, memberships={"7": TimestampedValue(True, NOW)}), 0),
        (None, lambda record: replace(record, memberships={"7": TimestampedValue(True, NOW)}), 0),
        ("n/a", with_email("none"), 0),
        ("a@example.com", lambda record: deleted(record, NOW + 1), 1),
    ],
)
def test_only_another_email_writes_to_the_index(
    monkeypatch: pytest.MonkeyPatch, before: object, change: Callable[[Record], Record], writes: int
) -> None:
    with aws(monkeypatch) as config:
        tables = open_tables(config)
        records = DynamoRecords(tables)

        def stored() -> Any:
            key = {"pk": {"S": str(ADA)}, "sk": {"S": RECORD}}
            return tables.client.get_item(TableName=config.records_table, Key=key)["Item"]

        record = records.save(contact("101", before))
        item = stored()
        assert index_writes("records", None, item).get("by-email", 0) == (before == "a@example.com")
        records.save(change(record))
        assert index_writes("records", item, stored()).get("by-email", 0) == writes
