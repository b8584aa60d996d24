"""What is wrong with a document: where, what was found, what is allowed."""

import difflib
from collections.abc import Iterable

from msgspec import Struct


class ValidationError(Struct, frozen=True):
    """``path`` is a JSON path (``$.enrollmentCriteria.eventFilterBranches[0]``), ``code`` stable; ``meant`` is what the
    author probably meant, and is in the message too."""

    path: str
    code: str
    message: str
    meant: str | None = None

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def format_value(found: object, limit: int = 80) -> str:
    """What was found, short enough for a message."""
    try:
        text = ascii(found) if isinstance(found, str) and not found.isprintable() else repr(found)
    except RecursionError:
        return "something that is nested too deep to be shown"
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text):,} characters)"


def nearest(found: str, known: Iterable[str]) -> str | None:
    near = difflib.get_close_matches(found[:200], list(known), n=1, cutoff=0.75)
    return near[0] if near else None


def suggestion(found: str, known: Iterable[str]) -> str:
    """`` - did you mean x?`` when something known is near, else nothing."""
    near = nearest(found, known)
    return f" - did you mean {near}?" if near else ""
