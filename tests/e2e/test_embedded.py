"""The system over HTTP: bus, rules, Lambda, DynamoDB and SQS in the embedded AWS, with the commands of README.md."""

import json
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from enroll.api import Api, ApiError
from enroll.commands import replay as replaying
from enroll.dead_letters import queue as dead_letter_queue
from enroll.dead_letters.queue import QueueScan
from enroll.main import app
from enrollment.application.unconfirmed_enrollments import UNCONFIRMED_AFTER_MS
from enrollment.config import NAMES
from enrollment.domain.enrollment.enrollments import Enrollment, TriggerEvent
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record
from enrollment.domain.values import iso
from enrollment.entrypoints import bootstrap
from tests.support.embedded import ENROLL, ROOT, Embedded, start
from tests.support.emulated import free_port
from tests.support.scenario import event, flow
from tests.support.template import DEFAULTS

pytestmark = [pytest.mark.verify, pytest.mark.xdist_group("embedded")]

OTHER_ADDRESS = "127.0.0.2"
"""Stands for the address of a container bridge."""


@pytest.fixture(scope="module")
def embedded() -> Iterator[Embedded]:
    ports = (free_port(), free_port(), free_port())
    buffered = ("--parameter", "AdsDelivery=buffered", "--parameter", "AdsConcurrency=4")
    options = ("--retry-delay", "0.2", "--retry-delay", "0.2", "--bind", OTHER_ADDRESS)
    process = start("--no-demo", *options, *buffered, ports=ports)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if "Ctrl-C" in line:
                break
        assert process.poll() is None, "the embedded AWS did not start"
        # Read its output. Otherwise the process would block when the pipe is full.
        Thread(target=process.stdout.read, daemon=True).start()
        yield Embedded(*ports)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@pytest.fixture
