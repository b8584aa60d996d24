"""Writing flows: what an author asks for, checked as a whole, stored as the next revision."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from enrollment.application.ports import ConcurrentModification, FlowRepository, Flows
from enrollment.domain.enrollment.loop_detection import ENROLLED
from enrollment.domain.flows.flow import (
    Flow,
    FlowRevision,
    deleted,
    revised,
    triggers_to_remove,
    without_replaced_triggers,
)
from enrollment.domain.json_text import byte_length, json_text
from enrollment.domain.values import Instant

# Bytes of JSON in UTF-8. A DynamoDB item holds 400 KB.
MAX_DOCUMENT_BYTES = 300_000
ATTEMPTS = 5


class UnknownFlow(LookupError):
    pass


class FlowTooLarge(ValueError):
    pass


class RevisionRequired(ValueError):
    """The flow exists, and the change does not say on which revision it is based."""


class TriggersReplaced(Exception):
    """The change would remove triggers that are not event-based; ``paths`` says which. It must be asked for."""

    def __init__(self, flow_id: str, paths: Sequence[str]) -> None:
        super().__init__(f"flow {flow_id} becomes event-based and loses {', '.join(paths)}")
        self.paths = tuple(paths)


class FlowAuthoring(Struct, frozen=True):
    """``check`` raises what is wrong with a flow (``serialization.flows.read_flow``)."""

    flow_repository: FlowRepository
    flows: Flows
    check: Callable[[FlowRevision], Flow]

    def put(
        self,
        portal_id: str,
        flow_id: str,
        document: Mapping[str, Any],
        now: Instant,
        *,
        based_on: str | None = None,
        replace_triggers: bool = False,
    ) -> FlowRevision:
        """Stores a flow as it is given. ``based_on``: the revision that the author changed; None: there is no such flow
        yet. Raises InvalidFlow, FlowTooLarge, UnknownFlow, RevisionRequired, TriggersReplaced, or Conflict when it was
        changed since."""
        size = byte_length(json_text(document))
        if size > MAX_DOCUMENT_BYTES:
            raise FlowTooLarge(f"flow {flow_id}: found {size:,} bytes of JSON, allowed are {MAX_DOCUMENT_BYTES:,}")

        current = self.flow_repository.get(portal_id, flow_id)
        exists = current is not None and not current.is_deleted
        if exists and based_on is None:
            raise RevisionRequired(f"flow {flow_id} exists: a change names the revisionId that it is based on")
        if not exists and based_on is not None:
            raise UnknownFlow(f"no flow {flow_id} in this portal")
        if current is not None and exists:
            if str(current.revision) != based_on:
                raise ConcurrentModification(
                    f"flow {flow_id} is at revision {current.revision} by now, not at {str(based_on)[:40]}"
                )
            if paths := triggers_to_remove(current.document, document):
                if not replace_triggers:
                    raise TriggersReplaced(flow_id, paths)
                document = without_replaced_triggers(document)
        revision = revised(current, portal_id, flow_id, document, now)
        self.check(revision)
        self.flow_repository.save(revision, current)
        return revision

    def delete(self, portal_id: str, flow_id: str, now: Instant) -> FlowRevision:
        """Whatever its revision is. Raises UnknownFlow, or Conflict when others go on writing it."""
        for _ in range(ATTEMPTS):
            current = _existing(self.flow_repository.get(portal_id, flow_id), flow_id)
            revision = deleted(current, now)
            try:
                self.flow_repository.save(revision, current)
                return revision
            except ConcurrentModification:
                continue
        raise ConcurrentModification(f"flow {flow_id} was written by others {ATTEMPTS} times while it was deleted")

    def get(self, portal_id: str, flow_id: str) -> FlowRevision:
        """Raises UnknownFlow."""
        return _existing(self.flow_repository.get(portal_id, flow_id), flow_id)

    def last(self, portal_id: str, flow_id: str) -> FlowRevision:
        """As ``get``, that of a deleted flow included. Raises UnknownFlow."""
        current = self.flow_repository.get(portal_id, flow_id)
        if current is None:
            raise UnknownFlow(f"no flow {flow_id} in this portal")
        return current

    def get_many(self, portal_id: str, flow_ids: Sequence[str]) -> Mapping[str, FlowRevision]:
        """By id; those that exist."""
        found = self.flow_repository.get_many(portal_id, flow_ids)
        return {flow_id: one for flow_id, one in found.items() if not one.is_deleted}

    def list(self, portal_id: str, limit: int, after: str = "") -> Sequence[FlowRevision]:
        """By id, those whose ids come after ``after``."""
        return self.flow_repository.list(portal_id, limit, after)

    def triggered_by_flows(self, flow: Flow) -> Sequence[Flow]:
        """The flows that can stand with this one in a loop: of its portal and object type, triggered by enrollments in
        flows. None when it is not such a flow itself."""
        if ENROLLED not in flow.event_types:
            return ()
        return self.flows.candidates(flow.portal_id, flow.object_type_id, [ENROLLED])


def _existing(current: FlowRevision | None, flow_id: str) -> FlowRevision:
    if current is None or current.is_deleted:
        raise UnknownFlow(f"no flow {flow_id} in this portal")
    return current
