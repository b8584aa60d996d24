"""Flows in DynamoDB: as their authors see them, and as candidates of an event."""

import itertools
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pynamodb.transactions import TransactWrite

from enrollment.adapters.tables import CandidateItem, FlowItem, Tables, read_batch, write_all
from enrollment.domain.flows import Flow, FlowRevision, retired
from enrollment.domain.identifiers import join
from enrollment.domain.values import Instant

ReadFlow = Callable[[FlowRevision], Flow]

# Sorts before every flow.
VERSION = "#version"

# Event types of which the candidates are kept in a warm function; each is one portal's, of one object type.
CACHED = 2_000

# A flow that is off stays among the candidates for as long as an event that it began to enroll can still be delivered
# again (the unprocessed-events queue keeps events for 14 days), then DynamoDB deletes it.
RETIRED_SECONDS = 15 * 24 * 3600
# Revisions that are read at once, to find the one of some time; most often it is the last but one.
REVISIONS_READ = 4
# The number of a deleted flow's last revision is kept, so that one of the same id counts on.
DELETED_SECONDS = 90 * 24 * 3600

# What enrolls; actions and all else of a flow is not carried into the handlers.
ENROLLING_KEYS = (
    "name",
    "type",
    "objectTypeId",
    "enrollmentCriteria",
    "suppressionListIds",
    "suppressionFilterBranch",
    "goalFilterBranch",
    "criteriaTolerance",
    "enrollmentRateLimit",
)


@dataclass(frozen=True, slots=True)
class _Listing:
    version: int
    flows: tuple[Flow, ...]


class DynamoFlows:
    """Candidates by key, kept in memory and validated by one consistent read of their version on every event."""

    def __init__(self, tables: Tables, read_flow: ReadFlow) -> None:
        self._items = tables.candidates
        self._read_flow = read_flow
        self._cache: OrderedDict[str, _Listing] = OrderedDict()

    def candidates(self, portal_id: str, object_type_id: str, event_types: Sequence[str]) -> Sequence[Flow]:
        keys = [_candidates_key(portal_id, object_type_id, one) for one in event_types]
        versions = self._versions([key for key in keys if key in self._cache])
        flows: dict[str, Flow] = {}
        for key in keys:
            for flow in self._listing(key, versions.get(key)).flows:
                flows.setdefault(flow.id, flow)
        return tuple(flows.values())

    def _versions(self, keys: Sequence[str]) -> Mapping[str, int]:
        if not keys:
            return {}
        if len(keys) == 1:
            try:
                return {keys[0]: _version(self._items.get(keys[0], VERSION, consistent_read=True))}
            except self._items.DoesNotExist:
                return {keys[0]: 0}
        items = read_batch(self._items, [(key, VERSION) for key in keys])
        return dict.fromkeys(keys, 0) | {item.pk: _version(item) for item in items}

    def _listing(self, key: str, version: int | None) -> _Listing:
        """``version`` None: not known, because nothing of the key is in memory."""
        cached = self._cache.get(key)
        if cached is None or cached.version != version:
            cached = self._load(key)
            self._cache[key] = cached
            if len(self._cache) > CACHED:
                self._cache.popitem(last=False)
        self._cache.move_to_end(key)
        return cached

    def _load(self, key: str) -> _Listing:
        """All candidates of one version. The version is on the first page; more pages are read again until none of
        them changed meanwhile."""
        while True:
            pages = list(self._items.query(key, consistent_read=True).page_iter)
            items = [self._items.from_raw_data(raw) for page in pages for raw in page["Items"]]
            version = next((_version(item) for item in items if item.sk == VERSION), 0)
            if len(pages) <= 1 or self._versions([key])[key] == version:
                flows = (self._flow(_revision_of(item.flow)) for item in items if item.sk != VERSION)
                return _Listing(version, tuple(flows))

    def _flow(self, revision: FlowRevision) -> Flow:
        return self._read_flow(revision) if revision.is_enabled else retired(revision)


