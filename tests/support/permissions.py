"""What each function of the template may do, and which permissions a call to AWS needs."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from enrollment.config import Config
from tests.support.template import FUNCTIONS, RESOURCES, ROUTE, as_list, of_type


@dataclass(frozen=True, order=True)
class Permission:
    """`resource`: its logical id, followed by the index if there is one. `where`: the conditions of the statement that
    the call meets."""

    resource: str
    action: str
    where: tuple[tuple[str, str], ...] = ()


# Granted -------------------------------------------------------------------------------------------------------------


def granted(function: str, *, uses_key: bool = False) -> set[Permission]:
    """Return everything that the function's policies allow, with or without a customer managed key, including its
    buffer's policy."""
    documents = [_document(policy) for policy in FUNCTIONS[function]["Policies"]]
    if has_route(function):
        of_route = of_type("AWS::IAM::Policy", ROUTE).values()
        assert all(policy["Roles"] == [{"Ref": "FunctionRole"}] for policy in of_route)
        documents += [
            _with_arguments(policy["PolicyDocument"], _route(function)["Properties"]["Parameters"])
            for policy in of_route
        ]
    return {
        permission
        for document in documents
        for statement in resolved(document, uses_key)["Statement"]
        for permission in _permissions(statement)
    }


def taken(function: str) -> set[Permission]:
    """Return the actions of Lambda on behalf of a function with queues as event sources."""
    mappings = of_type("AWS::Lambda::EventSourceMapping").values()
    event_sources = [mapping for mapping in mappings if mapping["FunctionName"] == {"Ref": function}]
    if has_route(function):
        event_sources += of_type("AWS::Lambda::EventSourceMapping", ROUTE).values()
    return {
        Permission(_name(mapping["EventSourceArn"]), f"sqs:{action}")
        for mapping in event_sources
        for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
    }


def has_route(function: str) -> bool:
    return _route(function).get("Type") == "AWS::CloudFormation::Stack"


def _route(function: str) -> Mapping[str, Any]:
    return RESOURCES.get(function.removesuffix("Function") + "Route", {})


def _with_arguments(value: Any, parameters: Mapping[str, Any]) -> Any:
    """Return the value with the parameters of a nested template replaced by their arguments."""
    if isinstance(value, dict):
        name: Any = value.get("Ref")
        return (
            parameters[name]
            if name in parameters
            else {key: _with_arguments(inner, parameters) for key, inner in value.items()}
        )
    return [_with_arguments(inner, parameters) for inner in value] if isinstance(value, list) else value


def _document(policy: Any) -> Any:
    """Return a policy of the template itself. The contents of other policies, such as those of AWS, are not available
    here."""
    if set(policy) == {"Ref"}:
        assert RESOURCES[policy["Ref"]]["Type"] == "AWS::IAM::ManagedPolicy"
        return RESOURCES[policy["Ref"]]["Properties"]["PolicyDocument"]
    assert set(policy) == {"Version", "Statement"}
    return policy


def resolved(value: Any, uses_key: bool) -> Any:
    """Return the value with each `Fn::If` replaced by its applicable branch."""
    if isinstance(value, dict) and set(value) == {"Fn::If"}:
        condition, then, otherwise = value["Fn::If"]
        assert condition == "UsesKey"
        return resolved(then if uses_key else otherwise, uses_key)
    if isinstance(value, dict):
        return {key: resolved(inner, uses_key) for key, inner in value.items()}
    if isinstance(value, list):
        found = [resolved(inner, uses_key) for inner in value]
        return [inner for inner in found if inner != {"Ref": "AWS::NoValue"}]
    return value


