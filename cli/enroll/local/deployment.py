"""Deploys the project's template, unchanged, into the embedded AWS.

`OMISSIONS` lists the resource types that the embedded AWS does not support, so that the template needs no conditions.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import yaml
from botocore.config import Config
from botocore.exceptions import ClientError, WaiterError

from enroll.local.data_folder import unusable_state
from enroll.local.lambda_service import EVENTS_PATH
from enroll.local.sandbox import FunctionConfiguration
from enroll.local.settings import ACCESS_KEY, REGION, STACK_NAME, LocalRunError, Settings

Template = dict[str, Any]

PROXY_VARIABLE = "MINISTACK_LAMBDA_PROXY_URL"
"""A variable of a function. It gives MiniStack the URL to which it sends the function's invocations."""

CODE_BUCKET = "local"


@dataclass(frozen=True)
class Omission:
    """A resource type that the embedded AWS does not support, with the reason and the replacement."""

    resource_type: str
    reason: str
    instead: Callable[[Settings, str, Template, dict[str, str]], str] | None = None
    """Creates the resource after the deployment and returns its physical name. None: the resource is not needed.

    Arguments: the settings, the logical ID, the resource and the stack's outputs.
    """


def _archive(settings: Settings, logical_id: str, resource: Template, outputs: dict[str, str]) -> str:
    properties = resource.get("Properties", {})
    name = f"{STACK_NAME}-{logical_id}"
    pattern = properties.get("EventPattern")
    events = client(settings, "events")
    # The archive of an earlier run with the same --data folder is kept.
    with contextlib.suppress(events.exceptions.ResourceAlreadyExistsException):
        events.create_archive(
            ArchiveName=name,
            EventSourceArn=outputs["EventBusArn"],
            # Without RetentionDays, because the value in the template can be an expression.
            **({"EventPattern": json.dumps(pattern)} if pattern else {}),
        )
    return name


OMISSIONS = [
    Omission(
        "AWS::Events::Archive",
        "MiniStack 1.5.33 refuses a stack with this resource, although its EventBridge has archives: "
        "the archive is created by CreateArchive after the deployment.",
        instead=_archive,
    ),
    Omission(
        "AWS::Events::EventBusPolicy",
        "MiniStack 1.5.33 refuses a stack with this resource, and does not enforce policies.",
    ),
    Omission(
        "AWS::CloudWatch::Alarm",
        "MiniStack 1.5.33 refuses alarms on metric math, and does not collect the metrics of alarms.",
    ),
    Omission(
        "AWS::Logs::QueryDefinition",
        "MiniStack 1.5.33 refuses a stack with this resource, and has no Logs Insights.",
    ),
]


@dataclass(frozen=True)
class Deployment:
    """A deployed stack."""

    outputs: dict[str, str]
    functions: dict[str, FunctionConfiguration]
    """By the name of the code's folder, for example `forms`."""


def client(settings: Settings, service: str) -> Any:
    """Return a client of the embedded AWS that ignores the AWS settings of the shell."""
    # boto3's type of `client` has a signature for each service, but the service is a variable here.
    session: Any = boto3.session.Session(
        aws_access_key_id=ACCESS_KEY, aws_secret_access_key=ACCESS_KEY, region_name=REGION
    )
    return session.client(
        service,
        endpoint_url=settings.endpoint,
        # A proxy from the shell's environment cannot reach this machine's loopback interface.
        config=Config(proxies={}, retries={"mode": "standard", "total_max_attempts": 5}, max_pool_connections=50),
    )


class _TemplateLoader(yaml.SafeLoader):
    """A YAML loader that reads CloudFormation's short tags as the long form of each function."""


def _long_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


def _text(loader: yaml.SafeLoader, node: yaml.Node) -> str:
    return str(node.value)


_TemplateLoader.add_multi_constructor("!", _long_form)
# Read dates, such as the template's version, as text: JSON has no dates.
_TemplateLoader.add_constructor("tag:yaml.org,2002:timestamp", _text)


