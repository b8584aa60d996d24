"""The deadline of a batch: once it is reached, the batch's threads make no further call to AWS.

A batch is answered before Lambda ends the invocation, even when a thread still waits for a call. Lambda then freezes
the sandbox, and that thread goes on whenever the sandbox is used again, with what it read before. Its events have been
reported as failed by then, and another invocation may have decided them. So the clients check the deadline immediately
before each HTTP request, which includes botocore's own retries (docs/decisions/0017-nothing-stays-unpublished.md).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class DeadlineReached(Exception):
    """The batch has been answered without this event. Another delivery continues from what is stored."""


class Deadline:
    """``is_reached`` is set once, before the batch is answered. Nothing depends on a clock, which may stand still while
    the sandbox is frozen."""

    def __init__(self) -> None:
        self.is_reached = False

    @contextmanager
    def applies(self) -> Iterator[None]:
        """Apply the deadline to the calls of the current thread."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def check_deadline(**_: object) -> None:
    """Raises DeadlineReached. A handler of botocore's event ``before-send``."""
    deadline = _current.get()
    if deadline is not None and deadline.is_reached:
        raise DeadlineReached("batch deadline reached: no further calls to AWS")
