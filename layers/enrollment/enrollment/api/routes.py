"""The table of operations: all that the API can be asked."""

from enrollment.api import catalogue, enrollments, events, explanation, flows, pages, records, replays, simulation
from enrollment.api.operations import Operation

OPERATIONS: tuple[Operation, ...] = (
    *flows.OPERATIONS,
    *records.OPERATIONS,
    *enrollments.OPERATIONS,
    *events.OPERATIONS,
    *simulation.OPERATIONS,
    *explanation.OPERATIONS,
    *replays.OPERATIONS,
    *catalogue.OPERATIONS,
    *pages.OPERATIONS,
)
