"""Merge the same AWS calls of concurrent events into one batch call (the DataLoader pattern). README.md draws it."""

from collections.abc import Callable, Iterable, Sequence
from threading import Event, Lock
from typing import Any, TypeVar

from msgspec import Struct, field

Request = TypeVar("Request")
Result = TypeVar("Result")

# A few times the duration of a call.
MAX_WAIT_SECONDS = 0.03


class _PendingCall(Struct):
    requests: list[Any] = field(default_factory=list)
    results: list[Any] = field(default_factory=list)
    is_complete: Event = field(default_factory=Event)
    waiting_threads: int = 0


class CallCoalescer:
    """One batch of events, processed in groups by worker threads.

    ``groups``: groups of events; the events of one group are processed one after the other. ``at_once``: groups that
    are processed at the same time. ``report_failure``: gets the exception of each batch call that fails."""

    def __init__(
        self,
        groups: int,
        at_once: int,
        report_failure: Callable[[Exception], None],
        max_wait_seconds: float = MAX_WAIT_SECONDS,
    ) -> None:
        self._groups = groups
        self._at_once = at_once
        self._report_failure = report_failure
        self._max_wait_seconds = max_wait_seconds
        self._pending_calls: dict[Callable[..., Any], _PendingCall] = {}
        self._lock = Lock()

    def call(
        self, batch_call: Callable[[Sequence[Request]], Iterable[Result]], requests: Sequence[Request]
    ) -> Sequence[Result]:
        """Add the requests to the next execution of ``batch_call``, and return all results of that execution.

        If the execution fails, return the results up to the failure. The caller then repeats what is missing with a
        call of its own, so that a failure is raised for the event that it belongs to."""
        with self._lock:
            pending_call = self._pending_calls.setdefault(batch_call, _PendingCall())
            pending_call.requests.extend(requests)
            pending_call.waiting_threads += 1
            executes = self._all_threads_wait()
        if not executes and not pending_call.is_complete.wait(self._max_wait_seconds):
            with self._lock:
                executes = self._pending_calls.get(batch_call) is pending_call
        if executes:
            self._execute_pending_calls()
        pending_call.is_complete.wait()
        return pending_call.results

    def leave(self) -> None:
        """A group is complete and makes no further calls, so that no thread waits for it."""
        with self._lock:
            self._groups -= 1
            executes = bool(self._pending_calls) and self._all_threads_wait()
        if executes:
            self._execute_pending_calls()

    def _all_threads_wait(self) -> bool:
        waiting_threads = sum(pending_call.waiting_threads for pending_call in self._pending_calls.values())
        return waiting_threads >= min(self._groups, self._at_once)

    def _execute_pending_calls(self) -> None:
        with self._lock:
            pending_calls, self._pending_calls = self._pending_calls, {}
        for batch_call, pending_call in pending_calls.items():
            try:
                # One result at a time, so that the results before a failure are kept.
                for result in batch_call(pending_call.requests):
                    pending_call.results.append(result)
            except Exception as failure:
                self._report_failure(failure)
            finally:
                pending_call.is_complete.set()
