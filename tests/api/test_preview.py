"""`/enrollment/v1/preview` and `/impact`: what a draft would have decided on past events, and what it changes."""

from typing import Any

import pytest

from enrollment.domain.values import iso
from tests.support.api_document import conforms
from tests.support.portal import NOW, Api, example_portal
from tests.support.scenario import event, flow

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


# A draft beside a saved revision --------------------------------------------------------------------------------------


def page_of(api: Api, draft: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = api("POST", PREVIEW, {"flow": draft, **more})
    assert answer.status == 200, answer.text
    conforms(answer.json, "PreviewPage")
    page: dict[str, Any] = answer.json
    return page


FIRST_REVISION = {"compareWith": {"revisionId": "1"}}


def test_preview_compares_the_draft_with_the_named_revision() -> None:
    api = portal_of_events()
    saved = flow(WANTED)
    api.world.put_flow(saved, at=NOW + 1_000)
    api.world.put_flow(flow({"id": 9, "event": "calls.ended", "enabled": False}), at=NOW + 2_000)
    draft = flow({**OF_TOWN_3, "re_enroll": True})
    page = page_of(api, draft, **FIRST_REVISION)
    by_event = {result["eventId"]: result for result in page["results"]}
    codes = {key: (by_event[key]["code"], by_event[key]["compared"]["code"]) for key in ("p01", "p03", "p04", "p08")}
    assert codes == {
        "p01": ("FILTERED_OUT", "ENROLLED"),
        "p03": ("ENROLLED", "ENROLLED"),
        "p04": ("ENROLLED", "FILTERED_OUT"),
        "p08": ("ENROLLED", "ALREADY_ENROLLED"),
    }
    assert by_event["p04"]["compared"]["failedConditions"] == ['town is any of "Town 1" or "Town 3", found "Town 4"']
    compared = {key: page[key] for key in ("comparedRevisionId", "comparedIsOnce", "comparedIsEnabled", "isOnce")}
    assert compared == {
        "comparedRevisionId": "1",
        "comparedIsOnce": True,
        "comparedIsEnabled": True,
        "isOnce": False,
    }


def test_unchanged_draft_differs_from_its_saved_revision_on_no_event() -> None:
    api = portal_of_events()
    api.world.put_flow(flow({**WANTED, "re_enroll": True}), at=NOW + 1_000)
    results = page_of(api, flow({**WANTED, "re_enroll": True}), **FIRST_REVISION)["results"]
    assert len(results) == 16
    assert all(result["code"] == result["compared"]["code"] for result in results)


def test_event_that_triggers_only_one_version_has_no_code_of_the_other() -> None:
    api = portal_of_events()
    api.world.deliver(event({"calls.ended": "201", "id": "call", "at": iso(NOW + 100)}))
    api.world.put_flow(flow({"id": 9, "event": "calls.ended"}), at=NOW + 1_000)
    call, *submissions = page_of(api, flow(OF_TOWN_3), **FIRST_REVISION)["results"]
    assert (call["eventId"], call["code"], call["compared"]["code"]) == ("call", None, "ENROLLED")
    assert call["because"] == "the event does not trigger the draft"
    assert len(submissions) == 16
    assert all(result["compared"] is None for result in submissions)


def test_comparison_with_an_unknown_or_deleted_revision_is_not_found() -> None:
    api = portal_of_events()
    api.world.put_flow(flow(WANTED), at=NOW + 1_000)
    assert api("DELETE", "/automation/v4/flows/9").status == 204
    for revision_id in ("2", "3", "last", "0"):
        answer = api("POST", PREVIEW, {"flow": flow(WANTED), "compareWith": {"revisionId": revision_id}})
        assert (answer.status, answer.json["category"]) == (404, "OBJECT_NOT_FOUND"), revision_id


def test_details_have_the_result_of_every_filter() -> None:
    api = portal_of_events()
    draft = flow({**WANTED, "where": [["hs_form_id", "IS_ANY_OF", ["f-0"]]]})
    results = {result["eventId"]: result for result in page_of(api, draft, details=True)["results"]}
    assert results["p00"]["refinementCriteria"]["filters"][0]["found"] == "Town 0"
    assert results["p00"]["triggerGroups"][0]["passed"] is True
    (failed,) = results["p06"]["triggerGroups"][0]["filters"]
    assert (failed["found"], failed["passed"]) == ("f-1", False)
    assert "triggerGroups" not in page_of(api, draft)["results"][0]


def test_details_do_not_change_a_decision() -> None:
    api = portal_of_events()
    for draft in (flow(WANTED), flow({"id": 9, "filters": [["town", "IS_EQUAL_TO", "Town 1"]]})):
        codes, detailed = (
            [(result["eventId"], result["code"]) for result in page_of(api, draft, details=details)["results"]]
            for details in (False, True)
        )
        assert codes == detailed


def test_preview_of_one_record_has_its_events_only() -> None:
    api = portal_of_events()
    page = page_of(api, flow(WANTED), objectId="201", details=True)
    assert [(result["eventId"], result["objectId"]) for result in page["results"]] == [
        ("p11", "201"),
        ("p06", "201"),
        ("p01", "201"),
    ]
    assert [result["code"] for result in page["results"]] == ["ALREADY_ENROLLED", "ALREADY_ENROLLED", "ENROLLED"]
    assert api("POST", PREVIEW, {"flow": flow(WANTED), "objectId": "nobody"}).status == 404


def test_preview_of_one_record_includes_changes_by_snapshots() -> None:
    """A filter-based draft is also triggered by an event of another type that brings a snapshot of the record."""
    api = portal_of_events()
    page = page_of(api, flow({"id": 9, "filters": [["town", "IS_EQUAL_TO", "Town 1"]]}), objectId="201")
    assert [(result["eventId"], result["code"]) for result in page["results"]][-1] == ("p01", "ENROLLED")


def test_preview_reads_the_period_that_is_requested() -> None:
    api = portal_of_events()
    page = page_of(api, flow(WANTED), occurredAfter=iso(NOW + 10))
    assert [result["eventId"] for result in page["results"]] == ["p14", "p13", "p12", "p11", "p10"]
    assert (page["since"], page["eventsRead"]) == (iso(NOW + 10), 5)
    of_record = page_of(api, flow(WANTED), occurredAfter=NOW + 10, objectId="201")
    assert ([result["eventId"] for result in of_record["results"]], of_record["since"]) == (["p11"], iso(NOW + 10))


def test_events_without_a_decision_are_counted_as_read() -> None:
    api = portal_of_events()
    assert api("DELETE", "/crm/v3/objects/contacts/201").status == 204
    page = page_of(api, flow(WANTED))
    assert (len(page["results"]), page["eventsRead"]) == (13, 16)


def test_manual_draft_has_an_empty_preview() -> None:
    page = page_of(portal_of_events(), flow({"id": 9, "manual": True}))
    assert (page["results"], page["eventsRead"], "paging" in page) == ([], 0, False)


def test_filter_based_draft_is_compared_with_an_event_based_revision() -> None:
    api = portal_of_events()
    api.world.put_flow(flow(WANTED), at=NOW + 1_000)
    changed = {"hs_name": "town", "hs_previous_value": "Town 0", "hs_value": "Town 1"}
    api.world.now = NOW + 2_000
    api.world.deliver(
        event({"crm.property_changed": "200", "id": "moved", "at": iso(NOW + 1_900), "properties": changed})
    )
    page = page_of(api, flow({"id": 9, "filters": [["town", "IS_EQUAL_TO", "Town 1"]]}), **FIRST_REVISION, details=True)
    by_event = {result["eventId"]: result for result in page["results"]}
    moved = by_event["moved"]
    assert (moved["code"], moved["compared"]) == ("ENROLLED", None)
    assert (moved["enrollmentCriteria"]["passed"], moved["enrollmentCriteriaBefore"]["passed"]) == (True, False)
    assert by_event["p03"]["compared"]["code"] == "ENROLLED"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"compareWith": {}}, "$.compareWith.revisionId"),
        ({"compareWith": "1"}, "$.compareWith"),
        ({"compareWith": {"revisionId": []}}, "$.compareWith.revisionId"),
        (
            {
                "compareWith": {"revisionId": "1"},
                "flow": {key: value for key, value in DRAFT.items() if key != "id"},
            },
            "$.flow.id",
        ),
        ({"occurredAfter": "soon"}, "$.occurredAfter"),
        ({"objectId": ""}, "$.objectId"),
        ({"details": "yes"}, "$.details"),
        ({"limit": 501}, "$.limit"),
        ({"details": True, "limit": 101}, "$.limit"),
    ],
)
def test_invalid_comparison_requests_are_rejected(body: dict[str, Any], path: str) -> None:
    answer = example_portal()("POST", PREVIEW, {"flow": DRAFT, **body})
    assert (answer.status, answer.faults[0][0]) == (400, path)


def test_all_faults_of_a_preview_are_reported_at_once() -> None:
    invalid = flow({"id": 9, "event": "forms.submitted", "where": [["hs_fom_id", "IS_KNOWN"]]})
    answer = example_portal()("POST", PREVIEW, {"flow": invalid, "compareWith": {}, "limit": 0, "details": 1})
    assert sorted(path for path, _ in answer.faults) == [
        "$.compareWith.revisionId",
        "$.details",
        "$.flow.enrollmentCriteria.eventFilterBranches[0].filters[0].property",
        "$.limit",
    ]
