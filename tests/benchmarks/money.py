"""The cost of a million events, computed from the counted consumption (``counts``) and list prices (``prices``).

An enrolling event is followed by the event that announces the enrollment, which is counted as an event, and by the
consumer, which receives and deletes one message at a time. Stored data is paid until it expires, an enrollment for a
month.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from enroll.local.deployment import load_template
from tests.benchmarks import timers
from tests.benchmarks.counts import (
    ANNOUNCEMENT,
    CHANGES_RECORD,
    CHUNK,
    CREATES,
    ENROLLED_BEFORE,
    ENROLLS,
    ENROLLS_IN_THREE,
    FILTER_FLOWS,
    HISTORY_DAYS,
    NAMED_BY_ALL,
    NAMES_NOTHING,
    NO_FLOW,
    NOT_MATCHED,
    PARTLY_MET,
    REDELIVERED,
    STARTS_TO_MEET,
    Kind,
    counted_on,
    kinds,
)
from tests.benchmarks.durations import MEMORY_MB, TEMPLATE, WAITS, batch_ms, duration_ms
from tests.benchmarks.prices import (
    ALARM_MONTH,
    DASHBOARD_MONTH,
    ELSEWHERE,
    METRIC_MONTH,
    PRICES,
    READ_ON,
    REGION,
)
from tests.benchmarks.tables import Found, Plot, Table
from tests.support.metrics import emitted_metrics

Usage = Mapping[str, float]

ROOT = Path(__file__).parents[2]
GB = 1e9
DAYS_OF_A_MONTH = 30
SECONDS_OF_A_MONTH = DAYS_OF_A_MONTH * 24 * 3600
ARCHIVE_DAYS: int = TEMPLATE["Parameters"]["ArchiveRetentionDays"]["Default"]

# Events in a batch of the buffer.
BATCH = 10

# Lines that Lambda itself logs for an invocation.
LAMBDA_LINES = len(
    "START RequestId: 3b1c2f0e-5f0a-4d3b-9d0e-6c1f5a7e8b90 Version: $LATEST\n"
    "END RequestId: 3b1c2f0e-5f0a-4d3b-9d0e-6c1f5a7e8b90\n"
    "REPORT RequestId: 3b1c2f0e-5f0a-4d3b-9d0e-6c1f5a7e8b90\tDuration: 15.74 ms\tBilled Duration: 16 ms\t"
    "Memory Size: 512 MB\tMax Memory Used: 98 MB\n"
)

# X-Ray traces one request a second of each function, and 5 % of the others.
TRACED_FIRST, TRACED_SHARE = 1, 0.05
EVENTS_A_SECOND = 100

SHARES = (0.0, 0.01, 0.1, 1.0)

# An assumed traffic of a portal of filter-based flows.
FILTER_SHARES = {NAMES_NOTHING: 0.6, NAMED_BY_ALL: 0.2, CREATES: 0.05, PARTLY_MET: 0.1, STARTS_TO_MEET: 0.05}


def usage(kind: Kind, *, is_buffered: bool = False, traced: float = 0) -> Usage:
    """Return the usage of one event by the names of the prices, without its announcement. The events of a batch are
    handled at the same time, so a batch waits once for all of them. Calls that a batch saves by sharing are not counted
    here. ``traced``: the share of invocations that are traced."""
    invocations = 1 / BATCH if is_buffered else 1
    milliseconds = batch_ms([kind] * BATCH) / BATCH if is_buffered else math.ceil(duration_ms(kind))
    stored = (kind.kept_bytes + kind.history_bytes * HISTORY_DAYS / DAYS_OF_A_MONTH) / GB
    return {
        "Lambda, requests": invocations,
        "Lambda, GB-seconds": MEMORY_MB / 1024 * milliseconds / 1000,
        "DynamoDB, reads": sum(kind.reads.values()),
        "DynamoDB, writes": sum(kind.writes.values()),
        "storage, tables": stored,
        "storage, backup of tables": stored,
        "EventBridge, events": math.ceil(kind.bus_bytes / CHUNK),
        "EventBridge, archiving": kind.bus_bytes / GB,
        "storage, archive": kind.bus_bytes / GB * ARCHIVE_DAYS / DAYS_OF_A_MONTH,
        # EventBridge delivers to the buffer without a charge; messages are received and deleted in batches.
        "SQS, standard": 1 + 2 / BATCH if is_buffered else 0,
        "SQS, FIFO": kind.sends + 2 * kind.announces,
        "CloudWatch, logs": (kind.log_bytes + LAMBDA_LINES * invocations) / GB,
        "X-Ray, traces": traced * invocations,
    }


def traced_part(events_a_second: float) -> float:
    """Return the share of one function's invocations that are traced, at a steady rate."""
    first = min(events_a_second, TRACED_FIRST)
    return (first + TRACED_SHARE * (events_a_second - first)) / events_a_second


