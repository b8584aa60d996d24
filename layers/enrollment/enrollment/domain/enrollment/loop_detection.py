"""Loops: flows whose enrollments trigger one another. They end with LOOP_STOPPED; their author is told beforehand."""

from collections.abc import Iterable, Sequence

from enrollment.domain.enrollment.decisions import MAX_CHAIN
from enrollment.domain.flows.flow import Flow

ENROLLED = "workflows.enrolled"


def find_enrollment_loop(flow: Flow, others: Iterable[Flow]) -> Sequence[str] | None:
    """The ids of the flows of a shortest loop through ``flow``, which is first and last; None: there is none that a
    record could go round, for a chain that is too long ends before.

    ``others`` are of the same portal and object type. A flow leads to another when its announcement satisfies a trigger
    group of that one, as it will when it is on the bus.
    """
    if not _is_triggered_by_flows(flow):
        return None
    unreached = {one.id: one for one in others if _is_triggered_by_flows(one)} | {flow.id: flow}
    paths: list[tuple[Flow, ...]] = [(flow,)]
    for path in paths:  # grows while it is read: the shortest paths come first
        if len(path) > MAX_CHAIN + 1:
            return None
        for follower in [one for one in unreached.values() if _leads_to(path[-1], one)]:
            if follower.id == flow.id:
                return [one.id for one in (*path, flow)]
            del unreached[follower.id]
            paths.append((*path, follower))
    return None


def _is_triggered_by_flows(flow: Flow) -> bool:
    return flow.is_enabled and ENROLLED in flow.event_types


def _leads_to(flow: Flow, follower: Flow) -> bool:
    announced = {"hs_flow_id": flow.id, "hs_flow_name": flow.name}
    return any(group.event_type == ENROLLED and group.failure(announced) is None for group in follower.groups)
