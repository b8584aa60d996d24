"""Serve what an editor of triggers shows from the history: `/enrollment/v1/events/{eventType}/values`, the values of a
property, and `/counts`, the number of events of a type."""

from enrollment.application.event_search import (
    MAX_EVENTS_WITH_VALUES,
    MAX_KEYS_SEARCHED,
    MAX_SUGGESTED_VALUE,
    count_events,
    seen_values,
)
from enrollment.domain.events.event_types import EventType, Property
from enrollment.domain.similar_names import nearest
from enrollment.domain.values import fold, iso
from enrollment.entrypoints.http_api.catalog import event_type_of_path
from enrollment.entrypoints.http_api.endpoint import Endpoint, Example, Query, Reply, Request, Services, required
from enrollment.serialization.requests import read_limit, refuse
from enrollment.serialization.validation_errors import expectation

DAY_MS = 24 * 3600 * 1000
DEFAULT_VALUES = 25
MAX_VALUES = 100
DEFAULT_DAYS = 7
MAX_DAYS = 30


def list_values(services: Services, request: Request) -> Reply:
    """List the values of a property in the newest events of a type, the most frequent first. Raises RouteNotFound and
    InvalidRequest."""
    event_type = event_type_of_path(request)
    known = _property(event_type, required(request, "property"))
    prefix = fold(request.query.get("prefix", "").strip())
    limit = read_limit(request.query.get("limit"), DEFAULT_VALUES, MAX_VALUES)
    seen = seen_values(services.history, request.portal_id, event_type.name, known, request.now)
    values = sorted(
        ((value, events) for value, events in seen.events.items() if fold(value).startswith(prefix)),
        key=lambda pair: (-pair[1], pair[0]),
    )
    answer = {
        "eventType": event_type.name,
        "property": known.name,
        "values": [{"value": value, "events": events} for value, events in values[:limit]],
        "eventsRead": seen.events_read,
        "since": iso(seen.since),
    }
    return Reply(200, answer)


def count_recent(services: Services, request: Request) -> Reply:
    """Count the events of a type in the last days. Raises RouteNotFound and InvalidRequest."""
    event_type = event_type_of_path(request)
    days = _days(request.query.get("days"))
    counted = count_events(
        services.history, request.portal_id, event_type.name, request.now, request.now - days * DAY_MS
    )
    answer = {
        "eventType": event_type.name,
        "days": days,
        "since": iso(counted.since),
        "count": counted.events,
        "isExact": counted.is_exact,
    }
    return Reply(200, answer)


def _property(event_type: EventType, name: str) -> Property:
    known = event_type.property(name)
    if known is None:
        names = [each.name for each in event_type.properties]
        message = expectation(f"a property of {event_type.name}", name)
        raise refuse("property", "UNKNOWN_PROPERTY", message, nearest(name, names))
    return known


def _days(text: str | None) -> int:
    if text is None:
        return DEFAULT_DAYS
    days = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    if not 1 <= days <= MAX_DAYS:
        raise refuse("days", "WRONG_LENGTH", expectation(f"a number of days from 1 to {MAX_DAYS}, for example 7", text))
    return days


_FORMS = {"eventType": "forms.submitted"}

ENDPOINTS = (
    Endpoint(
        "listEventValues",
        "GET",
        "/enrollment/v1/events/{eventType}/values",
        "List the values that a property had in the newest events of a type",
        list_values,
        {200: "EventValues"},
        description=f"Counts the values in the newest {MAX_EVENTS_WITH_VALUES} events of the type, of all records. "
        f"Values of more than {MAX_SUGGESTED_VALUE} characters are left out.",
        query=(
            Query("property", "The name of a property of the event.", is_required=True),
            Query("prefix", "Only values that begin with this text, in any case."),
            Query(
                "limit",
                "Maximum number of values.",
                {"type": "integer", "minimum": 1, "maximum": MAX_VALUES, "default": DEFAULT_VALUES},
            ),
        ),
        example=Example(path=_FORMS, query={"property": "hs_form_id", "prefix": "f"}),
    ),
    Endpoint(
        "countEvents",
        "GET",
        "/enrollment/v1/events/{eventType}/counts",
        "Count the events of a type in the last days",
        count_recent,
        {200: "EventCount"},
        description=f"Counts at most {MAX_KEYS_SEARCHED:,} events. If there are more, `isExact` is false.",
        query=(
            Query(
                "days",
                "Number of days, of 24 hours each.",
                {"type": "integer", "minimum": 1, "maximum": MAX_DAYS, "default": DEFAULT_DAYS},
            ),
        ),
        example=Example(path=_FORMS),
    ),
)
