"""Capacity that calls consume: DynamoDB's arithmetic, with the examples of its documentation."""

import pytest

from enroll.local.deployment import load_template
from enrollment.config import Config
from tests.benchmarks.capacity import INDEXES, Consumed, consumed, item_bytes, read_units, write_units
from tests.benchmarks.counts import EVENTS

CONFIG = Config("f", "r", "e", "", "", "", "")


@pytest.mark.parametrize(
    ("size", "units"), [(0, 1), (1, 1), (4096, 1), (4097, 2), (8 * 1024, 2), (15 * 1024, 4), (400 * 1024, 100)]
)
def test_consistent_read_takes_a_unit_for_each_4_kb_rounded_up(size: int, units: int) -> None:
    assert read_units(size) == units
    assert read_units(size, is_consistent=False) == units / 2


@pytest.mark.parametrize(("size", "units"), [(1, 1), (1024, 1), (1025, 2), (3 * 1024, 3), (350_000, 342)])
def test_write_takes_a_unit_for_each_kb_rounded_up_and_two_in_a_transaction(size: int, units: int) -> None:
    assert write_units(size) == units
    assert write_units(size, is_transactional=True) == 2 * units


@pytest.mark.parametrize(
    ("item", "size"),
    [
        ({}, 0),
        ({"pk": {"S": "a"}}, 3),
        ({"näme": {"S": "ü"}}, 7),
        ({"n": {"N": "0"}}, 2),
        ({"n": {"N": "27"}}, 3),
        ({"n": {"N": "-27"}}, 4),
        ({"n": {"N": "1700000000000"}}, 3),
        ({"b": {"BOOL": True}, "x": {"NULL": True}}, 4),
    ],
)
def test_size_of_an_item_is_that_of_its_names_and_values(item: dict[str, dict[str, object]], size: int) -> None:
    assert item_bytes(item) == size


def test_enrollment_writes_each_index_once_and_the_local_index_counts_for_the_table() -> None:
    keys = ("pk", "sk", "flowShard", "enrolledAt", "enrollmentId")
    item = {**{name: {"S": "x"} for name in keys}, "message": {"S": "m" * 1024}}
    units = list(consumed(CONFIG, "PutItem", {"TableName": "e", "Item": item}, {}, None))
    assert units == [
        Consumed("write", "enrollments", 2),
        Consumed("write", "by-flow", 1),
        Consumed("write", "by-id", 1),
        Consumed("write", "enrollments", 1),
    ]


def test_sparse_index_is_written_when_its_entry_is_added_or_removed() -> None:
    keys = {name: {"S": "x"} for name in ("pk", "sk", "flowShard", "enrolledAt", "enrollmentId")}
    item = {**keys, "unconfirmedShard": {"S": "7"}, "publishAt": {"N": "1"}}
    claimed = list(consumed(CONFIG, "PutItem", {"TableName": "e", "Item": item}, {}, None))
    assert Consumed("write", "unconfirmed", 1) in claimed
    sets = {"TableName": "e", "UpdateExpression": "SET publishedAt = :publishedAt"}
    assert list(consumed(CONFIG, "UpdateItem", sets, {}, item)) == [Consumed("write", "enrollments", 1)]
    removes = {**sets, "UpdateExpression": f"{sets['UpdateExpression']} REMOVE unconfirmedShard, publishAt"}
    assert list(consumed(CONFIG, "UpdateItem", removes, {}, keys)) == [
        Consumed("write", "enrollments", 1),
        Consumed("write", "unconfirmed", 1),
    ]


def test_item_without_the_keys_of_an_index_does_not_write_it() -> None:
    item = {"pk": {"S": "p1/0-1/101"}, "sk": {"S": "record"}}
    assert list(consumed(CONFIG, "PutItem", {"TableName": "r", "Item": item}, {}, None)) == [
        Consumed("write", "records", 1)
    ]


def test_first_version_of_a_record_writes_the_list_and_a_change_writes_no_index() -> None:
    item = {"pk": {"S": "p1/0-1/101"}, "sk": {"S": "record"}, "version": {"N": "1"}, "typeShard": {"S": "7"}}
    created = list(consumed(CONFIG, "PutItem", {"TableName": "r", "Item": item}, {}, None))
    assert created == [Consumed("write", "records", 1), Consumed("write", "by-event-type", 1)]
    changed = {"TableName": "r", "Item": {**item, "version": {"N": "2"}}}
    assert list(consumed(CONFIG, "PutItem", changed, {}, None)) == [Consumed("write", "records", 1)]


def test_put_whose_condition_fails_takes_the_units_of_the_existing_item_and_no_index() -> None:
    put = {"TableName": "r", "Item": {"pk": {"S": "x"}, "sk": {"S": "x"}, "typeShard": {"S": "7"}}}
    error = {"Error": {"Code": "ConditionalCheckFailedException"}}
    assert list(consumed(CONFIG, "PutItem", put, error, None)) == [Consumed("write", "records", 1)]
    existing = {**error, "Item": {"event": {"S": "e" * 1024}}}
    assert list(consumed(CONFIG, "PutItem", put, existing, None)) == [Consumed("write", "records", 2)]


def test_batch_read_takes_a_unit_for_an_item_that_does_not_exist() -> None:
    request = {"RequestItems": {"e": {"Keys": [{}, {}], "ConsistentRead": True}}}
    answer = {"Responses": {"e": [{"message": {"S": "m" * 5000}}]}}
    assert [part.units for part in consumed(CONFIG, "BatchGetItem", request, answer, None)] == [2, 1]


def test_indexes_match_the_template() -> None:
    resources = load_template(EVENTS.parent / "template.yaml")["Resources"]
    for table, indexes in INDEXES.items():
        properties = resources[f"{table.title()}Table"]["Properties"]
        declared = {
            (index["IndexName"], tuple(key["AttributeName"] for key in index["KeySchema"]), kind.startswith("Local"))
            for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes")
            for index in properties.get(kind, [])
        }
        assert declared == {(index.name, index.keys, index.is_local) for index in indexes}
        assert all(index["Projection"] == {"ProjectionType": "KEYS_ONLY"} for index in _all(properties))


def _all(properties: dict[str, list[dict[str, object]]]) -> list[dict[str, object]]:
    return properties.get("GlobalSecondaryIndexes", []) + properties.get("LocalSecondaryIndexes", [])
