"""The checks of `enroll doctor`: of a deployed stack, of events that go through it, and of its next deployment.

Checks read. Only `EventCheck` writes, and it removes what it wrote.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from enroll.api import Api, ApiError, part
from enroll.dead_letters.queue import Message, NotDeleted, QueueScan
from enroll.stack import LONGEST_STACK_NAME, ClientOf
from enrollment.domain.values import iso, read_instant

PORTAL = "enroll-doctor"
"""The portal of the events that `enroll doctor` sends. Consumers may ignore its enrollments."""

UNROUTABLE_TYPE = "enroll_doctor.unroutable"
"""An event type whose category does not exist."""

LOCAL_ACCOUNT = "000000000000"
"""The account of the embedded AWS."""

STABLE = ("CREATE_COMPLETE", "UPDATE_COMPLETE")
DEFAULT_WAIT_SECONDS = 120.0
POLL_SECONDS = 1.0
UNPROCESSED = 2
"""The events of a run that must become unprocessed."""


class Result(StrEnum):
    OK = "ok"
    FAULT = "fault"
    NOT_CHECKED = "not checked here"


@dataclass(frozen=True)
class Finding:
    check: str
    result: Result
    detail: str


class NotChecked(Exception):
    """The check has no meaning here, or can't be made; the message says why."""


class Fault(Exception):
    """What is wrong, and what to do about it."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))


@dataclass(frozen=True)
class Resource:
    type: str
    logical_id: str
    physical_id: str
    stack: str
    """The logical id of the nested stack that has it; empty for the main stack."""


@dataclass
class DeployedStack:
    """What CloudFormation knows of the stack, and clients to look at its resources."""

    name: str
    client: ClientOf
    description: Mapping[str, Any]
    """The answer of DescribeStacks."""
    clients: dict[str, Any] = field(default_factory=dict)

    def of(self, service: str) -> Any:
        if service not in self.clients:
            self.clients[service] = self.client(service)
        return self.clients[service]

    @property
    def is_local(self) -> bool:
        return f":{LOCAL_ACCOUNT}:" in self.description["StackId"]

    @property
    def outputs(self) -> dict[str, str]:
        return {one["OutputKey"]: one["OutputValue"] for one in self.description.get("Outputs", [])}

    @property
    def parameters(self) -> dict[str, str]:
        return {one["ParameterKey"]: one["ParameterValue"] for one in self.description.get("Parameters", [])}

    @cached_property
    def resources(self) -> list[Resource]:
        """Of the stack and of its nested stacks."""
        main = list(self._list(self.name, ""))
        nested = [one for one in main if one.type == "AWS::CloudFormation::Stack"]
        return [*main, *(inner for one in nested for inner in self._list(one.physical_id, one.logical_id))]

    def _list(self, stack: str, nested_in: str) -> Iterator[Resource]:
        for page in self.of("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack):
            for one in page["StackResourceSummaries"]:
                if one["ResourceStatus"] != "DELETE_COMPLETE":
                    yield Resource(
                        one["ResourceType"], one["LogicalResourceId"], one.get("PhysicalResourceId", ""), nested_in
                    )

    def of_type(self, resource_type: str) -> list[Resource]:
        return [one for one in self.resources if one.type == resource_type]

    def queue(self, logical_id: str) -> dict[str, str]:
        """The attributes of a queue of the main stack. Raises Fault."""
        for one, attributes in self.queues.items():
            if one.logical_id == logical_id and not one.stack:
                return attributes
        raise Fault([f"the stack has no {logical_id}. Deploy the template again"])

    def queue_attributes(self, url: str) -> dict[str, str]:
        attributes: dict[str, str] = self.of("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])[
            "Attributes"
        ]
        return attributes

    @cached_property
    def queues(self) -> dict[Resource, dict[str, str]]:
        return {one: self.queue_attributes(one.physical_id) for one in self.of_type("AWS::SQS::Queue")}

    @cached_property
    def functions(self) -> dict[Resource, dict[str, Any]]:
        """Their configurations."""
        client = self.of("lambda")
        return {
            one: client.get_function_configuration(FunctionName=one.physical_id)
            for one in self.of_type("AWS::Lambda::Function")
        }

    @cached_property
    def mappings(self) -> list[dict[str, Any]]:
        client = self.of("lambda")
        return [
            client.get_event_source_mapping(UUID=one.physical_id)
            for one in self.of_type("AWS::Lambda::EventSourceMapping")
        ]

    @cached_property
    def rules_of_the_bus(self) -> dict[str, str]:
        """Their states, by name."""
        pages = self.of("events").get_paginator("list_rules").paginate(EventBusName=self.outputs["EventBusName"])
        return {rule["Name"]: rule["State"] for page in pages for rule in page["Rules"]}

    @property
    def unprocessed_arn(self) -> str:
        return self.queue("UnprocessedEventsQueue")["QueueArn"]

    @property
    def buffers(self) -> dict[str, dict[str, str]]:
        """Attributes of the buffers, by the logical id of the route: `CrmRoute`."""
        return {one.stack: attributes for one, attributes in self.queues.items() if one.logical_id == "Buffer"}


def find_stack(name: str, client: ClientOf) -> DeployedStack | None:
    """None when there is no such stack. Raises ClientError and BotoCoreError."""
    try:
        return DeployedStack(name, client, client("cloudformation").describe_stacks(StackName=name)["Stacks"][0])
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError" and "does not exist" in str(error):
            return None
        raise


# Checks of what is deployed. Each returns the detail of its row, and raises Fault and NotChecked. --------------------


def _require(faults: Sequence[str]) -> None:
    if faults:
        raise Fault(faults)


def check_status(stack: DeployedStack) -> str:
    status = str(stack.description["StackStatus"])
    if status not in STABLE:
        reason = stack.description.get("StackStatusReason", "CloudFormation gives no reason")
        raise Fault([f"expected {' or '.join(STABLE)}; got {status}: {reason}. Deploy again"])
    return status


def check_recursion(stack: DeployedStack) -> str:
    """Lambda's loop detection must not stop a function that sends to the queue that invokes it."""
    client, faults, looping = stack.of("lambda"), [], []
    arns = {
        resource.physical_id.rpartition("/")[2]: attributes["QueueArn"] for resource, attributes in stack.queues.items()
    }
    for function, configuration in stack.functions.items():
        variables = configuration.get("Environment", {}).get("Variables", {})
        sends_to = {arns.get(value.rpartition("/")[2]) for name, value in variables.items() if name.endswith("_URL")}
        takes_from = {one["EventSourceArn"] for one in _mappings_of(stack, configuration)}
        if not sends_to & takes_from:
            continue
        looping.append(function.logical_id)
        found = client.get_function_recursion_config(FunctionName=function.physical_id)["RecursiveLoop"]
        if found != "Allow":
            faults.append(
                f"{function.logical_id} sends to its own queue: expected RecursiveLoop Allow; got {found}. "
                "Lambda would drop events after some 16 hops. Deploy the template again"
            )
    _require(faults)
    if not looping:
        raise Fault(["no function that sends to its own queue was found; RedeliveriesFunction should be one"])
    return f"Allow for {', '.join(looping)}"


