"""`enroll invoke`"""

from pathlib import Path
from typing import Annotated, Any

import typer

from enroll.completion import complete_categories
from enroll.files import read_json
from enroll.local.invocation import InvocationError, invoke
from enroll.local.settings import LAMBDA_PORT, LAMBDA_PORT_VARIABLE, Settings
from enroll.output import FAILED, INVALID, NOT_REACHED, AsJson, console, fail, print_json, print_table, shown
from enroll.tables import Column, Lines
from enrollment.catalog import CATEGORIES


def invoke_command(
    category: Annotated[
        str, typer.Argument(help="The category of the function to run.", autocompletion=complete_categories)
    ],
    event: Annotated[Path, typer.Option("--event", "-e", help="The event, as EventBridge delivers it.")],
    lambda_port: Annotated[
        int, typer.Option(envvar=LAMBDA_PORT_VARIABLE, help="Port of the local Lambda service.", min=1, max=65535)
    ] = LAMBDA_PORT,
    as_json: AsJson = False,
) -> None:
    """Run a function in the local Lambda runtime (`make run`) and print its decisions."""
    if category not in CATEGORIES:
        fail(f"expected a category, one of {', '.join(CATEGORIES)}; got {category!r}", INVALID)
    envelope = read_json(event)
    if isinstance(envelope, dict) and "event" in envelope and "reason" in envelope:
        envelope = envelope["event"]  # a sample of events/invalid
    try:
        answer = invoke(category, envelope, Settings(lambda_port=lambda_port))
    except InvocationError as error:
        fail(str(error), NOT_REACHED)
    if as_json:
        print_json(answer.payload)
    elif not answer.failed:
        _print(answer.payload)
    if answer.failed:
        fail(f"the function failed: {shown(answer.payload, 600)}", FAILED)


def _print(payload: dict[str, Any]) -> None:
    if unprocessed := payload.get("unprocessed"):
        console.print(f"Event {payload['eventId']} is kept as an unprocessed event: {unprocessed['reason']}")
        console.print(unprocessed["message"])
        return
    if replay := payload.get("skipped"):
        console.print(f"Event {payload['eventId']} does not concern the replay {replay}.")
        return
    if not payload["decisions"]:
        console.print(f"Event {payload['eventId']}: no matching flow.")
        return
    print_table(
        ("flow", "decision", Column("because", is_message=True), Column("failing condition", is_message=True)),
        (
            (decision["flowId"], decision["code"], decision["because"], Lines(_failures(decision)))
            for decision in payload["decisions"]
        ),
        title=f"Event {payload['eventId']}",
    )


def _failures(decision: dict[str, Any]) -> list[str]:
    """Return a line for each failing condition, for example `hs_form_id IS_ANY_OF ["f-2"], got f-1`."""
    conditions = [*decision.get("groups", []), *([decision["filter"]] if "filter" in decision else [])]
    lines = []
    for condition in conditions:
        operands = {
            key: value
            for key, value in condition["operation"].items()
            if key not in ("operationType", "operator", "includeObjectsWithNoValueSet")
        }
        expected = " ".join(shown(value) for value in operands.values())
        operator = condition["operation"]["operator"]
        lines.append(f"{condition['property']} {operator} {expected}, got {shown(condition['found'])}")
    return lines
