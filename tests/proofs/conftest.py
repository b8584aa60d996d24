"""Fixtures of the proofs."""

from collections.abc import Iterator

import pytest

from tests.proofs.stage import Stage, stage


@pytest.fixture(scope="module")
def on() -> Iterator[Stage]:
    """A stage with warm functions, for the proofs of one module."""
    with stage() as opened:
        yield opened
