"""Lambda handlers of the category functions, of redeliveries and of unconfirmed enrollments."""

import json
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from enrollment.adapters.coalescing.call_coalescer import CallCoalescer
from enrollment.adapters.deadline import DeadlineReached
from enrollment.adapters.observability import decision_fields, rejection_fields
from enrollment.application.associated_changes import AssociatedChangeProcessor
from enrollment.application.unconfirmed_enrollments import PublicationResult
from enrollment.domain.enrollment.enrollments import StoredEnrollment
from enrollment.domain.enrollment.replays import Replay
from enrollment.domain.events.associated_change import AssociatedChange
from enrollment.domain.events.event import InvalidEvent
from enrollment.domain.identifiers import any_object_type_id
from enrollment.domain.values import iso
from enrollment.entrypoints.batch_executor import run_grouped
from enrollment.entrypoints.bootstrap import MAX_WORKERS, Application, application

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

Handler = Callable[[Any, "LambdaContext | None"], Mapping[str, Any]]

# The handler returns this long before Lambda would end the process.
DEADLINE_MARGIN_SECONDS = 2.0

COALESCED_CALL_FAILED = "coalesced AWS call failed; falling back to individual calls"


def handler_for(category: str) -> Handler:
    """Return the handler of a category. It accepts an event of the bus, or an SQS batch from the category's buffer.

    For an event it returns ``{"eventId", "decisions": [...]}``; for an invalid event ``{"eventId", "unprocessed":
    {"reason", "field", "message"}}``, with all ``faults`` if there are several; for an event outside the scope of its
    replay ``{"eventId", "skipped": <replay name>}``. It raises if a call to AWS failed after its retries: Lambda then
    retries the event, and finally sends it to the unprocessed-events queue.

    For a batch it returns ``{"batchItemFailures": […]}`` with the messages that failed."""

    def handler(event: Any, context: "LambdaContext | None") -> Mapping[str, Any]:
        app = application()
        app.logger.append_keys(
            category=category,
            function_request_id=getattr(context, "aws_request_id", None),
            replay=app.replay_name(event),
        )
        with _failures_reported(app):
            if isinstance(event, dict) and "Records" in event:
                return handle_batch(app, category, event["Records"], _seconds_left(context))
            answer: Mapping[str, Any] = app.trace(handle)(app, category, event)
            return answer

    return handler


@contextmanager
def _failures_reported(app: Application) -> Iterator[None]:
    """Log and count an exception, and raise it again so that Lambda retries. Flush the metrics in any case."""
    try:
        yield
    except Exception:
        app.logger.exception("failed")
        app.metrics.count("EventsFailed")
        raise
    finally:
        app.metrics.flush()


def handle(app: Application, category: str, envelope: Any) -> Mapping[str, Any]:
    """Decide one event and return the response of ``handler_for``. Send an invalid event to the unprocessed-events
    queue, unless it is part of a dry run."""
    replay: Replay | None = None
    try:
        name = app.replay_name(envelope)
        replay = None if name is None else app.replay_processor.requested(name)
        event = app.read_event(envelope, category)
        if event.unknown_names:
            app.decision_log.unknown_names(event)
        if replay is not None and not replay.concerns(event):
            app.decision_log.log_skipped(event)
            return {"eventId": event.id, "skipped": replay.name}
        decisions = app.processor.process(event) if replay is None else app.replay_processor.process(event, replay)
    except InvalidEvent as invalid:
        event_id = _event_id(envelope)
        if replay is None or not replay.is_dry_run:
            app.unprocessed.put(envelope, invalid)
        app.decision_log.log_rejected(event_id, invalid)
        return {
            "eventId": event_id,
            "unprocessed": rejection_fields(invalid),
        }
    return {"eventId": event.id, "decisions": [decision_fields(event, decision) for decision in decisions]}


