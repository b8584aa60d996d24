"""Waiting before what an AWS answer left undone is asked for again."""

import random
import time
from collections.abc import Iterator

from msgspec import Struct

ATTEMPTS = 6
FIRST_WAIT = 0.05
LONGEST_WAIT = 2.0


class Attempt(Struct, frozen=True):
    number: int

    def wait(self) -> None:
        """Seconds up to the doubled wait of the attempt before, at random, so that clients don't return together."""
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2**self.number)
        time.sleep(random.uniform(0, longest))  # noqa: S311 - it spreads load, it keeps no secret


def attempts() -> Iterator[Attempt]:
    return (Attempt(number) for number in range(ATTEMPTS))
