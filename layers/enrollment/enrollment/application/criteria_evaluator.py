"""Criteria asked of a record: what they look at is read once for all the flows that ask."""

from collections.abc import Mapping, Sequence
from datetime import UTC, tzinfo

from msgspec import Struct, field
from msgspec.structs import replace

from enrollment.application.ports import Associations, Portals, Records
from enrollment.domain.criteria.record_operators import zone_of
from enrollment.domain.enrollment.decisions import Code, Decision, criteria_decision, missed, waiting
from enrollment.domain.enrollment.late_data_tolerance import ends_at, later_instants
from enrollment.domain.events.event import Event
from enrollment.domain.events.moments import Moment, as_of
from enrollment.domain.flows.flow import Flow
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.associations import Association
from enrollment.domain.records.record import Record, with_co_changed_properties
from enrollment.domain.records.record_snapshot import (
    MAX_ASSOCIATED,
    AssociatedRecords,
    AssociationRequirement,
    RecordSnapshot,
)
from enrollment.domain.values import Instant

View = tuple[Instant, Moment]
"""The current time of operations that compare with it, and which changes are seen."""

# Associations of a record, with those of one type, that are read; those that hold no more are among them.
MAX_ASSOCIATIONS = 5_000


class CriteriaResult(Struct, frozen=True):
    """What stands against a flow; None: the record may enter. ``subject``: the record as it was seen for that."""

    objection: Decision | None
    subject: RecordSnapshot


class CriteriaEvaluator(Struct, frozen=True):
    records: Records
    associations: Associations
    portals: Portals

    def subject(self, record: Record, at: Instant, flows: Sequence[Flow]) -> RecordSnapshot:
        """The record as it was at an instant, with all that the criteria of these flows need: one query for its
        associations of each type and one batch for the associated records, or neither when no flow needs them."""
        return self.subjects(record, [(at, as_of(at))], flows)[0]

    def subjects(self, record: Record, views: Sequence[View], flows: Sequence[Flow]) -> Sequence[RecordSnapshot]:
        """The record as it was at several moments, with the reads of one."""
        asks = any(one is not None for flow in flows for one in (flow.criteria, flow.suppression, flow.goal))
        zone = zone_of(self.portals.settings(record.key.portal_id).time_zone) if asks else UTC
        needs = frozenset(need for flow in flows for need in flow.needs)
        neighbours = self._neighbours(record, needs, views) if needs else _AssociatedRecords()
        return [
            RecordSnapshot(record, at, zone, neighbours.associates(needs, at, moment, zone), moment)
            for at, moment in views
        ]

    def shared(self) -> "CriteriaEvaluator":
        """For several events of one record that are decided after each other: the associated records are read once."""
        return replace(
            self, records=_RecordsReadOnce(self.records), associations=_AssociationsReadOnce(self.associations)
        )

    def record_tolerance(self, portal_id: str, flow: Flow | None) -> int:
        """Milliseconds by which a record may arrive after its event; that of the portal where the flow sets none."""
        if flow is not None and flow.record_tolerance is not None:
            return flow.record_tolerance
        return self.portals.settings(portal_id).record_tolerance

    def verdicts(
        self, event: Event, record: Record, flows: Sequence[Flow], now: Instant, *, waits: bool
    ) -> Mapping[str, CriteriaResult]:
        """Steps 8 to 10 of the order of decisions, for each flow by its id. ``waits``: whether a flow that tolerates
        later data may put its decision off."""
        record = with_co_changed_properties(record, event)
        subject = self.subjects(record, [(event.occurred_at, record.moment(event))], flows)[0]
        verdicts = {flow.id: CriteriaResult(criteria_decision(flow, subject), subject) for flow in flows}
        tolerant = [
            (flow, tolerance)
            for flow in flows
            if (objection := verdicts[flow.id].objection) is not None
            and objection.code is Code.FILTERED_OUT
            and (tolerance := self._tolerance(flow)) > 0
        ]
        return verdicts | self._later_verdicts(event, record, tolerant, verdicts, now, waits=waits)

    def _tolerance(self, flow: Flow) -> int:
        return self.portals.settings(flow.portal_id).tolerance if flow.tolerance is None else flow.tolerance

    def _later_verdicts(
        self,
        event: Event,
        record: Record,
        tolerant: Sequence[tuple[Flow, int]],
        verdicts: Mapping[str, CriteriaResult],
        now: Instant,
        *,
        waits: bool,
    ) -> dict[str, CriteriaResult]:
        """As the record was after its changes within each flow's tolerance. The first moment at which nothing stands
        against the flow decides; else the last."""
        later: dict[str, CriteriaResult] = {}
        instants: dict[str, Sequence[Instant]] = {}
        for flow, tolerance in tolerant:
            is_final = not waits or ends_at(event, tolerance, now) <= now
            instants[flow.id] = later_instants(record, event, tolerance, is_final=is_final)
        moments = sorted({at for many in instants.values() for at in many})
        # A change that is known to the second only can be dated before the event that did not see it.
        views = [(max(at, event.occurred_at), record.moment(event).until(at)) for at in moments]
        found = self.subjects(record, views, [flow for flow, _ in tolerant]) if moments else ()
        subjects = dict(zip(moments, found, strict=True))
        for flow, tolerance in tolerant:
            verdict = verdicts[flow.id]
            for at in instants[flow.id]:
                verdict = CriteriaResult(criteria_decision(flow, subjects[at]), subjects[at])
                if verdict.objection is None:
                    break
            objection, until = verdict.objection, ends_at(event, tolerance, now)
            if objection is not None:
                objection = waiting(objection, until) if waits and until > now else missed(objection, tolerance)
            later[flow.id] = replace(verdict, objection=objection)
        return later

    def _neighbours(
        self, record: Record, needs: frozenset[AssociationRequirement], views: Sequence[View]
    ) -> "_AssociatedRecords":
        associations = {
            object_type: self.associations.all_of(record.key, object_type, MAX_ASSOCIATIONS)
            for object_type in sorted({object_type for object_type, _ in needs})
        }
        found = _AssociatedRecords(associations)
        wanted = dict.fromkeys(
            key for _, moment in views for need in needs for key in found.associated(need, moment)[:MAX_ASSOCIATED]
        )
        return replace(found, records=self.records.get_many(list(wanted)) if wanted else {})


