"""Flows in DynamoDB as their authors see them, as PynamoDB models: what the API writes, and the events' functions read
as candidates (``flows``)."""

import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from pynamodb.attributes import BooleanAttribute, JSONAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.exceptions import TransactWriteError
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

from enrollment.adapters.backoff import attempts
from enrollment.adapters.dynamodb.candidate_flows import (
    HEAD,
    Head,
    ReadFlow,
    candidate_place,
    candidates_key,
    enrolling_part,
    read_heads,
    revision_key,
)
from enrollment.adapters.dynamodb.tables import Tables, write_all
from enrollment.application.ports import ConcurrentModification, Throttled
from enrollment.domain.flows.flow import Flow, FlowRevision
from enrollment.domain.identifiers import join
from enrollment.domain.json_text import byte_length, json_text
from enrollment.domain.values import Instant

# A flow that is off stays among the candidates for as long as an event that it began to enroll can still be delivered
# again (the unprocessed-events queue keeps events for 14 days), then DynamoDB deletes it.
RETIRED_SECONDS = 15 * 24 * 3600
# Revisions that are read at once, to find the one of some time; most often it is the last but one.
REVISIONS_READ = 4
# The number of a deleted flow's last revision is kept, so that one of the same id counts on.
DELETED_SECONDS = 90 * 24 * 3600

# A flow's enrolling part is copied into each of its candidate items, where one read finds it, as long as the copies
# together have at most this many bytes. A larger part is stored once, with the revision: a transaction takes 4 MB.
MAX_COPIED_BYTES = 500_000

M = TypeVar("M", bound=Model)


class JsonText(JSONAttribute):
    """JSON whose text costs its UTF-8: PynamoDB's own writes escapes."""

    def serialize(self, value: Any) -> str | None:
        return None if value is None else json_text(value)


class FlowItem(Model):
    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    portal_id = UnicodeAttribute(attr_name="portalId")
    flow_id = UnicodeAttribute(attr_name="flowId")
    revision = NumberAttribute()
    document = JsonText()
    is_enabled = BooleanAttribute(attr_name="isEnabled")
    enabled_at = NumberAttribute(attr_name="enabledAt", null=True)
    created_at = NumberAttribute(attr_name="createdAt")
    changed_at = NumberAttribute(attr_name="changedAt")
    is_deleted = BooleanAttribute(attr_name="isDeleted")
    # The event types in whose candidates the flow stands: what the next revision may have to retire.
    listed_under = JsonText(attr_name="listedUnder", null=True)
    expires_at = NumberAttribute(attr_name="expiresAt", null=True)


class CandidateItem(Model):
    """The version, with the last `changes` as JSON; or a flow: `flow` is a FlowRevision's fields. Its document is cut
    to what enrolls, or null where the item of that revision has it."""

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    version = NumberAttribute(null=True)
    changes = UnicodeAttribute(null=True)
    flow = JsonText(null=True)
    expires_at = NumberAttribute(attr_name="expiresAt", null=True)