def _permissions(statement: Mapping[str, Any]) -> Iterator[Permission]:
    assert set(statement) <= {"Sid", "Effect", "Action", "Resource", "Condition"}
    assert statement["Effect"] == "Allow"
    bounds = dict(statement.get("Condition", {"StringEquals": {}}))
    # Items of a table that may be written: tests/functions/test_runs.py compares them with the writes.
    if bounds.pop("ForAllValues:StringLike", None) is not None:
        bounds.setdefault("StringEquals", {})
    assert set(bounds) == {"StringEquals"}
    keys = sorted(bounds["StringEquals"])
    allowed = [[_text(value) for value in as_list(bounds["StringEquals"][key])] for key in keys]
    for resource, action in itertools.product(as_list(statement["Resource"]), as_list(statement["Action"])):
        assert "*" not in action
        for values in itertools.product(*allowed):
            yield Permission(_name(resource), action, tuple(zip(keys, values, strict=True)))


def _name(resource: Mapping[str, Any]) -> str:
    """Return the name of a resource of this stack, of an index, or of the parameter that names a resource. Each must
    name exactly one."""
    ((function, value),) = resource.items()
    if function == "Fn::GetAtt":
        name, attribute = value
        assert attribute == "Arn"
    elif function == "Fn::Sub":
        name = value.replace(".Arn}", "").removeprefix("${")
    else:
        assert function == "Ref"
        name = value
    assert "*" not in name
    return str(name)


def _text(value: Any) -> str:
    return str(value["Fn::Sub"]) if isinstance(value, dict) else str(value)


# Needed --------------------------------------------------------------------------------------------------------------


def needed(service: str, operation: str, arguments: Mapping[str, Any], config: Config) -> Sequence[Permission]:
    """Return the permissions that a call of a botocore client needs. Raises KeyError for a service or a resource that
    is not the stack's."""
    return list(_NEEDS[service](operation, arguments, config))


def _of_dynamodb(operation: str, arguments: Mapping[str, Any], config: Config) -> Iterator[Permission]:
    tables = {
        config.flows_table: "FlowsTable",
        config.records_table: "RecordsTable",
        config.enrollments_table: "EnrollmentsTable",
    }
    if operation == "TransactWriteItems":
        for item in arguments["TransactItems"]:
            ((kind, request),) = item.items()
            yield Permission(tables[request["TableName"]], f"dynamodb:{kind}Item")
    elif operation == "BatchGetItem":
        for table in arguments["RequestItems"]:
            yield Permission(tables[table], f"dynamodb:{operation}")
    elif operation == "BatchExecuteStatement":
        for statement in arguments["Statements"]:
            verb, table = statement["Statement"].split('"')[:2]
            yield Permission(tables[table], f"dynamodb:PartiQL{verb.split()[0].capitalize()}")
    elif operation == "BatchWriteItem":
        for table in arguments["RequestItems"]:
            yield Permission(tables[table], f"dynamodb:{operation}")
    else:
        index = f"/index/{arguments['IndexName']}" if "IndexName" in arguments else ""
        yield Permission(tables[arguments["TableName"]] + index, f"dynamodb:{operation}")


def _of_sqs(operation: str, arguments: Mapping[str, Any], config: Config) -> Iterator[Permission]:
    queues = {
        config.enrollments_queue_url: "EnrollmentsQueue",
        config.redeliveries_queue_url: "RedeliveriesQueue",
        config.unprocessed_queue_url: "UnprocessedEventsQueue",
    }
    yield Permission(queues[arguments["QueueUrl"]], f"sqs:{operation.removesuffix('Batch')}")


def _of_events(operation: str, arguments: Mapping[str, Any], config: Config) -> Iterator[Permission]:
    for entry in arguments["Entries"]:
        assert entry["EventBusName"] == config.event_bus_name
        where = (("events:detail-type", entry["DetailType"]), ("events:source", entry["Source"]))
        yield Permission("EventBus", f"events:{operation}", where)


_NEEDS = {"dynamodb": _of_dynamodb, "sqs": _of_sqs, "events": _of_events}


def of_the_key(permissions: set[Permission]) -> set[Permission]:
    """Return the permissions on the encryption key that users of tables and queues need."""
    services = {permission.action.partition(":")[0] for permission in permissions} & {"dynamodb", "sqs"}
    return {
        Permission("KeyArn", action, (("kms:ViaService", service + ".${AWS::Region}.${AWS::URLSuffix}"),))
        for service in services
        for action in ("kms:Decrypt", "kms:GenerateDataKey")
    }
