"""`/enrollment/v1/explain`: what became of the events of a record, decided again from what is kept of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from enrollment.application.backfills import BackfillRequest
from enrollment.domain.enrollment.runs import RunStatus
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.associations import AssociationType, associated
from enrollment.domain.records.record import Record, TimestampedValue
from enrollment.domain.values import CLOCK_SKEW_MS, iso
from tests.support.api_document import conforms
from tests.support.fakes import World, switch
from tests.support.portal import Api
from tests.support.scenario import event, flow, load, play

SCENARIOS = load(Path(__file__).parents[1] / "scenarios")
EXPLAIN = "/enrollment/v1/explain"
ADA = RecordKey("p1", "0-1", "101")
NOW = 1_764_000_000_000
DAY = 86_400_000


@pytest.fixture
def api() -> Api:
    world = World(now=NOW)
    world.put_record(ADA, Record(ADA, NOW - 90 * DAY))
    return Api(world)


def ask(api: Api, **query: str) -> list[dict[str, Any]]:
    answer = api("GET", EXPLAIN, query={"objectType": "contact", "objectId": "101", **query})
    assert answer.status == 200, answer.text
    conforms(answer.json, "AccountPage")
    found: list[dict[str, Any]] = answer.json["results"]
    return found


def decision(api: Api, flow_id: str = "1", event_id: str = "e1") -> dict[str, Any]:
    ((one,),) = (one["decisions"] for one in ask(api, eventId=event_id, flowId=flow_id))
    return dict(one)


def submit(api: Api, event_id: str = "e1", **given: Any) -> list[str]:
    """Sent and processed now."""
    api.world.now += 10
    at = {"at": iso(api.world.now), "sent": iso(api.world.now)}
    return [
        str(one.code) for one in api.world.deliver(event({"forms.submitted": "101", "id": event_id, **at, **given}))
    ]


def differences(scenario: Mapping[str, Any]) -> tuple[int, dict[tuple[str, str], tuple[str, Any]]]:
    """How many decisions of a scenario are explained as they were taken, and those that are not: taken, explained."""
    world = World(history_days=3650)
    play(scenario, world)
    world.now = max(world.now, NOW + 400 * DAY)
    final = {(one.id, one.object_id, made.flow_id): str(made.code) for one, made in world.decision_log.decisions}
    same, others = 0, {}
    for (record, _), (kept, _) in world.kept_events.kept.items():
        query = {"objectType": record.object_type_id, "objectId": record.object_id, "eventId": kept.id}
        answer = Api(world)("GET", EXPLAIN, query=query, headers={"x-portal-id": record.portal_id})
        for one in (each for result in answer.json.get("results", []) for each in result["decisions"]):
            taken = final.get((kept.id, record.object_id, one["flowId"]), "DUPLICATE_EVENT")
            if taken == one["code"]:
                assert (one["enrollment"] is not None) == (taken == "ENROLLED")
                same += 1
            elif taken != "DUPLICATE_EVENT":
                others[kept.id, one["flowId"]] = (taken, one["code"])
    return same, others


# Events that these scenarios send before their flow was on, and those whose own moment a later event tells more of.
OTHERWISE = {
    ("e2", "1"): ("BEFORE_ACTIVATION", None),
    ("by-hand", "1"): ("NOT_ELIGIBLE", None),
    ("loop", "1"): ("LOOP_STOPPED", None),
    ("early", "1"): ("BEFORE_ACTIVATION", None),
    ("added", "1"): ("BEFORE_ACTIVATION", None),
    ("before", "1"): ("BEFORE_ACTIVATION", None),
    ("cork", "1"): ("FILTERED_OUT", None),
    ("e1", "1"): ("FILTERED_OUT", "ALREADY_ENROLLED"),
    # The company, with its values, was deleted later.
    ("with-acme", "1"): ("NOT_MATCHED", "MET_BEFORE"),
    # The record was created later.
    ("f", "1"): ("UNKNOWN_RECORD", None),
    ("f", "2"): ("UNKNOWN_RECORD", None),
    ("f", "3"): ("UNKNOWN_RECORD", None),
    ("city", "1"): ("UNKNOWN_RECORD", "NOT_MATCHED"),
    # Another event, which arrived later, enrolled the record in a filter-based flow at the change of this event.
    ("age", "1"): ("UNKNOWN_RECORD", "DUPLICATE_EVENT"),
    ("again", "1"): ("MET_BEFORE", "DUPLICATE_EVENT"),
    ("three", "1"): ("NOT_MATCHED", "DUPLICATE_EVENT"),
    ("four", "1"): ("NOT_MATCHED", "DUPLICATE_EVENT"),
    ("own", "1"): ("LOOP_STOPPED", "DUPLICATE_EVENT"),
}


def test_explanation_repeats_the_original_decisions() -> None:
    told = [differences(scenario) for name, scenario in SCENARIOS if not name.startswith("tolerance")]
    assert {key: one for _, others in told for key, one in others.items()} == OTHERWISE
    assert sum(same for same, _ in told) > 100


def test_explanation_of_a_deferred_event_gives_the_final_decision() -> None:
    told = [differences(scenario) for name, scenario in SCENARIOS if name.startswith("tolerance")]
    # A change that arrives after the grace is known now. A flow that is turned off meanwhile takes no final decision.
    assert [one for _, others in told for one in others.values()] == [("FILTERED_OUT", None), ("WAITING", None)]
    assert sum(same for same, _ in told) > 10


def test_change_of_an_associated_record_is_explained_for_the_contact(api: Api) -> None:
    world, company = api.world, RecordKey("p1", "0-2", "7")
    world.put_flow(flow({"id": 1, "filters": [], "company": [["name", "IS_EQUAL_TO", "Acme"]]}))
    world.put_flow(flow({"id": 2, "filters": [], "company": [["size", "IS_EQUAL_TO", 5, "NUMBER"]]}))
    world.put_record(company, Record(company, NOW - 90 * DAY))
    for one, two, kind in ((ADA, company, 279), (company, ADA, 280)):
        there = world.associations.get(one, two)
        world.associations.save([associated(there, [AssociationType("HUBSPOT_DEFINED", kind)], 0, holds=True)])
    at = {"at": iso(world.now), "sent": iso(world.now)}
    properties = {"hs_name": "name", "hs_value": "Acme"}
    world.deliver(event({"crm.property_changed": "7", "object": "company", "id": "c1", **at, "properties": properties}))
    world.decide_associated()

    (result,) = ask(api)
    (one,) = result["decisions"]

    assert result["event"]["eventType"] == "crm.associated_record_changed"
    assert result["event"]["properties"]["hs_to_object_id"] == "7"
    assert (one["flowId"], one["code"], one["enrollment"]["trigger"]["eventId"]) == ("1", "ENROLLED", "c1")
    assert [each["code"] for each in ask(api, flowId="1")[0]["decisions"]] == ["ENROLLED"]
    outcome = api("GET", "/enrollment/v1/outcome", query={"eventId": "c1"})
    assert [each["event"]["objectId"] for each in outcome.json["results"]] == ["7"]


def contact_of_a_company(api: Api) -> RecordKey:
    """Associate the contact with a company of the name Acme, and return the company's key."""
    key = RecordKey("p1", "0-2", "7")
    world = api.world
    world.put_record(key, Record(key, NOW - 90 * DAY, {"name": TimestampedValue("Acme", NOW - 90 * DAY)}))
    for source, target, kind in ((ADA, key, 279), (key, ADA, 280)):
        there = world.associations.get(source, target)
        world.associations.save([associated(there, [AssociationType("HUBSPOT_DEFINED", kind)], 0, holds=True)])
    return key


