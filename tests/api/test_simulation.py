"""`/enrollment/v1/simulate`: the decisions that the event itself would lead to, with what they rest on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.api.portal import Api, example_portal, token
from tests.api.test_examples import conforms
from tests.fakes import World
from tests.scenarios.scenario import event, flow, load, play

SCENARIOS = load(Path(__file__).parents[1] / "scenarios")
SIMULATE = "/enrollment/v1/simulate"


@pytest.mark.parametrize(("name", "scenario"), SCENARIOS, ids=[name for name, _ in SCENARIOS])
def test_every_event_of_every_scenario_is_simulated_as_it_is_decided(name: str, scenario: Mapping[str, Any]) -> None:
    world = World()
    api, deliver = Api(world), world.deliver

    def rehearsed(envelope: Mapping[str, Any]) -> Any:
        at = world.now
        answer = api("POST", SIMULATE, {"event": envelope}, headers={"x-portal-id": envelope["detail"]["portalId"]})
        world.now = at
        assert answer.status == 200
        conforms(answer.json, "Simulation")
        decisions = deliver(envelope)
        expected = [(one.flow_id, str(one.code), one.because) for one in decisions]
        assert [(one["flowId"], one["code"], one["because"]) for one in answer.json["decisions"]] == expected
        return decisions

    world.deliver = rehearsed  # type: ignore[method-assign]
    play(scenario, world)


def submitted(**given: Any) -> dict[str, Any]:
    return event({"forms.submitted": "101", "id": "e-9", "at": "2030-01-01T00:00:00Z", **given})


def decisions(api: Api, body: dict[str, Any]) -> list[dict[str, Any]]:
    answer = api("POST", SIMULATE, body)
    assert answer.status == 200, answer.text
    found: list[dict[str, Any]] = answer.json["decisions"]
    return found


DRAFT = flow(
    {
        "id": 7,
        "groups": [
            {"event": "forms.submitted", "where": [["hs_form_id", "IS_ANY_OF", ["f-1"]], ["hs_url", "IS_KNOWN"]]},
            {"event": "calls.ended"},
        ],
        "criteria": [["city", "IS_ANY_OF", ["Dublin"]], ["age", "IS_GREATER_THAN", 20]],
    }
)


def test_a_draft_is_explained_filter_by_filter() -> None:
    api = example_portal()
    (one,) = decisions(api, {"event": submitted(properties={"hs_form_id": "f-1"}), "flows": [DRAFT]})
    assert (one["code"], one["flowName"]) == ("NOT_MATCHED", "Flow 7")
    assert one["failedConditions"] == ["URL is known, found no value"]
    of_forms, of_calls = one["triggerGroups"]
    assert [(each["property"], each["expected"], each["found"], each["passed"]) for each in of_forms["filters"]] == [
        ("hs_form_id", "is f-1", "f-1", True),
        ("hs_url", "is known", None, False),
    ]
    assert (of_forms["isConcerned"], of_forms["passed"]) == (True, False)
    assert (of_calls["isConcerned"], of_calls["passed"], of_calls["filters"]) == (False, False, [])
    assert one["recordAsOf"] == "2030-01-01T00:00:00.000Z"
    assert [(each["found"], each["passed"]) for each in one["refinementCriteria"]["filters"]] == [
        ("Dublin", True),
        (None, False),
    ]


def test_drafts_stand_in_the_place_of_the_flows_that_are_stored() -> None:
    api = example_portal()
    drafts = [
        {**flow({"id": 1, "event": "forms.submitted", "enabled": False})},
        {key: value for key, value in flow({"id": 1, "event": "forms.submitted"}).items() if key != "id"},
        flow({"id": 3, "event": "calls.ended"}),
    ]
    found = decisions(api, {"event": submitted(), "flows": drafts})
    assert [(one["flowId"], one["code"]) for one in found] == [("1", "ENROLLED"), ("draft-2", "ENROLLED")]
    found = decisions(api, {"event": submitted()})
    assert [(one["flowId"], one["code"]) for one in found] == [("1001", "NOT_MATCHED")]


def test_a_record_given_inline_stands_in_the_place_of_the_stored_one() -> None:
    api = example_portal()
    body = {"event": submitted(properties={"hs_form_id": "f-1"})}
    assert [one["code"] for one in decisions(api, body)] == ["ALREADY_ENROLLED"]
    assert [one["code"] for one in decisions(api, {**body, "record": {"properties": {"city": "Cork"}}})] == ["ENROLLED"]
    (one,) = decisions(api, {**body, "record": {"properties": {"city": "Galway"}}})
    assert (one["code"], one["failedConditions"]) == ("FILTERED_OUT", ["city is any of Dublin or Cork, found Galway"])
    later = {"properties": {"city": "Cork"}, "createdAt": 0}
    early = event({"forms.submitted": "9", "id": "e", "at": "2000-01-01T00:00:00Z"})
    found = decisions(api, {"event": early, "record": {**later, "createdAt": "2001-01-01T00:00:00Z"}})
    assert [one["code"] for one in found] == ["UNKNOWN_RECORD"]
    listed = flow({"id": 7, "event": "forms.submitted"}) | {"suppressionListIds": ["42"]}
    (one,) = decisions(api, {"event": submitted(), "flows": [listed], "record": {"lists": [42]}})
    assert (one["code"], one["suppression"]["passed"]) == ("SUPPRESSED", True)


def test_an_invalid_event_is_told_as_the_unprocessed_queue_has_it() -> None:
    api = example_portal()
    for envelope, reason in (
        (None, "INVALID_ENVELOPE"),
        ({"id": "x", "detail-type": "fax.received"}, "UNKNOWN_CATEGORY"),
        (submitted(properties={"hs_form_id": {}}), "WRONG_TYPE"),
        (submitted(record={f"p{number}": "x" * 8_000 for number in range(26)}), "DETAIL_TOO_LARGE"),
    ):
        answer = api("POST", SIMULATE, {"event": envelope})
        assert (answer.status, answer.json["unprocessed"]["reason"]) == (200, reason)
        conforms(answer.json, "Simulation")


def test_what_is_wrong_with_a_draft_is_told_by_its_place() -> None:
    refused = flow({"id": 1, "event": "forms.submitted", "where": [["hs_fom_id", "IS_KNOWN"]]})
    answer = example_portal()("POST", SIMULATE, {"event": submitted(), "flows": [DRAFT, refused]})
    path = "$.flows[1].enrollmentCriteria.eventFilterBranches[0].filters[0].property"
    assert (answer.status, answer.faults) == (400, [(path, "UNKNOWN_PROPERTY")])


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"flows": []}, "$.flows"),
        ({"flows": [DRAFT, DRAFT]}, "$.flows[1].id"),
        ({"record": {"lists": 0}}, "$.record.lists"),
        ({"record": {"createdAt": "soon"}}, "$.record.createdAt"),
        ({"record": {"properties": {"a": {}}}}, "$.record.properties.a"),
    ],
)
def test_what_is_wrong_with_a_request(change: dict[str, Any], path: str) -> None:
    answer = example_portal()("POST", SIMULATE, {"event": submitted(), **change})
    assert (answer.status, answer.faults[0][0]) == (400, path)
    assert example_portal()("POST", SIMULATE, {}).faults == [("$.event", "MISSING_FIELD")]


def test_of_another_portal_nothing_is_told() -> None:
    api = example_portal()
    answer = api("POST", SIMULATE, {"event": submitted(portal="p2")}, authorizer=token())
    assert (answer.status, answer.json["category"]) == (404, "OBJECT_NOT_FOUND")


def test_nothing_is_left_behind() -> None:
    api = example_portal()
    world = api.world
    before = (dict(world.records.records), dict(world.enrollments.items), list(world.queue.messages))
    body = {"event": submitted(record={"city": "Bray"}), "flows": [flow({"id": 7, "event": "forms.submitted"})]}
    assert [one["code"] for one in decisions(api, body)] == ["ENROLLED"]
    assert [one["code"] for one in decisions(api, body)] == ["ENROLLED"]
    assert before == (world.records.records, world.enrollments.items, world.queue.messages)
