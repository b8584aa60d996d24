"""The event types that only this system uses. No source can send them, and they are not in the catalog."""

MANUAL_EVENT = "workflows.manual"
"""The event type of a manual enrollment. It is not in the catalog."""

ASSOCIATED_RECORD_EVENT = "crm.associated_record_changed"
"""The event type of a change of an associated record. It is not in the catalog."""

BACKFILL_EVENT = "workflows.backfill"
"""The event type of an enrollment by a backfill. It is not in the catalog."""

REQUESTED = frozenset({MANUAL_EVENT, BACKFILL_EVENT})
"""The event types of enrollments that somebody requested: no event is their cause."""