class DynamoFlowBook:
    def __init__(self, tables: Tables, read_flow: ReadFlow) -> None:
        self._tables = tables
        self._read_flow = read_flow

    def get(self, portal_id: str, flow_id: str) -> FlowRevision | None:
        item = self._item(portal_id, flow_id)
        return None if item is None else _revision(item)

    def get_many(self, portal_id: str, flow_ids: Sequence[str]) -> Mapping[str, FlowRevision]:
        keys = [(join("flows", portal_id), join(one)) for one in dict.fromkeys(flow_ids)]
        return {item.flow_id: _revision(item) for item in read_batch(self._tables.flows, keys)}

    def as_of(self, portal_id: str, flow_id: str, instant: Instant) -> FlowRevision | None:
        items = self._tables.flows.query(
            join("revisions", portal_id, flow_id),
            filter_condition=self._tables.flows.changed_at <= instant,
            scan_index_forward=False,
            consistent_read=True,
            page_size=REVISIONS_READ,
        )
        return next((_revision(item) for item in items), None)

    def list(self, portal_id: str, limit: int, after: str = "") -> Sequence[FlowRevision]:
        condition = self._tables.flows.sk > join(after) if after else None
        items = self._tables.flows.query(join("flows", portal_id), condition, consistent_read=True, page_size=limit)
        live = (item for item in items if not item.is_deleted)
        return [_revision(item) for item in itertools.islice(live, limit)]

    def save(self, revision: FlowRevision, was: FlowRevision | None) -> None:
        current = self._item(revision.portal_id, revision.id) if was is not None else None
        listed_before = set(current.listed_under or ()) if current is not None else set()
        listed = set() if revision.is_deleted else _listings(self._read_flow(revision))
        seconds = revision.changed_at // 1000
        head = self._tables.flows(
            join("flows", revision.portal_id),
            join(revision.id),
            listed_under=sorted(listed),
            expires_at=seconds + DELETED_SECONDS if revision.is_deleted else None,
            **_attributes(revision),
        )
        kept = self._tables.flows(
            join("revisions", revision.portal_id, revision.id),
            f"{revision.revision:010d}",
            **_attributes(revision),
        )
        condition = (
            self._tables.flows.pk.does_not_exist() if was is None else self._tables.flows.revision == was.revision
        )

        def fill(transaction: TransactWrite) -> None:
            transaction.save(head, condition=condition)
            transaction.save(kept)
            for key in sorted(listed | listed_before):
                is_live = key in listed and revision.is_enabled
                transaction.save(
                    self._tables.candidates(
                        key,
                        f"flow/{join(revision.id)}",
                        flow=_enrolling(revision, is_live=is_live),
                        expires_at=None if is_live else seconds + RETIRED_SECONDS,
                    )
                )
                counter = self._tables.candidates(key, VERSION)
                transaction.update(counter, actions=[self._tables.candidates.version.add(1)])

        write_all(fill, self._tables.connection, f"flow {revision.id}")

    def _item(self, portal_id: str, flow_id: str) -> FlowItem | None:
        try:
            return self._tables.flows.get(join("flows", portal_id), join(flow_id), consistent_read=True)
        except self._tables.flows.DoesNotExist:
            return None


def _candidates_key(portal_id: str, object_type_id: str, event_type: str) -> str:
    return join("candidates", portal_id, object_type_id, event_type)


def _listings(flow: Flow) -> set[str]:
    return {_candidates_key(flow.portal_id, flow.object_type_id, one) for one in flow.event_types}


def _version(item: CandidateItem) -> int:
    return int(item.version or 0)


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


def _enrolling(revision: FlowRevision, *, is_live: bool) -> dict[str, Any]:
    """What a candidate carries. One that is retired enrolls nobody, and needs no document."""
    kept = {key: revision.document[key] for key in ENROLLING_KEYS if key in revision.document} if is_live else {}
    return {
        "portalId": revision.portal_id,
        "flowId": revision.id,
        "revision": revision.revision,
        "document": kept,
        "isEnabled": is_live,
        "enabledAt": revision.enabled_at,
        "createdAt": revision.created_at,
        "changedAt": revision.changed_at,
    }


def _revision_of(flow: Mapping[str, Any]) -> FlowRevision:
    return FlowRevision(
        portal_id=flow["portalId"],
        id=flow["flowId"],
        revision=flow["revision"],
        document=flow["document"],
        is_enabled=flow["isEnabled"],
        enabled_at=flow["enabledAt"],
        created_at=flow["createdAt"],
        changed_at=flow["changedAt"],
    )


def _instant(number: float | None) -> Instant | None:
    return None if number is None else int(number)
