"""What the story may rely on in its stores: the same of the fakes and of DynamoDB."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import Any, Protocol

import aws_lambda_powertools  # noqa: F401 - registers a handler on the sessions
import botocore.client
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse, HeadersDict
from msgspec.structs import replace

from enrollment.adapters.aws_clients import CorruptResponse
from enrollment.adapters.dynamodb.association_repository import AssociationRepository
from enrollment.adapters.dynamodb.associations import DynamoAssociations
from enrollment.adapters.dynamodb.candidate_flows import DynamoFlows
from enrollment.adapters.dynamodb.deferred_events import DynamoDeferredEvents
from enrollment.adapters.dynamodb.enrollments import DynamoEnrollments
from enrollment.adapters.dynamodb.event_history import DynamoHistory
from enrollment.adapters.dynamodb.flow_repository import DynamoFlowRepository
from enrollment.adapters.dynamodb.portal_settings import DynamoPortals
from enrollment.adapters.dynamodb.portal_settings_repository import PortalSettingsRepository
from enrollment.adapters.dynamodb.rate_limits import DynamoRateLimits
from enrollment.adapters.dynamodb.record_repository import RecordRepository
from enrollment.adapters.dynamodb.records import DynamoRecords
from enrollment.adapters.dynamodb.replay_repository import ReplayRepository
from enrollment.adapters.dynamodb.replays import DynamoReplays
from enrollment.adapters.dynamodb.tables import Expression, Item
from enrollment.application.flow_authoring import FlowAuthoring
from enrollment.application.ports import (
    REPLAY_PARTS,
    Associations,
    ConcurrentModification,
    DeferredEvents,
    Enrollments,
    EventHistoryStore,
    FlowRepository,
    Flows,
    Portals,
    RateLimits,
    Records,
    Replays,
    UnconfirmedEnrollments,
)
from enrollment.catalog import EVENT_TYPES
from enrollment.domain.enrollment.decisions import Code, Decision
from enrollment.domain.enrollment.enrollments import Enrollment, StoredEnrollment, TriggerEvent, direct_cause
from enrollment.domain.enrollment.late_data_tolerance import DeferredEvent
from enrollment.domain.enrollment.portal_settings import PortalSettings
from enrollment.domain.enrollment.replays import Replay
from enrollment.domain.events.event import Event, Occurrence
from enrollment.domain.events.manual import manual_event
from enrollment.domain.events.sort_key import MAX_SORT_KEY, MIN_SORT_KEY, EventKey, event_sort_key, sort_key_at
from enrollment.domain.flows.candidate_selection import CandidateQuery
from enrollment.domain.flows.rate_limit import RateLimit
from enrollment.domain.flows.record_change import record_change
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.associations import Association, AssociationType, associated
from enrollment.domain.records.record import Record, TimestampedValue, apply_event, deleted
from enrollment.serialization.envelopes import read_event, read_stored_event, write_event
from enrollment.serialization.flows import read_flow
from enrollment.serialization.messages import read_message, write_message
from enrollment.serialization.redeliveries import read_redelivery, write_redelivery
from tests.support.aws import aws
from tests.support.fakes import (
    FakeAssociations,
    FakeDeferredEvents,
    FakeEnrollments,
    FakeFlows,
    FakeHistory,
    FakePortals,
    FakeRateLimits,
    FakeRecords,
    FakeReplays,
    store,
    switch,
)
from tests.support.scenario import event, flow
from tests.support.stores import open_tables

NOW = 1_764_000_000_000
ADA = RecordKey("p1", "0-1", "101")


class AllEnrollments(Enrollments, UnconfirmedEnrollments, Protocol):
    pass


@dataclass
class Stores:
    flows: Flows
    other_flows: Flows  # another warm function
    flow_repository: FlowRepository
    records: Records
    associations: Associations
    portals: Portals
    deferred_events: DeferredEvents
    rate_limits: RateLimits
    replays: Replays
    history: EventHistoryStore
    enrollments: AllEnrollments

    @property
    def authoring(self) -> FlowAuthoring:
        return FlowAuthoring(self.flow_repository, self.flows, read_flow)


@pytest.fixture(params=["fake", "event path", "models"])
def stores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stores]:
    if request.param == "fake":
        flows = FakeFlows()
        yield Stores(
            flows,
            flows,
            flows,
            FakeRecords(),
            FakeAssociations(),
            FakePortals(),
            FakeDeferredEvents(),
            FakeRateLimits(),
            FakeReplays(),
            FakeHistory(),
            FakeEnrollments(),
        )
        return
    with aws(monkeypatch) as config:
        tables, uses_models = open_tables(config), request.param == "models"
        yield Stores(
            DynamoFlows(tables, read_flow),
            DynamoFlows(tables, read_flow),
            DynamoFlowRepository(tables, read_flow),
            RecordRepository(tables) if uses_models else DynamoRecords(tables),
            AssociationRepository(tables) if uses_models else DynamoAssociations(tables),
            PortalSettingsRepository(tables) if uses_models else DynamoPortals(tables),
            DynamoDeferredEvents(tables, write_event, read_stored_event),
            DynamoRateLimits(tables),
            ReplayRepository(tables) if uses_models else DynamoReplays(tables),
            DynamoHistory(tables, write_event, read_stored_event),
            DynamoEnrollments(tables, write_message, read_message),
        )


def candidates(flows: Flows, *event_types: str, portal: str = "p1", object_type: str = "0-1") -> list[tuple[str, bool]]:
    found = flows.candidates(portal, object_type, event_types or ("forms.submitted",))
    return sorted((one.id, one.is_enabled) for one in found)


def put(stores: Stores, now: int = NOW, portal: str = "p1", **given: Any) -> None:
    document = flow({"event": "forms.submitted", **given})
    store(stores.authoring, portal, document, now)


# Flows ---------------------------------------------------------------------------------------------------------------


def test_flow_is_a_candidate_only_of_its_trigger_events(stores: Stores) -> None:
    put(stores, id=1, groups=[{"event": "forms.submitted"}, {"event": "4-96000"}])
    put(stores, id=2, event="calls.ended")
    put(stores, id=3, portal="p2")
    put(stores, id=4, object="company", event="crm.object_created")

    assert candidates(stores.flows) == [("1", True)]
    assert candidates(stores.flows, "website.page_visited", "forms.submitted", "calls.ended") == [
        ("1", True),
        ("2", True),
    ]
    assert candidates(stores.flows, portal="p2") == [("3", True)]
    assert candidates(stores.flows, "crm.object_created") == []
    assert candidates(stores.flows, "crm.object_created", object_type="0-2") == [("4", True)]


def test_flow_change_takes_effect_at_the_next_event_in_every_warm_function(stores: Stores) -> None:
    put(stores, id=1)
    for flows in (stores.flows, stores.other_flows):
        assert candidates(flows) == [("1", True)]

    switch(stores.authoring, "p1", "1", NOW + 1, on=False)
    put(stores, id=2)

    for flows in (stores.flows, stores.other_flows):
        assert candidates(flows) == [("1", False), ("2", True)]
        assert candidates(flows, "forms.submitted", "calls.ended") == [("1", False), ("2", True)]


def test_a_flow_that_lost_a_trigger_or_was_deleted_is_retired(stores: Stores) -> None:
    put(stores, id=1)
    put(stores, id=2)
    put(stores, id=1, event="calls.ended", now=NOW + 5)
    stores.authoring.delete("p1", "2", NOW + 6)

    assert candidates(stores.flows) == [("1", False), ("2", False)]
    assert candidates(stores.flows, "calls.ended") == [("1", True)]
    changed = {one.id: one.changed_at for one in stores.flows.candidates("p1", "0-1", ["forms.submitted"])}
    assert changed == {"1": NOW + 5, "2": NOW + 6}


def test_a_flow_that_lost_one_of_several_triggers_is_found_by_the_others(stores: Stores) -> None:
    """An event can satisfy both."""
    put(stores, id=1, groups=[{"event": "forms.submitted"}, {"event": "calls.ended"}])
    put(stores, id=1, event="calls.ended", now=NOW + 5)

    for order in (("forms.submitted", "calls.ended"), ("calls.ended", "forms.submitted")):
        assert candidates(stores.flows, *order) == [("1", True)]
    assert candidates(stores.flows) == [("1", False)]


def test_relevant_flows_are_separated_from_counted_flows(stores: Stores) -> None:
    for number in range(30):
        put(stores, id=number, where=[["hs_form_id", "IS_ANY_OF", [f"f-{number}"]]])
    put(stores, id=30, event="calls.ended")
    switch(stores.authoring, "p1", "9", NOW + 1, on=False)

    def asked(
        since: int | None = NOW + 10, named: Sequence[str] = (), max_individual_decisions: int = 0
    ) -> tuple[list[str], int]:
        occurrence = Occurrence(EVENT_TYPES["forms.submitted"], {"hs_form_id": "f-3"})
        found = stores.flows.relevant("p1", "0-1", CandidateQuery([occurrence], since, named, max_individual_decisions))
        assert set(found.counted) <= {frozenset({"forms.submitted"})}
        return sorted(one.id for one in found.flows), sum(found.counted.values())

    everything = sorted(str(number) for number in range(30))
    assert asked() == (["3"], 28)
    assert asked(named=["4", "30", "x"]) == (["3", "4"], 27)
    assert asked(since=NOW + 1) == (["3", "9"], 28)
    assert asked(since=NOW) == asked(since=None) == asked(max_individual_decisions=30) == (everything, 0)
    put(stores, id=5, where=[["hs_form_id", "IS_ANY_OF", ["f-3"]]], now=NOW + 2)
    assert asked() == (["3", "5"], 27)


def test_flow_is_found_by_changes_of_the_associated_records_that_it_mentions(stores: Stores) -> None:
    put(stores, id=1, filters=[], company=[["name", "IS_EQUAL_TO", "Acme"]])
    put(stores, id=2, filters=[], company=[["IN_LIST", "42"]])
    put(stores, id=3, object="company", filters=[["name", "IS_KNOWN"]])

    def found(name: str, max_individual_decisions: int = 100) -> tuple[list[str], list[str]]:
        given = {"crm.property_changed": "7", "object": "company", "id": "c"}
        changed = read_event(event({**given, "properties": {"hs_name": name, "hs_value": "x"}}), "crm").evaluated(NOW)
        record = apply_event(Record(RecordKey("p1", "0-2", "7"), 0), changed)
        occurrence = Occurrence(EVENT_TYPES["crm.property_changed"], changed.properties)
        query = CandidateQuery([occurrence], NOW + 10, (), max_individual_decisions, record_change(changed, record))
        selected = stores.flows.relevant("p1", "0-2", query)
        return [flow.id for flow in selected.flows], [flow.id for flow in selected.associated]

    assert found("name") == found("name", 0) == (["3"], ["1"])
    assert found("phone") == (["3"], [])
    assert found("phone", 0) == ([], [])
    assert candidates_of(stores, "0-2", "crm.property_changed") == ["3"]
    assert candidates_of(stores, "0-1", "crm.associated_record_changed") == ["1", "2"]

    put(stores, id=1, filters=[["city", "IS_KNOWN"]], now=NOW + 1)
    assert found("name")[1] == []


def candidates_of(stores: Stores, object_type_id: str, event_type: str) -> list[str]:
    flows = stores.flows.candidates("p1", object_type_id, [event_type])
    return sorted(flow.id for flow in flows)


def test_a_revision_that_is_not_based_on_the_current_one_is_a_conflict(stores: Stores) -> None:
    put(stores, id=1)
    first = stores.authoring.get("p1", "1")
    put(stores, id=1, re_enroll=True)

    with pytest.raises(ConcurrentModification):
        stores.flow_repository.save(replace(first, revision=2), first)
    with pytest.raises(ConcurrentModification):
        stores.flow_repository.save(replace(first, revision=1), None)
    assert stores.authoring.get("p1", "1").revision == 2


def test_flows_are_listed_by_portal_without_the_deleted_ones(stores: Stores) -> None:
    for number in (1, 2, 3):
        put(stores, id=number)
    put(stores, id=9, portal="p2")
    stores.authoring.delete("p1", "2", NOW)

    assert [one.id for one in stores.authoring.list("p1", 10)] == ["1", "3"]
    assert [one.id for one in stores.authoring.list("p1", 1)] == ["1"]
    assert [one.id for one in stores.authoring.list("p1", 1, "1")] == ["3"]
    assert [one.id for one in stores.authoring.list("p1", 1, "3")] == []
    assert set(stores.authoring.get_many("p1", ["3", "1", "2", "9", "1"])) == {"1", "3"}


def test_rewritten_deleted_flow_continues_its_revision_numbers(stores: Stores) -> None:
    put(stores, id=1)
    stores.authoring.delete("p1", "1", NOW + 1)
    put(stores, id=1, now=NOW + 2)

    current = stores.authoring.get("p1", "1")
    assert (current.revision, current.created_at, current.enabled_at) == (3, NOW + 2, NOW + 2)


def test_every_key_of_a_flow_document_is_preserved(stores: Stores) -> None:
    document = {**flow({"id": 1, "event": "forms.submitted"}), "actions": [{"x": [1, None, "é", {"y": 2.5}]}], "": ""}
    stores.authoring.put("p1", "1", document, NOW)

    kept = stores.authoring.get("p1", "1").document
    assert kept == {key: value for key, value in document.items() if key != "id"}


def test_portal_and_flow_ids_with_separators_stay_distinct(stores: Stores) -> None:
    put(stores, id="b/c", portal="a")
    put(stores, id="c", portal="a/b", event="calls.ended")

    assert candidates(stores.flows, portal="a") == [("b/c", True)]
    assert candidates(stores.flows, "calls.ended", portal="a/b") == [("c", True)]
    assert candidates(stores.flows, portal="a/b") == []
    assert [one.id for one in stores.authoring.list("a", 10)] == ["b/c"]


# Records -------------------------------------------------------------------------------------------------------------


def test_a_record_is_read_as_it_was_saved(stores: Stores) -> None:
    record = Record(
        ADA,
        NOW,
        {
            "city": TimestampedValue("Dublin", NOW),
            "age": TimestampedValue(3, 1),
            "vip": TimestampedValue(True, 2),
            "tags": TimestampedValue(["a"], 3),
        },
        {"42": TimestampedValue(True, NOW)},
        {"sales_documents.viewed/d": "e1"},
    )
    assert stores.records.get(ADA) is None

    saved = stores.records.save(record)

    assert saved == replace(record, version=1)
    assert stores.records.get(ADA) == saved
    assert stores.records.get(replace(ADA, portal_id="p2")) is None


def test_concurrent_change_of_a_record_version_raises_for_one_writer(stores: Stores) -> None:
    saved = stores.records.save(Record(ADA, NOW))
    stores.records.save(saved)

    with pytest.raises(ConcurrentModification):
        stores.records.save(saved)
    with pytest.raises(ConcurrentModification):
        stores.records.save(Record(ADA, NOW))


def test_deleted_record_is_read_with_what_is_retained(stores: Stores) -> None:
    saved = stores.records.save(Record(ADA, NOW, {"city": TimestampedValue("Dublin", NOW)}))
    gone = stores.records.save(deleted(saved, NOW + 1))

    assert stores.records.get(ADA) == gone
    assert (gone.is_deleted, gone.properties, gone.version) == (True, {}, 2)


def test_many_records_are_read_at_once(stores: Stores) -> None:
    keys = [RecordKey("p1", "0-1", str(number)) for number in range(120)]
    stored = {key: stores.records.save(Record(key, NOW)) for key in keys[::2]}

    assert stores.records.get_many(keys) == stored
    assert stores.records.get_many([]) == {}


# Associations --------------------------------------------------------------------------------------------------------

TO_COMPANY, TO_CONTACT = AssociationType("HUBSPOT_DEFINED", 279), AssociationType("HUBSPOT_DEFINED", 280)


def company(object_id: str, portal: str = "p1") -> RecordKey:
    return RecordKey(portal, "0-2", object_id)


def test_an_association_is_read_from_both_sides_as_it_was_saved(stores: Stores) -> None:
    there, back = stores.associations.get(ADA, company("7")), stores.associations.get(company("7"), ADA)
    assert (there, back) == (Association(ADA, company("7")), Association(company("7"), ADA))

    saved = [associated(there, [TO_COMPANY], NOW, holds=True), associated(back, [TO_CONTACT], NOW, holds=True)]
    stores.associations.save(saved)

    assert stores.associations.get(ADA, company("7")) == replace(saved[0], version=1)
    assert stores.associations.of(company("7"), "0-1", 10) == [replace(saved[1], version=1)]


def test_associations_of_a_type_page_by_page(stores: Stores) -> None:
    others = [company("1"), company("10"), company("1/x"), company("2"), RecordKey("p1", "0-20", "1"), company("3")]
    for other in others:
        kinds = [TO_COMPANY]
        stores.associations.save([associated(Association(ADA, other), kinds, NOW, holds=True)])
    last = stores.associations.get(ADA, company("3"))
    stores.associations.save([associated(last, [TO_COMPANY], NOW + 1, holds=False)])

    def page(limit: int, after: str = "") -> list[str]:
        return [one.other.object_id for one in stores.associations.of(ADA, "0-2", limit, after)]

    assert page(10) == ["1", "1/x", "10", "2"]
    assert page(2) == ["1", "1/x"]
    assert page(2, "1/x") == ["10", "2"]
    assert page(2, "2") == []
    ever = [association.other.object_id for association in stores.associations.all_of(ADA, "0-2", 2, "10")]
    assert ever == ["2", "3"]


def test_concurrent_change_of_an_association_raises_for_one_writer(stores: Stores) -> None:
    first = associated(Association(ADA, company("7")), [TO_COMPANY], NOW, holds=True)
    stores.associations.save([first])

    with pytest.raises(ConcurrentModification):
        stores.associations.save([first, associated(Association(ADA, company("8")), [TO_COMPANY], NOW, holds=True)])
    assert stores.associations.get(ADA, company("8")).version == 0


def test_settings_of_a_portal(stores: Stores) -> None:
    assert stores.portals.settings("p1") == PortalSettings()
    stores.portals.save("p1", PortalSettings("Europe/Dublin", 60_000))
    assert stores.portals.settings("p1") == PortalSettings("Europe/Dublin", 60_000)
    assert stores.portals.settings("p1/x") == PortalSettings()
    restricted = PortalSettings("UTC", 0, 90_000, ("acme.website", "acme.crm"))
    stores.portals.save("p1", restricted)
    assert stores.portals.current("p1") == restricted
    stores.portals.save("p1", PortalSettings())
    assert stores.portals.current("p1") == PortalSettings()


def test_threads_that_need_a_portals_settings_at_the_same_time_read_them_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = 10
    all_started, reads = Barrier(threads), list[str]()
    with aws(monkeypatch) as config:
        tables = open_tables(config)
        DynamoPortals(tables).save("p1", PortalSettings("Europe/Dublin"))
        portals, get = DynamoPortals(tables), tables.flows.get

        def slow(pk: str, sk: str) -> Item | None:
            reads.append(pk)
            time.sleep(0.1)
            return get(pk, sk)

        monkeypatch.setattr(tables.flows, "get", slow)

        def settings(_: int) -> PortalSettings:
            all_started.wait()
            return portals.settings("p1")

        with ThreadPoolExecutor(threads) as pool:
            assert list(pool.map(settings, range(threads))) == [PortalSettings("Europe/Dublin")] * threads
        assert len(reads) == 1


def test_failed_read_of_settings_is_repeated_by_the_next_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    with aws(monkeypatch) as config:
        tables = open_tables(config)
        portals, get = DynamoPortals(tables), tables.flows.get

        def failing(pk: str, sk: str) -> Item | None:
            raise ConnectionError

        monkeypatch.setattr(tables.flows, "get", failing)
        with pytest.raises(ConnectionError):
            portals.settings("p1")
        monkeypatch.setattr(tables.flows, "get", get)
        assert portals.settings("p1") == PortalSettings()


# Enrollments ---------------------------------------------------------------------------------------------------


def enrollment(event_id: str = "e1", flow_id: str = "1", key: RecordKey = ADA, **given: Any) -> Enrollment:
    cause = TriggerEvent(0, "forms.submitted", "4-1639801", event_id, NOW, "acme", {"hs_form_id": "f-1"})
    values: dict[str, Any] = {
        "id": f"id-{flow_id}-{event_id}",
        "record_key": key,
        "flow_id": flow_id,
        "flow_name": "Welcome",
        "flow_revision_id": "7",
        "idempotency_key": f"p1/{flow_id}/0-1/101",
        "is_re_enrollment": False,
        "cause": cause,
        "enrolled_at": NOW,
    }
    return Enrollment(**(values | given))


def test_enrollment_key_is_claimed_once(stores: Stores) -> None:
    assert stores.enrollments.claim(enrollment("e1"))
    assert not stores.enrollments.claim(enrollment("e2"))
    assert stores.enrollments.claim(enrollment("e2", is_re_enrollment=True))
    assert not stores.enrollments.claim(enrollment("e2", is_re_enrollment=True))
    assert stores.enrollments.claim(enrollment("e1", flow_id="2"))


def test_one_of_forty_concurrent_claims_wins(stores: Stores) -> None:
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: stores.enrollments.claim(enrollment(f"e{n}")), range(40)))
    assert won.count(True) == 1


def test_first_enrollment_and_enrollment_of_the_event_are_found(stores: Stores) -> None:
    first, again = enrollment("e1"), enrollment("e2", is_re_enrollment=True)
    stores.enrollments.claim(first)
    stores.enrollments.claim(again)

    def found(event_id: str, flow_id: str = "1") -> tuple[Enrollment | None, Enrollment | None]:
        one = stores.enrollments.find(ADA, event_id, [flow_id])[flow_id]
        return one.first and one.first.enrollment, one.for_event and one.for_event.enrollment

    assert found("e1") == (first, first)
    assert found("e2") == (first, again)
    assert found("e3") == (first, None)
    assert found("e1", "2") == (None, None)


@pytest.mark.parametrize("is_first", [True, False])
def test_manual_enrollment_and_event_with_the_same_id_are_different_causes(stores: Stores, is_first: bool) -> None:
    if not is_first:
        stores.enrollments.claim(enrollment("e0"))
    cause = direct_cause(manual_event(ADA, "k1", caller="ada", chain=(), now=NOW))
    manual = enrollment(id="by-hand", cause=cause, is_re_enrollment=not is_first)
    assert stores.enrollments.claim(manual)
    assert not stores.enrollments.claim(replace(manual, id="again"))
    by_event = [enrollment(event_id, is_re_enrollment=True) for event_id in ("manual:k1", "/manual:k1")]
    for other in by_event:
        assert stores.enrollments.claim(other)
    for claimed in (manual, *by_event):
        own = stores.enrollments.find(ADA, claimed.cause.key, ["1"])["1"].for_event
        assert own is not None
        assert own.enrollment == claimed
        stores.enrollments.confirm(claimed, is_published=True, is_announced=True, now=NOW)


def test_enrollment_is_found_by_the_change_of_a_filter_based_flow(stores: Stores) -> None:
    def caused_by(event_id: str, change: str, **given: Any) -> Enrollment:
        made = enrollment(event_id, **given)
        return replace(made, cause=replace(made.cause, name=change))

    first = caused_by("e1", "at:2026-11-23T10:00:00.000Z")
    again = caused_by("e2", "at:2026-11-23T10:05:00.000Z", is_re_enrollment=True)
    assert stores.enrollments.claim(first)
    assert stores.enrollments.claim(again)
    same_change = caused_by("e3", "at:2026-11-23T10:05:00.000Z", is_re_enrollment=True)
    assert not stores.enrollments.claim(same_change), "another event of the same change"
    assert stores.enrollments.claim(enrollment("at:2026-11-23T10:05:00.000Z", is_re_enrollment=True))

    def found(event_id: str, change: str) -> Enrollment | None:
        one = stores.enrollments.find(ADA, event_id, ["1"], {"1": change})["1"].for_event
        return one and one.enrollment

    assert found("e9", "at:2026-11-23T10:00:00.000Z") == first
    assert found("e9", "at:2026-11-23T10:05:00.000Z") == again
    assert found("e1", "at:2026-11-23T10:09:00.000Z") == first
    assert found("e9", "at:2026-11-23T10:09:00.000Z") is None
    stores.enrollments.confirm(again, is_published=True, is_announced=True, now=NOW)
    assert [one.enrollment.cause.event_id for one in stores.enrollments.unconfirmed(NOW + 1)].count("e2") == 0


def test_more_flows_than_one_batch_read_are_found(stores: Stores) -> None:
    stores.enrollments.claim(enrollment(flow_id="149"))
    found = stores.enrollments.find(ADA, "e1", [str(number) for number in range(150)])
    assert len(found) == 150
    assert [flow_id for flow_id, one in found.items() if one.first] == ["149"]


def test_delivery_confirmation_is_never_removed(stores: Stores) -> None:
    mine = enrollment()
    stores.enrollments.claim(mine)

    def noted() -> tuple[bool, bool]:
        own = stores.enrollments.find(ADA, "e1", ["1"])["1"].for_event
        assert own is not None
        return own.is_published, own.is_announced

    assert noted() == (False, False)
    stores.enrollments.confirm(mine, is_published=True, is_announced=False, now=NOW)
    assert noted() == (True, False)
    stores.enrollments.confirm(mine, is_published=True, is_announced=True, now=NOW)
    assert noted() == (True, True)
    stores.enrollments.confirm(mine, is_published=True, is_announced=False, now=NOW)
    assert noted() == (True, True)


def test_unconfirmed_enrollments_are_found_until_both_deliveries_are_confirmed(stores: Stores) -> None:
    mine, later = enrollment(), enrollment("e2", flow_id="2", enrolled_at=NOW + 10)
    assert stores.enrollments.claim(mine, chain=("7", "8/9"))
    assert stores.enrollments.claim(later)

    def unconfirmed(until: int) -> list[StoredEnrollment]:
        return list(stores.enrollments.unconfirmed(until))

    claimed = StoredEnrollment(mine, chain=("7", "8/9"))
    assert unconfirmed(NOW) == []
    assert unconfirmed(NOW + 1) == unconfirmed(NOW + 10) == [claimed]
    assert unconfirmed(NOW + 11) == [claimed, StoredEnrollment(later)]
    assert stores.enrollments.find(ADA, "e1", ["1"])["1"].for_event == claimed
    stores.enrollments.confirm(mine, is_published=True, is_announced=False, now=NOW)
    assert unconfirmed(NOW + 1) == [replace(claimed, is_published=True)]
    stores.enrollments.confirm(mine, is_published=True, is_announced=True, now=NOW)
    assert unconfirmed(NOW + 1) == []
    # Another delivery was slower, and the bus did not take its announcement.
    stores.enrollments.confirm(mine, is_published=True, is_announced=False, now=NOW)
    assert unconfirmed(NOW + 11) == [StoredEnrollment(later)]


def test_delayed_enrollments_are_not_found_before_they_are_due(stores: Stores) -> None:
    mine = enrollment()
    assert stores.enrollments.claim(mine, NOW + 3_600_000)
    assert list(stores.enrollments.unconfirmed(NOW + 3_600_000)) == []
    assert list(stores.enrollments.unconfirmed(NOW + 3_600_001)) == [StoredEnrollment(mine, due_at=NOW + 3_600_000)]


def test_unconfirmed_enrollments_of_all_portals_those_of_a_record_in_order(stores: Stores) -> None:
    """More than a page of one record, and more records than there are shards."""
    for number in range(60):
        key = RecordKey("p2", "0-1", "one")
        assert stores.enrollments.claim(
            enrollment(f"e{number}", key=key, flow_id=str(number), enrolled_at=NOW + number)
        )
    for number in range(200):
        assert stores.enrollments.claim(enrollment(key=RecordKey(f"p{number % 3}", "0-1", f"r{number}")))
    found = list(stores.enrollments.unconfirmed(NOW + 1_000))
    assert len({one.enrollment.record_key for one in found}) == 201
    of_one = [one.enrollment.flow_id for one in found if one.enrollment.record_key.object_id == "one"]
    assert of_one == [str(number) for number in range(60)]
    # Read as far as it is asked for; while it is, what was found is confirmed.
    for number, one in enumerate(stores.enrollments.unconfirmed(NOW + 1_000)):
        stores.enrollments.confirm(one.enrollment, is_published=True, is_announced=True, now=NOW)
        if number == 99:
            break
    assert len(list(stores.enrollments.unconfirmed(NOW + 1_000))) == 160


def test_the_history_of_a_record_and_of_a_flow_newest_first(stores: Stores) -> None:
    for number in range(30):
        key = RecordKey("p1", "0-1", str(number % 10))
        one = enrollment(f"e{number}", key=key, enrolled_at=NOW + number, is_re_enrollment=number >= 10)
        assert stores.enrollments.claim(one)
    stores.enrollments.claim(enrollment("x", flow_id="2"))

    def events(found: Sequence[StoredEnrollment]) -> list[str]:
        return [one.enrollment.cause.event_id for one in found]

    newest = stores.enrollments.of_flow("p1", "1", 12)
    assert events(newest) == [f"e{number}" for number in range(29, 17, -1)]
    older = stores.enrollments.of_flow("p1", "1", 12, newest[-1].enrollment.position)
    assert events(older) == [f"e{number}" for number in range(17, 5, -1)]
    assert stores.enrollments.of_flow("p2", "1", 5) == []

    mine = stores.enrollments.of_record(RecordKey("p1", "0-1", "3"), 2)
    assert events(mine) == ["e23", "e13"]
    assert events(stores.enrollments.of_record(RecordKey("p1", "0-1", "3"), 2, mine[-1].enrollment.position)) == ["e3"]


def test_enrollment_is_found_by_its_id_only_in_its_portal(stores: Stores) -> None:
    stores.enrollments.claim(enrollment("e1"))
    found = stores.enrollments.get("p1", "id-1-e1")

    assert found is not None
    assert found.enrollment == enrollment("e1")
    assert stores.enrollments.get("p2", "id-1-e1") is None
    assert stores.enrollments.get("p1", "id-1-e2") is None


def test_record_and_flow_ids_with_separators_stay_distinct(stores: Stores) -> None:
    one = enrollment("d", flow_id="b", key=RecordKey("p", "0-1", "a"), is_re_enrollment=True)
    other = enrollment("e", flow_id="b/d", key=RecordKey("p", "0-1", "a"))
    third = enrollment("e", flow_id="b", key=RecordKey("p/0-1", "0-1", "a"))
    assert all(stores.enrollments.claim(each) for each in (one, other, third))


def test_transaction_in_progress_is_retried_and_not_a_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two flows of one event count in one item."""
    with aws(monkeypatch) as config:
        tables = open_tables(config)
        call, left = botocore.client.BaseClient._make_api_call, [2]

        def meeting(client: Any, name: str, arguments: Any) -> Any:
            if name == "TransactWriteItems" and left[0]:
                left[0] -= 1
                reasons = [{"Code": "None"}, {"Code": "None"}, {"Code": "None"}, {"Code": "TransactionConflict"}]
                error = {
                    "Error": {"Code": "TransactionCanceledException", "Message": ""},
                    "CancellationReasons": reasons,
                }
                raise client.exceptions.TransactionCanceledException(error, name)
            return call(client, name, arguments)

        monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", meeting)
        authoring = FlowAuthoring(DynamoFlowRepository(tables, read_flow), DynamoFlows(tables, read_flow), read_flow)
        stored = store(authoring, "p1", flow({"id": 1, "event": "forms.submitted"}), NOW)
        assert (stored.revision, left) == (1, [0])


