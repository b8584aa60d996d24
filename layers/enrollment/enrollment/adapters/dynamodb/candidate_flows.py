"""Flows in DynamoDB as candidates of an event; ``flow_repository`` writes them."""

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any, NamedTuple

from msgspec import Struct, field

from enrollment.adapters.backoff import attempts
from enrollment.adapters.dynamodb import schema
from enrollment.adapters.dynamodb.tables import Expression, Item, Key, Table, Tables
from enrollment.application.ports import Throttled
from enrollment.domain.flows.candidate_selection import (
    CandidateList,
    CandidateQuery,
    Candidates,
    candidates,
    deduplicate,
)
from enrollment.domain.flows.flow import Flow, FlowRevision, retired
from enrollment.domain.identifiers import join
from enrollment.domain.json_text import json_text

ReadFlow = Callable[[FlowRevision], Flow]

HEAD = schema.CANDIDATES_VERSION

# Of the last changes the head names the flows, so that a warm function reads only what it does not have; so many, that
# it stays below what one read of DynamoDB takes.
CHANGES_NAMED = 20

# What enrolls; actions and all else of a flow's document is not read at an event.
ENROLLING_KEYS = (
    "name",
    "type",
    "objectTypeId",
    "enrollmentCriteria",
    "suppressionListIds",
    "suppressionFilterBranch",
    "goalFilterBranch",
    "criteriaTolerance",
    "recordTolerance",
    "enrollmentRateLimit",
)

# Revisions in one read, of up to 300 KB each: a bound on memory.
REVISIONS_AT_ONCE = 16

# What of the flows a warm function keeps, as the JSON that it is read from; in memory it is about four times as
# much (docs/measurements.md).
KEPT_BYTES = 48 * 1024 * 1024
# What a listing and a flow count beside their JSON.
LISTING_BYTES = 1024
FLOW_BYTES = 512


class FlowChange(NamedTuple):
    """``version``: of the listing. ``is_live``: the flow was put, or exchanged; else retired."""

    version: int
    flow_id: str
    revision: int
    is_live: bool


class Head(NamedTuple):
    """How often a listing has changed, and its last changes as JSON, the latest last: most often nobody reads them."""

    version: int = 0
    written: str = "[]"

    @property
    def changes(self) -> tuple[FlowChange, ...]:
        """None of them when some are missing, as an earlier version of this code left them out: what is named then may
        be long over."""
        named = tuple(FlowChange(*one) for one in json.loads(self.written))
        is_whole = not named or [one.version for one in named] == list(range(named[0].version, self.version + 1))
        return named if is_whole else ()

    def since(self, version: int) -> Sequence[FlowChange] | None:
        """None: not all of them are named."""
        since = [one for one in self.changes if one.version > version]
        return since if len(since) == self.version - version else None

    def followed_by(self, flow_id: str, revision: int, *, is_live: bool) -> "Head":
        change = FlowChange(self.version + 1, flow_id, revision, is_live)
        return Head(change.version, json.dumps((*self.changes, change)[-CHANGES_NAMED:]))


class _CachedCandidates:
    """A listing in memory. ``size``: the bytes of its JSON, and what all else counts."""

    def __init__(self, event_type: str, version: int, flows: Sequence[tuple[Flow, int]]) -> None:
        self.listing = CandidateList(event_type, [flow for flow, _ in flows])
        self.version = version
        self._sizes = {flow.id: size + FLOW_BYTES for flow, size in flows}
        self.size = LISTING_BYTES + sum(self._sizes.values())

    def put(self, flow: Flow, size: int) -> None:
        self.remove(flow.id)
        self.listing.put(flow)
        self._sizes[flow.id] = size + FLOW_BYTES
        self.size += size + FLOW_BYTES

    def remove(self, flow_id: str) -> None:
        self.listing.remove(flow_id)
        self.size -= self._sizes.pop(flow_id, 0)


