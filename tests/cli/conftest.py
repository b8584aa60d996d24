"""Fixtures of the tests of commands."""

from collections.abc import Iterator

import pytest

from tests.support.portal import Api, example_portal
from tests.support.serving import served


@pytest.fixture
def portal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """The example portal. The environment has the URL of its API, so the commands find it."""
    api = example_portal()
    with served(api) as url:
        monkeypatch.setenv("ENROLL_API", url)
        monkeypatch.setenv("ENROLL_PORTAL", "p1")
        yield api
