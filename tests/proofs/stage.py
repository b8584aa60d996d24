"""Where stories are played: the embedded AWS, a portal of its own for each time, the functions in processes."""

import itertools
import json
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from io import StringIO
from typing import Any

import botocore.session
import pytest
from botocore.httpsession import URLLib3Session

from enrollment.adapters import sqs as queues
from enrollment.adapters.dynamodb import enrollments, records, run_repository
from enrollment.adapters.dynamodb.associations import DynamoAssociations
from enrollment.adapters.dynamodb.flow_repository import DynamoFlowRepository
from enrollment.adapters.dynamodb.record_listing import DynamoRecordListing
from enrollment.adapters.dynamodb.run_repository import DynamoRuns
from enrollment.application import run_worker
from enrollment.application.backfills import BackfillRequest, Backfills
from enrollment.config import Config
from enrollment.domain.enrollment import runs
from enrollment.domain.enrollment.runs import LEASE_MS, Run, RunStatus
from enrollment.domain.events.causes import REQUESTED
from enrollment.domain.identifiers import RecordKey, object_type_id
from enrollment.domain.records.associations import Association, associated
from enrollment.domain.records.record import Record, TimestampedValue
from enrollment.domain.values import iso
from enrollment.entrypoints import bootstrap, run_bootstrap, run_handler
from enrollment.entrypoints.http_api import bootstrap as api_bootstrap
from enrollment.entrypoints.http_api import handler as api_handler
from enrollment.serialization.envelopes import read_event
from enrollment.serialization.flows import read_flow, read_flow_or_retired
from enrollment.serialization.redeliveries import write_redelivery
from tests.proofs.arrivals import Arrivals, without_arrivals
from tests.proofs.processes import Call, Interference, Outcome, crash_before, run, undisturbed
from tests.proofs.stories import (
    NOW,
    PAGE_RECORDS,
    STORIES,
    TO_COMPANY,
    TO_CONTACT,
    Associated,
    Backfill,
    Redelivery,
    Request,
    Story,
    Unconfirmed,
)
from tests.support.api_function import call as request
from tests.support.aws import REGION
from tests.support.emulated import emulated_aws
from tests.support.fakes import store, switch
from tests.support.functions import CONTEXT, function
from tests.support.scenario import event
from tests.support.stores import Stores, open_tables, stores

State = frozenset[str]
"""All that is stored of a portal, and all that was sent, without what differs each time."""

# Stories that make every kind of call.
WARMING = [one for one in STORIES if one.name in ("once", "a request that changes")]

# Enough for every chain of events that a story leads to.
ROUNDS = 5

# The time of the processes, in milliseconds. It stands still in each of them, and each one's is later than that of the
# process before it (``Play._run``).
clock = [NOW + 1000]
HOUR = 3_600_000
# Enrollments of the stories are unconfirmed for long enough, and those that a limit delays are not due.
HALF_AN_HOUR = 1_800_000
# What waits in the stories is decided finally by then, and the time in which a late change counts has begun.
TOLERANCE_IS_OVER = 480_000


class NotDone(Exception):
    """The API's answer says so: its caller asks again."""


@dataclass
class Stage:
    config: Config
    stores: Stores
    associations: DynamoAssociations
    sqs: Any
    dynamodb: Any
    bus_copy: str
    numbers: Iterator[int] = field(default_factory=itertools.count)
    known: dict[str, "Known"] = field(default_factory=dict)

    def receive(self, url: str, *, as_text: bool = False) -> list[Any]:
        """All that a queue has."""
        found: list[Any] = []
        while messages := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            found += [one["Body"] if as_text else json.loads(one["Body"]) for one in messages]
            entries = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(messages)]
            self.sqs.delete_message_batch(QueueUrl=url, Entries=entries)
        return found