def handle_batch(
    app: Application, category: str, messages: Iterable[Mapping[str, Any]], seconds: float | None = None
) -> Mapping[str, Any]:
    """Handle SQS messages whose bodies are event envelopes. Return ``{"batchItemFailures": […]}``.

    Messages that are not done after ``seconds`` are reported as failed. If the invocation timed out instead, SQS would
    redeliver the whole batch."""
    received = [(message["messageId"], _envelope(message["body"])) for message in messages]
    groups = _by_record(received)
    coalescer = CallCoalescer(len(groups), MAX_WORKERS, lambda failure: _log_failed_batch_call(app, failure))
    batch_app = app.of_batch(coalescer)

    def decide(message_id: str, envelope: Any) -> None:
        app.logger.thread_safe_append_keys(replay=app.replay_name(envelope))
        app.trace(handle)(batch_app, category, envelope)

    return _process_messages(app, groups, decide, coalescer, seconds)


def _process_messages(
    app: Application,
    groups: Sequence[Sequence[tuple[str, Any]]],
    decide: Callable[[str, Any], None],
    coalescer: CallCoalescer | None,
    seconds: float | None,
) -> Mapping[str, Any]:
    """Return the messages that failed and those that were unfinished when the deadline was reached."""
    done, logged = set[str](), set[str]()

    def work(received: tuple[str, Any]) -> None:
        message_id, envelope = received
        try:
            decide(message_id, envelope)
            done.add(message_id)
        except DeadlineReached:
            # Reported below. This thread can get here long after the response to the batch was returned.
            return
        except Exception:
            app.logger.exception("failed", extra={"messageId": message_id, "eventId": _event_id(envelope)})
            logged.add(message_id)

    run_grouped(groups, work, app.executor, coalescer, seconds)
    failed = [received for group in groups for received in group if received[0] not in done]
    for message_id, envelope in failed:
        app.metrics.count("EventsFailed")
        if message_id not in logged:
            event = {"messageId": message_id, "eventId": _event_id(envelope)}
            app.logger.error("failed", extra={**event, "explanation": "batch deadline reached"})
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id, _ in failed]}


def _log_failed_batch_call(app: Application, failure: Exception) -> None:
    if not isinstance(failure, DeadlineReached):
        app.logger.warning(COALESCED_CALL_FAILED, exc_info=failure)


def _by_record(received: Iterable[tuple[str, Any]]) -> Sequence[Sequence[tuple[str, Any]]]:
    groups: dict[Hashable, list[tuple[str, Any]]] = {}
    for message_id, envelope in received:
        groups.setdefault(_record(message_id, envelope), []).append((message_id, envelope))
    return list(groups.values())


def _seconds_left(context: "LambdaContext | None") -> float | None:
    """Return the seconds left to respond before Lambda times out, or None if the context has no deadline."""
    left = getattr(context, "get_remaining_time_in_millis", None)
    return None if left is None else max(0.0, left() / 1000 - DEADLINE_MARGIN_SECONDS)


