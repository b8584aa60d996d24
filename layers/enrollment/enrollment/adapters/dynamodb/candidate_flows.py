"""Read the flows in DynamoDB that an event may enroll in: its candidates. ``flow_repository`` writes them.

The candidates of an event type have a version item, called the head. It counts the changes to this list of candidates
and names the latest ones.
"""

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
from enrollment.domain.identifiers import join, split
from enrollment.domain.json_text import json_text

ReadFlow = Callable[[FlowRevision], Flow]

HEAD = schema.CANDIDATES_VERSION

# The head names the flows of this number of latest changes, so that a warm function reads only those. The number keeps
# the head below the 4 KB of one read unit.
CHANGES_NAMED = 20

# The keys of a flow's document that decide enrollments. Actions and other keys are not read when an event is handled.
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

# Revisions in one read, which bounds memory: each has up to 300 KB.
REVISIONS_AT_ONCE = 16

# The size of the cache of a warm function, measured as JSON. In memory, the flows take about four times this size
# (docs/measurements.md).
KEPT_BYTES = 48 * 1024 * 1024
# What a list and a flow count in addition to their JSON.
LISTING_BYTES = 1024
FLOW_BYTES = 512


class FlowChange(NamedTuple):
    """A change to a list of candidates. ``version``: the version of the list after the change. ``is_live``: the flow
    was added or replaced. Otherwise it was retired."""

    version: int
    flow_id: str
    revision: int
    is_live: bool


class Head(NamedTuple):
    """The version of a list of candidates, which is the number of its changes, and the latest changes as JSON in order.
    The JSON is parsed only if it is needed, which is rare."""

    version: int = 0
    written: str = "[]"

    @property
    def changes(self) -> tuple[FlowChange, ...]:
        """The latest changes. Empty if there are gaps: an earlier version of this code did not name every change, and
        the changes before a gap can be outdated."""
        changes = tuple(FlowChange(*change) for change in json.loads(self.written))
        versions = [change.version for change in changes]
        is_complete = not changes or versions == list(range(versions[0], self.version + 1))
        return changes if is_complete else ()

    def since(self, version: int) -> Sequence[FlowChange] | None:
        """Return the changes after a version, or None if the head does not name all of them."""
        since = [change for change in self.changes if change.version > version]
        return since if len(since) == self.version - version else None

    def followed_by(self, flow_id: str, revision: int, *, is_live: bool) -> "Head":
        """Return the head after one more change."""
        change = FlowChange(self.version + 1, flow_id, revision, is_live)
        return Head(change.version, json.dumps((*self.changes, change)[-CHANGES_NAMED:]))


class _CachedCandidates:
    """A list of candidates in memory. ``size``: the bytes of its JSON, and LISTING_BYTES and FLOW_BYTES in addition."""

    def __init__(self, key: str, event_type: str, version: int, flows: Sequence[tuple[Flow, int]]) -> None:
        _, _, object_type_id, _ = split(key)
        self.listing = CandidateList(event_type, [flow for flow, _ in flows], object_type_id)
        self.version = version
        self._sizes = {flow.id: size + FLOW_BYTES for flow, size in flows}
        self.size = LISTING_BYTES + sum(self._sizes.values())

    def put(self, flow: Flow, size: int) -> None:
        """Add or replace a flow. ``size``: the bytes of its JSON."""
        self.remove(flow.id)
        self.listing.put(flow)
        self._sizes[flow.id] = size + FLOW_BYTES
        self.size += size + FLOW_BYTES

    def remove(self, flow_id: str) -> None:
        self.listing.remove(flow_id)
        self.size -= self._sizes.pop(flow_id, 0)


# For the keys of lists that were read together: their versions in one consistent snapshot, or the exception of the
# read. The other events of a batch then raise it too, instead of waiting for another read that fails.
_Known = dict[tuple[str, ...], Mapping[str, int] | Exception]


class _PartialWrite(Exception):
    """A read saw the head of a transaction that is being written, but not yet all of its flows."""


