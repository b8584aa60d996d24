"""List the differences between two JSON documents by their JSON paths."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def differences(before: Any, after: Any, path: str = "$") -> Iterator[dict[str, Any]]:
    """Yield ``{"path", "change", "before", "after"}`` for each value that was added, removed or changed.

    Elements of lists are compared by their position. ``before`` or ``after`` is null if there was no value.
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in (*before, *(key for key in after if key not in before)):
            at = f"{path}.{key}" if _PLAIN_KEY.fullmatch(key) else f"{path}[{key!r}]"
            if key not in after:
                yield _difference(at, "removed", before[key], None)
            elif key not in before:
                yield _difference(at, "added", None, after[key])
            else:
                yield from differences(before[key], after[key], at)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _differences_of_lists(before, after, path)
    elif type(before) is not type(after) or before != after:
        yield _difference(path, "changed", before, after)


def _differences_of_lists(before: Sequence[Any], after: Sequence[Any], path: str) -> Iterator[dict[str, Any]]:
    common = min(len(before), len(after))
    for index in range(common):
        yield from differences(before[index], after[index], f"{path}[{index}]")
    for index in range(common, len(before)):
        yield _difference(f"{path}[{index}]", "removed", before[index], None)
    for index in range(common, len(after)):
        yield _difference(f"{path}[{index}]", "added", None, after[index])


def _difference(path: str, change: str, before: Any, after: Any) -> dict[str, Any]:
    return {"path": path, "change": change, "before": before, "after": after}
