"""Metrics, and the log of every outcome. The logger and the tracer are those of Powertools.

Messages of log lines:

    decision                  a decision, with the fields of `decision_fields`
    others                    for an event with very many flows, the number of further decisions by code
    refused                   an invalid event
    skipped                   an event that is not in the scope of its replay
    rehearsed                 the decisions of a dry run about an event
    stored before creation    a change of a record that does not exist yet
    unknown names             keys and properties of an event that this version ignores
    event id used before      an event that has the ID of an earlier event with other content
    waiting events left       deferred events that were not decided again, because the time was over
    flow refused              a stored flow that this version rejects

All metrics are counts, with the namespace of the configuration and the dimension `service`, which is the stack's name:
one for each decision code (`Enrolled`, `NotMatched`, …), `Decisions` for all codes together, `EventsProcessed`,
`EventsRefused`, `EventsFailed`, `EventsRedelivered`, `EventsSkipped`, `EventsRehearsed`, `ChangesBeforeCreation`,
`EventsWithUnknownNames`, `EventIdsUsedBefore` and `WaitingEventsLeft`.
"""

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any

import msgspec
from aws_lambda_powertools import Logger

from enrollment.domain.enrollment.decisions import Code, Decision
from enrollment.domain.enrollment.enrollments import Enrollment
from enrollment.domain.events.event import Event, InvalidEvent
from enrollment.domain.flows.flow import FlowRevision
from enrollment.domain.operators.filters import Failure
from enrollment.domain.values import Instant, Value, as_text, iso


class Metrics:
    """The counts of one invocation, which are written as one line in CloudWatch's embedded metric format. Powertools'
    own metrics write the same and take three times as long (docs/decisions/0013-event-path.md)."""

    def __init__(self, namespace: str, service: str, clock: Callable[[], Instant]) -> None:
        self._namespace = namespace
        self._service = service
        self._clock = clock
        self._counts: dict[str, int] = {}
        # The threads of a batch count at the same time.
        self._lock = Lock()

    def count(self, name: str, number: int = 1) -> None:
        """Add to a count of this invocation."""
        with self._lock:
            self._counts[name] = self._counts.get(name, 0) + number

    def flush(self) -> None:
        """Write the counts, unless there are none, and start again at zero."""
        with self._lock:
            counts, self._counts = self._counts, {}
        if not counts:
            return
        directive = {
            "Namespace": self._namespace,
            "Dimensions": [["service"]],
            "Metrics": [{"Name": name, "Unit": "Count"} for name in counts],
        }
        metadata = {"Timestamp": self._clock(), "CloudWatchMetrics": [directive]}
        line = msgspec.json.encode({"_aws": metadata, "service": self._service, **counts}).decode()
        # CloudWatch reads this line. `print` would write the end of the line separately, because Lambda does not
        # buffer.
        sys.stdout.write(f"{line}\n")


def log_refused_flow(logger: Logger, revision: FlowRevision, invalid: ValueError) -> None:
    """Log a stored flow that this version rejects, with its errors."""
    logger.error(
        "flow refused",
        extra={
            "portalId": revision.portal_id,
            "flowId": revision.id,
            "flowRevisionId": str(revision.revision),
            "explanation": str(invalid)[:2000],
        },
    )