def check_concurrency(stack: DeployedStack) -> str:
    """A mapping that finds no execution counts as a receive, and after five the event is unprocessed."""
    if stack.is_local:
        raise NotChecked("the local run has no quota of concurrent executions")
    client, faults = stack.of("lambda"), []
    limits = client.get_account_settings()["AccountLimit"]
    for function, configuration in stack.functions.items():
        reserved = client.get_function_concurrency(FunctionName=function.physical_id).get(
            "ReservedConcurrentExecutions"
        )
        available = limits["UnreservedConcurrentExecutions"] if reserved is None else reserved
        for mapping in _mappings_of(stack, configuration):
            most = mapping.get("ScalingConfig", {}).get("MaximumConcurrency", 1)
            if most > available:
                faults.append(
                    f"{function.logical_id} may use {available} executions at once, and its queue asks for up to "
                    f"{most}: events would be given up under load. Raise the account's quota (Service Quotas, AWS "
                    "Lambda, Concurrent executions)"
                )
    _require(faults)
    return f"{limits['ConcurrentExecutions']} for the account, {limits['UnreservedConcurrentExecutions']} not reserved"


def check_mappings(stack: DeployedStack) -> str:
    _require(
        [
            f"the mapping of {one['EventSourceArn'].rpartition(':')[2]}: expected Enabled; got {one['State']}"
            for one in stack.mappings
            if one["State"] not in ("Enabled", "Enabling", "Creating", "Updating")
        ]
    )
    return f"{len(stack.mappings)} enabled"


