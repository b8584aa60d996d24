"""Settings that apply to a whole portal."""

from msgspec import Struct

from enrollment.domain.enrollment.late_data_tolerance import RECORD_TOLERANCE
from enrollment.domain.events.event import OWN_SOURCE, Event, InvalidEvent


class PortalSettings(Struct, frozen=True):
    """The settings of a portal. The defaults apply to portals without settings.

    ``time_zone``: an IANA name; days, weeks and months of criteria are those of this zone. ``tolerance``: milliseconds
    by which data may arrive after its event. ``record_tolerance``: milliseconds by which the record may be created
    after its event. A flow can override both (``late_data_tolerance``). ``allowed_sources``: the sources whose events
    the portal accepts; empty: every source.
    """

    time_zone: str = "UTC"
    tolerance: int = 0
    record_tolerance: int = RECORD_TOLERANCE
    allowed_sources: tuple[str, ...] = ()

    def check_source(self, event: Event) -> None:
        """Raise InvalidEvent if the portal does not accept the event's source. This system's own events are always
        accepted."""
        if self.allowed_sources and event.source not in (OWN_SOURCE, *self.allowed_sources):
            raise InvalidEvent(
                "SOURCE_NOT_ALLOWED",
                "source",
                f"expected one of the {len(self.allowed_sources)} sources that the portal allows, for example "
                f"{self.allowed_sources[0][:80]!r}; got {event.source[:80]!r}. "
                "To allow this source, use `enroll portal set --allow-source`",
            )
