"""Backfills: who may start one, how it is paused, resumed and cancelled, and that each record is enrolled once."""

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from enrollment.application.backfills import (
    BackfillRequest,
    NotConfirmed,
    NotFilterBased,
    RunInProgress,
    UnknownRun,
)
from enrollment.application.flow_authoring import UnknownFlow
from enrollment.application.manual_enrollment import FlowIsOff
from enrollment.application.ports import ConcurrentModification, Throttled
from enrollment.application.run_worker import LONGEST_DELAY_MS, PageResult
from enrollment.domain.enrollment.decisions import Code
from enrollment.domain.enrollment.runs import LEASE_MS, MAX_ATTEMPTS, Page, Run, RunFinished, RunShard, RunStatus
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record, TimestampedValue
from tests.support.fakes import World, switch
from tests.support.scenario import event, flow

DUBLIN: Mapping[str, Any] = {"id": 1, "filters": [["city", "IS_EQUAL_TO", "Dublin"]]}
HOUR = 3_600_000


def portal(records: int = 40, **fields: Any) -> World:
    world = World()
    world.put_flow(flow({**DUBLIN, **fields}))
    for number in range(records):
        key = RecordKey("p1", "0-1", str(number))
        city = "Dublin" if number % 2 == 0 else "Cork"
        world.put_record(key, Record(key, 1_000, {"city": TimestampedValue(city, 1_000)}))
    return world


def start(world: World, *, dry: bool = False, **more: Any) -> Run:
    if not dry and "dry_run_id" not in more:
        more.setdefault("confirm", world.listing.count("p1", "0-1"))
    return world.backfills.start(BackfillRequest("p1", "1", dry, "arn:ada", **more), world.now)


def work(world: World, seconds: int = 90) -> list[PageResult]:
    """The pages of one worker."""
    return list(world.run_worker.work(world.now + seconds * 1_000))


def now(world: World, run: Run) -> Run:
    return world.runs.runs[run.id]


def counts(world: World, run: Run) -> Mapping[Code, int]:
    return world.backfills.progress(run).counts


def test_backfill_enrolls_the_records_that_meet_the_criteria() -> None:
    world = portal()
    run = start(world)
    assert (run.records, run.status, run.caller) == (40, RunStatus.RUNNING, "arn:ada")
    work(world)
    assert now(world, run).status is RunStatus.DONE
    assert counts(world, run) == {Code.ENROLLED: 20, Code.NOT_MATCHED: 20}
    assert world.backfills.progress(run).records == 40
    assert len(world.queue.messages) == len(world.bus.announcements) == 20
    message = world.queue.messages[0]
    assert (message.cause.event_type, message.cause.event_id) == ("workflows.backfill", f"backfill:{run.id}")
    assert (message.cause.group_index, message.cause.source, message.is_re_enrollment) == (None, "arn:ada", False)
    assert list(world.runs.active()) == []
    assert work(world) == []


def test_dry_run_enrolls_no_record_and_confirms_the_backfill() -> None:
    world = portal(enabled=False)
    dry_run = start(world, dry=True)
    work(world)
    assert counts(world, dry_run) == {Code.ENROLLED: 20, Code.NOT_MATCHED: 20}
    assert (world.enrollments.items, world.queue.messages, world.decision_log.decisions) == ({}, [], [])
    switch(world.authoring, "p1", "1", world.now, on=True)
    run = start(world, dry_run_id=dry_run.id)
    work(world)
    assert counts(world, run) == counts(world, dry_run)


def test_dry_run_of_another_flow_document_does_not_confirm() -> None:
    world = portal()
    dry_run = start(world, dry=True)
    work(world)
    world.put_flow(flow({**DUBLIN, "filters": [["city", "IS_EQUAL_TO", "Cork"]]}))
    with pytest.raises(NotConfirmed, match="of the flow as it is now"):
        start(world, dry_run_id=dry_run.id)
    with pytest.raises(NotConfirmed):
        start(world, dry_run_id="01UNKNOWN")
    world.put_flow(flow({**DUBLIN, "object": "company"}))
    with pytest.raises(NotConfirmed):
        start(world, dry_run_id=dry_run.id)


