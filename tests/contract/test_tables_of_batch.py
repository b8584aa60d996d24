"""What events that are decided at the same time ask of a table at the same time: one call, and to each what it would
have got by itself. Against the embedded AWS, for its PartiQL."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from threading import Lock
from typing import Any

import botocore.client
import pytest
from botocore.exceptions import ClientError

from enrollment.adapters import clients
from enrollment.adapters.tables import Change, Expression, Table
from enrollment.adapters.tables_of_batch import TableOfBatch, TablesOfBatch
from enrollment.config import Config
from enrollment.together import Meeting
from tests.emulated import emulated_aws

SECONDS = 10


@dataclass
class Shared:
    """``calls``: by operation, of those that asked at once last."""

    client: Any
    config: Config
    by_itself: Table
    calls: Counter[str]
    numbers: Iterator[int] = field(default_factory=count)

    def key(self) -> str:
        return f"p-{next(self.numbers)}"

    def at_once(self, *asks: Callable[[TableOfBatch], Any]) -> Sequence[Any]:
        """What each gets, or the error that it meets."""
        meeting = Meeting(len(asks), len(asks), lambda _: None, patience=SECONDS)
        table = TablesOfBatch(self.client, self.config, meeting).records
        self.calls.clear()

        def ask(one: Callable[[TableOfBatch], Any]) -> Any:
            try:
                return one(table)
            finally:
                meeting.ends()

        with ThreadPoolExecutor(len(asks)) as pool:
            return [one.exception(SECONDS) or one.result() for one in [pool.submit(ask, one) for one in asks]]


@pytest.fixture(scope="module")
def shared() -> Iterator[Shared]:
    calls, lock = Counter[str](), Lock()
    call = botocore.client.BaseClient._make_api_call

    def counted(client: Any, operation: str, arguments: Any) -> Any:
        with lock:
            calls[operation] += 1
        return call(client, operation, arguments)

    with ExitStack() as stack:
        emulated = stack.enter_context(emulated_aws())
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(botocore.client.BaseClient, "_make_api_call", counted)
        client = clients.dynamodb(clients.open_session())
        yield Shared(client, emulated.config, Table(client, emulated.config.records_table), calls)


def test_reads(shared: Shared) -> None:
    one, other, missing = shared.key(), shared.key(), shared.key()
    for pk in (one, other):
        shared.by_itself.put({"pk": pk, "sk": "record", "of": pk})
    found = shared.at_once(
        lambda table: table.get(one, "record"),
        lambda table: table.get(missing, "record"),
        lambda table: table.get(one, "record"),
        lambda table: table.get_many([(one, "record"), (other, "record"), (missing, "record")]),
    )
    item, another = ({"pk": pk, "sk": "record", "of": pk} for pk in (one, other))
    assert found == [item, None, item, [item, another]]
    assert shared.calls == {"BatchGetItem": 1}


def test_reads_that_can_not_be_answered_together(shared: Shared) -> None:
    """DynamoDB refuses an empty key, and with it all that is asked beside it."""
    one = shared.key()
    shared.by_itself.put({"pk": one, "sk": "record"})
    found, refused = shared.at_once(lambda table: table.get(one, "record"), lambda table: table.get("", "record"))
    assert found == {"pk": one, "sk": "record"}
    assert isinstance(refused, ClientError)
    assert shared.calls == {"BatchGetItem": 1, "GetItem": 2}


def test_what_is_asked_again_is_read_again(shared: Shared) -> None:
    one = shared.key()
    item = {"pk": one, "sk": "record", "n": 1}
    story = shared.at_once(lambda table: [table.get(one, "record"), table.put(item), table.get(one, "record")])
    assert story == [[None, True, item]]


def test_writes_without_a_condition(shared: Shared) -> None:
    keys = [shared.key() for _ in range(30)]
    puts = [lambda table, pk=pk: table.put({"pk": pk, "sk": "event", "of": pk}) for pk in keys]
    assert shared.at_once(*puts) == [True] * 30
    assert shared.calls == {"BatchWriteItem": 2}
    assert [shared.by_itself.get(pk, "event") for pk in keys] == [{"pk": pk, "sk": "event", "of": pk} for pk in keys]


def test_writes_of_one_item(shared: Shared) -> None:
    one = shared.key()
    puts = [lambda table, n=n: table.put({"pk": one, "sk": "event", "n": n}) for n in range(3)]
    assert shared.at_once(*puts) == [True] * 3
    assert shared.calls == {"BatchWriteItem": 1, "PutItem": 2}
    found = shared.by_itself.get(one, "event")
    assert found is not None
    assert found["n"] in range(3)


def test_a_write_that_is_refused_is_refused_alone(shared: Shared) -> None:
    one, large = shared.key(), shared.key()
    written, refused = shared.at_once(
        lambda table: table.put({"pk": one, "sk": "event"}),
        lambda table: table.put({"pk": large, "sk": "event", "text": "x" * 400 * 1024}),
    )
    assert written is True
    assert isinstance(refused, ClientError)
    assert shared.by_itself.get(one, "event") is not None
    assert shared.by_itself.get(large, "event") is None


def test_a_condition_is_met_alone(shared: Shared) -> None:
    one = shared.key()
    is_new = Expression("attribute_not_exists(pk)")
    put = [lambda table: table.put({"pk": one, "sk": "record"}, is_new)] * 2
    assert sorted(shared.at_once(*put)) == [False, True]
    assert shared.calls == {"PutItem": 2}


def test_changes(shared: Shared) -> None:
    one, other, missing = shared.key(), shared.key(), shared.key()
    for pk in (one, other):
        shared.by_itself.put({"pk": pk, "sk": "f", "id": pk, "text": "kept"})

    def change(pk: str, where: str) -> Callable[[TableOfBatch], bool]:
        return lambda table: table.change(Change(pk, "f", {"at": "now", "n": 7}, {"id": where}))

    done = shared.at_once(change(one, one), change(other, "another"), change(missing, missing))
    assert done == [True, False, False]
    assert shared.calls == {"BatchExecuteStatement": 1, "UpdateItem": 2}
    assert shared.by_itself.get(one, "f") == {"pk": one, "sk": "f", "id": one, "text": "kept", "at": "now", "n": 7}
    assert shared.by_itself.get(other, "f") == {"pk": other, "sk": "f", "id": other, "text": "kept"}
    assert shared.by_itself.get(missing, "f") is None


def test_changes_that_remove_attributes(shared: Shared) -> None:
    """In one statement with those that are set; an attribute that is not there is no failure."""
    one, other, refused = shared.key(), shared.key(), shared.key()
    shared.by_itself.put({"pk": one, "sk": "f", "id": one, "aShard": "1", "aNumber": 7, "aText": "kept"})
    shared.by_itself.put({"pk": other, "sk": "f", "id": other, "aText": "kept"})
    shared.by_itself.put({"pk": refused, "sk": "f", "id": refused, "aShard": "1"})

    def change(pk: str, where: str) -> Callable[[TableOfBatch], bool]:
        return lambda table: table.change(
            Change(pk, "f", {"doneAt": "now", "doneBy": "me"}, {"id": where}, ("aShard", "aNumber"))
        )

    assert shared.at_once(change(one, one), change(other, other), change(refused, "another")) == [True, True, False]
    assert shared.calls == {"BatchExecuteStatement": 1, "UpdateItem": 1}
    for pk in (one, other):
        expected = {"pk": pk, "sk": "f", "id": pk, "aText": "kept", "doneAt": "now", "doneBy": "me"}
        assert shared.by_itself.get(pk, "f") == expected
    assert shared.by_itself.get(refused, "f") == {"pk": refused, "sk": "f", "id": refused, "aShard": "1"}
    assert shared.by_itself.change(Change(refused, "f", {"doneAt": "now"}, {"id": refused}, ("aShard", "aNumber")))
    assert shared.by_itself.get(refused, "f") == {"pk": refused, "sk": "f", "id": refused, "doneAt": "now"}


def test_changes_of_one_item(shared: Shared) -> None:
    one = shared.key()
    shared.by_itself.put({"pk": one, "sk": "f", "id": "x"})
    changes = [lambda table, name=name: table.change(Change(one, "f", {name: 1}, {"id": "x"})) for name in "abc"]
    assert shared.at_once(*changes) == [True] * 3
    assert shared.by_itself.get(one, "f") == {"pk": one, "sk": "f", "id": "x", "a": 1, "b": 1, "c": 1}


def test_changes_of_keys_that_look_like_partiql(shared: Shared) -> None:
    """Values are parameters, and never part of a statement."""
    one = "p' OR \"pk\" <> '"
    shared.by_itself.put({"pk": one, "sk": "?'--", "id": "'?"})
    done = shared.at_once(lambda table: table.change(Change(one, "?'--", {"at": "\"'; ?"}, {"id": "'?"})))
    assert done == [True]
    assert shared.calls == {"BatchExecuteStatement": 1}
    assert shared.by_itself.get(one, "?'--") == {"pk": one, "sk": "?'--", "id": "'?", "at": "\"'; ?"}
