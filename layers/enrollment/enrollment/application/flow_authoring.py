"""Create, change, delete and read flows on behalf of their authors. Every write is checked as a whole and stored as the
next revision."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from enrollment.application.ports import ConcurrentModification, FlowRepository, Flows
from enrollment.domain.criteria.transitions import meaning
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

# JSON in UTF-8. A DynamoDB item can have 400 KB, and other attributes are stored beside the document.
MAX_DOCUMENT_BYTES = 300_000

# A deletion that a concurrent write has overtaken is attempted this often.
ATTEMPTS = 5


class UnknownFlow(LookupError):
    """The flow does not exist, or was deleted."""


class UnknownRevision(LookupError):
    """The flow has no revision of this number."""


class RevisionNotCurrent(ConcurrentModification):
    """The flow has changed since the revision that the change is based on. ``current``: its current revision."""

    def __init__(self, current: FlowRevision, based_on: str) -> None:
        super().__init__(
            f"flow {current.id}: expected the current revisionId {current.revision}, found {based_on[:40]}; get the "
            "flow and apply the change to its current revision"
        )
        self.current = current


class FlowTooLarge(ValueError):
    """The flow exceeds MAX_DOCUMENT_BYTES."""


class RevisionRequired(ValueError):
    """The flow exists, and the change does not name the revision that it is based on."""


class TriggersReplaced(Exception):
    """The change would remove filter-based or scheduled triggers, and the author has not confirmed this. ``paths``:
    the JSON paths of these triggers."""

    def __init__(self, flow_id: str, paths: Sequence[str]) -> None:
        super().__init__(f"flow {flow_id} would become event-based and lose {', '.join(paths)}")
        self.paths = tuple(paths)


class FlowAuthoring(Struct, frozen=True):
    """The use cases of flow authors. ``check`` raises InvalidFlow with every fault of a flow
    (``serialization.flows.read_new_flow``)."""

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
        changed_by: str | None = None,
    ) -> FlowRevision:
        """Create or replace a flow. Return its new revision.

        ``based_on``: the revision ID that the author has changed; None: the flow is new. ``replace_triggers``: the
        author confirms that filter-based and scheduled triggers are removed. ``changed_by``: the name of the author.
        Raises InvalidFlow, FlowTooLarge, UnknownFlow, RevisionRequired, TriggersReplaced, RevisionNotCurrent if
        ``based_on`` is not the current revision, and ConcurrentModification if two requests create or delete the flow
        at the same time.
        """
        size = byte_length(json_text(document))
        if size > MAX_DOCUMENT_BYTES:
            raise FlowTooLarge(
                f"flow {flow_id}: expected at most {MAX_DOCUMENT_BYTES:,} bytes of JSON, found {size:,}; split the flow"
            )

        current = self.flow_repository.get(portal_id, flow_id)
        exists = current is not None and not current.is_deleted
        if exists and based_on is None:
            raise RevisionRequired(
                f"flow {flow_id} exists: expected the revisionId that the change is based on, found none; get the flow "
                "and send its revisionId with the change"
            )
        if not exists and based_on is not None:
            raise UnknownFlow(f"no flow {flow_id} in this portal")
        if current is not None and exists:
            if str(current.revision) != based_on:
                raise RevisionNotCurrent(current, str(based_on))
            if paths := triggers_to_remove(current.document, document):
                if not replace_triggers:
                    raise TriggersReplaced(flow_id, paths)
                document = without_replaced_triggers(document)
        revision = revised(current, portal_id, flow_id, document, now, changed_by)
        revision = replace(revision, criteria_since=self._criteria_since(current, self.check(revision), now))
        try:
            self.flow_repository.save(revision, current)
        except ConcurrentModification as error:
            raise self._conflict(portal_id, flow_id, based_on, error) from error
        return revision

    def stored_by(
        self,
        portal_id: str,
        flow_id: str,
        document: Mapping[str, Any],
        *,
        based_on: str | None,
        changed_by: str | None,
    ) -> FlowRevision | None:
        """Return the current revision of a flow if the same change has made it, so that the change is a repeated one.
        None: the change was not made, or the flow has changed since. The arguments are those of ``put``."""
        current = self.flow_repository.get(portal_id, flow_id)
        if current is None or current.is_deleted or current.changed_by != changed_by:
            return None
        number = current.revision - 1
        previous = self.flow_repository.revision(portal_id, flow_id, number) if number else None
        existed = previous is not None and not previous.is_deleted
        if based_on != (str(number) if existed else None):
            return None
        made = revised(previous, portal_id, flow_id, document, current.changed_at, changed_by)
        return current if made.document == current.document else None

    def _conflict(
        self, portal_id: str, flow_id: str, based_on: str | None, error: ConcurrentModification
    ) -> ConcurrentModification:
        """Return the error of a change that another change overtook while it was stored, with the revision of that
        change."""
        current = self.flow_repository.get(portal_id, flow_id)
        if based_on is None or current is None or current.is_deleted or str(current.revision) == based_on:
            return error
        return RevisionNotCurrent(current, based_on)

    def _criteria_since(self, current: FlowRevision | None, flow: Flow, now: Instant) -> Instant | None:
        """Return since when the criteria of a filter-based flow are in force. None for other flows. Another notation of
        the same criteria is no change."""
        if flow.entry is None:
            return None
        try:
            before = None if current is None or current.is_deleted else self.check(current).entry
        except ValueError:  # InvalidFlow: an earlier version accepted the revision
            before = None
        if before is None or current is None or meaning(before.criteria) != meaning(flow.entry.criteria):
            return now
        return current.criteria_since

    def delete(self, portal_id: str, flow_id: str, now: Instant, changed_by: str | None = None) -> FlowRevision:
        """Delete a flow, whichever revision is current. Raises UnknownFlow, and ConcurrentModification if others wrote
        it during every attempt."""
        for _ in range(ATTEMPTS):
            current = require_existing(self.flow_repository.get(portal_id, flow_id), flow_id)
            revision = deleted(current, now, changed_by)
            try:
                self.flow_repository.save(revision, current)
                return revision
            except ConcurrentModification:
                continue
        raise ConcurrentModification(f"flow {flow_id} changed {ATTEMPTS} times while it was deleted; retrying is safe")

    def get(self, portal_id: str, flow_id: str) -> FlowRevision:
        """Return the current revision of a flow. Raises UnknownFlow."""
        return require_existing(self.flow_repository.get(portal_id, flow_id), flow_id)

    def last(self, portal_id: str, flow_id: str) -> FlowRevision:
        """Return the last revision of a flow, which may be a deletion. Raises UnknownFlow if it never existed."""
        current = self.flow_repository.get(portal_id, flow_id)
        if current is None:
            raise UnknownFlow(f"no flow {flow_id} in this portal")
        return current

    def get_many(self, portal_id: str, flow_ids: Sequence[str]) -> Mapping[str, FlowRevision]:
        """Return the current revisions of the flows that exist, by flow ID."""
        revisions = self.flow_repository.get_many(portal_id, flow_ids)
        return {flow_id: revision for flow_id, revision in revisions.items() if not revision.is_deleted}

    def list(self, portal_id: str, limit: int, after: str = "") -> Sequence[FlowRevision]:
        """Return the current revisions of at most ``limit`` flows, ordered by ID. ``after``: only flows whose ID
        follows this one."""
        return self.flow_repository.list(portal_id, limit, after)

    def outdated(self, portal_id: str, limit: int, after: str = "") -> tuple[Sequence[FlowRevision], str | None]:
        """Return the flows that an earlier version listed otherwise than this one, of at most ``limit`` flows, and the
        ID after which the search continues. None: it is complete."""
        return self.flow_repository.outdated(portal_id, limit, after)

    def relist(self, portal_id: str, limit: int, after: str = "") -> tuple[Sequence[FlowRevision], str | None]:
        """List outdated flows again, so that every event finds them. Return them as ``outdated`` does. A flow keeps its
        revision, and the time since which its criteria are in force."""
        revisions, following = self.outdated(portal_id, limit, after)
        for revision in revisions:
            # If its author saves the flow at the same time, that lists it.
            with suppress(ConcurrentModification):
                self.flow_repository.save(revision, revision)
        return revisions, following

    def revisions(self, portal_id: str, flow_id: str, limit: int, before: int | None = None) -> Sequence[FlowRevision]:
        """Return at most ``limit`` revisions of a flow, newest first, deletions included. ``before``: only those with
        lower numbers. Raises UnknownFlow if the flow never existed."""
        revisions = self.flow_repository.revisions(portal_id, flow_id, limit, before)
        if not revisions and before is None:
            raise UnknownFlow(f"no flow {flow_id} in this portal")
        return revisions

    def revision(self, portal_id: str, flow_id: str, number: int) -> FlowRevision:
        """Return a revision of a flow, which may be a deletion. Raises UnknownRevision."""
        revision = self.flow_repository.revision(portal_id, flow_id, number)
        if revision is None:
            raise UnknownRevision(f"no revision {number} of flow {flow_id} in this portal")
        return revision

    def of_request(self) -> "FlowAuthoring":
        """Return the same use cases for one request, which reads each list of candidates at most once."""
        return replace(self, flows=self.flows.of_batch())

    def triggered_by_flows(self, flow: Flow) -> Sequence[Flow]:
        """Return the flows that can form a loop with this one: flows of the same portal and object type that
        enrollments trigger. Empty if enrollments do not trigger this flow."""
        if ENROLLED not in flow.event_types:
            return ()
        return self.flows.candidates(flow.portal_id, flow.object_type_id, [ENROLLED])


def require_existing(current: FlowRevision | None, flow_id: str) -> FlowRevision:
    """Return the revision. Raises UnknownFlow if the flow never existed or was deleted."""
    if current is None or current.is_deleted:
        raise UnknownFlow(f"no flow {flow_id} in this portal")
    return current
