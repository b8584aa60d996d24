"""What a warm function caches of the flows of many portals: its memory, and the time of an event. `make bench
ARGS=portals`.

The responses of DynamoDB come from memory. The production code reads, caches and evicts the flows. Memory is what
tracemalloc counts, without the responses.
"""

import json
import random
import statistics
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from enrollment.adapters.dynamodb.candidate_flows import HEAD, KEPT_BYTES, DynamoFlows, candidate_place
from enrollment.adapters.dynamodb.flow_repository import enrolling
from enrollment.adapters.dynamodb.tables import Expression, Item
from enrollment.catalog import EVENT_TYPES
from enrollment.domain.events.event import Occurrence
from enrollment.domain.flows.candidate_selection import CandidateQuery
from enrollment.domain.flows.flow import FlowRevision
from enrollment.domain.identifiers import split
from enrollment.serialization.flows import read_flow
from tests.support.scenario import flow

PORTALS = (10, 100, 1_000, 10_000)
FLOWS_EACH = 5
EVENTS = 3_000
SUBMITTED = EVENT_TYPES["forms.submitted"]
LATER = 1_764_000_000_000


@dataclass(frozen=True)
class Row:
    """``megabytes``: memory of the cache. ``kept``: cached portals. ``hit`` and ``miss``: microseconds of an event
    whose portal's flows are cached or not (without the time of the call to DynamoDB)."""

    portals: int
    flows: int
    kept: int
    megabytes: float
    hit: float
    miss: float


class Answers:
    """A table of flows. Each portal's listing is generated when it is requested, and is the same each time."""

    reads = 0

    def get(self, pk: str, sk: str) -> Item:
        return {"version": FLOWS_EACH, "changes": "[]"}

    def pages(self, condition: Expression) -> Iterator[list[Item]]:
        self.reads += 1
        portal = split(str(condition.values["key"]))[1]
        head = {"sk": HEAD, "version": FLOWS_EACH, "changes": "[]"}
        yield [head, *({"sk": candidate_place(str(n)), "flow": _written(portal, n)} for n in range(FLOWS_EACH))]


def _written(portal: str, number: int) -> str:
    document = flow(
        {
            "id": number,
            "event": SUBMITTED.name,
            "where": [
                ["hs_form_id", "IS_ANY_OF", [f"{portal}-form-{number}", f"{portal}-form-{number}b"]],
                ["hs_url", "CONTAINS", f"/landing/{number}"],
            ],
            "criteria": [["lifecyclestage", "IS_ANY_OF", ["lead", "customer"]], ["city", "IS_EQUAL_TO", portal]],
        }
    )
    revision = FlowRevision(portal, str(number), 1, document, True, 0, 0, 0)
    return json.dumps(enrolling(revision, is_live=True))


def run(sizes: Sequence[int] = PORTALS) -> list[Row]:
    return [_row(count) for count in sizes]


def _row(portals: int) -> Row:
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    answers = Answers()
    tables: Any = SimpleNamespace(flows=answers)
    flows = DynamoFlows(tables, read_flow)
    for number in range(portals):
        _read_flows(flows, number)
    megabytes = (tracemalloc.get_traced_memory()[0] - before) / 1e6
    tracemalloc.stop()
    kept = _kept(flows, answers, portals)
    chance = random.Random(1)
    hits: list[float] = []
    misses: list[float] = []
    for _ in range(EVENTS):
        reads, started = answers.reads, time.perf_counter()
        _read_flows(flows, chance.randrange(portals))
        (hits if answers.reads == reads else misses).append((time.perf_counter() - started) * 1e6)
    return Row(
        portals=portals,
        flows=portals * FLOWS_EACH,
        kept=kept,
        megabytes=megabytes,
        hit=statistics.median(hits),
        miss=statistics.median(misses) if misses else float("nan"),
    )


def _kept(flows: DynamoFlows, answers: Answers, portals: int) -> int:
    """Return the number of cached portals: the most recent ones, back to the first that must be read again."""
    reads = answers.reads
    for count, number in enumerate(reversed(range(portals))):
        _read_flows(flows, number)
        if answers.reads > reads:
            return count
    return portals


def _read_flows(flows: DynamoFlows, portal: int) -> None:
    occurrence = Occurrence(SUBMITTED, {"hs_form_id": f"{portal}-form-3", "hs_url": "https://acme.example/landing/3"})
    found = flows.relevant(str(portal), "0-1", CandidateQuery([occurrence], LATER))
    assert [flow.id for flow in found.flows] == ["3"]
    assert sum(found.counted.values()) == FLOWS_EACH - 1


def main() -> None:
    print(f"What is kept is bounded at {KEPT_BYTES / 1024 / 1024:.0f} MB of JSON.\n")
    print("| portals | flows | portals kept | MB | an event, kept, µs | read anew, µs |")
    print("| --- | --- | --- | --- | --- | --- |")
    for row in run():
        miss = "" if row.miss != row.miss else f"{row.miss:,.0f}"
        print(f"| {row.portals:,} | {row.flows:,} | {row.kept:,} | {row.megabytes:.0f} | {row.hit:.0f} | {miss} |")


if __name__ == "__main__":
    main()