# Of the listings that were asked for together, the versions that they had together; or why they can't be read: what one
# event of a batch has waited for, the others need not.
_Known = dict[tuple[str, ...], Mapping[str, int] | Exception]


class _PartialWrite(Exception):
    """A transaction is being written: its head can be seen, but not yet all of its flows."""


class DynamoFlows:
    """Candidates by key. A warm function keeps what it has read, and asks at each event for the head of the listing
    (consistently): what changed since is read, and nothing else. Of several listings, as of the several types that an
    event may satisfy, it sees one moment."""

    def __init__(self, tables: Tables, read_flow: ReadFlow, kept_bytes: int = KEPT_BYTES) -> None:
        self._table = tables.flows
        self._read_flow = read_flow
        self._most_bytes = kept_bytes
        self.kept_bytes = 0
        self._kept: OrderedDict[str, _CachedCandidates] = OrderedDict()
        # The events of a batch are decided at the same time.
        self._lock = Lock()

    def candidates(self, portal_id: str, object_type_id: str, event_types: Sequence[str]) -> Sequence[Flow]:
        return self.of_batch().candidates(portal_id, object_type_id, event_types)

    def relevant(self, portal_id: str, object_type_id: str, question: CandidateQuery) -> Candidates:
        return self.of_batch().relevant(portal_id, object_type_id, question)

    def of_batch(self) -> "BatchFlows":
        return BatchFlows(self)

    def ask(
        self,
        portal_id: str,
        object_type_id: str,
        event_types: Sequence[str],
        known: _Known,
        question: CandidateQuery | None,
    ) -> Candidates:
        """Without a question: all of them."""
        keys = {candidates_key(portal_id, object_type_id, one): one for one in event_types}
        asked = tuple(keys)
        with self._lock:
            found = known.get(asked)
            if isinstance(found, Exception):
                raise found
            if found is None or not self._is_current(found):
                try:
                    self._load_consistent_snapshot(keys)
                except Exception as failure:
                    known[asked] = failure
                    raise
                self._forget_beyond(len(keys))
                known[asked] = {key: self._kept[key].version for key in keys}
            listings = [self._kept[key].listing for key in keys]
            return Candidates(deduplicate(listings)) if question is None else candidates(listings, question)

    def _is_current(self, versions: Mapping[str, int]) -> bool:
        return all(self._has(key, version) for key, version in versions.items())

    def _load_consistent_snapshot(self, keys: Mapping[str, str]) -> None:
        """As they were together since this began: each has the version that its head had."""
        for attempt in attempts():
            heads = read_heads(self._table, [key for key in keys if key in self._kept])
            outdated = [key for key in keys if key not in heads or not self._has(key, heads[key].version)]
            try:
                refreshed = [self._refresh(key, keys[key], heads.get(key)) for key in outdated]
                if not outdated or (len(keys) == 1 and all(refreshed)):
                    return
            except _PartialWrite:
                attempt.wait()
        raise Throttled(f"the flows of {', '.join(keys.values())} were changed all the time")

    def _has(self, key: str, version: int) -> bool:
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
        return kept is not None and kept.version == version

    def _refresh(self, key: str, event_type: str, head: Head | None) -> bool:
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

    def _apply(self, key: str, kept: _CachedCandidates, changes: Sequence[FlowChange]) -> None:
        places = {candidate_place(one.flow_id): one.flow_id for one in changes}
        items = {item["sk"]: item for item in self._table.get_many([(key, place) for place in places])}
        _check_visible(items, changes)
        flows = self._flows_of(items)
        for place, flow_id in places.items():
            if place in flows:
                kept.put(*flows[place])
            else:
                kept.remove(flow_id)

    def _load(self, key: str, event_type: str) -> bool:
        """All of it. The head is on the first page; what is on a further one may be newer."""
        pages = list(self._table.pages(Expression("pk = :key", key=key)))
        items = {item["sk"]: item for page in pages for item in page}
        head = _head(items.pop(HEAD, None))
        _check_visible(items, head.changes)
        kept = _CachedCandidates(event_type, head.version, list(self._flows_of(items).values()))
        if key in self._kept:
            self.kept_bytes -= self._kept[key].size
        self._kept[key] = kept
        self.kept_bytes += kept.size
        return len(pages) <= 1

    def _forget_beyond(self, in_use: int) -> None:
        while self.kept_bytes > self._most_bytes and len(self._kept) > in_use:
            _, forgotten = self._kept.popitem(last=False)
            self.kept_bytes -= forgotten.size

    def _flows_of(self, items: Mapping[str, Item]) -> Mapping[str, tuple[Flow, int]]:
        """Flows with the size of their JSON, by the places of their candidate items. A large document is in the item of
        its revision, which never changes, so that a flow is never put together of two revisions."""
        flows, apart = dict[str, tuple[Flow, int]](), dict[Key, str]()
        for place, item in items.items():
            stored = json.loads(item["flow"])
            if stored["document"] is None:
                apart[revision_key(stored["portalId"], stored["flowId"], stored["revision"])] = place
            else:
                flows[place] = self._flow(stored), len(item["flow"])
        keys = list(apart)
        for start in range(0, len(keys), REVISIONS_AT_ONCE):
            for revision in self._table.get_many(keys[start : start + REVISIONS_AT_ONCE]):
                place = apart.pop((revision["pk"], revision["sk"]))
                part = enrolling_part(json.loads(revision["document"]))
                stored = json.loads(items[place]["flow"]) | {"document": part}
                flows[place] = self._flow(stored), len(items[place]["flow"]) + len(json_text(part))
        if apart:
            raise _PartialWrite
        return flows

    def _flow(self, stored: Mapping[str, Any]) -> Flow:
        revision = _revision(stored)
        return self._read_flow(revision) if revision.is_enabled else retired(revision)


