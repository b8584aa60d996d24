"""Measure 1, 10 and 100 thousand events a second: which limit is reached first, how to raise it (``limits``), and what
happens beyond it (``simulation``)."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

from tests.benchmarks.counts import CHANGES_RECORD, ENROLLS, NOT_MATCHED, Kind, kinds
from tests.benchmarks.limits import LIMITS, RAISED, Scenario, Stream, reached, taken
from tests.benchmarks.simulation import (
    BATCH,
    ENDS_AFTER_SECONDS,
    MAPPING_FIRST,
    MAPPING_MORE,
    MAPPING_MOST,
    SIMULATED,
    TRAFFIC_SECONDS,
    Outcome,
    simulated,
)
from tests.benchmarks.tables import Found, Plot, Table

RATES = (1_000, 10_000, 100_000)


def _even(**hot: float) -> list[Stream]:
    """One event in ten enrolls. The busiest portal has 2 % of the events of one type."""
    return [
        Stream("not matched", 0.9, NOT_MATCHED, "website", of_type=0.02, **hot),
        Stream("enrolling", 0.1, ENROLLS, "forms", of_type=0.02, of_flow=0.01, **hot),
    ]


IMPORT = Scenario(
    "one portal imports",
    [
        Stream("the import", 0.9, CHANGES_RECORD, "crm", of_type=1.0),
        Stream("other portals, same category", 0.05, CHANGES_RECORD, "crm"),
        Stream("other categories", 0.05, NOT_MATCHED, "forms"),
    ],
)
SCENARIOS = (
    Scenario("even", _even()),
    Scenario("one flow takes all", [Stream("enrolling", 1.0, ENROLLS, "forms", of_type=1.0, of_flow=1.0)]),
    Scenario("one record has 10 %", _even(of_record=0.1)),
    IMPORT,
)


def run() -> Found:
    counted = kinds()
    outcomes = {
        (scenario.name, rate, is_buffered): simulated(scenario, rate, is_buffered=is_buffered)
        for scenario in SCENARIOS
        for rate in RATES
        for is_buffered in (False, True)
    }
    raised = {
        (scenario.name, RATES[-1], is_buffered): simulated(scenario, RATES[-1], is_buffered=is_buffered, limits=RAISED)
        for scenario in SCENARIOS
        for is_buffered in (False, True)
    }
    tables = [
        _limits(counted),
        _needed(counted),
        Table("A minute of traffic", PLAYED, _rows(outcomes), NOTE),
        Table("The same with every quota tenfold", PLAYED, _rows(raised)),
    ]
    return Found(tables, [_backlogs(outcomes), _import(outcomes)])


def _limits(counted: Mapping[tuple[str, bool], Kind]) -> Table:
    rows = [
        [scenario.name if not number else "", name, f"{rate:,.0f}", LIMITS[name].of, LIMITS[name].lifted_by]
        for scenario in SCENARIOS
        for number, (name, rate) in enumerate(reached(scenario, counted)[:4])
    ]
    header = ["traffic", "limit", "reached at events/s", "unit", "how to raise it"]
    return Table("The first limits, events delivered directly, with history", header, rows)


def _needed(counted: Mapping[tuple[str, bool], Kind]) -> Table:
    units = taken(SCENARIOS[0], counted)
    rows = [
        [name, LIMITS[name].of, f"{LIMITS[name].a_second:,.0f}", *(f"{units[name] * rate:,.0f}" for rate in RATES)]
        for name, _ in reached(SCENARIOS[0], counted)
    ]
    return Table(
        "Units that even traffic needs", ["limit", "unit", "available", *(f"at {rate:,}/s" for rate in RATES)], rows
    )


PLAYED = [
    "traffic",
    "events/s",
    "way",
    "p50, s",
    "p95, s",
    "p99, s",
    "largest backlog",
    "all decided after, s",
    "kept as unprocessed",
    "refused most",
]
NOTE = (
    f"{TRAFFIC_SECONDS} s of traffic; seconds from put to decided. «direct»: Lambda's own queue; «buffer»: batches of "
    f"{BATCH} from a fair queue, whose mapping begins with {MAPPING_FIRST} batches at once and takes "
    f"{MAPPING_MORE} more each second, up to {MAPPING_MOST:,}."
)


Outcomes = Mapping[tuple[str, float, bool], Outcome]


def _rows(outcomes: Outcomes) -> list[list[str]]:
    """Return one row for all of the traffic; for an import, one row for each of its streams."""
    return [
        row
        for scenario in SCENARIOS
        for (name, rate, is_buffered), outcome in outcomes.items()
        if name == scenario.name
        for row in _rows_of(scenario, rate, is_buffered, outcome)
    ]


def _rows_of(scenario: Scenario, rate: float, is_buffered: bool, outcome: Outcome) -> Iterator[list[str]]:
    streams = {"": list(itertools.chain.from_iterable(outcome.latencies.values()))}
    if scenario is IMPORT:
        streams = {f": {stream.name}": outcome.latencies[stream.name] for stream in scenario.streams}
    is_over = outcome.backlog[-1][1] == 0
    refused = outcome.refused.most_common(1)
    for name, latencies in streams.items():
        yield [
            f"{scenario.name}{name}",
            f"{rate:,.0f}",
            "buffer" if is_buffered else "direct",
            *(f"{_percentile(latencies, part):,.2f}" for part in (0.5, 0.95, 0.99)),
            f"{max(number for _, number in outcome.backlog):,.0f}",
            f"{outcome.ended:,.0f}" if is_over else f"more than {ENDS_AFTER_SECONDS:,}",
            f"{outcome.given_up.total() * max(rate / SIMULATED, 1):,.0f}",
            refused[0][0] if refused else "",
        ]


def _backlogs(outcomes: Outcomes) -> Plot:
    rate = 10_000
    curves = {
        f"{name}, {'buffer' if is_buffered else 'direct'}": outcome.backlog
        for (name, at, is_buffered), outcome in outcomes.items()
        if at == rate and name != SCENARIOS[0].name
    }
    title = f"A minute of {rate:,} events a second: put and not yet decided"
    return Plot("backlog", title, "seconds", "events", curves)


def _import(outcomes: Outcomes) -> Plot:
    curves = {
        f"{stream.name}, {'buffer' if is_buffered else 'direct'}": [
            (rate, _percentile(outcomes[IMPORT.name, rate, is_buffered].latencies[stream.name], 0.95)) for rate in RATES
        ]
        for stream in IMPORT.streams
        for is_buffered in (False, True)
    }
    title = "An import of one portal: until 95 % of the events are decided"
    return Plot("import", title, "events a second, 90 % of them imported", "seconds", curves, True, True)


def _percentile(latencies: Sequence[float], part: float) -> float:
    return sorted(latencies)[int(len(latencies) * part)]
