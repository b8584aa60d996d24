"""Times that a disturbed run and an undisturbed one may store differently: those at which something arrived.

They are the times of the processes that store them, so they depend on which of several deliveries came so far. A play
gives each process a time of its own, later than those before it. So two things can be checked exactly instead.

- After each process (``Arrivals``): a time of arrival that was not stored before is that of this process, and one that
  was stored does not change. The first delivery that stores the evaluation of an event decides it for good.
- At the end (``without_arrivals``): the items of the two runs are equal but for these times, and within a record the
  order of arrivals is the same.

Which times these are:

- ``evaluatedAt`` of an event in the history, and of one that waits: when the event was first evaluated;
- ``origins`` of a record: when the changes of a value arrived. ``knownAt``: when its creation arrived;
- ``rejected`` of a waiting event: 15 minutes after its final decision;
- ``expiresAt`` of a waiting event, of a record that does not exist yet, and of an evaluation that is stored without
  its event. They follow from the times above, and it is checked that they do.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from enrollment.adapters.dynamodb.deferred_events import KEPT_SECONDS
from enrollment.application.event_history import DAY_MS, EVALUATION_KEPT_DAYS
from enrollment.domain.enrollment.late_data_tolerance import GRACE_MS
from enrollment.domain.events.causes import ASSOCIATED_RECORD_EVENT
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import EARLY_CHANGES_KEPT_MS

Item = Mapping[str, Any]
Place = tuple[str, ...]


@dataclass
class Arrivals:
    """Of one play. ``stored``: each time of arrival, by what arrived. ``times``: of the processes."""

    stored: dict[Place, int] = field(default_factory=dict)
    times: list[int] = field(default_factory=list)
    records: set[str] = field(default_factory=set)

    def note(self, keys: Collection[RecordKey], items: Sequence[Item]) -> None:
        """After the process of the last time. A record whose id is chosen by a process is looked at later."""
        for item in items:
            for place, arrived_at in _arrivals(item):
                if place in self.stored:
                    assert arrived_at == self.stored[place], f"{place} has changed"
                    continue
                allowed = {self.times[-1]} if item["pk"] in self.records else set(self.times)
                # The change of an event that is known to the second arrives when the event was first evaluated, though
                # a later delivery may store it. The history comes first in the order of items.
                evaluated_at = self.stored.get((item["pk"], "event", place[2]))
                if place[1] == "change" and evaluated_at is not None:
                    allowed.add(evaluated_at)
                if place[1] == "waiting" and evaluated_at is not None:
                    allowed = {evaluated_at}
                if place[1] == "associated":
                    # The event of the associated record was evaluated before.
                    allowed = {
                        at for (_, kind, *rest), at in self.stored.items() if (kind, rest) == ("event", [place[2]])
                    }
                assert arrived_at in allowed, f"{place} has the time of no process that could store it"
                self.stored[place] = arrived_at
        self.records |= {str(key) for key in keys}


def _arrivals(item: Item) -> Iterator[tuple[Place, int]]:
    """What arrived, and when."""
    pk, kind = item["pk"], item["sk"].partition("/")[0]
    if kind == "event":
        event_id = item["sk"].partition("/")[2].partition("/")[2]
        is_about_associated = "event" in item and json.loads(item["event"])["detail-type"] == ASSOCIATED_RECORD_EVENT
        # The one in ``event`` is that of the copy of the event that is kept, and is not read.
        yield (pk, "associated" if is_about_associated else "event", event_id), int(item["evaluatedAt"])
    elif kind == "waiting":
        event = json.loads(item["event"])
        yield (pk, "waiting", event["id"]), event["evaluatedAt"]
        for flow_id, until in json.loads(item.get("rejected", "{}")).items():
            yield (pk, "rejected", event["id"], flow_id), until - GRACE_MS
    elif kind == "record":
        # Changes without an event of their own, which the API makes, can arrive at several times.
        for event_id, arrived_at in json.loads(item.get("origins", "[]")):
            if arrived_at is not None:
                place = (pk, "change", event_id)
                yield (place if event_id else (*place, str(arrived_at))), arrived_at
        if "knownAt" in item:
            yield (pk, "known", item["createdAt"]), int(item["knownAt"])


def without_arrivals(item: Item, *, any_arrival: bool) -> dict[str, Any]:
    """Texts of JSON as what they say. In a record, arrivals are replaced by their order, and changes name the event
    that brought them in place of the number of their origin. ``any_arrival``: not even their order is kept, because a
    request and the events that it puts on the bus make the same changes, and either may be first with any of them."""
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
