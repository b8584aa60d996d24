"""Compare what a draft and the saved revision of a flow would have done: which records each enrolls, and how often."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

ENROLLED = "ENROLLED"

Outcome = Mapping[str, Any] | None
"""The decision of a version on an event, as the API returns it. None: the event does not trigger the version."""


@dataclass
class RecordImpact:
    """The entries of a record into both versions of the flow. ``because``: why one version decided otherwise, for the
    latest such event."""

    saved: int = 0
    draft: int = 0
    because: str = ""
    event_id: str = ""

    @property
    def change(self) -> str:
        """``gained``, ``lost``, ``more``, ``fewer`` or ``same``."""
        if self.saved == self.draft:
            return "same"
        if self.saved == 0 or self.draft == 0:
            return "gained" if self.saved == 0 else "lost"
        return "more" if self.draft > self.saved else "fewer"


@dataclass
class FlowImpact:
    """``records``: by type and ID, for example 0-1/101; those that a version enrolls. ``events``: the number of events
    that trigger a version. ``until``: the time of the latest of them; None: there is none."""

    saved_revision: str | None
    is_saved_enabled: bool | None
    since: str
    until: str | None = None
    events: int = 0
    records: dict[str, RecordImpact] = field(default_factory=dict)

    def of_change(self, *changes: str) -> list[str]:
        """Return the names of the records with one of these changes."""
        return [name for name, record in self.records.items() if record.change in changes]


def compare(pages: Iterable[Mapping[str, Any]]) -> FlowImpact:
    """Return the impact from the pages of the API, newest event first. At least one page is required."""
    impact: FlowImpact | None = None
    for page in pages:
        if impact is None:
            impact = FlowImpact(page["savedRevisionId"], page["savedIsEnabled"], page["since"])
        for result in page["results"]:
            impact.events += 1
            impact.until = impact.until or result["occurredAt"]
            _add(impact.records, result, page)
    assert impact is not None
    return impact


def _add(records: dict[str, RecordImpact], result: Mapping[str, Any], page: Mapping[str, Any]) -> None:
    enters_draft, enters_saved = _enters(result["draft"]), _enters(result["saved"])
    if not enters_draft and not enters_saved:
        return
    record = records.setdefault(f"{result['objectTypeId']}/{result['objectId']}", RecordImpact())
    # A page decides without the pages of earlier events, so it can enroll a record of a once-only flow again.
    record.draft = _entries(record.draft, enters_draft, is_once=page["draftIsOnce"])
    record.saved = _entries(record.saved, enters_saved, is_once=page["savedIsOnce"] is True)
    if enters_draft != enters_saved and not record.because:
        version, outcome = ("saved", result["saved"]) if enters_draft else ("draft", result["draft"])
        record.because, record.event_id = f"{version}: {_reason(outcome)}", result["eventId"]


def _enters(outcome: Outcome) -> bool:
    return outcome is not None and outcome["code"] == ENROLLED


def _entries(count: int, enters: bool, *, is_once: bool) -> int:
    return min(1, count + enters) if is_once else count + enters


def _reason(outcome: Outcome) -> str:
    if outcome is None:
        return "the event does not trigger it"
    return "; ".join(outcome["failedConditions"]) or str(outcome["because"])
