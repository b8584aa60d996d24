"""The list of all operations of the API."""

from typing import Any

from enrollment.entrypoints.http_api import (
    activity,
    backfills,
    catalog,
    dry_runs,
    enrollments,
    event_values,
    events,
    explanation,
    flow_overview,
    flow_relisting,
    flows,
    manual_enrollment,
    pages,
    record_properties,
    records,
    replays,
    simulation,
    unprocessed,
)
from enrollment.entrypoints.http_api.endpoint import Endpoint


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI document of all operations."""
    # Imported at the first call, because the schemas are large and only two operations need them.
    from enrollment.entrypoints.http_api.openapi import openapi

    return openapi(ENDPOINTS)


ENDPOINTS: tuple[Endpoint, ...] = (
    *flows.ENDPOINTS,
    *dry_runs.ENDPOINTS,
    *flow_relisting.ENDPOINTS,
    *flow_overview.ENDPOINTS,
    *records.ENDPOINTS,
    *record_properties.ENDPOINTS,
    *enrollments.ENDPOINTS,
    *manual_enrollment.ENDPOINTS,
    *backfills.ENDPOINTS,
    *events.ENDPOINTS,
    *event_values.ENDPOINTS,
    *simulation.ENDPOINTS,
    *explanation.ENDPOINTS,
    *activity.ENDPOINTS,
    *unprocessed.ENDPOINTS,
    *replays.ENDPOINTS,
    *catalog.ENDPOINTS,
    *pages.operations(openapi_document),
)
