"""Which part may know which: design rules that a review can't be trusted to see each time."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from enrollment.catalog import CATEGORIES

ROOT = Path(__file__).parents[2]
LAYER = ROOT / "layers" / "enrollment" / "enrollment"

# Folder to the folders and modules of the package that it may import. The most specific entry applies.
ARROWS = {
    "config": set(),
    # The domain's folders, from the bottom to the top: each may import those above it in this list.
    "domain.values": set(),
    "domain.identifiers": set(),
    "domain.json_text": set(),
    "domain.similar_names": set(),
    "domain.timers": {"domain.values"},
    "domain.operators": {"domain.values"},
    "domain.events": {"domain.values", "domain.identifiers", "domain.operators"},
    "domain.records": {"domain.values", "domain.identifiers", "domain.json_text", "domain.events"},
    "domain.criteria": {"domain.values", "domain.identifiers", "domain.operators", "domain.records"},
    "domain.flows": {"domain.values", "domain.operators", "domain.events", "domain.records", "domain.criteria"},
    "domain.enrollment": {
        "domain.values",
        "domain.identifiers",
        "domain.operators",
        "domain.events",
        "domain.records",
        "domain.criteria",
        "domain.flows",
    },
    "domain.describe": {"domain"},
    # Its messages use the words of domain.describe.
    "domain.flows.flow_lint": {"domain"},
    "catalog": {"domain.values", "domain.operators", "domain.events"},
    "serialization": {"domain", "catalog"},
    "application": {"domain"},
    "adapters": {"domain", "application.ports", "config"},
    # What handles events must not load the HTTP API.
    "entrypoints": {"application", "domain", "adapters.coalescing", "adapters.deadline", "adapters.observability"},
    "entrypoints.http_api": {
        "entrypoints.bootstrap",
        "application",
        "domain",
        "catalog",
        "serialization",
        "adapters.observability",
    },
}
# The composition roots connect everything.
ROOTS = {
    "entrypoints.bootstrap",
    "entrypoints.run_bootstrap",
    "entrypoints.timer_bootstrap",
    "entrypoints.http_api.bootstrap",
}
AWS = {"boto3", "botocore", "pynamodb", "aws_lambda_powertools", "moto"}
# Of msgspec, what makes values (docs/decisions/0016-structs.md): no encoding, no decoding.
VALUES = {"msgspec.Struct", "msgspec.field", "msgspec.structs.astuple", "msgspec.structs.replace"}
IMPURE = {"time", "random", "uuid", "os", "socket", "threading", "logging", "secrets"}


def modules() -> Iterator[tuple[str, Path]]:
    """The dotted name of each module in the package, and its file."""
    for path in sorted(LAYER.rglob("*.py")):
        if path.name != "__init__.py" or path.stat().st_size:
            yield ".".join(path.relative_to(LAYER).with_suffix("").parts).removesuffix(".__init__"), path


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """All nodes of the file's syntax tree. Each file is parsed once."""
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def is_within(module: str, folder: str) -> bool:
    return module == folder or module.startswith(f"{folder}.")


@cache
def imported(path: Path) -> frozenset[str]:
    """Return the dotted names of all imports of the file, at any level."""
    names: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def fields(path: Path) -> set[str]:
    """Of all values that the file has classes of."""
    return {
        line.target.id
        for node in nodes(path)
        if isinstance(node, ast.ClassDef)
        for line in node.body
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
    }


FIELDS = {name for _, path in modules() for name in fields(path)}
MODULES = [pytest.param(module, path, id=module) for module, path in modules()]


@pytest.mark.parametrize(("module", "path"), MODULES)
def test_arrows(module: str, path: Path) -> None:
    if module in ROOTS or module == "__init__":
        return
    folder = max((name for name in ARROWS if is_within(module, name)), key=len)
    allowed = {folder, *ARROWS[folder]}
    for name in imported(path):
        if name.startswith("enrollment."):
            target = name.removeprefix("enrollment.")
            assert any(is_within(target, importable) for importable in allowed), (
                f"{module} imports {target}, but {folder} may import only {sorted(allowed)}. "
                "See docs/architecture.md, or change ARROWS with a reason"
            )


def test_no_module_imports_itself_through_others() -> None:
    paths = dict(modules())
    imports = {
        module: {
            target
            for name in imported(path)
            for target in (name.removeprefix("enrollment."), name.removeprefix("enrollment.").rpartition(".")[0])
            if target in paths and target != module
        }
        for module, path in paths.items()
    }
    # Remove the modules that import none of the rest, until nothing changes. A cycle remains.
    while leaves := {module for module, targets in imports.items() if not targets & imports.keys()}:
        imports = {module: targets for module, targets in imports.items() if module not in leaves}
    assert not imports, f"import cycle among {sorted(imports)}"


