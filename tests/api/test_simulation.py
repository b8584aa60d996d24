"""`/enrollment/v1/simulate`: the decisions that the event itself would lead to, with what they rest on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from enrollment.domain.values import iso
from tests.support.api_document import conforms
from tests.support.fakes import World
from tests.support.portal import NOW, Api, example_portal, token
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


# Previews of drafts -------------------------------------------------------------------------------------------------

PREVIEW = "/enrollment/v1/preview"


def portal_of_events() -> Api:
    """Five contacts from five towns; each submits a form three times, the first time the first contact first."""
    api = example_portal()
    for number in range(15):
        contact, properties = str(200 + number % 5), {"hs_form_id": f"f-{number // 5}"}
        fields = {"forms.submitted": contact, "id": f"p{number:02d}", "at": iso(NOW + number), "properties": properties}
        api.world.deliver(event({**fields, "record": {"town": f"Town {number % 5}"}}))
    return api


def preview(api: Api, draft: dict[str, Any], limit: int = 100) -> tuple[list[dict[str, Any]], int]:
    """All decisions, and the number of pages."""
    results: list[dict[str, Any]] = []
    body: dict[str, Any] = {"flow": draft, "limit": limit}
    for pages in range(1, 100):
        answer = api("POST", PREVIEW, body)
        assert answer.status == 200, answer.text
        conforms(answer.json, "PreviewPage")
        results += answer.json["results"]
        if "paging" not in answer.json:
            return results, pages
        body["after"] = answer.json["paging"]["next"]["after"]
    raise AssertionError("pages without end")


WANTED = {"id": 9, "event": "forms.submitted", "criteria": [["town", "IS_ANY_OF", ["Town 1", "Town 3"]]]}


def test_a_draft_is_decided_on_the_events_that_happened() -> None:
    api = portal_of_events()
    before = (dict(api.world.enrollments.items), list(api.world.queue.messages))
    found, pages = preview(api, flow({**WANTED, "where": [["hs_form_id", "IS_ANY_OF", ["f-0", "f-2"]]]}))
    assert pages == 1
    mine = {decision["eventId"]: decision for decision in found if decision["eventId"].startswith("p")}
    assert [decision["eventId"] for decision in found] == [*(f"p{number:02d}" for number in range(14, -1, -1)), "e1"]
    assert {key for key, decision in mine.items() if decision["code"] == "ENROLLED"} == {"p01", "p03"}
    assert {key for key, decision in mine.items() if decision["code"] == "ALREADY_ENROLLED"} == {"p11", "p13"}
    assert mine["p00"]["failedConditions"] == ['town is any of "Town 1" or "Town 3", found "Town 0"']
    assert mine["p06"]["failedConditions"] == ['form is any of "f-0" or "f-2", found "f-1"']
    assert before == (api.world.enrollments.items, api.world.queue.messages)


def test_filter_based_draft_enrolls_by_the_changes_that_happened() -> None:
    api = example_portal()
    for number, city in enumerate(("Oslo", "Galway", "Cork", "Galway")):
        properties = {"hs_name": "city", "hs_value": city}
        fields = {"crm.property_changed": "101", "id": f"c{number}", "at": iso(NOW + number), "properties": properties}
        api.world.now = NOW + 10 + number
        api.world.deliver(event(fields))

    found, _ = preview(api, flow({"id": 9, "filters": [["city", "IS_EQUAL_TO", "Galway"]]}))

    codes = {decision["eventId"]: decision["code"] for decision in found if decision["eventId"].startswith("c")}
    assert codes == {"c0": "NOT_MATCHED", "c1": "ENROLLED", "c2": "NOT_MATCHED", "c3": "ALREADY_ENROLLED"}


def test_a_preview_is_the_same_whatever_its_pages_but_for_records_that_enter_once() -> None:
    api = portal_of_events()
    again, pages = preview(api, flow({**WANTED, "re_enroll": True}), limit=4)
    assert pages == 4
    assert again == preview(api, flow({**WANTED, "re_enroll": True}))[0]
    assert sum(decision["code"] == "ENROLLED" for decision in again) == 6
    once, _ = preview(api, flow(WANTED), limit=4)
    assert {decision["objectId"] for decision in once if decision["code"] == "ENROLLED"} == {"201", "203"}


def test_a_preview_leaves_out_other_types_other_portals_and_records_that_are_deleted() -> None:
    api = portal_of_events()
    submitted_there = {"forms.submitted": "201", "id": "there", "portal": "p2", "at": iso(NOW), "record": {}}
    api.world.deliver(event({**submitted_there}))
    api.world.deliver(event({"crm.object_created": "7", "object": "company", "id": "firm", "at": iso(NOW)}))
    assert api("DELETE", "/crm/v3/objects/contacts/201").status == 204
    found, _ = preview(api, flow({"id": 9, "groups": [{"event": "forms.submitted"}, {"event": "crm.object_created"}]}))
    assert not {"there", "firm", "p01", "p06", "p11"} & {decision["eventId"] for decision in found}
    assert len(found) == 13


def test_preview_keeps_events_of_one_instant_on_one_page() -> None:
    api = example_portal()
    for contact in ("301", "302", "303"):
        api.world.deliver(event({"forms.submitted": contact, "id": "same", "at": iso(NOW + 1), "record": {}}))
    found, _ = preview(api, flow({"id": 9, "event": "forms.submitted"}), limit=2)
    assert sorted(record["objectId"] for record in found) == ["101", "301", "302", "303"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "$.flow"),
        (
            {"flow": {"type": "CONTACT_FLOW", "enrollmentCriteria": {"type": "EVENT_BASED"}}},
            "$.flow.enrollmentCriteria",
        ),
        ({"flow": DRAFT, "limit": 0}, "$.limit"),
        ({"flow": DRAFT, "limit": True}, "$.limit"),
        ({"flow": DRAFT, "after": 7}, "$.after"),
        ({"flow": DRAFT, "after": "x"}, "after"),
    ],
)
def test_invalid_preview_requests_are_rejected(body: dict[str, Any], path: str) -> None:
    answer = example_portal()("POST", PREVIEW, body)
    assert (answer.status, answer.faults[0][0]) == (400, path)


# The impact of a draft ------------------------------------------------------------------------------------------------

IMPACT = "/enrollment/v1/impact"


def impact(
    api: Api, draft: dict[str, Any], limit: int = 100, **more: Any
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """All outcomes, and the last page."""
    results: list[dict[str, Any]] = []
    body: dict[str, Any] = {"flow": draft, "limit": limit, **more}
    while True:
        answer = api("POST", IMPACT, body)
        assert answer.status == 200, answer.text
        conforms(answer.json, "ImpactPage")
        results += answer.json["results"]
        if "paging" not in answer.json:
            return results, answer.json
        body["after"] = answer.json["paging"]["next"]["after"]


def entering(results: list[dict[str, Any]], version: str) -> list[str]:
    return [
        result["eventId"] for result in results if result[version] is not None and result[version]["code"] == "ENROLLED"
    ]


OF_TOWN_3 = {"id": 9, "event": "forms.submitted", "criteria": [["town", "IS_ANY_OF", ["Town 3", "Town 4"]]]}


def test_a_draft_is_compared_with_the_saved_revision() -> None:
    api = portal_of_events()
    api.world.put_flow(flow(WANTED), at=NOW + 1_000)
    results, page = impact(api, flow({**OF_TOWN_3, "re_enroll": True}))
    assert [result["eventId"] for result in results] == [*(f"p{number:02d}" for number in range(14, -1, -1)), "e1"]
    assert entering(results, "draft") == ["p14", "p13", "p09", "p08", "p04", "p03"]
    assert entering(results, "saved") == ["p03", "p01"]
    by_event = {result["eventId"]: result for result in results}
    assert by_event["p04"]["saved"]["failedConditions"] == ['town is any of "Town 1" or "Town 3", found "Town 4"']
    assert by_event["p08"]["saved"]["code"] == "ALREADY_ENROLLED"
    versions = {key: page[key] for key in ("draftIsOnce", "savedIsOnce", "savedRevisionId", "savedIsEnabled")}
    assert versions == {"draftIsOnce": False, "savedIsOnce": True, "savedRevisionId": "1", "savedIsEnabled": True}


def test_impact_is_the_same_whatever_its_pages() -> None:
    api = portal_of_events()
    api.world.put_flow(flow({**WANTED, "re_enroll": True}), at=NOW + 1_000)
    draft = flow({**OF_TOWN_3, "re_enroll": True})
    assert impact(api, draft, limit=4)[0] == impact(api, draft)[0]


def test_versions_with_other_triggers_are_compared_on_the_events_of_both() -> None:
    api = portal_of_events()
    api.world.deliver(event({"calls.ended": "201", "id": "call", "at": iso(NOW + 100)}))
    api.world.put_flow(flow({"id": 9, "event": "calls.ended", "enabled": False}), at=NOW + 1_000)
    results, page = impact(api, flow(OF_TOWN_3))
    assert (results[0]["eventId"], results[0]["draft"], results[0]["saved"]["code"]) == ("call", None, "ENROLLED")
    assert all(result["saved"] is None for result in results[1:])
    assert page["savedIsEnabled"] is False


def test_impact_of_a_flow_that_is_not_saved() -> None:
    api = portal_of_events()
    results, page = impact(api, flow(OF_TOWN_3))
    assert entering(results, "draft") == ["p04", "p03"]
    assert all(result["saved"] is None for result in results)
    assert (page["savedRevisionId"], page["savedIsOnce"], page["savedIsEnabled"]) == (None, None, None)


def test_impact_covers_the_period_that_is_requested() -> None:
    api = portal_of_events()
    results, page = impact(api, flow(OF_TOWN_3), since=iso(NOW + 10))
    assert [result["eventId"] for result in results] == ["p14", "p13", "p12", "p11", "p10"]
    assert page["since"] == iso(NOW + 10)
    _, page = impact(api, flow(OF_TOWN_3), since="2000-01-01T00:00:00Z")
    assert page["since"] == iso(api.world.now - 30 * 86_400_000), "the history has 30 days"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "$.flow"),
        ({"flow": {key: value for key, value in DRAFT.items() if key != "id"}}, "$.flow.id"),
        ({"flow": DRAFT, "since": "soon"}, "$.since"),
        ({"flow": DRAFT, "since": "2100-01-01T00:00:00Z"}, "$.since"),
        ({"flow": DRAFT, "limit": 101}, "$.limit"),
        ({"flow": {**DRAFT, "enrolmentCriteria": {"x": 1}}}, "$.flow.enrolmentCriteria"),
    ],
)
def test_invalid_impact_requests_are_rejected(body: dict[str, Any], path: str) -> None:
    answer = example_portal()("POST", IMPACT, body)
    assert (answer.status, answer.faults[0][0]) == (400, path)
