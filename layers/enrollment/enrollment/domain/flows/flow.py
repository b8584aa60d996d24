"""A flow: who may enter it, by which events."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from enrollment.domain.criteria.criteria import Criteria, needs
from enrollment.domain.flows.rate_limit import RateLimit
from enrollment.domain.operators.filters import Failure, PropertyFilter
from enrollment.domain.records.record_snapshot import AssociationRequirement
from enrollment.domain.values import Instant, Properties


class TriggerGroup(Struct, frozen=True):
    """``index`` counts eventFilterBranches first, then listMembershipFilterBranches. ``event_type`` is the catalog's
    name; ``event_type_id`` HubSpot's id of it, None where there is none. No filters: every such event. ``also``: other
    event types that can satisfy the group."""

    index: int
    event_type: str
    event_type_id: str | None
    filters: tuple[PropertyFilter, ...]
    also: tuple[str, ...] = ()

    @property
    def event_types(self) -> tuple[str, ...]:
        return (self.event_type, *self.also)

    def failure(self, properties: Properties) -> Failure | None:
        """The first refinement that does not hold; None: the group matches."""
        for one in self.filters:
            failure = one.failure(properties)
            if failure is not None:
                return failure
        return None


class Flow(Struct, frozen=True):
    """``enabled_at``: when it was last turned on; None: never. ``changed_at``: when anything of it last changed.
    ``suppression``: records that must not enter; ``goal``: those that need not. ``tolerance``: milliseconds by which
    data may come after its event, ``record_tolerance``: by which the record may; None: as the portal says.
    ``rate_limit``: how fast records may enter; None: at once.
    """

    portal_id: str
    id: str
    name: str
    object_type_id: str
    revision_id: str
    is_enabled: bool
    enabled_at: Instant | None
    changed_at: Instant
    should_re_enroll: bool
    groups: tuple[TriggerGroup, ...]
    criteria: Criteria | None = None
    suppression: Criteria | None = None
    goal: Criteria | None = None
    tolerance: int | None = None
    rate_limit: RateLimit | None = None
    record_tolerance: int | None = None

    @property
    def needs(self) -> frozenset[AssociationRequirement]:
        """The associated records that its criteria look at."""
        return frozenset(need for one in (self.suppression, self.goal, self.criteria) for need in needs(one))

    @property
    def event_types(self) -> frozenset[str]:
        return frozenset(event_type for group in self.groups for event_type in group.event_types)


class FlowRevision(Struct, frozen=True):
    """A flow as it was written, with what the system adds. ``document`` is HubSpot's JSON, every key as it came.
    ``is_deleted``: only its number is kept, so that a flow of the same id continues to count."""

    portal_id: str
    id: str
    revision: int
    document: Mapping[str, Any]
    is_enabled: bool
    enabled_at: Instant | None
    created_at: Instant
    changed_at: Instant
    is_deleted: bool = False


# Keys of a flow's JSON that the system writes; what an author sends of them is not kept.
SYSTEM_KEYS = ("id", "revisionId", "createdAt", "updatedAt", "crmObjectCreationStatus", "warnings")

# Keys that a flow has from its creation; HubSpot's update does not carry them.
KEPT_KEYS = ("objectTypeId", "flowType", "dataSources")


def revised(
    current: FlowRevision | None, portal_id: str, flow_id: str, document: Mapping[str, Any], now: Instant
) -> FlowRevision:
    """The next revision. A flow that stays on keeps the time at which it was turned on."""
    enabled = document.get("isEnabled") is True
    was_enabled = current is not None and current.is_enabled
    previously = current.enabled_at if current is not None else None
    kept = {key: current.document[key] for key in KEPT_KEYS if current and key in current.document}
    return FlowRevision(
        portal_id=portal_id,
        id=flow_id,
        revision=(current.revision if current is not None else 0) + 1,
        document=kept | {key: value for key, value in document.items() if key not in SYSTEM_KEYS},
        is_enabled=enabled,
        enabled_at=previously if was_enabled or not enabled else now,
        created_at=current.created_at if current is not None and not current.is_deleted else now,
        changed_at=now,
    )


def deleted(current: FlowRevision, now: Instant) -> FlowRevision:
    return replace(
        current, revision=current.revision + 1, document={}, is_enabled=False, changed_at=now, is_deleted=True
    )


def retired(revision: FlowRevision) -> Flow:
    """A flow that no longer enrolls, and is asked only what it began."""
    return Flow(
        portal_id=revision.portal_id,
        id=revision.id,
        name="",
        object_type_id="",
        revision_id=str(revision.revision),
        is_enabled=False,
        enabled_at=revision.enabled_at,
        changed_at=revision.changed_at,
        should_re_enroll=False,
        groups=(),
    )


# What a flow has that is not event-based, and an event-based one can't keep.
_CRITERIA = "enrollmentCriteria"
_FILTER_KEYS = ("listFilterBranch", "reEnrollmentTriggersFilterBranches", "unEnrollObjectsNotMeetingCriteria")
_SCHEDULE = "enrollmentSchedule"


def triggers_to_remove(current: Mapping[str, Any], changed: Mapping[str, Any]) -> tuple[str, ...]:
    """The JSON paths of the filter-based and scheduled triggers that the flow loses by becoming event-based."""
    if _kind(current) == "EVENT_BASED" or _kind(changed) != "EVENT_BASED":
        return ()
    criteria = current.get(_CRITERIA)
    filters = criteria if isinstance(criteria, Mapping) else {}
    return (
        *(f"$.{_CRITERIA}.{key}" for key in _FILTER_KEYS if filters.get(key)),
        *((f"$.{_SCHEDULE}",) if current.get(_SCHEDULE) else ()),
    )


def without_replaced_triggers(document: Mapping[str, Any]) -> Mapping[str, Any]:
    criteria = {key: value for key, value in document[_CRITERIA].items() if key not in _FILTER_KEYS}
    return {key: value for key, value in document.items() if key != _SCHEDULE} | {_CRITERIA: criteria}


def _kind(document: Mapping[str, Any]) -> object:
    criteria = document.get(_CRITERIA)
    return criteria.get("type") if isinstance(criteria, Mapping) else None
