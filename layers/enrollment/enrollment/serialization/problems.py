"""The error envelope, which is HubSpot's."""

from collections.abc import Sequence
from typing import Any

from enrollment.serialization.validation_errors import ValidationError


def write_problem(
    category: str, message: str, correlation_id: str, faults: Sequence[ValidationError] = ()
) -> dict[str, Any]:
    """``errors`` has one for each fault, ``in`` its JSON path or the name of the parameter."""
    problem: dict[str, Any] = {
        "status": "error",
        "message": message,
        "correlationId": correlation_id,
        "category": category,
    }
    if faults:
        problem["errors"] = [write_fault(fault) for fault in faults]
    return problem


def write_fault(fault: ValidationError) -> dict[str, Any]:
    context = {"didYouMean": [fault.meant]} if fault.meant else {}
    return {"message": fault.message, "in": fault.path, "code": fault.code, "context": context}
