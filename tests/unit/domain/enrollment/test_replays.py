"""Names of requested replays."""

import pytest

from enrollment.domain.enrollment.replays import is_requested


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("enroll-1001.a_B-9", True),
        ("enroll-" + "x" * 57, True),
        ("enroll-" + "x" * 58, False),
        ("enroll-", False),
        ("another-1", False),
        ("enroll-a/b", False),
    ],
)
def test_a_requested_replay_is_recognized_by_its_name(name: str, expected: bool) -> None:
    assert is_requested(name) is expected