def with_announcements(counted: Mapping[tuple[str, bool], Kind], name: str, *, has_history: bool, **how: Any) -> Usage:
    kind = counted[name, has_history]
    follows = usage(counted[ANNOUNCEMENT, has_history], **how)
    return added(usage(kind, **how), times(follows, kind.announces))


def of_share(counted: Mapping[tuple[str, bool], Kind], enrolling: float, **how: Any) -> Usage:
    """Return the usage of an average event if this share enrolls, each in one flow. Half of the others have no
    candidate flow; the other half have one that does not match."""
    parts = {ENROLLS: enrolling, NO_FLOW: (1 - enrolling) / 2, NOT_MATCHED: (1 - enrolling) / 2}
    return added(*(times(with_announcements(counted, name, **how), share) for name, share in parts.items()))


def added(*usages: Usage) -> Usage:
    total = Counter[str]()
    for amounts in usages:
        total.update(amounts)  # type: ignore[arg-type] - a Counter adds what is no whole number too
    return total


def times(amounts: Usage, count: float) -> Usage:
    return {name: amount * count for name, amount in amounts.items()}


def cost(used: Usage) -> float:
    return sum(amount * PRICES[name].of_one for name, amount in used.items())


def by_service(used: Usage) -> Mapping[str, float]:
    found = Counter[str]()
    for name, amount in used.items():
        found[name.partition(",")[0]] += amount * PRICES[name].of_one  # type: ignore[assignment]
    return found


# Tables --------------------------------------------------------------------------------------------------------------


def run() -> Found:
    counted = kinds()
    tables = [
        *_counts(counted),
        _bills(counted),
        _filter_based(counted),
        _shares(counted),
        _services(counted),
        _timers(),
        _month(),
        _elsewhere(),
        _prices(),
    ]
    return Found(tables, [_plot(counted)])


def _counts(counted: Mapping[tuple[str, bool], Kind]) -> Iterator[Table]:
    for has_history in (False, True):
        rows = [
            [
                kind.name,
                ", ".join(f"{count} {call}" for call, count in kind.calls.items()),
                f"{sum(kind.reads.values()):g}",
                f"{sum(kind.writes.values()):g}",
                f"{kind.sends}",
                f"{1 + kind.announces}",
                f"{kind.log_bytes + LAMBDA_LINES:,}",
                f"{kind.cpu_ms:.2f}",
                f"{math.ceil(duration_ms(kind))}",
            ]
            for kind in counted.values()
            if kind.has_history == has_history and kind.name not in FILTER_SHARES
        ]
        yield Table(
            f"Counted: an event, {'with' if has_history else 'without'} the history of events",
            [
                "an event that",
                "calls",
                "read units",
                "write units",
                "requests to the queue",
                "events on the bus",
                "bytes logged",
                "CPU, ms",
                "runs for, ms",
            ],
            rows,
            f"CPU time measured on {counted_on()['processor']}, Python {counted_on()['python']}.",
        )


