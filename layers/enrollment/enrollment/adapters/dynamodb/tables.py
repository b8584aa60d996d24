"""The three tables and their items, by the client of DynamoDB.

    flows        flows/<portal>                                     <flow>          the current revision
                 revisions/<portal>/<flow>                          <number>        every revision; never changed
                 candidates/<portal>/<object type>/<event type>     #version        counts their changes, names the last
                                                                    flow/<flow>     a flow that it may enroll
                 portals/<portal>                                   settings        what is set for all of it
                 replays/<name>                                     order           what a replay is for
    records      <portal>/<object type>/<object>                    record
                                                                    associated/<object type>/<object>
                                                                    waiting/<event>
                                                                    event/<time>/<event>
                 replay/<portal>/<name>/<part>                      <record>/<event>  what a dry run decided; digests
    enrollments  <portal>/<object type>/<object>                    <flow>          the first enrollment in the flow
                                                                    <flow>/<event>  a later one, by that event
                 rate-limit/<portal>/<flow>/                        <count>/<period>  how far its entries reach

Enrollments are partitioned by record, so that no flow, however popular, is one partition. Newest first they are found
by record through the local index `by-time`, and by flow through the index `by-flow`, whose partitions are
<portal>/<flow>/<shard>; by id through the index `by-id`. Those that are not confirmed yet are in the sparse index
`unconfirmed`, whose partitions are shards of the whole stack: a claim adds the entry, the confirmation removes it.
Events of all records are found by their type through the
index `by-event-type`, whose partitions are <portal>/<event type>/<shard>. The indexes hold keys only, so that
confirming an enrollment writes no other of them.

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

Scalar = str | int | bool
Item = Mapping[str, Any]
Key = tuple[str, str]


class Expression:
    """In DynamoDB's language; ``:x`` is the value given as ``x``."""

    __slots__ = ("text", "values")

    def __init__(self, text: str, **values: Scalar) -> None:
        self.text = text
        self.values = values


class ConditionalUpdate(NamedTuple):
    """Of one item: what is set and removed, and what it must have for that."""

    pk: str
    sk: str
    sets: Mapping[str, Scalar]
    where: Mapping[str, Scalar]
    removes: Sequence[str] = ()


# Nothing has the item's key yet.
IS_NEW = Expression("attribute_not_exists(pk)")


def is_at(version: int) -> Expression:
    """The item has not been written since this version of it was read; 0: there was none."""
    return Expression("version = :version", version=version) if version else IS_NEW


class Tables:
    """This stack's tables, by one client: a client costs a twentieth of a second to make."""

    def __init__(self, client: "DynamoDBClient", config: Config) -> None:
        self.client = client
        self.flows = Table(client, config.flows_table)
        self.records = Table(client, config.records_table)
        self.enrollments = Table(client, config.enrollments_table)


