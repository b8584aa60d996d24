"""Records are listed by their object type, and a change of a record does not write its entry again."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from enrollment.adapters.dynamodb.record_listing import DynamoRecordListing
from enrollment.adapters.dynamodb.record_repository import RecordRepository
from enrollment.adapters.dynamodb.records import DynamoRecords, record_item
from enrollment.application.ports import RECORD_SHARDS, RecordListing, Records
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import NOT_CREATED, Record, TimestampedValue
from tests.support.aws import aws
from tests.support.fakes import FakeRecordListing, FakeRecords
from tests.support.stores import open_tables

NOW = 1_764_000_000_000
ADA = RecordKey("p/1", "0-1", "1ü%")


@dataclass
class Stores:
    records: Records
    listing: RecordListing

    def listed(self, object_type_id: str, page_size: int) -> list[str]:
        """The object IDs of all shards, page by page."""
        found: list[str] = []
        for shard in range(RECORD_SHARDS):
            after: str | None = None
            while True:
                page = self.listing.page("p/1", object_type_id, shard, page_size, after)
                found += [key.object_id for key in page]
                if len(page) < page_size:
                    break
                after = page[-1].object_id
        return found


@pytest.fixture(params=["fake", "event path", "models"])
def stores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stores]:
    if request.param == "fake":
        records = FakeRecords()
        yield Stores(records, FakeRecordListing(records))
        return
    with aws(monkeypatch) as config:
        tables = open_tables(config)
        made = RecordRepository(tables) if request.param == "models" else DynamoRecords(tables)
        yield Stores(made, DynamoRecordListing(tables))


@pytest.mark.parametrize("page_size", [1, 3, 100])
def test_pages_list_each_existing_record_of_the_type_once(stores: Stores, page_size: int) -> None:
    for number in range(30):
        stores.records.save(Record(replace(ADA, object_id=f"{number}/%"), NOW))
    stores.records.save(Record(replace(ADA, object_id="deleted"), NOW, deleted_at=NOW))
    stores.records.save(Record(replace(ADA, object_id="not created"), NOT_CREATED))
    stores.records.save(Record(replace(ADA, object_type_id="0-2"), NOW))
    stores.records.save(Record(replace(ADA, portal_id="p"), NOW))
    assert sorted(stores.listed("0-1", page_size)) == sorted(f"{number}/%" for number in range(30))
    assert stores.listed("0-2", page_size) == [ADA.object_id]
    assert [stores.listing.count("p/1", kind) for kind in ("0-1", "0-2", "0-3")] == [30, 1, 0]


def test_next_page_starts_at_the_place_of_a_record_that_is_deleted_meanwhile(stores: Stores) -> None:
    kept = {number: stores.records.save(Record(replace(ADA, object_id=str(number)), NOW)) for number in range(64)}
    for shard in range(RECORD_SHARDS):
        page = stores.listing.page("p/1", "0-1", shard, 100)
        if len(page) > 2:
            stores.records.save(replace(kept[int(page[1].object_id)], deleted_at=NOW))
            assert stores.listing.page("p/1", "0-1", shard, 100, page[1].object_id) == page[2:]
            return
    raise AssertionError("no shard has three records")


def test_change_of_a_record_keeps_its_entry_as_it_is() -> None:
    """DynamoDB writes an index only if an attribute that the index has changes."""
    created = Record(ADA, NOW)
    changed = replace(created, version=1, properties={"city": TimestampedValue("Cork", NOW)})
    keys = ("pk", "sk", "typeShard")
    assert [record_item(created)[name] for name in keys] == [record_item(changed)[name] for name in keys]
    assert record_item(replace(changed, deleted_at=NOW))["typeShard"] is None
    assert record_item(replace(created, created_at=NOT_CREATED))["typeShard"] is None
