"""A warning about a valid flow."""

from msgspec import Struct


class FlowWarning(Struct, frozen=True):
    """``path``: the JSON path in the flow. ``code``: the rule. ``found``: what is written there and what it means.
    ``action``: what to do, as an imperative. Both are sentences without a full stop."""

    path: str
    code: str
    found: str
    action: str

    def __str__(self) -> str:
        return f"{self.path}: {self.found}. {self.action}"
