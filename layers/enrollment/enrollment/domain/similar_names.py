"""Find the name that a misspelled one probably stands for."""

import difflib
from collections.abc import Iterable

# The comparison takes time that grows with the square of the length.
MAX_COMPARED = 200


def nearest(text: str, known: Iterable[str], cutoff: float = 0.75) -> str | None:
    """Return the known text that is spelled most like this one. None if all differ too much.

    ``cutoff``: the least similarity, from 0 to 1, as ``difflib.SequenceMatcher.ratio`` measures it.
    """
    matches = difflib.get_close_matches(text[:MAX_COMPARED], list(known), n=1, cutoff=cutoff)
    return matches[0] if matches else None
