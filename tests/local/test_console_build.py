"""The build of the web console."""

import sys
from pathlib import Path

import pytest

from enroll.local.console_build import BuildError, ConsoleBuild, build_if_needed, run_step
from enroll.output import LineConsole


@pytest.fixture
def build(tmp_path: Path) -> ConsoleBuild:
    for name in ("cli/console-requirements.txt", "docs/openapi.json", "console/package.json", "console/src/main.tsx"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    return ConsoleBuild(tmp_path)


def built(build: ConsoleBuild) -> None:
    build.site.folder.mkdir(parents=True)
    (build.site.folder / "index.html").write_text("page")
    build.built_from.write_text(build.source_hash())


def test_site_is_current_until_a_source_changes(build: ConsoleBuild) -> None:
    assert not build.is_current()
    built(build)
    assert build.is_current()
    (build.sources / "src" / "main.tsx").write_text("changed")
    assert not build.is_current()


@pytest.mark.parametrize("name", ["docs/openapi.json", "cli/console-requirements.txt", "console/package-lock.json"])
def test_site_follows_from_the_api_the_packages_and_node(build: ConsoleBuild, name: str) -> None:
    built(build)
    (build.project / name).write_text("changed")
    assert not build.is_current()


def test_packages_and_generated_types_are_no_sources(build: ConsoleBuild) -> None:
    built(build)
    for name in ("node_modules/react/index.js", "src/api/schema.d.ts"):
        file = build.sources / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("generated")
    assert build.is_current()


def test_failure_is_stored_for_the_local_run_which_works_without_the_console(
    build: ConsoleBuild, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(self: ConsoleBuild) -> None:
        raise BuildError("no network")

    monkeypatch.setattr(ConsoleBuild, "prepare", fail)
    build_if_needed(build, LineConsole())
    assert build.site.problem == "no network"
    assert "The web console is missing: no network" in capsys.readouterr().out


def test_failed_step_names_the_command_and_the_cause() -> None:
    script = "print('start'); print('npm error code ENOTFOUND'); raise SystemExit(7)"
    with pytest.raises(BuildError, match="ended with code 7: npm error code ENOTFOUND"):
        run_step([sys.executable, "-c", script])


def test_missing_command_is_named() -> None:
    with pytest.raises(BuildError, match="could not be started: no-such-command"):
        run_step(["no-such-command", "--version"])
