"""A run evaluates every record of an object type for one flow, page by page. A backfill is a run that enrolls existing
records (docs/decisions/0024-backfill.md).

The records are listed in shards. Each shard has its own position and its own counts, so several workers continue a run
at the same time, and an interruption loses no page and counts none twice.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from enrollment.domain.enrollment.decisions import Code
from enrollment.domain.values import Instant

MINUTE = 60 * 1000
DAY = 24 * 60 * MINUTE

# DynamoDB reads this number of records in one call.
PAGE_RECORDS = 100
# A worker keeps a shard for this long after its last page. Then another worker may take the shard.
LEASE_MS = 5 * MINUTE
# How often a shard may be taken without finishing a page. Then the run fails.
MAX_ATTEMPTS = 10
# A dry run confirms the backfill of the same flow for this long.
DRY_RUN_VALID_MS = DAY
# Runs are deleted this long after they were started.
RETENTION_MS = 90 * DAY
# The fastest pace that a caller can ask for, in records a second.
MAX_RECORDS_PER_SECOND = 10_000


class RunStatus(StrEnum):
    """RUNNING and PAUSED can change. The others are final."""

    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    DONE = "DONE"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


class RunKind(StrEnum):
    """BACKFILL: enroll existing records that meet the criteria of a filter-based flow."""

    BACKFILL = "BACKFILL"


_NEXT: Mapping[RunStatus, frozenset[RunStatus]] = {
    RunStatus.RUNNING: frozenset(set(RunStatus) - {RunStatus.RUNNING}),
    RunStatus.PAUSED: frozenset({RunStatus.RUNNING, RunStatus.CANCELLED, RunStatus.FAILED}),
}


class RunFinished(Exception):
    """The run is in a final status, so it cannot be paused, resumed or cancelled."""


class Run(Struct, frozen=True):
    """``id``: a ULID. ``revision``: of the flow at the start. ``fingerprint``: of the keys of the flow's JSON that
    decide, by which a dry run confirms a backfill. ``criteria_since``: when the criteria came into force; an edit
    changes it. ``records``: records of the type at the start. ``records_per_second``: the pace of all shards
    together; None: as fast as possible. ``caller``: who started it. ``because``: why it has this status, for
    people; empty if its caller wanted it. ``idempotency_key``: of the request that started it; None: it had no key.
    ``version``: the number of stored changes; 0: not stored.
    """

    id: str
    portal_id: str
    flow_id: str
    object_type_id: str
    revision: int
    fingerprint: str
    criteria_since: Instant | None
    is_dry_run: bool
    records: int
    caller: str
    started_at: Instant
    records_per_second: int | None = None
    kind: RunKind = RunKind.BACKFILL
    status: RunStatus = RunStatus.RUNNING
    because: str = ""
    ended_at: Instant | None = None
    idempotency_key: str | None = None
    version: int = 0

    @property
    def is_finished(self) -> bool:
        """Whether the status is final."""
        return self.status not in _NEXT

    @property
    def expires_at(self) -> Instant:
        """When the run may be deleted."""
        return self.started_at + RETENTION_MS

    def confirms(self, fingerprint: str, now: Instant) -> bool:
        """Whether this dry run allows a backfill of a flow with this fingerprint."""
        is_recent = now - self.started_at <= DRY_RUN_VALID_MS
        return self.is_dry_run and self.status is RunStatus.DONE and self.fingerprint == fingerprint and is_recent

    def moved(self, status: RunStatus, now: Instant, because: str = "") -> "Run":
        """Return the run with another status; the same run if it has the status already. Raises RunFinished."""
        if status is self.status:
            return self
        if status not in _NEXT.get(self.status, ()):
            raise RunFinished(f"run {self.id} is {self.status}: expected a run that is RUNNING or PAUSED")
        ended = None if status in _NEXT else now
        return replace(self, status=status, because=because, ended_at=ended)


NO_COUNTS: Mapping[Code, int] = MappingProxyType({})


class RunShard(Struct, frozen=True):
    """A part of the records of a run.

    ``after``: the object ID of the last record that was evaluated; None: none was. ``counts``: decisions by code.
    ``free_at``: from when a worker may take the shard. ``attempts``: how often it was taken since its last page.
    ``version``: the number of stored changes. The worker that stored the last one has the shard. ``holder``: the ID of
    that worker's lease, by which it recognizes its own change if the response to the write was lost.
    """

    run_id: str
    number: int
    after: str | None = None
    counts: Mapping[Code, int] = NO_COUNTS
    is_done: bool = False
    free_at: Instant = 0
    attempts: int = 0
    version: int = 0
    holder: str = ""

    def is_free(self, now: Instant) -> bool:
        """Whether a worker may take the shard."""
        return not self.is_done and self.free_at <= now

    def taken(self, now: Instant, holder: str = "") -> "RunShard":
        """Return the shard as a worker takes it, for LEASE_MS. ``holder``: a new ID."""
        return replace(self, free_at=now + LEASE_MS, attempts=self.attempts + 1, holder=holder)

    def is_held_as(self, other: "RunShard") -> bool:
        """Whether the worker that holds the other shard also holds this one."""
        return bool(self.holder) and self.holder == other.holder

    def evaluated(self, page: "Page", now: Instant) -> "RunShard":
        """Return the shard after a page. The worker keeps it, unless the page names a later time for the next one."""
        counts = total([self.counts, page.counts])
        free_at = now + LEASE_MS if page.continue_at is None else page.continue_at
        after = self.after if page.last is None else page.last
        return replace(self, after=after, counts=counts, is_done=page.is_last, free_at=free_at, attempts=0)


class Page(Struct, frozen=True):
    """The result of one page. ``last``: the object ID of its last record; None: it has no record. ``is_last``: no
    record follows. ``continue_at``: when the next page is due, because of a pace or a rate limit; None: at once."""

    counts: Mapping[Code, int]
    last: str | None
    is_last: bool
    continue_at: Instant | None = None


def total(counts: Iterable[Mapping[Code, int]]) -> Mapping[Code, int]:
    """Return the sums by code, in the order of the codes, without zeros."""
    numbers = list(counts)
    sums = {code: sum(each.get(code, 0) for each in numbers) for code in Code}
    return {code: number for code, number in sums.items() if number}


def page_size(records_per_second: int | None) -> int:
    """Return the records in a page: fewer for a slow pace, so that the first pages of all shards do not exceed it by
    much."""
    return PAGE_RECORDS if records_per_second is None else min(PAGE_RECORDS, records_per_second)


def next_page_at(started_at: Instant, records: int, records_per_second: int | None, shards: int) -> Instant | None:
    """Return when a shard's next page is due, so that all ``shards`` together keep the pace. None: at once."""
    if records_per_second is None:
        return None
    return started_at + records * shards * 1000 // records_per_second
