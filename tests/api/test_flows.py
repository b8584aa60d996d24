"""Flows over HTTP: every rule at once, no lost update, triggers replaced only when it is said."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from msgspec.structs import replace

from enrollment.application.ports import ConcurrentModification
from enrollment.catalog import EVENT_TYPES
from enrollment.domain.flows.flow import FlowRevision
from tests.support.api_document import conforms
from tests.support.portal import example_portal, token
from tests.support.scenario import event, flow

FLOWS = "/automation/v4/flows"


def group(**keys: Any) -> dict[str, Any]:
    whole = {
        "filterBranchType": "UNIFIED_EVENTS",
        "operator": "HAS_COMPLETED",
        "eventTypeId": "forms.submitted",
        "filterBranches": [],
        "filters": [],
    }
    return whole | keys


def where(name: str, kind: str, operator: str, **operands: Any) -> dict[str, Any]:
    operation = {"operationType": kind, "operator": operator, **operands}
    return {"filterType": "PROPERTY", "property": name, "operation": operation}


def event_based(*groups: dict[str, Any], **keys: Any) -> dict[str, Any]:
    criteria = {"type": "EVENT_BASED", "eventFilterBranches": list(groups), **keys}
    return {"type": "CONTACT_FLOW", "isEnabled": True, "enrollmentCriteria": criteria}


def test_all_errors_are_returned_at_once() -> None:
    document = event_based(
        group(filters=[where("hs_fom_id", "ENUMERATION", "IS_ANY_OF", values=["f-1"])]),
        group(eventTypeId="forms.submited"),
        group(operator="HAS_NOT_COMPLETED"),
        group(eventTypeId="crm.object_created", filters=[where("city", "STRING", "IS_EQUAL_TO", value="Cork")]),
        group(filterBranches=[group()]),
        group(filters=[where("hs_form_title", "NUMBER", "IS_EQUAL_TO", value=3)]),
        group(filters=[where("hs_form_title", "STRING", "HAS_EVER_CONTAINED", value="x")]),
        group(filters=[where("hs_form_id", "ENUMERATION", "IS_EQUAL_TO", values=["x"])]),
    ) | {"enrollmentSchedule": {"type": "DAILY"}, "isEnabled": "yes"}

    answer = example_portal()("POST", FLOWS, document)

    assert answer.status == 400
    assert answer.json["category"] == "VALIDATION_ERROR"
    at = "$.enrollmentCriteria.eventFilterBranches"
    assert sorted(answer.faults) == sorted(
        [
            ("$.isEnabled", "WRONG_TYPE"),
            ("$.enrollmentSchedule", "SCHEDULE_WITH_EVENTS"),
            (f"{at}[0].filters[0].property", "UNKNOWN_PROPERTY"),
            (f"{at}[1].eventTypeId", "UNKNOWN_EVENT"),
            (f"{at}[2].operator", "HAS_NOT_COMPLETED"),
            (f"{at}[3].filters", "NOT_REFINABLE"),
            (f"{at}[4].filterBranches", "NESTED_BRANCHES"),
            (f"{at}[5].filters[0].operation.operationType", "OPERATION_NOT_ALLOWED"),
            (f"{at}[6].filters[0].operation.operator", "HISTORY_ON_EVENT"),
            (f"{at}[7].filters[0].operation.operator", "UNKNOWN_OPERATOR"),
        ]
    )
    errors_by_path = {error["in"]: error for error in answer.json["errors"]}
    assert errors_by_path[f"{at}[0].filters[0].property"]["context"] == {"didYouMean": ["hs_form_id"]}
    assert errors_by_path[f"{at}[1].eventTypeId"]["context"] == {"didYouMean": ["forms.submitted"]}
    assert errors_by_path[f"{at}[7].filters[0].operation.operator"]["context"] == {"didYouMean": ["IS_ANY_OF"]}
    assert "event history" in errors_by_path[f"{at}[2].operator"]["message"]
    assert "refinementCriteria" in errors_by_path[f"{at}[3].filters"]["message"]


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        (event_based(), ("$.enrollmentCriteria", "NO_TRIGGER")),
        (
            event_based(
                refinementCriteria={
                    "filterBranchType": "AND",
                    "filters": [where("a", "BOOL", "IS_EQUAL_TO", value=True)],
                }
            ),
            ("$.enrollmentCriteria", "NO_TRIGGER"),
        ),
        (
            {"type": "CONTACT_FLOW", "enrollmentCriteria": {"type": "MANUAL", "refinementCriteria": {"x": 1}}},
            ("$.enrollmentCriteria.refinementCriteria", "CRITERIA_WITHOUT_TRIGGER"),
        ),
        (
            event_based(group(), listFilterBranch={"filterBranchType": "OR"}),
            ("$.enrollmentCriteria.listFilterBranch", "MIXED_TRIGGERS"),
        ),
        (
            {
                "type": "CONTACT_FLOW",
                "enrollmentCriteria": {
                    "type": "LIST_BASED",
                    "listFilterBranch": {
                        "filterBranchType": "AND",
                        "filters": [where("city", "ALL_PROPERTY", "IS_KNOWN")],
                    },
                    "eventFilterBranches": [group()],
                },
            },
            ("$.enrollmentCriteria.eventFilterBranches", "MIXED_TRIGGERS"),
        ),
        (
            event_based(group(filters=[where("hs_form_id", "ALL_PROPERTY", "IS_KNOWN")] * 251)),
            ("$", "TOO_MANY_FILTERS"),
        ),
        (
            {**event_based(group()), "type": "PLATFORM_FLOW", "objectTypeId": "0-2"},
            ("$.enrollmentCriteria.eventFilterBranches[0].eventTypeId", "EVENT_NOT_ALLOWED"),
        ),
        (
            {"type": "CONTACT_FLOW", "isEnabled": True, "enrollmentSchedule": {"type": "DAILY"}},
            ("$.enrollmentSchedule", "NOT_YET_SUPPORTED"),
        ),
        (
            {"type": "CONTACT_FLOW", "isEnabled": True, "enrollmentCriteria": {"type": "LIST_BASED"}},
            ("$.enrollmentCriteria.listFilterBranch", "NO_CRITERIA"),
        ),
    ],
)
def test_a_rule_of_flows(document: dict[str, Any], fault: tuple[str, str]) -> None:
    answer = example_portal()("POST", FLOWS, document)
    assert (answer.status, answer.faults) == (400, [fault])


def test_every_key_of_a_flow_is_preserved() -> None:
    api = example_portal()
    extra = {
        "actions": [{"actionId": "1", "é": [None, 1.5, {"": True}]}],
        "uuid": "u",
        "timeWindows": [{"day": "MONDAY"}],
    }
    created = api("POST", FLOWS, {**event_based(group()), **extra}).json
    again = api("GET", f"{FLOWS}/{created['id']}").json
    assert {key: again[key] for key in extra} == extra
    assert again["enrollmentCriteria"] == event_based(group())["enrollmentCriteria"]


def test_put_without_a_revision_creates_a_flow_with_the_id_of_its_path() -> None:
    api = example_portal()
    created = api("PUT", f"{FLOWS}/585051946", flow({"id": 1, "event": "forms.submitted"}))
    assert (created.status, created.json["id"], created.json["revisionId"]) == (201, "585051946", "1")
    again = api("PUT", f"{FLOWS}/585051946", flow({"id": 1, "event": "forms.submitted"}))
    assert (again.status, again.faults) == (400, [("$.revisionId", "REVISION_REQUIRED")])
    gone = api("PUT", f"{FLOWS}/77", {**flow({"id": 1, "event": "forms.submitted"}), "revisionId": "1"})
    assert gone.status == 404


def test_one_of_many_concurrent_flow_changes_wins() -> None:
    """Below the API, whose resolver serves one request at a time, as Lambda does."""
    api = example_portal()
    current = api("GET", f"{FLOWS}/1001").json

    def change(number: int) -> bool:
        try:
            api.world.authoring.put("p1", "1001", {**current, "name": f"by {number}"}, api.world.now, based_on="1")
        except ConcurrentModification:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(change, range(16))) == [False] * 15 + [True]
    assert api("GET", f"{FLOWS}/1001").json["revisionId"] == "2"
    assert api("PUT", f"{FLOWS}/1001", {**current, "name": "late"}).status == 409


def test_update_preserves_absent_keys() -> None:
    """HubSpot's own update has no objectTypeId."""
    api = example_portal()
    document = {**flow({"id": 1, "object": "company", "event": "crm.object_created"}), "flowType": "WORKFLOW"}
    created = api("POST", FLOWS, document).json
    update = {key: value for key, value in created.items() if key not in ("objectTypeId", "flowType", "dataSources")}
    changed = api("PUT", f"{FLOWS}/{created['id']}", {**update, "name": "New"})
    assert (changed.status, changed.json["objectTypeId"], changed.json["flowType"]) == (200, "0-2", "WORKFLOW")


