"""`enroll replay`: ordered through the API, replayed by EventBridge, followed to its end."""

import pytest

from enroll.commands import replay as commands
from enroll.replay import rule_name
from enroll.stack import Stack
from enrollment.catalog import CATEGORIES
from enrollment.domain.enrollment.replays import Replay
from enrollment.serialization.envelopes import read_routed_event
from tests.support.command_line import answer, run
from tests.support.portal import Api
from tests.support.replays import ARCHIVE, BUS, Aws
from tests.support.scenario import event
from tests.support.template import TEMPLATE, logical

SINCE, UNTIL = "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Aws:
    found = Aws()
    monkeypatch.setattr(
        commands,
        "open_stack",
        lambda _: Stack("enroll", {"EventBusArn": BUS, "EventBusName": "enroll-events"}, lambda _: found),
    )
    monkeypatch.setattr(commands, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(commands, "QUIET_SECONDS", 0.2)
    monkeypatch.setenv("COLUMNS", "200")
    return found


def test_a_replay_is_ordered_then_started_for_the_rules_concerned(portal: Api, aws: Aws) -> None:
    found = answer("replay", "--from", SINCE, "--to", UNTIL, "--flow", "1001", "--flow", "1002")

    (started,) = aws.started
    assert started["ReplayName"] == found["name"]
    assert portal.world.replays.get(found["name"]) == Replay(
        found["name"],
        "p1",
        frozenset({"1001", "1002"}),
        frozenset({"forms.submitted", "crm.property_changed"}),
        False,
        portal.world.now,
    )
    assert (started["EventStartTime"].isoformat(), started["EventEndTime"].isoformat()) == (
        "2026-11-01T00:00:00+00:00",
        "2026-11-02T00:00:00+00:00",
    )
    assert started["EventSourceArn"] == ARCHIVE
    assert started["Destination"] == {
        "Arn": BUS,
        "FilterArns": [
            f"arn:aws:events:eu-west-1:123456789012:rule/enroll-events/enroll-{category}"
            for category in ("crm", "forms")
        ],
    }
    assert aws.states == []
    assert found["flows"] is None


def test_rules_are_named_as_the_template_makes_them() -> None:
    for category in CATEGORIES:
        route = TEMPLATE["Resources"][logical(category, "Route")]["Properties"]
        assert route["Parameters"]["Name"] == {"Fn::Sub": rule_name("${AWS::StackName}", category)}


def test_a_dry_run_counts_who_would_be_enrolled(portal: Api, aws: Aws) -> None:
    def deliver(name: str) -> None:
        order = portal.world.replays.get(name)
        assert order is not None
        for record in ("103", "104", "103", "999"):
            fields = {"id": f"e{record}", "at": "2026-11-24T09:59:59Z", "properties": {"hs_form_id": "f-1"}}
            portal.world.replay_processor.process(
                read_routed_event(event({"forms.submitted": record, **fields})), order
            )

    aws.delivers = deliver
    found = answer("replay", "--from", SINCE, "--to", UNTIL, "--dry-run", "--event-type", "forms.submitted")
    counts = {"ENROLLED": 2, "UNKNOWN_RECORD": 1}
    assert found["flows"] == [{"flowId": "1001", "wouldEnroll": 2, "decisions": counts}]

    aws.states = ["COMPLETED"]
    shown = run("replay", "--from", SINCE, "--to", UNTIL, "--dry-run").stdout
    assert "ENROLLED 2, UNKNOWN_RECORD 1" in shown

    aws.states, aws.delivers = ["COMPLETED"], lambda name: None
    assert "No record would be enrolled" in run("replay", "--from", SINCE, "--to", UNTIL, "--dry-run").stdout


def test_interrupted_it_is_cancelled(portal: Api, aws: Aws) -> None:
    aws.states = ["RUNNING", KeyboardInterrupt()]
    errors = run("replay", "--from", SINCE, "--to", UNTIL, code=1).stderr
    assert aws.cancelled == [aws.started[0]["ReplayName"]]
    assert "was cancelled" in errors


@pytest.mark.parametrize(
    ("states", "options", "expected"),
    [
        (["FAILED"], [], "the archive is gone"),
        (["RUNNING"], ["--timeout", "0"], "continues in the background"),
        (["COMPLETED"], ["--timeout", "0", "--dry-run"], "/counts"),
    ],
)
def test_invalid_end_is_reported(
    portal: Api, aws: Aws, states: list[str | BaseException], options: list[str], expected: str
) -> None:
    aws.states = states
    assert expected in run("replay", "--from", SINCE, "--to", UNTIL, *options, code=1).stderr.replace("\n", "")


def test_events_that_cannot_be_replayed_are_reported(portal: Api, aws: Aws) -> None:
    assert "--from" in run("replay", "--from", UNTIL, "--to", SINCE, code=2).stderr
    assert "--to" in run("replay", "--from", SINCE, "--to", "soon", code=2).stderr
    assert (
        "expected the ID of a flow in this portal, got '9'"
        in run("replay", "--from", SINCE, "--flow", "9", code=2).stderr
    )
    aws.archives = []
    assert "0 archives" in run("replay", "--from", SINCE, "--to", UNTIL, code=1).stderr
    aws.archives = ["a", "b"]
    assert "--archive" in run("replay", "--from", SINCE, "--to", UNTIL, code=1).stderr
    assert "no archive c" in run("replay", "--from", SINCE, "--to", UNTIL, "--archive", "c", code=1).stderr
    aws.rules = []
    assert "no rule enroll-ads" in run("replay", "--from", SINCE, "--to", UNTIL, "--archive", "b", code=1).stderr
    assert aws.started == []
