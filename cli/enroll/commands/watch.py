"""`enroll watch`"""

import json
import time
from typing import Annotated

import typer

from enroll.output import AsJson, console
from enroll.stack import StackName, explained, open_stack

LONGEST_POLL = 5


def watch(
    keep: Annotated[bool, typer.Option("--keep", help="Leave them in the queue for its consumers.")] = False,
    timeout: Annotated[
        float | None, typer.Option(help="End after this many seconds without an enrollment; else only by Ctrl-C.")
    ] = None,
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """Show enrollments as they arrive. What is shown is taken from the queue, unless --keep."""
    opened = open_stack(stack)
    sqs, url = opened.client("sqs"), opened.outputs["EnrollmentsQueueUrl"]
    poll = int(min(LONGEST_POLL, max(1, timeout or LONGEST_POLL)))
    seen: set[str] = set()
    last = time.monotonic()
    with explained():
        try:
            while timeout is None or time.monotonic() - last < timeout:
                answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=poll)
                for message in answer.get("Messages", []):
                    enrollment = json.loads(message["Body"])
                    if enrollment["enrollmentId"] not in seen:
                        seen.add(enrollment["enrollmentId"])
                        last = time.monotonic()
                        _print(enrollment, as_json)
                    if not keep:
                        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        except KeyboardInterrupt:
            pass


def _print(enrollment: dict[str, object], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(enrollment, ensure_ascii=False))
        return
    trigger = enrollment["trigger"]
    assert isinstance(trigger, dict)
    record = f"{enrollment['objectTypeId']}/{enrollment['objectId']}"
    flow = f"{enrollment['flowName']} ({enrollment['flowId']})"
    again = " again" if enrollment["isReEnrollment"] else ""
    cause = f"{trigger['eventType']} {trigger['eventId']}"
    console.print(
        f"{enrollment['enrolledAt']}  {enrollment['portalId']}  {record} enters {flow}{again} by {cause}",
        soft_wrap=True,
    )
