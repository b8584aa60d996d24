"""The ports in memory. tests/contract holds them to the same behaviour as the adapters.

`World` wires them to the production story, with a clock that stands still and ids that count.
"""

import json
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from enrollment.application.associated_changes import AssociatedChangeProcessor
from enrollment.application.backfills import Backfills
from enrollment.application.criteria_evaluator import CriteriaEvaluator
from enrollment.application.deferred_decisions import Deferrals
from enrollment.application.enrollment_claims import EnrollmentClaims
from enrollment.application.enrollment_publisher import EnrollmentPublisher
from enrollment.application.event_history import EventHistory
from enrollment.application.event_processor import EventProcessor
from enrollment.application.flow_authoring import FlowAuthoring
from enrollment.application.manual_enrollment import ManualEnrollment
from enrollment.application.ports import NO_CHANGES, REPLAY_PARTS, ConcurrentModification
from enrollment.application.record_service import RecordService
from enrollment.application.replay import ReplayProcessor
from enrollment.application.requested_enrollments import RequestedEnrollments
from enrollment.application.run_worker import RunWorker
from enrollment.application.unconfirmed_enrollments import UnconfirmedPublisher
from enrollment.application.unprocessed_events import UnprocessedEventReader
from enrollment.catalog import EVENT_TYPES
from enrollment.domain.enrollment.decisions import Code, Decision, Match, match
from enrollment.domain.enrollment.enrollment_counts import RecentEnrollments, ShardCount, Window
from enrollment.domain.enrollment.enrollments import Announcement, Enrollment, ExistingEnrollments, StoredEnrollment
from enrollment.domain.enrollment.late_data_tolerance import DeferredEvent
from enrollment.domain.enrollment.portal_settings import PortalSettings
from enrollment.domain.enrollment.replays import DryRunResult, Replay
from enrollment.domain.enrollment.runs import Run, RunShard, RunStatus
from enrollment.domain.events.associated_change import AssociatedChange, changed_record
from enrollment.domain.events.causes import change_key
from enrollment.domain.events.event import Event, InvalidEvent
from enrollment.domain.events.sort_key import EventKey, event_sort_key
from enrollment.domain.events.unprocessed_event import UnprocessedEvent, UnprocessedMessage
from enrollment.domain.flows.candidate_selection import CandidateQuery, Candidates, deduplicate, entry_group
from enrollment.domain.flows.flow import Flow, FlowRevision, retired
from enrollment.domain.flows.rate_limit import RateLimit
from enrollment.domain.identifiers import RecordKey, join
from enrollment.domain.records.associations import Association
from enrollment.domain.records.change_events import OutboundEvent
from enrollment.domain.records.email import email_of
from enrollment.domain.records.record import Record
from enrollment.domain.timers.due_item import DUE_SHARDS, DueItem
from enrollment.domain.values import Instant, iso
from enrollment.serialization.envelopes import check_production, read_event, read_stored_event, write_event
from enrollment.serialization.flows import read_flow, read_flow_or_retired, read_flow_to_store
from enrollment.serialization.messages import read_message, write_announcement, write_message, write_outbound_event
from enrollment.serialization.redeliveries import read_redelivery, write_associated_change, write_redelivery


