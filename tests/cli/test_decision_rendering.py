"""Decisions for a person to read."""

from typing import Any

import pytest

from enroll.decision_rendering import print_preview
from enroll.times import Times


def decision(object_id: str, condition: str, **failed_filter: Any) -> dict[str, Any]:
    return {
        "code": "FILTERED_OUT",
        "because": "the record does not meet the refinement criteria",
        "objectTypeId": "0-1",
        "objectId": object_id,
        "occurredAt": "2026-11-28T10:00:00.000Z",
        "failedConditions": [condition],
        "filter": failed_filter,
    }


def test_a_preview_groups_failed_associations_without_the_names_of_associated_records(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = "associated 0-2 has at least one record that meets the filters, found 1 associated record"
    associated = [{"record": "0-2/7", "failure": None}]
    print_preview(
        [
            decision("101", f'{found}; 0-2/7: name is "Acme", found "Beta"', associated=associated),
            decision("102", f'{found}; 0-2/8: name is "Acme", found "Gamma"', associated=associated),
            decision("103", 'city is "a; b", found "c"'),
        ],
        0,
        Times(),
    )
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()[1:]]
    assert rows == [
        ["FILTERED_OUT", "2", "0-1/101, 0-1/102", found],
        ["FILTERED_OUT", "1", "0-1/103", 'city is "a; b", found "c"'],
    ]