@pytest.mark.parametrize(
    ("operator", "city_before", "taken", "explained"),
    [
        ("IN_LIST", "Bray", "MET_BEFORE", "NOT_MATCHED"),
        ("IN_LIST", None, "ENROLLED", "ENROLLED"),
        ("NOT_IN_LIST", "Bray", "NOT_MATCHED", "MET_BEFORE"),
        ("NOT_IN_LIST", None, "NOT_MATCHED", None),
    ],
)
def test_explanation_is_incomplete_if_an_associated_record_was_deleted_since(
    api: Api, operator: str, city_before: str | None, taken: str, explained: str | None
) -> None:
    company = contact_of_a_company(api)
    if city_before is not None:
        contact, city = api.world.records.records[ADA], TimestampedValue(city_before, NOW - 90 * DAY)
        api.world.put_record(ADA, replace(contact, properties={"city": city}))
    document = flow({"id": 1, "filters": [["city", "IS_KNOWN"]], "company": [["name", "IS_EQUAL_TO", "Acme"]]})
    (branch,) = document["enrollmentCriteria"]["listFilterBranch"]["filterBranches"]
    branch["filterBranches"][0]["operator"] = operator
    api.world.put_flow(document, at=NOW - 80 * DAY)
    change = {"properties": {"hs_name": "city", "hs_value": "Cork"}, "at": iso(NOW)}
    (made,) = api.world.deliver(event({"crm.property_changed": "101", "id": "e1", **change}))
    assert made.code == taken
    assert (decision(api)["code"], decision(api)["isComplete"]) == (taken, True)
    api.world.now += 1_000
    deleted_at = api.world.now
    api.world.record_service.delete(company, deleted_at)
    again = decision(api)
    assert (again["code"], again["isComplete"]) == (explained, False)
    note = f"0-2/7 was deleted at {iso(deleted_at)}, so its values before that are not stored"
    assert again["notes"].count(note) == 1
    assert "still being processed" not in again["because"]


