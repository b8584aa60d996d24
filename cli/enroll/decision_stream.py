"""Follow what functions log about events: decisions with their reasons, refused events, and ignored names.

Reading logs is harmless: it calls no queue and changes nothing. A deployed stack logs to CloudWatch, the local run to
files. Both have one JSON object in each line (``enrollment.adapters.observability``).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from enroll.associated_records import found_associated
from enroll.decision_rendering import DEFAULT_STYLE, STYLES
from enroll.output import styled
from enroll.tables import Styled
from enroll.times import Times

# The messages of log lines that the stream has.
DECISION, REFUSED, UNKNOWN_NAMES = "decision", "refused", "unknown names"
KINDS = (DECISION, REFUSED, UNKNOWN_NAMES)

# The reasons for which events are refused (docs/events.md).
REFUSAL_REASONS = (
    *("UNKNOWN_CATEGORY", "UNKNOWN_EVENT_TYPE", "WRONG_CATEGORY", "INVALID_ENVELOPE", "MISSING_FIELD", "WRONG_TYPE"),
    *("WRONG_LENGTH", "BAD_CHARACTERS", "UNKNOWN_OBJECT_TYPE", "BAD_TIME", "BAD_NUMBER", "GIVEN_TWICE", "BAD_BOOL"),
    *("MISSING_PROPERTY", "UNKNOWN_OPTION", "OCCURRED_IN_FUTURE", "TOO_MANY_PROPERTIES", "DETAIL_TOO_LARGE"),
    *("DETAIL_TOO_DEEP", "SOURCE_NOT_ALLOWED", "CHANGED_WITH_NOT_ALLOWED", "RECORD_TOO_LARGE", "UNKNOWN_REPLAY"),
)

# CloudWatch shows a line some seconds after it was written, and not always in order.
OVERLAP_MS = 30_000
# FilterLogEvents accepts 5 calls a second in the smallest regions. A poll makes one call for each log group.
CALL_SECONDS = 0.25
LOCAL_POLL_SECONDS = 0.25
MAX_PAGES = 20
FILTER = "{ " + " || ".join(f'$.message = "{kind}"' for kind in KINDS) + " }"

LogLine = Mapping[str, Any]


class LogSource(Protocol):
    """Returns each line once."""

    def read(self) -> Sequence[LogLine]:
        """Return the lines that were not returned before, the oldest first. The first call returns earlier ones."""
        ...


@dataclass
class LogFiles:
    """The log files of the local run. They are written anew when a run starts."""

    folder: Path
    _read_bytes: dict[Path, int] = field(default_factory=dict)

    def read(self) -> Sequence[LogLine]:
        time.sleep(LOCAL_POLL_SECONDS if self._read_bytes else 0)
        return _sorted([line for path in sorted(self.folder.glob("*.log")) for line in self._new_lines(path)])

    def _new_lines(self, path: Path) -> Iterator[LogLine]:
        start = self._read_bytes.get(path, 0)
        try:
            with path.open("rb") as file:
                if start > path.stat().st_size:
                    start = 0
                file.seek(start)
                content = file.read()
        except OSError:
            return
        # A line without its end is still being written.
        complete = content[: content.rfind(b"\n") + 1]
        self._read_bytes[path] = start + len(complete)
        yield from filter(None, map(read_line, complete.decode("utf-8", "replace").splitlines()))


@dataclass
class LogGroups:
    """The log groups of a deployed stack. ``client``: of CloudWatch Logs. Methods raise its errors."""

    client: Any
    groups: Sequence[str]
    since_ms: int
    _seen: dict[str, int] = field(default_factory=dict)

    def read(self) -> Sequence[LogLine]:
        return _sorted([line for group in self.groups for line in self._of_group(group)])

    def _of_group(self, group: str) -> Iterator[LogLine]:
        newest = max(self._seen.values(), default=self.since_ms)
        request = {
            "logGroupName": group,
            "startTime": max(self.since_ms, newest - OVERLAP_MS),
            "filterPattern": FILTER,
        }
        for _ in range(MAX_PAGES):
            time.sleep(CALL_SECONDS)
            page = self.client.filter_log_events(**request)
            for event in page["events"]:
                if event["eventId"] not in self._seen:
                    self._seen[event["eventId"]] = event["timestamp"]
                    line = read_line(event["message"])
                    if line is not None:
                        yield line
            if "nextToken" not in page:
                break
            request["nextToken"] = page["nextToken"]
        self._seen = {key: at for key, at in self._seen.items() if at > newest - 2 * OVERLAP_MS}


@dataclass(frozen=True)
class StreamFilter:
    """Which lines are shown. An empty part accepts every line. ``record``: the object type's ID and the record's ID.

    A refused event could not be read, so its line has no portal and no record. It is shown if only the portal is given.
    """

    portal: str | None = None
    record: tuple[str, str] | None = None
    flows: Sequence[str] = ()
    event_types: Sequence[str] = ()
    codes: Sequence[str] = ()

    def accepts(self, line: LogLine) -> bool:
        """Whether the line is shown."""
        if line["message"] == REFUSED:
            wanted = not (self.record or self.flows or self.event_types)
            return wanted and (not self.codes or line.get("reason") in self.codes)
        record = (str(line.get("objectTypeId")), str(line.get("objectId")))
        return (
            self.portal in (None, line.get("portalId"))
            and self.record in (None, record)
            and (not self.flows or line.get("flowId") in self.flows)
            and (not self.event_types or line.get("eventType") in self.event_types)
            and (not self.codes or line.get("code") in self.codes)
        )


def read_line(text: str) -> LogLine | None:
    """Return a log line of the stream. None: it is another line."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) and line.get("message") in KINDS else None


