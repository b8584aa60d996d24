"""The rules of `flows check`: one table for each, with flows that it warns about and flows that it does not."""

import json
from pathlib import Path
from typing import Any

import pytest

from enrollment.catalog import EVENT_TYPES
from enrollment.catalog.record_properties import DEFAULT_PROPERTIES
from enrollment.domain.flows.flow import FlowRevision
from enrollment.domain.flows.flow_lint import FlowWarning, lint
from enrollment.serialization.flows import read_flow
from tests.support.scenario import flow, property_filter

DEMO = Path(__file__).parents[4] / "cli" / "enroll" / "demo" / "flows"
GROUP = "$.enrollmentCriteria.eventFilterBranches[0]"
CRITERIA = "$.enrollmentCriteria.refinementCriteria"


def lint_document(document: dict[str, Any]) -> list[FlowWarning]:
    return list(lint(read_flow(FlowRevision("p", "1", 1, document, True, 0, 0, 0)), EVENT_TYPES, DEFAULT_PROPERTIES))


def of_event(*where: list[Any], event: str = "website.page_visited") -> list[FlowWarning]:
    return lint_document(flow({"id": 1, "event": event, "where": list(where)}))


def of_record(*criteria: list[Any]) -> list[FlowWarning]:
    return lint_document(flow({"id": 1, "event": "forms.submitted", "criteria": list(criteria)}))


def with_criteria(branch: dict[str, Any]) -> dict[str, Any]:
    document = flow({"id": 1, "event": "forms.submitted"})
    document["enrollmentCriteria"]["refinementCriteria"] = branch
    return document


def on_record(kind: str, operator: str, **operands: Any) -> list[FlowWarning]:
    operation = {"operationType": kind, "operator": operator, **operands}
    filters = [{"filterType": "PROPERTY", "property": "closedate", "operation": operation}]
    return lint_document(with_criteria({"filterBranchType": "AND", "filters": filters}))


def codes(warnings: list[FlowWarning]) -> list[str]:
    return [warning.code for warning in warnings]


def test_the_demonstration_has_no_warnings() -> None:
    paths = sorted(DEMO.glob("*.json"))
    assert len(paths) > 20
    for path in paths:
        assert lint_document(json.loads(path.read_text(encoding="utf-8"))) == [], path


def test_operation_without_time_zone_conversion_gives_a_warning() -> None:
    for value, expected in ((False, ["TIME_ZONE_CONVERSION"]), (True, []), (None, [])):
        operands = {"timestamp": 1_764_000_000_000, "requiresTimeZoneConversion": value}
        assert codes(on_record("DATETIME", "IS_BEFORE", **operands)) == expected
    document = flow({"id": 1, "event": "forms.submitted", "where": [["hs_form_id", "IS_KNOWN"]]})
    filters = document["enrollmentCriteria"]["eventFilterBranches"][0]["filters"]
    filters[0]["operation"]["requiresTimeZoneConversion"] = False
    (warning,) = lint_document(document)
    assert warning.path == f"{GROUP}.filters[0].operation.requiresTimeZoneConversion"


URL = "https://www.acme.com/pricing?x=1"


