"""Replays, written by the API with PynamoDB models, and the results of their dry runs."""

from collections.abc import Iterator

from enrollment.adapters.dynamodb.model_store import ModelStore
from enrollment.adapters.dynamodb.models import DryRunItem, ReplayItem
from enrollment.adapters.dynamodb.replays import DynamoReplays, order_key, part_key
from enrollment.adapters.dynamodb.schema import ORDER
from enrollment.adapters.dynamodb.tables import Tables
from enrollment.domain.enrollment.decisions import Code
from enrollment.domain.enrollment.replays import DryRunResult, Replay


class ReplayRepository(DynamoReplays):
    """The port Replays for the API (``application.ports``)."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables)
        self._store = ModelStore(tables)

    def _read(self, name: str) -> Replay | None:
        item = self._store.get(ReplayItem, order_key(name), ORDER)
        if item is None:
            return None
        return Replay(
            name=name,
            portal_id=item.portal_id,
            flow_ids=None if item.flow_ids is None else frozenset(item.flow_ids),
            event_types=frozenset(item.event_types),
            is_dry_run=item.is_dry_run,
            created_at=int(item.created_at),
        )

    def save(self, replay: Replay) -> None:
        """Store a replay. DynamoDB deletes it some time after it expires."""
        item = ReplayItem(
            order_key(replay.name),
            ORDER,
            portal_id=replay.portal_id,
            flow_ids=None if replay.flow_ids is None else sorted(replay.flow_ids),
            event_types=sorted(replay.event_types),
            is_dry_run=replay.is_dry_run,
            created_at=replay.created_at,
            expires_at=replay.expires_at // 1000,
        )
        self._store.put(item)

    def counted(self, replay: Replay, part: int) -> Iterator[DryRunResult]:
        """Yield the results in one part. They are sorted by record, which is a digest."""
        for item in self._store.query(DryRunItem, part_key(replay, part)):
            record, _ = item.sk.split("/")
            yield DryRunResult(record, {flow_id: Code(code) for flow_id, code in item.codes.items()})
