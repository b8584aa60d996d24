"""The look-up of a portal's filter-based flows for a change of a record (docs/decisions/0022-filter-based-flows.md).
`make bench ARGS=filter-based`.

The times are CPU time of one process, the median of several runs. Events and records are parsed beforehand.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from enrollment.domain.flows.flow import Flow, FlowRevision
from enrollment.domain.flows.record_change import RecordChange, record_change
from enrollment.domain.flows.trigger_index import TriggerIndex
from enrollment.domain.records.record import apply_event
from enrollment.serialization.envelopes import read_routed_event
from enrollment.serialization.flows import read_flow
from tests.benchmarks.tables import Found, Plot, Table
from tests.support import scenario

SIZES = (1_000, 10_000, 100_000)
RUNS = 5
# The maximum duration of a run in seconds, and its maximum number of events.
RUN_SECONDS = 0.5
RUN_EVENTS = 2_000
NOW = 1_795_514_400_000
SHARED_VALUES = 50


class FilterMix(StrEnum):
    SELECTIVE = "an equality that few flows share"
    SHARED = "50 values of one property"
    UNINDEXED = "no equality"


class Cause(StrEnum):
    CREATION = "creation"
    NAMED_BY_ALL = "change of a property that every flow names"
    NAMED_BY_NONE = "change of a property that no flow names"


@dataclass(frozen=True)
class Lookup:
    """``microseconds``: CPU time of an event. ``candidates``: flows whose criteria are evaluated for an event."""

    mix: FilterMix
    flows: int
    cause: Cause
    microseconds: float
    candidates: float


def run() -> Found:
    """Measure all mixes, sizes and causes."""
    lookups = []
    for size in SIZES:
        for mix in FilterMix:
            flows = [_flow(mix, number, size) for number in range(size)]
            lookups += [_lookup(mix, flows, cause) for cause in Cause]
    return Found([_table(lookups)], [_plot(lookups)])


def _flow(mix: FilterMix, number: int, size: int) -> Flow:
    """Return a flow that names ``lifecyclestage``, as most flows of real portals do."""
    filters: list[list[Any]] = [["lifecyclestage", "IS_NOT_EQUAL_TO", "customer", "STRING", True]]
    if mix is FilterMix.SELECTIVE:
        filters.append(["campaign", "IS_EQUAL_TO", f"c{number % max(size // 4, 1)}"])
    elif mix is FilterMix.SHARED:
        filters.append(["country", "IS_ANY_OF", [f"country{number % SHARED_VALUES}"]])
    else:
        filters.append(["jobtitle", "CONTAINS", f"title {number}"])
    document = scenario.flow({"id": number, "filters": filters})
    return read_flow(FlowRevision(scenario.PORTAL, str(number), 1, document, True, 0, 0, 0, criteria_since=0))


def _lookup(mix: FilterMix, flows: Sequence[Flow], cause: Cause) -> Lookup:
    event_type = "crm.object_created" if cause is Cause.CREATION else "crm.property_changed"
    index = TriggerIndex(event_type, flows, groups_of=lambda flow: flow.entry_groups)
    changes = [_change(cause, number, len(flows)) for number in range(200)]
    candidates = statistics.fmean(len(index.matching(change.properties)) for change in changes[:20])
    times = [_microseconds(index.matching, changes) for _ in range(RUNS)]
    return Lookup(mix, len(flows), cause, statistics.median(times), candidates)


def _change(cause: Cause, number: int, size: int) -> RecordChange:
    """Return the change of a contact with the properties that the flows name."""
    properties = {
        "lifecyclestage": "lead",
        "campaign": f"c{number * 7919 % max(size // 4, 1)}",
        "country": f"country{number % SHARED_VALUES}",
        "jobtitle": "engineer",
        "email": f"{number}@example.com",
    }
    creation = _event({"crm.object_created": str(number), "id": f"created{number}", "record": properties})
    record = apply_event(None, creation)
    event = creation
    if cause is not Cause.CREATION:
        name = "lifecyclestage" if cause is Cause.NAMED_BY_ALL else "phone"
        fields = {"id": f"changed{number}", "properties": {"hs_name": name, "hs_value": "opportunity"}}
        event = _event({"crm.property_changed": str(number), "at": scenario.at(60), **fields})
        record = apply_event(record, event)
    change = record_change(event, record)
    assert change is not None
    return change


def _event(fields: dict[str, Any]) -> Any:
    return read_routed_event(scenario.event(fields)).evaluated(NOW)


def _microseconds(matching: Callable[[Any], Any], changes: Sequence[RecordChange]) -> float:
    done, started = 0, time.process_time()
    while done < RUN_EVENTS and time.process_time() - started < RUN_SECONDS:
        matching(changes[done % len(changes)].properties)
        done += 1
    return (time.process_time() - started) / done * 1e6


def _table(lookups: Sequence[Lookup]) -> Table:
    rows = [
        [
            str(lookup.mix),
            str(lookup.cause),
            f"{lookup.flows:,}",
            f"{lookup.candidates:,.1f}",
            f"{lookup.microseconds:,.1f}",
        ]
        for lookup in sorted(
            lookups,
            key=lambda lookup: (list(FilterMix).index(lookup.mix), list(Cause).index(lookup.cause), lookup.flows),
        )
    ]
    return Table("Filter-based flows", ["filters", "event", "flows", "flows evaluated", "µs an event"], rows)


def _plot(lookups: Sequence[Lookup]) -> Plot:
    curves = {
        str(mix): [
            (lookup.flows, lookup.microseconds)
            for lookup in lookups
            if lookup.mix is mix and lookup.cause is Cause.NAMED_BY_ALL
        ]
        for mix in FilterMix
    }
    title = "Finding the filter-based flows of a change that every flow names"
    return Plot("filter-based", title, "flows of the portal", "µs an event", curves, has_log_x=True, has_log_y=True)
