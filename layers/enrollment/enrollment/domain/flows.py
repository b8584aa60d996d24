"""A flow: who may enter it, by which events."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from enrollment.domain.filters import Criteria, Failure, PropertyFilter
from enrollment.domain.values import Instant, Properties


@dataclass(frozen=True, slots=True)
class TriggerGroup:
    """``index`` counts eventFilterBranches first, then listMembershipFilterBranches. ``event_type`` is the catalogue's
    name; ``event_type_id`` HubSpot's id of it, None where there is none. No filters: every such event."""

    index: int
    event_type: str
    event_type_id: str | None
    filters: tuple[PropertyFilter, ...]

    def failure(self, properties: Properties) -> Failure | None:
        """The first refinement that does not hold; None: the group matches."""
        for one in self.filters:
            failure = one.failure(properties)
            if failure is not None:
                return failure
        return None


@dataclass(frozen=True, slots=True)
class Flow:
    """``enabled_at``: when it was last turned on; None: never. ``changed_at``: when anything of it last changed."""

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

    @property
    def event_types(self) -> frozenset[str]:
        return frozenset(group.event_type for group in self.groups)


@dataclass(frozen=True, slots=True)
class FlowRevision:
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


def revised(
    current: FlowRevision | None, portal_id: str, flow_id: str, document: Mapping[str, Any], now: Instant
) -> FlowRevision:
    """The next revision. A flow that stays on keeps the time at which it was turned on."""
    enabled = document.get("isEnabled") is True
    was_enabled = current is not None and current.is_enabled
    previously = current.enabled_at if current is not None else None
    return FlowRevision(
        portal_id=portal_id,
        id=flow_id,
        revision=(current.revision if current is not None else 0) + 1,
        document={key: value for key, value in document.items() if key not in ("id", "revisionId")},
        is_enabled=enabled,
        enabled_at=previously if was_enabled or not enabled else now,
        created_at=current.created_at if current is not None and not current.is_deleted else now,
        changed_at=now,
    )


def deleted(current: FlowRevision, now: Instant) -> FlowRevision:
    return replace(
        current, revision=current.revision + 1, document={}, is_enabled=False, changed_at=now, is_deleted=True
    )
