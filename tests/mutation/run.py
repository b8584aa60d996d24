"""Mutation testing of the domain: change one expression at a time and expect a test to fail.

Usage: python -m tests.mutation.run [FOLDER ...] [--seconds N] [--processes N] [--report] [--partial]

Each folder of the domain has a workspace in build/mutation/ with the source and the tests of the domain and of the use
cases. mutmut keeps its results there, so that an interrupted run continues where it ended. A function that changed is
tested again, and so is a mutant that survived if tests were added. If a test was removed or made weaker, delete the
folder's workspace.

mutmut forks each mutant from a process that has imported the package, so it can not detect a mutant of a function
that runs at import only. Each mutant that survives there is therefore tested again in a new process, with all tests.

A mutant that no test detects is a survivor. tests/mutation/survivors.yaml gives the reason for which each is accepted.
The run fails if a mutant is not tested yet, or a survivor has no entry. With --partial it lists them and succeeds.

mutmut changes functions only: the rows of tables at module level, decorated functions and properties have no mutants.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "layers" / "enrollment" / "enrollment"
WORKSPACES = ROOT / "build" / "mutation"
SURVIVORS = Path(__file__).parent / "survivors.yaml"
# "values" has the modules beside the folders: values.py, identifiers.py, json_text.py, describe.py.
FOLDERS = ("operators", "enrollment", "flows", "records", "criteria", "events", "values")
TESTS = ("__init__.py", "conftest.py", "support", "unit/__init__.py", "unit/domain", "unit/application", "scenarios")
# test_demo_portal.py reads files outside the workspace.
SELECTION = ("tests/unit/domain", "tests/scenarios", "tests/unit/application")
IGNORED = "--ignore=tests/unit/application/test_demo_portal.py"

# mutmut's exit codes of a mutant's tests. None: not yet tested.
SURVIVED, NO_TESTS = 0, 33
# A mutant whose tests take longer runs forever. The tests take about 10 s.
CONFIRMATION_SECONDS = 120.0

CONFIGURATION = """\
[tool.mutmut]
source_paths = ["src"]
also_copy = ["cli"]
only_mutate = ["{pattern}"]
do_not_mutate = [{excluded}]
pytest_add_cli_args = ["--hypothesis-seed=0", "-p", "no:cacheprovider", "-m", "not verify", "{ignored}"]
pytest_add_cli_args_test_selection = [{selection}]
timeout_multiplier = 5.0
timeout_constant = 2.0
track_dependencies = false
use_git_change_detection = false

[tool.pytest.ini_options]
pythonpath = ["."]
xfail_strict = true
markers = ["verify: slow tests"]
"""


def prepare(folder: str) -> Path:
    """Write the folder's workspace, and return its path. Unchanged files keep their times, so mutmut skips them."""
    workspace = WORKSPACES / folder
    _mirror(PACKAGE, workspace / "src" / "enrollment")
    if sum(_mirror(ROOT / "tests" / name, workspace / "tests" / name) for name in TESTS):
        _forget_survivors(workspace)
    # test_describe.py describes the flows of the demonstration.
    _mirror(ROOT / "cli" / "enroll" / "demo", workspace / "cli" / "enroll" / "demo")
    in_folders = ", ".join(f'"src/enrollment/domain/{name}/*"' for name in FOLDERS) if folder == "values" else ""
    pattern = "src/enrollment/domain/*" if folder == "values" else f"src/enrollment/domain/{folder}/*"
    (workspace / "pyproject.toml").write_text(
        CONFIGURATION.format(
            pattern=pattern,
            excluded=in_folders,
            ignored=IGNORED,
            selection=", ".join(f'"{name}"' for name in SELECTION),
        ),
        encoding="utf-8",
    )
    return workspace


def _mirror(source: Path, target: Path) -> int:
    """Copy a file, or the files of a folder, that differ. Return their number."""
    if source.is_dir():
        files = [path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        return sum(_mirror(path, target / path.relative_to(source)) for path in files)
    if target.exists() and target.read_bytes() == source.read_bytes():
        return 0
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)
    return 1


def _forget_survivors(workspace: Path) -> None:
    """Have the mutants that survived tested again."""
    (workspace / "confirmed.json").unlink(missing_ok=True)
    for path in (workspace / "mutants").rglob("*.meta"):
        meta = json.loads(path.read_text(encoding="utf-8"))
        codes = meta["exit_code_by_key"]
        meta["exit_code_by_key"] = {
            name: None if code in (SURVIVED, NO_TESTS) else code for name, code in codes.items()
        }
        path.write_text(json.dumps(meta), encoding="utf-8")


def run(workspace: Path, *, processes: int, seconds: float) -> bool:
    """Test the folder's mutants for at most the given time. Return whether mutmut ended by itself."""
    command = [str(Path(sys.executable).parent / "mutmut"), "run", "--max-children", str(processes)]
    with (workspace / "mutmut.log").open("w") as log:
        mutmut = subprocess.Popen(
            command, cwd=workspace, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, env=_environment()
        )
        try:
            code = mutmut.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(mutmut.pid, signal.SIGKILL)
            mutmut.wait()
            return False
    if code:
        sys.exit(f"mutmut failed with exit code {code}. Read {workspace / 'mutmut.log'}.")
    return True


def _environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1", **more}