def test_corrupt_response_is_not_a_missing_item(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        answer = AWSResponse(request.url, 200, HeadersDict({"x-amz-crc32": "1"}), None)
        answer._content = b'{"Item": {"pk"'
        return answer

    with aws(monkeypatch) as config:
        tables = open_tables(config)
        monkeypatch.setattr(time, "sleep", lambda _: None)
        tables.client.meta.events.register_first("before-send.dynamodb", damaged)
        with pytest.raises(CorruptResponse):
            DynamoRecords(tables).get(ADA)


def test_a_call_and_its_retries_send_only_the_headers_that_dynamodb_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """In Lambda's environment, with Powertools imported: both add headers to the requests of other sessions."""
    sent: list[list[str]] = []
    user_agents: list[str] = []

    def respond(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        sent.append(sorted(name.lower() for name in request.headers))
        user_agents.append(request.headers["User-Agent"])
        response = AWSResponse(request.url, 500 if len(sent) < 3 else 200, HeadersDict({}), None)
        response._content = b"{}"
        return response

    with aws(monkeypatch) as config:
        monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "forms")
        monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-5759e988-bd862e3fe1be46a994272793")
        monkeypatch.setattr(time, "sleep", lambda _: None)
        tables = open_tables(config)
        tables.client.meta.events.register_first("before-send.dynamodb", respond)
        assert DynamoRecords(tables).get(ADA) is None
    needed = ["authorization", "content-length", "content-type", "user-agent", "x-amz-date", "x-amz-target"]
    assert sent == [needed] * 3
    assert user_agents == [b"enroll"] * 3


def test_the_largest_flow_fits_one_transaction(stores: Stores) -> None:
    """Of every event of contacts, and then of another type, so that all its candidates are retired."""
    events = [
        one.name
        for one in EVENT_TYPES.values()
        if one.object_types.allow("0-1") and one.name != "lists.membership_changed"
    ]
    criteria = [["x", "IS_EQUAL_TO", "y" * 8_000]] * 10
    document = flow({"id": 1, "groups": [{"event": one} for one in events], "criteria": criteria})
    store(stores.authoring, "p1", document, NOW)
    store(stores.authoring, "p1", flow({"id": 1, "object": "company", "event": "crm.object_created"}), NOW)
    assert candidates(stores.flows, *events) == [("1", False)]
    assert candidates(stores.flows, "crm.object_created", object_type="0-2") == [("1", True)]


def test_flow_revision_as_of_an_instant(stores: Stores) -> None:
    for number in range(7):
        store(
            stores.authoring,
            "p1",
            flow({"id": 1, "event": "forms.submitted", "enabled": number != 3}),
            NOW + number * 10,
        )
    stores.authoring.delete("p1", "1", NOW + 100)

    def as_of(instant: int, flow_id: str = "1", portal: str = "p1") -> int | None:
        found = stores.flow_repository.as_of(portal, flow_id, instant)
        return found and found.revision

    assert [as_of(NOW + at) for at in (-1, 0, 9, 10, 35, 69, 99, 100, 500)] == [None, 1, 1, 2, 4, 7, 7, 8, 8]
    found = stores.flow_repository.as_of("p1", "1", NOW + 30)
    assert found is not None
    assert (found.is_enabled, found.changed_at) == (False, NOW + 30)
    assert (as_of(NOW, "2"), as_of(NOW, portal="p2")) == (None, None)


def test_flow_revisions_are_listed_newest_first_with_their_authors(stores: Stores) -> None:
    def store_as(author: str | None, name: str, now: int, based_on: str | None = None) -> None:
        document = flow({"id": 1, "event": "forms.submitted"}) | {"name": name}
        stores.authoring.put("p1", "1", document, now, based_on=based_on, changed_by=author)

    store_as(None, "first", NOW)
    store_as("ada", "second", NOW + 1, "1")
    stores.authoring.delete("p1", "1", NOW + 2, "grace")
    store_as("user-1", "again", NOW + 3)
    repository = stores.flow_repository

    found = repository.revisions("p1", "1", 10)
    assert [(one.revision, one.changed_by, one.is_deleted) for one in found] == [
        (4, "user-1", False),
        (3, "grace", True),
        (2, "ada", False),
        (1, None, False),
    ]
    assert [one.revision for one in repository.revisions("p1", "1", 2)] == [4, 3]
    assert [one.revision for one in repository.revisions("p1", "1", 2, 3)] == [2, 1]
    assert repository.revisions("p1", "1", 2, 1) == []
    assert repository.revisions("p2", "1", 2) == []
    second = repository.revision("p1", "1", 2)
    assert second is not None
    assert (second.document["name"], second.changed_by) == ("second", "ada")
    assert (repository.revision("p1", "1", 5), repository.revision("p2", "1", 1)) == (None, None)
    current = repository.get("p1", "1")
    assert current is not None
    assert current.changed_by == "user-1"


# Events that wait, limits of flows -----------------------------------------------------------------------------------


def waiting(event_id: str = "e1", record: str = "101", portal: str = "p1", **flows: int) -> DeferredEvent:
    envelope = event({"forms.submitted": record, "id": event_id, "portal": portal, "properties": {"hs_form_id": "ü"}})
    return DeferredEvent(read_event(envelope, "forms"), flows)


def test_deferred_event_is_found_until_no_flow_defers_it(stores: Stores) -> None:
    for one in (waiting(a=5, b=7), waiting("e/2", a=1), waiting(record="102", a=9), waiting(portal="p1/x", a=9)):
        stores.deferred_events.save(one)
    found = stores.deferred_events.get(ADA, "e1")
    assert found == DeferredEvent(waiting().event, {"a": 5, "b": 7}, 1)
    assert {one.event.id for one in stores.deferred_events.of(ADA, 10)} == {"e1", "e/2"}
    assert len(stores.deferred_events.of(ADA, 1)) == 1

    stores.deferred_events.save(found.without(frozenset({"a"})))
    left = stores.deferred_events.get(ADA, "e1")
    assert left is not None
    assert left.flows == {"b": 7}
    stores.deferred_events.save(left.without(frozenset({"b"})))
    assert stores.deferred_events.get(ADA, "e1") is None
    assert stores.deferred_events.get(ADA, "e3") is None
    assert stores.records.get(ADA) is None


def test_deferred_event_uses_optimistic_locking(stores: Stores) -> None:
    stores.deferred_events.save(waiting(a=5))
    read = stores.deferred_events.get(ADA, "e1")
    assert read is not None
    stores.deferred_events.save(read.with_flows({"b": 6}))
    for outdated in (waiting(a=5), read.with_flows({"c": 6}), read.without(frozenset({"a"}))):
        with pytest.raises(ConcurrentModification):
            stores.deferred_events.save(outdated)


def large(event_id: str = "large") -> Event:
    """As large as an event may be, of characters that are two bytes each."""
    properties = {f"p{number:02d}": "ü" * 4_000 for number in range(24)}
    return read_event(event({"forms.submitted": "101", "id": event_id, "properties": properties}), "forms")


@pytest.mark.parametrize("character", ["a", "\x7f", "é", "…", "😀", "\uffff"])
def test_largest_event_can_be_deferred(stores: Stores, character: str) -> None:
    """As many bytes of UTF-8 as are allowed, however many an escape of each character takes."""
    value = character * (8_000 // len(character.encode()))
    envelope = event({"forms.submitted": "101", "id": "e1", "properties": {f"p{n}": value for n in range(25)}})
    stores.deferred_events.save(DeferredEvent(read_event(envelope, "forms"), {"1": 5}))
    found = stores.deferred_events.get(ADA, "e1")
    assert found is not None
    assert found.event == read_event(envelope, "forms")
    message = write_redelivery(found.event, ["1"], NOW)
    assert len(message.encode()) < 1_048_576
    assert "\uffff" not in message  # SQS takes no message with it
    assert read_redelivery(message) == (found.event, {"1"}, NOW)


def test_record_stores_its_deferral_time(stores: Stores) -> None:
    stored = stores.records.save(Record(ADA, 0).with_deferral_until(77))
    assert stored.awaited_until == 77
    assert stores.records.get(ADA) == stored
    assert stored.with_deferral_until(77) is stored
    assert deleted(stored, NOW).awaited_until == 77


def test_rate_limit_slots_are_assigned_once(stores: Stores) -> None:
    limit = RateLimit(3, 60_000)

    def take(_: int) -> int:
        return stores.rate_limits.take("p1", "1", limit, NOW)

    with ThreadPoolExecutor(4) as pool:
        places = sorted(pool.map(take, range(8)))
    assert places == [NOW, NOW, NOW, *(NOW + 20_000 * number for number in range(1, 6))]
    assert stores.rate_limits.take("p1", "2", limit, NOW) == NOW
    assert stores.rate_limits.take("p2", "1", limit, NOW) == NOW
    assert stores.rate_limits.take("p1", "1", limit, NOW + 600_000) == NOW + 600_000


def test_changed_rate_limit_starts_again(stores: Stores) -> None:
    """What entered slowly under the old one delays nothing under the new."""
    a_day, a_second = RateLimit(1, 86_400_000), RateLimit(1, 1_000)
    assert [stores.rate_limits.take("p1", "1", a_day, NOW) for _ in range(2)] == [NOW, NOW + 86_400_000]
    assert [stores.rate_limits.take("p1", "1", a_second, NOW) for _ in range(2)] == [NOW, NOW + 1_000]
    assert stores.rate_limits.take("p1", "1", a_day, NOW) == NOW + 2 * 86_400_000


# Replays --------------------------------------------------------------------------------------------------------------

DRY_RUN = Replay("enroll-1", "p1", frozenset(["1", "2"]), frozenset(["forms.submitted"]), True, NOW)


def test_replay_request_is_read_as_written(stores: Stores) -> None:
    assert stores.replays.get("enroll-1") is None
    for order in (DRY_RUN, replace(DRY_RUN, name="enroll-2", flow_ids=None, is_dry_run=False)):
        stores.replays.save(order)
        assert stores.replays.get(order.name) == order


def test_an_event_counts_once_and_records_stay_together(stores: Stores) -> None:
    def count(record: str | None, event_id: str, code: Code, replay: Replay = DRY_RUN) -> None:
        one = read_event(event({"forms.submitted": record, "id": event_id}), "forms")
        stores.replays.count(replay, one, [Decision(code, "1", "1", "")])

    other = replace(DRY_RUN, name="enroll-2")
    records = [*(f"r{number}" for number in range(20)), "a/b", "a", "\U0001f701" * 128, None]
    for record in records:
        for event_id in ("e1", "e2", "e1", "\U0001f701" * 124):
            count(record, event_id, Code.ENROLLED)
    count("a", "e1", Code.NOT_MATCHED)
    count("a", "e9", Code.ENROLLED, other)

    parts = [list(stores.replays.counted(DRY_RUN, part)) for part in range(REPLAY_PARTS)]
    places: dict[str, list[int]] = {}
    for number, part in enumerate(parts):
        for one in part:
            places.setdefault(one.record, []).append(number)
    assert sorted(map(len, places.values())) == [3] * len(records)
    assert all(len(set(numbers)) == 1 for numbers in places.values())
    codes = [code for part in parts for one in part for code in one.codes.values()]
    assert (codes.count(Code.ENROLLED), codes.count(Code.NOT_MATCHED)) == (3 * len(records) - 1, 1)
    assert sum(1 for part in range(REPLAY_PARTS) for _ in stores.replays.counted(other, part)) == 1
    assert not [
        one for part in range(REPLAY_PARTS) for one in stores.replays.counted(replace(DRY_RUN, portal_id="p2"), part)
    ]


# What happened to a record ------------------------------------------------------------------------------------------


def happened(event_id: str, at: int, record: str = "101", portal: str = "p1") -> Event:
    properties = {"hs_form_id": "ü", "n": 3, "list": ["a"], "none": None}
    given = {"forms.submitted": record, "id": event_id, "portal": portal, "properties": properties, "at": at}
    return read_event(event({**given, "sent": "2026-11-23T10:00:00Z"}), "forms")


def test_history_has_each_event_once_in_order_of_time(stores: Stores) -> None:
    told = [happened("b", NOW + 5), happened("a/c", NOW + 5), happened("a", NOW + 5), happened("z", NOW)]
    for one in (*told, told[0], happened("x", NOW, "10"), happened("x", NOW, portal="p1/0-1")):
        stores.history.keep(one, NOW + 1_000_000)
    stores.deferred_events.save(waiting(a=5))
    stores.records.save(Record(ADA, 0))

    def ids(first: str = MIN_SORT_KEY, last: str = MAX_SORT_KEY, *, newest_first: bool = False) -> list[str]:
        return [one.id for one in stores.history.of_record(ADA, first, last, newest_first=newest_first)]

    assert ids() == ["z", "a", "a/c", "b"]
    assert ids(newest_first=True) == ["b", "a/c", "a", "z"]
    assert ids(event_sort_key(told[2])) == ["a/c", "b"]
    assert ids(last=event_sort_key(told[2]), newest_first=True) == ["z"]
    assert ids(sort_key_at(NOW + 1)) == ["a", "a/c", "b"]
    assert ids(sort_key_at(NOW), sort_key_at(NOW + 5)) == ["z"]
    assert ids(sort_key_at(NOW + 9), sort_key_at(NOW)) == []
    assert list(stores.history.of_record(ADA, MIN_SORT_KEY, MAX_SORT_KEY, newest_first=False))[3] == told[0]


def test_the_first_evaluation_of_an_event_is_stored_and_returned_to_later_deliveries(stores: Stores) -> None:
    one, until = happened("e", NOW), NOW + 1_000_000
    assert stores.history.first_evaluation(one) is None
    assert stores.history.keep(one.evaluated(NOW + 10), until) == NOW + 10
    assert stores.history.keep(one.evaluated(NOW + 20), until) == NOW + 10
    assert stores.history.keep_evaluation(one.evaluated(NOW + 5), until) == NOW + 10
    assert stores.history.first_evaluation(one) == NOW + 10

    # The copy that was sent first is kept, with the time of the first evaluation of any copy.
    sent_before = replace(one, sent_at=one.sent_at - 1_000)
    assert stores.history.keep(sent_before.evaluated(NOW + 30), until) == NOW + 10
    assert stores.history.keep(one.evaluated(NOW + 40), until) == NOW + 10
    assert list(stores.history.of_record(ADA, MIN_SORT_KEY, MAX_SORT_KEY, newest_first=False)) == [
        sent_before.evaluated(NOW + 10)
    ]


def test_an_evaluation_can_be_stored_without_its_event(stores: Stores) -> None:
    one, until = happened("e", NOW), NOW + 1_000_000
    assert stores.history.keep_evaluation(one.evaluated(NOW + 10), until) == NOW + 10
    assert stores.history.keep_evaluation(one.evaluated(NOW + 20), until) == NOW + 10
    assert stores.history.first_evaluation(one) == NOW + 10
    assert list(stores.history.of_record(ADA, MIN_SORT_KEY, MAX_SORT_KEY, newest_first=False)) == []

    assert stores.history.keep(one.evaluated(NOW + 30), until) == NOW + 10
    kept = list(stores.history.of_record(ADA, MIN_SORT_KEY, MAX_SORT_KEY, newest_first=False))
    assert kept == [one.evaluated(NOW + 10)]


def test_events_of_all_records_by_their_types_newest_first(stores: Stores) -> None:
    for number in range(230):
        stores.history.keep(happened(f"e{number:03d}", NOW + number, str(number % 40)), NOW)
    called = event({"calls.ended": "101", "id": "call", "at": NOW + 5})
    stores.history.keep(read_event({**called, "time": "2026-11-23T10:00:00Z"}, "calls"), NOW)
    stores.history.keep(happened("other", NOW, portal="p1/forms.submitted"), NOW)

    def ids(*types: str, first: int = 0, last: int = 10_000, portal: str = "p1") -> list[str]:
        found = stores.history.of_types(portal, types, sort_key_at(NOW + first), sort_key_at(NOW + last))
        return [one.id for one in found]

    assert ids("forms.submitted") == [f"e{number:03d}" for number in range(229, -1, -1)]
    assert ids("forms.submitted", "calls.ended", first=4, last=7) == ["e006", "e005", "call", "e004"]
    assert ids("calls.started") == ids("forms.submitted", portal="p2") == []
    assert ids("forms.submitted", portal="p1/forms.submitted") == ["other"]


def test_keys_of_events_are_those_of_the_events_and_read_them(stores: Stores) -> None:
    for number in range(60):
        stores.history.keep(happened(f"e/{number:02d}", NOW + number // 2, str(number % 3)), NOW)
    bounds = (sort_key_at(NOW + 3), sort_key_at(NOW + 28))
    events = list(stores.history.of_types("p1", {"forms.submitted"}, *bounds))
    for page_size in (2, 100):
        keys = list(stores.history.keys_of_types("p1", {"forms.submitted"}, *bounds, page_size))
        assert [(key.record, key.event_id, key.given_time) for key in keys] == [
            (one.record_key, one.id, one.occurred_at) for one in events
        ]
    assert list(stores.history.get_many(keys)) == events
    assert list(stores.history.get_many([keys[4], EventKey(ADA, f"{sort_key_at(NOW)}/gone"), keys[1]])) == [
        events[4],
        events[1],
    ]
    assert list(stores.history.keys_of_types("p2", {"forms.submitted"}, MIN_SORT_KEY, MAX_SORT_KEY, 25)) == []


def test_event_is_found_by_its_id_in_its_portal(stores: Stores) -> None:
    kept = [
        happened("a/c", NOW),
        happened("a/c", NOW + 5, "102"),
        happened("a", NOW),
        happened("c", NOW, portal="p1/a"),
    ]
    for one in kept:
        stores.history.keep(one.evaluated(NOW + 9), NOW)
    stores.history.keep_evaluation(happened("x", NOW), NOW)

    def records(event_id: str, portal: str = "p1") -> list[str]:
        return sorted(str(one.record_key) for one in stores.history.with_id(portal, event_id))

    assert records("a/c") == ["p1/0-1/101", "p1/0-1/102"]
    assert list(stores.history.with_id("p1", "a")) == [kept[2].evaluated(NOW + 9)]
    assert records("c", "p1/a") == ["p1%2Fa/0-1/101"]
    assert records("c") == records("a", "p2") == records("x") == []


def test_event_is_not_found_by_its_id_if_the_index_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    with aws(monkeypatch) as config:
        tables = open_tables(config)
        history = DynamoHistory(tables, write_event, read_stored_event, is_found_by_id=False)
        history.keep(happened("e", NOW), NOW)
        assert list(history.with_id("p1", "e")) == []
        assert [one.id for one in history.of_record(ADA, MIN_SORT_KEY, MAX_SORT_KEY, newest_first=True)] == ["e"]


def test_the_largest_event_is_kept(stores: Stores) -> None:
    stores.history.keep(large(), NOW)
    assert list(stores.history.of_record(ADA, MIN_SORT_KEY, MAX_SORT_KEY, newest_first=True)) == [large()]


def test_event_has_the_requested_expiry_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with aws(monkeypatch) as config:
        tables = open_tables(config)
        DynamoHistory(tables, write_event, read_stored_event).keep(happened("e", NOW), NOW + 86_400_000)
        (item,) = tables.records.query(Expression("pk = :record", record=str(ADA)))
        assert item["expiresAt"] == (NOW + 86_400_000) // 1000
