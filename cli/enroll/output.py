"""Print lines and tables for people, JSON for programs, and errors with an exit code.

All output of the command line goes through this module. Names, property values and events come from strangers, for
example from visitors who fill in a form. Therefore every character that a terminal acts on, hides or reorders is
replaced by a visible escape here. No other module writes to the terminal (tests/cli/test_hostile_text.py).

On a terminal, tables fit its width. In a pipe, a table is a line of column names and a line for each row, separated by
tabs, with nothing left out. docs/command-line.md describes both.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, NoReturn, TextIO

import typer

from enroll.tables import Cell, Column, Lines, Styled, lay_out, tab_separated, wrapped, wrapped_line
from enroll.times import Times

# Exit codes; 0 is success. docs/command-line.md has the table.
FAILED = 1
INVALID = 2
NOT_REACHED = 3
NOT_FOUND = 4
CONFLICT = 5
UNDECIDED = 6

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Utc = Annotated[bool, typer.Option("--utc", help="Show times in UTC instead of local time.")]

# The Unicode categories Cc, Cf, Zl, Zp and Cs: C0 and C1 controls, DEL, bidirectional controls and isolates,
# zero-width characters, line and paragraph separators, tags, and halves of surrogate pairs.
_UNPRINTABLE = (
    r"\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e"
    r"\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f"
)
_IN_A_LINE = re.compile(f"[{_UNPRINTABLE}]")
# A line feed between lines is layout, not text.
UNPRINTABLE_BETWEEN_LINES = re.compile(f"(?!\n)[{_UNPRINTABLE}]")

# Spaces before the rest of a line that is wider than the terminal, in addition to those of its beginning. Foreign text
# can therefore not imitate a line.
HANGING = 2

ANSI_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}

TRACEBACK_VARIABLE = "ENROLL_TRACEBACK"


def printable(text: str) -> str:
    """Return one line of text in which every unprintable character is a visible escape, for example ``\\x1b``."""
    return _IN_A_LINE.sub(escape_match, text)


def json_text(value: Any, indent: int | None = 2) -> str:
    """Return JSON without unprintable characters. Parsing it gives the same value."""
    return UNPRINTABLE_BETWEEN_LINES.sub(_json_escape, json.dumps(value, indent=indent, ensure_ascii=False))


def escape_match(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode()


def _json_escape(match: re.Match[str]) -> str:
    return json.dumps(match.group())[1:-1]


class LineConsole:
    """Prints lines to stdout or stderr. A string is one line: a line feed in it is escaped too."""

    def __init__(self, *, stderr: bool = False) -> None:
        self._stderr = stderr

    @property
    def file(self) -> TextIO:
        return sys.stderr if self._stderr else sys.stdout

    @property
    def is_terminal(self) -> bool:
        return self.file.isatty()

    @property
    def has_colors(self) -> bool:
        """Colors and bold text are off in a pipe, and if NO_COLOR is set (https://no-color.org)."""
        return self.is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    @property
    def width(self) -> int:
        """The number of columns. The variable COLUMNS overrides the terminal's own width."""
        return shutil.get_terminal_size().columns

    def print(self, *parts: str | Styled, style: str = "", sep: str = " ", is_wrapped: bool = True) -> None:
        """Print the parts as one line. In a pipe it stays one line. On a terminal it is wrapped between words.

        Without ``is_wrapped`` the line stays whole, for text that people copy: commands, and lines of a file.
        """
        spans = [span for part in parts for span in ((sep, ""), *self._spans(part, style))][1:]
        line = Styled(tuple(spans))
        lines: Iterable[Styled] = [line]
        if is_wrapped and self.is_terminal:
            text = line.text
            lines = wrapped_line(line, self.width, len(text) - len(text.lstrip(" ")) + HANGING)
        for piece in lines:
            self._write("".join(self._colored(text, own_style) for text, own_style in piece.spans) + "\n")

    def print_escaped(self, line: str) -> None:
        """Print a line whose values are printable already. The tabs between them are kept."""
        self._write(f"{line}\n")

    def print_json(self, value: Any, indent: int | None = 2) -> None:
        self._write(json_text(value, indent) + "\n")

    def _spans(self, part: str | Styled, style: str) -> list[tuple[str, str]]:
        spans = part.spans if isinstance(part, Styled) else ((part, ""),)
        return [(printable(text), own_style or style) for text, own_style in spans]

    def _colored(self, text: str, style: str) -> str:
        code = ANSI_CODES.get(style)
        return f"\x1b[{code}m{text}\x1b[0m" if code and text and self.has_colors else text

    def _write(self, text: str) -> None:
        file = self.file
        encoding = file.encoding or "utf-8"
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            text = text.encode(encoding, "backslashreplace").decode(encoding)
        file.write(text)
        # A closed pipe fails here, where it is handled, and not when Python exits.
        file.flush()


console = LineConsole()
errors = LineConsole(stderr=True)


def styled(text: str, style: str = "") -> Styled:
    """Return one line of foreign text with a style."""
    return Styled(((text, style),))


def print_note(text: str, style: str = "dim") -> None:
    """Print a line about the output, for example a count. In a pipe it goes to stderr, so that stdout has only data."""
    (console if console.is_terminal else errors).print(text, style=style if console.is_terminal else "")


def times(utc: bool) -> Times:
    """Return how commands print times: short and local on a terminal, complete and in UTC in a pipe."""
    return Times(is_utc=utc, is_full=not console.is_terminal)


def fail(message: str | Sequence[str], code: int) -> NoReturn:
    """Print an error, or the lines of one, and end the command with this exit code."""
    first_line, *more_lines = [message] if isinstance(message, str) else message
    errors.print(styled("Error: ", "red"), first_line, sep="")
    for line in more_lines:
        errors.print(line)
    raise typer.Exit(code)


def report_unexpected(error: Exception) -> None:
    """Print that a command failed because of a fault in Enroll."""
    if os.environ.get(TRACEBACK_VARIABLE):
        import traceback

        for line in "".join(traceback.format_exception(error)).splitlines():
            errors.print(line)
    errors.print(
        styled("Error: ", "red"),
        f"the command failed because of a fault in enroll. To report it, run the command again with "
        f"{TRACEBACK_VARIABLE}=1, which prints the details",
        sep="",
    )


def confirm(question: str) -> None:
    """Ask on the terminal. End the command if the answer is not yes."""
    typer.confirm(printable(question), abort=True, err=True)


def print_json(value: Any) -> None:
    """Print a JSON document without colors and without line breaks of the terminal."""
    console.print_json(value)


def print_json_line(value: Any) -> None:
    """Print one line of JSON Lines."""
    console.print_json(value, indent=None)


def print_json_document(value: Any) -> None:
    """Print JSON for a person to read."""
    console.print_json(value)


def print_table(
    columns: Sequence[str | Column], rows: Iterable[Sequence[Cell]], title: str | None = None, *, is_full: bool = False
) -> None:
    """Print a table. A cell is None, text, a number, ``Styled`` or ``Lines``. In a pipe, the title is left out.

    On a terminal, a column that has the same value in all rows is printed once above the table, unless ``is_full``.
    """
    all_columns = [Column(column) if isinstance(column, str) else column for column in columns]
    all_columns = [Column(printable(column.title), column.is_message) for column in all_columns]
    cells = [[_printable_cell(cell) for cell in row] for row in rows]
    if not console.is_terminal:
        for line in tab_separated(all_columns, cells):
            console.print_escaped(line)
        return
    if title is not None:
        for line in wrapped(printable(title), console.width):
            console.print(line, style="bold")
    for line_of_table in lay_out(all_columns, cells, console.width, is_full=is_full):
        console.print(line_of_table)


def _printable_cell(cell: Cell) -> Cell:
    if isinstance(cell, Styled):
        return Styled(tuple((printable(text), style) for text, style in cell.spans))
    if isinstance(cell, Lines):
        return Lines([printable(line) for line in cell.lines])
    return "" if cell is None else printable(str(cell))


def shown(value: Any, limit: int | None = None) -> str:
    """Return a value as text. With a limit, a longer text is cut and ends in "…". Never cut an ID."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if limit is None or len(text) <= limit else text[:limit] + "…"
