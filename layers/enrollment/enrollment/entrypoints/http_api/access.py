"""Who calls, for which portal, and whether they may. API Gateway has checked the signature or the token before."""

from collections.abc import Mapping
from typing import Any

from enrollment.entrypoints.http_api.endpoint import Caller, Endpoint, Scope
from enrollment.serialization.requests import MAX_PORTAL_ID, InvalidRequest, read_id
from enrollment.serialization.validation_errors import ValidationError

PORTAL_HEADER = "x-portal-id"
PORTAL_CLAIM = "portal_id"


class Unauthenticated(Exception):
    pass


class Forbidden(Exception):
    pass


class OtherPortal(LookupError):
    """Nothing of another portal exists for the caller."""


def caller_of(event: Mapping[str, Any], operation: Endpoint) -> Caller:
    """Raises Unauthenticated, Forbidden, OtherPortal, or InvalidRequest when no portal is named."""
    authorizer = event.get("requestContext", {}).get("authorizer") or {}
    named = {name.lower(): value for name, value in (event.get("headers") or {}).items()}.get(PORTAL_HEADER)
    if iam := authorizer.get("iam"):
        caller = _operator(iam, named, operation)
    elif token := authorizer.get("jwt"):
        caller = _holder(token.get("claims") or {}, named, operation)
    else:
        raise Unauthenticated("the request carries neither a signature nor a token that API Gateway has checked")
    if operation.scope is not None and operation.scope not in caller.scopes:
        raise Forbidden(f"the token has no scope {operation.scope}")
    return caller


def portal_named(event: Mapping[str, Any]) -> str | None:
    """For the log: the portal that the request is about, whether or not the caller was let in."""
    claims = ((event.get("requestContext") or {}).get("authorizer") or {}).get("jwt", {}).get("claims") or {}
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    named = headers.get(PORTAL_HEADER) or claims.get(PORTAL_CLAIM)
    return None if named is None else str(named)[:MAX_PORTAL_ID]


def _operator(iam: Mapping[str, Any], named: str | None, operation: Endpoint) -> Caller:
    """Under IAM the caller looks after every portal, and says which one is meant."""
    if named is None and operation.concerns_a_portal:
        raise InvalidRequest([ValidationError("X-Portal-Id", "MISSING_PORTAL", "absent; this header names the portal")])
    portal_id = "" if named is None else _portal_id(named, "X-Portal-Id")
    return Caller(str(iam.get("userArn") or iam.get("callerId") or "iam"), portal_id, frozenset(Scope))


def _holder(claims: Mapping[str, Any], named: str | None, operation: Endpoint) -> Caller:
    """A token is of one portal."""
    claimed = claims.get(PORTAL_CLAIM)
    portal_id = "" if claimed in (None, "") else _portal_id(str(claimed), f"the token's claim {PORTAL_CLAIM}")
    if operation.concerns_a_portal:
        if not portal_id:
            raise Forbidden(f"the token has no claim {PORTAL_CLAIM}")
        if named is not None and named != portal_id:
            raise OtherPortal("no such portal")
    return Caller(str(claims.get("sub") or "token"), portal_id, _scopes(claims))


def _portal_id(found: str, named_by: str) -> str:
    """Raises InvalidRequest for what no portal can be called."""
    return read_id(found, named_by, MAX_PORTAL_ID)


def _scopes(claims: Mapping[str, Any]) -> frozenset[Scope]:
    """From the claim ``scope`` (OAuth 2) or ``scp`` (a list, which API Gateway writes as ``[a b]``)."""
    given = f"{claims.get('scope') or ''} {claims.get('scp') or ''}".replace("[", " ").replace("]", " ")
    names = given.replace(",", " ").split()
    return frozenset(scope for scope in Scope if scope in names)
