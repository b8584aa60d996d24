"""Logger, Metrics and Tracer of Powertools; the journal of every outcome.

A decision is one log line, `decision`, with the fields of `decision_fields`; where there are very many, those that are
only counted are one line, `others`, with the count of each code; a refused event is one line, `refused`;
an event that its replay does not concern is one line, `skipped`; one that a dry run decided is one line, `rehearsed`.
Metrics (namespace from the template), all counts: one for each decision code (`Enrolled`, `NotMatched`…), `Decisions`
of every code, `EventsProcessed`, `EventsRefused`, `EventsFailed`, `EventsRedelivered`, `EventsSkipped`,
`EventsRehearsed`. Their dimension `service` is the stack's name.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from enrollment.domain.decisions import Code, Decision
from enrollment.domain.events import Event, InvalidEvent
from enrollment.domain.values import Value, as_text, iso


class SharedMetrics(Metrics):
    """Of the threads that decide the events of a batch; Powertools' own are of one."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = Lock()

    def add_metric(self, *given: Any, **named: Any) -> None:
        with self._lock:
            super().add_metric(*given, **named)


class PowertoolsJournal:
    def __init__(self, logger: Logger, metrics: Metrics) -> None:
        self._logger = logger
        self._metrics = metrics

    def decided(self, event: Event, decisions: Sequence[Decision], others: Mapping[Code, int]) -> None:
        for decision in decisions:
            self._logger.info("decision", extra=decision_fields(event, decision))
        if others:
            codes = {code.value: count for code, count in others.items()}
            self._logger.info("others", extra={**_event_fields(event), "codes": codes})
        self._metrics.add_metric("EventsProcessed", MetricUnit.Count, 1)
        counts = Counter(decision.code for decision in decisions)
        counts.update(others)
        if counts:
            self._metrics.add_metric("Decisions", MetricUnit.Count, counts.total())
        for code, count in counts.items():
            self._metrics.add_metric(METRIC_OF[code], MetricUnit.Count, count)

    def refused(self, event_id: str | None, invalid: InvalidEvent) -> None:
        self._logger.warning(
            "refused",
            extra={
                "eventId": event_id,
                "reason": invalid.reason,
                "field": invalid.field,
                "explanation": invalid.message,
            },
        )
        self._metrics.add_metric("EventsRefused", MetricUnit.Count, 1)

    def skipped(self, event: Event) -> None:
        self._logger.info("skipped", extra=_event_fields(event))
        self._metrics.add_metric("EventsSkipped", MetricUnit.Count, 1)

    def rehearsed(self, event: Event, decisions: Sequence[Decision]) -> None:
        codes = {one.flow_id: one.code.value for one in decisions}
        self._logger.info("rehearsed", extra={**_event_fields(event), "codes": codes})
        self._metrics.add_metric("EventsRehearsed", MetricUnit.Count, 1)


def _event_fields(event: Event) -> dict[str, Any]:
    return {"eventId": event.id, "eventType": event.event_type.name, "portalId": event.portal_id}


# Characters of a value that a decision names. What decided can be seen; a person's whole text is not for a log.
MAX_FOUND = 200

# Enrolled, DuplicateEvent, …
METRIC_OF = {code: code.replace("_", " ").title().replace(" ", "") for code in Code}


def decision_fields(event: Event, decision: Decision) -> dict[str, Any]:
    """The stable fields of a decision, in logs and in the handler's answer."""
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
                "groupIndex": one.group_index,
                "property": one.failure.property,
                "found": _shortened(one.failure.found),
                "operation": dict(one.failure.operation),
            }
            for one in decision.groups
        ]
    if decision.filter is not None:
        fields["filter"] = {
            "property": decision.filter.property,
            "found": _shortened(decision.filter.found),
            "operation": dict(decision.filter.operation),
        }
    return fields


def _shortened(found: Value) -> Value:
    text = as_text(found)
    return found if len(text) <= MAX_FOUND else f"{text[:MAX_FOUND]}…"
