"""A large flow of many event types is stored once, within the limits of a transaction, and read as of one revision."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import botocore.client
import pytest

from enrollment.adapters import backoff
from enrollment.adapters.dynamodb.candidate_flows import CHANGES_NAMED, DynamoFlows, candidate_place, candidates_key
from enrollment.adapters.dynamodb.flow_repository import MAX_COPIED_BYTES, DynamoFlowRepository
from enrollment.application.flow_authoring import MAX_DOCUMENT_BYTES, FlowAuthoring, FlowTooLarge
from enrollment.application.ports import Throttled
from enrollment.catalog import EVENT_TYPES
from enrollment.domain.flows.flow import Flow
from enrollment.domain.identifiers import OBJECT_TYPE_IDS
from enrollment.serialization.flows import MAX_ID, read_flow
from tests.support.aws import aws
from tests.support.emulated import emulated_aws
from tests.support.fakes import FakeFlows, store
from tests.support.flow_sizes import event_types, large_flow
from tests.support.scenario import flow
from tests.support.stores import open_tables

# DynamoDB's limits.
TRANSACTION_ITEMS = 100
TRANSACTION_BYTES = 4 * 1024 * 1024
ITEM_BYTES = 400 * 1024

NOW = 1_764_000_000_000
SUBMITTED, ENDED = "forms.submitted", "calls.ended"


class Portal:
    """A warm function's flows and their author; ``before`` is called before each call to DynamoDB."""

    def __init__(self, flows: Any, flow_repository: Any, tables: Any = None) -> None:
        self.flows = flows
        self.author = FlowAuthoring(flow_repository, flows, read_flow)
        self.tables = tables
        self.now = NOW
        self.calls: list[str] = []
        self.transactions: list[list[Any]] = []
        self.before: Callable[[str], None] = lambda operation: None

    def put(self, document: Mapping[str, Any], portal: str = "p1") -> None:
        self.now += 1
        store(self.author, portal, dict(document), self.now)

    def seen(self, *types: str, portal: str = "p1") -> dict[str, Flow]:
        return {candidate.id: candidate for candidate in self.flows.candidates(portal, "0-1", types or (SUBMITTED,))}

    def calls_of(self, act: Callable[[], object]) -> list[str]:
        self.calls.clear()
        act()
        return list(self.calls)

    def cold(self) -> "Portal":
        return Portal(DynamoFlows(self.tables, read_flow), DynamoFlowRepository(self.tables, read_flow), self.tables)


@pytest.fixture(
    params=["fake", "moto", pytest.param("ministack", marks=[pytest.mark.verify, pytest.mark.xdist_group("emulated")])],
)
def portal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Portal]:
    if request.param == "fake":
        fake = FakeFlows()
        yield Portal(fake, fake)
        return
    yield from _opened(monkeypatch, emulated_aws() if request.param == "ministack" else nullcontext())


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> Iterator[Portal]:
    yield from _opened(monkeypatch, nullcontext())


def _opened(monkeypatch: pytest.MonkeyPatch, emulated: Any) -> Iterator[Portal]:
    with emulated as place, nullcontext(place.config) if place else aws(monkeypatch) as config:
        tables = open_tables(config)
        portal = Portal(DynamoFlows(tables, read_flow), DynamoFlowRepository(tables, read_flow), tables)
        call = botocore.client.BaseClient._make_api_call

        def noted(client: Any, operation: str, arguments: Any) -> Any:
            portal.calls.append(operation)
            if operation == "TransactWriteItems":
                portal.transactions.append([action["Put"]["Item"] for action in arguments["TransactItems"]])
            portal.before(operation)
            return call(client, operation, arguments)

        monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", noted)
        monkeypatch.setattr(backoff.time, "sleep", lambda _: None)
        yield portal


def item_bytes(item: Mapping[str, Any]) -> int:
    """As DynamoDB counts: names and values in UTF-8. A number takes at most 21 bytes."""
    return sum(
        len(name.encode()) + (len(text.encode()) if kind == "S" else 21)
        for name, value in item.items()
        for kind, text in value.items()
    )