def test_associated_record_that_decides_without_the_deleted_one_leaves_the_explanation_complete(api: Api) -> None:
    company = contact_of_a_company(api)
    other = RecordKey("p1", "0-2", "8")
    api.world.put_record(other, Record(other, NOW - 90 * DAY, {"name": TimestampedValue("Acme", NOW - 90 * DAY)}))
    there = api.world.associations.get(ADA, other)
    api.world.associations.save([associated(there, [AssociationType("HUBSPOT_DEFINED", 279)], 0, holds=True)])
    api.world.put_flow(
        flow({"id": 1, "filters": [["city", "IS_KNOWN"]], "company": [["name", "IS_EQUAL_TO", "Acme"]]}),
        at=NOW - 80 * DAY,
    )
    change = {"properties": {"hs_name": "city", "hs_value": "Cork"}, "at": iso(NOW)}
    api.world.deliver(event({"crm.property_changed": "101", "id": "e1", **change}))
    api.world.now += 1_000
    api.world.record_service.delete(company, api.world.now)
    explained = decision(api)
    assert (explained["code"], explained["isComplete"], explained["notes"]) == ("ENROLLED", True, [])


def test_an_enrollment_is_named_with_its_message(api: Api) -> None:
    api.world.put_flow(flow({"id": 1, "event": "forms.submitted"}))
    assert submit(api) == ["ENROLLED"]
    one = decision(api)
    (message,) = api.world.queue.messages
    assert (one["code"], one["enrollmentId"]) == ("ENROLLED", message.id)
    assert (one["enrollment"]["enrollmentId"], one["enrollment"]["isPublished"]) == (message.id, True)
    assert (one["flowRevisionId"], one["currentFlowRevisionId"], one["notes"]) == ("1", "1", [])
    assert submit(api, "e2") == ["ALREADY_ENROLLED"]
    later = decision(api, event_id="e2")
    assert (later["code"], later["enrollmentId"], later["enrollment"]) == ("ALREADY_ENROLLED", message.id, None)


def test_delayed_enrollment_is_explained_as_decided(api: Api) -> None:
    world = api.world
    world.put_flow(
        flow({"id": 1, "event": "forms.submitted", "re_enroll": True, "limit": {"count": 1, "period": "DAY"}})
    )
    assert [*submit(api), *submit(api, "e2")] == ["ENROLLED", "ENROLLED"]
    taken = next(one for event, one in world.decision_log.decisions if event.id == "e2")
    assert taken.due_at is not None
    one = decision(api, event_id="e2")
    assert one["dueAt"] == one["enrollment"]["dueAt"] == iso(taken.due_at)
    assert one["enrollment"]["isPublished"] is False
    assert "dueAt" not in decision(api)


def test_explanation_uses_the_record_at_the_time_of_the_event(api: Api) -> None:
    api.world.put_flow(flow({"id": 1, "event": "forms.submitted", "criteria": [["city", "IS_EQUAL_TO", "Cork"]]}))
    assert submit(api, record={"city": "Bray"}) == ["FILTERED_OUT"]
    assert submit(api, "e2", record={"city": "Cork"}) == ["ENROLLED"]
    one = decision(api)
    assert (one["code"], one["failedConditions"]) == ("FILTERED_OUT", ['city is "Cork", found "Bray"'])
    (of_city,) = one["refinementCriteria"]["filters"]
    assert (of_city["expected"], of_city["found"], of_city["passed"]) == ('is "Cork"', "Bray", False)


