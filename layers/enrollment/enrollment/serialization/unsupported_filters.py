"""Filters and branches of HubSpot's flow JSON that are not evaluated, and spellings of operations that exports use."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

# Filter types whose data has no source here.
FILTERS_WITHOUT_SOURCE = frozenset(
    {
        *("INTEGRATION_EVENT", "SURVEY_MONKEY", "SURVEY_MONKEY_VALUE", "WEBINAR", "PRIVACY", "ADS_SEARCH", "ADS_TIME"),
        *("NUM_ASSOCIATIONS", "CAMPAIGN_INFLUENCED", "PROPERTY_ASSOCIATION"),
    }
)

# Branch types that HubSpot has and that are not read, with what to do.
UNREAD_BRANCHES: Mapping[str, str] = MappingProxyType(
    {
        "RESTRICTED": "HubSpot hides this filter from the user who exported the flow. Export it as a user who sees it",
        "PROPERTY_ASSOCIATION": "Write an ASSOCIATION branch instead",
    }
)

_TIME_BASED = frozenset({"ROLLING_DATE_RANGE", "ROLLING_PROPERTY_UPDATED", "CALENDAR_DATE"})
_TIME_POINTS = ("timePoint", "lowerBoundTimePoint", "upperBoundTimePoint")


def depends_on_now(operation: Mapping[str, Any]) -> bool:
    """Whether the result of an operation on a record can change while the record stays as it is."""
    if operation.get("operationType") in _TIME_BASED:
        return True
    if operation.get("operationType") not in ("TIME_POINT", "TIME_RANGED"):
        return False
    points = [operation.get(key) for key in _TIME_POINTS]
    is_indexed = any(isinstance(point, Mapping) and point.get("timeType") == "INDEXED" for point in points)
    return is_indexed or operation.get("propertyParser") == "ANNIVERSARY"


# Operation types and operators that exports use, with those of HubSpot's documentation.
OTHER_SPELLINGS: Mapping[tuple[str, str], tuple[str, str]] = MappingProxyType(
    {
        ("ALL_PROPERTY", "IS_NOT_KNOWN"): ("ALL_PROPERTY", "IS_UNKNOWN"),
        ("STRING", "IS_KNOWN"): ("ALL_PROPERTY", "IS_KNOWN"),
        ("STRING", "IS_UNKNOWN"): ("ALL_PROPERTY", "IS_UNKNOWN"),
    }
)


def with_known_spelling(raw_filter: Any) -> Any:
    """Return a filter in the spelling of HubSpot's documentation (``OTHER_SPELLINGS``)."""
    operation = raw_filter.get("operation") if isinstance(raw_filter, dict) else None
    if not isinstance(operation, dict):
        return raw_filter
    operation_type, operator = operation.get("operationType"), operation.get("operator")
    if not isinstance(operation_type, str) or not isinstance(operator, str):
        return raw_filter
    documented = OTHER_SPELLINGS.get((operation_type, operator))
    if documented is None:
        return raw_filter
    return {**raw_filter, "operation": {**operation, "operationType": documented[0], "operator": documented[1]}}