class FakeFlows:
    """Both sides of the store: the book that authors write, the candidates that events find."""

    def __init__(self) -> None:
        self._current: dict[tuple[str, str], FlowRevision] = {}
        self._revisions: dict[tuple[str, str], list[FlowRevision]] = {}
        self._candidates: dict[tuple[str, str, str], dict[str, Flow]] = {}
        self._lock = threading.Lock()

    def candidates(self, portal_id: str, object_type_id: str, event_types: Sequence[str]) -> Sequence[Flow]:
        return deduplicate([self._listed(portal_id, object_type_id, event_types, is_own=True)])

    def _listed(
        self, portal_id: str, object_type_id: str, event_types: Sequence[str], *, is_own: bool
    ) -> Sequence[Flow]:
        """With their own object type, or those that concern associated records."""
        with self._lock:
            listed = [
                flow
                for event_type in event_types
                for flow in self._candidates.get((portal_id, object_type_id, event_type), {}).values()
            ]
        return [
            flow
            for flow in listed
            if (flow.object_type_id in ("", object_type_id) if is_own else object_type_id in _associated_types(flow))
        ]

    def relevant(self, portal_id: str, object_type_id: str, question: CandidateQuery) -> Candidates:
        """As naive as can be: all, or those that are not to be counted, one by one."""
        names = [one.event_type.name for one in question.occurrences]
        flows = self.candidates(portal_id, object_type_id, names)
        added = self.candidates(portal_id, object_type_id, question.event_types[len(names) :])
        concerned = [one for one in added if _is_looked_at(one, question)]
        others = self._listed(portal_id, object_type_id, question.event_types, is_own=False)
        associated = deduplicate([[flow for flow in others if _concerns_associated(flow, object_type_id, question)]])
        if len(flows) <= question.max_individual_decisions or question.changed_since is None:
            return Candidates(deduplicate([flows, concerned]), associated=associated)
        types = frozenset(names)
        counted = [one for one in flows if not _is_looked_at(one, question)]
        numbers = Counter(one.event_types & types for one in counted if one.is_enabled)
        named = [one for one in flows if one not in counted]
        return Candidates(deduplicate([named, concerned]), numbers, associated)

    def of_batch(self) -> "FakeFlows":
        return self

    def get(self, portal_id: str, flow_id: str) -> FlowRevision | None:
        return self._current.get((portal_id, flow_id))

    def get_many(self, portal_id: str, flow_ids: Sequence[str]) -> Mapping[str, FlowRevision]:
        return {one: self._current[portal_id, one] for one in flow_ids if (portal_id, one) in self._current}

    def as_of(self, portal_id: str, flow_id: str, instant: Instant) -> FlowRevision | None:
        found = [one for one in self._revisions.get((portal_id, flow_id), []) if one.changed_at <= instant]
        return found[-1] if found else None

    def revision(self, portal_id: str, flow_id: str, number: int) -> FlowRevision | None:
        found = self._revisions.get((portal_id, flow_id), [])
        return next((one for one in found if one.revision == number), None)

    def revisions(self, portal_id: str, flow_id: str, limit: int, before: int | None = None) -> list[FlowRevision]:
        found = self._revisions.get((portal_id, flow_id), [])
        return [one for one in reversed(found) if before is None or one.revision < before][:limit]

    def list(self, portal_id: str, limit: int, after: str = "") -> Sequence[FlowRevision]:
        found = [
            revision
            for (portal, flow_id), revision in self._current.items()
            if portal == portal_id and join(flow_id) > join(after) and not revision.is_deleted
        ]
        return sorted(found, key=lambda one: join(one.id))[:limit]

    def outdated(self, portal_id: str, limit: int, after: str = "") -> tuple[Sequence[FlowRevision], str | None]:
        checked = self.list(portal_id, limit, after)
        found = [one for one in checked if one.is_enabled and self._is_outdated(one)]
        return found, checked[-1].id if len(checked) == limit else None

    def _is_outdated(self, revision: FlowRevision) -> bool:
        """Whether ``forget`` has taken it from a list."""
        live = _listed(read_flow_or_retired(revision))
        return any(revision.id not in self._candidates.get(place, {}) for place in live)

    def forget(self, portal_id: str, flow_id: str, event_type: str) -> None:
        """Take a flow from the lists of an event type, as if an earlier version had stored it."""
        for place, flows in self._candidates.items():
            if place[0] == portal_id and place[2] == event_type:
                flows.pop(flow_id, None)

    def save(self, revision: FlowRevision, was: FlowRevision | None) -> None:
        key = (revision.portal_id, revision.id)
        with self._lock:
            current = self._current.get(key)
            if (current and current.revision) != (was and was.revision):
                raise ConcurrentModification(f"flow {revision.id} has changed")
            retired = _retired(current, revision)
            live = {} if revision.is_deleted else _listed(read_flow_or_retired(revision))
            self._current[key] = revision
            if current is None or current.revision != revision.revision:
                self._revisions.setdefault(key, []).append(revision)
            for place, flow in (retired | live).items():
                self._candidates.setdefault(place, {})[flow.id] = flow


def _is_looked_at(flow: Flow, question: CandidateQuery) -> bool:
    return (
        question.changed_since is None
        or flow.changed_at >= question.changed_since
        or flow.id in question.named
        or isinstance(match(flow, question.occurrences), Match)
        or entry_group(flow, question.change) is not None
    )


def _associated_types(flow: Flow) -> frozenset[str]:
    return frozenset() if flow.entry is None else frozenset(flow.entry.associated_groups)


def _concerns_associated(flow: Flow, object_type_id: str, question: CandidateQuery) -> bool:
    if flow.entry is None or question.change is None:
        return False
    return flow.entry.associated_groups[object_type_id].failure(question.change.properties) is None


def _listed(flow: Flow) -> dict[tuple[str, str, str], Flow]:
    return {(flow.portal_id, *place): flow for place in flow.candidate_lists}


def _retired(current: FlowRevision | None, revision: FlowRevision) -> dict[tuple[str, str, str], Flow]:
    if current is None or current.is_deleted:
        return {}
    return {place: retired(replace(revision, is_enabled=False)) for place in _listed(read_flow_or_retired(current))}


