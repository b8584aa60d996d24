"""Check a deployed stack, events that pass through it, and its next deployment, for `enroll doctor`.

Checks only read. `EventCheck` also writes, and removes what it wrote.
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

from enroll.api import Api, ApiError, path_segment
from enroll.dead_letters.queue import NotDeleted, QueueMessage, QueueScan
from enroll.stack import MAX_STACK_NAME_LENGTH, ClientOf
from enrollment.domain.values import iso, read_instant

PORTAL = "enroll-doctor"
"""The portal of the events that `enroll doctor` sends. Consumers may ignore its enrollments."""

UNROUTABLE_TYPE = "enroll_doctor.unroutable"
"""An event type whose category does not exist."""

LOCAL_ACCOUNT = "000000000000"
"""The account of the embedded AWS."""

STABLE_STATUSES = ("CREATE_COMPLETE", "UPDATE_COMPLETE")
DEFAULT_WAIT_SECONDS = 120.0
POLL_SECONDS = 1.0
UNPROCESSED_EVENTS = 2
"""How many of the events of a run must become unprocessed."""

MAX_ALARMS_PER_CALL = 100
"""The limit of DescribeAlarms."""


class CheckResult(StrEnum):
    OK = "ok"
    FAULT = "fault"
    NOT_CHECKED = "not checked here"


@dataclass(frozen=True)
class Finding:
    """The result of a check, as one row of the table."""

    check: str
    result: CheckResult
    detail: str


class NotChecked(Exception):
    """The check does not apply here, or cannot be made. The message says why."""


class CheckFailed(Exception):
    """The check found faults. The message says what is wrong and what to do."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))


@dataclass(frozen=True)
class Resource:
    """A resource of the stack, or of a nested stack."""

    type: str
    logical_id: str
    physical_id: str
    nested_in: str
    """The logical ID of the nested stack, or an empty string for the main stack."""


@dataclass
class DeployedStack:
    """A deployed stack, with clients to read its resources. What was read is cached."""

    name: str
    client: ClientOf
    description: Mapping[str, Any]
    """The stack in the response of DescribeStacks."""
    clients: dict[str, Any] = field(default_factory=dict)

    def client_for(self, service: str) -> Any:
        """Return the client of a service. It is created once."""
        if service not in self.clients:
            self.clients[service] = self.client(service)
        return self.clients[service]

    @property
    def is_local(self) -> bool:
        return f":{LOCAL_ACCOUNT}:" in self.description["StackId"]

    @property
    def outputs(self) -> dict[str, str]:
        return {output["OutputKey"]: output["OutputValue"] for output in self.description.get("Outputs", [])}

    @property
    def parameters(self) -> dict[str, str]:
        return {
            parameter["ParameterKey"]: parameter["ParameterValue"]
            for parameter in self.description.get("Parameters", [])
        }

    @cached_property
    def resources(self) -> list[Resource]:
        """The resources of the stack and of its nested stacks."""
        main = list(self._list(self.name, ""))
        nested_stacks = [resource for resource in main if resource.type == "AWS::CloudFormation::Stack"]
        return [
            *main,
            *(inner for nested in nested_stacks for inner in self._list(nested.physical_id, nested.logical_id)),
        ]

    def _list(self, stack: str, nested_in: str) -> Iterator[Resource]:
        paginator = self.client_for("cloudformation").get_paginator("list_stack_resources")
        for page in paginator.paginate(StackName=stack):
            for summary in page["StackResourceSummaries"]:
                if summary["ResourceStatus"] != "DELETE_COMPLETE":
                    yield Resource(
                        summary["ResourceType"],
                        summary["LogicalResourceId"],
                        summary.get("PhysicalResourceId", ""),
                        nested_in,
                    )

    def of_type(self, resource_type: str) -> list[Resource]:
        return [resource for resource in self.resources if resource.type == resource_type]

    def queue(self, logical_id: str) -> dict[str, str]:
        """Return the attributes of a queue of the main stack. Raises CheckFailed if there is no such queue."""
        for resource, attributes in self.queues.items():
            if resource.logical_id == logical_id and not resource.nested_in:
                return attributes
        raise CheckFailed([f"the stack has no {logical_id}. Deploy the template again"])

    def queue_attributes(self, url: str) -> dict[str, str]:
        sqs = self.client_for("sqs")
        attributes: dict[str, str] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return attributes

    @cached_property
    def queues(self) -> dict[Resource, dict[str, str]]:
        """The attributes of every queue."""
        return {queue: self.queue_attributes(queue.physical_id) for queue in self.of_type("AWS::SQS::Queue")}

    @cached_property
    def functions(self) -> dict[Resource, dict[str, Any]]:
        """The configuration of every function."""
        client = self.client_for("lambda")
        return {
            function: client.get_function_configuration(FunctionName=function.physical_id)
            for function in self.of_type("AWS::Lambda::Function")
        }

    @cached_property
    def mappings(self) -> list[dict[str, Any]]:
        """The event source mappings."""
        client = self.client_for("lambda")
        return [
            client.get_event_source_mapping(UUID=mapping.physical_id)
            for mapping in self.of_type("AWS::Lambda::EventSourceMapping")
        ]

    @cached_property
    def bus_rules(self) -> dict[str, str]:
        """The state of every rule of the bus, by name."""
        pages = (
            self.client_for("events").get_paginator("list_rules").paginate(EventBusName=self.outputs["EventBusName"])
        )
        return {rule["Name"]: rule["State"] for page in pages for rule in page["Rules"]}

    @property
    def unprocessed_arn(self) -> str:
        return self.queue("UnprocessedEventsQueue")["QueueArn"]

    @property
    def buffers(self) -> dict[str, dict[str, str]]:
        """The attributes of the buffers, by the logical ID of the nested stack, for example `CrmRoute`."""
        return {
            queue.nested_in: attributes for queue, attributes in self.queues.items() if queue.logical_id == "Buffer"
        }


