"""Enroll the records of a file in batches. Progress is saved after each batch, so that an interrupted run resumes.

All requests of a run have one idempotency key, which is saved before the first request. So a batch that is sent again
enrolls no record a second time. A new run of the same file has a new key.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from enroll.api import Api, ApiError, path_segment
from enroll.record_import import ImportRow, faults_by_index, read_import
from enrollment.serialization.manual_enrollments import IDEMPOTENCY_KEY

BATCH_ROWS = 100
ENROLLED = "ENROLLED"
INVALID_ROW = "INVALID"
# Codes of rows that are in the flow when the run ends.
IN_FLOW = (ENROLLED, "ALREADY_ENROLLED")


@dataclass
class EnrollmentImport:
    """A run of a file. ``done``: rows that need not be sent again. ``codes``: the number of rows by the code of their
    decision; INVALID_ROW: they could not be sent."""

    api: Api
    flow_id: str
    file: Path
    rows: Sequence[ImportRow]
    digest: str
    key: str = field(default_factory=lambda: f"file-{uuid.uuid4()}")
    done: int = 0
    codes: Counter[str] = field(default_factory=Counter)

    @property
    def progress_file(self) -> Path:
        return self.file.with_name(f"{self.file.name}.enrolling.json")

    @property
    def report_file(self) -> Path:
        return self.file.with_name(f"{self.file.name}.not-enrolled.jsonl")

    @property
    def not_in_flow(self) -> int:
        """The number of rows whose record is not in the flow after the run."""
        return sum(count for code, count in self.codes.items() if code not in IN_FLOW)

    def resume(self) -> None:
        """Continue an interrupted run of the same file into the same flow, if there is one."""
        try:
            progress = json.loads(self.progress_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            progress = None
        if not isinstance(progress, dict) or progress.get("run") != self._identity():
            self.report_file.unlink(missing_ok=True)
            return
        self.key, self.done, self.codes = str(progress["key"]), int(progress["done"]), Counter(progress["codes"])
        if self.report_file.exists():
            # If the last batch was reported but its progress not saved, it is sent and reported again.
            with self.report_file.open("r+b") as report:
                report.truncate(int(progress["reported"]))

    def run(self, advance: Callable[[int], None]) -> None:
        """Send all rows that are not done. ``advance`` is called with the number of rows of each batch. Raises ApiError
        if the API rejects a request for a reason other than its rows."""
        self._save_progress()
        while self.done < len(self.rows):
            batch = self.rows[self.done : self.done + BATCH_ROWS]
            outcomes = [(row, INVALID_ROW, row.fault) for row in batch if row.fault is not None]
            outcomes += self._send([row for row in batch if row.fault is None])
            self.codes.update(code for _, code, _ in outcomes)
            self._report([outcome for outcome in outcomes if outcome[1] not in IN_FLOW])
            self.done += len(batch)
            self._save_progress()
            advance(len(batch))
        self.progress_file.unlink(missing_ok=True)

    def _send(self, rows: Sequence[ImportRow]) -> list[tuple[ImportRow, str, str]]:
        """Send rows until each has a decision or is rejected. Return each row with its code and the reason."""
        rejected: list[tuple[ImportRow, str, str]] = []
        pending = list(rows)
        while pending:
            try:
                response = enroll(self.api, self.flow_id, [row.input["id"] for row in pending], self.key)
            except ApiError as error:
                faults = faults_by_index(error)
                if faults is None:
                    raise
                rejected += [(pending[index], INVALID_ROW, fault) for index, fault in faults.items()]
                pending = [row for index, row in enumerate(pending) if index not in faults]
                continue
            by_id = {decision["objectId"]: decision for decision in response["results"]}
            decisions = [(row, by_id[str(row.input["id"])]) for row in pending]
            return rejected + [(row, decision["code"], decision["because"]) for row, decision in decisions]
        return rejected

    def _report(self, outcomes: Sequence[tuple[ImportRow, str, str]]) -> None:
        if not outcomes:
            return
        with self.report_file.open("a", encoding="utf-8") as report:
            for row, code, reason in sorted(outcomes, key=lambda outcome: outcome[0].number):
                line = {"line": row.number, "code": code, "because": reason, "id": row.input.get("id")}
                # As ASCII: a rejected row may contain halves of surrogate pairs, which UTF-8 cannot represent.
                report.write(json.dumps(line) + "\n")

    def _save_progress(self) -> None:
        progress = {
            "run": self._identity(),
            "key": self.key,
            "done": self.done,
            "codes": dict(self.codes),
            "reported": self.report_file.stat().st_size if self.report_file.exists() else 0,
        }
        # Replaced atomically: a truncated file would restart the run with a new key.
        new_file = self.progress_file.with_suffix(".new")
        new_file.write_text(json.dumps(progress), encoding="utf-8")
        new_file.replace(self.progress_file)

    def _identity(self) -> list[str]:
        return [self.digest, self.api.url, self.api.portal, self.flow_id]


def read_enrollment_import(api: Api, flow: Mapping[str, Any], file: Path, id_column: str) -> EnrollmentImport:
    """Read a CSV or JSON Lines file with the record's ID in ``id_column``. Raises UnreadableFile."""
    read = read_import(api, str(flow.get("objectTypeId", "0-1")), file, id_column, needs_properties=False)
    return EnrollmentImport(api, str(flow["id"]), file, read.rows, read.digest)


def enroll(api: Api, flow_id: str, object_ids: Sequence[Any], key: str) -> dict[str, Any]:
    """Enroll records in a flow with one request of at most BATCH_ROWS records. Raises ApiError."""
    path = f"/enrollment/v1/flows/{path_segment(flow_id)}/enrollments"
    body = {"inputs": [{"objectId": object_id} for object_id in object_ids]}
    return api.call("POST", path, body, headers={IDEMPOTENCY_KEY: key})
