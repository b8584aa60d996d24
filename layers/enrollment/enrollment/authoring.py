"""Writing flows: what an author asks for, checked as a whole, stored as the next revision."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from enrollment.domain.flows import Flow, FlowRevision, deleted, revised
from enrollment.domain.values import Instant
from enrollment.ports import Conflict, FlowBook

# Bytes of JSON. A DynamoDB item holds 400 KB, and what enrolls is stored once for each of at most 35 event types in one
# transaction of 4 MB.
MAX_DOCUMENT_BYTES = 300_000
MAX_CRITERIA_BYTES = 90_000
ATTEMPTS = 5


class UnknownFlow(LookupError):
    pass


class FlowTooLarge(ValueError):
    pass


@dataclass(frozen=True, slots=True)
class Authoring:
    """``check`` raises what is wrong with a flow (``wire.flows.read_flow``)."""

    book: FlowBook
    check: Callable[[FlowRevision], Flow]

    def put(
        self,
        portal_id: str,
        flow_id: str,
        document: Mapping[str, Any],
        now: Instant,
        *,
        on_since: Instant | None = None,
    ) -> FlowRevision:
        """Stores a flow as it is given. ``on_since``: for a flow that is taken over and has been on since then. Raises
        InvalidFlow, FlowTooLarge, or Conflict when another goes on writing it."""
        for what, part, allowed in (
            ("", document, MAX_DOCUMENT_BYTES),
            ("enrollmentCriteria: ", document.get("enrollmentCriteria"), MAX_CRITERIA_BYTES),
        ):
            size = len(json.dumps(part))
            if size > allowed:
                raise FlowTooLarge(f"flow {flow_id}: {what}found {size:,} bytes of JSON, allowed are {allowed:,}")

        def next_revision(current: FlowRevision | None) -> FlowRevision:
            revision = revised(current, portal_id, flow_id, document, now)
            if on_since is not None and revision.is_enabled:
                revision = replace(revision, enabled_at=on_since)
            self.check(revision)
            return revision

        return self._save(portal_id, flow_id, next_revision)

    def switch(self, portal_id: str, flow_id: str, now: Instant, *, on: bool) -> FlowRevision:
        """Turns a flow on or off. Raises UnknownFlow, InvalidFlow, Conflict."""

        def next_revision(current: FlowRevision | None) -> FlowRevision:
            existing = _existing(current, flow_id)
            revision = revised(existing, portal_id, flow_id, {**existing.document, "isEnabled": on}, now)
            self.check(revision)
            return revision

        return self._save(portal_id, flow_id, next_revision)

    def delete(self, portal_id: str, flow_id: str, now: Instant) -> FlowRevision:
        """Raises UnknownFlow, Conflict."""
        return self._save(portal_id, flow_id, lambda current: deleted(_existing(current, flow_id), now))

    def get(self, portal_id: str, flow_id: str) -> FlowRevision:
        """Raises UnknownFlow."""
        return _existing(self.book.get(portal_id, flow_id), flow_id)

    def list(self, portal_id: str) -> Sequence[FlowRevision]:
        return self.book.list(portal_id)

    def _save(
        self, portal_id: str, flow_id: str, next_revision: Callable[[FlowRevision | None], FlowRevision]
    ) -> FlowRevision:
        for attempt in range(1, ATTEMPTS + 1):
            current = self.book.get(portal_id, flow_id)
            revision = next_revision(current)
            try:
                self.book.save(revision, current)
            except Conflict:
                if attempt == ATTEMPTS:
                    raise
                continue
            return revision
        raise AssertionError("unreachable")


def _existing(current: FlowRevision | None, flow_id: str) -> FlowRevision:
    if current is None or current.is_deleted:
        raise UnknownFlow(f"no flow {flow_id} in this portal")
    return current
