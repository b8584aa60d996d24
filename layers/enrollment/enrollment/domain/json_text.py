"""JSON text as it is stored and sent. Characters are not escaped, so that each takes only its bytes in UTF-8."""

import json
import re

_ENCODER = json.JSONEncoder(ensure_ascii=False)

# SQS rejects U+FFFE and U+FFFF, and an unpaired surrogate has no UTF-8. JSON always escapes control characters.
_REFUSED = re.compile("[\ud800-\udfff\ufffe\uffff]")


def json_text(value: object) -> str:
    """Return the JSON of a value, in characters that DynamoDB, EventBridge and SQS accept. Raises RecursionError if the
    value is nested too deeply for Python's encoder."""
    text = _ENCODER.encode(value)
    return text if text.isascii() else _REFUSED.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def byte_length(text: str) -> int:
    """Return the number of bytes of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())
