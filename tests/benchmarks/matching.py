"""The cost of the trigger index (docs/decisions/0012-trigger-index.md): an event by the number of flows, building and
changing the index, and published rule matchers in comparison. `make bench ARGS=matching`.

All figures are CPU time of one process, the median of several runs. Events are parsed beforehand.
"""

import gc
import random
import statistics
import time
import tracemalloc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from enrollment.domain.flows.flow import Flow
from enrollment.domain.flows.trigger_index import TriggerIndex
from enrollment.domain.values import Properties
from tests.benchmarks import rule_matchers
from tests.benchmarks.tables import Found, Plot, Table
from tests.benchmarks.workload import Mix, Workload, workload

SIZES = (100, 1_000, 10_000, 100_000)
RUNS = 7
# The maximum duration of a run in seconds. Slow variants process fewer events.
RUN = 1.0
CHANGES = 2_000

Indexes = Mapping[str, TriggerIndex]


@dataclass(frozen=True)
class Matching:
    """Microseconds an event. ``naive``: when every flow of the event's type is evaluated."""

    mix: Mix
    flows: int
    index: float
    naive: float
    matches: float


@dataclass(frozen=True)
class Upkeep:
    """``build``: seconds. ``without_gc``: seconds with the garbage collector paused. ``bytes``: memory of the index
    beyond the flows. ``exchange`` and ``slow_exchange``: microseconds to replace a flow, median and 99th percentile."""

    flows: int
    build: float
    without_gc: float
    bytes: int
    exchange: float
    slow_exchange: float


def run() -> Found:
    matching: list[Matching] = []
    upkeep: list[Upkeep] = []
    for size in SIZES:
        for mix in Mix:
            portal = workload(mix, size)
            matching.append(_matching(portal))
            if mix is Mix.SELECTIVE:
                upkeep.append(_upkeep(portal))
    return Found(
        [
            _matching_table(matching, _growth(1_000, 100_000)),
            _upkeep_table(upkeep),
            _others_table(rule_matchers.measure()),
        ],
        [_plot(matching)],
    )


def _built(portal: Workload) -> Indexes:
    return {event_type: TriggerIndex(event_type, flows) for event_type, flows in portal.flows.items()}


def _matching(portal: Workload) -> Matching:
    indexes = _built(portal)
    expected, naive = _naive(portal)
    found = []
    started = time.process_time()
    for event_type, properties in portal.events:
        found.append(indexes[event_type].matching(properties))
        if time.process_time() - started > RUN:
            break
    for flows, sequence in zip(expected, found, strict=False):
        assert flows == {satisfied.flow.id for satisfied in sequence}
    events = portal.events[: len(found)]
    runs = [_one_run(indexes, events) for _ in range(RUNS)]
    return Matching(portal.mix, portal.size, statistics.median(runs), naive, statistics.fmean(map(len, found)))


def _one_run(indexes: Indexes, events: Sequence[tuple[str, Properties]]) -> float:
    bound = [(indexes[event_type].matching, properties) for event_type, properties in events]
    started = time.process_time()
    for matching, properties in bound:
        matching(properties)
    return (time.process_time() - started) / len(bound) * 1e6


def _growth(small: int, large: int) -> float:
    """Return the ratio of the times of events that match nothing. The two portals take turns, so that other load on the
    machine affects both. Both use the events of the large portal: the events of the small portal have few ids, which
    stay in the processor's cache."""
    portals = [workload(Mix.NO_MATCH, size) for size in (small, large)]
    events = portals[-1].events
    indexes = [_built(portal) for portal in portals]
    assert not any(index[event_type].matching(properties) for index in indexes for event_type, properties in events)
    runs = [[_one_run(index, events) for index in indexes] for _ in range(3 * RUNS)]
    return statistics.median(large / small for small, large in runs) - 1


def _naive(portal: Workload) -> tuple[Sequence[set[str]], float]:
    """Return the flows of each event and the time of one event. Measured once, because it takes long."""
    found = []
    started = time.process_time()
    for event_type, properties in portal.events:
        found.append({flow.id for flow in portal.flows[event_type] if _is_satisfied(flow, event_type, properties)})
        if time.process_time() - started > RUN:
            break
    return found, (time.process_time() - started) / len(found) * 1e6


