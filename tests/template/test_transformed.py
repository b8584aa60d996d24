"""The template as CloudFormation gets it: after SAM's transform, with its nested templates."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cfnlint.helpers import REGIONS

from enroll.local.deployment import load_template
from enroll.stack import MAX_STACK_NAME_LENGTH
from enrollment.application.associated_changes import MAX_MESSAGES_IN_CHAIN
from enrollment.domain.enrollment.decisions import MAX_CHAIN

ROOT = Path(__file__).parents[2]
SAM_PYTHON = ROOT / ".venv-sam" / "bin" / "python"
CFN_LINT = Path(sys.executable).with_name("cfn-lint")

LONGEST_REGION = max(REGIONS, key=len)

# Limits of CloudFormation: of a template, https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
TEMPLATE_BYTES = 1024 * 1024
TEMPLATE_RESOURCES = 500
TEMPLATE_PARAMETERS = 200
TEMPLATE_OUTPUTS = 200
DESCRIPTION_BYTES = 1024
# Of IAM, in characters without white space: of a managed policy, and of a role's inline policies together.
MANAGED_POLICY = 6144
INLINE_POLICIES = 10240
# Of Lambda.
ENVIRONMENT_BYTES = 4096
# Lambda's recursive-loop detection stops a chain of invocations at about this many hops.
LOOP_DETECTION_HOPS = 16

# The property that names a resource of a type, and the longest name, by the reference of the type's service.
NAMING = {
    "AWS::ApiGatewayV2::Api": ("Name", 128),
    "AWS::ApiGatewayV2::Authorizer": ("Name", 128),
    "AWS::CloudWatch::Alarm": ("AlarmName", 255),
    "AWS::CloudWatch::Dashboard": ("DashboardName", 255),
    "AWS::DynamoDB::Table": ("TableName", 255),
    "AWS::Events::Archive": ("ArchiveName", 48),
    "AWS::Events::EventBus": ("Name", 256),
    "AWS::Events::Rule": ("Name", 64),
    "AWS::IAM::ManagedPolicy": ("ManagedPolicyName", 128),
    "AWS::IAM::Policy": ("PolicyName", 128),
    "AWS::IAM::Role": ("RoleName", 64),
    "AWS::Lambda::Function": ("FunctionName", 64),
    "AWS::Lambda::LayerVersion": ("LayerName", 140),
    "AWS::Logs::LogGroup": ("LogGroupName", 512),
    "AWS::Logs::QueryDefinition": ("Name", 255),
    "AWS::SQS::Queue": ("QueueName", 80),
    "AWS::SSM::Parameter": ("Name", 1011),
    "AWS::Scheduler::Schedule": ("Name", 64),
}
# Types without a name in a template.
UNNAMED = {
    "AWS::ApiGatewayV2::Integration",
    "AWS::ApiGatewayV2::Route",
    "AWS::ApiGatewayV2::Stage",
    "AWS::CloudFormation::Stack",
    "AWS::Events::EventBusPolicy",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Permission",
    "AWS::SQS::QueuePolicy",
}
# Names of these are global in an account: two stacks of one name in two regions must not share them.
GLOBAL = {"AWS::CloudWatch::Dashboard", "AWS::IAM::ManagedPolicy", "AWS::IAM::Role"}
# Names that need not differ between stacks: the name of an inline policy is unique in its role, that of an authorizer
# in its API, and each stack has its own version of a layer, which SAM names by its logical id.
SHARED = {"AWS::IAM::Policy", "AWS::ApiGatewayV2::Authorizer", "AWS::Lambda::LayerVersion"}


@cache
def transformed() -> dict[str, Any]:
    if not SAM_PYTHON.exists():
        pytest.fail(f"expected {SAM_PYTHON.relative_to(ROOT)}: run the tests by `make test`, which sets it up")
    answer = subprocess.run(
        [SAM_PYTHON, ROOT / "tests" / "support" / "transform.py", ROOT / "template.yaml"],
        env={**os.environ, "AWS_DEFAULT_REGION": "eu-west-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    template: dict[str, Any] = json.loads(answer.stdout)
    return template


@dataclass(frozen=True)
class Part:
    """A template and the values of its parameters: the main one, or a nested one as the main one uses it."""

    path: str
    template: Mapping[str, Any]
    parameters: Mapping[str, Any]

    def resources(self, *types: str) -> dict[str, dict[str, Any]]:
        """Their properties, by logical id."""
        return {
            name: resource.get("Properties", {})
            for name, resource in self.template["Resources"].items()
            if resource["Type"] in types
        }

    def value(self, value: Any, pseudo: Mapping[str, str]) -> Any:
        """With references to parameters and pseudo parameters resolved; a name where it is the name of a resource."""
        if isinstance(value, dict) and len(value) == 1:
            ((function, argument),) = value.items()
            if function == "Ref":
                return self._reference(argument, pseudo)
            if function == "Fn::Sub" and isinstance(argument, str):
                return re.sub(r"\$\{([\w:]+)\}", lambda found: str(self._reference(found[1], pseudo)), argument)
            if function == "Fn::GetAtt":
                return {"resource": argument[0]}
        if isinstance(value, dict):
            return {key: self.value(inner, pseudo) for key, inner in value.items()}
        return [self.value(inner, pseudo) for inner in value] if isinstance(value, list) else value

    def _reference(self, name: str, pseudo: Mapping[str, str]) -> Any:
        if name in self.parameters:
            return self.parameters[name]
        if name in pseudo:
            return pseudo[name]
        resource = self.template["Resources"].get(name)
        naming, _ = NAMING.get(resource["Type"], (None, 0)) if resource else (None, 0)
        if resource and naming in resource.get("Properties", {}):
            return self.value(resource["Properties"][naming], pseudo)
        return {"resource": name} if resource else f"<{name}>"


def parts(pseudo: Mapping[str, str]) -> Iterator[Part]:
    main = Part("template.yaml", transformed(), {})
    yield main
    for properties in main.resources("AWS::CloudFormation::Stack").values():
        path = properties["TemplateURL"]
        yield Part(path, load_template(ROOT / path), main.value(properties["Parameters"], pseudo))


def pseudo_of(stack: str, region: str = LONGEST_REGION) -> dict[str, str]:
    return {"AWS::StackName": stack, "AWS::Region": region, "AWS::Partition": "aws", "AWS::AccountId": "1" * 12}


def names(stack: str, region: str = LONGEST_REGION) -> Iterator[tuple[str, str]]:
    """The type and the name of each resource to which the templates give a name."""
    for part in parts(pseudo_of(stack, region)):
        for resource in part.template["Resources"].values():
            naming, _ = NAMING.get(resource["Type"], ("", 0))
            if naming in resource.get("Properties", {}):
                yield resource["Type"], part.value(resource["Properties"][naming], pseudo_of(stack, region))


@pytest.mark.verify
def test_cfn_lint_finds_nothing_in_any_region(tmp_path: Path) -> None:
    (tmp_path / "template.json").write_text(json.dumps(transformed()), encoding="utf-8")
    shutil.copytree(ROOT / "templates", tmp_path / "templates")
    # W3002: nested templates are files here; `sam deploy` stores them in S3.
    command = [CFN_LINT, "--regions", "ALL_REGIONS", "--ignore-checks", "W3002"]
    files = [tmp_path / "template.json", *sorted(tmp_path.glob("templates/*/*.yaml"))]
    answer = subprocess.run([*command, "--", *files], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout) == (0, "")


# Names


def test_every_resource_type_is_listed_as_named_or_unnamed() -> None:
    types = {resource["Type"] for part in parts(pseudo_of("s")) for resource in part.template["Resources"].values()}
    assert types <= NAMING.keys() | UNNAMED


def test_longest_stack_name_follows_from_the_shortest_name_limit() -> None:
    """Computed: the room that each name's limit leaves for the stack's name."""
    room = {name: NAMING[kind][1] - len(name) + 1 for kind, name in names("s") if len(name) > 1}
    shortest = min(room, key=lambda name: room[name])
    assert (shortest, room[shortest]) == ("s-events", MAX_STACK_NAME_LENGTH)
    too_long = [name for kind, name in names("s" * MAX_STACK_NAME_LENGTH) if len(name) > NAMING[kind][1]]
    assert too_long == []
    assert [kind for kind, name in names("s" * (MAX_STACK_NAME_LENGTH + 1)) if len(name) > NAMING[kind][1]] == [
        "AWS::Events::Archive"
    ]


def test_stack_names_of_samconfig_are_within_the_limit() -> None:
    settings = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
    stacks = [
        environment["deploy"]["parameters"]["stack_name"]
        for environment in settings.values()
        if isinstance(environment, dict)
    ]
    assert stacks
    for stack in stacks:
        assert re.fullmatch(rf"[A-Za-z][A-Za-z0-9-]{{0,{MAX_STACK_NAME_LENGTH - 1}}}", stack)


def test_names_are_unique_in_a_stack_and_between_stacks() -> None:
    counted = Counter(name for name in names("s") if name[0] not in SHARED)
    assert [name for name, count in counted.items() if count > 1] == []
    assert not {name for name in set(names("s")) & set(names("t")) if name[0] not in SHARED}


def test_global_names_are_unique_between_regions() -> None:
    in_one, in_another = (
        {name for name in names("s", region) if name[0] in GLOBAL} for region in ("eu-west-1", "us-east-1")
    )
    assert {kind for kind, _ in in_one} == {"AWS::CloudWatch::Dashboard"}
    assert not in_one & in_another


# Limits


def test_templates_are_within_the_limits_of_cloudformation() -> None:
    for part in parts(pseudo_of("s")):
        template = part.template
        assert len(json.dumps(template).encode()) < TEMPLATE_BYTES, part.path
        assert len(template["Resources"]) <= TEMPLATE_RESOURCES, part.path
        assert len(template.get("Parameters", {})) <= TEMPLATE_PARAMETERS, part.path
        assert len(template.get("Outputs", {})) <= TEMPLATE_OUTPUTS, part.path
        assert len(template["Description"].encode()) <= DESCRIPTION_BYTES, part.path
        if part.path == "template.yaml":
            assert not part.parameters
            continue
        required = {name for name, parameter in template["Parameters"].items() if "Default" not in parameter}
        assert required <= set(part.parameters) <= set(template["Parameters"]), part.path


def test_policies_and_environments_are_within_their_limits() -> None:
    """Arns are longer than what refers to them: each reference counts as an Arn of a long stack and region."""
    arn = "arn:aws:dynamodb:" + LONGEST_REGION + ":111111111111:table/" + "s" * MAX_STACK_NAME_LENGTH + "-" * 40
    pseudo = pseudo_of("s" * MAX_STACK_NAME_LENGTH)

    def size(value: Any) -> int:
        text = json.dumps(value)
        return len(re.sub(r"\s", "", re.sub(r'\{"resource": "\w+"\}', json.dumps(arn), text)))

    for part in parts(pseudo):
        for policy in part.resources("AWS::IAM::ManagedPolicy").values():
            assert size(part.value(policy["PolicyDocument"], pseudo)) < MANAGED_POLICY
        for role in part.resources("AWS::IAM::Role").values():
            inline = [part.value(policy["PolicyDocument"], pseudo) for policy in role.get("Policies", [])]
            assert sum(map(size, inline)) < INLINE_POLICIES
            assert len(role.get("ManagedPolicyArns", [])) <= 10
        for function in part.resources("AWS::Lambda::Function").values():
            assert size(part.value(function["Environment"], pseudo)) < ENVIRONMENT_BYTES


# Recursion


def statements(part: Part, function: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the statements of the policies of the function's role, with resources by logical id."""
    role = part.template["Resources"][function["Role"]["Fn::GetAtt"][0]]["Properties"]
    documents = [policy["PolicyDocument"] for policy in role.get("Policies", [])]
    for policy in role["ManagedPolicyArns"]:
        if isinstance(policy, dict):
            documents.append(part.template["Resources"][policy["Ref"]]["Properties"]["PolicyDocument"])
    for document in documents:
        for statement in document["Statement"]:
            if "Fn::If" in statement:
                continue  # the use of a key, which sends nothing
            yield {key: part.value(value, pseudo_of("s")) for key, value in statement.items()}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def senders(part: Part, action: str) -> dict[str, list[Any]]:
    """The statements of each function that allow the action."""
    return {
        name: [statement for statement in statements(part, function) if action in as_list(statement["Action"])]
        for name, function in part.resources("AWS::Lambda::Function").items()
    }