def load_template(path: Path) -> Template:
    """Return the template in a YAML file, with functions in their long form. Raises LocalRunError."""
    if not path.exists():
        raise LocalRunError(
            f"There is no template at {path}. Start the local run in the project's folder, or set --project."
        )
    try:
        template = yaml.load(path.read_text(encoding="utf-8"), _TemplateLoader)  # noqa: S506 - a subclass of the safe loader
    except yaml.YAMLError as error:
        raise LocalRunError(f"{path} is not YAML: {error}") from error
    if not isinstance(template, dict) or not isinstance(template.get("Resources"), dict):
        raise LocalRunError(f"{path} is not a CloudFormation template: the key Resources is missing.")
    return template


def deploy(settings: Settings) -> Deployment:
    """Create the stack, or update the one that an earlier run saved with `--data`, and wait until it is complete.

    Raises LocalRunError if the template cannot be read or the embedded AWS does not accept it.
    """
    template = load_template(settings.template)
    _store_nested(settings, template)
    left_out = {
        logical_id: (omission, template["Resources"][logical_id])
        for omission in OMISSIONS
        for logical_id, resource in template["Resources"].items()
        if resource.get("Type") == omission.resource_type
    }
    outputs = _create_or_update_stack(settings, _localised(template, set(left_out), settings))
    names = {
        logical_id: omission.instead(settings, logical_id, resource, outputs)
        for logical_id, (omission, resource) in left_out.items()
        if omission.instead
    }
    for output, definition in template.get("Outputs", {}).items():
        if (reference := definition["Value"]) and isinstance(reference, dict) and reference.get("Ref") in names:
            outputs[output] = names[reference["Ref"]]
    return Deployment(outputs, _functions(settings, template))


def _localised(template: Template, left_out: set[str], settings: Settings) -> Template:
    """Return the template without the omitted resources. The local Lambda service runs its functions."""
    resources = {
        logical_id: {**resource, "Properties": dict(resource.get("Properties", {}))}
        for logical_id, resource in template["Resources"].items()
        if logical_id not in left_out
    }
    for resource in resources.values():
        properties = resource["Properties"]
        # The transform requires code in S3. MiniStack never reads it: only the name of the folder is used.
        match resource["Type"]:
            case "AWS::Serverless::Function":
                properties["CodeUri"] = {"Bucket": CODE_BUCKET, "Key": str(properties["CodeUri"]).strip("./")}
                environment = dict(properties.get("Environment", {}))
                proxy = settings.lambda_endpoint + EVENTS_PATH
                variables = {**environment.get("Variables", {}), PROXY_VARIABLE: proxy}
                properties["Environment"] = {**environment, "Variables": variables}
            case "AWS::CloudFormation::Stack":
                properties["TemplateURL"] = f"{settings.endpoint}/{CODE_BUCKET}/{properties['TemplateURL']}"
            case "AWS::Serverless::LayerVersion":
                properties["ContentUri"] = {"Bucket": CODE_BUCKET, "Key": str(properties["ContentUri"]).strip("./")}
    outputs = {name: output for name, output in template.get("Outputs", {}).items() if not _refers_to(output, left_out)}
    return {**template, "Resources": resources, "Outputs": outputs}


def _store_nested(settings: Settings, template: Template) -> None:
    """Store nested templates in S3, as `sam deploy` does: a stack refers to them by their URLs."""
    s3 = client(settings, "s3")
    # The bucket of an earlier run with the same --data folder exists; its objects are written again.
    with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=CODE_BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    stacks = (
        resource for resource in template["Resources"].values() if resource["Type"] == "AWS::CloudFormation::Stack"
    )
    for path in {stack["Properties"]["TemplateURL"] for stack in stacks}:
        nested = load_template(settings.project / path)
        omitted = {omission.resource_type for omission in OMISSIONS}
        left_out = {name for name, resource in nested["Resources"].items() if resource["Type"] in omitted}
        body = json.dumps(_localised(nested, left_out, settings), separators=(",", ":"))
        s3.put_object(Bucket=CODE_BUCKET, Key=path, Body=body.encode())


def _refers_to(value: Any, logical_ids: set[str]) -> bool:
    if isinstance(value, dict):
        attribute = value.get("Fn::GetAtt")
        if value.get("Ref") in logical_ids or (isinstance(attribute, list) and attribute[0] in logical_ids):
            return True
        return any(_refers_to(item, logical_ids) for item in value.values())
    return isinstance(value, list) and any(_refers_to(item, logical_ids) for item in value)


