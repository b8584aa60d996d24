"""`enroll`: the operator's command line. docs/command-line.md describes what all commands have in common."""

from typing import Annotated, ClassVar

import typer

from enroll.command_group import CommandGroup, RootGroup
from enroll.output import console


class EnrollCommands(RootGroup):
    """The commands of `enroll`. The sources are the modules, in the order of the help."""

    sources: ClassVar = {
        "flows": "enroll.commands.flows:app",
        "catalog": "enroll.commands.catalog:catalog",
        "send": "enroll.commands.send:send",
        "trigger": "enroll.commands.trigger:trigger",
        "event": "enroll.commands.event:event",
        "explain": "enroll.commands.explain:explain",
        "simulate": "enroll.commands.simulate:simulate",
        "tail": "enroll.commands.tail:tail",
        "queue": "enroll.commands.queue:app",
        "records": "enroll.commands.records:app",
        "portal": "enroll.commands.portal:app",
        "unprocessed": "enroll.commands.unprocessed:app",
        "replay": "enroll.commands.replay:replay",
        "invoke": "enroll.commands.invoke:invoke_command",
        "doctor": "enroll.commands.doctor:doctor",
        "adopt": "enroll.commands.adopt:adopt",
        "console": "enroll.commands.console:console_command",
        "env": "enroll.commands.env:env",
        "local": "enroll.commands.local:app",
    }
    summaries: ClassVar = {
        "flows": "Write flows, which say which events enroll which records.",
        "catalog": "List the events that can trigger a flow, and their properties.",
        "send": "Put events on the bus.",
        "trigger": "Make a valid event from the catalog and put it on the bus.",
        "event": "Show what became of an event.",
        "explain": "Show why a record was enrolled or not.",
        "simulate": "Show the decisions that an event or a manual enrollment would cause.",
        "tail": "Show events and decisions as they are made, with the reasons.",
        "queue": "Receive enrollments, and redrive or discard those that failed.",
        "records": "Show stored records and import records.",
        "portal": "Show and change the settings of a portal.",
        "unprocessed": "List, show, redrive and discard events that could not be processed.",
        "replay": "Deliver archived events again, for example to a new flow.",
        "invoke": "Run a function in the local Lambda runtime (`make run`) and print its decisions.",
        "doctor": "Check a deployed stack from end to end.",
        "adopt": "Create a stack from the tables that a deleted stack retained.",
        "console": "Open the web console of a deployed stack.",
        "env": "Print the shell's settings for the local run that is up.",
        "local": "Run the whole system on this machine, without an AWS account.",
    }


app = CommandGroup(cls=EnrollCommands, add_completion=True)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        from importlib.metadata import version

        console.print(f"enroll {version('enroll')}")
        raise typer.Exit


@app.callback()
def enroll(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Event enrollment triggers: write flows, send events, see who is enrolled."""