def check_alarms(stack: DeployedStack) -> str:
    if stack.is_local:
        raise NotChecked("the local run has no alarms")
    client, expected = stack.of("cloudwatch"), [one.physical_id for one in stack.of_type("AWS::CloudWatch::Alarm")]
    if not expected:
        raise Fault(["the stack has no alarms. Deploy the template again"])
    found: dict[str, Any] = {}
    for start in range(0, len(expected), 100):
        answer = client.describe_alarms(AlarmNames=expected[start : start + 100], MaxRecords=100)
        found |= {one["AlarmName"]: one for one in answer["MetricAlarms"]}
    faults = [f"{name} does not exist" for name in expected if name not in found]
    faults += [f"{name} has its actions disabled" for name, one in found.items() if not one["ActionsEnabled"]]
    faults += [
        f"{name} is in ALARM: {one['StateReason']}" for name, one in found.items() if one["StateValue"] == "ALARM"
    ]
    _require(faults)
    topic = stack.parameters.get("AlarmTopicArn")
    return f"{len(found)}, none in ALARM" + (
        f", sent to {topic}" if topic else "; AlarmTopicArn is empty: they only show"
    )


def check_dead_letters(stack: DeployedStack) -> str:
    """Queues, rules and functions give what fails to a queue that keeps it."""
    expected = {
        "EnrollmentsQueue": stack.queue("EnrollmentsDeadLetterQueue")["QueueArn"],
        "RedeliveriesQueue": stack.unprocessed_arn,
    }
    of_queues = {**{name: stack.queue(name) for name in expected}, **stack.buffers}
    faults = []
    for name, attributes in of_queues.items():
        policy = json.loads(attributes.get("RedrivePolicy", "{}"))
        found, wanted = policy.get("deadLetterTargetArn"), expected.get(name, stack.unprocessed_arn)
        if found != wanted:
            faults.append(f"queue of {name}: expected the dead-letter queue {wanted}; got {found}")
    rules = stack.of_type("AWS::Events::Rule")
    for rule in rules:
        faults += _faults_of_rule(stack, rule.physical_id.rpartition("|")[2])
    for function in stack.functions:
        configuration = stack.of("lambda").get_function_event_invoke_config(
            FunctionName=function.physical_id, Qualifier="$LATEST"
        )
        # A function that is never retried does scheduled work, and its next run does what this one did not.
        if configuration.get("MaximumRetryAttempts") == 0:
            continue
        arn = configuration.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
        if arn != stack.unprocessed_arn:
            faults.append(f"{function.logical_id}: expected the on-failure queue {stack.unprocessed_arn}; got {arn}")
    policy = json.loads(stack.queue("UnprocessedEventsQueue").get("Policy", "{}"))
    if not any(_lets_rules_send(one) for one in policy.get("Statement", [])):
        faults.append("the unprocessed-events queue: its policy does not let events.amazonaws.com send")
    _require(faults)
    return f"{len(of_queues)} queues, {len(rules)} rules, {len(stack.functions)} functions"


def _faults_of_rule(stack: DeployedStack, name: str) -> Iterator[str]:
    """A rule of the bus has events to lose; one of the default bus is a schedule, and has none."""
    bus, events = stack.outputs["EventBusName"], stack.of("events")
    is_schedule = name not in stack.rules_of_the_bus
    state = events.describe_rule(Name=name)["State"] if is_schedule else stack.rules_of_the_bus[name]
    if state != "ENABLED":
        yield f"rule {name}: expected ENABLED; got {state}"
    if is_schedule:
        return
    for target in events.list_targets_by_rule(Rule=name, EventBusName=bus)["Targets"]:
        arn = target.get("DeadLetterConfig", {}).get("Arn")
        if arn != stack.unprocessed_arn:
            yield f"rule {name}: expected the dead-letter queue {stack.unprocessed_arn}; got {arn}"


def _lets_rules_send(statement: Mapping[str, Any]) -> bool:
    principal = statement.get("Principal")
    service = principal.get("Service") if isinstance(principal, dict) else None
    return statement.get("Effect") == "Allow" and "events.amazonaws.com" in (
        service if isinstance(service, list) else [service]
    )


