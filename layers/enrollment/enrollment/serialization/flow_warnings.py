"""Warnings about a valid flow that its author probably did not intend."""

from collections.abc import Iterable, Iterator, Sequence

from enrollment.catalog import EVENT_TYPES
from enrollment.catalog.record_properties import DEFAULT_PROPERTIES
from enrollment.domain.enrollment.loop_detection import find_enrollment_loop
from enrollment.domain.flows.flow import Flow
from enrollment.domain.flows.flow_lint import lint


def warnings(flow: Flow, others: Iterable[Flow] = ()) -> Sequence[str]:
    """Return warnings as sentences without a full stop. ``others``: the flows of the portal and the object type, for
    the detection of loops."""
    return [*(str(warning) for warning in lint(flow, EVENT_TYPES, DEFAULT_PROPERTIES)), *_loops(flow, others)]


def _loops(flow: Flow, others: Iterable[Flow]) -> Iterator[str]:
    loop = find_enrollment_loop(flow, others)
    if loop is not None:
        yield (
            f"it closes a loop of flows that enroll one another: {' > '.join(loop)}. "
            "A record goes round it once, and is then stopped (LOOP_STOPPED)"
        )
