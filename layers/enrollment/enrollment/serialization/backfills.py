"""Reading of requests for backfills, and writing of runs."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from enrollment.domain.enrollment.decisions import Code
from enrollment.domain.enrollment.runs import MAX_RECORDS_PER_SECOND, Run
from enrollment.domain.values import iso
from enrollment.serialization.flow_keys import unknown_keys
from enrollment.serialization.requests import BodyReader, refuse
from enrollment.serialization.validation_errors import expectation, expectation_of

# The largest number of records that a caller can confirm.
MAX_CONFIRMED = 10**12
_REQUEST = frozenset({"dryRun", "recordsPerSecond", "dryRunId", "confirm"})


class BackfillInput(Struct, frozen=True):
    """The body of a request. None: the key is absent."""

    is_dry_run: bool
    records_per_second: int | None
    dry_run_id: str | None
    confirm: int | None


def read_backfill(body: Any) -> BackfillInput:
    """Read ``{"dryRun": true}``, or ``{"dryRun": false}`` with ``dryRunId`` or ``confirm``, and ``recordsPerSecond`` in
    each case. Raises InvalidRequest with all faults."""
    reader = BodyReader()
    document = reader.mapping(body, "$")
    reader.faults += unknown_keys(document, _REQUEST, "$")
    is_dry_run = document.get("dryRun")
    if isinstance(body, dict) and not isinstance(is_dry_run, bool):
        reader.fault("$.dryRun", "WRONG_TYPE", expectation("true or false", is_dry_run))
    pace = _number(reader, document, "recordsPerSecond", 1, MAX_RECORDS_PER_SECOND)
    confirm = _number(reader, document, "confirm", 0, MAX_CONFIRMED)
    raw_dry_run_id = document.get("dryRunId")
    dry_run_id = None if raw_dry_run_id is None else reader.id(raw_dry_run_id, "$.dryRunId")
    if is_dry_run is False and dry_run_id is None and confirm is None and not reader.faults:
        expected = "the dryRunId of a dry run that is done, or confirm with the number of records of the type"
        reader.fault("$", "CONFIRMATION_REQUIRED", expectation_of(expected, "neither"))
    reader.finish()
    return BackfillInput(bool(is_dry_run), pace, dry_run_id, confirm)


def _number(reader: BodyReader, document: Mapping[str, Any], name: str, minimum: int, maximum: int) -> int | None:
    value = document.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
        expected = f"a whole number from {minimum} to {maximum:,}"
        reader.fault(f"$.{name}", "WRONG_TYPE", expectation(expected, value))
        return None
    return value


def read_confirm(value: str | None) -> int | None:
    """Return the number of records of the query parameter ``confirm``. Raises InvalidRequest."""
    if value is None:
        return None
    is_number = value.isascii() and value.isdigit() and len(value) <= len(str(MAX_CONFIRMED))
    if not is_number or int(value) > MAX_CONFIRMED:
        raise refuse("confirm", "WRONG_TYPE", expectation("the number of records, for example 1200", value))
    return int(value)


def write_run(run: Run, counts: Mapping[Code, int]) -> dict[str, Any]:
    """Return a run with its counts by code."""
    return {
        "id": run.id,
        "kind": run.kind.value,
        "flowId": run.flow_id,
        "flowRevisionId": str(run.revision),
        "objectTypeId": run.object_type_id,
        "isDryRun": run.is_dry_run,
        "status": run.status.value,
        "because": run.because,
        "recordsPerSecond": run.records_per_second,
        "records": run.records,
        "evaluated": sum(counts.values()),
        "decisions": {code.value: number for code, number in counts.items()},
        "startedBy": run.caller,
        "startedAt": iso(run.started_at),
        "endedAt": None if run.ended_at is None else iso(run.ended_at),
    }
