"""Which records have to be decided because a record that they are associated with changed."""

from collections.abc import Sequence

from enrollment.domain.criteria.transitions import Mentions
from enrollment.domain.enrollment.processing_scope import Delivery, ProcessingScope
from enrollment.domain.events.associated_change import AssociatedChange, ChangedParts
from enrollment.domain.flows.flow import Flow
from enrollment.domain.flows.record_change import RecordChange


def changes_for_associated(
    change: RecordChange | None, flows: Sequence[Flow], scope: ProcessingScope
) -> Sequence[AssociatedChange]:
    """Return what is to be decided, by the object type of the associated records. ``flows``: those whose criteria
    mention what the change changed (``Candidates.associated``)."""
    concerned = [flow for flow in flows if flow.is_enabled and scope.has(flow.id)]
    if change is None or not concerned or (parts := change.parts_for_associated()) is None:
        return ()
    event, is_replay = change.event, scope.delivery is Delivery.REPLAY
    mentioned: dict[str, Mentions] = {}
    for flow in concerned:
        if flow.entry is not None:
            of_type = mentioned.get(flow.object_type_id, Mentions())
            mentioned[flow.object_type_id] = of_type.union(flow.entry.mentions.of_associated(event.object_type_id))
    return [
        AssociatedChange(
            event, _limited(parts, each), object_type_id, flow_ids=scope.flow_ids, is_replay=is_replay
        ).reduced()
        for object_type_id, each in mentioned.items()
    ]


def _limited(parts: ChangedParts, mentioned: Mentions) -> ChangedParts:
    """Return the parts that criteria mention."""
    if not mentioned.any_change:
        parts = ChangedParts(parts.properties & mentioned.properties, parts.lists & mentioned.lists)
    return parts.limited()