@contextmanager
def stage() -> Iterator[Stage]:
    with emulated_aws() as emulated, pytest.MonkeyPatch.context() as patch:
        # Of one name, Powertools would keep the logger of another test.
        patch.setenv("POWERTOOLS_SERVICE_NAME", f"enroll-{uuid.uuid4()}")
        for place in (bootstrap, api_bootstrap, api_handler):
            patch.setattr(place, "now", lambda: clock[0])
        # What is to be delivered again later is seen at once.
        patch.setattr(queues, "MAX_DELAY_SECONDS", 0)
        # Which of many has an entry would be another in each portal, and so the order of calls.
        patch.setattr(enrollments, "UNCONFIRMED_SHARDS", 1)
        # One worker evaluates one shard, so that the order of its calls is always the same.
        patch.setattr(run_handler, "WORKERS", 1)
        for place, name in ((records, "SHARDS"), (run_repository, "RECORD_SHARDS"), (run_worker, "RECORD_SHARDS")):
            patch.setattr(place, name, 1)
        patch.setattr(runs, "PAGE_RECORDS", PAGE_RECORDS)
        # A shard that an error frees later is not waited for, because the time of a process stands still.
        patch.setattr(run_handler, "WORK_SECONDS", 1.0)
        config = emulated.config
        session = botocore.session.get_session()
        sqs, events, dynamodb = (
            session.create_client(one, region_name=REGION) for one in ("sqs", "events", "dynamodb")
        )
        copy = sqs.create_queue(QueueName="copy-of-the-bus")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=copy, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events.put_rule(Name="all", EventBusName=config.event_bus_name, EventPattern=json.dumps({"version": ["0"]}))
        events.put_targets(Rule="all", EventBusName=config.event_bus_name, Targets=[{"Id": "copy", "Arn": arn}])
        bootstrap.application.cache_clear()
        api_handler._parts.cache_clear()
        try:
            associations = DynamoAssociations(open_tables(config))
            made = Stage(config, stores(config), associations, sqs, dynamodb, copy)
            _warm_up(made)
            # It is made here and not called, because the processes would lack its threads.
            run_bootstrap.run_application.cache_clear()
            run_bootstrap.run_application()
            yield made
        finally:
            bootstrap.application.cache_clear()
            run_bootstrap.run_application.cache_clear()
            api_handler._parts.cache_clear()


def _warm_up(on: Stage) -> None:
    """The functions are called here once, so that each process is forked with what their clients build at first; but
    without their connections, which processes can't share."""
    used: set[URLLib3Session] = set()
    forward = URLLib3Session.send

    def send(session: URLLib3Session, request: Any) -> Any:
        used.add(session)
        return forward(session, request)

    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()):
        patch.setattr(URLLib3Session, "send", send)
        for story in WARMING:
            play = Play(on, story)
            play.begin_process()
            play.act()
            play.finish()
            play.state()
    for session in used:
        session.close()


