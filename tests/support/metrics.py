"""Every metric of this project, as the real handlers and the real decision log emit them: each outcome once."""

import io
import json
import os
from contextlib import redirect_stdout
from types import SimpleNamespace
from typing import Any

import pytest
from aws_lambda_powertools import Logger
from msgspec.structs import replace

import enrollment.entrypoints.event_handlers
import enrollment.entrypoints.http_api.handler
import enrollment.entrypoints.run_handler
from enrollment.adapters.observability import Metrics, PowertoolsDecisionLog
from enrollment.application.backfills import BackfillRequest
from enrollment.application.event_processor import REEVALUATION_TIME_MS
from enrollment.application.timer_sweep import TimerSweep
from enrollment.config import NAMES, from_environment
from enrollment.domain.enrollment.decisions import Code
from enrollment.domain.enrollment.replays import Replay
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record, TimestampedValue
from enrollment.domain.values import iso
from enrollment.entrypoints import timer_handler
from enrollment.entrypoints.bootstrap import Application
from enrollment.entrypoints.event_handlers import handler_for, redelivery_handler, unconfirmed_handler
from enrollment.entrypoints.http_api.handler import api_handler
from enrollment.entrypoints.http_api.routes import ENDPOINTS
from enrollment.entrypoints.http_api.server import Server
from enrollment.entrypoints.run_bootstrap import RunApplication
from enrollment.entrypoints.run_handler import run_handler
from enrollment.entrypoints.timer_bootstrap import TimerApplication
from enrollment.serialization.envelopes import read_event, replay_name
from enrollment.serialization.redeliveries import read_redelivery
from tests.support.fakes import FakeDueItems, FakeUnprocessed, FakeWorkQueue, World
from tests.support.portal import IAM, NO_CONTEXT, services_of
from tests.support.scenario import event, flow, property_filter

Metric = tuple[str, str, frozenset[str]]
"""Namespace, name, and the names of its dimensions."""

ADA = RecordKey("p1", "0-1", "101")


def emitted_metrics(namespace: str) -> set[Metric]:
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as written:
        patch.setenv("POWERTOOLS_SERVICE_NAME", "emitted-metrics")
        patch.setenv("POWERTOOLS_METRICS_NAMESPACE", namespace)
        for code, (world, envelope) in portals().items():
            assert [decision["code"] for decision in invoke(patch, world, envelope)["decisions"]] == [code]
        assert invoke(patch, World(), event({"forms.submitted": "", "id": "e"}))["unprocessed"]
        redeliver(patch)
        replay(patch)
        arrive_in_another_order(patch)
        fail(patch)
        backfill(patch)
        sweep()
        call_api(patch)
    return {
        (directive["Namespace"], metric["Name"], frozenset(dimensions))
        for line in map(json.loads, written.getvalue().splitlines())
        # The metrics are between the lines of the log.
        if "_aws" in line
        for directive in line["_aws"]["CloudWatchMetrics"]
        for dimensions in directive["Dimensions"]
        for metric in directive["Metrics"]
    }


def metrics_of_this_stack() -> Metrics:
    names = dict.fromkeys(NAMES, "x")
    config = from_environment({**os.environ, **names})
    return Metrics(config.metrics_namespace, config.service, lambda: 0)