class _AssociatedRecords(Struct, frozen=True):
    """What was read of the records that a record was ever associated with."""

    associations: Mapping[str, Sequence[Association]] = field(default_factory=dict)
    records: Mapping[RecordKey, Record] = field(default_factory=dict)

    def associated(self, need: AssociationRequirement, moment: Moment) -> Sequence[RecordKey]:
        object_type, kind = need
        return [one.other for one in self.associations[object_type] if one.held_at(kind, moment)]

    def associates(
        self, needs: frozenset[AssociationRequirement], at: Instant, moment: Moment, zone: tzinfo
    ) -> Mapping[AssociationRequirement, AssociatedRecords]:
        # One subject for each record, so that the result of a filter is shared between flows.
        subjects = {
            key: RecordSnapshot(one, at, zone, moment=moment)
            for key, one in self.records.items()
            if one.exists and one.existed_at(moment.latest)
        }
        keys = {need: self.associated(need, moment) for need in needs}
        return {
            need: AssociatedRecords(
                tuple(subjects[key] for key in many[:MAX_ASSOCIATED] if key in subjects),
                len(self.associations[need[0]]) < MAX_ASSOCIATIONS and len(many) <= MAX_ASSOCIATED,
            )
            for need, many in keys.items()
        }


class _RecordsReadOnce(Struct, frozen=True):
    records: Records
    read: dict[RecordKey, Record | None] = field(default_factory=dict)

    def get(self, key: RecordKey) -> Record | None:
        return self.get_many([key]).get(key)

    def get_many(self, keys: Sequence[RecordKey]) -> Mapping[RecordKey, Record]:
        unread = [key for key in keys if key not in self.read]
        if unread:
            found = self.records.get_many(unread)
            self.read.update({key: found.get(key) for key in unread})
        return {key: record for key in keys if (record := self.read[key]) is not None}

    def save(self, record: Record) -> Record:
        saved = self.records.save(record)
        self.read[record.key] = saved
        return saved


class _AssociationsReadOnce(Struct, frozen=True):
    associations: Associations
    read: dict[tuple[RecordKey, str, int], Sequence[Association]] = field(default_factory=dict)

    def get(self, record: RecordKey, other: RecordKey) -> Association:
        return self.associations.get(record, other)

    def of(self, record: RecordKey, object_type_id: str, limit: int, after: str = "") -> Sequence[Association]:
        return self.associations.of(record, object_type_id, limit, after)

    def all_of(self, record: RecordKey, object_type_id: str, limit: int) -> Sequence[Association]:
        question = (record, object_type_id, limit)
        if question not in self.read:
            self.read[question] = self.associations.all_of(record, object_type_id, limit)
        return self.read[question]

    def save(self, associations: Sequence[Association]) -> None:
        self.associations.save(associations)
