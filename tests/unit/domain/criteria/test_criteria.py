"""The results of criteria for explanations, and the filter that makes them fail."""

from typing import Any

import pytest
from msgspec.structs import replace

from enrollment.domain.criteria.criteria import (
    AllOf,
    AnyOf,
    AssociatedWith,
    BranchResult,
    ConstantFilter,
    Criteria,
    FilterResult,
    ListFilter,
    Not,
    RecordFilter,
    first_failure,
)
from enrollment.domain.criteria.record_operators import record_operation
from enrollment.domain.criteria.transitions import Mentions, meaning
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.operators.filters import AssociatedFailure, Failure
from enrollment.domain.records.associations import AssociationType
from enrollment.domain.records.record import Record, TimestampedValue
from enrollment.domain.records.record_snapshot import AssociatedRecords, RecordSnapshot
from tests.support.scenario import property_filter


def filter_on(name: str, operator: str, *operand: Any) -> RecordFilter:
    return RecordFilter(name, record_operation(property_filter([name, operator, *operand])["operation"]))


KIND = AssociationType("HUBSPOT_DEFINED", 279)
GALWAY = filter_on("city", "IS_EQUAL_TO", "Galway")
CORK = filter_on("city", "IS_EQUAL_TO", "Cork")
IRELAND = filter_on("country", "IS_EQUAL_TO", "Ireland")
VALUES = {"city": TimestampedValue("Galway", 5), "country": TimestampedValue("Ireland", 5)}
COMPANY = RecordSnapshot(Record(RecordKey("p", "0-2", "7"), 0), 10)
RECORD = Record(RecordKey("p", "0-1", "101"), 0, VALUES, {"7": TimestampedValue(True, 5)})
SNAPSHOT = RecordSnapshot(RECORD, 10, associates={("0-2", KIND): AssociatedRecords((COMPANY,))})
ASSOCIATION = {
    "filterBranchType": "ASSOCIATION",
    "objectTypeId": "0-2",
    "associationCategory": "HUBSPOT_DEFINED",
    "associationTypeId": 279,
}
IN_LIST = {"filterType": "IN_LIST", "operator": "IN_LIST", "listId": "7"}


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        (GALWAY, FilterResult("city", GALWAY.operation.given, "Galway", True)),
        (ListFilter("7", True), FilterResult("list 7", IN_LIST, True, True)),
        (ListFilter("7", False), FilterResult("list 7", {**IN_LIST, "operator": "NOT_IN_LIST"}, True, False)),
        (
            ConstantFilter(False),
            FilterResult("constant", {"filterType": "CONSTANT", "shouldAccept": False}, None, False),
        ),
        (AssociatedWith("0-2", KIND, AllOf(())), FilterResult("associated 0-2", ASSOCIATION, 1, True)),
        (
            AssociatedWith("0-2", KIND, AllOf(()), is_in=False),
            FilterResult(
                "associated 0-2",
                {**ASSOCIATION, "operator": "NOT_IN_LIST"},
                1,
                False,
                associated=(AssociatedFailure("0-2/7", None),),
            ),
        ),
        (
            AssociatedWith("0-3", KIND, AllOf(())),
            FilterResult("associated 0-3", {**ASSOCIATION, "objectTypeId": "0-3"}, 0, False),
        ),
        (AllOf((CORK, IRELAND)), BranchResult("AND", (CORK.result(SNAPSHOT), IRELAND.result(SNAPSHOT)), False)),
        (AnyOf((CORK, IRELAND)), BranchResult("OR", (CORK.result(SNAPSHOT), IRELAND.result(SNAPSHOT)), True)),
        (Not(AllOf((CORK, IRELAND))), BranchResult("NOT_ALL", (CORK.result(SNAPSHOT), IRELAND.result(SNAPSHOT)), True)),
        (
            Not(AnyOf((CORK, IRELAND))),
            BranchResult("NOT_ANY", (CORK.result(SNAPSHOT), IRELAND.result(SNAPSHOT)), False),
        ),
    ],
)
def test_the_result_has_every_part(criteria: Criteria, expected: object) -> None:
    assert criteria.result(SNAPSHOT) == expected
    assert criteria.holds(SNAPSHOT) == criteria.result(SNAPSHOT).holds


def test_a_failing_association_names_the_failing_filter_of_the_first_three_records() -> None:
    companies = tuple(
        RecordSnapshot(Record(RecordKey("p", "0-2", number), 0, {"city": TimestampedValue(city, 5)}), 10)
        for number, city in (("1", "Galway"), ("2", "Sligo"), ("3", None), ("4", "Galway"))
    )
    snapshot = replace(SNAPSHOT, associates={("0-2", KIND): AssociatedRecords(companies)})
    failure = first_failure(AssociatedWith("0-2", KIND, AllOf((CORK,))).result(snapshot))
    assert failure is not None
    assert failure.associated == tuple(
        AssociatedFailure(f"0-2/{number}", Failure("city", CORK.operation.given, city))
        for number, city in (("1", "Galway"), ("2", "Sligo"), ("3", None))
    )


