"""`enroll queue list`, `redrive` and `discard`: the dead-letter queue of the enrollments queue."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from enroll.completion import complete_flows
from enroll.dead_letters.enrollments import (
    DeadEnrollment,
    EnrollmentFilter,
    EnrollmentRedrive,
    EnrollmentSelection,
    message_count,
)
from enroll.dead_letters.queue import BATCH_MESSAGES, NotDeleted, QueueScan
from enroll.decision_rendering import count_of
from enroll.output import (
    FAILED,
    INVALID,
    NOT_FOUND,
    AsJson,
    Utc,
    confirm,
    console,
    errors,
    fail,
    print_json,
    print_note,
    print_table,
    times,
)
from enroll.progress import progress_bar
from enroll.stack import Stack, StackName, aws_errors_reported, open_stack
from enroll.tables import Column
from enrollment.domain.values import iso

# The default and the largest number of messages per second that redriving sends to the enrollments queue.
DEFAULT_RATE = 50
MAX_RATE = 1000

Enrollment = Annotated[str | None, typer.Option("--enrollment", help="Only the enrollment with this ID.")]
PortalOf = Annotated[str | None, typer.Option("--portal", help="Only enrollments of this portal.")]
Flow = Annotated[
    str | None, typer.Option(help="Only enrollments in the flow with this ID.", autocompletion=complete_flows)
]
Limit = Annotated[int | None, typer.Option(min=1, help="Maximum number of messages.")]


MAX_KNOWN_VALUES = 10


class DeadLetters:
    """The dead-letter queue of a stack, with the number of its messages before a command reads it."""

    def __init__(self, stack: Stack) -> None:
        self.client = stack.client("sqs")
        self.url = stack.outputs["EnrollmentsDeadLetterQueueUrl"]
        self.name = self.url.rpartition("/")[2]
        self.count = message_count(self.client, self.url)

    def scan(self) -> QueueScan:
        return QueueScan(self.client, self.url, is_ordered=True)

    def unread(self, selection: EnrollmentSelection) -> int:
        """Return about how many messages SQS did not return. They are behind others of their record, or received."""
        is_cut = selection.limit is not None and selection.selected == selection.limit
        return 0 if is_cut else max(0, self.count - selection.selected - selection.skipped)


def _fail_if_not_found(wanted: EnrollmentFilter, selection: EnrollmentSelection, queue: DeadLetters) -> None:
    if wanted.enrollment is None or selection.selected:
        return
    unread = queue.unread(selection)
    behind = f". About {unread} messages could not be read: {_WHY_UNREAD}" if unread else ""
    fail(f"there is no matching enrollment {wanted.enrollment} in the queue {queue.name}{behind}", NOT_FOUND)


_WHY_UNREAD = "they wait behind 10 others of their record, or another command has received them"


def list_dead_enrollments(
    enrollment: Enrollment = None,
    portal: PortalOf = None,
    flow: Flow = None,
    limit: Limit = None,
    stack: StackName = "enroll",
    utc: Utc = False,
    as_json: AsJson = False,
) -> None:
    """List failed enrollments, and keep them.

    They are in the dead-letter queue, after consumers received them five
    times. While the command runs, they are hidden from other receives. They
    return to the queue when it ends; if it is killed, after 120 seconds.
    SQS shows at most the first 10 messages of a record.
    """
    wanted = EnrollmentFilter(enrollment, portal, flow)
    with aws_errors_reported():
        queue = DeadLetters(open_stack(stack))
        with queue.scan() as messages:
            selection = EnrollmentSelection(messages, wanted, limit)
            matches = [match for batch in selection.batches() for match in batch]
    if as_json:
        print_json([_written(match) for match in matches])
        return
    if not matches:
        is_empty = wanted == EnrollmentFilter()
        console.print("There are no enrollments in the dead-letter queue." if is_empty else "No enrollments match.")
        _warn_of_filters(wanted, selection)
    else:
        clock = times(utc)
        print_table(
            ("enrollment", "flow", "record", "sent", "receives", "portal", Column("cause", is_message=True)),
            (
                (
                    match.enrollment_id or "?",
                    match.flow_id or "?",
                    match.record or "?",
                    clock.text(match.message.sent_at),
                    match.message.receive_count,
                    match.portal_id or "?",
                    match.cause,
                )
                for match in matches
            ),
        )
        print_note(f"Enrollments: {len(matches)} ({_by_flow(matches)}).")
    if unread := queue.unread(selection):
        print_note(f"About {unread} messages are not shown: {_WHY_UNREAD}.")


def _warn_of_filters(wanted: EnrollmentFilter, selection: EnrollmentSelection) -> None:
    """Name the flows and the portals of the queue if no message has the flow or the portal of the filter."""
    for option, value, known in (
        ("--flow", wanted.flow, selection.flows),
        ("--portal", wanted.portal, selection.portals),
    ):
        if value is not None and known and value not in known:
            shown_values = ", ".join(sorted(known.values())[:MAX_KNOWN_VALUES])
            more = f" and {len(known) - MAX_KNOWN_VALUES} more" if len(known) > MAX_KNOWN_VALUES else ""
            errors.print(
                f"Warning: {option}: no message of the queue has {value!r}. The queue has: {shown_values}{more}.",
                style="yellow",
            )


def _by_flow(enrollments: Iterable[DeadEnrollment]) -> str:
    flows = Counter(enrollment.flow_id or "?" for enrollment in enrollments)
    return _counts(flows)


def _counts(flows: Counter[str]) -> str:
    return ", ".join(f"flow {flow_id}: {count}" for flow_id, count in flows.most_common())


def _written(enrollment: DeadEnrollment) -> dict[str, Any]:
    return {
        "enrollmentId": enrollment.enrollment_id,
        "portalId": enrollment.portal_id,
        "flowId": enrollment.flow_id,
        "record": enrollment.record,
        "groupId": enrollment.message.group_id,
        "messageId": enrollment.message.id,
        "deadSince": iso(enrollment.message.sent_at),
        "receives": enrollment.message.receive_count,
        "message": enrollment.content,
    }


def redrive_dead_enrollments(
    enrollment: Enrollment = None,
    portal: PortalOf = None,
    flow: Flow = None,
    limit: Limit = None,
    rate: Annotated[
        int, typer.Option(min=1, max=MAX_RATE, help="Maximum number of messages per second.")
    ] = DEFAULT_RATE,
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """Move failed enrollments back to the queue.

    Messages go from the dead-letter queue to the enrollments queue. Those
    of a record keep their order, and follow the messages that are in the
    enrollments queue already. A message is deleted after the enrollments
    queue has accepted it, so it can be delivered twice and is not lost. If
    the command is interrupted, run it again.
    """
    wanted = EnrollmentFilter(enrollment, portal, flow)
    opened = open_stack(stack)
    with aws_errors_reported():
        queue = DeadLetters(opened)
        with queue.scan() as messages:
            selection = EnrollmentSelection(messages, wanted, limit)
            work = EnrollmentRedrive(queue.client, opened.outputs["EnrollmentsQueueUrl"], messages, rate)
            with progress_bar("Redriving", unit="redriven", quiet=as_json) as progress:
                try:
                    work.run(selection, lambda: progress.update(sum(work.redriven.values())))
                except NotDeleted as error:
                    fail(str(error), FAILED)
    _fail_if_not_found(wanted, selection, queue)
    _warn_of_filters(wanted, selection)
    _report(work, selection, queue, as_json)


def _report(work: EnrollmentRedrive, selection: EnrollmentSelection, queue: DeadLetters, as_json: bool) -> None:
    count = sum(work.redriven.values())
    left = [
        {"enrollmentId": enrollment.enrollment_id, "messageId": enrollment.message.id, "why": why}
        for enrollment, why in (*work.refused, *work.kept)
    ]
    if as_json:
        print_json({"redriven": count, "byFlow": dict(work.redriven), "skipped": selection.skipped, "left": left})
    else:
        flows = f" ({_counts(work.redriven)})" if count else ""
        skipped = f" Skipped by the filters: {selection.skipped}."
        console.print(f"Messages redriven: {count}{flows}.{skipped}")
        for message in left:
            console.print(f"Left in the queue: {message['enrollmentId'] or message['messageId']}: {message['why']}")
        if unread := queue.unread(selection):
            print_note(f"About {unread} messages were not received. To redrive them, run the command again.")
    if work.refused:
        fail(f"messages that SQS refused, still in the queue {queue.name}: {len(work.refused)}", FAILED)


def discard_dead_enrollments(
    enrollment: Enrollment = None,
    portal: PortalOf = None,
    flow: Flow = None,
    limit: Limit = None,
    keep: Annotated[
        Path | None, typer.Option(help="Append the discarded messages to this file, as JSON Lines.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """Delete failed enrollments.

    One enrollment, or all that match, are deleted from the dead-letter
    queue. No consumer gets a deleted message, so its workflow does not run.
    The enrollment stays in the table: the flow treats its record as
    enrolled.
    """
    wanted = EnrollmentFilter(enrollment, portal, flow)
    with aws_errors_reported():
        queue = DeadLetters(open_stack(stack))
        with queue.scan() as messages:
            selection = EnrollmentSelection(messages, wanted, limit)
            selected = [match for batch in selection.batches() for match in batch]
            if selected and not yes:
                errors.print(
                    "Discarded messages are deleted. No consumer gets them, so the workflows that they start do not "
                    "run. The enrollments stay in the table."
                )
                errors.print(f"Queue {queue.name}; {_by_flow(selected)}.")
                confirm(f"Discard {count_of(len(selected), 'message')}?")
            try:
                for start in range(0, len(selected), BATCH_MESSAGES):
                    batch = selected[start : start + BATCH_MESSAGES]
                    if keep is not None:
                        _keep(keep, batch)
                    messages.delete([match.message for match in batch])
            except NotDeleted as error:
                fail(str(error), FAILED)
    _fail_if_not_found(wanted, selection, queue)
    _warn_of_filters(wanted, selection)
    if as_json:
        print_json({"discarded": len(selected), "kept": None if keep is None else str(keep)})
        return
    console.print(f"Messages of the queue {queue.name} discarded: {len(selected)}.")
    if unread := queue.unread(selection):
        print_note(f"About {unread} messages were not received. To discard them too, run the command again.")


def _keep(file: Path, enrollments: Sequence[DeadEnrollment]) -> None:
    """Write messages to a file before they are deleted: a line may be written twice, but no message is lost."""
    try:
        with file.open("a", encoding="utf-8") as kept:
            for enrollment in enrollments:
                kept.write(json.dumps(_written(enrollment)) + "\n")
            kept.flush()
            os.fsync(kept.fileno())
    except OSError as error:
        fail(f"{file}: {error.strerror}", INVALID)
