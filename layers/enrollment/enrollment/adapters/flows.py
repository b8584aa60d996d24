"""Flows in DynamoDB: as their authors see them, and as candidates of an event."""

import itertools
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, NamedTuple

from pynamodb.transactions import TransactWrite

from enrollment.adapters.backoff import attempts
from enrollment.adapters.tables import CandidateItem, FlowItem, Tables, read_batch, write_all
from enrollment.domain.candidates import Candidates, Listing, Question, candidates, each_once
from enrollment.domain.flows import Flow, FlowRevision, retired
from enrollment.domain.identifiers import join
from enrollment.domain.values import Instant
from enrollment.ports import Conflict, Throttled

ReadFlow = Callable[[FlowRevision], Flow]

# Sorts before every flow.
HEAD = "#version"

# Of the last changes the head names the flows, so that a warm function reads only what it does not have; so many, that
# it stays below what one read of DynamoDB takes.
CHANGES_NAMED = 20

# What of the flows a warm function keeps, as the JSON that it is read from; in memory it is about MEMORY_FACTOR times
# as much (tests/benchmarks/portals.py).
KEPT_BYTES = 48 * 1024 * 1024
# What a listing and a flow count beside their JSON.
LISTING_BYTES = 1024
FLOW_BYTES = 512

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


class _Change(NamedTuple):
    """``version``: of the listing. ``is_live``: the flow was put, or exchanged; else retired."""

    version: int
    flow_id: str
    revision: int
    is_live: bool


class _Head(NamedTuple):
    """How often a listing has changed, and its last changes, the latest last."""

    version: int = 0
    changes: tuple[_Change, ...] = ()

    def since(self, version: int) -> Sequence[_Change] | None:
        """None: not all of them are named."""
        since = [one for one in self.changes if one.version > version]
        return since if len(since) == self.version - version else None

    def followed_by(self, flow_id: str, revision: int, *, is_live: bool) -> "_Head":
        change = _Change(self.version + 1, flow_id, revision, is_live)
        return _Head(change.version, (*self.changes, change)[-CHANGES_NAMED:])


@dataclass(slots=True)
class _Kept:
    """A listing in memory; ``sizes``: of each flow's JSON."""

    listing: Listing
    version: int
    sizes: dict[str, int]

    @property
    def size(self) -> int:
        return LISTING_BYTES + sum(self.sizes.values()) + FLOW_BYTES * len(self.sizes)


class _NotVisibleYet(Exception):
    """A transaction is being written: its head can be seen, but not yet all of its flows."""


class DynamoFlows:
    """Candidates by key. A warm function keeps what it has read, and asks at each event for the head of the listing
    (consistently): what changed since is read, and nothing else. Of several listings, as of the several types that an
    event may satisfy, it sees one moment."""

    def __init__(self, tables: Tables, read_flow: ReadFlow, kept_bytes: int = KEPT_BYTES) -> None:
        self._items = tables.candidates
        self._read_flow = read_flow
        self._most_bytes = kept_bytes
        self.kept_bytes = 0
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        # The events of a batch are decided at the same time.
        self._lock = Lock()

    def candidates(self, portal_id: str, object_type_id: str, event_types: Sequence[str]) -> Sequence[Flow]:
        with self._lock:
            return each_once(self._listings(portal_id, object_type_id, event_types))

    def concerned(self, portal_id: str, object_type_id: str, question: Question) -> Candidates:
        with self._lock:
            return candidates(self._listings(portal_id, object_type_id, question.event_types), question)

    def _listings(self, portal_id: str, object_type_id: str, event_types: Sequence[str]) -> Sequence[Listing]:
        """As they were together at one moment since the call began: each has the version that its head had then."""
        keys = {_candidates_key(portal_id, object_type_id, one): one for one in event_types}
        heads = self._heads([key for key in keys if key in self._kept])
        for attempt in attempts():
            outdated = [key for key in keys if key not in heads or heads[key].version != self._kept[key].version]
            try:
                refreshed = [self._refresh(key, keys[key], heads.get(key)) for key in outdated]
                if not outdated or (len(keys) == 1 and all(refreshed)):
                    self._forget_beyond(len(keys))
                    return [self._kept[key].listing for key in keys]
            except _NotVisibleYet:
                attempt.wait()
            heads = self._heads([key for key in keys if key in self._kept])
        raise Throttled(f"portal {portal_id}: flows of {', '.join(event_types)} were changed all the time")

    def _refresh(self, key: str, event_type: str, head: _Head | None) -> bool:
        """Whether the listing is of one moment by now."""
        kept = self._kept.get(key)
        changes = None if kept is None or head is None else head.since(kept.version)
        if kept is None or head is None or changes is None:
            return self._load(key, event_type)
        self.kept_bytes -= kept.size
        try:
            self._apply(key, kept, changes)
            kept.version = head.version
        finally:
            self.kept_bytes += kept.size
        return True

    def _apply(self, key: str, kept: _Kept, changes: Sequence[_Change]) -> None:
        places = {_place(one.flow_id): one.flow_id for one in changes}
        items = {item.sk: item for item in read_batch(self._items, [(key, place) for place in places])}
        _check_visible(items, changes)
        for place, flow_id in places.items():
            if place in items:
                kept.listing.put(self._flow(items[place]))
                kept.sizes[flow_id] = len(items[place].flow)
            else:
                kept.listing.remove(flow_id)
                kept.sizes.pop(flow_id, None)

    def _load(self, key: str, event_type: str) -> bool:
        """All of it. The head is on the first page; what is on a further one may be newer."""
        pages = list(self._items.query(key, consistent_read=True).page_iter)
        items = {raw["sk"]["S"]: self._items.from_raw_data(raw) for page in pages for raw in page["Items"]}
        head = _head(items.pop(HEAD, None))
        _check_visible(items, head.changes)
        flows = [(self._flow(item), len(item.flow)) for item in items.values()]
        sizes = {flow.id: size for flow, size in flows}
        kept = _Kept(Listing(event_type, [flow for flow, _ in flows]), head.version, sizes)
        if key in self._kept:
            self.kept_bytes -= self._kept[key].size
        self._kept[key] = kept
        self.kept_bytes += kept.size
        return len(pages) <= 1

    def _forget_beyond(self, in_use: int) -> None:
        while self.kept_bytes > self._most_bytes and len(self._kept) > in_use:
            _, forgotten = self._kept.popitem(last=False)
            self.kept_bytes -= forgotten.size

    def _heads(self, keys: Sequence[str]) -> Mapping[str, _Head]:
        for key in keys:
            self._kept.move_to_end(key)
        return read_heads(self._items, keys)

    def _flow(self, item: CandidateItem) -> Flow:
        revision = _revision_of(json.loads(item.flow))
        return self._read_flow(revision) if revision.is_enabled else retired(revision)