class BatchFlows(Struct, frozen=True):
    """What one of its events has read is as new as each of them may ask for."""

    flows: DynamoFlows
    known: _Known = field(default_factory=dict)

    def candidates(self, portal_id: str, object_type_id: str, event_types: Sequence[str]) -> Sequence[Flow]:
        return self.flows.ask(portal_id, object_type_id, event_types, self.known, None).flows

    def relevant(self, portal_id: str, object_type_id: str, question: CandidateQuery) -> Candidates:
        return self.flows.ask(portal_id, object_type_id, question.event_types, self.known, question)

    def of_batch(self) -> "BatchFlows":
        return self


def read_heads(table: Table, keys: Sequence[str]) -> Mapping[str, Head]:
    """Of each listing, be it empty."""
    if len(keys) == 1:
        return {keys[0]: _head(table.get(keys[0], HEAD))}
    items = {item["pk"]: item for item in table.get_many([(key, HEAD) for key in keys])} if keys else {}
    return {key: _head(items.get(key)) for key in keys}


def _head(item: Item | None) -> Head:
    if item is None:
        return Head()
    return Head(item["version"], item.get("changes", "[]"))


def _check_visible(items: Mapping[str, Item], changes: Sequence[FlowChange]) -> None:
    """``items``: by their places. A flow that was retired is gone after a time; one that was put is there."""
    for change in {one.flow_id: one for one in changes}.values():
        item = items.get(candidate_place(change.flow_id))
        if change.is_live if item is None else json.loads(item["flow"])["revision"] < change.revision:
            raise _PartialWrite


def candidates_key(portal_id: str, object_type_id: str, event_type: str) -> str:
    return join(schema.CANDIDATES, portal_id, object_type_id, event_type)


def candidate_place(flow_id: str) -> str:
    return f"{schema.CANDIDATE_PREFIX}{join(flow_id)}"


def revision_key(portal_id: str, flow_id: str, revision: int) -> Key:
    return join(schema.REVISIONS, portal_id, flow_id), f"{revision:010d}"


def enrolling_part(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: document[key] for key in ENROLLING_KEYS if key in document}


def _revision(flow: Mapping[str, Any]) -> FlowRevision:
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