def shell(embedded: Embedded, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that runs a command of `enroll` against the local run and returns its JSON output."""
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{embedded.port}",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "ENROLL_API": embedded.api_url,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(replaying, "QUIET_SECONDS", 3.0)
    monkeypatch.setattr(replaying, "POLL_SECONDS", 0.3)
    monkeypatch.setattr(dead_letter_queue, "WAIT_SECONDS", 0)

    def run(*arguments: str) -> Any:
        result = CliRunner().invoke(app, [*arguments, "--json"])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return run


def test_demonstration_prints_its_defined_results() -> None:
    process = start("--once", ports=(free_port(), free_port(), free_port()))
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    assert "Exactly the enrollments that the demonstration defines." in output
    assert not set(output) & set("│┃━"), "tables in a pipe have no boxes"


def test_result_of_the_demonstration_is_json() -> None:
    process = start("--once", "--json", ports=(free_port(), free_port(), free_port()))
    # Stderr, which has the lines for people, is part of this output.
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    result = json.loads(output[output.index("{\n") :])
    assert result["differences"] == []
    assert result["decisions"]["ENROLLED"] == result["enrollments"] > 0
    assert set(result) == {"eventsSent", "enrollments", "decisions", "differences"}


def test_consumers_find_the_queues_in_ssm_parameters(embedded: Embedded) -> None:
    found = embedded.client("ssm").get_parameters_by_path(Path="/enroll/enroll")["Parameters"]
    assert {parameter["Name"]: parameter["Value"] for parameter in found} == {
        "/enroll/enroll/enrollments-queue-url": embedded.outputs["EnrollmentsQueueUrl"],
        "/enroll/enroll/enrollments-queue-arn": embedded.outputs["EnrollmentsQueueArn"],
        "/enroll/enroll/enrollments-dead-letter-queue-url": embedded.outputs["EnrollmentsDeadLetterQueueUrl"],
        "/enroll/enroll/enrollments-dead-letter-queue-arn": embedded.outputs["EnrollmentsDeadLetterQueueArn"],
    }


def test_simultaneous_events_and_duplicates_enroll_exactly_once(embedded: Embedded) -> None:
    embedded.put_flow("once", id=1, event="forms.submitted")
    embedded.put_flow("once", id=2, event="forms.submitted", re_enroll=True)
    events = [
        event({"forms.submitted": str(record), "id": f"{record}-{number % 4}", "portal": "once", "record": {}})
        for number in range(12)
        for record in range(15)
    ]

    embedded.send(*events)

    messages = [
        message for message in embedded.receive("EnrollmentsQueueUrl", 15 + 60) if message["portalId"] == "once"
    ]
    assert Counter(message["flowId"] for message in messages) == {"1": 15, "2": 60}
    assert len({message["idempotencyKey"] for message in messages}) == 75
    assert len({message["objectId"] for message in messages if message["flowId"] == "1"}) == 15


def test_burst_of_one_portal_does_not_delay_another_portal(embedded: Embedded) -> None:
    """Ads events are delivered through a buffer here."""
    for portal in ("flood", "quiet"):
        embedded.put_flow(portal, id=1, event="ads.interaction", re_enroll=True)

    def clicked(portal: str, number: int) -> dict[str, Any]:
        return event({"ads.interaction": f"{number % 200}", "id": f"{portal}-{number}", "portal": portal, "record": {}})

    flood = [clicked("flood", number) for number in range(500)]
    embedded.send(*flood, {"source": "acme", "detail-type": "ads.interaction", "detail": {"portalId": "flood"}})
    embedded.send(clicked("quiet", 0))

    messages = embedded.receive("EnrollmentsQueueUrl", len(flood) + 1)
    entered = sorted(
        (message["enrolledAt"], message["portalId"], message["trigger"]["eventId"]) for message in messages
    )
    assert Counter(event_id for _, _, event_id in entered) == {
        envelope["detail"]["id"]: 1 for envelope in [*flood, clicked("quiet", 0)]
    }
    before = [portal for _, portal, _ in entered].index("quiet")
    assert before < len(flood) / 2, "events of the flood that were enrolled before the other portal's"
    (kept,) = embedded.receive("UnprocessedEventsQueueUrl", 1)
    assert (kept["reason"], kept["field"]) == ("MISSING_FIELD", "detail.objectType")


def test_changes_through_the_api_enroll(embedded: Embedded) -> None:
    """Write flows, create and change records, and read enrollments over HTTP only."""
    api = Api(embedded.api_url, "api")
    for number, fields in enumerate(
        (
            {"event": "crm.object_created"},
            {"event": "crm.property_changed", "where": [["hs_name", "IS_ANY_OF", ["city"]]]},
            {"lists": [["IN_LIST", "42"]]},
        ),
        1,
    ):
        document = flow({"id": number, **fields})
        assert api.call("PUT", f"/automation/v4/flows/{number}", document)["revisionId"] == "1"

    created = api.call("POST", "/crm/v3/objects/contacts", {"properties": {"city": "Cork"}})
    api.call("PATCH", f"/crm/v3/objects/contacts/{created['id']}", {"properties": {"city": "Bray", "age": 3}})
    api.call("PUT", "/crm/v3/lists/42/memberships/add", [created["id"]])

    messages = [message for message in embedded.receive("EnrollmentsQueueUrl", 3) if message["portalId"] == "api"]
    assert Counter((message["flowId"], message["objectId"]) for message in messages) == {
        (flow_id, created["id"]): 1 for flow_id in ("1", "2", "3")
    }
    listed = list(api.pages(f"/enrollment/v1/records/contacts/{created['id']}/enrollments", {"limit": "2"}))
    assert {message["enrollmentId"] for message in listed} == {message["enrollmentId"] for message in messages}
    assert all(enrollment["isPublished"] and enrollment["isAnnounced"] for enrollment in listed)
    enrollment = listed[0]
    assert api.call("GET", f"/enrollment/v1/enrollments/{enrollment['enrollmentId']}") == enrollment
    assert enrollment in list(api.pages(f"/enrollment/v1/flows/{enrollment['flowId']}/enrollments"))

    api.call("DELETE", f"/crm/v3/objects/contacts/{created['id']}")
    with pytest.raises(ApiError, match="404"):
        api.call("GET", f"/crm/v3/objects/contacts/{created['id']}")


def test_criteria_over_lists_and_associated_records(embedded: Embedded) -> None:
    api = Api(embedded.api_url, "criteria")
    size = {"operationType": "NUMBER", "operator": "IS_GREATER_THAN", "value": 10}
    company = {
        "filterBranchType": "ASSOCIATION",
        "objectTypeId": "0-2",
        "associationCategory": "HUBSPOT_DEFINED",
        "associationTypeId": 279,
        "operator": "IN_LIST",
        "filterBranches": [],
        "filters": [{"filterType": "PROPERTY", "property": "size", "operation": size}],
    }
    document = flow({"id": 1, "event": "forms.submitted"})
    document["enrollmentCriteria"]["refinementCriteria"] = {
        "filterBranchType": "AND",
        "filters": [{"filterType": "IN_LIST", "operator": "IN_LIST", "listId": "42"}],
        "filterBranches": [company],
    }
    api.call("PUT", "/automation/v4/flows/1", {**document, "suppressionListIds": [7]})
    people, firms = ["ada", "ben", "cid", "dan"], [("big", 50), ("small", 5)]
    inputs = [{"id": contact_id, "properties": {}} for contact_id in people]
    api.call("POST", "/crm/v3/objects/contacts/batch/upsert", {"inputs": inputs})
    inputs = [{"id": name, "properties": {"size": number}} for name, number in firms]
    api.call("POST", "/crm/v3/objects/companies/batch/upsert", {"inputs": inputs})
    for person, firm in (("ada", "big"), ("ben", "small"), ("cid", "big"), ("dan", "big")):
        api.call("PUT", f"/crm/v4/objects/contacts/{person}/associations/default/companies/{firm}")
    api.call("PUT", "/crm/v3/lists/42/memberships/add", ["ada", "ben", "dan"])
    api.call("PUT", "/crm/v3/lists/7/memberships/add", ["dan"])

    occurred = iso(bootstrap.now())
    embedded.send(
        *(
            event({"forms.submitted": contact_id, "id": contact_id, "portal": "criteria", "at": occurred})
            for contact_id in people
        )
    )
    messages = [message for message in embedded.receive("EnrollmentsQueueUrl", 1) if message["portalId"] == "criteria"]
    assert [message["objectId"] for message in messages] == ["ada"]
    tested = {
        contact_id: api.call("POST", "/enrollment/v1/flows/1/test", {"objectId": contact_id})["passed"]
        for contact_id in people
    }
    assert tested == {"ada": True, "ben": False, "cid": False, "dan": False}


def test_event_waits_for_its_late_change(embedded: Embedded) -> None:
    """Through the redeliveries queue and its event source mapping, which also deliver enrollments that a rate limit
    delays."""
    embedded.put_flow("late", id=1, event="forms.submitted", criteria=[["city", "IS_EQUAL_TO", "Cork"]], tolerance=0.1)
    embedded.put_flow("late", id=2, event="calls.ended", limit={"count": 1, "period": "SECOND"}, re_enroll=True)
    at = bootstrap.now()
    fields = {"portal": "late", "at": at}
    for record in ("changes", "stays"):
        embedded.send(event({"forms.submitted": record, "id": record, "record": {"city": "Bray"}, **fields}))
    embedded.send(*(event({"calls.ended": "calls", "id": f"c{n}", "record": {}, **fields}) for n in range(3)))
    changes = {"hs_name": "city", "hs_value": "Cork"}
    change = {"crm.property_changed": "changes", "id": "moved", "portal": "late", "at": at + 1, "properties": changes}
    time.sleep(1)
    embedded.send(event(change))

    found = embedded.receive("EnrollmentsQueueUrl", 4, quiet=8)

    entered = sorted((message["flowId"], message["objectId"], message["trigger"]["eventId"]) for message in found)
    assert entered == [("1", "changes", "changes"), *(("2", "calls", f"c{n}") for n in range(3))]
    key = RecordKey("late", "0-1", "stays")
    assert all(not waiting.flows for waiting in embedded.stores.deferred_events.of(key, 10))
    assert embedded.stores.enrollments.of_record(key, 10) == []


def test_scheduled_function_publishes_unconfirmed_enrollments(embedded: Embedded) -> None:
    """The period of the rule is too long for a test, so the test invokes the function as the rule does."""
    claimed_at = bootstrap.now() - UNCONFIRMED_AFTER_MS - 1_000
    key = RecordKey("left", "0-1", "101")
    cause = TriggerEvent(0, "forms.submitted", None, "e1", claimed_at, "acme", {"hs_form_id": "f-1"})
    left = Enrollment("01LEFT", key, "1", "Left", "1", "left/1/0-1/101", False, cause, claimed_at)
    delayed = replace(left, id="01DELAYED", flow_id="2", idempotency_key="left/2/0-1/101")
    assert embedded.stores.enrollments.claim(left, chain=("7",))
    assert embedded.stores.enrollments.claim(delayed, claimed_at + 3_600_000)
    embedded.put_flow("left", id=3, event="workflows.enrolled", where=[["hs_flow_id", "IS_ANY_OF", ["1"]]])
    embedded.stores.records.save(Record(key, 0))

    rules = [rule for rule in embedded.client("events").list_rules()["Rules"] if "ScheduleExpression" in rule]
    expressions = {rule["ScheduleExpression"]: rule for rule in rules if rule["State"] == "ENABLED"}
    assert set(expressions) == {"rate(1 minute)", "rate(5 minutes)"}
    rule = expressions["rate(5 minutes)"]
    (target,) = embedded.client("events").list_targets_by_rule(Rule=rule["Name"])["Targets"]
    embedded.client("lambda").invoke(
        FunctionName=target["Arn"],
        InvocationType="Event",
        Payload=json.dumps({"detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}),
    )

    found = embedded.receive("EnrollmentsQueueUrl", 2)
    assert found[0]["enrollmentId"] == "01LEFT"
    assert [message["flowId"] for message in found] == ["1", "3"]
    stored = {item.enrollment.flow_id: item for item in embedded.stores.enrollments.of_record(key, 9)}
    assert [stored[flow_id].is_confirmed for flow_id in "123"] == [True, False, True]
    assert stored["3"].chain == ("7", "1")


def test_api_rejects_other_host_names(embedded: Embedded) -> None:
    request = urllib.request.Request(f"{embedded.api_url}/docs", headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request, timeout=10)
    with urllib.request.urlopen(f"{embedded.api_url}/docs", timeout=30) as page:
        assert "SwaggerUIBundle" in page.read().decode()


def test_enrollment_in_a_flow_triggers_another_flow(embedded: Embedded) -> None:
    embedded.put_flow("chain", id=1, event="forms.submitted")
    embedded.put_flow("chain", id=2, event="workflows.enrolled", re_enroll=True)

    embedded.send(event({"forms.submitted": "1", "id": "e", "portal": "chain", "record": {}}))

    messages = [message for message in embedded.receive("EnrollmentsQueueUrl", 2) if message["portalId"] == "chain"]
    # Flow 2 is not enrolled by its own enrollment, because the event's chain contains it.
    assert [message["flowId"] for message in messages] == ["1", "2"]
    assert messages[1]["trigger"]["eventId"] == messages[0]["enrollmentId"]


def test_invalid_event_is_stored_unprocessed_with_its_reason(embedded: Embedded) -> None:
    invalid = event({"forms.submitted": "1", "id": "i", "portal": "x" * 65})
    unknown = {**event({"forms.submitted": "1", "id": "u"}), "detail-type": "forms.vanished"}
    unrouted = {**event({"forms.submitted": "1", "id": "r"}), "detail-type": "weather.changed"}

    embedded.send(invalid, unknown, unrouted)

    kept = {message["reason"]: message for message in embedded.receive("UnprocessedEventsQueueUrl", 3)}
    assert set(kept) == {"WRONG_LENGTH", "UNKNOWN_EVENT_TYPE", "UNKNOWN_CATEGORY"}
    assert kept["WRONG_LENGTH"]["event"]["detail"] == invalid["detail"]
    assert kept["UNKNOWN_EVENT_TYPE"]["event"]["detail"] == unknown["detail"]
    assert kept["UNKNOWN_CATEGORY"]["event"]["detail"] == unrouted["detail"]


def test_failed_event_is_stored_unprocessed_and_redriven(embedded: Embedded, shell: Callable[..., Any]) -> None:
    sqs = embedded.client("sqs")
    embedded.put_flow("fails", id=1, event="calls.ended")
    envelope = event({"calls.ended": "1", "id": "f", "portal": "fails", "record": {}})
    attributes = sqs.get_queue_attributes(QueueUrl=embedded.outputs["EnrollmentsQueueUrl"], AttributeNames=["All"])
    sqs.delete_queue(QueueUrl=embedded.outputs["EnrollmentsQueueUrl"])
    try:
        embedded.send(envelope)
        deadline = time.monotonic() + 60
        found: list[dict[str, Any]] = []
        while not found and time.monotonic() < deadline:
            with QueueScan(sqs, embedded.outputs["UnprocessedEventsQueueUrl"]) as messages:
                found = [json.loads(message.body) for message in messages if message.unprocessed.event_id == "f"]
    finally:
        kept_settings = ("FifoQueue", "DeduplicationScope", "FifoThroughputLimit", "RedrivePolicy")
        settings = {name: attributes["Attributes"][name] for name in kept_settings}
        sqs.create_queue(QueueName="enroll-enrollments.fifo", Attributes=settings)
    (kept,) = found
    assert kept["requestContext"]["condition"] == "RetriesExhausted"
    assert kept["requestContext"]["approximateInvokeCount"] == 3
    assert kept["requestPayload"]["detail"] == envelope["detail"]
    assert "QueueDoesNotExist" in json.dumps(kept["responsePayload"])

    # After the redrive, processing continues: the enrollment that was stored is published once.
    (would,) = shell("unprocessed", "redrive", "--event", "f", "--dry-run")["events"]
    assert [decision["code"] for decision in would["decisions"]] == ["DUPLICATE_EVENT"]
    assert shell("unprocessed", "redrive", "--event", "f")["byReason"] == {"RetriesExhausted": 1}
    messages_of_it = [
        message for message in embedded.receive("EnrollmentsQueueUrl", 1) if message["portalId"] == "fails"
    ]
    assert [(message["flowId"], message["trigger"]["eventId"]) for message in messages_of_it] == [("1", "f")]
    assert shell("unprocessed", "list", "--event", "f") == []


def test_replay_applies_a_new_flow_to_past_events_and_no_other_flow(
    embedded: Embedded, shell: Callable[..., Any]
) -> None:
    since, api = iso(bootstrap.now() // 1000 * 1000), Api(embedded.api_url, "past")
    embedded.put_flow("past", id=1, event="forms.submitted")
    embedded.put_flow("other", id=2, event="forms.submitted", re_enroll=True)
    events = [
        event(
            {
                "forms.submitted": f"r{number % 8}",
                "id": f"e{number}",
                "portal": portal,
                "at": bootstrap.now(),
                "record": {"city": "Cork" if number % 8 < 5 else "Bray"},
            }
        )
        for portal, count in (("past", 24), ("other", 4))
        for number in range(count)
    ]
    embedded.send(*events)
    assert Counter(message["portalId"] for message in embedded.receive("EnrollmentsQueueUrl", 12)) == {
        "past": 8,
        "other": 4,
    }

    fields = {"event": "forms.submitted", "criteria": [["city", "IS_EQUAL_TO", "Cork"]]}
    for document in (flow({"id": 2, **fields}), flow({"id": 3, **fields, "re_enroll": True})):
        api.call("PUT", f"/automation/v4/flows/{document['id']}", document)
    order = ("replay", "--portal", "past", "--from", since, "--flow", "2", "--flow", "3")

    counted = shell(*order, "--dry-run")["flows"]

    assert {result["flowId"]: result["decisions"] for result in counted} == {
        "2": {"ENROLLED": 5, "ALREADY_ENROLLED": 10, "FILTERED_OUT": 9},
        "3": {"ENROLLED": 15, "FILTERED_OUT": 9},
    }
    shell(*order)

    found = embedded.receive("EnrollmentsQueueUrl", 20)
    assert Counter((message["portalId"], message["flowId"]) for message in found) == {
        ("past", "2"): 5,
        ("past", "3"): 15,
    }
    assert sorted(message["objectId"] for message in found if message["flowId"] == "2") == [
        f"r{number}" for number in range(5)
    ]


def test_doctor_finds_no_fault_and_consumes_no_other_message(embedded: Embedded, shell: Callable[..., Any]) -> None:
    """Checks that the embedded AWS does not support are reported as not checked, and not as ok."""
    embedded.put_flow("consumed", id=1, event="forms.submitted")
    embedded.send(event({"forms.submitted": "1", "id": "c", "portal": "consumed", "record": {}}))

    found = {check["check"]: check["result"] for check in shell("doctor")}

    assert {name for name, result in found.items() if result == "not checked here"} == {"concurrency", "alarms"}
    assert {result for result in found.values() if result != "not checked here"} == {"ok"}
    assert {"queue mappings", "dead-letter policies", "archive", "good event", "decision", "unroutable event"} < set(
        found
    )
    # Both messages are still in the queue: the consumer's, and the check's, which names its own portal and flow.
    messages = {message["portalId"]: message for message in embedded.receive("EnrollmentsQueueUrl", 2)}
    assert set(messages) == {"consumed", "enroll-doctor"}
    assert messages["enroll-doctor"]["flowName"] == "Check by enroll doctor; consumers may ignore it"
    assert not [
        message for message in embedded.receive("UnprocessedEventsQueueUrl", 0) if "doctor-" in json.dumps(message)
    ]
    assert list(Api(embedded.api_url, "enroll-doctor").pages("/automation/v4/flows")) == []


def test_doctor_reports_a_fault_by_its_exit_code(embedded: Embedded, shell: Callable[..., Any]) -> None:
    events = embedded.client("events")
    (name,) = [rule["Name"] for rule in events.list_rules()["Rules"] if "Timers" in rule["Name"]]
    events.disable_rule(Name=name)
    try:
        result = CliRunner().invoke(app, ["doctor", "--no-events", "--json"])
    finally:
        events.enable_rule(Name=name)
    assert result.exit_code == 1
    faults = [finding["check"] for finding in json.loads(result.stdout) if finding["result"] == "fault"]
    assert faults == ["dead-letter policies"]


def test_tail_shows_an_enrollment_without_consuming_its_message(embedded: Embedded, shell: Callable[..., Any]) -> None:
    embedded.put_flow("tail", id=1, event="forms.submitted", re_enroll=True)
    sqs, url = embedded.client("sqs"), embedded.outputs["EnrollmentsQueueUrl"]

    def submit(name: str) -> None:
        embedded.send(
            event({"forms.submitted": "1", "id": name, "portal": "tail", "at": bootstrap.now(), "record": {}})
        )

    submit("first")
    tail = subprocess.Popen(
        [str(ENROLL), "tail", "--enrollments", "--portal", "tail", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Restore the default signal handler: a shell starts background processes with the signal ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert tail.stdout is not None
    assert json.loads(tail.stdout.readline())["trigger"]["eventId"] == "first"
    submit("second")
    sent_at = time.monotonic()
    shown = json.loads(tail.stdout.readline())
    assert (shown["portalId"], shown["trigger"]["eventId"]) == ("tail", "second")
    assert time.monotonic() - sent_at < 10, "help and docs say about 3 seconds"
    # Further polls must not receive from the queue either.
    time.sleep(5)
    tail.send_signal(signal.SIGINT)
    assert tail.communicate(timeout=20) == ("", "")
    assert tail.returncode == 0

    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["ApproximateReceiveCount"])
    counts = {
        json.loads(message["Body"])["trigger"]["eventId"]: message["Attributes"]["ApproximateReceiveCount"]
        for message in messages["Messages"]
    }
    assert counts == {"first": "1", "second": "1"}
    for message in messages["Messages"]:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def test_send_shows_the_decisions_on_the_event(embedded: Embedded, shell: Callable[..., Any]) -> None:
    embedded.put_flow("produce", id=1, event="forms.submitted", where=[["hs_form_id", "IS_EQUAL_TO", "f-1"]])
    portal = ("--portal", "produce", "--record", "contact/101")
    shell("trigger", "crm.object_created", *portal, "--wait")

    for form, code in (("f-2", "NOT_MATCHED"), ("f-1", "ENROLLED")):
        (outcome,) = shell("trigger", "forms.submitted", f"hs_form_id={form}", *portal, "--id", form, "--wait")[
            "outcomes"
        ]
        (result,) = outcome["results"]
        assert (outcome["status"], [made["code"] for made in result["decisions"]]) == ("DECIDED", [code])
        assert shell("event", form, "--portal", "produce")["results"] == outcome["results"]

    invalid = event({"forms.submitted": "1", "id": "wrong", "portal": "produce"})
    invalid["detail"] |= {"objectType": "contakt", "chain": [1]}
    embedded.send(invalid)
    deadline = time.monotonic() + 20
    found: dict[str, Any] = {}
    while found.get("status") != "UNPROCESSED" and time.monotonic() < deadline:
        found = json.loads(CliRunner().invoke(app, ["event", "wrong", "--portal", "produce", "--json"]).stdout)
    assert found["unprocessed"]["reason"] == "UNKNOWN_OBJECT_TYPE"
    assert "detail.chain" in found["unprocessed"]["message"]
    embedded.receive("UnprocessedEventsQueueUrl", 1)
    embedded.receive("EnrollmentsQueueUrl", 1)

    shown = CliRunner().invoke(app, ["tail", "--portal", "produce", "--timeout", "0", "-n", "100"]).stdout
    assert "0-1/101  forms.submitted f-1  ENROLLED  flow 1" in shown
    assert 'hs_form_id: expected that it is "f-1", found "f-2"' in shown
    assert "event " in shown
    assert "UNKNOWN_OBJECT_TYPE" in shown


def test_received_messages_are_deleted_unless_they_are_kept(embedded: Embedded, shell: Callable[..., Any]) -> None:
    embedded.put_flow("taken", id=1, event="forms.submitted")
    sqs, url = embedded.client("sqs"), embedded.outputs["EnrollmentsQueueUrl"]
    embedded.send(
        *(event({"forms.submitted": f"{n}", "id": f"{n}", "portal": "taken", "record": {}}) for n in range(3))
    )
    api = Api(embedded.api_url, "taken")
    deadline = time.monotonic() + 30
    while sum(enrollment["isPublished"] for enrollment in api.pages("/enrollment/v1/flows/1/enrollments")) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.2)

    def receive(*options: str) -> list[str]:
        result = CliRunner().invoke(app, ["queue", "receive", "--yes", "--json", *options])
        assert result.exit_code == 0, result.output
        return sorted(json.loads(line)["objectId"] for line in result.stdout.splitlines())

    kept = receive("--no-delete", "--count", "2")
    assert len(kept) == 2
    assert receive() == ["0", "1", "2"]
    assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1)


def test_port_that_is_in_use_is_reported() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = start("--no-demo", ports=(port, free_port(), free_port()))
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert str(port) in output
    assert "--port" in output


def test_container_gets_the_environment_variables_of_its_function(embedded: Embedded) -> None:
    """The variables are those of `sam local invoke --env-vars`."""
    text = (ROOT / ".enroll" / str(embedded.port) / "sam-env.json").read_text(encoding="utf-8")
    parameters = json.loads(text)["Parameters"]
    assert set(NAMES) <= set(parameters) <= set(DEFAULTS["Environment"]["Variables"])
    assert parameters["FLOWS_TABLE"] == embedded.outputs["FlowsTableName"]
    assert parameters["AWS_ENDPOINT_URL"] == f"http://host.docker.internal:{embedded.port}"


def test_only_the_embedded_aws_is_reachable_at_the_bind_address(embedded: Embedded) -> None:
    """The local Lambda service and the HTTP API are not reachable there."""
    request = urllib.request.Request(
        f"http://{OTHER_ADDRESS}:{embedded.port}/",
        data=b"{}",
        headers={
            "Host": f"host.docker.internal:{embedded.port}",
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": "DynamoDB_20120810.ListTables",
            "Authorization": "AWS4-HMAC-SHA256 Credential=test/20261127/eu-west-1/dynamodb/aws4_request, "
            "SignedHeaders=host, Signature=0",
        },
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert embedded.outputs["FlowsTableName"] in json.loads(answer.read())["TableNames"]
    api_port = int(embedded.api_url.rpartition(":")[2])
    for port in (api_port, embedded.lambda_port):
        with socket.socket() as connection:
            assert connection.connect_ex((OTHER_ADDRESS, port)) != 0


def test_killed_run_leaves_no_listening_port() -> None:
    ports = (free_port(), free_port(), free_port())
    process = start("--no-demo", ports=ports)
    assert process.stdout is not None
    for line in process.stdout:
        if "Ctrl-C" in line:
            break
    assert all(is_listening(port) for port in ports)

    process.kill()
    process.communicate(timeout=30)

    deadline = time.monotonic() + 15
    while any(is_listening(port) for port in ports) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not any(is_listening(port) for port in ports)


def is_listening(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def test_event_without_a_time_can_follow_its_records_creation_by_milliseconds(embedded: Embedded) -> None:
    """The bus has times in whole seconds. The README example must not depend on the fraction of the second."""
    portal, count = "real-time", 12
    embedded.put_flow(portal, id=1, event="forms.submitted", criteria=[["city", "IS_EQUAL_TO", "Oslo"]])
    embedded.put_flow(portal, id=2, event="forms.viewed")
    api = Api(embedded.api_url, portal)
    bus = embedded.client("events")

    def put(event_type: str, record: str) -> None:
        detail = {"portalId": portal, "objectType": "contact", "objectId": record, "id": f"{event_type}-{record}"}
        entry = {"EventBusName": embedded.outputs["EventBusName"], "Source": "acme", "DetailType": event_type}
        assert bus.put_events(Entries=[{**entry, "Detail": json.dumps(detail)}])["FailedEntryCount"] == 0

    for number in range(count):
        inputs = {"inputs": [{"id": str(number), "properties": {"city": "Cork"}}]}
        api.call("POST", "/crm/v3/objects/contacts/batch/upsert", inputs)
        put("forms.viewed", str(number))
        api.call("PATCH", f"/crm/v3/objects/contacts/{number}", {"properties": {"city": "Oslo"}})
        put("forms.submitted", str(number))
    messages = embedded.receive("EnrollmentsQueueUrl", 2 * count)
    found = Counter((message["flowId"], message["objectId"]) for message in messages if message["portalId"] == portal)
    assert found == Counter((flow_id, str(number)) for flow_id in ("1", "2") for number in range(count))


def test_facts_of_one_record_arrive_in_any_order(embedded: Embedded) -> None:
    """A creation, a membership and a change, a second apart, in one call: the functions run at the same time."""
    portal, count = "any-order", 10
    embedded.put_flow(portal, id=1, event="forms.submitted", suppressed_by=["42"])
    embedded.put_flow(portal, id=2, event="forms.submitted", criteria=[["city", "IS_EQUAL_TO", "Oslo"]])
    start_at = bootstrap.now() - 10_000

    def envelope(event_type: str, number: int, second: int, **properties: str) -> dict[str, Any]:
        at = iso(start_at + 1_000 * second + number)
        fields = {event_type: f"r{number}", "id": f"{event_type}-{number}", "at": at, "portal": portal}
        return event({**fields, "properties": properties})

    for number in range(count):
        embedded.send(
            envelope("lists.membership_changed", number, 1, hs_list_id="42", hs_membership_change="ADDED"),
            envelope("crm.property_changed", number, 2, hs_name="city", hs_value="Oslo"),
            envelope("crm.object_created", number, 0),
        )
    keys = [RecordKey(portal, "0-1", f"r{number}") for number in range(count)]

    def whole() -> list[RecordKey]:
        stored = embedded.stores.records.get_many(keys).values()
        return [record.key for record in stored if record.exists and record.properties and record.memberships]

    deadline = time.monotonic() + 30
    while len(whole()) < count and time.monotonic() < deadline:
        time.sleep(0.2)
    assert sorted(map(str, whole())) == sorted(map(str, keys))

    embedded.send(*(envelope("forms.submitted", number, 3) for number in range(count)))
    messages = embedded.receive("EnrollmentsQueueUrl", count)
    found = Counter((message["flowId"], message["objectId"]) for message in messages if message["portalId"] == portal)
    assert found == Counter(("2", f"r{number}") for number in range(count))
