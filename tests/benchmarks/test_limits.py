"""The arithmetic of the limits; not the quotas."""

from dataclasses import replace

import pytest

from tests.benchmarks.counts import ENROLLS
from tests.benchmarks.limits import Scenario, Stream, reached, taken
from tests.benchmarks.round_counts import COUNTED, LOOKING


def test_a_limit_is_met_when_what_events_take_is_what_there_is() -> None:
    assert taken(LOOKING, COUNTED)["version"] == 1
    assert reached(LOOKING, COUNTED)[0] == ("version", 3_000)


def test_only_what_shares_a_place_takes_of_its_limit() -> None:
    tenth = Scenario("", [replace(LOOKING.streams[0], of_type=0.1)])
    assert taken(tenth, COUNTED)["version"] == pytest.approx(0.1)
    assert taken(tenth, COUNTED)["flows, reads"] == 1


def test_an_enrollment_takes_its_own_and_its_announcement() -> None:
    demanded = taken(Scenario("", [Stream("", 1.0, ENROLLS, "forms", of_flow=0.5)]), COUNTED)
    assert demanded["rules"] == 2
    assert demanded["PutEvents"] == pytest.approx(1.1)
    assert demanded["flows, reads"] == 2
    assert demanded["enrollments, writes"] == 5
    assert demanded["by-flow"] == 0.5
