"""`enroll doctor`: every fault is found, and only this run's messages are removed. End to end: tests/e2e."""

import json
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from typer.testing import CliRunner

from enroll import doctor
from enroll.api import ApiError
from enroll.commands import doctor as commands
from enroll.dead_letters import queue as dead_letter_queue
from enroll.doctor import CheckResult, DeployedStack, EventCheck, Finding, check_configuration, check_update, find_stack
from enroll.main import app

ACCOUNT = "111111111111"
UNPROCESSED = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:enroll-unprocessed-events"
FUNCTIONS = ("CrmFunction", "RedeliveriesFunction")
QUEUES = {
    "EnrollmentsQueue": "enroll-enrollments.fifo",
    "EnrollmentsDeadLetterQueue": "enroll-enrollments-dead.fifo",
    "RedeliveriesQueue": "enroll-redeliveries",
    "UnprocessedEventsQueue": "enroll-unprocessed-events",
}


def arn_of(queue: str) -> str:
    return f"arn:aws:sqs:eu-west-1:{ACCOUNT}:{queue}"


def url_of(queue: str) -> str:
    return f"https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/{queue}"


class Aws:
    """A healthy stack as AWS describes it. A test changes the part that is to be wrong.

    It stands in for the clients of all services.
    """

    def __init__(self) -> None:
        self.stack: dict[str, Any] = {
            "StackId": f"arn:aws:cloudformation:eu-west-1:{ACCOUNT}:stack/enroll/1",
            "StackStatus": "UPDATE_COMPLETE",
            "Parameters": [
                {"ParameterKey": name, "ParameterValue": value}
                for name, value in {"CrmDelivery": "direct", "EventHistoryDays": "30", "AlarmTopicArn": ""}.items()
            ],
            "Outputs": [
                {"OutputKey": "EventBusName", "OutputValue": "enroll-events"},
                {"OutputKey": "EventBusArn", "OutputValue": "arn:bus"},
                {"OutputKey": "UnprocessedEventsQueueUrl", "OutputValue": url_of("enroll-unprocessed-events")},
            ],
        }
        self.resources: dict[str, list[tuple[str, str, str]]] = {
            "enroll": [
                *(("AWS::SQS::Queue", logical_id, url_of(name)) for logical_id, name in QUEUES.items()),
                *(("AWS::Lambda::Function", name, f"enroll-{name}") for name in FUNCTIONS),
                ("AWS::Lambda::EventSourceMapping", "RedeliveriesMapping", "m1"),
                ("AWS::CloudWatch::Alarm", "BusFailuresAlarm", "enroll-bus-failures"),
                ("AWS::CloudFormation::Stack", "CrmRoute", "arn:nested"),
            ],
            "arn:nested": [
                ("AWS::SQS::Queue", "Buffer", url_of("enroll-crm-buffer")),
                ("AWS::Events::Rule", "Rule", "enroll-events|enroll-crm"),
                ("AWS::CloudWatch::Alarm", "BufferAge", "enroll-crm-buffer-age"),
            ],
        }
        self.queues: dict[str, dict[str, str]] = {
            name: {"QueueArn": arn_of(name), "ApproximateNumberOfMessages": "0"}
            for name in (*QUEUES.values(), "enroll-crm-buffer")
        }
        self.redrive("enroll-enrollments.fifo", arn_of("enroll-enrollments-dead.fifo"))
        self.redrive("enroll-redeliveries", UNPROCESSED)
        self.redrive("enroll-crm-buffer", UNPROCESSED)
        allow = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
        self.queues["enroll-unprocessed-events"]["Policy"] = json.dumps({"Statement": [allow]})
        self.mappings = {"m1": self.mapping("RedeliveriesFunction", "enroll-redeliveries", 50)}
        self.unreserved = 1000
        self.reserved: dict[str, int] = {}
        self.schedule_state = "ENABLED"
        self.on_failure: dict[str, str | None] = {f"enroll-{name}": UNPROCESSED for name in FUNCTIONS}
        self.rule_state = "ENABLED"
        self.rule_dead_letters: dict[str, Any] = {"Arn": UNPROCESSED}
        self.archives: list[dict[str, Any]] = [
            {"ArchiveName": "enroll-events", "State": "ENABLED", "RetentionDays": 90}
        ]
        self.alarms: dict[str, dict[str, Any]] = {
            name: {"AlarmName": name, "ActionsEnabled": True, "StateValue": "OK", "StateReason": ""}
            for name in ("enroll-bus-failures", "enroll-crm-buffer-age")
        }

    def redrive(self, queue: str, to: str) -> None:
        self.queues[queue]["RedrivePolicy"] = json.dumps({"deadLetterTargetArn": to, "maxReceiveCount": 5})

    @staticmethod
    def mapping(function: str, queue: str, most: int) -> dict[str, Any]:
        return {
            "FunctionArn": f"arn:function:enroll-{function}",
            "EventSourceArn": arn_of(queue),
            "State": "Enabled",
            "ScalingConfig": {"MaximumConcurrency": most},
        }

    def set_parameter(self, name: str, value: str) -> None:
        self.stack["Parameters"] = [
            *(parameter for parameter in self.stack["Parameters"] if parameter["ParameterKey"] != name),
            {"ParameterKey": name, "ParameterValue": value},
        ]

    def client(self, service: str) -> "Aws":
        return self

    def opened(self) -> DeployedStack:
        found = find_stack("enroll", self.client)
        assert found is not None
        return found

    # The calls

    def describe_stacks(self, StackName: str) -> Any:
        if StackName != "enroll":
            message = f"Stack with id {StackName} does not exist"
            raise ClientError({"Error": {"Code": "ValidationError", "Message": message}}, "DescribeStacks")
        return {"Stacks": [self.stack]}

    def get_paginator(self, name: str) -> Any:
        return SimpleNamespace(paginate=getattr(self, name))

    def list_rules(self, EventBusName: str) -> Any:
        assert EventBusName == "enroll-events"
        yield {"Rules": []}
        yield {"Rules": [{"Name": "enroll-crm", "State": self.rule_state}]}

    def list_stack_resources(self, StackName: str) -> Any:
        keys = ("ResourceType", "LogicalResourceId", "PhysicalResourceId")
        for resource in self.resources[StackName]:
            yield {
                "StackResourceSummaries": [
                    dict(zip(keys, resource, strict=True)) | {"ResourceStatus": "CREATE_COMPLETE"}
                ]
            }

    def get_queue_attributes(self, QueueUrl: str, AttributeNames: list[str]) -> Any:
        return {"Attributes": self.queues[QueueUrl.rpartition("/")[2]]}

    def get_function_configuration(self, FunctionName: str) -> Any:
        urls = {f"{name.upper()}_URL": url_of(queue) for name, queue in QUEUES.items() if "Dead" not in name}
        return {
            "FunctionArn": f"arn:function:{FunctionName}",
            "Environment": {"Variables": urls | {"AWS_ENDPOINT_URL": ""}},
        }

    def get_event_source_mapping(self, UUID: str) -> Any:
        return self.mappings[UUID]

    def get_account_settings(self) -> Any:
        return {"AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": self.unreserved}}

    def get_function_concurrency(self, FunctionName: str) -> Any:
        found = self.reserved.get(FunctionName)
        return {} if found is None else {"ReservedConcurrentExecutions": found}

    def get_function_event_invoke_config(self, FunctionName: str, Qualifier: str) -> Any:
        if (destination := self.on_failure[FunctionName]) is None:
            return {"MaximumRetryAttempts": 0}
        return {"MaximumRetryAttempts": 2, "DestinationConfig": {"OnFailure": {"Destination": destination}}}

    def describe_rule(self, Name: str) -> Any:
        """Of the default bus."""
        assert Name == "enroll-Schedule-1A2B"
        return {"State": self.schedule_state}

    def list_targets_by_rule(self, Rule: str, EventBusName: str) -> Any:
        return {"Targets": [{"Id": "category", "Arn": "arn:function", "DeadLetterConfig": self.rule_dead_letters}]}

    def list_archives(self, EventSourceArn: str) -> Any:
        assert EventSourceArn == "arn:bus"
        return {"Archives": self.archives}

    def describe_alarms(self, AlarmNames: list[str], MaxRecords: int) -> Any:
        return {"MetricAlarms": [self.alarms[name] for name in AlarmNames if name in self.alarms]}


