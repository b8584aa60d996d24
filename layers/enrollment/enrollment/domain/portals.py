"""What is set for a portal as a whole."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PortalSettings:
    """``time_zone``: an IANA name; days, weeks and months of criteria are its own."""

    time_zone: str = "UTC"
