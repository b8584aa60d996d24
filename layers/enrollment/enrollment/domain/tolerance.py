"""Data that comes after its event: many sources send an event a moment before the change that belongs to it.

A flow may tolerate that for some minutes. When only its criteria failed, they are asked again as the record was after
each of its changes within that time, and as it was at its end; the first that holds enrolls. So the decision does not
depend on the order in which the event and the changes arrive.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from enrollment.domain.events import Event
from enrollment.domain.records import Record
from enrollment.domain.values import Instant

MINUTE = 60_000
MAX_TOLERANCE = 30 * MINUTE

# Changes within the tolerance that are looked at, the latest.
MAX_CHANGES = 200


class WaitingEvent(Struct, frozen=True):
    """An event whose decision is put off. ``flows``: until when, for each flow that waits. ``version`` counts the
    stored changes; 0: not stored yet."""

    event: Event
    flows: Mapping[str, Instant]
    version: int = 0

    def with_flows(self, flows: Mapping[str, Instant]) -> "WaitingEvent":
        """The same object when they wait already."""
        return self if flows.items() <= self.flows.items() else replace(self, flows={**self.flows, **flows})

    def without(self, decided: frozenset[str]) -> "WaitingEvent":
        """The same object when none of them waits."""
        left = {flow: until for flow, until in self.flows.items() if flow not in decided}
        return self if len(left) == len(self.flows) else replace(self, flows=left)

    def due(self, now: Instant) -> frozenset[str]:
        """The flows whose final decision is due."""
        return frozenset(flow for flow, until in self.flows.items() if until <= now)


def ends_at(event: Event, tolerance: int, now: Instant) -> Instant:
    """When the final decision is due; ``tolerance`` in milliseconds. It counts from when the event was sent, so that a
    late delivery or a replay does not wait anew. A time of sending in the future is the source's mistake."""
    return min(event.sent_at, now) + tolerance


def later_instants(record: Record, event: Event, tolerance: int, *, is_final: bool) -> Sequence[Instant]:
    """When the criteria are asked again, in order: after each change of the record within the tolerance, and in the
    final decision at its end."""
    end = event.occurred_at + tolerance
    changes = record.changed_between(event.occurred_at, end)[-MAX_CHANGES:]
    return [*changes, *([end] if is_final and end not in changes else [])]
