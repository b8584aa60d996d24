"""The deadline of a batch: once it is reached, the batch's threads make no further call to AWS.

The response to a batch is returned before Lambda ends the invocation, even if a thread still waits for a call. Lambda
then freezes the sandbox. That thread continues with old data when the sandbox is used again. Its events have been
reported as failed by then, and another invocation may have decided them. So the clients check the deadline immediately
before each HTTP request, which includes botocore's own retries (docs/decisions/0017-nothing-stays-unpublished.md).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class DeadlineReached(Exception):
    """The response to the batch was returned without this event. Another delivery of the event continues from the
    stored state."""


class Deadline:
    """``is_reached`` is set once, before the response to the batch is returned. It does not depend on a clock, because
    a clock may stop while the sandbox is frozen."""

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
    """Raise DeadlineReached if the deadline of the current thread is reached. This is a handler of botocore's event
    ``before-send``."""
    deadline = _current.get()
    if deadline is not None and deadline.is_reached:
        raise DeadlineReached("batch deadline reached: no further calls to AWS")
