"""The newest events of a type are in 16 partitions, whose first pages are read at the same time."""

import threading
from collections.abc import Iterator
from typing import Any

from enrollment.adapters.dynamodb.event_history import READ_AT_ONCE, DynamoHistory
from enrollment.domain.events.sort_key import MAX_SORT_KEY


class WaitingTable:
    """A table whose queries return their first entry when READ_AT_ONCE of them run at the same time."""

    def __init__(self) -> None:
        self.meeting_point = threading.Barrier(READ_AT_ONCE)
        self.queries = 0

    def query(self, *_: Any, **__: Any) -> Iterator[dict[str, str]]:
        self.queries += 1
        number = self.queries
        self.meeting_point.wait(timeout=30)
        yield {"sk": f"event/{number:03d}", "pk": "p1/0-1/101"}


class Tables:
    def __init__(self, records: WaitingTable) -> None:
        self.records = records


def test_first_pages_of_all_partitions_are_read_at_the_same_time_and_merged() -> None:
    table = WaitingTable()
    tables: Any = Tables(table)
    history = DynamoHistory(tables, lambda event: {}, lambda envelope: None)  # type: ignore[arg-type,return-value]
    keys = list(history.keys_of_types("p1", {"forms.submitted", "website.page_visited"}, "", MAX_SORT_KEY, 25))
    assert table.queries == 32
    assert [key.sort_key for key in keys] == sorted((key.sort_key for key in keys), reverse=True)