@pytest.mark.parametrize(
    ("name", "operator", "operand", "code", "action"),
    [
        ("hs_url_path", "CONTAINS", URL, "SCHEME_IN_URL_PART", 'Write "/pricing"'),
        ("hs_url_path", "DOES_NOT_CONTAIN", "https://", "SCHEME_IN_URL_PART", "Write the path alone"),
        ("hs_url_path", "IS_EQUAL_TO", URL, "SCHEME_IN_URL_PART",
         'Write "/pricing", and filter the domain with hs_url_domain'),
        ("hs_url_path", "IS_ANY_OF", ["/a", URL], "SCHEME_IN_URL_PART",
         'Write "/pricing", and filter the domain with hs_url_domain'),
        ("hs_base_url", "STARTS_WITH", URL, "SCHEME_IN_URL_PART", 'Write "www.acme.com/pricing"'),
        ("hs_url_domain", "ENDS_WITH", URL, "SCHEME_IN_URL_PART", 'Write "acme.com"'),
        ("hs_url_domain", "IS_EQUAL_TO", "www.acme.com", "WWW_IN_DOMAIN", 'Write "acme.com"'),
        ("hs_url_domain", "IS_ANY_OF", ["WWW.acme.com"], "WWW_IN_DOMAIN", 'Write "acme.com"'),
        ("hs_url_domain", "ENDS_WITH", "www.acme.com", "WWW_IN_DOMAIN", 'Write "acme.com"'),
        ("hs_url_path", "IS_EQUAL_TO", "pricing", "PATH_WITHOUT_SLASH", 'Write "/pricing"'),
        ("hs_url_path", "STARTS_WITH", "pricing", "PATH_WITHOUT_SLASH", 'Write "/pricing"'),
        ("hs_url_path", "CONTAINS", "/pricing?x=1", "QUERY_IN_PATH",
         "Filter the query with hs_query_params, or the whole address with hs_url"),
    ],
)  # fmt: skip
def test_url_part_with_another_part_of_the_url_gives_a_warning(
    name: str, operator: str, operand: Any, code: str, action: str
) -> None:
    (warning,) = of_event([name, operator, operand])
    key = "values" if isinstance(operand, list) else "value"
    assert (warning.path, warning.code) == (f"{GROUP}.filters[0].operation.{key}", code)
    assert warning.action == action


@pytest.mark.parametrize(
    ("name", "operator", "operand"),
    [
        ("hs_url", "IS_EQUAL_TO", URL),
        ("hs_url", "CONTAINS", "https://"),
        ("hs_base_url", "IS_EQUAL_TO", "https://acme.com/pricing"),
        ("hs_base_url", "STARTS_WITH", "www.acme.com/"),
        ("hs_url_domain", "IS_EQUAL_TO", "acme.com"),
        ("hs_url_domain", "IS_EQUAL_TO", "https://acme.com/"),
        ("hs_url_domain", "CONTAINS", "acme"),
        ("hs_url_domain", "IS_KNOWN", None),
        ("hs_url_path", "IS_EQUAL_TO", "/pricing"),
        ("hs_url_path", "CONTAINS", "pricing"),
        ("hs_url_path", "ENDS_WITH", "pricing"),
        ("hs_page_title", "CONTAINS", "https://www."),
    ],
)
def test_url_part_alone_gives_no_warning(name: str, operator: str, operand: Any) -> None:
    assert of_event([name, operator, operand]) == []


@pytest.mark.parametrize(
    ("event", "where", "codes_found"),
    [
        ("crm.property_changed", [], ["ANY_PROPERTY_CHANGE"]),
        ("4-655002", [["hs_value", "IS_EQUAL_TO", "won"]], ["ANY_PROPERTY_CHANGE"]),
        ("crm.property_changed", [["hs_name", "IS_ANY_OF", ["dealstage"]]], []),
        ("crm.property_changed", [["hs_name", "IS_EQUAL_TO", "shoe_size"]], []),
        ("crm.property_changed", [["hs_name", "IS_ANY_OF", ["city", "lifecyclestge"]]], ["SIMILAR_PROPERTY"]),
        ("crm.property_changed", [["hs_name", "CONTAINS", "lifecyclestge"]], []),
        ("crm.object_created", [], []),
    ],
)
def test_property_change_names_its_property(event: str, where: list[list[Any]], codes_found: list[str]) -> None:
    assert codes(of_event(*where, event=event)) == codes_found


