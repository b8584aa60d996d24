"""Print decisions, and the filters that led to them, for a person to read."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from enroll.output import Lines, console, shown, styled

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
MAX_PREVIEW_ROWS = 20
MAX_EXAMPLES = 3

BRANCHES = {"AND": "all of", "OR": "one of", "NOT_ALL": "not all of", "NOT_ANY": "none of"}

PASSED, FAILED = Text("✓", "green"), Text("✗", "red")

Decision = Mapping[str, Any]
"""A decision as the API returns it."""


def print_decisions(events: Sequence[tuple[Sequence[str], Sequence[Decision]]], *, details: bool) -> None:
    """Print a table with a row for each decision, which shows the first failing condition.

    ``events`` are pairs of the lines that describe an event and the decisions on it. ``details`` adds the result of
    every filter below the table.
    """
    table = Table("event", "flow", "decision", "why")
    for event_lines, decisions in events:
        if not decisions:
            table.add_row(Lines(event_lines), "", "", "no flow is triggered by it")
        # Each row has one line of the event, so that neither the event nor its flows stretch the table.
        for number, decision in enumerate(decisions):
            is_last = number == len(decisions) - 1
            row_lines = event_lines[number:] if is_last else event_lines[number : number + 1]
            table.add_row(Lines(row_lines), _flow(decision), _code(decision["code"] or "-"), Lines(_reasons(decision)))
        table.add_section()
    if events:
        console.print(table)
    if details:
        for decision in (decision for _, decisions in events for decision in decisions):
            _print_details(decision)


def _print_details(decision: Decision) -> None:
    if detail_lines := [*_details(decision)]:
        console.print(f"{_flow(decision)}, revision {decision['flowRevisionId']}", style="bold")
        for line in detail_lines:
            console.print(Text("  ") + line, soft_wrap=True)


def _code(code: str) -> Text:
    return styled(code, STYLES.get(code, DEFAULT_STYLE))


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun in the singular or the plural, for example "1 event" or "2 events"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def print_preview(decisions: Sequence[Decision], record_count: int) -> None:
    """Print how many records a draft flow would have enrolled, and the most frequent reasons against the others.

    ``decisions`` are sorted from the latest event to the earliest.
    """
    if not decisions:
        console.print("The event history has no event that could trigger the flow.")
        return
    since, until = decisions[-1]["occurredAt"], decisions[0]["occurredAt"]
    records, events = count_of(record_count, "record"), count_of(len(decisions), "event")
    console.print(f"{records} would have been enrolled, by {events} from {since} to {until}.", style="bold")
    groups = _group_by_reason(decisions)
    table = Table("decision", "why", "events", "for example")
    for (code, reason), record_names in groups[:MAX_PREVIEW_ROWS]:
        examples = ", ".join(list(dict.fromkeys(record_names))[:MAX_EXAMPLES])
        table.add_row(_code(code), reason, str(len(record_names)), examples)
    console.print(table)
    if len(groups) > MAX_PREVIEW_ROWS:
        console.print(f"{len(groups) - MAX_PREVIEW_ROWS} more reasons. --json prints all of them.", style="dim")


def _group_by_reason(decisions: Sequence[Decision]) -> list[tuple[tuple[str, str], list[str]]]:
    """Return the records of each code and reason: enrollments first, then by the number of events."""
    groups: dict[tuple[str, str], list[str]] = {}
    for decision in decisions:
        code = decision["code"]
        conditions = "" if code == "ENROLLED" else "; ".join(decision["failedConditions"])
        reason = str(conditions or SUMMARY_REASONS.get(code, decision["because"]))
        groups.setdefault((code, reason), []).append(f"{decision['objectTypeId']}/{decision['objectId']}")
    return sorted(groups.items(), key=lambda group: (group[0][0] != "ENROLLED", -len(group[1])))


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


def _details(decision: Decision) -> Iterator[Text]:
    for group in decision["triggerGroups"]:
        title = f"trigger group {group['groupIndex']}: {group['eventType']}"
        if not group["isConcerned"]:
            yield styled(f"- {title}, for another event", "dim")
            continue
        yield _marked(group["passed"], title)
        for filter_result in group["filters"]:
            yield Text("  ") + _filter(filter_result)
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
            # A record that met the criteria before does not come to meet them.
            yield _marked(not before["passed"], "criteria did not hold just before the change")
            yield from _branch(before, "  ")
    for note in decision.get("notes", []):
        yield styled(f"Note: {note}.", "yellow")


def _branch(result: Mapping[str, Any], indent: str) -> Iterator[Text]:
    """Yield a line for a filter, or the lines of a branch of filters."""
    if "property" in result:
        yield Text(indent) + _filter(result)
        return
    children = (*result["filters"], *result["filterBranches"])
    if len(children) > 1 or result["filterBranchType"].startswith("NOT_"):
        yield Text(indent) + _marked(result["passed"], BRANCHES[result["filterBranchType"]])
        indent += "  "
    for child in children:
        yield from _branch(child, indent)


def _filter(result: Mapping[str, Any]) -> Text:
    reason = f" ({result['because']})" if "because" in result else ""
    value = _quoted(result["found"])
    return _marked(result["passed"], f"{result['property']} {result['expected']}: found {value}{reason}")


def _quoted(value: Any) -> str:
    """Show a value, with quotation marks around text so that spaces at its ends are visible."""
    if value in (None, "", []):
        return "no value"
    return f'"{shown(value)}"' if isinstance(value, str) else shown(value)


def _marked(passed: bool, text: str) -> Text:
    return (PASSED if passed else FAILED) + Text(" ") + styled(text)
