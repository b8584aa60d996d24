"""Serve `/enrollment/v1/flows/relist`: after an upgrade, list the flows again that an earlier version stored."""

from enrollment.domain.flows.flow import FlowRevision
from enrollment.entrypoints.http_api.endpoint import (
    AFTER,
    FEWER,
    Endpoint,
    Example,
    Query,
    Reply,
    Request,
    Scope,
    Services,
    page,
)
from enrollment.serialization.requests import read_cursor, read_flag, read_limit, write_cursor


def relist_flows(services: Services, request: Request) -> Reply:
    """List outdated flows again, or only return them."""
    limit = read_limit(request.query.get("limit"), 20)
    after = read_cursor(request.query.get("after")) or ""
    is_dry_run = read_flag(request.query.get("dryRun"), "dryRun")
    relist = services.authoring.outdated if is_dry_run else services.authoring.relist
    revisions, following = relist(request.portal_id, limit, after)
    next_position = None if following is None else write_cursor(following)
    return Reply(200, page([_write(revision) for revision in revisions], next_position))


def _write(revision: FlowRevision) -> dict[str, str | None]:
    name = revision.document.get("name")
    return {
        "flowId": revision.id,
        "flowRevisionId": str(revision.revision),
        "name": name if isinstance(name, str) else None,
    }


ENDPOINTS = (
    Endpoint(
        "relistFlows",
        "POST",
        "/enrollment/v1/flows/relist",
        "List the flows again that an earlier version stored",
        relist_flows,
        {200: "RelistedFlowPage"},
        scope=Scope.WRITE_FLOWS,
        description="Events find a flow in lists, which are written when the flow is saved. A new version can need "
        "other lists. Returns the flows that are on and in other lists than this version needs, and lists them again. "
        "A flow keeps its revision, and since when it is on. Without outdated flows, nothing is written. `limit` "
        "counts the flows that are checked, so a page can be empty and still have a next page.",
        query=(
            Query("dryRun", "true: only return the flows.", {"type": "boolean", "default": False}),
            FEWER,
            AFTER,
        ),
        example=Example(query={"dryRun": "true"}),
    ),
)
