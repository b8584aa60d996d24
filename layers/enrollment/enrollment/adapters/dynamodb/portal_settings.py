"""Settings of portals in DynamoDB, kept in memory for a minute: an event costs no read of its own, and a change takes
effect within a minute."""

import json
import time
from collections import OrderedDict
from threading import Lock

from enrollment.adapters.dynamodb.schema import PORTALS, SETTINGS
from enrollment.adapters.dynamodb.tables import Tables
from enrollment.domain.enrollment.late_data_tolerance import RECORD_TOLERANCE
from enrollment.domain.enrollment.portal_settings import PortalSettings
from enrollment.domain.identifiers import join

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
        # Step by step, of which each holds beside other threads.
        self._known.pop(portal_id, None)
        self._known[portal_id] = (time.monotonic(), settings)
        if len(self._known) > REMEMBERED_PORTALS:
            self._known.popitem(last=False)
