"""`enroll records index`: records that an earlier version stored are listed, however often and wherever it stops."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

import enroll.commands.records as commands
from enroll.main import app
from enroll.record_index import Indexing, index_records
from enroll.stack import Stack
from enrollment.adapters.dynamodb.record_emails import DynamoRecordEmails
from enrollment.adapters.dynamodb.record_listing import DynamoRecordListing
from enrollment.adapters.dynamodb.records import DynamoRecords
from enrollment.adapters.dynamodb.schema import RECORD
from enrollment.adapters.dynamodb.tables import Tables
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import NOT_CREATED, Record, TimestampedValue
from tests.support.aws import aws
from tests.support.stores import open_tables

NOW = 1_764_000_000_000
RECORDS = 25


def key(object_id: str, object_type_id: str = "0-1") -> RecordKey:
    return RecordKey("p/1", object_type_id, object_id)


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tables]:
    """With records without their entry, as an earlier version stored them, and one with it."""
    with aws(monkeypatch) as config:
        opened = open_tables(config)
        records = DynamoRecords(opened)
        for number in range(RECORDS):
            records.save(Record(key(f"{number}ü%/"), NOW))
        records.save(Record(key("company", "0-2"), NOW))
        records.save(Record(key("deleted"), NOW, deleted_at=NOW))
        records.save(Record(key("not created"), NOT_CREATED))
        for item in opened.client.scan(TableName=config.records_table)["Items"]:
            place = {"pk": item["pk"], "sk": item["sk"]}
            opened.client.update_item(TableName=config.records_table, Key=place, UpdateExpression="REMOVE typeShard")
        records.save(Record(key("listed"), NOW))
        event = {"pk": {"S": str(key("0ü%/"))}, "sk": {"S": "event/1/e1"}, "createdAt": {"N": "1"}}
        opened.client.put_item(TableName=config.records_table, Item=event)
        yield opened


def listed(tables: Tables) -> tuple[int, int]:
    listing = DynamoRecordListing(tables)
    return listing.count("p/1", "0-1"), listing.count("p/1", "0-2")


def scan(tables: Tables, progress: Indexing, page_items: int = 4) -> Iterator[Indexing]:
    return index_records(tables.client, tables.records.name, 1_000, progress, lambda _: None, page_items)


def test_existing_records_are_listed_and_keep_their_version(tables: Tables) -> None:
    assert listed(tables) == (1, 0)
    progress = Indexing()
    list(scan(tables, progress))
    assert progress == Indexing(None, RECORDS + 5, RECORDS + 1)
    assert listed(tables) == (RECORDS + 1, 1)
    item = tables.records.get(str(key("3ü%/")), RECORD)
    assert item is not None
    assert item["version"] == 1
    again = Indexing()
    list(scan(tables, again))
    assert again.records_added == 0


def test_contacts_of_an_earlier_version_are_found_by_their_email_afterwards(tables: Tables) -> None:
    records, emails = DynamoRecords(tables), DynamoRecordEmails(tables)
    for object_id, object_type_id, email in (
        ("ada", "0-1", "Ada@x.io"),
        ("acme", "0-2", "a@x.io"),
        ("no", "0-1", "no"),
    ):
        properties = {"email": TimestampedValue(email, NOW)}
        records.save(Record(key(object_id, object_type_id), NOW, properties))
        place = {"pk": {"S": str(key(object_id, object_type_id))}, "sk": {"S": RECORD}}
        remove = {"UpdateExpression": "REMOVE emailKey"}
        tables.client.update_item(TableName=tables.records.name, Key=place, **remove)
    assert list(emails.with_email("p/1", "ada@x.io", 10)) == []
    progress, again = Indexing(), Indexing()
    list(scan(tables, progress))
    list(scan(tables, again))
    assert list(emails.with_email("p/1", "ada@x.io", 10)) == [key("ada")]
    assert list(emails.with_email("p/1", "a@x.io", 10)) == []
    assert (progress.records_added, again.records_added) == (RECORDS + 2, 0)
    # The next change of the record keeps the entry.
    stored = records.get(key("ada"))
    assert stored is not None
    assert stored.version == 1
    records.save(stored)
    assert list(emails.with_email("p/1", "ada@x.io", 10)) == [key("ada")]


def test_interrupted_scan_continues_at_its_position(tables: Tables) -> None:
    first = Indexing()
    pages = scan(tables, first)
    next(pages), next(pages)
    rest = Indexing(first.position)
    list(scan(tables, rest))
    assert first.items_read + rest.items_read == RECORDS + 5
    assert first.records_added + rest.records_added == RECORDS + 1
    assert listed(tables) == (RECORDS + 1, 1)


def test_two_scans_at_once_list_each_record_once(tables: Tables) -> None:
    both = [Indexing(), Indexing()]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda progress: list(scan(tables, progress)), both))
    assert sum(progress.records_added for progress in both) == RECORDS + 1
    assert listed(tables) == (RECORDS + 1, 1)


def test_record_that_is_deleted_after_it_was_read_is_not_listed(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    records, read = DynamoRecords(tables), tables.client.scan

    def then_delete(**request: Any) -> Any:
        response = read(**request)
        monkeypatch.setattr(tables.client, "scan", read)
        for item in response["Items"]:
            stored = records.get_many([RecordKey("p/1", "0-1", "0ü%/")])
            for record in stored.values():
                if item["pk"]["S"] == str(record.key):
                    records.save(replace(record, deleted_at=NOW))
        return response

    monkeypatch.setattr(tables.client, "scan", then_delete)
    progress = Indexing()
    list(scan(tables, progress, page_items=100))
    assert progress.records_added == RECORDS
    assert listed(tables) == (RECORDS, 1)


def test_pace_bounds_the_items_a_second(tables: Tables) -> None:
    waits: list[float] = []
    list(index_records(tables.client, tables.records.name, 10, Indexing(), waits.append))
    assert len(waits) == (RECORDS + 5 - 1) // 10  # A slow page has used its time, and then nothing is left to wait.
    assert all(0 <= seconds <= 1 for seconds in waits)


def run(tables: Tables, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    stack = Stack("enroll", {"RecordsTableName": tables.records.name}, lambda _: tables.client)
    monkeypatch.setattr(commands, "open_stack", lambda _: stack)
    return CliRunner().invoke(app, ["records", "index", *arguments])


def test_command_prints_what_it_added(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = run(tables, monkeypatch, "--json")
    assert (answer.exit_code, json.loads(answer.stdout)) == (
        0,
        {"itemsRead": RECORDS + 5, "recordsAdded": RECORDS + 1},
    )
    assert "0 records added" in run(tables, monkeypatch).output


def test_command_that_is_interrupted_says_how_to_continue(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    def stops(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    update = tables.client.update_item
    monkeypatch.setattr(commands, "INDEX_PAGE_ITEMS", 4)
    calls = iter(range(100))
    monkeypatch.setattr(
        tables.client, "update_item", lambda **arguments: update(**arguments) if next(calls) < 6 else stops()
    )
    answer = run(tables, monkeypatch)
    assert answer.exit_code != 0
    assert "--after " in answer.output
    position = answer.output.split("--after ")[1].split()[0].rstrip(".")
    monkeypatch.setattr(tables.client, "update_item", update)
    assert run(tables, monkeypatch, "--after", position).exit_code == 0
    assert listed(tables) == (RECORDS + 1, 1)


@pytest.mark.parametrize("position", ["x", "W10", "eyJ4IjoxfQ", "\u202e"])
def test_position_that_the_command_did_not_print_is_refused(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, position: str
) -> None:
    answer = run(tables, monkeypatch, "--after", position)
    assert answer.exit_code == 2
    assert "--after: expected the position" in answer.output