class DynamoFlows:
    """A cache of candidates. At each event, a warm function reads the head of the list (strongly consistent), and then
    only the flows that changed since. An event that satisfies several event types reads a consistent snapshot of their
    lists.

    ``read_flow`` must accept every stored revision. ``kept_bytes``: the limit of the cache; the attribute is its
    current size."""

    def __init__(self, tables: Tables, read_flow: ReadFlow, kept_bytes: int = KEPT_BYTES) -> None:
        self._table = tables.flows
        self._read_flow = read_flow
        self._max_bytes = kept_bytes
        self.kept_bytes = 0
        self._cache: OrderedDict[str, _CachedCandidates] = OrderedDict()
        # The threads of a batch share the cache.
        self._lock = Lock()

    def candidates(self, portal_id: str, object_type_id: str, event_types: Sequence[str]) -> Sequence[Flow]:
        """Return all candidates as they are now. Raises Throttled."""
        return self.of_batch().candidates(portal_id, object_type_id, event_types)

    def relevant(self, portal_id: str, object_type_id: str, question: CandidateQuery) -> Candidates:
        """Return the candidates that the query selects, as they are now. Raises Throttled."""
        return self.of_batch().relevant(portal_id, object_type_id, question)

    def of_batch(self) -> "BatchFlows":
        """Return a reader for one batch, which reads each list of candidates at most once."""
        return BatchFlows(self)

    def ask(
        self,
        portal_id: str,
        object_type_id: str,
        event_types: Sequence[str],
        known: _Known,
        question: CandidateQuery | None,
    ) -> Candidates:
        """Return the candidates that the query selects, or all without a query. ``known``: the results of the batch so
        far, which this call extends. Raises Throttled."""
        event_type_of = {
            candidates_key(portal_id, object_type_id, event_type): event_type for event_type in event_types
        }
        keys = tuple(event_type_of)
        with self._lock:
            versions = known.get(keys)
            if isinstance(versions, Exception):
                raise versions
            if versions is None or not self._is_current(versions):
                try:
                    self._load_consistent_snapshot(event_type_of)
                except Exception as failure:
                    known[keys] = failure
                    raise
                self._evict(in_use=len(keys))
                known[keys] = {key: self._cache[key].version for key in keys}
            listings = [self._cache[key].listing for key in keys]
            return Candidates(deduplicate(listings)) if question is None else candidates(listings, question)

    def _is_current(self, versions: Mapping[str, int]) -> bool:
        return all(self._has(key, version) for key, version in versions.items())

    def _load_consistent_snapshot(self, event_type_of: Mapping[str, str]) -> None:
        """Read until every list has the version of a head that was read in the same attempt, so that all lists had
        these versions at one time. Raises Throttled."""
        for attempt in attempts():
            heads = read_heads(self._table, [key for key in event_type_of if key in self._cache])
            outdated = [key for key in event_type_of if key not in heads or not self._has(key, heads[key].version)]
            try:
                is_consistent = [self._refresh(key, event_type_of[key], heads.get(key)) for key in outdated]
                if not outdated or (len(event_type_of) == 1 and all(is_consistent)):
                    return
            except _PartialWrite:
                attempt.wait()
        event_types = ", ".join(event_type_of.values())
        raise Throttled(f"the flows of {event_types} changed during every attempt to read them; retrying is safe")

    def _has(self, key: str, version: int) -> bool:
        cached = self._cache.get(key)
        if cached is not None:
            self._cache.move_to_end(key)
        return cached is not None and cached.version == version

    def _refresh(self, key: str, event_type: str, head: Head | None) -> bool:
        """Return whether all of the list was read at one version."""
        cached = self._cache.get(key)
        changes = None if cached is None or head is None else head.since(cached.version)
        if cached is None or head is None or changes is None:
            return self._load(key, event_type)
        self.kept_bytes -= cached.size
        try:
            self._apply(key, cached, changes)
            cached.version = head.version
        finally:
            self.kept_bytes += cached.size
        return True

    def _apply(self, key: str, cached: _CachedCandidates, changes: Sequence[FlowChange]) -> None:
        flow_ids = {candidate_place(change.flow_id): change.flow_id for change in changes}
        items = {item["sk"]: item for item in self._table.get_many([(key, sort_key) for sort_key in flow_ids])}
        _check_visible(items, changes)
        flows = self._flows_of(items)
        for sort_key, flow_id in flow_ids.items():
            if sort_key in flows:
                cached.put(*flows[sort_key])
            else:
                cached.remove(flow_id)

    def _load(self, key: str, event_type: str) -> bool:
        """Read the whole list, and return whether it was read at one version. The head is on the first page, and later
        pages can be newer."""
        pages = list(self._table.pages(Expression("pk = :key", key=key)))
        items = {item["sk"]: item for page in pages for item in page}
        head = _head(items.pop(HEAD, None))
        _check_visible(items, head.changes)
        loaded = _CachedCandidates(key, event_type, head.version, list(self._flows_of(items).values()))
        if key in self._cache:
            self.kept_bytes -= self._cache[key].size
        self._cache[key] = loaded
        self.kept_bytes += loaded.size
        return len(pages) <= 1

    def _evict(self, in_use: int) -> None:
        """Remove the least recently used lists, but not the last ``in_use``, until the cache is within its limit."""
        while self.kept_bytes > self._max_bytes and len(self._cache) > in_use:
            _, evicted = self._cache.popitem(last=False)
            self.kept_bytes -= evicted.size

    def _flows_of(self, items: Mapping[str, Item]) -> Mapping[str, tuple[Flow, int]]:
        """Return the flows of candidate items with the size of their JSON, by sort key. A large document is in the item
        of its revision. That item never changes, so a flow cannot be a mixture of two revisions."""
        flows, large = dict[str, tuple[Flow, int]](), dict[Key, str]()
        for sort_key, item in items.items():
            stored = json.loads(item["flow"])
            if stored["document"] is None:
                large[revision_key(stored["portalId"], stored["flowId"], stored["revision"])] = sort_key
            else:
                flows[sort_key] = self._flow(stored), len(item["flow"])
        keys = list(large)
        for start in range(0, len(keys), REVISIONS_AT_ONCE):
            for revision in self._table.get_many(keys[start : start + REVISIONS_AT_ONCE]):
                sort_key = large.pop((revision["pk"], revision["sk"]))
                part = enrolling_part(json.loads(revision["document"]))
                stored = json.loads(items[sort_key]["flow"]) | {"document": part}
                flows[sort_key] = self._flow(stored), len(items[sort_key]["flow"]) + len(json_text(part))
        if large:
            raise _PartialWrite
        return flows

    def _flow(self, stored: Mapping[str, Any]) -> Flow:
        revision = _revision(stored)
        return self._read_flow(revision) if revision.is_enabled else retired(revision)


