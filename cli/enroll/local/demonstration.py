"""The demonstration portal: its flows and records, the sample events, and the enrollments that must come of them."""

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
"""Folders of `events/` that are no category."""


class Enrollee(NamedTuple):
    """What an enrollment is compared by. Its ids are new in every run, as is the id of an event it announces.

    `event_type` is the type of the event on the bus; the row that triggered may be another that it also satisfies.
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
    """Of the samples, by their ids."""

    def enrollee(self, message: Mapping[str, Any]) -> Enrollee:
        """From a message of the enrollments queue."""
        trigger = message["trigger"]
        event_type = self.event_types.get(trigger["eventId"], trigger["eventType"])
        return Enrollee(message["flowId"], message["objectTypeId"], message["objectId"], event_type)

    def differences(self, received: Counter[Enrollee]) -> list[str]:
        """What is missing and what came too much, in words; nothing when the run is as it must be."""
        missing = [f"missing: {_shown(enrollee, count)}" for enrollee, count in (self.expected - received).items()]
        extra = [f"not expected: {_shown(enrollee, count)}" for enrollee, count in (received - self.expected).items()]
        return sorted(missing) + sorted(extra)


def load(events: Sequence[Mapping[str, Any]], folder: Path = FOLDER) -> Demonstration:
    """`flows/*.json`, `records.json`, and `expected.json`, which names each enrollment by flow, object type, object and
    event: a sample's id, or `workflows.enrolled:<flow>` for one that the system itself puts on the bus.

    An event that is not the first of its kind may arrive first, so that what is compared is the event's type.
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
    """The sample events of every category, in the order in which they occurred."""
    files = [file for file in sorted(folder.glob("*/*.json")) if file.parent.name not in NO_SAMPLES]
    events = [_read(file) for file in files]
    # Stable: samples that occurred at the same moment stay in the order of their files' names.
    return sorted(events, key=_occurred_at)


def occurring_now(events: Sequence[Mapping[str, Any]], now: int) -> list[dict[str, Any]]:
    """The same events in the same order, a millisecond apart from ``now`` (epoch milliseconds): flows enroll by what
    occurs after they were turned on."""
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
        raise LocalRunError(f"The demonstration needs {file}: {error}") from error


def _shown(enrollee: Enrollee, count: int) -> str:
    times = f" ({count} times)" if count > 1 else ""
    record = f"{enrollee.object_type_id}/{enrollee.object_id}"
    return f"record {record} in flow {enrollee.flow_id} by {enrollee.event_type}{times}"
