"""Send the work that is due soon to its queue (docs/decisions/0025-one-timer.md).

A schedule starts a sweep each minute. Two sweeps can overlap, and a sweep can stop between sending an item and deleting
it. Then the item is sent again, and the receiver finds that nothing is left to be done. A sweep has no cursor: it
starts with the oldest item, so it also finds everything that earlier sweeps have left.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from enrollment.application.ports import Clock, DueItems, WorkQueue
from enrollment.domain.timers.due_item import LOOK_AHEAD_MS, DueItem
from enrollment.domain.values import Instant

# Items that are sent before they are deleted together: five calls of SendMessageBatch and two of BatchWriteItem.
BATCH_SIZE = 50

# Batches in a row with an error, after which the sweep of a shard ends. An item that causes an error stays, and must
# not block the items after it.
MAX_FAILED_BATCHES = 3


class SweepBatch(Struct, frozen=True):
    """The result of one batch. ``oldest_due_at``: when its first item was due. ``sent``: the number of items that the
    queue accepted. ``left``: the number of items that it did not accept, which the next sweep sends again. ``error``:
    why some are left, or were not deleted."""

    oldest_due_at: Instant
    sent: int
    left: int
    error: Exception | None = None


class TimerSweep(Struct, frozen=True):
    """Sends the due items of all portals."""

    due_items: DueItems
    work_queue: WorkQueue
    clock: Clock

    def sweep(self, shard: int, until: Instant) -> Iterator[SweepBatch]:
        """Send the items of a shard that are due within LOOK_AHEAD_MS, and delete those that the queue accepted.

        The batches are processed as the results are consumed. No batch begins after ``until``. It is safe to stop at
        any point, because the next sweep finds the rest. Errors of a batch are returned; MAX_FAILED_BATCHES in a row
        end the sweep of the shard. Errors of the search are raised.
        """
        failed = 0
        for batch in _batches(self.due_items.due_before(shard, self.clock() + LOOK_AHEAD_MS)):
            if self.clock() >= until:
                return
            accepted: list[DueItem] = []
            error = self._send(batch, accepted)
            yield SweepBatch(batch[0].due_at, len(accepted), len(batch) - len(accepted), error)
            failed = 0 if error is None else failed + 1
            if failed == MAX_FAILED_BATCHES:
                return

    def _send(self, batch: Sequence[DueItem], accepted: list[DueItem]) -> Exception | None:
        """Send the items and delete those that the queue accepted. Add these to ``accepted``. Return the error that
        prevented the rest."""
        try:
            try:
                # Items are added as they are yielded, so that accepted items are deleted even if a later call fails.
                for item in self.work_queue.send(batch):
                    accepted.append(item)
            finally:
                if accepted:
                    self.due_items.delete(accepted)
        except Exception as error:
            return error
        return None


def _batches(items: Iterable[DueItem]) -> Iterator[Sequence[DueItem]]:
    remaining = iter(items)
    while batch := list(itertools.islice(remaining, BATCH_SIZE)):
        yield batch