def find_stack(name: str, client: ClientOf) -> DeployedStack | None:
    """Return a stack, or None if it does not exist. Raises ClientError and BotoCoreError."""
    try:
        return DeployedStack(name, client, client("cloudformation").describe_stacks(StackName=name)["Stacks"][0])
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError" and "does not exist" in str(error):
            return None
        raise


# Checks of the deployed stack. Each returns the detail of its row, and raises CheckFailed and NotChecked. -------------


def _require_none(faults: Sequence[str]) -> None:
    if faults:
        raise CheckFailed(faults)


def check_status(stack: DeployedStack) -> str:
    """Check that the last deployment succeeded."""
    status = str(stack.description["StackStatus"])
    if status not in STABLE_STATUSES:
        reason = stack.description.get("StackStatusReason", "CloudFormation gives no reason")
        raise CheckFailed([f"expected {' or '.join(STABLE_STATUSES)}; got {status}: {reason}. Deploy again"])
    return status


def check_concurrency(stack: DeployedStack) -> str:
    """Check that queues do not request more executions than the account has.

    A mapping that gets no execution counts as a receive, and after five receives the event is unprocessed.
    """
    if stack.is_local:
        raise NotChecked("the local run has no quota of concurrent executions")
    client, faults = stack.client_for("lambda"), []
    limits = client.get_account_settings()["AccountLimit"]
    for function, configuration in stack.functions.items():
        reserved = client.get_function_concurrency(FunctionName=function.physical_id).get(
            "ReservedConcurrentExecutions"
        )
        available = limits["UnreservedConcurrentExecutions"] if reserved is None else reserved
        for mapping in _mappings_of(stack, configuration):
            needed = mapping.get("ScalingConfig", {}).get("MaximumConcurrency", 1)
            if needed > available:
                faults.append(
                    f"{function.logical_id}: expected at least {needed} concurrent executions, which its queue may "
                    f"request; got {available}. Events would become unprocessed under load. Raise the account's quota "
                    "(Service Quotas, AWS Lambda, Concurrent executions)"
                )
    _require_none(faults)
    return f"{limits['ConcurrentExecutions']} for the account, {limits['UnreservedConcurrentExecutions']} not reserved"


def check_mappings(stack: DeployedStack) -> str:
    """Check that the redeliveries queue has a mapping, and that every event source mapping is enabled."""
    faults = [
        f"the mapping of {mapping['EventSourceArn'].rpartition(':')[2]}: expected Enabled; got {mapping['State']}"
        for mapping in stack.mappings
        if mapping["State"] not in ("Enabled", "Enabling", "Creating", "Updating")
    ]
    redeliveries = stack.queue("RedeliveriesQueue")["QueueArn"]
    if redeliveries not in {mapping["EventSourceArn"] for mapping in stack.mappings}:
        faults.append(
            f"expected a mapping of the queue {redeliveries.rpartition(':')[2]} to RedeliveriesFunction; got none. "
            "Deploy the template again"
        )
    _require_none(faults)
    return f"{len(stack.mappings)} enabled"


