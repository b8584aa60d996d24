"""What the story may rely on in the queue and the bus: every answer is read, what failed is sent again."""

import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from enrollment.adapters import backoff
from enrollment.adapters.eventbridge import EventBridgeBus
from enrollment.adapters.sqs import SqsQueue, SqsRedeliveryScheduler, SqsWorkQueue, group_id
from enrollment.application.ports import Throttled
from enrollment.domain.enrollment.enrollments import Announcement, Enrollment, TriggerEvent
from enrollment.domain.events.associated_change import AssociatedChange, ChangedParts
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.timers.due_item import DUE_SHARDS, LOOK_AHEAD_MS, DueItem, DueKind, due_item
from enrollment.domain.values import iso
from enrollment.serialization.envelopes import read_event, read_stored_event, write_event
from enrollment.serialization.messages import write_announcement, write_message, write_outbound_event
from enrollment.serialization.redeliveries import read_redelivery, write_associated_change, write_redelivery
from tests.support.fakes import FakeDueItems
from tests.support.scenario import event


def enrollments(count: int, size: int = 10) -> list[Enrollment]:
    return [
        Enrollment(
            id=f"id-{number}",
            record_key=RecordKey("p1", "0-1", "101"),
            flow_id=str(number),
            flow_name="Welcome",
            flow_revision_id="1",
            idempotency_key=f"p1/{number}/0-1/101",
            is_re_enrollment=False,
            cause=TriggerEvent(0, "forms.submitted", "4-1639801", "e1", 0, "acme", {"hs_url": "x" * size}),
            enrolled_at=0,
        )
        for number in range(count)
    ]


class Service:
    """SQS and EventBridge as a client sees them. `refuse`: the ids to refuse at each call; an exception is raised."""

    def __init__(self, *refuse: Any) -> None:
        self.refuse = list(refuse)
        self.calls: list[list[str]] = []

    def _refused(self, ids: list[str]) -> Sequence[str]:
        self.calls.append(ids)
        refused = self.refuse.pop(0) if self.refuse else []
        if isinstance(refused, Exception):
            raise refused
        return ids if refused == "all" else refused

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        assert len(Entries) <= 10
        assert sum(len(one["MessageBody"]) for one in Entries) <= 262_144
        bodies = {one["Id"]: json.loads(one["MessageBody"]) for one in Entries}
        ids = {key: body.get("enrollmentId") or body["associated"]["objectIds"][0] for key, body in bodies.items()}
        assert len(ids) == len(Entries)
        refused = self._refused(list(ids.values()))
        return {
            "Successful": [{"Id": key} for key, one in ids.items() if one not in refused],
            "Failed": [{"Id": key, "Code": "Throttled"} for key, one in ids.items() if one in refused],
        }

    def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        assert len(Entries) <= 10
        ids = [json.loads(one["Detail"])["id"] for one in Entries]
        refused = self._refused(ids)
        entries = [{"ErrorCode": "Internal"} if one in refused else {"EventId": "x"} for one in ids]
        return {"FailedEntryCount": len(refused), "Entries": entries}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST_WAIT_SECONDS", 0.0)


@pytest.fixture(params=["queue", "bus"])
def deliver(request: pytest.FixtureRequest) -> Any:
    def queue(service: Any, made: list[Enrollment], taken: list[str]) -> None:
        for one in SqsQueue(service, "url", write_message).publish(made):
            taken.append(one)

    def bus(service: Any, made: list[Enrollment], taken: list[str]) -> None:
        for one in EventBridgeBus(service, "bus", write_announcement, write_outbound_event).announce(
            [Announcement(each, ("1",)) for each in made]
        ):
            taken.append(one)

    return queue if request.param == "queue" else bus


def test_all_are_sent_in_batches(deliver: Any) -> None:
    service, taken = Service(), list[str]()
    deliver(service, enrollments(23), taken)
    assert taken == [f"id-{number}" for number in range(23)]
    assert [len(call) for call in service.calls] == [10, 10, 3]


def test_only_rejected_entries_are_sent_again(deliver: Any) -> None:
    service, taken = Service(["id-1", "id-3"], ["id-3"]), list[str]()
    deliver(service, enrollments(5), taken)
    assert sorted(taken) == [f"id-{number}" for number in range(5)]
    assert service.calls[1:] == [["id-1", "id-3"], ["id-3"]]


