"""Process the events of a batch on several threads. Events of one record are processed one after the other, because
they would otherwise conflict when they write the record (docs/decisions/0014-buffer.md)."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, wait
from typing import TypeVar

from enrollment.adapters.coalescing.call_coalescer import CallCoalescer
from enrollment.adapters.deadline import Deadline

T = TypeVar("T")


def run_grouped(
    groups: Iterable[Sequence[T]],
    work: Callable[[T], None],
    executor: Executor,
    coalescer: CallCoalescer | None = None,
    timeout_seconds: float | None = None,
) -> None:
    """Run ``work`` for each item: groups at the same time, the items of a group in order.

    Return when all is done, or after ``timeout_seconds``. Then no further item starts, and running items make no
    further call to AWS. ``work`` is expected to handle its exceptions: those that it raises before the timeout are
    raised here, after the other groups are done.
    """
    deadline = Deadline()

    def run_group(group: Sequence[T]) -> None:
        try:
            with deadline.applies():
                for item in group:
                    if deadline.is_reached:
                        return
                    work(item)
        finally:
            if coalescer is not None:
                coalescer.leave()

    done = wait([executor.submit(run_group, group) for group in groups], timeout=timeout_seconds).done
    deadline.is_reached = True
    for future in done:
        future.result()  # raises an exception that work did not handle
