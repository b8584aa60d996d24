"""Print decisions, and the filters that led to them, for a person to read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from enroll.associated_records import found_associated
from enroll.output import console, print_note, print_table, shown, styled
from enroll.tables import Column, Lines, Styled
from enroll.times import Times

STYLES = {
    "ENROLLED": "green",
    "DUPLICATE_EVENT": "green",
    "ALREADY_ENROLLED": "green",
    "WAITING": "yellow",
    "UNKNOWN_RECORD": "red",
    "LOOP_STOPPED": "red",
}
# For decisions against an enrollment by the flow's own conditions.
DEFAULT_STYLE = "yellow"

# Reasons for a summary of many events, where the decision's own reason names a single event.
SUMMARY_REASONS = {"ENROLLED": "", "ALREADY_ENROLLED": "by an earlier event"}
NO_FLOW = "no flow of its object type is triggered by it"
MAX_PREVIEW_ROWS = 20
MAX_EXAMPLES = 3

BRANCHES = {"AND": "all of", "OR": "one of", "NOT_ALL": "not all of", "NOT_ANY": "none of"}

PASSED, FAILED = styled("✓", "green"), styled("✗", "red")

Decision = Mapping[str, Any]
"""A decision as the API returns it."""


@dataclass(frozen=True)
class DecidedEvent:
    """An event and the decisions on it, one for each flow that it can trigger."""

    event_id: str
    event_type: str
    decisions: Sequence[Decision]
    occurred_at: str | None = None
    record: str | None = None


def print_decisions(events: Sequence[DecidedEvent], clock: Times, *, details: bool) -> None:
    """Print each event with its decisions and the first failing condition of each.

    In a pipe, print a line for each decision. ``details`` adds the result of every filter.
    """
    if not console.is_terminal:
        print_table(
            ("occurred", "type", "event", "record", "flow", "decision", "why"),
            [
                (clock.text(event.occurred_at), event.event_type, event.event_id, event.record, *cells)
                for event in events
                for cells in _decision_cells(event.decisions)
            ],
        )
    else:
        for event in events:
            _print_event(event, clock)
    if details:
        for decision in (decision for event in events for decision in event.decisions):
            _print_details(decision)


def _decision_cells(decisions: Sequence[Decision]) -> list[tuple[str, Styled, Lines]]:
    rows = [(_flow(decision), _code(decision["code"]), Lines(_reasons(decision))) for decision in decisions]
    return rows or [("", styled(""), Lines([NO_FLOW]))]


def _print_event(event: DecidedEvent, clock: Times) -> None:
    heading = (clock.text(event.occurred_at), event.event_type, event.record or "", event.event_id)
    console.print("  ".join(part for part in heading if part), style="bold")
    if not event.decisions:
        console.print(f"  {NO_FLOW}")
    for decision in event.decisions:
        console.print(styled("  ") + _code(decision["code"]) + f"  {_flow(decision)}")
        for reason in _reasons(decision):
            console.print(f"      {reason}")


def _print_details(decision: Decision) -> None:
    if detail_lines := [*_details(decision)]:
        console.print(f"{_flow(decision)}, revision {decision['flowRevisionId']}", style="bold")
        for line in detail_lines:
            console.print(styled("  ") + line)


def _code(code: str | None) -> Styled:
    return styled(code or "-", STYLES.get(code or "", DEFAULT_STYLE))


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun in the singular or the plural, for example "1 event" or "2 events"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def print_preview(decisions: Sequence[Decision], record_count: int, clock: Times) -> None:
    """Print how many records a draft flow would have enrolled, and the most frequent reasons against the others.

    ``decisions`` are sorted from the latest event to the earliest.
    """
    if not decisions:
        console.print("The event history has no event that could trigger the flow.")
        return
    since, until = clock.text(decisions[-1]["occurredAt"]), clock.text(decisions[0]["occurredAt"])
    records, events = count_of(record_count, "record"), count_of(len(decisions), "event")
    print_note(f"{records} would have been enrolled, by {events} from {since} to {until}.", "bold")
    groups = _group_by_reason(decisions)
    print_table(
        ("decision", "events", "for example", Column("why", is_message=True)),
        [
            (_code(code), len(names), ", ".join(list(dict.fromkeys(names))[:MAX_EXAMPLES]), reason)
            for (code, reason), names in groups[:MAX_PREVIEW_ROWS]
        ],
        is_full=True,
    )
    if len(groups) > MAX_PREVIEW_ROWS:
        print_note(f"{len(groups) - MAX_PREVIEW_ROWS} more reasons. --json prints all of them.")


def _group_by_reason(decisions: Sequence[Decision]) -> list[tuple[tuple[str, str], list[str]]]:
    """Return the records of each code and reason: enrollments first, then by the number of events."""
    groups: dict[tuple[str, str], list[str]] = {}
    for decision in decisions:
        code = decision["code"]
        conditions = "" if code == "ENROLLED" else "; ".join(_summarized(decision))
        reason = str(conditions or SUMMARY_REASONS.get(code, decision["because"]))
        groups.setdefault((code, reason), []).append(f"{decision['objectTypeId']}/{decision['objectId']}")
    return sorted(groups.items(), key=lambda group: (group[0][0] != "ENROLLED", -len(group[1])))


def _summarized(decision: Decision) -> list[str]:
    """Return the failed conditions without the associated records, which differ from record to record."""
    conditions: list[str] = decision["failedConditions"]
    is_about_associated = "associated" in (decision.get("filter") or {})
    return [condition.partition("; ")[0] for condition in conditions] if is_about_associated else conditions


def _flow(decision: Decision) -> str:
    name = decision["flowName"]
    return f"{name} ({decision['flowId']})" if name else str(decision["flowId"])


def _reasons(decision: Decision) -> Sequence[str]:
    if (enrollment := decision.get("enrollment")) is not None:
        return [f"enrollment {enrollment['enrollmentId']}, {_publication(enrollment)}"]
    return decision["failedConditions"] or [decision["because"]]


def _publication(enrollment: Mapping[str, Any]) -> str:
    if enrollment["isPublished"]:
        return "its message is published"
    if "dueAt" in enrollment:
        return f"its message is due at {enrollment['dueAt']}"
    return "its message is not published yet"


def _details(decision: Decision) -> Iterator[Styled]:
    for group in decision["triggerGroups"]:
        title = f"trigger group {group['groupIndex']}: {group['eventType']}"
        if not group["isConcerned"]:
            yield styled(f"- {title}, for another event", "dim")
            continue
        yield _marked(group["passed"], title)
        for filter_result in group["filters"]:
            yield from (styled("  ") + line for line in _filter_lines(filter_result))
    for key, name in (("suppression", "suppressed by"), ("goal", "goal met"), ("refinementCriteria", "criteria")):
        if decision[key] is not None:
            # Passed suppression and goal criteria are a reason against the enrollment.
            is_fine = decision[key]["passed"] == (key == "refinementCriteria")
            yield _marked(is_fine, f"{name}, with the record as of {decision['recordAsOf']}")
            yield from _branch(decision[key], "  ")
    if decision.get("enrollmentCriteria") is not None:
        now, before = decision["enrollmentCriteria"], decision["enrollmentCriteriaBefore"]
        yield _marked(now["passed"], "criteria, after the change")
        yield from _branch(now, "  ")
        if before is None:
            yield styled("- criteria, just before the change: the record did not exist", "dim")
        else:
            # A record that met the criteria before does not start to meet them.
            yield _marked(not before["passed"], "criteria did not hold just before the change")
            yield from _branch(before, "  ")
    for note in decision.get("notes", []):
        yield styled(f"Note: {note}.", "yellow")


def _branch(result: Mapping[str, Any], indent: str) -> Iterator[Styled]:
    """Yield a line for a filter, or the lines of a branch of filters."""
    if "property" in result:
        for line in _filter_lines(result):
            yield styled(indent) + line
        return
    children = (*result["filters"], *result["filterBranches"])
    if len(children) > 1 or result["filterBranchType"].startswith("NOT_"):
        yield styled(indent) + _marked(result["passed"], BRANCHES[result["filterBranchType"]])
        indent += "  "
    for child in children:
        yield from _branch(child, indent)


def _filter_lines(result: Mapping[str, Any]) -> Iterator[Styled]:
    """Yield a line for a filter. If it is about associated records and fails, yield a line for each of these, too."""
    from enrollment.domain.describe import is_association

    reason = f" ({result['because']})" if "because" in result else ""
    if is_association(result["operation"]):
        value, *associated = found_associated(result)
    else:
        value, associated = _quoted(result["found"]), []
    yield _marked(result["passed"], f"{result['property']} {result['expected']}: found {value}{reason}")
    for text in associated:
        yield styled(f"    {text}")


def _quoted(value: Any) -> str:
    """Show a value, with quotation marks around text so that spaces at its ends are visible."""
    if value in (None, "", []):
        return "no value"
    return f'"{shown(value)}"' if isinstance(value, str) else shown(value)


def _marked(passed: bool, text: str) -> Styled:
    return (PASSED if passed else FAILED) + " " + styled(text)