def _bills(counted: Mapping[tuple[str, bool], Kind]) -> Table:
    names = (NO_FLOW, NOT_MATCHED, CHANGES_RECORD, REDELIVERED, ENROLLED_BEFORE, ENROLLS, ENROLLS_IN_THREE)
    rows = [
        [
            name,
            *(
                _usd(cost(with_announcements(counted, name, has_history=has_history)) * 1e6)
                for has_history in (False, True)
            ),
        ]
        for name in names
    ]
    line = counted[NOT_MATCHED, False].log_bytes - counted[NO_FLOW, False].log_bytes
    most = TEMPLATE["Parameters"]["DecidedOneByOne"]["Default"]
    unconfirmed = counted[ENROLLS, True].writes["unconfirmed"]
    net = _usd(unconfirmed * PRICES["DynamoDB, writes"].of_one * 1e6)
    note = (
        f"For one enrollment, {unconfirmed:g} write units are entries in the index of unconfirmed enrollments, which "
        f"ensures that every enrollment is published: {net} a million. "
        f"Each further candidate flow that does not match adds a log line of {line} bytes: "
        f"{_usd(line / GB * PRICES['CloudWatch, logs'].usd * 1e6)} more. If an event has more than {most} candidate "
        "flows, these are counted in one line (`DecidedOneByOne`). With `LogLevel=WARNING` there are no such lines."
    )
    return Table("A million events of one kind", ["events that", "without history", "with history"], rows, note)


def _filter_based(counted: Mapping[tuple[str, bool], Kind]) -> Table:
    # Flows that do not match are counted in one line, as with a small DecidedOneByOne.
    in_one_line = {
        (name, True): replace(
            counted[name, True], log_bytes=counted[ENROLLS if name == STARTS_TO_MEET else NO_FLOW, True].log_bytes
        )
        for name in FILTER_SHARES
    } | {(ANNOUNCEMENT, True): counted[ANNOUNCEMENT, True]}
    columns = [
        {name: with_announcements(of, name, has_history=has_history) for name in FILTER_SHARES}
        for of, has_history in ((counted, False), (counted, True), (in_one_line, True))
    ]
    rows = [
        [
            name,
            ", ".join(f"{count} {call}" for call, count in counted[name, True].calls.items()),
            *(_usd(cost(used[name]) * 1e6) for used in columns),
        ]
        for name in FILTER_SHARES
    ]
    mixed = [added(*(times(used[name], share) for name, share in FILTER_SHARES.items())) for used in columns]
    rows.append(["the mix", "", *(_usd(cost(used) * 1e6) for used in mixed)])
    shares = ", ".join(f"{share:.0%} {name}" for name, share in FILTER_SHARES.items())
    return Table(
        f"A million events of a portal with {FILTER_FLOWS} filter-based flows",
        [
            "an event that",
            "calls, with history",
            "without history",
            "with history",
            "with history, a line for flows that match only",
        ],
        rows,
        f"The mix: {shares}.",
    )


def _shares(counted: Mapping[tuple[str, bool], Kind]) -> Table:
    rows = [
        [
            f"{share:.0%}",
            *(
                _usd(cost(of_share(counted, share, has_history=has_history, is_buffered=is_buffered)) * 1e6)
                for has_history in (False, True)
                for is_buffered in (False, True)
            ),
        ]
        for share in SHARES
    ]
    return Table(
        "A million events, by the share that enrolls",
        [
            "enrolling",
            "direct, without history",
            f"batches of {BATCH}, without history",
            "direct, with history",
            f"batches of {BATCH}, with history",
        ],
        rows,
    )


def _services(counted: Mapping[tuple[str, bool], Kind]) -> Table:
    used = [of_share(counted, share, has_history=True) for share in SHARES]
    services = list(by_service(used[0]))
    rows = [[service, *(_usd(by_service(amounts)[service] * 1e6) for amounts in used)] for service in services]
    kept_a_month = PRICES["storage, tables"].usd + PRICES["storage, backup of tables"].usd
    later = counted[ENROLLS, True].kept_bytes / GB * kept_a_month
    waits = ", ".join(f"{name} {wait:g} ms" for name, wait in WAITS.items())
    note = (
        f"Enrollments are kept: a million of them cost {_usd(later * 1e6)} in each later month. The waits for AWS are "
        f"assumed ({waits}); if they were twice as long, a million events that enroll would cost "
        f"{_usd(_waits_again(counted) * 1e6)} more."
    )
    header = ["service", *(f"{share:.0%} enroll" for share in SHARES)]
    return Table("Where it goes: a million events, direct, with history", header, rows, note)


