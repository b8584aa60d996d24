"""Work that is due later, as items of one timer (docs/decisions/0025-one-timer.md).

A sweep finds the items that are due soon and sends the work of each to a queue, with the remaining time as a delay. An
item can be sent twice, so the receiver first checks what is still to be done. An item that is deleted before it is
sent is cancelled.
"""

from enum import StrEnum
from hashlib import sha256

from msgspec import Struct

from enrollment.domain.values import Instant

# Items are spread over this number of partitions, because each takes a limited number of writes in a second.
DUE_SHARDS = 16

# A sweep sends the items that are due within this time. Sweeps start once a minute, so a sweep that starts up to half
# a minute late still sends each item before it is due. What is due within this time when it is scheduled needs no
# item: the queue delays it.
LOOK_AHEAD_MS = 90_000


class DueKind(StrEnum):
    """What is to be done.

    - EVENT: take the final decisions on an event, or publish its enrollments that a rate limit delayed.
    - ASSOCIATED: decide the next associated records of a change.
    """

    EVENT = "event"
    ASSOCIATED = "associated"


class DueItem(Struct, frozen=True):
    """``id``: identifies the work, so that scheduling it again for the same time replaces the item. ``message``: what
    the queue receives. It names the portal, the record, the event and the flows."""

    kind: DueKind
    due_at: Instant
    id: str
    message: str

    @property
    def shard(self) -> int:
        """The partition of the item: 0 to DUE_SHARDS - 1."""
        return int(self.id[:8], 16) % DUE_SHARDS


def due_item(kind: DueKind, due_at: Instant, message: str, *subject: str) -> DueItem:
    """Return an item whose ID is a digest of its subject: the names that together identify the work."""
    names = "\n".join(f"{len(name)} {name}" for name in (kind.value, *subject))
    return DueItem(kind, due_at, sha256(names.encode("utf-8", "surrogatepass")).hexdigest()[:32], message)