@pytest.mark.parametrize(
    ("records", "confirm", "is_confirmed"),
    [(40, 40, True), (40, 39, False), (40, None, False), (40, 0, False), (200, 202, True), (200, 203, False)],
)
def test_backfill_is_confirmed_by_the_number_of_records(records: int, confirm: int | None, is_confirmed: bool) -> None:
    world = portal(records)
    if is_confirmed:
        assert start(world, confirm=confirm).records == records
        return
    with pytest.raises(NotConfirmed, match=f"expected the number of records that are evaluated, {records}"):
        start(world, confirm=confirm)
    assert world.runs.runs == {}


def test_flow_that_is_off_takes_a_dry_run_only() -> None:
    world = portal(enabled=False)
    with pytest.raises(FlowIsOff, match="flow 1 is off"):
        start(world)
    assert start(world, dry=True).is_dry_run


def test_only_a_filter_based_flow_has_backfills() -> None:
    world = portal()
    world.put_flow(flow({"id": 2, "event": "forms.submitted"}))
    for dry in (True, False):
        with pytest.raises(NotFilterBased, match="flow 2: expected a filter-based flow"):
            world.backfills.start(BackfillRequest("p1", "2", dry, "ada"), world.now)
    with pytest.raises(UnknownFlow):
        world.backfills.start(BackfillRequest("p1", "3", True, "ada"), world.now)


def test_flow_has_one_run_at_a_time() -> None:
    world = portal()
    run = start(world, dry=True)
    with pytest.raises(RunInProgress, match=f"run {run.id} of flow 1 is RUNNING"):
        start(world)
    world.backfills.cancel("p1", "1", run.id, world.now)
    assert start(world).status is RunStatus.RUNNING


def test_run_that_is_started_at_the_same_time_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    world = portal()
    create, other = world.runs.create, list[Run]()

    def late(*arguments: Any) -> Run:
        monkeypatch.setattr(world.runs, "create", create)
        other.append(start(world))
        return create(*arguments)

    monkeypatch.setattr(world.runs, "create", late)
    with pytest.raises(RunInProgress, match="another run of flow 1 was started at the same time"):
        start(world)
    assert [run.id for run in world.runs.active()] == [other[0].id]


def test_run_is_returned_if_the_response_to_its_write_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    world = portal()
    create = world.runs.create

    def lost(*arguments: Any) -> Run:
        create(*arguments)
        raise ConcurrentModification("the same write was repeated")

    monkeypatch.setattr(world.runs, "create", lost)
    run = start(world)
    assert [stored.id for stored in world.runs.active()] == [run.id]


def test_two_copies_of_a_request_at_the_same_time_start_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    world = portal()
    create, copies = world.runs.create, list[Run]()

    def late(*arguments: Any) -> Run:
        monkeypatch.setattr(world.runs, "create", create)
        copies.append(start(world, idempotency_key="k1"))
        return create(*arguments)

    monkeypatch.setattr(world.runs, "create", late)
    assert start(world, idempotency_key="k1") == copies[0]
    assert list(world.runs.runs) == [copies[0].id]


@pytest.mark.parametrize(("action", "status"), [("pause", "PAUSED"), ("resume", "RUNNING"), ("cancel", "CANCELLED")])
def test_change_of_a_run_is_made_once_if_the_response_to_its_write_was_lost(
    monkeypatch: pytest.MonkeyPatch, action: str, status: str
) -> None:
    world = portal()
    run = start(world)
    if action == "resume":
        run = world.backfills.pause("p1", "1", run.id, world.now)
    save = world.runs.save

    def lost(changed: Run) -> Run:
        save(changed)
        raise ConcurrentModification("the same write was repeated")

    monkeypatch.setattr(world.runs, "save", lost)
    moved = getattr(world.backfills, action)("p1", "1", run.id, world.now)
    assert (moved.status, moved.version) == (status, run.version + 1)


def test_paused_run_stops_and_continues_where_it_stopped() -> None:
    world = portal(2_000)
    run = start(world)
    pages = world.run_worker.work(world.now + 90_000)
    next(pages)
    world.backfills.pause("p1", "1", run.id, world.now)
    assert list(pages) == []
    evaluated = world.backfills.progress(run).records
    assert 0 < evaluated <= 200
    assert work(world) == []
    world.backfills.resume("p1", "1", run.id, world.now)
    work(world)
    assert counts(world, run) == {Code.ENROLLED: 1_000, Code.NOT_MATCHED: 1_000}
    assert len(world.queue.messages) == 1_000


