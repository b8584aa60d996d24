"""Put events on the bus in batches, and check the result of every entry."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from botocore.exceptions import ClientError

# Limits of one PutEvents call. The margin covers the fields of an entry other than its detail.
BATCH_ENTRIES = 10
BATCH_BYTES = 256 * 1024
ENTRY_MARGIN_BYTES = 1024

ATTEMPTS = 5
FIRST_WAIT_SECONDS = 0.1

BusEntry = dict[str, Any]
"""An entry of PutEvents."""


def batches(entries: Iterable[BusEntry], max_entries: int = BATCH_ENTRIES) -> Iterator[list[BusEntry]]:
    """Split entries into batches of at most ``max_entries`` that fit into one PutEvents call each.

    An entry that is too large for any call is a batch of its own.
    """
    batch: list[BusEntry] = []
    batch_bytes = 0
    for entry in entries:
        entry_bytes = len(entry["Detail"].encode()) + ENTRY_MARGIN_BYTES
        if batch and (len(batch) == max_entries or batch_bytes + entry_bytes > BATCH_BYTES):
            yield batch
            batch, batch_bytes = [], 0
        batch.append(entry)
        batch_bytes += entry_bytes
    if batch:
        yield batch


def put(client: Any, batch: Sequence[BusEntry]) -> dict[int, str]:
    """Put a batch on the bus, and retry its failed entries with backoff.

    Returns the reasons of the entries that were rejected in the end, by their index in ``batch``. Raises ClientError
    if the call as a whole fails.
    """
    pending = dict(enumerate(batch))
    rejected: dict[int, str] = {}
    for attempt in range(ATTEMPTS):
        try:
            response = client.put_events(Entries=list(pending.values()))
        except ClientError as error:
            # A single event that the bus can never accept must not prevent the others from being sent.
            if len(batch) > 1 or error.response["Error"]["Code"] != "ValidationException":
                raise
            return {0: str(error)}
        results = zip(list(pending), response["Entries"], strict=True)
        rejected = {
            index: f"{result.get('ErrorCode') or 'no error code'} {result.get('ErrorMessage', '')}".strip()
            for index, result in results
            if not result.get("EventId")
        }
        pending = {index: pending[index] for index in rejected}
        if not pending:
            break
        if attempt < ATTEMPTS - 1:
            time.sleep(FIRST_WAIT_SECONDS * 2**attempt)
    return rejected


def detail_text(detail: Any) -> str:
    """Return an event's detail as JSON. Characters are not escaped, because the bus counts bytes of UTF-8."""
    text = json.dumps(detail, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair has no UTF-8 form
        return json.dumps(detail)
    return text
