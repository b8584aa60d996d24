"""The demonstration portal: its flows and records, the sample events, and the enrollments that must come of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from enroll.local.settings import LocalRunError

FOLDER = Path(__file__).resolve().parents[1] / "demo"

NO_SAMPLES = {"invalid", "schemas"}
"""Folders of `events/` that are no category."""


class Enrollee(NamedTuple):
    """What an enrollment is compared by. Its ids are new in every run, as is the id of an event it announces."""

    flow_id: str
    object_type_id: str
    object_id: str
    event_type: str

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> Enrollee:
        """From a message of the enrollments queue."""
        event_type = message["trigger"]["eventType"]
        return cls(message["flowId"], message["objectTypeId"], message["objectId"], event_type)


@dataclass(frozen=True)
class Demonstration:
    flows: list[dict[str, Any]]
    records: list[dict[str, Any]]
    expected: Counter[Enrollee]

    def differences(self, received: Counter[Enrollee]) -> list[str]:
        """What is missing and what came too much, in words; nothing when the run is as it must be."""
        missing = [f"missing: {_shown(enrollee, count)}" for enrollee, count in (self.expected - received).items()]
        extra = [f"not expected: {_shown(enrollee, count)}" for enrollee, count in (received - self.expected).items()]
        return sorted(missing) + sorted(extra)


def load(folder: Path = FOLDER) -> Demonstration:
    """`flows/*.json`, `records.json`, and `expected.json`: a list of objects with the fields of `Enrollee`.

    An enrollment that is expected more than once (a re-enrolling flow) is listed as often.
    """
    expected = (
        Enrollee(entry["flowId"], entry["objectTypeId"], entry["objectId"], entry["eventType"])
        for entry in _read(folder / "expected.json")
    )
    return Demonstration(
        flows=[_read(file) for file in sorted((folder / "flows").glob("*.json"))],
        records=_read(folder / "records.json"),
        expected=Counter(expected),
    )


def samples(folder: Path) -> list[dict[str, Any]]:
    """The sample events of every category, in the order in which they occurred."""
    files = [file for file in sorted(folder.glob("*/*.json")) if file.parent.name not in NO_SAMPLES]
    events = [_read(file) for file in files]
    # Stable: samples that occurred at the same moment stay in the order of their files' names.
    return sorted(events, key=_occurred_at)


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
