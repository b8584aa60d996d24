"""Loops of flows that enroll one another, as their author is told of them, and as they end."""

from collections.abc import Sequence
from typing import Any

import pytest

from enrollment.domain.flows import Flow, revised
from enrollment.domain.loops import loop
from enrollment.wire.flows import read_flow
from enrollment.wire.warnings import warnings
from tests.fakes import World
from tests.scenarios.scenario import event, flow


def after(flow_id: int, *where: Any, **given: Any) -> Flow:
    """A flow triggered by enrollments in flows."""
    document = flow({"id": flow_id, "event": "workflows.enrolled", "where": list(where), **given})
    return read_flow(revised(None, "p1", str(flow_id), document, 0))


def of(*ids: int) -> list[Any]:
    return ["hs_flow_id", "IS_ANY_OF", [str(one) for one in ids]]


def none_of(*ids: int) -> list[Any]:
    return ["hs_flow_id", "IS_NONE_OF", [str(one) for one in ids]]


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
        (after(1, of(12)), [after(n, of(n - 1)) for n in range(2, 13)], [*map(str, range(1, 13)), "1"]),
        # The shortest of several.
        (after(1, of(3, 4)), [after(2, of(1)), after(3, of(2)), after(4, of(1, 3))], ["1", "4", "1"]),
        # All filters of a group must hold, and one group is enough.
        (after(1, of(2), ["hs_flow_name", "IS_EQUAL_TO", "Flow 2"]), [after(2, of(1))], ["1", "2", "1"]),
        (after(1, of(2), ["hs_flow_name", "IS_EQUAL_TO", "Another"]), [after(2, of(1))], None),
        # A loop that it does not stand in is not of its making.
        (after(1, of(2)), [after(2, of(3)), after(3, of(2))], None),
        (after(1, of(9)), [FORM], None),
        (FORM, [after(2, of(9)), after(3, of(2))], None),
        # What is off closes nothing until it is turned on.
        (after(1, of(2), enabled=False), [after(2, of(1))], None),
        (after(1, of(2)), [after(2, of(1), enabled=False)], None),
        # The flow as it is written counts, not as it was.
        (after(1, of(3)), [after(1, of(2)), after(2, of(1))], None),
    ],
)
def test_the_shortest_loop_through_a_flow(written: Flow, others: Sequence[Flow], found: list[str] | None) -> None:
    assert loop(written, others) == found


def test_a_loop_is_told_in_order() -> None:
    (told,) = warnings(after(1, of(2)), [after(2, of(1))])
    assert "1 > 2 > 1" in told
    assert warnings(after(1, of(2))) == []


def test_what_is_told_is_what_is_stopped() -> None:
    """The flows of a loop enroll a record once each; the announcement that would close it is stopped."""
    world = World()
    for flow_id, before in ((1, 3), (2, 1), (3, 2)):
        world.put_flow(flow({"id": flow_id, "event": "workflows.enrolled", "where": [of(before)], "re_enroll": True}))
    world.put_flow(flow({"id": 9, "event": "workflows.enrolled", "where": [of(99)]}))
    start = event({"workflows.enrolled": "101", "id": "e", "record": {}, "properties": {"hs_flow_id": "1"}})
    codes = [(one.flow_id, str(one.code)) for one in world.deliver(start) if one.code != "NOT_MATCHED"]
    while world.bus.announcements:
        announced = world.bus.announcements.pop()
        envelope = event(
            {
                "workflows.enrolled": "101",
                "id": announced.enrollment.id,
                "properties": {"hs_flow_id": announced.enrollment.flow_id, "hs_flow_name": "x"},
                "chain": list(announced.chain),
            }
        )
        codes += [(one.flow_id, str(one.code)) for one in world.deliver(envelope) if one.flow_id not in ("9",)]
    assert [one for one in codes if one[1] == "ENROLLED"] == [("2", "ENROLLED"), ("3", "ENROLLED"), ("1", "ENROLLED")]
    assert ("2", "LOOP_STOPPED") in codes
