"""Read and write PynamoDB models with the project's DynamoDB client, off the event path.

A model has no client of its own here: its public methods make the requests, and errors are botocore's ClientError. All
reads are strongly consistent.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from botocore.exceptions import ClientError
from pynamodb.expressions.condition import Condition

from enrollment.adapters.dynamodb import schema
from enrollment.adapters.dynamodb.models import Item
from enrollment.adapters.dynamodb.tables import Key, Table, Tables, write_all

M = TypeVar("M", bound=Item)


class Put(NamedTuple):
    """An item to write in a transaction, and the condition that it depends on."""

    item: Item
    condition: Condition | None = None


class ModelStore:
    """The three tables by their models. Methods raise botocore's ClientError."""

    def __init__(self, tables: Tables) -> None:
        self._client = tables.client
        self._tables = {
            schema.FLOWS_TABLE: tables.flows,
            schema.RECORDS_TABLE: tables.records,
            schema.ENROLLMENTS_TABLE: tables.enrollments,
        }

    def get(self, model: type[M], pk: str, sk: str) -> M | None:
        """Return the item, or None if there is none."""
        key = model.get_operation_kwargs_from_class(pk, sk)["Key"]
        raw_item = self._client.get_item(TableName=self._table(model).name, Key=key, ConsistentRead=True).get("Item")
        return None if raw_item is None else model.from_raw_data(dict(raw_item))

    def get_many(self, model: type[M], keys: Sequence[Key]) -> list[M]:
        """Return the items that exist, in any order. Raises Throttled."""
        return [model.from_raw_data(dict(raw_item)) for raw_item in self._table(model).get_many_encoded(keys)]

    def query(
        self,
        model: type[M],
        pk: str,
        sort_key_condition: Condition | None = None,
        *,
        filter_condition: Condition | None = None,
        newest_first: bool = False,
        page_size: int | None = None,
    ) -> Iterator[M]:
        """Yield the items of a partition in the order of their sort keys. Pages are read as they are needed."""
        names: dict[str, str] = {}
        values: dict[str, Any] = {}
        key_condition: Condition = model.pk == pk
        if sort_key_condition is not None:
            key_condition &= sort_key_condition
        request: dict[str, Any] = {
            "TableName": self._table(model).name,
            "KeyConditionExpression": key_condition.serialize(names, values),
            "ConsistentRead": True,
            "ScanIndexForward": not newest_first,
        }
        if filter_condition is not None:
            request["FilterExpression"] = filter_condition.serialize(names, values)
        if page_size is not None:
            request["Limit"] = page_size
        request["ExpressionAttributeNames"] = {placeholder: name for name, placeholder in names.items()}
        request["ExpressionAttributeValues"] = values
        return itertools.chain.from_iterable(self._pages(model, request))

    def _pages(self, model: type[M], request: dict[str, Any]) -> Iterator[list[M]]:
        while True:
            response = self._client.query(**request)
            yield [model.from_raw_data(dict(raw_item)) for raw_item in response["Items"]]
            if "LastEvaluatedKey" not in response:
                return
            request["ExclusiveStartKey"] = response["LastEvaluatedKey"]

    def put(self, item: Item, condition: Condition | None = None) -> bool:
        """Return whether the condition was true, so that the item was written."""
        try:
            self._client.put_item(**self._put_request(item, condition))
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def put_all(self, puts: Sequence[Put], what: str) -> None:
        """Write the items in one transaction. ``what``: the subject of error messages. Raises ConcurrentModification if
        a condition is false, and Throttled if other transactions keep writing the same items."""
        requests: list[Any] = [{"Put": self._put_request(put.item, put.condition)} for put in puts]
        write_all(lambda: self._client.transact_write_items(TransactItems=requests), what)

    def _put_request(self, item: Item, condition: Condition | None) -> Any:
        return item.get_save_kwargs_from_instance(condition) | {"TableName": self._table(type(item)).name}

    def _table(self, model: type[Item]) -> Table:
        return self._tables[model.Meta.table_name]


def is_unchanged(model: Any, version: int) -> Condition:
    """Return the condition that the stored item has this version. 0: there is no item."""
    condition: Condition = model.version == version if version else model.pk.does_not_exist()
    return condition
