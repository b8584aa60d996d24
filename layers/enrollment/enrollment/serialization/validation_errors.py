"""Validation errors: where a document is wrong, what was expected, and what was found.

Every message has one form, and the JSON path is given beside it:

    expected <what>[, for example <value>]; got <value>[. <What to do next>]
"""

import json
from collections.abc import Iterable

from msgspec import Struct

from enrollment.domain.similar_names import nearest


class ValidationError(Struct, frozen=True):
    """``path`` is a JSON path (``$.enrollmentCriteria.eventFilterBranches[0]``) or the name of a parameter. ``code`` is
    stable, ``message`` is not. ``meant``: what the author probably meant; ``ids``: the objects that the error is about.
    The message names both too. ``facts``: names and values for programs."""

    path: str
    code: str
    message: str
    meant: str | None = None
    ids: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def expectation(expected: str, value: object, action: str = "") -> str:
    """Return the message for a wrong value.

    ``expected`` is a phrase, best with an example: ``a list of flow IDs``, ``a number from 1 to 100, for example 20``.
    ``action`` is what to do next, as an imperative without a full stop.
    """
    return expectation_of(expected, format_value(value), action)


def expectation_of(expected: str, found: str, action: str = "") -> str:
    """As ``expectation``, for a value that is described in words: ``300 filters``."""
    separator = ";" if "," in expected else ","
    return f"expected {expected}{separator} got {found}" + (f". {action}" if action else "")


def format_value(value: object, limit: int = 80) -> str:
    """Return a value as in its document, cut after ``limit`` characters. Text has single quotes. A missing value and
    null are the same. Unprintable characters are escaped, so that a message can be shown and logged anywhere."""
    if value is None:
        return "no value"
    try:
        if isinstance(value, str):
            text = repr(value) if value.isprintable() else ascii(value)
        else:
            text = json.dumps(value, ensure_ascii=False, default=repr)
            text = text if text.isprintable() else json.dumps(value, default=repr)
    except RecursionError:
        return "a value that is nested too deeply to be shown"
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text):,} characters)"


def suggestion(text: str, known: Iterable[str]) -> str:
    """Return `` - did you mean x?`` for the known text nearest to this one, or an empty text."""
    return hint(nearest(text, known))


def hint(meant: str | None) -> str:
    """Return `` - did you mean x?``, or an empty text for None."""
    return f" - did you mean {meant}?" if meant else ""
