"""Normalization of records that were stored before property names and list IDs had one spelling."""

from collections.abc import Mapping

from msgspec.structs import replace

from enrollment.domain.records.record import Record, TimestampedValue, ValueHistory
from enrollment.domain.values import are_names, read_name


def in_one_spelling(record: Record) -> Record:
    """Return the record with normalized property names and list IDs (``read_name``). The same object if they are."""
    if are_names(record.properties) and are_names(record.memberships):
        return record
    properties, earlier_properties = _merge_spellings(record.properties, record.earlier_properties)
    memberships, earlier_memberships = _merge_spellings(record.memberships, record.earlier_memberships)
    return replace(
        record,
        properties=properties,
        memberships=memberships,
        earlier_properties=earlier_properties,
        earlier_memberships=earlier_memberships,
    )


def _merge_spellings(
    current: Mapping[str, TimestampedValue], earlier: ValueHistory
) -> tuple[Mapping[str, TimestampedValue], ValueHistory]:
    """Merge the histories of names that differ in spelling only, ordered by the times of the changes."""
    histories: dict[str, list[TimestampedValue]] = {}
    for name, dated in current.items():
        histories.setdefault(read_name(name), []).extend((*earlier.get(name, ()), dated))
    ordered = {name: sorted(history, key=lambda change: change.changed_at) for name, history in histories.items()}
    return (
        {name: history[-1] for name, history in ordered.items()},
        {name: tuple(history[:-1]) for name, history in ordered.items() if len(history) > 1},
    )
