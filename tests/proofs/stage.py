"""The environment in which stories are played: the embedded AWS, a new portal each time, and functions in processes."""

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
from enrollment.adapters.dynamodb import enrollments, record_listing, records, run_repository
from enrollment.adapters.dynamodb.associations import DynamoAssociations
from enrollment.adapters.dynamodb.due_items import DynamoDueItems
from enrollment.adapters.dynamodb.flow_repository import DynamoFlowRepository
from enrollment.adapters.dynamodb.record_listing import DynamoRecordListing
from enrollment.adapters.dynamodb.run_repository import DynamoRuns
from enrollment.application import run_worker
from enrollment.application.backfills import BackfillRequest, Backfills
from enrollment.config import Config
from enrollment.domain.enrollment import runs
from enrollment.domain.enrollment.runs import LEASE_MS, Run, RunStatus
from enrollment.domain.events.own_types import REQUESTED
from enrollment.domain.identifiers import RecordKey, object_type_id
from enrollment.domain.records.associations import Association, associated
from enrollment.domain.records.record import Record, TimestampedValue
from enrollment.domain.timers import due_item
from enrollment.domain.values import LATEST, iso
from enrollment.entrypoints import bootstrap, run_bootstrap, run_handler, timer_bootstrap, timer_handler
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
    Sweep,
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
"""Everything that is stored of a portal and everything that was sent, without what differs in each run."""

# Stories that together make every kind of call.
WARMING = [story for story in STORIES if story.name in ("once", "a request that changes")]

# Enough for every chain of events that a story leads to.
ROUNDS = 5

# The time of the processes, in milliseconds. It stands still in each process, and is later in each process than in the
# one before (``Play._run``).
clock = [NOW + 1000]
HOUR = 3_600_000
# By then, enrollments of the stories are unconfirmed for long enough, and delayed enrollments are not due yet.
HALF_AN_HOUR = 1_800_000
# By then, waiting events of the stories are decided finally, and the period in which a late change counts has begun.
TOLERANCE_IS_OVER = 480_000


