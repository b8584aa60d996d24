"""Import records from a file in batches. Progress is saved after each batch, so that an interrupted import resumes."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from enroll.api import ATTEMPTS, FIRST_WAIT_SECONDS, Api, ApiError, path_segment

BATCH_ROWS = 100
# Limit for the rows of one request. The API accepts bodies of 1 MB.
BATCH_BYTES = 900_000
FORMATS = (".csv", ".jsonl")
# The column or key of a row that is not a property.
OCCURRED_AT = "occurredAt"
# Keys of a line of the report, which may be imported after its rows were corrected.
REPORT_KEYS = frozenset({"line", "refused"})
# Limit for the misplaced names in the fault of a row.
SHOWN_NAMES_CHARACTERS = 200

# Category of an input that the API could not process at this moment, and did not change.
UNAVAILABLE = "SERVICE_UNAVAILABLE"
# Statuses by which the API rejects a request because of its content, or its size.
CONTENT_ERRORS = (400, 413)

_INPUT = re.compile(r"\$\.inputs\[(\d+)\]")


class UnreadableFile(ValueError):
    """The file as a whole cannot be imported. The message says why."""


@dataclass(frozen=True)
class ImportRow:
    """A row of the file. ``number`` is its line. ``fault`` says why the row cannot be sent, or is None."""

    number: int
    input: Mapping[str, Any]
    fault: str | None = None


RejectedRow = tuple[ImportRow, str]
"""A row, and why it was rejected."""


@dataclass
class RecordImport:
    """An import of a file into a portal's records of one type.

    ``done`` is the number of rows that need not be sent again. ``digest`` is the SHA-256 of the file.
    """

    api: Api
    object_type: str
    file: Path
    rows: Sequence[ImportRow]
    done: int = 0
    created: int = 0
    changed: int = 0
    refused: int = 0
    digest: str = field(default="")

    @property
    def progress_file(self) -> Path:
        return self.file.with_name(f"{self.file.name}.progress.json")

    @property
    def report_file(self) -> Path:
        return self.file.with_name(f"{self.file.name}.refused.jsonl")

    def resume(self) -> None:
        """Continue an interrupted import of the same file into the same records, if there is one."""
        try:
            progress = json.loads(self.progress_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            progress = None
        if not isinstance(progress, dict) or progress.get("import") != self._identity():
            self.report_file.unlink(missing_ok=True)
            return
        self.done, self.created = int(progress["done"]), int(progress["created"])
        self.changed, self.refused = int(progress["changed"]), int(progress["refused"])
        if self.report_file.exists():
            # If the last batch was reported but its progress not saved, it is sent and reported again.
            with self.report_file.open("r+b") as report:
                report.truncate(int(progress["reported"]))

    def run(self, advance: Callable[[int], None]) -> None:
        """Send all rows that are not done. ``advance`` is called with the number of rows of each batch.

        Raises ApiError if the API rejects a request for a reason other than its rows.
        """
        while self.done < len(self.rows):
            batch = _next_batch(self.rows[self.done :])
            rejected = self._send([row for row in batch if row.fault is None])
            rejected += [(row, row.fault) for row in batch if row.fault is not None]
            self._report(rejected)
            self.done += len(batch)
            self.refused += len(rejected)
            self._save_progress()
            advance(len(batch))
        self.progress_file.unlink(missing_ok=True)

    def _send(self, rows: Sequence[ImportRow]) -> list[RejectedRow]:
        """Send rows until each is stored or rejected. Return the rejected rows."""
        rejected: list[RejectedRow] = []
        pending = list(rows)
        attempt = 0
        while pending:
            try:
                response = self._upsert(pending)
            except ApiError as error:
                if (faults := faults_by_index(error)) is None:
                    return rejected + self._isolate_fault(pending, error)
                rejected += [(pending[index], fault) for index, fault in faults.items()]
                pending = [row for index, row in enumerate(pending) if index not in faults]
                continue
            attempt += 1
            retried, failed = self._count_results(pending, response, may_retry=attempt < ATTEMPTS)
            rejected += failed
            pending = retried
            if pending:
                time.sleep(FIRST_WAIT_SECONDS * 2**attempt)
        return rejected

    def _upsert(self, rows: Sequence[ImportRow]) -> dict[str, Any]:
        path = f"/crm/v3/objects/{path_segment(self.object_type)}/batch/upsert"
        return self.api.call("POST", path, {"inputs": [row.input for row in rows]})

    def _isolate_fault(self, rows: Sequence[ImportRow], error: ApiError) -> list[RejectedRow]:
        """Handle an error that names no row: send each half separately, until one row remains.

        Raises the error if it is not about the content of the request.
        """
        if error.status not in CONTENT_ERRORS:
            raise error
        if len(rows) == 1:
            return [(rows[0], "; ".join(error.lines))]
        half = len(rows) // 2
        return self._send(rows[:half]) + self._send(rows[half:])

    def _count_results(
        self, rows: Sequence[ImportRow], response: Mapping[str, Any], *, may_retry: bool
    ) -> tuple[list[ImportRow], list[RejectedRow]]:
        """Count what was stored. Return the rows to send again, and the rejected rows."""
        created = sum(result["new"] for result in response["results"])
        self.created += created
        self.changed += len(response["results"]) - created
        row_by_id = {str(row.input["id"]): row for row in rows}
        retried: list[ImportRow] = []
        rejected: list[RejectedRow] = []
        for error in response.get("errors", []):
            failed_rows = [row_by_id[record_id] for record_id in error["context"]["ids"]]
            if error["category"] == UNAVAILABLE and may_retry:
                retried += failed_rows
            else:
                rejected += [(row, error["message"]) for row in failed_rows]
        return retried, rejected

    def _report(self, rejected: Sequence[RejectedRow]) -> None:
        if not rejected:
            return
        with self.report_file.open("a", encoding="utf-8") as report:
            for row, reason in sorted(rejected, key=lambda pair: pair[0].number):
                line = {"line": row.number, "refused": reason, **row.input}
                # As ASCII: a rejected row may contain halves of surrogate pairs, which UTF-8 cannot represent.
                report.write(json.dumps(line) + "\n")

    def _save_progress(self) -> None:
        progress = {
            "import": self._identity(),
            "done": self.done,
            "created": self.created,
            "changed": self.changed,
            "refused": self.refused,
            "reported": self.report_file.stat().st_size if self.report_file.exists() else 0,
        }
        # Replaced atomically: a truncated file would restart the import from the beginning.
        new_file = self.progress_file.with_suffix(".new")
        new_file.write_text(json.dumps(progress), encoding="utf-8")
        new_file.replace(self.progress_file)

    def _identity(self) -> list[str]:
        return [self.digest, self.api.url, self.api.portal, self.object_type]


def read_import(
    api: Api, object_type: str, file: Path, id_column: str, *, needs_properties: bool = True
) -> RecordImport:
    """Read a CSV or JSON Lines file with the record's ID in ``id_column``. Raises UnreadableFile.

    If ``needs_properties``, a line of JSON whose properties are not in the key `properties` has a fault.
    """
    suffix = file.suffix.lower()
    if suffix not in FORMATS:
        raise UnreadableFile(
            f"{file}: expected a file name that ends in {' or '.join(FORMATS)}; got {file.suffix or 'no extension'}"
        )
    try:
        raw = file.read_bytes()
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise UnreadableFile(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"{file}: expected UTF-8; got an invalid byte at position {error.start}") from error
    if suffix == ".csv":
        rows = list(_csv_rows(file, text, id_column))
    else:
        rows = list(_jsonl_rows(text, id_column, needs_properties=needs_properties))
    return RecordImport(api, object_type, file, rows, digest=hashlib.sha256(raw).hexdigest())


def _csv_rows(file: Path, text: str, id_column: str) -> Iterator[ImportRow]:
    """Read one property from each column. An empty cell leaves the property unchanged."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = reader.fieldnames or []
    except csv.Error as error:
        raise UnreadableFile(f"{file}: line 1: {error}") from error
    if id_column not in columns:
        raise UnreadableFile(
            f"{file}: line 1: expected a column {id_column}; got {', '.join(columns) or 'no columns'}. Set the column "
            "of the record's ID with --id-column"
        )
    if len(set(columns)) < len(columns):
        raise UnreadableFile(f"{file}: line 1: expected each column once; got a column twice in {', '.join(columns)}")
    try:
        for cells in reader:
            fault = None
            if None in cells or None in cells.values():
                fault = f"expected {len(columns)} cells, as in the header"
            values = {name: cell for name, cell in cells.items() if name is not None and cell}
            yield _row(reader.line_num, values.pop(id_column, ""), values.pop(OCCURRED_AT, None), values, fault)
    except csv.Error as error:
        raise UnreadableFile(f"{file}: line {reader.line_num}: {error}") from error


