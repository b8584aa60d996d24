"""Add the records that an earlier version stored to the index by object type, from which backfills list them, and to
the index by email (docs/operations.md, "Index records of an earlier version")."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from enrollment.adapters.dynamodb.records import read_record, record_item
from enrollment.adapters.dynamodb.schema import EMAIL_KEY, PARTITION_KEY, RECORD, SORT_KEY, TYPE_SHARD
from enrollment.adapters.dynamodb.tables import decoded
from enrollment.domain.identifiers import RecordKey, split

# Items that one request reads.
PAGE_ITEMS = 500

_NAMES = {"#sk": SORT_KEY, "#shard": TYPE_SHARD, "#email": EMAIL_KEY}
# A record that is in one of the indexes only, or in none. Most records without an email are read, and not changed.
_UNLISTED = "attribute_exists(createdAt) AND (attribute_not_exists(#shard) OR attribute_not_exists(#email))"

Position = tuple[str, str]
"""The key of the last item that was read."""


@dataclass
class Indexing:
    """How far the scan is. ``position`` None: it has not begun, or it is complete."""

    position: Position | None = None
    items_read: int = 0
    records_added: int = 0


def index_records(
    client: Any,
    table: str,
    items_per_second: int,
    progress: Indexing,
    sleep: Callable[[float], None] = time.sleep,
    page_items: int = PAGE_ITEMS,
) -> Iterator[Indexing]:
    """Scan the table of records from ``progress.position``, and list each record that is not. Update and yield the
    progress after each page.

    A record is listed by one conditional write, so the scan can be stopped, repeated, and run twice at the same time.
    Raises ClientError and BotoCoreError.
    """
    while True:
        began = time.monotonic()
        response = _page(client, table, min(page_items, items_per_second), progress.position)
        for item in response["Items"]:
            progress.records_added += _add(client, table, item)
        progress.items_read += response["ScannedCount"]
        last = response.get("LastEvaluatedKey")
        progress.position = None if last is None else (last[PARTITION_KEY]["S"], last[SORT_KEY]["S"])
        yield progress
        if last is None:
            return
        sleep(max(0.0, response["ScannedCount"] / items_per_second - (time.monotonic() - began)))


def write_position(position: Position) -> str:
    """Return a position as text without spaces."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def read_position(text: str) -> Position:
    """Return the position of a text of ``write_position``. Raises ValueError."""
    try:
        pk, sk = json.loads(base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
        position = (str(pk), str(sk))
    except (ValueError, TypeError, RecursionError):
        position = ("", "")
    if write_position(position) != text:
        raise ValueError(f"got {text[:40]!r}")
    return position


def _page(client: Any, table: str, items: int, position: Position | None) -> Any:
    start = {} if position is None else {"ExclusiveStartKey": _key(*position)}
    return client.scan(
        TableName=table,
        Limit=items,
        FilterExpression=f"#sk = :record AND {_UNLISTED}",
        ExpressionAttributeNames=_NAMES,
        ExpressionAttributeValues={":record": {"S": RECORD}},
        **start,
    )


def _add(client: Any, table: str, item: Any) -> bool:
    """Return whether this call added the record to an index. False: nothing was missing, or the record was changed
    meanwhile, by which it was added."""
    stored = decoded(item)
    record = read_record(RecordKey(*split(stored[PARTITION_KEY])), stored)
    current = record_item(record)
    missing = {
        name: current[name] for name in (TYPE_SHARD, EMAIL_KEY) if current[name] is not None and name not in stored
    }
    if not missing:
        return False
    try:
        client.update_item(
            TableName=table,
            Key=_key(stored[PARTITION_KEY], RECORD),
            UpdateExpression="SET " + ", ".join(f"{name} = :{name}" for name in missing),
            # The version of the record stays, so an event that changes it is not disturbed.
            ConditionExpression=" AND ".join(
                ["version = :version", *(f"attribute_not_exists({name})" for name in missing)]
            ),
            ExpressionAttributeValues={
                ":version": {"N": str(record.version)},
                **{f":{name}": {"S": value} for name, value in missing.items()},
            },
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        return False
    return True


def _key(pk: str, sk: str) -> dict[str, Any]:
    return {PARTITION_KEY: {"S": pk}, SORT_KEY: {"S": sk}}