def read_heads(model: type[CandidateItem], keys: Sequence[str]) -> Mapping[str, _Head]:
    """Of each listing, be it empty."""
    if len(keys) == 1:
        try:
            return {keys[0]: _head(model.get(keys[0], HEAD, consistent_read=True))}
        except model.DoesNotExist:
            return {keys[0]: _Head()}
    items = {item.pk: item for item in read_batch(model, [(key, HEAD) for key in keys])}
    return {key: _head(items.get(key)) for key in keys}


def _check_visible(items: Mapping[str, CandidateItem], changes: Sequence[_Change]) -> None:
    """``items``: by their places. A flow that was retired is gone after a time; one that was put is there."""
    for change in {one.flow_id: one for one in changes}.values():
        item = items.get(_place(change.flow_id))
        if change.is_live if item is None else json.loads(item.flow)["revision"] < change.revision:
            raise _NotVisibleYet


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

        keys = sorted(listed | listed_before)
        for attempt in attempts():
            heads = read_heads(self._tables.candidates, keys) if keys else {}

            def fill(transaction: TransactWrite, heads: Mapping[str, _Head] = heads) -> None:
                transaction.save(head, condition=condition)
                transaction.save(kept)
                for key in keys:
                    is_live = key in listed and revision.is_enabled
                    transaction.save(
                        self._tables.candidates(
                            key,
                            _place(revision.id),
                            flow=json.dumps(_enrolling(revision, is_live=is_live)),
                            expires_at=None if is_live else seconds + RETIRED_SECONDS,
                        )
                    )
                    self._count(
                        transaction,
                        key,
                        was=heads[key],
                        now=heads[key].followed_by(revision.id, revision.revision, is_live=is_live),
                    )

            try:
                write_all(fill, self._tables.connection, f"flow {revision.id}")
                return
            except Conflict:
                current = self._item(revision.portal_id, revision.id)
                if (current and int(current.revision)) != (was and was.revision):
                    raise
            # Another flow of the same listing was written meanwhile.
            attempt.wait()
        raise Throttled(f"flow {revision.id}: others of the same event types were written all the time")

    def _count(self, transaction: TransactWrite, key: str, was: _Head, now: _Head) -> None:
        model = self._tables.candidates
        transaction.save(
            model(key, HEAD, version=now.version, changes=[list(one) for one in now.changes]),
            condition=model.version == was.version if was.version else model.pk.does_not_exist(),
        )

    def _item(self, portal_id: str, flow_id: str) -> FlowItem | None:
        try:
            return self._tables.flows.get(join("flows", portal_id), join(flow_id), consistent_read=True)
        except self._tables.flows.DoesNotExist:
            return None


def _candidates_key(portal_id: str, object_type_id: str, event_type: str) -> str:
    return join("candidates", portal_id, object_type_id, event_type)


def _listings(flow: Flow) -> set[str]:
    return {_candidates_key(flow.portal_id, flow.object_type_id, one) for one in flow.event_types}


def _place(flow_id: str) -> str:
    return f"flow/{join(flow_id)}"


def _head(item: CandidateItem | None) -> _Head:
    if item is None:
        return _Head()
    return _Head(int(item.version), tuple(_Change(*one) for one in item.changes or ()))


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
