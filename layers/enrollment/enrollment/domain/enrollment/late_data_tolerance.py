"""Data that comes after its event: many sources send an event a moment before the change that belongs to it.

Two waits exist. A flow with a criteria tolerance waits for changes of the record: when only its criteria failed, they
are evaluated again as the record was after each of its changes within the tolerance, and at its end; the first result
that holds enrolls. A flow with a record tolerance waits for the record itself, when the event arrives before it. So the
decision does not depend on the order in which the event, the record and its changes arrive.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from enrollment.domain.events.event import Event
from enrollment.domain.records.record import Record
from enrollment.domain.values import Instant

MINUTE = 60_000
MAX_TOLERANCE = 30 * MINUTE

# Milliseconds by which an event may arrive before its record, unless the portal or the flow says otherwise.
RECORD_TOLERANCE = 60_000

# An event or a change that is delivered again after a crash can be late by minutes. An event that is first evaluated
# after the end of its tolerance waits this long, and a change that arrives this long after the final decision counts.
GRACE_MS = 15 * MINUTE

# Changes within the tolerance that are evaluated, the latest.
MAX_CHANGES = 200


class DeferredEvent(Struct, frozen=True):
    """An event whose decision is postponed. ``flows``: until when, for each flow that waits. ``rejected``: the flows
    that rejected the record at the end of their tolerance, with the time until which a change that arrives late can
    still enroll it. ``version`` counts the stored changes; 0: not stored yet."""

    event: Event
    flows: Mapping[str, Instant]
    version: int = 0
    rejected: Mapping[str, Instant] = field(default_factory=dict)

    def with_flows(self, flows: Mapping[str, Instant]) -> "DeferredEvent":
        """The same object when they wait already."""
        if flows.items() <= self.flows.items():
            return self
        rejected = {flow: until for flow, until in self.rejected.items() if flow not in flows}
        return replace(self, flows={**self.flows, **flows}, rejected=rejected)

    def without(self, decided: frozenset[str], rejected: Mapping[str, Instant] | None = None) -> "DeferredEvent":
        """Without flows that are decided; ``rejected`` ones are noted as such. The same object when nothing changes."""
        left = {flow: until for flow, until in self.flows.items() if flow not in decided}
        late = {flow: until for flow, until in self.rejected.items() if flow not in decided} | dict(rejected or {})
        if left == self.flows and late == self.rejected:
            return self
        return replace(self, flows=left, rejected=late)

    def due(self, now: Instant) -> frozenset[str]:
        """The flows whose final decision is due."""
        return frozenset(flow for flow, until in self.flows.items() if until <= now)

    def awaiting(self, now: Instant) -> Mapping[str, Instant]:
        """The flows that a change may enroll now, each with the end of its tolerance. That is past for rejected flows,
        and for flows whose final decision is due: a change can arrive while that decision is taken."""
        return {**self.flows} | {flow: until - GRACE_MS for flow, until in self.rejected.items() if until > now}

    def is_over(self, now: Instant) -> bool:
        """Whether nothing waits for a change, or for a final decision, any more."""
        return not self.flows and all(until <= now for until in self.rejected.values())


def ends_at(event: Event, tolerance: int, now: Instant) -> Instant:
    """When the final decision is due; ``tolerance`` in milliseconds. It counts from when the event was sent; a time of
    sending in the future is the source's mistake."""
    first = now if event.evaluated_at is None else event.evaluated_at
    end = min(event.sent_at, first) + tolerance
    return end if first <= end else first + GRACE_MS


def later_instants(record: Record, event: Event, tolerance: int, *, is_final: bool) -> Sequence[Instant]:
    """When the criteria are evaluated again, in order: after each change of the record within the tolerance that the
    event did not see, and in the final decision at its end."""
    end = event.latest + tolerance
    changes = record.changed_between(record.moment(event), end)[-MAX_CHANGES:]
    return [*changes, *([end] if is_final and end not in changes else [])]
