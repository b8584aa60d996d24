"""Process events that are replayed from the archive for a requested replay (docs/decisions/0010-replay.md)."""

from collections.abc import Sequence

from msgspec import Struct

from enrollment.application.event_processor import EventProcessor
from enrollment.application.ports import Clock, DecisionLog, Replays
from enrollment.application.simulation import simulated
from enrollment.domain.enrollment.decisions import Decision
from enrollment.domain.enrollment.replays import Replay
from enrollment.domain.events.event import Event, InvalidEvent


class ReplayProcessor(Struct, frozen=True):
    """Decides replayed events for the flows of their replay only."""

    processor: EventProcessor
    replays: Replays
    decision_log: DecisionLog
    clock: Clock

    def requested(self, name: str) -> Replay:
        """Return the replay that was requested under a name. Raises InvalidEvent if there is none, or if it has
        expired."""
        replay = self.replays.get(name)
        if replay is None or replay.expires_at <= self.clock():
            expected = "expected the name of a replay that was requested here within the last 15 days"
            raise InvalidEvent(
                "UNKNOWN_REPLAY", "replay-name", f"{expected}, found {name!a}; start a new replay with enroll replay"
            )
        return replay

    def process(self, event: Event, replay: Replay) -> Sequence[Decision]:
        """Decide an event in the scope of its replay. In a dry run, decide it without consequences and store the
        decisions for the result of the replay. Raises the errors of ``EventProcessor.process``."""
        if not replay.is_dry_run:
            return self.processor.process(event, replay.scope)
        decisions = simulated(self.processor, event, replay.scope)
        if decisions:
            self.replays.count(replay, event, decisions)
        self.decision_log.log_dry_run(event, decisions)
        return decisions
