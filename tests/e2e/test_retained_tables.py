"""The commands of docs/operations.md that delete a stack and adopt the tables that it retained, in the embedded AWS."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from enroll.local import deployment
from enroll.local.deployment import client, deploy
from enroll.local.emulator import Emulator
from enroll.local.settings import ACCESS_KEY, REGION, STACK_NAME, Settings
from enroll.main import app
from tests.support.emulated import free_port

pytestmark = [pytest.mark.verify, pytest.mark.xdist_group("embedded")]

TABLES = ("FlowsTableName", "RecordsTableName", "EnrollmentsTableName")


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    settings = Settings(port=free_port())
    for name, value in {
        "AWS_ENDPOINT_URL": settings.endpoint,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
        "COLUMNS": "400",
    }.items():
        monkeypatch.setenv(name, value)
    with Emulator(settings):
        yield settings


def delete_stack(settings: Settings) -> None:
    cloudformation = client(settings, "cloudformation")
    cloudformation.delete_stack(StackName=STACK_NAME)
    waiter = cloudformation.get_waiter("stack_delete_complete")
    waiter.wait(StackName=STACK_NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def update_stack(settings: Settings) -> dict[str, str]:
    """Update the stack as `sam deploy` does, with the resources that the embedded AWS supports. Return the outputs."""
    template = deployment.load_template(settings.template)
    omitted = {omission.resource_type for omission in deployment.OMISSIONS}
    left_out = {name for name, resource in template["Resources"].items() if resource["Type"] in omitted}
    body = json.dumps(deployment._localised(template, left_out, settings))
    client(settings, "s3").put_object(Bucket=deployment.CODE_BUCKET, Key="whole.yaml", Body=body.encode())
    cloudformation = client(settings, "cloudformation")
    cloudformation.update_stack(
        StackName=STACK_NAME,
        TemplateURL=f"{settings.endpoint}/{deployment.CODE_BUCKET}/whole.yaml",
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    waiter = cloudformation.get_waiter("stack_update_complete")
    waiter.wait(StackName=STACK_NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 90})
    stack = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def run(*arguments: str, code: int = 0) -> str:
    answer = CliRunner().invoke(app, list(arguments))
    assert answer.exit_code == code, answer.output
    return answer.output


def test_new_stack_adopts_the_tables_of_a_deleted_stack(settings: Settings) -> None:
    before = deploy(settings).outputs
    tables = client(settings, "dynamodb")
    item: dict[str, Any] = {"pk": {"S": "kept"}, "sk": {"S": "item"}}
    for name in TABLES:
        tables.put_item(TableName=before[name], Item=item)

    delete_stack(settings)

    names = [before[name] for name in TABLES]
    assert sorted(tables.list_tables()["TableNames"]) == sorted(names)
    assert not client(settings, "sqs").list_queues().get("QueueUrls")

    answer = run("adopt")

    assert all(name in answer for name in names)
    assert "sam deploy" in answer
    outputs = update_stack(settings)
    assert {name: outputs[name] for name in TABLES} == {name: before[name] for name in TABLES}
    for name in TABLES:
        key = {key: value for key, value in item.items() if key in ("pk", "sk")}
        assert tables.get_item(TableName=outputs[name], Key=key)["Item"] == item
    # The adopted tables belong to the new stack: deleting it retains them too.
    delete_stack(settings)
    assert sorted(tables.list_tables()["TableNames"]) == sorted(names)


def test_adoption_needs_a_free_stack_name_and_one_table_of_each_kind(settings: Settings) -> None:
    assert "expected one table named enroll-FlowsTable-…; got none" in run("adopt", code=4)
    deploy(settings)
    assert "expected no stack enroll; got one that is CREATE_COMPLETE" in run("adopt", code=5)
    delete_stack(settings)
    assert "does not exist" in run("adopt", "--flows-table", "no-such-table", code=1)
    assert "sam deploy" in run("adopt"), "a failed attempt does not stand in the way"