def test_cancelled_run_cannot_be_resumed_and_keeps_its_enrollments() -> None:
    world = portal(2_000)
    run = start(world)
    pages = world.run_worker.work(world.now + 90_000)
    next(pages)
    world.backfills.cancel("p1", "1", run.id, world.now)
    assert list(pages) == [] == work(world)
    enrolled = counts(world, run)[Code.ENROLLED]
    assert 0 < enrolled == len(world.queue.messages) < 1_000
    assert list(world.runs.active()) == []
    with pytest.raises(RunFinished):
        world.backfills.resume("p1", "1", run.id, world.now)
    with pytest.raises(UnknownRun):
        world.backfills.pause("p1", "2", run.id, world.now)


def test_turning_the_flow_off_pauses_its_run() -> None:
    world = portal()
    run = start(world)
    switch(world.authoring, "p1", "1", world.now, on=False)
    assert work(world) == []
    assert (now(world, run).status, now(world, run).because) == (RunStatus.PAUSED, "the flow was turned off")
    with pytest.raises(FlowIsOff):
        world.backfills.resume("p1", "1", run.id, world.now)
    switch(world.authoring, "p1", "1", world.now, on=True)
    assert work(world) == []
    world.backfills.resume("p1", "1", run.id, world.now)
    work(world)
    assert counts(world, run)[Code.ENROLLED] == 20


@pytest.mark.parametrize(
    ("change", "because"),
    [
        ({"filters": [["city", "IS_EQUAL_TO", "Cork"]]}, "the enrollment criteria were changed"),
        ({"filters": None}, "the enrollment criteria were changed"),
        ({"object": "company"}, "the flow's object type was changed"),
        (None, "the flow was deleted"),
    ],
)
@pytest.mark.parametrize("is_paused", [False, True])
def test_edit_of_the_criteria_cancels_the_run(change: Mapping[str, Any] | None, because: str, is_paused: bool) -> None:
    world = portal()
    run = start(world)
    if is_paused:
        world.backfills.pause("p1", "1", run.id, world.now)
    world.now += 1
    if change is None:
        world.authoring.delete("p1", "1", world.now)
    elif change.get("filters", change) is None:
        document = flow({"id": 1, "event": "forms.submitted"})
        revision = world.authoring.get("p1", "1").revision
        world.authoring.put("p1", "1", document, world.now, based_on=str(revision), replace_triggers=True)
    else:
        world.put_flow(flow({**DUBLIN, **change}))
    if is_paused:
        world.now += HOUR - world.now % HOUR
    assert work(world) == []
    assert (now(world, run).status, now(world, run).because) == (RunStatus.CANCELLED, because)


def test_edit_of_anything_else_does_not_stop_the_run() -> None:
    world = portal()
    run = start(world)
    world.now += 1
    world.put_flow({**flow(DUBLIN), "name": "Another name"})
    work(world)
    assert now(world, run).status is RunStatus.DONE


def test_pace_bounds_the_records_a_second() -> None:
    world = portal(640)
    run, began = start(world, records_per_second=8), world.now
    while not now(world, run).is_finished:
        work(world)
        world.now += 1_000
    assert 60_000 <= world.now - began <= 130_000
    assert counts(world, run)[Code.ENROLLED] == 320


def test_rate_limit_of_the_flow_delays_the_run_and_not_a_message_for_each_record() -> None:
    world = portal(400, limit={"count": 60, "period": "HOUR"})
    run = start(world)
    work(world)
    assert len(world.redeliveries.scheduled) <= 30
    assert max(at for at, _ in world.redeliveries.scheduled) <= world.now + LONGEST_DELAY_MS + 20 * 60_000
    for _ in range(60 * 5):
        world.pass_time(world.now + 60_000)
        work(world)
    assert now(world, run).status is RunStatus.DONE
    assert counts(world, run) == {Code.ENROLLED: 200, Code.NOT_MATCHED: 200}
    world.pass_time(world.now + HOUR)
    assert len(world.queue.messages) == 200