class FakeRecords:
    def __init__(self) -> None:
        self.records: dict[RecordKey, Record] = {}
        self._lock = threading.Lock()

    def get(self, key: RecordKey) -> Record | None:
        return self.records.get(key)

    def get_many(self, keys: Sequence[RecordKey]) -> Mapping[RecordKey, Record]:
        return {key: self.records[key] for key in keys if key in self.records}

    def save(self, record: Record) -> Record:
        with self._lock:
            stored = self.records.get(record.key)
            if (stored.version if stored else 0) != record.version:
                raise ConcurrentModification(f"record {record.key} has changed")
            self.records[record.key] = replace(record, version=record.version + 1)
            return self.records[record.key]

    def with_email(self, portal_id: str, email: str, limit: int) -> Sequence[RecordKey]:
        found = [one.key for one in self.records.values() if one.key.portal_id == portal_id and email_of(one) == email]
        return found[:limit]


class FakeRecordListing:
    def __init__(self, records: FakeRecords) -> None:
        self._records = records

    def page(
        self, portal_id: str, object_type_id: str, shard: int, limit: int, after: str | None = None
    ) -> Sequence[RecordKey]:
        found = [key for key in self._of(portal_id, object_type_id) if zlib.crc32(str(key).encode()) % 16 == shard]
        start = "" if after is None else str(RecordKey(portal_id, object_type_id, after))
        return [key for key in sorted(found, key=str) if str(key) > start][:limit]

    def count(self, portal_id: str, object_type_id: str) -> int:
        return len(self._of(portal_id, object_type_id))

    def _of(self, portal_id: str, object_type_id: str) -> list[RecordKey]:
        return [
            key
            for key, record in list(self._records.records.items())
            if (key.portal_id, key.object_type_id) == (portal_id, object_type_id) and record.exists
        ]


class FakeAssociations:
    def __init__(self) -> None:
        self._items: dict[tuple[RecordKey, RecordKey], Association] = {}
        self._lock = threading.Lock()

    def get(self, record: RecordKey, other: RecordKey) -> Association:
        return self._items.get((record, other), Association(record, other))

    def of(self, record: RecordKey, object_type_id: str, limit: int, after: str = "") -> Sequence[Association]:
        found = [
            one
            for (mine, other), one in self._items.items()
            if mine == record and other.object_type_id == object_type_id and join(other.object_id) > join(after)
        ]
        return sorted((one for one in found if one.held), key=lambda one: join(one.other.object_id))[:limit]

    def all_of(self, record: RecordKey, object_type_id: str, limit: int, after: str = "") -> Sequence[Association]:
        found = [
            one
            for (mine, other), one in self._items.items()
            if mine == record and other.object_type_id == object_type_id and join(other.object_id) > join(after)
        ]
        return sorted(found, key=lambda one: join(one.other.object_id))[:limit]

    def save(self, associations: Sequence[Association]) -> None:
        with self._lock:
            if any(self.get(one.record, one.other).version != one.version for one in associations):
                raise ConcurrentModification("the association has changed")
            for one in associations:
                self._items[one.record, one.other] = replace(one, version=one.version + 1)


class FakePortals:
    def __init__(self) -> None:
        self._settings: dict[str, PortalSettings] = {}

    def settings(self, portal_id: str) -> PortalSettings:
        return self._settings.get(portal_id, PortalSettings())

    current = settings

    def save(self, portal_id: str, settings: PortalSettings) -> None:
        self._settings[portal_id] = settings


class FakeDeferredEvents:
    def __init__(self) -> None:
        self.items: dict[tuple[RecordKey, str], DeferredEvent] = {}
        self._lock = threading.Lock()

    def get(self, record: RecordKey, event_id: str) -> DeferredEvent | None:
        return self.items.get((record, event_id))

    def of(self, record: RecordKey, limit: int) -> Sequence[DeferredEvent]:
        found = [one for (key, _), one in self.items.items() if key == record]
        return sorted(found, key=lambda one: join(one.event.id))[:limit]

    def save(self, waiting: DeferredEvent) -> None:
        event = read_stored_event(json.loads(json.dumps(write_event(waiting.event))))
        assert event.record_key is not None
        place = (event.record_key, event.id)
        with self._lock:
            stored = self.items.get(place)
            if (stored.version if stored else 0) != waiting.version:
                raise ConcurrentModification(f"the waiting event {event.id} has changed")
            if waiting.flows or waiting.rejected:
                self.items[place] = replace(waiting, event=event, version=waiting.version + 1)
            else:
                self.items.pop(place, None)


