"""JSON text as it is stored and sent: each character costs the bytes of its UTF-8, not those of an escape."""

import json
import re

_ENCODER = json.JSONEncoder(ensure_ascii=False)

# SQS refuses U+FFFE and U+FFFF, and half of a surrogate pair has no UTF-8. JSON escapes control characters anyway.
_REFUSED = re.compile("[\ud800-\udfff\ufffe\uffff]")


def json_text(value: object) -> str:
    """The JSON of a value, in characters that DynamoDB, EventBridge and SQS all accept. Raises RecursionError for a
    value that is nested too deeply for Python's encoder."""
    text = _ENCODER.encode(value)
    return text if text.isascii() else _REFUSED.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def byte_length(text: str) -> int:
    """Return the number of bytes of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())
