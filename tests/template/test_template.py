"""template.yaml compared with the code that it deploys."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from enrollment.adapters import aws_clients as clients
from enrollment.catalog import CATEGORIES, EVENT_TYPES
from enrollment.config import MAX_SQS_BYTES, NAMES, SQS_BYTES
from enrollment.domain.events.event import OWN_SOURCE
from templates.write_categories import BLOCKS, function_files, with_categories
from tests.support.aws import aws
from tests.support.template import (
    DEFAULTS,
    FUNCTIONS,
    RESOURCES,
    ROOT,
    ROUTE,
    TEMPLATE,
    as_list,
    logical,
    of_type,
    values_of,
)

OWN_KEY = {"Fn::If": ["UsesKey", {"Ref": "KeyArn"}, {"Ref": "AWS::NoValue"}]}
UNPROCESSED = {"Fn::GetAtt": ["UnprocessedEventsQueue", "Arn"]}
PATTERN = {"detail-type": [{"prefix": {"Fn::Sub": "${Category}."}}]}
RULE_ARN = {
    "Fn::Sub": "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:rule/${EventBusName}/${Name}",
}
OUTPUTS = {
    "ApiUrl",
    "EventBusName",
    "EventBusArn",
    "EventArchiveName",
    "EnrollmentsQueueUrl",
    "EnrollmentsQueueArn",
    "EnrollmentsDeadLetterQueueUrl",
    "EnrollmentsDeadLetterQueueArn",
    "RedeliveriesQueueUrl",
    "UnprocessedEventsQueueUrl",
    "UnprocessedEventsQueueArn",
    "RedriveRoleArn",
    "FlowsTableName",
    "RecordsTableName",
    "EnrollmentsTableName",
}
TABLES = {"FlowsTable": "flows_table", "RecordsTable": "records_table", "EnrollmentsTable": "enrollments_table"}


def route(category: str) -> dict[str, Any]:
    """Return the category's arguments for the template of its route."""
    properties = RESOURCES[logical(category, "Route")]["Properties"]
    assert properties["TemplateURL"] == "templates/routes/category.yaml"
    parameters: dict[str, Any] = properties["Parameters"]
    return parameters


# Categories


def test_the_template_has_the_blocks_of_every_category() -> None:
    committed = (ROOT / "template.yaml").read_text(encoding="utf-8")
    assert with_categories(committed) == committed, (
        "template.yaml does not have the blocks of every category of enrollment.catalog.CATEGORIES: run "
        "`make categories`. To change a block, edit templates/write_categories.py"
    )
    names = set(re.findall(r"# <categories ([a-z-]+)>", committed))
    assert names == {*BLOCKS, "dashboard"}, "template.yaml: a block of templates/write_categories.py is not used"


@pytest.mark.parametrize(("path", "code"), function_files().items(), ids=[*CATEGORIES])
def test_every_category_has_its_function(path: Path, code: str) -> None:
    committed = path.read_text(encoding="utf-8") if path.exists() else None
    assert committed == code, f"{path.relative_to(ROOT)}: run `make categories`"


# Functions and rules


def test_every_function_of_the_template_has_a_folder() -> None:
    folders = {path.parent.name for path in (ROOT / "functions").glob("*/app.py")}
    assert folders == {*CATEGORIES, "redeliveries", "unconfirmed", "timers", "runs", "api"}, (
        "functions/: expected a folder for each category of enrollment.catalog.CATEGORIES (run `make categories`), "
        "redeliveries, unconfirmed, timers, runs and api, and no other"
    )
    assert {logical_id: function["CodeUri"] for logical_id, function in FUNCTIONS.items()} == {
        logical(name, "Function"): f"functions/{name}" for name in folders
    }


