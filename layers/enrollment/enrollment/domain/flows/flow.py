"""A flow: which events enroll which records."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from enrollment.domain.criteria.criteria import Criteria, needs
from enrollment.domain.criteria.transitions import Mentions
from enrollment.domain.flows.rate_limit import RateLimit
from enrollment.domain.flows.re_enrollment import ReEnrollmentTrigger
from enrollment.domain.operators.filters import Failure, PropertyFilter
from enrollment.domain.records.record_snapshot import AssociationRequirement
from enrollment.domain.values import Instant, Properties


class TriggerGroup(Struct, frozen=True):
    """A trigger of a flow: an event type with refinements on the event's properties, all of which must hold.

    ``index``: the position in eventFilterBranches, followed by listMembershipFilterBranches; from 0. ``event_type``:
    the name in the catalog. ``event_type_id``: HubSpot's ID; None: it has none. ``filters``: empty if every event of
    the type matches. ``also``: other event types that can satisfy the group.
    """

    index: int
    event_type: str
    event_type_id: str | None
    filters: tuple[PropertyFilter, ...]
    also: tuple[str, ...] = ()

    @property
    def event_types(self) -> tuple[str, ...]:
        """The names of all event types that can satisfy the group."""
        return (self.event_type, *self.also)

    def failure(self, properties: Properties) -> Failure | None:
        """Return the first refinement that does not hold. None: the group matches."""
        for refinement in self.filters:
            failure = refinement.failure(properties)
            if failure is not None:
                return failure
        return None


class EntryCriteria(Struct, frozen=True):
    """What enrolls records in a filter-based flow: a record enters when it starts to meet the criteria.

    ``criteria``: the ``listFilterBranch``. ``groups``: the compiled trigger groups (``entry_compilation``); their index
    is that of the branch of a root OR. ``mentions``: what the criteria and the re-enrollment triggers depend on.
    ``re_enrollment``: the triggers by which a record that was enrolled before enters again; empty if the flow enrolls a
    record once. ``since``: when the criteria came into force; None: not known, which is before every event.
    ``has_unused_triggers``: there are re-enrollment triggers, and the flow enrolls a record once.
    ``associated_groups``: by object type, the compiled group that a change of an associated record of this type
    satisfies.
    """

    criteria: Criteria
    groups: tuple[TriggerGroup, ...]
    mentions: Mentions
    re_enrollment: tuple[ReEnrollmentTrigger, ...] = ()
    since: Instant | None = None
    has_unused_triggers: bool = False
    associated_groups: Mapping[str, TriggerGroup] = MappingProxyType({})


class Flow(Struct, frozen=True):
    """The current revision of a flow, as far as enrollment depends on it.

    ``enabled_at``: when the flow was last turned on; None: never. ``changed_at``: when it last changed.
    ``groups``: an event triggers the flow if it satisfies one of them. ``criteria``: refinement criteria, which the
    record must meet. ``suppression``: records that meet these criteria do not enter. ``goal``: nor do records that meet
    these. None: no such criteria.
    ``tolerance``: milliseconds by which data may arrive after its event. ``record_tolerance``: milliseconds by which
    the record may be created after its event. None: the portal's setting applies.
    ``rate_limit``: how fast records may enter; None: without a limit.
    ``entry``: the criteria by which a filter-based flow enrolls; None: the flow is of another type.
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
    entry: EntryCriteria | None = None

    @property
    def needs(self) -> frozenset[AssociationRequirement]:
        """The associated records that the criteria depend on."""
        entry = None if self.entry is None else self.entry.criteria
        every = (self.suppression, self.goal, self.criteria, entry)
        return frozenset(need for criteria in every for need in needs(criteria))

    @property
    def entry_groups(self) -> tuple[TriggerGroup, ...]:
        """The compiled groups of a filter-based flow. Empty for other flows."""
        return () if self.entry is None else self.entry.groups

    @property
    def associated_groups(self) -> tuple[TriggerGroup, ...]:
        """The compiled groups that changes of associated records satisfy. Empty for other flows."""
        return () if self.entry is None else tuple(self.entry.associated_groups.values())

    @property
    def active_since(self) -> Instant | None:
        """Since when the flow enrolls records by its current triggers. None: it was never turned on."""
        if self.enabled_at is None or self.entry is None or self.entry.since is None:
            return self.enabled_at
        return max(self.enabled_at, self.entry.since)

    @property
    def event_types(self) -> frozenset[str]:
        """The names of all event types that can trigger the flow, and RECORD_CHANGED for a filter-based flow."""
        groups = (*self.groups, *self.entry_groups)
        return frozenset(event_type for group in groups for event_type in group.event_types)

    @property
    def candidate_lists(self) -> frozenset[tuple[str, str]]:
        """The lists of candidates that the flow is in: object type and event type. A filter-based flow is in lists of
        the types of the associated records that its criteria mention, too."""
        associated = {} if self.entry is None else self.entry.associated_groups
        return frozenset(
            [(self.object_type_id, event_type) for event_type in self.event_types]
            + [(type_id, event_type) for type_id, group in associated.items() for event_type in group.event_types]
        )


