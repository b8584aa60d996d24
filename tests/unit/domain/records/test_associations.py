"""When a record was associated, and when it existed for a moment."""

import pytest

from enrollment.domain.events.moments import as_of, moment_of
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.associations import Association, AssociationType, associated
from enrollment.domain.records.record import Record

CONTACT, COMPANY = RecordKey("p1", "0-1", "101"), RecordKey("p1", "0-2", "7")
TO_COMPANY, PRIMARY = AssociationType("HUBSPOT_DEFINED", 279), AssociationType("HUBSPOT_DEFINED", 1)


@pytest.mark.parametrize(("instant", "is_held"), [(0, True), (10, True), (19, True), (20, False), (25, False)])
def test_association_is_held_from_an_instant_until_it_was_removed(instant: int, is_held: bool) -> None:
    added = associated(Association(CONTACT, COMPANY), [TO_COMPANY], 10, holds=True)
    removed = associated(added, [TO_COMPANY], 20, holds=False)

    assert added.held_from(instant)
    assert removed.held_from(instant) == is_held
    assert removed.held_from(instant, [TO_COMPANY]) == is_held
    assert not removed.held_from(instant, [PRIMARY])
    again = associated(removed, [TO_COMPANY], 30, holds=True)
    assert again.held_from(instant)


def test_association_without_types_is_never_held() -> None:
    assert not Association(CONTACT, COMPANY).held_from(0)


@pytest.mark.parametrize(
    ("created_at", "known_at", "is_to_second", "before", "after"),
    [
        (4_999, None, False, True, True),
        (5_000, None, False, False, True),
        (5_001, None, False, False, False),
        (5_500, 6_000, True, True, True),
        (5_500, 7_000, True, False, True),
        (5_500, None, True, False, True),
        (6_000, 5_000, True, False, False),
    ],
)
def test_record_exists_just_before_a_change_if_it_was_created_before(
    created_at: int, known_at: int | None, is_to_second: bool, before: bool, after: bool
) -> None:
    """A creation of the same millisecond is the same change. Within a second, the order of arrival decides."""
    record = Record(COMPANY, created_at, known_at=known_at)
    moment = moment_of(5_000, is_to_second=is_to_second, known_until=7_000, event_id="e")

    assert record.existed_at_moment(moment.just_before()) == before
    assert record.existed_at_moment(moment) == after
    assert record.existed_at_moment(as_of(created_at))
