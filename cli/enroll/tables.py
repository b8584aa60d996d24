"""Lay out tables for a terminal of a given width, and as tab-separated lines for a pipe. Pure functions.

Nothing is cut, so that every ID can be copied. If a row is wider than the terminal, its last columns move to lines
below the row. Messages move first.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

GAP = "  "
INDENT = "    "
# Between the values below a row.
SEPARATOR = " · "
MIN_TEXT_WIDTH = 20
"""Text below a row is wrapped at this width at least, however narrow the terminal is."""


@dataclass(frozen=True)
class Styled:
    """One line of text whose parts have styles. A style is a key of ``output.ANSI_CODES``, or empty."""

    spans: tuple[tuple[str, str], ...]

    def __add__(self, other: Styled | str) -> Styled:
        return Styled(self.spans + (((other, ""),) if isinstance(other, str) else other.spans))

    def without_trailing_spaces(self) -> Styled:
        spans = list(self.spans)
        while spans and not spans[-1][0].strip(" "):
            spans.pop()
        if spans:
            spans[-1] = (spans[-1][0].rstrip(" "), spans[-1][1])
        return Styled(tuple(spans))

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.spans)

    def part(self, start: int, end: int) -> Styled:
        """Return the characters from ``start`` to ``end``, with their styles."""
        spans: list[tuple[str, str]] = []
        offset = 0
        for text, style in self.spans:
            if piece := text[max(0, start - offset) : max(0, end - offset)]:
                spans.append((piece, style))
            offset += len(text)
        return Styled(tuple(spans))


@dataclass(frozen=True)
class Lines:
    """Several lines in one cell, for example one for each failed condition."""

    lines: Sequence[str]


Cell = str | int | float | Styled | Lines | None


@dataclass(frozen=True)
class Column:
    """A column. A message is a sentence: on a terminal, it has a line of its own unless the whole table fits."""

    title: str
    is_message: bool = False


def tab_separated(columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    """Yield a line with the titles and a line for each row. The cells must not contain tabs."""
    yield "\t".join(column.title for column in columns)
    for row in rows:
        yield "\t".join("; ".join(_lines(cell)) for cell in row)


def lay_out(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int, *, is_full: bool = False
) -> Iterator[Styled]:
    """Yield the lines of a table that is at most ``width`` characters wide, except for longer words such as IDs.

    A column with the same value in all rows is named once above the table, unless ``is_full``. The first column always
    stays, because it identifies the row.
    """
    constant = [] if is_full or len(rows) < 2 else [index for index in range(1, len(columns)) if _is_same(rows, index)]
    yield from _constant_lines(columns, rows, constant, width)
    shown = [index for index in range(len(columns)) if index not in constant]
    widths = {index: max(cell_width(text) for text in _texts(columns, rows, index)) for index in shown}
    beside = _beside(columns, rows, shown, widths, width)
    below = [index for index in shown if index not in beside]
    yield Styled(
        ((_row([columns[index].title for index in beside], [widths[index] for index in beside]).text, "bold"),)
    )
    for row in rows:
        yield _row([row[index] for index in beside], [widths[index] for index in beside])
        yield from _lines_below(columns, row, below, width)


def _is_same(rows: Sequence[Sequence[Cell]], index: int) -> bool:
    return len({tuple(_lines(row[index])) for row in rows}) == 1


def _constant_lines(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], constant: Sequence[int], width: int
) -> Iterator[Styled]:
    values = {columns[index].title: "; ".join(_lines(rows[0][index])) for index in constant}
    same = SEPARATOR.join(f"{title} {value}" for title, value in values.items() if value)
    empty = ", ".join(title for title, value in values.items() if not value)
    notes = [f"All rows: {same}"] if same else []
    notes += [f"Empty in all rows: {empty}"] if empty else []
    for note in notes:
        for line in wrapped(note, width):
            yield Styled(((line, "dim"),))


def _beside(
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    shown: Sequence[int],
    widths: dict[int, int],
    width: int,
) -> list[int]:
    """Return the columns that fit beside each other. Messages leave first, then the last column, and so on."""
    multiline = {index for index in shown if any(len(_lines(row[index])) > 1 for row in rows)}
    beside = [index for index in shown if index not in multiline or index == 0]
    messages = [index for index in beside if columns[index].is_message]
    others = [index for index in beside if not columns[index].is_message]
    for index in [*reversed(messages), *reversed(others[1:])]:
        if sum(widths[index] for index in beside) + len(GAP) * (len(beside) - 1) <= width:
            break
        beside.remove(index)
    return beside


def _lines_below(columns: Sequence[Column], row: Sequence[Cell], below: Sequence[int], width: int) -> Iterator[Styled]:
    parts: list[str] = []
    for index in below:
        lines = [line for line in _lines(row[index]) if line]
        if columns[index].is_message or len(lines) > 1:
            for part in ([SEPARATOR.join(parts)] if parts else []) + lines:
                yield from (Styled(((line, ""),)) for line in wrapped(part, width, INDENT))
            parts = []
        elif lines:
            parts.append(f"{columns[index].title} {lines[0]}")
    if parts:
        yield from (Styled(((line, ""),)) for line in wrapped(SEPARATOR.join(parts), width, INDENT))


def wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """Return the lines of a text. Words longer than a line, such as IDs, are not broken."""
    return [line.text for line in wrapped_line(Styled(((indent + text, ""),)), width, len(indent))]


def wrapped_line(line: Styled, width: int, indent: int) -> Iterator[Styled]:
    """Yield the lines of a long line. ``indent``: the number of spaces before each line after the first.

    Words longer than a line, such as IDs, are not broken. The spaces between words of one line are kept.
    """
    text = line.text
    limit = max(width, indent + MIN_TEXT_WIDTH)
    prefix = Styled(())
    start = end = 0
    for word in re.finditer("[^ ]+", text):
        if end > start and len(prefix.text) + cell_width(text[start : word.end()]) > limit:
            yield prefix + line.part(start, end)
            start, prefix = word.start(), Styled(((" " * indent, ""),))
        end = word.end()
    yield prefix + line.part(start, len(text))


def _texts(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], index: int) -> Iterator[str]:
    yield columns[index].title
    for row in rows:
        yield from _lines(row[index])


def _lines(cell: Cell) -> list[str]:
    if isinstance(cell, Lines):
        return list(cell.lines) or [""]
    return [cell.text if isinstance(cell, Styled) else "" if cell is None else str(cell)]


def _row(cells: Sequence[Cell], widths: Sequence[int]) -> Styled:
    line = Styled(())
    for number, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        text = _lines(cell)[0]
        is_last = number == len(cells) - 1
        padding = "" if is_last else " " * (width - cell_width(text)) + GAP
        line = line + (cell if isinstance(cell, Styled) else text) + padding
    return line.without_trailing_spaces()


def cell_width(text: str) -> int:
    """Return the number of columns that a terminal needs for a text. Wide characters, for example 日, need two."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )
