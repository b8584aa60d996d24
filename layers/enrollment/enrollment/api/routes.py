"""The table of operations: all that the API can be asked."""

from enrollment.api import catalogue, enrollments, flows, pages, records, replays, simulation
from enrollment.api.operations import Operation

OPERATIONS: tuple[Operation, ...] = (
    *flows.OPERATIONS,
    *records.OPERATIONS,
    *enrollments.OPERATIONS,
    *simulation.OPERATIONS,
    *replays.OPERATIONS,
    *catalogue.OPERATIONS,
    *pages.OPERATIONS,
)
