"""The HTTP API of the local run, for tests that compare the page with it or change something behind its back."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Portal:
    api_url: str
    portal_id: str = "demo"

    def call(self, method: str, path: str, content: Any = None) -> Any:
        request = urllib.request.Request(
            f"{self.api_url}{path}",
            data=None if content is None else json.dumps(content).encode(),
            headers={"X-Portal-Id": self.portal_id, "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            body = response.read()
        return json.loads(body) if body else None

    def flow(self, flow_id: str) -> Any:
        return self.call("GET", f"/automation/v4/flows/{flow_id}")

    def rename(self, flow_id: str, name: str) -> None:
        """Store a new revision, as another writer would."""
        self.call("PUT", f"/automation/v4/flows/{flow_id}", {**self.flow(flow_id), "name": name})
