"""`--prove` runs the proofs of tests/proofs at full length (`make prove`); without it a short, seeded part of each."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--prove", action="store_true", help="run the proofs of the guarantees at full length")


@pytest.fixture(scope="session")
def prove(request: pytest.FixtureRequest) -> bool:
    """Whether to prove at full length."""
    return bool(request.config.getoption("--prove"))