@pytest.mark.parametrize(
    ("operator", "operand", "kind", "found"),
    [
        ("IS_ANY_OF", ["linkedin", "LINKDIN", "TIKTOK"], "ENUMERATION",
         {"LINKDIN": "Write LINKEDIN if you mean it", "TIKTOK": "Write one of the options"}),
        ("IS_EQUAL_TO", "Facebook ", "STRING", {}),
        ("IS_NOT_EQUAL_TO", ["ADWRDS"], "MULTISTRING", {"ADWRDS": "Write ADWORDS if you mean it"}),
        ("CONTAINS", "LINK", "STRING", {}),
        ("IS_KNOWN", None, "ALL_PROPERTY", {}),
    ],
)  # fmt: skip
def test_option_that_a_closed_list_lacks_gives_a_warning(
    operator: str, operand: Any, kind: str, found: dict[str, str]
) -> None:
    warnings = of_event(["hs_ad_network", operator, operand, kind], event="ads.interaction")
    assert codes(warnings) == ["UNKNOWN_OPTION"] * len(found)
    for warning, (option, action) in zip(warnings, found.items(), strict=True):
        assert warning.found.startswith(f'"{option}" is no option of hs_ad_network (')
        assert warning.action == action
    assert of_event(["hs_interaction_type", "IS_ANY_OF", ["ANYTHING"]], event="ads.interaction") == []


@pytest.mark.parametrize(
    ("warnings", "count"),
    [
        (of_event(["hs_page_id", "IS_ANY_OF", ["1;2", "3"]]), 1),
        (of_record(["city", "CONTAINS_EXACTLY", ["Cork;Dublin"], "MULTISTRING"]), 1),
        (of_record(["city", "IS_ANY_OF", ["Cork", "Dublin"]]), 0),
        (of_record(["city", "IS_EQUAL_TO", "Cork;Dublin"]), 0),
        (of_record(["city", "CONTAINS", ["Cork;Dublin"], "MULTISTRING"]), 0),
    ],
)
def test_option_with_a_semicolon_gives_a_warning(warnings: list[FlowWarning], count: int) -> None:
    assert codes(warnings) == ["SEPARATOR_IN_OPTION"] * count


def test_property_name_near_to_a_default_property_gives_a_warning() -> None:
    company = {
        "filterBranchType": "ASSOCIATION",
        "objectTypeId": "0-2",
        "associationCategory": "HUBSPOT_DEFINED",
        "associationTypeId": 279,
        "filters": [property_filter(["numberofemployes", "IS_GREATER_THAN", 3])],
    }
    compared = {"operationType": "COMPARATIVE_DATE", "operator": "IS_AFTER", "comparisonPropertyName": "closdate"}
    filters = [
        property_filter(["lifecyclestge", "IS_KNOWN"]),
        property_filter(["city", "IS_KNOWN"]),
        property_filter(["shoe_size", "IS_KNOWN"]),
        {"filterType": "IN_LIST", "operator": "IN_LIST", "listId": "7"},
        {"filterType": "PROPERTY", "property": "createdate", "operation": compared},
    ]
    document = with_criteria(
        {
            "filterBranchType": "OR",
            "filterBranches": [
                {"filterBranchType": "AND", "filters": [property_filter(["city", "IS_KNOWN"])]},
                {"filterBranchType": "AND", "filters": filters, "filterBranches": [company]},
            ],
        }
    )
    branch = {"filterBranchType": "AND", "filters": [property_filter(["emial", "IS_KNOWN"])]}
    warnings = lint_document({**document, "suppressionListIds": [12], "suppressionFilterBranch": branch})
    assert set(codes(warnings)) == {"SIMILAR_PROPERTY"}
    assert [(warning.path, warning.action) for warning in warnings] == [
        (f"{CRITERIA}.filterBranches[1].filters[0].property", "Write lifecyclestage if you mean it"),
        (f"{CRITERIA}.filterBranches[1].filters[4].operation.comparisonPropertyName", "Write closedate if you mean it"),
        (f"{CRITERIA}.filterBranches[1].filterBranches[0].filters[0].property",
         "Write numberofemployees if you mean it"),
        ("$.suppressionFilterBranch.filters[0].property", "Write email if you mean it"),
    ]  # fmt: skip


