"""A replay of archived events that was requested through the API: for which flows, and whether it is a dry run.

EventBridge delivers archived events unchanged, with the replay's name in the envelope. A handler loads the request by
this name (docs/decisions/0010-replay.md).
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct

from enrollment.domain.enrollment.decisions import Code
from enrollment.domain.enrollment.processing_scope import Delivery, ProcessingScope
from enrollment.domain.events.event import Event
from enrollment.domain.values import Instant

# The prefix of the names of requested replays. Events of other replays are processed for every flow.
PREFIX = "enroll-"

# The length and the characters that EventBridge allows in names. A name that does not match needs no lookup.
_REQUESTED_NAME = re.compile(PREFIX + r"[.\-_A-Za-z0-9]{1,57}")

# An event of a replay can be delivered again for 14 days, the retention of the unprocessed-events queue.
RETENTION_MS = 15 * 24 * 3600 * 1000


class Replay(Struct, frozen=True):
    """A requested replay. ``flow_ids`` None: every flow. ``event_types``: the names of the events to be decided."""

    name: str
    portal_id: str
    flow_ids: frozenset[str] | None
    event_types: frozenset[str]
    is_dry_run: bool
    created_at: Instant

    @property
    def expires_at(self) -> Instant:
        """When the request may be deleted."""
        return self.created_at + RETENTION_MS

    @property
    def scope(self) -> ProcessingScope:
        """How its events are processed. They do not wait for late data: the tolerance is over, or they wait already."""
        return ProcessingScope(self.flow_ids, Delivery.REPLAY)

    def concerns(self, event: Event) -> bool:
        """Whether the replay decides this event. EventBridge replays the events of all portals and types."""
        return event.portal_id == self.portal_id and event.event_type.name in self.event_types


class DryRunResult(Struct, frozen=True):
    """The decisions of a dry run on one event. ``record``: identifies the record. ``codes``: by flow ID."""

    record: str
    codes: Mapping[str, Code]


def is_requested(replay_name: str) -> bool:
    """Whether a replay with this name may have been requested through the API. Does not look it up."""
    return _REQUESTED_NAME.fullmatch(replay_name) is not None


def tally(results: Iterable[DryRunResult], re_enrolling: Collection[str]) -> dict[str, Counter[Code]]:
    """Return the number of decisions by flow ID and code. ``re_enrolling``: the IDs of the flows that re-enroll.

    A dry run decides each event by itself, as if no other had enrolled the record. So if several events of a record
    would enroll it in a flow that does not re-enroll, one counts as ENROLLED and the others as ALREADY_ENROLLED.
    """
    counts: dict[str, Counter[Code]] = {}
    entered: set[tuple[str, str]] = set()
    for result in results:
        for flow_id, code in result.codes.items():
            if code is Code.ENROLLED and flow_id not in re_enrolling:
                if (flow_id, result.record) in entered:
                    code = Code.ALREADY_ENROLLED
                entered.add((flow_id, result.record))
            counts.setdefault(flow_id, Counter())[code] += 1
    return counts