def _jsonl_rows(text: str, id_column: str, *, needs_properties: bool) -> Iterator[ImportRow]:
    """Read `{"id": …, "properties": {…}, "occurredAt": …}` from each line."""
    # Not splitlines: JSON strings may contain other line separators.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield ImportRow(number, {"text": line[:500]}, f"expected JSON; {error}")
            continue
        if not isinstance(content, dict):
            yield ImportRow(number, {"text": line[:500]}, f"expected a JSON object; got {type(content).__name__}")
            continue
        fault = _misplaced_properties(content, id_column) if needs_properties else None
        if fault is not None:
            yield ImportRow(number, {"text": line[:500]}, fault)
            continue
        properties = content.get("properties", {})
        yield _row(number, content.get(id_column, ""), content.get(OCCURRED_AT), properties, None)


def _misplaced_properties(content: Mapping[str, Any], id_column: str) -> str | None:
    """Return the fault of a line whose properties would be lost, because they are beside the ID. Otherwise None."""
    names = [name for name in content if name not in {id_column, OCCURRED_AT} | REPORT_KEYS]
    if "properties" in content or not names:
        return None
    shown_names = ", ".join(names)[:SHOWN_NAMES_CHARACTERS]
    return (
        f'properties: expected an object, for example {{"firstname": "Ann"}}; got the keys {shown_names} beside the ID'
    )