@pytest.mark.parametrize("category", CATEGORIES)
def test_events_of_a_category_are_routed_to_its_function(category: str) -> None:
    assert set(route(category)) == set(ROUTE["Parameters"])
    assert route(category) == {
        "Name": {"Fn::Sub": f"${{AWS::StackName}}-{category}"},
        "Category": category,
        "Delivery": {"Ref": logical(category, "Delivery")},
        "Concurrency": {"Ref": logical(category, "Concurrency")},
        "FunctionArn": {"Fn::GetAtt": [logical(category, "Function"), "Arn"]},
        "FunctionRole": {"Ref": logical(category, "FunctionRole")},
        "EventBusName": {"Ref": "EventBus"},
        "UnprocessedEventsQueueArn": UNPROCESSED,
        "RecordsTableArn": {"Fn::GetAtt": ["RecordsTable", "Arn"]},
        "EnrollmentsTableArn": {"Fn::GetAtt": ["EnrollmentsTable", "Arn"]},
        "KeyArn": {"Ref": "KeyArn"},
        "AlarmTopicArn": {"Ref": "AlarmTopicArn"},
    }
    ways = ROUTE["Parameters"]["Delivery"]["AllowedValues"]
    expected = {"Type": "String", "Default": "direct", "AllowedValues": ways}
    assert TEMPLATE["Parameters"][logical(category, "Delivery")] == expected


def test_rule_has_one_target_with_a_dead_letter_queue() -> None:
    ((name, rule),) = of_type("AWS::Events::Rule", ROUTE).items()
    assert rule["EventBusName"] == {"Ref": "EventBusName"}
    assert rule["EventPattern"] == PATTERN
    (target,) = rule["Targets"]
    assert target["Arn"] == {"Fn::If": ["IsBuffered", {"Fn::GetAtt": ["Buffer", "Arn"]}, {"Ref": "FunctionArn"}]}
    assert target["DeadLetterConfig"] == {"Arn": {"Ref": "UnprocessedEventsQueueArn"}}
    # Who may be sent to is settled before it is sent to.
    assert ROUTE["Resources"][name]["DependsOn"] == ["InvokePermission", "BufferPolicy"]


def test_each_route_may_invoke_its_function() -> None:
    (permission,) = of_type("AWS::Lambda::Permission", ROUTE).values()
    assert permission == {
        "Action": "lambda:InvokeFunction",
        "FunctionName": {"Ref": "FunctionArn"},
        "Principal": "events.amazonaws.com",
        "SourceArn": RULE_ARN,
    }


def test_events_without_a_category_go_to_the_unprocessed_events_queue() -> None:
    assert set(of_type("AWS::Events::Rule")) == {"UnroutedEventsRule"}
    unrouted = RESOURCES["UnroutedEventsRule"]["Properties"]
    ((excluded,),) = (pattern.values() for pattern in unrouted["EventPattern"]["detail-type"])
    assert unrouted["EventBusName"] == {"Ref": "EventBus"}
    assert set(unrouted["EventPattern"]) == {"detail-type"}
    assert sorted(excluded["prefix"]) == sorted(f"{category}." for category in CATEGORIES)
    assert [target["Arn"] for target in unrouted["Targets"]] == [UNPROCESSED]


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_event_type_is_routed_to_one_function(event_type: str) -> None:
    ((pattern,),) = (of_pattern for of_pattern in PATTERN.values())
    takers = [
        category
        for category in CATEGORIES
        if event_type.startswith(pattern["prefix"]["Fn::Sub"].replace("${Category}", route(category)["Category"]))
    ]
    assert takers == [EVENT_TYPES[event_type].name.split(".")[0]]
    assert event_type in {known.name for known in CATEGORIES[takers[0]].event_types}


def test_functions_differ_only_in_their_name() -> None:
    def without_name(category: str) -> str:
        text = json.dumps(RESOURCES[logical(category, "Function")], sort_keys=True)
        for name in ("{}LogGroup", "Reserves{}", "{}Concurrency"):
            text = text.replace(f'"{name.format(logical(category, ""))}"', f'"{name.format("<Category>")}"')
        text = text.replace(f'"functions/{category}"', '"functions/<category>"')
        return text.replace(f'"Enrolls by {category} events"', '"Enrolls by <category> events"')

    assert len({without_name(category) for category in CATEGORIES}) == 1


