"""What `sam build` makes of the template: the very files that would be deployed."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from enroll.local.deployment import load_template
from enroll.local.run import container_environment
from enroll.local.settings import Settings
from enrollment.catalog import CATEGORIES
from enrollment.config import NAMES

pytestmark = [pytest.mark.verify, pytest.mark.xdist_group("build")]

ROOT = Path(__file__).parents[2]
SAM = ROOT / ".venv-sam" / "bin" / "sam"

# Bytes, without bytecode. Lambda refuses 250 MB unzipped. A function imports only the modules that it needs, so more
# routes of the HTTP API do not slow the start of an event handler (tests/architecture/test_imports.py). The bounds find
# what is packaged by mistake.
DEPENDENCIES_BOUND = 10 * 1024 * 1024
ENROLLMENT_BOUND = 1_500 * 1024

# Packages of Lambda's Python, which the layers therefore exclude.
RUNTIME = ("boto3", "botocore", "s3transfer", "jmespath", "urllib3", "dateutil", "six")

# Of the dependencies, those that are compiled for the deployed processor, which this machine's may not be: a function
# is started here with this interpreter's own build of them, of the same version.
COMPILED = ("msgspec",)

# Run with nothing on its path but the built layers and what Lambda has.
INVOKED = """
import importlib.util, sys
*path, folder = sys.argv[1:]
sys.path[:0] = path
specification = importlib.util.spec_from_file_location("app", folder + "/app.py")
app = importlib.util.module_from_spec(specification)
specification.loader.exec_module(app)
import enrollment, aws_lambda_powertools
from enrollment.entrypoints.bootstrap import application
application()
assert callable(app.handler)
print(enrollment.__file__)
print(aws_lambda_powertools.__file__)
"""

AARCH64 = 0xB7
"""ELF's number of the architecture."""