class FakeHistory:
    """`kept`: by record and place, until when. Nothing expires by itself."""

    def __init__(self) -> None:
        self.kept: dict[tuple[RecordKey, str], tuple[Event, Instant]] = {}
        self.evaluations: dict[tuple[RecordKey, str], Instant] = {}

    def keep(self, event: Event, until: Instant) -> Instant:
        stored = read_stored_event(json.loads(json.dumps(write_event(event))))
        assert stored.record_key is not None
        first = self.keep_evaluation(event, until)
        place = (stored.record_key, event_sort_key(stored))
        existing = self.kept.get(place)
        if existing is None or existing[0].sent_at > stored.sent_at:
            self.kept[place] = (stored if event.evaluated_at is None else stored.evaluated(first), until)
        return first

    def keep_evaluation(self, event: Event, until: Instant) -> Instant:
        assert event.record_key is not None
        return self.evaluations.setdefault(
            (event.record_key, event_sort_key(event)), event.evaluated_at or event.occurred_at
        )

    def first_evaluation(self, event: Event) -> Instant | None:
        assert event.record_key is not None
        return self.evaluations.get((event.record_key, event_sort_key(event)))

    def of_record(self, record: RecordKey, first: str, last: str, *, newest_first: bool) -> Iterable[Event]:
        found = sorted(place for key, place in self.kept if key == record and first < place < last)
        return (self.kept[record, place][0] for place in (reversed(found) if newest_first else found))

    def with_id(self, portal_id: str, event_id: str) -> Iterable[Event]:
        return [
            event
            for (record, _), (event, _) in self.kept.items()
            if (record.portal_id, event.id) == (portal_id, event_id) and changed_record(event) is None
        ]

    def of_types(self, portal_id: str, event_types: Collection[str], first: str, last: str) -> Iterable[Event]:
        found = [
            (place, str(record), event)
            for (record, place), (event, _) in self.kept.items()
            if record.portal_id == portal_id and event.event_type.name in event_types and first < place < last
        ]
        return (event for _, _, event in sorted(found, key=lambda one: one[:2], reverse=True))

    def keys_of_types(
        self, portal_id: str, event_types: Collection[str], first: str, last: str, page_size: int
    ) -> Iterable[EventKey]:
        found = [
            (place, str(record), record)
            for (record, place), (event, _) in self.kept.items()
            if record.portal_id == portal_id and event.event_type.name in event_types and first < place < last
        ]
        ordered = sorted(found, key=lambda one: one[:2], reverse=True)
        return (EventKey(record, place) for place, _, record in ordered)

    def get_many(self, keys: Sequence[EventKey]) -> Sequence[Event]:
        places = [(key.record, key.sort_key) for key in keys]
        return [self.kept[place][0] for place in places if place in self.kept]


class FakeRedeliveries:
    """`scheduled`: what `World.pass_time` delivers. `changes`: what `World.decide_associated` does."""

    def __init__(self) -> None:
        self.scheduled: list[tuple[Instant, str]] = []
        self.changes: list[str] = []

    def schedule(self, event: Event, flow_ids: Iterable[str], at: Instant, change: str = "") -> None:
        self.scheduled.append((at, write_redelivery(event, flow_ids, at, change)))

    def send(self, changes: Sequence[AssociatedChange]) -> None:
        self.changes += [write_associated_change(change) for change in changes]

    def send_by_timer(self, change: AssociatedChange) -> None:
        self.changes.append(write_associated_change(change))


class FakeDueItems:
    """By shard, the items by their time, kind and ID."""

    def __init__(self) -> None:
        self._shards: list[dict[tuple[Instant, str, str], DueItem]] = [{} for _ in range(DUE_SHARDS)]
        self._lock = threading.Lock()

    def save(self, item: DueItem) -> None:
        with self._lock:
            self._shards[item.shard][item.due_at, item.kind.value, item.id] = item

    def due_before(self, shard: int, instant: Instant) -> Iterable[DueItem]:
        with self._lock:
            return [item for (due_at, *_), item in sorted(self._shards[shard].items()) if due_at < instant]

    def delete(self, items: Sequence[DueItem]) -> None:
        with self._lock:
            for item in items:
                self._shards[item.shard].pop((item.due_at, item.kind.value, item.id), None)


class FakeWorkQueue:
    """`sent`: the accepted items. `refuses`: the IDs of items that are rejected at every attempt."""

    def __init__(self) -> None:
        self.sent: list[DueItem] = []
        self.refuses: set[str] = set()

    def send(self, items: Sequence[DueItem]) -> Iterable[DueItem]:
        for item in items:
            if item.id not in self.refuses:
                self.sent.append(item)
                yield item


