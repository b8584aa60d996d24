"""The events a second at which each limit is reached, and how to raise it: what an event consumes (``counts``) against
the available capacity."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from enrollment.adapters.dynamodb import enrollments
from enrollment.adapters.dynamodb import event_history as history
from tests.benchmarks.counts import ANNOUNCEMENT, Kind
from tests.benchmarks.durations import duration_ms

PARTITION_READS, PARTITION_WRITES = 3_000, 1_000


@dataclass(frozen=True)
class Limit:
    """``a_second``: units a second; for executions, the number of concurrent ones."""

    a_second: float
    of: str
    lifted_by: str


# Quotas of US East (N. Virginia) and Europe (Ireland) in AWS's documentation. Other regions have lower quotas.
LIMITS: Mapping[str, Limit] = {
    "PutEvents": Limit(10_000, "requests, the sources' of ten events each", "quota of EventBridge"),
    "rules": Limit(18_750, "invocations of rules", "quota of EventBridge; what is more is delayed, not lost"),
    "executions": Limit(
        1_000, "executions at once in the account", "quota of Lambda; a buffer in front of the category"
    ),
    "version": Limit(
        PARTITION_READS,
        "reads of one portal's version of one event type",
        "a buffer, which reads it once a batch",
    ),
    "flows, reads": Limit(40_000, "read units of the table", "quota of DynamoDB"),
    "records, reads": Limit(40_000, "read units of the table", "quota of DynamoDB"),
    "records, writes": Limit(40_000, "write units of the table", "quota of DynamoDB; EventHistoryDays=0"),
    "enrollments, reads": Limit(40_000, "read units of the table", "quota of DynamoDB"),
    "enrollments, writes": Limit(40_000, "write units of the table", "quota of DynamoDB"),
    "record, reads": Limit(PARTITION_READS, "read units of one record", "none: one item has one place"),
    "record, writes": Limit(PARTITION_WRITES, "write units of one record", "EventHistoryDays=0 halves them; else none"),
    "record's enrollments, writes": Limit(PARTITION_WRITES, "write units of one record's enrollments", "none"),
    "by-flow": Limit(
        enrollments.SHARDS * PARTITION_WRITES, "entries of one flow in the index", "SHARDS in adapters/enrollments.py"
    ),
    "unconfirmed": Limit(
        enrollments.UNCONFIRMED_SHARDS * PARTITION_WRITES,
        "entries of all portals in the index of unconfirmed enrollments",
        "UNCONFIRMED_SHARDS in adapters/enrollments.py",
    ),
    "by-event-type": Limit(
        history.SHARDS * PARTITION_WRITES,
        "entries of one portal's event type in the index",
        "SHARDS in adapters/dynamodb/event_history.py; EventHistoryDays=0",
    ),
    "queue": Limit(70_000, "requests to the enrollments queue", "quota of SQS"),
    "queue, one record": Limit(300, "requests to the queue for one record", "none: its messages are in order"),
}

RAISED: Mapping[str, Limit] = {
    name: replace(limit, a_second=limit.a_second * 10) if limit.lifted_by.startswith("quota") else limit
    for name, limit in LIMITS.items()
}

# The subject of each of these limits. The other limits apply to all events together.
HOT: Mapping[str, str] = {
    "version": "type",
    "by-event-type": "type",
    "by-flow": "flow",
    "record, reads": "record",
    "record, writes": "record",
    "record's enrollments, writes": "record",
    "queue, one record": "record",
}


@dataclass(frozen=True)
class Stream:
    """``of_type``, ``of_flow``, ``of_record``: the share of its events in the busiest portal and event type, flow, or
    record. The load of all others is too small to reach a limit."""

    name: str
    share: float
    kind: str
    function: str
    of_type: float = 0.0
    of_flow: float = 0.0
    of_record: float = 0.0


@dataclass(frozen=True)
class Scenario:
    name: str
    streams: Sequence[Stream]


def demand(kind: Kind, *, hot_type: bool, hot_flow: bool, hot_record: bool) -> Mapping[str, float]:
    """Return the units of DynamoDB and of the queue that one event takes."""
    wanted: dict[str, float] = {}
    for table in ("flows", "records", "enrollments"):
        wanted[f"{table}, reads"] = kind.reads.get(table, 0)
        wanted[f"{table}, writes"] = kind.writes.get(table, 0)
    wanted["unconfirmed"] = kind.writes.get("unconfirmed", 0)
    if hot_type:
        wanted["version"] = kind.reads.get("flows", 0)
        wanted["by-event-type"] = kind.writes.get("by-event-type", 0)
    if hot_flow:
        wanted["by-flow"] = kind.writes.get("by-flow", 0)
    if hot_record:
        wanted["record, reads"] = kind.reads.get("records", 0)
        wanted["record, writes"] = kind.writes.get("records", 0)
        wanted["record's enrollments, writes"] = kind.writes.get("enrollments", 0)
        wanted["queue, one record"] = kind.sends
    wanted["queue"] = kind.sends
    return {name: units for name, units in wanted.items() if units and name in LIMITS}


def taken(scenario: Scenario, counted: Mapping[tuple[str, bool], Kind]) -> Mapping[str, float]:
    """Return the average units of each limit that an event of the traffic takes, including the event that announces an
    enrollment."""
    total = Counter[str]()
    for stream in scenario.streams:
        kind, announcement = counted[stream.kind, True], counted[ANNOUNCEMENT, True]
        seconds = (duration_ms(kind) + kind.announces * duration_ms(announcement)) / 1000
        other_demand: dict[str, float] = {
            "PutEvents": 0.1 + (kind.announces > 0),
            "rules": 1 + kind.announces,
            "executions": seconds,
        }
        total.update(_times(other_demand, stream.share))
        # The announcements of the busiest portal have another event type than its events.
        for handled, number, of_type in ((kind, 1, stream.of_type), (announcement, kind.announces, 0.0)):
            parts = {"type": of_type, "flow": stream.of_flow, "record": stream.of_record}
            for name, units in demand(handled, hot_type=True, hot_flow=True, hot_record=True).items():
                total[name] += stream.share * number * units * parts.get(HOT.get(name, ""), 1.0)
    return {name: units for name, units in total.items() if units}


def _times(units_by_limit: Mapping[str, float], factor: float) -> dict[str, float]:
    return {name: units * factor for name, units in units_by_limit.items()}


def reached(scenario: Scenario, counted: Mapping[tuple[str, bool], Kind]) -> list[tuple[str, float]]:
    """Return the limits and the events a second at which each is reached, lowest first."""
    rates = [(name, LIMITS[name].a_second / units) for name, units in taken(scenario, counted).items()]
    return sorted(rates, key=lambda rate: rate[1])