def test_an_association_that_no_record_may_meet_names_the_records_that_meet_it() -> None:
    companies = tuple(
        RecordSnapshot(Record(RecordKey("p", "0-2", number), 0, {"city": TimestampedValue(city, 5)}), 10)
        for number, city in (("1", "Galway"), ("2", "Cork"))
    )
    snapshot = replace(SNAPSHOT, associates={("0-2", KIND): AssociatedRecords(companies)})
    result = AssociatedWith("0-2", KIND, AllOf((CORK,)), is_in=False).result(snapshot)
    assert result.associated == (AssociatedFailure("0-2/2", None),)


def test_the_result_says_that_associated_records_are_left_out() -> None:
    snapshot = replace(SNAPSHOT, associates={("0-2", KIND): AssociatedRecords((COMPANY,), is_complete=False)})
    result = AssociatedWith("0-2", KIND, AllOf(())).result(snapshot)
    assert result.because == "only 1,000 associated records are evaluated, and there are more"


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        (GALWAY, None),
        (AllOf((IRELAND, CORK)), Failure("city", CORK.operation.given, "Galway")),
        (AnyOf((AllOf((IRELAND, CORK)), CORK)), Failure("city", CORK.operation.given, "Galway")),
        (
            Not(AnyOf((CORK, IRELAND))),
            Failure("country", IRELAND.operation.given, "Ireland", "in a NOT_ANY branch, none of the filters may hold"),
        ),
        (
            Not(AllOf((GALWAY, IRELAND))),
            Failure("city", GALWAY.operation.given, "Galway", "in a NOT_ALL branch, not all of the filters may hold"),
        ),
        (
            Not(AnyOf((CORK, AnyOf((AllOf((CORK,)), AllOf((IRELAND, GALWAY))))))),
            Failure("country", IRELAND.operation.given, "Ireland", "in a NOT_ANY branch, none of the filters may hold"),
        ),
        # A NOT_ANY branch in it holds by a filter that does not hold.
        (
            Not(AnyOf((Not(AnyOf((CORK,))),))),
            Failure("city", CORK.operation.given, "Galway", "in a NOT_ANY branch, none of the filters may hold"),
        ),
        (Not(AllOf(())), Failure("NOT_ALL", {"filterBranchType": "NOT_ALL"}, None)),
        (Not(AnyOf((AllOf(()),))), Failure("NOT_ANY", {"filterBranchType": "NOT_ANY"}, None)),
    ],
)
def test_the_first_filter_that_makes_criteria_fail_is_found(criteria: Criteria, expected: Failure | None) -> None:
    assert first_failure(criteria.result(SNAPSHOT)) == expected


MEANINGS: list[Criteria] = [
    GALWAY,
    Not(AllOf((GALWAY,))),
    AllOf((GALWAY, IRELAND)),
    AnyOf((GALWAY, IRELAND)),
    Not(AllOf((GALWAY, IRELAND))),
    Not(AnyOf((GALWAY, IRELAND))),
    ListFilter("7", True),
    ListFilter("7", False),
    ListFilter("8", True),
    AssociatedWith("0-2", KIND, AllOf((GALWAY,))),
    AssociatedWith("0-2", KIND, AllOf((CORK,))),
    AssociatedWith("0-3", KIND, AllOf((GALWAY,))),
    AssociatedWith("0-2", KIND, AllOf((GALWAY,)), is_in=False),
]


def test_different_criteria_have_different_meanings() -> None:
    assert len({meaning(criteria) for criteria in MEANINGS}) == len(MEANINGS)


@pytest.mark.parametrize(
    ("criteria", "same"),
    [
        (AllOf((GALWAY, IRELAND)), AllOf((IRELAND, GALWAY))),
        (AnyOf((AllOf((GALWAY,)),)), GALWAY),
        (ListFilter(" 7", True), ListFilter("7", True)),
        (Not(AllOf((GALWAY, IRELAND))), Not(AllOf((IRELAND, GALWAY)))),
    ],
)
def test_order_and_notation_do_not_change_the_meaning(criteria: Criteria, same: Criteria) -> None:
    assert meaning(criteria) == meaning(same)


def test_the_union_of_mentions_has_those_of_both() -> None:
    company, deal = ("0-2", KIND), ("0-3", KIND)
    one = Mentions(frozenset("a"), frozenset("1"), frozenset([company]), any_change=True)
    other = Mentions(frozenset("b"), frozenset("2"), frozenset([deal]))
    expected = Mentions(frozenset("ab"), frozenset("12"), frozenset([company, deal]), any_change=True)
    assert one.union(other) == other.union(one) == expected
    assert not other.union(other).any_change