@pytest.fixture
def aws() -> Aws:
    return Aws()


def results(aws: Aws) -> dict[str, Finding]:
    return {finding.check: finding for finding in check_configuration(aws.opened())}


def test_a_healthy_stack_has_no_fault(aws: Aws) -> None:
    assert {name: result.result for name, result in results(aws).items()} == dict.fromkeys(
        doctor.CHECKS, CheckResult.OK
    )


def test_checks_that_the_local_run_does_not_support_are_reported_as_not_checked(aws: Aws) -> None:
    aws.stack["StackId"] = aws.stack["StackId"].replace(ACCOUNT, doctor.LOCAL_ACCOUNT)
    not_checked = {
        name: result.detail for name, result in results(aws).items() if result.result == CheckResult.NOT_CHECKED
    }
    assert not_checked == {
        "concurrency": "the local run has no quota of concurrent executions",
        "alarms": "the local run has no alarms",
    }


FAULTS: Mapping[str, tuple[Callable[[Aws], Any], str, str]] = {
    "a deployment was rolled back": (
        lambda aws: aws.stack.update(StackStatus="UPDATE_ROLLBACK_COMPLETE", StackStatusReason="no quota"),
        "stack",
        "got UPDATE_ROLLBACK_COMPLETE: no quota",
    ),
    "the redeliveries mapping is missing": (
        lambda aws: aws.mappings.update(m1={**aws.mappings["m1"], "EventSourceArn": "x"}),
        "queue mappings",
        "expected a mapping of the queue enroll-redeliveries to RedeliveriesFunction; got none",
    ),
    "a new account": (
        lambda aws: setattr(aws, "unreserved", 10),
        "concurrency",
        "at least 50 concurrent executions, which its queue may request; got 10",
    ),
    "a limit below what the mapping asks for": (
        lambda aws: aws.reserved.update({"enroll-RedeliveriesFunction": 5}),
        "concurrency",
        "at least 50 concurrent executions, which its queue may request; got 5",
    ),
    "a mapping is disabled": (
        lambda aws: aws.mappings["m1"].update(State="Disabled"),
        "queue mappings",
        "enroll-redeliveries: expected Enabled; got Disabled",
    ),
    "an alarm was deleted": (
        lambda aws: aws.alarms.pop("enroll-crm-buffer-age"),
        "alarms",
        "enroll-crm-buffer-age does not exist",
    ),
    "an alarm is silenced": (
        lambda aws: aws.alarms["enroll-bus-failures"].update(ActionsEnabled=False),
        "alarms",
        "has its actions disabled",
    ),
    "an alarm is ringing": (
        lambda aws: aws.alarms["enroll-bus-failures"].update(StateValue="ALARM", StateReason="3 of 5"),
        "alarms",
        "enroll-bus-failures is in ALARM: 3 of 5",
    ),
    "there are no alarms": (
        lambda aws: aws.resources.update(
            {
                name: [resource for resource in resources if "Alarm" not in resource[0]]
                for name, resources in aws.resources.items()
            }
        ),
        "alarms",
        "the stack has no alarms",
    ),
    "a queue has no dead-letter queue": (
        lambda aws: aws.queues["enroll-enrollments.fifo"].pop("RedrivePolicy"),
        "dead-letter policies",
        "queue of EnrollmentsQueue: expected the dead-letter queue",
    ),
    "a queue has another dead-letter queue": (
        lambda aws: aws.redrive("enroll-redeliveries", "arn:other"),
        "dead-letter policies",
        "queue of RedeliveriesQueue: expected",
    ),
    "the stack lacks a queue": (
        lambda aws: aws.resources.update(
            enroll=[resource for resource in aws.resources["enroll"] if resource[1] != "EnrollmentsQueue"]
        ),
        "dead-letter policies",
        "the stack has no EnrollmentsQueue. Deploy the template again",
    ),
    "a buffer has no dead-letter queue": (
        lambda aws: aws.queues["enroll-crm-buffer"].pop("RedrivePolicy"),
        "dead-letter policies",
        "queue of CrmRoute: expected",
    ),
    "a rule has no dead-letter queue": (
        lambda aws: setattr(aws, "rule_dead_letters", {}),
        "dead-letter policies",
        "rule enroll-crm: expected the dead-letter queue",
    ),
    "a rule is disabled": (
        lambda aws: setattr(aws, "rule_state", "DISABLED"),
        "dead-letter policies",
        "rule enroll-crm: expected ENABLED; got DISABLED",
    ),
    "a function has no on-failure queue": (
        lambda aws: aws.on_failure.update({"enroll-CrmFunction": "arn:other"}),
        "dead-letter policies",
        "CrmFunction: expected the on-failure queue",
    ),
    "rules may not send to the unprocessed events": (
        lambda aws: aws.queues["enroll-unprocessed-events"].pop("Policy"),
        "dead-letter policies",
        "its policy does not let events.amazonaws.com send",
    ),
    "there is no archive": (lambda aws: aws.archives.clear(), "archive", "the bus has no archive"),
    "the archive is off": (
        lambda aws: aws.archives[0].update(State="DISABLED", StateReason="by hand"),
        "archive",
        "expected ENABLED; got DISABLED: by hand",
    ),
    "events were left in a buffer": (
        lambda aws: aws.queues["enroll-crm-buffer"].update(ApproximateNumberOfMessagesNotVisible="3"),
        "buffers",
        "3 events wait in the buffer of Crm, and no function reads it. Deploy with CrmDelivery=draining",
    ),
}


