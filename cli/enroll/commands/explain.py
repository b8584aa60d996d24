"""`enroll explain`"""

from typing import Annotated, Any

import typer

from enroll.api import ApiUrl, Portal, api_errors_reported, open_api
from enroll.decision_rendering import count_of, print_decisions
from enroll.flow_names import find_earlier_flow_id
from enroll.output import AsJson, console, print_json
from enroll.records import read_record
from enroll.stack import StackName

PATH = "/enrollment/v1/explain"
# The largest page of the API.
PAGE_EVENTS = 100


def explain(
    record: Annotated[str, typer.Option(help="Type and ID of the record, for example contact/101 or 0-1/101.")],
    portal: Portal,
    event: Annotated[str | None, typer.Option(help="Only the event with this ID.")] = None,
    last: Annotated[int, typer.Option(min=1, max=1000, help="Number of recent events to show.")] = 10,
    flow: Annotated[
        str | None,
        typer.Option(
            help="Only this flow, by its ID or name, and only events that can trigger it. Default: every flow that the "
            "event can trigger."
        ),
    ] = None,
    details: Annotated[bool, typer.Option("--details", help="Show every filter with the value of the record.")] = False,
    api: ApiUrl = None,
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """Show why a record was enrolled or not: its recent events and the decision of each flow."""
    type_id, object_id = read_record(record)
    query = {"objectType": type_id, "objectId": object_id}
    query |= {"limit": str(min(last, PAGE_EVENTS))} if event is None else {"eventId": event}
    results: list[dict[str, Any]] = []
    with api_errors_reported():
        opened = open_api(api, portal, stack)
        flow_id = None if flow is None else find_earlier_flow_id(opened, flow)
        query |= {} if flow_id is None else {"flowId": flow_id}
        page = opened.call("GET", PATH, query=query)
        results += page["results"]
        while "paging" in page and len(results) < (last if event is None else 1):
            page = opened.call("GET", PATH, query=query | page["paging"]["next"])
            results += page["results"]
    results = results[:last]
    if as_json:
        types = {"eventTypes": page["eventTypes"]} if "eventTypes" in page else {}
        print_json({"results": results, "since": page["since"], **types})
        return
    if not results:
        console.print(_nothing(record, flow_id, page))
        return
    explained = [(_event_cells(result["event"]), result["decisions"]) for result in results]
    is_single_decision = len(explained) == 1 and len(explained[0][1]) == 1
    print_decisions(explained, details=details or is_single_decision)
    summary = f"{count_of(len(results), 'event')} of {record}"
    console.print(f"{summary}; the history reaches back to {page['since']}.", style="dim")


def _nothing(record: str, flow_id: str | None, page: dict[str, Any]) -> str:
    """Say which events were looked for, and since when."""
    if "eventTypes" not in page:
        return f"No event of {record} since {page['since']}."
    return f"No such event of {record} since {page['since']}: flow {flow_id} is triggered by {_listed(page)}."


def _listed(page: dict[str, Any]) -> str:
    *types, last = page["eventTypes"] or ["no event"]
    return f"{', '.join(types)} or {last}" if types else str(last)


def _event_cells(event: dict[str, Any]) -> tuple[str, str, str]:
    return event["occurredAt"], event["eventType"], event["id"]
