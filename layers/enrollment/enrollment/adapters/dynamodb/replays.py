"""Replays in DynamoDB, and the results of dry runs. A result is an item for each event, so an event that is delivered
twice is counted once."""

import json
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from hashlib import sha256

from enrollment.adapters.dynamodb.schema import ORDER, REPLAY, REPLAYS, TIME_TO_LIVE
from enrollment.adapters.dynamodb.tables import Expression, Item, Tables
from enrollment.application.ports import REPLAY_PARTS
from enrollment.domain.enrollment.decisions import Code, Decision
from enrollment.domain.enrollment.replays import DryRunResult, Replay
from enrollment.domain.events.event import Event
from enrollment.domain.identifiers import join

# Replays in the cache.
REMEMBERED = 100


class DynamoReplays:
    """The port Replays for the event path (``application.ports``)."""

    def __init__(self, tables: Tables) -> None:
        self._replays = tables.flows
        self._results = tables.records
        self._cache: OrderedDict[str, Replay] = OrderedDict()

    def get(self, name: str) -> Replay | None:
        """Return a replay by its name, cached once it was read. None: no replay with this name was requested."""
        # A stored replay never changes, and each of its events needs it.
        if name not in self._cache:
            replay = self._read(name)
            if replay is None:
                return None
            self._cache[name] = replay
            if len(self._cache) > REMEMBERED:
                self._cache.popitem(last=False)
        return self._cache[name]

    def _read(self, name: str) -> Replay | None:
        item = self._replays.get(order_key(name), ORDER)
        return None if item is None else _replay(name, item)

    def save(self, replay: Replay) -> None:
        """Store a replay. DynamoDB deletes it some time after it expires."""
        self._replays.put(
            {
                "pk": order_key(replay.name),
                "sk": ORDER,
                "portalId": replay.portal_id,
                "flowIds": None if replay.flow_ids is None else json.dumps(sorted(replay.flow_ids)),
                "eventTypes": json.dumps(sorted(replay.event_types)),
                "isDryRun": replay.is_dry_run,
                "createdAt": replay.created_at,
                TIME_TO_LIVE: replay.expires_at // 1000,
            }
        )

    def count(self, replay: Replay, event: Event, decisions: Sequence[Decision]) -> None:
        """Store the decisions on an event. A second call for the same event overwrites the item."""
        # Digests, because two IDs of the greatest length would not fit into a sort key.
        record = _digest(join(event.object_type_id, event.object_id or ""))
        self._results.put(
            {
                "pk": part_key(replay, int(record, 16) % REPLAY_PARTS),
                "sk": join(record, _digest(event.id)),
                "codes": json.dumps({decision.flow_id: decision.code.value for decision in decisions}),
                TIME_TO_LIVE: replay.expires_at // 1000,
            }
        )

    def counted(self, replay: Replay, part: int) -> Iterator[DryRunResult]:
        """Yield the results in one part. They are sorted by record, which is a digest."""
        for item in self._results.query(Expression("pk = :part", part=part_key(replay, part))):
            record, _ = item["sk"].split("/")
            yield DryRunResult(record, {flow_id: Code(code) for flow_id, code in json.loads(item["codes"]).items()})


def order_key(name: str) -> str:
    """Return the partition key of a replay."""
    return join(REPLAYS, name)


def part_key(replay: Replay, part: int) -> str:
    """Return the partition key of a part of the results. It has four parts and that of a record three, so they cannot
    be equal."""
    return join(REPLAY, replay.portal_id, replay.name, str(part))


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _replay(name: str, item: Item) -> Replay:
    return Replay(
        name=name,
        portal_id=item["portalId"],
        flow_ids=frozenset(json.loads(item["flowIds"])) if "flowIds" in item else None,
        event_types=frozenset(json.loads(item["eventTypes"])),
        is_dry_run=item["isDryRun"],
        created_at=item["createdAt"],
    )
