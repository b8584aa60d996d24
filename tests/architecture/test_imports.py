"""The imports of event functions, which are most of a cold start (docs/decisions/0006-small-imports.md)."""

import subprocess
import sys
from pathlib import Path

import pytest

from enrollment.catalog import CATEGORIES

ROOT = Path(__file__).parents[2]
LAYER = ROOT / "layers" / "enrollment"

# Each with all that it imports itself. All but Powertools and msgspec are of a bare boto3 handler too.
THIRD_PARTY = {
    "aws_lambda_powertools",
    "botocore",
    "certifi",
    "dateutil",
    "jmespath",
    "msgspec",
    "six",
    "typing_extensions",
    "urllib3",
}

# Of this package's modules, those that no event needs.
NOT_FOR_EVENTS = (
    "enrollment.adapters.dynamodb.association_repository",
    "enrollment.adapters.dynamodb.flow_repository",
    "enrollment.adapters.dynamodb.model_store",
    "enrollment.adapters.dynamodb.models",
    "enrollment.adapters.dynamodb.portal_settings_repository",
    "enrollment.adapters.dynamodb.record_repository",
    "enrollment.adapters.dynamodb.replay_repository",
    "enrollment.entrypoints.http_api",
    "enrollment.application.flow_authoring",
    "enrollment.domain.describe",
    "enrollment.application.explanation",
    "enrollment.application.flow_preview",
    "enrollment.application.record_service",
    "enrollment.serialization.catalog",
    "enrollment.serialization.explanations",
    "enrollment.serialization.flow_documents",
    "enrollment.serialization.records",
    "enrollment.serialization.requests",
    "enrollment.serialization.schemas",
    "enrollment.serialization.flow_warnings",
)

# Of the standard library, what costs milliseconds and boto3 does without.
HEAVY = {
    "asyncio",
    "ctypes",
    "doctest",
    "multiprocessing",
    "pdb",
    "pydoc",
    "sqlite3",
    "statistics",
    "unittest",
    "xmlrpc",
}

CODE = "import runpy, sys; runpy.run_path(sys.argv[1]); print(*sys.modules)"


def imported(function: str) -> set[str]:
    """Return the modules that importing the function's file loads, as Lambda does, without a bare interpreter's."""
    python = [sys.executable, "-c"]
    bare = _output([*python, "import runpy, sys; print(*sys.modules)"])
    app = ROOT / "functions" / function / "app.py"
    return set(_output([*python, CODE, str(app)]).split()) - set(bare.split())


def _output(command: list[str]) -> str:
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=60, env={"PYTHONPATH": str(LAYER)}
    )
    return done.stdout


@pytest.mark.parametrize("function", [*CATEGORIES, "redeliveries", "unconfirmed", "timers"])
def test_event_function_imports_only_what_an_event_needs(function: str) -> None:
    modules = imported(function)
    tops = {name.split(".")[0] for name in modules}
    foreign = {name for name in tops - set(sys.stdlib_module_names) if not name.startswith("_")}
    heavy = (foreign - THIRD_PARTY - {"enrollment"}) | (tops & HEAVY)
    needless = {
        name for name in modules if name in NOT_FOR_EVENTS or name.startswith("enrollment.entrypoints.http_api.")
    }
    found = sorted(heavy | needless)
    assert not found, (
        f"functions/{function} imports {', '.join(found)} at every cold start. See who imports it and what it costs "
        '(python -X importtime -c "import enrollment.entrypoints.event_handlers"), and import it only where it is '
        "needed. If each event needs it: measure (make measure; a cold start is to be at most 1.25 × bare boto3's), "
        "then list it here"
    )
    assert foreign >= {"botocore", "aws_lambda_powertools"}, "the functions were not imported"
