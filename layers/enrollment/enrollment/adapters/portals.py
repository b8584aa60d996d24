"""Settings of portals in DynamoDB, kept in memory for a minute: an event costs no read of its own, and a change takes
effect within a minute."""

import json
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
        self._table = tables.flows
        self._known: OrderedDict[str, tuple[float, PortalSettings]] = OrderedDict()

    def settings(self, portal_id: str) -> PortalSettings:
        found = self._known.get(portal_id)
        now = time.monotonic()
        if found is not None and now - found[0] < REMEMBERED_SECONDS:
            return found[1]
        return self.current(portal_id)

    def current(self, portal_id: str) -> PortalSettings:
        item = self._table.get(join("portals", portal_id), SETTINGS)
        # Those that were stored before there were these settings have none.
        settings = PortalSettings()
        if item is not None:
            sources = tuple(json.loads(item.get("allowedSources", "[]")))
            settings = PortalSettings(item["timeZone"], item.get("criteriaTolerance", 0), sources)
        self._remember(portal_id, settings)
        return settings

    def save(self, portal_id: str, settings: PortalSettings) -> None:
        key = {"pk": join("portals", portal_id), "sk": SETTINGS}
        item = {**key, "timeZone": settings.time_zone, "criteriaTolerance": settings.tolerance}
        if settings.allowed_sources:
            item["allowedSources"] = json.dumps(settings.allowed_sources)
        self._table.put(item)
        self._remember(portal_id, settings)

    def _remember(self, portal_id: str, settings: PortalSettings) -> None:
        # Step by step, of which each holds beside other threads.
        self._known.pop(portal_id, None)
        self._known[portal_id] = (time.monotonic(), settings)
        if len(self._known) > REMEMBERED_PORTALS:
            self._known.popitem(last=False)
