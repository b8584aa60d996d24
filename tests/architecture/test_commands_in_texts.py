"""Every command that the docs, comments and messages name exists."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from enroll.main import app

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
SAMCONFIG = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
TEXTS = {".md", ".py", ".yaml", ".toml", ".txt", ".in", ""}
"""Endings of files; make's have none."""
MADE = {"__pycache__", "build", "node_modules"}


def texts(folder: Path = ROOT) -> Iterator[tuple[str, str]]:
    """The files of the project that a person reads, with their content."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in MADE or path.suffix == ".egg-info":
            continue
        if path.is_dir():
            yield from texts(path)
        elif path != Path(__file__) and path.suffix in TEXTS:
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def fenced(text: str) -> str:
    """Return the text of a page's code blocks."""
    return "\n".join(re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL))


def commands(program: str) -> Iterator[tuple[str, str]]:
    """What follows the program's name: in quotes, and at the beginning of a line in the fences of a page."""
    for name, text in texts():
        quoted = re.findall(rf"[`'\"]{program} ([^`'\"\n]*)", text)
        lines = re.findall(rf"^ *{program} (.*)", fenced(text), re.MULTILINE) if name.endswith(".md") else []
        yield from ((name, line) for line in [*quoted, *lines])


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    named = {(name, target) for name, text in commands("make") for target in re.findall(r"^([a-z][a-z-]*)", text)}
    assert {target for _, target in named} >= {"run", "test", "prove", "build"}
    assert {(name, target) for name, target in named if target not in targets} == set()


def test_every_command_of_enroll_that_is_named_exists() -> None:
    root = typer.main.get_command(app)
    known = {(name,) for name in root.commands}  # type: ignore[attr-defined]
    for name, group in root.commands.items():  # type: ignore[attr-defined]
        known |= {(name, inner) for inner in getattr(group, "commands", {})}
    groups = {command[0] for command in known if len(command) == 2}
    for file, text in commands("enroll"):
        words = re.findall(r"^([a-z]+)(?: ([a-z]+))?", text)
        if not words:
            continue
        first, second = words[0]
        named = (first, second) if first in groups and second else (first,)
        assert named in known, f"{file}: enroll {text}"


def test_no_command_loses_the_parameters_of_samconfig() -> None:
    """`sam deploy --parameter-overrides` replaces the line of the file; the docs name the option only to warn of it."""
    warned = {name: text.count("--parameter-overrides") for name, text in texts() if "--parameter-overrides" in text}
    assert warned == {"docs/operations.md": 1}
    warning = next(text for name, text in texts() if name == "docs/operations.md")
    assert re.search(r"Do not use the option .* `sam deploy --parameter-overrides …` replaces the whole line", warning)


@pytest.mark.parametrize("page", ["docs/operations.md"])
def test_documented_parameter_lines_keep_those_of_the_default_stack(page: str) -> None:
    kept = SAMCONFIG["default"]["deploy"]["parameters"]["parameter_overrides"].split()
    lines = re.findall(r'^parameter_overrides = "(.*)"$', (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert len(lines) == 3
    for line in lines:
        assert set(kept) < set(line.split())