def _row(number: int, record_id: Any, occurred_at: Any, properties: Any, fault: str | None) -> ImportRow:
    row_input = {"id": record_id, "properties": properties}
    if occurred_at is not None:
        row_input[OCCURRED_AT] = occurred_at
    return ImportRow(number, row_input, fault or (None if record_id not in ("", None) else "the row has no ID"))


def _next_batch(rows: Sequence[ImportRow]) -> Sequence[ImportRow]:
    """Return the next rows, at most one for each record, so that the order of a record's rows is kept."""
    seen: set[str] = set()
    batch_bytes = 0
    for index, row in enumerate(rows[:BATCH_ROWS]):
        if row.fault is not None:
            continue
        record_id = str(row.input["id"])
        batch_bytes += len(json.dumps(row.input)) + 2
        if record_id in seen or (batch_bytes > BATCH_BYTES and index):
            return rows[:index]
        seen.add(record_id)
    return rows[:BATCH_ROWS]


def faults_by_index(error: ApiError) -> dict[int, str] | None:
    """Return the faults of the inputs by their index, or None if the error is not about inputs alone."""
    if error.status != 400 or not error.errors:
        return None
    faults: dict[int, str] = {}
    for detail in error.errors:
        match = _INPUT.match(detail["in"])
        if match is None:
            return None
        index = int(match.group(1))
        fault = f"{detail['in'].removeprefix(match.group(0)).removeprefix('.')}: {detail['message']}"
        faults[index] = f"{faults[index]}; {fault}" if index in faults else fault
    return faults
