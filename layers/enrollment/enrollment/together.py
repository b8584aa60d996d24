"""Calls that are made at the same time, as one (docs/decisions/0014-buffer.md)."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")
A = TypeVar("A")


class Together(Generic[T, A]):
    """One call for all that ask at the same time: while one's call is under way the others gather, and the first of
    them calls for all. It answers what came of it before it failed, if it did: who misses something asks again for
    itself, so that a failure is that of the event to which it belongs, and what was taken before it is known."""

    def __init__(self, ask: Callable[[Sequence[T]], Iterable[A]]) -> None:
        self._ask = ask
        self._gathered: list[T] = []
        self._answers: list[A] = []
        self._lock = Lock()
        self._calling = Lock()

    def __call__(self, questions: Sequence[T]) -> Sequence[A]:
        with self._lock:
            gathering, answers = self._gathered, self._answers
            gathering.extend(questions)
        with self._calling:
            with self._lock:
                is_first = gathering is self._gathered
                if is_first:
                    self._gathered, self._answers = [], []
            if is_first:
                # One by one, so that what came before a failure is there; who asks again meets it.
                with suppress(Exception):
                    for one in self._ask(gathering):
                        answers.append(one)
        return answers