def _waits_again(counted: Mapping[tuple[str, bool], Kind]) -> float:
    """Return the cost of the waiting times of an enrolling event and its announcement."""
    waits = sum(
        duration_ms(kind) - duration_ms(Kind(**{**kind.__dict__, "calls": {}}))
        for kind in (counted[ENROLLS, True], counted[ANNOUNCEMENT, True])
    )
    return waits / 1000 * MEMORY_MB / 1024 * PRICES["Lambda, GB-seconds"].of_one


def _timers() -> Table:
    parts: Mapping[str, Usage] = {
        "a million items that are due in the course of a day": timers.usage_of_items(timers.MILLION),
        "a month of sweeps that find nothing": times(timers.usage_of_items(0), DAYS_OF_A_MONTH),
    }
    services = list(by_service(next(iter(parts.values()))))
    rows = [
        [name, *(_usd(by_service(used)[each]) for each in services), _usd(cost(used))] for name, used in parts.items()
    ]
    smallest, *_, largest = timers.sizes()
    note = (
        f"An item of a sample event has {smallest} to {largest} bytes, so its write and its deletion take a write unit "
        "each. The messages are sent, received and deleted in batches of ten. The work itself is not included."
    )
    return Table("Due items", ["what", *services, "USD"], rows, note)


def _month() -> Table:
    metrics = len(emitted_metrics("Enroll"))
    alarms = sum(_alarm_metrics(ROOT / "template.yaml"))
    functions = sum(resource["Type"] == "AWS::Serverless::Function" for resource in TEMPLATE["Resources"].values())
    traces = functions * TRACED_FIRST * SECONDS_OF_A_MONTH
    rows = [
        ["custom metrics, at most", f"{metrics}", _usd(metrics * METRIC_MONTH.usd)],
        ["metrics of alarms", f"{alarms}", _usd(alarms * ALARM_MONTH.usd)],
        ["dashboard", "1", _usd(DASHBOARD_MONTH.usd)],
        [
            "traces with `Tracing=Active`, at most: all functions busy every second",
            f"{traces:,}",
            _usd(traces * PRICES["X-Ray, traces"].of_one),
        ],
    ]
    note = (
        "Traces are off unless `Tracing=Active` is set. Up to one event a second of a category, all are traced, $5 for "
        f"a million. At {EVENTS_A_SECOND} a second, {traced_part(EVENTS_A_SECOND):.1%} are traced."
    )
    return Table("A month, whatever the traffic", ["what", "number", "USD"], rows, note)


def _alarm_metrics(path: Path) -> Iterator[int]:
    for resource in load_template(path)["Resources"].values():
        properties = resource["Properties"]
        if resource["Type"] == "AWS::CloudFormation::Stack":
            yield from _alarm_metrics(path.parent / properties["TemplateURL"])
        elif resource["Type"] == "AWS::CloudWatch::Alarm":
            metrics = properties.get("Metrics", [])
            yield sum("MetricStat" in metric or "SELECT" in str(metric.get("Expression")) for metric in metrics) or 1


def _elsewhere() -> Table:
    rows = [
        [alternative.service, alternative.price, alternative.bound_to, alternative.source] for alternative in ELSEWHERE
    ]
    return Table("What others publish", ["instead", "price", "bound to", "read at"], rows)


def _prices() -> Table:
    rows = [[name, f"${price.usd:g}", price.unit, price.page, price.source] for name, price in PRICES.items()]
    return Table(f"Prices: {REGION}, read on {READ_ON}", ["price", "USD", "for a", "AWS's page", "read at"], rows)


def _usd(amount: float) -> str:
    return f"{amount:,.2f}"


def _plot(counted: Mapping[tuple[str, bool], Kind]) -> Plot:
    shares = [number / 100 for number in range(0, 101, 5)]
    curves = {
        f"{'with' if has_history else 'without'} history, {f'batches of {BATCH}' if is_buffered else 'direct'}": [
            (share * 100, cost(of_share(counted, share, has_history=has_history, is_buffered=is_buffered)) * 1e6)
            for share in shares
        ]
        for has_history in (True, False)
        for is_buffered in (False, True)
    }
    return Plot("money", "A million events", "enrolling, %", "USD", curves)