def test_deleting_twice_is_idempotent() -> None:
    api = example_portal()
    assert [api("DELETE", f"{FLOWS}/1001").status for _ in range(2)] == [204, 404]
    assert [result["id"] for result in api("GET", FLOWS).json["results"]] == ["1002"]


# Kinds of enrollment ------------------------------------------------------------------------------------------------

FILTERS = {
    "type": "CONTACT_FLOW",
    "isEnabled": False,
    "enrollmentCriteria": {
        "type": "LIST_BASED",
        "shouldReEnroll": True,
        "listFilterBranch": {
            "filterBranchType": "OR",
            "filterBranches": [{"filterBranchType": "AND", "filters": [where("city", "ALL_PROPERTY", "IS_KNOWN")]}],
        },
        "unEnrollObjectsNotMeetingCriteria": False,
        "reEnrollmentTriggersFilterBranches": [{"filterBranchType": "AND"}],
    },
    "enrollmentSchedule": {"type": "WEEKLY", "daysOfWeek": ["MONDAY"]},
}


def test_filter_based_and_scheduled_flows_are_stored_unchanged() -> None:
    api = example_portal()
    created = api("POST", FLOWS, FILTERS).json
    assert {key: created[key] for key in FILTERS} == FILTERS
    refused = api("PUT", f"{FLOWS}/{created['id']}", {**created, "isEnabled": True})
    assert (refused.status, refused.faults) == (400, [("$.enrollmentSchedule", "NOT_YET_SUPPORTED")])


