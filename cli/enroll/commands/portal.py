"""`enroll portal …`"""

from typing import Annotated

import typer

from enroll.api import ApiUrl, Portal, api_errors_reported, open_api
from enroll.output import INVALID, AsJson, console, fail, print_json
from enroll.stack import StackName

app = typer.Typer(help="Look at a portal.", no_args_is_help=True)


@app.callback()
def portal_commands() -> None:
    """Look at a portal."""


@app.command()
def show(portal: Portal, api: ApiUrl = None, stack: StackName = "enroll", as_json: AsJson = False) -> None:
    """Show your identity and permissions in a portal, its settings, and the number of its flows."""
    opened = open_api(api, portal, stack)
    with api_errors_reported():
        found = opened.call("GET", "/enrollment/v1/portal")
        flows = list(opened.pages("/automation/v4/flows")) if "enroll/read" in found["scopes"] else []
    on = sum(one["isEnabled"] for one in flows)
    if as_json:
        print_json({**found, "flows": {"on": on, "off": len(flows) - on}})
        return
    console.print(f"Portal   {found['portalId']}")
    console.print(f"Caller   {found['caller']}")
    console.print(f"Scopes   {', '.join(found['scopes']) or 'none'}")
    console.print(f"Time     {found['timeZone']}")
    console.print(f"Waits    {found['criteriaTolerance']:g} minutes for data")
    console.print(f"         {found['recordTolerance']:g} seconds for the record")
    console.print(f"Sources  {', '.join(found['allowedSources']) or 'all'}")
    console.print(f"Flows    {on} on, {len(flows) - on} off")


@app.command("set")
def set_portal(
    portal: Portal,
    time_zone: Annotated[
        str | None, typer.Option(help="Of the days, weeks and months of criteria, as Europe/Dublin.")
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Minutes that flows wait for data that comes after its event, if they don't say themselves."),
    ] = None,
    record_tolerance: Annotated[
        float | None,
        typer.Option(help="Seconds that flows without a setting of their own wait for a record that is not known yet."),
    ] = None,
    allow_source: Annotated[
        list[str] | None,
        typer.Option(
            help="Accept events from this source of the bus; give it once for each. The list replaces the one before; "
            "events from other sources then become unprocessed events."
        ),
    ] = None,
    allow_any_source: Annotated[
        bool, typer.Option("--allow-any-source", help="Accept events from every source, as without a list.")
    ] = False,
    api: ApiUrl = None,
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """Change the settings that apply to all flows of a portal."""
    if allow_any_source and allow_source:
        fail("expected one of --allow-source and --allow-any-source, found both", INVALID)
    sources = [] if allow_any_source else allow_source or None
    given = {
        "timeZone": time_zone,
        "criteriaTolerance": tolerance,
        "recordTolerance": record_tolerance,
        "allowedSources": sources,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        fail(
            "nothing to set: name --time-zone, --tolerance, --record-tolerance, --allow-source or --allow-any-source",
            INVALID,
        )
    with api_errors_reported():
        found = open_api(api, portal, stack).call("PATCH", "/enrollment/v1/portal", changes)
    if as_json:
        print_json(found)
        return
    console.print(f"The time zone of portal {found['portalId']} is {found['timeZone']}.")
    console.print(f"Its flows wait {found['criteriaTolerance']:g} minutes for data that comes late.")
    console.print(f"They wait {found['recordTolerance']:g} seconds for a record that is not known yet.")
    allowed = f"from {', '.join(found['allowedSources'])} only" if found["allowedSources"] else "from every source"
    console.print(f"It accepts events {allowed}.")
