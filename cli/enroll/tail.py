"""Follow the enrollments of flows or of a record by polling the HTTP API, which reads the enrollments table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from enroll.api import Api, fits_in_path, path_segment
from enroll.times import Times
from enrollment.domain.values import iso, read_instant

POLL_SECONDS = 2.0
# Lists that are read within POLL_SECONDS. This makes five requests a second while nothing is new.
LISTS_PER_POLL = 10
FLOWS_REFRESH_SECONDS = 60.0

# Enrollments in the first request of a poll, and in each further request.
FIRST_PAGE_SIZE = 10
PAGE_SIZE = 100
# Requests for one list in one poll.
MAX_PAGES = 10
MAX_NEW = FIRST_PAGE_SIZE + (MAX_PAGES - 1) * PAGE_SIZE

# An enrollment can become visible after a later enrollment: the index follows the table within a second, and the
# clocks of functions differ.
OVERLAP_MS = 20_000

FLOWS = "/automation/v4/flows"

EnrollmentDocument = Mapping[str, Any]
# The time and the ID of an enrollment. Lists are sorted by position.
Position = tuple[str, str]
BEGINNING: Position = ("", "")


@dataclass
class EnrollmentList:
    """The enrollments of a flow or of a record, which the API lists from the newest to the oldest.

    ``floor`` is the position before which nothing is read. ``has_gap`` is true if the latest poll skipped enrollments,
    because there were more than it may read.
    """

    api: Api
    path: str
    floor: Position = BEGINNING
    has_gap: bool = False
    _newest: str = ""
    _seen: dict[str, Position] = field(default_factory=dict)

    def start(self, count: int) -> list[EnrollmentDocument]:
        """Return at least the latest ``count`` enrollments, or all if there are fewer. Raises ApiError."""

        def is_enough(enrollments: Sequence[EnrollmentDocument]) -> bool:
            newest, oldest = enrollments[0], enrollments[-1]
            return len(enrollments) >= count and oldest["enrolledAt"] < _before_overlap(newest["enrolledAt"])

        enrollments, _ = self._read(min(max(count, 1), PAGE_SIZE), is_enough)
        if enrollments:
            self.floor = _position(enrollments[-1])
        self._remember(enrollments)
        return enrollments

    def poll(self) -> list[EnrollmentDocument]:
        """Return the enrollments that were not returned before. Raises ApiError."""
        if self._newest:
            self.floor = max(self.floor, (_before_overlap(self._newest), ""))
        read, is_complete = self._read(FIRST_PAGE_SIZE, lambda enrollments: _position(enrollments[-1]) < self.floor)
        new = [
            enrollment
            for enrollment in read
            if _position(enrollment) >= self.floor and enrollment["enrollmentId"] not in self._seen
        ]
        self.has_gap = not is_complete and len(new) == len(read)
        if not is_complete:
            self.floor = _position(read[-1])
        self._remember(new)
        return new

    def _read(
        self, first_page_size: int, is_enough: Callable[[Sequence[EnrollmentDocument]], bool]
    ) -> tuple[list[EnrollmentDocument], bool]:
        """Return the enrollments, and whether the list ended or ``is_enough`` returned true."""
        enrollments: list[EnrollmentDocument] = []
        query = {"limit": str(first_page_size)}
        for _ in range(MAX_PAGES):
            page = self.api.call("GET", self.path, query=query)
            enrollments += page["results"]
            if "paging" not in page or is_enough(enrollments):
                return enrollments, True
            query = {"limit": str(PAGE_SIZE), "after": page["paging"]["next"]["after"]}
        return enrollments, False

    def _remember(self, new: Sequence[EnrollmentDocument]) -> None:
        self._newest = max([self._newest, *(enrollment["enrolledAt"] for enrollment in new)])
        self._seen |= {enrollment["enrollmentId"]: _position(enrollment) for enrollment in new}
        self._seen = {key: position for key, position in self._seen.items() if position >= self.floor}


@dataclass
class Tail:
    """Follow the enrollments of a record, of some flows, or of all flows that are on.

    ``flow_ids`` is None for all flows that are on. ``record`` is the ID of the object type and the ID of the record.
    ``report_gap`` is called with the path of a list that grows faster than it may be read. ``report_skipped`` is called
    with the ID of a flow whose enrollments cannot be listed, because no path can carry the ID.
    """

    api: Api
    flow_ids: Sequence[str] | None
    record: tuple[str, str] | None
    report_gap: Callable[[str], None]
    report_skipped: Callable[[str], None]
    _lists: dict[str, EnrollmentList] = field(default_factory=dict)
    _skipped: set[str] = field(default_factory=set)
    _refreshed_at: float = 0.0
    _next_poll_at: float = 0.0

    def latest(self, count: int) -> list[EnrollmentDocument]:
        """Return the latest enrollments until now, the oldest first. Raises ApiError."""
        self._refresh(is_first=True)
        enrollments = self._sorted(
            [
                enrollment
                for batch in self._batches()
                for enrollment_list in batch
                for enrollment in enrollment_list.start(count)
            ]
        )
        return enrollments[max(0, len(enrollments) - count) :]

    def follow(self) -> Iterator[list[EnrollmentDocument]]:
        """Yield the new enrollments of each poll, the oldest first. Never ends. Raises ApiError."""
        while True:
            if time.monotonic() - self._refreshed_at >= FLOWS_REFRESH_SECONDS:
                self._refresh()
            for batch in self._batches():
                new: list[EnrollmentDocument] = []
                for enrollment_list in batch:
                    new += enrollment_list.poll()
                    if enrollment_list.has_gap:
                        self.report_gap(enrollment_list.path)
                yield self._sorted(new)

    def _batches(self) -> Iterator[Sequence[EnrollmentList]]:
        """Yield lists to read together, one batch every POLL_SECONDS. Yield an empty batch if there is no list."""
        lists = list(self._lists.values())
        for start in range(0, max(1, len(lists)), LISTS_PER_POLL):
            time.sleep(max(0.0, self._next_poll_at - time.monotonic()))
            self._next_poll_at = time.monotonic() + POLL_SECONDS
            yield lists[start : start + LISTS_PER_POLL]

    def _refresh(self, *, is_first: bool = False) -> None:
        if self.record is not None:
            type_id, object_id = self.record
            self._add(f"/enrollment/v1/records/{type_id}/{path_segment(object_id)}/enrollments")
        elif self.flow_ids is not None:
            for flow_id in self.flow_ids:
                self._add(_path(flow_id))
        else:
            for flow in self.api.pages(FLOWS):
                if flow["isEnabled"] and fits_in_path(flow["id"]):
                    # A flow that was turned on since the last refresh may have old enrollments, which are not new.
                    self._add(_path(flow["id"]), BEGINNING if is_first else (flow["enabledAt"], ""))
                elif flow["isEnabled"] and flow["id"] not in self._skipped:
                    self._skipped.add(flow["id"])
                    self.report_skipped(flow["id"])
        self._refreshed_at = time.monotonic()

    def _add(self, path: str, floor: Position = BEGINNING) -> None:
        self._lists.setdefault(path, EnrollmentList(self.api, path, floor))

    def _sorted(self, enrollments: Sequence[EnrollmentDocument]) -> list[EnrollmentDocument]:
        """Return the enrollments of the chosen flows, the oldest first."""
        chosen = (item for item in enrollments if self.flow_ids is None or item["flowId"] in self.flow_ids)
        return sorted(chosen, key=_position)


def _path(flow_id: str) -> str:
    return f"/enrollment/v1/flows/{path_segment(flow_id)}/enrollments"


def _position(enrollment: EnrollmentDocument) -> Position:
    return enrollment["enrolledAt"], enrollment["enrollmentId"]


def _before_overlap(time_text: str) -> str:
    instant = read_instant(time_text)
    assert instant is not None, time_text
    return iso(instant - OVERLAP_MS)


def enrollment_line(enrollment: Mapping[str, Any], clock: Times) -> str:
    """Return an enrollment, or a message of the enrollments queue, as one line of text."""
    trigger = enrollment["trigger"]
    record = f"{enrollment['objectTypeId']}/{enrollment['objectId']}"
    flow = f"{enrollment['flowName']} ({enrollment['flowId']})"
    again = " again" if enrollment["isReEnrollment"] else ""
    cause = f"{trigger['eventType']} {trigger['eventId']}"
    due = f", message due at {clock.text(enrollment['dueAt'])}" if "dueAt" in enrollment else ""
    enrolled_at = clock.text(enrollment["enrolledAt"])
    return f"{enrolled_at}  {enrollment['portalId']}  {record} enters {flow}{again} by {cause}{due}"
