"""Criteria asked of a record: what they look at is read once for all the flows that ask."""

from collections.abc import Mapping, Sequence
from datetime import UTC, tzinfo

from msgspec import Struct, field
from msgspec.structs import replace

from enrollment.domain.associations import Association
from enrollment.domain.decisions import Code, Decision, criteria_verdict, missed, waiting
from enrollment.domain.events import Event
from enrollment.domain.flows import Flow
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.record_operations import zone_of
from enrollment.domain.records import Record, with_companions
from enrollment.domain.subjects import MAX_ASSOCIATED, Associates, Need, Subject
from enrollment.domain.tolerance import ends_at, later_instants
from enrollment.domain.values import Instant
from enrollment.ports import Associations, Portals, Records

# Associations of a record, with those of one type, that are read; those that hold no more are among them.
MAX_ASSOCIATIONS = 5_000


class Verdict(Struct, frozen=True):
    """What stands against a flow; None: the record may enter. ``subject``: the record as it was seen for that."""

    objection: Decision | None
    subject: Subject


class Evaluation(Struct, frozen=True):
    records: Records
    associations: Associations
    portals: Portals

    def subject(self, record: Record, at: Instant, flows: Sequence[Flow]) -> Subject:
        """The record as it was at an instant, with all that the criteria of these flows look at: one query for its
        associations of each type and one batch for the associated records, or neither when no flow looks at them."""
        return self.subjects(record, [at], flows)[0]

    def subjects(self, record: Record, instants: Sequence[Instant], flows: Sequence[Flow]) -> Sequence[Subject]:
        """The same at several instants, at the cost of one."""
        asks = any(one is not None for flow in flows for one in (flow.criteria, flow.suppression, flow.goal))
        zone = zone_of(self.portals.settings(record.key.portal_id).time_zone) if asks else UTC
        needs = frozenset(need for flow in flows for need in flow.needs)
        neighbours = self._neighbours(record, needs, instants) if needs else _Neighbours()
        return [Subject(record, at, zone, neighbours.associates(needs, at, zone)) for at in instants]

    def verdicts(
        self, event: Event, record: Record, flows: Sequence[Flow], now: Instant, *, waits: bool
    ) -> Mapping[str, Verdict]:
        """Steps 8 to 10 of the order of decisions, for each flow by its id. ``waits``: whether a flow that tolerates
        later data may put its decision off."""
        record = with_companions(record, event)
        subject = self.subject(record, event.occurred_at, flows)
        verdicts = {flow.id: Verdict(criteria_verdict(flow, subject), subject) for flow in flows}
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
        verdicts: Mapping[str, Verdict],
        now: Instant,
        *,
        waits: bool,
    ) -> dict[str, Verdict]:
        """As the record was after its changes within each flow's tolerance. The first moment at which nothing stands
        against the flow decides; else the last."""
        later: dict[str, Verdict] = {}
        instants: dict[str, Sequence[Instant]] = {}
        for flow, tolerance in tolerant:
            is_final = not waits or ends_at(event, tolerance, now) <= now
            instants[flow.id] = later_instants(record, event, tolerance, is_final=is_final)
        moments = sorted({at for many in instants.values() for at in many})
        found = self.subjects(record, moments, [flow for flow, _ in tolerant]) if moments else ()
        subjects = dict(zip(moments, found, strict=True))
        for flow, tolerance in tolerant:
            verdict = verdicts[flow.id]
            for at in instants[flow.id]:
                verdict = Verdict(criteria_verdict(flow, subjects[at]), subjects[at])
                if verdict.objection is None:
                    break
            objection, until = verdict.objection, ends_at(event, tolerance, now)
            if objection is not None:
                objection = waiting(objection, until) if waits and until > now else missed(objection, tolerance)
            later[flow.id] = replace(verdict, objection=objection)
        return later

    def _neighbours(self, record: Record, needs: frozenset[Need], instants: Sequence[Instant]) -> "_Neighbours":
        associations = {
            object_type: self.associations.all_of(record.key, object_type, MAX_ASSOCIATIONS)
            for object_type in sorted({object_type for object_type, _ in needs})
        }
        found = _Neighbours(associations)
        wanted = dict.fromkeys(
            key for at in instants for need in needs for key in found.associated(need, at)[:MAX_ASSOCIATED]
        )
        return replace(found, records=self.records.get_many(list(wanted)) if wanted else {})


class _Neighbours(Struct, frozen=True):
    """What was read of the records that a record was ever associated with."""

    associations: Mapping[str, Sequence[Association]] = field(default_factory=dict)
    records: Mapping[RecordKey, Record] = field(default_factory=dict)

    def associated(self, need: Need, at: Instant) -> Sequence[RecordKey]:
        object_type, kind = need
        return [one.other for one in self.associations[object_type] if one.held_at(kind, at)]

    def associates(self, needs: frozenset[Need], at: Instant, zone: tzinfo) -> Mapping[Need, Associates]:
        # One subject a record, so that what it is asked for one flow is known for the others.
        subjects = {
            key: Subject(one, at, zone)
            for key, one in self.records.items()
            if not one.is_deleted and one.existed_at(at)
        }
        keys = {need: self.associated(need, at) for need in needs}
        return {
            need: Associates(
                tuple(subjects[key] for key in many[:MAX_ASSOCIATED] if key in subjects),
                len(self.associations[need[0]]) < MAX_ASSOCIATIONS and len(many) <= MAX_ASSOCIATED,
            )
            for need, many in keys.items()
        }
