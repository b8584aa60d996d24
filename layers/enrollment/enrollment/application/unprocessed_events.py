"""List, show and count the unprocessed events of a portal.

The queue has no order, no filter and no position, so each use case reads it once, within the limits of
``UnprocessedEventQueue.visit_all``. Events that name no portal are an operator's, and are in no result.
"""

from collections.abc import Sequence

from msgspec import Struct

from enrollment.application.ports import UnprocessedEventQueue
from enrollment.domain.events.unprocessed_event import UnprocessedMessage
from enrollment.domain.values import Instant

# A count ends here.
MAX_COUNTED = 100

# Nothing of an unprocessed event is checked, so each text of a list is cut after this number of characters.
MAX_TEXT = 1_000


class UnprocessedQuery(Struct, frozen=True):
    """Selects unprocessed events. None: every value. ``record``: the ID of its object type, and its own."""

    reason: str | None = None
    event_type: str | None = None
    event_id: str | None = None
    record: tuple[str, str] | None = None

    def matches(self, message: UnprocessedMessage) -> bool:
        """Whether the event has all values of the query."""
        event = message.unprocessed
        return (
            self.reason in (None, event.reason)
            and self.event_type in (None, event.event_type)
            and self.event_id in (None, event.event_id)
            and self.record in (None, (event.object_type_id, event.object_id))
        )


class UnprocessedSummary(Struct, frozen=True):
    """What a list shows of an unprocessed event, without the event. ``kept_since``: when the queue received it.
    ``is_truncated``: the message has only a part of the event."""

    id: str
    kept_since: Instant
    reason: str
    message: str
    field: str | None
    event_id: str | None
    event_type: str | None
    object_type_id: str | None
    object_id: str | None
    occurred_at: Instant | None
    is_truncated: bool

    @property
    def position(self) -> str:
        """The place in a list. Positions sort by time."""
        return f"{self.kept_since:015d}/{self.id}"


class UnprocessedPage(Struct, frozen=True):
    """``following``: the position at which the next page begins; None: this is the last page. ``is_complete``: all
    messages of the queue were read."""

    summaries: Sequence[UnprocessedSummary]
    following: str | None
    is_complete: bool


class UnprocessedCount(Struct, frozen=True):
    """``count``: at most MAX_COUNTED. ``is_exact``: there are no more."""

    count: int
    is_exact: bool


class UnprocessedEventReader(Struct, frozen=True):
    """The use cases of those who may see one portal."""

    queue: UnprocessedEventQueue

    def list(self, portal_id: str, query: UnprocessedQuery, limit: int, after: str | None) -> UnprocessedPage:
        """Return a page of the newest unprocessed events. ``after``: the ``following`` of the previous page."""
        summaries: list[UnprocessedSummary] = []

        def visit(message: UnprocessedMessage) -> bool:
            if message.unprocessed.portal_id == portal_id and query.matches(message):
                summary = summarize(message)
                if after is None or summary.position < after:
                    summaries.append(summary)
            return True

        is_complete = self.queue.visit_all(visit)
        summaries.sort(key=lambda summary: summary.position, reverse=True)
        page = summaries[:limit]
        return UnprocessedPage(page, page[-1].position if len(summaries) > limit else None, is_complete)

    def get(self, portal_id: str, message_id: str) -> UnprocessedMessage | None:
        """Return an unprocessed event. None: the portal has none with this ID, or another reader holds it."""
        found: list[UnprocessedMessage] = []

        def visit(message: UnprocessedMessage) -> bool:
            if message.id == message_id and message.unprocessed.portal_id == portal_id:
                found.append(message)
            return message.id != message_id

        self.queue.visit_all(visit)
        return found[0] if found else None

    def count(self, portal_id: str, query: UnprocessedQuery) -> UnprocessedCount:
        """Return the number of unprocessed events."""
        if self.queue.is_empty():
            return UnprocessedCount(0, is_exact=True)
        count = 0

        def visit(message: UnprocessedMessage) -> bool:
            nonlocal count
            if message.unprocessed.portal_id == portal_id and query.matches(message):
                count += 1
            return count <= MAX_COUNTED

        is_complete = self.queue.visit_all(visit)
        return UnprocessedCount(min(count, MAX_COUNTED), is_exact=is_complete and count <= MAX_COUNTED)


def summarize(message: UnprocessedMessage) -> UnprocessedSummary:
    """Return what a list shows of a message."""
    event = message.unprocessed
    return UnprocessedSummary(
        id=message.id,
        kept_since=message.sent_at,
        reason=event.reason[:MAX_TEXT],
        message=event.message[:MAX_TEXT],
        field=_cut(event.field),
        event_id=_cut(event.event_id),
        event_type=_cut(event.event_type),
        object_type_id=event.object_type_id,
        object_id=_cut(event.object_id),
        occurred_at=event.occurred_at,
        is_truncated=event.truncated is not None,
    )


def _cut(text: str | None) -> str | None:
    return None if text is None else text[:MAX_TEXT]
