"""`/enrollment/v1/…/enrollments`: who is enrolled."""

from collections.abc import Sequence

from enrollment.domain.enrollment.enrollments import StoredEnrollment
from enrollment.domain.identifiers import RecordKey
from enrollment.entrypoints.http_api.endpoint import AFTER, FEWER, Endpoint, Example, Reply, Request, Services, page
from enrollment.entrypoints.http_api.problems import RouteNotFound
from enrollment.serialization.messages import write_stored
from enrollment.serialization.records import read_enrollments_query
from enrollment.serialization.requests import read_cursor, read_limit, read_object_type, write_cursor


def of_record(services: Services, request: Request) -> Reply:
    key = RecordKey(request.portal_id, read_object_type(request.path["objectType"]), request.path["objectId"])
    limit, before = _paging(request)
    return _page(services.enrollments.of_record(key, limit + 1, before), limit)


def of_record_in_body(services: Services, request: Request) -> Reply:
    object_id, limit, before = read_enrollments_query(request.body)
    key = RecordKey(request.portal_id, read_object_type(request.path["objectType"]), object_id)
    return _page(services.enrollments.of_record(key, limit + 1, before), limit)


def of_flow(services: Services, request: Request) -> Reply:
    limit, before = _paging(request)
    return _page(services.enrollments.of_flow(request.portal_id, request.path["flowId"], limit + 1, before), limit)


def get_enrollment(services: Services, request: Request) -> Reply:
    enrollment_id = request.path["enrollmentId"]
    found = services.enrollments.get(request.portal_id, enrollment_id)
    if found is None:
        raise RouteNotFound(f"no enrollment {enrollment_id} in this portal")
    return Reply(200, write_stored(found))


def _paging(request: Request) -> tuple[int, str | None]:
    return read_limit(request.query.get("limit"), 20), read_cursor(request.query.get("after"))


def _page(found: Sequence[StoredEnrollment], limit: int) -> Reply:
    following = write_cursor(found[limit - 1].enrollment.position) if len(found) > limit else None
    return Reply(200, page([write_stored(one) for one in found[:limit]], following))


ENDPOINTS = (
    Endpoint(
        "listEnrollmentsOfRecord",
        "GET",
        "/enrollment/v1/records/{objectType}/{objectId}/enrollments",
        "The enrollments of a record, newest first",
        of_record,
        {200: "EnrollmentPage"},
        query=(FEWER, AFTER),
        example=Example(path={"objectType": "contacts", "objectId": "101"}, query={"limit": "10"}),
    ),
    Endpoint(
        "findEnrollmentsOfRecord",
        "POST",
        "/enrollment/v1/records/{objectType}/enrollments",
        "The enrollments of a record that the body names, newest first",
        of_record_in_body,
        {200: "EnrollmentPage"},
        description="For ids that cannot be in a path.",
        body="EnrollmentsQuery",
        example=Example(path={"objectType": "contacts"}, body={"objectId": "101", "limit": 10}),
    ),
    Endpoint(
        "listEnrollmentsOfFlow",
        "GET",
        "/enrollment/v1/flows/{flowId}/enrollments",
        "The enrollments of a flow, newest first",
        of_flow,
        {200: "EnrollmentPage"},
        description="Also of a flow that was deleted. Follows the enrollments within a second.",
        query=(FEWER, AFTER),
        example=Example(path={"flowId": "1001"}),
    ),
    Endpoint(
        "readEnrollment",
        "GET",
        "/enrollment/v1/enrollments/{enrollmentId}",
        "An enrollment",
        get_enrollment,
        {200: "Enrollment"},
        example=Example(path={"enrollmentId": "01TEST00000000000000000001"}),
    ),
)
