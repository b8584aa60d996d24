"""Print tables and lines for people, JSON for programs, and errors with an exit code.

All output of the command line goes through this module. Names, property values and events come from strangers, for
example from visitors who fill in a form. Therefore every character that a terminal acts on, hides or reorders is
replaced by a visible escape here. No other module writes to the terminal (tests/cli/test_hostile_text.py).
"""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.highlighter import JSONHighlighter
from rich.segment import Segment
from rich.table import Table
from rich.text import Text
from rich.traceback import Traceback
from typer.core import TyperGroup

# Exit codes; 0 is success.
FAILED = 1
INVALID = 2
NOT_REACHED = 3
NOT_FOUND = 4
CONFLICT = 5

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

# The Unicode categories Cc, Cf, Zl, Zp and Cs: C0 and C1 controls, DEL, bidirectional controls and isolates,
# zero-width characters, line and paragraph separators, tags, and halves of surrogate pairs.
_UNPRINTABLE = (
    r"\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e"
    r"\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f"
)
_IN_A_LINE = re.compile(f"[{_UNPRINTABLE}]")
# A line feed between lines is layout, not text.
_BETWEEN_LINES = re.compile(f"(?!\n)[{_UNPRINTABLE}]")


def printable(text: str) -> str:
    """Return one line of text in which every unprintable character is a visible escape, for example ``\\x1b``."""
    return _IN_A_LINE.sub(_escape, text)


def json_text(value: Any, indent: int | None = 2) -> str:
    """Return JSON without unprintable characters. Parsing it gives the same value."""
    return _BETWEEN_LINES.sub(_json_escape, json.dumps(value, indent=indent, ensure_ascii=False))


def _escape(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode()


def _json_escape(match: re.Match[str]) -> str:
    return json.dumps(match.group())[1:-1]


class PrintableConsole(Console):
    """A console that shows text exactly as it is, and unprintable characters as visible escapes.

    A string is one line: a line feed in it is escaped too, so that a value can't imitate a line of output. Markup and
    emoji codes are off, because ``[red]`` or ``:smile:`` in a value is text. Use ``Text`` for styles.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Escape before the layout, so that columns have the width of the escaped text."""
        return super().render_str(printable(text), **{**options, "markup": False, "emoji": False})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Escape text that is not printed as a string. Control segments are the console's own."""
        for segment in super().render(renderable, options):
            if segment.control or _BETWEEN_LINES.search(segment.text) is None:
                yield segment
            else:
                yield Segment(_BETWEEN_LINES.sub(_escape, segment.text), segment.style)


# A pipe has no width of its own; 80 columns would cut ids.
console = PrintableConsole(width=None if sys.stdout.isatty() else 200)
errors = PrintableConsole(stderr=True)


def styled(text: str, style: str = "") -> Text:
    """Return one line of foreign text with a style."""
    return Text(printable(text), style)


class Lines:
    """Several lines, for example in a cell of a table."""

    def __init__(self, lines: Iterable[RenderableType]) -> None:
        self._lines = list(lines)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Group(*self._lines)


def fail(message: str | Sequence[str], code: int) -> NoReturn:
    """Print an error, or the lines of one, and end the command with this exit code."""
    first_line, *more_lines = [message] if isinstance(message, str) else message
    errors.print(Text("Error: ", style="red"), first_line, sep="", soft_wrap=True)
    for line in more_lines:
        errors.print(line, soft_wrap=True)
    raise typer.Exit(code)


class PrintableGroup(TyperGroup):
    """The root of the commands. It escapes usage errors and tracebacks, which Typer and Python print unescaped."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if hasattr(error, "format_message"):
                # This is a usage error. Its message quotes the arguments.
                error.message = printable(error.message)  # type: ignore[attr-defined]
                raise
            errors.print(Traceback.from_exception(type(error), error, error.__traceback__))
            raise typer.Exit(FAILED) from error


def confirm(question: str) -> None:
    """Ask on the terminal. End the command if the answer is not yes."""
    typer.confirm(printable(question), abort=True, err=True)


def print_json(value: Any) -> None:
    """Print JSON without colours and without line breaks of the terminal."""
    typer.echo(json_text(value))


def print_json_line(value: Any) -> None:
    """Print one line of JSON Lines."""
    typer.echo(json_text(value, indent=None))


def print_json_document(value: Any) -> None:
    """Print JSON for a person to read, with colours if the terminal has them."""
    console.print(JSONHighlighter()(Text(json_text(value))), soft_wrap=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Print a table. A cell is None, a value that is shown as one line, or ``Lines``."""
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    console.print(table)


def _cell(value: object) -> RenderableType:
    if isinstance(value, Lines | Text):
        return value
    return "" if value is None else str(value)


def shown(value: Any, limit: int = 60) -> str:
    """Return a value as text of at most ``limit`` characters, followed by "…" if it is longer."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else text[:limit] + "…"