def follow(source: LogSource, accepts: Callable[[LogLine], bool]) -> Iterator[Sequence[LogLine]]:
    """Yield the accepted lines of each read. Never ends."""
    while True:
        yield [line for line in source.read() if accepts(line)]


def rendered(line: LogLine, clock: Times) -> Iterator[Styled]:
    """Yield the lines of text for a log line: who and what, then the reasons."""
    at = clock.text(str(line.get("timestamp", "")).replace(",", "."))
    if line["message"] == REFUSED:
        yield styled(f"{at}  event {line.get('eventId') or 'without an ID'}  ") + styled(
            f"unprocessed: {line.get('reason')}", "red"
        )
        for explanation in (line.get("explanation"), *_list(line.get("further"))):
            yield styled(f"      {explanation}")
        return
    record = f"{line.get('objectTypeId')}/{line.get('objectId') or '(unknown visitor)'}"
    start = f"{at}  {line.get('portalId')}  {record}  {line.get('eventType')} {line.get('eventId')}"
    if line["message"] == UNKNOWN_NAMES:
        from enrollment.serialization.event_warnings import unknown_name_warning

        yield styled(start)
        for name in _list(line.get("names")):
            yield styled(f"      {unknown_name_warning(str(name), str(line.get('eventType')))}", "yellow")
        return
    code = str(line.get("code"))
    yield styled(f"{start}  ") + styled(code, STYLES.get(code, DEFAULT_STYLE)) + styled(f"  flow {line.get('flowId')}")
    for reason in _reasons(line):
        yield styled(f"      {reason}")


def _reasons(line: LogLine) -> Sequence[str]:
    """Return each failed condition with what was expected and found, or the reason of the decision."""
    failures = [*_list(line.get("groups")), *_list([line["filter"]] if "filter" in line else [])]
    conditions = [_condition(failure) for failure in failures if isinstance(failure, dict)]
    return conditions or [str(line.get("because"))]


def _condition(failure: Mapping[str, Any]) -> str:
    from enrollment.domain.describe import expected, is_association

    found = failure.get("found")
    value = "no value" if found in (None, "", []) else json.dumps(found, ensure_ascii=False)
    try:
        wanted = expected(failure["operation"])
        value = "; ".join(found_associated(failure)) if is_association(failure["operation"]) else value
    except (KeyError, TypeError, AssertionError, AttributeError):
        # Another version wrote the line.
        wanted = json.dumps(failure.get("operation"), ensure_ascii=False)
    return f"{failure.get('property')}: expected that it {wanted}, found {value}"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _sorted(lines: Sequence[LogLine]) -> Sequence[LogLine]:
    return sorted(lines, key=lambda line: str(line.get("timestamp", "")))
