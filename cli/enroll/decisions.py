"""Decisions with what they rest on, as a person reads them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from enroll.output import console, shown

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

PASSED, FAILED = "[green]✓[/green]", "[red]✗[/red]"


def print_decisions(events: Sequence[tuple[str, Sequence[Mapping[str, Any]]]], *, details: bool) -> None:
    """Events in words, each with its decisions: a row for each flow, with the first failing condition in words.
    ``details``: every filter below."""
    table = Table("event", "flow", "decision", "why")
    for event, decisions in events:
        if not decisions:
            table.add_row(escape(event), "", "", "no flow is triggered by it")
        # A line of the event beside each flow, so that neither stretches the other.
        lines = event.split("\n")
        for number, one in enumerate(decisions):
            code = one["code"] or "-"
            beside = lines[number : number + 1] if one is not decisions[-1] else lines[number:]
            why = escape("\n".join(_why(one)))
            table.add_row(escape("\n".join(beside)), escape(_flow(one)), f"[{STYLES.get(code, USUAL)}]{code}[/]", why)
        table.add_section()
    if events:
        console.print(table)
    for one in [one for _, decisions in events for one in decisions] if details else []:
        if lines := [*_details(one)]:
            console.print(f"{_flow(one)}, revision {one['flowRevisionId']}", style="bold", markup=False)
            for line in lines:
                console.print(f"  {line}", soft_wrap=True, highlight=False)


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
        table.add_row(f"[{STYLES.get(code, USUAL)}]{code}[/]", escape(why), str(len(concerned)), escape(example))
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


def _details(decision: Mapping[str, Any]) -> Iterator[str]:
    for group in decision["triggerGroups"]:
        head = f"trigger group {group['groupIndex']}: {group['eventType']}"
        if not group["isConcerned"]:
            yield f"[dim]- {escape(head)}, another event[/dim]"
            continue
        yield f"{_mark(group)} {escape(head)}"
        for one in group["filters"]:
            yield f"  {_filter(one)}"
    for key, name in (("suppression", "suppressed by"), ("goal", "goal met"), ("refinementCriteria", "criteria")):
        if decision[key] is not None:
            # What suppresses and what meets the goal keeps the record out.
            is_fine = decision[key]["passed"] == (key == "refinementCriteria")
            yield f"{PASSED if is_fine else FAILED} {name}, as the record was at {decision['recordAsOf']}"
            yield from _result(decision[key], "  ")
    for note in decision.get("notes", []):
        yield f"[yellow]Note: {escape(note)}.[/yellow]"


def _result(result: Mapping[str, Any], indent: str) -> Iterator[str]:
    if "property" in result:
        yield f"{indent}{_filter(result)}"
        return
    if len(result["filters"]) + len(result["filterBranches"]) > 1:
        yield f"{indent}{_mark(result)} {'all of' if result['filterBranchType'] == 'AND' else 'one of'}"
        indent += "  "
    for one in (*result["filters"], *result["filterBranches"]):
        yield from _result(one, indent)


def _filter(result: Mapping[str, Any]) -> str:
    value = result["found"]
    # A text in quotation marks, so that blanks at its ends are visible.
    found = "no value" if value in (None, "", []) else f'"{shown(value)}"' if isinstance(value, str) else shown(value)
    because = f" ({result['because']})" if "because" in result else ""
    return f"{_mark(result)} {escape(result['property'])} {escape(result['expected'])}: found {escape(found + because)}"


def _mark(result: Mapping[str, Any]) -> str:
    return PASSED if result["passed"] else FAILED