def test_a_flow_that_changed_near_an_event_without_a_time_of_evaluation_is_noted(api: Api) -> None:
    """As events have that were stored by an earlier version."""
    world = api.world
    wanted = {"id": 1, "event": "forms.submitted"}
    world.put_flow(flow({**wanted, "where": [["hs_form_id", "IS_ANY_OF", ["f-2"]]]}))
    assert submit(api, properties={"hs_form_id": "f-1"}) == ["NOT_MATCHED"]
    world.now += CLOCK_SKEW_MS
    changed_at = iso(world.now)
    world.put_flow(flow(wanted))
    kept = world.kept_events.kept
    kept.update({place: (replace(stored, evaluated_at=None), until) for place, (stored, until) in kept.items()})
    near, by_now = decision(api)["notes"]
    assert near == (
        "another revision may have decided: the clocks of the event and of the flow may differ by up to 5 minutes, "
        f"and the flow changed at {changed_at}"
    )
    assert by_now == "the flow has changed since then; its current revision is 2"


@pytest.mark.parametrize("ahead_ms", [0, 3_000])
def test_explanation_of_an_enrollment_uses_the_revision_that_enrolled(api: Api, ahead_ms: int) -> None:
    """The envelope's time is ahead of the function's clock, and the flow changes in between."""
    world = api.world
    world.put_flow(flow({"id": 1, "event": "forms.submitted"}))
    at = {"at": iso(world.now + ahead_ms), "sent": iso(world.now + ahead_ms)}
    assert submit(api, **at) == ["ENROLLED"]
    world.now += 1_000
    switch(world.authoring, "p1", "1", world.now, on=False)
    world.now += 60_000
    one = decision(api)
    assert (one["code"], one["flowRevisionId"], one["notes"]) == (
        "ENROLLED",
        "1",
        ["the flow has changed since then; its current revision is 2"],
    )


def test_explanation_uses_the_flow_revision_at_the_time_of_the_event(api: Api) -> None:
    world = api.world
    wanted = {"id": 1, "event": "forms.submitted"}
    world.put_flow(flow({**wanted, "where": [["hs_form_id", "IS_ANY_OF", ["f-2"]]]}))
    assert submit(api, properties={"hs_form_id": "f-1"}) == ["NOT_MATCHED"]
    world.now += CLOCK_SKEW_MS + 1
    world.put_flow(flow(wanted))
    one = decision(api)
    assert (one["code"], one["failedConditions"]) == ("NOT_MATCHED", ['form is "f-2", found "f-1"'])
    assert (one["flowRevisionId"], one["currentFlowRevisionId"]) == ("1", "2")
    assert one["notes"] == ["the flow has changed since then; its current revision is 2"]


def test_explanation_states_why_a_flow_made_no_decision(api: Api) -> None:
    world = api.world
    for number in ("1", "2", "3"):
        world.put_flow(flow({"id": number, "event": "forms.submitted", "where": [["hs_form_id", "IS_KNOWN"]]}))
    world.now += 5_000
    switch(world.authoring, "p1", "1", world.now, on=False)
    world.authoring.delete("p1", "2", world.now)
    world.put_flow(flow({"id": 3, "event": "calls.ended"}))
    submit(api)
    world.now += 5_000
    world.put_flow(flow({"id": 4, "event": "forms.submitted"}), at=world.now)
    assert {one["flowId"]: (one["code"], one["because"]) for one in ask(api)[0]["decisions"]} == {
        "1": (None, "the flow was off when the event was sent"),
        "2": (None, "the flow had been deleted when the event was sent"),
        "3": (None, "the flow has no trigger on forms.submitted of records of type 0-1"),
        "4": (None, "the flow did not exist when the event was sent"),
    }
    world.put_flow(flow({"id": 5, "object": "company", "event": "crm.object_created"}))
    assert decision(api, "5")["because"] == "the flow has no trigger on forms.submitted of records of type 0-1"


def test_flow_change_in_the_second_of_an_event_is_later_than_the_event(api: Api) -> None:
    """EventBridge's time has no fractions."""
    world = api.world
    world.now += 5_400
    world.put_flow(flow({"id": 1, "event": "forms.submitted"}), at=world.now)
    sent = {"at": iso(world.now + 3), "sent": iso(world.now - world.now % 1000)}
    (one,) = world.deliver(event({"forms.submitted": "101", "id": "e1", **sent}))
    assert (str(one.code), decision(api)["code"], decision(api)["flowRevisionId"]) == ("ENROLLED", "ENROLLED", "1")