def test_a_document_of_186_kb_and_33_types_is_saved_and_found_by_each(portal: Portal) -> None:
    types = event_types()[:32]  # and lists.membership_changed
    portal.put(large_flow(186_000, types))
    portal.put(large_flow(186_000, types, unit="ж") | {"id": "2"})
    expected = {flow_id: read_flow(portal.author.get("p1", flow_id)) for flow_id in ("1", "2")}
    assert len(expected["1"].event_types) == 33
    for event_type in (*types, "lists.membership_changed"):
        assert portal.seen(event_type) == expected


def test_a_flow_is_exchanged_whatever_its_size_was_and_is(portal: Portal) -> None:
    small, large = flow({"id": 1, "groups": [{"event": SUBMITTED}, {"event": ENDED}]}), large_flow(280_000, [ENDED])
    for document in (small, large, large_flow(280_000, [SUBMITTED, ENDED]), small, large):
        portal.put(document)
        found = portal.seen(SUBMITTED, ENDED)["1"]
        assert found == read_flow(portal.author.get("p1", "1"))
        assert found.is_enabled
    assert not portal.seen(SUBMITTED)["1"].is_enabled
    portal.author.delete("p1", "1", portal.now + 1)
    assert not portal.seen(SUBMITTED, ENDED)["1"].is_enabled


@pytest.mark.verify
def test_the_largest_flow_fits_into_a_transaction(stored: Portal) -> None:
    """A flow of all event types, with the longest ids, and as many changes as a version can have."""
    flow_id, portal_id, types = "𝄞" * MAX_ID, "𝄞" * 64, event_types()
    for _ in range(CHANGES_NAMED):
        stored.put(flow({"id": flow_id, "groups": [{"event": event_type} for event_type in types]}), portal_id)
    for unit in ("x", "ж", "𝄞", "\uffff"):
        stored.put(large_flow(MAX_DOCUMENT_BYTES - 100, types, unit, id=flow_id), portal_id)

        items = stored.transactions[-1]

        assert len(read_flow(stored.author.get(portal_id, flow_id)).event_types) == len(EVENT_TYPES)
        assert len(items) == 2 + 2 * len(EVENT_TYPES) <= TRANSACTION_ITEMS
        assert sum(map(item_bytes, items)) < TRANSACTION_BYTES / 2
        assert max(map(item_bytes, items)) < ITEM_BYTES