class DynamoFlowRepository:
    def __init__(self, tables: Tables, read_flow: ReadFlow) -> None:
        self._table = tables.flows
        self._flows = _bound(FlowItem, tables)
        self._candidates = _bound(CandidateItem, tables)
        self._read_flow = read_flow

    def get(self, portal_id: str, flow_id: str) -> FlowRevision | None:
        item = self._item(portal_id, flow_id)
        return None if item is None else _revision(item)

    def get_many(self, portal_id: str, flow_ids: Sequence[str]) -> Mapping[str, FlowRevision]:
        keys = [(join("flows", portal_id), join(one)) for one in dict.fromkeys(flow_ids)]
        items = (self._flows.from_raw_data(dict(item)) for item in self._table.get_many_encoded(keys))
        return {item.flow_id: _revision(item) for item in items}

    def as_of(self, portal_id: str, flow_id: str, instant: Instant) -> FlowRevision | None:
        items = self._flows.query(
            join("revisions", portal_id, flow_id),
            filter_condition=self._flows.changed_at <= instant,
            scan_index_forward=False,
            consistent_read=True,
            page_size=REVISIONS_READ,
        )
        return next((_revision(item) for item in items), None)

    def list(self, portal_id: str, limit: int, after: str = "") -> Sequence[FlowRevision]:
        condition = self._flows.sk > join(after) if after else None
        items = self._flows.query(join("flows", portal_id), condition, consistent_read=True, page_size=limit)
        live = (item for item in items if not item.is_deleted)
        return [_revision(item) for item in itertools.islice(live, limit)]

    def save(self, revision: FlowRevision, was: FlowRevision | None) -> None:
        current = self._item(revision.portal_id, revision.id) if was is not None else None
        listed_before = set(current.listed_under or ()) if current is not None else set()
        listed = set() if revision.is_deleted else _listings(self._read_flow(revision))
        seconds = revision.changed_at // 1000
        head = self._flows(
            join("flows", revision.portal_id),
            join(revision.id),
            listed_under=sorted(listed),
            expires_at=seconds + DELETED_SECONDS if revision.is_deleted else None,
            **_attributes(revision),
        )
        kept = self._flows(*revision_key(revision.portal_id, revision.id, revision.revision), **_attributes(revision))
        condition = self._flows.pk.does_not_exist() if was is None else self._flows.revision == was.revision

        keys = sorted(listed | listed_before)
        is_copied = _is_copied(revision, len(listed))

        def transact(heads: Mapping[str, Head]) -> None:
            connection = self._flows._get_connection().connection
            try:
                with TransactWrite(connection=connection) as transaction:
                    transaction.save(head, condition=condition)
                    transaction.save(kept)
                    for key in keys:
                        is_live = key in listed and revision.is_enabled
                        candidate = self._candidates(
                            key,
                            candidate_place(revision.id),
                            flow=enrolling(revision, is_live=is_live, is_copied=is_copied),
                            expires_at=None if is_live else seconds + RETIRED_SECONDS,
                        )
                        transaction.save(candidate)
                        after = heads[key].followed_by(revision.id, revision.revision, is_live=is_live)
                        self._count(transaction, key, was=heads[key], now=after)
            except TransactWriteError as error:
                # Wrapped twice: the reasons are in the error that the client raised.
                cause = error.cause and error.cause.__cause__
                raise cause or error from None

        for attempt in attempts():
            heads = read_heads(self._table, keys) if keys else {}
            try:
                write_all(partial(transact, heads), f"flow {revision.id}")
                return
            except ConcurrentModification:
                latest = self._item(revision.portal_id, revision.id)
                if (latest and int(latest.revision)) != (was and was.revision):
                    raise
            # Another flow of the same listing was written meanwhile.
            attempt.wait()
        raise Throttled(f"flow {revision.id}: others of the same event types were written all the time")

    def _count(self, transaction: TransactWrite, key: str, was: Head, now: Head) -> None:
        model = self._candidates
        transaction.save(
            model(key, HEAD, version=now.version, changes=now.written),
            condition=model.version == was.version if was.version else model.pk.does_not_exist(),
        )

    def _item(self, portal_id: str, flow_id: str) -> FlowItem | None:
        try:
            return self._flows.get(join("flows", portal_id), join(flow_id), consistent_read=True)
        except self._flows.DoesNotExist:
            return None


def _bound(model: type[M], tables: Tables) -> type[M]:
    """PynamoDB makes a client for each model and has no public way to share one."""
    bound: type[M] = type(model.__name__, (model,), {"Meta": type("Meta", (), {"table_name": tables.flows.name})})
    client: Any = tables.client
    bound._get_connection().connection._client = client
    return bound


def _listings(flow: Flow) -> set[str]:
    return {candidates_key(flow.portal_id, flow.object_type_id, one) for one in flow.event_types}


def _attributes(revision: FlowRevision) -> dict[str, Any]:
    return {
        "portal_id": revision.portal_id,
        "flow_id": revision.id,
        "revision": revision.revision,
        "document": dict(revision.document),
        "is_enabled": revision.is_enabled,
        "enabled_at": revision.enabled_at,
        "created_at": revision.created_at,
        "changed_at": revision.changed_at,
        "is_deleted": revision.is_deleted,
    }


def _revision(item: FlowItem) -> FlowRevision:
    return FlowRevision(
        portal_id=item.portal_id,
        id=item.flow_id,
        revision=int(item.revision),
        document=item.document,
        is_enabled=item.is_enabled,
        enabled_at=_instant(item.enabled_at),
        created_at=int(item.created_at),
        changed_at=int(item.changed_at),
        is_deleted=item.is_deleted,
    )


def _is_copied(revision: FlowRevision, listings: int) -> bool:
    return byte_length(json_text(enrolling_part(revision.document))) * listings <= MAX_COPIED_BYTES


def enrolling(revision: FlowRevision, *, is_live: bool, is_copied: bool = True) -> dict[str, Any]:
    """What a candidate item stores. A retired flow enrolls no record and needs no document."""
    part = enrolling_part(revision.document) if is_copied else None
    return {
        "portalId": revision.portal_id,
        "flowId": revision.id,
        "revision": revision.revision,
        "document": part if is_live else {},
        "isEnabled": is_live,
        "enabledAt": revision.enabled_at,
        "createdAt": revision.created_at,
        "changedAt": revision.changed_at,
    }


def _instant(number: float | None) -> Instant | None:
    return None if number is None else int(number)