class FakeRateLimits:
    def __init__(self) -> None:
        self._horizons: dict[tuple[str, str, RateLimit], int] = {}
        self._lock = threading.Lock()

    def take(self, portal_id: str, flow_id: str, limit: RateLimit, now: Instant) -> Instant:
        with self._lock:
            horizon = max(self._horizons.get((portal_id, flow_id, limit), 0), now * 1_000) + limit.pace
            self._horizons[portal_id, flow_id, limit] = horizon
        return max(now, limit.enters_at(horizon))


class FakeReplays:
    def __init__(self) -> None:
        self.orders: dict[str, Replay] = {}
        self._counts: dict[tuple[str, str, str, str], DryRunResult] = {}

    def get(self, name: str) -> Replay | None:
        return self.orders.get(name)

    def save(self, replay: Replay) -> None:
        self.orders[replay.name] = replay

    def count(self, replay: Replay, event: Event, decisions: Sequence[Decision]) -> None:
        record = join(event.object_type_id, event.object_id or "")
        codes = {one.flow_id: one.code for one in decisions}
        self._counts[replay.portal_id, replay.name, record, event.id] = DryRunResult(record, codes)

    def counted(self, replay: Replay, part: int) -> Iterable[DryRunResult]:
        mine = sorted((key, one) for key, one in self._counts.items() if key[:2] == (replay.portal_id, replay.name))
        return [one for key, one in mine if zlib.crc32(key[2].encode()) % REPLAY_PARTS == part]


class FakeRuns:
    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self._shards: dict[tuple[str, int], RunShard] = {}
        self._active: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()

    def create(self, run: Run, finished: Sequence[str] = ()) -> Run:
        with self._lock:
            if self._active.get((run.portal_id, run.flow_id)) not in (None, *finished):
                raise ConcurrentModification(f"run {run.id} is not the only one")
            for number in range(16):
                self._shards[run.id, number] = RunShard(run.id, number, version=1)
            self._active[run.portal_id, run.flow_id] = run.id
            self.runs[run.id] = replace(run, version=1)
            return self.runs[run.id]

    def get(self, portal_id: str, flow_id: str, run_id: str) -> Run | None:
        run = self.runs.get(run_id)
        return run if run is not None and (run.portal_id, run.flow_id) == (portal_id, flow_id) else None

    def of_flow(self, portal_id: str, flow_id: str, limit: int, before: str | None = None) -> Sequence[Run]:
        found = [run for run_id in sorted(self.runs, reverse=True) if (run := self.get(portal_id, flow_id, run_id))]
        return [run for run in found if before is None or run.id < before][:limit]

    def save(self, run: Run) -> Run:
        with self._lock:
            if self.runs[run.id].version != run.version:
                raise ConcurrentModification(f"run {run.id} has changed")
            self.runs[run.id] = replace(run, version=run.version + 1)
            return self.runs[run.id]

    def shards(self, run: Run) -> Sequence[RunShard]:
        return [self._shards[run.id, number] for number in range(16)]

    def save_shard(self, run: Run, shard: RunShard) -> RunShard:
        with self._lock:
            if self._shards[run.id, shard.number].version != shard.version:
                raise ConcurrentModification(f"shard {shard.number} has changed")
            self._shards[run.id, shard.number] = replace(shard, version=shard.version + 1)
            return self._shards[run.id, shard.number]

    def active(self, *, with_paused: bool = False) -> Sequence[Run]:
        active = [self.runs[run_id] for run_id in self._active.values()]
        return [run for run in active if with_paused or run.status is not RunStatus.PAUSED]

    def deactivate(self, run: Run) -> None:
        with self._lock:
            if self._active.get((run.portal_id, run.flow_id)) == run.id:
                del self._active[run.portal_id, run.flow_id]


# Partitions of the index by flow.
SHARDS = 16


