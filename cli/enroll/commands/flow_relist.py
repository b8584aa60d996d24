"""`enroll flows relist`"""

from typing import Annotated, Any

import typer

from enroll.api import ApiUrl, Portal, api_errors_reported, open_api
from enroll.decision_rendering import count_of
from enroll.output import FAILED, AsJson, console, fail, print_json, print_table
from enroll.stack import StackName

PATH = "/enrollment/v1/flows/relist"


def relist(
    portal: Portal,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list the outdated flows. Exit code 1 if there are any.")
    ] = False,
    api: ApiUrl = None,
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """After an upgrade: list the flows again that an earlier version stored, so that every event finds them.

    Flows keep their revision, and since when they are on. It is safe to repeat.
    """
    opened = open_api(api, portal, stack)
    query = {"dryRun": str(dry_run).lower()}
    flows: list[dict[str, Any]] = []
    with api_errors_reported():
        page = opened.call("POST", PATH, query=query)
        flows += page["results"]
        while "paging" in page:
            page = opened.call("POST", PATH, query=query | page["paging"]["next"])
            flows += page["results"]
    if as_json:
        print_json({"results": flows})
    elif flows:
        rows = [(flow["flowId"], flow["flowRevisionId"], flow["name"] or "") for flow in flows]
        print_table(("flow", "revision", "name"), rows)
    if dry_run and flows:
        fail(f"{count_of(len(flows), 'flow')} to be listed again. Run the command without --dry-run", FAILED)
    if not as_json:
        console.print(f"Listed again: {count_of(len(flows), 'flow')}." if flows else "All flows are listed as needed.")
