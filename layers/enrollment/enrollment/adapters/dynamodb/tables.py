"""The three tables and their items, read and written with the DynamoDB client.

    flows        flows/<portal>                                     <flow>          the current revision
                 revisions/<portal>/<flow>                          <number>        every revision; never changed
                 candidates/<portal>/<object type>/<event type>     #version        version and latest changes
                                                                    flow/<flow>     a flow that the event may enroll in
                 portals/<portal>                                   settings        the portal's settings
                 replays/<name>                                     order           the purpose of a replay
                 runs/<portal>/<flow>                               <run>           a run over all records of a type
                 run-shards/<run>                                   <number>        a part of it: position and counts
                 active-runs                                        <portal>/<flow> the flow's run that is not finished
    records      <portal>/<object type>/<object>                    record          the record's values and changes
                                                                    associated/<object type>/<object>
                                                                    waiting/<event> an event with deferred decisions
                                                                    event/<time>/<event>  an event of the history
                 replay/<portal>/<name>/<part>                      <record>/<event>  decisions of a dry run; digests
                 due/<shard>                                        <time>/<kind>/<digest>  work that is due then
    enrollments  <portal>/<object type>/<object>                    <flow>          the first enrollment in the flow
                                                                    <flow>/<event>  a re-enrollment by that event
                 rate-limit/<portal>/<flow>/                        <count>/<period>  end of the scheduled entries

Enrollments are partitioned by record, so that the enrollments of a popular flow are spread over many partitions. The
indexes find them: `by-time` (local) by record, newest first; `by-flow` by flow, newest first, with the partitions
<portal>/<flow>/<shard>; `by-id` by ID; `unconfirmed` those that are not confirmed yet. That index is sparse, and its
partitions are shards of the whole stack: a claim adds the entry, and the confirmation removes it. The index `by-event-
type` finds the events of all records by type, with the partitions <portal>/<event type>/<shard>, and lists the records
of an object type, with the partitions <portal>/<object type>/record/<shard>. The index `by-event-id` finds an event by
its ID, with the partitions <portal>/<event>. The index `by-email` finds contacts by their email, with the partitions
<portal>/<email>. All indexes contain keys only, so a confirmation writes to `unconfirmed`
and no other index.

An item is a dictionary of strings, integers and booleans here. A structured value is stored as JSON text. This is the
client of the event path. The API uses PynamoDB models, which declare the same items (``models``,
docs/decisions/0019-one-schema.md).
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import ClientError

from enrollment.adapters.backoff import attempts
from enrollment.application.ports import ConcurrentModification, Throttled
from enrollment.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# Keys in one BatchGetItem, DynamoDB's limit.
BATCH = 100
# Deletions in one BatchWriteItem, DynamoDB's limit.
WRITE_BATCH = 25

Scalar = str | int | bool
Item = Mapping[str, Any]
Key = tuple[str, str]


class Expression:
    """An expression in DynamoDB's syntax. The placeholder ``:x`` stands for the value ``x``."""

    __slots__ = ("text", "values")

    def __init__(self, text: str, **values: Scalar) -> None:
        self.text = text
        self.values = values


class ConditionalUpdate(NamedTuple):
    """An update of one item. ``sets``: new values. ``where``: values that the item must have. ``removes``: names of
    attributes."""

    pk: str
    sk: str
    sets: Mapping[str, Scalar]
    where: Mapping[str, Scalar]
    removes: Sequence[str] = ()


# The condition that no item has this key yet.
IS_NEW = Expression("attribute_not_exists(pk)")


def is_at(version: int) -> Expression:
    """Return the condition that the stored item has this version. 0: there is no item."""
    return Expression("version = :version", version=version) if version else IS_NEW


class Tables:
    """This stack's tables. They share one client, because making a client takes 50 ms."""

    def __init__(self, client: "DynamoDBClient", config: Config) -> None:
        self.client = client
        self.flows = Table(client, config.flows_table)
        self.records = Table(client, config.records_table)
        self.enrollments = Table(client, config.enrollments_table)


