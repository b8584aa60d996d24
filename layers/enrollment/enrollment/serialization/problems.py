"""The error envelope of the HTTP API, which is HubSpot's."""

from collections.abc import Sequence
from typing import Any

from enrollment.serialization.validation_errors import ValidationError


def write_problem(
    category: str, message: str, correlation_id: str, faults: Sequence[ValidationError] = ()
) -> dict[str, Any]:
    """Return the envelope. ``errors`` has an entry for each fault; it is absent if there is none."""
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
    """Return one entry of ``errors``. ``in`` is the JSON path or the name of the parameter."""
    context = {
        **({"didYouMean": [fault.meant]} if fault.meant else {}),
        **({"ids": list(fault.ids)} if fault.ids else {}),
        **{name: [value] for name, value in fault.facts},
    }
    return {"message": fault.message, "in": fault.path, "code": fault.code, "context": context}
