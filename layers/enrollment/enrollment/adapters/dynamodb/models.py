"""The schema of the three tables as PynamoDB models: tables, keys, indexes and every kind of item.

The models only map between values, items and requests. ``model_store`` sends their requests with the project's DynamoDB
client. No function that handles events imports this module, because PynamoDB lengthens the cold start
(docs/decisions/0013-event-path.md). The event path writes the same items with ``tables``;
tests/contract/test_models.py writes each kind of item with one side and reads it with the other.

``tables`` describes the keys. A time is in milliseconds since 1970, except ``expires_at``, which is in seconds.
"""

import json
from collections.abc import Mapping
from typing import Any, Self

from pynamodb.attributes import BooleanAttribute, JSONAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection, LocalSecondaryIndex
from pynamodb.models import Model

from enrollment.adapters.dynamodb import schema
from enrollment.domain.json_text import json_text


class Utf8JsonAttribute(JSONAttribute):
    """JSON without ASCII escapes, which take up to six times the bytes of a character."""

    def serialize(self, value: Any) -> str | None:
        """Return the JSON text that is stored. None: the attribute is left out."""
        return None if value is None else json_text(value)


class PlainJsonAttribute(JSONAttribute):
    """JSON without any escapes that JSON itself does not need."""

    def serialize(self, value: Any) -> str | None:
        """Return the JSON text that is stored. None: the attribute is left out."""
        return None if value is None else json.dumps(value, ensure_ascii=False)