def confirm(workspace: Path, folder: str, *, seconds: float) -> set[str]:
    """Test mutants that survived in a fork again, each in a new process, for at most the given time.

    Return those that survived again. The others are detected, or not tested yet.
    """
    cache = workspace / "confirmed.json"
    outcomes: dict[str, bool] = json.loads(cache.read_text(encoding="utf-8")) if cache.exists() else {}
    end = time.monotonic() + seconds
    for mutant in forked_survivors(workspace):
        remaining = end - time.monotonic()
        if mutant in outcomes or remaining <= 0:
            continue
        first = f"tests/unit/domain/{folder}"
        folders = [first] if (workspace / "mutants" / first).is_dir() else []
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
        environment = _environment(PYTHONPATH="src", MUTANT_UNDER_TEST=mutant)
        try:
            code = subprocess.run(
                [*command, "-m", "not verify", IGNORED, *folders, *SELECTION],
                cwd=workspace / "mutants",
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=CONFIRMATION_SECONDS,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            code = 1
        if code in (4, 5):
            sys.exit(f"pytest ran no tests for {mutant} in {workspace} (exit code {code}); expected it to run them.")
        outcomes[mutant] = code == 0
        cache.write_text(json.dumps(outcomes, indent=1), encoding="utf-8")
    return {mutant for mutant, survived in outcomes.items() if survived}


def forked_survivors(workspace: Path) -> list[str]:
    """Return the mutants that survived, or that no test reached, in the forks of mutmut."""
    return [name for name, code in results(workspace).items() if code in (SURVIVED, NO_TESTS)]


def results(workspace: Path) -> dict[str, int | None]:
    """Return the exit code of each mutant's tests, by the mutant's name."""
    codes: dict[str, int | None] = {}
    for path in sorted((workspace / "mutants").rglob("*.meta")):
        codes.update(json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"])
    return codes


def change_of(workspace: Path, mutant: str) -> str:
    """Return the removed and the added lines of the mutant, without indentation."""
    command = [str(Path(sys.executable).parent / "mutmut"), "show", mutant]
    shown = subprocess.run(command, cwd=workspace, capture_output=True, text=True, check=True, env=_environment())
    lines = shown.stdout.splitlines()
    removed = [line[1:].strip() for line in lines if line.startswith("-") and not line.startswith("---")]
    added = [line[1:].strip() for line in lines if line.startswith("+") and not line.startswith("+++")]
    return f"{' '.join(removed)} -> {' '.join(added)}"


def function_of(mutant: str) -> str:
    """Return the function as survivors.yaml names it, such as ``records.record.Record.merge``."""
    module, _, mangled = mutant.partition("__mutmut_")[0].rpartition(".")
    name = mangled[2:] if mangled.startswith("x_") else mangled.removeprefix("xǁ").replace("ǁ", ".")
    return f"{module.removeprefix('enrollment.domain.')}.{name}"


def is_judged(function: str, change: str, judged: list[dict[str, str]]) -> bool:
    """Return whether an entry covers the survivor. An entry without ``change`` covers the function."""
    return any(entry["function"] == function and entry.get("change", change) == change for entry in judged)


def unjudged(workspace: Path, survivors: list[str], judged: list[dict[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the function and the change of each survivor that has no entry."""
    for mutant in survivors:
        function = function_of(mutant)
        if is_judged(function, "", [entry for entry in judged if "change" not in entry]):
            continue
        change = change_of(workspace, mutant)
        if not is_judged(function, change, judged):
            yield function, change


def report(workspace: Path, folder: str, survivors: set[str], judged: list[dict[str, str]]) -> bool:
    """Print the counts and the open survivors. Return whether there are mutants, all are tested, and all survivors
    are judged."""
    codes = results(workspace)
    confirmed = json.loads(path.read_text(encoding="utf-8")) if (path := workspace / "confirmed.json").exists() else {}
    untested = sum(
        code is None or (code in (SURVIVED, NO_TESTS) and name not in confirmed) for name, code in codes.items()
    )
    present = sorted(survivors & codes.keys())
    open_survivors = list(unjudged(workspace, present, judged))
    print(
        f"{folder}: {len(codes)} mutants, {len(codes) - untested - len(present)} detected, {len(present)} survived"
        f" ({len(open_survivors)} without an entry in survivors.yaml), {untested} not tested yet",
        flush=True,
    )
    for function, change in open_survivors:
        print(f"  {function}: {change}")
    return bool(codes) and not open_survivors and not untested


def main() -> None:
    """Run mutation testing and report the survivors without an entry."""
    parser = argparse.ArgumentParser(description="Mutation testing of the domain")
    parser.add_argument("folders", nargs="*", metavar="FOLDER", help=f"some of: {', '.join(FOLDERS)} (default: all)")
    parser.add_argument("--seconds", type=float, default=3600.0, help="time for each folder (default: 3600)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="mutants tested at the same time")
    parser.add_argument("--report", action="store_true", help="report the results so far; test nothing")
    parser.add_argument("--partial", action="store_true", help="succeed although mutants are untested or not judged")
    arguments = parser.parse_args()
    if unknown := set(arguments.folders) - set(FOLDERS):
        parser.error(f"expected folders of {', '.join(FOLDERS)}; got {', '.join(sorted(unknown))}")
    judged = yaml.safe_load(SURVIVORS.read_text(encoding="utf-8")) or []
    is_complete = True
    for folder in arguments.folders or FOLDERS:
        workspace = WORKSPACES / folder
        seconds = 0.0 if arguments.report else arguments.seconds
        if not arguments.report:
            start = time.monotonic()
            run(prepare(folder), processes=arguments.processes, seconds=seconds)
            seconds -= time.monotonic() - start
        survivors = confirm(workspace, folder, seconds=seconds)
        is_complete = report(workspace, folder, survivors, judged) and is_complete
    if not is_complete and not arguments.partial:
        sys.exit(
            "expected every mutant to be tested, and every survivor to have an entry in survivors.yaml. Add a test for "
            "each survivor above, or an entry with its reason. Run again to test the others"
        )


if __name__ == "__main__":
    main()
