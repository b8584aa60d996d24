"""The PynamoDB models are the schema of template.yaml's tables. The event path reads and writes the same items."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pynamodb.indexes import Index, LocalSecondaryIndex

from enroll.local.deployment import load_template
from enrollment.adapters.dynamodb import schema
from enrollment.adapters.dynamodb.associations import DynamoAssociations
from enrollment.adapters.dynamodb.candidate_flows import DynamoFlows
from enrollment.adapters.dynamodb.deferred_events import DynamoDeferredEvents
from enrollment.adapters.dynamodb.due_items import DynamoDueItems
from enrollment.adapters.dynamodb.enrollments import DynamoEnrollments
from enrollment.adapters.dynamodb.event_history import DynamoHistory
from enrollment.adapters.dynamodb.flow_repository import DynamoFlowRepository
from enrollment.adapters.dynamodb.model_store import ModelStore
from enrollment.adapters.dynamodb.models import (
    MODELS,
    ActiveRunItem,
    AssociationItem,
    CandidateItem,
    CandidatesVersionItem,
    DeferredEventItem,
    DryRunItem,
    EnrollmentItem,
    FlowItem,
    FlowRevisionItem,
    HistoryEventItem,
    Item,
    PortalSettingsItem,
    RateLimitItem,
    RecordItem,
    ReplayItem,
    RunItem,
    RunShardItem,
    StoredDueItem,
)
from enrollment.adapters.dynamodb.portal_settings import DynamoPortals
from enrollment.adapters.dynamodb.rate_limits import DynamoRateLimits
from enrollment.adapters.dynamodb.records import DynamoRecords
from enrollment.adapters.dynamodb.replays import DynamoReplays
from enrollment.adapters.dynamodb.run_repository import DynamoRuns
from enrollment.adapters.dynamodb.tables import Tables
from enrollment.application.flow_authoring import FlowAuthoring
from enrollment.domain.enrollment.decisions import Code, Decision
from enrollment.domain.enrollment.enrollments import Enrollment, TriggerEvent
from enrollment.domain.enrollment.late_data_tolerance import DeferredEvent
from enrollment.domain.enrollment.portal_settings import PortalSettings
from enrollment.domain.enrollment.replays import Replay
from enrollment.domain.enrollment.runs import Run
from enrollment.domain.events.event import Event
from enrollment.domain.events.sort_key import MAX_SORT_KEY, MIN_SORT_KEY
from enrollment.domain.flows.rate_limit import RateLimit
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.associations import Association, AssociationType, associated
from enrollment.domain.records.record import NOT_CREATED, Record, TimestampedValue
from enrollment.domain.timers.due_item import DueKind, due_item
from enrollment.serialization.envelopes import read_event, read_stored_event, write_event
from enrollment.serialization.flows import read_flow
from enrollment.serialization.messages import read_message, write_message
from tests.support.aws import aws
from tests.support.fakes import store
from tests.support.scenario import event, flow
from tests.support.stores import open_tables

NOW = 1_764_000_000_000
ADA = RecordKey("p1", "0-1", "1ü%")
COMPANY = RecordKey("p1", "0-2", "7")
TO_COMPANY = AssociationType("HUBSPOT_DEFINED", 279)
TEMPLATE = load_template(Path(__file__).parents[2] / "template.yaml")

# DynamoDB's raw items of a table, by their keys.
RawItems = dict[tuple[str, str], Mapping[str, Any]]


def form_event() -> Event:
    properties = {"text": "ü…😀\n", "n": 1.5, "flag": True}
    fields = {"forms.submitted": ADA.object_id, "id": "e1", "properties": properties, "at": NOW}
    return read_event(event({**fields, "sent": "2026-11-23T10:00:00Z"}), "forms")


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tables]:
    with aws(monkeypatch) as config:
        yield open_tables(config)


class EventPath:
    """The adapters of the event path."""

    def __init__(self, tables: Tables) -> None:
        self.flows = DynamoFlows(tables, read_flow)
        self.records = DynamoRecords(tables)
        self.associations = DynamoAssociations(tables)
        self.portals = DynamoPortals(tables)
        self.replays = DynamoReplays(tables)
        self.deferred_events = DynamoDeferredEvents(tables, write_event, read_stored_event)
        self.history = DynamoHistory(tables, write_event, read_stored_event)
        self.enrollments = DynamoEnrollments(tables, write_message, read_message)
        self.runs = DynamoRuns(tables)
        self.due_items = DynamoDueItems(tables)

    def read(self) -> list[Any]:
        """Everything that ``write_every_kind`` wrote."""
        return [
            self.flows.candidates("p1", "0-1", ["forms.submitted"]),
            self.records.get(ADA),
            self.records.get(COMPANY),
            self.associations.get(ADA, COMPANY),
            self.portals.current("p1"),
            self.replays.get("enroll-1"),
            self._dry_runs(),
            self.deferred_events.get(ADA, "e1"),
            list(self.history.of_record(ADA, MIN_SORT_KEY, MAX_SORT_KEY, newest_first=False)),
            self.enrollments.find(ADA, "e1", ["7"]),
            self.runs.of_flow("p1", "7", 9),
            self.runs.shards(RUN),
            self.runs.active(),
            list(self.due_items.due_before(DUE.shard, NOW + 1)),
        ]

    def _dry_runs(self) -> list[Any]:
        return [result for part in range(16) for result in self.replays.counted(REPLAY, part)]


RUN = Run("01RUN", "p1", "7", "0-1", 3, "digest", NOW, False, 12, "ädä", NOW, records_per_second=5)
DUE = due_item(DueKind.EVENT, NOW, '{"text": "ü…😀\\n"}', "a")
REPLAY = Replay("enroll-1", "p1", frozenset(["1", "2"]), frozenset(["forms.submitted"]), True, NOW)


def write_every_kind(tables: Tables) -> None:
    path, occurred = EventPath(tables), form_event()
    authoring = FlowAuthoring(DynamoFlowRepository(tables, read_flow), path.flows, read_flow)
    store(authoring, "p1", flow({"id": 1, "event": "forms.submitted", "name": "näme"}), NOW)
    changes = {"a": TimestampedValue("ü\n", NOW, NOW + 1, "ev1", True), "l": TimestampedValue(["x", 1.5], NOW)}
    path.records.save(Record(ADA, NOW, properties=changes, memberships={"9": TimestampedValue(True, 3)}, deleted_at=9))
    path.records.save(Record(COMPANY, NOT_CREATED, {"a": TimestampedValue(1, 5, 6, "ev1")}, awaited_until=NOW))
    path.associations.save([associated(Association(ADA, COMPANY), [TO_COMPANY], NOW, holds=True)])
    path.portals.save("p1", PortalSettings("Pacific/Apia", 60_000, 5, ("acme.crm", "ü")))
    path.replays.save(REPLAY)
    path.replays.count(REPLAY, occurred, [Decision(Code.ENROLLED, "1", "1", "")])
    path.deferred_events.save(DeferredEvent(occurred, {"1": NOW}, 0, {"2": NOW + 5}))
    path.history.keep(occurred.evaluated(NOW + 7), NOW + 1_000_000)
    cause = TriggerEvent(0, "forms.submitted", None, "e1", NOW, "acme", {"a": "ü"})
    enrollment = Enrollment("01X", ADA, "7", "näme", "3", "idem", False, cause, NOW)
    path.enrollments.claim(enrollment, NOW + 5, ("5", "6"))
    path.enrollments.confirm(enrollment, is_published=True, is_announced=False, now=NOW)
    path.due_items.save(DUE)
    DynamoRateLimits(tables).take("p1", "1", RateLimit(3, 60_000), NOW)
    DynamoRuns(tables).create(RUN)


def model_of(table: str, pk: str, sk: str) -> type[Item]:
    """The kind of an item, by its keys (the head of ``tables``)."""
    if table == schema.FLOWS_TABLE:
        if sk.startswith(schema.CANDIDATE_PREFIX):
            return CandidateItem
        kinds: dict[str, type[Item]] = {
            schema.FLOWS: FlowItem,
            schema.REVISIONS: FlowRevisionItem,
            schema.CANDIDATES: CandidatesVersionItem,
            schema.PORTALS: PortalSettingsItem,
            schema.REPLAYS: ReplayItem,
            schema.RUNS: RunItem,
            schema.RUN_SHARDS: RunShardItem,
            schema.ACTIVE_RUNS: ActiveRunItem,
        }
        return kinds[pk.split("/")[0]]
    if table == schema.ENROLLMENTS_TABLE:
        return RateLimitItem if pk.startswith(f"{schema.RATE_LIMIT}/") else EnrollmentItem
    if pk.startswith(f"{schema.REPLAY}/"):
        return DryRunItem
    if pk.startswith(f"{schema.DUE}/"):
        return StoredDueItem
    kinds = {
        schema.RECORD: RecordItem,
        schema.ASSOCIATED: AssociationItem,
        schema.WAITING: DeferredEventItem,
        schema.EVENT: HistoryEventItem,
    }
    return kinds[sk.split("/")[0]]


def raw_items(tables: Tables) -> dict[str, RawItems]:
    named = {
        schema.FLOWS_TABLE: tables.flows,
        schema.RECORDS_TABLE: tables.records,
        schema.ENROLLMENTS_TABLE: tables.enrollments,
    }
    return {
        name: {(item["pk"]["S"], item["sk"]["S"]): item for item in tables.client.scan(TableName=table.name)["Items"]}
        for name, table in named.items()
    }


def test_models_and_the_event_path_write_the_same_bytes_and_read_each_others_items(tables: Tables) -> None:
    write_every_kind(tables)
    written, read = raw_items(tables), EventPath(tables).read()
    assert all(read)
    model_store, kinds = ModelStore(tables), set()
    for table, items in written.items():
        for (pk, sk), raw_item in items.items():
            model = model_of(table, pk, sk)
            kinds.add(model)
            item = model_store.get(model, pk, sk)
            assert item is not None
            assert item.to_dynamodb_dict() == raw_item
            assert model.of(item.values).to_dynamodb_dict() == raw_item
            tables.client.delete_item(
                TableName=model_store._table(model).name, Key={"pk": raw_item["pk"], "sk": raw_item["sk"]}
            )
            assert model_store.put(item, model.pk.does_not_exist())
    assert kinds == set(MODELS), "write_every_kind leaves out a kind of item"
    assert raw_items(tables) == written
    assert [str(item) for item in EventPath(tables).read()] == [str(item) for item in read]


@pytest.mark.parametrize("table", [schema.FLOWS_TABLE, schema.RECORDS_TABLE, schema.ENROLLMENTS_TABLE])
def test_the_template_declares_the_tables_of_the_models(table: str) -> None:
    properties = TEMPLATE["Resources"][table]["Properties"]
    models = [model for model in MODELS if model.Meta.table_name == table]
    types = {
        attribute.attr_name: attribute.attr_type for model in models for attribute in model.get_attributes().values()
    }
    keys = {
        (attribute.attr_name, "HASH" if attribute.is_hash_key else "RANGE")
        for model in models
        for attribute in model.get_attributes().values()
        if attribute.is_hash_key or attribute.is_range_key
    }
    assert {(key["AttributeName"], key["KeyType"]) for key in properties["KeySchema"]} == keys
    indexes = [value for model in models for value in vars(model).values() if isinstance(value, Index)]
    for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        is_local = kind == "LocalSecondaryIndexes"
        declared = {
            index["IndexName"]: (
                [(key["AttributeName"], key["KeyType"]) for key in index["KeySchema"]],
                index["Projection"]["ProjectionType"],
            )
            for index in properties.get(kind, ())
        }
        assert declared == {
            index.Meta.index_name: (_keys(index), index.Meta.projection.projection_type)
            for index in indexes
            if isinstance(index, LocalSecondaryIndex) == is_local
        }
    for definition in properties["AttributeDefinitions"]:
        assert types[definition["AttributeName"]] == definition["AttributeType"]
    if schema.TIME_TO_LIVE in types:
        assert properties["TimeToLiveSpecification"]["AttributeName"] == schema.TIME_TO_LIVE
    else:
        assert "TimeToLiveSpecification" not in properties


def _keys(index: Index[Any]) -> list[tuple[str, str]]:
    keys = [
        (attribute.attr_name, "HASH" if attribute.is_hash_key else "RANGE")
        for attribute in index.Meta.attributes.values()
    ]
    return sorted(keys, key=lambda key: key[1])