# HubSpot's format, but nothing that runs here.
CUSTOM_EVENT = {**group(), "eventTypeId": "6-12"}
REMOVES = {**event_based(CUSTOM_EVENT), "unEnrollmentSetting": {"type": "ALL"}}


def test_flow_that_cannot_run_is_stored_off_with_the_reasons_as_warnings() -> None:
    api = example_portal()
    refused = api("POST", FLOWS, {**REMOVES, "isEnabled": True})
    assert refused.faults == [
        ("$.enrollmentCriteria.eventFilterBranches[0].eventTypeId", "NOT_YET_SUPPORTED"),
        ("$.unEnrollmentSetting", "NOT_YET_SUPPORTED"),
    ]

    created = api("POST", FLOWS, {**REMOVES, "isEnabled": False})
    assert created.status == 201
    assert [text.partition(": ")[0] for text in created.json["warnings"]] == [
        "the flow cannot be turned on; $.enrollmentCriteria.eventFilterBranches[0].eventTypeId",
        "the flow cannot be turned on; $.unEnrollmentSetting",
    ]
    path = f"{FLOWS}/{created.json['id']}"
    assert api("GET", path).json["unEnrollmentSetting"] == {"type": "ALL"}
    assert api("PUT", path, {**api("GET", path).json, "name": "Renamed"}).status == 200
    assert api("PUT", path, {**api("GET", path).json, "isEnabled": True}).status == 400
    assert api("POST", f"/enrollment/v1/flows/{created.json['id']}/test", {"objectId": "101"}).status == 400


