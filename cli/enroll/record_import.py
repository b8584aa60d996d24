"""Importing records from a file, batch by batch: what is done is noted, so that an import that stopped goes on."""

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

from enroll.api import ATTEMPTS, FIRST_WAIT_SECONDS, Api, ApiError, part

BATCH = 100
# Of a request's body; the API takes 1 MB.
BATCH_BYTES = 900_000
FORMATS = (".csv", ".jsonl")
# Columns or keys of a row that are no properties.
OCCURRED_AT = "occurredAt"

# What the bus did not take at this moment; nothing of it was changed.
NOT_TAKEN = "SERVICE_UNAVAILABLE"

_INPUT = re.compile(r"\$\.inputs\[(\d+)\]")


class UnreadableFile(ValueError):
    """The file as a whole can't be imported; the message says why."""


@dataclass(frozen=True)
class Row:
    """``number`` is the line in the file; ``fault`` is why the row can't be sent."""

    number: int
    input: Mapping[str, Any]
    fault: str | None = None


@dataclass
class RecordImport:
    """An import of a file into a portal's records of one type."""

    api: Api
    object_type: str
    file: Path
    rows: Sequence[Row]
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
        """Goes on where an import of this very file, into the same records, stopped; else begins."""
        try:
            noted = json.loads(self.progress_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            noted = None
        if not isinstance(noted, dict) or noted.get("import") != self._identity():
            self.report_file.unlink(missing_ok=True)
            return
        self.done, self.created = int(noted["done"]), int(noted["created"])
        self.changed, self.refused = int(noted["changed"]), int(noted["refused"])
        if self.report_file.exists():
            # Rows of a batch that was reported and not noted are sent, and reported, again.
            with self.report_file.open("r+b") as report:
                report.truncate(int(noted["reported"]))

    def run(self, advance: Callable[[int], None]) -> None:
        """Raises ApiError when the API refuses for another reason than the rows."""
        while self.done < len(self.rows):
            batch = _batch(self.rows[self.done :])
            refusals = self._send([row for row in batch if row.fault is None])
            refusals += [(row, row.fault) for row in batch if row.fault is not None]
            self._report(refusals)
            self.done += len(batch)
            self.refused += len(refusals)
            self._note()
            advance(len(batch))
        self.progress_file.unlink(missing_ok=True)

    def _send(self, rows: Sequence[Row]) -> list[tuple[Row, str]]:
        """Those refused, and why."""
        refusals: list[tuple[Row, str]] = []
        waiting = list(rows)
        attempt = 0
        while waiting:
            try:
                path = f"/crm/v3/objects/{part(self.object_type)}/batch/upsert"
                answer = self.api.call("POST", path, {"inputs": [row.input for row in waiting]})
            except ApiError as error:
                faulty = _faulty(error)
                if not faulty and error.status in (400, 413) and len(waiting) > 1:
                    # Something of it is wrong that names no row: each half for itself.
                    half = len(waiting) // 2
                    return refusals + self._send(waiting[:half]) + self._send(waiting[half:])
                if not faulty and error.status in (400, 413):
                    faulty = {0: "; ".join(error.lines)}
                if not faulty:
                    raise
                refusals += [(waiting[number], why) for number, why in faulty.items()]
                waiting = [row for number, row in enumerate(waiting) if number not in faulty]
                continue
            created = sum(one["new"] for one in answer["results"])
            self.created += created
            self.changed += len(answer["results"]) - created
            by_id = {str(row.input["id"]): row for row in waiting}
            waiting = []
            attempt += 1
            for refusal in answer.get("errors", []):
                mine = [by_id[one] for one in refusal["context"]["ids"]]
                if refusal["category"] == NOT_TAKEN and attempt < ATTEMPTS:
                    waiting += mine
                else:
                    refusals += [(row, refusal["message"]) for row in mine]
            if waiting:
                time.sleep(FIRST_WAIT_SECONDS * 2**attempt)
        return refusals

    def _report(self, refusals: Sequence[tuple[Row, str]]) -> None:
        if not refusals:
            return
        with self.report_file.open("a", encoding="utf-8") as report:
            for row, why in sorted(refusals, key=lambda one: one[0].number):
                line = {"line": row.number, "refused": why, **row.input}
                # As ASCII: a refused row may hold what is no text.
                report.write(json.dumps(line) + "\n")

    def _note(self) -> None:
        noted = {
            "import": self._identity(),
            "done": self.done,
            "created": self.created,
            "changed": self.changed,
            "refused": self.refused,
            "reported": self.report_file.stat().st_size if self.report_file.exists() else 0,
        }
        # Written beside and moved: a note that is cut off half-way would begin the import anew.
        beside = self.progress_file.with_suffix(".new")
        beside.write_text(json.dumps(noted), encoding="utf-8")
        beside.replace(self.progress_file)

    def _identity(self) -> list[str]:
        return [self.digest, self.api.url, self.api.portal, self.object_type]


def read_import(api: Api, object_type: str, file: Path, id_column: str) -> RecordImport:
    """Raises UnreadableFile."""
    if file.suffix.lower() not in FORMATS:
        raise UnreadableFile(f"{file}: found {file.suffix or 'no ending'}, allowed is {' or '.join(FORMATS)}")
    try:
        raw = file.read_bytes()
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise UnreadableFile(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"{file}: not UTF-8 (byte {error.start})") from error
    read = _csv_rows if file.suffix.lower() == ".csv" else _jsonl_rows
    rows = list(read(file, text, id_column))
    return RecordImport(api, object_type, file, rows, digest=hashlib.sha256(raw).hexdigest())


def _csv_rows(file: Path, text: str, id_column: str) -> Iterator[Row]:
    """A column a property; an empty cell says nothing."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = reader.fieldnames or []
    except csv.Error as error:
        raise UnreadableFile(f"{file}: line 1: {error}") from error
    if id_column not in columns:
        raise UnreadableFile(f"{file}: found the columns {', '.join(columns)}, needed is {id_column} (--id-column)")
    if len(set(columns)) < len(columns):
        raise UnreadableFile(f"{file}: found a column twice in {', '.join(columns)}")
    try:
        for cells in reader:
            fault = None
            if None in cells or None in cells.values():
                fault = f"the row has not the {len(columns)} cells of the heading"
            known = {name: cell for name, cell in cells.items() if name is not None and cell}
            yield _row(reader.line_num, known.pop(id_column, ""), known.pop(OCCURRED_AT, None), known, fault)
    except csv.Error as error:
        raise UnreadableFile(f"{file}: line {reader.line_num}: {error}") from error


def _jsonl_rows(file: Path, text: str, id_column: str) -> Iterator[Row]:
    """`{"id": …, "properties": {…}, "occurredAt": …}` a line."""
    # Not splitlines: JSON may hold other line separators inside its texts.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            given = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield Row(number, {"text": line[:500]}, f"not JSON: {error}")
            continue
        if not isinstance(given, dict):
            yield Row(number, {"text": line[:500]}, "not an object")
            continue
        properties = given.get("properties", {})
        yield _row(number, given.get(id_column, ""), given.get(OCCURRED_AT), properties, None)


def _row(number: int, row_id: Any, occurred_at: Any, properties: Any, fault: str | None) -> Row:
    given = {"id": row_id, "properties": properties}
    if occurred_at is not None:
        given[OCCURRED_AT] = occurred_at
    return Row(number, given, fault or (None if row_id not in ("", None) else "the row has no id"))


def _batch(rows: Sequence[Row]) -> Sequence[Row]:
    """The next rows, no two of one record: their order must hold."""
    seen: set[str] = set()
    size = 0
    for number, row in enumerate(rows[:BATCH]):
        if row.fault is not None:
            continue
        record_id = str(row.input["id"])
        size += len(json.dumps(row.input)) + 2
        if record_id in seen or (size > BATCH_BYTES and number):
            return rows[:number]
        seen.add(record_id)
    return rows[:BATCH]


def _faulty(error: ApiError) -> dict[int, str]:
    """By the number of the input, what the API has against it; nothing when it is against the request as a whole."""
    faulty: dict[int, str] = {}
    for one in error.errors if error.status == 400 else []:
        found = _INPUT.match(one["in"])
        if found is None:
            return {}
        number = int(found.group(1))
        why = f"{one['in'].removeprefix(found.group(0)).removeprefix('.')}: {one['message']}"
        faulty[number] = f"{faulty[number]}; {why}" if number in faulty else why
    return faulty
