"""Decisions with what they rest on, as a person reads them."""

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
# Decisions against, by the flow's own conditions.
USUAL = "yellow"

# Why, where each decision's own reason names another event.
GENERAL = {"ENROLLED": "", "ALREADY_ENROLLED": "by an earlier event"}
# Rows of a preview.
MOST = 20

PASSED, FAILED = Text("✓", "green"), Text("✗", "red")


def print_decisions(events: Sequence[tuple[Sequence[str], Sequence[Mapping[str, Any]]]], *, details: bool) -> None:
    """Print events, each as lines of words, with their decisions: a row for each flow, with the first failing condition
    in words. ``details`` adds every filter below the table."""
    table = Table("event", "flow", "decision", "why")
    for lines, decisions in events:
        if not decisions:
            table.add_row(Lines(lines), "", "", "no flow is triggered by it")
        # A line of the event beside each flow, so that neither stretches the other.
        for number, one in enumerate(decisions):
            beside = lines[number : number + 1] if one is not decisions[-1] else lines[number:]
            table.add_row(Lines(beside), _flow(one), _code(one["code"] or "-"), Lines(_why(one)))
        table.add_section()
    if events:
        console.print(table)
    for one in [one for _, decisions in events for one in decisions] if details else []:
        if detail_lines := [*_details(one)]:
            console.print(f"{_flow(one)}, revision {one['flowRevisionId']}", style="bold")
            for line in detail_lines:
                console.print(Text("  ") + line, soft_wrap=True)


def _code(code: str) -> Text:
    return styled(code, STYLES.get(code, USUAL))


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def print_preview(decisions: Sequence[Mapping[str, Any]], records: int) -> None:
    """How many records would have entered, and what most often stood against the others."""
    if not decisions:
        console.print("No event that could trigger it is in the history.")
        return
    since, until = decisions[-1]["occurredAt"], decisions[0]["occurredAt"]
    enrolled, happened = counted(records, "record"), counted(len(decisions), "event")
    console.print(f"{enrolled} would have been enrolled, by {happened} from {since} to {until}.", style="bold")
    reasons: dict[tuple[str, str], list[str]] = {}
    for one in decisions:
        why = (
            ""
            if one["code"] == "ENROLLED"
            else "; ".join(one["failedConditions"]) or GENERAL.get(one["code"], one["because"])
        )
        reasons.setdefault((one["code"], why), []).append(f"{one['objectTypeId']}/{one['objectId']}")
    table = Table("decision", "why", "events", "for example")
    by_count = sorted(reasons.items(), key=lambda one: (one[0][0] != "ENROLLED", -len(one[1])))
    for (code, why), concerned in by_count[:MOST]:
        example = ", ".join(list(dict.fromkeys(concerned))[:3])
        table.add_row(_code(code), why, str(len(concerned)), example)
    console.print(table)
    if len(by_count) > MOST:
        console.print(f"and {len(by_count) - MOST} other reasons; --json has all.", style="dim")


def _flow(decision: Mapping[str, Any]) -> str:
    name = decision["flowName"]
    return f"{name} ({decision['flowId']})" if name else str(decision["flowId"])


def _why(decision: Mapping[str, Any]) -> Sequence[str]:
    if (enrollment := decision.get("enrollment")) is not None:
        return [f"enrollment {enrollment['enrollmentId']}, {_delivery(enrollment)}"]
    return decision["failedConditions"] or [decision["because"]]


def _delivery(enrollment: Mapping[str, Any]) -> str:
    if enrollment["isPublished"]:
        return "its message is published"
    return (
        f"its message is due at {enrollment['dueAt']}" if "dueAt" in enrollment else "its message is not published yet"
    )


def _details(decision: Mapping[str, Any]) -> Iterator[Text]:
    for group in decision["triggerGroups"]:
        head = f"trigger group {group['groupIndex']}: {group['eventType']}"
        if not group["isConcerned"]:
            yield styled(f"- {head}, another event", "dim")
            continue
        yield _marked(group["passed"], head)
        for one in group["filters"]:
            yield Text("  ") + _filter(one)
    for key, name in (("suppression", "suppressed by"), ("goal", "goal met"), ("refinementCriteria", "criteria")):
        if decision[key] is not None:
            # What suppresses and what meets the goal keeps the record out.
            is_fine = decision[key]["passed"] == (key == "refinementCriteria")
            yield _marked(is_fine, f"{name}, as the record was at {decision['recordAsOf']}")
            yield from _result(decision[key], "  ")
    for note in decision.get("notes", []):
        yield styled(f"Note: {note}.", "yellow")


def _result(result: Mapping[str, Any], indent: str) -> Iterator[Text]:
    if "property" in result:
        yield Text(indent) + _filter(result)
        return
    if len(result["filters"]) + len(result["filterBranches"]) > 1:
        yield Text(indent) + _marked(result["passed"], "all of" if result["filterBranchType"] == "AND" else "one of")
        indent += "  "
    for one in (*result["filters"], *result["filterBranches"]):
        yield from _result(one, indent)


def _filter(result: Mapping[str, Any]) -> Text:
    value = result["found"]
    # A text in quotation marks, so that blanks at its ends are visible.
    found = "no value" if value in (None, "", []) else f'"{shown(value)}"' if isinstance(value, str) else shown(value)
    because = f" ({result['because']})" if "because" in result else ""
    return _marked(result["passed"], f"{result['property']} {result['expected']}: found {found}{because}")


def _marked(passed: bool, text: str) -> Text:
    return (PASSED if passed else FAILED) + Text(" ") + styled(text)