def _envelope(body: str) -> Any:
    """Return the parsed body. A body that is not JSON is returned as text, which the reader of events rejects."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body


def _record(message_id: str, envelope: Any) -> Hashable:
    """Return the key of the event's record, normalized as the reader of events does, so that events with different
    spellings of one record are handled in order. An event without a record gets its message ID as key."""
    detail = envelope.get("detail") if isinstance(envelope, dict) else None
    if not isinstance(detail, dict):
        return message_id
    portal_id, object_type, object_id = (detail.get(key) for key in ("portalId", "objectType", "objectId"))
    if not isinstance(portal_id, str | int | float) or not isinstance(object_type, str) or object_id in (None, ""):
        return message_id
    return _id_text(portal_id), any_object_type_id(object_type) or object_type, _id_text(object_id)


def _id_text(value: object) -> str:
    """Return an ID that JSON has as a string or a number. 101.0 is 101."""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def redelivery_handler() -> Handler:
    """Return the handler of the redeliveries queue. It accepts an SQS batch and returns ``{"batchItemFailures": […]}``.
    SQS redelivers those messages, and finally moves them to the unprocessed-events queue."""

    def handler(batch: Any, context: "LambdaContext | None") -> Mapping[str, Any]:
        app = application()
        app.logger.append_keys(function_request_id=getattr(context, "aws_request_id", None))
        try:
            return redeliver_batch(app, batch["Records"], _seconds_left(context))
        finally:
            app.metrics.flush()

    return handler


def redeliver_batch(
    app: Application, messages: Iterable[Mapping[str, Any]], seconds: float | None = None
) -> Mapping[str, Any]:
    """Handle messages of ``serialization.redeliveries`` as ``handle_batch`` does. Events of different records are
    independent, so one that hangs does not delay the others. So are messages about associated records."""
    bodies = {message["messageId"]: message["body"] for message in messages}
    received = [(message_id, _envelope(body)) for message_id, body in bodies.items()]
    events = [(message_id, message) for message_id, message in received if not _is_about_associated(message)]
    others = [(message_id, message) for message_id, message in received if _is_about_associated(message)]
    groups = [
        *_by_record((message_id, _redelivered(message)) for message_id, message in events),
        *([(message_id, _redelivered(message))] for message_id, message in others),
    ]

    def resume(message_id: str, envelope: Any) -> None:
        app.trace(redeliver)(app, bodies[message_id])
        app.metrics.count("EventsRedelivered")

    return _process_messages(app, groups, resume, None, seconds)


def _is_about_associated(message: Any) -> bool:
    return isinstance(message, dict) and "associated" in message


def _redelivered(message: Any) -> Any:
    return message.get("event") if isinstance(message, dict) else None


def redeliver(app: Application, body: str) -> None:
    """Resume the event of one message for the flows that it names, or decide the associated records of its change."""
    redelivery = app.read_redelivery(body)
    if isinstance(redelivery, AssociatedChange):
        AssociatedChangeProcessor(app.processor).process(redelivery)
    else:
        app.processor.resume(*redelivery)


def unconfirmed_handler() -> Handler:
    """Return the handler of the schedule, whose event is ignored. It returns ``{"found", "published", "isComplete"}``.
    The next run finds the enrollments that are left."""

    def handler(event: Any, context: "LambdaContext | None") -> Mapping[str, Any]:
        app = application()
        app.logger.append_keys(function_request_id=getattr(context, "aws_request_id", None))
        with _failures_reported(app):
            return finish_unconfirmed(app, _seconds_left(context))

    return handler


def finish_unconfirmed(app: Application, seconds: float | None = None) -> Mapping[str, Any]:
    """Publish enrollments that were claimed and never confirmed, until done or until ``seconds`` have passed."""
    finished: list[PublicationResult] = []
    completed: list[str] = []

    def work(run: str) -> None:
        for result in app.unconfirmed_publisher.publish_all():
            finished.append(result)
            _log_finished(app, *result)
        completed.append(run)

    run_grouped([["run"]], work, app.executor, None, seconds)
    # A copy, because a thread that outlives the timeout can still append.
    results, is_complete = list(finished), bool(completed)
    published = sum(failure is None for _, failure in results)
    app.metrics.count("UnconfirmedFound", len(results))
    app.metrics.count("UnconfirmedPublished", published)
    # An incomplete run counts as one more, because it may have left enrollments that it did not find.
    app.metrics.count("UnconfirmedLeft", len(results) - published + (not is_complete))
    counts = {"found": len(results), "published": published, "isComplete": is_complete}
    app.logger.info("unconfirmed", extra=counts)
    return counts


def _log_finished(app: Application, stored: StoredEnrollment, failure: Exception | None) -> None:
    if isinstance(failure, DeadlineReached):
        return
    enrollment = stored.enrollment
    fields = {
        "enrollmentId": enrollment.id,
        "portalId": enrollment.record_key.portal_id,
        "objectTypeId": enrollment.record_key.object_type_id,
        "objectId": enrollment.record_key.object_id,
        "flowId": enrollment.flow_id,
        "eventId": enrollment.cause.event_id,
        "publishAt": iso(stored.publish_at),
    }
    if failure is None:
        app.logger.warning("published late", extra=fields)
    else:
        app.logger.error("failed", extra=fields, exc_info=failure)


def _event_id(envelope: Any) -> str | None:
    """Return the event's EventBridge ID, or None if it is absent or not printable, such as half a surrogate pair."""
    event_id = envelope.get("id") if isinstance(envelope, dict) else None
    return event_id[:128] if isinstance(event_id, str) and event_id.isprintable() else None
