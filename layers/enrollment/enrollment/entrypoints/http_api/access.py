"""Identify the caller and the portal of a request, and check the scope. API Gateway has already verified the signature
or the token."""

from collections.abc import Mapping
from typing import Any

from enrollment.entrypoints.http_api.endpoint import Caller, Endpoint, Scope
from enrollment.serialization.requests import MAX_PORTAL_ID, InvalidRequest, read_id
from enrollment.serialization.validation_errors import ValidationError, expectation_of

PORTAL_HEADER = "x-portal-id"
PORTAL_CLAIM = "portal_id"


class Unauthenticated(Exception):
    """The request has no identity that API Gateway has verified."""


class Forbidden(Exception):
    """The token lacks the scope of the operation, or the claim that names its portal."""


class OtherPortal(LookupError):
    """The request names a portal that the caller has no access to. The response is the same as for a portal that does
    not exist."""


def caller_of(event: Mapping[str, Any], endpoint: Endpoint) -> Caller:
    """Return the caller of an API Gateway event. Raises Unauthenticated, Forbidden, OtherPortal, and InvalidRequest if
    the portal is missing or invalid."""
    authorizer = event.get("requestContext", {}).get("authorizer") or {}
    portal_header = {name.lower(): value for name, value in (event.get("headers") or {}).items()}.get(PORTAL_HEADER)
    if iam := authorizer.get("iam"):
        caller = _iam_caller(iam, portal_header, endpoint)
    elif token := authorizer.get("jwt"):
        caller = _token_caller(token.get("claims") or {}, portal_header, endpoint)
    else:
        raise Unauthenticated("expected a signature or a token that API Gateway has verified, got neither")
    if endpoint.scope is not None and endpoint.scope not in caller.scopes:
        raise Forbidden(f"expected a token with the scope {endpoint.scope}, got one without it")
    return caller


def portal_named(event: Mapping[str, Any]) -> str | None:
    """Return the portal that the request names, for the log. The caller may have no access to it."""
    claims = ((event.get("requestContext") or {}).get("authorizer") or {}).get("jwt", {}).get("claims") or {}
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    portal_id = headers.get(PORTAL_HEADER) or claims.get(PORTAL_CLAIM)
    return None if portal_id is None else str(portal_id)[:MAX_PORTAL_ID]


def _iam_caller(iam: Mapping[str, Any], portal_header: str | None, endpoint: Endpoint) -> Caller:
    """A caller with IAM credentials has access to every portal, and names one in the header."""
    if portal_header is None and endpoint.concerns_a_portal:
        message = expectation_of("the ID of the portal in this header", "no header")
        raise InvalidRequest([ValidationError("X-Portal-Id", "MISSING_PORTAL", message)])
    portal_id = "" if portal_header is None else _portal_id(portal_header, "X-Portal-Id")
    return Caller(str(iam.get("userArn") or iam.get("callerId") or "iam"), portal_id, frozenset(Scope))


def _token_caller(claims: Mapping[str, Any], portal_header: str | None, endpoint: Endpoint) -> Caller:
    """A token belongs to the portal that its claim names. A header may repeat the portal, but not change it."""
    claim = claims.get(PORTAL_CLAIM)
    portal_id = "" if claim in (None, "") else _portal_id(str(claim), f"the token's claim {PORTAL_CLAIM}")
    if endpoint.concerns_a_portal:
        if not portal_id:
            raise Forbidden(f"expected a token with the claim {PORTAL_CLAIM}, got one without it")
        if portal_header is not None and portal_header != portal_id:
            raise OtherPortal("no such portal")
    return Caller(str(claims.get("sub") or "token"), portal_id, _scopes(claims))


def _portal_id(portal_id: str, source: str) -> str:
    """Return a valid portal ID. Raises InvalidRequest. ``source``: where the ID is, for the message."""
    return read_id(portal_id, source, MAX_PORTAL_ID)


def _scopes(claims: Mapping[str, Any]) -> frozenset[Scope]:
    """Read the claim ``scope`` (OAuth 2) or ``scp`` (a list, which API Gateway writes as ``[a b]``)."""
    text = f"{claims.get('scope') or ''} {claims.get('scp') or ''}".replace("[", " ").replace("]", " ")
    names = text.replace(",", " ").split()
    return frozenset(scope for scope in Scope if scope in names)