def sources(part: Part) -> dict[str, list[str]]:
    """The queues from which a mapping invokes each function."""
    found: dict[str, list[str]] = {}
    for mapping in part.resources("AWS::Lambda::EventSourceMapping").values():
        queue = mapping["EventSourceArn"]["Fn::GetAtt"][0]
        found.setdefault(mapping["FunctionName"]["Ref"], []).append(queue)
    return found


def test_no_function_disables_the_loop_detection_of_lambda() -> None:
    """The function of redeliveries sends to its own queue. The timer starts a new chain before Lambda would stop it:
    tests/unit/application/test_associated_changes.py, tests/functions/test_timers.py."""
    main = Part("template.yaml", transformed(), {})
    sends = senders(main, "sqs:SendMessage")
    functions = main.resources("AWS::Lambda::Function")
    looping = {
        name
        for name, queues in sources(main).items()
        for statement in sends[name]
        for resource in as_list(statement["Resource"])
        if resource["resource"] in queues
    }
    assert looping == {"RedeliveriesFunction"}
    assert not [name for name, function in functions.items() if "RecursiveLoop" in function]
    assert MAX_MESSAGES_IN_CHAIN + 1 < LOOP_DETECTION_HOPS


def test_no_function_may_send_to_a_buffer() -> None:
    """A buffer is the source of its category's function, and belongs to a nested template."""
    main = Part("template.yaml", transformed(), {})
    for allowed in senders(main, "sqs:SendMessage").values():
        for statement in allowed:
            for resource in as_list(statement["Resource"]):
                assert main.template["Resources"][resource["resource"]]["Type"] == "AWS::SQS::Queue"


def test_a_loop_through_the_bus_ends_before_lambda_would_stop_it() -> None:
    """Functions announce enrollments on the bus, whose rules invoke them. An event's chain ends such a loop."""
    main = Part("template.yaml", transformed(), {})
    announced = {
        detail_type
        for allowed in senders(main, "events:PutEvents").values()
        for statement in allowed
        for detail_type in as_list(statement["Condition"]["StringEquals"]["events:detail-type"])
    }
    categories = {event_type.partition(".")[0] for event_type in announced}
    assert categories == {"workflows", "crm", "lists"}
    stacks = main.resources("AWS::CloudFormation::Stack").values()
    routes = [stack for stack in stacks if "routes/" in json.dumps(stack["TemplateURL"])]
    assert any("WorkflowsFunction" in json.dumps(route) for route in routes)
    for route in [*routes, *main.resources("AWS::Events::Rule").values()]:
        assert "ApiFunction" not in json.dumps(route), "no event invokes the API, so no loop passes through it"
    assert MAX_CHAIN + 1 < LOOP_DETECTION_HOPS