def test_flow_with_a_misspelled_event_is_refused_even_if_it_is_off() -> None:
    misspelled = event_based({**group(), "eventTypeId": "forms.submited"})
    assert example_portal()("POST", FLOWS, {**misspelled, "isEnabled": False}).status == 400


def test_flow_that_lost_its_triggers_by_a_part_that_cannot_run_enrolls_no_record() -> None:
    api = example_portal()
    flow = api("GET", f"{FLOWS}/1001").json
    off = api("PUT", f"{FLOWS}/1001", {**flow, **REMOVES, "isEnabled": False})
    assert off.status == 200
    candidates = api.world.flows.candidates("p1", "0-1", ["forms.submitted"])
    assert [candidate.id for candidate in candidates if candidate.is_enabled] == []


def test_a_flow_becomes_event_based_only_when_the_loss_is_confirmed() -> None:
    api = example_portal()
    api.world.put_record(key := next(iter(api.world.records.records)), api.world.records.records[key])
    created = api("POST", FLOWS, FILTERS).json
    path, change = f"{FLOWS}/{created['id']}", {**created, **event_based(group())}

    refused = api("PUT", path, change)
    assert refused.status == 409
    assert [where for where, _ in refused.faults] == [
        "$.enrollmentCriteria.listFilterBranch",
        "$.enrollmentCriteria.reEnrollmentTriggersFilterBranches",
        "$.enrollmentSchedule",
    ]
    assert api("GET", path).json == {key: value for key, value in created.items() if key != "warnings"}

    confirmed = api("PUT", path, change, query={"replaceTriggers": "true"})
    assert confirmed.status == 200
    assert "enrollmentSchedule" not in confirmed.json
    assert confirmed.json["enrollmentCriteria"] == event_based(group())["enrollmentCriteria"]
    assert api("PUT", path, change, query={"replaceTriggers": "perhaps"}).status == 400


def test_nothing_is_enrolled_retroactively() -> None:
    api = example_portal()
    created = api("POST", FLOWS, FILTERS).json
    before = api.world.now
    change = {**created, **event_based(group())}
    api("PUT", f"{FLOWS}/{created['id']}", change, query={"replaceTriggers": "true"})

    decisions = api.world.deliver(event({"forms.submitted": "104", "id": "late", "at": before, "sent": before}))
    assert {decision.flow_id: str(decision.code) for decision in decisions}[created["id"]] == "BEFORE_ACTIVATION"


# Test enrollment ----------------------------------------------------------------------------------------------------


def test_only_the_criteria_are_considered_with_the_result_of_every_filter() -> None:
    api = example_portal()
    any_of = [[["city", "IS_ANY_OF", ["Dublin"]], ["age", "IS_GREATER_THAN", 20]], [["vip", "IS_KNOWN"]]]
    api.world.put_flow(flow({"id": 5, "event": "calls.ended", "any": any_of}))

    answer = api("POST", "/enrollment/v1/flows/5/test", {"properties": {"city": "dublin", "age": "20"}}).json

    assert (answer["passed"], answer["objectId"]) == (False, None)
    criteria = answer["refinementCriteria"]
    assert (criteria["filterBranchType"], criteria["passed"]) == ("OR", False)
    first, second = criteria["filterBranches"]
    assert [(filter_["property"], filter_["found"], filter_["passed"]) for filter_ in first["filters"]] == [
        ("city", "dublin", True),
        ("age", "20", False),
    ]
    assert [(filter_["property"], filter_["found"], filter_["passed"]) for filter_ in second["filters"]] == [
        ("vip", None, False)
    ]
    assert api("POST", "/enrollment/v1/flows/5/test", {"properties": {"vip": "x"}}).json["passed"]


