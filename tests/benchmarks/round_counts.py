"""Kinds of events with round counts, for the tests of what is computed from counts."""

from collections.abc import Mapping
from dataclasses import replace

from tests.benchmarks.counts import ANNOUNCEMENT, ENROLLS, NOT_MATCHED, Kind
from tests.benchmarks.limits import Scenario, Stream

LOOKS = Kind(
    NOT_MATCHED,
    True,
    calls={"GetItem": 1},
    reads={"flows": 1},
    writes={},
    sends=0,
    announces=0,
    bus_bytes=500,
    log_bytes=0,
    kept_bytes=0,
    history_bytes=0,
    cpu_ms=1,
)
COUNTED: Mapping[tuple[str, bool], Kind] = {
    (NOT_MATCHED, True): LOOKS,
    (ANNOUNCEMENT, True): replace(LOOKS, name=ANNOUNCEMENT),
    (ENROLLS, True): replace(LOOKS, name=ENROLLS, writes={"enrollments": 5, "by-flow": 1}, sends=1, announces=1),
}
LOOKING = Scenario("a portal's events of one type", [Stream("looking", 1.0, NOT_MATCHED, "website", of_type=1.0)])
