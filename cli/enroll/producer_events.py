"""Events that a person sends or simulates: read them from files, complete them, and check them before they are sent."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from enroll.bus import BusEntry, detail_text
from enroll.files import read_objects
from enroll.output import INVALID, errors, fail
from enrollment.domain.values import Instant, iso

Envelope = dict[str, Any]
"""An event as EventBridge delivers it. ``id`` and ``time`` can be missing: EventBridge sets them."""


@dataclass(frozen=True)
class Changes:
    """What a command changes in the events of its files. ``portal`` None: each event keeps its portal.

    ``needs_id``: an event without an ID of its own gets one, so that it can be found later.
    """

    portal: str | None = None
    at_now: bool = False
    new_id: bool = False
    needs_id: bool = False


@dataclass(frozen=True)
class PreparedEvent:
    """An event to send or simulate. ``source``: where it is from, for messages."""

    source: str
    envelope: Envelope

    @property
    def detail(self) -> Mapping[str, Any]:
        detail = self.envelope.get("detail")
        return detail if isinstance(detail, dict) else {}

    @property
    def event_id(self) -> str:
        """The ID under which the stack knows the event. Empty if EventBridge gives it one."""
        return str(self.detail.get("id") or "")

    @property
    def portal(self) -> str:
        return str(self.detail.get("portalId") or "")

    def entry(self, bus: str) -> BusEntry:
        """Return the entry of PutEvents."""
        return {
            "EventBusName": bus,
            "Source": str(self.envelope["source"]),
            "DetailType": str(self.envelope["detail-type"]),
            "Detail": detail_text(self.envelope["detail"]),
        }

    def delivered(self, now: Instant) -> Envelope:
        """Return the event as the bus would deliver it at this time."""
        return {"id": str(uuid.uuid4()), "time": iso(now), **self.envelope}


def read_events(paths: Sequence[Path], changes: Changes, clock: Callable[[], Instant]) -> list[PreparedEvent]:
    """Read the events in files with one event or a list of them, and apply the changes of the options.

    Ends the command with INVALID if a file has anything else, for example an event that was cut.
    """
    events = [(path, raw) for path in paths for raw in read_objects(path)]
    return [prepare(str(path), _unwrapped(path, raw), changes, clock) for path, raw in events]


def prepare(source: str, envelope: Envelope, changes: Changes, clock: Callable[[], Instant]) -> PreparedEvent:
    """Return the event with the changes of the options, and with clear spellings as the bus needs them."""
    envelope = {**envelope}
    if isinstance(envelope.get("detail-type"), str):
        envelope["detail-type"] = routed_name(envelope["detail-type"])
    if isinstance(envelope.get("detail"), dict):
        envelope["detail"] = _changed(envelope["detail"], changes, clock)
    return PreparedEvent(source, envelope)


def routed_name(name: str) -> str:
    """Return the name by which the bus routes an event: ``forms.submitted`` for ``Forms.Submitted`` or ``4-1639801``.

    A name that stands for no event type, or for a part of one, is unchanged.
    """
    from enrollment.catalog import EVENT_TYPE_IDS, EVENT_TYPES
    from enrollment.domain.values import fold

    if name in EVENT_TYPE_IDS:
        event_type, alias = EVENT_TYPE_IDS[name]
        return name if alias.implies else event_type.name
    return fold(name) if fold(name) in EVENT_TYPES else name


def check_events(events: Sequence[PreparedEvent], now: Instant) -> None:
    """Check events by the rules of the bus. Print a warning for each name that is ignored.

    Ends the command with INVALID if an event breaks a rule, with all faults of all events.
    """
    from enrollment.domain.events.event import InvalidEvent, check_not_in_future
    from enrollment.serialization.envelopes import read_routed_event
    from enrollment.serialization.event_warnings import event_warnings

    faults: list[str] = []
    for event in events:
        try:
            read = read_routed_event(event.delivered(now))
            check_not_in_future(read, now)
        except InvalidEvent as invalid:
            faults += [f"{event.source}: {fault.message} [{fault.reason}]" for fault in invalid.faults]
        else:
            for warning in event_warnings(read):
                errors.print(f"Warning: {event.source}: {warning}", style="yellow")
    if faults:
        fail(["nothing was sent, because Enroll would refuse events:", *faults], INVALID)


def _changed(detail: Mapping[str, Any], changes: Changes, clock: Callable[[], Instant]) -> dict[str, Any]:
    changed = dict(detail)
    if changes.at_now or changed.get("occurredAt") is None:
        changed["occurredAt"] = iso(clock())
    if changes.new_id or (changes.needs_id and changed.get("id") is None):
        changed["id"] = str(uuid.uuid4())
    if changes.portal is not None:
        changed["portalId"] = changes.portal
    for key in ("id", "portalId"):
        # The rule of a buffered category needs a text as the message group.
        if isinstance(changed.get(key), int) and not isinstance(changed[key], bool):
            changed[key] = str(changed[key])
    return changed


def _unwrapped(path: Path, event: Envelope) -> Envelope:
    if "event" in event and "truncated" in event:  # as `enroll unprocessed show` prints it
        fail(
            f"{path}: expected a complete event; got one that was truncated. Restore it first (docs/unprocessed.md)",
            INVALID,
        )
    event = event.get("event", event)  # a sample of events/invalid
    keys = ("detail-type", "source", "detail")
    missing = [key for key in keys if not isinstance(event, dict) or key not in event]
    if missing:
        fail(f"{path}: expected an event as EventBridge delivers it; {', '.join(missing)} is missing", INVALID)
    return event
