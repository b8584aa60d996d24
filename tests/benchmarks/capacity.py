"""What a call to DynamoDB consumes, by the sizes of its items, and where: in which table or index.

A unit reads 4 KB or writes 1 KB of one item. A read that is not consistent takes half, a write in a transaction twice
as much. Each index takes a write of its own when an item that it holds is added, and when its keys are removed from the
item; those here hold keys alone, so that a change of other attributes writes none of them.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from enrollment.config import Config

Item = Mapping[str, Mapping[str, Any]]

READ_BYTES, WRITE_BYTES = 4 * 1024, 1024


@dataclass(frozen=True)
class Index:
    """``is_local``: its items lie in the partitions of the table, and count there."""

    name: str
    keys: tuple[str, ...]
    is_local: bool = False


# As template.yaml has them (tests/benchmarks/test_capacity.py compares).
INDEXES: Mapping[str, Sequence[Index]] = {
    "flows": (),
    "records": (
        Index("by-event-type", ("typeShard", "sk")),
        Index("by-event-id", ("eventKey",)),
        Index("by-email", ("emailKey",)),
    ),
    "enrollments": (
        Index("by-flow", ("flowShard", "enrolledAt")),
        Index("by-id", ("enrollmentId",)),
        Index("unconfirmed", ("unconfirmedShard", "publishAt")),
        Index("by-time", ("pk", "enrolledAt"), is_local=True),
    ),
}


@dataclass(frozen=True)
class Consumed:
    """``place``: a table, or one of its indexes."""

    kind: Literal["read", "write"]
    place: str
    units: float


def item_bytes(item: Item) -> int:
    """Names and values; none here is a list, a map, a set or binary."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: Mapping[str, Any]) -> int:
    ((kind, given),) = value.items()
    match kind:
        case "S":
            return len(given.encode())
        case "N":
            digits = given.lstrip("-").replace(".", "").strip("0")
            return math.ceil(len(digits) / 2) + 1 + given.startswith("-")
        case "BOOL" | "NULL":
            return 1
    raise ValueError(f"a value of type {kind}: how many bytes it has is not written here")


def read_units(size: int, *, is_consistent: bool = True) -> float:
    """Of one item; of one that does not exist too."""
    units = max(math.ceil(size / READ_BYTES), 1)
    return units if is_consistent else units / 2


def write_units(size: int, *, is_transactional: bool = False) -> float:
    units = max(math.ceil(size / WRITE_BYTES), 1)
    return units * 2 if is_transactional else units


def consumed(
    config: Config, operation: str, arguments: Mapping[str, Any], answer: Mapping[str, Any], stored: Item | None
) -> Iterator[Consumed]:
    """``stored``: the item as it is after an UpdateItem. The greater of the item before and after counts, and what is
    updated here only grows. ``answer``: of a PutItem whose condition failed, that of the error, with the item that
    exists if it returns it. Such a call consumes the units of that item, and writes no index."""
    names = {getattr(config, f"{table}_table"): table for table in INDEXES}
    if operation == "BatchGetItem":
        for name, asked in arguments["RequestItems"].items():
            found = [item_bytes(item) for item in answer["Responses"].get(name, [])]
            missing = [0] * (len(asked["Keys"]) - len(found))
            for size in (*found, *missing):
                yield Consumed("read", names[name], read_units(size, is_consistent=asked["ConsistentRead"]))
        return
    table = names[arguments["TableName"]]
    is_consistent = arguments.get("ConsistentRead", False)
    match operation:
        case "GetItem":
            size = item_bytes(answer.get("Item", {}))
            yield Consumed("read", table, read_units(size, is_consistent=is_consistent))
        case "Query":
            size = sum(item_bytes(item) for item in answer["Items"])
            yield Consumed("read", table, read_units(size, is_consistent=is_consistent))
        case "PutItem" if "Error" in answer:
            yield Consumed("write", table, write_units(item_bytes(answer.get("Item", {}))))
        case "PutItem":
            yield from _put(table, arguments["Item"])
        case "UpdateItem" if stored is not None:
            yield Consumed("write", table, write_units(item_bytes(stored)))
            yield from _removed(table, arguments["UpdateExpression"])
        case "DeleteItem":
            yield Consumed("write", table, 1)
        case _:
            raise ValueError(f"{operation}: what it consumes is not written here")


def _removed(table: str, update: str) -> Iterator[Consumed]:
    """An entry whose keys are removed from the item is deleted from the index. What is removed is small, so the item
    counts as it is after."""
    removed = {one.strip() for one in update.partition(" REMOVE ")[2].split(",")}
    for index in INDEXES[table]:
        if removed & set(index.keys):
            yield Consumed("write", table if index.is_local else index.name, 1)


def _put(table: str, item: Item) -> Iterator[Consumed]:
    """As of an item that was not there. An event that is kept a second time writes the index no more: a unit less. A
    record is listed once, by its first version: a later one has the same entries, and writes no index. No event here
    changes an email (``index_writes`` has what that takes)."""
    yield Consumed("write", table, write_units(item_bytes(item)))
    if item.get("sk") == {"S": "record"} and item.get("version") != {"N": "1"}:
        return
    for index in INDEXES[table]:
        if entry := _entry(index, item):
            yield Consumed("write", table if index.is_local else index.name, write_units(item_bytes(entry)))


def index_writes(table: str, before: Item | None, after: Item) -> dict[str, float]:
    """Units of each index when an item is replaced. ``before`` None: it is new. An entry that changes its keys is
    deleted and written."""
    units: dict[str, float] = {}
    for index in INDEXES[table]:
        entries = [_entry(index, item) for item in (before or {}, after)]
        if entries[0] != entries[1]:
            units[index.name] = sum(write_units(item_bytes(entry)) for entry in entries if entry)
    return units


def _entry(index: Index, item: Item) -> Item:
    """Return the keys of an item in an index; empty if the index has no entry of it."""
    if not set(index.keys) <= set(item):
        return {}
    return {name: value for name, value in item.items() if name in {"pk", "sk", *index.keys}}
