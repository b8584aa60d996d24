"""Settings of portals in DynamoDB, kept in memory for a minute: an event costs no read of its own, and a change takes
effect within a minute."""

import json
import time
from collections import OrderedDict
from threading import Lock

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
        self._lock = Lock()

    def settings(self, portal_id: str) -> PortalSettings:
        found = self._remembered(portal_id)
        if found is None:
            # The events of a batch begin at the same time: the first reads, the others find what it has read.
            with self._lock:
                found = self._remembered(portal_id) or self.current(portal_id)
        return found

    def _remembered(self, portal_id: str) -> PortalSettings | None:
        found = self._known.get(portal_id)
        is_fresh = found is not None and time.monotonic() - found[0] < REMEMBERED_SECONDS
        return found[1] if found is not None and is_fresh else None

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
