"""The parts of an operation of the HTTP API. ``routes.ENDPOINTS`` lists all operations; the server's routes, the access
rules and the OpenAPI document derive from it."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct, field

from enrollment.application.backfills import Backfills
from enrollment.application.criteria_evaluator import CriteriaEvaluator
from enrollment.application.event_history import EventHistory
from enrollment.application.event_processor import EventProcessor
from enrollment.application.explanation import DecisionExplainer
from enrollment.application.flow_activity import FlowActivityReader
from enrollment.application.flow_authoring import FlowAuthoring
from enrollment.application.manual_enrollment import ManualEnrollment
from enrollment.application.ports import Enrollments, NewId, Portals, Replays
from enrollment.application.record_service import RecordService
from enrollment.application.unprocessed_events import UnprocessedEventReader
from enrollment.domain.values import Instant
from enrollment.serialization.requests import read_id, refuse
from enrollment.serialization.validation_errors import expectation_of

Schema = Mapping[str, Any]


class Scope(StrEnum):
    """The rights of a caller with a token. A caller with IAM credentials has all of them."""

    READ = "enroll/read"
    WRITE_FLOWS = "enroll/flows.write"
    WRITE_RECORDS = "enroll/records.write"
    WRITE_ENROLLMENTS = "enroll/enrollments.write"


class Stack(Struct, frozen=True):
    """The deployment that serves the requests.

    ``history_days``: how long events are stored with their record; 0: they are not. ``history_length``: the number of
    earlier values that each property keeps. ``features``: names of optional functions that are on.
    """

    name: str
    region: str
    is_local: bool
    history_days: int
    history_length: int
    features: tuple[str, ...]


class Services(Struct, frozen=True):
    """The application's use cases, made once for the function. ``processor`` has no consequences: it is for simulations
    and explanations only."""

    authoring: FlowAuthoring
    evaluator: CriteriaEvaluator
    portals: Portals
    record_service: RecordService
    enrollments: Enrollments
    flow_activity: FlowActivityReader
    history: EventHistory
    processor: EventProcessor
    explaining: DecisionExplainer
    replays: Replays
    manual_enrollment: ManualEnrollment
    backfills: Backfills
    unprocessed: UnprocessedEventReader
    new_id: NewId
    stack: Stack


class Caller(Struct, frozen=True):
    """``name``: the ARN of the IAM identity, or the token's subject. ``portal_id``: empty if the operation does not
    concern a portal and the request names none."""

    name: str
    portal_id: str
    scopes: frozenset[Scope]


class Request(Struct, frozen=True):
    """``path`` and ``query``: decoded parameters by name. ``body``: parsed JSON, or None if the operation has no body.
    ``now``: milliseconds since 1970. ``headers``: by lower-case name."""

    caller: Caller
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Any
    now: Instant
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def portal_id(self) -> str:
        """The portal of the request. Empty if the operation does not concern a portal and the request names none."""
        return self.caller.portal_id


class Reply(Struct, frozen=True):
    """``content``: a value to be written as JSON, or a text of ``content_type``. None: the response has no body.
    ``headers`` are added to those of every response, and replace them."""

    status: int
    content: Any = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class Query(Struct, frozen=True):
    """A query parameter, or a header. ``schema``: its JSON Schema."""

    name: str
    description: str
    schema: Schema = field(default_factory=lambda: {"type": "string"})
    is_required: bool = False


class Example(Struct, frozen=True):
    """A request that succeeds in the example portal, which ``tests/api`` sets up."""

    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


class Endpoint(Struct, frozen=True):
    """An operation. ``name``: its OpenAPI operation ID. ``body``: the name of the request body's schema, or None.
    ``replies``: by status, the name of the response's schema or its content type, or None if the response has no body.
    ``scope``: None for an operation that every caller may use. ``headers``: the optional headers that it reads."""

    name: str
    method: str
    path: str
    summary: str
    serve: Callable[[Services, Request], Reply]
    replies: Mapping[int, str | None]
    scope: Scope | None = Scope.READ
    description: str = ""
    query: tuple[Query, ...] = ()
    headers: tuple[Query, ...] = ()
    body: str | None = None
    example: Example = field(default_factory=Example)
    concerns_a_portal: bool = True


_PAGE_SIZE = "Maximum number of results on a page."
LIMIT = Query("limit", _PAGE_SIZE, {"type": "integer", "minimum": 1, "maximum": 100, "default": 100})
FEWER = Query("limit", _PAGE_SIZE, {"type": "integer", "minimum": 1, "maximum": 100, "default": 20})
AFTER = Query("after", "`paging.next.after` of the previous page.")
OCCURRED_AT = Query(
    "occurredAt",
    "When the change occurred: ISO-8601 with a time zone, epoch seconds, or epoch milliseconds. Now if absent.",
)


def required(request: Request, name: str) -> str:
    """Return an ID that the query must have. Raises InvalidRequest."""
    if name not in request.query:
        raise refuse(name, "MISSING_FIELD", expectation_of("this query parameter", "no value"))
    return read_id(request.query[name], name)


def page(results: list[Any], next_position: str | None) -> dict[str, Any]:
    """Return a page in HubSpot's format. ``next_position``: an encoded cursor; None: this is the last page."""
    answer: dict[str, Any] = {"results": results}
    if next_position is not None:
        answer["paging"] = {"next": {"after": next_position}}
    return answer