class Table:
    """One table. Reads are strongly consistent unless a method says otherwise. Methods raise botocore's ClientError."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self.name = name

    def get(self, pk: str, sk: str) -> Item | None:
        """Return the item, or None if there is none."""
        response = self._client.get_item(TableName=self.name, Key=_key(pk, sk), ConsistentRead=True)
        item = response.get("Item")
        return None if item is None else decoded(item)

    def get_many(self, keys: Sequence[Key]) -> list[Item]:
        """Return the items that exist, in any order. Raises Throttled."""
        return [decoded(item) for item in self.get_many_encoded(keys)]

    def get_many_encoded(self, keys: Sequence[Key]) -> list[Mapping[str, Any]]:
        """Return the items that exist, in the client's format and any order. Keys that DynamoDB leaves unprocessed are
        read again with backoff. Raises Throttled if some are left after all attempts."""
        items: list[Mapping[str, Any]] = []
        for start in range(0, len(keys), BATCH):
            request: Any = {"Keys": [_key(*key) for key in keys[start : start + BATCH]], "ConsistentRead": True}
            for attempt in attempts():
                response = self._client.batch_get_item(RequestItems={self.name: request})
                items += response["Responses"].get(self.name, ())
                request = response.get("UnprocessedKeys", {}).get(self.name)
                if not request:
                    break
                attempt.wait()
            else:
                raise Throttled(f"DynamoDB left {len(request['Keys'])} keys of {self.name} unread; retrying is safe")
        return items

    def query(
        self,
        condition: Expression,
        *,
        index: str | None = None,
        is_consistent: bool = True,
        newest_first: bool = False,
        page: int | None = None,
    ) -> Iterator[Item]:
        """Yield items in the order of the sort key. Pages are read as they are needed. ``page``: items in a page. A
        global index does not support consistent reads."""
        parameters: dict[str, Any] = {"ConsistentRead": is_consistent, "ScanIndexForward": not newest_first}
        if index is not None:
            parameters["IndexName"] = index
        if page is not None:
            parameters["Limit"] = page
        return itertools.chain.from_iterable(self.pages(condition, **parameters))

    def pages(self, condition: Expression, **parameters: Any) -> Iterator[list[Item]]:
        """Yield pages of items. ``parameters``: further parameters of the client's ``query``."""
        request: dict[str, Any] = {
            "TableName": self.name,
            "KeyConditionExpression": condition.text,
            "ExpressionAttributeValues": _values(condition),
            "ConsistentRead": True,
            **parameters,
        }
        while True:
            response = self._client.query(**request)
            yield [decoded(item) for item in response["Items"]]
            if "LastEvaluatedKey" not in response:
                return
            request["ExclusiveStartKey"] = response["LastEvaluatedKey"]

    def put_new(self, item: Item) -> Item | None:
        """Write the item if no item has its key, and return None. Otherwise return the existing item."""
        request = _with_condition(IS_NEW, {"Item": encoded(item)})
        try:
            self._client.put_item(TableName=self.name, ReturnValuesOnConditionCheckFailure="ALL_OLD", **request)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            # Only this error has the item, so botocore's types do not declare it.
            existing: Any = error.response.get("Item")
            return decoded(existing) if existing else self.get(item["pk"], item["sk"])
        return None

    def put(self, item: Item, condition: Expression | None = None) -> bool:
        """Return whether the condition was true, so that the item was written. Attributes that are None are left
        out."""
        return self._write(self._client.put_item, {"Item": encoded(item)}, condition) is not None

    def delete(self, pk: str, sk: str, condition: Expression) -> bool:
        """Return whether the condition was true, so that the item does not exist any more."""
        return self._write(self._client.delete_item, {"Key": _key(pk, sk)}, condition) is not None

    def delete_many(self, keys: Sequence[Key]) -> None:
        """Delete the items that exist. Keys that DynamoDB leaves unprocessed are deleted again with backoff. Raises
        Throttled if some are left after all attempts."""
        for start in range(0, len(keys), WRITE_BATCH):
            requests: Any = [{"DeleteRequest": {"Key": _key(*key)}} for key in keys[start : start + WRITE_BATCH]]
            for attempt in attempts():
                response = self._client.batch_write_item(RequestItems={self.name: requests})
                requests = response.get("UnprocessedItems", {}).get(self.name)
                if not requests:
                    break
                attempt.wait()
            else:
                raise Throttled(f"DynamoDB left {len(requests)} items of {self.name} undeleted; retrying is safe")

    def update(self, pk: str, sk: str, update: Expression, condition: Expression) -> Item | None:
        """Return the new values of the updated attributes, or None if the condition was false."""
        request = {
            "Key": _key(pk, sk),
            "UpdateExpression": update.text,
            "ExpressionAttributeValues": _values(update),
            "ReturnValues": "UPDATED_NEW",
        }
        response = self._write(self._client.update_item, request, condition)
        return None if response is None else decoded(response["Attributes"])

    def _write(self, write: Any, request: dict[str, Any], condition: Expression | None) -> Any:
        """Return the response, or None if the condition was false."""
        try:
            return write(TableName=self.name, **_with_condition(condition, request))
        except ClientError as error:
            # The code identifies the error. The client creates its exception classes at their first use, and two
            # threads that use them at the same time get different classes.
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return None

    def change(self, change: ConditionalUpdate) -> bool:
        """Return whether the item had the values of ``where``, so that it was updated."""
        text = f"SET {', '.join(f'{name} = :{name}' for name in change.sets)}"
        if change.removes:
            text += f" REMOVE {', '.join(change.removes)}"
        where = Expression(" AND ".join(f"{name} = :{name}" for name in change.where), **change.where)
        return self.update(change.pk, change.sk, Expression(text, **change.sets), where) is not None

    def put_all(self, items: Sequence[tuple[Item, Expression]], what: str) -> None:
        """Write items in one transaction, each with its condition. ``what``: the subject of error messages. Raises as
        ``write_all``."""
        requests: list[Any] = [
            {"Put": {"TableName": self.name, **_with_condition(condition, {"Item": encoded(item)})}}
            for item, condition in items
        ]
        write_all(lambda: self._client.transact_write_items(TransactItems=requests), what)