def check_archive(stack: DeployedStack) -> str:
    found = stack.of("events").list_archives(EventSourceArn=stack.outputs["EventBusArn"])["Archives"]
    if not found:
        raise Fault(["the bus has no archive: events could not be replayed. Deploy the template again"])
    _require(
        [
            f"{one['ArchiveName']}: expected ENABLED; got {one['State']}: {one.get('StateReason', 'no reason')}"
            for one in found
            if one["State"] not in ("ENABLED", "CREATING", "UPDATING")
        ]
    )
    days = found[0].get("RetentionDays", 0)
    return f"{found[0]['ArchiveName']}, " + (f"{days} days" if days else "for ever")


def check_buffers(stack: DeployedStack) -> str:
    """A buffer that no function takes from must be empty."""
    faults, taken = [], {one["EventSourceArn"] for one in stack.mappings}
    waiting = 0
    for route, attributes in stack.buffers.items():
        count = _messages(attributes)
        waiting += count
        if count and attributes["QueueArn"] not in taken:
            name = route.removesuffix("Route")
            faults.append(
                f"{count} events wait in the buffer of {name}, and no function takes them. Deploy with "
                f"{name}Delivery=draining; use direct when the buffer is empty"
            )
    _require(faults)
    return f"{len(stack.buffers)} buffers, {waiting} events waiting"


def check_queues(stack: DeployedStack) -> str:
    """What waits in the stack's own queues, for information."""
    counts = {one.logical_id: _messages(attributes) for one, attributes in stack.queues.items() if not one.stack}
    return ", ".join(f"{name.removesuffix('Queue')} {count}" for name, count in counts.items())


def _messages(attributes: Mapping[str, str]) -> int:
    return sum(int(value) for name, value in attributes.items() if name.startswith("ApproximateNumberOfMessages"))


def _mappings_of(stack: DeployedStack, configuration: Mapping[str, Any]) -> list[dict[str, Any]]:
    arn = configuration["FunctionArn"]
    return [one for one in stack.mappings if one["FunctionArn"] in (arn, f"{arn}:$LATEST")]


CHECKS: Mapping[str, Callable[[DeployedStack], str]] = {
    "stack": check_status,
    "recursion": check_recursion,
    "concurrency": check_concurrency,
    "queue mappings": check_mappings,
    "dead-letter policies": check_dead_letters,
    "archive": check_archive,
    "alarms": check_alarms,
    "buffers": check_buffers,
    "queues": check_queues,
}


def check_configuration(stack: DeployedStack) -> Iterator[Finding]:
    for name, check in CHECKS.items():
        yield run(name, lambda check=check: check(stack))  # type: ignore[misc]


def run(name: str, check: Callable[[], str]) -> Finding:
    """An error of AWS or of the API is a fault: what could not be read is not known to be right."""
    try:
        return Finding(name, Result.OK, check())
    except NotChecked as reason:
        return Finding(name, Result.NOT_CHECKED, str(reason))
    except Fault as fault:
        return Finding(name, Result.FAULT, str(fault))
    except (ClientError, BotoCoreError, ApiError, NotDeleted) as error:
        return Finding(name, Result.FAULT, f"could not be checked: {error}")


# Events through the stack --------------------------------------------------------------------------------------------