class Table:
    """Reads are strongly consistent."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self.name = name

    def get(self, pk: str, sk: str) -> Item | None:
        answer = self._client.get_item(TableName=self.name, Key=_key(pk, sk), ConsistentRead=True)
        found = answer.get("Item")
        return None if found is None else decoded(found)

    def get_many(self, keys: Sequence[Key]) -> list[Item]:
        """Those that exist, in any order."""
        return [decoded(item) for item in self.get_many_encoded(keys)]

    def get_many_encoded(self, keys: Sequence[Key]) -> list[Mapping[str, Any]]:
        """Keys that DynamoDB leaves unprocessed are asked for again, with backoff; raises Throttled when it goes on
        refusing them."""
        found: list[Mapping[str, Any]] = []
        for start in range(0, len(keys), BATCH):
            asked: Any = {"Keys": [_key(*one) for one in keys[start : start + BATCH]], "ConsistentRead": True}
            for attempt in attempts():
                answer = self._client.batch_get_item(RequestItems={self.name: asked})
                found += answer["Responses"].get(self.name, ())
                asked = answer.get("UnprocessedKeys", {}).get(self.name)
                if not asked:
                    break
                attempt.wait()
            else:
                raise Throttled(f"DynamoDB left {len(asked['Keys'])} keys of {self.name} unread")
        return found

    def query(
        self,
        condition: Expression,
        *,
        index: str | None = None,
        is_consistent: bool = True,
        newest_first: bool = False,
        page: int | None = None,
    ) -> Iterator[Item]:
        """Read page by page, as far as it is asked for. A global index has no consistent reads."""
        asked: dict[str, Any] = {"ConsistentRead": is_consistent, "ScanIndexForward": not newest_first}
        if index is not None:
            asked["IndexName"] = index
        if page is not None:
            asked["Limit"] = page
        return itertools.chain.from_iterable(self.pages(condition, **asked))

    def pages(self, condition: Expression, **how: Any) -> Iterator[list[Item]]:
        """``how``: what more the client's query is told, in its own words."""
        asked: dict[str, Any] = {
            "TableName": self.name,
            "KeyConditionExpression": condition.text,
            "ExpressionAttributeValues": _values(condition),
            "ConsistentRead": True,
            **how,
        }
        while True:
            answer = self._client.query(**asked)
            yield [decoded(item) for item in answer["Items"]]
            if "LastEvaluatedKey" not in answer:
                return
            asked["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def put_new(self, item: Item) -> Item | None:
        """Write the item, unless its key has one. Return that one; None: there was none."""
        request = _with_condition(IS_NEW, {"Item": encoded(item)})
        try:
            self._client.put_item(TableName=self.name, ReturnValuesOnConditionCheckFailure="ALL_OLD", **request)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            # What this error alone has.
            existing: Any = error.response.get("Item")
            return decoded(existing) if existing else self.get(item["pk"], item["sk"])
        return None

    def put(self, item: Item, condition: Expression | None = None) -> bool:
        """Whether the condition held, and so the item was written. Attributes that are None are left out."""
        return self._write(self._client.put_item, {"Item": encoded(item)}, condition) is not None

    def delete(self, pk: str, sk: str, condition: Expression) -> bool:
        """Whether the condition held, and so there is no such item."""
        return self._write(self._client.delete_item, {"Key": _key(pk, sk)}, condition) is not None

    def update(self, pk: str, sk: str, update: Expression, condition: Expression) -> Item | None:
        """What has been changed, as it is now; None: the condition did not hold."""
        asked = {
            "Key": _key(pk, sk),
            "UpdateExpression": update.text,
            "ExpressionAttributeValues": _values(update),
            "ReturnValues": "UPDATED_NEW",
        }
        answer = self._write(self._client.update_item, asked, condition)
        return None if answer is None else decoded(answer["Attributes"])

    def _write(self, write: Any, asked: dict[str, Any], condition: Expression | None) -> Any:
        """None: the condition did not hold."""
        try:
            return write(TableName=self.name, **_with_condition(condition, asked))
        except ClientError as error:
            # By its code: the client makes the classes of its errors when they are first asked for, and two threads
            # that ask at the same time get two.
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return None

    def change(self, change: ConditionalUpdate) -> bool:
        """Whether the item had what it must, and so was changed."""
        text = f"SET {', '.join(f'{name} = :{name}' for name in change.sets)}"
        if change.removes:
            text += f" REMOVE {', '.join(change.removes)}"
        where = Expression(" AND ".join(f"{name} = :{name}" for name in change.where), **change.where)
        return self.update(change.pk, change.sk, Expression(text, **change.sets), where) is not None

    def put_all(self, items: Sequence[tuple[Item, Expression]], what: str) -> None:
        """Each under its condition, as ``write_all`` writes."""
        asked: list[Any] = [
            {"Put": {"TableName": self.name, **_with_condition(condition, {"Item": encoded(item)})}}
            for item, condition in items
        ]
        write_all(lambda: self._client.transact_write_items(TransactItems=asked), what)


def write_all(transact: Callable[[], object], what: str) -> None:
    """Run one transaction. Raises ConcurrentModification if a condition is false. If another transaction writes one of
    the items, the transaction is repeated with backoff. Raises Throttled if this continues."""
    for attempt in attempts():
        try:
            transact()
            return
        except ClientError as error:
            # What a transaction's error has, and no other.
            reasons: Any = error.response.get("CancellationReasons", ())
            codes = {reason.get("Code") for reason in reasons} | {error.response["Error"]["Code"]}
            if "ConditionalCheckFailed" in codes:
                raise ConcurrentModification(f"{what} has changed since it was read") from error
            if not codes & {"TransactionConflict", "TransactionConflictException"}:
                raise
        attempt.wait()
    raise Throttled(f"{what}: other transactions kept writing the same items")


def encoded(item: Item) -> dict[str, Any]:
    """As the client takes it. Attributes that are None are left out."""
    return {name: encoded_value(value) for name, value in item.items() if value is not None}


def encoded_value(value: Scalar) -> dict[str, Any]:
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bool):
        return {"BOOL": value}
    return {"N": str(value)}


def decoded(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: int(given) if kind == "N" else given for name, value in item.items() for kind, given in value.items()}


def _key(pk: str, sk: str) -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _with_condition(condition: Expression | None, asked: dict[str, Any]) -> dict[str, Any]:
    if condition is None:
        return asked
    asked["ConditionExpression"] = condition.text
    if condition.values:
        asked["ExpressionAttributeValues"] = asked.get("ExpressionAttributeValues", {}) | _values(condition)
    return asked


def _values(expression: Expression) -> dict[str, Any]:
    return {f":{name}": encoded_value(value) for name, value in expression.values.items()}
