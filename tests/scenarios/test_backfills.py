"""Backfills as data: the decisions of each run by code, and one enrollment a record."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from enrollment.domain.enrollment.runs import RunStatus
from tests.support.fakes import World
from tests.support.scenario import load, play

SCENARIOS = load(Path(__file__).parent / "backfill")


@pytest.mark.parametrize(("name", "scenario"), SCENARIOS, ids=[name for name, _ in SCENARIOS])
def test_backfill(name: str, scenario: Mapping[str, Any]) -> None:
    world = World()

    decisions = play(scenario, world)

    runs = list(world.runs.runs.values())
    assert [dict(world.backfills.progress(run).counts) for run in runs] == scenario["runs"]
    assert {run.status for run in runs} == {RunStatus.DONE}
    if "decisions" in scenario:
        assert decisions == [[str(part) for part in decision] for decision in scenario["decisions"]]
    enrolled = scenario.get("enrolled", len(decisions))
    places = Counter((message.record_key, message.flow_id, message.idempotency_key) for message in world.queue.messages)
    assert sum(places.values()) == len(places) == len(world.enrollments.items)
    assert len(places) == enrolled or "enrolled" not in scenario
    assert all(item.is_confirmed for item in world.enrollments.items.values())
