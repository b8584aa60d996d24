"""Calls that events make at the same time, as one (docs/decisions/0014-buffer.md)."""

from collections.abc import Callable, Iterable, Sequence
from threading import Event, Lock
from typing import Any, TypeVar

from msgspec import Struct, field

T = TypeVar("T")
A = TypeVar("A")

# Seconds for which one waits for those that have not come to a call yet: a few times what a call takes.
MAX_WAIT_SECONDS = 0.03


class _PendingCall(Struct):
    questions: list[Any] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)
    is_answered: Event = field(default_factory=Event)
    waiting: int = 0


class CallCoalescer:
    """Of events that are decided at the same time: who comes to a call waits for the others, and the last to come calls
    for all. Nobody waits for long: an event may be held up, or have no such call to make.

    ``groups``: of events, each decided one after the other; ``at_once``: groups that are under way at the same time;
    ``tell``: is told of calls that failed."""

    def __init__(
        self, groups: int, at_once: int, tell: Callable[[Exception], None], max_wait_seconds: float = MAX_WAIT_SECONDS
    ) -> None:
        self._groups = groups
        self._at_once = at_once
        self._tell = tell
        self._patience = max_wait_seconds
        self._gathered: dict[Callable[..., Any], _PendingCall] = {}
        self._lock = Lock()

    def together(self, ask: Callable[[Sequence[T]], Iterable[A]], questions: Sequence[T]) -> Sequence[A]:
        """What came of the call for all that asked the same way, before it failed, if it did: who misses something asks
        again for itself, so that a failure is that of the event to which it belongs, and what was taken before it is
        known."""
        with self._lock:
            mine = self._gathered.setdefault(ask, _PendingCall())
            mine.questions.extend(questions)
            mine.waiting += 1
            is_last = self._all_are_waiting()
        if not is_last and not mine.is_answered.wait(self._patience):
            with self._lock:
                is_last = self._gathered.get(ask) is mine
        if is_last:
            self._call()
        mine.is_answered.wait()
        return mine.answers

    def ends(self) -> None:
        """A group is done, and comes to no call any more."""
        with self._lock:
            self._groups -= 1
            is_last = bool(self._gathered) and self._all_are_waiting()
        if is_last:
            self._call()

    def _all_are_waiting(self) -> bool:
        return sum(one.waiting for one in self._gathered.values()) >= min(self._groups, self._at_once)

    def _call(self) -> None:
        with self._lock:
            gathered, self._gathered = self._gathered, {}
        for ask, one in gathered.items():
            try:
                # One by one, so that what came before a failure is there; who asks again meets it.
                for answer in ask(one.questions):
                    one.answers.append(answer)
            except Exception as failure:
                self._tell(failure)
            finally:
                one.is_answered.set()
