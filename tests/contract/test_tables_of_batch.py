"""Coalesced calls of events that are decided at the same time: one call to a table, and for each event the result of an
individual call. Against the embedded AWS, because of its PartiQL, and with --prove against Amazon's DynamoDB Local."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from threading import Lock
from typing import Any

import botocore.client
import botocore.session
import pytest
from botocore.exceptions import ClientError

from enrollment.adapters import aws_clients as clients
from enrollment.adapters.coalescing.call_coalescer import CallCoalescer
from enrollment.adapters.coalescing.tables import CoalescingTables, TableOfBatch
from enrollment.adapters.dynamodb.tables import ConditionalUpdate, Expression, Table
from enrollment.config import Config
from tests.support.aws import REGION, create_resources
from tests.support.dynamodb import dynamodb_local
from tests.support.emulated import emulated_aws

pytestmark = [pytest.mark.verify, pytest.mark.xdist_group("emulated")]

SECONDS = 10


@dataclass
class Shared:
    """``calls``: of the latest parallel calls, by operation."""

    client: Any
    config: Config
    by_itself: Table
    calls: Counter[str]
    numbers: Iterator[int] = field(default_factory=count)

    def key(self) -> str:
        return f"p-{next(self.numbers)}"

    def at_once(self, *calls: Callable[[TableOfBatch], Any]) -> Sequence[Any]:
        """Make the calls in parallel and return the result of each, or the error that it raised."""
        meeting = CallCoalescer(len(calls), len(calls), lambda _: None, max_wait_seconds=SECONDS)
        table = CoalescingTables(self.client, self.config, meeting).records
        self.calls.clear()

        def run(call: Callable[[TableOfBatch], Any]) -> Any:
            try:
                return call(table)
            finally:
                meeting.leave()

        with ThreadPoolExecutor(len(calls)) as pool:
            futures = [pool.submit(run, call) for call in calls]
            return [future.exception(SECONDS) or future.result() for future in futures]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    places = ["MiniStack", "DynamoDB Local"] if metafunc.config.getoption("--prove") else ["MiniStack"]
    metafunc.parametrize("shared", places, indirect=True, scope="module")


@pytest.fixture(scope="module")
def shared(request: pytest.FixtureRequest) -> Iterator[Shared]:
    calls, lock = Counter[str](), Lock()
    call = botocore.client.BaseClient._make_api_call

    def counted(client: Any, operation: str, arguments: Any) -> Any:
        with lock:
            calls[operation] += 1
        return call(client, operation, arguments)

    with ExitStack() as stack:
        config, place = stack.enter_context(emulated_aws()).config, {}
        if request.param == "DynamoDB Local":
            place = {"endpoint_url": stack.enter_context(dynamodb_local())}
            another = botocore.session.get_session().create_client("dynamodb", region_name=REGION, **place)
            config = create_resources("second-", another)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(botocore.client.BaseClient, "_make_api_call", counted)
        client = clients.dynamodb(clients.open_session(), **place)
        yield Shared(client, config, Table(client, config.records_table), calls)


def test_reads(shared: Shared) -> None:
    first, other, missing = shared.key(), shared.key(), shared.key()
    for pk in (first, other):
        shared.by_itself.put({"pk": pk, "sk": "record", "of": pk})
    found = shared.at_once(
        lambda table: table.get(first, "record"),
        lambda table: table.get(missing, "record"),
        lambda table: table.get(first, "record"),
        lambda table: table.get_many([(first, "record"), (other, "record"), (missing, "record")]),
    )
    item, another = ({"pk": pk, "sk": "record", "of": pk} for pk in (first, other))
    assert found == [item, None, item, [item, another]]
    assert shared.calls == {"BatchGetItem": 1}


def test_rejected_batch_read_is_repeated_as_single_reads(shared: Shared) -> None:
    """DynamoDB refuses an empty key, and with it the whole batch."""
    key = shared.key()
    shared.by_itself.put({"pk": key, "sk": "record"})
    found, refused = shared.at_once(lambda table: table.get(key, "record"), lambda table: table.get("", "record"))
    assert found == {"pk": key, "sk": "record"}
    assert isinstance(refused, ClientError)
    assert shared.calls == {"BatchGetItem": 1, "GetItem": 2}


def test_repeated_read_is_not_cached(shared: Shared) -> None:
    key = shared.key()
    item = {"pk": key, "sk": "record", "n": 1}
    story = shared.at_once(lambda table: [table.get(key, "record"), table.put(item), table.get(key, "record")])
    assert story == [[None, True, item]]


def test_new_items(shared: Shared) -> None:
    keys = [shared.key() for _ in range(30)]
    puts = [lambda table, pk=pk: table.put_new({"pk": pk, "sk": "event", "of": pk, "n": 7}) for pk in keys]
    assert shared.at_once(*puts) == [None] * 30
    assert shared.calls == {"BatchExecuteStatement": 2}
    expected = [{"pk": pk, "sk": "event", "of": pk, "n": 7} for pk in keys]
    assert [shared.by_itself.get(pk, "event") for pk in keys] == expected


def test_an_existing_item_is_returned_and_does_not_prevent_the_others(shared: Shared) -> None:
    """DynamoDB reports DuplicateItem for its statement alone, and a failed PutItem returns the item."""
    first, existing, last = shared.key(), shared.key(), shared.key()
    shared.by_itself.put({"pk": existing, "sk": "event", "of": "before"})
    puts = [lambda table, pk=pk: table.put_new({"pk": pk, "sk": "event"}) for pk in (first, existing, last)]
    assert shared.at_once(*puts) == [None, {"pk": existing, "sk": "event", "of": "before"}, None]
    assert shared.calls == {"BatchExecuteStatement": 1, "PutItem": 1}
    assert shared.by_itself.get(existing, "event") == {"pk": existing, "sk": "event", "of": "before"}
    assert shared.by_itself.get(first, "event") == {"pk": first, "sk": "event"}
    assert shared.by_itself.get(last, "event") == {"pk": last, "sk": "event"}


def test_insert_reports_a_duplicate_only_for_its_statement(shared: Shared) -> None:
    existing, new = shared.key(), shared.key()
    shared.by_itself.put({"pk": existing, "sk": "event", "of": "before"})
    insert = f"""INSERT INTO "{shared.by_itself.name}" VALUE {{'pk': ?, 'sk': ?}}"""
    statements = [{"Statement": insert, "Parameters": [{"S": pk}, {"S": "event"}]} for pk in (existing, new)]
    answer = shared.client.batch_execute_statement(Statements=statements)
    assert [response.get("Error", {}).get("Code") for response in answer["Responses"]] == ["DuplicateItem", None]


def test_concurrent_puts_of_one_new_item_store_one_of_them(shared: Shared) -> None:
    key = shared.key()
    puts = [lambda table, n=n: table.put_new({"pk": key, "sk": "event", "n": n}) for n in range(3)]
    found = shared.at_once(*puts)
    assert shared.calls == {"BatchExecuteStatement": 1, "PutItem": 2}
    stored = shared.by_itself.get(key, "event")
    assert stored is not None
    assert stored["n"] in range(3)
    assert sorted(found, key=str) == [None, stored, stored]


def test_new_item_with_partiql_characters_is_stored_unchanged(shared: Shared) -> None:
    """Values are parameters, and never part of a statement; a missing attribute is left out."""
    item = {"pk": shared.key(), "sk": "?'--", "text": "\"'; ?} \u00f8", "isTrue": True}
    assert shared.at_once(lambda table: table.put_new({**item, "missing": None})) == [None]
    assert shared.calls == {"BatchExecuteStatement": 1}
    assert shared.by_itself.get(item["pk"], "?'--") == item


def test_rejected_new_item_does_not_prevent_the_others(shared: Shared) -> None:
    key, large = shared.key(), shared.key()
    written, refused = shared.at_once(
        lambda table: table.put_new({"pk": key, "sk": "event"}),
        lambda table: table.put_new({"pk": large, "sk": "event", "text": "x" * 400 * 1024}),
    )
    assert written is None
    assert isinstance(refused, ClientError)
    assert shared.by_itself.get(key, "event") is not None
    assert shared.by_itself.get(large, "event") is None


def test_writes_without_a_condition_are_not_coalesced(shared: Shared) -> None:
    """BatchWriteItem could remove items, and its permission is not given."""
    keys = [shared.key() for _ in range(2)]
    assert shared.at_once(*(lambda table, pk=pk: table.put({"pk": pk, "sk": "event"}) for pk in keys)) == [True] * 2
    assert shared.calls == {"PutItem": 2}


def test_conditional_put_is_not_coalesced(shared: Shared) -> None:
    key = shared.key()
    is_new = Expression("attribute_not_exists(pk)")
    put = [lambda table: table.put({"pk": key, "sk": "record"}, is_new)] * 2
    assert sorted(shared.at_once(*put)) == [False, True]
    assert shared.calls == {"PutItem": 2}


def test_changes(shared: Shared) -> None:
    first, other, missing = shared.key(), shared.key(), shared.key()
    for pk in (first, other):
        shared.by_itself.put({"pk": pk, "sk": "f", "id": pk, "text": "kept"})

    def change(pk: str, where: str) -> Callable[[TableOfBatch], bool]:
        return lambda table: table.change(ConditionalUpdate(pk, "f", {"doneAt": "now", "n": 7}, {"id": where}))

    done = shared.at_once(change(first, first), change(other, "another"), change(missing, missing))
    assert done == [True, False, False]
    assert shared.calls == {"BatchExecuteStatement": 1, "UpdateItem": 2}
    assert shared.by_itself.get(first, "f") == {
        "pk": first,
        "sk": "f",
        "id": first,
        "text": "kept",
        "doneAt": "now",
        "n": 7,
    }
    assert shared.by_itself.get(other, "f") == {"pk": other, "sk": "f", "id": other, "text": "kept"}
    assert shared.by_itself.get(missing, "f") is None


def test_changes_that_remove_attributes(shared: Shared) -> None:
    """In one statement with those that are set; an attribute that is not there is no failure."""
    first, other, refused = shared.key(), shared.key(), shared.key()
    shared.by_itself.put({"pk": first, "sk": "f", "id": first, "aShard": "1", "aNumber": 7, "aText": "kept"})
    shared.by_itself.put({"pk": other, "sk": "f", "id": other, "aText": "kept"})
    shared.by_itself.put({"pk": refused, "sk": "f", "id": refused, "aShard": "1"})

    def change(pk: str, where: str) -> Callable[[TableOfBatch], bool]:
        return lambda table: table.change(
            ConditionalUpdate(pk, "f", {"doneAt": "now", "doneBy": "me"}, {"id": where}, ("aShard", "aNumber"))
        )

    assert shared.at_once(change(first, first), change(other, other), change(refused, "another")) == [True, True, False]
    assert shared.calls == {"BatchExecuteStatement": 1, "UpdateItem": 1}
    for pk in (first, other):
        expected = {"pk": pk, "sk": "f", "id": pk, "aText": "kept", "doneAt": "now", "doneBy": "me"}
        assert shared.by_itself.get(pk, "f") == expected
    assert shared.by_itself.get(refused, "f") == {"pk": refused, "sk": "f", "id": refused, "aShard": "1"}
    assert shared.by_itself.change(
        ConditionalUpdate(refused, "f", {"doneAt": "now"}, {"id": refused}, ("aShard", "aNumber"))
    )
    assert shared.by_itself.get(refused, "f") == {"pk": refused, "sk": "f", "id": refused, "doneAt": "now"}


def test_concurrent_changes_of_one_item_are_all_applied(shared: Shared) -> None:
    key = shared.key()
    shared.by_itself.put({"pk": key, "sk": "f", "id": "x"})
    changes = [
        lambda table, name=name: table.change(ConditionalUpdate(key, "f", {name: 1}, {"id": "x"})) for name in "abc"
    ]
    assert shared.at_once(*changes) == [True] * 3
    assert shared.by_itself.get(key, "f") == {"pk": key, "sk": "f", "id": "x", "a": 1, "b": 1, "c": 1}


def test_keys_with_partiql_characters_are_changed_correctly(shared: Shared) -> None:
    """Values are parameters, and never part of a statement."""
    key = "p' OR \"pk\" <> '"
    shared.by_itself.put({"pk": key, "sk": "?'--", "id": "'?"})
    done = shared.at_once(lambda table: table.change(ConditionalUpdate(key, "?'--", {"at": "\"'; ?"}, {"id": "'?"})))
    assert done == [True]
    assert shared.calls == {"BatchExecuteStatement": 1}
    assert shared.by_itself.get(key, "?'--") == {"pk": key, "sk": "?'--", "id": "'?", "at": "\"'; ?"}
