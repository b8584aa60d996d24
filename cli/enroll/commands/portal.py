"""`enroll portal …`"""

from typing import Annotated

import typer

from enroll.api import ApiUrl, Portal, api_errors_reported, open_api
from enroll.command_group import CommandGroup
from enroll.output import INVALID, AsJson, console, fail, print_json
from enroll.stack import StackName

app = CommandGroup("Show and change the settings of a portal.")


@app.callback()
def portal_commands() -> None:
    """Show and change the settings of a portal."""


@app.command()
def show(portal: Portal, api: ApiUrl = None, stack: StackName = "enroll", as_json: AsJson = False) -> None:
    """Show your identity and permissions in a portal, its settings, and the number of its flows."""
    opened = open_api(api, portal, stack)
    with api_errors_reported():
        settings = opened.call("GET", "/enrollment/v1/portal")
        flows = list(opened.pages("/automation/v4/flows")) if "enroll/read" in settings["scopes"] else []
    on = sum(flow["isEnabled"] for flow in flows)
    if as_json:
        print_json({**settings, "flows": {"on": on, "off": len(flows) - on}})
        return
    console.print(f"Portal   {settings['portalId']}")
    console.print(f"Caller   {settings['caller']}")
    console.print(f"Scopes   {', '.join(settings['scopes']) or 'none'}")
    console.print(f"Time     {settings['timeZone']}")
    console.print(f"Waits    {settings['criteriaTolerance']:g} minutes for data")
    console.print(f"         {settings['recordTolerance']:g} seconds for the record")
    console.print(f"Sources  {', '.join(settings['allowedSources']) or 'all'}")
    console.print(f"Flows    {on} on, {len(flows) - on} off")


@app.command("set")
def set_portal(
    portal: Portal,
    time_zone: Annotated[
        str | None, typer.Option(help="Time zone of dates in criteria, for example Europe/Dublin.")
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Minutes that flows without their own setting wait for data that arrives after its event."),
    ] = None,
    record_tolerance: Annotated[
        float | None,
        typer.Option(help="Seconds that flows without their own setting wait for a record that does not exist yet."),
    ] = None,
    allow_source: Annotated[
        list[str] | None,
        typer.Option(
            help="Accept events from this source of the bus. Repeatable. The list replaces the previous one. "
            "Events from other sources become unprocessed events."
        ),
    ] = None,
    allow_any_source: Annotated[
        bool, typer.Option("--allow-any-source", help="Accept events from every source. Removes the list.")
    ] = False,
    api: ApiUrl = None,
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """Change the settings that apply to all flows of a portal."""
    if allow_any_source and allow_source:
        fail("expected one of --allow-source and --allow-any-source; got both", INVALID)
    sources = [] if allow_any_source else allow_source or None
    options = {
        "timeZone": time_zone,
        "criteriaTolerance": tolerance,
        "recordTolerance": record_tolerance,
        "allowedSources": sources,
    }
    changes = {name: value for name, value in options.items() if value is not None}
    if not changes:
        fail(
            "expected an option that changes a setting: --time-zone, --tolerance, --record-tolerance, --allow-source "
            "or --allow-any-source",
            INVALID,
        )
    with api_errors_reported():
        settings = open_api(api, portal, stack).call("PATCH", "/enrollment/v1/portal", changes)
    if as_json:
        print_json(settings)
        return
    console.print(f"The time zone of portal {settings['portalId']} is {settings['timeZone']}.")
    console.print(f"Its flows wait {settings['criteriaTolerance']:g} minutes for data that arrives late.")
    console.print(f"They wait {settings['recordTolerance']:g} seconds for a record that does not exist yet.")
    allowed = (
        f"from {', '.join(settings['allowedSources'])} only" if settings["allowedSources"] else "from every source"
    )
    console.print(f"It accepts events {allowed}.")
