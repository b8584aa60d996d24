"""What each kind of event costs in a warm function: calls to AWS, what they consume, log lines, CPU time.

`make bench ARGS=counts` plays the kinds against the embedded AWS and writes counts.json. ``money``, ``limits`` and
``simulation`` compute with it.
"""

import itertools
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.client
import botocore.session
from botocore.exceptions import ClientError

from enrollment.config import Config
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record, TimestampedValue
from enrollment.domain.values import iso
from enrollment.entrypoints.bootstrap import application, now
from enrollment.entrypoints.event_handlers import handler_for
from tests.benchmarks.capacity import INDEXES, Item, consumed, item_bytes
from tests.benchmarks.machine import machine
from tests.benchmarks.replayed import Recording, silenced
from tests.support.fakes import store
from tests.support.scenario import flow
from tests.support.stores import stores as open_stores

EVENTS = Path(__file__).parents[2] / "events"
COUNTS = Path(__file__).with_name("counts.json")

PORTAL = "northwind"
HISTORY_DAYS = 30
# The number of rounds, and the events of a round.
TURNS, PLAYED = 25, 20

# SQS and EventBridge count a request or an event for each chunk that has begun.
CHUNK = 64 * 1024
# Bytes that DynamoDB adds to each stored item and to each entry of an index.
ITEM_OVERHEAD = 100

FLOWS: Sequence[Mapping[str, Any]] = (
    {"id": 1001, "event": "forms.submitted", "where": [["hs_form_id", "IS_ANY_OF", ["f-1"]]]},
    {"id": 2001, "event": "calls.ended"},
    {"id": 2002, "event": "calls.ended"},
    {"id": 2003, "event": "calls.ended"},
)

PROPERTIES = {
    "email": "ann.murphy@example.com",
    "firstname": "Ann",
    "lastname": "Murphy",
    "company": "Harbour Foods",
    "jobtitle": "Head of Purchasing",
    "phone": "+353 21 555 0101",
    "city": "Cork",
    "country": "Ireland",
    "lifecyclestage": "opportunity",
    "hs_lead_status": "IN_PROGRESS",
}

NO_FLOW = "has no candidate flow"
NOT_MATCHED = "has a candidate flow that does not match"
ENROLLS = "enrolls in one flow"
ENROLLS_IN_THREE = "enrolls in three flows"
REDELIVERED = "is delivered again"
ENROLLED_BEFORE = "is about a record that is enrolled already"
CHANGES_RECORD = "changes its record and has no candidate flow"
ANNOUNCEMENT = "announces an enrollment and has no candidate flow"

# In a portal of FILTER_FLOWS filter-based flows.
NAMES_NOTHING = "changes a property that no flow names"
NAMED_BY_ALL = "changes a property that every flow names, to a value that none needs"
CREATES = "creates a record with values that no flow needs"
PARTLY_MET = "meets a part of the criteria of one flow"
STARTS_TO_MEET = "starts to meet the criteria of one flow"
FILTER_PORTAL, FILTER_FLOWS = "southwind", 100


@dataclass(frozen=True)
class Kind:
    """``reads`` and ``writes``: request units by table or index. ``sends``: requests to the enrollments queue.
    ``announces``: events put on the bus. ``bus_bytes``: size of the event itself. ``kept_bytes``: bytes stored
    permanently. ``history_bytes``: bytes stored until the history expires. ``cpu_ms``: median."""

    name: str
    has_history: bool
    calls: Mapping[str, int]
    reads: Mapping[str, float]
    writes: Mapping[str, float]
    sends: int
    announces: int
    bus_bytes: int
    log_bytes: int
    kept_bytes: int
    history_bytes: int
    cpu_ms: float


def kinds() -> Mapping[tuple[str, bool], Kind]:
    """Return the latest counts, by name and whether the history of events is stored."""
    found = json.loads(COUNTS.read_text(encoding="utf-8"))["kinds"]
    return {(row["name"], row["has_history"]): Kind(**row) for row in found}


