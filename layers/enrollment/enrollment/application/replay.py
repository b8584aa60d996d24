"""Events that are replayed for a purpose (docs/decisions/0010-replay.md)."""

from collections.abc import Sequence

from msgspec import Struct

from enrollment.application.event_processor import Process
from enrollment.application.ports import Clock, Journal, Replays
from enrollment.application.simulation import simulated
from enrollment.domain.enrollment.decisions import Decision
from enrollment.domain.enrollment.replays import Replay
from enrollment.domain.events.event import Event, InvalidEvent


class Replaying(Struct, frozen=True):
    process: Process
    replays: Replays
    journal: Journal
    clock: Clock

    def ordered(self, name: str) -> Replay:
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
            return self.process(event, replay.reach)
        decisions = simulated(self.process, event, replay.reach)
        if decisions:
            self.replays.count(replay, event, decisions)
        self.journal.rehearsed(event, decisions)
        return decisions