def test_explanation_reports_a_different_decision(api: Api) -> None:
    world = api.world
    world.put_flow(flow({"id": 1, "event": "forms.submitted", "criteria": [["city", "IS_EQUAL_TO", "Cork"]]}))
    sent = world.now + 10
    assert submit(api) == ["FILTERED_OUT"]
    changed = {"hs_name": "city", "hs_value": "Cork"}
    world.deliver(event({"crm.property_changed": "101", "id": "c", "at": iso(sent - 5), "properties": changed}))
    one = decision(api)
    assert (one["code"], one["enrollment"], one["failedConditions"]) == (None, None, [])
    assert one["because"].startswith("The record meets all conditions now, but no enrollment exists")

    assert submit(api, "e2") == ["ENROLLED"]
    changed = {"hs_name": "city", "hs_value": "Bray"}
    world.deliver(event({"crm.property_changed": "101", "id": "d", "at": iso(sent - 3), "properties": changed}))
    two = decision(api, event_id="e2")
    assert two["code"] == "ENROLLED"
    assert two["notes"] == [
        "with the data that is known now, the record would not be enrolled: "
        "the record does not meet the refinement criteria on city"
    ]


def test_explanation_reports_values_that_are_no_longer_stored(api: Api) -> None:
    api.world.put_flow(flow({"id": 1, "event": "forms.submitted", "criteria": [["city", "IS_EQUAL_TO", "Cork"]]}))
    assert submit(api, record={"city": "Bray"}) == ["FILTERED_OUT"]
    for number in range(25):
        submit(api, f"later-{number}", record={"city": f"Town {number}"})
    assert any("the value of city at" in note for note in decision(api)["notes"])
    assert decision(api, event_id="later-24")["notes"] == []


def test_a_value_that_changed_with_the_event_is_known_however_many_came_later(api: Api) -> None:
    api.world.put_flow(flow({"id": 1, "event": "crm.property_changed", "criteria": [["city", "IS_EQUAL_TO", "Cork"]]}))
    api.world.now += 10
    change = {"hs_name": "name", "hs_value": "Ada"}
    at = iso(api.world.now)
    envelope = event({"crm.property_changed": "101", "id": "e1", "at": at, "sent": at, "properties": change})
    envelope["detail"]["changedWith"] = {"city": "Bray"}
    api.world.deliver(envelope)
    for number in range(25):
        submit(api, f"later-{number}", record={"city": f"Town {number}"})
    one = decision(api)
    (of_city,) = one["refinementCriteria"]["filters"]
    assert (one["code"], of_city["found"], one["notes"]) == ("FILTERED_OUT", "Bray", [])


@pytest.mark.parametrize(
    "second",
    [
        {"crm.property_changed": "101", "properties": {"hs_name": "city", "hs_value": "Cork"}},
        {"forms.submitted": "101", "properties": {"hs_form_id": "f-2"}},
        {"forms.submitted": "101", "properties": {"hs_form_id": "f-1"}},
    ],
    ids=["another type", "another property value", "a later time"],
)
def test_an_id_that_was_used_before_is_a_duplicate_with_a_note(api: Api, second: dict[str, Any]) -> None:
    groups = [{"event": "forms.submitted"}, {"event": "crm.property_changed", "where": [["hs_name", "IS_KNOWN"]]}]
    api.world.put_flow(flow({"id": 1, "groups": groups, "re_enroll": True}))
    assert submit(api, properties={"hs_form_id": "f-1"}) == ["ENROLLED"]
    api.world.now += 5_000
    at = {"id": "e1", "at": iso(api.world.now), "sent": iso(api.world.now)}
    assert [made.code.value for made in api.world.deliver(event({**second, **at}))] == ["DUPLICATE_EVENT"]
    assert [reused.id for reused, _ in api.world.decision_log.reused_ids] == ["e1"]

    (later,), (first,) = (one["decisions"] for one in ask(api, eventId="e1"))
    assert (first["code"], first["notes"]) == ("ENROLLED", [])
    assert (later["code"], later["enrollment"]) == ("DUPLICATE_EVENT", None)
    assert later["notes"] == ["event IDs must be unique in a portal: e1 was sent with different content"]


def test_a_source_that_repeats_an_event_without_a_time_uses_its_id_once(api: Api) -> None:
    api.world.put_flow(flow({"id": 1, "event": "forms.submitted", "re_enroll": True}))
    assert submit(api, at=None, sent="2025-11-24T16:00:00Z") == ["ENROLLED"]
    assert submit(api, at=None, sent="2025-11-24T16:00:05Z") == ["DUPLICATE_EVENT"]
    assert api.world.decision_log.reused_ids == []


def test_an_event_that_the_history_does_not_have(api: Api) -> None:
    answer = api("GET", EXPLAIN, query={"objectType": "contact", "objectId": "101", "eventId": "gone"})
    assert answer.status == 404
    assert "which reaches back to 2025-10-25" in answer.json["message"]
    assert ask(api) == []