def check_alarms(stack: DeployedStack) -> str:
    """Check that every alarm exists, has its actions enabled, and is not in ALARM."""
    if stack.is_local:
        raise NotChecked("the local run has no alarms")
    client = stack.client_for("cloudwatch")
    names = [resource.physical_id for resource in stack.of_type("AWS::CloudWatch::Alarm")]
    if not names:
        raise CheckFailed(["the stack has no alarms. Deploy the template again"])
    alarms: dict[str, Any] = {}
    for start in range(0, len(names), MAX_ALARMS_PER_CALL):
        response = client.describe_alarms(
            AlarmNames=names[start : start + MAX_ALARMS_PER_CALL], MaxRecords=MAX_ALARMS_PER_CALL
        )
        alarms |= {alarm["AlarmName"]: alarm for alarm in response["MetricAlarms"]}
    faults = [f"{name} does not exist" for name in names if name not in alarms]
    faults += [f"{name} has its actions disabled" for name, alarm in alarms.items() if not alarm["ActionsEnabled"]]
    faults += [
        f"{name} is in ALARM: {alarm['StateReason']}"
        for name, alarm in alarms.items()
        if alarm["StateValue"] == "ALARM"
    ]
    _require_none(faults)
    topic = stack.parameters.get("AlarmTopicArn")
    return f"{len(alarms)}, none in ALARM" + (
        f", published to {topic}" if topic else "; AlarmTopicArn is empty, so no alarm is published"
    )


def check_dead_letters(stack: DeployedStack) -> str:
    """Check that queues, rules and functions send failed messages and events to the right dead-letter queue."""
    dead_letter_arns = {
        "EnrollmentsQueue": stack.queue("EnrollmentsDeadLetterQueue")["QueueArn"],
        "RedeliveriesQueue": stack.unprocessed_arn,
    }
    queues = {**{name: stack.queue(name) for name in dead_letter_arns}, **stack.buffers}
    rules = stack.of_type("AWS::Events::Rule")
    faults: list[str] = []
    for name, attributes in queues.items():
        expected = dead_letter_arns.get(name, stack.unprocessed_arn)
        arn = json.loads(attributes.get("RedrivePolicy", "{}")).get("deadLetterTargetArn")
        if arn != expected:
            faults.append(f"queue of {name}: expected the dead-letter queue {expected}; got {arn}")
    for rule in rules:
        faults += _rule_faults(stack, rule.physical_id.rpartition("|")[2])
    for function in stack.functions:
        faults += _on_failure_faults(stack, function)
    policy = json.loads(stack.queue("UnprocessedEventsQueue").get("Policy", "{}"))
    if not any(_allows_rules_to_send(statement) for statement in policy.get("Statement", [])):
        faults.append("the unprocessed-events queue: its policy does not let events.amazonaws.com send")
    _require_none(faults)
    return f"{len(queues)} queues, {len(rules)} rules, {len(stack.functions)} functions"


def _on_failure_faults(stack: DeployedStack, function: Resource) -> Iterator[str]:
    configuration = stack.client_for("lambda").get_function_event_invoke_config(
        FunctionName=function.physical_id, Qualifier="$LATEST"
    )
    # A function that is never retried does scheduled work: its next run makes up for a failed run.
    if configuration.get("MaximumRetryAttempts") == 0:
        return
    arn = configuration.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
    if arn != stack.unprocessed_arn:
        yield f"{function.logical_id}: expected the on-failure queue {stack.unprocessed_arn}; got {arn}"


def _rule_faults(stack: DeployedStack, name: str) -> Iterator[str]:
    """Yield the faults of a rule. A rule of the default bus is a schedule, and needs no dead-letter queue."""
    bus, events = stack.outputs["EventBusName"], stack.client_for("events")
    is_schedule = name not in stack.bus_rules
    state = events.describe_rule(Name=name)["State"] if is_schedule else stack.bus_rules[name]
    if state != "ENABLED":
        yield f"rule {name}: expected ENABLED; got {state}"
    if is_schedule:
        return
    for target in events.list_targets_by_rule(Rule=name, EventBusName=bus)["Targets"]:
        arn = target.get("DeadLetterConfig", {}).get("Arn")
        if arn != stack.unprocessed_arn:
            yield f"rule {name}: expected the dead-letter queue {stack.unprocessed_arn}; got {arn}"


