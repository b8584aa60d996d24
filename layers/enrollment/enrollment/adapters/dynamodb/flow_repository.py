"""Flows in DynamoDB, for their authors. The API writes them with PynamoDB models, and the functions that handle events
read them as candidates (``candidate_flows``)."""

import itertools
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

from enrollment.adapters.backoff import attempts
from enrollment.adapters.dynamodb import schema
from enrollment.adapters.dynamodb.candidate_flows import (
    Head,
    ReadFlow,
    candidate_place,
    candidates_key,
    enrolling_part,
    read_heads,
    revision_key,
)
from enrollment.adapters.dynamodb.model_store import ModelStore, Put, is_unchanged
from enrollment.adapters.dynamodb.models import CandidateItem, CandidatesVersionItem, FlowItem, FlowRevisionItem
from enrollment.adapters.dynamodb.tables import Tables
from enrollment.application.ports import ConcurrentModification, Throttled
from enrollment.domain.flows.flow import Flow, FlowRevision
from enrollment.domain.identifiers import join
from enrollment.domain.json_text import byte_length, json_text
from enrollment.domain.values import Instant

# DynamoDB deletes the candidate item of a flow this long after the flow was turned off. Until then, events that it
# began to enroll can be delivered again, because the unprocessed-events queue keeps them for 14 days.
RETIRED_SECONDS = 15 * 24 * 3600
# Revisions in one read of the search for the revision of a given time, which is usually the last but one.
REVISIONS_READ = 4
# DynamoDB deletes a deleted flow this long after its deletion. Until then, a new flow with the same ID continues the
# revision numbers.
DELETED_SECONDS = 90 * 24 * 3600

# A flow's enrolling part is copied into each of its candidate items, where one read finds it, as long as the copies
# together have at most this many bytes. A larger part is stored once, with the revision: a transaction takes 4 MB.
MAX_COPIED_BYTES = 500_000


class DynamoFlowRepository:
    """The port FlowRepository (``application.ports``). Reads are strongly consistent. ``read_flow`` raises ValueError
    for a revision that is not a valid flow."""

    def __init__(self, tables: Tables, read_flow: ReadFlow) -> None:
        self._table = tables.flows
        self._store = ModelStore(tables)
        self._read_flow = read_flow

    def get(self, portal_id: str, flow_id: str) -> FlowRevision | None:
        """Return the current revision, which may be a deletion. None: the flow never existed, or its deletion
        expired."""
        item = self._item(portal_id, flow_id)
        return None if item is None else _revision(item)

    def get_many(self, portal_id: str, flow_ids: Sequence[str]) -> Mapping[str, FlowRevision]:
        """Return the current revisions by flow ID. Unknown IDs are missing. Raises Throttled."""
        keys = [_flow_key(portal_id, flow_id) for flow_id in dict.fromkeys(flow_ids)]
        return {item.flow_id: _revision(item) for item in self._store.get_many(FlowItem, keys)}

    def as_of(self, portal_id: str, flow_id: str, instant: Instant) -> FlowRevision | None:
        """Return the revision that was current at this time. None: the flow did not exist."""
        items = self._store.query(
            FlowRevisionItem,
            join(schema.REVISIONS, portal_id, flow_id),
            filter_condition=FlowRevisionItem.changed_at <= instant,
            newest_first=True,
            page_size=REVISIONS_READ,
        )
        return next((_revision(item) for item in items), None)

    def revision(self, portal_id: str, flow_id: str, number: int) -> FlowRevision | None:
        """Return a revision, which may be a deletion. None: the flow has no revision of this number."""
        item = self._store.get(FlowRevisionItem, *revision_key(portal_id, flow_id, number))
        return None if item is None else _revision(item)

    def revisions(self, portal_id: str, flow_id: str, limit: int, before: int | None = None) -> Sequence[FlowRevision]:
        """Return revisions, newest first. ``before``: the last number of the previous page."""
        partition, sort_key = revision_key(portal_id, flow_id, before or 0)
        condition = FlowRevisionItem.sk < sort_key if before is not None else None
        items = self._store.query(FlowRevisionItem, partition, condition, newest_first=True, page_size=limit)
        return [_revision(item) for item in itertools.islice(items, limit)]

    def list(self, portal_id: str, limit: int, after: str = "") -> Sequence[FlowRevision]:
        """Return flows that are not deleted, sorted by ID. ``after``: the last ID of the previous page."""
        condition = FlowItem.sk > join(after) if after else None
        items = self._store.query(FlowItem, join(schema.FLOWS, portal_id), condition, page_size=limit)
        live = (item for item in items if not item.is_deleted)
        return [_revision(item) for item in itertools.islice(live, limit)]

    def save(self, revision: FlowRevision, was: FlowRevision | None) -> None:
        """Write the flow, its revision and its candidate items in one transaction. Raises ConcurrentModification if
        ``was`` is not the current revision, and Throttled if other flows of the same event types keep changing."""
        current = self._item(revision.portal_id, revision.id) if was is not None else None
        listed_before = set(current.listed_under or ()) if current is not None else set()
        listed = set() if revision.is_deleted else _listings(self._read_flow(revision))
        keys = sorted(listed | listed_before)
        flow_puts = _flow_puts(revision, was, listed)
        for attempt in attempts():
            heads = read_heads(self._table, keys) if keys else {}
            puts = [*flow_puts, *_candidate_puts(revision, heads, listed)]
            try:
                self._store.put_all(puts, f"flow {revision.id}")
                return
            except ConcurrentModification:
                latest = self._item(revision.portal_id, revision.id)
                if (latest and int(latest.revision)) != (was and was.revision):
                    raise
            # Another flow with the same event type was written in the meantime.
            attempt.wait()
        raise Throttled(f"flow {revision.id}: other flows of the same event types kept changing; retrying is safe")

    def _item(self, portal_id: str, flow_id: str) -> FlowItem | None:
        return self._store.get(FlowItem, *_flow_key(portal_id, flow_id))


