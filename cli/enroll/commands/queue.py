"""`enroll queue …`"""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from enroll.command_group import CommandGroup
from enroll.commands.dead_enrollments import (
    discard_dead_enrollments,
    list_dead_enrollments,
    redrive_dead_enrollments,
)
from enroll.dead_letters.queue import VISIBILITY_TIMEOUT_SECONDS, NotDeleted, QueueScan
from enroll.output import FAILED, AsJson, Utc, confirm, console, errors, fail, print_json_line, times
from enroll.stack import StackName, aws_errors_reported, open_stack
from enroll.tail import enrollment_line

app = CommandGroup("Receive enrollments, and redrive or discard those that failed.")

# The default and the largest number of messages of a command.
DEFAULT_COUNT = 10
MAX_COUNT = 1000


app.command("list")(list_dead_enrollments)
app.command("redrive")(redrive_dead_enrollments)
app.command("discard")(discard_dead_enrollments)


@app.command()
def receive(
    no_delete: Annotated[
        bool, typer.Option("--no-delete", help="Return the messages to the queue instead of deleting them.")
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=MAX_COUNT, help="Maximum number of messages to receive.")
    ] = DEFAULT_COUNT,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    stack: StackName = "enroll",
    utc: Utc = False,
    as_json: AsJson = False,
) -> None:
    """Receive messages from the enrollments queue and delete them.

    No consumer gets a deleted message. With --no-delete, the messages
    return to the queue when the command ends. Each receive counts toward
    the limit after which SQS moves a message to the dead-letter queue.

    To show enrollments without touching the queue, use `enroll tail
    --enrollments`.
    """
    opened = open_stack(stack)
    sqs, url = opened.client("sqs"), opened.outputs["EnrollmentsQueueUrl"]
    with aws_errors_reported():
        if not yes:
            for line in _consequences(sqs, url, limit, is_deleted=not no_delete):
                errors.print(line)
            confirm("Receive them and return them to the queue?" if no_delete else "Receive them and delete them?")
        received = 0
        with QueueScan(sqs, url, limit) as messages:
            for message in messages:
                # Print the message before deleting it: it must not get lost if the command is killed in between.
                _show(message.body, utc, as_json)
                if not no_delete:
                    try:
                        messages.delete([message])
                    except NotDeleted as error:
                        fail(str(error), FAILED)
                received += 1
    if not as_json:
        done = "returned to the queue" if no_delete else "deleted"
        console.print(f"Messages received and {done}: {received}.", style="dim")


def _consequences(sqs: Any, url: str, count: int, *, is_deleted: bool) -> list[str]:
    """Return lines that say what happens to the messages, with the limits of this queue."""
    lines = [f"This receives up to {count} messages from {url}."]
    if is_deleted:
        return [
            *lines,
            "They are deleted. No consumer gets them, so the workflows that they start do not run. "
            "The enrollments stay in the table.",
        ]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"]).get("Attributes", {})
    lines.append(
        "Until this command ends, consumers do not get these messages, nor later ones of the same records. "
        f"If the command is killed, they wait {VISIBILITY_TIMEOUT_SECONDS} seconds."
    )
    if "RedrivePolicy" not in attributes:
        return lines
    policy = json.loads(attributes["RedrivePolicy"])
    dead_letter_queue = policy["deadLetterTargetArn"].rpartition(":")[2]
    return [
        *lines,
        f"It counts as one of the {policy['maxReceiveCount']} receives after which SQS moves a message to the "
        f"dead-letter queue {dead_letter_queue}.",
    ]


def _show(body: str, utc: bool, as_json: bool) -> None:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        message = body
    if as_json:
        print_json_line(message)
        return
    try:
        line = enrollment_line(message, times(utc))
    except (KeyError, TypeError):
        line = f"Not an enrollment: {body}"
    console.print(line)
