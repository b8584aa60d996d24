"""The commands of a producer: make an event, check it, send it, and see its decisions."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from enroll import event_outcomes
from enroll.commands import event as event_command
from enroll.commands import send as sending
from enroll.stack import Stack
from enrollment.catalog import EVENT_TYPES
from enrollment.domain.enrollment.loop_detection import ENROLLED
from enrollment.domain.values import iso
from enrollment.serialization.envelopes import read_routed_event
from tests.support.command_line import answer, run
from tests.support.portal import Api
from tests.support.scenario import event, flow

UNPROCESSED = {"reason": "WRONG_TYPE", "field": "detail", "message": "detail: wrong", "keptSince": iso(0)}


class Bus:
    """Deliver entries that are put on the bus to the portal immediately. ``sent``: the entries."""

    def __init__(self, portal: Api) -> None:
        self.sent: list[dict[str, Any]] = []
        self._portal = portal

    def put_events(self, Entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
        for entry in Entries:
            self.sent.append(entry)
            envelope = {"detail-type": entry["DetailType"], "source": entry["Source"]}
            detail = json.loads(entry["Detail"])
            world = self._portal.world
            world.deliver({**envelope, "id": f"bus-{len(self.sent)}", "time": iso(world.now), "detail": detail})
        return {"Entries": [{"EventId": "1"} for _ in Entries]}


@pytest.fixture
def bus(portal: Api, monkeypatch: pytest.MonkeyPatch) -> Bus:
    """The bus of a stack, in front of the example portal. The unprocessed-events queue has the event `broken`."""
    bus = Bus(portal)
    stack = Stack("enroll", {"EventBusName": "bus"}, lambda service: bus)

    def find(event_ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        return {"broken": UNPROCESSED} if "broken" in event_ids else {}

    monkeypatch.setattr(sending, "open_stack", lambda name: stack)
    for module in (sending, event_command):
        monkeypatch.setattr(module, "unprocessed_events", lambda stack: find)
    for command in ("send", "simulate", "trigger"):
        monkeypatch.setattr(f"enroll.commands.{command}.now", lambda: portal.world.now)
    monkeypatch.setattr(event_outcomes, "POLL_SECONDS", 0.01)
    return bus


def file(folder: Path, *events: Any) -> str:
    path = folder / "events.json"
    path.write_text(json.dumps(events[0] if len(events) == 1 else events), encoding="utf-8")
    return str(path)


def submitted(event_id: str = "e9", **detail: Any) -> dict[str, Any]:
    envelope = event({"forms.submitted": "101", "id": event_id, "portal": "p1"})
    envelope["detail"] |= {"occurredAt": None, "properties": {"hs_form_id": "f-1"}} | detail
    return envelope


def statuses(outcomes: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """The status of each event, and the codes of its decisions."""
    return [
        (outcome["status"], [made["code"] for result in outcome["results"] for made in result["decisions"]])
        for outcome in outcomes
    ]


# enroll trigger ------------------------------------------------------------------------------------------------------


def test_triggered_event_is_sent_and_its_decisions_are_printed(bus: Bus, portal: Api) -> None:
    portal.world.put_flow(flow({"id": 77, "event": "forms.submitted"}))
    arguments = ("trigger", "forms.submitted", "hs_form_id=f-1", "--record", "contact/101", "--wait")
    assert "ENROLLED" in run(*arguments).stdout
    (found,) = answer(*arguments)["outcomes"]
    assert (found["status"], found["eventId"]) == ("DECIDED", json.loads(bus.sent[1]["Detail"])["id"])
    detail = json.loads(bus.sent[0]["Detail"])
    assert (detail["portalId"], detail["objectType"], detail["objectId"]) == ("p1", "0-1", "101")
    assert detail["occurredAt"] == iso(portal.world.now)[:-5] + detail["occurredAt"][-5:]


@pytest.mark.parametrize("name", [name for name in EVENT_TYPES if name != ENROLLED])
def test_sample_of_every_event_type_is_valid_and_eligible(name: str, portal: Api) -> None:
    envelope = answer("trigger", name, "--record", "contact/101", "--print")
    read = read_routed_event({**envelope, "id": "1", "time": iso(portal.world.now)})
    assert (read.event_type.name, read.unknown_names) == (name, ())
    assert [rule.rejection_reason(read.properties) for rule in read.event_type.rules] == [None] * len(
        read.event_type.rules
    )


@pytest.mark.parametrize("name", ["Forms.Submitted", "4-1639801", "FORMS.SUBMITTED"])
def test_event_type_is_read_in_every_clear_spelling(name: str, bus: Bus) -> None:
    run("trigger", name, "--record", "contact/101")
    assert bus.sent[0]["DetailType"] == "forms.submitted"


@pytest.mark.parametrize("name", ["form.submited", "forms.submited"])
def test_unknown_event_type_is_refused_with_a_suggestion(name: str, bus: Bus) -> None:
    assert "did you mean forms.submitted?" in run("trigger", name, code=2).stderr


def test_property_without_a_value_is_refused(bus: Bus) -> None:
    assert "NAME=VALUE" in run("trigger", "forms.submitted", "hs_form_id", code=2).stderr


def test_unknown_property_is_sent_with_a_warning(bus: Bus) -> None:
    shown = run("trigger", "forms.submitted", "hs_formid=f-1", "--record", "contact/101").stderr
    assert "hs_formid" in shown
    assert "did you mean hs_form_id?" in shown
    assert len(bus.sent) == 1


# enroll send ---------------------------------------------------------------------------------------------------------


def test_all_faults_of_all_events_are_printed_and_nothing_is_sent(bus: Bus, tmp_path: Path) -> None:
    wrong = submitted(portalId=None, objectType="contakt")
    path = file(tmp_path, submitted(), wrong, submitted(occurredAt="2999-01-01T00:00:00Z"))
    shown = run("send", path, code=2).stderr
    for part in ("detail.portalId", "did you mean contact?", "OCCURRED_IN_FUTURE", "nothing was sent"):
        assert part in shown
    assert bus.sent == []


def test_invalid_event_is_sent_without_the_check(tmp_path: Path, bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "put_events", lambda Entries: {"Entries": [{"EventId": "1"} for _ in Entries]})
    assert answer("send", file(tmp_path, submitted(objectType="contakt")), "--unchecked")["sent"] == 1


def test_clear_spellings_are_corrected_before_they_are_sent(bus: Bus, tmp_path: Path) -> None:
    run("send", file(tmp_path, submitted(id=8124, portalId=12345) | {"detail-type": "Forms.Submitted"}))
    detail = json.loads(bus.sent[0]["Detail"])
    assert (bus.sent[0]["DetailType"], detail["id"], detail["portalId"]) == ("forms.submitted", "8124", "12345")


def test_outcomes_of_sent_events_are_reported(bus: Bus, portal: Api, tmp_path: Path) -> None:
    portal.world.put_flow(flow({"id": 77, "event": "forms.submitted", "where": [["hs_form_id", "IS_EQUAL_TO", "x"]]}))
    without_id = submitted("a")
    del without_id["detail"]["id"]
    outcomes = answer("send", file(tmp_path, submitted("b"), without_id), "--wait")["outcomes"]
    assert [status for status, _ in statuses(outcomes)] == ["DECIDED", "DECIDED"]
    assert all("NOT_MATCHED" in codes for _, codes in statuses(outcomes))


@pytest.mark.parametrize(
    ("event_id", "object_id", "code"),
    [("e9", "101", 0), ("broken", "unknown", 1), ("never", "unknown", 4)],
)
def test_exit_code_is_that_of_the_outcome(
    event_id: str, object_id: str, code: int, bus: Bus, portal: Api, tmp_path: Path
) -> None:
    path = file(tmp_path, submitted(event_id, objectType="0-3" if code else "0-1", objectId=object_id))
    run("send", path, "--wait", "--timeout", "0.1", code=code)
    run("event", event_id, code=code)


def test_deferred_decision_is_reported_without_waiting_for_its_end(
    bus: Bus, portal: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_outcomes.time, "time", lambda: portal.world.now / 1000)
    document = flow({"id": 77, "event": "forms.submitted", "criteria": [["nothing", "IS_KNOWN"]]})
    portal.world.put_flow(document | {"criteriaTolerance": 5})
    shown = run("send", file(tmp_path, submitted()), "--wait", "--timeout", "200", code=6)
    assert "WAITING" in shown.stdout
    assert "waits for late data until" in shown.output


# enroll event and explain --event ------------------------------------------------------------------------------------


def test_outcome_of_an_unprocessed_event_has_its_reason(bus: Bus) -> None:
    shown = run("event", "broken", code=1).stdout
    assert "unprocessed-events queue: WRONG_TYPE" in shown
    found = json.loads(run("event", "broken", "--json", code=1).stdout)
    assert (found["status"], found["unprocessed"]) == ("UNPROCESSED", UNPROCESSED)


def test_unknown_event_is_reported_with_the_reach_of_the_history(bus: Bus) -> None:
    assert "is not known. The history begins at" in run("event", "never", code=4).stdout


def test_event_is_explained_without_its_record(bus: Bus, portal: Api, tmp_path: Path) -> None:
    run("send", file(tmp_path, submitted("x/?#%")))
    explained = answer("explain", "--event", "x/?#%")["results"]
    assert [result["event"]["id"] for result in explained] == ["x/?#%"]
    assert "no event never" in run("explain", "--event", "never", code=4).stderr
    assert "--record or --event" in run("explain", code=2).stderr


def test_explanation_warns_of_unknown_names(bus: Bus, tmp_path: Path) -> None:
    run("send", file(tmp_path, submitted(objectid="101")))
    for command in (("event", "e9"), ("explain", "--event", "e9")):
        assert "did you mean objectId?" in run(*command).stderr


def test_simulate_accepts_the_files_of_send(bus: Bus, tmp_path: Path) -> None:
    envelope = submitted() | {"detail-type": "Forms.Submitted"}
    for key in ("time", "id"):
        envelope.pop(key, None)
    path = file(tmp_path, envelope)
    run("send", path)
    run("simulate", path)


def test_simulate_prints_all_faults(portal: Api, tmp_path: Path) -> None:
    shown = run("simulate", file(tmp_path, submitted(objectType="contakt", chain=[1])), code=2).stderr
    assert "detail.objectType" in shown
    assert "detail.chain" in shown
