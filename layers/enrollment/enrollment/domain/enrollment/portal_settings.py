"""What is set for a portal as a whole."""

from msgspec import Struct

from enrollment.domain.enrollment.late_data_tolerance import RECORD_TOLERANCE
from enrollment.domain.events.event import OWN_SOURCE, Event, InvalidEvent


class PortalSettings(Struct, frozen=True):
    """``time_zone``: an IANA name; days, weeks and months of criteria are its own. ``tolerance``: milliseconds by which
    data may come after its event; ``record_tolerance``: milliseconds by which the record itself may. Both are defaults
    for the flows that do not set their own (``domain.enrollment.late_data_tolerance``). ``allowed_sources``: the
    sources of the bus whose events the portal accepts; empty: every source."""

    time_zone: str = "UTC"
    tolerance: int = 0
    record_tolerance: int = RECORD_TOLERANCE
    allowed_sources: tuple[str, ...] = ()

    def check_source(self, event: Event) -> None:
        """Raises InvalidEvent for an event from a source that the portal does not accept. It accepts this system's own
        events always."""
        if self.allowed_sources and event.source not in (OWN_SOURCE, *self.allowed_sources):
            raise InvalidEvent(
                "SOURCE_NOT_ALLOWED",
                "source",
                f"expected one of the {len(self.allowed_sources)} sources that the portal allows, for example "
                f"{self.allowed_sources[0][:80]!r}, found {event.source[:80]!r}; "
                "to allow it, use: enroll portal set --allow-source",
            )
