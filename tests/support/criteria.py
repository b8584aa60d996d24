"""A contact with companies, and criteria about them."""

from typing import Any

from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.associations import AssociationType, associated
from tests.support.fakes import World

ADA = RecordKey("p1", "0-1", "101")


TO_COMPANY = AssociationType("HUBSPOT_DEFINED", 279)


def with_company(*filters: Any) -> dict[str, Any]:
    return {
        "filterBranchType": "ASSOCIATION",
        "objectTypeId": "0-2",
        "associationCategory": "HUBSPOT_DEFINED",
        "associationTypeId": 279,
        "operator": "IN_LIST",
        "filterBranches": [],
        "filters": list(filters),
    }


def associate(made: World, company: str, at: int, *, holds: bool = True) -> None:
    there = made.associations.get(ADA, RecordKey("p1", "0-2", company))
    made.associations.save([associated(there, [TO_COMPANY], at, holds=holds)])
