"""Runs and their shards in DynamoDB, with PynamoDB models: for the API and for the workers, which are off the event
path."""

from collections.abc import Sequence

from msgspec.structs import asdict, replace

from enrollment.adapters.dynamodb import schema
from enrollment.adapters.dynamodb.model_store import ModelStore, Put, is_unchanged
from enrollment.adapters.dynamodb.models import ActiveRunItem, RunItem, RunShardItem
from enrollment.adapters.dynamodb.tables import Expression, Tables
from enrollment.application.ports import RECORD_SHARDS, ConcurrentModification
from enrollment.domain.enrollment.decisions import Code
from enrollment.domain.enrollment.runs import Run, RunKind, RunShard, RunStatus
from enrollment.domain.identifiers import join


class DynamoRuns:
    """The port Runs (``application.ports``). The attribute `run` has the fields of ``Run`` except the version."""

    def __init__(self, tables: Tables) -> None:
        self._flows = tables.flows
        self._store = ModelStore(tables)

    def create(self, run: Run, finished: Sequence[str] = ()) -> Run:
        """Write the run, its shards and its entry among the active runs in one transaction. A flow has one such entry,
        so that two runs of a flow cannot be started at the same time."""
        active = _active_item(run)
        shards = [_shard_item(run, RunShard(run.id, number)) for number in range(RECORD_SHARDS)]
        is_free = ActiveRunItem.pk.does_not_exist() | (ActiveRunItem.expires_at < run.started_at // 1000)
        if finished:
            is_free |= ActiveRunItem.run_id.is_in(*finished)
        puts = [Put(item, type(item).pk.does_not_exist()) for item in (_run_item(run), *shards)]
        self._store.put_all([*puts, Put(active, is_free)], f"run {run.id}")
        return replace(run, version=1)

    def get(self, portal_id: str, flow_id: str, run_id: str) -> Run | None:
        """Return the run, with its version."""
        item = self._store.get(RunItem, _runs_key(portal_id, flow_id), join(run_id))
        return None if item is None else _run(item)

    def of_flow(self, portal_id: str, flow_id: str, limit: int, before: str | None = None) -> Sequence[Run]:
        """Return the newest runs: their IDs sort by time."""
        condition = None if before is None else RunItem.sk < join(before)
        found = self._store.query(RunItem, _runs_key(portal_id, flow_id), condition, newest_first=True, page_size=limit)
        return [_run(item) for _, item in zip(range(limit), found, strict=False)]

    def save(self, run: Run) -> Run:
        """Store the run, and in its entry among the active runs whether it is paused. Return the run with its new
        version. Raises ConcurrentModification if the stored version is another."""
        is_own = ActiveRunItem.pk.does_not_exist() | (ActiveRunItem.run_id == run.id)
        run_put = Put(_run_item(run), is_unchanged(RunItem, run.version))
        self._store.put_all([run_put, Put(_active_item(run), is_own)], f"run {run.id}")
        return replace(run, version=run.version + 1)

    def shards(self, run: Run) -> Sequence[RunShard]:
        """Return the shards by one query."""
        return [
            RunShard(
                run_id=run.id,
                number=int(item.sk),
                after=item.after,
                counts={Code(code): number for code, number in item.counts.items()},
                is_done=item.is_done,
                free_at=int(item.free_at),
                attempts=int(item.attempts),
                holder=item.holder or "",
                version=int(item.version),
            )
            for item in self._store.query(RunShardItem, join(schema.RUN_SHARDS, run.id))
        ]

    def save_shard(self, run: Run, shard: RunShard) -> RunShard:
        """Return the shard with its new version. Raises ConcurrentModification if the stored version is another."""
        if not self._store.put(_shard_item(run, shard), is_unchanged(RunShardItem, shard.version)):
            raise ConcurrentModification(f"shard {shard.number} of run {run.id} was taken by another worker")
        return replace(shard, version=shard.version + 1)

    def active(self, *, with_paused: bool = False) -> Sequence[Run]:
        """Return the active runs, with one read for each. Of a paused run, only the small entry is read."""
        entries = self._store.query(ActiveRunItem, schema.ACTIVE_RUNS)
        wanted = (entry for entry in entries if with_paused or not entry.is_paused)
        runs = [self.get(entry.portal_id, entry.flow_id, entry.run_id) for entry in wanted]
        return [run for run in runs if run is not None]

    def deactivate(self, run: Run) -> None:
        """Delete the run's entry among the active runs, unless the entry is that of a later run of the flow."""
        entry = join(run.portal_id, run.flow_id)
        self._flows.delete(schema.ACTIVE_RUNS, entry, Expression("runId = :run", run=run.id))


def _runs_key(portal_id: str, flow_id: str) -> str:
    return join(schema.RUNS, portal_id, flow_id)


def _active_item(run: Run) -> ActiveRunItem:
    return ActiveRunItem(
        schema.ACTIVE_RUNS,
        join(run.portal_id, run.flow_id),
        portal_id=run.portal_id,
        flow_id=run.flow_id,
        run_id=run.id,
        is_paused=run.status is RunStatus.PAUSED,
        expires_at=run.expires_at // 1000,
    )


def _run_item(run: Run) -> RunItem:
    fields = {name: value for name, value in asdict(run).items() if name != "version"}
    return RunItem(
        _runs_key(run.portal_id, run.flow_id),
        join(run.id),
        version=run.version + 1,
        run=fields,
        expires_at=run.expires_at // 1000,
    )


def _run(item: RunItem) -> Run:
    fields = {**item.run, "kind": RunKind(item.run["kind"]), "status": RunStatus(item.run["status"])}
    return Run(**fields, version=int(item.version))


def _shard_item(run: Run, shard: RunShard) -> RunShardItem:
    return RunShardItem(
        join(schema.RUN_SHARDS, run.id),
        f"{shard.number:02}",
        version=shard.version + 1,
        after=shard.after,
        counts={code.value: number for code, number in shard.counts.items()},
        is_done=shard.is_done,
        free_at=shard.free_at,
        attempts=shard.attempts,
        holder=shard.holder or None,
        expires_at=run.expires_at // 1000,
    )
