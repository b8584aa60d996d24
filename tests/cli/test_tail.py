"""`enroll tail`: every enrollment is shown once, and no message of the queue is touched."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import botocore.client
import pytest

from enroll import tail as tailing
from enroll.tail import LISTS_PER_POLL, MAX_NEW, MAX_PAGES, OVERLAP_MS, EnrollmentList, Tail
from enrollment.domain.values import iso
from tests.support.command_line import run
from tests.support.portal import NOW, Api, example_portal
from tests.support.scenario import event, flow
from tests.support.serving import served

START = NOW
ENROLL = Path(sys.executable).with_name("enroll")


@dataclass
class CandidateList:
    """The API's lists of enrollments, by path."""

    lists: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    flows: list[dict[str, Any]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def add(self, at: int, name: str, path: str = "/list") -> None:
        enrollment = {"enrolledAt": iso(at), "enrollmentId": name, "flowId": path}
        self.lists.setdefault(path, []).append(enrollment)

    def call(self, method: str, path: str, *, query: Mapping[str, str]) -> dict[str, Any]:
        assert method == "GET"
        self.requests.append(path)
        found = sorted(
            self.lists.get(path, []),
            key=lambda enrollment: (enrollment["enrolledAt"], enrollment["enrollmentId"]),
            reverse=True,
        )
        if "after" in query:
            found = [
                enrollment
                for enrollment in found
                if f"{enrollment['enrolledAt']}/{enrollment['enrollmentId']}" < query["after"]
            ]
        page = found[: int(query["limit"])]
        if len(found) == len(page):
            return {"results": page}
        return {
            "results": page,
            "paging": {"next": {"after": f"{page[-1]['enrolledAt']}/{page[-1]['enrollmentId']}"}},
        }

    def pages(self, path: str) -> Iterator[dict[str, Any]]:
        self.requests.append(path)
        return iter(self.flows)


def ids(found: list[Any]) -> list[str]:
    return [enrollment["enrollmentId"] for enrollment in found]


def started(api: CandidateList, count: int = 10) -> EnrollmentList:
    found = EnrollmentList(api, "/list")  # type: ignore[arg-type]
    found.start(count)
    return found


def test_each_enrollment_is_returned_once() -> None:
    api = CandidateList()
    for number in range(30):
        api.add(START + number * 60_000, f"old-{number:02}")
    enrollments = EnrollmentList(api, "/list")  # type: ignore[arg-type]
    assert ids(enrollments.start(10)) == [f"old-{number:02}" for number in range(29, 19, -1)]
    assert enrollments.poll() == []
    for number in range(250):
        api.add(START + 30 * 60_000 + number, f"new-{number:03}")
    assert sorted(ids(enrollments.poll())) == [f"new-{number:03}" for number in range(250)]
    assert enrollments.poll() == []
    assert not enrollments.has_gap


def test_an_enrollment_that_becomes_visible_late_is_returned() -> None:
    api = CandidateList()
    api.add(START, "first")
    enrollments = started(api)
    api.add(START + OVERLAP_MS, "second")
    assert ids(enrollments.poll()) == ["second"]
    api.add(START + 1, "late")
    assert ids(enrollments.poll()) == ["late"]
    api.add(START - 1, "older than the overlap")
    assert enrollments.poll() == []


def test_enrollments_from_before_the_start_are_not_new() -> None:
    """Also those after the first page: 50 enrollments have the same time."""
    api = CandidateList()
    for number in range(50):
        api.add(START, f"{number:02}")
    enrollments = started(api, 3)
    assert enrollments.poll() == []
    api.add(START, "99")
    assert ids(enrollments.poll()) == ["99"]


def test_the_first_enrollments_of_a_flow_are_new() -> None:
    api = CandidateList()
    enrollments = started(api)
    assert enrollments.poll() == []
    api.add(START, "first")
    assert ids(enrollments.poll()) == ["first"]


def test_a_burst_is_read_up_to_a_bound_and_the_gap_is_reported() -> None:
    api = CandidateList()
    api.add(START, "old")
    enrollments = started(api)
    api.requests.clear()
    for number in range(MAX_NEW + 200):
        api.add(START + 1 + number, f"{number:04}")

    found = enrollments.poll()

    assert sorted(ids(found)) == [f"{number:04}" for number in range(200, MAX_NEW + 200)]
    assert enrollments.has_gap
    assert len(api.requests) == MAX_PAGES
    assert enrollments.poll() == []
    assert not enrollments.has_gap


@pytest.mark.parametrize("seed", range(20))
def test_enrollments_that_become_visible_in_another_order_are_returned_once(seed: int) -> None:
    chance = random.Random(seed)
    made = [(START + number * chance.randint(0, 900), f"{number:03}") for number in range(300)]
    visible = sorted((at + chance.randint(0, OVERLAP_MS // 2), at, name) for at, name in made)
    api, returned = CandidateList(), []
    enrollments = started(api)
    clock = START
    while visible:
        clock += 2_000
        while visible and visible[0][0] <= clock:
            _, at, name = visible.pop(0)
            api.add(at, name)
        returned += ids(enrollments.poll())
    assert sorted(returned) == [name for _, name in made]


class Clock:
    """Time that passes by sleeping alone. ``during`` is called in each sleep."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        self.during: Callable[[], None] = lambda: None
        monkeypatch.setattr(tailing.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(tailing.time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.during()


def test_many_flows_take_no_more_than_five_requests_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    at: list[float] = []
    clock.during = lambda: at.append(clock.now)
    api = CandidateList(flows=[{"id": f"{n}", "isEnabled": n % 2 == 0, "enabledAt": iso(START)} for n in range(70)])
    tail = Tail(api, None, None, pytest.fail, pytest.fail)  # type: ignore[arg-type]
    began = clock.now
    assert tail.latest(10) == []
    polls = tail.follow()
    for _ in range(40):
        next(polls)
    lists = [path for path in api.requests if path != tailing.FLOWS]
    assert len(set(lists)) == 35
    assert len(lists) <= (clock.now - began + tailing.POLL_SECONDS) / tailing.POLL_SECONDS * LISTS_PER_POLL
    assert api.requests.count(tailing.FLOWS) == 1 + int((clock.now - began) / tailing.FLOWS_REFRESH_SECONDS)


def test_a_portal_without_flows_is_polled_with_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    tail = Tail(CandidateList(), None, None, pytest.fail, pytest.fail)  # type: ignore[arg-type]
    tail.latest(10)
    polls, began = tail.follow(), clock.now
    for _ in range(10):
        next(polls)
    assert clock.now - began >= 10 * tailing.POLL_SECONDS


def test_a_flow_that_is_turned_on_later_shows_only_later_enrollments(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    api = CandidateList()
    tail = Tail(api, None, None, pytest.fail, pytest.fail)  # type: ignore[arg-type]
    assert tail.latest(10) == []
    path = tailing._path("1")
    api.add(START - 1, "before it was turned on", path)
    api.add(START + 1, "after it was turned on", path)
    api.flows.append({"id": "1", "isEnabled": True, "enabledAt": iso(START)})
    polls, found = tail.follow(), []
    while clock.now < 1_000 + tailing.FLOWS_REFRESH_SECONDS + 2 * tailing.POLL_SECONDS:
        found += next(polls)
    assert ids(found) == ["after it was turned on"]


def test_flow_with_an_id_that_no_path_can_contain_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    monkeypatch.setattr(tailing, "FLOWS_REFRESH_SECONDS", 0.0)
    api = CandidateList(flows=[{"id": flow_id, "isEnabled": True, "enabledAt": iso(START)} for flow_id in ("1", "a/b")])
    skipped: list[str] = []
    tail = Tail(api, None, None, pytest.fail, skipped.append)  # type: ignore[arg-type]
    tail.latest(10)
    polls = tail.follow()
    for _ in range(3):
        next(polls)
    assert skipped == ["a/b"]
    assert set(api.requests) == {tailing.FLOWS, tailing._path("1")}


# The command ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def portal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    api = example_portal()
    monkeypatch.setenv("COLUMNS", "200")
    with served(api) as url:
        monkeypatch.setenv("ENROLL_API", url)
        monkeypatch.setenv("ENROLL_PORTAL", "p1")
        yield api


def submit(api: Api, name: str, record: str = "101", **fields: Any) -> None:
    at = iso(api.world.now)
    properties = {"hs_form_id": "f-1"}
    api.world.deliver(event({"forms.submitted": record, "id": name, "at": at, "properties": properties, **fields}))


def shown(*options: str) -> list[str]:
    """The ids of the events whose enrollments are shown."""
    lines = run("tail", "--enrollments", "--json", *options).stdout.splitlines()
    return [json.loads(line)["trigger"]["eventId"] for line in lines]


def test_latest_and_new_enrollments_are_shown_without_a_call_to_aws(
    portal: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(client: Any, name: str, arguments: Any) -> None:
        raise AssertionError(f"called {name}")

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", refuse)
    clock = Clock(monkeypatch)
    names = iter(["e2", "e3"])
    clock.during = lambda: (name := next(names, None)) and submit(portal, name, f"10{name[1:]}")
    for record in ("102", "103"):
        portal.world.deliver(event({"crm.object_created": record, "id": f"c{record}", "at": iso(portal.world.now)}))
    portal.world.put_flow(flow({"id": 1003, "event": "forms.submitted"}))

    result = run("tail", "--enrollments", "--timeout", "4")

    lines = result.stdout.splitlines()
    assert "0-1/101 enters Flow 1001 (1001) by forms.submitted e1" in lines[0]
    assert [line.partition(" enters ")[0].rpartition(" ")[2] for line in lines[1:]] == ["0-1/102", "0-1/103", "0-1/103"]
    assert result.stderr == ""


def test_filters(portal: Api) -> None:
    portal.world.put_flow(flow({"id": 1003, "event": "forms.submitted", "re_enroll": True}))
    for name, record in (("e2", "103"), ("e3", "101"), ("e4", "103")):
        submit(portal, name, record)
    end = ("--timeout", "0")
    assert shown(*end) == ["e1", "e2", "e2", "e3", "e4"]
    assert shown(*end, "--flow", "1001") == ["e1", "e2"]
    assert shown(*end, "--flow", "1003", "--flow", "1001") == ["e1", "e2", "e2", "e3", "e4"]
    assert shown(*end, "--record", "contact/103") == ["e2", "e2", "e4"]
    assert shown(*end, "--record", "0-1/103", "--flow", "1003") == ["e2", "e4"]
    assert shown(*end, "--last", "2") == ["e3", "e4"]
    assert shown(*end, "--last", "0") == []
    assert shown(*end, "--flow", "flow 1003") == ["e2", "e3", "e4"]
    assert shown(*end, "--portal", "p2") == []
    assert shown(*end, "--portal", "p2", "--flow", "1001") == []
    run("tail", "--enrollments", *end, "--record", "103", code=2)


def test_a_delayed_enrollment_says_when_its_message_is_due(portal: Api) -> None:
    limited = {"id": 1003, "event": "forms.submitted", "re_enroll": True, "limit": {"count": 1, "period": "HOUR"}}
    portal.world.put_flow(flow(limited))
    for name in ("e2", "e3"):
        submit(portal, name)
    first, second = run("tail", "--enrollments", "--flow", "1003", "--timeout", "0").stdout.splitlines()
    assert "message due" not in first
    assert "by forms.submitted e3, message due at 20" in second


def test_a_gap_is_reported(portal: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tailing, "FIRST_PAGE_SIZE", 1)
    monkeypatch.setattr(tailing, "MAX_PAGES", 1)
    clock = Clock(monkeypatch)
    portal.world.put_flow(flow({"id": 1003, "event": "forms.submitted", "re_enroll": True}))
    names = iter(["e2", "e3", "e4"])

    def submit_three() -> None:
        for name in names if clock.now > 1_000 else ():
            submit(portal, name)

    clock.during = submit_three
    result = run("tail", "--enrollments", "--flow", "1003", "--timeout", "4")
    assert "by forms.submitted e4" in result.stdout
    assert "/enrollment/v1/flows/1003/enrollments lists them" in result.stderr


def test_ctrl_c_ends_it_cleanly(portal: Api) -> None:
    with subprocess.Popen(
        [str(ENROLL), "tail", "--enrollments"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
        # A shell may have started the tests with the signal ignored, which children inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        assert "e1" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout, stderr) == (0, "", "")