class Play:
    """A story in a new portal, prepared."""

    def __init__(self, stage: Stage, story: Story) -> None:
        self.stage = stage
        self.story = story
        self.portal = f"portal-{next(stage.numbers):08}"
        self.keys = {self._key(one) for one in (*(story.records or ()), *story.subjects)}
        self.announced: list[Any] = []
        self.refused: list[Any] = []
        self.redeliveries: list[str] = []
        self.produced: dict[str, str] = {}
        self.time = NOW + 1000
        self.arrivals = Arrivals()
        for document in story.flows:
            store(stage.stores.authoring, self.portal, document, 0)
        for name, given in (story.records or {}).items():
            properties = {key: TimestampedValue(value, 0) for key, value in given.items() if not key.startswith("in ")}
            members = {
                key.removeprefix("in "): TimestampedValue(value, 0)
                for key, value in given.items()
                if key.startswith("in ")
            }
            stage.stores.records.save(Record(self._key(name), 0, properties, members))
        for one, other in story.pairs:
            there = Association(self._key(one), self._key(other))
            stage.associations.save([associated(there, [TO_COMPANY], 0, holds=True)])
            back = Association(self._key(other), self._key(one))
            stage.associations.save([associated(back, [TO_CONTACT], 0, holds=True)])
        for one in story.before:
            if isinstance(one, Redelivery):
                self.time += TOLERANCE_IS_OVER
                outcome = self._run(partial(self._deliver_again, self._redelivery(one.event)))
            else:
                outcome = self._run(self._delivery(self._envelope(one)))
            assert outcome.is_done, outcome
        self.finish()
        self.redelivery = self._redelivery(story.acts.event) if isinstance(story.acts, Redelivery) else None
        if isinstance(story.acts, Associated):
            outcome = self._run(self._delivery(self._envelope(story.acts.event)))
            assert outcome.is_done, outcome
            (self.redelivery,) = self.stage.receive(stage.config.redeliveries_queue_url, as_text=True)
        self.started = self._start(story.acts) if isinstance(story.acts, Backfill) else None
        is_event = not isinstance(story.acts, Request | Redelivery | Associated | Unconfirmed | Backfill)
        self.event = self._envelope(story.acts) if is_event else None
        if isinstance(story.acts, Redelivery):
            self.time += 2 * HOUR
        if isinstance(story.acts, Unconfirmed):
            outcome = self._run(self._delivery(self._envelope(story.acts.event)), crash_before(story.acts.left_before))
            assert outcome.has_crashed, outcome
            self.finish()
            self.time += HALF_AN_HOUR

    def _key(self, name: str) -> RecordKey:
        kind, _, object_id = name.partition("/")
        return RecordKey(self.portal, object_type_id(kind) or "", object_id)

    def _envelope(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return event({"at": iso(NOW), **given, "portal": self.portal})

    def _redelivery(self, given: Mapping[str, Any]) -> str:
        envelope = self._envelope(given)
        category = str(envelope["detail-type"]).partition(".")[0]
        return write_redelivery(read_event(envelope, category), [one["id"] for one in self.story.flows], NOW)

    def _backfills(self) -> Backfills:
        tables = open_tables(self.stage.config)
        flows = DynamoFlowRepository(tables, read_flow_or_retired)
        return Backfills(
            DynamoRuns(tables), flows, read_flow, DynamoRecordListing(tables), lambda _: f"run-{self.portal}"
        )

    def _start(self, backfill: Backfill) -> Run:
        records = None if backfill.is_dry_run else len(self.story.records or ())
        return self._backfills().start(
            BackfillRequest(self.portal, backfill.flow_id, backfill.is_dry_run, "ada", confirm=records), NOW
        )

    def _run_now(self) -> Run:
        assert self.started is not None
        return self._backfills().get(self.portal, self.started.flow_id, self.started.id)

    def act(self) -> Any:
        """The event is delivered, or the request is made. To be called in a process."""
        if self.redelivery is not None:
            return self._deliver_again(self.redelivery)
        if self.event is not None:
            return self._delivery(self.event)()
        if isinstance(self.story.acts, Unconfirmed):
            answer = function("unconfirmed").handler({}, CONTEXT)
            if not answer["isComplete"] or answer["published"] < answer["found"]:
                raise NotDone(str(answer))
            return answer
        if isinstance(self.story.acts, Backfill):
            # The lease of a worker that ended is over.
            clock[0] += LEASE_MS
            answer = function("runs").handler({}, CONTEXT)
            assert self.started is not None
            run = run_bootstrap.run_application().worker.runs.get(self.portal, self.started.flow_id, self.started.id)
            if run is None or run.status is not RunStatus.DONE:
                raise NotDone(str(answer))
            return answer
        asked = self.story.acts
        assert isinstance(asked, Request)
        path, _, query = asked.path.partition("?")
        given = dict(one.split("=") for one in query.split("&") if one)
        status, content = request(asked.method, path, asked.body, self.portal, asked.headers, **given)
        if status not in (200, 201, 204):
            raise NotDone(f"{status} {content}")
        return content

    def _deliver_again(self, redelivery: str) -> Any:
        message = {"messageId": "m-1", "body": redelivery}
        answer = function("redeliveries").handler({"Records": [message]}, CONTEXT)
        if answer["batchItemFailures"]:
            raise NotDone(str(answer))
        return answer

    def _delivery(self, envelope: Mapping[str, Any]) -> Callable[[], Any]:
        category = str(envelope["detail-type"]).partition(".")[0]
        return partial(function(category).handler, envelope, CONTEXT)

    def deliver(self, interference: Interference = undisturbed, attempts: int = 1) -> Outcome:
        """In one process, which is kept when it fails; so many attempts at most. Others have delivered what it put on
        the bus before anything more happens."""
        outcome = self._run(self.act, interference, attempts)
        self.finish()
        return outcome

    def _run(self, work: Callable[[], Any], interference: Interference = undisturbed, attempts: int = 1) -> Outcome:
        """In a process with a time of its own, so that what it stores can be told from what others store."""
        self.begin_process()
        outcome = run(work, interference, attempts)
        self.arrivals.note(self.keys, self._records_items())
        return outcome

    def begin_process(self) -> None:
        self.time += HOUR if isinstance(self.story.acts, Backfill) else 1
        clock[0] = self.time
        self.arrivals.times.append(self.time)

    def give_up(self) -> None:
        """As Lambda does when its attempts are over: its destination gets the event. What is delivered again comes
        there as it is."""
        if self.redelivery is not None:
            self.stage.sqs.send_message(QueueUrl=self.stage.config.unprocessed_queue_url, MessageBody=self.redelivery)
        if self.event is not None:
            record = {
                "version": "1.0",
                "requestPayload": self.event,
                "requestContext": {"condition": "RetriesExhausted"},
            }
            self.stage.sqs.send_message(
                QueueUrl=self.stage.config.unprocessed_queue_url, MessageBody=json.dumps(record)
            )

    def redrive(self) -> None:
        """What Lambda gave up is delivered once more, and the API is asked once more."""
        kept = self.stage.receive(self.stage.config.unprocessed_queue_url)
        self.refused += [one for one in kept if "reason" in one]
        if self.redelivery is not None:
            (self.redelivery,) = [json.dumps(one) for one in kept if "flowIds" in one or "associated" in one]
        if self.event is not None:
            (self.event,) = [one["requestPayload"] for one in kept if "requestPayload" in one]
        outcome = self.deliver()
        assert outcome.is_done, outcome

    def change(self) -> None:
        """What the story's author does meanwhile."""
        self.time += 1
        authoring, now = self.stage.stores.authoring, self.time
        match self.story.between:
            case {"turn_off": str(flow_id)}:
                switch(authoring, self.portal, flow_id, now, on=False)
            case {"delete": str(flow_id)}:
                authoring.delete(self.portal, flow_id, now)
            case {"put": dict(document)}:
                store(authoring, self.portal, document, now)

    def finish(self) -> None:
        """What is on the bus is delivered, and what was sent about associated records, until nothing more comes of
        it."""
        for _ in range(ROUNDS):
            envelopes = self.stage.receive(self.stage.bus_copy)
            sent = self.stage.receive(self.stage.config.redeliveries_queue_url, as_text=True)
            about_associated = [one for one in sent if "associated" in json.loads(one)]
            self.redeliveries += [one for one in sent if one not in about_associated]
            if not envelopes and not about_associated:
                return
            self.announced += [one["detail"] for one in envelopes if one["detail-type"] == "workflows.enrolled"]
            self.produced |= {
                one["detail"]["id"]: json.dumps(one["detail"]["properties"])
                for one in envelopes
                if one["detail-type"] != "workflows.enrolled"
            }
            self.keys |= {self._key("{objectType}/{objectId}".format(**one["detail"])) for one in envelopes}
            deliveries = [self._delivery(one) for one in envelopes]
            deliveries += [partial(self._deliver_again, one) for one in about_associated]
            outcome = self._run(lambda: [deliver() for deliver in deliveries])  # noqa: B023 - it is run here
            assert outcome.is_done, outcome
        raise AssertionError(f"{self.story.name}: the bus does not come to rest")

    def state(self) -> State:
        """All that is stored and was sent. What must hold of any story is asserted."""
        items = [
            one for key in sorted(self.keys, key=str) for one in self._items(self.stage.config.enrollments_table, key)
        ]
        messages = self.stage.receive(self.stage.config.enrollments_queue_url)
        by_id = {one["enrollmentId"]: json.loads(one["message"]) for one in items}
        assert len(by_id) == len(items)
        assert len({one["idempotencyKey"] for one in by_id.values()}) == len(items), "one item for each decision"
        delayed = {} if self.redelivery is not None else {one["enrollmentId"]: one for one in items if "dueAt" in one}
        assert not any("publishedAt" in one for one in delayed.values()), "none before its time"
        due = {key: one for key, one in by_id.items() if key not in delayed}
        assert all("publishedAt" in one and "announcedAt" in one for one in items if one["enrollmentId"] in due)
        assert {one["enrollmentId"]: one for one in messages} == due, "each is published, and nothing else is"
        assert {one["id"] for one in self.announced} == set(due), "each is announced, and nothing else is"
        redeliveries = {*self.redeliveries, *self.stage.receive(self.stage.config.redeliveries_queue_url, as_text=True)}
        if self.redelivery is None:
            waits = {flow for one in self.waiting() for flow in one}
            again = {flow for one in redeliveries for flow in json.loads(one)["flowIds"]}
            owed = waits | {json.loads(one["message"])["flowId"] for one in delayed.values()}
            assert owed <= again, "each that waits, or is delayed, is delivered again"

        self.refused += self.stage.receive(self.stage.config.unprocessed_queue_url)
        assert all(one["event"] == self.event for one in self.refused), "whole"
        is_request = isinstance(self.story.acts, Request)
        records = [_remembered(one, by_id, any_arrival=is_request) for one in self._records_items()]
        told = [_enrolled(one, by_id) for one in items]
        if is_request:
            # Its events are about one moment and come in any order, so that any of them may be the first to enroll; and
            # the request or the events may be the first to write the record.
            for one in told:
                del one["place"], one["message"]["isReEnrollment"]
            for one in records:
                one.pop("version", None)
        runs = [self._told_of_run()] if self.started is not None else []
        return frozenset(
            json.dumps(self._named(one), sort_keys=True) for one in (*told, *records, *self.refused, *runs)
        )

    def _told_of_run(self) -> dict[str, Any]:
        """Its status and its counts, which are those of the records however often they were evaluated."""
        run = self._run_now()
        counts = self._backfills().progress(run).counts
        assert sum(counts.values()) == len(self.story.records or ())
        return {"run": run.status.value, "counts": {code.value: number for code, number in counts.items()}}

    def _records_items(self) -> list[dict[str, Any]]:
        """Records, their history, and the events that wait for them."""
        return [one for key in self.keys for one in self._items(self.stage.config.records_table, key)]

    def _items(self, table: str, key: RecordKey) -> list[dict[str, Any]]:
        answer = self.stage.dynamodb.query(
            TableName=table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": str(key)}},
            ConsistentRead=True,
        )
        return [{name: next(iter(value.values())) for name, value in one.items()} for one in answer["Items"]]

    def _named(self, told: Mapping[str, Any]) -> Any:
        """Without the names that each portal has its own of."""
        text = json.dumps({name: value for name, value in told.items() if name != "deletedAt"})
        text = text.replace(self.portal, "portal")
        for event_id, properties in self.produced.items():
            text = text.replace(event_id, json.dumps(properties)[1:-1])
        if self.story.chooses_ids:
            for key in self.keys:
                text = text.replace(key.object_id, "id")
        return json.loads(text)

    def waiting(self) -> list[Mapping[str, Any]]:
        """The flows of each event that waits."""
        items = (one for key in self.keys for one in self._items(self.stage.config.records_table, key))
        return [json.loads(one["flows"]) for one in items if one["sk"].startswith("waiting/")]

    def enrolled(self) -> list[str]:
        """The flows of the portal's enrollments, in order."""
        items = (one for key in self.keys for one in self._items(self.stage.config.enrollments_table, key))
        return sorted(json.loads(one["message"])["flowId"] for one in items)


@dataclass(frozen=True)
class Known:
    """Of a story that nothing disturbs: its calls, and how it may end."""

    calls: Sequence[Call]
    ends: Sequence[State]

    def difference(self, state: State) -> Sequence[str]:
        """Of a state and the end that is nearest to it."""
        return min((sorted(state ^ end) for end in self.ends), key=len)


def known(on: Stage, story: Story) -> Known:
    if story.name not in on.known:
        on.known[story.name] = _known(on, story)
    return on.known[story.name]


def _known(on: Stage, story: Story) -> Known:
    play = Play(on, story)
    outcome = play.deliver()
    assert outcome.is_done
    assert outcome.calls
    end = play.state()
    assert play.enrolled() == list(story.enrolls)
    if story.between is None:
        return Known(outcome.calls, [end])
    # What its author does meanwhile may come before all that the event does, or after it.
    other = Play(on, story)
    other.change()
    assert other.deliver().is_done
    return Known(outcome.calls, [end, other.state()])


def _remembered(item: Mapping[str, Any], ids: Collection[str], *, any_arrival: bool) -> dict[str, Any]:
    """Texts of JSON as what they say, for the order of names in them is that of the writes. Of the history, an
    announcement without its enrollment's id and moment; no event with the time at which the bus got it, which is a
    request's own, with what changed beside it, which is less when it is asked for again, nor with the shard that its
    portal's name leads to."""
    told = without_arrivals(item, any_arrival=any_arrival)
    if not item["sk"].startswith("event/"):
        return told
    if "event" not in told:
        return told
    event = told["event"]
    if event["id"] in ids:
        return {"pk": item["pk"], "event": event["detail"]["properties"]}
    del event["time"], told["typeShard"]
    event["detail"].pop("changedWith", None)
    return told


def _enrolled(item: Mapping[str, Any], ids: Collection[str]) -> dict[str, Any]:
    """Without what each time has its own of: ids and moments, those of an announcement's enrollment included."""
    message = {
        name: one for name, one in json.loads(item["message"]).items() if name not in ("enrollmentId", "enrolledAt")
    }
    if message["trigger"]["eventType"] in REQUESTED:
        message["trigger"] = {**message["trigger"], "occurredAt": "asked"}
    if item["eventId"] in ids:
        message["trigger"] = {**message["trigger"], "eventId": "announced", "occurredAt": "announced"}
    return {"place": [item["pk"], item["sk"]], "message": message}
