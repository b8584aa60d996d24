"""Putting events on the bus, batch by batch, with every answer read."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from botocore.exceptions import ClientError

# Entries and bytes in one PutEvents; what an entry has beside its detail is below the margin.
BATCH_ENTRIES = 10
BATCH_BYTES = 256 * 1024
ENTRY_MARGIN = 1024

ATTEMPTS = 5
FIRST_WAIT_SECONDS = 0.1

Entry = dict[str, Any]


def batches(entries: Iterable[Entry], most: int = BATCH_ENTRIES) -> Iterator[list[Entry]]:
    """What one call each can carry; an entry that none can carry is alone."""
    batch: list[Entry] = []
    size = 0
    for one in entries:
        own = len(one["Detail"].encode()) + ENTRY_MARGIN
        if batch and (len(batch) == most or size + own > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += own
    if batch:
        yield batch


def put(client: Any, batch: Sequence[Entry]) -> dict[int, str]:
    """Puts a batch, what fails of it again with backoff; answers why the rest was refused, by its place."""
    waiting = dict(enumerate(batch))
    refused: dict[int, str] = {}
    for attempt in range(ATTEMPTS):
        try:
            answer = client.put_events(Entries=list(waiting.values()))
        except ClientError as error:
            # One event that the bus will never take must not stand in the way of the others.
            if len(batch) > 1 or error.response["Error"]["Code"] != "ValidationException":
                raise
            return {0: str(error)}
        results = zip(list(waiting), answer["Entries"], strict=True)
        refused = {
            place: f"{result.get('ErrorCode')} {result.get('ErrorMessage', '')}".strip()
            for place, result in results
            if not result.get("EventId")
        }
        waiting = {place: waiting[place] for place in refused}
        if not waiting:
            break
        if attempt < ATTEMPTS - 1:
            time.sleep(FIRST_WAIT_SECONDS * 2**attempt)
    return refused


def detail_text(detail: Any) -> str:
    """Not as ASCII where it can be helped: the bus counts bytes of UTF-8."""
    text = json.dumps(detail, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return json.dumps(detail)
    return text