@pytest.mark.parametrize("category", CATEGORIES)
def test_category_reserves_concurrency_if_the_parameter_is_set(category: str) -> None:
    parameter, condition = logical(category, "Concurrency"), f"Reserves{logical(category, '')}"
    assert TEMPLATE["Parameters"][parameter] == {"Type": "Number", "Default": 0, "MinValue": 0, "MaxValue": 1000}
    assert TEMPLATE["Conditions"][condition] == {"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, 0]}]}
    assert FUNCTIONS[logical(category, "Function")]["ReservedConcurrentExecutions"] == {
        "Fn::If": [condition, {"Ref": parameter}, {"Ref": "AWS::NoValue"}]
    }


def test_functions_use_the_global_defaults() -> None:
    assert DEFAULTS["Runtime"] == "python3.13"
    assert DEFAULTS["Architectures"] == ["arm64"]
    assert DEFAULTS["Handler"] == "app.handler"
    assert DEFAULTS["Tracing"] == {"Ref": "Tracing"}
    assert DEFAULTS["EventInvokeConfig"]["MaximumRetryAttempts"] == 2
    assert DEFAULTS["Layers"] == [{"Ref": "DependenciesLayer"}, {"Ref": "EnrollmentLayer"}]


def test_tracing_is_not_imported_if_it_is_off() -> None:
    assert TEMPLATE["Parameters"]["Tracing"]["Default"] == "PassThrough"
    assert TEMPLATE["Conditions"]["Traces"] == {"Fn::Equals": [{"Ref": "Tracing"}, "Active"]}
    disabled = DEFAULTS["Environment"]["Variables"]["POWERTOOLS_TRACE_DISABLED"]
    assert disabled == {"Fn::If": ["Traces", "false", "true"]}


def test_functions_get_the_environment_that_they_read() -> None:
    names = set(DEFAULTS["Environment"]["Variables"])
    powertools = {name for name in names if name.startswith("POWERTOOLS_")}
    own_names = {*NAMES, "HISTORY_LENGTH", "EVENT_HISTORY_DAYS", "FIND_EVENTS_BY_ID", "DECIDED_ONE_BY_ONE"}
    own_names.add("UNPROCESSED_MESSAGE_BYTES")
    assert names - powertools == {*own_names, "AWS_ENDPOINT_URL"}
    assert DEFAULTS["Environment"]["Variables"]["AWS_ENDPOINT_URL"] == ""
    assert powertools >= {"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_LOG_LEVEL"}


def test_the_size_of_an_unprocessed_message_is_set_in_one_place() -> None:
    """The function cuts an event at the size that the queue accepts."""
    parameter = {"Ref": "UnprocessedMessageBytes"}
    assert DEFAULTS["Environment"]["Variables"]["UNPROCESSED_MESSAGE_BYTES"] == parameter
    assert TEMPLATE["Resources"]["UnprocessedEventsQueue"]["Properties"]["MaximumMessageSize"] == parameter
    sizes = TEMPLATE["Parameters"]["UnprocessedMessageBytes"]
    assert (sizes["MinValue"], sizes["MaxValue"]) == (SQS_BYTES, MAX_SQS_BYTES)


def test_metrics_have_the_stack_name_as_their_service() -> None:
    assert DEFAULTS["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == {"Ref": "AWS::StackName"}


@pytest.mark.parametrize("category", [*CATEGORIES, "api"])
def test_a_function_logs_to_a_group_with_retention(category: str) -> None:
    group = logical(category, "LogGroup")
    assert FUNCTIONS[logical(category, "Function")]["LoggingConfig"] == {"LogGroup": {"Ref": group}}
    assert RESOURCES[group]["Type"] == "AWS::Logs::LogGroup"
    assert RESOURCES[group]["Properties"] == {
        "LogGroupName": {"Fn::Sub": f"/enroll/${{AWS::StackName}}/{category}"},
        "RetentionInDays": {"Ref": "LogRetentionDays"},
        "KmsKeyId": OWN_KEY,
    }


# Nothing is lost


def test_failed_events_go_to_the_unprocessed_events_queue() -> None:
    dead_letters = list(values_of(RESOURCES, "DeadLetterConfig"))
    of_the_bus = {"Fn::If": ["UsesKey", {"Arn": UNPROCESSED}, {"Ref": "AWS::NoValue"}]}
    assert dead_letters == [of_the_bus, {"Arn": UNPROCESSED}]
    assert list(values_of(ROUTE, "DeadLetterConfig")) == [{"Arn": {"Ref": "UnprocessedEventsQueueArn"}}]
    assert list(values_of(TEMPLATE, "OnFailure")) == [{"Type": "SQS", "Destination": UNPROCESSED}]


def test_the_rules_of_this_bus_may_send_to_the_unprocessed_events() -> None:
    policy = RESOURCES["UnprocessedEventsQueuePolicy"]["Properties"]
    assert policy["Queues"] == [{"Ref": "UnprocessedEventsQueue"}]
    (allowed,) = (statement for statement in policy["PolicyDocument"]["Statement"] if statement["Effect"] == "Allow")
    arn = "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:rule/${EventBus}/*"
    assert allowed == {
        "Sid": "RulesOfThisBus",
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": UNPROCESSED,
        "Condition": {"ArnLike": {"aws:SourceArn": [{"Fn::Sub": arn}, {"Fn::GetAtt": ["EventBus", "Arn"]}]}},
    }


# Tables


def test_tables_are_those_of_the_adapters() -> None:
    assert set(of_type("AWS::DynamoDB::Table")) == set(TABLES)


@pytest.mark.parametrize("table", TABLES)
def test_table_is_retained_restorable_and_encrypted(table: str) -> None:
    """Kept when the stack is deleted, and removed when its first deployment fails."""
    resource = RESOURCES[table]
    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    properties = resource["Properties"]
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties["SSESpecification"] == {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": OWN_KEY}


def test_a_table_has_the_keys_and_indexes_with_which_the_adapters_are_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    with aws(monkeypatch) as config:
        client = clients.dynamodb(clients.open_session())
        described = {
            table: client.describe_table(TableName=getattr(config, field))["Table"] for table, field in TABLES.items()
        }
    for table, made in described.items():
        properties = RESOURCES[table]["Properties"]
        assert properties["KeySchema"] == made["KeySchema"]
        assert _by_name(properties["AttributeDefinitions"], "AttributeName") == _by_name(
            made["AttributeDefinitions"], "AttributeName"
        )
        for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
            said = ("IndexName", "KeySchema", "Projection")
            indexes = [{name: index[name] for name in said} for index in made.get(kind, [])]
            assert _by_name(properties.get(kind, []), "IndexName") == _by_name(indexes, "IndexName")


def _by_name(descriptions: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return sorted(descriptions, key=lambda item: item[name])


# The HTTP API


def test_no_route_is_open() -> None:
    ((name, route),) = of_type("AWS::ApiGatewayV2::Route").items()
    assert route["RouteKey"] == "ANY /{proxy+}"
    assert route["AuthorizationType"] == {"Fn::If": ["UsesTokens", "JWT", "AWS_IAM"]}
    assert route["AuthorizerId"] == {"Fn::If": ["UsesTokens", {"Ref": "ApiAuthorizer"}, {"Ref": "AWS::NoValue"}]}
    assert "Condition" not in RESOURCES[name]
    assert RESOURCES["ApiAuthorizer"]["Condition"] == "UsesTokens"
    assert TEMPLATE["Conditions"]["UsesTokens"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "OidcIssuer"}, ""]}]}
    assert TEMPLATE["Parameters"]["OidcIssuer"]["Default"] == ""
    authorizer = RESOURCES["ApiAuthorizer"]["Properties"]
    assert authorizer["AuthorizerType"] == "JWT"
    assert authorizer["JwtConfiguration"] == {"Issuer": {"Ref": "OidcIssuer"}, "Audience": {"Ref": "OidcAudience"}}
    assert "Events" not in FUNCTIONS["ApiFunction"]
    assert not of_type("AWS::Lambda::Url")


