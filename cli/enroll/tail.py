"""Follow the enrollments of flows or of a record by polling the HTTP API, which reads the enrollments table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from enroll.api import Api, can_be_in_a_path, part
from enrollment.domain.values import iso, read_instant

POLL_SECONDS = 2.0
# Lists that are read within POLL_SECONDS: five requests a second, when nothing is new.
LISTS_A_POLL = 10
FLOWS_REFRESH_SECONDS = 60.0

# Enrollments in the first request of a poll, and in each further one.
FIRST_PAGE = 10
PAGE = 100
# Requests for one list in one poll.
MOST_PAGES = 10
MOST_NEW = FIRST_PAGE + (MOST_PAGES - 1) * PAGE

# The index follows the table within a second, and the clocks of functions differ: an enrollment can become visible
# after a later one.
OVERLAP_MS = 20_000

FLOWS = "/automation/v4/flows"

Enrollment = Mapping[str, Any]
# The time and the id of an enrollment. Lists are in the order of positions.
Position = tuple[str, str]
BEGINNING: Position = ("", "")


@dataclass
class EnrollmentList:
    """The enrollments of a flow or of a record, which the API lists from the newest to the oldest.

    ``floor`` is the position before which nothing is read. ``has_gap`` says that the latest poll skipped enrollments
    because there were more than it may read.
    """

    api: Api
    path: str
    floor: Position = BEGINNING
    has_gap: bool = False
    _newest: str = ""
    _seen: dict[str, Position] = field(default_factory=dict)

    def start(self, count: int) -> list[Enrollment]:
        """Return at least the latest ``count`` enrollments, if there are as many. Raises ApiError."""

        def is_enough(found: Sequence[Enrollment]) -> bool:
            return len(found) >= count and found[-1]["enrolledAt"] < _earlier(found[0]["enrolledAt"])

        found, _ = self._read(min(max(count, 1), PAGE), is_enough)
        if found:
            self.floor = _position(found[-1])
        self._note(found)
        return found

    def poll(self) -> list[Enrollment]:
        """Return the enrollments that were not returned before. Raises ApiError."""
        if self._newest:
            self.floor = max(self.floor, (_earlier(self._newest), ""))
        read, is_whole = self._read(FIRST_PAGE, lambda found: _position(found[-1]) < self.floor)
        new = [one for one in read if _position(one) >= self.floor and one["enrollmentId"] not in self._seen]
        self.has_gap = not is_whole and len(new) == len(read)
        if not is_whole:
            self.floor = _position(read[-1])
        self._note(new)
        return new

    def _read(
        self, first_page: int, is_enough: Callable[[Sequence[Enrollment]], bool]
    ) -> tuple[list[Enrollment], bool]:
        """The enrollments, and whether the list ended or is enough."""
        found: list[Enrollment] = []
        query = {"limit": str(first_page)}
        for _ in range(MOST_PAGES):
            page = self.api.call("GET", self.path, query=query)
            found += page["results"]
            if "paging" not in page or is_enough(found):
                return found, True
            query = {"limit": str(PAGE), "after": page["paging"]["next"]["after"]}
        return found, False

    def _note(self, new: Sequence[Enrollment]) -> None:
        self._newest = max([self._newest, *(one["enrolledAt"] for one in new)])
        self._seen |= {one["enrollmentId"]: _position(one) for one in new}
        self._seen = {key: position for key, position in self._seen.items() if position >= self.floor}


@dataclass
class Tail:
    """``flow_ids`` is None for all flows that are on. ``record`` is the id of its type and its own id.

    ``report_gap`` is called with the path of a list that grows faster than it may be read. ``report_skipped`` is called
    with the id of a flow that no path can carry, so that its enrollments can't be listed.
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

    def latest(self, count: int) -> list[Enrollment]:
        """Return the latest enrollments until now, the oldest first. Raises ApiError."""
        self._refresh(is_first=True)
        found = [one for batch in self._batches() for each in batch for one in each.start(count)]
        chosen = self._sorted(found)
        return chosen[max(0, len(chosen) - count) :]

    def follow(self) -> Iterator[list[Enrollment]]:
        """Yield the new enrollments of each poll, the oldest first. Never ends. Raises ApiError."""
        while True:
            if time.monotonic() - self._refreshed_at >= FLOWS_REFRESH_SECONDS:
                self._refresh()
            for batch in self._batches():
                found: list[Enrollment] = []
                for each in batch:
                    found += each.poll()
                    if each.has_gap:
                        self.report_gap(each.path)
                yield self._sorted(found)

    def _batches(self) -> Iterator[Sequence[EnrollmentList]]:
        """Lists to read together, one batch every POLL_SECONDS. An empty batch if there is no list."""
        lists = list(self._lists.values())
        for start in range(0, max(1, len(lists)), LISTS_A_POLL):
            time.sleep(max(0.0, self._next_poll_at - time.monotonic()))
            self._next_poll_at = time.monotonic() + POLL_SECONDS
            yield lists[start : start + LISTS_A_POLL]

    def _refresh(self, *, is_first: bool = False) -> None:
        if self.record is not None:
            type_id, object_id = self.record
            self._add(f"/enrollment/v1/records/{type_id}/{part(object_id)}/enrollments")
        elif self.flow_ids is not None:
            for flow_id in self.flow_ids:
                self._add(_path(flow_id))
        else:
            for flow in self.api.pages(FLOWS):
                if flow["isEnabled"] and can_be_in_a_path(flow["id"]):
                    # A flow that was turned on meanwhile may have old enrollments, which are not new.
                    self._add(_path(flow["id"]), BEGINNING if is_first else (flow["enabledAt"], ""))
                elif flow["isEnabled"] and flow["id"] not in self._skipped:
                    self._skipped.add(flow["id"])
                    self.report_skipped(flow["id"])
        self._refreshed_at = time.monotonic()

    def _add(self, path: str, floor: Position = BEGINNING) -> None:
        self._lists.setdefault(path, EnrollmentList(self.api, path, floor))

    def _sorted(self, found: Sequence[Enrollment]) -> list[Enrollment]:
        wanted = (one for one in found if self.flow_ids is None or one["flowId"] in self.flow_ids)
        return sorted(wanted, key=_position)


def _path(flow_id: str) -> str:
    return f"/enrollment/v1/flows/{part(flow_id)}/enrollments"


def _position(enrollment: Enrollment) -> Position:
    return enrollment["enrolledAt"], enrollment["enrollmentId"]


def _earlier(time_text: str) -> str:
    instant = read_instant(time_text)
    assert instant is not None, time_text
    return iso(instant - OVERLAP_MS)