def test_entries_rejected_by_every_attempt_are_not_returned(deliver: Any) -> None:
    service, taken = Service(*[["id-1"]] * 99), list[str]()
    deliver(service, enrollments(3), taken)
    assert sorted(taken) == ["id-0", "id-2"]
    assert len(service.calls) == backoff.ATTEMPTS


def test_entries_accepted_before_a_failed_call_are_returned(deliver: Any) -> None:
    service, taken = Service([], TimeoutError("no answer")), list[str]()
    with pytest.raises(TimeoutError):
        deliver(service, enrollments(12), taken)
    assert taken == [f"id-{number}" for number in range(10)]


def test_batches_of_large_messages_stay_below_the_size_limit() -> None:
    service = Service()
    taken = list(SqsQueue(service, "url", write_message).publish(enrollments(7, size=90_000)))  # type: ignore[arg-type]
    assert len(taken) == 7
    assert [len(call) for call in service.calls] == [2, 2, 2, 1]


CHANGE = AssociatedChange(
    read_event(event({"crm.property_changed": "7", "object": "company", "id": "c1", "chain": ["7"],
                      "properties": {"hs_name": "name", "hs_value": "ü"}}), "crm"),
    ChangedParts(frozenset({"name", "ü;"}), frozenset({"42"})),
    "0-1",
)  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        CHANGE,
        replace(CHANGE, object_ids=("1", "a/b"), parts=ChangedParts()),
        replace(CHANGE, after="9", flow_ids=frozenset({"3", "1"}), is_replay=True),
        replace(CHANGE, after="9", messages_before=7),
    ],
)
def test_change_for_associated_records_round_trips(change: AssociatedChange) -> None:
    assert read_redelivery(write_associated_change(change)) == change


def test_changes_for_associated_records_are_sent_in_batches_until_all_are_accepted() -> None:
    service = Service(["1", "3"], ["3"])
    queue: Any = SqsRedeliveryScheduler(
        service, "url", write_redelivery, lambda: 0, write_associated_change, FakeDueItems()
    )  # type: ignore[arg-type]
    queue.send([replace(CHANGE, object_ids=(str(number),)) for number in range(12)])
    assert [len(call) for call in service.calls] == [10, 2, 1, 2]


def test_changes_that_the_queue_rejects_at_every_attempt_raise_throttled() -> None:
    service = Service(*[["1"]] * 99)
    queue: Any = SqsRedeliveryScheduler(
        service, "url", write_redelivery, lambda: 0, write_associated_change, FakeDueItems()
    )  # type: ignore[arg-type]
    with pytest.raises(Throttled):
        queue.send([replace(CHANGE, object_ids=(str(number),)) for number in range(2)])


