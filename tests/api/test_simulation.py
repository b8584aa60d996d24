"""`/enrollment/v1/simulate`: the decisions that the event itself would lead to, with what they rest on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.api_document import conforms
from tests.support.fakes import World
from tests.support.portal import Api, example_portal, token
from tests.support.scenario import event, flow, load, play

SCENARIOS = load(Path(__file__).parents[1] / "scenarios")
SIMULATE = "/enrollment/v1/simulate"


@pytest.mark.parametrize(("name", "scenario"), SCENARIOS, ids=[name for name, _ in SCENARIOS])
def test_every_event_of_every_scenario_is_simulated_as_it_is_decided(name: str, scenario: Mapping[str, Any]) -> None:
    world = World()
    api, deliver = Api(world), world.deliver

    def rehearsed(envelope: Mapping[str, Any]) -> Any:
        # The request moves the clock on.
        at, world.now = world.now, world.now - 1
        answer = api("POST", SIMULATE, {"event": envelope}, headers={"x-portal-id": envelope["detail"]["portalId"]})
        world.now = at
        assert answer.status == 200
        conforms(answer.json, "Simulation")
        decisions = deliver(envelope)
        # A simulation takes no place of a rate limit, so it does not know the delay.
        reasons = [decision.because.partition("; the flow's limit delays it")[0] for decision in decisions]
        expected = [
            (decision.flow_id, str(decision.code), reason) for decision, reason in zip(decisions, reasons, strict=True)
        ]
        assert [
            (decision["flowId"], decision["code"], decision["because"]) for decision in answer.json["decisions"]
        ] == expected
        return decisions

    world.deliver = rehearsed  # type: ignore[method-assign]
    play(scenario, world)


def submitted(**fields: Any) -> dict[str, Any]:
    return event({"forms.submitted": "101", "id": "e-9", "at": "2026-11-24T09:59:59.000Z", **fields})


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
    (decision,) = decisions(api, {"event": submitted(properties={"hs_form_id": "f-1"}), "flows": [DRAFT]})
    assert (decision["code"], decision["flowName"]) == ("NOT_MATCHED", "Flow 7")
    assert decision["failedConditions"] == ["URL is known, found no value"]
    of_forms, of_calls = decision["triggerGroups"]
    assert [
        (filter_["property"], filter_["expected"], filter_["found"], filter_["passed"])
        for filter_ in of_forms["filters"]
    ] == [
        ("hs_form_id", 'is "f-1"', "f-1", True),
        ("hs_url", "is known", None, False),
    ]
    assert (of_forms["isConcerned"], of_forms["passed"]) == (True, False)
    assert (of_calls["isConcerned"], of_calls["passed"], of_calls["filters"]) == (False, False, [])
    assert decision["recordAsOf"] == "2026-11-24T09:59:59.000Z"
    assert [(filter_["found"], filter_["passed"]) for filter_ in decision["refinementCriteria"]["filters"]] == [
        ("Dublin", True),
        (None, False),
    ]


def test_drafts_replace_stored_flows() -> None:
    api = example_portal()
    drafts = [
        {**flow({"id": 1, "event": "forms.submitted", "enabled": False})},
        {key: value for key, value in flow({"id": 1, "event": "forms.submitted"}).items() if key != "id"},
        flow({"id": 3, "event": "calls.ended"}),
    ]
    found = decisions(api, {"event": submitted(), "flows": drafts})
    assert [(decision["flowId"], decision["code"]) for decision in found] == [
        ("1", "ENROLLED"),
        ("draft-2", "ENROLLED"),
    ]
    found = decisions(api, {"event": submitted()})
    assert [(decision["flowId"], decision["code"]) for decision in found] == [("1001", "NOT_MATCHED")]


def test_inline_record_replaces_the_stored_one() -> None:
    api = example_portal()
    body = {"event": submitted(properties={"hs_form_id": "f-1"})}
    assert [decision["code"] for decision in decisions(api, body)] == ["ALREADY_ENROLLED"]
    assert [decision["code"] for decision in decisions(api, {**body, "record": {"properties": {"city": "Cork"}}})] == [
        "ENROLLED"
    ]
    (decision,) = decisions(api, {**body, "record": {"properties": {"city": "Galway"}}})
    assert (decision["code"], decision["failedConditions"]) == (
        "FILTERED_OUT",
        ['city is any of "Dublin" or "Cork", found "Galway"'],
    )
    later = {"properties": {"city": "Cork"}, "createdAt": 0}
    early = event({"forms.submitted": "9", "id": "e", "at": "2000-01-01T00:00:00Z"})
    found = decisions(api, {"event": early, "record": {**later, "createdAt": "2001-01-01T00:00:00Z"}})
    assert [decision["code"] for decision in found] == ["UNKNOWN_RECORD"]
    listed = flow({"id": 7, "event": "forms.submitted"}) | {"suppressionListIds": ["42"]}
    (decision,) = decisions(api, {"event": submitted(), "flows": [listed], "record": {"lists": [42]}})
    assert (decision["code"], decision["suppression"]["passed"]) == ("SUPPRESSED", True)


def test_invalid_event_is_reported_as_in_the_unprocessed_queue() -> None:
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


def test_draft_errors_have_their_json_path() -> None:
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
def test_invalid_simulation_requests_are_rejected(change: dict[str, Any], path: str) -> None:
    answer = example_portal()("POST", SIMULATE, {"event": submitted(), **change})
    assert (answer.status, answer.faults[0][0]) == (400, path)
    assert example_portal()("POST", SIMULATE, {}).faults == [("$.event", "MISSING_FIELD")]


def test_simulation_does_not_reveal_another_portal() -> None:
    api = example_portal()
    answer = api("POST", SIMULATE, {"event": submitted(portal="p2")}, authorizer=token())
    assert (answer.status, answer.json["category"]) == (404, "OBJECT_NOT_FOUND")


def test_simulation_stores_nothing() -> None:
    api = example_portal()
    world = api.world
    before = (dict(world.records.records), dict(world.enrollments.items), list(world.queue.messages))
    body = {"event": submitted(record={"city": "Bray"}), "flows": [flow({"id": 7, "event": "forms.submitted"})]}
    for _ in range(2):
        (decision,) = decisions(api, body)
        assert (decision["code"], "enrollmentId" in decision) == ("ENROLLED", False)
    assert before == (world.records.records, world.enrollments.items, world.queue.messages)