class FakeEnrollments:
    def __init__(self) -> None:
        self.items: dict[tuple[RecordKey, str, str | None], StoredEnrollment] = {}
        self._lock = threading.Lock()

    def find(
        self,
        record_key: RecordKey,
        cause_key: str,
        flow_ids: Sequence[str],
        changes: Mapping[str, str] = NO_CHANGES,
    ) -> Mapping[str, ExistingEnrollments]:
        found = {}
        for flow in flow_ids:
            change = changes.get(flow)
            first = self.items.get((record_key, flow, None))
            is_own = first is not None and first.enrollment.cause.is_by(cause_key, change)
            other = self.items.get((record_key, flow, cause_key if change is None else change_key(change)))
            found[flow] = ExistingEnrollments(first, first if is_own else other)
        return found

    def first_of(self, record_keys: Sequence[RecordKey], flow_id: str) -> Mapping[RecordKey, StoredEnrollment]:
        return {key: self.items[key, flow_id, None] for key in record_keys if (key, flow_id, None) in self.items}

    def claim(self, enrollment: Enrollment, due_at: Instant | None = None, chain: tuple[str, ...] = ()) -> bool:
        # Through the message, as the store keeps it.
        stored = StoredEnrollment(read_message(write_message(enrollment)), due_at=due_at, chain=chain)
        with self._lock:
            if _place(enrollment) in self.items:
                return False
            self.items[_place(enrollment)] = stored
            return True

    def confirm(self, enrollment: Enrollment, *, is_published: bool, is_announced: bool, now: Instant) -> None:
        with self._lock:
            stored = self.items[_place(enrollment)]
            self.items[_place(enrollment)] = replace(
                stored,
                is_published=stored.is_published or is_published,
                is_announced=stored.is_announced or is_announced,
            )

    def unconfirmed(self, until: Instant) -> Sequence[StoredEnrollment]:
        found = [one for one in self.items.values() if one.publish_at < until and not one.is_confirmed]
        return sorted(found, key=lambda one: one.publish_at)

    def of_record(self, record_key: RecordKey, limit: int, before: str | None = None) -> Sequence[StoredEnrollment]:
        return self._newest((one for (key, _, _), one in self.items.items() if key == record_key), limit, before)

    def of_flow(
        self, portal_id: str, flow_id: str, limit: int, before: str | None = None
    ) -> Sequence[StoredEnrollment]:
        mine = (one for (key, flow, _), one in self.items.items() if key.portal_id == portal_id and flow == flow_id)
        return self._newest(mine, limit, before)

    def get(self, portal_id: str, enrollment_id: str) -> StoredEnrollment | None:
        found = (one for (key, _, _), one in self.items.items() if key.portal_id == portal_id)
        return next((one for one in found if one.enrollment.id == enrollment_id), None)

    def recent_of_flow(self, portal_id: str, flow_id: str, limit: int) -> RecentEnrollments:
        newest = self.of_flow(portal_id, flow_id, len(self.items))
        shards: list[list[Instant]] = [[] for _ in range(SHARDS)]
        for one in newest:
            shards[zlib.crc32(str(one.enrollment.record_key).encode()) % SHARDS].append(one.enrollment.enrolled_at)
        return RecentEnrollments([one[:limit] for one in shards], newest[0] if newest else None)

    def count_in_shard(self, portal_id: str, flow_id: str, shard: int, window: Window, limit: int) -> ShardCount:
        every = self.recent_of_flow(portal_id, flow_id, len(self.items)).instants[shard]
        found = [one for one in every if window.contains(one)][:limit]
        return ShardCount(len(found), found[-1] if len(found) == limit else None)

    def _newest(self, found: Iterable[StoredEnrollment], limit: int, before: str | None) -> Sequence[StoredEnrollment]:
        mine = [one for one in found if before is None or one.enrollment.position < before]
        return sorted(mine, key=lambda one: one.enrollment.position, reverse=True)[:limit]


def _place(enrollment: Enrollment) -> tuple[RecordKey, str, str | None]:
    cause_key = enrollment.cause.key if enrollment.is_re_enrollment else None
    return enrollment.record_key, enrollment.flow_id, cause_key


class FakeQueue:
    """`refuses`: how many of the next enrollments it does not take."""

    def __init__(self) -> None:
        self.messages: list[Enrollment] = []
        self.refuses = 0

    def publish(self, enrollments: Sequence[Enrollment]) -> frozenset[str]:
        refused, self.refuses = min(self.refuses, len(enrollments)), 0
        taken = enrollments[refused:]
        self.messages += taken
        return frozenset(one.id for one in taken)


class FakeBus:
    def __init__(self) -> None:
        self.announcements: list[Announcement] = []
        self.produced: dict[str, OutboundEvent] = {}
        self.refuses = 0

    def announce(self, announcements: Sequence[Announcement]) -> frozenset[str]:
        refused, self.refuses = min(self.refuses, len(announcements)), 0
        taken = announcements[refused:]
        for one in taken:
            write_announcement(one)
        self.announcements += taken
        return frozenset(one.enrollment.id for one in taken)

    def publish(self, productions: Sequence[OutboundEvent]) -> frozenset[str]:
        refused, self.refuses = min(self.refuses, len(productions)), 0
        taken = {one.id: one for one in productions[refused:]}
        self.produced |= taken
        return frozenset(taken)