def write_all(transact: Callable[[], object], what: str) -> None:
    """Run one transaction. Raises ConcurrentModification if a condition is false. If another transaction writes one of
    the items, the transaction is repeated with backoff. Raises Throttled if this continues."""
    for attempt in attempts():
        try:
            transact()
            return
        except ClientError as error:
            # Only a transaction's error has reasons, so botocore's types do not declare them.
            reasons: Any = error.response.get("CancellationReasons", ())
            codes = {reason.get("Code") for reason in reasons} | {error.response["Error"]["Code"]}
            if "ConditionalCheckFailed" in codes:
                raise ConcurrentModification(f"{what} has changed since it was read") from error
            if not codes & {"TransactionConflict", "TransactionConflictException"}:
                raise
        attempt.wait()
    raise Throttled(f"{what}: other transactions kept writing the same items")


def encoded(item: Item) -> dict[str, Any]:
    """Return an item in the client's format. Attributes that are None are left out."""
    return {name: encoded_value(value) for name, value in item.items() if value is not None}


def encoded_value(value: Scalar) -> dict[str, Any]:
    """Return a value in the client's format."""
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bool):
        return {"BOOL": value}
    return {"N": str(value)}


def decoded(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item of the client as a dictionary of strings, integers and booleans."""
    return {
        name: int(value) if data_type == "N" else value
        for name, encoded_attribute in item.items()
        for data_type, value in encoded_attribute.items()
    }


def _key(pk: str, sk: str) -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _with_condition(condition: Expression | None, request: dict[str, Any]) -> dict[str, Any]:
    if condition is None:
        return request
    request["ConditionExpression"] = condition.text
    if condition.values:
        request["ExpressionAttributeValues"] = request.get("ExpressionAttributeValues", {}) | _values(condition)
    return request


def _values(expression: Expression) -> dict[str, Any]:
    return {f":{name}": encoded_value(value) for name, value in expression.values.items()}