def test_events_are_explained_page_by_page_newest_first(api: Api) -> None:
    api.world.put_flow(flow({"id": 1, "event": "forms.submitted"}))
    for number in range(5):
        submit(api, f"e{number}")
    query = {"objectType": "contact", "objectId": "101", "limit": "2"}
    first = api("GET", EXPLAIN, query=query).json
    second = api("GET", EXPLAIN, query={**query, **first["paging"]["next"]}).json
    assert [one["event"]["id"] for one in (*first["results"], *second["results"])] == ["e4", "e3", "e2", "e1"]


@pytest.mark.parametrize(
    ("query", "status"),
    [({"objectId": "9"}, 404), ({"flowId": "9"}, 404), ({"objectType": "x"}, 400), ({"limit": "0"}, 400)],
)
def test_explanations_of_missing_things_are_not_found(api: Api, query: dict[str, str], status: int) -> None:
    assert api("GET", EXPLAIN, query={"objectType": "contact", "objectId": "101", **query}).status == status


# What became of one event --------------------------------------------------------------------------------------------

OUTCOME = "/enrollment/v1/outcome"


def outcome(api: Api, event_id: str) -> dict[str, Any]:
    answer = api("GET", OUTCOME, query={"eventId": event_id})
    assert answer.status == 200, answer.text
    conforms(answer.json, "Outcome")
    return dict(answer.json)


def test_outcome_of_an_event_is_found_by_its_id_alone(api: Api) -> None:
    api.world.put_flow(flow({"id": 1, "event": "forms.submitted"}))
    assert submit(api, "e/?#%") == ["ENROLLED"]
    found = outcome(api, "e/?#%")
    ((result,), status) = found["results"], found["status"]
    assert (status, result["status"], result["event"]["objectId"]) == ("DECIDED", "DECIDED", "101")
    assert [one["code"] for one in result["decisions"]] == ["ENROLLED"]


def test_outcome_of_a_deferred_event_says_until_when_it_waits(api: Api) -> None:
    document = flow({"id": 1, "event": "forms.submitted", "criteria": [["city", "IS_KNOWN"]]})
    api.world.put_flow(document | {"criteriaTolerance": 5})
    assert submit(api) == ["WAITING"]
    sent = api.world.now
    found = outcome(api, "e1")
    assert (found["status"], found["results"][0]["waitingUntil"]) == ("WAITING", iso(sent + 5 * 60_000))
    api.world.now = sent + 6 * 60_000
    assert outcome(api, "e1")["status"] == "DECIDED"


def test_outcome_of_an_event_that_waits_for_its_record_is_found(api: Api) -> None:
    api.world.put_flow(flow({"id": 1, "event": "forms.submitted"}))
    at = iso(api.world.now)
    api.world.deliver(event({"forms.submitted": "404", "id": "early", "at": at, "sent": at}))
    found = outcome(api, "early")
    assert (found["status"], found["results"][0]["decisions"][0]["code"]) == ("WAITING", "WAITING")


def test_event_without_its_enrollment_is_in_progress(api: Api) -> None:
    api.world.put_flow(flow({"id": 1, "event": "forms.submitted"}))
    submit(api)
    api.world.enrollments.items.clear()
    assert outcome(api, "e1")["status"] == "IN_PROGRESS"


def test_unknown_event_has_no_results(api: Api) -> None:
    found = outcome(api, "never-sent")
    assert (found["status"], found["results"], found["since"]) == ("UNKNOWN", [], iso(api.world.now - 30 * DAY))


def test_event_of_another_portal_is_unknown(api: Api) -> None:
    submit(api, portal="p2")
    assert outcome(api, "e1")["status"] == "UNKNOWN"


def test_id_that_was_used_for_two_records_has_two_results(api: Api) -> None:
    submit(api)
    other = RecordKey("p1", "0-1", "102")
    api.world.put_record(other, Record(other, NOW - 90 * DAY))
    at = iso(api.world.now + 5)
    api.world.deliver(event({"forms.submitted": "102", "id": "e1", "at": at, "sent": at}))
    assert [one["event"]["objectId"] for one in outcome(api, "e1")["results"]] == ["102", "101"]


def test_outcome_is_refused_if_the_stack_does_not_find_events_by_id(api: Api) -> None:
    api.world.history = replace(api.world.history, is_found_by_id=False)
    answer = Api(api.world)("GET", OUTCOME, query={"eventId": "e1"})
    assert (answer.status, "FindEventsById" in answer.text) == (404, True)


