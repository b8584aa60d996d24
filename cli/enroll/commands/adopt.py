"""`enroll adopt`"""

import json
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from botocore.exceptions import ClientError, WaiterError

from enroll.local.deployment import load_template
from enroll.local.settings import LocalRunError
from enroll.output import CONFLICT, FAILED, INVALID, NOT_FOUND, AsJson, console, fail, print_json
from enroll.stack import aws_errors_reported, client_of

TABLE = "AWS::DynamoDB::Table"
CHANGE_SET = "adopt-tables"
# The status of a stack that consists of a change set that was not executed.
NOT_CREATED = "REVIEW_IN_PROGRESS"


def adopt(
    stack: Annotated[str, typer.Option("--stack", envvar="ENROLL_STACK", help="The new stack.")] = "enroll",
    flows_table: Annotated[
        str | None, typer.Option(help="The table of flows. Default: the table whose name starts with the stack's.")
    ] = None,
    records_table: Annotated[str | None, typer.Option(help="The table of records.")] = None,
    enrollments_table: Annotated[str | None, typer.Option(help="The table of enrollments.")] = None,
    key_arn: Annotated[str, typer.Option(help="KeyArn of the deleted stack, if it had one.")] = "",
    template: Annotated[Path, typer.Option(help="The template of Enroll.", dir_okay=False)] = Path("template.yaml"),
    as_json: AsJson = False,
) -> None:
    """Create a stack from the tables that a deleted stack retained. `sam deploy` then adds everything else."""
    named_tables = {"FlowsTable": flows_table, "RecordsTable": records_table, "EnrollmentsTable": enrollments_table}
    with aws_errors_reported():
        cloudformation = client_of("cloudformation")
        _refuse_existing(cloudformation, stack)
        names = {logical_id: name or _find(stack, logical_id) for logical_id, name in named_tables.items()}
        _import(cloudformation, stack, _tables(template), names, key_arn)
    if as_json:
        print_json({"stack": stack, "tables": names})
        return
    for logical_id, name in names.items():
        console.print(f"{logical_id}  {name}")
    console.print(
        f"The stack {stack} now contains these tables. Run `sam deploy` with the same stack name to add the rest.",
    )


def _refuse_existing(cloudformation: Any, stack: str) -> None:
    try:
        status = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
    except ClientError as error:
        if "does not exist" in str(error):
            return
        raise
    if status != NOT_CREATED:
        fail(
            f"expected no stack {stack}; got one that is {status}. Delete it, or choose another name with --stack",
            CONFLICT,
        )


def _find(stack: str, logical_id: str) -> str:
    """Return the name of the only table whose name CloudFormation generated for this stack.

    Ends the command with NOT_FOUND if there is no such table, or more than one.
    """
    prefix = f"{stack}-{logical_id}-"
    pages = client_of("dynamodb").get_paginator("list_tables").paginate()
    tables: list[str] = [name for page in pages for name in page["TableNames"] if name.startswith(prefix)]
    if len(tables) != 1:
        option = f"--{logical_id.removesuffix('Table').lower()}-table"
        got = f"{len(tables)} tables: {', '.join(tables)}" if tables else "none"
        fail(f"expected one table named {prefix}…; got {got}. Name the table with {option}", NOT_FOUND)
    return tables[0]


def _tables(path: Path) -> dict[str, Any]:
    """Return a template with the tables only, and with the condition and the parameter that they use."""
    try:
        template = load_template(path)
    except LocalRunError as error:
        fail(str(error), INVALID)
    resources = {name: resource for name, resource in template["Resources"].items() if resource["Type"] == TABLE}
    return {
        "AWSTemplateFormatVersion": template["AWSTemplateFormatVersion"],
        "Description": template["Description"],
        "Parameters": {"KeyArn": template["Parameters"]["KeyArn"]},
        "Conditions": {"UsesKey": template["Conditions"]["UsesKey"]},
        "Resources": resources,
    }


def _import(cloudformation: Any, stack: str, template: dict[str, Any], names: dict[str, str], key_arn: str) -> None:
    change_set = cloudformation.create_change_set(
        StackName=stack,
        ChangeSetName=CHANGE_SET,
        ChangeSetType="IMPORT",
        TemplateBody=json.dumps(template),
        Parameters=[{"ParameterKey": "KeyArn", "ParameterValue": key_arn}],
        ResourcesToImport=[
            {"ResourceType": TABLE, "LogicalResourceId": logical_id, "ResourceIdentifier": {"TableName": name}}
            for logical_id, name in names.items()
        ],
    )
    try:
        cloudformation.get_waiter("change_set_create_complete").wait(
            ChangeSetName=change_set["Id"], WaiterConfig={"Delay": 2, "MaxAttempts": 90}
        )
    except WaiterError as error:
        # The next attempt needs the name again.
        cloudformation.delete_change_set(ChangeSetName=change_set["Id"])
        _fail(error.last_response.get("StatusReason") or str(error))
    cloudformation.execute_change_set(ChangeSetName=change_set["Id"])
    try:
        cloudformation.get_waiter("stack_import_complete").wait(
            StackName=stack, WaiterConfig={"Delay": 2, "MaxAttempts": 150}
        )
    except WaiterError as error:
        _fail(_last_reason(cloudformation, stack) or str(error))


def _fail(reason: str) -> NoReturn:
    fail(f"CloudFormation did not import the tables: {reason}", FAILED)


def _last_reason(cloudformation: Any, stack: str) -> str | None:
    events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    reasons = [event["ResourceStatusReason"] for event in events if "FAILED" in event["ResourceStatus"]]
    return reasons[0] if reasons else None
