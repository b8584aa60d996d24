"""Why an event is processed, and for which flows."""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from msgspec import Struct

from enrollment.domain.values import Instant


class Delivery(Enum):
    """Why an event is processed.

    - FIRST: the bus or a buffer delivered it, for the first time or again.
    - DEFERRAL_DUE: the tolerance of a deferred decision is over.
    - RECORD_CHANGED: its record changed while a decision was deferred.
    - REPLAY: it is replayed from the archive, or simulated for a preview.
    """

    FIRST = "first"
    DEFERRAL_DUE = "deferral due"
    RECORD_CHANGED = "record changed"
    REPLAY = "replay"

    @property
    def stores_event(self) -> bool:
        """Whether the event enters the history, with the time of its first evaluation."""
        return self in (Delivery.FIRST, Delivery.REPLAY)

    @property
    def may_defer(self) -> bool:
        """Whether a decision may wait for late data. Otherwise every decision is final."""
        return self in (Delivery.FIRST, Delivery.RECORD_CHANGED)


class ProcessingScope(Struct, frozen=True):
    """``flow_ids``: only these flows are decided; None: all. ``deferred_until``: for RECORD_CHANGED, the flows that
    wait already, each with the end of its tolerance."""

    flow_ids: frozenset[str] | None = None
    delivery: Delivery = Delivery.FIRST
    deferred_until: Mapping[str, Instant] = MappingProxyType({})

    @property
    def ignores_activation(self) -> bool:
        """Whether events from before a flow was turned on count: a replay for named flows applies them to the past."""
        return self.delivery is Delivery.REPLAY and self.flow_ids is not None

    def has(self, flow_id: str) -> bool:
        return self.flow_ids is None or flow_id in self.flow_ids


ALL_FLOWS = ProcessingScope()
