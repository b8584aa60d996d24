"""The routes of the HTTP API, from the table of its operations, from which docs/openapi.json is made too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import quote, unquote

from enroll.api import fits_in_path
from enrollment.entrypoints.http_api.endpoint import Endpoint, Scope
from enrollment.entrypoints.http_api.routes import ENDPOINTS

LONGEST_PARAMETER = 512
"""Characters of one decoded path parameter. The API takes fewer, and says how many."""


@dataclass(frozen=True)
class Route:
    """A path of the API. `path` is encoded; `operations` are by method."""

    path: str
    operations: Mapping[str, Endpoint]


@dataclass
class _Node:
    """The operations of the paths that end here, and the nodes of their next segments. The key None is a parameter."""

    operations: dict[str, Endpoint] = field(default_factory=dict)
    children: dict[str | None, _Node] = field(default_factory=dict)


def is_reading(endpoint: Endpoint) -> bool:
    """Return whether an operation changes nothing: it needs no right, or the right to read."""
    return endpoint.scope in (None, Scope.READ)


def find_route(path: str) -> Route | None:
    """Return the route of an encoded path without its query; None if the path is not exactly one of the API.

    The path is encoded anew, so it cannot mean another route to the API: no segment is empty, `.` or `..`, and none has
    an encoded `/`, `?`, `#` or `%`.
    """
    if not path.startswith("/") or not path.isascii():
        return None
    found = _find(_tree(), path[1:].split("/"))
    return None if found is None else Route("".join(f"/{segment}" for segment in found[0]), found[1].operations)


def _find(node: _Node, segments: list[str]) -> tuple[list[str], _Node] | None:
    if not segments:
        return ([], node) if node.operations else None
    first, *rest = segments
    if first in node.children and (found := _find(node.children[first], rest)):
        return [first, *found[0]], found[1]
    encoded = _parameter(first)
    if encoded is not None and None in node.children and (found := _find(node.children[None], rest)):
        return [encoded, *found[0]], found[1]
    return None


def _parameter(segment: str) -> str | None:
    """Return a parameter in its only encoding; None if it cannot be one."""
    try:
        text = unquote(segment, errors="strict")
    except UnicodeDecodeError:
        return None
    is_printable = "\\" not in text and not any(ord(character) < 32 or ord(character) == 127 for character in text)
    if not text or len(text) > LONGEST_PARAMETER or not is_printable or not fits_in_path(text):
        return None
    return quote(text, safe="")


@lru_cache(maxsize=1)
def _tree() -> _Node:
    root = _Node()
    for endpoint in ENDPOINTS:
        node = root
        for segment in endpoint.path[1:].split("/"):
            node = node.children.setdefault(None if segment.startswith("{") else segment, _Node())
        node.operations[endpoint.method] = endpoint
    return root