class BatchFlows(Struct, frozen=True):
    """The flows for one batch. A list that one event has read is recent enough for all events of the batch."""

    flows: DynamoFlows
    known: _Known = field(default_factory=dict)

    def candidates(self, portal_id: str, object_type_id: str, event_types: Sequence[str]) -> Sequence[Flow]:
        """Return all candidates, as the first event of the batch read them. Raises Throttled."""
        return self.flows.ask(portal_id, object_type_id, event_types, self.known, None).flows

    def relevant(self, portal_id: str, object_type_id: str, question: CandidateQuery) -> Candidates:
        """Return the candidates that the query selects, as the first event of the batch read them. Raises Throttled."""
        return self.flows.ask(portal_id, object_type_id, question.event_types, self.known, question)

    def of_batch(self) -> "BatchFlows":
        """Return this reader, because a batch has no batches of its own."""
        return self


def read_heads(table: Table, keys: Sequence[str]) -> Mapping[str, Head]:
    """Return the head of each list by key. An empty list has the version 0. Raises Throttled."""
    if len(keys) == 1:
        return {keys[0]: _head(table.get(keys[0], HEAD))}
    items = {item["pk"]: item for item in table.get_many([(key, HEAD) for key in keys])} if keys else {}
    return {key: _head(items.get(key)) for key in keys}


def _head(item: Item | None) -> Head:
    if item is None:
        return Head()
    return Head(item["version"], item.get("changes", "[]"))


def _check_visible(items: Mapping[str, Item], changes: Sequence[FlowChange]) -> None:
    """Raise _PartialWrite if an item is older than the latest change of its flow. ``items``: by sort key. The item of a
    retired flow may be missing, because it expires."""
    for change in {change.flow_id: change for change in changes}.values():
        item = items.get(candidate_place(change.flow_id))
        if change.is_live if item is None else json.loads(item["flow"])["revision"] < change.revision:
            raise _PartialWrite


def candidates_key(portal_id: str, object_type_id: str, event_type: str) -> str:
    """Return the partition key of a list of candidates."""
    return join(schema.CANDIDATES, portal_id, object_type_id, event_type)


def candidate_place(flow_id: str) -> str:
    """Return the sort key of a candidate."""
    return f"{schema.CANDIDATE_PREFIX}{join(flow_id)}"


def revision_key(portal_id: str, flow_id: str, revision: int) -> Key:
    """Return the key of a revision. The number has ten digits, so that revisions sort by it."""
    return join(schema.REVISIONS, portal_id, flow_id), f"{revision:010d}"


def enrolling_part(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a flow's document that decide enrollments."""
    return {key: document[key] for key in ENROLLING_KEYS if key in document}


def _revision(flow: Mapping[str, Any]) -> FlowRevision:
    return FlowRevision(
        portal_id=flow["portalId"],
        id=flow["flowId"],
        revision=flow["revision"],
        document=flow["document"],
        is_enabled=flow["isEnabled"],
        enabled_at=flow["enabledAt"],
        criteria_since=flow.get("criteriaSince"),
        created_at=flow["createdAt"],
        changed_at=flow["changedAt"],
    )
