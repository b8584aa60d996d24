"""Settings of portals, read and written by the API with PynamoDB models."""

from enrollment.adapters.dynamodb.model_store import ModelStore
from enrollment.adapters.dynamodb.models import PortalSettingsItem
from enrollment.adapters.dynamodb.portal_settings import DynamoPortals
from enrollment.adapters.dynamodb.schema import PORTALS, SETTINGS
from enrollment.adapters.dynamodb.tables import Tables
from enrollment.domain.enrollment.late_data_tolerance import RECORD_TOLERANCE
from enrollment.domain.enrollment.portal_settings import PortalSettings
from enrollment.domain.identifiers import join


class PortalSettingsRepository(DynamoPortals):
    """The port Portals for the API (``application.ports``)."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables)
        self._store = ModelStore(tables)

    def _read(self, portal_id: str) -> PortalSettings | None:
        item = self._store.get(PortalSettingsItem, join(PORTALS, portal_id), SETTINGS)
        if item is None:
            return None
        return PortalSettings(
            item.time_zone,
            int(item.criteria_tolerance or 0),
            RECORD_TOLERANCE if item.record_tolerance is None else int(item.record_tolerance),
            tuple(item.allowed_sources or ()),
        )

    def save(self, portal_id: str, settings: PortalSettings) -> None:
        """Write the settings and cache them. Other processes use them within REMEMBERED_SECONDS."""
        item = PortalSettingsItem(
            join(PORTALS, portal_id),
            SETTINGS,
            time_zone=settings.time_zone,
            criteria_tolerance=settings.tolerance,
            record_tolerance=settings.record_tolerance,
            allowed_sources=list(settings.allowed_sources) or None,
        )
        self._store.put(item)
        self._remember(portal_id, settings)
