"""Ordered replays in DynamoDB, and what their dry runs decided: an item an event, so that one that is delivered twice
counts once."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from hashlib import sha256

from enrollment.adapters.tables import ReplayItem, Tables
from enrollment.domain.decisions import Code, Decision
from enrollment.domain.events import Event
from enrollment.domain.identifiers import join
from enrollment.domain.replays import Rehearsal, Replay
from enrollment.ports import REPLAY_PARTS

REPLAY = "replay"
ORDER = "order"

REMEMBERED = 100


class DynamoReplays:
    def __init__(self, tables: Tables) -> None:
        self._orders = tables.replays
        self._rehearsals = tables.rehearsals
        self._known: OrderedDict[str, Replay] = OrderedDict()

    def get(self, name: str) -> Replay | None:
        # An order never changes, and thousands of events ask for the same one.
        if name not in self._known:
            try:
                self._known[name] = _replay(name, self._orders.get(_order_key(name), ORDER, consistent_read=True))
            except self._orders.DoesNotExist:
                return None
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return self._known[name]

    def save(self, replay: Replay) -> None:
        self._orders(
            _order_key(replay.name),
            ORDER,
            portal_id=replay.portal_id,
            flow_ids=None if replay.flow_ids is None else sorted(replay.flow_ids),
            event_types=sorted(replay.event_types),
            is_dry_run=replay.is_dry_run,
            created_at=replay.created_at,
            expires_at=replay.expires_at // 1000,
        ).save()

    def count(self, replay: Replay, event: Event, decisions: Sequence[Decision]) -> None:
        # Digests: of the longest ids two would not fit into one key.
        record = _digest(join(event.object_type_id, event.object_id or ""))
        self._rehearsals(
            _part_key(replay, int(record, 16) % REPLAY_PARTS),
            join(record, _digest(event.id)),
            codes={one.flow_id: one.code.value for one in decisions},
            expires_at=replay.expires_at // 1000,
        ).save()

    def counted(self, replay: Replay, part: int) -> Iterator[Rehearsal]:
        for item in self._rehearsals.query(_part_key(replay, part), consistent_read=True):
            record, _ = item.sk.split("/")
            yield Rehearsal(record, {flow_id: Code(code) for flow_id, code in item.codes.items()})


def _order_key(name: str) -> str:
    return join("replays", name)


def _part_key(replay: Replay, part: int) -> str:
    """Four parts, as no record has."""
    return join(REPLAY, replay.portal_id, replay.name, str(part))


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _replay(name: str, item: ReplayItem) -> Replay:
    return Replay(
        name=name,
        portal_id=item.portal_id,
        flow_ids=None if item.flow_ids is None else frozenset(item.flow_ids),
        event_types=frozenset(item.event_types),
        is_dry_run=item.is_dry_run,
        created_at=int(item.created_at),
    )
