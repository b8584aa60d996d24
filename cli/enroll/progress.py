"""Progress bars on stderr. They appear only on a terminal, and Rich is imported only then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from enroll.output import errors


class ProgressBar:
    """The progress of a command. Without a terminal, it shows nothing."""

    def advance(self, count: int = 1) -> None:
        """Add to what is done."""

    def update(self, completed: int, note: str = "") -> None:
        """Set what is done, and a note that is shown beside the bar."""


class _RichProgressBar(ProgressBar):
    def __init__(self, progress: Any, task: Any) -> None:
        self._progress = progress
        self._task = task

    def advance(self, count: int = 1) -> None:
        self._progress.advance(self._task, count)

    def update(self, completed: int, note: str = "") -> None:
        self._progress.update(self._task, completed=completed, note=note)


@contextmanager
def progress_bar(
    label: str, total: int | None = None, *, completed: int = 0, unit: str = "", quiet: bool = False
) -> Iterator[ProgressBar]:
    """Show the progress of the block. ``unit`` follows the count if the total is unknown, for example "decisions"."""
    if quiet or not errors.is_terminal:
        yield ProgressBar()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from enroll.terminal import PrintableConsole

    columns = (
        (TextColumn("{task.description}"), TextColumn(f"{{task.completed}} {unit}"))
        if total is None
        else (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    )
    with Progress(
        *columns, TextColumn("{task.fields[note]}"), console=PrintableConsole(stderr=True), transient=True
    ) as progress:
        yield _RichProgressBar(progress, progress.add_task(label, total=total, completed=completed, note=""))
