"""What a warm function keeps of the flows: the truth at each event, by reading only what changed, within its memory."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import botocore.client
import pytest

from enrollment.adapters import backoff
from enrollment.adapters.dynamodb import flow_repository
from enrollment.adapters.dynamodb.candidate_flows import (
    CHANGES_NAMED,
    HEAD,
    DynamoFlows,
    candidate_place,
    candidates_key,
)
from enrollment.adapters.dynamodb.flow_repository import DynamoFlowRepository
from enrollment.adapters.dynamodb.tables import Tables
from enrollment.application.flow_authoring import FlowAuthoring
from enrollment.application.ports import Throttled
from enrollment.domain.flows.flow import Flow, FlowRevision
from enrollment.serialization.flows import InvalidFlow, read_flow
from tests.support.aws import aws
from tests.support.fakes import store
from tests.support.scenario import flow
from tests.support.stores import open_tables

NOW = 1_764_000_000_000
SUBMITTED, ENDED = "forms.submitted", "calls.ended"


@dataclass
class Kept:
    """A warm function's flows and their author; each call to AWS is noted, and may be preceded by something else."""

    tables: Tables
    calls: list[str] = field(default_factory=list)
    before: Callable[[str], None] = lambda operation: None

    def __post_init__(self) -> None:
        self.flows = DynamoFlows(self.tables, read_flow)
        self.author = FlowAuthoring(DynamoFlowRepository(self.tables, read_flow), self.flows, read_flow)
        self.now = NOW

    def put(self, number: int, *event_types: str, portal: str = "p1", **fields: Any) -> None:
        self.now += 1
        groups = [{"event": event_type, **fields} for event_type in event_types or (SUBMITTED,)]
        store(self.author, portal, flow({"id": number, "groups": groups}), self.now)

    def seen(self, *event_types: str, portal: str = "p1") -> Mapping[str, tuple[str, bool]]:
        found = self.flows.candidates(portal, "0-1", event_types or (SUBMITTED,))
        return {candidate.id: (candidate.revision_id, candidate.is_enabled) for candidate in found}

    def calls_of(self, act: Callable[[], object]) -> list[str]:
        self.calls.clear()
        act()
        return list(self.calls)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    with aws(monkeypatch) as config:
        made = Kept(open_tables(config))
        call = botocore.client.BaseClient._make_api_call

        def noted(client: Any, operation: str, arguments: Any) -> Any:
            made.calls.append(operation)
            made.before(operation)
            return call(client, operation, arguments)

        monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", noted)
        monkeypatch.setattr(backoff.time, "sleep", lambda _: None)
        yield made


def test_a_warm_function_reads_the_version_and_what_changed(kept: Kept) -> None:
    for number in range(5):
        kept.put(number)

    assert kept.calls_of(kept.seen) == ["Query"]
    assert kept.calls_of(kept.seen) == ["GetItem"]
    kept.put(3)
    kept.put(7)
    assert kept.calls_of(kept.seen) == ["GetItem", "BatchGetItem"]
    assert kept.seen() == {"0": ("1", True), "1": ("1", True), "2": ("1", True), "3": ("2", True), "4": ("1", True)} | {
        "7": ("1", True)
    }
    assert kept.calls_of(kept.seen) == ["GetItem"]


def test_events_of_a_batch_read_the_version_once(kept: Kept) -> None:
    kept.put(1, SUBMITTED, ENDED)
    kept.seen(SUBMITTED, ENDED)
    kept.put(1, SUBMITTED)
    batch = kept.flows.of_batch()

    def seen(*event_types: str) -> Sequence[tuple[str, bool]]:
        return [
            (candidate.revision_id, candidate.is_enabled) for candidate in batch.candidates("p1", "0-1", event_types)
        ]

    assert kept.calls_of(lambda: seen(SUBMITTED)) == ["GetItem", "BatchGetItem"]
    assert kept.calls_of(lambda: seen(SUBMITTED)) == []
    kept.put(1, ENDED)
    assert seen(SUBMITTED) == [("2", True)]
    # Beside another listing it is seen at one moment all the same, whatever was known of each.
    assert seen(ENDED) == [("3", True)]
    kept.put(1, SUBMITTED)
    for event_types in ((SUBMITTED, ENDED), (ENDED, SUBMITTED), (SUBMITTED,), (SUBMITTED, ENDED)):
        assert seen(*event_types) == [("4", True)]
    assert kept.calls_of(lambda: seen(ENDED, SUBMITTED)) == []