def _allows_rules_to_send(statement: Mapping[str, Any]) -> bool:
    principal = statement.get("Principal")
    service = principal.get("Service") if isinstance(principal, dict) else None
    return statement.get("Effect") == "Allow" and "events.amazonaws.com" in (
        service if isinstance(service, list) else [service]
    )


def check_archive(stack: DeployedStack) -> str:
    """Check that the bus has an archive that records events."""
    archives = stack.client_for("events").list_archives(EventSourceArn=stack.outputs["EventBusArn"])["Archives"]
    if not archives:
        raise CheckFailed(["the bus has no archive, so events cannot be replayed. Deploy the template again"])
    _require_none(
        [
            f"{archive['ArchiveName']}: expected ENABLED; got {archive['State']}: "
            f"{archive.get('StateReason', 'no reason')}"
            for archive in archives
            if archive["State"] not in ("ENABLED", "CREATING", "UPDATING")
        ]
    )
    days = archives[0].get("RetentionDays", 0)
    return f"{archives[0]['ArchiveName']}, " + (f"{days} days" if days else "without expiry")


def check_buffers(stack: DeployedStack) -> str:
    """Check that every buffer is empty or has a function that reads it."""
    faults, read_arns = [], {mapping["EventSourceArn"] for mapping in stack.mappings}
    total = 0
    for route, attributes in stack.buffers.items():
        count = _message_count(attributes)
        total += count
        if count and attributes["QueueArn"] not in read_arns:
            category = route.removesuffix("Route")
            faults.append(
                f"{count} events wait in the buffer of {category}, and no function reads it. Deploy with "
                f"{category}Delivery=draining, and with direct when the buffer is empty"
            )
    _require_none(faults)
    return f"{len(stack.buffers)} buffers, {total} events waiting"


def check_queues(stack: DeployedStack) -> str:
    """Report the number of messages in the queues of the main stack. This check does not fail."""
    counts = {
        queue.logical_id: _message_count(attributes)
        for queue, attributes in stack.queues.items()
        if not queue.nested_in
    }
    return ", ".join(f"{name.removesuffix('Queue')} {count}" for name, count in counts.items())


def _message_count(attributes: Mapping[str, str]) -> int:
    return sum(int(value) for name, value in attributes.items() if name.startswith("ApproximateNumberOfMessages"))


def _mappings_of(stack: DeployedStack, configuration: Mapping[str, Any]) -> list[dict[str, Any]]:
    arn = configuration["FunctionArn"]
    return [mapping for mapping in stack.mappings if mapping["FunctionArn"] in (arn, f"{arn}:$LATEST")]


CHECKS: Mapping[str, Callable[[DeployedStack], str]] = {
    "stack": check_status,
    "concurrency": check_concurrency,
    "queue mappings": check_mappings,
    "dead-letter policies": check_dead_letters,
    "archive": check_archive,
    "alarms": check_alarms,
    "buffers": check_buffers,
    "queues": check_queues,
}


def check_configuration(stack: DeployedStack) -> Iterator[Finding]:
    """Run every check of the deployed stack."""
    for name, check in CHECKS.items():
        yield run(name, lambda check=check: check(stack))  # type: ignore[misc]


def run(name: str, check: Callable[[], str]) -> Finding:
    """Run a check. An error of AWS or of the API is a fault, because the state is then unknown."""
    try:
        return Finding(name, CheckResult.OK, check())
    except NotChecked as reason:
        return Finding(name, CheckResult.NOT_CHECKED, str(reason))
    except CheckFailed as failure:
        return Finding(name, CheckResult.FAULT, str(failure))
    except (ClientError, BotoCoreError, ApiError, NotDeleted) as error:
        return Finding(name, CheckResult.FAULT, f"could not be checked: {error}")


# Events through the stack --------------------------------------------------------------------------------------------


