"""Settings of portals in DynamoDB, remembered for a minute: days begin elsewhere a minute late, once, at no cost."""

import time
from collections import OrderedDict

from enrollment.adapters.tables import Tables
from enrollment.domain.identifiers import join
from enrollment.domain.portals import PortalSettings

SETTINGS = "settings"
REMEMBERED_SECONDS = 60
REMEMBERED_PORTALS = 10_000


class DynamoPortals:
    def __init__(self, tables: Tables) -> None:
        self._items = tables.portals
        self._known: OrderedDict[str, tuple[float, PortalSettings]] = OrderedDict()

    def settings(self, portal_id: str) -> PortalSettings:
        found = self._known.get(portal_id)
        now = time.monotonic()
        if found is not None and now - found[0] < REMEMBERED_SECONDS:
            return found[1]
        return self.current(portal_id)

    def current(self, portal_id: str) -> PortalSettings:
        try:
            item = self._items.get(join("portals", portal_id), SETTINGS, consistent_read=True)
            settings = PortalSettings(time_zone=item.time_zone, tolerance=int(item.tolerance))
        except self._items.DoesNotExist:
            settings = PortalSettings()
        self._remember(portal_id, settings)
        return settings

    def save(self, portal_id: str, settings: PortalSettings) -> None:
        item = self._items(
            join("portals", portal_id), SETTINGS, time_zone=settings.time_zone, tolerance=settings.tolerance
        )
        item.save()
        self._remember(portal_id, settings)

    def _remember(self, portal_id: str, settings: PortalSettings) -> None:
        self._known[portal_id] = (time.monotonic(), settings)
        self._known.move_to_end(portal_id)
        if len(self._known) > REMEMBERED_PORTALS:
            self._known.popitem(last=False)
