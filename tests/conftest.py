"""Options, markers and settings of all tests. tests/README.md says which test to write where.

`--prove` runs the proofs of tests/proofs at full length (`make prove`). Without it they run a short, seeded part.
"""

import functools

import botocore.loaders
import hypothesis
import pytest

# Most tests of adapters create their own clients. Each botocore session would read the service descriptions again,
# which took half of the time of such a test. Clients of one session share a loader too.
botocore.loaders.create_loader = functools.cache(botocore.loaders.create_loader)

# A deadline measures the machine's load, not the code. `print_blob`: a failure can be repeated from the output of CI.
hypothesis.settings.register_profile("enroll", deadline=None, print_blob=True)
hypothesis.settings.load_profile("enroll")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--prove", action="store_true", help="run the proofs of the guarantees at full length")


@pytest.fixture(scope="session")
def prove(request: pytest.FixtureRequest) -> bool:
    """Whether to prove at full length."""
    return bool(request.config.getoption("--prove"))
