"""Records that were stored before property names and list ids had one spelling."""

from collections.abc import Mapping

from msgspec.structs import replace

from enrollment.domain.records.record import Record, TimestampedValue, ValueHistory
from enrollment.domain.values import are_names, read_name


def in_one_spelling(record: Record) -> Record:
    """Return the record with one spelling of each property name and list id. The same object if it has that already."""
    if are_names(record.properties) and are_names(record.memberships):
        return record
    properties, earlier_properties = _merged(record.properties, record.earlier_properties)
    memberships, earlier_memberships = _merged(record.memberships, record.earlier_memberships)
    return replace(
        record,
        properties=properties,
        memberships=memberships,
        earlier_properties=earlier_properties,
        earlier_memberships=earlier_memberships,
    )


def _merged(
    current: Mapping[str, TimestampedValue], earlier: ValueHistory
) -> tuple[Mapping[str, TimestampedValue], ValueHistory]:
    """Values of names that differ in spelling only are one history, in the order of their changes."""
    histories: dict[str, list[TimestampedValue]] = {}
    for name, dated in current.items():
        histories.setdefault(read_name(name), []).extend((*earlier.get(name, ()), dated))
    ordered = {name: sorted(history, key=lambda one: one.changed_at) for name, history in histories.items()}
    return (
        {name: history[-1] for name, history in ordered.items()},
        {name: tuple(history[:-1]) for name, history in ordered.items() if len(history) > 1},
    )