def test_contradictory_refinements_give_a_warning() -> None:
    (warning,) = of_event(["hs_form_id", "IS_ANY_OF", ["f-1"]], ["hs_form_id", "IS_ANY_OF", ["f-2"]], event="4-1639801")
    assert warning == FlowWarning(
        f"{GROUP}.filters",
        "CONTRADICTION",
        'no forms.submitted has a value of hs_form_id that is "f-1" and is "f-2"',
        "Remove a filter, or put the filters into separate branches of an OR",
    )
    assert str(warning) == f"{GROUP}.filters: {warning.found}. {warning.action}"
    assert (
        of_event(["hs_form_id", "IS_ANY_OF", ["f-1"]], ["hs_form_title", "IS_EQUAL_TO", "f-2"], event="4-1639801") == []
    )


def test_filters_that_the_event_type_implies_count_but_have_no_path() -> None:
    soft = ["hs_bounce_type", "IS_ANY_OF", ["SOFT"]]
    assert codes(of_event(soft, event="4-666439")) == ["CONTRADICTION"]
    assert of_event(soft, event="email.bounced") == []
    batch = [["hs_email_type", "IS_ANY_OF", ["BATCH"]], ["hs_email_campaign_id", "IS_ANY_OF", ["7"]]]
    assert codes(of_event(*batch, event="email.opened")) == ["CONTRADICTION"]
    misspelt = [["hs_email_campaign_id", "IS_ANY_OF", ["7"]], ["hs_bounce_type", "IS_ANY_OF", ["HARDD"]]]
    paths = [warning.path for warning in of_event(*misspelt, event="4-666439")]
    assert paths == [f"{GROUP}.filters[1].operation.values", f"{GROUP}.filters"]


@pytest.mark.parametrize(
    ("where", "event", "codes_found"),
    [
        (["hs_meeting_source", "IS_ANY_OF", ["MANUAL"]], "meetings.booked", ["NEVER_ELIGIBLE"]),
        (["hs_meeting_source", "IS_ANY_OF", ["MANUAL", "MEETINGS_TOOL"]], "meetings.booked", []),
        (["hs_meeting_source", "IS_ANY_OF", ["MANUAL"]], "meetings.outcome_changed", []),
        (["hs_logged_manually", "IS_EQUAL_TO", "true", "BOOL"], "calls.ended", ["NEVER_ELIGIBLE"]),
        (["hs_logged_manually", "IS_EQUAL_TO", "false", "BOOL"], "calls.ended", []),
        (["hs_logged_manually", "IS_UNKNOWN"], "calls.ended", []),
    ],
)
def test_filter_on_events_that_are_never_eligible_gives_a_warning(
    where: list[Any], event: str, codes_found: list[str]
) -> None:
    assert codes(of_event(where, event=event)) == codes_found


@pytest.mark.parametrize(
    ("criteria", "is_contradictory"),
    [
        ([["city", "IS_EQUAL_TO", "Cork"], ["City ", "IS_EQUAL_TO", "Dublin"]], True),
        ([["city", "IS_UNKNOWN"], ["city", "IS_NOT_EQUAL_TO", "Dublin"]], True),
        ([["city", "IS_UNKNOWN"], ["city", "HAS_EVER_BEEN_EQUAL_TO", "Dublin"]], False),
        ([["city", "IS_EQUAL_TO", "Cork"], ["city", "HAS_EVER_BEEN_EQUAL_TO", "Dublin"]], False),
        ([["age", "IS_GREATER_THAN", 30], ["age", "IS_LESS_THAN", 20]], True),
        ([["age", "IS_GREATER_THAN", 20], ["age", "IS_LESS_THAN", 30]], False),
        ([["city", "IS_EQUAL_TO", "Cork"], ["state", "IS_EQUAL_TO", "Dublin"]], False),
    ],
)
def test_contradictory_criteria_give_a_warning(criteria: list[list[Any]], is_contradictory: bool) -> None:
    warnings = of_record(*criteria)
    assert codes(warnings) == ["CONTRADICTION"] * is_contradictory
    assert all(warning.path == f"{CRITERIA}.filters" for warning in warnings)