class PowertoolsDecisionLog:
    """The port DecisionLog (``application.ports``): a log line and a metric for each outcome."""

    def __init__(self, logger: Logger, metrics: Metrics) -> None:
        self._logger = logger
        self._metrics = metrics

    def log_decisions(self, event: Event, decisions: Sequence[Decision], others: Mapping[Code, int]) -> None:
        """Log each decision, and one line with the counted ones. Count the event, the decisions and each decision
        code."""
        for decision in decisions:
            self._logger.info("decision", extra=decision_fields(event, decision))
        if others:
            codes = {code.value: number for code, number in others.items()}
            self._logger.info("others", extra={**_event_fields(event), "codes": codes})
        self._metrics.count("EventsProcessed")
        if decisions or others:
            numbers = Counter(decision.code for decision in decisions)
            numbers.update(others)
            self._metrics.count("Decisions", numbers.total())
            for code, number in numbers.items():
                self._metrics.count(METRIC_OF[code], number)

    def log_rejected(self, event_id: str | None, invalid: InvalidEvent) -> None:
        """Log and count an invalid event."""
        self._logger.warning(
            "refused",
            extra={
                "eventId": event_id,
                "reason": invalid.reason,
                "field": invalid.field,
                "explanation": invalid.message,
                **({"further": [fault.message for fault in invalid.further]} if invalid.further else {}),
            },
        )
        self._metrics.count("EventsRefused")

    def log_skipped(self, event: Event) -> None:
        """Log and count an event that is not in the scope of its replay."""
        self._logger.info("skipped", extra=_event_fields(event))
        self._metrics.count("EventsSkipped")

    def unknown_names(self, event: Event) -> None:
        """Log and count an event with keys or properties that this version ignores."""
        fields = {**_event_fields(event), "objectTypeId": event.object_type_id, "objectId": event.object_id}
        self._logger.info("unknown names", extra={**fields, "names": list(event.unknown_names)})
        self._metrics.count("EventsWithUnknownNames")

    def stored_before_creation(self, event: Event, changes: int) -> None:
        """Log and count changes to a record that does not exist yet. ``changes``: the number of changes that are stored
        for it."""
        fields = {**_event_fields(event), "objectTypeId": event.object_type_id, "objectId": event.object_id}
        self._logger.info("stored before creation", extra={**fields, "changes": changes})
        self._metrics.count("ChangesBeforeCreation")

    def id_used_before(self, event: Event, enrollment: Enrollment) -> None:
        """Log and count an event with the ID of an earlier event, whose content was different. ``enrollment``: an
        enrollment by the earlier event."""
        cause = enrollment.cause
        earlier = {"earlierEventType": cause.event_type, "earlierOccurredAt": iso(cause.occurred_at)}
        self._logger.warning("event id used before", extra={**_event_fields(event), **earlier})
        self._metrics.count("EventIdsUsedBefore")

    def not_decided_again(self, event: Event, left: int) -> None:
        """Log and count the deferred events that were not decided again after ``event``, because the time was over."""
        self._logger.warning("waiting events left", extra={**_event_fields(event), "left": left})
        self._metrics.count("WaitingEventsLeft", left)

    def log_dry_run(self, event: Event, decisions: Sequence[Decision]) -> None:
        """Log the decision codes of an event by flow, and count the event. The decisions themselves are not counted."""
        codes = {decision.flow_id: decision.code.value for decision in decisions}
        self._logger.info("rehearsed", extra={**_event_fields(event), "codes": codes})
        self._metrics.count("EventsRehearsed")


def _event_fields(event: Event) -> dict[str, Any]:
    return {"eventId": event.id, "eventType": event.event_type.name, "portalId": event.portal_id}


# Characters of a value in a decision. They show why the decision was taken. Logs should not have long personal texts.
MAX_FOUND = 200

# The metric of each decision code: Enrolled, DuplicateEvent, …
METRIC_OF = {code: code.replace("_", " ").title().replace(" ", "") for code in Code}


def rejection_fields(invalid: InvalidEvent) -> dict[str, Any]:
    """Return why an event is invalid, for responses. ``faults`` is there if the event has several faults."""
    faults = [_fault_fields(fault) for fault in invalid.faults]
    return faults[0] | ({"faults": faults} if invalid.further else {})


def _fault_fields(fault: InvalidEvent) -> dict[str, Any]:
    return {"reason": fault.reason, "field": fault.field, "message": fault.message}


def decision_fields(event: Event, decision: Decision) -> dict[str, Any]:
    """Return the stable fields of a decision, in logs and in responses."""
    fields: dict[str, Any] = {
        "code": decision.code.value,
        "flowId": decision.flow_id,
        "flowRevisionId": decision.flow_revision_id,
        "because": decision.because,
        "portalId": event.portal_id,
        "objectTypeId": event.object_type_id,
        "objectId": event.object_id,
        "eventId": event.id,
        "eventType": event.event_type.name,
    }
    if decision.enrollment_id is not None:
        fields["enrollmentId"] = decision.enrollment_id
    if decision.due_at is not None:
        fields["dueAt"] = iso(decision.due_at)
    if decision.groups:
        fields["groups"] = [
            {
                "groupIndex": group.group_index,
                "property": group.failure.property,
                "found": _shorten(group.failure.found),
                "operation": dict(group.failure.operation),
            }
            for group in decision.groups
        ]
    if decision.filter is not None:
        fields["filter"] = _failure_fields(decision.filter)
    return fields


def _failure_fields(failure: Failure) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "property": failure.property,
        "found": _shorten(failure.found),
        "operation": dict(failure.operation),
    }
    if failure.associated:
        fields["associated"] = [
            {"record": each.record, "failure": None if each.failure is None else _failure_fields(each.failure)}
            for each in failure.associated
        ]
    return fields


def _shorten(value: Value) -> Value:
    text = as_text(value)
    return value if len(text) <= MAX_FOUND else f"{text[:MAX_FOUND]}…"
