"""Lists the records of an object type by the index by event type. An entry has the key of the record only."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from enrollment.adapters.dynamodb.records import SHARDS, shard_of_type
from enrollment.adapters.dynamodb.schema import BY_EVENT_TYPE, PARTITION_KEY, RECORD, SORT_KEY, TYPE_SHARD
from enrollment.adapters.dynamodb.tables import Expression, Tables, encoded
from enrollment.application.ports import RECORD_SHARDS
from enrollment.domain.identifiers import RecordKey, split

assert SHARDS == RECORD_SHARDS

# Shards that are counted at the same time. The client has ten connections.
COUNTED_AT_ONCE = 8


class DynamoRecordListing:
    """The port RecordListing (``application.ports``). The index is up to a second behind the writes."""

    def __init__(self, tables: Tables) -> None:
        self._client = tables.client
        self._table = tables.records

    def page(
        self, portal_id: str, object_type_id: str, shard: int, limit: int, after: str | None = None
    ) -> Sequence[RecordKey]:
        """Return the keys of the next records of a shard. ``after`` may be deleted meanwhile: DynamoDB starts at its
        place."""
        place = shard_of_type(portal_id, object_type_id, shard)
        start: dict[str, Any] = {}
        if after is not None:
            last = str(RecordKey(portal_id, object_type_id, after))
            start["ExclusiveStartKey"] = encoded({PARTITION_KEY: last, SORT_KEY: RECORD, TYPE_SHARD: place})
        condition = Expression(f"{TYPE_SHARD} = :shard", shard=place)
        pages = self._table.pages(condition, IndexName=BY_EVENT_TYPE, ConsistentRead=False, Limit=limit, **start)
        return [RecordKey(*split(entry["pk"])) for entry in next(pages)]

    def count(self, portal_id: str, object_type_id: str) -> int:
        """Count the entries: about 10,000 in each request. The shards are counted at the same time, because a request
        to the API has 29 seconds."""
        places = [shard_of_type(portal_id, object_type_id, number) for number in range(SHARDS)]
        with ThreadPoolExecutor(COUNTED_AT_ONCE) as pool:
            return sum(pool.map(self._count, places))

    def _count(self, place: str) -> int:
        total = 0
        request: dict[str, Any] = {
            "TableName": self._table.name,
            "IndexName": BY_EVENT_TYPE,
            "Select": "COUNT",
            "KeyConditionExpression": f"{TYPE_SHARD} = :shard",
            "ExpressionAttributeValues": encoded({":shard": place}),
        }
        while True:
            response = self._client.query(**request)
            total += response["Count"]
            if "LastEvaluatedKey" not in response:
                return total
            request["ExclusiveStartKey"] = response["LastEvaluatedKey"]