class FakeUnprocessed:
    def __init__(self) -> None:
        self.events: list[tuple[object, InvalidEvent]] = []

    def put(self, envelope: object, invalid: InvalidEvent) -> None:
        self.events.append((envelope, invalid))


class FakeUnprocessedQueue:
    """`held`: the IDs of messages that another reader holds. `max_visited`: the limit of a scan."""

    def __init__(self) -> None:
        self.messages: list[UnprocessedMessage] = []
        self.held: set[str] = set()
        self.max_visited = 1_000
        self.scans = 0

    def put(self, message_id: str, sent_at: Instant, envelope: object, reason: str, message: str = "m") -> None:
        self.messages.append(UnprocessedMessage(message_id, sent_at, UnprocessedEvent(reason, message, envelope)))

    def visit_all(self, visit: Callable[[UnprocessedMessage], bool]) -> bool:
        self.scans += 1
        visible = [one for one in self.messages if one.id not in self.held]
        for one in visible[: self.max_visited]:
            if not visit(one):
                return False
        return not self.held and len(visible) <= self.max_visited

    def is_empty(self) -> bool:
        return not self.messages


class FakeDecisionLog:
    def __init__(self) -> None:
        self.decisions: list[tuple[Event, Decision]] = []
        self.others: list[tuple[Event, Mapping[Code, int]]] = []
        self.refusals: list[InvalidEvent] = []
        self.skips: list[Event] = []
        self.events_with_unknown_names: list[Event] = []
        self.rehearsals: list[tuple[Event, Sequence[Decision]]] = []
        self.before_creation: list[tuple[Event, int]] = []
        self.reused_ids: list[tuple[Event, Enrollment]] = []
        self.left: list[tuple[Event, int]] = []

    def log_decisions(self, event: Event, decisions: Sequence[Decision], others: Mapping[Code, int]) -> None:
        self.decisions += [(event, one) for one in decisions]
        self.others += [(event, others)] if others else []

    def log_rejected(self, event_id: str | None, invalid: InvalidEvent) -> None:
        self.refusals.append(invalid)

    def log_skipped(self, event: Event) -> None:
        self.skips.append(event)

    def unknown_names(self, event: Event) -> None:
        self.events_with_unknown_names.append(event)

    def stored_before_creation(self, event: Event, changes: int) -> None:
        self.before_creation.append((event, changes))

    def id_used_before(self, event: Event, enrollment: Enrollment) -> None:
        self.reused_ids.append((event, enrollment))

    def not_decided_again(self, event: Event, left: int) -> None:
        self.left.append((event, left))

    def log_dry_run(self, event: Event, decisions: Sequence[Decision]) -> None:
        self.rehearsals.append((event, decisions))


