"""The demonstration portal: its flows, its records, the sample events, and the enrollments that they must cause."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from enroll.local.settings import LocalRunError

FOLDER = Path(__file__).resolve().parents[1] / "demo"

NO_SAMPLES = {"invalid", "schemas"}
"""Folders of `events/` that do not contain samples of a category."""


class Enrollee(NamedTuple):
    """The part of an enrollment that is the same in every run. Enrollment IDs and the IDs of announcements are not.

    `event_type` is the type of the event on the bus. The event can also satisfy triggers of other types.
    """

    flow_id: str
    object_type_id: str
    object_id: str
    event_type: str


@dataclass(frozen=True)
class Demonstration:
    flows: list[dict[str, Any]]
    records: list[dict[str, Any]]
    expected: Counter[Enrollee]
    event_types: Mapping[str, str] = field(default_factory=dict)
    """Types of the samples, by event ID."""

    def enrollee(self, message: Mapping[str, Any]) -> Enrollee:
        """Return the comparable part of a message of the enrollments queue."""
        trigger = message["trigger"]
        event_type = self.event_types.get(trigger["eventId"], trigger["eventType"])
        return Enrollee(message["flowId"], message["objectTypeId"], message["objectId"], event_type)

    def differences(self, received: Counter[Enrollee]) -> list[str]:
        """Return a line for each missing and each unexpected enrollment. Empty if the run was as expected."""
        missing = [f"missing: {_shown(enrollee, count)}" for enrollee, count in (self.expected - received).items()]
        extra = [f"not expected: {_shown(enrollee, count)}" for enrollee, count in (received - self.expected).items()]
        return sorted(missing) + sorted(extra)


def load(events: Sequence[Mapping[str, Any]], folder: Path = FOLDER) -> Demonstration:
    """Load the demonstration from `flows/*.json`, `records.json` and `expected.json`. Raises LocalRunError.

    `expected.json` identifies an enrollment by flow, object type, object and event. The event is the ID of a sample, or
    `workflows.enrolled:<flow>` for an event that the system itself puts on the bus.

    Events are compared by type: of several matching events, the one that is processed first enrolls the record.
    """
    types = {event["detail"].get("id", event["id"]): event["detail-type"] for event in events}
    expected = (
        Enrollee(flow, object_type, object_id, types.get(event_id) or event_id.partition(":")[0])
        for flow, object_type, object_id, event_id in _read(folder / "expected.json")["enrollments"]
    )
    return Demonstration(
        flows=[_read(file) for file in sorted((folder / "flows").glob("*.json"))],
        records=_read(folder / "records.json"),
        expected=Counter(expected),
        event_types=types,
    )


def samples(folder: Path) -> list[dict[str, Any]]:
    """Return the sample events of all categories, ordered by the time at which they occurred."""
    files = [file for file in sorted(folder.glob("*/*.json")) if file.parent.name not in NO_SAMPLES]
    events = [_read(file) for file in files]
    # The sort is stable: samples of the same time stay in the order of their file names.
    return sorted(events, key=_occurred_at)


def occurring_now(events: Sequence[Mapping[str, Any]], now: int) -> list[dict[str, Any]]:
    """Return the events in the same order, one millisecond apart, starting at ``now`` (epoch milliseconds).

    A flow enrolls only records of events that occur after it was turned on.
    """
    return [
        {**event, "time": _iso(now + number), "detail": {**event["detail"], "occurredAt": now + number}}
        for number, event in enumerate(events)
    ]


def _iso(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat()


def _occurred_at(event: Mapping[str, Any]) -> datetime:
    moment = event["detail"].get("occurredAt", event["time"])
    if isinstance(moment, int | float):
        return datetime.fromtimestamp(moment / 1000, UTC)
    return datetime.fromisoformat(moment)


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LocalRunError(f"The demonstration cannot read {file}: {error}") from error


def _shown(enrollee: Enrollee, count: int) -> str:
    times = f" ({count} times)" if count > 1 else ""
    record = f"{enrollee.object_type_id}/{enrollee.object_id}"
    return f"record {record} in flow {enrollee.flow_id} by {enrollee.event_type}{times}"
