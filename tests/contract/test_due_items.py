"""Due items: the fake, moto, the emulator, and Amazon's DynamoDB Local if it is installed, behave in the same way."""

from collections.abc import Iterator

import botocore.session
import pytest
from botocore.exceptions import ClientError

from enrollment.adapters import backoff
from enrollment.adapters.dynamodb.due_items import DynamoDueItems
from enrollment.adapters.dynamodb.tables import Tables
from enrollment.application.ports import DueItems, Throttled
from enrollment.domain.timers.due_item import DUE_SHARDS, DueItem, DueKind, due_item
from enrollment.serialization.envelopes import read_event
from enrollment.serialization.redeliveries import write_redelivery
from tests.support.aws import REGION, aws, create_resources
from tests.support.dynamodb import dynamodb_local
from tests.support.emulated import emulated_aws
from tests.support.fakes import FakeDueItems
from tests.support.scenario import event
from tests.support.stores import open_tables

NOW = 1_764_000_000_000
SLOW = [pytest.mark.verify, pytest.mark.xdist_group("due-items")]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "due_items" in metafunc.fixturenames:
        slow = ["MiniStack", *(["DynamoDB Local"] if metafunc.config.getoption("--prove") else [])]
        places = ["fake", "moto", *(pytest.param(place, marks=SLOW) for place in slow)]
        metafunc.parametrize("due_items", places, indirect=True)


@pytest.fixture(scope="module")
def ministack() -> Iterator[DynamoDueItems]:
    with emulated_aws() as emulated:
        yield DynamoDueItems(open_tables(emulated.config))


@pytest.fixture(scope="module")
def amazons() -> Iterator[DynamoDueItems]:
    with emulated_aws(), dynamodb_local() as url:
        another = botocore.session.get_session().create_client("dynamodb", region_name=REGION, endpoint_url=url)
        yield DynamoDueItems(open_tables(create_resources("second-", another), endpoint_url=url))


