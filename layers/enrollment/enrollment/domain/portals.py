"""What is set for a portal as a whole."""

from msgspec import Struct


class PortalSettings(Struct, frozen=True):
    """``time_zone``: an IANA name; days, weeks and months of criteria are its own. ``tolerance``: milliseconds by which
    data may come after its event, for the flows that say nothing of it (``domain.tolerance``)."""

    time_zone: str = "UTC"
    tolerance: int = 0