class Item(Model):
    """The keys of every item."""

    pk = UnicodeAttribute(hash_key=True, attr_name=schema.PARTITION_KEY)
    sk = UnicodeAttribute(range_key=True, attr_name=schema.SORT_KEY)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Make an item from values by their names in the table. Raises KeyError for a name that the model lacks."""
        names = {attribute.attr_name: name for name, attribute in cls.get_attributes().items()}
        return cls(**{names[name]: value for name, value in values.items()})

    @property
    def values(self) -> dict[str, Any]:
        """The values that the item has, by their names in the table."""
        pairs = ((attribute.attr_name, getattr(self, name)) for name, attribute in self.get_attributes().items())
        return {name: value for name, value in pairs if value is not None}


# Items of the flows table ---------------------------------------------------------------------------------------------


class FlowsTableItem(Item):
    """The keys of the items of the flows table."""

    class Meta:
        table_name = schema.FLOWS_TABLE


class FlowRevisionItem(FlowsTableItem):
    """A revision of a flow, which never changes. Items that an earlier version stored have no ``changed_by``."""

    portal_id = UnicodeAttribute(attr_name="portalId")
    flow_id = UnicodeAttribute(attr_name="flowId")
    revision = NumberAttribute()
    document = Utf8JsonAttribute()
    is_enabled = BooleanAttribute(attr_name="isEnabled")
    enabled_at = NumberAttribute(attr_name="enabledAt", null=True)
    criteria_since = NumberAttribute(attr_name="criteriaSince", null=True)
    created_at = NumberAttribute(attr_name="createdAt")
    changed_at = NumberAttribute(attr_name="changedAt")
    is_deleted = BooleanAttribute(attr_name="isDeleted")
    changed_by = UnicodeAttribute(attr_name="changedBy", null=True)


class FlowItem(FlowRevisionItem):
    """The current revision of a flow. ``listed_under``: the partition keys of the candidate items that name the flow,
    which the next revision may have to retire."""

    listed_under = Utf8JsonAttribute(attr_name="listedUnder", null=True)
    expires_at = NumberAttribute(attr_name=schema.TIME_TO_LIVE, null=True)


class CandidatesVersionItem(FlowsTableItem):
    """The number of changes to the candidates of an event type, and the latest changes as JSON."""

    version = NumberAttribute()
    changes = UnicodeAttribute(null=True)


class CandidateItem(FlowsTableItem):
    """A flow that an event of a type may enroll. ``flow``: the fields of its revision. ``document`` in it has only what
    enrolls, or is null if the item of the revision has it."""

    flow = Utf8JsonAttribute()
    expires_at = NumberAttribute(attr_name=schema.TIME_TO_LIVE, null=True)


class PortalSettingsItem(FlowsTableItem):
    """Tolerances are in milliseconds. Items that were stored before an attribute existed lack it."""

    time_zone = UnicodeAttribute(attr_name="timeZone")
    criteria_tolerance = NumberAttribute(attr_name="criteriaTolerance", null=True)
    record_tolerance = NumberAttribute(attr_name="recordTolerance", null=True)
    allowed_sources = JSONAttribute(attr_name="allowedSources", null=True)


class ReplayItem(FlowsTableItem):
    """``flow_ids``: sorted. None: the replay is for every flow."""

    portal_id = UnicodeAttribute(attr_name="portalId")
    flow_ids = JSONAttribute(attr_name="flowIds", null=True)
    event_types = JSONAttribute(attr_name="eventTypes")
    is_dry_run = BooleanAttribute(attr_name="isDryRun")
    created_at = NumberAttribute(attr_name="createdAt")
    expires_at = NumberAttribute(attr_name=schema.TIME_TO_LIVE)


class RunItem(FlowsTableItem):
    """A run over all records of a type. ``DynamoRuns`` describes the JSON."""

    version = NumberAttribute()
    run = Utf8JsonAttribute()
    expires_at = NumberAttribute(attr_name=schema.TIME_TO_LIVE)


class RunShardItem(FlowsTableItem):
    """A shard of a run. ``counts``: decisions by code. ``after``: the object ID of the last record."""

    version = NumberAttribute()
    after = UnicodeAttribute(null=True)
    counts = JSONAttribute()
    is_done = BooleanAttribute(attr_name="isDone")
    free_at = NumberAttribute(attr_name="freeAt")
    attempts = NumberAttribute()
    holder = UnicodeAttribute(null=True)
    expires_at = NumberAttribute(attr_name=schema.TIME_TO_LIVE)


class ActiveRunItem(FlowsTableItem):
    """Lists a run for the workers, until one of them finds it finished. ``is_paused``: the workers rarely read it."""

    portal_id = UnicodeAttribute(attr_name="portalId")
    flow_id = UnicodeAttribute(attr_name="flowId")
    run_id = UnicodeAttribute(attr_name="runId")
    is_paused = BooleanAttribute(attr_name="isPaused", null=True)
    expires_at = NumberAttribute(attr_name=schema.TIME_TO_LIVE)


# Items of the records table -------------------------------------------------------------------------------------------


class ByEventType(GlobalSecondaryIndex["HistoryEventItem"]):  # type: ignore[no-untyped-call]
    """Partitions: <portal>/<event type>/<shard> for events, <portal>/<object type>/record/<shard> for records."""

    class Meta:
        index_name = schema.BY_EVENT_TYPE
        projection = KeysOnlyProjection()

    type_shard = UnicodeAttribute(hash_key=True, attr_name=schema.TYPE_SHARD)
    sk = UnicodeAttribute(range_key=True, attr_name=schema.SORT_KEY)


class ByEventId(GlobalSecondaryIndex["HistoryEventItem"]):  # type: ignore[no-untyped-call]
    """Finds an event by its ID. Partitions: <portal>/<event>."""

    class Meta:
        index_name = schema.BY_EVENT_ID
        projection = KeysOnlyProjection()

    event_key = UnicodeAttribute(hash_key=True, attr_name=schema.EVENT_KEY)


class ByEmail(GlobalSecondaryIndex["RecordItem"]):  # type: ignore[no-untyped-call]
    """Finds contacts by their email. Partitions: <portal>/<normalized email>."""

    class Meta:
        index_name = schema.BY_EMAIL
        projection = KeysOnlyProjection()

    email_key = UnicodeAttribute(hash_key=True, attr_name=schema.EMAIL_KEY)


class RecordsTableItem(Item):
    """The keys of the items of the records table."""

    class Meta:
        table_name = schema.RECORDS_TABLE


class RecordItem(RecordsTableItem):
    """A record. ``DynamoRecords`` describes the JSON. ``email_key``: of contacts with an email only."""

    version = NumberAttribute()
    created_at = NumberAttribute(attr_name="createdAt", null=True)
    known_at = NumberAttribute(attr_name="knownAt", null=True)
    properties = PlainJsonAttribute()
    memberships = PlainJsonAttribute()
    firsts = PlainJsonAttribute()
    earlier_properties = PlainJsonAttribute(attr_name="earlierProperties")
    earlier_memberships = PlainJsonAttribute(attr_name="earlierMemberships")
    origins = PlainJsonAttribute(null=True)
    deleted_at = NumberAttribute(attr_name="deletedAt", null=True)
    awaited_until = NumberAttribute(attr_name="awaitedUntil", null=True)
    type_shard = UnicodeAttribute(attr_name=schema.TYPE_SHARD, null=True)
    email_key = UnicodeAttribute(attr_name=schema.EMAIL_KEY, null=True)
    expires_at = NumberAttribute(attr_name=schema.TIME_TO_LIVE, null=True)

    by_email = ByEmail()


class AssociationItem(RecordsTableItem):
    """One direction of an association. ``DynamoAssociations`` describes the JSON."""

    version = NumberAttribute()
    types = JSONAttribute()


class DeferredEventItem(RecordsTableItem):
    """An event with deferred decisions. ``DynamoDeferredEvents`` describes the JSON."""

    version = NumberAttribute()
    event = PlainJsonAttribute()
    flows = JSONAttribute()
    rejected = JSONAttribute(null=True)
    expires_at = NumberAttribute(attr_name=schema.TIME_TO_LIVE)


class HistoryEventItem(RecordsTableItem):
    """An event of a record, or only the time at which it was evaluated. ``event_key``: absent if the stack does not
    find events by their ID."""

    evaluated_at = NumberAttribute(attr_name="evaluatedAt", null=True)
    event = PlainJsonAttribute(null=True)
    type_shard = UnicodeAttribute(attr_name=schema.TYPE_SHARD, null=True)
    event_key = UnicodeAttribute(attr_name=schema.EVENT_KEY, null=True)
    expires_at = NumberAttribute(attr_name=schema.TIME_TO_LIVE)

    by_event_type = ByEventType()
    by_event_id = ByEventId()


class DryRunItem(RecordsTableItem):
    """The decisions of a dry run about one event. ``codes``: flow ID to decision code."""

    codes = JSONAttribute()
    expires_at = NumberAttribute(attr_name=schema.TIME_TO_LIVE)


class StoredDueItem(RecordsTableItem):
    """Work that is due later. ``message``: what the queue receives."""

    message = UnicodeAttribute()


# Items of the enrollments table ---------------------------------------------------------------------------------------


class ByFlow(GlobalSecondaryIndex["EnrollmentItem"]):  # type: ignore[no-untyped-call]
    """Partitions: <portal>/<flow>/<shard>."""

    class Meta:
        index_name = schema.BY_FLOW
        projection = KeysOnlyProjection()

    flow_shard = UnicodeAttribute(hash_key=True, attr_name=schema.FLOW_SHARD)
    enrolled_at = UnicodeAttribute(range_key=True, attr_name=schema.ENROLLED_AT)


class ById(GlobalSecondaryIndex["EnrollmentItem"]):  # type: ignore[no-untyped-call]
    """Finds an enrollment by its ID."""

    class Meta:
        index_name = schema.BY_ID
        projection = KeysOnlyProjection()

    enrollment_id = UnicodeAttribute(hash_key=True, attr_name=schema.ENROLLMENT_ID)


class ByTime(LocalSecondaryIndex["EnrollmentItem"]):  # type: ignore[no-untyped-call]
    """Sorts the enrollments of a record by time."""

    class Meta:
        index_name = schema.BY_TIME
        projection = KeysOnlyProjection()

    pk = UnicodeAttribute(hash_key=True, attr_name=schema.PARTITION_KEY)
    enrolled_at = UnicodeAttribute(range_key=True, attr_name=schema.ENROLLED_AT)


class Unconfirmed(GlobalSecondaryIndex["EnrollmentItem"]):  # type: ignore[no-untyped-call]
    """A sparse index: a claim adds the entry, and the confirmation removes it."""

    class Meta:
        index_name = schema.UNCONFIRMED
        projection = KeysOnlyProjection()

    unconfirmed_shard = UnicodeAttribute(hash_key=True, attr_name=schema.UNCONFIRMED_SHARD)
    publish_at = NumberAttribute(range_key=True, attr_name=schema.PUBLISH_AT)


class EnrollmentsTableItem(Item):
    """The keys of the items of the enrollments table."""

    class Meta:
        table_name = schema.ENROLLMENTS_TABLE


class EnrollmentItem(EnrollmentsTableItem):
    """``message``: the text that the queue gets, whenever it is sent. ``enrolled_at``: an ISO time, "/" and the
    enrollment's ID. ``published_at`` and ``announced_at``: ISO times."""

    enrollment_id = UnicodeAttribute(attr_name=schema.ENROLLMENT_ID)
    event_id = UnicodeAttribute(attr_name="eventId")
    flow_shard = UnicodeAttribute(attr_name=schema.FLOW_SHARD)
    enrolled_at = UnicodeAttribute(attr_name=schema.ENROLLED_AT)
    message = UnicodeAttribute()
    due_at = NumberAttribute(attr_name="dueAt", null=True)
    chain = JSONAttribute(null=True)
    unconfirmed_shard = UnicodeAttribute(attr_name=schema.UNCONFIRMED_SHARD, null=True)
    publish_at = NumberAttribute(attr_name=schema.PUBLISH_AT, null=True)
    published_at = UnicodeAttribute(attr_name="publishedAt", null=True)
    announced_at = UnicodeAttribute(attr_name="announcedAt", null=True)

    by_flow = ByFlow()
    by_id = ById()
    by_time = ByTime()
    unconfirmed = Unconfirmed()


class RateLimitItem(EnrollmentsTableItem):
    """``horizon``: microseconds since 1970 up to which a flow's enrollments are scheduled."""

    horizon = NumberAttribute()


MODELS: tuple[type[Item], ...] = (
    FlowItem,
    FlowRevisionItem,
    CandidatesVersionItem,
    CandidateItem,
    PortalSettingsItem,
    ReplayItem,
    RunItem,
    RunShardItem,
    ActiveRunItem,
    RecordItem,
    AssociationItem,
    DeferredEventItem,
    HistoryEventItem,
    DryRunItem,
    StoredDueItem,
    EnrollmentItem,
    RateLimitItem,
)
