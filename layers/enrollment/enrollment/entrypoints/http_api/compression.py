"""Compress large responses with gzip if the client accepts it."""

import base64
import gzip
from collections.abc import Mapping
from typing import Any

# Smaller responses fit few network packets, so compressing them saves no time.
MIN_COMPRESSED_BYTES = 10 * 1024
# A higher level takes more CPU time and saves little on JSON.
LEVEL = 6


def compressed(answer: Mapping[str, Any], event: Mapping[str, Any]) -> dict[str, Any]:
    """Return a response of an API Gateway HTTP API, compressed if it is large and the request accepts gzip.

    The body of a compressed response is base64 text with ``isBase64Encoded``. API Gateway decodes it.
    """
    body = answer.get("body") or ""
    if answer.get("isBase64Encoded") or not accepts_gzip(_header(event, "accept-encoding")):
        return dict(answer)
    raw = body.encode()
    if len(raw) < MIN_COMPRESSED_BYTES:
        return dict(answer)
    # Without a time, so that the same response has the same bytes.
    content = base64.b64encode(gzip.compress(raw, LEVEL, mtime=0)).decode()
    headers = {**answer.get("headers", {}), "Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return {**answer, "body": content, "isBase64Encoded": True, "headers": headers}


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether the header Accept-Encoding has gzip, or ``*``, with a weight above 0."""
    weights: dict[str, float] = {}
    for part in accept_encoding.split(","):
        coding, _, parameter = part.partition(";")
        name, _, weight = parameter.partition("=")
        weights[coding.strip().lower()] = _weight(weight) if name.strip().lower() == "q" else 1.0
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _header(event: Mapping[str, Any], name: str) -> str:
    headers = event.get("headers") or {}
    return next((str(value) for key, value in headers.items() if key.lower() == name), "")
