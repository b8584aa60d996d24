"""A caller enrolls a record: the codes, the guarantees and the message of a manual enrollment."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from enrollment.application.enrollment_publisher import NotDelivered
from enrollment.application.flow_authoring import UnknownFlow
from enrollment.application.manual_enrollment import EnrollmentsNotPublished, FlowIsOff, ManualRequest
from enrollment.domain.enrollment.decisions import Decision
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record, TimestampedValue
from tests.support.fakes import World, switch
from tests.support.scenario import event, flow, property_filter

CALLER = "arn:aws:iam::123456789012:user/ada"
CITY = {"filterBranchType": "AND", "filters": [property_filter(["city", "IS_EQUAL_TO", "Cork"])]}


def manual(flow_id: int = 1, *, re_enroll: bool = False, **keys: Any) -> dict[str, Any]:
    criteria = {"type": "MANUAL", "shouldReEnroll": re_enroll}
    document = {"id": str(flow_id), "name": "By hand", "type": "CONTACT_FLOW", "isEnabled": True}
    return {**document, "enrollmentCriteria": criteria, **keys}


def portal(*flows: Mapping[str, Any], **properties: str) -> World:
    world = World()
    for document in flows:
        world.put_flow(document)
    for object_id in ("101", "102"):
        key = RecordKey("p1", "0-1", object_id)
        values = {name: TimestampedValue(value, 1_000) for name, value in properties.items()}
        world.put_record(key, Record(key, 1_000, values))
    return world


def enroll(world: World, *object_ids: str, key: str = "k1", flow_id: str = "1", **more: Any) -> Sequence[Decision]:
    world.now += 1
    request = ManualRequest("p1", flow_id, object_ids or ("101",), key, CALLER, **more)
    return [decision for _, decision in world.manual_enrollment.enroll(request, world.now)]


def codes(decisions: Sequence[Decision]) -> list[str]:
    return [decision.code.value for decision in decisions]


def test_manual_enrollment_is_published_and_announced() -> None:
    world = portal(manual())
    (decision,) = enroll(world)
    (published,) = world.queue.messages
    assert decision.enrollment_id == published.id
    assert (published.flow_id, published.record_key.object_id, published.is_re_enrollment) == ("1", "101", False)
    cause = published.cause
    assert (cause.group_index, cause.event_type, cause.event_type_id) == (None, "workflows.manual", None)
    assert (cause.event_id, cause.source, cause.properties) == ("manual:k1", CALLER, {})
    assert published.idempotency_key == "p1/1/0-1/101"
    (announcement,) = world.bus.announcements
    assert announcement.chain == ("1",)


@pytest.mark.parametrize("re_enroll", [False, True])
def test_repeated_key_has_the_same_answer_and_makes_no_second_enrollment(re_enroll: bool) -> None:
    world = portal(manual(re_enroll=re_enroll))
    first = enroll(world)
    switch(world.authoring, "p1", "1", world.now, on=False)
    assert enroll(world) == first
    assert len(world.queue.messages) == 1
    logged = [decision.code for _, decision in world.decision_log.decisions]
    assert logged == ["ENROLLED", "DUPLICATE_EVENT"]


def test_flow_that_enrolls_once_rejects_another_key() -> None:
    world = portal(manual())
    assert codes(enroll(world)) == ["ENROLLED"]
    (decision,) = enroll(world, key="k2")
    assert (decision.code, decision.because) == ("ALREADY_ENROLLED", "enrolled before, by event manual:k1")


def test_flow_that_re_enrolls_has_one_enrollment_for_each_key() -> None:
    world = portal(manual(re_enroll=True))
    for key in ("k1", "k2", "k2", "a/b"):
        assert codes(enroll(world, key=key)) == ["ENROLLED"]
    assert [enrollment.idempotency_key for enrollment in world.queue.messages] == [
        "p1/1/0-1/101//manual:k1",
        "p1/1/0-1/101//manual:k2",
        "p1/1/0-1/101//manual:a%2Fb",
    ]
    assert [enrollment.is_re_enrollment for enrollment in world.queue.messages] == [False, True, True]


def test_event_with_the_name_of_a_manual_enrollment_is_another_cause() -> None:
    world = portal(flow({"id": 1, "event": "forms.submitted", "re_enroll": True}))
    for _ in range(2):
        assert codes(enroll(world)) == ["ENROLLED"]
    for event_id, expected in (("manual:k1", "ENROLLED"), ("/manual:k1", "ENROLLED"), ("manual:k1", "DUPLICATE_EVENT")):
        assert codes(world.deliver(event({"forms.submitted": "101", "id": event_id}))) == [expected]
    assert codes(enroll(world, key="k2")) == ["ENROLLED"]
    assert len(world.queue.messages) == 4


def test_record_need_not_satisfy_triggers_and_criteria() -> None:
    refined = flow({"id": 1, "event": "forms.submitted", "criteria": [["city", "IS_EQUAL_TO", "Cork"]]})
    world = portal(refined, city="Dublin")
    assert codes(enroll(world)) == ["ENROLLED"]


@pytest.mark.parametrize(
    ("document", "properties", "expected"),
    [
        (manual(suppressionFilterBranch=CITY), {"city": "Cork"}, "SUPPRESSED"),
        (manual(suppressionFilterBranch=CITY), {"city": "Dublin"}, "ENROLLED"),
        (manual(goalFilterBranch=CITY), {"city": "Cork"}, "GOAL_MET"),
        (manual(goalFilterBranch=CITY), {}, "ENROLLED"),
    ],
)
def test_suppression_and_goal_apply(document: dict[str, Any], properties: dict[str, str], expected: str) -> None:
    world = portal(document, **properties)
    assert codes(enroll(world)) == [expected]
    assert len(world.queue.messages) == (expected == "ENROLLED")


def test_rejection_is_decided_again_when_it_is_repeated() -> None:
    world = portal(manual(suppressionFilterBranch=CITY), city="Cork")
    assert codes(enroll(world)) == ["SUPPRESSED"]
    world.deliver(
        event({"crm.property_changed": "101", "id": "c", "properties": {"hs_name": "city", "hs_value": "Bray"}})
    )
    assert codes(enroll(world)) == ["ENROLLED"]


def test_record_that_does_not_exist_is_not_enrolled() -> None:
    world = portal(manual())
    assert [(decision.code, decision.because) for decision in enroll(world, "999")] == [
        ("UNKNOWN_RECORD", "no record 0-1/999 exists")
    ]


def test_flow_that_is_off_takes_no_enrollment() -> None:
    world = portal({**manual(), "isEnabled": False})
    with pytest.raises(FlowIsOff, match="flow 1 is off"):
        enroll(world)
    assert not world.enrollments.items


def test_unknown_flow_and_flow_of_another_type_are_not_found() -> None:
    world = portal(manual())
    with pytest.raises(UnknownFlow):
        enroll(world, flow_id="9")
    with pytest.raises(UnknownFlow):
        enroll(world, object_type_id="0-3")


def test_chain_of_a_consumer_stops_loops() -> None:
    world = portal(manual())
    assert codes(enroll(world, chain=("7", "1"))) == ["LOOP_STOPPED"]
    assert codes(enroll(world, chain=("7",))) == ["ENROLLED"]
    assert [announcement.chain for announcement in world.bus.announcements] == [("7", "1")]


def test_batch_decides_each_record() -> None:
    world = portal(manual())
    enroll(world, "102", key="k0")
    assert codes(enroll(world, "101", "102", "999")) == ["ENROLLED", "ALREADY_ENROLLED", "UNKNOWN_RECORD"]
    assert [enrollment.record_key.object_id for enrollment in world.queue.messages] == ["102", "101"]


def test_rate_limit_delays_the_message() -> None:
    world = portal(manual(re_enroll=True, enrollmentRateLimit={"count": 1, "period": "HOUR"}))
    assert codes(enroll(world)) == ["ENROLLED"]
    (delayed,) = enroll(world, key="k2")
    assert delayed.due_at is not None
    assert enroll(world, key="k2") == [delayed]
    assert len(world.queue.messages) == 1
    world.pass_time(delayed.due_at + 1)
    assert [enrollment.id for enrollment in world.queue.messages][1:] == [delayed.enrollment_id]
    assert world.unconfirmed_publisher.clock() > 0
    world.pass_time(world.now + 3_600_000)
    assert len(world.queue.messages) == 2


def test_delayed_enrollment_is_announced_with_the_chain_of_the_first_request() -> None:
    world = portal(manual(re_enroll=True, enrollmentRateLimit={"count": 1, "period": "HOUR"}))
    enroll(world)
    (delayed,) = enroll(world, key="k2", chain=("7",))
    assert enroll(world, key="k2") == [delayed]
    assert delayed.due_at is not None
    world.pass_time(delayed.due_at + 1)
    assert [announcement.chain for announcement in world.bus.announcements] == [("1",), ("7", "1")]


def test_event_that_is_deferred_under_the_same_id_is_not_decided_by_a_delayed_enrollment() -> None:
    limited = manual(re_enroll=True, enrollmentRateLimit={"count": 1, "period": "MINUTE"})
    late = flow({"id": 2, "event": "forms.submitted", "criteria": [["city", "IS_EQUAL_TO", "Cork"]], "tolerance": 5})
    world = portal(limited, late, city="Dublin")
    assert codes(world.deliver(event({"forms.submitted": "101", "id": "manual:k2"}))) == ["WAITING"]
    enroll(world)
    (delayed,) = enroll(world, key="k2")
    assert delayed.due_at is not None
    assert codes(world.pass_time(delayed.due_at + 1)) == []
    assert len(world.queue.messages) == 2


def test_enrollment_that_the_queue_refuses_is_published_by_the_same_request() -> None:
    world = portal(manual(re_enroll=True))
    world.queue.refuses = 1
    with pytest.raises(EnrollmentsNotPublished, match="Repeat the request with the Idempotency-Key 'k1'") as refused:
        enroll(world)
    assert isinstance(refused.value.__cause__, NotDelivered)
    assert codes(enroll(world)) == ["ENROLLED"]
    assert len(world.queue.messages) == len(world.enrollments.items) == 1


def test_claimed_enrollments_are_published_when_a_later_record_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    world = portal(manual())
    claim, calls = world.enrollments.claim, []

    def fail_second(*arguments: Any) -> bool:
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError("no connection")
        return claim(*arguments)

    monkeypatch.setattr(world.enrollments, "claim", fail_second)
    with pytest.raises(OSError, match="no connection"):
        enroll(world, "101", "102")
    assert [enrollment.record_key.object_id for enrollment in world.queue.messages] == ["101"]
    assert codes(enroll(world, "101", "102")) == ["ENROLLED", "ENROLLED"]
    assert len(world.queue.messages) == 2
