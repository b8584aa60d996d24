"""Serves the files of the web console at /console/, beside the HTTP API. `console_build.py` makes them."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from enroll.local.loopback_http import HttpRequest, Response
from enroll.local.settings import DEMO_PORTAL

PATH = "/console/"
"""The address of the console. The build has it as the base of its own addresses (console/vite.config.ts)."""

HOSTING = "console.json"
"""What the host of the page tells it: the portal to open first (console/src/shell/hosting.ts)."""

ASSETS = "assets"
"""The folder of files whose names have a hash of their content."""

INDEX = "index.html"

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data:",
        "style-src 'self'",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
    )
)

SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

CACHED_FOR_EVER = "public, max-age=31536000, immutable"
REVALIDATED = "no-cache"

# The types of a minimal system do not include fonts.
CONTENT_TYPES = {".woff2": "font/woff2", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class ConsoleSite:
    """The built files in `folder`, which may be missing. `problem_file` then has the reason.

    `hosting`: the content of `console.json`.
    """

    folder: Path
    problem_file: Path
    hosting: Mapping[str, Any] = field(default_factory=lambda: {"portalId": DEMO_PORTAL})

    @classmethod
    def of_project(cls, project: Path) -> ConsoleSite:
        built = project / "build" / "console"
        return cls(built / "site", built / "problem.txt")

    @classmethod
    def of_package(cls) -> ConsoleSite:
        """Return the site of an installation without a checkout: files of the package, if it was built with them."""
        package = Path(__file__).parents[1]
        return cls(package / "console_files", package / "console_files" / "problem.txt")

    @property
    def problem(self) -> str | None:
        """Return why the console cannot be opened; None if it can be."""
        if (self.folder / INDEX).is_file():
            return None
        try:
            reason = self.problem_file.read_text(encoding="utf-8").strip()
        except OSError:
            reason = ""
        return reason or "it has not been built. `make run` builds it."

    @property
    def hosting_path(self) -> str:
        return f"{PATH}{HOSTING}"

    def answer(self, request: HttpRequest) -> Response | None:
        """Return the response to a request for the console; None if the path is not part of it.

        An address that is no file is a screen of the console, so the response is the page.
        """
        path = unquote(request.path.partition("?")[0], errors="replace")
        if path == PATH.rstrip("/"):
            return Response(308, headers={"Location": PATH})
        if not path.startswith(PATH):
            return None
        if request.method not in ("GET", "HEAD"):
            return _text(405, f"{PATH} answers GET only.", {"Allow": "GET, HEAD"})
        if problem := self.problem:
            return _text(503, f"The web console is missing: {problem}")
        name = path.removeprefix(PATH)
        if name == HOSTING:
            return _page(json.dumps(dict(self.hosting)).encode(), "application/json", REVALIDATED)
        file = self._file(name)
        if file is None:
            if name.startswith(f"{ASSETS}/"):
                return _text(404, f"There is no {path}. Reload the page: the console may have been built again.")
            file = self.folder / INDEX
        # The folder of the project can have any name, also that of the assets.
        is_hashed = file.resolve().is_relative_to(self.folder.resolve() / ASSETS)
        return _page(file.read_bytes(), _content_type(file), CACHED_FOR_EVER if is_hashed else REVALIDATED)

    def _file(self, name: str) -> Path | None:
        """Return the file of a path, never one outside the folder."""
        if not name or "\0" in name:
            return None
        try:
            file = (self.folder / name).resolve()
            return file if file.is_relative_to(self.folder.resolve()) and file.is_file() else None
        except (OSError, RuntimeError):  # the name is too long, or a link leads to itself
            return None


def _page(body: bytes, content_type: str, caching: str) -> Response:
    return Response(200, body, {**SECURITY_HEADERS, "Content-Type": content_type, "Cache-Control": caching})


def _text(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return Response(
        status,
        message.encode(),
        {
            **SECURITY_HEADERS,
            "Content-Type": "text/plain; charset=utf-8",
            "Cache-Control": "no-store",
            **(headers or {}),
        },
    )


def _content_type(file: Path) -> str:
    content_type = CONTENT_TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return f"{content_type}; charset=utf-8" if content_type.startswith("text/") else content_type
