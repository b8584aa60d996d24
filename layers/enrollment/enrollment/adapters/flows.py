"""Flows in DynamoDB as candidates of an event; ``flow_book`` writes them."""

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from enrollment.adapters.tables import Expression, Tables
from enrollment.domain.flows import Flow, FlowRevision, retired
from enrollment.domain.identifiers import join

ReadFlow = Callable[[FlowRevision], Flow]

# Sorts before every flow.
VERSION = "#version"

# Event types of which the candidates are kept in a warm function; each is one portal's, of one object type.
CACHED = 2_000


@dataclass(frozen=True, slots=True)
class _Listing:
    version: int
    flows: tuple[Flow, ...]


class DynamoFlows:
    """Candidates by key, kept in memory and validated by one consistent read of their version on every event."""

    def __init__(self, tables: Tables, read_flow: ReadFlow) -> None:
        self._table = tables.flows
        self._read_flow = read_flow
        self._cache: OrderedDict[str, _Listing] = OrderedDict()

    def candidates(self, portal_id: str, object_type_id: str, event_types: Sequence[str]) -> Sequence[Flow]:
        keys = [candidates_key(portal_id, object_type_id, one) for one in event_types]
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
            item = self._table.get(keys[0], VERSION)
            return {keys[0]: 0 if item is None else item["version"]}
        items = self._table.get_many([(key, VERSION) for key in keys])
        return dict.fromkeys(keys, 0) | {item["pk"]: item["version"] for item in items}

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
            pages = list(self._table.pages(Expression("pk = :key", key=key)))
            items = [item for page in pages for item in page]
            version = next((item["version"] for item in items if item["sk"] == VERSION), 0)
            if len(pages) <= 1 or self._versions([key])[key] == version:
                flows = (self._flow(_revision(json.loads(item["flow"]))) for item in items if item["sk"] != VERSION)
                return _Listing(version, tuple(flows))

    def _flow(self, revision: FlowRevision) -> Flow:
        return self._read_flow(revision) if revision.is_enabled else retired(revision)


def candidates_key(portal_id: str, object_type_id: str, event_type: str) -> str:
    return join("candidates", portal_id, object_type_id, event_type)


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