def counted_on() -> Mapping[str, str]:
    found: Mapping[str, str] = json.loads(COUNTS.read_text(encoding="utf-8"))["machine"]
    return found


def count(config: Config) -> list[Kind]:
    """Count all kinds and write them to counts.json. ``config`` is that of this process' environment."""
    counted = [kind for days in (0, HISTORY_DAYS) for kind in (*_kinds(config, days), *_filter_kinds(config, days))]
    COUNTS.write_text(_document(machine(), counted), encoding="utf-8")
    return counted


def count_filter_based(config: Config) -> list[Kind]:
    """Count the kinds of a portal of filter-based flows, and keep the other counts. These are counted too, so that the
    CPU times are of the same machine and load: the new ones are scaled by the median ratio of the others."""
    before, counted, ratios = kinds(), list[Kind](), list[float]()
    for days in (0, HISTORY_DAYS):
        ratios += [before[kind.name, kind.has_history].cpu_ms / kind.cpu_ms for kind in _kinds(config, days)]
        counted += _filter_kinds(config, days)
    ratio = statistics.median(ratios)
    scaled = [replace(kind, cpu_ms=round(kind.cpu_ms * ratio, 3)) for kind in counted]
    again = {(kind.name, kind.has_history) for kind in scaled}
    kept = [kind for key, kind in before.items() if key not in again]
    COUNTS.write_text(_document(json.loads(COUNTS.read_text(encoding="utf-8"))["machine"], [*kept, *scaled]), "utf-8")
    return scaled


def _document(counted_by: Mapping[str, str], counted: Sequence[Kind]) -> str:
    return json.dumps({"machine": counted_by, "kinds": [asdict(one) for one in counted]}, indent=1) + "\n"


def _kinds(config: Config, history_days: int) -> Iterator[Kind]:
    os.environ["EVENT_HISTORY_DAYS"] = str(history_days)
    application.cache_clear()
    record = f"10{history_days}"
    _prepare(config, record)
    numbers = itertools.count()

    def event(category: str, sample: str, event_id: str = "", **properties: str) -> dict[str, Any]:
        envelope = json.loads((EVENTS / category / f"{sample}.json").read_text(encoding="utf-8"))
        happened = iso(now())
        detail = envelope["detail"]
        detail.pop("record", None)
        detail["properties"].update(properties)
        detail.update(
            id=event_id or f"{category}-{record}-{next(numbers):04}",
            portalId=PORTAL,
            objectId=record,
            occurredAt=happened,
        )
        return {**envelope, "time": happened}

    first = event("forms", "submitted", hs_form_id="f-1")
    warm = {
        "website": event("website", "page_visited"),
        "forms": event("forms", "submitted", hs_form_id="f-9"),
        # An event of another record, so that it does not enroll this one.
        "calls": {**(call := event("calls", "ended")), "detail": {**call["detail"], "objectId": "none"}},
        "crm": event("crm", "property_changed", hs_value="lead"),
        "workflows": event("workflows", "enrolled"),
    }
    for category, envelope in warm.items():
        with silenced():
            handler_for(category)(envelope, _context())

    def counted(name: str, envelope: dict[str, Any]) -> Kind:
        return _counted(config, name, bool(history_days), envelope)

    yield counted(NO_FLOW, event("website", "page_visited"))
    yield counted(NOT_MATCHED, event("forms", "submitted", hs_form_id="f-2"))
    yield counted(ENROLLS, first)
    yield counted(REDELIVERED, first)
    yield counted(ENROLLED_BEFORE, event("forms", "submitted", hs_form_id="f-1"))
    yield counted(ENROLLS_IN_THREE, event("calls", "ended"))
    yield counted(CHANGES_RECORD, event("crm", "property_changed"))
    yield counted(ANNOUNCEMENT, event("workflows", "enrolled"))


