"""The arithmetic of the limits, without the quotas."""

from dataclasses import replace

import pytest

from tests.benchmarks.counts import ENROLLS
from tests.benchmarks.limits import Scenario, Stream, reached, taken
from tests.benchmarks.round_counts import COUNTED, LOOKING


def test_limit_is_reached_when_events_take_all_available_units() -> None:
    assert taken(LOOKING, COUNTED)["version"] == 1
    assert reached(LOOKING, COUNTED)[0] == ("version", 3_000)


def test_limit_of_a_partition_counts_only_the_events_of_that_partition() -> None:
    tenth = Scenario("", [replace(LOOKING.streams[0], of_type=0.1)])
    assert taken(tenth, COUNTED)["version"] == pytest.approx(0.1)
    assert taken(tenth, COUNTED)["flows, reads"] == 1


def test_enrolling_event_takes_its_own_units_and_those_of_its_announcement() -> None:
    demanded = taken(Scenario("", [Stream("", 1.0, ENROLLS, "forms", of_flow=0.5)]), COUNTED)
    assert demanded["rules"] == 2
    assert demanded["PutEvents"] == pytest.approx(1.1)
    assert demanded["flows, reads"] == 2
    assert demanded["enrollments, writes"] == 5
    assert demanded["by-flow"] == 0.5
