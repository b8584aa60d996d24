"""Rules of SQS that moto does not enforce: sizes in bytes of UTF-8 including attributes, and allowed characters."""

import re
from collections.abc import Mapping
from typing import Any

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
_ACCEPTED = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")


def check_message(max_bytes: int, MessageBody: str, MessageAttributes: Mapping[str, Any], **_: Any) -> None:
    """Check the arguments of SendMessage, or of an entry of SendMessageBatch."""
    assert MessageBody
    texts = [MessageBody]
    for name, attribute in MessageAttributes.items():
        texts += [name, attribute["DataType"], attribute["StringValue"]]
    for text in texts:
        accepted = _ACCEPTED.match(text)
        assert accepted is not None
        assert accepted.end() == len(text), f"SQS refuses {text[accepted.end()]!a}"
    size = sum(len(text.encode()) for text in texts)
    assert size <= max_bytes, f"SQS refuses {size:,} bytes"
