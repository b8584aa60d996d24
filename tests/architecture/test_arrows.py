"""Which part may know which: design rules that a review can't be trusted to see each time."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from enrollment.catalog import CATEGORIES

ROOT = Path(__file__).parents[2]
LAYER = ROOT / "layers" / "enrollment" / "enrollment"

# Part to the parts of the package that it may import; those not listed may import nothing of it.
ARROWS = {
    "domain": {"domain"},
    "catalog": {"catalog", "domain"},
    "wire": {"wire", "domain", "catalog"},
    "ports": {"domain"},
    "process": {"domain", "evaluation", "waiting", "history", "delivery", "ports"},
    "history": {"domain", "ports"},
    "waiting": {"domain", "ports"},
    "replaying": {"domain", "ports", "process", "simulation"},
    "simulation": {"domain", "ports", "process", "evaluation", "waiting", "history", "delivery"},
    "explanation": {"domain", "ports", "process", "simulation"},
    "preview": {"domain", "history", "process", "simulation"},
    "delivery": {"domain", "ports"},
    "unconfirmed": {"domain", "ports", "delivery"},
    "evaluation": {"domain", "ports"},
    "authoring": {"domain", "ports"},
    "recordkeeping": {"domain", "ports"},
    "together": set(),
    "deadline": set(),
    "adapters": {"adapters", "domain", "ports", "config", "together", "deadline"},
    "config": set(),
    "observability": {"domain"},
    "api": {
        "api",
        "domain",
        "catalog",
        "wire",
        "ports",
        "evaluation",
        "process",
        "simulation",
        "explanation",
        "preview",
        "history",
        "authoring",
        "recordkeeping",
        "observability",
        "bootstrap",
    },
    "batches": {"domain", "ports", "together", "deadline"},
    "handler": {"bootstrap", "batches", "together", "deadline", "unconfirmed", "observability", "domain"},
}
# The composition roots know all: of the functions that take events, and of the API.
ROOTS = {"__init__.py", "bootstrap.py"}
AWS = {"boto3", "botocore", "pynamodb", "aws_lambda_powertools", "moto"}
# Of msgspec, what makes values (docs/decisions/0016-structs.md): no encoding, no decoding.
VALUES = {"msgspec.Struct", "msgspec.field", "msgspec.structs.astuple", "msgspec.structs.replace"}
IMPURE = {"time", "random", "uuid", "os", "socket", "threading", "logging", "secrets"}


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(LAYER.rglob("*.py")):
        yield path.relative_to(LAYER).parts[0].removesuffix(".py"), path


def imported(path: Path) -> set[str]:
    """Dotted names of what the file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def fields(path: Path) -> set[str]:
    """Of all values that the file has classes of."""
    return {
        line.target.id
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        for line in node.body
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
    }


FIELDS = {name for _, path in modules() for name in fields(path)}
MODULES = [pytest.param(part, path, id=str(path.relative_to(LAYER))) for part, path in modules()]


@pytest.mark.parametrize(("part", "path"), MODULES)
def test_arrows(part: str, path: Path) -> None:
    if path.name in ROOTS:
        return
    own = {name.split(".")[1] for name in imported(path) if name.startswith("enrollment.")}
    assert own <= ARROWS[part], f"{part} may import {sorted(ARROWS[part])}"


@pytest.mark.parametrize(("part", "path"), MODULES)
def test_only_adapters_and_the_root_know_aws(part: str, path: Path) -> None:
    known = {name.split(".")[0] for name in imported(path)} & AWS
    allowed = {
        "adapters": {"botocore", "pynamodb"},
        "bootstrap": {"aws_lambda_powertools", "botocore"},
        "observability": {"aws_lambda_powertools"},
        "api": {"aws_lambda_powertools"},
    }
    assert known <= allowed.get(part, set())


@pytest.mark.parametrize(("part", "path"), MODULES)
def test_the_domain_and_the_catalogue_are_pure(part: str, path: Path) -> None:
    if part not in ("domain", "catalog", "wire"):
        return
    names = imported(path)
    tops = {name.split(".")[0] for name in names}
    if path.name == "schemas.py":
        return  # a generator that is run by hand writes files
    assert tops <= {"enrollment", "msgspec"} | set(sys.stdlib_module_names)
    assert {name for name in names if name.startswith("msgspec")} <= VALUES
    assert not tops & IMPURE
    source = path.read_text(encoding="utf-8")
    assert "datetime.now" not in source
    assert "open(" not in source


@pytest.mark.parametrize(("part", "path"), MODULES)
def test_only_config_reads_the_environment(part: str, path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert ("os.environ" in source or "getenv" in source) == (part == "config")


@pytest.mark.parametrize(("part", "path"), MODULES)
def test_nothing_branches_on_a_category(part: str, path: Path) -> None:
    if part == "catalog":
        return
    compared = {
        constant.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Compare)
        for constant in ast.walk(node)
        if isinstance(constant, ast.Constant)
    }
    assert not compared & set(CATEGORIES)


@pytest.mark.parametrize(("part", "path"), MODULES)
def test_nothing_is_scanned(part: str, path: Path) -> None:
    called = {
        node.func.attr
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert not called & {"scan", "rate_limited_scan", "parallel_scan"}


@pytest.mark.parametrize(("part", "path"), MODULES)
def test_only_what_a_value_has_is_replaced(part: str, path: Path) -> None:
    """mypy does not look at what msgspec's ``replace`` is given."""
    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "replace"
    ]
    names = {keyword.arg for call in calls for keyword in call.keywords}
    assert names <= FIELDS


def test_functions_only_declare() -> None:
    folders = {path.name for path in (ROOT / "functions").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == {*CATEGORIES, "redeliveries", "unconfirmed", "api"}
    for category in CATEGORIES:
        files = [path.name for path in (ROOT / "functions" / category).iterdir() if path.name != "__pycache__"]
        assert files == ["app.py"]
        source = (ROOT / "functions" / category / "app.py").read_text(encoding="utf-8")
        assert source == f'from enrollment.handler import handler_for\n\nhandler = handler_for("{category}")\n'
    source = (ROOT / "functions" / "redeliveries" / "app.py").read_text(encoding="utf-8")
    assert source == "from enrollment.handler import redelivery_handler\n\nhandler = redelivery_handler()\n"
    source = (ROOT / "functions" / "unconfirmed" / "app.py").read_text(encoding="utf-8")
    assert source == "from enrollment.handler import unconfirmed_handler\n\nhandler = unconfirmed_handler()\n"
    source = (ROOT / "functions" / "api" / "app.py").read_text(encoding="utf-8")
    assert source == "from enrollment.api.handler import api_handler\n\nhandler = api_handler()\n"


def test_the_handlers_of_events_do_not_load_the_api() -> None:
    code = (
        "import enrollment.handler, sys; assert not [name for name in sys.modules if name.startswith('enrollment.api')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(LAYER.parent)}, timeout=60)


def test_nothing_is_created_at_import() -> None:
    """No client, no logger, no reading of the configuration: an import succeeds without any environment."""
    code = (
        "import enrollment.handler, botocore.client, sys\n"
        "handler = enrollment.handler.handler_for('forms')\n"
        "import gc\n"
        "assert not [o for o in gc.get_objects() if isinstance(o, botocore.client.BaseClient)]\n"
        "assert 'aws_xray_sdk' not in sys.modules and 's3transfer' not in sys.modules and 'boto3' not in sys.modules\n"
    )
    environment = {"PYTHONPATH": str(LAYER.parent)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=60)
