"""A replay of archived events that was ordered: for which flows, and whether anything is done at all.

EventBridge delivers archived events as they were, with the replay's name in their envelope. By this name a handler
finds the order that says what they are for (docs/decisions/0010-replay.md).
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct

from enrollment.domain.enrollment.decisions import Code
from enrollment.domain.enrollment.processing_scope import Delivery, ProcessingScope
from enrollment.domain.events.event import Event
from enrollment.domain.values import Instant

# What the names of ordered replays begin with. Other replays reach every flow, as any delivery does.
PREFIX = "enroll-"

# As long as EventBridge's names may be, and of their characters: no other replay can have been ordered.
_ORDERED = re.compile(PREFIX + r"[.\-_A-Za-z0-9]{1,57}")

# Milliseconds. As long as one of its events can come once more: the unprocessed-events queue keeps them for 14 days.
KEPT = 15 * 24 * 3600 * 1000


class Replay(Struct, frozen=True):
    """``flow_ids`` None: every flow. ``event_types``: names of those that are for these flows."""

    name: str
    portal_id: str
    flow_ids: frozenset[str] | None
    event_types: frozenset[str]
    is_dry_run: bool
    created_at: Instant

    @property
    def expires_at(self) -> Instant:
        return self.created_at + KEPT

    @property
    def scope(self) -> ProcessingScope:
        """No decision of a replay waits for late data: the tolerance is over, or the event waits already."""
        return ProcessingScope(self.flow_ids, Delivery.REPLAY)

    def concerns(self, event: Event) -> bool:
        return event.portal_id == self.portal_id and event.event_type.name in self.event_types


class DryRunResult(Struct, frozen=True):
    """What a dry run decided on one event. ``record``: what all events of one record have in common. ``codes``: by
    flow id."""

    record: str
    codes: Mapping[str, Code]


def is_requested(replay_name: str) -> bool:
    return _ORDERED.fullmatch(replay_name) is not None


def tally(rehearsals: Iterable[DryRunResult], re_enrolling: Collection[str]) -> dict[str, Counter[Code]]:
    """How often each code, by flow. Each event was decided for itself, so of a record's events that would enroll it in
    a flow that does not re-enroll, the first would and the others would not."""
    counts: dict[str, Counter[Code]] = {}
    entered: set[tuple[str, str]] = set()
    for one in rehearsals:
        for flow_id, code in one.codes.items():
            if code is Code.ENROLLED and flow_id not in re_enrolling:
                if (flow_id, one.record) in entered:
                    code = Code.ALREADY_ENROLLED
                entered.add((flow_id, one.record))
            counts.setdefault(flow_id, Counter())[code] += 1
    return counts
