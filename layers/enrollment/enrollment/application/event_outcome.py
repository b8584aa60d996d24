"""Find out what became of an event, by its ID alone."""

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from enrollment.application.event_history import EventHistory
from enrollment.application.explanation import DecisionExplainer, FlowOutcome
from enrollment.domain.enrollment.decisions import Code
from enrollment.domain.events.event import Event
from enrollment.domain.values import Instant


class Status(StrEnum):
    """How far an event has come, from the least to the most final.

    UNKNOWN: the history does not have it. IN_PROGRESS: a flow should have enrolled the record, and there is no
    enrollment; the event is being processed, or has failed. WAITING: a flow waits for late data. DECIDED: all decisions
    are final.
    """

    UNKNOWN = "UNKNOWN"
    IN_PROGRESS = "IN_PROGRESS"
    WAITING = "WAITING"
    DECIDED = "DECIDED"


class EventOutcome(Struct, frozen=True):
    """An event of the history with its outcome in each flow that it may have concerned."""

    event: Event
    flows: Sequence[FlowOutcome]

    @property
    def status(self) -> Status:
        """The least final state of the event in its flows."""
        if any(outcome.is_unexplained for outcome in self.flows):
            return Status.IN_PROGRESS
        return Status.DECIDED if self.waiting_until is None else Status.WAITING

    @property
    def waiting_until(self) -> Instant | None:
        """When the last deferred decision becomes final. None: no decision is deferred."""
        ends = (_deferred_until(outcome) for outcome in self.flows)
        return max((end for end in ends if end is not None), default=None)


def find_outcomes(
    history: EventHistory, explainer: DecisionExplainer, portal_id: str, event_id: str, now: Instant
) -> Sequence[EventOutcome]:
    """Return the outcome of an event, newest first. Empty: the history does not have it.

    Event IDs are unique in a portal. If a source used one several times, each event with the ID has its outcome.
    """
    events = history.with_id(portal_id, event_id, now)
    # Only events of records are in the history.
    pairs = ((event, event.record_key) for event in events)
    return [EventOutcome(event, explainer.explain(event, key)) for event, key in pairs if key is not None]


def least_final(outcomes: Sequence[EventOutcome]) -> Status:
    """Return the least final status of several events with one ID. UNKNOWN if there are none."""
    order = list(Status)
    return min((outcome.status for outcome in outcomes), key=order.index, default=Status.UNKNOWN)


def _deferred_until(outcome: FlowOutcome) -> Instant | None:
    decision = outcome.decision
    return decision.due_at if decision is not None and decision.code is Code.WAITING else None
