"""Enrollments on their queue as the project publishes them, and a poller that hands them over as Lambda does."""

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from enroll.local.deployment import load_template
from enrollment.adapters.sqs import SqsQueue
from enrollment.domain.enrollment.enrollments import Enrollment, TriggerEvent
from enrollment.domain.identifiers import RecordKey
from enrollment.serialization.messages import write_message
from tests.support.aws import REGION
from tests.support.template import ROOT

LONGEST_RUN_MS = 10_000

Handler = Callable[[dict[str, Any], Any], Any]


def enrollment(enrollment_id: str, record: str = "101", flow: str = "1", portal: str = "p1") -> Enrollment:
    return Enrollment(
        id=enrollment_id,
        record_key=RecordKey(portal, "0-1", record),
        flow_id=flow,
        flow_name="Welcome",
        flow_revision_id="1",
        idempotency_key=f"{portal}/{flow}/0-1/{record}/{enrollment_id}",
        is_re_enrollment=False,
        cause=TriggerEvent(0, "forms.submitted", "4-1639801", "e1", 0, "acme", {"hs_form_id": "f-1"}),
        enrolled_at=0,
    )


def create_queues(sqs: Any) -> tuple[str, str]:
    """Create the enrollments queue and its dead-letter queue as the template declares them. Return their URLs."""
    resources = load_template(ROOT / "template.yaml")["Resources"]
    receives = resources["EnrollmentsQueue"]["Properties"]["RedrivePolicy"]["maxReceiveCount"]
    dead_url = sqs.create_queue(QueueName="enroll-enrollments-dead.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    attributes = {
        "FifoQueue": "true",
        "DeduplicationScope": "messageGroup",
        "FifoThroughputLimit": "perMessageGroupId",
        "RedrivePolicy": f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": {receives}}}',
    }
    url = sqs.create_queue(QueueName="enroll-enrollments.fifo", Attributes=attributes)["QueueUrl"]
    return url, dead_url


def publish(sqs: Any, url: str, enrollments: Iterable[Enrollment]) -> None:
    expected = list(enrollments)
    assert list(SqsQueue(sqs, url, write_message).publish(expected)) == [enrollment.id for enrollment in expected]


def poll(sqs: Any, url: str, handler: Handler, batch_size: int = 10) -> int:
    """Receive a batch, invoke the handler, and delete the messages that succeeded, as an event source mapping does with
    ReportBatchItemFailures. The visibility timeout of the others ends at once. Return the size of the batch."""
    messages = sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=batch_size, AttributeNames=["All"], MessageAttributeNames=["All"]
    ).get("Messages", [])
    if not messages:
        return 0
    try:
        answer = handler({"Records": [_record(message) for message in messages]}, context())
    except Exception:
        # Lambda treats an exception as the failure of all messages.
        failed = {message["MessageId"] for message in messages}
    else:
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
    for message in messages:
        receipt = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
        if message["MessageId"] in failed:
            sqs.change_message_visibility(**receipt, VisibilityTimeout=0)
        else:
            sqs.delete_message(**receipt)
    return len(messages)


def context(remaining_ms: int = LONGEST_RUN_MS) -> Any:
    """Return the context of an invocation that has this much time left."""
    return SimpleNamespace(get_remaining_time_in_millis=lambda: remaining_ms)


def _record(message: dict[str, Any]) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{REGION}:000000000000:enroll-enrollments.fifo",
        "awsRegion": REGION,
    }
