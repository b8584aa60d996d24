"""The items of the three tables, as PynamoDB models.

    flows        flows/<portal>                                     <flow>          the current revision
                 revisions/<portal>/<flow>                          <number>        every revision
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
<portal>/<flow>/<shard>; by id through the index `by-id`. Events of all records are found by their type through the
index `by-event-type`, whose partitions are <portal>/<event type>/<shard>. The indexes hold keys only, so that
confirming an enrollment writes none of them.
"""

import json
from binascii import crc32
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pynamodb.attributes import BooleanAttribute, JSONAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.connection import Connection
from pynamodb.exceptions import TransactWriteError
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection, LocalSecondaryIndex
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

from enrollment.adapters.backoff import attempts
from enrollment.config import Config
from enrollment.ports import Conflict, Throttled

M = TypeVar("M", bound=Model)

# Seconds. An invocation that waits longer than this for DynamoDB is better off trying again.
CONNECT_TIMEOUT = 2
READ_TIMEOUT = 5
RETRIES = 6

# Keys in one BatchGetItem, DynamoDB's limit.
BATCH = 100


class FlowItem(Model):
    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    portal_id = UnicodeAttribute(attr_name="portalId")
    flow_id = UnicodeAttribute(attr_name="flowId")
    revision = NumberAttribute()
    document = JSONAttribute()
    is_enabled = BooleanAttribute(attr_name="isEnabled")
    enabled_at = NumberAttribute(attr_name="enabledAt", null=True)
    created_at = NumberAttribute(attr_name="createdAt")
    changed_at = NumberAttribute(attr_name="changedAt")
    is_deleted = BooleanAttribute(attr_name="isDeleted")
    # The event types in whose candidates the flow stands: what the next revision may have to retire.
    listed_under = JSONAttribute(attr_name="listedUnder", null=True)
    expires_at = NumberAttribute(attr_name="expiresAt", null=True)


class CandidateItem(Model):
    """The version, with the last `changes` as [version, flow id, its revision, whether it is live]; or a flow: `flow`
    is the JSON of a FlowRevision's fields, its document cut to what enrolls."""

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    version = NumberAttribute(null=True)
    changes = JSONAttribute(null=True)
    flow = UnicodeAttribute(null=True)
    expires_at = NumberAttribute(attr_name="expiresAt", null=True)


class PortalItem(Model):
    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    time_zone = UnicodeAttribute(attr_name="timeZone")
    tolerance = NumberAttribute(attr_name="criteriaTolerance", default=0)


class ReplayItem(Model):
    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    portal_id = UnicodeAttribute(attr_name="portalId")
    flow_ids = JSONAttribute(attr_name="flowIds", null=True)
    event_types = JSONAttribute(attr_name="eventTypes")
    is_dry_run = BooleanAttribute(attr_name="isDryRun")
    created_at = NumberAttribute(attr_name="createdAt")
    expires_at = NumberAttribute(attr_name="expiresAt")


class RecordItem(Model):
    """`properties` and `memberships`: name to [value, time of its change]; `earlier…`: name to a list of such."""

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True, default="record")
    version = NumberAttribute()
    created_at = NumberAttribute(attr_name="createdAt")
    properties = JSONAttribute()
    memberships = JSONAttribute()
    firsts = JSONAttribute()
    earlier_properties = JSONAttribute(attr_name="earlierProperties")
    earlier_memberships = JSONAttribute(attr_name="earlierMemberships")
    deleted_at = NumberAttribute(attr_name="deletedAt", null=True)
    awaited_until = NumberAttribute(attr_name="awaitedUntil", null=True)


class EnvelopeAttribute(JSONAttribute):
    """JSON that is no longer than the event came: with every character escaped, a large event would be three times
    as long, and no item holds it."""

    def serialize(self, value: Any) -> str:
        return json.dumps(value, ensure_ascii=False)


class WaitingItem(Model):
    """`event`: an envelope as JSON, not in ASCII, in which an escape is up to six times the bytes of its character, so
    that the largest fits into the 400 KB of an item. `flows`: flow id to until when it waits."""

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    version = NumberAttribute()
    event = EnvelopeAttribute()
    flows = JSONAttribute()
    expires_at = NumberAttribute(attr_name="expiresAt")


class RehearsalItem(Model):
    """`codes`: flow id to the code of its decision."""

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    codes = JSONAttribute()
    expires_at = NumberAttribute(attr_name="expiresAt")


class ByEventType(GlobalSecondaryIndex["EventItem"]):  # type: ignore[no-untyped-call]
    class Meta:
        index_name = "by-event-type"
        projection = KeysOnlyProjection()

    type_shard = UnicodeAttribute(attr_name="typeShard", hash_key=True)
    sk = UnicodeAttribute(range_key=True)


class EventItem(Model):
    """`event` is an envelope. No other item of the table has a `typeShard`: the index holds events alone."""

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    event = EnvelopeAttribute()
    type_shard = UnicodeAttribute(attr_name="typeShard")
    expires_at = NumberAttribute(attr_name="expiresAt")
    by_event_type = ByEventType()


class AssociationItem(Model):
    """`types`: [category, type id, [whether it held, time of its change], …] of each, oldest first."""

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    version = NumberAttribute()
    types = JSONAttribute()


class ByFlow(GlobalSecondaryIndex["EnrollmentItem"]):  # type: ignore[no-untyped-call]
    class Meta:
        index_name = "by-flow"
        projection = KeysOnlyProjection()

    flow_shard = UnicodeAttribute(attr_name="flowShard", hash_key=True)
    enrolled_at = UnicodeAttribute(attr_name="enrolledAt", range_key=True)