class NotDone(Exception):
    """The API responded that the request was not completed, so the caller repeats it."""


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
        """Receive all messages of a queue."""
        found: list[Any] = []
        while messages := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            found += [message["Body"] if as_text else json.loads(message["Body"]) for message in messages]
            entries = [{"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(messages)]
            self.sqs.delete_message_batch(QueueUrl=url, Entries=entries)
        return found


@contextmanager
def stage() -> Iterator[Stage]:
    with emulated_aws() as emulated, pytest.MonkeyPatch.context() as patch:
        # With the same name, Powertools would keep the logger of another test.
        patch.setenv("POWERTOOLS_SERVICE_NAME", f"enroll-{uuid.uuid4()}")
        for place in (bootstrap, api_bootstrap, api_handler):
            patch.setattr(place, "now", lambda: clock[0])
        # Messages that are scheduled for later are visible at once.
        patch.setattr(queues, "MAX_DELAY_SECONDS", 0)
        # Otherwise the shard of an entry would differ in each portal, and so would the order of calls.
        patch.setattr(enrollments, "UNCONFIRMED_SHARDS", 1)
        # A sweep has one shard, for the same reason.
        for place in (due_item, timer_handler):
            patch.setattr(place, "DUE_SHARDS", 1)
        # One worker evaluates one shard, so that the order of its calls is always the same.
        patch.setattr(run_handler, "WORKERS", 1)
        for place, name in (
            (records, "SHARDS"),
            (record_listing, "SHARDS"),
            (run_repository, "RECORD_SHARDS"),
            (run_worker, "RECORD_SHARDS"),
        ):
            patch.setattr(place, name, 1)
        patch.setattr(runs, "PAGE_RECORDS", PAGE_RECORDS)
        # Do not wait for a shard that an error releases later, because the time of a process stands still.
        patch.setattr(run_handler, "WORK_SECONDS", 1.0)
        config = emulated.config
        session = botocore.session.get_session()
        sqs, events, dynamodb = (
            session.create_client(service, region_name=REGION) for service in ("sqs", "events", "dynamodb")
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
            # Create the application here without running it, because a forked process would not have its threads.
            run_bootstrap.run_application.cache_clear()
            run_bootstrap.run_application()
            timer_bootstrap.timer_application.cache_clear()
            timer_bootstrap.timer_application()
            yield made
        finally:
            bootstrap.application.cache_clear()
            run_bootstrap.run_application.cache_clear()
            timer_bootstrap.timer_application.cache_clear()
            api_handler._parts.cache_clear()


def _warm_up(on: Stage) -> None:
    """Call the functions once in this process, so that each forked process has the objects that clients create at first
    use. It does not have the connections, which processes cannot share."""
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
    """A story in a new, prepared portal."""

    def __init__(self, stage: Stage, story: Story) -> None:
        self.stage = stage
        self.story = story
        self.portal = f"portal-{next(stage.numbers):08}"
        self.keys = {self._key(subject) for subject in (*(story.records or ()), *story.subjects)}
        self.announced: list[Any] = []
        self.refused: list[Any] = []
        self.redeliveries: list[str] = []
        self.produced: dict[str, str] = {}
        self.time = NOW + 1000
        self.arrivals = Arrivals()
        self._store_facts()
        self.started: Run | None = None
        for act in story.before:
            if isinstance(act, Backfill):
                self.started = self._start(act)
                continue
            if isinstance(act, Request):
                outcome = self._run(partial(self._request, act))
            elif isinstance(act, Redelivery):
                self.time += TOLERANCE_IS_OVER
                outcome = self._run(partial(self._deliver_again, self._redelivery(act.event)))
            else:
                outcome = self._run(self._delivery(self._envelope(act)))
            assert outcome.is_done, outcome
        self.finish()
        self.redelivery = self._redelivery(story.acts.event) if isinstance(story.acts, Redelivery) else None
        if isinstance(story.acts, Associated):
            outcome = self._run(self._delivery(self._envelope(story.acts.event)))
            assert outcome.is_done, outcome
            (self.redelivery,) = self.stage.receive(stage.config.redeliveries_queue_url, as_text=True)
        if isinstance(story.acts, Backfill):
            self.started = self._start(story.acts)
        is_event = not isinstance(story.acts, Request | Redelivery | Associated | Unconfirmed | Sweep | Backfill)
        self.event = self._envelope(story.acts) if is_event else None
        if isinstance(story.acts, Redelivery):
            self.time += 2 * HOUR
        if isinstance(story.acts, Sweep):
            outcome = self._run(self._delivery(self._envelope(story.acts.event)))
            assert outcome.is_done, outcome
            self.finish()
            self.time += TOLERANCE_IS_OVER
        if isinstance(story.acts, Unconfirmed):
            outcome = self._run(self._delivery(self._envelope(story.acts.event)), crash_before(story.acts.left_before))
            assert outcome.has_crashed, outcome
            self.finish()
            self.time += HALF_AN_HOUR

    def _store_facts(self) -> None:
        """Store the flows, records and associations that the story begins with."""
        stage, story = self.stage, self.story
        for document in story.flows:
            store(stage.stores.authoring, self.portal, document, 0)
        for name, record_fields in (story.records or {}).items():
            properties = {
                key: TimestampedValue(value, 0) for key, value in record_fields.items() if not key.startswith("in ")
            }
            members = {
                key.removeprefix("in "): TimestampedValue(value, 0)
                for key, value in record_fields.items()
                if key.startswith("in ")
            }
            stage.stores.records.save(Record(self._key(name), 0, properties, members))
        for contact, company in story.pairs:
            there = Association(self._key(contact), self._key(company))
            stage.associations.save([associated(there, [TO_COMPANY], 0, holds=True)])
            back = Association(self._key(company), self._key(contact))
            stage.associations.save([associated(back, [TO_CONTACT], 0, holds=True)])

    def _key(self, name: str) -> RecordKey:
        kind, _, object_id = name.partition("/")
        return RecordKey(self.portal, object_type_id(kind) or "", object_id)

    def _envelope(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        return event({"at": iso(NOW), **fields, "portal": self.portal})

    def _redelivery(self, fields: Mapping[str, Any]) -> str:
        envelope = self._envelope(fields)
        category = str(envelope["detail-type"]).partition(".")[0]
        return write_redelivery(read_event(envelope, category), [flow["id"] for flow in self.story.flows], NOW)

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
        """Deliver the event or make the request. Call this in a process of its own."""
        if self.redelivery is not None:
            return self._deliver_again(self.redelivery)
        if self.event is not None:
            return self._delivery(self.event)()
        if isinstance(self.story.acts, Unconfirmed):
            answer = function("unconfirmed").handler({}, CONTEXT)
            if not answer["isComplete"] or answer["published"] < answer["found"]:
                raise NotDone(str(answer))
            return answer
        if isinstance(self.story.acts, Sweep):
            answer = function("timers").handler({}, CONTEXT)
            if answer["left"] or answer["failed"]:
                raise NotDone(str(answer))
            return answer
        if isinstance(self.story.acts, Backfill):
            # The lease of a worker that ended has expired.
            clock[0] += LEASE_MS
            answer = function("runs").handler({}, CONTEXT)
            assert self.started is not None
            run = run_bootstrap.run_application().worker.runs.get(self.portal, self.started.flow_id, self.started.id)
            if run is None or run.status is not RunStatus.DONE:
                raise NotDone(str(answer))
            return answer
        assert isinstance(self.story.acts, Request)
        return self._request(self.story.acts)

    def _request(self, api_request: Request) -> Any:
        path, _, query = api_request.path.partition("?")
        path = path.format(run="" if self.started is None else self.started.id)
        query_parameters = dict(part.split("=") for part in query.split("&") if part)
        status, content = request(
            api_request.method, path, api_request.body, self.portal, api_request.headers, **query_parameters
        )
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
        """Deliver in one process, which is reused after an error, up to this number of attempts. What it put on the bus
        is delivered before the next step."""
        outcome = self._run(self.act, interference, attempts)
        self.finish()
        return outcome

    def _run(self, work: Callable[[], Any], interference: Interference = undisturbed, attempts: int = 1) -> Outcome:
        """Run the work in a process with its own time, which distinguishes what it stores from what others store."""
        self.begin_process()
        outcome = run(work, interference, attempts)
        self.arrivals.note(self.keys, self._records_items())
        return outcome

    def begin_process(self) -> None:
        self.time += HOUR if isinstance(self.story.acts, Backfill) else 1
        clock[0] = self.time
        self.arrivals.times.append(self.time)

    def give_up(self) -> None:
        """Do what Lambda does after its last attempt: send the event to its destination. A redelivery is moved there
        unchanged."""
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
        """Deliver once more what Lambda gave up, or repeat the request to the API."""
        kept = self.stage.receive(self.stage.config.unprocessed_queue_url)
        self.refused += [message for message in kept if "reason" in message]
        if self.redelivery is not None:
            (self.redelivery,) = [
                json.dumps(message) for message in kept if "flowIds" in message or "associated" in message
            ]
        if self.event is not None:
            (self.event,) = [message["requestPayload"] for message in kept if "requestPayload" in message]
        outcome = self.deliver()
        assert outcome.is_done, outcome

    def change(self) -> None:
        """Make the change that the story's author makes meanwhile."""
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
        """Deliver what is on the bus, and the messages about associated records, until nothing more follows."""
        for _ in range(ROUNDS):
            envelopes = self.stage.receive(self.stage.bus_copy)
            sent = self.stage.receive(self.stage.config.redeliveries_queue_url, as_text=True)
            about_associated = [text for text in sent if "associated" in json.loads(text)]
            self.redeliveries += [text for text in sent if text not in about_associated]
            if not envelopes and not about_associated:
                return
            self.announced += [
                envelope["detail"] for envelope in envelopes if envelope["detail-type"] == "workflows.enrolled"
            ]
            self.produced |= {
                envelope["detail"]["id"]: json.dumps(envelope["detail"]["properties"])
                for envelope in envelopes
                if envelope["detail-type"] != "workflows.enrolled"
            }
            self.keys |= {self._key("{objectType}/{objectId}".format(**envelope["detail"])) for envelope in envelopes}
            deliveries = [self._delivery(envelope) for envelope in envelopes]
            deliveries += [partial(self._deliver_again, text) for text in about_associated]
            outcome = self._run(lambda: [deliver() for deliver in deliveries])  # noqa: B023 - it is run here
            assert outcome.is_done, outcome
        raise AssertionError(f"{self.story.name}: the bus does not come to rest")

    def state(self) -> State:
        """Return everything that is stored and was sent. Assert what holds in every story."""
        items = [
            item for key in sorted(self.keys, key=str) for item in self._items(self.stage.config.enrollments_table, key)
        ]
        messages = self.stage.receive(self.stage.config.enrollments_queue_url)
        by_id = {item["enrollmentId"]: json.loads(item["message"]) for item in items}
        assert len(by_id) == len(items)
        assert len({message["idempotencyKey"] for message in by_id.values()}) == len(items), (
            "one item for each decision"
        )
        delayed = (
            {} if self.redelivery is not None else {item["enrollmentId"]: item for item in items if "dueAt" in item}
        )
        assert not any("publishedAt" in item for item in delayed.values()), "none before its time"
        due = {key: message for key, message in by_id.items() if key not in delayed}
        assert all("publishedAt" in item and "announcedAt" in item for item in items if item["enrollmentId"] in due)
        assert {message["enrollmentId"]: message for message in messages} == due, (
            "each is published, and nothing else is"
        )
        assert {announcement["id"] for announcement in self.announced} == set(due), (
            "each is announced, and nothing else is"
        )
        redeliveries = {*self.redeliveries, *self.stage.receive(self.stage.config.redeliveries_queue_url, as_text=True)}
        scheduled = self._take_due_items()
        assert not (scheduled and isinstance(self.story.acts, Sweep)), "a sweep leaves nothing that is due"
        redeliveries |= scheduled
        if self.redelivery is None:
            waits = {flow_id for flow_ids in self.waiting() for flow_id in flow_ids}
            again = {flow for redelivery in redeliveries for flow in json.loads(redelivery)["flowIds"]}
            owed = waits | {json.loads(item["message"])["flowId"] for item in delayed.values()}
            assert owed <= again, "each that waits, or is delayed, is delivered again"

        self.refused += self.stage.receive(self.stage.config.unprocessed_queue_url)
        assert all(message["event"] == self.event for message in self.refused), "whole"
        is_request = isinstance(self.story.acts, Request)
        records = [_remembered(item, by_id, any_arrival=is_request) for item in self._records_items()]
        enrolled = [_enrolled(item, by_id) for item in items]
        if is_request:
            # Its events are about one moment and arrive in any order, so any of them may be the first to enroll, and
            # either the request or an event may be the first to write the record.
            for item in enrolled:
                del item["place"], item["message"]["isReEnrollment"]
            for record in records:
                record.pop("version", None)
        runs = [self._run_counts()] if isinstance(self.story.acts, Backfill) else self._requested_runs()
        return frozenset(
            json.dumps(self._named(record), sort_keys=True) for record in (*enrolled, *records, *self.refused, *runs)
        )

    def _requested_runs(self) -> list[dict[str, Any]]:
        """Return the runs of the portal, which were started or changed by requests. End them, so that no worker of
        another story evaluates their records. A flow has one run."""
        backfills = self._backfills()
        active = [run for run in backfills.runs.active(with_paused=True) if run.portal_id == self.portal]
        flows = backfills.flow_repository.list(self.portal, 100)
        every = [(flow, run) for flow in flows for run in backfills.runs.of_flow(self.portal, flow.id, 100)]
        assert len({flow.id for flow, _ in every}) == len(every), "one run of each flow"
        for unfinished in active:
            backfills.runs.deactivate(unfinished)
        expected = {run.id for _, run in every if not run.is_finished}
        assert expected <= {run.id for run in active}, "a worker finds each unfinished run"
        return [
            {
                "run": run.status.value,
                "isDryRun": run.is_dry_run,
                "caller": run.caller,
                "recordsPerSecond": run.records_per_second,
                "records": run.records,
                "revision": run.revision,
                "isOn": flow.is_enabled,
                "shards": len(backfills.runs.shards(run)),
            }
            for flow, run in every
        ]

    def _take_due_items(self) -> set[str]:
        """Delete the due items of this portal, and return their messages. So no sweep finds those of another play."""
        due_items = DynamoDueItems(open_tables(self.stage.config))
        items = list(due_items.due_before(0, LATEST))
        own = [item for item in items if json.loads(item.message)["event"]["detail"]["portalId"] == self.portal]
        due_items.delete(own)
        return {item.message for item in own}

    def _run_counts(self) -> dict[str, Any]:
        """Return its status and its counts, which do not depend on how often records were evaluated."""
        run = self._run_now()
        counts = self._backfills().progress(run).counts
        assert sum(counts.values()) == len(self.story.records or ())
        return {"run": run.status.value, "counts": {code.value: number for code, number in counts.items()}}

    def _records_items(self) -> list[dict[str, Any]]:
        """Return records, their history, and the events that wait for them."""
        return [item for key in self.keys for item in self._items(self.stage.config.records_table, key)]

    def _items(self, table: str, key: RecordKey) -> list[dict[str, Any]]:
        answer = self.stage.dynamodb.query(
            TableName=table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": str(key)}},
            ConsistentRead=True,
        )
        return [{name: next(iter(value.values())) for name, value in item.items()} for item in answer["Items"]]

    def _named(self, item: Mapping[str, Any]) -> Any:
        """Return the item without the names that are different in each portal."""
        text = json.dumps({name: value for name, value in item.items() if name != "deletedAt"})
        text = text.replace(self.portal, "portal")
        for event_id, properties in self.produced.items():
            text = text.replace(event_id, json.dumps(properties)[1:-1])
        if self.story.chooses_ids:
            for key in self.keys:
                text = text.replace(key.object_id, "id")
        return json.loads(text)

    def waiting(self) -> list[Mapping[str, Any]]:
        """Return the flows of each waiting event."""
        items = (item for key in self.keys for item in self._items(self.stage.config.records_table, key))
        return [json.loads(item["flows"]) for item in items if item["sk"].startswith("waiting/")]

    def enrolled(self) -> list[str]:
        """Return the flows of the portal's enrollments, in order."""
        items = (item for key in self.keys for item in self._items(self.stage.config.enrollments_table, key))
        return sorted(json.loads(item["message"])["flowId"] for item in items)


@dataclass(frozen=True)
class Known:
    """An undisturbed story: its calls, and its possible end states."""

    calls: Sequence[Call]
    ends: Sequence[State]

    def difference(self, state: State) -> Sequence[str]:
        """Return the difference between a state and the most similar end state."""
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
    # The author's change may come before everything that the event does, or after it.
    other = Play(on, story)
    other.change()
    assert other.deliver().is_done
    return Known(outcome.calls, [end, other.state()])


def _remembered(item: Mapping[str, Any], ids: Collection[str], *, any_arrival: bool) -> dict[str, Any]:
    """Return the item with its JSON texts parsed, because the order of names in them is that of the writes. In the
    history, announcements have no enrollment id and no time. Events have no arrival time at the bus, which differs in
    each request, no changes beside their own, which are fewer if the request is repeated, and no shard, which depends
    on the portal's name."""
    remembered = without_arrivals(item, any_arrival=any_arrival)
    if not item["sk"].startswith("event/"):
        return remembered
    if "event" not in remembered:
        return remembered
    event = remembered["event"]
    if event["id"] in ids:
        return {"pk": item["pk"], "event": event["detail"]["properties"]}
    del event["time"], remembered["typeShard"]
    event["detail"].pop("changedWith", None)
    return remembered


def _enrolled(item: Mapping[str, Any], ids: Collection[str]) -> dict[str, Any]:
    """Return the item without ids and times, which differ in each run, and those of the announced enrollment."""
    message = {
        name: value for name, value in json.loads(item["message"]).items() if name not in ("enrollmentId", "enrolledAt")
    }
    if message["trigger"]["eventType"] in REQUESTED:
        message["trigger"] = {**message["trigger"], "occurredAt": "asked"}
    if item["eventId"] in ids:
        message["trigger"] = {**message["trigger"], "eventId": "announced", "occurredAt": "announced"}
    return {"place": [item["pk"], item["sk"]], "message": message}
