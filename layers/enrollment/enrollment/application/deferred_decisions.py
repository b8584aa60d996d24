"""Defer decisions until a change of the record, or the record itself, arrives (docs/decisions/0009-tolerance.md).

Three writes belong together: the deferred event, the time until which the record is awaited (on the record itself), and
the schedule of the final decision. They are made in an order in which a process can stop at any point without losing a
decision.
"""

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from enrollment.application.ports import ConcurrentModification, DeferredEvents, Records, RedeliveryScheduler
from enrollment.domain.enrollment.late_data_tolerance import GRACE_MS, MINUTE, DeferredEvent
from enrollment.domain.events.event import Event
from enrollment.domain.records.record import Record
from enrollment.domain.values import Instant

# A write that another one has overtaken is attempted this often. Each lost attempt means that another made progress.
ATTEMPTS = 12

# One change of a record decides at most this many events again. The others are decided when their tolerance ends.
MAX_REEVALUATED_EVENTS = 25

# Deferred events that are read to find these. The limit is higher because rejected events stay stored for a while.
MAX_DEFERRED_EVENTS_READ = 100

# A final decision is normally made within this time after it is due.
LATENESS_MS = MINUTE


class StaleRecord(Exception):
    """The record changed after its evaluation and before the deferral of the decision was complete.

    ``deferred``: the flows that this delivery of the event has already stored as waiting.
    """

    def __init__(self, deferred: frozenset[str]) -> None:
        super().__init__("the record changed while a decision was deferred; the event must be decided again")
        self.deferred = deferred


class Deferrals(Struct, frozen=True):
    """Stores, finds and ends the deferred decisions of events."""

    events: DeferredEvents
    records: Records
    redeliveries: RedeliveryScheduler

    def keep(self, event: Event, record: Record, waits: Mapping[str, Instant], *, extends: bool = False) -> None:
        """Defer the decision of an event for some flows. ``waits``: until when, by flow ID. ``record``: as it was
        evaluated.

        Stores the deferred event, then the awaited time on the record, then schedules the final decisions. So a change
        of the record is either stored before the awaited time, and makes that write fail, or it finds the event.
        ``extends``: the event is deferred already, so a change finds it. Then it is stored last, and a delivery that
        stops earlier is repeated as a whole.

        Raises StaleRecord if the record has changed since its evaluation; then the event must be decided again.
        """
        deferred = frozenset[str]() if extends else self._save(event, record, waits)
        awaiting = record.with_deferral_until(_awaited_until(max(waits.values()) + GRACE_MS))
        if awaiting is not record:
            try:
                self.records.save(awaiting)
            except ConcurrentModification:
                raise StaleRecord(deferred) from None
        else:
            current = self.records.get(record.key)
            if current is None or current.version != record.version:
                raise StaleRecord(deferred)
        for until in sorted(set(waits.values())):
            self.redeliveries.schedule(event, [flow for flow, end in waits.items() if end == until], until)
        if extends:
            self._save(event, record, waits)

    def of(self, record: Record, now: Instant) -> Sequence[DeferredEvent]:
        """Return at most MAX_REEVALUATED_EVENTS events that a change of the record may decide, ordered by the time at
        which they occurred. Deletes deferred events that are over."""
        if record.awaited_until is None or record.awaited_until < now:
            return ()
        awaiting: list[DeferredEvent] = []
        for deferred in self.events.of(record.key, MAX_DEFERRED_EVENTS_READ):
            if deferred.is_over(now):
                self.forget(deferred.event, frozenset(deferred.rejected))
            elif deferred.awaiting(now):
                awaiting.append(deferred)
        # Events without a final decision take precedence over events that every flow has rejected.
        selected = sorted(awaiting, key=lambda deferred: not deferred.flows)[:MAX_REEVALUATED_EVENTS]
        return sorted(selected, key=lambda deferred: (deferred.event.occurred_at, deferred.event.id))

    def due(self, event: Event, now: Instant) -> frozenset[str]:
        """Return the IDs of the flows whose final decision on the event is due."""
        deferred = self.events.get(event.record_key, event.id) if event.record_key is not None else None
        return frozenset() if deferred is None else deferred.due(now)

    def forget(self, event: Event, decided: frozenset[str]) -> None:
        """Store that these flows do not wait any more. Raises ConcurrentModification if others changed the deferred
        event during every attempt."""
        self._remove_flows(event, decided, {})

    def finish(
        self, event: Event, record: Record | None, decided: frozenset[str], rejected: Collection[str], now: Instant
    ) -> None:
        """Store that these flows have made their final decision. ``record``: as it was evaluated. ``rejected``: the
        flows that a change can still enroll the record in, if it arrives within GRACE_MS.

        The deferred event is stored last, so a delivery that stops earlier is repeated as a whole. Raises
        ConcurrentModification if others changed the record or the deferred event during every attempt.
        """
        if rejected:
            self._await_late_changes(event, record, now)
        self._remove_flows(event, decided, dict.fromkeys(rejected, now + GRACE_MS))

    def _await_late_changes(self, event: Event, record: Record | None, now: Instant) -> None:
        """Store on the record that it is awaited until the end of the grace period."""
        for _ in range(ATTEMPTS):
            if record is None:
                return
            # ``keep`` has stored this time already, unless the final decision is made late.
            awaiting = record.with_deferral_until(_awaited_until(now + GRACE_MS - LATENESS_MS))
            if awaiting is record:
                return
            try:
                self.records.save(awaiting)
                return
            except ConcurrentModification:
                record = self.records.get(record.key)
        raise ConcurrentModification(
            f"record {event.record_key} changed {ATTEMPTS} times while the final decision on event {event.id} was "
            "stored; retrying is safe"
        )

    def _remove_flows(self, event: Event, decided: frozenset[str], rejected: Mapping[str, Instant]) -> None:
        """Remove the flows that are decided. ``rejected``: until when a late change can still enroll, by flow ID."""
        key = event.record_key
        for _ in range(ATTEMPTS):
            stored = self.events.get(key, event.id) if key is not None and decided else None
            remaining = None if stored is None else stored.without(decided, rejected)
            if remaining is None or remaining is stored:
                return
            try:
                self.events.save(remaining)
                return
            except ConcurrentModification:
                continue
        raise _changed_during_every_attempt(event)

    def _save(self, event: Event, record: Record, waits: Mapping[str, Instant]) -> frozenset[str]:
        """Store the deferred event, or add the flows to the stored one. Return the flows that did not wait before."""
        deferred, waiting_before = DeferredEvent(event, waits), frozenset[str]()
        for _ in range(ATTEMPTS):
            try:
                self.events.save(deferred)
                return frozenset(waits.keys() - waiting_before)
            except ConcurrentModification:
                stored = self.events.get(record.key, event.id)
                deferred = DeferredEvent(event, waits) if stored is None else stored.with_flows(waits)
                waiting_before = frozenset() if stored is None else frozenset(stored.flows)
                if deferred is stored:
                    return frozenset()
        raise _changed_during_every_attempt(event)


def _changed_during_every_attempt(event: Event) -> ConcurrentModification:
    return ConcurrentModification(
        f"deferred event {event.id} of record {event.record_key} changed {ATTEMPTS} times while it was stored; "
        "retrying is safe"
    )


def _awaited_until(until: Instant) -> Instant:
    """Round up to a full minute, so that events of the same moment need one write of the record: each write makes the
    evaluations of other events stale."""
    return -(-until // MINUTE) * MINUTE + LATENESS_MS
