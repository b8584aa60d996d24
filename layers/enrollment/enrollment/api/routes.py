"""The table of operations: all that the API can be asked."""

from enrollment.api import catalogue, enrollments, events, flows, pages, records, simulation
from enrollment.api.operations import Operation

OPERATIONS: tuple[Operation, ...] = (
    *flows.OPERATIONS,
    *records.OPERATIONS,
    *enrollments.OPERATIONS,
    *events.OPERATIONS,
    *simulation.OPERATIONS,
    *catalogue.OPERATIONS,
    *pages.OPERATIONS,
)
