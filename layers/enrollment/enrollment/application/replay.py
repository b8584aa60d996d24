"""Events that are replayed for a purpose (docs/decisions/0010-replay.md)."""

from collections.abc import Sequence

from msgspec import Struct

from enrollment.application.event_processor import EventProcessor
from enrollment.application.ports import Clock, DecisionLog, Replays
from enrollment.application.simulation import simulated
from enrollment.domain.enrollment.decisions import Decision
from enrollment.domain.enrollment.replays import Replay
from enrollment.domain.events.event import Event, InvalidEvent


class ReplayProcessor(Struct, frozen=True):
    processor: EventProcessor
    replays: Replays
    decision_log: DecisionLog
    clock: Clock

    def requested(self, name: str) -> Replay:
        """Raises InvalidEvent when nobody knows any more what its events are for."""
        found = self.replays.get(name)
        if found is None or found.expires_at <= self.clock():
            allowed = "a replay that was ordered here within the last 15 days"
            raise InvalidEvent("UNKNOWN_REPLAY", "replay-name", f"found {name!a}, allowed is {allowed}")
        return found

    def __call__(self, event: Event, replay: Replay) -> Sequence[Decision]:
        """Decides an event that concerns the replay, as the process does; in a dry run without consequences, and what
        would be is counted."""
        if not replay.is_dry_run:
            return self.processor.process(event, replay.scope)
        decisions = simulated(self.processor, event, replay.scope)
        if decisions:
            self.replays.count(replay, event, decisions)
        self.decision_log.log_dry_run(event, decisions)
        return decisions