@dataclass
class World:
    """A portal's system in memory. `now` is moved by hand."""

    now: Instant = 1_795_514_400_000
    flows: FakeFlows = field(default_factory=FakeFlows)
    records: FakeRecords = field(default_factory=FakeRecords)
    associations: FakeAssociations = field(default_factory=FakeAssociations)
    portals: FakePortals = field(default_factory=FakePortals)
    enrollments: FakeEnrollments = field(default_factory=FakeEnrollments)
    deferred_events: FakeDeferredEvents = field(default_factory=FakeDeferredEvents)
    redeliveries: FakeRedeliveries = field(default_factory=FakeRedeliveries)
    rate_limits: FakeRateLimits = field(default_factory=FakeRateLimits)
    replays: FakeReplays = field(default_factory=FakeReplays)
    runs: FakeRuns = field(default_factory=FakeRuns)
    kept_events: FakeHistory = field(default_factory=FakeHistory)
    history_days: int = 30
    queue: FakeQueue = field(default_factory=FakeQueue)
    bus: FakeBus = field(default_factory=FakeBus)
    decision_log: FakeDecisionLog = field(default_factory=FakeDecisionLog)
    unprocessed_queue: FakeUnprocessedQueue = field(default_factory=FakeUnprocessedQueue)
    ids: int = 0

    def __post_init__(self) -> None:
        self.evaluator = CriteriaEvaluator(self.records, self.associations, self.portals)
        self.history = EventHistory(self.kept_events, self.history_days)
        self.processor = EventProcessor(
            event_types=EVENT_TYPES,
            flows=self.flows,
            records=self.records,
            evaluator=self.evaluator,
            enrollments=self.enrollments,
            deferrals=Deferrals(self.deferred_events, self.records, self.redeliveries),
            rate_limits=self.rate_limits,
            history=self.history,
            publisher=EnrollmentPublisher(self.enrollments, self.queue, self.bus, self.redeliveries, lambda: self.now),
            decision_log=self.decision_log,
            clock=lambda: self.now,
            new_id=self.new_id,
        )
        self.associated_changes = AssociatedChangeProcessor(self.processor)
        self.unconfirmed_publisher = UnconfirmedPublisher(self.enrollments, self.processor.publisher, lambda: self.now)
        self.replay_processor = ReplayProcessor(self.processor, self.replays, self.decision_log, lambda: self.now)
        self.manual_enrollment = ManualEnrollment(
            self.flows,
            read_flow_or_retired,
            self.records,
            self.evaluator,
            EnrollmentClaims(self.enrollments, self.rate_limits, lambda: self.now, self.new_id),
            self.processor.publisher,
            self.decision_log,
        )
        self.listing = FakeRecordListing(self.records)
        self.backfills = Backfills(self.runs, self.flows, read_flow, self.listing, self.new_id)
        self.requested = RequestedEnrollments(
            self.enrollments, self.runs, self.flows, read_flow_or_retired, self.evaluator
        )
        self.run_worker = RunWorker(
            runs=self.runs,
            flow_repository=self.flows,
            read_flow=read_flow_or_retired,
            listing=self.listing,
            records=self.records,
            first_enrollments=self.enrollments,
            evaluator=self.evaluator,
            claims=self.manual_enrollment.claims,
            publisher=self.processor.publisher,
            decision_log=self.decision_log,
            clock=lambda: self.now,
            sleep=self._sleep,
        )
        self.unprocessed = UnprocessedEventReader(self.unprocessed_queue)
        self.authoring = FlowAuthoring(self.flows, self.flows, read_flow_to_store)
        self.record_service = RecordService(self.records, self.associations, self.bus, check_production, self.records)

    def _sleep(self, seconds: float) -> None:
        self.now += round(seconds * 1000)

    def new_id(self, at: Instant) -> str:
        self.ids += 1
        return f"01TEST{self.ids:020d}"

    def put_flow(self, document: Mapping[str, Any], *, portal: str = "p1", at: Instant | None = None) -> None:
        """A new flow is on for all events, a changed one is changed now; unless told otherwise."""
        flow_id = str(document["id"])
        is_new = flow_id not in self.authoring.get_many(portal, [flow_id])
        store(self.authoring, portal, document, (0 if is_new else self.now) if at is None else at)

    def put_record(self, key: RecordKey, record: Record) -> None:
        self.records.save(replace(record, key=key))

    def deliver_produced(self) -> tuple[Decision, ...]:
        """What recordkeeping put on the bus since the last time."""
        produced, self.bus.produced = self.bus.produced, {}
        return tuple(
            decision
            for event_id, one in produced.items()
            for decision in self.deliver(
                {
                    "id": event_id,
                    "detail-type": one.event_type,
                    "source": "enroll",
                    "time": iso(self.now),
                    "detail": json.loads(write_outbound_event(one)),
                }
            )
        )

    def pass_time(self, to: Instant) -> tuple[Decision, ...]:
        """What is delivered again until then, at its time."""
        decisions: list[Decision] = []
        while due := sorted(one for one in self.redeliveries.scheduled if one[0] <= to):
            at, text = due[0]
            self.now = max(self.now, at)
            redelivery = read_redelivery(text)
            assert not isinstance(redelivery, AssociatedChange)
            decisions += self.processor.resume(*redelivery)
            self.redeliveries.scheduled.remove(due[0])
        self.now = max(self.now, to)
        return tuple(decisions)

    def decide_associated(self, times: int = 1) -> None:
        """Process what was sent about associated records, each message ``times`` times."""
        while self.redeliveries.changes:
            change = read_redelivery(self.redeliveries.changes.pop(0))
            assert isinstance(change, AssociatedChange)
            for _ in range(times):
                self.associated_changes.process(change)

    def deliver(self, envelope: Mapping[str, Any]) -> tuple[Decision, ...]:
        category = str(envelope["detail-type"]).partition(".")[0]
        return self.processor.process(read_event(envelope, category))


def store(authoring: FlowAuthoring, portal: str, document: Mapping[str, Any], now: Instant) -> FlowRevision:
    """Whatever its current revision is."""
    flow_id = str(document["id"])
    current = authoring.get_many(portal, [flow_id]).get(flow_id)
    based_on = None if current is None else str(current.revision)
    return authoring.put(portal, flow_id, document, now, based_on=based_on)


def switch(authoring: FlowAuthoring, portal: str, flow_id: str, now: Instant, *, on: bool) -> FlowRevision:
    """Turns a flow on or off, as its author does: by writing it so."""
    document = authoring.get(portal, flow_id).document
    return store(authoring, portal, {**document, "id": flow_id, "isEnabled": on}, now)
