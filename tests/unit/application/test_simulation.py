"""A simulated event is decided as the real one would be, and leaves no trace."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from enrollment.application.simulation import simulated
from enrollment.domain.enrollment.decisions import Code, Decision
from enrollment.serialization.envelopes import read_event
from tests.support.fakes import World
from tests.support.scenario import load, play

SCENARIOS = load(Path(__file__).parents[2] / "scenarios")


def state(world: World) -> dict[str, Any]:
    """Copies: what they hold is not changed in place."""
    return {
        "records": dict(world.records.records),
        "enrollments": dict(world.enrollments.items),
        "waiting": dict(world.deferred_events.items),
        "scheduled": list(world.redeliveries.scheduled),
        "messages": list(world.queue.messages),
        "announcements": list(world.bus.announcements),
        "journal": list(world.decision_log.decisions),
    }


def shown(decisions: tuple[Decision, ...]) -> list[tuple[object, ...]]:
    """A simulation takes no place of a rate limit, so it does not know when a delayed enrollment is due."""
    return [
        (
            decision.flow_id,
            decision.code,
            decision.groups,
            decision.filter,
            None if decision.code is Code.ENROLLED else decision.due_at,
        )
        for decision in decisions
    ]


@pytest.mark.parametrize(("name", "scenario"), SCENARIOS, ids=[name for name, _ in SCENARIOS])
def test_simulation_decides_every_scenario_like_the_real_event(name: str, scenario: Mapping[str, Any]) -> None:
    world = World()
    deliver: Callable[[Mapping[str, Any]], tuple[Decision, ...]] = world.deliver

    def rehearsed(envelope: Mapping[str, Any]) -> tuple[Decision, ...]:
        event = read_event(dict(envelope), str(envelope["detail-type"]).partition(".")[0])
        before = state(world)
        expected = simulated(world.processor, event)
        assert state(world) == before
        decisions = deliver(envelope)
        assert shown(decisions) == shown(expected)
        return decisions

    world.deliver = rehearsed  # type: ignore[method-assign]
    play(scenario, world)