class EventCheck:
    """Send a good, an invalid and an unroutable event, and check the outcome of each.

    Everything that the check creates has the ID of the run. It never receives from the enrollments queue: the
    enrollment says whether its message is published.
    """

    def __init__(self, stack: DeployedStack, api: Api, wait_seconds: float = DEFAULT_WAIT_SECONDS) -> None:
        self._stack = stack
        self._api = api
        self._deadline_seconds = wait_seconds
        self.run_id = f"doctor-{uuid.uuid4()}"
        self._unprocessed: dict[str, QueueMessage] = {}
        """The messages of this run in the unprocessed-events queue, by event ID."""
        self._sent_at: float | None = None

    def findings(self) -> Iterator[Finding]:
        """Run the checks in order. What the run created is removed at the end, even after a fault."""
        flow = run("flow", self._put_flow)
        yield flow
        try:
            if flow.result == CheckResult.OK:
                sent = run("events sent", self._send)
                yield sent
                if sent.result == CheckResult.OK:
                    yield run("good event", self._check_good_event)
                    yield run("decision", self._check_decision)
                    yield run("invalid event", lambda: self._check_unprocessed("invalid", "MISSING_FIELD"))
                    yield run("unroutable event", lambda: self._check_unprocessed("unroutable", "UNKNOWN_CATEGORY"))
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
        self._flow = self._api.call("PUT", f"/automation/v4/flows/{path_segment(self.run_id)}", document)
        return f"{self.run_id} stored in portal {self._api.portal} through {self._api.url}"

    def _send(self) -> str:
        # The flow was turned on by the clock of the API, which may be ahead of this clock.
        stored_at = read_instant(self._flow["updatedAt"]) or 0
        occurred_at = iso(max(time.time_ns() // 1_000_000, stored_at + 1))
        common = {"portalId": self._api.portal, "objectId": self.run_id, "occurredAt": occurred_at}
        details: dict[str, tuple[str, dict[str, Any]]] = {
            "good": (
                "forms.submitted",
                {"objectType": "contact", "properties": {"hs_form_id": self.run_id}, "record": {"properties": {}}},
            ),
            # This event lacks its object type.
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
        response = self._stack.client_for("events").put_events(Entries=entries)
        _require_none(
            [
                f"the bus rejected the {name} event: {entry['ErrorCode']} {entry.get('ErrorMessage', '')}"
                for name, entry in zip(details, response["Entries"], strict=True)
                if "ErrorCode" in entry
            ]
        )
        self._sent_at = time.monotonic()
        return f"{len(entries)} events"

    def _event_id(self, name: str) -> str:
        return f"{self.run_id}-{name}"

    def _check_good_event(self) -> str:
        path = f"/enrollment/v1/records/contacts/{path_segment(self.run_id)}/enrollments"
        enrollments: list[dict[str, Any]] = []

        def is_done() -> bool:
            try:
                enrollments[:] = self._api.call("GET", path)["results"]
            except ApiError as error:
                if error.status != 404:
                    raise
            return any(enrollment["isPublished"] and enrollment["isAnnounced"] for enrollment in enrollments)

        if not self._eventually(is_done):
            outcome = "not published" if enrollments else "not enrolled"
            raise CheckFailed(
                [
                    f"{outcome} within {self._deadline_seconds:.0f} s. Search for {self._event_id('good')} in the log "
                    f"group /enroll/{self._stack.name}/forms"
                ]
            )
        _require_none([f"expected one enrollment; got {len(enrollments)}"] if len(enrollments) != 1 else [])
        return (
            f"enrollment {enrollments[0]['enrollmentId']} published and announced after {self._elapsed_seconds():.1f} s"
        )

    def _check_decision(self) -> str:
        if self._stack.parameters.get("EventHistoryDays") == "0":
            raise NotChecked("EventHistoryDays is 0, so no event is kept from which a decision can be explained")
        query = {"objectType": "contact", "objectId": self.run_id, "eventId": self._event_id("good")}
        decisions: list[str | None] = []

        def is_explained() -> bool:
            results = self._api.call("GET", "/enrollment/v1/explain", query=query)["results"]
            decisions[:] = [
                decision["code"]
                for result in results
                for decision in result["decisions"]
                if decision["flowId"] == self.run_id
            ]
            return decisions == ["ENROLLED"]

        if not self._eventually(is_explained):
            raise CheckFailed([f"expected ENROLLED; got {', '.join(map(str, decisions)) or 'no decision'}"])
        return "ENROLLED"

    def _check_unprocessed(self, name: str, expected_reason: str) -> str:
        event_id = self._event_id(name)
        if not self._eventually(lambda: self._take_unprocessed(event_id)):
            raise CheckFailed([f"not in the unprocessed-events queue within {self._deadline_seconds:.0f} s"])
        event = self._unprocessed[event_id].unprocessed
        if event.reason != expected_reason:
            raise CheckFailed([f"expected the reason {expected_reason}; got {event.reason}: {event.message}"])
        return f"kept as unprocessed with {event.reason}"

    def _take_unprocessed(self, event_id: str | None = None) -> bool:
        """Remove the messages of this run, and no others, from the unprocessed-events queue.

        Returns whether the message of ``event_id`` was removed now or before.
        """
        url = self._stack.outputs["UnprocessedEventsQueueUrl"]
        with QueueScan(self._stack.client_for("sqs"), url) as scan:
            for message in scan:
                if self.run_id in message.body:
                    scan.delete([message])
                    self._unprocessed[message.unprocessed.event_id or message.id] = message
                    if event_id in self._unprocessed:
                        break
        return event_id in self._unprocessed

    def _clean_up(self) -> str:
        faults: list[str] = []
        for kind, path in (
            ("flow", f"/automation/v4/flows/{path_segment(self.run_id)}"),
            ("record", f"/crm/v3/objects/contacts/{path_segment(self.run_id)}"),
        ):
            try:
                self._api.call("DELETE", path)
            except ApiError as error:
                if error.status != 404:
                    faults.append(f"the {kind} {self.run_id} of portal {self._api.portal} remains: {error}")
        if self._sent_at is not None and len(self._unprocessed) < UNPROCESSED_EVENTS:
            self._take_unprocessed()
        if self._sent_at is not None and len(self._unprocessed) < UNPROCESSED_EVENTS:
            faults.append(f"if messages of {self.run_id} become unprocessed later, discard them by their event ID")
        _require_none(faults)
        return "flow, record and unprocessed messages removed; the enrollment and its message remain"

    def _eventually(self, is_done: Callable[[], bool]) -> bool:
        while True:
            if is_done():
                return True
            if self._elapsed_seconds() > self._deadline_seconds:
                return False
            time.sleep(POLL_SECONDS)

    def _elapsed_seconds(self) -> float:
        """Return the time since the events were sent."""
        return 0.0 if self._sent_at is None else time.monotonic() - self._sent_at


# Before an update ----------------------------------------------------------------------------------------------------


def check_update(name: str, stack: DeployedStack | None, changes: Mapping[str, str]) -> Iterator[Finding]:
    """Check a deployment with these parameters before it is made. Parameters that are not in it keep their value."""
    yield run("stack name", lambda: _check_stack_name(name))
    if stack is None:
        yield Finding("delivery", CheckResult.OK, f"the stack {name} does not exist yet, so no event waits in a buffer")
        return
    yield run("delivery", lambda: _check_delivery(stack, changes))


def _check_stack_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", name) or len(name) > MAX_STACK_NAME_LENGTH:
        raise CheckFailed(
            [
                f"expected a letter, then letters, digits and hyphens, at most {MAX_STACK_NAME_LENGTH} characters (the "
                f"archive's name is <stack>-events); got {name!r}, {len(name)} characters"
            ]
        )
    return f"{len(name)} of {MAX_STACK_NAME_LENGTH} characters"


def _check_delivery(stack: DeployedStack, changes: Mapping[str, str]) -> str:
    faults, changed = [], []
    for parameter, before in sorted(stack.parameters.items()):
        after = changes.get(parameter, before)
        if not parameter.endswith("Delivery") or after == before:
            continue
        changed.append(f"{parameter} {before} to {after}")
        buffer = stack.buffers.get(f"{parameter.removesuffix('Delivery')}Route")
        waiting = _message_count(buffer) if buffer else 0
        if (before, after) == ("buffered", "direct"):
            faults.append(
                f"{parameter}: {waiting} events wait in the buffer now, and with direct no function reads it. Deploy "
                f"{parameter}=draining first, and direct when the buffer is empty"
            )
        elif (before, after) == ("draining", "direct") and waiting:
            faults.append(f"{parameter}: {waiting} events wait in the buffer. Keep draining until it is empty")
        elif after == "buffered" and buffer is None:
            faults.append(
                f"{parameter}: the stack has no buffer yet. The policy of a new buffer needs up to a minute to take "
                "effect, and events become unprocessed until then. Deploy this template first without the change"
            )
    _require_none(faults)
    return ", ".join(changed) or "no change"