def _filter_kinds(config: Config, history_days: int) -> Iterator[Kind]:
    """Of a portal in which each of 50 countries has two flows: for customers, and for large companies of partners."""
    os.environ["EVENT_HISTORY_DAYS"] = str(history_days)
    application.cache_clear()
    stores = open_stores(config)
    for number in range(FILTER_FLOWS):
        country = "Ireland" if number < 2 else f"Country {number // 2}"
        filters: list[list[Any]] = [["country", "IS_ANY_OF", [country]]]
        filters.append(["lifecyclestage", "IS_ANY_OF", ["customer" if number % 2 else "evangelist"]])
        filters += [] if number % 2 else [["numemployees", "IS_GREATER_THAN", 1000]]
        document = flow({"id": 3_000 + number, "filters": filters})
        if stores.authoring.flow_repository.get(FILTER_PORTAL, document["id"]) is None:
            store(stores.authoring, FILTER_PORTAL, document, 0)
    properties = {name: TimestampedValue(value, 1) for name, value in PROPERTIES.items()}
    numbers = itertools.count()

    def event(name: str = "", value: str = "", created: Mapping[str, Any] | None = None) -> dict[str, Any]:
        record = f"{history_days}-{next(numbers):04}"
        if created is None:
            stores.records.save(Record(RecordKey(FILTER_PORTAL, "0-1", record), 1, properties))
            # Events are sent after the record was written, as nearly every event is.
            time.sleep(0.1)
        sample = "property_changed" if created is None else "object_created"
        envelope: dict[str, Any] = json.loads((EVENTS / "crm" / f"{sample}.json").read_text(encoding="utf-8"))
        happened, detail = iso(now()), envelope["detail"]
        detail.pop("record", None)
        detail["properties"] = {"hs_name": name, "hs_value": value} if created is None else {}
        detail |= {} if created is None else {"record": {"properties": dict(created)}}
        detail |= {"id": f"filters-{record}", "portalId": FILTER_PORTAL, "objectId": record, "occurredAt": happened}
        return {**envelope, "time": happened}

    for envelope in (event("phone", "1"), event("lifecyclestage", "evangelist"), event(created=PROPERTIES)):
        with silenced():
            handler_for("crm")(envelope, _context())

    def counted(name: str, envelope: dict[str, Any]) -> Kind:
        return _counted(config, name, bool(history_days), envelope)

    yield counted(NAMES_NOTHING, event("phone", "2"))
    yield counted(NAMED_BY_ALL, event("lifecyclestage", "lead"))
    yield counted(CREATES, event(created=PROPERTIES))
    yield counted(PARTLY_MET, event("lifecyclestage", "evangelist"))
    yield counted(STARTS_TO_MEET, event("lifecyclestage", "customer"))


def _prepare(config: Config, record: str) -> None:
    stores = open_stores(config)
    for fields in FLOWS:
        document = flow(fields)
        revision = stores.authoring.flow_repository.get(PORTAL, document["id"])
        if revision is None:
            store(stores.authoring, PORTAL, document, 0)
    properties = {name: TimestampedValue(value, 1) for name, value in PROPERTIES.items()}
    stores.records.save(Record(RecordKey(PORTAL, "0-1", record), 1, properties))
    # Events are sent after the flows were written, which is the usual case.
    time.sleep(0.1)


def _counted(config: Config, name: str, has_history: bool, envelope: dict[str, Any]) -> Kind:
    handler = handler_for(envelope["detail-type"].partition(".")[0])
    recording, made = Recording(), Made()
    with recording.made(), made.listening(), _lines() as lines:
        handler(envelope, _context())
    reads, writes = Counter[str](), Counter[str]()
    kept = history = 0
    for operation, arguments, answer in made.calls:
        if operation not in ("SendMessageBatch", "SendMessage", "PutEvents"):
            stored = _stored(arguments) if operation == "UpdateItem" else None
            for part in consumed(config, operation, arguments, answer, stored):
                (reads if part.kind == "read" else writes)[part.place] += part.units
        if operation == "PutItem" and "Error" not in answer:
            kept, history = kept + _kept(config, arguments), history + _history(config, arguments)
    with recording.replayed():
        cpu = _cpu(lambda: handler(envelope, _context()))
    return Kind(
        name,
        has_history,
        calls=dict(sorted(Counter(operation for operation, _, _ in made.calls).items())),
        reads=dict(sorted(reads.items())),
        writes=dict(sorted(writes.items())),
        sends=sum(_sends(arguments) for operation, arguments, _ in made.calls if operation == "SendMessageBatch"),
        announces=sum(_chunks(arguments) for operation, arguments, _ in made.calls if operation == "PutEvents"),
        bus_bytes=len(json.dumps(envelope, separators=(",", ":"), ensure_ascii=False).encode()),
        log_bytes=lines[0],
        kept_bytes=kept,
        history_bytes=history,
        cpu_ms=round(cpu, 3),
    )


