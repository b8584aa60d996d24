"""Find all faults of an event that is invalid, so that its source can correct them at once."""

from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from enrollment.domain.events.event import InvalidEvent
from enrollment.domain.events.event_types import EventType, IsNotTrue
from enrollment.domain.values import Properties
from enrollment.serialization.event_fields import (
    check_bool,
    check_property,
    check_required,
    check_trust,
    checked_record_properties,
    checked_time,
    properties_of,
    raw_snapshot,
    read_chain,
    read_detail,
    read_event_type,
    read_id_field,
    read_object_id,
    read_object_type,
    read_text_field,
)

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# Further faults of one event. A source that breaks more rules corrects these first.
MAX_FURTHER_FAULTS = 20


def faults_after(
    first: InvalidEvent, envelope: object, category: str, allowed_bytes: int, *, is_stored: bool
) -> tuple[InvalidEvent, ...]:
    """Return the other faults of an event, in the order of the rules. Two faults of one field are one.

    ``first``: the fault with which ``read_event`` rejected the event; the further parameters are those of
    ``read_event``.
    """
    if not isinstance(envelope, dict):
        return ()
    search = _FaultSearch()
    search.envelope(envelope, category, allowed_bytes, is_stored=is_stored)
    by_field = {fault.field: fault for fault in reversed(search.faults) if fault.field != first.field}
    return tuple(reversed(by_field.values()))[:MAX_FURTHER_FAULTS]


class _FaultSearch:
    """Checks each field on its own. ``faults``: those that were found so far."""

    def __init__(self) -> None:
        self.faults: list[InvalidEvent] = []

    def envelope(self, envelope: Mapping[str, Any], category: str, allowed_bytes: int, *, is_stored: bool) -> None:
        event_type = self._attempt(read_event_type, envelope, category)
        detail = self._attempt(read_detail, envelope, allowed_bytes)
        self._attempt(checked_time, "time", envelope.get("time"), "INVALID_ENVELOPE")
        self._attempt(read_text_field, envelope, "", "id", 128, "INVALID_ENVELOPE")
        source = self._attempt(read_text_field, envelope, "", "source", 256, "INVALID_ENVELOPE")
        if detail is None:
            return
        if event_type is not None and source is not None and not is_stored:
            self._attempt(check_trust, event_type, source, detail)
        self._detail(detail, event_type)

    def _detail(self, detail: Mapping[str, Any], event_type: EventType | None) -> None:
        if detail.get("occurredAt") is not None:
            self._attempt(checked_time, "detail.occurredAt", detail["occurredAt"])
        self._attempt(read_object_type, detail)
        self._properties(detail, event_type)
        if detail.get("id") is not None:
            self._attempt(read_id_field, detail, "id", 128)
        self._attempt(read_id_field, detail, "portalId", 64)
        self._attempt(read_object_id, detail.get("objectId"))
        self._record_properties("detail.record.properties", self._attempt(raw_snapshot, detail))
        self._record_properties("detail.changedWith", detail.get("changedWith"))
        self._attempt(read_chain, detail.get("chain"))

    def _properties(self, detail: Mapping[str, Any], event_type: EventType | None) -> None:
        raw_properties = detail.get("properties")
        properties = {} if raw_properties is None else self._attempt(properties_of, "detail.properties", raw_properties)
        if properties is None:
            return
        wrong = self._check_all("detail.properties", properties)
        if event_type is None:
            return
        for name in event_type.required:
            if name not in wrong:
                self._attempt(check_required, event_type, name, properties)
        for rule in event_type.rules:
            if isinstance(rule, IsNotTrue) and rule.property not in wrong:
                self._attempt(check_bool, rule.property, properties.get(rule.property))

    def _record_properties(self, field: str, raw_properties: object) -> None:
        properties = None if raw_properties is None else self._attempt(properties_of, field, raw_properties)
        if properties is not None and not self._check_all(field, properties):
            self._attempt(checked_record_properties, field, properties)

    def _check_all(self, field: str, properties: Properties) -> set[str]:
        """Check each property. Return the names of those that are wrong."""
        wrong = set[str]()
        for name, value in properties.items():
            before = len(self.faults)
            self._attempt(check_property, field, name, value)
            if len(self.faults) > before:
                wrong.add(name)
        return wrong

    def _attempt(
        self, check: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result | None:
        """Return the result of a check, or None if it found a fault."""
        try:
            return check(*args, **kwargs)
        except InvalidEvent as fault:
            self.faults.append(fault)
            return None