def test_alternatives_of_an_or_do_not_contradict_each_other() -> None:
    document = flow(
        {"id": 1, "event": "forms.submitted", "any": [[["city", "IS_EQUAL_TO", "a"]], [["city", "IS_EQUAL_TO", "b"]]]}
    )
    assert lint_document(document) == []


def test_property_that_needs_a_value_and_is_unknown_gives_a_warning() -> None:
    recently = {"operationType": "ROLLING_DATE_RANGE", "operator": "IS_LESS_THAN_X_DAYS_AGO", "numberOfDays": 3}
    for include_missing, count in ((False, 1), (True, 0)):
        operation = {**recently, "includeObjectsWithNoValueSet": include_missing}
        filters = [
            property_filter(["closedate", "IS_UNKNOWN"]),
            {"filterType": "PROPERTY", "property": "closedate", "operation": operation},
        ]
        warnings = lint_document(with_criteria({"filterBranchType": "AND", "filters": filters}))
        assert codes(warnings) == ["CONTRADICTION"] * count


@pytest.mark.parametrize(("other_id", "count"), [("VIP ", 1), ("8", 0)])
def test_member_and_not_member_of_one_list_gives_a_warning(other_id: str, count: int) -> None:
    filters = [
        {"filterType": "IN_LIST", "operator": "IN_LIST", "listId": "vip"},
        {"filterType": "IN_LIST", "operator": "NOT_IN_LIST", "listId": other_id},
    ]
    warnings = lint_document(with_criteria({"filterBranchType": "AND", "filters": filters}))
    assert codes(warnings) == ["CONTRADICTION"] * count


DAYS = "numberOfDays"


@pytest.mark.parametrize(
    ("kind", "operator", "days", "found"),
    [
        ("ROLLING_DATE_RANGE", "IS_LESS_THAN_X_DAYS_AGO", 0, "no date is less than 0 days ago"),
        ("ROLLING_DATE_RANGE", "IS_LESS_THAN_X_DAYS_FROM_NOW", 0, "no date is less than 0 days from now"),
        ("ROLLING_DATE_RANGE", "IS_MORE_THAN_X_DAYS_AGO", 0, None),
        ("ROLLING_DATE_RANGE", "IS_MORE_THAN_X_DAYS_FROM_NOW", 0, None),
        ("ROLLING_DATE_RANGE", "IS_LESS_THAN_X_DAYS_AGO", 1, None),
        ("ROLLING_PROPERTY_UPDATED", "UPDATED_IN_LAST_X_DAYS", 0,
         "a period of 0 days contains no update of closedate, so the filter never holds"),
        ("ROLLING_PROPERTY_UPDATED", "NOT_UPDATED_IN_LAST_X_DAYS", 0,
         "a period of 0 days contains no update of closedate, so the filter always holds"),
        ("ROLLING_PROPERTY_UPDATED", "UPDATED_IN_LAST_X_DAYS", 1, None),
    ],
)  # fmt: skip
def test_period_of_0_days_gives_a_warning(kind: str, operator: str, days: int, found: str | None) -> None:
    warnings = on_record(kind, operator, numberOfDays=days)
    assert [warning.found for warning in warnings] == ([] if found is None else [found])
    assert all(warning.path == f"{CRITERIA}.filters[0].operation.{DAYS}" for warning in warnings)


def fixed(day: int, **more: Any) -> dict[str, Any]:
    return {"timeType": "DATE", "year": 2026, "month": 11, "day": day, **more}


def indexed(reference: str, **offset: int) -> dict[str, Any]:
    return {"timeType": "INDEXED", "indexReference": {"referenceType": reference}, "offset": offset}