def test_explanations_warn_of_unknown_names(api: Api) -> None:
    submit(api, properties={"hs_formid": "f-1"})
    (warning,) = ask(api, eventId="e1")[0]["warnings"]
    assert warning == outcome(api, "e1")["results"][0]["warnings"][0]
    assert warning == (
        "detail.properties.hs_formid: expected a property of forms.submitted; this name is ignored"
        " - did you mean hs_form_id?"
    )


def test_explanation_of_a_filter_based_flow_has_the_criteria_after_and_before_the_change(api: Api) -> None:
    api.world.put_flow(flow({"id": 1, "filters": [["city", "IS_EQUAL_TO", "Cork"]]}))
    for number, city in enumerate(("Oslo", "Cork", "Cork")):
        api.world.now += 10
        at = {"at": iso(api.world.now), "sent": iso(api.world.now)}
        properties = {"hs_name": "city", "hs_value": city}
        api.world.deliver(event({"crm.property_changed": "101", "id": f"c{number}", "properties": properties, **at}))

    oslo, cork, again = (decision(api, event_id=f"c{number}") for number in range(3))

    assert (oslo["code"], oslo["enrollmentCriteria"]["passed"]) == ("NOT_MATCHED", False)
    assert oslo["failedConditions"] == ['city is "Cork", found "Oslo"']
    assert (cork["code"], cork["enrollment"] is None) == ("ENROLLED", False)
    assert [cork[key]["passed"] for key in ("enrollmentCriteria", "enrollmentCriteriaBefore")] == [True, False]
    assert again["code"] == "MET_BEFORE"
    assert again["because"].startswith("the record met the enrollment criteria before this change, since 2025-")
    assert [again[key]["passed"] for key in ("enrollmentCriteria", "enrollmentCriteriaBefore")] == [True, True]


def test_snapshot_that_enrolls_in_a_filter_based_flow_is_explained(api: Api) -> None:
    api.world.put_flow(flow({"id": 1, "filters": [["city", "IS_EQUAL_TO", "Cork"]]}))
    api.world.put_flow(flow({"id": 2, "filters": [["age", "IS_KNOWN"]]}))
    assert submit(api, record={"city": "Cork"}) == ["ENROLLED"]

    ((one,),) = (result["decisions"] for result in ask(api, eventId="e1"))

    assert (one["flowId"], one["code"]) == ("1", "ENROLLED")
    assert decision(api, flow_id="2")["because"] == "the event changed nothing that the enrollment criteria mention"
    assert [result["event"]["id"] for result in ask(api, flowId="1")] == ["e1"]


def enroll_by_hand(api: Api, flow_id: str, key: str) -> Mapping[str, Any]:
    path = f"/enrollment/v1/flows/{flow_id}/enrollments"
    enrolled: Mapping[str, Any] = api("POST", path, {"objectId": "101"}, headers={"idempotency-key": key}).json
    return enrolled


def explained(api: Api, **query: str) -> dict[str, Any]:
    answer = api("GET", EXPLAIN, query={"objectType": "contact", "objectId": "101", **query})
    assert answer.status == 200, answer.text
    conforms(answer.json, "AccountPage")
    explanation: dict[str, Any] = answer.json
    return explanation


def test_manual_enrollments_are_explained_beside_the_events(api: Api) -> None:
    api.world.put_flow(flow({"id": 1, "event": "forms.submitted", "re_enroll": True}))
    api.world.put_flow(flow({"id": 2, "manual": True}))
    submit(api)
    enrolled = [enroll_by_hand(api, "1", "k1"), enroll_by_hand(api, "2", "k2")]
    api.world.put_flow(flow({"id": 2, "manual": True, "re_enroll": True}))

    answer = explained(api)

    assert [one["event"]["id"] for one in answer["results"]] == ["e1"]
    assert [one["event"]["id"] for one in answer["requested"]] == ["manual:k2", "manual:k1"]
    ((second,), (first,)) = (one["decisions"] for one in answer["requested"])
    assert (first["code"], first["flowId"], first["because"]) == ("ENROLLED", "1", "a caller enrolled the record")
    assert [one["enrollment"]["enrollmentId"] for one in (first, second)] == [one["enrollmentId"] for one in enrolled]
    assert (first["notes"], second["notes"]) == (
        [],
        ["the flow has changed since then; its current revision is 2"],
    )
    of_flow = explained(api, flowId="2")
    assert [one["event"]["id"] for one in of_flow["requested"]] == ["manual:k2"]
    assert of_flow["backfills"] == {"runs": [], "now": None}
    assert "backfills" not in answer


