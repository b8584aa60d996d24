"""`enroll event`"""

from typing import Annotated

import typer

from enroll.api import ApiUrl, Portal, api_errors_reported, open_api
from enroll.event_outcomes import exit_code, print_outcomes, read_outcome, unprocessed_events, with_unprocessed
from enroll.output import AsJson, Utc, print_json, times
from enroll.stack import StackName


def event(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="The ID of the event.")],
    portal: Portal,
    details: Annotated[bool, typer.Option("--details", help="Show every filter with the value of the record.")] = False,
    api: ApiUrl = None,
    stack: StackName = "enroll",
    utc: Utc = False,
    as_json: AsJson = False,
) -> None:
    """Show what became of an event.

    It is decided, waiting, unprocessed or unknown. The event is found by its ID in the history. If it is not there, the
    unprocessed-events queue is searched, and every message stays in it.

    Exit code 0: all decisions are final. 1: the event is unprocessed.
    4: it is unknown. 6: a decision is not final yet.
    """
    with api_errors_reported():
        found = read_outcome(open_api(api, portal, stack), event_id)
    outcomes = with_unprocessed([found], unprocessed_events(stack))
    if as_json:
        print_json(outcomes[0])
    else:
        print_outcomes(outcomes, times(utc), details=details)
    raise typer.Exit(exit_code(outcomes))
