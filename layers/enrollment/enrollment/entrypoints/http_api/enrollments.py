"""Serve `/enrollment/v1/…/enrollments`: the enrollments of a record, of a flow, or one by its ID."""

from collections.abc import Sequence

from enrollment.domain.enrollment.enrollments import StoredEnrollment
from enrollment.domain.identifiers import RecordKey
from enrollment.entrypoints.http_api.endpoint import AFTER, FEWER, Endpoint, Example, Reply, Request, Services, page
from enrollment.entrypoints.http_api.problems import RouteNotFound
from enrollment.serialization.messages import write_stored
from enrollment.serialization.records import read_enrollments_query
from enrollment.serialization.requests import read_cursor, read_limit, read_object_type, write_cursor


def of_record(services: Services, request: Request) -> Reply:
    """List the enrollments of a record, newest first."""
    key = RecordKey(request.portal_id, read_object_type(request.path["objectType"]), request.path["objectId"])
    limit, before = _paging(request)
    return _page(services.enrollments.of_record(key, limit + 1, before), limit)


def of_record_in_body(services: Services, request: Request) -> Reply:
    """List the enrollments of a record whose ID is in the body, newest first."""
    object_id, limit, before = read_enrollments_query(request.body)
    key = RecordKey(request.portal_id, read_object_type(request.path["objectType"]), object_id)
    return _page(services.enrollments.of_record(key, limit + 1, before), limit)


def of_flow(services: Services, request: Request) -> Reply:
    """List the enrollments of a flow, newest first. The flow can be deleted."""
    limit, before = _paging(request)
    return _page(services.enrollments.of_flow(request.portal_id, request.path["flowId"], limit + 1, before), limit)


def get_enrollment(services: Services, request: Request) -> Reply:
    """Return an enrollment. Raises RouteNotFound."""
    enrollment_id = request.path["enrollmentId"]
    stored = services.enrollments.get(request.portal_id, enrollment_id)
    if stored is None:
        raise RouteNotFound(f"no enrollment {enrollment_id} in this portal")
    return Reply(200, write_stored(stored))


def _paging(request: Request) -> tuple[int, str | None]:
    return read_limit(request.query.get("limit"), 20), read_cursor(request.query.get("after"))


def _page(enrollments: Sequence[StoredEnrollment], limit: int) -> Reply:
    """Return the first ``limit`` enrollments. One more in the sequence means that there is a next page."""
    next_position = write_cursor(enrollments[limit - 1].enrollment.position) if len(enrollments) > limit else None
    return Reply(200, page([write_stored(stored) for stored in enrollments[:limit]], next_position))


ENDPOINTS = (
    Endpoint(
        "listEnrollmentsOfRecord",
        "GET",
        "/enrollment/v1/records/{objectType}/{objectId}/enrollments",
        "List the enrollments of a record, newest first",
        of_record,
        {200: "EnrollmentPage"},
        query=(FEWER, AFTER),
        example=Example(path={"objectType": "contacts", "objectId": "101"}, query={"limit": "10"}),
    ),
    Endpoint(
        "findEnrollmentsOfRecord",
        "POST",
        "/enrollment/v1/records/{objectType}/enrollments",
        "List the enrollments of a record that the body names, newest first",
        of_record_in_body,
        {200: "EnrollmentPage"},
        description="Use this for IDs that a path cannot contain: those with / ? # or %.",
        body="EnrollmentsQuery",
        example=Example(path={"objectType": "contacts"}, body={"objectId": "101", "limit": 10}),
    ),
    Endpoint(
        "listEnrollmentsOfFlow",
        "GET",
        "/enrollment/v1/flows/{flowId}/enrollments",
        "List the enrollments of a flow, newest first",
        of_flow,
        {200: "EnrollmentPage"},
        description="Deleted flows have their enrollments here too. A new enrollment is listed within a second.",
        query=(FEWER, AFTER),
        example=Example(path={"flowId": "1001"}),
    ),
    Endpoint(
        "readEnrollment",
        "GET",
        "/enrollment/v1/enrollments/{enrollmentId}",
        "Get an enrollment",
        get_enrollment,
        {200: "Enrollment"},
        example=Example(path={"enrollmentId": "01TEST00000000000000000001"}),
    ),
)