def sam(*arguments: str) -> str:
    if not SAM.exists():
        pytest.fail(f"{SAM.relative_to(ROOT)} is not there: run the tests by `make test`, which sets up aws-sam-cli.")
    answer = subprocess.run(
        [str(SAM), *arguments],
        cwd=ROOT,
        env={**os.environ, "SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "eu-west-1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout
    return answer.stdout


@dataclass(frozen=True)
class Build:
    folder: Path
    template: dict[str, Any]
    log: str

    def path(self, logical_id: str, name: str) -> Path:
        """Return the folder of this resource's files in the built template."""
        return (self.folder / str(self.template["Resources"][logical_id]["Properties"][name])).resolve()

    @property
    def layers(self) -> dict[str, Path]:
        return {layer: self.path(layer, "ContentUri") for layer in ("DependenciesLayer", "EnrollmentLayer")}

    @property
    def functions(self) -> dict[str, Path]:
        return {
            logical_id: self.path(logical_id, "CodeUri")
            for logical_id, resource in self.template["Resources"].items()
            if resource["Type"] == "AWS::Serverless::Function"
        }


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("sam")
    # Neither the caches nor the build of whoever works here.
    log = sam("build", "--no-cached", "--build-dir", str(folder / "build"), "--cache-dir", str(folder / "cache"))
    return Build(folder / "build", load_template(folder / "build" / "template.yaml"), log)


def test_the_template_is_valid() -> None:
    assert "is a valid SAM Template" in sam("validate", "--lint")


def test_build_prints_no_warning(build: Build) -> None:
    assert "Build Succeeded" in build.log
    assert not re.findall("^WARNING.*", build.log, re.MULTILINE)


def test_built_template_refers_to_the_built_folders(build: Build) -> None:
    assert build.layers == {layer: (build.folder / layer).resolve() for layer in build.layers}
    # Functions are a file each, with nothing to build.
    assert set(build.functions.values()) == {
        ROOT / "functions" / name for name in (*CATEGORIES, "redeliveries", "unconfirmed", "timers", "runs", "api")
    }


def test_the_build_changes_nothing_else(build: Build) -> None:
    source, built = load_template(ROOT / "template.yaml"), build.template
    assert set(built["Resources"]) == set(source["Resources"])
    assert set(built["Outputs"]) == set(source["Outputs"])
    assert built["Globals"] == source["Globals"]


def test_the_enrollment_layer_is_the_package(build: Build) -> None:
    def files(folder: Path) -> set[Path]:
        return {
            path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
        }

    built = build.layers["EnrollmentLayer"]
    package = built / "python" / "enrollment"
    assert [*built.iterdir(), *(built / "python").iterdir()] == [built / "python", package]
    assert files(package) == files(ROOT / "layers" / "enrollment" / "enrollment")


def test_dependencies_are_for_the_deployed_runtime(build: Build) -> None:
    libraries = sorted(build.layers["DependenciesLayer"].rglob("*.so"))
    for name in COMPILED:
        assert [path for path in libraries if name in path.parts], f"{name} has no library"
    for library in libraries:
        assert "cpython-313-aarch64" in library.name
        assert int.from_bytes(library.read_bytes()[18:20], "little") == AARCH64, library


def test_dependencies_exclude_packages_of_the_lambda_runtime(build: Build) -> None:
    assert not {path.name for path in (build.layers["DependenciesLayer"] / "python").iterdir()} & set(RUNTIME)


# SAM's own code for `sam local invoke --env-vars`, which determines the environment of a container.
SAM_ENVIRONMENT = """
import json, sys
from samcli.local.lambdafn.env_vars import EnvironmentVariables
declared, given = json.load(sys.stdin)
found = EnvironmentVariables("F", 512, 30, "app.handler", variables=declared, override_values=given)
print(json.dumps(found.resolve()))
"""


def test_sam_passes_every_variable_of_the_local_run_to_a_container() -> None:
    """Those that the template does not declare it drops."""
    declared = load_template(ROOT / "template.yaml")["Globals"]["Function"]["Environment"]["Variables"]
    environment = container_environment(Settings(), dict.fromkeys(declared, "x"))
    answer = subprocess.run(
        [SAM.with_name("python"), "-c", SAM_ENVIRONMENT],
        input=json.dumps([declared, {**environment, "NOT_DECLARED": "x"}]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout)
    assert {name: found.get(name) for name in environment} == environment
    assert "NOT_DECLARED" not in found
    assert found["AWS_SAM_LOCAL"] == "true", "by which a function knows that it must not call the real AWS"


def made(folder: Path, **stubs: str) -> "subprocess.CompletedProcess[str]":
    """`make` of the dependencies as `sam build` runs it, where programs of these names are these shell scripts."""
    for name, script in stubs.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    return subprocess.run(
        ["make", "build-DependenciesLayer", f"ARTIFACTS_DIR={folder / 'built'}"],
        cwd=ROOT / "layers" / "dependencies",
        env={**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_uv_builds_the_same_dependencies_where_there_is_no_pip(build: Build, tmp_path: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    answer = made(tmp_path, python3="exit 1", uv=f'exec "{uv}" "$@"')
    assert answer.returncode == 0, answer.stderr

    def packages(folder: Path) -> set[str]:
        # Each installer stub writes its own name and the installed packages.
        files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        return {file for file in files if "dist-info/" not in file and not file.endswith(".pyc")}

    assert packages(tmp_path / "built" / "python") == packages(build.layers["DependenciesLayer"] / "python")


def test_build_without_pip_and_uv_names_the_missing_tool(tmp_path: Path) -> None:
    answer = made(tmp_path, python3="exit 1", uv="exit 1")
    assert answer.returncode != 0
    assert "expected pip (python3 -m pip) or uv, found neither" in answer.stderr
    assert "make build" in answer.stderr


@pytest.mark.parametrize(
    ("layer", "bound"), [("DependenciesLayer", DEPENDENCIES_BOUND), ("EnrollmentLayer", ENROLLMENT_BOUND)]
)
def test_layers_are_small(build: Build, layer: str, bound: int) -> None:
    size = sum(
        path.stat().st_size for path in build.layers[layer].rglob("*") if path.is_file() and path.suffix != ".pyc"
    )
    print(f"{layer}: {size / 1024:.0f} KB of {bound / 1024:.0f} KB, unzipped")
    assert 0 < size < bound


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Lambda's own packages and no others."""
    return _linked(tmp_path_factory.mktemp("runtime"), RUNTIME)


@pytest.fixture(scope="module")
def compiled(build: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with COMPILED and no others."""
    layer = build.layers["DependenciesLayer"] / "python"
    for name in COMPILED:
        assert list(layer.glob(f"{name}-{version(name)}.dist-info")), f"the layer has another version of {name}"
    return _linked(tmp_path_factory.mktemp("compiled"), COMPILED)


def _linked(folder: Path, names: Iterable[str]) -> Path:
    for name in names:
        found = find_spec(name)
        assert found, f"{name} is not installed"
        assert found.origin
        origin = Path(found.origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        (folder / source.name).symlink_to(source)
    return folder


@pytest.mark.parametrize("category", [*CATEGORIES, "redeliveries", "unconfirmed", "timers", "runs", "api"])
def test_a_function_starts_on_the_built_layers(build: Build, compiled: Path, runtime: Path, category: str) -> None:
    layers = [folder / "python" for folder in build.layers.values()]
    (folder,) = (path for path in build.functions.values() if path.name == category)
    answer = subprocess.run(
        # -I and -S exclude this folder and the installed packages of the interpreter. -B writes no bytecode to the
        # build.
        [sys.executable, "-I", "-S", "-B", "-c", INVOKED, *map(str, [compiled, *layers, runtime, folder])],
        env={
            **{name: "https://sqs.eu-west-1.amazonaws.com/1/x" if "URL" in name else "x" for name in NAMES},
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "POWERTOOLS_SERVICE_NAME": "enroll",
            "POWERTOOLS_METRICS_NAMESPACE": "Enroll",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    package, dependency = map(Path, answer.stdout.split())
    assert package.is_relative_to(build.layers["EnrollmentLayer"])
    assert dependency.is_relative_to(build.layers["DependenciesLayer"])
