"""The form in which emails are compared, and which records have one."""

import pytest

from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.email import email_of, normalized_email
from enrollment.domain.records.record import NOT_CREATED, Record, TimestampedValue
from enrollment.domain.values import Value


@pytest.mark.parametrize(
    ("value", "email"),
    [
        ("ada@example.com", "ada@example.com"),
        (" Ada.Lovelace@EXAMPLE.com\n", "ada.lovelace@example.com"),
        ("ÅSE@example.com", "åse@example.com"),
        ("A\u030aSE@example.com", "åse@example.com"),
        ("@", "@"),
        ("ada", None),
        ("", None),
        (None, None),
        (7, None),
        (["ada@example.com"], None),
        ("x" * 242 + "@example.com", "x" * 242 + "@example.com"),
        ("x" * 243 + "@example.com", None),
        ("ß" * 242 + "@example.com", None),
        ("x" * 1_000_000 + "@", None),
    ],
)
def test_emails_are_compared_without_case_and_surrounding_spaces(value: Value, email: str | None) -> None:
    assert normalized_email(value) == email


@pytest.mark.parametrize(
    ("object_type", "created_at", "deleted_at", "name", "email"),
    [
        ("0-1", 5, None, "email", "ada@example.com"),
        ("0-1", 5, 4, "email", "ada@example.com"),
        ("0-1", 5, 5, "email", None),
        ("0-1", NOT_CREATED, None, "email", None),
        ("0-1", 5, None, "work_email", None),
        ("0-2", 5, None, "email", None),
    ],
)
def test_only_contacts_that_exist_have_an_email(
    object_type: str, created_at: int, deleted_at: int | None, name: str, email: str | None
) -> None:
    properties = {name: TimestampedValue("Ada@example.com", 5)}
    record = Record(RecordKey("p1", object_type, "101"), created_at, properties, deleted_at=deleted_at)
    assert email_of(record) == email