class EventCheck:
    """Sends one good, one invalid and one unroutable event, and looks for what becomes of each.

    All that it makes has an id of this run. It never receives from the enrollments queue: whether the message is
    published is read from the enrollment.
    """

    def __init__(self, stack: DeployedStack, api: Api, wait_seconds: float = DEFAULT_WAIT_SECONDS) -> None:
        self._stack = stack
        self._api = api
        self._deadline_seconds = wait_seconds
        self.run_id = f"doctor-{uuid.uuid4()}"
        self._kept: dict[str, Message] = {}
        """This run's messages of the unprocessed-events queue, by event id."""
        self._sent_at: float | None = None

    def findings(self) -> Iterator[Finding]:
        flow = run("flow", self._put_flow)
        yield flow
        try:
            if flow.result == Result.OK:
                sent = run("events sent", self._send)
                yield sent
                if sent.result == Result.OK:
                    yield run("good event", self._good_event)
                    yield run("decision", self._decision)
                    yield run("invalid event", lambda: self._unprocessed("invalid", "MISSING_FIELD"))
                    yield run("unroutable event", lambda: self._unprocessed("unroutable", "UNKNOWN_CATEGORY"))
        finally:
            yield run("clean-up", self._clean_up)

    def _put_flow(self) -> str:
        operation = {"operationType": "ENUMERATION", "operator": "IS_ANY_OF", "values": [self.run_id]}
        document = {
            "id": self.run_id,
            "name": "Check by enroll doctor; consumers may ignore it",
            "type": "CONTACT_FLOW",
            "objectTypeId": "0-1",
            "isEnabled": True,
            "enrollmentCriteria": {
                "type": "EVENT_BASED",
                "shouldReEnroll": False,
                "eventFilterBranches": [
                    {
                        "filterBranchType": "UNIFIED_EVENTS",
                        "filterBranchOperator": "AND",
                        "operator": "HAS_COMPLETED",
                        "eventTypeId": "forms.submitted",
                        "filterBranches": [],
                        "filters": [{"filterType": "PROPERTY", "property": "hs_form_id", "operation": operation}],
                    }
                ],
            },
        }
        self._flow = self._api.call("PUT", f"/automation/v4/flows/{part(self.run_id)}", document)
        return f"{self.run_id} stored in portal {self._api.portal} through {self._api.url}"

    def _send(self) -> str:
        # The flow was turned on by the clock of its function, which may be ahead of this one.
        stored_at = read_instant(self._flow["updatedAt"]) or 0
        occurred_at = iso(max(time.time_ns() // 1_000_000, stored_at + 1))
        common = {"portalId": self._api.portal, "objectId": self.run_id, "occurredAt": occurred_at}
        details: dict[str, tuple[str, dict[str, Any]]] = {
            "good": (
                "forms.submitted",
                {"objectType": "contact", "properties": {"hs_form_id": self.run_id}, "record": {"properties": {}}},
            ),
            # Without the type of its object.
            "invalid": ("forms.submitted", {"properties": {}}),
            "unroutable": (UNROUTABLE_TYPE, {"objectType": "contact"}),
        }
        entries = [
            {
                "EventBusName": self._stack.outputs["EventBusName"],
                "Source": PORTAL,
                "DetailType": detail_type,
                "Detail": json.dumps({"id": self._event_id(name), **common, **detail}),
            }
            for name, (detail_type, detail) in details.items()
        ]
        answer = self._stack.of("events").put_events(Entries=entries)
        _require(
            [
                f"the bus refused the {name} event: {one['ErrorCode']} {one.get('ErrorMessage', '')}"
                for name, one in zip(details, answer["Entries"], strict=True)
                if "ErrorCode" in one
            ]
        )
        self._sent_at = time.monotonic()
        return f"{len(entries)} events"

    def _event_id(self, name: str) -> str:
        return f"{self.run_id}-{name}"

    def _good_event(self) -> str:
        path = f"/enrollment/v1/records/contacts/{part(self.run_id)}/enrollments"
        found: list[dict[str, Any]] = []

        def is_done() -> bool:
            try:
                found[:] = self._api.call("GET", path)["results"]
            except ApiError as error:
                if error.status != 404:
                    raise
            return any(one["isPublished"] and one["isAnnounced"] for one in found)

        if not self._eventually(is_done):
            what = "not published" if found else "not enrolled"
            raise Fault(
                [
                    f"{what} within {self._deadline_seconds:.0f} s. Look for {self._event_id('good')} in the log group "
                    f"/enroll/{self._stack.name}/forms"
                ]
            )
        _require([f"expected one enrollment; got {len(found)}"] if len(found) != 1 else [])
        return f"enrollment {found[0]['enrollmentId']} published and announced after {self._seconds():.1f} s"

    def _decision(self) -> str:
        if self._stack.parameters.get("EventHistoryDays") == "0":
            raise NotChecked("EventHistoryDays is 0, so that no event is kept to explain its decision")
        query = {"objectType": "contact", "objectId": self.run_id, "eventId": self._event_id("good")}
        decisions: list[str | None] = []

        def is_explained() -> bool:
            results = self._api.call("GET", "/enrollment/v1/explain", query=query)["results"]
            decisions[:] = [
                one["code"] for result in results for one in result["decisions"] if one["flowId"] == self.run_id
            ]
            return decisions == ["ENROLLED"]

        if not self._eventually(is_explained):
            raise Fault([f"expected ENROLLED; got {', '.join(map(str, decisions)) or 'no decision'}"])
        return "ENROLLED"

    def _unprocessed(self, name: str, reason: str) -> str:
        event_id = self._event_id(name)
        if not self._eventually(lambda: self._find_unprocessed(event_id)):
            raise Fault([f"not in the unprocessed-events queue within {self._deadline_seconds:.0f} s"])
        found = self._kept[event_id].unprocessed.reason
        if found != reason:
            raise Fault([f"expected the reason {reason}; got {found}: {self._kept[event_id].unprocessed.message}"])
        return f"kept as unprocessed with {found}"

    def _find_unprocessed(self, event_id: str | None = None) -> bool:
        """Removes this run's messages, and only those, from the unprocessed-events queue."""
        with QueueScan(self._stack.of("sqs"), self._stack.outputs["UnprocessedEventsQueueUrl"]) as messages:
            for message in messages:
                if self.run_id in message.body:
                    messages.delete([message])
                    self._kept[message.unprocessed.event_id or message.id] = message
                    if event_id in self._kept:
                        break
        return event_id in self._kept

    def _clean_up(self) -> str:
        faults: list[str] = []
        for what, path in (
            ("flow", f"/automation/v4/flows/{part(self.run_id)}"),
            ("record", f"/crm/v3/objects/contacts/{part(self.run_id)}"),
        ):
            try:
                self._api.call("DELETE", path)
            except ApiError as error:
                if error.status != 404:
                    faults.append(f"the {what} {self.run_id} of portal {self._api.portal} remains: {error}")
        if self._sent_at is not None and len(self._kept) < UNPROCESSED:
            self._find_unprocessed()
        if self._sent_at is not None and len(self._kept) < UNPROCESSED:
            faults.append(f"if messages of {self.run_id} become unprocessed later, discard them by their event id")
        _require(faults)
        return "flow, record and unprocessed messages removed; the enrollment and its message remain"

    def _eventually(self, is_done: Callable[[], bool]) -> bool:
        while True:
            if is_done():
                return True
            if self._seconds() > self._deadline_seconds:
                return False
            time.sleep(POLL_SECONDS)

    def _seconds(self) -> float:
        """Since the events were sent."""
        return 0.0 if self._sent_at is None else time.monotonic() - self._sent_at


# Before an update ----------------------------------------------------------------------------------------------------


def check_update(name: str, stack: DeployedStack | None, changes: Mapping[str, str]) -> Iterator[Finding]:
    """What would go wrong in a deployment with these parameters; a parameter that is not named keeps its value."""
    yield run("stack name", lambda: _stack_name(name))
    if stack is None:
        yield Finding("delivery", Result.OK, f"the stack {name} does not exist yet: nothing waits in a buffer")
        return
    yield run("delivery", lambda: _delivery(stack, changes))


def _stack_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", name) or len(name) > LONGEST_STACK_NAME:
        raise Fault(
            [
                f"expected a letter, then letters, digits and hyphens, at most {LONGEST_STACK_NAME} characters (the "
                f"archive's name is <stack>-events); got {name!r}, {len(name)} characters"
            ]
        )
    return f"{len(name)} of {LONGEST_STACK_NAME} characters"


def _delivery(stack: DeployedStack, changes: Mapping[str, str]) -> str:
    faults, changed = [], []
    for parameter, before in sorted(stack.parameters.items()):
        after = changes.get(parameter, before)
        if not parameter.endswith("Delivery") or after == before:
            continue
        changed.append(f"{parameter} {before} to {after}")
        buffer = stack.buffers.get(f"{parameter.removesuffix('Delivery')}Route")
        waiting = _messages(buffer) if buffer else 0
        if (before, after) == ("buffered", "direct"):
            faults.append(
                f"{parameter}: {waiting} events wait in the buffer now, and with direct no function takes them. Deploy "
                f"{parameter}=draining first, and direct when the buffer is empty"
            )
        elif (before, after) == ("draining", "direct") and waiting:
            faults.append(f"{parameter}: {waiting} events wait in the buffer. Keep draining until it is empty")
        elif after == "buffered" and buffer is None:
            faults.append(
                f"{parameter}: the stack has no buffer yet. The policy of a new buffer takes up to a minute to take "
                "effect, and until then events become unprocessed. Deploy this template first without the change"
            )
    _require(faults)
    return ", ".join(changed) or "no change"
