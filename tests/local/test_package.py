"""The package has the web console if it was built before."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from enroll.local.console_site import ConsoleSite


@pytest.fixture(scope="module")
def setup() -> ModuleType:
    spec = importlib.util.spec_from_file_location("enroll_setup", Path(__file__).parents[2] / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_built_console_is_copied_in_place_of_an_earlier_one(setup: ModuleType, tmp_path: Path) -> None:
    site, package = tmp_path / "site", tmp_path / "enroll"
    (site / "assets").mkdir(parents=True)
    (site / "index.html").write_text("page")
    (site / "assets" / "index-2.js").write_text("new")
    (package / "console_files" / "assets").mkdir(parents=True)
    (package / "console_files" / "assets" / "index-1.js").write_text("earlier")
    assert setup.add_console(site, package)
    assert [file.name for file in (package / "console_files" / "assets").iterdir()] == ["index-2.js"]


def test_package_without_a_built_console_has_none(setup: ModuleType, tmp_path: Path) -> None:
    assert not setup.add_console(tmp_path / "site", tmp_path / "enroll")
    assert not (tmp_path / "enroll" / "console_files").exists()


def test_package_is_searched_for_the_console_where_the_build_puts_it() -> None:
    assert ConsoleSite.of_package().folder.parts[-2:] == ("enroll", "console_files")
