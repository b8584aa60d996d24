"""The comparison of the demonstration's results, and the template as the local run reads it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from enroll.local.demonstration import Demonstration, Enrollee, samples
from enroll.local.deployment import load_template
from enroll.local.settings import LocalRunError

ANN = Enrollee("1", "0-1", "101", "forms.submitted")
BOB = Enrollee("1", "0-1", "102", "forms.submitted")


def test_the_same_enrollments_are_no_difference() -> None:
    assert Demonstration([], [], Counter([ANN, ANN, BOB])).differences(Counter([BOB, ANN, ANN])) == []


def test_missing_and_unexpected_results_are_differences() -> None:
    assert Demonstration([], [], Counter([ANN])).differences(Counter([BOB, BOB])) == [
        "missing: record 0-1/101 in flow 1 by forms.submitted",
        "not expected: record 0-1/102 in flow 1 by forms.submitted (2 times)",
    ]


def test_samples_come_in_the_order_in_which_they_occurred_and_without_the_invalid_ones(tmp_path: Path) -> None:
    moments = {"forms/b": 1795428000000, "crm/a": "2026-11-23T09:59:59Z", "invalid/c": "never", "calls/d": None}
    for name, moment in moments.items():
        file = tmp_path / f"{name}.json"
        file.parent.mkdir()
        detail = {} if moment is None else {"occurredAt": moment}
        file.write_text(json.dumps({"id": name, "time": "2026-11-23T10:00:01Z", "detail": detail}))
    assert [event["id"] for event in samples(tmp_path)] == ["crm/a", "forms/b", "calls/d"]


def test_short_tags_are_read_in_their_long_form(tmp_path: Path) -> None:
    file = tmp_path / "template.yaml"
    file.write_text(
        "Resources:\n  A: {Type: X, P: !GetAtt B.Arn, Q: !Ref B, R: !Sub '${B}-a', S: !Join [',', [a, !Ref B]]}\n"
        "AWSTemplateFormatVersion: 2010-09-09\n"
    )
    template = load_template(file)
    assert template["AWSTemplateFormatVersion"] == "2010-09-09"
    assert template["Resources"]["A"] == {
        "Type": "X",
        "P": {"Fn::GetAtt": ["B", "Arn"]},
        "Q": {"Ref": "B"},
        "R": {"Fn::Sub": "${B}-a"},
        "S": {"Fn::Join": [",", ["a", {"Ref": "B"}]]},
    }


def test_a_template_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LocalRunError, match="There is no template at"):
        load_template(tmp_path / "template.yaml")