@pytest.mark.parametrize(("breaks", "check", "detail"), FAULTS.values(), ids=list(FAULTS))
def test_fault_is_found_only_by_its_check(aws: Aws, breaks: Callable[[Aws], Any], check: str, detail: str) -> None:
    breaks(aws)
    found = results(aws)
    assert [name for name, finding in found.items() if finding.result == CheckResult.FAULT] == [check]
    assert detail in found[check].detail


def test_scheduled_functions_need_no_dead_letter_queue(aws: Aws) -> None:
    """Its next run does what this one did not. A schedule that is off is a fault."""
    aws.resources["enroll"] += [
        ("AWS::Lambda::Function", "UnconfirmedFunction", "enroll-Unconfirmed"),
        ("AWS::Events::Rule", "UnconfirmedFunctionSchedule", "enroll-Schedule-1A2B"),
    ]
    aws.on_failure["enroll-Unconfirmed"] = None
    assert results(aws)["dead-letter policies"].result == CheckResult.OK
    aws.schedule_state = "DISABLED"
    assert "rule enroll-Schedule-1A2B: expected ENABLED" in results(aws)["dead-letter policies"].detail


def test_every_check_has_a_fault_here() -> None:
    # "queues" reports the waiting messages, and is never a fault.
    assert {check for _, check, _ in FAULTS.values()} == doctor.CHECKS.keys() - {"queues"}


