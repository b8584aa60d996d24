"""Retries with exponential backoff, for the parts of a request that a successful AWS response left undone. botocore
retries calls that fail as a whole."""

import random
import time
from collections.abc import Iterator

from msgspec import Struct

ATTEMPTS = 6
FIRST_WAIT_SECONDS = 0.05
MAX_WAIT_SECONDS = 2.0


class Attempt(Struct, frozen=True):
    """An attempt; ``number`` counts from 0."""

    number: int

    def wait(self) -> None:
        """Sleep before the next attempt. The time is random (full jitter), so that clients do not retry together. Its
        maximum doubles with each attempt."""
        limit = min(MAX_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2**self.number)
        time.sleep(random.uniform(0, limit))  # noqa: S311 - it spreads load, and is not used for security


def attempts() -> Iterator[Attempt]:
    """Yield ATTEMPTS attempts. The caller leaves the loop on success, and calls ``wait`` before the next attempt."""
    return (Attempt(number) for number in range(ATTEMPTS))