def test_page_whose_publication_fails_is_repeated_and_counted_once() -> None:
    world = portal()
    run = start(world)
    world.queue.refuses = 1
    failed = [result for result in work(world) if result.error is not None]
    assert len(failed) == 1
    assert now(world, run).status is RunStatus.DONE
    assert counts(world, run) == {Code.ENROLLED: 20, Code.NOT_MATCHED: 20}
    assert Counter(message.record_key for message in world.queue.messages).most_common(1)[0][1] == 1
    assert len(world.queue.messages) == 20


def test_run_whose_page_never_succeeds_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    world = portal()
    run = start(world)

    def throttled(*_: object) -> Any:
        raise Throttled("DynamoDB left keys unread")

    monkeypatch.setattr(world.records, "get_many", throttled)
    began = world.now
    while not now(world, run).is_finished:
        work(world)
        world.now += 60_000
    assert 45 * 60_000 <= world.now - began <= HOUR
    assert now(world, run).status is RunStatus.FAILED
    assert f"made no progress in {MAX_ATTEMPTS} attempts" in now(world, run).because
    assert work(world) == []


def test_conflict_within_a_page_is_reported_and_frees_the_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not mean that another worker has the shard."""
    world = portal()
    run = start(world)
    confirm, conflicts = world.enrollments.confirm, iter([True])

    def conflicting(*arguments: Any, **more: Any) -> Any:
        if next(conflicts, False):
            raise ConcurrentModification("another enrollment is stored in its place")
        return confirm(*arguments, **more)

    monkeypatch.setattr(world.enrollments, "confirm", conflicting)
    (failed,) = [result for result in work(world) if result.error is not None]
    assert isinstance(failed.error, ConcurrentModification)
    assert now(world, run).status is RunStatus.DONE
    assert counts(world, run) == {Code.ENROLLED: 20, Code.NOT_MATCHED: 20}


def test_shard_that_cannot_be_released_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    world = portal()
    start(world)
    taken: list[RunShard] = []

    def throttled(*_: object) -> Any:
        raise Throttled("DynamoDB left keys unread")

    def taken_once(run: Run, shard: RunShard) -> RunShard:
        if taken:
            raise Throttled("DynamoDB did not accept the shard")
        taken.append(save_shard(run, shard))
        return taken[0]

    save_shard = world.runs.save_shard
    monkeypatch.setattr(world.records, "get_many", throttled)
    monkeypatch.setattr(world.runs, "save_shard", taken_once)
    work_results = world.run_worker.work(world.now + 90_000)
    errors = [next(work_results).error, next(work_results).error]
    assert [str(error) for error in errors] == ["DynamoDB left keys unread", "DynamoDB did not accept the shard"]


def test_worker_that_stopped_leaves_its_shard_to_another_after_the_lease() -> None:
    world = portal(2_000)
    run = start(world)
    next(world.run_worker.work(world.now + 90_000))
    assert [shard.is_free(world.now) for shard in world.runs.shards(run)].count(False) == 1
    world.now += LEASE_MS
    work(world)
    assert counts(world, run) == {Code.ENROLLED: 1_000, Code.NOT_MATCHED: 1_000}


def test_worker_whose_lease_ended_does_not_count_the_page_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers evaluate the same page: the second takes the shard while the first still works."""
    world = portal(100)
    run = start(world)
    first_of, began = world.enrollments.first_of, list[int]()

    def slow(*arguments: Any) -> Any:
        found = first_of(*arguments)
        if not began:
            began.append(world.now)
            world.now += LEASE_MS
            work(world)
        return found

    monkeypatch.setattr(world.enrollments, "first_of", slow)
    work(world)
    assert now(world, run).status is RunStatus.DONE
    assert sum(counts(world, run).values()) == 100
    assert counts(world, run)[Code.ENROLLED] == len(world.enrollments.items) == 50