def test_the_api_is_throttled_and_its_requests_are_logged() -> None:
    (stage,) = of_type("AWS::ApiGatewayV2::Stage").values()
    settings = stage["DefaultRouteSettings"]
    assert settings["ThrottlingRateLimit"] == {"Ref": "ApiRequestsPerSecond"}
    assert settings["ThrottlingBurstLimit"] == {"Ref": "ApiBurst"}
    json.loads(stage["AccessLogSettings"]["Format"])


def test_only_api_gateway_may_invoke_the_api_function() -> None:
    (permission,) = of_type("AWS::Lambda::Permission").values()
    assert permission["Principal"] == "apigateway.amazonaws.com"
    assert permission["SourceArn"]["Fn::Sub"].endswith(":${Api}/*")


# Retention


@pytest.mark.parametrize("table", TABLES)
def test_items_expire_but_never_an_enrollment(table: str) -> None:
    """Retired flows, ordered replays and their counts, waiting events and the history have a time to go."""
    found = RESOURCES[table]["Properties"].get("TimeToLiveSpecification")
    assert found == (None if table == "EnrollmentsTable" else {"AttributeName": "expiresAt", "Enabled": True})


# Queues


def test_enrollments_of_a_record_are_in_order_and_records_in_parallel() -> None:
    queue = RESOURCES["EnrollmentsQueue"]["Properties"]
    assert queue["FifoQueue"] is True
    assert queue["QueueName"] == {"Fn::Sub": "${AWS::StackName}-enrollments.fifo"}
    assert queue["DeduplicationScope"] == "messageGroup"
    assert queue["FifoThroughputLimit"] == "perMessageGroupId"