def test_a_stored_record_is_tested() -> None:
    api = example_portal()
    assert api("POST", "/enrollment/v1/flows/1001/test", {"objectId": 101}).json["passed"]
    assert api("POST", "/enrollment/v1/flows/1001/test", {"objectId": "999"}).status == 404
    assert api("POST", "/enrollment/v1/flows/9/test", {"objectId": "101"}).status == 404
    both = api("POST", "/enrollment/v1/flows/1001/test", {"objectId": "101", "properties": {}})
    assert (both.status, both.faults) == (400, [("$", "WRONG_TYPE")])
    api("PUT", f"{FLOWS}/7", FILTERS)
    cannot_run = api("POST", "/enrollment/v1/flows/7/test", {"objectId": "101"})
    assert (cannot_run.status, cannot_run.faults) == (400, [("$.enrollmentSchedule", "NOT_YET_SUPPORTED")])
    assert not api.world.bus.produced


DRAFT_TEST = "/enrollment/v1/flows/test"


@pytest.mark.parametrize(
    ("draft", "criteria", "passed"),
    [
        ({"event": "calls.ended", "criteria": [["city", "IS_ANY_OF", ["Dublin"]]]}, "refinementCriteria", True),
        ({"event": "calls.ended", "criteria": [["city", "IS_ANY_OF", ["Cork"]]]}, "refinementCriteria", False),
        ({"filters": [["city", "IS_EQUAL_TO", "Dublin"]]}, "enrollmentCriteria", True),
        ({"filters": [["city", "IS_EQUAL_TO", "Cork"]]}, "enrollmentCriteria", False),
        ({"manual": True}, None, True),
        ({"event": "calls.ended", "enabled": False}, None, True),
    ],
)
def test_a_record_is_tested_for_a_draft_of_each_type(draft: dict[str, Any], criteria: str | None, passed: bool) -> None:
    api = example_portal()
    document = flow({"id": 5, **draft})
    answer = api("POST", DRAFT_TEST, {"flow": document, "objectId": "101"})
    assert answer.status == 200, answer.text
    conforms(answer.json, "DraftTest")
    assert (answer.json["flowId"], answer.json["objectId"], answer.json["passed"]) == ("5", "101", passed)
    if criteria is not None:
        assert answer.json[criteria]["passed"] is passed
    stored = api("PUT", f"{FLOWS}/5", document | {"id": "5"})
    saved = api("POST", "/enrollment/v1/flows/5/test", {"objectId": "101"})
    assert stored.status == 201
    assert saved.json == {**answer.json, "flowRevisionId": "1"}


def test_a_draft_is_tested_on_properties_without_an_id_of_its_own() -> None:
    draft = {key: value for key, value in flow({"id": 5, "manual": True}).items() if key != "id"}
    suppressed = {**draft, "suppressionListIds": ["42"]}
    answer = example_portal()("POST", DRAFT_TEST, {"flow": suppressed, "properties": {"city": "Cork"}})
    assert (answer.status, answer.json["flowId"], answer.json["objectId"]) == (200, "draft", None)
    assert (answer.json["passed"], answer.json["suppression"]["passed"]) == (True, False)