@pytest.mark.parametrize("listings", range(1, len(EVENT_TYPES) + 1))
def test_copies_fit_into_a_transaction(listings: int) -> None:
    """The transaction also has the largest document, twice, and the versions."""
    largest_copy = min(MAX_COPIED_BYTES // listings, MAX_DOCUMENT_BYTES) + 2_048
    versions = listings * (CHANGES_NAMED * 12 * (MAX_ID + 10) + 2_048)
    assert listings * largest_copy + versions + 2 * ITEM_BYTES < TRANSACTION_BYTES
    assert largest_copy < ITEM_BYTES


def test_a_flow_that_moves_to_another_object_type_fits_into_a_transaction() -> None:
    """Its candidates of both are written."""
    counts = {
        object_type_id: len(event_types(object_type_id)) + 1 for object_type_id in {*OBJECT_TYPE_IDS.values(), "2-1"}
    }
    assert counts["0-1"] == len(EVENT_TYPES)
    assert 2 + 2 * sum(sorted(counts.values())[-2:]) <= TRANSACTION_ITEMS


def test_document_larger_than_the_byte_limit_is_rejected(stored: Portal) -> None:
    for unit in ("x", "ж"):
        with pytest.raises(FlowTooLarge, match="300,001"):
            stored.put(large_flow(MAX_DOCUMENT_BYTES + 1, [SUBMITTED], unit))
        stored.put(large_flow(MAX_DOCUMENT_BYTES, [SUBMITTED], unit))
        assert max(item_bytes(item) for item in stored.transactions[-1]) < ITEM_BYTES


def test_only_a_large_flow_takes_one_more_read_and_only_when_it_changed(stored: Portal) -> None:
    types = [SUBMITTED, ENDED]
    stored.put(flow({"id": 2, "groups": [{"event": event_type} for event_type in types]}))
    assert stored.calls_of(stored.seen) == ["Query"]
    stored.put(large_flow(280_000, types))
    assert stored.calls_of(stored.seen) == ["GetItem", "BatchGetItem", "BatchGetItem"]
    assert stored.calls_of(stored.seen) == ["GetItem"]
    stored.put(flow({"id": 2, "groups": [{"event": event_type} for event_type in types]}))
    assert stored.calls_of(stored.seen) == ["GetItem", "BatchGetItem"]
    cold = stored.cold()
    assert stored.calls_of(cold.seen) == ["Query", "BatchGetItem"]
    assert cold.seen() == stored.seen()


def test_many_large_flows_are_read_in_bounded_parts(stored: Portal) -> None:
    for number in range(20):
        stored.put(large_flow(260_000, [SUBMITTED, ENDED]) | {"id": str(number)})
    assert stored.calls_of(stored.seen) == ["Query", "BatchGetItem", "BatchGetItem"]
    assert len(stored.seen()) == 20
    assert stored.flows.kept_bytes > 20 * 260_000


@pytest.mark.parametrize("is_warm", [False, True])
def test_a_reader_never_combines_two_revisions(stored: Portal, is_warm: bool) -> None:
    """The flow is changed again between the read of its candidate item and that of its document."""

    def revision(number: int) -> dict[str, Any]:
        document = large_flow(280_000, [SUBMITTED, ENDED], re_enroll=number % 2 == 0)
        return document | {"name": f"revision {number}"}

    def read() -> None:
        found = stored.seen()["1"]
        assert found.name == f"revision {found.revision_id}"
        assert found.should_re_enroll == (int(found.revision_id) % 2 == 0)

    stored.put(revision(1))
    if is_warm:
        read()
        stored.put(revision(2))
    left, number = [2 if is_warm else 1], 3 if is_warm else 2

    def change(operation: str) -> None:
        if operation == "BatchGetItem":
            left[0] -= 1
            if not left[0]:
                stored.put(revision(number))

    stored.before = change
    read()
    assert left[0] < 1
    assert stored.seen()["1"].revision_id == str(number)
    read()


def test_partially_written_document_is_read_when_complete(stored: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    """DynamoDB shows a transaction item by item."""
    stored.put(large_flow(280_000, [SUBMITTED, ENDED]))
    left, call = [2], botocore.client.BaseClient._make_api_call

    def lagging(client: Any, operation: str, arguments: Any) -> Any:
        answer = call(client, operation, arguments)
        if operation == "BatchGetItem" and left[0]:
            left[0] -= 1
            for items in answer["Responses"].values():
                items.clear()
        return answer

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", lagging)
    assert stored.seen()["1"].is_enabled
    assert left == [0]
    left[0] = 100
    with pytest.raises(Throttled, match=r"forms\.submitted"):
        stored.cold().seen()


def test_candidates_that_an_earlier_version_wrote_are_read(stored: Portal) -> None:
    """Each with its own copy of a large document, in ASCII."""
    document = large_flow(90_000, [SUBMITTED, ENDED], unit="ж")
    stored.put(document)
    for event_type in (SUBMITTED, ENDED):
        key = {"pk": {"S": candidates_key("p1", "0-1", event_type)}, "sk": {"S": candidate_place("1")}}
        name = stored.tables.flows.name
        item = stored.tables.client.get_item(TableName=name, Key=key)["Item"]
        written = json.loads(item["flow"]["S"])
        copy = json.dumps(written | {"document": document})
        assert len(copy) > 2 * 90_000
        stored.tables.client.put_item(TableName=name, Item=item | {"flow": {"S": copy}})
    expected = read_flow(stored.author.get("p1", "1"))
    assert stored.seen(SUBMITTED, ENDED)["1"] == expected
    assert stored.cold().seen()["1"] == expected
    # And exchanged by the next revision.
    stored.put(large_flow(280_000, [ENDED, SUBMITTED], unit="ж"))
    assert stored.seen(SUBMITTED, ENDED)["1"] == stored.cold().seen()["1"] == read_flow(stored.author.get("p1", "1"))
