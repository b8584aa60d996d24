"""Operands with a part of a URL that the property does not have."""

from collections.abc import Iterator

from enrollment.domain.flows.flow_lint.flow_warning import FlowWarning
from enrollment.domain.flows.flow_lint.operands import WHOLE_VALUES, operand_key, operand_texts, quoted
from enrollment.domain.operators.property_operators import Operation
from enrollment.domain.operators.urls import UrlPart, split
from enrollment.domain.values import fold


def url_warnings(operation: Operation, name: str, part: UrlPart, path: str) -> Iterator[FlowWarning]:
    """Operands with a part of the URL that the property does not have."""
    is_substring = operation.operator in _SUBSTRING
    if part is UrlPart.URL or (not is_substring and operation.operator not in WHOLE_VALUES):
        return
    at = f"{path}.operation.{operand_key(operation)}"
    for text in operand_texts(operation):
        page = split(text) if "://" in text else None
        part_text = _part_of(text, part)
        action = f"Write {quoted(part_text)}" if part_text else f"Write the {_URL_PARTS[part]} alone"
        if "://" in text and (is_substring or page is None):
            found = f"{name} has no scheme, so it never contains {quoted(text)}"
            yield FlowWarning(at, "SCHEME_IN_URL_PART", found, action)
        elif page is not None and part is UrlPart.PATH:
            found = f"{name} is the path alone, so {quoted(text)} matches {quoted(page.path)} on every domain"
            action = f"{action}, and filter the domain with hs_url_domain"
            yield FlowWarning(at, "SCHEME_IN_URL_PART", found, action)
        elif part is UrlPart.DOMAIN and fold(text.strip()).startswith("www."):
            found = f"{name} is stored without www., so it never contains {quoted(text)}"
            if not is_substring:
                found = f"{name} is compared without www., so {quoted(text)} matches {quoted(part_text)} too"
            yield FlowWarning(at, "WWW_IN_DOMAIN", found, action)
        elif part is UrlPart.PATH and page is None:
            yield from _path_warnings(operation.operator, name, text, at)


def _path_warnings(operator: str, name: str, text: str, path: str) -> Iterator[FlowWarning]:
    stripped = text.strip()
    if "?" in stripped or "#" in stripped:
        found = f"{name} has no query and no fragment, so it never contains {quoted(text)}"
        action = "Filter the query with hs_query_params, or the whole address with hs_url"
        yield FlowWarning(path, "QUERY_IN_PATH", found, action)
    elif operator not in ("CONTAINS", "DOES_NOT_CONTAIN", "ENDS_WITH") and not stripped.startswith("/"):
        found = f"{name} begins with a slash, and {quoted(text)} does not"
        yield FlowWarning(path, "PATH_WITHOUT_SLASH", found, f"Write {quoted('/' + stripped)}")


_SUBSTRING = frozenset({"CONTAINS", "DOES_NOT_CONTAIN", "STARTS_WITH", "ENDS_WITH"})
_URL_PARTS = {UrlPart.BASE_URL: "host and path", UrlPart.DOMAIN: "domain", UrlPart.PATH: "path"}


def _part_of(text: str, part: UrlPart) -> str:
    """The part of a URL in the operand. Empty if the operand is no URL."""
    page = split(text)
    if page is None or not page.host:
        return ""
    return {UrlPart.BASE_URL: page.base, UrlPart.DOMAIN: page.domain, UrlPart.PATH: page.path}.get(part, "")
