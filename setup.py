"""Adds the web console to the package. All other settings are in pyproject.toml."""

from pathlib import Path
from shutil import copytree, rmtree

from setuptools import setup
from setuptools.command.build_py import build_py

SITE = Path(__file__).resolve().parent / "build" / "console" / "site"
"""The files that `make console` builds."""


def add_console(site: Path, package: Path) -> bool:
    """Copy the built console into the package. Return False if it is not built."""
    target = package / "console_files"
    rmtree(target, ignore_errors=True)
    if not (site / "index.html").is_file():
        return False
    copytree(site, target)
    return True


class BuildWithConsole(build_py):
    """Copies the modules, then the console. An editable installation finds the console in the checkout."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        if not add_console(SITE, Path(self.build_lib, "enroll")):
            self.warn("the package has no web console, because it is not built: run `make console` first")


if __name__ == "__main__":
    setup(cmdclass={"build_py": BuildWithConsole})