def test_two_workers_and_live_events_enroll_each_record_once() -> None:
    world = portal(600)
    run = start(world)
    workers = [threading.Thread(target=work, args=(world,)) for _ in range(2)]
    for thread in workers:
        thread.start()
    for number in range(1, 600, 2):
        change = {"hs_name": "city", "hs_value": "Dublin"}
        world.deliver(event({"crm.property_changed": str(number), "id": f"e{number}", "properties": change}))
    for thread in workers:
        thread.join(60)
    world.now += LEASE_MS
    work(world)
    assert now(world, run).status is RunStatus.DONE
    assert sum(counts(world, run).values()) == 600
    sent = Counter(message.idempotency_key for message in world.queue.messages)
    assert len(sent) == len(world.enrollments.items) == 600
    assert all(stored.is_confirmed for stored in world.enrollments.items.values())
    by_run = [
        stored
        for stored in world.enrollments.items.values()
        if stored.enrollment.cause.event_id == f"backfill:{run.id}"
    ]
    assert counts(world, run)[Code.ENROLLED] == len(by_run)


def test_record_that_is_deleted_after_it_was_listed_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    world = portal(4)
    run = start(world)
    listed = world.listing.page
    monkeypatch.setattr(
        world.listing, "page", lambda *place: [*listed(*place), *[RecordKey("p1", "0-1", "gone")][: place[2] == 0]]
    )
    world.records.records[RecordKey("p1", "0-1", "gone")] = replace(
        world.records.records[RecordKey("p1", "0-1", "1")], key=RecordKey("p1", "0-1", "gone"), deleted_at=2_000
    )
    work(world)
    assert counts(world, run)[Code.UNKNOWN_RECORD] == 1


def test_paused_run_is_read_once_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    world = portal()
    run = start(world)
    world.backfills.pause("p1", "1", run.id, world.now)
    reads: list[int] = []
    get = world.flows.get

    def counted(*arguments: Any) -> Any:
        reads.append(world.now)
        return get(*arguments)

    monkeypatch.setattr(world.flows, "get", counted)
    for _ in range(180):
        assert work(world) == []
        world.now += 60_000
    assert len(reads) == 3

    world.backfills.resume("p1", "1", run.id, world.now)
    work(world)
    assert now(world, run).status is RunStatus.DONE


@pytest.mark.parametrize("lost", ["take", "page"])
def test_write_of_a_shard_whose_response_is_lost_is_recognized(lost: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client repeats the write, and finds the change that it has made itself."""
    world = portal(2_000)
    run = start(world)
    save_shard = world.runs.save_shard
    responses = iter([lost == "take", lost == "page"])

    def repeated(of: Run, shard: RunShard) -> RunShard:
        saved = save_shard(of, shard)
        return save_shard(of, shard) if next(responses, False) else saved

    monkeypatch.setattr(world.runs, "save_shard", repeated)
    began = world.now
    results = work(world)

    assert [result.error for result in results if result.error is not None] == []
    assert now(world, run).status is RunStatus.DONE
    assert world.now - began < LEASE_MS
    assert counts(world, run) == {Code.ENROLLED: 1_000, Code.NOT_MATCHED: 1_000}


def test_shard_whose_page_is_stored_without_a_response_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every repetition of the write fails, but the first one was stored."""
    world = portal(2_000)
    run = start(world)
    save_shard, writes = world.runs.save_shard, iter(range(100))

    def failing(of: Run, shard: RunShard) -> RunShard:
        saved = save_shard(of, shard)
        if next(writes, 0) == 1:
            raise TimeoutError("no response")
        return saved

    monkeypatch.setattr(world.runs, "save_shard", failing)
    began = world.now
    results = work(world, seconds=180)

    assert [str(result.error) for result in results if result.error is not None] == ["no response"]
    assert now(world, run).status is RunStatus.DONE
    assert world.now - began < LEASE_MS
    assert counts(world, run) == {Code.ENROLLED: 1_000, Code.NOT_MATCHED: 1_000}


def test_shard_that_another_worker_has_taken_is_not_recognized() -> None:
    world = portal()
    run = start(world)
    (shard, *_) = world.runs.shards(run)
    mine = world.runs.save_shard(run, shard.taken(world.now, "mine"))
    other = world.runs.save_shard(run, mine.taken(world.now + LEASE_MS, "other"))

    page = Page({Code.ENROLLED: 1}, "1", is_last=True)
    assert world.run_worker._save_page(run, mine, page, world.now) is None
    assert list(world.run_worker._release(run, mine, 0)) == []
    assert world.runs.shards(run)[0] == other