class ByTime(LocalSecondaryIndex["EnrollmentItem"]):  # type: ignore[no-untyped-call]
    class Meta:
        index_name = "by-time"
        projection = KeysOnlyProjection()

    pk = UnicodeAttribute(hash_key=True)
    enrolled_at = UnicodeAttribute(attr_name="enrolledAt", range_key=True)


class ById(GlobalSecondaryIndex["EnrollmentItem"]):  # type: ignore[no-untyped-call]
    class Meta:
        index_name = "by-id"
        projection = KeysOnlyProjection()

    enrollment_id = UnicodeAttribute(attr_name="enrollmentId", hash_key=True)


class EnrollmentItem(Model):
    """`message` is what the queue gets, word for word, whenever it is sent."""

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    enrollment_id = UnicodeAttribute(attr_name="enrollmentId")
    event_id = UnicodeAttribute(attr_name="eventId")
    flow_shard = UnicodeAttribute(attr_name="flowShard")
    enrolled_at = UnicodeAttribute(attr_name="enrolledAt")
    message = UnicodeAttribute()
    published_at = UnicodeAttribute(attr_name="publishedAt", null=True)
    announced_at = UnicodeAttribute(attr_name="announcedAt", null=True)
    due_at = NumberAttribute(attr_name="dueAt", null=True)
    by_flow = ByFlow()
    by_time = ByTime()
    by_id = ById()


class RateLimitItem(Model):
    """`horizon`: in microseconds (``domain.rate_limits``)."""

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    horizon = NumberAttribute()


class Damaged(Exception):
    """An answer of DynamoDB did not arrive whole."""


class Tables:
    """The models, bound to this stack's tables and sharing one client: a client costs a tenth of a second to make.

    ``connection``: PynamoDB's settings of a connection (``region``, ``host``, ``aws_access_key_id``…) for those who
    don't take them from the environment.
    """

    def __init__(self, config: Config, **connection: str) -> None:
        self.flows = _bound(FlowItem, config.flows_table, connection)
        self.candidates = _bound(CandidateItem, config.flows_table, connection)
        self.portals = _bound(PortalItem, config.flows_table, connection)
        self.replays = _bound(ReplayItem, config.flows_table, connection)
        self.records = _bound(RecordItem, config.records_table, connection)
        self.associations = _bound(AssociationItem, config.records_table, connection)
        self.waiting = _bound(WaitingItem, config.records_table, connection)
        self.rehearsals = _bound(RehearsalItem, config.records_table, connection)
        self.events = _bound(EventItem, config.records_table, connection)
        self.enrollments = _bound(EnrollmentItem, config.enrollments_table, connection)
        self.rate_limits = _bound(RateLimitItem, config.enrollments_table, connection)
        self.connection: Connection = self.flows._get_connection().connection
        # PynamoDB makes a client for each model and has no public way to share one.
        client = self.connection.client
        client.meta.events.register("after-call.dynamodb", _refuse_damaged)
        of_flows = (self.candidates, self.portals, self.replays)
        of_records = (self.records, self.associations, self.waiting, self.rehearsals, self.events)
        for model in (*of_flows, *of_records, self.enrollments, self.rate_limits):
            model._get_connection().connection._client = client


def _refuse_damaged(http_response: Any, **_: object) -> None:
    """The client repeats a call whose answer is not whole, and when its attempts are over takes the last answer as it
    is: what can't be read of it would be taken for an item that does not exist."""
    expected = http_response.headers.get("x-amz-crc32")
    if expected is not None and int(expected) != crc32(http_response.content):
        raise Damaged("DynamoDB's answer is not what its checksum says, at every attempt")


def _bound(model: type[M], table: str, connection: Mapping[str, str]) -> type[M]:
    settings: dict[str, Any] = {
        "table_name": table,
        "connect_timeout_seconds": CONNECT_TIMEOUT,
        "read_timeout_seconds": READ_TIMEOUT,
        "max_retry_attempts": RETRIES,
        **connection,
    }
    return type(model.__name__, (model,), {"Meta": type("Meta", (), settings)})


def read_batch(model: type[M], keys: Sequence[tuple[str, str]]) -> list[M]:
    """The items that exist, strongly consistent, in any order. Keys that DynamoDB leaves unprocessed are asked for
    again, with backoff; raises Throttled when it goes on refusing them."""
    connection = model._get_connection()
    found: list[M] = []
    for start in range(0, len(keys), BATCH):
        asked: Any = [{"pk": {"S": pk}, "sk": {"S": sk}} for pk, sk in keys[start : start + BATCH]]
        for attempt in attempts():
            answer = connection.batch_get_item(asked, consistent_read=True)
            found += [model.from_raw_data(item) for item in answer["Responses"].get(connection.table_name, [])]
            asked = answer.get("UnprocessedKeys", {}).get(connection.table_name, {}).get("Keys", [])
            if not asked:
                break
            attempt.wait()
        else:
            raise Throttled(f"DynamoDB left {len(asked)} keys of {connection.table_name} unread")
    return found


def write_all(fill: Callable[[TransactWrite], None], connection: Connection, what: str) -> None:
    """One transaction. Raises Conflict when a condition does not hold. Meeting another transaction on one of the items
    is no conflict: it is made again, with backoff; raises Throttled when it goes on meeting others."""
    for attempt in attempts():
        try:
            with TransactWrite(connection=connection) as transaction:
                fill(transaction)
            return
        except TransactWriteError as error:
            codes = [reason.code for reason in error.cancellation_reasons if reason is not None]
            if "ConditionalCheckFailed" in codes:
                raise Conflict(f"{what} has changed since it was read") from error
            if error.cause_response_code != "TransactionConflictException" and "TransactionConflict" not in codes:
                raise
        attempt.wait()
    raise Throttled(f"{what}: others were writing the same items all the time")
