"""Fixtures of the tests of functions."""

from collections.abc import Iterator

import pytest

from tests.support.api_function import without_cached_parts
from tests.support.functions import Stack, open_stack


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    with open_stack(monkeypatch) as opened:
        yield opened


@pytest.fixture
def fresh_api(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with without_cached_parts(monkeypatch):
        yield