@pytest.mark.parametrize(("module", "path"), MODULES)
def test_only_adapters_and_composition_roots_know_aws(module: str, path: Path) -> None:
    known = {name.split(".")[0] for name in imported(path)} & AWS
    allowed = {
        "adapters": {"botocore", "pynamodb", "aws_lambda_powertools"},
        "entrypoints": {"aws_lambda_powertools", "botocore"},
    }
    assert known <= allowed.get(module.split(".")[0], set())


@pytest.mark.parametrize(("module", "path"), MODULES)
def test_the_domain_and_the_catalog_are_pure(module: str, path: Path) -> None:
    if module.split(".")[0] not in ("domain", "catalog", "serialization"):
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


@pytest.mark.parametrize(("module", "path"), MODULES)
def test_only_config_reads_the_environment(module: str, path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert ("os.environ" in source or "getenv" in source) == (module == "config")


@pytest.mark.parametrize(("module", "path"), MODULES)
def test_nothing_branches_on_a_category(module: str, path: Path) -> None:
    if is_within(module, "catalog"):
        return
    compared = {
        constant.value
        for node in nodes(path)
        if isinstance(node, ast.Compare)
        for constant in ast.walk(node)
        if isinstance(constant, ast.Constant)
    }
    assert not compared & set(CATEGORIES)


@pytest.mark.parametrize(("module", "path"), MODULES)
def test_nothing_is_scanned(module: str, path: Path) -> None:
    called = {
        node.func.attr for node in nodes(path) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert not called & {"scan", "rate_limited_scan", "parallel_scan"}


@pytest.mark.parametrize(("module", "path"), MODULES)
def test_replace_changes_only_existing_fields(module: str, path: Path) -> None:
    """mypy does not check the arguments of msgspec's ``replace``."""
    calls = [
        node
        for node in nodes(path)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "replace"
    ]
    names = {keyword.arg for call in calls for keyword in call.keywords}
    assert names <= FIELDS


HANDLERS = "from enrollment.entrypoints.event_handlers import"


def test_functions_only_declare() -> None:
    folders = {path.name for path in (ROOT / "functions").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == {*CATEGORIES, "redeliveries", "unconfirmed", "timers", "runs", "api"}
    for category in CATEGORIES:
        files = [path.name for path in (ROOT / "functions" / category).iterdir() if path.name != "__pycache__"]
        assert files == ["app.py"]
        source = (ROOT / "functions" / category / "app.py").read_text(encoding="utf-8")
        assert (
            source
            == f'from enrollment.entrypoints.event_handlers import handler_for\n\nhandler = handler_for("{category}")\n'
        )
    source = (ROOT / "functions" / "redeliveries" / "app.py").read_text(encoding="utf-8")
    assert source == f"{HANDLERS} redelivery_handler\n\nhandler = redelivery_handler()\n"
    source = (ROOT / "functions" / "unconfirmed" / "app.py").read_text(encoding="utf-8")
    assert source == f"{HANDLERS} unconfirmed_handler\n\nhandler = unconfirmed_handler()\n"
    source = (ROOT / "functions" / "runs" / "app.py").read_text(encoding="utf-8")
    assert source == "from enrollment.entrypoints.run_handler import run_handler\n\nhandler = run_handler()\n"
    source = (ROOT / "functions" / "timers" / "app.py").read_text(encoding="utf-8")
    assert source == "from enrollment.entrypoints.timer_handler import timer_handler\n\nhandler = timer_handler()\n"
    source = (ROOT / "functions" / "api" / "app.py").read_text(encoding="utf-8")
    assert source == "from enrollment.entrypoints.http_api.handler import api_handler\n\nhandler = api_handler()\n"


def test_the_handlers_of_events_do_not_load_the_api() -> None:
    code = (
        "import enrollment.entrypoints.event_handlers, sys\n"
        "assert not [name for name in sys.modules if name.startswith('enrollment.entrypoints.http_api')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(LAYER.parent)}, timeout=60)


def test_nothing_is_created_at_import() -> None:
    """No client, no logger, no reading of the configuration: an import succeeds without any environment."""
    code = (
        "import enrollment.entrypoints.event_handlers, botocore.client, sys\n"
        "handler = enrollment.entrypoints.event_handlers.handler_for('forms')\n"
        "import gc\n"
        "assert not [o for o in gc.get_objects() if isinstance(o, botocore.client.BaseClient)]\n"
        "assert 'aws_xray_sdk' not in sys.modules and 's3transfer' not in sys.modules and 'boto3' not in sys.modules\n"
    )
    environment = {"PYTHONPATH": str(LAYER.parent)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=60)
