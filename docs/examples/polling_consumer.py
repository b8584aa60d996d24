"""Consume the enrollments queue without Lambda, for example in a container, with work of any length up to 12 hours.

docs/consumers.md describes it.
"""

import json
import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

VISIBILITY_SECONDS = 60


class Heartbeat:
    """Keeps received messages hidden from other receivers while a ``with`` block runs.

    ``is_lost`` is true if SQS did not extend the visibility of a message. Another receiver may process it then.
    """

    def __init__(self, sqs: Any, queue_url: str, messages: list[Any], visibility_seconds: int) -> None:
        self._sqs = sqs
        self._queue_url = queue_url
        self._receipts = {message["MessageId"]: message["ReceiptHandle"] for message in messages}
        self._visibility_seconds = visibility_seconds
        self._is_done = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self.is_lost = False

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_done.set()
        self._thread.join()

    def release(self, message: Any) -> None:
        """Stop extending the visibility of a message."""
        self._receipts.pop(message["MessageId"], None)

    def _beat(self) -> None:
        # Three times within a visibility timeout, so that one failed call does not show the messages.
        while not self._is_done.wait(self._visibility_seconds / 3):
            receipts = dict(self._receipts)
            entries = [
                {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": self._visibility_seconds}
                for number, receipt in enumerate(receipts.values())
            ]
            if not entries:
                continue
            try:
                response = self._sqs.change_message_visibility_batch(QueueUrl=self._queue_url, Entries=entries)
            except (BotoCoreError, ClientError):
                logging.exception("the visibility of messages was not extended")
                continue
            failed = [list(receipts)[int(failure["Id"])] for failure in response.get("Failed", [])]
            # A message that was released during the call has been deleted, which is no loss.
            self.is_lost = self.is_lost or any(message_id in self._receipts for message_id in failed)


def consume(
    sqs: Any, queue_url: str, process: Callable[[Any], None], visibility_seconds: int = VISIBILITY_SECONDS
) -> None:
    """Receive up to 10 messages and process them in order. Messages that fail are delivered again."""
    messages = sqs.receive_message(
        QueueUrl=queue_url,
        MaxNumberOfMessages=10,
        WaitTimeSeconds=20,
        VisibilityTimeout=visibility_seconds,
        MessageSystemAttributeNames=["MessageGroupId"],
    ).get("Messages", [])
    failed_groups = set()
    with Heartbeat(sqs, queue_url, messages, visibility_seconds) as heartbeat:
        for message in messages:
            group_id = message["Attributes"]["MessageGroupId"]
            if heartbeat.is_lost:
                return
            if group_id not in failed_groups:
                try:
                    process(json.loads(message["Body"]))
                    sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
                except Exception:
                    logging.exception("message %s failed", message["MessageId"])
                    # Later messages of the record wait for this one.
                    failed_groups.add(group_id)
            heartbeat.release(message)
