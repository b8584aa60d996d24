"""The differences of two JSON documents, by path."""

from typing import Any

import pytest

from enroll.flow_differences import differences


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, [("$.a", "changed", 1, 2)]),
        ({"a": 1}, {"a": True}, [("$.a", "changed", 1, True)]),
        ({"a": None}, {}, [("$.a", "removed", None, None)]),
        ({}, {"a": None}, [("$.a", "added", None, None)]),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1]}}, [("$.a.b[1]", "removed", 2, None)]),
        ({"a": [1]}, {"a": [2, 3]}, [("$.a[0]", "changed", 1, 2), ("$.a[1]", "added", None, 3)]),
        ({"a": [1]}, {"a": {"b": 1}}, [("$.a", "changed", [1], {"b": 1})]),
        ({"a b": 1}, {"a b": 2}, [("$['a b']", "changed", 1, 2)]),
    ],
)
def test_differences_have_their_paths(before: Any, after: Any, expected: list[tuple[Any, ...]]) -> None:
    found = [
        tuple(difference[key] for key in ("path", "change", "before", "after"))
        for difference in differences(before, after)
    ]
    assert found == expected
