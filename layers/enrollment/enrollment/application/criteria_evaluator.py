"""Evaluate the criteria of flows on a record (steps 8 to 10 of the decision). The portal's settings, the associations
and the associated records are read once for all flows that need them.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, tzinfo

from msgspec import Struct, field
from msgspec.structs import replace

from enrollment.application.ports import Associations, Portals, Records
from enrollment.domain.criteria.criteria import Criteria
from enrollment.domain.criteria.record_operators import zone_of
from enrollment.domain.criteria.transitions import Mentions, Transition, associated_filters
from enrollment.domain.enrollment.decisions import Code, Decision, criteria_decision, missed, waiting
from enrollment.domain.enrollment.late_data_tolerance import ends_at, later_instants
from enrollment.domain.events.event import Event
from enrollment.domain.events.moments import Moment, as_of
from enrollment.domain.flows.flow import Flow
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.associations import Association
from enrollment.domain.records.change_moments import MAX_LATER_CHANGES, ChangeMoment, change_moments
from enrollment.domain.records.record import Record, TimestampedValue, with_co_changed_properties
from enrollment.domain.records.record_snapshot import (
    MAX_ASSOCIATED,
    AssociatedRecords,
    AssociationRequirement,
    RecordSnapshot,
)
from enrollment.domain.values import LATEST, Instant

View = tuple[Instant, Moment]
"""The current time for operators that compare with it, and which changes of the record are seen."""

# Associations of a record with records of one type that are read, including removed ones.
MAX_ASSOCIATIONS = 5_000

# Evaluations of filters on associated records for the later changes of one event. With many associated records, fewer
# later changes are considered, so that an event is decided within the timeout of its function.
MAX_ASSOCIATED_EVALUATIONS = 200_000


class CriteriaResult(Struct, frozen=True):
    """``rejection``: the decision that rejects the record; None: the record may enter the flow. ``snapshot``: the
    snapshot of the record on which the criteria were evaluated."""

    rejection: Decision | None
    snapshot: RecordSnapshot


class CriteriaEvaluator(Struct, frozen=True):
    """Evaluates suppression, goal, refinement criteria, and the enrollment criteria of filter-based flows.

    ``sees_later_arrivals``: a later change that arrived after the event's first evaluation counts too, because the
    event of that change may not have seen this one. False for an explanation of what was decided.
    """

    records: Records
    associations: Associations
    portals: Portals
    sees_later_arrivals: bool = True

    def snapshot(self, record: Record, at: Instant, flows: Sequence[Flow]) -> RecordSnapshot:
        """Return the record as it was at an instant, with the associated records that the criteria of these flows need.

        This takes one query for each associated object type and one batch read for the associated records. Without such
        criteria it reads neither.
        """
        return self.snapshots(record, [(at, as_of(at))], flows)[0]

    def snapshots(self, record: Record, views: Sequence[View], flows: Sequence[Flow]) -> Sequence[RecordSnapshot]:
        """Return a snapshot for each view, as ``snapshot`` does, with the reads of a single snapshot."""
        has_criteria = any(
            criteria is not None
            for flow in flows
            for criteria in (flow.criteria, flow.suppression, flow.goal, flow.entry)
        )
        zone = zone_of(self.portals.settings(record.key.portal_id).time_zone) if has_criteria else UTC
        needs = frozenset(need for flow in flows for need in flow.needs)
        associated = self._read_associated(record, needs, views) if needs else _AssociatedRecords()
        return [
            RecordSnapshot(record, at, zone, associated.associates(needs, at, moment, zone), moment)
            for at, moment in views
        ]

    def transitions(self, event: Event, record: Record, flows: Sequence[Flow]) -> Mapping[str, Sequence[Transition]]:
        """Return by the ID of each filter-based flow the record just before and after the event's own change, then for
        each later change that its criteria mention. With the reads of a single snapshot for all flows."""
        evaluator = self.shared()
        changed = with_co_changed_properties(record, event)
        known_until = LATEST
        if event.evaluated_at is not None and not self.sees_later_arrivals:
            known_until = event.evaluated_at
        entries = {flow.id: flow.entry for flow in flows if flow.entry is not None}
        mentions = {flow_id: entry.mentions for flow_id, entry in entries.items()}
        associated = evaluator._read_mentioned(record.key, mentions.values(), event.occurred_at)
        moments: dict[str, Sequence[ChangeMoment]] = {
            flow_id: change_moments(
                changed,
                event,
                mentioned.properties,
                mentioned.lists,
                any_change=mentioned.any_change,
                known_until=known_until,
                associated=associated.changes(mentioned),
                max_later=_max_later_changes(entries[flow_id].criteria, len(associated.records)),
            )
            for flow_id, mentioned in mentions.items()
        }
        views = dict.fromkeys(
            (moment.at, view)
            for each in moments.values()
            for moment in each
            for view in (moment.before, moment.after)
            if view is not None
        )
        snapshots = dict(zip(views, evaluator.snapshots(changed, list(views), flows), strict=True))
        # The properties that changed together with the event are part of its change.
        snapshots |= {view: replace(each, record=record) for view, each in snapshots.items() if view[1].is_before}
        return {
            flow_id: [
                Transition(
                    moment.at,
                    moment.latest,
                    None if moment.before is None else snapshots[moment.at, moment.before],
                    snapshots[moment.at, moment.after],
                )
                for moment in each
            ]
            for flow_id, each in moments.items()
        }

    def _read_mentioned(self, key: RecordKey, mentions: Collection[Mentions], since: Instant) -> "_AssociatedRecords":
        """Read the associations of a record that criteria mention, and the records that it was associated with at
        ``since`` or later."""
        requirements = sorted({requirement for mentioned in mentions for requirement in mentioned.associations})
        associated = _AssociatedRecords(self._all_associations(key, requirements))
        keys = dict.fromkeys(
            key for requirement in requirements for key in associated.keys_from(requirement, since)[:MAX_ASSOCIATED]
        )
        return replace(associated, records=self.records.get_many(list(keys)) if keys else {})

    def _all_associations(
        self, key: RecordKey, requirements: Collection[AssociationRequirement]
    ) -> Mapping[str, Sequence[Association]]:
        """The associations of a record by object type, removed ones included."""
        return {
            object_type: self.associations.all_of(key, object_type, MAX_ASSOCIATIONS)
            for object_type in sorted({object_type for object_type, _ in requirements})
        }

    def shared(self) -> "CriteriaEvaluator":
        """Return an evaluator that reads each associated record once, for several events that are decided one after the
        other."""
        return replace(
            self, records=_RecordsReadOnce(self.records), associations=_AssociationsReadOnce(self.associations)
        )

    def record_tolerance(self, portal_id: str, flow: Flow | None) -> int:
        """Return the milliseconds by which a record may arrive after its event: the tolerance of the flow, or that of
        the portal if the flow has none."""
        if flow is not None and flow.record_tolerance is not None:
            return flow.record_tolerance
        return self.portals.settings(portal_id).record_tolerance

    def evaluate(
        self, event: Event, record: Record, flows: Sequence[Flow], now: Instant, *, waits: bool
    ) -> Mapping[str, CriteriaResult]:
        """Return the result of steps 8 to 10 by flow ID. ``waits``: a flow that tolerates late data may defer its
        decision; otherwise all results are final."""
        record = with_co_changed_properties(record, event)
        snapshot = self.snapshots(record, [(event.occurred_at, record.moment(event))], flows)[0]
        results = {flow.id: CriteriaResult(criteria_decision(flow, snapshot), snapshot) for flow in flows}
        tolerant = [
            (flow, tolerance)
            for flow in flows
            if (rejection := results[flow.id].rejection) is not None
            and rejection.code is Code.FILTERED_OUT
            and (tolerance := self._criteria_tolerance(flow)) > 0
        ]
        return results | self._results_with_late_data(event, record, tolerant, results, now, waits=waits)

    def _criteria_tolerance(self, flow: Flow) -> int:
        """Milliseconds after the event during which changes of the record count."""
        return self.portals.settings(flow.portal_id).tolerance if flow.tolerance is None else flow.tolerance

    def _results_with_late_data(
        self,
        event: Event,
        record: Record,
        tolerant: Sequence[tuple[Flow, int]],
        results: Mapping[str, CriteriaResult],
        now: Instant,
        *,
        waits: bool,
    ) -> dict[str, CriteriaResult]:
        """Evaluate each flow again as the record was after each change within the flow's tolerance. The first instant
        at which no criterion rejects is decisive; otherwise the last one is."""
        late_results: dict[str, CriteriaResult] = {}
        instants: dict[str, Sequence[Instant]] = {}
        for flow, tolerance in tolerant:
            is_final = not waits or ends_at(event, tolerance, now) <= now
            instants[flow.id] = later_instants(record, event, tolerance, is_final=is_final)
        evaluated_at = sorted({at for flow_instants in instants.values() for at in flow_instants})
        # A change whose time is known to the second only can be dated before an event that did not see it.
        views = [(max(at, event.occurred_at), record.moment(event).until(at)) for at in evaluated_at]
        taken = self.snapshots(record, views, [flow for flow, _ in tolerant]) if views else ()
        snapshots = dict(zip(evaluated_at, taken, strict=True))
        for flow, tolerance in tolerant:
            result = results[flow.id]
            for at in instants[flow.id]:
                result = CriteriaResult(criteria_decision(flow, snapshots[at]), snapshots[at])
                if result.rejection is None:
                    break
            rejection, until = result.rejection, ends_at(event, tolerance, now)
            if rejection is not None:
                rejection = waiting(rejection, until) if waits and until > now else missed(rejection, tolerance)
            late_results[flow.id] = replace(result, rejection=rejection)
        return late_results

    def _read_associated(
        self, record: Record, needs: frozenset[AssociationRequirement], views: Sequence[View]
    ) -> "_AssociatedRecords":
        associated = _AssociatedRecords(self._all_associations(record.key, needs))
        keys = dict.fromkeys(
            key for _, moment in views for need in needs for key in associated.keys(need, moment)[:MAX_ASSOCIATED]
        )
        return replace(associated, records=self.records.get_many(list(keys)) if keys else {})


def _max_later_changes(criteria: Criteria, associated_records: int) -> int:
    """Return at how many later changes criteria are evaluated. Each takes two evaluations of each filter of each
    associated record."""
    evaluations = 2 * associated_records * associated_filters(criteria)
    if evaluations == 0:
        return MAX_LATER_CHANGES
    return max(1, min(MAX_LATER_CHANGES, MAX_ASSOCIATED_EVALUATIONS // evaluations))


class _AssociatedRecords(Struct, frozen=True):
    """The records that a record was ever associated with. ``associations``: by object type ID."""

    associations: Mapping[str, Sequence[Association]] = field(default_factory=dict)
    records: Mapping[RecordKey, Record] = field(default_factory=dict)

    def keys(self, need: AssociationRequirement, moment: Moment) -> Sequence[RecordKey]:
        """The records that were associated in the required way at a moment."""
        object_type, kind = need
        return [
            association.other for association in self.associations[object_type] if association.held_at(kind, moment)
        ]

    def keys_from(self, need: AssociationRequirement, instant: Instant) -> Sequence[RecordKey]:
        """The records that were associated in the required way at an instant or later."""
        object_type, kind = need
        return [
            association.other
            for association in self.associations[object_type]
            if association.held_from(instant, [kind])
        ]

    def changes(self, mentioned: Mentions) -> Sequence[TimestampedValue]:
        """The changes that criteria mention: of the associations, and of the associated records."""
        changes: list[TimestampedValue] = []
        for need, of_record in mentioned.associated.items():
            for association in self.associations[need[0]]:
                of_association = association.changes(need[1])
                changes += of_association
                record = self.records.get(association.other) if of_association else None
                if record is not None and record.exists:
                    changes.append(TimestampedValue(True, record.created_at, record.known_at))
                    changes += record.changes_mentioned(
                        of_record.properties, of_record.lists, any_change=of_record.any_change
                    )
        return changes

    def associates(
        self, needs: frozenset[AssociationRequirement], at: Instant, moment: Moment, zone: tzinfo
    ) -> Mapping[AssociationRequirement, AssociatedRecords]:
        """The snapshots of the associated records at a moment, by requirement."""
        # One snapshot for each record, so that flows share the results of its filters.
        snapshots = {
            key: RecordSnapshot(record, at, zone, moment=moment)
            for key, record in self.records.items()
            if record.exists and record.existed_at_moment(moment)
        }
        keys_by_need = {need: self.keys(need, moment) for need in needs}
        return {
            need: AssociatedRecords(
                tuple(snapshots[key] for key in keys[:MAX_ASSOCIATED] if key in snapshots),
                len(self.associations[need[0]]) < MAX_ASSOCIATIONS and len(keys) <= MAX_ASSOCIATED,
                tuple(self._deleted_after(moment, [key for key in keys[:MAX_ASSOCIATED] if key not in snapshots])),
            )
            for need, keys in keys_by_need.items()
        }

    def _deleted_after(self, moment: Moment, keys: Iterable[RecordKey]) -> Iterator[tuple[RecordKey, Instant]]:
        """Yield those of the records that were deleted after a moment, with the time."""
        for key in keys:
            record = self.records.get(key)
            if record is not None and record.deleted_at is not None and record.deleted_at > moment.exact_until:
                yield key, record.deleted_at


class _RecordsReadOnce(Struct, frozen=True):
    """Reads each record once. ``read``: what was read; None: nothing is stored of the record."""

    records: Records
    read: dict[RecordKey, Record | None] = field(default_factory=dict)

    def get(self, key: RecordKey) -> Record | None:
        return self.get_many([key]).get(key)

    def get_many(self, keys: Sequence[RecordKey]) -> Mapping[RecordKey, Record]:
        unread = [key for key in keys if key not in self.read]
        if unread:
            stored = self.records.get_many(unread)
            self.read.update({key: stored.get(key) for key in unread})
        return {key: record for key in keys if (record := self.read[key]) is not None}

    def save(self, record: Record) -> Record:
        saved = self.records.save(record)
        self.read[record.key] = saved
        return saved


class _AssociationsReadOnce(Struct, frozen=True):
    """Answers each ``all_of`` query once."""

    associations: Associations
    read: dict[tuple[RecordKey, str, int, str], Sequence[Association]] = field(default_factory=dict)

    def get(self, record: RecordKey, other: RecordKey) -> Association:
        return self.associations.get(record, other)

    def of(self, record: RecordKey, object_type_id: str, limit: int, after: str = "") -> Sequence[Association]:
        return self.associations.of(record, object_type_id, limit, after)

    def all_of(self, record: RecordKey, object_type_id: str, limit: int, after: str = "") -> Sequence[Association]:
        query = (record, object_type_id, limit, after)
        if query not in self.read:
            self.read[query] = self.associations.all_of(record, object_type_id, limit, after)
        return self.read[query]

    def save(self, associations: Sequence[Association]) -> None:
        self.associations.save(associations)
