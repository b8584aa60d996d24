"""What is set for a portal as a whole."""

from msgspec import Struct

from enrollment.domain.tolerance import RECORD_TOLERANCE


class PortalSettings(Struct, frozen=True):
    """``time_zone``: an IANA name; days, weeks and months of criteria are its own. ``tolerance``: milliseconds by which
    data may come after its event; ``record_tolerance``: milliseconds by which the record itself may. Both are defaults
    for the flows that do not set their own (``domain.tolerance``)."""

    time_zone: str = "UTC"
    tolerance: int = 0
    record_tolerance: int = RECORD_TOLERANCE
