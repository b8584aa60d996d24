"""Settings of portals in DynamoDB, for the event path. They are cached for a minute, so most events need no read and a
change takes effect within a minute."""

import json
import time
from collections import OrderedDict
from threading import Lock

from enrollment.adapters.dynamodb.schema import PORTALS, SETTINGS
from enrollment.adapters.dynamodb.tables import Tables
from enrollment.domain.enrollment.late_data_tolerance import RECORD_TOLERANCE
from enrollment.domain.enrollment.portal_settings import PortalSettings
from enrollment.domain.identifiers import join

# The limits of the cache.
REMEMBERED_SECONDS = 60
REMEMBERED_PORTALS = 10_000


class DynamoPortals:
    """The port Portals (``application.ports``), with a cache that is safe for threads."""

    def __init__(self, tables: Tables) -> None:
        self._table = tables.flows
        self._cache: OrderedDict[str, tuple[float, PortalSettings]] = OrderedDict()
        self._lock = Lock()

    def settings(self, portal_id: str) -> PortalSettings:
        """Return the settings, which can be up to REMEMBERED_SECONDS old."""
        settings = self._cached(portal_id)
        if settings is None:
            # The events of a batch start at the same time. The first one reads the settings for all.
            with self._lock:
                settings = self._cached(portal_id) or self.current(portal_id)
        return settings

    def _cached(self, portal_id: str) -> PortalSettings | None:
        entry = self._cache.get(portal_id)
        if entry is None:
            return None
        read_at, settings = entry
        return settings if time.monotonic() - read_at < REMEMBERED_SECONDS else None

    def current(self, portal_id: str) -> PortalSettings:
        """Read the settings. A portal that has none stored has the default settings."""
        settings = self._read(portal_id) or PortalSettings()
        self._remember(portal_id, settings)
        return settings

    def _read(self, portal_id: str) -> PortalSettings | None:
        item = self._table.get(join(PORTALS, portal_id), SETTINGS)
        if item is None:
            return None
        # An item that was stored before an attribute existed lacks it.
        return PortalSettings(
            item["timeZone"],
            item.get("criteriaTolerance", 0),
            item.get("recordTolerance", RECORD_TOLERANCE),
            tuple(json.loads(item.get("allowedSources", "[]"))),
        )

    def save(self, portal_id: str, settings: PortalSettings) -> None:
        """Write the settings and cache them. Other processes use them within REMEMBERED_SECONDS."""
        key = {"pk": join(PORTALS, portal_id), "sk": SETTINGS}
        self._table.put(
            {
                **key,
                "timeZone": settings.time_zone,
                "criteriaTolerance": settings.tolerance,
                "recordTolerance": settings.record_tolerance,
                "allowedSources": json.dumps(settings.allowed_sources) if settings.allowed_sources else None,
            }
        )
        self._remember(portal_id, settings)

    def _remember(self, portal_id: str, settings: PortalSettings) -> None:
        # Without the lock: each of these steps is atomic, and other threads may run between them.
        self._cache.pop(portal_id, None)
        self._cache[portal_id] = (time.monotonic(), settings)
        if len(self._cache) > REMEMBERED_PORTALS:
            self._cache.popitem(last=False)
