"""Ordered replays in DynamoDB, and what their dry runs decided: an item an event, so that one that is delivered twice
counts once."""

import json
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from hashlib import sha256

from enrollment.adapters.dynamodb.schema import ORDER, REPLAY, REPLAYS
from enrollment.adapters.dynamodb.tables import Expression, Item, Tables
from enrollment.application.ports import REPLAY_PARTS
from enrollment.domain.enrollment.decisions import Code, Decision
from enrollment.domain.enrollment.replays import DryRunResult, Replay
from enrollment.domain.events.event import Event
from enrollment.domain.identifiers import join

REMEMBERED = 100


class DynamoReplays:
    def __init__(self, tables: Tables) -> None:
        self._orders = tables.flows
        self._rehearsals = tables.records
        self._known: OrderedDict[str, Replay] = OrderedDict()

    def get(self, name: str) -> Replay | None:
        # An order never changes, and thousands of events ask for the same one.
        if name not in self._known:
            replay = self._read(name)
            if replay is None:
                return None
            self._known[name] = replay
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return self._known[name]

    def _read(self, name: str) -> Replay | None:
        item = self._orders.get(order_key(name), ORDER)
        return None if item is None else _replay(name, item)

    def save(self, replay: Replay) -> None:
        self._orders.put(
            {
                "pk": order_key(replay.name),
                "sk": ORDER,
                "portalId": replay.portal_id,
                "flowIds": None if replay.flow_ids is None else json.dumps(sorted(replay.flow_ids)),
                "eventTypes": json.dumps(sorted(replay.event_types)),
                "isDryRun": replay.is_dry_run,
                "createdAt": replay.created_at,
                "expiresAt": replay.expires_at // 1000,
            }
        )

    def count(self, replay: Replay, event: Event, decisions: Sequence[Decision]) -> None:
        # Digests: of the longest ids two would not fit into one key.
        record = _digest(join(event.object_type_id, event.object_id or ""))
        self._rehearsals.put(
            {
                "pk": part_key(replay, int(record, 16) % REPLAY_PARTS),
                "sk": join(record, _digest(event.id)),
                "codes": json.dumps({one.flow_id: one.code.value for one in decisions}),
                "expiresAt": replay.expires_at // 1000,
            }
        )

    def counted(self, replay: Replay, part: int) -> Iterator[DryRunResult]:
        for item in self._rehearsals.query(Expression("pk = :part", part=part_key(replay, part))):
            record, _ = item["sk"].split("/")
            yield DryRunResult(record, {flow_id: Code(code) for flow_id, code in json.loads(item["codes"]).items()})


def order_key(name: str) -> str:
    return join(REPLAYS, name)


def part_key(replay: Replay, part: int) -> str:
    """Four parts, as no record has."""
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
