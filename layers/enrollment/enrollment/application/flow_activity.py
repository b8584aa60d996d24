"""Summarize what flows did lately: how many records they enrolled, whom they enrolled last, and what they decided last.

The reads of a request have a bound, however many enrollments and events there are (docs/costs.md).
"""

import heapq
import itertools
from collections.abc import Iterator, Mapping, Sequence
from datetime import tzinfo

from msgspec import Struct

from enrollment.application.event_history import EventHistory
from enrollment.application.event_search import newest_keys
from enrollment.application.explanation import DecisionExplainer, FlowOutcome
from enrollment.application.ports import EnrollmentIndex
from enrollment.domain.enrollment.enrollment_counts import (
    EnrollmentCounts,
    RecentEnrollments,
    Window,
    count_exactly,
    windows,
)
from enrollment.domain.enrollment.enrollments import StoredEnrollment
from enrollment.domain.events.event import Event
from enrollment.domain.events.sort_key import EventKey
from enrollment.domain.flows.flow import FlowRevision
from enrollment.domain.values import Instant

# A shard with more entries since the first window began counts as full, and is estimated.
MAX_EXACT_ENTRIES = 60
# Entries of a full shard that are read for each window: about 8 read units.
MAX_SAMPLED_ENTRIES = 500
# Of older enrollments in a window, MAX_EXACT_ENTRIES are read in each of at most 12 steps back. The first step has this
# length, and each further step twice the length.
FIRST_STEP_MS = 60_000
# A flow that more event types trigger has no last decision. Each type costs 8 read units, once for all flows of a
# request.
MAX_EVENT_TYPES = 50
# Events that are looked up until one is still stored.
MAX_EVENTS_TRIED = 3


class LastDecision(Struct, frozen=True):
    """The newest event that can trigger a flow, and what the flow decided on it."""

    event: Event
    outcome: FlowOutcome


class FlowActivity(Struct, frozen=True):
    """``last_enrollment`` None: the flow has enrolled no record. ``last_decision`` None: no event that can trigger the
    flow is stored, its triggers cannot be read, or there are more than MAX_EVENT_TYPES of them."""

    flow_id: str
    enrolled: EnrollmentCounts
    last_enrollment: StoredEnrollment | None
    last_decision: LastDecision | None


class FlowActivityReader(Struct, frozen=True):
    """Reads what flows did lately."""

    index: EnrollmentIndex
    history: EventHistory
    explainer: DecisionExplainer

    def of_flows(self, flows: Sequence[FlowRevision], now: Instant, zone: tzinfo) -> Sequence[FlowActivity]:
        """Return the activity of flows of one portal, in their order. ``zone``: that of the days. Raises the errors of
        ``DecisionExplainer.explain``."""
        newest = _NewestKeys(self.history, now)
        return [self._of_flow(flow, newest, now, zone) for flow in flows]

    def _of_flow(self, flow: FlowRevision, newest: "_NewestKeys", now: Instant, zone: tzinfo) -> FlowActivity:
        recent = self.index.recent_of_flow(flow.portal_id, flow.id, MAX_EXACT_ENTRIES + 1)
        counts = self._count(flow, recent, windows(now, zone))
        return FlowActivity(flow.id, counts, recent.latest, self._last_decision(flow, newest))

    def _count(self, flow: FlowRevision, recent: RecentEnrollments, every_window: Sequence[Window]) -> EnrollmentCounts:
        begin = min(window.since for window in every_window)
        full = [
            number
            for number, instants in enumerate(recent.instants)
            if len(instants) > MAX_EXACT_ENTRIES and instants[-1] >= begin
        ]
        exact = [instants for number, instants in enumerate(recent.instants) if number not in full]
        counts: list[int] = []
        is_exact = len(full) <= 1
        for window in every_window:
            count: float = sum(count_exactly(instants, window) for instants in exact)
            if full:
                in_shard, is_complete = self._count_in_shard(flow, full[0], window)
                count += in_shard * len(full)
                is_exact = is_exact and is_complete
            counts.append(round(count))
        last_24_hours, *days = counts
        return EnrollmentCounts(last_24_hours, tuple(days), every_window[1].since, is_exact)

    def _count_in_shard(self, flow: FlowRevision, shard: int, window: Window) -> tuple[float, bool]:
        """Return the number of enrollments of a shard in a window, and whether all were read.

        A backfill makes many enrollments in a short time. So the density of the newest ones says little about the whole
        window, and each step back has its own sample. The end of a burst is in one of them, so the estimate is at most
        about twice the number, if the burst takes minutes.
        """
        newest = self.index.count_in_shard(flow.portal_id, flow.id, shard, window, MAX_SAMPLED_ENTRIES)
        count, until, length = float(newest.entries), newest.oldest, FIRST_STEP_MS
        while until is not None and until > window.since:
            step = Window(max(window.since, until - length), until)
            sampled = self.index.count_in_shard(flow.portal_id, flow.id, shard, step, MAX_EXACT_ENTRIES)
            count += sampled.estimate(step)
            until, length = step.since, 2 * length
        return count, newest.oldest is None

    def _last_decision(self, flow: FlowRevision, newest: "_NewestKeys") -> LastDecision | None:
        event_types = self.explainer.history_types_of(flow)
        if not event_types or len(event_types) > MAX_EVENT_TYPES:
            return None
        object_type_id = self.explainer.object_type_of(flow)
        keys = (
            key
            for key in newest.of_types(flow.portal_id, sorted(event_types))
            if key.record.object_type_id == object_type_id
        )
        # An index entry can be there a little longer than its event.
        for key in itertools.islice(keys, MAX_EVENTS_TRIED):
            for event in self.history.events.get_many([key]):
                outcomes = self.explainer.explain(event, key.record, flow)
                if outcomes:
                    return LastDecision(event, outcomes[0])
        return None


class _NewestKeys:
    """The keys of the newest events by event type, each type read once for all flows of a request."""

    def __init__(self, history: EventHistory, now: Instant) -> None:
        self._history = history
        self._now = now
        self._keys: dict[str, Sequence[EventKey]] = {}

    def of_types(self, portal_id: str, event_types: Sequence[str]) -> Iterator[EventKey]:
        """Yield the keys of events of these types, newest first."""
        keys: Mapping[str, Sequence[EventKey]] = {name: self._of_type(portal_id, name) for name in event_types}
        return heapq.merge(*keys.values(), key=lambda key: key.sort_key, reverse=True)

    def _of_type(self, portal_id: str, event_type: str) -> Sequence[EventKey]:
        if event_type not in self._keys:
            self._keys[event_type] = newest_keys(self._history, portal_id, event_type, self._now)
        return self._keys[event_type]