class Scheduled:
    """A scheduler at 1,000 ms. `sent`: the messages that the queue has received. `stored`: the due items."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.due_items = FakeDueItems()
        service: Any = SimpleNamespace(send_message=lambda **message: self.sent.append(message))
        self.scheduler = SqsRedeliveryScheduler(
            service, "url", write_redelivery, lambda: 1_000, write_associated_change, self.due_items
        )

    @property
    def stored(self) -> list[DueItem]:
        return [each for shard in range(DUE_SHARDS) for each in self.due_items.due_before(shard, 2**45)]


SUBMITTED = read_event(event({"forms.submitted": "ü/101", "id": "e1", "record": {"a": None}, "chain": ["7"]}), "forms")


def test_event_that_is_due_soon_is_sent_at_once_with_a_delay() -> None:
    scheduled = Scheduled()
    for at in (1_000 + LOOK_AHEAD_MS, 1_001, 1_000, 0):
        scheduled.scheduler.schedule(SUBMITTED, {"2", "1"}, at)
    assert [message["DelaySeconds"] for message in scheduled.sent] == [90, 1, 0, 0]
    assert read_redelivery(scheduled.sent[1]["MessageBody"]) == (SUBMITTED, frozenset({"1", "2"}), 1_001, "")
    assert scheduled.stored == []


def test_event_that_is_due_later_is_stored_until_then() -> None:
    scheduled, at = Scheduled(), 1_001 + LOOK_AHEAD_MS
    scheduled.scheduler.schedule(SUBMITTED, {"2", "1"}, at, "at:5")
    (stored,) = scheduled.stored
    assert (stored.kind, stored.due_at) == (DueKind.EVENT, at)
    assert read_redelivery(stored.message) == (SUBMITTED, frozenset({"1", "2"}), at, "at:5")
    assert scheduled.sent == []


def test_event_that_is_scheduled_again_has_one_due_item_for_each_group_of_flows() -> None:
    scheduled, at = Scheduled(), 500_000
    for flow_ids in (["1", "2"], ["2", "1"], ["3"], ["1", "2"]):
        scheduled.scheduler.schedule(SUBMITTED, flow_ids, at)
    scheduled.scheduler.schedule(SUBMITTED, ["3"], at, "at:5")
    found = [read_redelivery(stored.message) for stored in scheduled.stored]
    assert sorted((sorted(flow_ids), change) for _, flow_ids, _, change in found) == [  # type: ignore[misc]
        (["1", "2"], ""),
        (["3"], ""),
        (["3"], "at:5"),
    ]


def test_events_of_two_types_with_one_id_have_two_due_items() -> None:
    scheduled, at = Scheduled(), 500_000
    ended = read_event(event({"calls.ended": "ü/101", "id": "e1", "record": {"a": None}}), "calls")
    for each in (SUBMITTED, ended):
        scheduled.scheduler.schedule(each, ["1"], at)
    assert len(scheduled.stored) == 2


def test_change_that_is_sent_by_the_timer_is_due_at_once() -> None:
    scheduled = Scheduled()
    scheduled.scheduler.send_by_timer(CHANGE)
    (stored,) = scheduled.stored
    assert (stored.kind, stored.due_at, read_redelivery(stored.message)) == (DueKind.ASSOCIATED, 1_000, CHANGE)
    assert scheduled.sent == []


class WorkService(Service):
    """SQS for due items, whose message is their name."""

    def __init__(self, *refuse: Any) -> None:
        super().__init__(*refuse)
        self.delays: list[int] = []

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        assert sum(len(each["MessageBody"]) for each in Entries) <= 262_144
        names = {each["Id"]: each["MessageBody"] for each in Entries}
        refused = self._refused(list(names.values()))
        self.delays += [each["DelaySeconds"] for each in Entries if each["MessageBody"] not in refused]
        return {"Successful": [{"Id": entry_id} for entry_id, name in names.items() if name not in refused]}


def test_due_items_are_sent_in_batches_with_the_remaining_time_as_delay() -> None:
    service: Any = WorkService()
    items = [due_item(DueKind.EVENT, 10_000 + 500 * number, f"m{number}", str(number)) for number in range(12)]
    assert list(SqsWorkQueue(service, "url", lambda: 10_500).send(items)) == items
    assert [len(call) for call in service.calls] == [10, 2]
    assert service.delays == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_due_items_that_the_queue_rejects_are_sent_again_and_left_out_at_the_end() -> None:
    service: Any = WorkService(["m1", "m2"], *[["m2"]] * 99)
    items = [due_item(DueKind.EVENT, 0, f"m{number}", str(number)) for number in range(3)]
    accepted = list(SqsWorkQueue(service, "url", lambda: 0).send(items))
    assert accepted == items[:2]
    assert service.calls[1:3] == [["m1", "m2"], ["m2"]]


def test_due_items_of_other_calls_are_sent_if_one_call_is_refused() -> None:
    """For example, because of one message that is too large."""
    too_long = ClientError({"Error": {"Code": "AWS.SimpleQueueService.BatchRequestTooLong"}}, "SendMessageBatch")
    service: Any = WorkService([], too_long, [])
    items = [due_item(DueKind.EVENT, 0, f"m{number}", str(number)) for number in range(25)]
    accepted: list[DueItem] = []
    with pytest.raises(ClientError):
        accepted.extend(SqsWorkQueue(service, "url", lambda: 0).send(items))
    assert accepted == items[:10] + items[20:]


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.text("abü/%", min_size=1, max_size=5), st.one_of(st.none(), st.booleans(), st.integers(-5, 5))),
    st.sampled_from([None, "101", "a/b", "0"]),
    st.integers(0, 253_402_300_799_999),
    st.booleans(),
)
def test_stored_event_round_trips(properties: Any, record: str | None, at: int, has_snapshot: bool) -> None:
    given = {"crm.object_created": record, "id": "e%", "at": iso(at), "sent": iso(7), "properties": properties}
    envelope = event(given | ({"record": properties} if has_snapshot else {}))
    envelope["detail"]["changedWith"] = properties
    one = read_event(envelope, "crm")
    assert read_stored_event(json.loads(json.dumps(write_event(one)))) == one


def test_group_ids_that_sqs_does_not_accept_are_hashed() -> None:
    assert group_id("p1/0-1/101") == "p1/0-1/101"
    for key in ("p/ü", "p/a b", "x" * 129, "", "p/\n"):
        assert len(group_id(key)) == 64
