"""Rules about the entry and the re-enrollment of filter-based flows."""

from collections.abc import Iterator

from enrollment.domain.criteria.criteria import RecordFilter
from enrollment.domain.describe import FAILS_WITHOUT_VALUE, describe_operation, is_negative
from enrollment.domain.flows.flow import Flow
from enrollment.domain.flows.flow_lint.criteria_parts import parts_of
from enrollment.domain.flows.flow_lint.flow_warning import FlowWarning


def entry_warnings(flow: Flow) -> Iterator[FlowWarning]:
    """Warnings about a filter-based flow. None for flows with event triggers."""
    if flow.entry is None:
        return
    path = "$.enrollmentCriteria.reEnrollmentTriggersFilterBranches"
    if flow.should_re_enroll and not flow.entry.re_enrollment:
        yield FlowWarning(
            path,
            "RE_ENROLLMENT_WITHOUT_TRIGGER",
            "shouldReEnroll is true and there is no re-enrollment trigger, so a record enters once",
            'Add a trigger, for example {"filterBranchType": "AND", "filters": [a filter on hs_name, and one on '
            "hs_value with IS_KNOWN]}",
        )
    if flow.entry.has_unused_triggers:
        found = "shouldReEnroll is false, so the re-enrollment triggers have no effect"
        yield FlowWarning(path, "UNUSED_RE_ENROLLMENT_TRIGGER", found, "Set shouldReEnroll to true, or remove them")
    if flow.object_type_id != "0-1":
        return
    for part in parts_of("$.enrollmentCriteria.listFilterBranch", flow.entry.criteria, flow.object_type_id):
        if not isinstance(part.criteria, RecordFilter) or part.object_type != "0-1":
            continue
        given = part.criteria.operation.given
        if is_negative(given["operator"]) and given.get("includeObjectsWithNoValueSet") is None:
            words = describe_operation(given).removesuffix(FAILS_WITHOUT_VALUE)
            yield FlowWarning(
                f"{part.path}.operation",
                "NEGATIVE_WITHOUT_VALUE",
                f"{part.criteria.property} {words} excludes contacts without a value, which HubSpot's contact flows "
                "include",
                "Set includeObjectsWithNoValueSet to true or false",
            )
