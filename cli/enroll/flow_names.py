"""Find the flow that an argument names: by its ID, or by its name."""

from typing import Any

from enroll.api import Api, ApiError, fits_in_path, path_segment
from enroll.output import INVALID, NOT_FOUND, fail
from enrollment.domain.similar_names import nearest

FLOWS = "/automation/v4/flows"
MAX_CANDIDATES = 10


def get_flow(opened: Api, flow_id: str) -> dict[str, Any]:
    """Return a stored flow by its ID. Raises ApiError.

    Older versions stored IDs that do not fit into a path. Such an ID is sent in a body.
    """
    if fits_in_path(flow_id):
        return opened.call("GET", f"{FLOWS}/{path_segment(flow_id)}")
    body = {"inputs": [{"flowId": flow_id, "type": "FLOW_ID"}]}
    results: list[dict[str, Any]] = opened.call("POST", f"{FLOWS}/batch/read", body)["results"]
    if not results:
        raise ApiError(404, {"message": f"there is no flow {flow_id} in this portal"})
    return results[0]


def get_flow_if_stored(opened: Api, flow_id: str) -> dict[str, Any] | None:
    """Return a stored flow by its ID. None: there is no such flow. Raises ApiError."""
    try:
        return get_flow(opened, flow_id)
    except ApiError as error:
        if error.status == 404:
            return None
        raise


def find_flow(opened: Api, text: str) -> dict[str, Any]:
    """Return the flow with this ID, or else the only flow with this name. Raises ApiError.

    Ends the command with INVALID if several flows have the name, and with NOT_FOUND if none has. The message lists the
    flows that could be meant.
    """
    flow = get_flow_if_stored(opened, text) if text else None
    return flow if flow is not None else get_flow(opened, _id_by_name(opened, text))


def find_earlier_flow_id(opened: Api, text: str) -> str:
    """Return the ID of a flow, like ``find_flow``, or the text if no flow has that ID or name. It can be the ID of a
    flow that was deleted."""
    return find_flow_id(opened, text) or text


def find_flow_id(opened: Api, text: str) -> str | None:
    """Return the ID of a flow, like ``find_flow``. None: no flow has that ID or name. Raises ApiError."""
    if text and get_flow_if_stored(opened, text) is not None:
        return text
    return _only_id(_named(list(opened.pages(FLOWS)), text), text)


def _id_by_name(opened: Api, text: str) -> str:
    summaries = list(opened.pages(FLOWS))
    flow_id = _only_id(_named(summaries, text), text)
    if flow_id is None:
        similar = _similar(summaries, text)
        head = f"there is no flow with the ID or the name {text!r} in portal {opened.portal}"
        fail([f"{head}. Similar flows:", *_listed(similar)] if similar else head, NOT_FOUND)
    return flow_id


def _only_id(matches: list[dict[str, Any]], text: str) -> str | None:
    """The ID of the only match. None: there is no match. Ends the command with INVALID if there are several."""
    if len(matches) > 1:
        head = f"expected the name of one flow, but {len(matches)} flows have the name {text!r}. Use one of the IDs:"
        fail([head, *_listed(matches)], INVALID)
    return str(matches[0]["id"]) if matches else None


def _named(summaries: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    folded = _folded(text)
    return [summary for summary in summaries if folded and _folded(summary.get("name")) == folded]


def _similar(summaries: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """The flows whose name contains the text, or else the flow whose name is nearest to it."""
    folded = _folded(text)
    containing = [summary for summary in summaries if folded and folded in _folded(summary.get("name"))]
    if containing:
        return containing
    near = nearest(folded, {_folded(summary.get("name")) for summary in summaries})
    return [summary for summary in summaries if near and _folded(summary.get("name")) == near]


def _listed(summaries: list[dict[str, Any]]) -> list[str]:
    lines = [f"  {summary['id']}  {summary.get('name') or ''}" for summary in summaries[:MAX_CANDIDATES]]
    more = len(summaries) - len(lines)
    return [*lines, f"  and {more} more"] if more else lines


def _folded(name: object) -> str:
    return str(name or "").strip().casefold()
