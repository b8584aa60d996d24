"""The keys of HubSpot's flow JSON in triggers and criteria that are evaluated or can be ignored.

Any other key could change which records enroll, so it is rejected by name.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from enrollment.domain.criteria.record_operators import RECORD_OPERATION_TYPES
from enrollment.domain.similar_names import nearest
from enrollment.serialization.validation_errors import (
    ValidationError,
    expectation,
    expectation_of,
    format_value,
    hint,
)

# HubSpot's keys that are not evaluated yet, with their meaning.
NOT_YET: Mapping[str, str] = MappingProxyType(
    {
        "coalescingRefineBy": "it counts how often the event happened",
        "pruningRefineBy": "it limits when the event happened",
        "metadata": "it names a group of records that is no list",
        "unEnrollObjectsNotMeetingCriteria": "it removes records from the flow",
    }
)

# Keys of a whole flow that are not evaluated yet, with their meaning.
FLOW_NOT_YET: Mapping[str, str] = MappingProxyType(
    {
        "unEnrollmentSetting": "it removes records from other flows",
        "entryPolicy": "it limits how often a record may enter",
        "enrollMergedRecords": "it enrolls records that a merge changed",
        "historyHorizon": "it limits how far back events are searched",
    }
)

# HubSpot's filters and branches in criteria that are not evaluated yet, with their meaning.
CRITERIA_NOT_YET: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                *("UNIFIED_EVENTS", "EVENT", "FORM_SUBMISSION", "FORM_SUBMISSION_ON_PAGE", "PAGE_VIEW"),
                *("EMAIL_EVENT", "CTA", "EMAIL_SUBSCRIPTION", "COMMUNICATION_SUBSCRIPTION"),
            ),
            "it searches events that happened",
        ),
        "ASSOCIATION": "it searches associated records in a list",
    }
)

# The keys of a flow that are evaluated. All other keys are stored and returned.
FLOW = frozenset(
    {
        *("name", "type", "objectTypeId", "isEnabled", "enrollmentCriteria", "enrollmentSchedule"),
        *("suppressionListIds", "suppressionFilterBranch", "goalFilterBranch", "unEnrollmentSetting"),
        *("criteriaTolerance", "recordTolerance", "enrollmentRateLimit"),
        *FLOW_NOT_YET,
    }
)
# HubSpot's keys that are stored and returned, so that a similar spelling is no error.
_STORED = frozenset(
    {
        *("id", "revisionId", "flowType", "uuid", "description", "createdAt", "updatedAt", "crmObjectCreationStatus"),
        *("actions", "startActionId", "nextAvailableActionId", "timeWindows", "blockedDates", "customProperties"),
        *("dataSources", "canEnrollFromSalesforce", "eventAnchor"),
    }
)

_BRANCH = frozenset({"filterBranchType", "filterBranchOperator", "filters", "filterBranches"})

CRITERIA = frozenset(
    {
        *("type", "shouldReEnroll", "eventFilterBranches", "listMembershipFilterBranches", "refinementCriteria"),
        # Keys of other types of flow. ``flows.refuse_mixed`` reports them if they are not empty.
        *("listFilterBranch", "reEnrollmentTriggersFilterBranches"),
    }
)
EVENT_BRANCH = _BRANCH | {"operator", "eventTypeId"}
BRANCH = _BRANCH
ASSOCIATION_BRANCH = _BRANCH | {"operator", "objectTypeId", "associationCategory", "associationTypeId"}
# HubSpot's editor adds keys to a filter that do not change its meaning.
_FILTER = frozenset({"filterType", "frameworkFilterId", "filterInsightsId"})
PROPERTY_FILTER = _FILTER | {"property", "operation"}
LIST_FILTER = _FILTER | {"operator", "listId"}
CONSTANT_FILTER = _FILTER | {"shouldAccept", "source"}

# The operands of all operation types. An operand of another type than the operation's is ignored.
_OPERANDS = frozenset(key for kind in RECORD_OPERATION_TYPES.values() for key in (*kind.keys, *kind.optional_keys))
# Exports have keys without effect: another name of the operation's type, how the editor shows it, and whether it
# converts time zones.
OPERATION = _OPERANDS | {
    *("operationType", "operator", "includeObjectsWithNoValueSet"),
    *("type", "propertyType", "operatorName", "renderSpec", "requiresTimeZoneConversion"),
}
_TIME_OF_DAY = frozenset({"hour", "minute", "second", "millisecond"})
TIME_POINT = _TIME_OF_DAY | {
    *("timeType", "zoneId", "timezoneSource", "offset"),
    *("year", "month", "day", "indexReference", "property", "referenceType"),
}
INDEX_REFERENCE = _TIME_OF_DAY | {"referenceType", "dayOfWeek", "day", "month"}
_POINTS = ("timePoint", "lowerBoundTimePoint", "upperBoundTimePoint")


def unknown_keys(document: Mapping[str, Any], known: frozenset[str], path: str) -> Iterator[ValidationError]:
    """Yield a fault for each key that is not evaluated and has a value. Null and empty mean absent."""
    if document.keys() <= known:
        return
    for key, value in document.items():
        if key in known or value in (None, "", [], {}) or _means_nothing(key, value):
            continue
        at = f"{path}.{key}"
        if key in NOT_YET:
            yield not_yet_supported(at, key, NOT_YET[key])
            continue
        near = nearest(key, known)
        action = "" if near else "Remove it, because it would be ignored"
        message = expectation(f"only known keys ({', '.join(sorted(known))})", key, action) + hint(near)
        yield ValidationError(at, "UNKNOWN_KEY", message, near)


def unsupported_flow_keys(document: Mapping[str, Any]) -> Iterator[ValidationError]:
    """Yield a fault for each key of a flow that is not evaluated yet and has a value with an effect."""
    for key, meaning in FLOW_NOT_YET.items():
        value = document.get(key)
        if value not in (None, "", [], {}) and not _means_nothing(key, value):
            yield not_yet_supported(f"$.{key}", key, meaning)


def not_yet_supported(path: str, name: str, meaning: str) -> ValidationError:
    """Return the fault of a part of HubSpot's format that is not evaluated yet. ``meaning``: a clause, for example
    ``it counts how often the event happened``."""
    message = f"{name} is not supported yet ({meaning}). Remove it, because it would be ignored"
    return ValidationError(path, "NOT_YET_SUPPORTED", message)


def misspelled_keys(document: Mapping[str, Any], known: frozenset[str], path: str) -> Iterator[ValidationError]:
    """Yield a fault for each key that is nearly one of the known keys, for an object that may have other keys too."""
    for key, value in document.items():
        near = _meant(key, known) if value not in (None, "", [], {}) else None
        if near is not None:
            message = expectation_of(near, f"{format_value(key)}, which would be ignored") + hint(near)
            yield ValidationError(f"{path}.{key}", "UNKNOWN_KEY", message, near)


def misplaced_keys(document: Mapping[str, Any]) -> Iterator[ValidationError]:
    """Yield a fault for each key of a flow that is nearly one of its evaluated keys, or belongs into its enrollment
    criteria."""
    yield from misspelled_keys({key: document[key] for key in document if key not in _STORED}, FLOW, "$")
    for key in sorted((CRITERIA - {"type"}) & document.keys()):
        if document[key] not in (None, "", [], {}):
            message = expectation_of(f"{key} inside enrollmentCriteria", "it beside enrollmentCriteria", "Move it")
            yield ValidationError(f"$.{key}", "UNKNOWN_KEY", message, f"enrollmentCriteria.{key}")
    criteria = document.get("enrollmentCriteria")
    # In a flow of these types, every unknown key is a fault (``unknown_keys``).
    if isinstance(criteria, Mapping) and criteria.get("type") not in ("EVENT_BASED", "LIST_BASED", "MANUAL"):
        yield from misspelled_keys(criteria, CRITERIA, "$.enrollmentCriteria")


def _meant(key: str, known: frozenset[str]) -> str | None:
    """The known key that a key differs from in case, in separators, or in few letters. None: it is another key."""
    if key in known or key in NOT_YET:
        return None
    plain = {_plain(name): name for name in sorted(known)}
    near = _plain(key) if _plain(key) in plain else nearest(_plain(key), plain, cutoff=0.85)
    is_short = near is not None and len(near) < 5  # "types" is another word than "type"
    return None if near is None or (is_short and near != _plain(key)) else plain[near]


def _plain(key: str) -> str:
    return key.casefold().replace("_", "").replace("-", "")


def unknown_operation_keys(document: Mapping[str, Any], path: str) -> Iterator[ValidationError]:
    """As ``unknown_keys``, for an operation and its points in time."""
    yield from unknown_keys(document, OPERATION, path)
    for key in _POINTS:
        point = document.get(key)
        if isinstance(point, dict):
            yield from unknown_keys(point, TIME_POINT, f"{path}.{key}")
            reference = point.get("indexReference")
            if isinstance(reference, dict):
                yield from unknown_keys(reference, INDEX_REFERENCE, f"{path}.{key}.indexReference")


def _means_nothing(key: str, value: Any) -> bool:
    """Whether the value is the default, so that the key has no effect."""
    if key in ("unEnrollObjectsNotMeetingCriteria", "enrollMergedRecords"):
        return value is False
    if key == "unEnrollmentSetting":
        return isinstance(value, dict) and value.get("type") == "NONE"
    if key in ("coalescingRefineBy", "pruningRefineBy"):
        return isinstance(value, dict) and value.get("type") == "ALL_HISTORY"
    return False
