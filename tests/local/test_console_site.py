"""The web console beside the HTTP API of the local run."""

import json
from pathlib import Path

import pytest

from enroll.local.console_site import CONTENT_SECURITY_POLICY, ConsoleSite
from enroll.local.loopback_http import HttpRequest, Response

PAGE = b"<!doctype html><title>Enroll</title>"


@pytest.fixture
def site(tmp_path: Path) -> ConsoleSite:
    site = ConsoleSite.of_project(tmp_path)
    (site.folder / "assets").mkdir(parents=True)
    (site.folder / "index.html").write_bytes(PAGE)
    (site.folder / "pressable.css").write_text("a{}")
    (site.folder / "assets" / "index-1a2b.js").write_text("export {}")
    (site.folder / "assets" / "inter.woff2").write_bytes(b"font")
    (tmp_path / "secret.txt").write_text("secret")
    return site


def get(site: ConsoleSite, path: str, method: str = "GET") -> Response:
    response = site.answer(HttpRequest(method, path, {}, b""))
    assert response is not None
    return response


@pytest.mark.parametrize(
    "path", ["/console/", "/console/flows", "/console/records/contact/103?tab=flows", "/console/events/a%2Fb"]
)
def test_address_of_a_screen_returns_the_page_which_is_never_cached(site: ConsoleSite, path: str) -> None:
    response = get(site, path)
    assert (response.status, response.body) == (200, PAGE)
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    ("path", "content_type", "caching"),
    [
        ("/console/assets/index-1a2b.js", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"),
        ("/console/assets/inter.woff2", "font/woff2", "public, max-age=31536000, immutable"),
        ("/console/pressable.css", "text/css; charset=utf-8", "no-cache"),
    ],
)
def test_file_has_its_type_and_hashed_files_are_immutable(
    site: ConsoleSite, path: str, content_type: str, caching: str
) -> None:
    response = get(site, path)
    assert response.headers["Content-Type"] == content_type
    assert response.headers["Cache-Control"] == caching


@pytest.mark.parametrize(
    "path", ["/console/", "/console/assets/index-1a2b.js", "/console/assets/gone.js", "/console/console.json"]
)
def test_every_response_forbids_inline_scripts_styles_and_frames(site: ConsoleSite, path: str) -> None:
    headers = get(site, path).headers
    assert headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_page_is_never_cached_in_a_project_whose_folder_is_named_assets(tmp_path: Path) -> None:
    site = ConsoleSite.of_project(tmp_path / "assets")
    site.folder.mkdir(parents=True)
    (site.folder / "index.html").write_bytes(PAGE)
    assert get(site, "/console/").headers["Cache-Control"] == "no-cache"


def test_file_of_an_earlier_build_is_not_found(site: ConsoleSite) -> None:
    assert get(site, "/console/assets/index-old.js").status == 404


@pytest.mark.parametrize(
    "path", ["/console/../../../secret.txt", "/console/%2e%2e/%2e%2e/%2e%2e/secret.txt", "/console//etc/passwd"]
)
def test_no_path_leads_out_of_the_folder(site: ConsoleSite, path: str) -> None:
    assert get(site, path).body == PAGE


def test_link_out_of_the_folder_or_to_itself_is_not_followed(site: ConsoleSite, tmp_path: Path) -> None:
    (site.folder / "outside").symlink_to(tmp_path / "secret.txt")
    (site.folder / "loop").symlink_to(site.folder / "loop")
    assert [get(site, f"/console/{name}").body for name in ("outside", "loop")] == [PAGE, PAGE]


def test_name_that_is_too_long_for_a_file_is_no_file(site: ConsoleSite) -> None:
    assert get(site, f"/console/events/{'é' * 128}").body == PAGE
    assert get(site, f"/console/assets/{'a' * 5000}.js").status == 404


def test_only_reading_is_allowed(site: ConsoleSite) -> None:
    assert get(site, "/console/", "POST").status == 405


def test_paths_of_the_api_are_left_to_it(site: ConsoleSite) -> None:
    for path in ("/automation/v4/flows", "/docs", "/consoles", "/"):
        assert site.answer(HttpRequest("GET", path, {}, b"")) is None


def test_address_without_the_slash_redirects(site: ConsoleSite) -> None:
    response = get(site, "/console")
    assert (response.status, response.headers["Location"]) == (308, "/console/")


def test_page_learns_the_portal_of_the_demonstration(site: ConsoleSite) -> None:
    assert json.loads(get(site, "/console/console.json").body) == {"portalId": "demo"}


def test_missing_console_says_why(tmp_path: Path) -> None:
    site = ConsoleSite.of_project(tmp_path)
    assert "`make run` builds it" in get(site, "/console/").body.decode()
    site.problem_file.parent.mkdir(parents=True)
    site.problem_file.write_text("Node.js could not be downloaded.\n")
    response = get(site, "/console/flows")
    assert response.status == 503
    assert response.body.decode() == "The web console is missing: Node.js could not be downloaded."