def _is_satisfied(flow: Flow, event_type: str, properties: Mapping[str, object]) -> bool:
    return any(group.event_type == event_type and group.failure(properties) is None for group in flow.groups)


def _upkeep(portal: Workload) -> Upkeep:
    builds, paused = [], []
    for _ in range(3):
        builds.append(_build_time(portal))
        gc.disable()
        paused.append(_build_time(portal))
        gc.enable()
    tracemalloc.start()
    indexes = _built(portal)
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    exchanges = sorted(_exchanges(portal, indexes))
    return Upkeep(
        portal.size,
        statistics.median(builds),
        statistics.median(paused),
        size,
        statistics.median(exchanges),
        exchanges[len(exchanges) * 99 // 100],
    )


def _build_time(portal: Workload) -> float:
    gc.collect()
    started = time.process_time()
    indexes = _built(portal)
    taken = time.process_time() - started
    del indexes
    return taken


def _exchanges(portal: Workload, indexes: Indexes) -> Sequence[float]:
    """Replace flows with other flows of the same event type."""
    dice = random.Random("changes")
    found = []
    for _ in range(CHANGES):
        event_type = dice.choice(portal.events)[0]
        flows = portal.flows[event_type]
        if not flows:
            continue
        changed = replace(dice.choice(flows), groups=dice.choice(flows).groups)
        started = time.process_time_ns()
        indexes[event_type].put(changed)
        found.append((time.process_time_ns() - started) / 1000)
    return found


def _matching_table(found: Sequence[Matching], growth: float) -> Table:
    rows = [
        [
            str(matching.mix),
            f"{matching.flows:,}",
            f"{matching.matches:,.1f}",
            f"{matching.index:,.1f}",
            f"{1e6 / matching.index:,.0f}",
            f"{matching.index / matching.matches:.2f}" if matching.matches else "",
            f"{matching.naive:,.0f}",
        ]
        for matching in sorted(found, key=lambda measured: list(Mix).index(measured.mix))
    ]
    header = ["mix", "flows", "matches an event", "µs an event", "events a second", "µs a match", "naive, µs an event"]
    return Table(
        "Matching an event",
        header,
        rows,
        f"From 1,000 to 100,000 flows of which none matches, by turns: {growth:+.0%}.",
    )


def _upkeep_table(found: Sequence[Upkeep]) -> Table:
    rows = [
        [
            f"{upkeep.flows:,}",
            f"{upkeep.build:.3f}",
            f"{upkeep.without_gc:.3f}",
            f"{upkeep.bytes / 1e6:.1f}",
            f"{upkeep.exchange:.0f}",
            f"{upkeep.slow_exchange:.0f}",
        ]
        for upkeep in found
    ]
    header = ["flows", "build, s", "collector paused, s", "memory, MB", "exchange of a flow, µs", "99th percentile, µs"]
    return Table("The index of a portal", header, rows)


def _others_table(found: Sequence[rule_matchers.Measured]) -> Table:
    index = found[0].microseconds
    rows = [
        [matcher.name, matcher.way, f"{matcher.microseconds:,.1f}", f"{matcher.microseconds / index:,.0f} ×"]
        for matcher in found
    ]
    title = f"Rule matchers at {rule_matchers.FLOWS:,} flows"
    return Table(title, ["matcher", "how", "µs an event", "to the index"], rows, "All found the same flows.")


def _plot(found: Sequence[Matching]) -> Plot:
    curves = {
        f"index, {mix}": [(matching.flows, matching.index) for matching in found if matching.mix is mix] for mix in Mix
    }
    curves["naive, selective"] = [
        (matching.flows, matching.naive) for matching in found if matching.mix is Mix.SELECTIVE
    ]
    title = "Finding the flows that an event satisfies"
    return Plot("matching", title, "flows of the portal", "µs an event", curves, has_log_x=True, has_log_y=True)