def test_manual_enrollment_is_explained_by_its_event_id(api: Api) -> None:
    api.world.put_flow(flow({"id": 2, "manual": True}))
    enroll_by_hand(api, "2", "k2")
    enroll_by_hand(api, "2", "k3")

    (result,) = explained(api, eventId="manual:k2")["results"]
    assert result["event"]["eventType"] == "workflows.manual"
    assert [one["code"] for one in result["decisions"]] == ["ENROLLED"]

    # The second request enrolled no record, so nothing of it is stored.
    missing = api("GET", EXPLAIN, query={"objectType": "contact", "objectId": "101", "eventId": "manual:k3"})
    assert missing.status == 404
    assert (
        "no enrollment by it. Manual requests and backfills that do not enroll a record are not stored" in missing.text
    )


def backfill(world: World, *, is_dry_run: bool = False) -> str:
    confirm = None if is_dry_run else world.listing.count("p1", "0-1")
    run = world.backfills.start(BackfillRequest("p1", "1", is_dry_run, "ada", confirm=confirm), world.now)
    while not world.runs.runs[run.id].is_finished:
        list(world.run_worker.work(world.now + 1))
        world.now += 60_000
    return run.id


def test_enrollment_by_a_backfill_is_explained(api: Api) -> None:
    api.world.put_flow(flow({"id": 1, "filters": [["city", "IS_UNKNOWN"]]}))
    dry_run, run = backfill(api.world, is_dry_run=True), backfill(api.world)

    answer = explained(api, flowId="1")

    assert [one["event"]["id"] for one in answer["requested"]] == [f"backfill:{run}"]
    assert answer["requested"][0]["decisions"][0]["because"] == "a backfill enrolled the record"
    told = {one["runId"]: (one["isEnrolled"], one["because"]) for one in answer["backfills"]["runs"]}
    assert told[dry_run] == (False, "a dry run enrolls no record; it keeps counts, and no decision on a record")
    assert told[run][0]
    assert told[run][1].startswith("the run enrolled the record at ")
    assert answer["backfills"]["now"]["code"] == "ALREADY_ENROLLED"


def test_backfill_that_did_not_enroll_the_record_says_what_is_known(api: Api) -> None:
    api.world.put_flow(flow({"id": 1, "filters": [["city", "IS_EQUAL_TO", "Cork"]]}))
    backfill(api.world)

    answer = explained(api, flowId="1")

    (run,) = answer["backfills"]["runs"]
    assert (run["status"], run["isEnrolled"]) == ("DONE", False)
    assert (
        run["because"]
        == "the run evaluated the record and did not enroll it; it keeps counts, and no decision on a record"
    )
    assert answer["backfills"]["now"]["code"] == "NOT_MATCHED"
    assert answer["backfills"]["now"]["failedConditions"] == ['city is "Cork", found no value']
    assert answer["requested"] == []


@pytest.mark.parametrize(
    ("status", "because"),
    [
        (RunStatus.PAUSED, "the run is not finished; it may still evaluate the record"),
        (
            RunStatus.CANCELLED,
            "the run ended as CANCELLED before all records were evaluated, and did not enroll the record",
        ),
    ],
)
def test_backfill_that_did_not_evaluate_all_records_says_so(api: Api, status: RunStatus, because: str) -> None:
    world = api.world
    world.put_flow(flow({"id": 1, "filters": [["city", "IS_UNKNOWN"]]}))
    run = world.backfills.start(BackfillRequest("p1", "1", False, "ada", confirm=1), world.now)
    world.runs.save(run.moved(status, world.now))

    (outcome,) = explained(api, flowId="1")["backfills"]["runs"]

    assert outcome["because"] == because


def test_backfill_names_a_record_that_was_created_or_enrolled_before_it_could_be_evaluated(api: Api) -> None:
    world = api.world
    world.put_flow(flow({"id": 1, "filters": [["city", "IS_UNKNOWN"]]}))
    backfill(world)
    stored = world.records.get(ADA)
    assert stored is not None
    world.put_record(ADA, replace(stored, created_at=world.now + 1))
    world.now += 10
    world.enrollments.items.clear()
    assert "created after the run had started" in explained(api, flowId="1")["backfills"]["runs"][0]["because"]

    enroll_by_hand(api, "1", "before")
    backfill(world)
    latest = explained(api, flowId="1")["backfills"]["runs"][0]["because"]
    assert latest.startswith("the record was enrolled before, at ")
