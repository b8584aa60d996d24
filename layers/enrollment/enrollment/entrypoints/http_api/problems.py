"""What went wrong, as an answer: the status and HubSpot's envelope of each error."""

from collections.abc import Sequence

from msgspec import Struct

from enrollment.application.flow_authoring import FlowTooLarge, RevisionRequired, TriggersReplaced, UnknownFlow
from enrollment.application.ports import ConcurrentModification, Throttled
from enrollment.application.record_service import EventsNotAccepted, StaleChange, UnknownRecord
from enrollment.domain.events.event import InvalidEvent
from enrollment.entrypoints.http_api.access import Forbidden, OtherPortal, Unauthenticated
from enrollment.serialization.flows import InvalidFlow
from enrollment.serialization.requests import InvalidRequest, fault_of
from enrollment.serialization.validation_errors import ValidationError

VALIDATION = "VALIDATION_ERROR"


class RouteNotFound(LookupError):
    """What the path names does not exist in the portal."""


class WrongContentType(ValueError):
    pass


class BodyTooLarge(ValueError):
    pass


class AnswerTooLarge(ValueError):
    pass


class MethodNotAllowed(Exception):
    def __init__(self, message: str, allowed: Sequence[str]) -> None:
        super().__init__(message)
        self.allowed = tuple(allowed)


class Problem(Struct, frozen=True):
    status: int
    category: str
    message: str
    faults: tuple[ValidationError, ...] = ()


def problem_of(error: Exception) -> Problem | None:
    """None: an error that nobody foresaw."""
    match error:
        case InvalidFlow() | InvalidRequest():
            count = len(error.faults)
            what = "flow" if isinstance(error, InvalidFlow) else "request"
            message = f"The {what} is refused for {count} {'fault' if count == 1 else 'faults'}: {error.faults[0]}"
            return Problem(400, VALIDATION, message, error.faults)
        case InvalidEvent():
            # What the change would have been as an event: its fields are those of the request.
            fault = fault_of(error)
            path = fault.path.removeprefix("detail.record.").removeprefix("detail.") if "." in fault.path else "$"
            return Problem(400, VALIDATION, error.message, (ValidationError(path, fault.code, fault.message),))
        case FlowTooLarge():
            return Problem(400, VALIDATION, str(error), (ValidationError("$", "TOO_LARGE", str(error)),))
        case RevisionRequired():
            fault = ValidationError("$.revisionId", "REVISION_REQUIRED", str(error))
            return Problem(400, VALIDATION, str(error), (fault,))
        case AnswerTooLarge():
            return Problem(400, VALIDATION, str(error))
        case TriggersReplaced():
            faults = tuple(
                ValidationError(path, "TRIGGERS_REPLACED", "would be removed; confirm with ?replaceTriggers=true")
                for path in error.paths
            )
            return Problem(409, "CONFLICT", f"{error}; confirm with ?replaceTriggers=true", faults)
        case ConcurrentModification() | StaleChange():
            return Problem(409, "CONFLICT", str(error))
        case UnknownFlow() | UnknownRecord() | RouteNotFound() | OtherPortal():
            return Problem(404, "OBJECT_NOT_FOUND", str(error))
        case Unauthenticated():
            return Problem(401, "INVALID_AUTHENTICATION", str(error))
        case Forbidden():
            return Problem(403, "MISSING_SCOPES", str(error))
        case MethodNotAllowed():
            return Problem(405, "METHOD_NOT_ALLOWED", str(error))
        case BodyTooLarge():
            return Problem(413, VALIDATION, str(error))
        case WrongContentType():
            return Problem(415, VALIDATION, str(error))
        case EventsNotAccepted() | Throttled():
            return Problem(503, "SERVICE_UNAVAILABLE", str(error))
    return None
