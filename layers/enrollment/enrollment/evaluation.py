"""What criteria see of a record: read once for all the flows that ask."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo

from enrollment.domain.flows import Flow
from enrollment.domain.record_operations import zone_of
from enrollment.domain.records import Record
from enrollment.domain.subjects import MAX_ASSOCIATED, Associates, Need, Subject
from enrollment.domain.values import Instant
from enrollment.ports import Associations, Portals, Records

# Associations of a record, with those of one type, that are read; those that hold no more are among them.
MAX_ASSOCIATIONS = 5_000


@dataclass(frozen=True, slots=True)
class Evaluation:
    records: Records
    associations: Associations
    portals: Portals

    def subject(self, record: Record, at: Instant, flows: Sequence[Flow]) -> Subject:
        """The record as it was at an instant, with all that the criteria of these flows look at: one query for its
        associations of each type and one batch for the associated records, or neither when no flow looks at them."""
        asks = any(one is not None for flow in flows for one in (flow.criteria, flow.suppression, flow.goal))
        zone = zone_of(self.portals.settings(record.key.portal_id).time_zone) if asks else UTC
        needs = frozenset(need for flow in flows for need in flow.needs)
        associates = self._associates(record, needs, at, zone) if needs else {}
        return Subject(record, at, zone, associates)

    def _associates(
        self, record: Record, needs: frozenset[Need], at: Instant, zone: tzinfo
    ) -> Mapping[Need, Associates]:
        found = {
            object_type: self.associations.all_of(record.key, object_type, MAX_ASSOCIATIONS)
            for object_type in sorted({object_type for object_type, _ in needs})
        }
        keys = {need: [one.other for one in found[need[0]] if one.held_at(need[1], at)] for need in needs}
        wanted = list(dict.fromkeys(key for many in keys.values() for key in many[:MAX_ASSOCIATED]))
        records = self.records.get_many(wanted) if wanted else {}
        # One subject a record, so that what it is asked for one flow is known for the others.
        subjects = {
            key: Subject(one, at, zone) for key, one in records.items() if not one.is_deleted and one.existed_at(at)
        }
        return {
            need: Associates(
                tuple(subjects[key] for key in many[:MAX_ASSOCIATED] if key in subjects),
                len(found[need[0]]) < MAX_ASSOCIATIONS and len(many) <= MAX_ASSOCIATED,
            )
            for need, many in keys.items()
        }
