"""`enroll explain`"""

from typing import Annotated, Any

import typer

from enroll.api import Api, ApiUrl, Portal, api_errors_reported, open_api
from enroll.completion import complete_flows, complete_records
from enroll.decision_rendering import DecidedEvent, count_of, print_decisions
from enroll.event_outcomes import read_outcome
from enroll.flow_names import find_earlier_flow_id
from enroll.output import INVALID, NOT_FOUND, AsJson, Utc, errors, fail, print_json, print_note, times
from enroll.records import read_record
from enroll.stack import StackName
from enroll.tail import enrollment_line
from enroll.times import Times
from enrollment.domain.events.causes import REQUESTED

PATH = "/enrollment/v1/explain"
# The largest page of the API.
PAGE_EVENTS = 100


def explain(
    portal: Portal,
    record: Annotated[
        str | None,
        typer.Option(
            help="Type and ID of the record, for example contact/101 or 0-1/101. Not needed with --event.",
            autocompletion=complete_records,
        ),
    ] = None,
    event: Annotated[str | None, typer.Option(help="Only the event with this ID.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="Number of recent events to show.")] = 10,
    flow: Annotated[
        str | None,
        typer.Option(
            help="Only this flow, by its ID or name, and only events that can trigger it. Default: every flow that the "
            "event can trigger.",
            autocompletion=complete_flows,
        ),
    ] = None,
    details: Annotated[bool, typer.Option("--details", help="Show every filter with the value of the record.")] = False,
    api: ApiUrl = None,
    stack: StackName = "enroll",
    utc: Utc = False,
    as_json: AsJson = False,
) -> None:
    """Show why a record was enrolled or not: its recent events and the decision of each flow."""
    if record is None:
        record = _record_of(event, api, portal, stack)
    type_id, object_id = read_record(record)
    query = {"objectType": type_id, "objectId": object_id}
    query |= {"limit": str(min(limit, PAGE_EVENTS))} if event is None else {"eventId": event}
    results: list[dict[str, Any]] = []
    with api_errors_reported():
        opened = open_api(api, portal, stack)
        flow_id = None if flow is None else find_earlier_flow_id(opened, flow)
        query |= {} if flow_id is None else {"flowId": flow_id}
        page = opened.call("GET", PATH, query=query)
        results += page["results"]
        while "paging" in page and len(results) < (limit if event is None else 1):
            page = opened.call("GET", PATH, query=query | page["paging"]["next"])
            results += page["results"]
        requested = [] if flow_id is None or event else _requested(opened, (type_id, object_id), flow_id)
    results = results[:limit]
    if as_json:
        types = {"eventTypes": page["eventTypes"]} if "eventTypes" in page else {}
        entries = {} if flow_id is None or event else {"requestedEnrollments": requested}
        print_json({"results": results, "since": page["since"], **types, **entries})
        return
    for enrollment in requested:
        print_note(f"{enrollment_line(enrollment, times(utc))}. No event caused it.", style="")
    if not results:
        print_note(_nothing(record, flow_id, page, times(utc)))
        return
    events = [_decided(result["event"], result["decisions"], record) for result in results]
    is_single_decision = len(events) == 1 and len(events[0].decisions) == 1
    clock = times(utc)
    print_decisions(events, clock, details=details or is_single_decision)
    for warning in (warning for result in results for warning in result.get("warnings", [])):
        errors.print(f"Warning: {warning}", style="yellow")
    summary = f"{count_of(len(results), 'event')} of {record}"
    print_note(f"{summary}; the history reaches back to {clock.text(page['since'])}.")


def _requested(opened: Api, record: tuple[str, str], flow_id: str) -> list[dict[str, Any]]:
    """Return the latest enrollments of the record in the flow by hand or by a backfill. The history has no event of
    them. Raises ApiError."""
    type_id, object_id = record
    path = f"/enrollment/v1/records/{type_id}/enrollments"
    page = opened.call("POST", path, {"objectId": object_id, "limit": PAGE_EVENTS})
    return [
        enrollment
        for enrollment in page["results"]
        if enrollment["flowId"] == flow_id and enrollment["trigger"]["eventType"] in REQUESTED
    ]


def _record_of(event_id: str | None, api: str | None, portal: str, stack: str) -> str:
    """Return the record of an event, which is found by its ID alone."""
    if event_id is None:
        fail("expected --record or --event, for example --record contact/101; got neither", INVALID)
    with api_errors_reported():
        results = read_outcome(open_api(api, portal, stack), event_id)["results"]
    if not results:
        fail(f"no event {event_id} in the history. `enroll event` also searches the unprocessed events", NOT_FOUND)
    event = results[0]["event"]
    return f"{event['objectType'].lower()}/{event['objectId']}"


def _decided(event: dict[str, Any], decisions: list[dict[str, Any]], record: str) -> DecidedEvent:
    return DecidedEvent(event["id"], event["eventType"], decisions, event["occurredAt"], record)


def _nothing(record: str, flow_id: str | None, page: dict[str, Any], clock: Times) -> str:
    """Say which events were looked for, and since when."""
    if "eventTypes" not in page:
        return f"No event of {record} since {clock.text(page['since'])}."
    since = clock.text(page["since"])
    if not page["eventTypes"]:
        return (
            f"No event can trigger flow {flow_id}: records enter it by hand (`enroll flows enroll`). The decision on a "
            "request that enrolled no record is in the log: `enroll tail --event-type workflows.manual`."
        )
    return f"No such event of {record} since {since}: flow {flow_id} is triggered by {_listed(page)}."


def _listed(page: dict[str, Any]) -> str:
    *types, last = page["eventTypes"]
    return f"{', '.join(types)} or {last}" if types else str(last)
