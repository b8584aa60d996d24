"""Detection of flows whose enrollments trigger one another.

At run time such a loop ends with LOOP_STOPPED. The check warns the author when the flow is stored.
"""

from collections.abc import Iterable, Sequence

from enrollment.domain.enrollment.decisions import MAX_CHAIN
from enrollment.domain.flows.flow import Flow

ENROLLED = "workflows.enrolled"


def find_enrollment_loop(flow: Flow, others: Iterable[Flow]) -> Sequence[str] | None:
    """Return the flow IDs of a shortest loop through ``flow``, which is first and last. None if there is no loop.

    Loops that MAX_CHAIN stops before a record completes them are ignored. ``others``: flows of the same portal and
    object type. A flow leads to another if its ``workflows.enrolled`` event satisfies one of the
    other's trigger groups.
    """
    if not _is_triggered_by_flows(flow):
        return None
    unreached = {other.id: other for other in others if _is_triggered_by_flows(other)} | {flow.id: flow}
    paths: list[tuple[Flow, ...]] = [(flow,)]
    for path in paths:  # breadth-first: the list grows while it is read
        if len(path) > MAX_CHAIN + 1:
            return None
        for follower in [other for other in unreached.values() if _leads_to(path[-1], other)]:
            if follower.id == flow.id:
                return [other.id for other in (*path, flow)]
            del unreached[follower.id]
            paths.append((*path, follower))
    return None


def _is_triggered_by_flows(flow: Flow) -> bool:
    return flow.is_enabled and ENROLLED in flow.event_types


def _leads_to(flow: Flow, follower: Flow) -> bool:
    announced = {"hs_flow_id": flow.id, "hs_flow_name": flow.name}
    return any(group.event_type == ENROLLED and group.failure(announced) is None for group in follower.groups)
