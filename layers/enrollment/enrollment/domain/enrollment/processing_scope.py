"""How far one delivery of an event reaches."""

from msgspec import Struct


class ProcessingScope(Struct, frozen=True):
    """``flow_ids``: only these flows are decided; None: all. ``waits``: whether a flow that tolerates data that comes
    after its event may put its decision off; else every decision is final. ``before_activation``: what occurred before
    a flow was turned on counts too, as when a new flow is applied to past events on purpose."""

    flow_ids: frozenset[str] | None = None
    waits: bool = True
    before_activation: bool = False

    def has(self, flow_id: str) -> bool:
        return self.flow_ids is None or flow_id in self.flow_ids


ALL_FLOWS = ProcessingScope()
