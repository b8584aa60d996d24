"""Runs and their shards: one of several workers gets a shard, and a stale write is rejected."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from enrollment.adapters.dynamodb.enrollments import DynamoEnrollments
from enrollment.adapters.dynamodb.run_repository import DynamoRuns
from enrollment.application.ports import (
    RECORD_SHARDS,
    ConcurrentModification,
    Enrollments,
    FirstEnrollments,
    Runs,
)
from enrollment.domain.enrollment.decisions import Code
from enrollment.domain.enrollment.enrollments import Enrollment, TriggerEvent
from enrollment.domain.enrollment.runs import LEASE_MS, Page, Run, RunShard, RunStatus
from enrollment.domain.identifiers import RecordKey
from enrollment.serialization.messages import read_message, write_message
from tests.support.aws import aws
from tests.support.fakes import FakeEnrollments, FakeRuns
from tests.support.stores import open_tables

NOW = 1_764_000_000_000
RUN = Run("01B", "p/1", "7", "0-1", 3, "digest", NOW, False, 12, "ada", NOW, records_per_second=5)


@dataclass
class Stores:
    runs: Runs
    enrollments: FakeEnrollments | DynamoEnrollments


@pytest.fixture(params=["fake", "models"])
def stores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stores]:
    if request.param == "fake":
        yield Stores(FakeRuns(), FakeEnrollments())
        return
    with aws(monkeypatch) as config:
        tables = open_tables(config)
        yield Stores(DynamoRuns(tables), DynamoEnrollments(tables, write_message, read_message))


def test_new_run_is_active_and_has_empty_shards(stores: Stores) -> None:
    created = stores.runs.create(RUN)
    assert created == replace(RUN, version=1)
    assert stores.runs.get("p/1", "7", "01B") == created
    assert stores.runs.get("p/1", "8", "01B") is None
    assert list(stores.runs.active()) == [created]
    assert stores.runs.shards(created) == [RunShard("01B", number, version=1) for number in range(RECORD_SHARDS)]


def test_runs_of_a_flow_are_listed_newest_first(stores: Stores) -> None:
    for run_id in ("01A", "01C", "01B"):
        stores.runs.create(replace(RUN, id=run_id), ["01A", "01C"])
    stores.runs.create(replace(RUN, id="01D", flow_id="8"))
    assert [run.id for run in stores.runs.of_flow("p/1", "7", 2)] == ["01C", "01B"]
    assert [run.id for run in stores.runs.of_flow("p/1", "7", 2, before="01B")] == ["01A"]


def test_change_of_a_run_is_stored_unless_another_change_was_first(stores: Stores) -> None:
    created = stores.runs.create(RUN)
    paused = stores.runs.save(created.moved(RunStatus.PAUSED, NOW + 1, "the flow was turned off"))
    assert stores.runs.get("p/1", "7", "01B") == paused
    with pytest.raises(ConcurrentModification):
        stores.runs.save(created.moved(RunStatus.CANCELLED, NOW + 2))


def test_finished_run_is_not_active(stores: Stores) -> None:
    created = stores.runs.create(RUN)
    stores.runs.deactivate(created)
    assert list(stores.runs.active()) == []
    assert stores.runs.get("p/1", "7", "01B") == created


def test_flow_has_one_active_run(stores: Stores) -> None:
    created = stores.runs.create(RUN)
    other = replace(RUN, id="01C")
    with pytest.raises(ConcurrentModification):
        stores.runs.create(other, ["01A"])
    assert stores.runs.get("p/1", "7", "01C") is None
    later = stores.runs.create(other, ["01A", "01B"])
    stores.runs.deactivate(created)
    assert list(stores.runs.active()) == [later]
    of_another_flow = stores.runs.create(replace(RUN, id="01D", flow_id="8"))
    assert {run.id for run in stores.runs.active()} == {later.id, of_another_flow.id}


def test_one_of_eight_workers_gets_a_shard(stores: Stores) -> None:
    run = stores.runs.create(RUN)
    shard = stores.runs.shards(run)[3]

    def take(_: int) -> bool:
        try:
            stores.runs.save_shard(run, shard.taken(NOW))
        except ConcurrentModification:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(take, range(8))).count(True) == 1


def test_shard_keeps_its_position_and_its_counts(stores: Stores) -> None:
    run = stores.runs.create(RUN)
    taken = stores.runs.save_shard(run, stores.runs.shards(run)[5].taken(NOW))
    page = Page({Code.ENROLLED: 2, Code.NOT_MATCHED: 98}, "1ü%", is_last=False)
    saved = stores.runs.save_shard(run, taken.evaluated(page, NOW + 5))
    assert stores.runs.shards(run)[5] == saved
    assert (saved.after, saved.counts, saved.free_at) == ("1ü%", page.counts, NOW + 5 + LEASE_MS)


def test_first_enrollments_of_records_in_a_flow_are_found_together(stores: Stores) -> None:
    keys = [RecordKey("p/1", "0-1", str(number)) for number in range(3)]
    cause = TriggerEvent(None, "workflows.backfill", None, "backfill:01B", NOW, "ada", {})
    first = Enrollment("01X", keys[1], "7", "n", "3", "idem", False, cause, NOW)
    claims: Enrollments = stores.enrollments
    assert claims.claim(first)
    assert claims.claim(replace(first, id="01Y", flow_id="8", record_key=keys[2]))
    found: FirstEnrollments = stores.enrollments
    assert {key: stored.enrollment for key, stored in found.first_of(keys, "7").items()} == {keys[1]: first}
    assert found.first_of([], "7") == {}


def test_paused_run_is_active_only_if_paused_ones_are_wanted(stores: Stores) -> None:
    created = stores.runs.create(RUN)
    paused = stores.runs.save(created.moved(RunStatus.PAUSED, NOW + 1))
    assert list(stores.runs.active()) == []
    assert list(stores.runs.active(with_paused=True)) == [paused]
    resumed = stores.runs.save(paused.moved(RunStatus.RUNNING, NOW + 2))
    assert list(stores.runs.active()) == [resumed]
    cancelled = stores.runs.save(
        stores.runs.save(resumed.moved(RunStatus.PAUSED, NOW + 3)).moved(RunStatus.CANCELLED, 4)
    )
    assert list(stores.runs.active()) == [cancelled]


def test_shard_keeps_the_lease_of_its_worker(stores: Stores) -> None:
    run = stores.runs.create(RUN)
    taken = stores.runs.save_shard(run, stores.runs.shards(run)[5].taken(NOW, "lease-1"))
    assert stores.runs.shards(run)[5] == taken
    assert taken.holder == "lease-1"
