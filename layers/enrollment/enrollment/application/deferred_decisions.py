"""Events that wait for a change or for the creation of their record (docs/decisions/0009-tolerance.md)."""

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from enrollment.application.ports import ConcurrentModification, DeferredEvents, Records, RedeliveryScheduler
from enrollment.domain.enrollment.late_data_tolerance import GRACE_MS, MINUTE, DeferredEvent
from enrollment.domain.events.event import Event
from enrollment.domain.records.record import Record
from enrollment.domain.values import Instant

# Attempts of a change that others are making at the same time; each lost one means that another made progress.
ATTEMPTS = 12

# Events that one change of their record has decided again; others are decided when their time ends.
MAX_REEVALUATED_EVENTS = 25

# Waiting events that are read to find these: rejected ones stay for a while.
MAX_DEFERRED_EVENTS_READ = 100


# A final decision is normally taken within this time after it is due.
LATENESS_MS = MINUTE


class StaleRecord(Exception):
    """The record changed between its evaluation and the note that an event waits for its changes."""


class Deferrals(Struct, frozen=True):
    events: DeferredEvents
    records: Records
    redeliveries: RedeliveryScheduler

    def keep(self, event: Event, record: Record, waits: Mapping[str, Instant], *, extends: bool = False) -> None:
        """``waits``: until when, for each flow. Writes the waiting event, notes it on the record that was evaluated,
        and schedules the final decision. Raises Outdated when the record has changed since: then the event is to be
        decided again.

        In this order, a change of the record either comes before the note and makes it fail, or comes after it and
        finds the event waiting. ``extends``: the event waits already, and a change of the record finds it. Then the
        new end is written last. A delivery that stops before that is repeated, and does all of it again."""
        if not extends:
            self._save(event, record, waits)
        noted = record.with_deferral_until(_awaited_until(max(waits.values()) + GRACE_MS))
        if noted is not record:
            try:
                self.records.save(noted)
            except ConcurrentModification:
                raise StaleRecord from None
        else:
            current = self.records.get(record.key)
            if current is None or current.version != record.version:
                raise StaleRecord
        for until in sorted(set(waits.values())):
            self.redeliveries.schedule(event, [flow for flow, end in waits.items() if end == until], until)
        if extends:
            self._save(event, record, waits)

    def of(self, record: Record, now: Instant) -> Sequence[DeferredEvent]:
        """Those that a change of the record may decide, in the order in which they occurred. Removes those whose time
        is over."""
        if record.awaited_until is None or record.awaited_until < now:
            return ()
        found: list[DeferredEvent] = []
        for waiting in self.events.of(record.key, MAX_DEFERRED_EVENTS_READ):
            if waiting.is_over(now):
                self.forget(waiting.event, frozenset(waiting.rejected))
            elif waiting.awaiting(now):
                found.append(waiting)
        # Those that were rejected come last: what still waits has no final decision yet.
        found = sorted(found, key=lambda waiting: not waiting.flows)[:MAX_REEVALUATED_EVENTS]
        return sorted(found, key=lambda one: (one.event.occurred_at, one.event.id))

    def due(self, event: Event, now: Instant) -> frozenset[str]:
        """The flows of a waiting event whose final decision is due."""
        found = self.events.get(event.record_key, event.id) if event.record_key is not None else None
        return frozenset() if found is None else found.due(now)

    def forget(self, event: Event, decided: frozenset[str]) -> None:
        """These flows do not wait any more."""
        self._change(event, decided, {})

    def finish(
        self, event: Event, record: Record | None, decided: frozenset[str], rejected: Collection[str], now: Instant
    ) -> None:
        """These flows were decided finally. A change that arrives a little later can still enroll the record in those
        that rejected it. ``record``: as it was decided. The waiting event is written last: a delivery that stops before
        is repeated, and does all of it again."""
        if rejected:
            self._note_late_changes(event, record, now)
        self._change(event, decided, dict.fromkeys(rejected, now + GRACE_MS))

    def _note_late_changes(self, event: Event, record: Record | None, now: Instant) -> None:
        for _ in range(ATTEMPTS):
            if record is None:
                return
            # Already noted until then, unless the decision was taken late.
            noted = record.with_deferral_until(_awaited_until(now + GRACE_MS - LATENESS_MS))
            if noted is record:
                return
            try:
                self.records.save(noted)
                return
            except ConcurrentModification:
                record = self.records.get(record.key)
        raise ConcurrentModification(f"record of event {event.id} was changed by others {ATTEMPTS} times")

    def _change(self, event: Event, decided: frozenset[str], rejected: Mapping[str, Instant]) -> None:
        key = event.record_key
        for _ in range(ATTEMPTS):
            found = self.events.get(key, event.id) if key is not None and decided else None
            left = None if found is None else found.without(decided, rejected)
            if left is None or left is found:
                return
            try:
                self.events.save(left)
                return
            except ConcurrentModification:
                continue
        raise ConcurrentModification(f"the waiting event {event.id} was changed by others {ATTEMPTS} times")

    def _save(self, event: Event, record: Record, waits: Mapping[str, Instant]) -> None:
        stored = DeferredEvent(event, waits)
        for _ in range(ATTEMPTS):
            try:
                self.events.save(stored)
                return
            except ConcurrentModification:
                found = self.events.get(record.key, event.id)
                stored = DeferredEvent(event, waits) if found is None else found.with_flows(waits)
                if stored is found:
                    return
        raise ConcurrentModification(f"the waiting event {event.id} was changed by others {ATTEMPTS} times")


def _awaited_until(until: Instant) -> Instant:
    """To the end of a minute, so that events of one moment share a note: otherwise each would outdate the others."""
    return -(-until // MINUTE) * MINUTE + LATENESS_MS
