"""What an operation of the HTTP API is: one entry of the table from which routes, access and OpenAPI come."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct, field

from enrollment.application.criteria_evaluator import CriteriaEvaluator
from enrollment.application.event_history import EventHistory
from enrollment.application.event_processor import EventProcessor
from enrollment.application.explanation import DecisionExplainer
from enrollment.application.flow_authoring import FlowAuthoring
from enrollment.application.ports import Enrollments, NewId, Portals, Replays
from enrollment.application.record_service import RecordService
from enrollment.domain.values import Instant
from enrollment.serialization.requests import read_id, refuse

Schema = Mapping[str, Any]


class Scope(StrEnum):
    """What a caller with a token may do; under IAM, whoever may call the API may do all."""

    READ = "enroll/read"
    WRITE_FLOWS = "enroll/flows.write"
    WRITE_RECORDS = "enroll/records.write"


class Services(Struct, frozen=True):
    """``process``: to be simulated."""

    authoring: FlowAuthoring
    evaluator: CriteriaEvaluator
    portals: Portals
    record_service: RecordService
    enrollments: Enrollments
    history: EventHistory
    processor: EventProcessor
    explaining: DecisionExplainer
    replays: Replays
    new_id: NewId


class Caller(Struct, frozen=True):
    """Who asks, and in which portal; "" where the operation concerns none."""

    name: str
    portal_id: str
    scopes: frozenset[Scope]


class Request(Struct, frozen=True):
    """``path`` and ``query`` by name; ``body`` is parsed JSON."""

    caller: Caller
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Any
    now: Instant

    @property
    def portal_id(self) -> str:
        return self.caller.portal_id


class Reply(Struct, frozen=True):
    """``content`` is JSON, or a text of ``content_type``; None: nothing. ``headers`` are sent besides those that every
    answer has, and replace them."""

    status: int
    content: Any = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class Query(Struct, frozen=True):
    """A parameter after the question mark."""

    name: str
    description: str
    schema: Schema = field(default_factory=lambda: {"type": "string"})
    is_required: bool = False


class Example(Struct, frozen=True):
    """A request that works in the example portal, which ``tests/api`` keeps."""

    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


class Endpoint(Struct, frozen=True):
    """``body`` names the schema of the request's body, ``replies`` those of the answers by status; None: empty.
    ``scope`` None: any caller that is let in."""

    name: str
    method: str
    path: str
    summary: str
    serve: Callable[[Services, Request], Reply]
    replies: Mapping[int, str | None]
    scope: Scope | None = Scope.READ
    description: str = ""
    query: tuple[Query, ...] = ()
    body: str | None = None
    example: Example = field(default_factory=Example)
    concerns_a_portal: bool = True


LIMIT = Query("limit", "How many at most.", {"type": "integer", "minimum": 1, "maximum": 100, "default": 100})
FEWER = Query("limit", "How many at most.", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20})
AFTER = Query("after", "`paging.next.after` of the page before.")
OCCURRED_AT = Query(
    "occurredAt", "When it became so: ISO-8601 with a zone, epoch seconds, or epoch milliseconds. Now when absent."
)


def required(request: Request, name: str) -> str:
    """An id in the query. Raises InvalidRequest."""
    if name not in request.query:
        raise refuse(name, "MISSING_FIELD", "absent; it must be named")
    return read_id(request.query[name], name)


def page(results: list[Any], next_position: str | None) -> dict[str, Any]:
    answer: dict[str, Any] = {"results": results}
    if next_position is not None:
        answer["paging"] = {"next": {"after": next_position}}
    return answer
