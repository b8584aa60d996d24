"""Errors as responses: the HTTP status and the category of each, as in HubSpot's error envelope."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from enrollment.application.backfills import KeyReused, NotConfirmed, NotFilterBased, RunInProgress, UnknownRun
from enrollment.application.flow_authoring import (
    FlowTooLarge,
    RevisionNotCurrent,
    RevisionRequired,
    TriggersReplaced,
    UnknownFlow,
    UnknownRevision,
)
from enrollment.application.manual_enrollment import EnrollmentsNotPublished, FlowIsOff
from enrollment.application.ports import ConcurrentModification, Throttled
from enrollment.application.record_service import (
    AmbiguousEmail,
    DeletedRecord,
    EventsNotAccepted,
    StaleChange,
    UnknownRecord,
)
from enrollment.domain.enrollment.runs import RunFinished
from enrollment.domain.events.event import InvalidEvent
from enrollment.domain.values import iso
from enrollment.entrypoints.http_api.access import Forbidden, OtherPortal, Unauthenticated
from enrollment.serialization.flows import InvalidFlow
from enrollment.serialization.requests import InvalidRequest, fault_of
from enrollment.serialization.validation_errors import ValidationError

VALIDATION = "VALIDATION_ERROR"


class RouteNotFound(LookupError):
    """The route, or the object that the path names, does not exist in the portal."""


class WrongContentType(ValueError):
    """The body is not declared as JSON."""


class BodyTooLarge(ValueError):
    """The body has more bytes than the API accepts."""


class AnswerTooLarge(ValueError):
    """The response has more bytes than Lambda can return: the caller must ask for less."""


class MethodNotAllowed(Exception):
    """The path exists, but not with this method. ``allowed``: the methods of the path."""

    def __init__(self, message: str, allowed: Sequence[str]) -> None:
        super().__init__(message)
        self.allowed = tuple(allowed)


class Problem(Struct, frozen=True):
    """An error as the API returns it; ``faults`` give the JSON path or the parameter of each mistake."""

    status: int
    category: str
    message: str
    faults: tuple[ValidationError, ...] = ()


def problem_of(error: Exception) -> Problem | None:
    """Return the status and category of an error that the API documents. Return None for any other: an internal
    error."""
    return _invalid_input(error) or _conflict(error) or _deletion(error) or _by_type(error)


def _invalid_input(error: Exception) -> Problem | None:
    match error:
        case InvalidFlow() | InvalidRequest():
            count = len(error.faults)
            what = "flow" if isinstance(error, InvalidFlow) else "request"
            message = f"The {what} is refused for {count} {'fault' if count == 1 else 'faults'}: {error.faults[0]}"
            return Problem(400, VALIDATION, message, error.faults)
        case InvalidEvent():
            # A change is checked as the event that it would publish, so the field is translated to one of the request.
            return Problem(400, VALIDATION, error.message, tuple(_fault_of_change(fault) for fault in error.faults))
        case FlowTooLarge():
            return Problem(400, VALIDATION, str(error), (ValidationError("$", "TOO_LARGE", str(error)),))
        case RevisionRequired():
            fault = ValidationError("$.revisionId", "REVISION_REQUIRED", str(error))
            return Problem(400, VALIDATION, str(error), (fault,))
    return None


def _fault_of_change(invalid: InvalidEvent) -> ValidationError:
    fault = fault_of(invalid)
    path = fault.path.removeprefix("detail.record.").removeprefix("detail.") if "." in fault.path else "$"
    return ValidationError(path, fault.code, fault.message)


# The path and the code of what prevents a run.
_FAULTS_OF_RUNS: Mapping[type[Exception], tuple[str, str]] = {
    NotFilterBased: ("flowId", "NOT_FILTER_BASED"),
    RunInProgress: ("flowId", "RUN_IN_PROGRESS"),
    NotConfirmed: ("confirm", "NOT_CONFIRMED"),
    RunFinished: ("runId", "RUN_FINISHED"),
    KeyReused: ("Idempotency-Key", "KEY_REUSED"),
}


def _conflict(error: Exception) -> Problem | None:
    match error:
        case TriggersReplaced():
            faults = tuple(
                ValidationError(path, "TRIGGERS_REPLACED", "would be removed; confirm with ?replaceTriggers=true")
                for path in error.paths
            )
            return Problem(409, "CONFLICT", f"{error}; confirm with ?replaceTriggers=true", faults)
        case FlowIsOff():
            return Problem(409, "CONFLICT", str(error), (ValidationError("flowId", "FLOW_IS_OFF", str(error)),))
        case NotFilterBased() | RunInProgress() | NotConfirmed() | RunFinished() | KeyReused():
            path, code = _FAULTS_OF_RUNS[type(error)]
            return Problem(409, "CONFLICT", str(error), (ValidationError(path, code, str(error)),))
        case AmbiguousEmail():
            fault = ValidationError("idProperty", "AMBIGUOUS_EMAIL", str(error), ids=error.object_ids)
            return Problem(409, "CONFLICT", str(error), (fault,))
        case RevisionNotCurrent():
            return Problem(409, "CONFLICT", str(error), (_fault_of_conflict(error),))
        case ConcurrentModification() | StaleChange():
            return Problem(409, "CONFLICT", str(error))
    return None


def _deletion(error: Exception) -> Problem | None:
    if not isinstance(error, DeletedRecord):
        return None
    fault = ValidationError("objectId", "RECORD_DELETED", str(error), facts=(("deletedAt", iso(error.deleted_at)),))
    return Problem(404, "OBJECT_NOT_FOUND", str(error), (fault,))


def _fault_of_conflict(error: RevisionNotCurrent) -> ValidationError:
    """Return the fault with what a client needs to read and merge the other change."""
    current = error.current
    facts = [("currentRevisionId", str(current.revision)), ("changedAt", iso(current.changed_at))]
    if current.changed_by is not None:
        facts.append(("changedBy", current.changed_by))
    return ValidationError("$.revisionId", "NOT_CURRENT", str(error), facts=tuple(facts))


# The status and the category of errors that have no faults with paths.
_STATUSES: Mapping[type[Exception], tuple[int, str]] = {
    AnswerTooLarge: (400, VALIDATION),
    Unauthenticated: (401, "INVALID_AUTHENTICATION"),
    Forbidden: (403, "MISSING_SCOPES"),
    UnknownFlow: (404, "OBJECT_NOT_FOUND"),
    UnknownRevision: (404, "OBJECT_NOT_FOUND"),
    UnknownRun: (404, "OBJECT_NOT_FOUND"),
    UnknownRecord: (404, "OBJECT_NOT_FOUND"),
    RouteNotFound: (404, "OBJECT_NOT_FOUND"),
    OtherPortal: (404, "OBJECT_NOT_FOUND"),
    MethodNotAllowed: (405, "METHOD_NOT_ALLOWED"),
    BodyTooLarge: (413, VALIDATION),
    WrongContentType: (415, VALIDATION),
    EventsNotAccepted: (503, "SERVICE_UNAVAILABLE"),
    EnrollmentsNotPublished: (503, "SERVICE_UNAVAILABLE"),
    Throttled: (503, "SERVICE_UNAVAILABLE"),
}


def _by_type(error: Exception) -> Problem | None:
    for error_type, (status, category) in _STATUSES.items():
        if isinstance(error, error_type):
            return Problem(status, category, str(error))
    return None