def test_stored_data_is_encrypted_with_the_key_of_the_parameter() -> None:
    """Not only tables and queues: every log group, the bus and its archive."""
    assert TEMPLATE["Conditions"]["UsesKey"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "KeyArn"}, ""]}]}
    assert TEMPLATE["Parameters"]["KeyArn"]["Default"] == ""
    assert {name for name, group in of_type("AWS::Logs::LogGroup").items() if group["KmsKeyId"] != OWN_KEY} == set()
    for resource in ("EventBus", "EventArchive"):
        assert RESOURCES[resource]["Properties"]["KmsKeyIdentifier"] == OWN_KEY


def test_bus_accepts_no_events_of_other_accounts() -> None:
    """Its policy only denies: it takes events of this account's principals only, of each by its permissions."""
    assert {policy["Statement"]["Effect"] for policy in of_type("AWS::Events::EventBusPolicy").values()} == {"Deny"}


def test_only_the_stack_may_put_events_of_its_own_source() -> None:
    """None of its functions may be missing: it could announce nothing."""
    (policy,) = of_type("AWS::Events::EventBusPolicy").values()
    statement = {**policy["Statement"], "Condition": dict(policy["Statement"]["Condition"])}
    roles = statement["Condition"].pop("ArnNotEquals")["aws:PrincipalArn"]
    assert policy["EventBusName"] == {"Ref": "EventBus"}
    assert statement == {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "events:PutEvents",
        "Resource": {"Fn::GetAtt": ["EventBus", "Arn"]},
        # Of several events in one call each counts.
        "Condition": {"ForAnyValue:StringEquals": {"events:source": OWN_SOURCE}},
    }
    # The timer sends messages only, so it puts no event.
    expected = [*(f"{name}Role" for name in FUNCTIONS if name != "TimersFunction"), "RedriveRole"]
    assert sorted(role["Fn::GetAtt"][0] for role in roles) == sorted(expected)
    # An event bus' policy has at most 10,240 bytes; an ARN of a role has at most 32 + 64 characters.
    assert len(json.dumps(statement)) + 100 * len(roles) < 5_000


def test_redrive_role_may_only_put_the_stacks_events_on_the_bus() -> None:
    (role,) = of_type("AWS::IAM::Role").values()
    (policy,) = role["Policies"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Allow", "events:PutEvents")
    assert statement["Resource"] == {"Fn::GetAtt": ["EventBus", "Arn"]}
    assert statement["Condition"] == {"StringEquals": {"events:source": OWN_SOURCE}}
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}}


def test_unconsumed_enrollments_go_to_a_dead_letter_queue() -> None:
    redrive = RESOURCES["EnrollmentsQueue"]["Properties"]["RedrivePolicy"]
    assert redrive["deadLetterTargetArn"] == {"Fn::GetAtt": ["EnrollmentsDeadLetterQueue", "Arn"]}
    assert redrive["maxReceiveCount"] > 1
    # SQS takes a FIFO queue only, as the dead-letter queue of one.
    assert RESOURCES["EnrollmentsDeadLetterQueue"]["Properties"]["FifoQueue"] is True


def test_visibility_of_enrollments_is_a_parameter_within_the_limits_of_sqs() -> None:
    assert RESOURCES["EnrollmentsQueue"]["Properties"]["VisibilityTimeout"] == {"Ref": "EnrollmentVisibilitySeconds"}
    parameter = TEMPLATE["Parameters"]["EnrollmentVisibilitySeconds"]
    # 0 would show a message to all receivers at once. SQS allows at most 12 hours.
    assert (parameter["MinValue"], parameter["Default"], parameter["MaxValue"]) == (1, 60, 12 * 60 * 60)