def _stored(arguments: Mapping[str, Any]) -> Item:
    client = botocore.session.get_session().create_client("dynamodb")
    item: Item = client.get_item(TableName=arguments["TableName"], Key=arguments["Key"], ConsistentRead=True)["Item"]
    return item


def _kept(config: Config, arguments: Mapping[str, Any]) -> int:
    """Return the bytes that stay. A record's item replaces its previous version; an enrollment's item and its index
    entries stay."""
    if arguments["TableName"] != config.enrollments_table:
        return 0
    key = {name: arguments["Item"][name] for name in ("pk", "sk")}
    return _with_entries("enrollments", _stored({"TableName": arguments["TableName"], "Key": key}))


def _history(config: Config, arguments: Mapping[str, Any]) -> int:
    is_event = arguments["TableName"] == config.records_table and "event" in arguments["Item"]
    return _with_entries("records", arguments["Item"]) if is_event else 0


def _with_entries(table: str, item: Item) -> int:
    entries = [
        {name: item[name] for name in {"pk", "sk", *index.keys}}
        for index in INDEXES[table]
        # A sparse index has entries of some items only.
        if set(index.keys) <= set(item)
    ]
    return sum(item_bytes(entry) + ITEM_OVERHEAD for entry in (item, *entries))


def _sends(arguments: Mapping[str, Any]) -> int:
    size = sum(len(json.dumps(entry)) for entry in arguments["Entries"])
    return math.ceil(size / CHUNK)


def _chunks(arguments: Mapping[str, Any]) -> int:
    return sum(math.ceil(len(entry["Detail"].encode()) / CHUNK) for entry in arguments["Entries"])


def _context() -> Any:
    return SimpleNamespace(aws_request_id="3b1c2f0e-5f0a-4d3b-9d0e-6c1f5a7e8b90")


class Made:
    """The calls to AWS with their parsed responses. A failed call has the response of its error."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = []

    @contextmanager
    def listening(self) -> Iterator[None]:
        call = botocore.client.BaseClient._make_api_call

        def kept(client: Any, operation: str, arguments: Any) -> Any:
            try:
                answer = call(client, operation, arguments)
            except ClientError as error:
                # If a condition failed, the error has the existing item.
                self.calls.append((operation, arguments, error.response))
                raise
            self.calls.append((operation, arguments, answer))
            return answer

        botocore.client.BaseClient._make_api_call = kept
        try:
            yield
        finally:
            botocore.client.BaseClient._make_api_call = call


@contextmanager
def _lines() -> Iterator[list[int]]:
    """Yield a list that has the number of logged bytes when the context ends."""
    written: list[int] = []
    with tempfile.TemporaryFile() as file:
        kept = os.dup(1)
        os.dup2(file.fileno(), 1)
        try:
            yield written
        finally:
            sys.stdout.flush()
            os.dup2(kept, 1)
            os.close(kept)
            written.append(os.fstat(file.fileno()).st_size)


def _cpu(played: Any) -> float:
    times = []
    with silenced():
        for turn in range(TURNS + 1):
            started = time.process_time()
            for _ in range(PLAYED):
                played()
            if turn:  # the first round fills the caches
                times.append((time.process_time() - started) / PLAYED * 1e3)
    return statistics.median(times)