def test_events_wait_rightly_in_a_buffer_that_a_function_takes_from(aws: Aws) -> None:
    aws.queues["enroll-crm-buffer"]["ApproximateNumberOfMessages"] = "7"
    aws.resources["arn:nested"].append(("AWS::Lambda::EventSourceMapping", "Mapping", "m2"))
    aws.mappings["m2"] = aws.mapping("CrmFunction", "enroll-crm-buffer", 100)
    assert results(aws)["buffers"] == Finding("buffers", CheckResult.OK, "1 buffers, 7 events waiting")


def test_failed_read_is_a_fault_and_the_other_checks_continue(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ListArchives")

    monkeypatch.setattr(aws, "list_archives", refused)
    found = results(aws)
    assert found["archive"].result == CheckResult.FAULT
    assert "could not be checked" in found["archive"].detail
    assert "AccessDenied" in found["archive"].detail
    assert found["alarms"].result == CheckResult.OK


# Events


class Portal:
    """The HTTP API, the bus and the unprocessed-events queue, as the check of events sees them."""

    portal = doctor.PORTAL
    url = "https://api.example.com"

    def __init__(self) -> None:
        self.flows: dict[str, Any] = {}
        self.deleted: list[str] = []
        self.sent: list[dict[str, Any]] = []
        self.published = True
        self.code = "ENROLLED"
        self.reasons = {"invalid": "MISSING_FIELD", "unroutable": "UNKNOWN_CATEGORY"}
        self.messages: dict[str, str] = {"other": json.dumps({"reason": "WRONG_TYPE", "message": "x", "event": {}})}
        self.taken: list[str] = []
        self.refuse_deletion = False
        self.bus_error: dict[str, str] = {}

    def call(self, method: str, path: str, body: Any = None, query: Any = None) -> Any:
        match method, path:
            case "PUT", _:
                self.flows[body["id"]] = body
                return {**body, "updatedAt": "2040-01-01T00:00:00.500Z"}
            case "DELETE", _:
                if self.refuse_deletion:
                    raise ApiError(403, {"message": "no"})
                self.deleted.append(path)
                return {}
            case "GET", "/enrollment/v1/explain":
                flow_id = list(self.flows)[-1]
                return {
                    "results": [{"decisions": [{"flowId": flow_id, "code": self.code}, {"flowId": "x", "code": "y"}]}]
                }
        return {"results": [{"enrollmentId": "01K", "isPublished": self.published, "isAnnounced": True}]}

    def put_events(self, Entries: list[dict[str, Any]]) -> Any:
        if self.bus_error:
            return {"Entries": [{"EventId": "1"}, self.bus_error, {"EventId": "3"}]}
        self.sent = Entries
        for entry in Entries:
            detail = json.loads(entry["Detail"])
            name = detail["id"].rpartition("-")[2]
            if name in self.reasons:
                event = {"detail-type": entry["DetailType"], "detail": detail, "id": "e"}
                message = {"reason": self.reasons[name], "message": "why", "event": event}
                self.messages[name] = json.dumps(message)
        return {"Entries": [{"EventId": "1"}] * len(Entries)}

    def receive_message(self, **arguments: Any) -> Any:
        assert arguments["QueueUrl"].endswith("unprocessed-events"), "no other queue is ever received from"
        held = [name for name in self.messages if name not in self.taken]
        self.taken += held
        return {"Messages": [{"MessageId": name, "ReceiptHandle": name, "Body": self.messages[name]} for name in held]}

    def delete_message_batch(self, QueueUrl: str, Entries: list[dict[str, str]]) -> Any:
        for entry in Entries:
            del self.messages[entry["ReceiptHandle"]]
            self.taken.remove(entry["ReceiptHandle"])
        return {}

    def change_message_visibility_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> Any:
        for entry in Entries:
            assert entry["VisibilityTimeout"] == 0
            self.taken.remove(entry["ReceiptHandle"])
        return {}


@pytest.fixture
def portal(monkeypatch: pytest.MonkeyPatch) -> Portal:
    monkeypatch.setattr(doctor, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(dead_letter_queue, "WAIT_SECONDS", 0)
    return Portal()


def sent_through(aws: Aws, portal: Portal) -> dict[str, Finding]:
    stack = aws.opened()
    stack.clients.update(events=portal, sqs=portal)
    return {finding.check: finding for finding in EventCheck(stack, portal, wait_seconds=0.1).findings()}  # type: ignore[arg-type]


def test_three_events_are_processed_and_removed(aws: Aws, portal: Portal) -> None:
    found = sent_through(aws, portal)
    assert {finding.result for finding in found.values()} == {CheckResult.OK}, found
    assert list(found) == [
        "flow",
        "events sent",
        "good event",
        "decision",
        "invalid event",
        "unroutable event",
        "clean-up",
    ]
    good, invalid, unroutable = ({**entry, "Detail": json.loads(entry["Detail"])} for entry in portal.sent)
    assert "objectType" not in invalid["Detail"]
    assert unroutable["DetailType"] == doctor.UNROUTABLE_TYPE
    assert {entry["Detail"]["portalId"] for entry in (good, invalid, unroutable)} == {doctor.PORTAL}
    # Later than the flow by the clock of the API, which is ahead here.
    assert good["Detail"]["occurredAt"] == "2040-01-01T00:00:00.501Z"
    assert list(portal.messages) == ["other"], "another's message stays"
    assert portal.taken == [], "and can be received at once"
    (flow_id,) = portal.flows
    assert portal.deleted == [f"/automation/v4/flows/{flow_id}", f"/crm/v3/objects/contacts/{flow_id}"]


def test_a_run_reacts_only_to_its_own_event(aws: Aws, portal: Portal) -> None:
    """Two runs at once share the portal."""
    sent_through(aws, portal)
    sent_through(aws, portal)
    values = [
        flow["enrollmentCriteria"]["eventFilterBranches"][0]["filters"][0]["operation"]["values"]
        for flow in portal.flows.values()
    ]
    assert len(values) == 2
    assert values == [[flow_id] for flow_id in portal.flows]


@pytest.mark.parametrize(
    ("breaks", "check", "detail"),
    [
        (lambda portal: setattr(portal, "published", False), "good event", "not published within"),
        (lambda portal: setattr(portal, "code", "NOT_MATCHED"), "decision", "expected ENROLLED; got NOT_MATCHED"),
        (lambda portal: portal.reasons.update(invalid="OTHER"), "invalid event", "MISSING_FIELD; got OTHER: why"),
        (lambda portal: portal.reasons.pop("unroutable"), "unroutable event", "not in the unprocessed-events queue"),
        (
            lambda portal: setattr(portal, "bus_error", {"ErrorCode": "AccessDenied", "ErrorMessage": "no"}),
            "events sent",
            "the bus rejected the invalid event: AccessDenied no",
        ),
        (lambda portal: setattr(portal, "refuse_deletion", True), "clean-up", "remains: 403: no"),
    ],
)
def test_event_with_an_unexpected_result_is_a_fault(
    aws: Aws, portal: Portal, breaks: Callable[[Portal], Any], check: str, detail: str
) -> None:
    breaks(portal)
    found = sent_through(aws, portal)
    assert found[check].result == CheckResult.FAULT
    assert detail in found[check].detail
    assert "clean-up" in found, "what was made is removed after a fault too"


def test_without_history_the_decision_is_not_checked(aws: Aws, portal: Portal) -> None:
    aws.set_parameter("EventHistoryDays", "0")
    found = sent_through(aws, portal)
    assert found["decision"].result == CheckResult.NOT_CHECKED
    assert found["good event"].result == CheckResult.OK


def test_an_api_that_is_not_reached_is_a_fault(aws: Aws, portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://api.example.com")

    monkeypatch.setattr(portal, "call", unreachable)
    found = sent_through(aws, portal)
    assert found["flow"].result == found["clean-up"].result == CheckResult.FAULT
    assert set(found) == {"flow", "clean-up"}
    assert portal.sent == []


# Before an update


def next_deployment(aws: Aws, name: str = "enroll", **changes: str) -> dict[str, Finding]:
    return {finding.check: finding for finding in check_update(name, find_stack(name, aws.client), changes)}


@pytest.mark.parametrize(
    ("before", "after", "waiting", "fault"),
    [
        ("direct", "buffered", 0, None),
        ("direct", "draining", 0, None),
        ("draining", "buffered", 5, None),
        ("draining", "direct", 0, None),
        ("draining", "direct", 5, "5 events wait in the buffer. Keep draining until it is empty"),
        ("buffered", "draining", 5, None),
        ("buffered", "direct", 0, "Deploy CrmDelivery=draining first"),
        ("buffered", "direct", 5, "5 events wait in the buffer now"),
        ("buffered", "buffered", 5, None),
    ],
)
def test_a_change_of_delivery_is_checked_beforehand(
    aws: Aws, before: str, after: str, waiting: int, fault: str | None
) -> None:
    aws.set_parameter("CrmDelivery", before)
    aws.queues["enroll-crm-buffer"]["ApproximateNumberOfMessages"] = str(waiting)
    found = next_deployment(aws, CrmDelivery=after)["delivery"]
    assert (found.result == CheckResult.FAULT) == (fault is not None)
    assert (fault or (f"{before} to {after}" if before != after else "no change")) in found.detail


def test_a_stack_of_an_older_template_gets_its_buffers_before_it_uses_them(aws: Aws) -> None:
    aws.resources["arn:nested"] = [resource for resource in aws.resources["arn:nested"] if resource[1] != "Buffer"]
    found = next_deployment(aws, CrmDelivery="buffered")["delivery"]
    assert found.result == CheckResult.FAULT
    assert "Deploy this template first without the change" in found.detail


def test_a_parameter_that_is_not_named_keeps_its_value(aws: Aws) -> None:
    aws.set_parameter("CrmDelivery", "buffered")
    assert next_deployment(aws, LogLevel="DEBUG")["delivery"].result == CheckResult.OK


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("s" * 41, CheckResult.OK),
        ("s" * 42, CheckResult.FAULT),
        ("enroll_x", CheckResult.FAULT),
        ("1enroll", CheckResult.FAULT),
    ],
)
def test_a_stack_name_is_checked_before_the_first_deployment(aws: Aws, name: str, result: CheckResult) -> None:
    found = next_deployment(aws, name)
    assert found["stack name"].result == result
    assert found["delivery"].result == CheckResult.OK


# The command


@pytest.fixture
def shell(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setattr(commands, "client_of", aws.client)
    monkeypatch.delenv("ENROLL_STACK", raising=False)

    def run(*arguments: str, code: int = 0) -> str:
        answer = CliRunner().invoke(app, ["doctor", *arguments], env={"COLUMNS": "300"})
        assert answer.exit_code == code, answer.output
        return answer.output

    return run


def test_exit_code_reports_faults(aws: Aws, shell: Callable[..., Any]) -> None:
    assert "ok" in shell("--no-events")
    aws.archives.clear()
    assert "fault" in shell("--no-events", code=1)
    assert {finding["result"] for finding in json.loads(shell("--no-events", "--json", code=1))} == {"ok", "fault"}


def test_a_stack_that_does_not_exist_is_not_found(shell: Callable[..., Any]) -> None:
    assert "there is no stack nowhere" in shell("--stack", "nowhere", code=4)


def test_stack_of_another_application_is_rejected(aws: Aws, shell: Callable[..., Any]) -> None:
    aws.stack["Outputs"] = []
    assert "expected a stack of Enroll" in shell("--no-events", code=3)


def test_next_deployment_is_read_from_samconfig(aws: Aws, shell: Callable[..., Any], tmp_path: Any) -> None:
    aws.set_parameter("CrmDelivery", "buffered")
    file = tmp_path / "samconfig.toml"
    file.write_text(
        '[default.deploy.parameters]\nstack_name = "enroll"\n'
        'parameter_overrides = "LogLevel=INFO CrmDelivery=\\"direct\\""\n'
        f'[prod.deploy.parameters]\nstack_name = "{"p" * 42}"\nparameter_overrides = ["LogLevel=INFO"]\n'
    )
    options = ("--check-update", "--config-file", str(file))
    assert "CrmDelivery=draining first" in shell(*options, code=1)
    assert "42 characters" in shell(*options, "--config-env", "prod", "--json", code=1)
    assert "no change" in shell(*options, "--parameter", "LogLevel=INFO")
    assert "[dev.deploy.parameters]" in shell(*options, "--config-env", "dev", code=2)
    assert "expected NAME=VALUE" in shell("--check-update", "--stack", "enroll", "--parameter", "x", code=2)