def _flow_puts(revision: FlowRevision, was: FlowRevision | None, listed: Set[str]) -> Sequence[Put]:
    """Return the item of the current revision, and the permanent item of the same revision."""
    condition = FlowItem.pk.does_not_exist() if was is None else FlowItem.revision == was.revision
    attributes = _attributes(revision)
    flow = FlowItem(
        *_flow_key(revision.portal_id, revision.id),
        listed_under=sorted(listed),
        expires_at=revision.changed_at // 1000 + DELETED_SECONDS if revision.is_deleted else None,
        **attributes,
    )
    key = revision_key(revision.portal_id, revision.id, revision.revision)
    return [Put(flow, condition), Put(FlowRevisionItem(*key, **attributes))]


def _candidate_puts(revision: FlowRevision, heads: Mapping[str, Head], listed: Set[str]) -> Iterator[Put]:
    """Yield the flow's item and the new head for each list of candidates. ``heads``: by partition key, the heads of the
    lists that the flow is in or leaves."""
    is_copied = _is_copied(revision, len(listed))
    for key, head in heads.items():
        is_live = key in listed and revision.is_enabled
        candidate = CandidateItem(
            key,
            candidate_place(revision.id),
            flow=enrolling(revision, is_live=is_live, is_copied=is_copied),
            expires_at=None if is_live else revision.changed_at // 1000 + RETIRED_SECONDS,
        )
        yield Put(candidate)
        changed = head.followed_by(revision.id, revision.revision, is_live=is_live)
        version = CandidatesVersionItem(
            key, schema.CANDIDATES_VERSION, version=changed.version, changes=changed.written
        )
        yield Put(version, is_unchanged(CandidatesVersionItem, head.version))


def _flow_key(portal_id: str, flow_id: str) -> tuple[str, str]:
    return join(schema.FLOWS, portal_id), join(flow_id)


def _listings(flow: Flow) -> set[str]:
    """Return the partition keys of the lists of candidates that the flow belongs to."""
    return {candidates_key(flow.portal_id, *candidate_list) for candidate_list in flow.candidate_lists}


def _attributes(revision: FlowRevision) -> dict[str, Any]:
    return {
        "portal_id": revision.portal_id,
        "flow_id": revision.id,
        "revision": revision.revision,
        "document": dict(revision.document),
        "is_enabled": revision.is_enabled,
        "enabled_at": revision.enabled_at,
        "criteria_since": revision.criteria_since,
        "created_at": revision.created_at,
        "changed_at": revision.changed_at,
        "is_deleted": revision.is_deleted,
        "changed_by": revision.changed_by,
    }


def _revision(item: FlowRevisionItem) -> FlowRevision:
    return FlowRevision(
        portal_id=item.portal_id,
        id=item.flow_id,
        revision=int(item.revision),
        document=item.document,
        is_enabled=item.is_enabled,
        enabled_at=_instant(item.enabled_at),
        criteria_since=_instant(item.criteria_since),
        created_at=int(item.created_at),
        changed_at=int(item.changed_at),
        is_deleted=item.is_deleted,
        changed_by=item.changed_by,
    )


def _is_copied(revision: FlowRevision, listings: int) -> bool:
    return byte_length(json_text(enrolling_part(revision.document))) * listings <= MAX_COPIED_BYTES


def enrolling(revision: FlowRevision, *, is_live: bool, is_copied: bool = True) -> dict[str, Any]:
    """Return the attribute `flow` of a candidate item. A retired flow enrolls no record and needs no document."""
    part = enrolling_part(revision.document) if is_copied else None
    return {
        "portalId": revision.portal_id,
        "flowId": revision.id,
        "revision": revision.revision,
        "document": part if is_live else {},
        "isEnabled": is_live,
        "enabledAt": revision.enabled_at,
        **({} if revision.criteria_since is None else {"criteriaSince": revision.criteria_since}),
        "createdAt": revision.created_at,
        "changedAt": revision.changed_at,
    }


def _instant(number: float | None) -> Instant | None:
    return None if number is None else int(number)
