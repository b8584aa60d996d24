"""What commands print: tables for people, JSON for programs, errors with an exit code that means something."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

# Exit codes; 0 is success.
FAILED = 1
INVALID = 2
NOT_REACHED = 3
NOT_FOUND = 4
CONFLICT = 5

# A pipe has no width of its own; 80 columns would cut ids.
console = Console(width=None if sys.stdout.isatty() else 200)
errors = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def fail(message: str, code: int) -> NoReturn:
    errors.print(f"[red]Error:[/red] {escape(message)}", soft_wrap=True)
    raise typer.Exit(code)


def print_json(value: Any) -> None:
    """Plain, without colours and line breaks of a terminal."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*("" if cell is None else escape(str(cell)) for cell in row))
    console.print(table)


def shown(value: Any, limit: int = 60) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else text[:limit] + "…"
