"""Two different things never have the same key, whatever characters their ids have. The test records the calls of the
adapters to DynamoDB and SQS. A key must determine all ids of its thing."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import botocore.client
import botocore.session
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enrollment.adapters.dynamodb.associations import DynamoAssociations
from enrollment.adapters.dynamodb.candidate_flows import DynamoFlows
from enrollment.adapters.dynamodb.enrollments import DynamoEnrollments
from enrollment.adapters.dynamodb.flow_repository import DynamoFlowRepository
from enrollment.adapters.dynamodb.portal_settings import DynamoPortals
from enrollment.adapters.dynamodb.records import DynamoRecords
from enrollment.adapters.sqs import SqsQueue
from enrollment.domain.enrollment.enrollments import Enrollment, TriggerEvent
from enrollment.domain.flows.flow import FlowRevision
from enrollment.domain.identifiers import RecordKey, join, split, ulid
from enrollment.domain.records.associations import Association
from enrollment.domain.records.change_events import change_events
from enrollment.domain.records.record import Record, RecordUpdate
from enrollment.serialization.flows import read_flow
from enrollment.serialization.messages import read_message, write_message
from tests.support.aws import CONFIG, REGION
from tests.support.scenario import flow
from tests.support.stores import open_tables

# Parts of ids: separators of ours and of others, what keys begin and end with, look-alikes.
PARTS = (
    *("a", "b", "/", "//", "%", "%2F", "%252F", "%25", "2F", "#", "#version", ":", "\\", "|", "\u0001", "\n", "\u0000"),
    *("flow", "flows", "flow/", "associated", "record", "revisions", "candidates", "portals", "settings", "0-1", "2-7"),
    *("\u2215", "\uff0f", "\u2044", "\u00e9", "e\u0301", "\u0430", "A", " ", "\u200b", "\U0001f701", "0000000001", "."),
)
IDS = st.lists(st.sampled_from(PARTS), min_size=1, max_size=3).map("".join)


@dataclass(frozen=True)
class Ids:
    portal: str
    flow: str
    object_type: str
    object: str
    event: str
    other: str

    @property
    def record(self) -> RecordKey:
        return RecordKey(self.portal, self.object_type, self.object)


ID_SETS = st.builds(Ids, IDS, IDS, st.sampled_from(["0-1", "0-2", "2-7"]), IDS, IDS, IDS)

# A place is a kind of key. A thing is what its key must identify.
Key = tuple[Any, ...]
Thing = tuple[str, ...]


class Adapters:
    """Their calls answered with nothing, and kept."""

    def __init__(self, patched: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, Mapping[str, Any]]] = []
        patched.setattr(botocore.client.BaseClient, "_make_api_call", lambda _, *call: self._answer(*call))
        self.tables = open_tables(CONFIG, region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test")
        self.sqs: Any = botocore.session.get_session().create_client("sqs", region_name=REGION)

    def _answer(self, operation: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        self.calls.append((operation, arguments))
        if operation == "SendMessageBatch":
            return {"Successful": [{"Id": entry["Id"]} for entry in arguments["Entries"]]}
        return {"Items": [], "Count": 0, "ScannedCount": 0, "Responses": {}}

    def calls_of(self, act: Callable[[], object]) -> list[tuple[str, Mapping[str, Any]]]:
        self.calls.clear()
        act()
        return list(self.calls)


@pytest.fixture(scope="module")
def adapters() -> Iterator[Adapters]:
    with pytest.MonkeyPatch.context() as patched:
        yield Adapters(patched)


def keys_of(ids: Ids, adapters: Adapters) -> Iterator[tuple[Key, Thing]]:
    tables, record = adapters.tables, ids.record
    flow_repository, enrollments = (
        DynamoFlowRepository(tables, read_flow),
        DynamoEnrollments(tables, write_message, read_message),
    )
    revision = FlowRevision(ids.portal, ids.flow, 1, flow({"id": 1, "event": "forms.submitted"}), True, 0, 0, 0)

    # Read and written by one key: of the flow, of its revision, of its place among candidates and of their version.
    (read,) = _keys(adapters.calls_of(lambda: flow_repository.get(ids.portal, ids.flow)))
    yield read, ("flow", ids.portal, ids.flow)
    if ids.flow.isprintable():
        version_read, head, kept, candidate, version = _keys(
            adapters.calls_of(lambda: flow_repository.save(revision, None))
        )
        assert (version_read, head) == (version, read)
        yield kept, ("revision", ids.portal, ids.flow)
        yield candidate, ("candidate", ids.portal, ids.flow)
        yield version, ("version", ids.portal)
        (listing,) = _partitions(
            adapters.calls_of(lambda: DynamoFlows(tables, read_flow).candidates(ids.portal, "0-1", ["forms.submitted"]))
        )
        assert listing == candidate[:2] == version[:2]
    (settings_key,) = _keys(adapters.calls_of(lambda: DynamoPortals(tables).settings(ids.portal)))
    yield settings_key, ("settings", ids.portal)

    (kept,) = _keys(adapters.calls_of(lambda: DynamoRecords(tables).save(Record(record, 0))))
    yield kept, ("record", ids.portal, ids.object_type, ids.object)
    other = RecordKey(ids.portal, "0-2", ids.other)
    (kept,) = _keys(adapters.calls_of(lambda: DynamoAssociations(tables).save([Association(record, other)])))
    yield kept, ("association", ids.portal, ids.object_type, ids.object, ids.other)

    for is_first in (True, False):
        enrollment = _enrollment(ids, is_first=is_first)
        event = () if is_first else (ids.event,)
        whose = (ids.portal, ids.object_type, ids.object)
        put = adapters.calls_of(lambda enrolled=enrollment: enrollments.claim(enrolled))
        (kept,) = _keys(put)
        yield kept, ("enrollment", *whose, ids.flow, *event)
        shard = put[0][1]["Item"]["flowShard"]["S"]
        # Which shard follows from the record.
        yield ("by-flow", *split(shard)[:-1]), ("enrollments of a flow", ids.portal, ids.flow)
        assert len(split(shard)) == 3
        (sent,) = adapters.calls_of(
            lambda enrolled=enrollment: list(SqsQueue(adapters.sqs, "", write_message).publish([enrolled]))
        )
        (entry,) = sent[1]["Entries"]
        yield ("group", entry["MessageGroupId"]), ("group", *whose)
        yield ("deduplication", entry["MessageDeduplicationId"]), ("enrollment", *whose, ids.flow, *event)

    before = Record(record, 0)
    (created,) = change_events(None, before, RecordUpdate(0, creates=True))
    yield ("production", created.id), ("creation", ids.portal, ids.object_type, ids.object)


def _keys(calls: list[tuple[str, Mapping[str, Any]]]) -> list[Key]:
    """Return table, partition key and sort key of every item that was read or written."""
    found = []
    for _, arguments in calls:
        for action in arguments.get("TransactItems", [{"": arguments}]):
            ((_, request),) = action.items()
            item = request.get("Key") or request["Item"]
            found.append((request["TableName"], item["pk"]["S"], item["sk"]["S"]))
    return found


def _partitions(calls: list[tuple[str, Mapping[str, Any]]]) -> list[Key]:
    """Table and partition of every query: all begin with the equality of the partition."""
    found = []
    for _, arguments in calls:
        _, _, name = arguments["KeyConditionExpression"].partition(" = ")
        found.append((arguments["TableName"], arguments["ExpressionAttributeValues"][name.split()[0]]["S"]))
    return found


def _enrollment(ids: Ids, *, is_first: bool) -> Enrollment:
    parts = (ids.portal, ids.flow, ids.object_type, ids.object)
    return Enrollment(
        id="01TEST",
        record_key=ids.record,
        flow_id=ids.flow,
        flow_name="",
        flow_revision_id="1",
        idempotency_key=join(*parts) if is_first else join(*parts, ids.event),
        is_re_enrollment=not is_first,
        cause=TriggerEvent(0, "forms.submitted", None, ids.event, 0, "acme", {}),
        enrolled_at=0,
    )


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(first=ID_SETS, second=ID_SETS)
def test_different_things_have_different_keys(adapters: Adapters, first: Ids, second: Ids) -> None:
    things: dict[Key, Thing] = {}
    for key, thing in itertools.chain(keys_of(first, adapters), keys_of(second, adapters)):
        assert things.setdefault(key, thing) == thing


@given(st.lists(IDS, min_size=1, max_size=5), st.lists(IDS, min_size=1, max_size=5))
def test_joined_parts_stay_distinguishable(first: list[str], second: list[str]) -> None:
    assert split(join(*first)) == first
    assert (join(*first) == join(*second)) == (first == second)


def test_ulid_matches_the_specification() -> None:
    """Crockford's base 32; the first ten characters are the time."""
    assert ulid(1469918176385, bytes(10)) == "01ARYZ6S41" + 16 * "0"
    assert ulid(0, bytes(9) + b"\x21") == 24 * "0" + "11"
    assert ulid((1 << 48) - 1, 10 * b"\xff") == "7" + 25 * "Z"


@given(st.integers(0, (1 << 48) - 2), st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_ulids_sort_by_time(at: int, first: bytes, second: bytes) -> None:
    assert ulid(at, first) < ulid(at + 1, second)
    assert (ulid(at, first) == ulid(at, second)) == (first == second)
