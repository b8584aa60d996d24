"""A contact with companies, and criteria about them."""

from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.associations import AssociationType, associated
from tests.support.fakes import World
from tests.support.scenario import with_company

__all__ = ["ADA", "TO_COMPANY", "associate", "with_company"]

ADA = RecordKey("p1", "0-1", "101")


TO_COMPANY = AssociationType("HUBSPOT_DEFINED", 279)


def associate(made: World, company: str, at: int, *, holds: bool = True) -> None:
    there = made.associations.get(ADA, RecordKey("p1", "0-2", company))
    made.associations.save([associated(there, [TO_COMPANY], at, holds=holds)])
