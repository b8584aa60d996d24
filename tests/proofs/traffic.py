"""Traffic: events delivered at once, as Lambda delivers them, by several processes of several threads each.

A seed decides who delivers what, in which order, and the small delays before and after each call to AWS that let
others come between two calls, so that races happen. All threads begin each event at the same time: else they drift
apart, and those that are to meet don't.
"""

import importlib.util
import json
import multiprocessing
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from multiprocessing.synchronize import Barrier
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.client
from botocore.exceptions import ClientError
from msgspec.structs import replace

import enrollment.entrypoints.event_handlers
from enrollment.adapters.observability import Metrics, PowertoolsDecisionLog, decision_fields
from enrollment.application.manual_enrollment import ManualRequest
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.associations import AssociationType
from enrollment.domain.records.change_events import OutboundEvent
from enrollment.domain.values import Instant, iso
from enrollment.entrypoints import bootstrap
from enrollment.entrypoints.bootstrap import Application
from enrollment.entrypoints.event_handlers import redeliver
from enrollment.entrypoints.http_api.bootstrap import ApiApplication, api_application
from enrollment.serialization.messages import write_outbound_event

ROOT = Path(__file__).parents[2]
CONTEXT = SimpleNamespace(aws_request_id="r-1")

PROCESSES = 3
THREADS = 8
LONGEST_DELAY = 0.004

# Seconds in which each has dealt with an event.
LONGEST_EVENT = 120

# How DynamoDB says that another came first.
CONFLICTS = {"ConditionalCheckFailedException", "TransactionCanceledException", "TransactionConflictException"}

Envelope = Mapping[str, Any]

MANUAL, ASSOCIATE, REDELIVERY = "manual", "associate", "redelivery"


def manual_request(key: RecordKey, flow_id: str, idempotency_key: str) -> Envelope:
    """A request to enroll a record, to be sent like an event."""
    record = {"portal_id": key.portal_id, "flow_id": flow_id, "object_ids": [key.object_id]}
    return {MANUAL: {**record, "idempotency_key": idempotency_key, "caller": "proof"}}


def associate_request(record: RecordKey, other: RecordKey, kind: AssociationType, at: Instant) -> Envelope:
    """A request to associate two records, to be sent like an event. Its own events follow it."""
    return {ASSOCIATE: (record, other, [kind], at)}


def redelivery(body: str) -> Envelope:
    """A message of the redeliveries queue, to be sent like an event."""
    return {REDELIVERY: body}


def unchanged(application: Application) -> Application:
    return application


@dataclass(frozen=True)
class Share:
    """What one process delivers: an order of events for each of its threads; all orders are of one length."""

    seed: str
    lanes: Sequence[Sequence[Envelope | None]]
    vary: Callable[[Application], Application]


@dataclass
class Outcome:
    """``enrolled``: each decision to enroll. ``failed``: events whose invocation
    raised, which Lambda would deliver again; ``errors``: what they raised."""

    enrolled: list[Mapping[str, Any]] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)
    failed: list[Envelope] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    conflicts: int = 0

    def __iadd__(self, other: "Outcome") -> "Outcome":
        self.enrolled += other.enrolled
        self.codes += other.codes
        self.failed += other.failed
        self.errors += other.errors
        self.conflicts += other.conflicts
        return self


class Traffic:
    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def begin(
        self, envelopes: Sequence[Envelope], seed: str, vary: Callable[[Application], Application] = unchanged
    ) -> "list[Future[Outcome]]":
        """In about this order: neighbours are delivered at once. ``vary``: an importable function that makes another
        application of the functions' own."""
        chance = random.Random(seed)
        places = [number + chance.uniform(0, THREADS) for number in range(len(envelopes))]
        order = [one for _, one in sorted(zip(places, envelopes, strict=True), key=lambda pair: pair[0])]
        filled: list[Envelope | None] = [*order, *[None] * (-len(order) % (PROCESSES * THREADS))]
        lanes = [filled[number :: PROCESSES * THREADS] for number in range(PROCESSES * THREADS)]
        return [
            self._pool.submit(deliver, Share(f"{seed}/{number}", lanes[number::PROCESSES], vary))
            for number in range(PROCESSES)
        ]

    def send(
        self, envelopes: Sequence[Envelope], seed: str, vary: Callable[[Application], Application] = unchanged
    ) -> Outcome:
        return outcome_of(self.begin(envelopes, seed, vary))


def outcome_of(shares: "Sequence[Future[Outcome]]") -> Outcome:
    whole = Outcome()
    for share in shares:
        whole += share.result()
    return whole


