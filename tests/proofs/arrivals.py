"""Times of arrival, which a disturbed run and an undisturbed run may store differently.

They are the clock times of the processes that store them, so they depend on how far each of several deliveries
proceeded. A play gives each process its own time, later than those before it. Therefore two things are checked exactly.

- After each process (``Arrivals``): a new time of arrival is that of this process, and a stored time does not change.
  The first delivery that stores the evaluation of an event determines it permanently.
- At the end (``without_arrivals``): the items of the two runs are equal except for these times, and within a record the
  order of arrivals is the same.

These are the times of arrival:

- ``evaluatedAt`` of an event in the history, and of a waiting event: when the event was first evaluated;
- ``origins`` of a record: when the changes of a value arrived. ``knownAt``: when its creation arrived;
- ``rejected`` of a waiting event: 15 minutes after its final decision;
- ``expiresAt`` of a waiting event, of a record that does not exist yet, and of an evaluation that is stored without
  its event. They are computed from the times above, which is checked.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from enrollment.adapters.dynamodb.deferred_events import KEPT_SECONDS
from enrollment.application.event_history import DAY_MS, EVALUATION_KEPT_DAYS
from enrollment.domain.enrollment.late_data_tolerance import GRACE_MS
from enrollment.domain.events.own_types import ASSOCIATED_RECORD_EVENT
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import EARLY_CHANGES_KEPT_MS

Item = Mapping[str, Any]
Place = tuple[str, ...]


@dataclass
class Arrivals:
    """Times of arrival of one play. ``stored``: each time, by what arrived. ``times``: the clock times of the
    processes."""

    stored: dict[Place, int] = field(default_factory=dict)
    times: list[int] = field(default_factory=list)
    records: set[str] = field(default_factory=set)

    def note(self, keys: Collection[RecordKey], items: Sequence[Item]) -> None:
        """Check the times after the latest process. A record whose id a process chooses is checked later."""
        for item in items:
            for place, arrived_at in _arrivals(item):
                if place in self.stored:
                    assert arrived_at == self.stored[place], f"{place} has changed"
                    continue
                allowed = {self.times[-1]} if item["pk"] in self.records else set(self.times)
                # The change of an event that is known to the second arrives when the event was first evaluated, even if
                # a later delivery stores it. The history comes first in the order of items.
                evaluated_at = self.stored.get((item["pk"], "event", place[2]))
                if place[1] == "change" and evaluated_at is not None:
                    allowed.add(evaluated_at)
                if place[1] == "waiting" and evaluated_at is not None:
                    allowed = {evaluated_at}
                if place[1] == "associated":
                    # The event of the associated record was evaluated earlier.
                    allowed = {
                        at for (_, kind, *rest), at in self.stored.items() if (kind, rest) == ("event", [place[2]])
                    }
                assert arrived_at in allowed, f"{place} has the time of no process that could store it"
                self.stored[place] = arrived_at
        self.records |= {str(key) for key in keys}


def _arrivals(item: Item) -> Iterator[tuple[Place, int]]:
    """Yield what arrived, and when."""
    pk, kind = item["pk"], item["sk"].partition("/")[0]
    if kind == "event":
        event_id = item["sk"].partition("/")[2].partition("/")[2]
        is_about_associated = "event" in item and json.loads(item["event"])["detail-type"] == ASSOCIATED_RECORD_EVENT
        # The time in ``event`` belongs to the stored copy of the event and is not read.
        yield (pk, "associated" if is_about_associated else "event", event_id), int(item["evaluatedAt"])
    elif kind == "waiting":
        event = json.loads(item["event"])
        yield (pk, "waiting", event["id"]), event["evaluatedAt"]
        for flow_id, until in json.loads(item.get("rejected", "{}")).items():
            yield (pk, "rejected", event["id"], flow_id), until - GRACE_MS
    elif kind == "record":
        # Changes without their own event, which the API makes, can arrive at several times.
        for event_id, arrived_at in json.loads(item.get("origins", "[]")):
            if arrived_at is not None:
                place = (pk, "change", event_id)
                yield (place if event_id else (*place, str(arrived_at))), arrived_at
        if "knownAt" in item:
            yield (pk, "known", item["createdAt"]), int(item["knownAt"])


def without_arrivals(item: Item, *, any_arrival: bool) -> dict[str, Any]:
    """Return the item with its JSON texts parsed. In a record, arrivals are replaced by their order, and changes have
    the id of the event that caused them instead of the number of their origin. ``any_arrival``: the order is removed
    too, because a request and the events that it puts on the bus make the same changes, and either can be first."""
    attributes = {name: json.loads(value) if value.startswith(("{", "[")) else value for name, value in item.items()}
    kind = item["sk"].partition("/")[0]
    if kind == "event":
        evaluated_at = int(attributes.pop("evaluatedAt"))
        if "event" in attributes:
            del attributes["event"]["evaluatedAt"]
        else:
            assert int(attributes.pop("expiresAt")) == (evaluated_at + EVALUATION_KEPT_DAYS * DAY_MS) // 1000
    elif kind == "waiting":
        ends = [*attributes["flows"].values(), *attributes.get("rejected", {}).values()]
        assert int(attributes.pop("expiresAt")) == max(ends) // 1000 + KEPT_SECONDS
        del attributes["event"]["evaluatedAt"]
        if "rejected" in attributes:
            attributes["rejected"] = sorted(attributes["rejected"])
    elif kind == "record":
        origins = attributes.pop("origins", [])
        known_at = [int(attributes.pop("knownAt"))] if "knownAt" in attributes else []
        if "expiresAt" in attributes:
            latest = max([int(attributes.get("awaitedUntil", 0)), *(at for _, at in origins)])
            assert int(attributes.pop("expiresAt")) == (latest + EARLY_CHANGES_KEPT_MS) // 1000
        order = {
            at: place for place, at in enumerate(sorted({*known_at, *(at for _, at in origins if at is not None)}))
        }
        if known_at:
            attributes["knownAt"] = None if any_arrival else order[known_at[0]]

        def named(change: list[Any]) -> list[Any]:
            value, changed_at, *stamp = change
            if not stamp:
                return change
            event_id, arrived_at = origins[stamp[0]]
            return [value, changed_at, event_id, None if any_arrival else order.get(arrived_at), *stamp[1:]]

        for name in ("properties", "memberships"):
            attributes[name] = {key: named(change) for key, change in attributes[name].items()}
        for name in ("earlierProperties", "earlierMemberships"):
            attributes[name] = {key: [named(change) for change in changes] for key, changes in attributes[name].items()}
    return attributes
