"""A batch of events: several at a time, those of one record one after the other, which would else stand in each
other's way (docs/decisions/0014-buffer.md)."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, wait
from typing import TypeVar

from enrollment.adapters.coalescing.call_coalescer import CallCoalescer
from enrollment.adapters.deadline import Deadline

T = TypeVar("T")


def in_groups(
    groups: Iterable[Sequence[T]],
    work: Callable[[T], None],
    executor: Executor,
    meeting: CallCoalescer | None = None,
    seconds: float | None = None,
) -> None:
    """Groups at the same time, each in order, until all is done; or until so many seconds are over: then no more is
    begun, what is under way makes no further call to AWS, and the caller does not wait for it. ``work`` handles
    its own failures."""
    deadline = Deadline()

    def one_by_one(group: Sequence[T]) -> None:
        try:
            with deadline.applies():
                for item in group:
                    if deadline.is_reached:
                        return
                    work(item)
        finally:
            if meeting is not None:
                meeting.leave()

    done = wait([executor.submit(one_by_one, one) for one in groups], timeout=seconds).done
    deadline.is_reached = True
    for one in done:
        one.result()  # raises what work did not deal with