@pytest.mark.parametrize(
    ("name", "logical_id"),
    [
        ("enrollments-queue", "EnrollmentsQueue"),
        ("enrollments-dead-letter-queue", "EnrollmentsDeadLetterQueue"),
    ],
)
def test_consumers_find_a_queue_by_outputs_and_by_ssm_parameters(name: str, logical_id: str) -> None:
    for suffix, value in (("Url", {"Ref": logical_id}), ("Arn", {"Fn::GetAtt": [logical_id, "Arn"]})):
        assert TEMPLATE["Outputs"][f"{logical_id}{suffix}"]["Value"] == value
        parameter = RESOURCES[f"{logical_id}{suffix}Parameter"]
        assert parameter["Type"] == "AWS::SSM::Parameter"
        assert parameter["Properties"]["Name"] == {"Fn::Sub": f"/enroll/${{AWS::StackName}}/{name}-{suffix.lower()}"}
        assert parameter["Properties"]["Value"] == value


def test_unprocessed_events_queue_is_not_fifo() -> None:
    # Rules and functions' destinations send without a message group.
    assert "FifoQueue" not in RESOURCES["UnprocessedEventsQueue"]["Properties"]


QUEUES = of_type("AWS::SQS::Queue") | of_type("AWS::SQS::Queue", ROUTE)


def test_queues_are_encrypted_and_retain_messages_for_14_days() -> None:
    assert set(QUEUES) == {
        "EnrollmentsQueue",
        "EnrollmentsDeadLetterQueue",
        "RedeliveriesQueue",
        "UnprocessedEventsQueue",
        "Buffer",
    }
    for queue in QUEUES.values():
        assert queue["SqsManagedSseEnabled"] == {"Fn::If": ["UsesKey", {"Ref": "AWS::NoValue"}, True]}
        assert queue["KmsMasterKeyId"] == OWN_KEY
        assert queue["MessageRetentionPeriod"] == 14 * 24 * 60 * 60


def test_queues_require_encrypted_transport() -> None:
    refused = [
        resource
        for template in (TEMPLATE, ROUTE)
        for policy in of_type("AWS::SQS::QueuePolicy", template).values()
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny"
        and statement["Principal"] == "*"
        and statement["Action"] == "sqs:*"
        and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        for resource in as_list(statement["Resource"])
    ]
    assert sorted(target["Fn::GetAtt"][0] for target in refused) == sorted(QUEUES)


def test_redeliveries_mapping_reports_failures_per_message() -> None:
    queue = RESOURCES["RedeliveriesQueue"]["Properties"]
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == UNPROCESSED
    assert queue["VisibilityTimeout"] == 6 * DEFAULTS["Timeout"]
    assert RESOURCES["RedeliveriesMapping"]["Properties"] == {
        "EventSourceArn": {"Fn::GetAtt": ["RedeliveriesQueue", "Arn"]},
        "FunctionName": {"Ref": "RedeliveriesFunction"},
        "BatchSize": 10,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ScalingConfig": {"MaximumConcurrency": 50},
    }


# Buffers


def test_the_buffer_its_policy_and_its_alarm_exist_with_every_delivery() -> None:
    """`buffered` must not wait for a new policy, and `direct` must not delete a queue that has events."""
    assert ROUTE["Conditions"]["TakesFromBuffer"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "Delivery"}, "direct"]}]}
    assert ROUTE["Conditions"]["IsBuffered"] == {"Fn::Equals": [{"Ref": "Delivery"}, "buffered"]}
    conditions = {name: resource.get("Condition") for name, resource in ROUTE["Resources"].items()}
    assert conditions == {
        "Rule": None,
        "InvokePermission": None,
        "Buffer": None,
        "BufferPolicy": None,
        "BufferAge": None,
        "TakeBatches": "TakesFromBuffer",
        "Mapping": "TakesFromBuffer",
    }