def portals() -> dict[Code, tuple[World, dict[str, Any]]]:
    """Return, for each decision, a portal and an event that leads to it."""
    unnamed = {"filterBranchType": "AND", "filters": [property_filter(["city", "IS_UNKNOWN"])], "filterBranches": []}
    form = submitted()
    by_hand = event({"calls.ended": "101", "id": "e", "properties": {"hs_logged_manually": True}})
    stopped = submitted(chain=["1"])
    met_before = event(
        {
            "crm.property_changed": "101",
            "id": "e",
            "properties": {"hs_name": "city", "hs_value": ""},
            "record": {"x": "1"},
        }
    )
    return {
        Code.ENROLLED: (portal(), form),
        Code.DUPLICATE_EVENT: (portal(before=form), form),
        Code.ALREADY_ENROLLED: (portal(before=submitted(id="before")), form),
        Code.MET_BEFORE: (portal(filters=[["city", "IS_UNKNOWN"]]), met_before),
        Code.NOT_MATCHED: (portal(where=[["hs_form_id", "IS_KNOWN"]]), form),
        Code.FILTERED_OUT: (portal(criteria=[["city", "IS_KNOWN"]]), form),
        Code.UNKNOWN_RECORD: (portal(record_tolerance=0), event({"forms.submitted": "999", "id": "e"})),
        Code.NOT_ELIGIBLE: (portal(event="calls.ended"), by_hand),
        Code.BEFORE_ACTIVATION: (portal(on_since=World().now * 2), form),
        Code.SUPPRESSED: (portal(document={"suppressionListIds": [12]}), form),
        Code.GOAL_MET: (portal(document={"goalFilterBranch": unnamed}), form),
        Code.LOOP_STOPPED: (portal(), stopped),
        Code.WAITING: (portal(criteria=[["city", "IS_KNOWN"]], document={"criteriaTolerance": 5}), form),
    }


def portal(**fields: Any) -> World:
    """Return a portal with one flow, and a record in list 12. `document`: more keys of the flow. `before`: an earlier
    event."""
    world = World()
    document = flow({"id": 1, "event": "forms.submitted", **fields}) | fields.get("document", {})
    world.put_flow(document, at=fields.get("on_since", 0))
    world.put_record(ADA, Record(ADA, 0, {}, {"12": TimestampedValue(True, 0)}))
    if "before" in fields:
        world.deliver(fields["before"])
    return world


def submitted(**fields: Any) -> dict[str, Any]:
    return event({"forms.submitted": "101", "id": "e", **fields})


def invoke(patch: pytest.MonkeyPatch, world: World, envelope: dict[str, Any]) -> Any:
    """Invoke the handler of the event's category."""
    prepare(patch, world)
    return handler_for(envelope["detail-type"].partition(".")[0])(envelope, NO_CONTEXT)


def redeliver(patch: pytest.MonkeyPatch) -> None:
    """Deliver a waiting event when it is due."""
    world, envelope = portals()[Code.WAITING]
    invoke(patch, world, envelope)
    ((at, body),) = world.redeliveries.scheduled
    world.now = at
    assert redelivery_handler()({"Records": [{"messageId": "m", "body": body}]}, NO_CONTEXT) == {
        "batchItemFailures": []
    }


def arrive_in_another_order(patch: pytest.MonkeyPatch) -> None:
    """A change with an unknown property before its record's creation, an id that is used again, and more waiting events
    than can be decided in time."""
    properties = {"hs_name": "city", "hs_value": "Cork", "misspelled": 1}
    change = {"crm.property_changed": "999", "id": "c", "properties": properties}
    invoke(patch, World(), event(change))

    world = portal(re_enroll=True, where=[["hs_form_id", "IS_KNOWN"]])
    for form in ("f-1", "f-2"):
        invoke(patch, world, submitted(properties={"hs_form_id": form}))

    world = portal(criteria=[["city", "IS_KNOWN"]], document={"criteriaTolerance": 5})
    for number in range(3):
        invoke(patch, world, submitted(id=f"e{number}", at=iso(world.now), sent=iso(world.now)))
    prepare(patch, world)
    handlers: Any = enrollment.entrypoints.event_handlers
    app = handlers.application()
    ticks = iter(range(world.now, world.now + 10_000_000, REEVALUATION_TIME_MS + 1))
    processor = replace(app.processor, clock=lambda: next(ticks))
    patch.setattr(enrollment.entrypoints.event_handlers, "application", lambda: replace(app, processor=processor))
    named = {"hs_name": "age", "hs_value": 7}
    late = {"crm.property_changed": "101", "id": "c", "at": iso(world.now), "properties": named}
    handler_for("crm")(event(late), NO_CONTEXT)


