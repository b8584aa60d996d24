"""Consoles of Rich for live screens and progress bars. Rich takes long to import, so commands import this lazily."""

import re
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from enroll.output import UNPRINTABLE_BETWEEN_LINES, escape_match, printable


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
            if segment.control or re.search(UNPRINTABLE_BETWEEN_LINES, segment.text) is None:
                yield segment
            else:
                yield Segment(re.sub(UNPRINTABLE_BETWEEN_LINES, escape_match, segment.text), segment.style)