def test_all_faults_of_a_draft_and_of_the_record_are_reported_at_once() -> None:
    draft = flow({"id": 5, "event": "forms.submitted", "where": [["hs_fom_id", "IS_KNOWN"]]})
    draft["enrollmentCriteria"]["shouldReEnroll"] = "no"
    answer = example_portal()("POST", DRAFT_TEST, {"flow": draft})
    assert answer.status == 400
    assert sorted(answer.faults) == [
        ("$", "WRONG_TYPE"),
        ("$.flow.enrollmentCriteria.eventFilterBranches[0].filters[0].property", "UNKNOWN_PROPERTY"),
        ("$.flow.enrollmentCriteria.shouldReEnroll", "WRONG_TYPE"),
    ]
    (suggested,) = (one["context"] for one in answer.json["errors"] if one["code"] == "UNKNOWN_PROPERTY")
    assert suggested == {"didYouMean": ["hs_form_id"]}
    assert example_portal()("POST", DRAFT_TEST, {"objectId": "101"}).faults[0][0] == "$.flow"
    assert (
        example_portal()("POST", DRAFT_TEST, {"flow": flow({"id": 5, "manual": True}), "objectId": "9"}).status == 404
    )


# Conflicts ----------------------------------------------------------------------------------------------------------


def test_conflict_names_the_current_revision_and_its_author() -> None:
    api = example_portal()
    base = api("GET", f"{FLOWS}/1001").json
    other = api("PUT", f"{FLOWS}/1001", {**base, "name": "Theirs"}, authorizer=token(sub="user-2"))
    assert other.status == 200
    conflict = api("PUT", f"{FLOWS}/1001", {**base, "actions": [{"actionId": "1"}]})
    assert (conflict.status, conflict.json["category"]) == (409, "CONFLICT")
    (fault,) = conflict.json["errors"]
    assert (fault["in"], fault["code"]) == ("$.revisionId", "NOT_CURRENT")
    assert fault["context"] == {
        "currentRevisionId": ["2"],
        "changedAt": [other.json["updatedAt"]],
        "changedBy": ["user-2"],
    }


def test_changes_of_two_authors_are_merged_by_their_revisions() -> None:
    api = example_portal()
    base = api("GET", f"{FLOWS}/1001").json
    api("PUT", f"{FLOWS}/1001", {**base, "name": "Theirs"})
    conflict = api("PUT", f"{FLOWS}/1001", {**base, "actions": [{"actionId": "1"}]})
    (current,) = conflict.json["errors"][0]["context"]["currentRevisionId"]
    theirs = api("GET", f"/enrollment/v1/flows/1001/revisions/{current}").json["flow"]
    merged = api("PUT", f"{FLOWS}/1001", {**theirs, "actions": [{"actionId": "1"}], "revisionId": current})
    assert (merged.status, merged.json["name"], merged.json["revisionId"]) == (200, "Theirs", "3")


def test_change_that_is_overtaken_while_it_is_stored_names_the_current_revision() -> None:
    api = example_portal()
    base = api("GET", f"{FLOWS}/1001").json
    save, written = api.world.flows.save, list[str]()

    def overtaken(revision: FlowRevision, current: FlowRevision | None) -> None:
        if not written:
            written.append("theirs")
            save(replace(revision, document={**revision.document, "name": "Theirs"}), current)
        save(revision, current)

    api.world.flows.save = overtaken  # type: ignore[method-assign]
    conflict = api("PUT", f"{FLOWS}/1001", {**base, "name": "Mine"})
    assert conflict.faults == [("$.revisionId", "NOT_CURRENT")]
    assert conflict.json["errors"][0]["context"]["currentRevisionId"] == ["2"]


# The catalog ------------------------------------------------------------------------------------------------------


def test_event_catalog_lists_what_a_flow_can_use() -> None:
    api = example_portal()
    everything = api("GET", "/enrollment/v1/events").json["results"]
    assert len(everything) == len(EVENT_TYPES)
    platform = api("GET", "/enrollment/v1/events", query={"flowType": "PLATFORM_FLOW"}).json["results"]
    assert {event_type["eventType"] for event_type in platform} == {
        "crm.association_changed", "crm.object_created", "crm.property_changed", "lists.membership_changed",
        "workflows.enrolled", "workflows.unenrolled",
    }  # fmt: skip
    submitted = api("GET", "/enrollment/v1/events/4-1639801").json
    form = next(property_ for property_ in submitted["properties"] if property_["name"] == "hs_form_id")
    operations = {operation["operationType"]: operation for operation in form["operations"]}
    assert operations["ENUMERATION"] == {
        "operationType": "ENUMERATION",
        "operators": ["IS_ANY_OF", "IS_NONE_OF"],
        "operands": ["values"],
    }
    assert api("GET", "/enrollment/v1/events/forms.submited").status == 404


@pytest.mark.parametrize(
    "event_type",
    example_portal()("GET", "/enrollment/v1/events").json["results"],
    ids=lambda event_type: event_type["eventType"],
)
def test_flows_may_use_every_operator_of_the_event_catalog(event_type: dict[str, Any]) -> None:
    """Each operator on each property, in a flow of each type that is offered."""
    operands = {
        "value": {"STRING": "x", "NUMBER": 1, "BOOL": True},
        "values": ["x"],
        "lowerBound": 1,
        "upperBound": 2,
        "timestamp": 1,
        "year": 2026,
        "month": "JAN",
        "day": 1,
    }
    if event_type["writtenIn"] == "listMembershipFilterBranches":
        return
    for flow_type in event_type["flowTypes"]:
        filters = [
            where(
                known["name"],
                kind["operationType"],
                operator,
                **{
                    key: operands[key][kind["operationType"]] if key == "value" else operands[key]
                    for key in kind["operands"]
                },
            )
            for known in event_type["properties"]
            for kind in known["operations"]
            for operator in kind["operators"]
        ]
        for start in range(0, max(1, len(filters)), 200):
            document = event_based(group(eventTypeId=event_type["eventType"], filters=filters[start : start + 200]))
            document |= {"type": flow_type, "objectTypeId": "0-1" if flow_type == "CONTACT_FLOW" else "0-2"}
            answer = example_portal()("POST", FLOWS, document)
            assert answer.status == 201, answer.text


@pytest.mark.parametrize(
    "operation",
    [
        {"operationType": "DATETIME", "operator": "IS_BEFORE_DATE", "timestamp": "9999-12-31T23:59:59-12:00"},
        {"operationType": "DATE", "operator": "EQUAL", "year": 10**20, "month": "JAN", "day": 1},
    ],
)
def test_times_beyond_the_calendar_are_rejected(operation: dict[str, Any]) -> None:
    criteria = {
        "filterBranchType": "AND",
        "filters": [{"filterType": "PROPERTY", "property": "d", "operation": operation}],
    }
    answer = example_portal()("POST", FLOWS, event_based(group(), refinementCriteria=criteria))
    assert [code for _, code in answer.faults] == ["INVALID_OPERAND"]


def test_a_value_beyond_the_calendar_fails_its_filter_and_no_event() -> None:
    api = example_portal()
    date = {"operationType": "DATE", "operator": "BEFORE", "year": 2030, "month": "JAN", "day": 1}
    criteria = {"filterBranchType": "AND", "filters": [{"filterType": "PROPERTY", "property": "d", "operation": date}]}
    document = event_based(group(eventTypeId="crm.property_changed"), refinementCriteria=criteria)
    flow_id = api("POST", FLOWS, document).json["id"]
    api("PATCH", "/crm/v3/objects/contacts/101", {"properties": {"d": "9999-12-31T23:59:59-12:00"}})
    decisions = {decision.flow_id: str(decision.code) for decision in api.world.deliver_produced()}
    assert decisions[flow_id] == "FILTERED_OUT"


def test_description_of_every_kind_of_flow_states_whether_records_re_enroll() -> None:
    document = {"type": "CONTACT_FLOW", "enrollmentCriteria": {"type": "MANUAL", "shouldReEnroll": 5}}
    assert example_portal()("POST", FLOWS, document).faults == [("$.enrollmentCriteria.shouldReEnroll", "WRONG_TYPE")]