def test_a_buffer_is_fair_to_portals() -> None:
    (target,) = ROUTE["Resources"]["Rule"]["Properties"]["Targets"]
    by_portal = {"MessageGroupId": "$.detail.portalId"}
    assert target["SqsParameters"] == {"Fn::If": ["IsBuffered", by_portal, {"Ref": "AWS::NoValue"}]}
    assert "FifoQueue" not in ROUTE["Resources"]["Buffer"]["Properties"]


def test_buffer_mapping_reports_failures_per_message() -> None:
    queue = ROUTE["Resources"]["Buffer"]["Properties"]
    assert queue["RedrivePolicy"] == {"deadLetterTargetArn": {"Ref": "UnprocessedEventsQueueArn"}, "maxReceiveCount": 5}
    assert queue["VisibilityTimeout"] == 6 * DEFAULTS["Timeout"]
    assert ROUTE["Resources"]["Mapping"]["DependsOn"] == "TakeBatches"
    assert ROUTE["Resources"]["Mapping"]["Properties"] == {
        "EventSourceArn": {"Fn::GetAtt": ["Buffer", "Arn"]},
        "FunctionName": {"Ref": "FunctionArn"},
        "BatchSize": 10,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        # A mapping takes no limit of 1.
        "ScalingConfig": {
            "Fn::If": [
                "IsSingle",
                {"Ref": "AWS::NoValue"},
                {"MaximumConcurrency": {"Fn::If": ["IsLimited", {"Ref": "Concurrency"}, 100]}},
            ]
        },
    }


def test_only_its_rule_may_send_to_a_buffer() -> None:
    policy = ROUTE["Resources"]["BufferPolicy"]["Properties"]
    assert policy["Queues"] == [{"Ref": "Buffer"}]
    (allowed,) = (statement for statement in policy["PolicyDocument"]["Statement"] if statement["Effect"] == "Allow")
    assert allowed == {
        "Sid": "TheRule",
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": {"Fn::GetAtt": ["Buffer", "Arn"]},
        "Condition": {"ArnEquals": {"aws:SourceArn": RULE_ARN}},
    }
    assert ROUTE["Resources"]["Rule"]["Properties"]["Name"] == {"Ref": "Name"}


# Those who use the template


def test_outputs_are_those_that_the_command_line_reads() -> None:
    assert set(TEMPLATE["Outputs"]) == OUTPUTS
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "cli").rglob("*.py"))
    asked_for = set(re.findall(r'outputs\["(\w+)"\]', code))
    assert asked_for
    assert asked_for <= OUTPUTS


@pytest.mark.parametrize(("name", "stack"), [("default", "enroll"), ("dev", "enroll-dev"), ("prod", "enroll-prod")])
def test_each_environment_has_its_own_stack(name: str, stack: str) -> None:
    settings = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
    assert set(settings) == {"version", "default", "dev", "prod"}
    deploy = settings[name]["deploy"]["parameters"]
    assert deploy["stack_name"] == stack
    assert deploy["capabilities"] == "CAPABILITY_IAM"
    assert deploy["resolve_s3"] is True
    assert deploy["fail_on_empty_changeset"] is False
    assert deploy.get("confirm_changeset", False) is (name == "prod")
    chosen = dict(part.split("=") for part in deploy["parameter_overrides"].split())
    assert {"LogLevel", "LogRetentionDays", "ArchiveRetentionDays"} <= set(chosen) <= set(TEMPLATE["Parameters"])
    for parameter, value in chosen.items():
        allowed = TEMPLATE["Parameters"][parameter].get("AllowedValues")
        assert not allowed or value in map(str, allowed), f"{parameter}={value}"


def test_reason_of_an_unrouted_event_has_no_text_of_the_event() -> None:
    """EventBridge refuses a template with a placeholder that it does not know, and escapes nothing inside a text."""
    (target,) = RESOURCES["UnroutedEventsRule"]["Properties"]["Targets"]
    transformer = target["InputTransformer"]
    assert "InputPathsMap" not in transformer
    text = transformer["InputTemplate"]
    assert re.findall(r"<[^>]*>", text) == ["<aws.events.event.json>"]
    kept = json.loads(text.replace("<aws.events.event.json>", '{"detail-type": "x"}'))
    assert set(kept) == {"reason", "field", "message", "event"}
    assert kept["reason"] == "UNKNOWN_CATEGORY"