@pytest.fixture
def due_items(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[DueItems]:
    if request.param == "fake":
        yield FakeDueItems()
    elif request.param == "moto":
        with aws(monkeypatch) as config:
            yield DynamoDueItems(open_tables(config))
    else:
        shared: DueItems = request.getfixturevalue("ministack" if request.param == "MiniStack" else "amazons")
        yield shared
        shared.delete(found(shared, NOW * 2))


def item(name: str, due_at: int = NOW, kind: DueKind = DueKind.EVENT, message: str = "{}") -> DueItem:
    return due_item(kind, due_at, message, name)


def found(due_items: DueItems, instant: int) -> list[DueItem]:
    return [each for shard in range(DUE_SHARDS) for each in due_items.due_before(shard, instant)]


def in_one_shard(count: int) -> list[DueItem]:
    """Items of one shard, each a second after the one before."""
    made = (item(str(number), NOW + 1_000 * number) for number in range(100_000))
    same = (each for each in made if each.shard == 3)
    return [next(same) for _ in range(count)]


def test_item_is_found_after_it_is_due_and_not_before(due_items: DueItems) -> None:
    saved = item("a", NOW, message='{"text": "ü…😀\\n"}')
    due_items.save(saved)
    assert found(due_items, NOW) == []
    assert found(due_items, NOW + 1) == [saved]


def test_items_of_a_shard_are_ordered_by_their_time(due_items: DueItems) -> None:
    items = in_one_shard(9)
    for each in reversed(items):
        due_items.save(each)
    assert list(due_items.due_before(3, items[-1].due_at)) == items[:-1]
    assert [list(due_items.due_before(shard, NOW * 2)) for shard in range(DUE_SHARDS) if shard != 3] == [[]] * 15


def test_items_that_differ_in_kind_id_or_time_are_kept_apart(due_items: DueItems) -> None:
    items = {item("a"), item("b"), item("a", NOW + 1), item("a", kind=DueKind.ASSOCIATED)}
    for each in items:
        due_items.save(each)
    assert set(found(due_items, NOW + 2)) == items


def test_item_that_is_saved_again_is_replaced(due_items: DueItems) -> None:
    due_items.save(item("a", message="1"))
    due_items.save(item("a", message="2"))
    assert [each.message for each in found(due_items, NOW + 1)] == ["2"]


def test_deleted_item_is_not_found_any_more_and_others_are(due_items: DueItems) -> None:
    items = [item(str(number)) for number in range(30)]
    for each in items:
        due_items.save(each)
    due_items.delete(items[:27])
    due_items.delete([*items[:2], item("never saved")])
    due_items.delete([])
    assert set(found(due_items, NOW + 1)) == set(items[27:])


def test_items_may_be_deleted_while_they_are_read(due_items: DueItems) -> None:
    items = in_one_shard(60)
    for each in items:
        due_items.save(each)
    read = []
    for each in due_items.due_before(3, NOW * 2):
        due_items.delete([each])
        read.append(each)
    assert read == items
    assert found(due_items, NOW * 2) == []


@pytest.mark.parametrize("character", ["a", "\x7f", "é", "…", "😀", "\uffff"])
def test_the_largest_event_is_stored(due_items: DueItems, character: str) -> None:
    value = character * (8_000 // len(character.encode()))
    envelope = event({"forms.submitted": "101", "id": "e1", "properties": {f"p{n}": value for n in range(25)}})
    saved = item("a", message=write_redelivery(read_event(envelope, "forms"), ["1"], NOW))
    due_items.save(saved)
    assert found(due_items, NOW + 1) == [saved]


class _Unprocessed:
    """A client that leaves the last deletion of each call unprocessed, ``times`` times."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.deleted: list[str] = []

    def batch_write_item(
        self, RequestItems: dict[str, list[dict[str, dict[str, dict[str, dict[str, str]]]]]]
    ) -> object:
        ((table, requests),) = RequestItems.items()
        assert len(requests) <= 25
        left = requests[-1:] if self.times else []
        self.times -= bool(left)
        self.deleted += [request["DeleteRequest"]["Key"]["sk"]["S"] for request in requests if request not in left]
        return {"UnprocessedItems": {table: left} if left else {}}


def _with(client: object, monkeypatch: pytest.MonkeyPatch) -> DynamoDueItems:
    monkeypatch.setattr(backoff, "FIRST_WAIT_SECONDS", 0.0)
    with aws(monkeypatch) as config:
        return DynamoDueItems(Tables(client, config))  # type: ignore[arg-type]


def test_deletions_that_dynamodb_leaves_unprocessed_are_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    client = _Unprocessed(2)
    _with(client, monkeypatch).delete([item(str(number)) for number in range(30)])
    assert len(client.deleted) == len(set(client.deleted)) == 30


def test_deletions_that_stay_unprocessed_raise_throttled(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Throttled, match="left 1 items"):
        _with(_Unprocessed(99), monkeypatch).delete([item("a")])


def test_error_of_dynamodb_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    with aws(monkeypatch) as config:
        tables = open_tables(config)
        tables.client.delete_table(TableName=config.records_table)
        with pytest.raises(ClientError):
            DynamoDueItems(tables).save(item("a"))


def test_item_of_a_kind_of_a_later_version_does_not_block_its_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was stored before the stack went back to this version, and stays until the later version is deployed again."""
    with aws(monkeypatch) as config:
        tables = open_tables(config)
        stored = DynamoDueItems(tables)
        known = item("a")
        unknown = {"pk": f"due/{known.shard}", "sk": "2020-01-01T00:00:00.000Z/visit/0123", "message": "{}"}
        tables.records.put(unknown)
        stored.save(known)
        assert found(stored, NOW + 1) == [known]
        assert tables.records.get(unknown["pk"], unknown["sk"]) is not None
