"""The workload of the benchmarks has the properties that it claims."""

import statistics

import pytest

from enrollment.domain.flows.trigger_index import TriggerIndex
from tests.benchmarks.workload import MATCHES, Mix, Workload, workload


def matches(portal: Workload) -> list[int]:
    indexes = {event_type: TriggerIndex(event_type, flows) for event_type, flows in portal.flows.items()}
    return [len(indexes[event_type].matching(properties)) for event_type, properties in portal.events]


@pytest.mark.parametrize("mix", Mix)
def test_index_finds_the_same_flows_as_evaluating_each_flow(mix: Mix) -> None:
    portal = workload(mix, 300, events=100)
    indexes = {event_type: TriggerIndex(event_type, flows) for event_type, flows in portal.flows.items()}
    for event_type, properties in portal.events:
        expected = {
            flow.id: group
            for flow in portal.flows[event_type]
            for group in reversed(flow.groups)
            if group.event_type == event_type and group.failure(properties) is None
        }
        assert {
            satisfied.flow.id: satisfied.group for satisfied in indexes[event_type].matching(properties)
        } == expected


@pytest.mark.parametrize("size", [1_000, 5_000])
def test_selective_event_matches_about_the_same_number_of_flows_at_any_size(size: int) -> None:
    assert statistics.fmean(matches(workload(Mix.SELECTIVE, size, events=2_000))) == pytest.approx(MATCHES, rel=0.1)


def test_no_match_mix_matches_no_flow() -> None:
    assert not any(matches(workload(Mix.NO_MATCH, 1_000, events=1_000)))