def replay(patch: pytest.MonkeyPatch) -> None:
    """A dry run of an event that concerns the replay, and of one that does not."""
    world = portal()
    world.replays.save(Replay("enroll-1", "p1", None, frozenset({"forms.submitted"}), True, world.now))
    assert "decisions" in invoke(patch, world, {**submitted(), "replay-name": "enroll-1"})
    assert "skipped" in invoke(patch, world, {**submitted(portal="p2"), "replay-name": "enroll-1"})


def prepare(patch: pytest.MonkeyPatch, world: World) -> None:
    logger, metrics = Logger(level="CRITICAL"), metrics_of_this_stack()
    decision_log = PowertoolsDecisionLog(logger, metrics)
    processor = replace(world.processor, decision_log=decision_log)
    app = Application(
        read_event=read_event,
        read_redelivery=read_redelivery,
        replay_name=replay_name,
        processor=processor,
        replay_processor=replace(world.replay_processor, processor=processor, decision_log=decision_log),
        unconfirmed_publisher=world.unconfirmed_publisher,
        unprocessed=FakeUnprocessed(),
        decision_log=decision_log,
        logger=logger,
        metrics=metrics,
        trace=lambda function: function,
        processor_of_batch=lambda _: processor,
    )
    patch.setattr(enrollment.entrypoints.event_handlers, "application", lambda: app)


def fail(patch: pytest.MonkeyPatch) -> None:
    world = portal()
    world.queue.refuses = 1
    with pytest.raises(Exception, match="the queue or the bus did not accept"):
        invoke(patch, world, submitted())
    world.now += 600_000
    assert unconfirmed_handler()({}, NO_CONTEXT) == {"found": 1, "published": 1, "isComplete": True}


def backfill(patch: pytest.MonkeyPatch) -> None:
    """A page that is evaluated, and a page that is not."""
    world = portal()
    world.put_flow(flow({"id": 9, "filters": [["city", "IS_EQUAL_TO", "Cork"]]}))
    world.backfills.start(BackfillRequest("p1", "9", True, "ada"), world.now)
    app = RunApplication(world.run_worker, Logger(level="CRITICAL"), metrics_of_this_stack())
    patch.setattr(enrollment.entrypoints.run_handler, "run_application", lambda: app)
    assert run_handler()({}, NO_CONTEXT)["failed"] == 0
    patch.setattr(world.runs, "active", lambda **_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run_handler()({}, NO_CONTEXT)


def sweep() -> None:
    """A sweep that sends nothing."""
    metrics = metrics_of_this_stack()
    app = TimerApplication(TimerSweep(FakeDueItems(), FakeWorkQueue(), lambda: 0), Logger(level="CRITICAL"), metrics)
    assert timer_handler.sweep(app) == {"sent": 0, "left": 0, "failed": 0, "oldestSeconds": 0}
    metrics.flush()


def call_api(patch: pytest.MonkeyPatch) -> None:
    """Call the HTTP API: success, refusal, failure."""
    world = portal()
    logger, metrics = Logger(level="CRITICAL"), metrics_of_this_stack()
    server = Server(ENDPOINTS, services_of(world), lambda: world.now, logger, metrics)
    app = SimpleNamespace(logger=logger, metrics=metrics, trace=lambda function: function)
    patch.setattr(enrollment.entrypoints.http_api.handler, "_parts", lambda: (app, server))
    flows = "/automation/v4/flows"
    assert [status(flows), status(f"{flows}/2")] == [200, 404]
    patch.setattr(world.flows, "list", lambda *_: 1 / 0)
    assert status(flows) == 500


def status(path: str) -> int:
    request = {
        "version": "2.0",
        "rawPath": path,
        "headers": {"x-portal-id": "p1"},
        "requestContext": {"http": {"method": "GET", "path": path}, "requestId": "r", "stage": "$default"}
        | {"authorizer": IAM},
    }
    found: int = api_handler()(request, NO_CONTEXT)["statusCode"]
    return found
