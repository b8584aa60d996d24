"""The event bus of the local run, for tests that send an event and watch it arrive."""

from __future__ import annotations

import json
import time
import urllib.request
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

# The embedded AWS finds the service and the region in the scope of the signature, and does not check the signature.
HEADERS = {
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Target": "AWSEvents.PutEvents",
    "Authorization": (
        "AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/events/aws4_request, SignedHeaders=host, Signature=0"
    ),
}

ENTRIES_AT_ONCE = 10
"""The most entries that PutEvents takes."""


@dataclass(frozen=True)
class EventBus:
    aws_url: str

    def send(self, event_type: str, properties: dict[str, str], **detail: Any) -> str:
        """Send an event of contact/101 that occurs now, or as `detail` says. Return its ID."""
        return self.send_all([event(event_type, properties, **detail)])[0]

    def send_all(self, events: list[dict[str, Any]]) -> list[str]:
        for start in range(0, len(events), ENTRIES_AT_ONCE):
            body = json.dumps({"Entries": events[start : start + ENTRIES_AT_ONCE]}).encode()
            request = urllib.request.Request(self.aws_url, data=body, headers=HEADERS, method="POST")
            with urllib.request.urlopen(request, timeout=30) as response:
                answer = json.loads(response.read())
            assert answer["FailedEntryCount"] == 0, answer
        return [json.loads(entry["Detail"])["id"] for entry in events]


def event(event_type: str, properties: dict[str, str], **detail: Any) -> dict[str, Any]:
    """Return an entry of PutEvents."""
    content = {
        "id": f"console-{uuid4()}",
        "portalId": "demo",
        "objectType": "contact",
        "objectId": "101",
        "occurredAt": time.time_ns() // 1_000_000,
        "properties": properties,
        **detail,
    }
    return {
        "EventBusName": "enroll-events",
        "Source": "console.tests",
        "DetailType": event_type,
        "Detail": json.dumps(content),
    }
