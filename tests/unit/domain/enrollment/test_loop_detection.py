"""Detection of loops of flows that enroll one another, as a warning to the author and at run time."""

from collections.abc import Sequence
from typing import Any

import pytest

from enrollment.domain.enrollment.decisions import Code
from enrollment.domain.enrollment.loop_detection import find_enrollment_loop
from enrollment.domain.flows.flow import Flow, revised
from enrollment.serialization.flow_warnings import warnings
from enrollment.serialization.flows import read_flow
from tests.support.fakes import World
from tests.support.scenario import event, flow


def after(flow_id: int, *where: Any, **fields: Any) -> Flow:
    """A flow triggered by enrollments in flows."""
    document = flow({"id": flow_id, "event": "workflows.enrolled", "where": list(where), **fields})
    return read_flow(revised(None, "p1", str(flow_id), document, 0))


def of(*ids: int) -> list[Any]:
    return ["hs_flow_id", "IS_ANY_OF", [str(id_) for id_ in ids]]


def none_of(*ids: int) -> list[Any]:
    return ["hs_flow_id", "IS_NONE_OF", [str(id_) for id_ in ids]]


FORM = read_flow(revised(None, "p1", "9", flow({"id": 9, "event": "forms.submitted"}), 0))


@pytest.mark.parametrize(
    ("written", "others", "found"),
    [
        (after(1, of(2)), [after(2, of(1))], ["1", "2", "1"]),
        (after(1, of(1)), [], ["1", "1"]),
        # Unrefined: by an enrollment in any flow, its own too.
        (after(1), [], ["1", "1"]),
        (after(1, of(2)), [after(2)], ["1", "2", "1"]),
        (after(1, none_of(1)), [], None),
        (after(1, none_of(1)), [after(2, none_of(2))], ["1", "2", "1"]),
        (after(1, none_of(1, 2)), [after(2, of(1))], None),
        (after(1, none_of(1, 2)), [after(2, of(1)), after(3, of(2))], ["1", "2", "3", "1"]),
        (after(1, of(7, 3, 2)), [after(2, of(5, 1))], ["1", "2", "1"]),
        # As long as a chain may be; longer ones end before they close.
        (after(1, of(11)), [after(n, of(n - 1)) for n in range(2, 12)], [*map(str, range(1, 12)), "1"]),
        (after(1, of(12)), [after(n, of(n - 1)) for n in range(2, 13)], None),
        # The shortest of several.
        (after(1, of(3, 4)), [after(2, of(1)), after(3, of(2)), after(4, of(1, 3))], ["1", "4", "1"]),
        # All filters of a group must hold, and one group is enough.
        (after(1, of(2), ["hs_flow_name", "IS_EQUAL_TO", "Flow 2"]), [after(2, of(1))], ["1", "2", "1"]),
        (after(1, of(2), ["hs_flow_name", "IS_EQUAL_TO", "Another"]), [after(2, of(1))], None),
        # A loop that it does not stand in is not of its making.
        (after(1, of(2)), [after(2, of(3)), after(3, of(2))], None),
        (after(1, of(9)), [FORM], None),
        (FORM, [after(2, of(9)), after(3, of(2))], None),
        # A flow that is off closes no loop until it is turned on.
        (after(1, of(2), enabled=False), [after(2, of(1))], None),
        (after(1, of(2)), [after(2, of(1), enabled=False)], None),
        # The new version of the flow counts, not the stored one.
        (after(1, of(3)), [after(1, of(2)), after(2, of(1))], None),
    ],
)
def test_the_shortest_loop_through_a_flow(written: Flow, others: Sequence[Flow], found: list[str] | None) -> None:
    assert find_enrollment_loop(written, others) == found


def test_loop_lists_its_flows_in_order() -> None:
    (loop,) = warnings(after(1, of(2)), [after(2, of(1))])
    assert "1 > 2 > 1" in loop
    assert warnings(after(1, of(2))) == []


@pytest.mark.parametrize("length", [1, 3, 11])
def test_every_reported_loop_is_stopped(length: int) -> None:
    """Each flow of a loop enrolls the record once; the announcement that would begin a second round is stopped."""
    world = World()
    ids = list(range(1, length + 1))
    before = {id_: ids[number - 1] for number, id_ in enumerate(ids)}
    for id_ in ids:
        world.put_flow(flow({"id": id_, "event": "workflows.enrolled", "where": [of(before[id_])], "re_enroll": True}))
    begun = event({"workflows.enrolled": "101", "id": "e", "record": {}, "properties": {"hs_flow_id": str(ids[-1])}})
    enrolled, stopped = step(world, begun)
    while world.bus.announcements:
        announced = world.bus.announcements.pop()
        fields = {"id": announced.enrollment.id, "chain": list(announced.chain)}
        properties = {"hs_flow_id": announced.enrollment.flow_id}
        following, stopped = step(world, event({"workflows.enrolled": "101", **fields, "properties": properties}))
        enrolled += following

    assert enrolled == [str(id_) for id_ in ids]
    assert "1" in stopped
    loop = find_enrollment_loop(after(1, of(ids[-1])), [after(id_, of(before[id_])) for id_ in ids[1:]])
    assert loop == [*enrolled, "1"]


def step(world: World, envelope: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The flows that enroll by an event, and those that are stopped."""
    decided = world.deliver(envelope)
    enrolled = [decision.flow_id for decision in decided if decision.code == Code.ENROLLED]
    return enrolled, [decision.flow_id for decision in decided if decision.code == Code.LOOP_STOPPED]
