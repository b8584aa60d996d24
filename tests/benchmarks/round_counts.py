"""Kinds of events with round counts, for tests of computations with counts."""

from collections.abc import Mapping
from dataclasses import replace

from tests.benchmarks.counts import ANNOUNCEMENT, ENROLLS, NO_FLOW, NOT_MATCHED, Kind
from tests.benchmarks.limits import Scenario, Stream

READS_ONCE = Kind(
    NO_FLOW,
    True,
    calls={"GetItem": 1},
    reads={"flows": 1},
    writes={},
    sends=0,
    announces=0,
    bus_bytes=1_000,
    log_bytes=0,
    kept_bytes=0,
    history_bytes=0,
    cpu_ms=1,
)
ENROLLS_ONCE = replace(READS_ONCE, name=ENROLLS, writes={"enrollments": 5, "by-flow": 1}, sends=1, announces=1)
COUNTED: Mapping[tuple[str, bool], Kind] = {
    (kind.name, kind.has_history): kind
    for kind in (
        READS_ONCE,
        ENROLLS_ONCE,
        replace(READS_ONCE, name=NOT_MATCHED),
        replace(READS_ONCE, name=ANNOUNCEMENT),
    )
}
LOOKING = Scenario("a portal's events of one type", [Stream("looking", 1.0, NOT_MATCHED, "website", of_type=1.0)])
