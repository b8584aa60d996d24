"""Capacity that a call to DynamoDB consumes, by the sizes of its items, for each table or index.

A unit reads 4 KB or writes 1 KB of one item. An eventually consistent read takes half a unit, a write in a transaction
twice the units. Each index takes its own write when an item is added to it, and when the index keys are removed from
the item. The indexes here project keys only, so that a change of other attributes does not write them.
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
    """``is_local``: its entries are stored in the partitions of the table, and count there."""

    name: str
    keys: tuple[str, ...]
    is_local: bool = False


# The same as in template.yaml (tests/benchmarks/test_capacity.py compares them).
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
    """``place``: a table or one of its indexes."""

    kind: Literal["read", "write"]
    place: str
    units: float


def item_bytes(item: Item) -> int:
    """Return the bytes of names and values. Lists, maps, sets and binary values are not supported."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            digits = content.lstrip("-").replace(".", "").strip("0")
            return math.ceil(len(digits) / 2) + 1 + content.startswith("-")
        case "BOOL" | "NULL":
            return 1
    raise ValueError(f"a value of type {kind}: how many bytes it has is not written here")


def read_units(size: int, *, is_consistent: bool = True) -> float:
    """Return the units of a read of one item. An item that does not exist takes a unit too."""
    units = max(math.ceil(size / READ_BYTES), 1)
    return units if is_consistent else units / 2


def write_units(size: int, *, is_transactional: bool = False) -> float:
    units = max(math.ceil(size / WRITE_BYTES), 1)
    return units * 2 if is_transactional else units


def consumed(
    config: Config, operation: str, arguments: Mapping[str, Any], answer: Mapping[str, Any], stored: Item | None
) -> Iterator[Consumed]:
    """Yield the units that a call consumes. ``stored``: the item after an UpdateItem. The larger of the item before and
    after counts, and updated items here only grow. ``answer``: the response. If the condition of a PutItem fails, it is
    the error, which has the existing item if the call returns it. Such a call consumes the units of that item, and
    writes no index."""
    names = {getattr(config, f"{table}_table"): table for table in INDEXES}
    if operation == "BatchGetItem":
        for name, request in arguments["RequestItems"].items():
            found = [item_bytes(item) for item in answer["Responses"].get(name, [])]
            missing = [0] * (len(request["Keys"]) - len(found))
            for size in (*found, *missing):
                yield Consumed("read", names[name], read_units(size, is_consistent=request["ConsistentRead"]))
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
    """Yield a write for each index entry that an update deletes because it removes the entry's keys. The removed
    attributes are small, so the item's size after the update is used."""
    removed = {part.strip() for part in update.partition(" REMOVE ")[2].split(",")}
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