@contextmanager
def traffic(environment: Mapping[str, str]) -> Iterator[Traffic]:
    """``environment``: of the functions' processes."""
    context = multiprocessing.get_context("spawn")
    all_ready, together = context.Barrier(PROCESSES), context.Barrier(PROCESSES * THREADS)
    with ProcessPoolExecutor(PROCESSES, context, _open, (dict(environment), all_ready, together)) as pool:
        yield Traffic(pool)


# In a process of functions -------------------------------------------------------------------------------------------

_lane = threading.local()
_together: Barrier


def _open(environment: Mapping[str, str], all_ready: Barrier, together: Barrier) -> None:
    global _together
    _together = together
    os.environ.update(environment)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # A line for each decision, which the answers tell too.
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - until the process ends
    call = botocore.client.BaseClient._make_api_call

    def delayed(client: Any, name: str, arguments: Any) -> Any:
        _delay()
        try:
            return call(client, name, arguments)
        except ClientError as error:
            _lane.outcome.conflicts += error.response["Error"]["Code"] in CONFLICTS
            raise
        finally:
            _delay()

    botocore.client.BaseClient._make_api_call = delayed
    enrollment.entrypoints.event_handlers.application = lambda: _lane.application
    bootstrap.application()
    all_ready.wait()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _delay() -> None:
    time.sleep(_lane.random.uniform(0, LONGEST_DELAY))


def deliver(share: Share) -> Outcome:
    application = share.vary(bootstrap.application())
    whole = Outcome()
    with ThreadPoolExecutor(THREADS) as pool:
        for one in pool.map(lambda number: _deliver_lane(share, number, application), range(len(share.lanes))):
            whole += one
    return whole


def _deliver_lane(share: Share, number: int, application: Application) -> Outcome:
    _lane.random = random.Random(f"{share.seed}/{number}")
    _lane.outcome = outcome = Outcome()
    _lane.application = _of_this_thread(application)
    for envelope in share.lanes[number]:
        _together.wait(LONGEST_EVENT)
        if envelope is None:
            continue
        try:
            decisions = _decide(envelope)
        except Exception as error:
            outcome.failed.append(envelope)
            outcome.errors[type(error).__name__] += 1
            continue
        outcome.codes.update(one["code"] for one in decisions)
        outcome.enrolled += [one for one in decisions if one["code"] == "ENROLLED"]
    return outcome


def _decide(envelope: Envelope) -> Sequence[Mapping[str, Any]]:
    """Deliver an event or a message of the redeliveries queue, or make a request."""
    if MANUAL in envelope:
        decisions = _api().manual_enrollment.enroll(ManualRequest(**envelope[MANUAL]), bootstrap.now())
        return [decision_fields(event, decision) for event, decision in decisions]
    if ASSOCIATE in envelope:
        announced = Announced()
        replace(_api().record_service, producer=announced).associate(*envelope[ASSOCIATE])
        return [decision for event in announced.envelopes for decision in _decide(event)]
    if REDELIVERY in envelope:
        redeliver(_lane.application, envelope[REDELIVERY])
        return []
    answer = _handler(str(envelope["detail-type"]).partition(".")[0])(envelope, CONTEXT)
    return list(answer["decisions"])


def _api() -> ApiApplication:
    """One for each thread, as Lambda has one request at a time in a process."""
    if not hasattr(_lane, "api"):
        _lane.api = api_application()
    api: ApiApplication = _lane.api
    return api


@dataclass
class Announced:
    """The bus, as the records of a request see it. ``envelopes``: what the request has put there."""

    envelopes: list[Envelope] = field(default_factory=list)

    def publish(self, events: Sequence[OutboundEvent]) -> frozenset[str]:
        for event in events:
            detail = json.loads(write_outbound_event(event))
            time = iso(bootstrap.now())
            self.envelopes.append(
                {"id": event.id, "detail-type": event.event_type, "source": "enroll", "time": time, "detail": detail}
            )
        return frozenset(event.id for event in events)


def _of_this_thread(application: Application) -> Application:
    """Lambda has one invocation at a time in a process, and the metrics rely on that."""
    metrics = Metrics("Enroll", "traffic", bootstrap.now)
    decision_log = PowertoolsDecisionLog(application.logger, metrics)
    return replace(
        application,
        metrics=metrics,
        decision_log=decision_log,
        processor=replace(application.processor, decision_log=decision_log),
    )


@cache
def _handler(category: str) -> Any:
    path = ROOT / "functions" / category / "app.py"
    spec = importlib.util.spec_from_file_location(f"function_{category}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.handler