def _create_or_update_stack(settings: Settings, template: Template) -> dict[str, str]:
    """Return the outputs of the stack."""
    cloudformation, key = client(settings, "cloudformation"), settings.template.name
    # By URL, as `sam deploy` does: a request is limited to 51,200 bytes of template.
    client(settings, "s3").put_object(Bucket=CODE_BUCKET, Key=key, Body=json.dumps(template).encode())
    request = {
        "StackName": STACK_NAME,
        "TemplateURL": f"{settings.endpoint}/{CODE_BUCKET}/{key}",
        "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in settings.parameters.items()],
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
    }
    exists = _stack_exists(cloudformation)
    try:
        if exists:
            _update_stack(cloudformation, request)
        else:
            cloudformation.create_stack(**request)
            _wait(cloudformation, "stack_create_complete")
    except (ClientError, WaiterError) as error:
        why = _why(cloudformation, error)
        if exists and settings.data:
            raise unusable_state(
                settings.data, f"its stack cannot be updated to {settings.template} ({why})"
            ) from error
        raise LocalRunError(f"The embedded AWS did not deploy {settings.template}: {why}") from error
    stack = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def _stack_exists(cloudformation: Any) -> bool:
    try:
        stacks = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            return False
        raise
    return any(stack["StackStatus"] != "DELETE_COMPLETE" for stack in stacks)


def _update_stack(cloudformation: Any, request: dict[str, Any]) -> None:
    try:
        cloudformation.update_stack(**request)
    except ClientError as error:
        if "No updates are to be performed" in str(error):
            return
        raise
    _wait(cloudformation, "stack_update_complete")


def _wait(cloudformation: Any, state: str) -> None:
    cloudformation.get_waiter(state).wait(StackName=STACK_NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def _why(cloudformation: Any, error: Exception) -> str:
    try:
        events = cloudformation.describe_stack_events(StackName=STACK_NAME)["StackEvents"]
    except ClientError:
        return str(error)
    reasons = [
        f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', '')}"
        for event in events
        if event["ResourceStatus"].endswith("FAILED")
    ]
    return "; ".join(reasons) or str(error)


def _functions(settings: Settings, template: Template) -> dict[str, FunctionConfiguration]:
    """Return every function by the name of its code's folder, configured as the stack resolved the template."""
    lambda_client = client(settings, "lambda")
    resources = client(settings, "cloudformation").describe_stack_resources(StackName=STACK_NAME)["StackResources"]
    names = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}
    functions = {}
    for logical_id, resource in template["Resources"].items():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        code = settings.project / str(resource["Properties"]["CodeUri"])
        if not code.is_dir():
            raise LocalRunError(f"The code of {logical_id} is missing: {code} is not a folder.")
        configuration = lambda_client.get_function_configuration(FunctionName=names[logical_id])
        asynchronous = _asynchronous(lambda_client, names[logical_id])
        environment = dict(configuration.get("Environment", {}).get("Variables", {}))
        environment.pop(PROXY_VARIABLE, None)
        functions[code.name] = FunctionConfiguration(
            name=configuration["FunctionName"],
            arn=configuration["FunctionArn"],
            handler=configuration["Handler"],
            code=Path(os.path.normpath(code)),
            timeout=float(configuration["Timeout"]),
            memory=int(configuration["MemorySize"]),
            environment=environment,
            maximum_retries=asynchronous.get("MaximumRetryAttempts", 2),
            maximum_age=asynchronous.get("MaximumEventAgeInSeconds", 6 * 60 * 60),
            on_failure=asynchronous.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination"),
        )
    return functions


def _asynchronous(lambda_client: Any, name: str) -> dict[str, Any]:
    try:
        # The transform sets this qualifier. MiniStack finds the configuration only with it.
        configuration: dict[str, Any] = lambda_client.get_function_event_invoke_config(
            FunctionName=name, Qualifier="$LATEST"
        )
    except lambda_client.exceptions.ResourceNotFoundException:
        return {}
    return configuration
