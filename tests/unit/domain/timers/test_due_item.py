"""The identity of due items, and their shards."""

from collections import Counter

import pytest

from enrollment.domain.timers.due_item import DUE_SHARDS, DueKind, due_item

NOW = 1_764_000_000_000


def test_work_that_is_scheduled_again_has_the_same_id() -> None:
    first = due_item(DueKind.EVENT, NOW, "message", "p1/0-1/101", "e1", "1")
    assert due_item(DueKind.EVENT, NOW + 5, "other message", "p1/0-1/101", "e1", "1").id == first.id
    assert len(first.id) == 32


@pytest.mark.parametrize(
    "subject", [("p1/0-1/101", "e1"), ("p1/0-1/101", "e1", "2"), ("p1/0-1/101e1", "1"), ("p1/0-1/101", "e11", "")]
)
def test_other_work_has_another_id(subject: tuple[str, ...]) -> None:
    first = due_item(DueKind.EVENT, NOW, "message", "p1/0-1/101", "e1", "1")
    assert due_item(DueKind.EVENT, NOW, "message", *subject).id != first.id


def test_other_kind_has_another_id() -> None:
    ids = {due_item(kind, NOW, "message", "p1/0-1/101", "e1").id for kind in DueKind}
    assert len(ids) == len(DueKind)


def test_text_that_has_no_utf8_is_accepted() -> None:
    assert due_item(DueKind.EVENT, NOW, "message", "\ud800").shard in range(DUE_SHARDS)


def test_items_are_spread_evenly_over_the_shards() -> None:
    shards = Counter(due_item(DueKind.EVENT, NOW, "", f"p1/0-1/{number}").shard for number in range(16_000))
    assert set(shards) == set(range(DUE_SHARDS))
    assert max(shards.values()) < 1_150