CHANGED = {"timeType": "PROPERTY_REFERENCED", "property": "createdate"}
INCLUSIVE = {"lowerBoundEndpointBehavior": "INCLUSIVE", "upperBoundEndpointBehavior": "INCLUSIVE"}


@pytest.mark.parametrize(
    ("lower", "upper", "more", "is_reversed"),
    [
        (fixed(23), fixed(22), {}, True),
        (fixed(22), fixed(23), {}, False),
        (fixed(23), fixed(23), {}, True),
        (fixed(23), fixed(23), INCLUSIVE, False),
        (fixed(23), fixed(22, zoneId="Pacific/Honolulu"), {}, False),
        (indexed("NOW"), indexed("NOW", days=-7), {}, True),
        (indexed("NOW", days=-7), indexed("NOW"), {}, False),
        (indexed("MONTH"), indexed("YEAR"), {}, True),
        (indexed("WEEK"), indexed("MONTH"), {}, False),
        (indexed("NOW"), fixed(1), {}, False),
        (CHANGED, CHANGED, {}, False),
    ],
)
def test_upper_bound_before_the_lower_bound_gives_a_warning(
    lower: dict[str, Any], upper: dict[str, Any], more: dict[str, Any], is_reversed: bool
) -> None:
    bounds = {"lowerBoundTimePoint": lower, "upperBoundTimePoint": upper, **more}
    for operator, holds in (("IS_BETWEEN", "never"), ("IS_NOT_BETWEEN", "always")):
        warnings = on_record("TIME_RANGED", operator, **bounds)
        assert codes(warnings) == ["NEVER_HOLDS"] * is_reversed
        for warning in warnings:
            assert warning.path == f"{CRITERIA}.filters[0].operation.upperBoundTimePoint"
            assert f"on closedate {holds} holds" in warning.found


# Filter-based flows ------------------------------------------------------------------------------------------------

TRIGGER = [["hs_name", "IS_ANY_OF", ["city"]], ["hs_value", "IS_KNOWN"]]


def test_re_enrollment_without_a_trigger_is_reported() -> None:
    fields = {"id": 1, "filters": [["city", "IS_KNOWN"]], "re_enroll": True}
    assert codes(lint_document(flow(fields))) == ["RE_ENROLLMENT_WITHOUT_TRIGGER"]
    assert lint_document(flow({**fields, "re_enroll_when": [TRIGGER]})) == []


def test_re_enrollment_trigger_of_a_flow_that_enrolls_once_is_reported() -> None:
    fields = {"id": 1, "filters": [["city", "IS_KNOWN"]], "re_enroll_when": [TRIGGER]}
    assert codes(lint_document(flow(fields))) == ["UNUSED_RE_ENROLLMENT_TRIGGER"]


def test_negative_operator_without_the_key_for_missing_values_is_reported_in_contact_flows() -> None:
    document = flow({"id": 1, "filters": [["city", "IS_NOT_EQUAL_TO", "Cork"]]})
    assert lint_document(document) == []
    (branch,) = document["enrollmentCriteria"]["listFilterBranch"]["filterBranches"]
    del branch["filters"][0]["operation"]["includeObjectsWithNoValueSet"]

    (warning,) = lint_document(document)

    assert warning.code == "NEGATIVE_WITHOUT_VALUE"
    assert warning.path == "$.enrollmentCriteria.listFilterBranch.filterBranches[0].filters[0].operation"
    assert lint_document({**document, "type": "PLATFORM_FLOW", "objectTypeId": "0-2"}) == []


def test_contradictory_enrollment_criteria_are_reported() -> None:
    filters = [["city", "IS_EQUAL_TO", "Cork"], ["city", "IS_EQUAL_TO", "Dublin"]]
    (warning,) = lint_document(flow({"id": 1, "filters": filters}))
    assert (warning.code, warning.path) == (
        "CONTRADICTION",
        "$.enrollmentCriteria.listFilterBranch.filterBranches[0].filters",
    )