def test_boolean_revision_is_rejected() -> None:
    answer = example_portal()("PUT", f"{FLOWS}/1001", {**event_based(group()), "revisionId": True})
    assert answer.faults == [("$.revisionId", "WRONG_TYPE")]


def test_a_flow_is_explained_and_nothing_is_stored() -> None:
    api = example_portal()
    found = api("POST", "/enrollment/v1/flows/check", event_based(group())).json
    assert found["explanation"][0].startswith("Enrolls a contact the first time")
    assert api("POST", "/enrollment/v1/flows/check", event_based()).faults == [("$.enrollmentCriteria", "NO_TRIGGER")]
    assert len(api("GET", FLOWS).json["results"]) == 2


def after(flow_id: int, before: int, **fields: Any) -> dict[str, Any]:
    where = [["hs_flow_id", "IS_ANY_OF", [str(before)]]]
    return flow({"id": flow_id, "event": "workflows.enrolled", "where": where, **fields})


def test_flow_that_closes_a_loop_is_stored_with_a_warning() -> None:
    call = example_portal()
    assert "warnings" not in call("PUT", f"{FLOWS}/1", after(1, before=2)).json

    checked = call("POST", "/enrollment/v1/flows/check", after(2, before=1))
    assert ["2 > 1 > 2" in warning for warning in checked.json["warnings"]] == [True]
    off = call("PUT", f"{FLOWS}/2", after(2, before=1, enabled=False))
    assert (off.status, "warnings" in off.json) == (201, False)
    on = call("PUT", f"{FLOWS}/2", {**off.json, "isEnabled": True})
    assert on.status == 200
    assert ["2 > 1 > 2" in warning for warning in on.json["warnings"]] == [True]

    stored = call("GET", f"{FLOWS}/2").json
    assert (stored["isEnabled"], "warnings" in stored) == (True, False)
    assert "warnings" not in call.world.authoring.get("p1", "2").document


def test_new_flow_that_triggers_itself_gives_a_warning() -> None:
    call = example_portal()
    created = call("POST", FLOWS, flow({"id": 1, "event": "workflows.enrolled"}))
    flow_id = created.json["id"]
    assert created.status == 201
    assert [f"{flow_id} > {flow_id}" in warning for warning in created.json["warnings"]] == [True]


def test_flows_of_other_portals_and_object_types_do_not_close_a_loop() -> None:
    call = example_portal()
    assert call("PUT", f"{FLOWS}/1", after(1, before=2, object="company")).status == 201
    assert call("PUT", f"{FLOWS}/1", after(1, before=2), headers={"x-portal-id": "p2"}).status == 201
    assert "warnings" not in call("PUT", f"{FLOWS}/2", after(2, before=1)).json


def test_outdated_flows_are_listed_again_in_pages() -> None:
    api = example_portal()
    for flow_id in (31, 32, 33):
        api.world.put_flow(flow({"id": flow_id, "event": "forms.submitted"}))
        api.world.flows.forget("p1", str(flow_id), "forms.submitted")
    api.world.put_flow(flow({"id": 34, "event": "forms.submitted", "enabled": False}))
    api.world.flows.forget("p1", "34", "forms.submitted")
    path = "/enrollment/v1/flows/relist"

    def pages(**query: str) -> list[str]:
        found: list[str] = []
        after: dict[str, str] = {}
        while True:
            answer = api("POST", path, query={"limit": "2", **query, **after})
            assert answer.status == 200, answer.text
            conforms(answer.json, "RelistedFlowPage")
            found += [one["flowId"] for one in answer.json["results"]]
            if "paging" not in answer.json:
                return found
            after = answer.json["paging"]["next"]

    assert pages(dryRun="true") == ["31", "32", "33"]
    assert pages() == ["31", "32", "33"]
    assert pages() == []
    assert api("POST", path, authorizer=token("enroll/read")).status == 403