class FlowRevision(Struct, frozen=True):
    """A stored revision of a flow: the author's document and the attributes that this system adds.

    ``document``: HubSpot's flow JSON without SYSTEM_KEYS. Keys that this system does not evaluate are kept unchanged.
    ``revision``: counts from 1. ``is_deleted``: the revision keeps only the number, so that a new flow with the same ID
    continues to count. ``criteria_since``: when the criteria of a filter-based flow came into force; None: the flow is
    of another type. ``changed_by``: the ARN of the IAM identity, or the token's subject, that stored the revision;
    None: not known.
    """

    portal_id: str
    id: str
    revision: int
    document: Mapping[str, Any]
    is_enabled: bool
    enabled_at: Instant | None
    created_at: Instant
    changed_at: Instant
    is_deleted: bool = False
    criteria_since: Instant | None = None
    changed_by: str | None = None


# Keys of the flow JSON that this system sets. Their values in a request are ignored.
SYSTEM_KEYS = ("id", "revisionId", "createdAt", "updatedAt", "crmObjectCreationStatus", "warnings")

# Keys that are set when a flow is created. They are kept if an update lacks them, because HubSpot's updates do.
KEPT_KEYS = ("objectTypeId", "flowType", "dataSources")


def revised(
    current: FlowRevision | None,
    portal_id: str,
    flow_id: str,
    document: Mapping[str, Any],
    now: Instant,
    changed_by: str | None = None,
) -> FlowRevision:
    """Return the next revision of a flow. A flow that stays on keeps ``enabled_at``.

    ``current`` None: the flow is new. ``document``: the flow JSON of the request.
    """
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
        changed_by=changed_by,
    )


def deleted(current: FlowRevision, now: Instant, changed_by: str | None = None) -> FlowRevision:
    """Return the revision that records the deletion of a flow."""
    return replace(
        current,
        revision=current.revision + 1,
        document={},
        is_enabled=False,
        changed_at=now,
        is_deleted=True,
        changed_by=changed_by,
    )


def retired(revision: FlowRevision) -> Flow:
    """Return a flow that enrolls no record for a revision. Enrollments that it made before are still completed."""
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


# Keys of filter-based and scheduled flows that an event-based flow cannot have.
_CRITERIA = "enrollmentCriteria"
_FILTER_KEYS = ("listFilterBranch", "reEnrollmentTriggersFilterBranches", "unEnrollObjectsNotMeetingCriteria")
_SCHEDULE = "enrollmentSchedule"


def triggers_to_remove(current: Mapping[str, Any], changed: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the JSON paths of the filter-based and scheduled triggers that a flow loses if it becomes event-based."""
    if _kind(current) == "EVENT_BASED" or _kind(changed) != "EVENT_BASED":
        return ()
    criteria = current.get(_CRITERIA)
    filters = criteria if isinstance(criteria, Mapping) else {}
    return (
        *(f"$.{_CRITERIA}.{key}" for key in _FILTER_KEYS if filters.get(key)),
        *((f"$.{_SCHEDULE}",) if current.get(_SCHEDULE) else ()),
    )


def without_replaced_triggers(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the flow JSON of an event-based flow without filter-based and scheduled triggers."""
    criteria = {key: value for key, value in document[_CRITERIA].items() if key not in _FILTER_KEYS}
    return {key: value for key, value in document.items() if key != _SCHEDULE} | {_CRITERIA: criteria}


def _kind(document: Mapping[str, Any]) -> object:
    criteria = document.get(_CRITERIA)
    return criteria.get("type") if isinstance(criteria, Mapping) else None
