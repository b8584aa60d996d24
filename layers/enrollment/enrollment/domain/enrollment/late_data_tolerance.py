"""Tolerance for data that arrives after its event. Many sources send an event shortly before the related change.

A flow with a criteria tolerance waits for changes of the record. If only the criteria reject the record, they are
evaluated again after each of its changes within the tolerance, and at the end of it. The first evaluation that passes
enrolls the record. A flow with a record tolerance waits for the record itself, if the event arrives before it.

So a decision does not depend on the order in which the event, the record and its changes arrive.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from enrollment.domain.events.event import Event
from enrollment.domain.records.record import Record
from enrollment.domain.values import Instant

MINUTE = 60_000
"""Milliseconds."""

MAX_TOLERANCE = 30 * MINUTE
"""The longest tolerance that a flow or a portal may set."""

# Milliseconds by which an event may arrive before its record, unless the portal or the flow sets another value.
RECORD_TOLERANCE = 60_000

# A redelivery after a crash can be late by minutes. So an event that is first evaluated after its tolerance still waits
# this long, and a change that arrives up to this long after the final decision still counts.
GRACE_MS = 15 * MINUTE

# Number of changes within the tolerance after which criteria are evaluated again; the latest ones. Bounds the work.
MAX_CHANGES = 200


class DeferredEvent(Struct, frozen=True):
    """An event whose decision is deferred.

    ``flows``: the end of the tolerance by flow ID, for the flows that wait. ``rejected``: the flows that rejected the
    record finally; by flow ID, until when a change that arrives late can still enroll it. ``version``: the number of
    stored changes, for optimistic locking; 0: not stored yet.
    """

    event: Event
    flows: Mapping[str, Instant]
    version: int = 0
    rejected: Mapping[str, Instant] = field(default_factory=dict)

    def with_flows(self, flows: Mapping[str, Instant]) -> "DeferredEvent":
        """Return the event with more waiting flows. The same object if all of them wait already."""
        if flows.items() <= self.flows.items():
            return self
        rejected = {flow_id: until for flow_id, until in self.rejected.items() if flow_id not in flows}
        return replace(self, flows={**self.flows, **flows}, rejected=rejected)

    def without(self, decided: frozenset[str], rejected: Mapping[str, Instant] | None = None) -> "DeferredEvent":
        """Return the event without the flows ``decided``. The same object if nothing changes.

        ``rejected``: the flows of these that rejected the record, as in the field.
        """
        left = {flow_id: until for flow_id, until in self.flows.items() if flow_id not in decided}
        late = {flow_id: until for flow_id, until in self.rejected.items() if flow_id not in decided}
        late |= rejected or {}
        if left == self.flows and late == self.rejected:
            return self
        return replace(self, flows=left, rejected=late)

    def due(self, now: Instant) -> frozenset[str]:
        """Return the IDs of the flows whose final decision is due."""
        return frozenset(flow_id for flow_id, until in self.flows.items() if until <= now)

    def awaiting(self, now: Instant) -> Mapping[str, Instant]:
        """Return the end of the tolerance by flow ID, for the flows in which a change can enroll the record now.

        The end is past for rejected flows. It is past for flows whose final decision is due too: a change can arrive
        while that decision is made.
        """
        return {**self.flows} | {flow_id: until - GRACE_MS for flow_id, until in self.rejected.items() if until > now}

    def is_over(self, now: Instant) -> bool:
        """Whether no flow waits for a change or for a final decision, so that the event can be deleted."""
        return not self.flows and all(until <= now for until in self.rejected.values())


def ends_at(event: Event, tolerance: int, now: Instant) -> Instant:
    """Return when the final decision on the event is due. ``tolerance`` is in milliseconds.

    The tolerance begins when the event was sent, or when it was first evaluated if that is earlier, because a time of
    sending in the future is wrong. If the tolerance is over at the first evaluation, GRACE_MS applies.
    """
    first = now if event.evaluated_at is None else event.evaluated_at
    end = min(event.sent_at, first) + tolerance
    return end if first <= end else first + GRACE_MS


def later_instants(record: Record, event: Event, tolerance: int, *, is_final: bool) -> Sequence[Instant]:
    """Return the instants at which the criteria are evaluated again, ascending.

    These are the changes of the record within the tolerance (milliseconds) that the event did not see, and in the final
    decision the end of the tolerance.
    """
    end = event.latest + tolerance
    changes = record.changed_between(record.moment(event), end)[-MAX_CHANGES:]
    return [*changes, *([end] if is_final and end not in changes else [])]
