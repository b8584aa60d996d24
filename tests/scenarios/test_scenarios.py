from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from enrollment.catalog import EVENT_TYPES
from enrollment.domain.enrollment.decisions import Code
from tests.support.fakes import World
from tests.support.scenario import load, play

SCENARIOS = load(Path(__file__).parent)
# Other than events, a manual enrollment is not explained or simulated.
MANUAL = load(Path(__file__).parent / "manual")


@pytest.mark.parametrize(("name", "scenario"), [*SCENARIOS, *MANUAL], ids=[name for name, _ in [*SCENARIOS, *MANUAL]])
def test_scenario(name: str, scenario: Mapping[str, Any]) -> None:
    world = World()

    decisions = play(scenario, world)

    assert decisions == [[str(part) for part in decision] for decision in scenario["decisions"]]
    assert [refusal.reason for refusal in world.decision_log.refusals] == scenario.get("refused", [])
    enrolled = [[event_id, flow_id] for event_id, flow_id, code in decisions if code == Code.ENROLLED]
    assert [[message.cause.event_id, message.flow_id] for message in world.queue.messages] == enrolled
    assert [announcement.enrollment for announcement in world.bus.announcements] == world.queue.messages
    assert all(item.is_confirmed for item in world.enrollments.items.values())
    assert len(world.enrollments.items) == len(enrolled)


@pytest.mark.parametrize(("name", "scenario"), SCENARIOS, ids=[name for name, _ in SCENARIOS])
def test_scenario_where_flows_are_counted(name: str, scenario: Mapping[str, Any]) -> None:
    """Use the mode for very many flows: flows without their own decision are counted with the same code."""
    world = World()
    world.processor = replace(world.processor, max_individual_decisions=0)

    named = Counter((event_id, code) for event_id, _, code in play(scenario, world))
    counted: Counter[tuple[str, str]] = Counter()
    for event, others in world.decision_log.others:
        counted.update({(event.id, str(code)): number for code, number in others.items()})

    assert named + counted == Counter((str(decision[0]), str(decision[2])) for decision in scenario["decisions"])


def test_every_row_of_the_catalog_enrolls_in_some_scenario() -> None:
    enrolling = {
        next(key for key in event if key in EVENT_TYPES)
        for _, scenario in SCENARIOS
        for event in scenario["events"]
        if any(decision[0] == event.get("id") and decision[2] == "ENROLLED" for decision in scenario["decisions"])
    }
    missing = [name for name in EVENT_TYPES if name not in enrolling]
    assert not missing, (
        f"tests/scenarios/catalog.yaml: expected a scenario in which {', '.join(missing)} enrolls a record; add an "
        "event with an `id`, and its decision [id, flow, ENROLLED]"
    )


def test_every_decision_that_can_be_taken_now_is_taken_in_some_scenario() -> None:
    codes = {decision[2] for _, scenario in SCENARIOS for decision in scenario["decisions"]}
    assert codes == set(Code) - {Code.GOAL_MET}