@pytest.mark.parametrize("changes", [CHANGES_NAMED, CHANGES_NAMED + 1])
def test_changes_no_longer_listed_are_found_by_reading_all_flows(kept: Kept, changes: int) -> None:
    kept.put(1)
    kept.seen()
    for number in range(changes):
        kept.put(number % 7)

    expected = ["GetItem", "BatchGetItem"] if changes == CHANGES_NAMED else ["GetItem", "Query"]
    assert kept.calls_of(kept.seen) == expected
    assert kept.seen() == Kept(kept.tables).seen()


@pytest.mark.verify
def test_any_changes_are_seen_as_a_new_function_sees_them(kept: Kept) -> None:
    chance = random.Random(7)
    for _ in range(120):
        number, types = chance.randrange(6), chance.sample([SUBMITTED, ENDED, "forms.viewed"], chance.randint(1, 2))
        if chance.random() < 0.2 and str(number) in kept.author.get_many("p1", [str(number)]):
            kept.now += 1
            kept.author.delete("p1", str(number), kept.now)
        else:
            kept.put(number, *types)
        if chance.random() < 0.4:
            for event_types in ((SUBMITTED,), (ENDED, SUBMITTED), ("forms.viewed", ENDED)):
                assert kept.seen(*event_types) == Kept(kept.tables).seen(*event_types)


@pytest.mark.parametrize("event_types", [(SUBMITTED, ENDED), (ENDED, SUBMITTED)])
@pytest.mark.parametrize("begins_in", [SUBMITTED, ENDED])
@pytest.mark.parametrize(("is_warm", "operation", "number"), [(False, "Query", 2), (True, "BatchGetItem", 3)])
def test_listings_of_several_event_types_are_consistent(
    kept: Kept, event_types: tuple[str, str], begins_in: str, is_warm: bool, operation: str, number: int
) -> None:
    """A flow that moves from one listing to the other, when one is read and the other is not yet, is not missed."""
    kept.put(1, begins_in)
    if is_warm:
        kept.seen(*event_types)
        kept.put(2, *event_types)  # so that both are read again
    left = [number]

    def move(called: str) -> None:
        if called == operation:
            left[0] -= 1
            if not left[0]:
                kept.put(1, ENDED if begins_in == SUBMITTED else SUBMITTED)

    kept.before = move
    assert kept.seen(*event_types)["1"] == ("2", True)
    assert left[0] < 1


def test_read_waits_for_a_transaction_that_is_writing_the_flow(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """The version of a transaction can be read before its flows can."""
    kept.put(1)
    kept.seen()
    kept.put(1)
    kept.put(2)
    left, batch_get = [2], botocore.client.BaseClient._make_api_call

    def lagging(client: Any, operation: str, arguments: Any) -> Any:
        answer = batch_get(client, operation, arguments)
        if operation == "BatchGetItem" and left[0]:
            left[0] -= 1
            (items,) = answer["Responses"].values()
            items[:] = [item for item in items if "flow/2" not in item["sk"]["S"]]
        return answer

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", lagging)
    assert kept.seen() == {"1": ("2", True), "2": ("1", True)}
    assert left == [0]

    kept.put(2)
    left[0] = 100
    with pytest.raises(Throttled, match=r"forms\.submitted"):
        kept.seen()


def test_changes_that_an_earlier_version_did_not_name_are_found(kept: Kept) -> None:
    """It counts the version and names nothing; what was named last has expired by now."""
    kept.put(1)
    kept.put(2)
    kept.seen()
    client, key = kept.tables.client, {"pk": {"S": candidates_key("p1", "0-1", SUBMITTED)}}
    client.delete_item(TableName=kept.tables.flows.name, Key=key | {"sk": {"S": candidate_place("1")}})
    client.update_item(
        TableName=kept.tables.flows.name,
        Key=key | {"sk": {"S": HEAD}},
        UpdateExpression="ADD version :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )
    assert set(kept.seen()) == set(Kept(kept.tables).seen()) == {"2"}
    kept.put(3)
    assert set(kept.seen()) == set(Kept(kept.tables).seen()) == {"2", "3"}


def test_unreadable_flow_delays_a_batch_only_once(kept: Kept) -> None:
    kept.put(1)
    batch = kept.flows.of_batch()

    def fail(operation: str) -> None:
        raise ConnectionError(operation)

    kept.before = fail

    def read_flows() -> None:
        for _ in range(3):
            with pytest.raises(ConnectionError):
                batch.candidates("p1", "0-1", [SUBMITTED])

    assert kept.calls_of(read_flows) == ["Query"]
    kept.before = lambda _: None
    assert set(kept.seen()) == {"1"}


def test_concurrent_authors_count_each_change(kept: Kept) -> None:
    def put_until_accepted(number: int) -> None:
        """The waits between attempts are off in this module, so one author can lose all attempts to the other authors.
        Each lost attempt is another author's success: 12 rounds are enough."""
        for _ in range(12):
            try:
                return kept.put(number)
            except Throttled:
                continue
        raise AssertionError(f"flow {number} was refused 12 times")

    kept.seen()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put_until_accepted, range(12)))
    assert kept.calls_of(kept.seen) in (["GetItem", "BatchGetItem"], ["Query"])
    assert set(kept.seen()) == {str(number) for number in range(12)}


@pytest.mark.verify
def test_flow_cache_of_many_portals_is_bounded(kept: Kept) -> None:
    small = DynamoFlows(kept.tables, read_flow, kept_bytes=100_000)
    for number in range(120):
        kept.put(1, portal=f"p{number}")

    def seen(portal: str) -> Sequence[str]:
        return [candidate.id for candidate in small.candidates(portal, "0-1", [SUBMITTED])]

    for number in range(120):
        assert seen(f"p{number}") == ["1"]
        assert 0 < small.kept_bytes <= 100_000
    assert kept.calls_of(lambda: seen("p119")) == ["GetItem"]
    assert kept.calls_of(lambda: seen("p0")) == ["Query"]
    kept.put(2, portal="p0")
    assert seen("p0") == ["1", "2"]


def test_one_portal_larger_than_the_bound_is_served(kept: Kept) -> None:
    small = DynamoFlows(kept.tables, read_flow, kept_bytes=2_000)
    for number in range(9):
        kept.put(number, SUBMITTED, ENDED)
    for _ in range(2):
        assert len(small.candidates("p1", "0-1", [SUBMITTED, ENDED])) == 9


def test_flow_that_an_earlier_version_listed_otherwise_is_listed_again(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An earlier version did not list a flow of contacts for changes of their companies."""
    written = flow({"id": 1, "filters": [["city", "IS_KNOWN"]], "company": [["name", "IS_EQUAL_TO", "Acme"]]})
    with monkeypatch.context() as patch:
        patch.setattr(flow_repository, "_listings", lambda flow: {candidates_key("p1", "0-1", "crm.object_created")})
        store(kept.author, "p1", written, NOW)
        store(kept.author, "p1", {**written, "id": "2", "isEnabled": False}, NOW)
    kept.put(3)
    before = kept.author.get("p1", "1")
    assert not kept.flows.candidates("p1", "0-1", ["crm.property_changed"])

    outdated, following = kept.author.outdated("p1", 10)
    assert ([each.id for each in outdated], following) == (["1"], None)
    relisted, _ = kept.author.relist("p1", 10)

    assert [each.id for each in relisted] == ["1"]
    assert kept.author.get("p1", "1") == before
    # The function is warm.
    assert {each.id for each in kept.flows.candidates("p1", "0-1", ["crm.property_changed"])} == {"1"}
    listed = kept.tables.flows.get(candidates_key("p1", "0-2", "crm.property_changed"), candidate_place("1"))
    assert listed is not None
    assert kept.author.outdated("p1", 10) == ([], None)


def test_outdated_flows_are_searched_in_pages_and_refused_ones_are_left(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(flow_repository, "_listings", lambda flow: set())
        for number in (1, 2, 3):
            kept.put(number)

    assert [each.id for each in kept.author.outdated("p1", 2)[0]] == ["1", "2"]
    assert kept.author.outdated("p1", 2)[1] == "2"
    assert [each.id for each in kept.author.outdated("p1", 2, "2")[0]] == ["3"]

    def refuse(revision: FlowRevision) -> Flow:
        raise InvalidFlow(revision.id, [])

    refusing = DynamoFlowRepository(kept.tables, refuse)
    assert refusing.outdated("p1", 10) == ([], None)
