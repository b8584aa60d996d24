"""`enroll flows impact`"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from enroll.api import Api, ApiUrl, Portal, api_errors_reported, open_api
from enroll.decision_rendering import count_of
from enroll.durations import read_duration
from enroll.files import read_objects
from enroll.flow_impact import FlowImpact, compare
from enroll.output import INVALID, AsJson, Utc, fail, print_json, print_note, print_table, times
from enroll.progress import ProgressBar, progress_bar
from enroll.stack import StackName
from enroll.tables import Column
from enroll.times import Times
from enrollment.domain.values import iso
from enrollment.entrypoints.bootstrap import now

PATH = "/enrollment/v1/impact"
# The largest page of the API.
PAGE_EVENTS = 100
MAX_ROWS = 50
# The order of the rows: the changes that matter most come first.
CHANGES = ("lost", "gained", "fewer", "more")


def impact(
    file: Annotated[Path, typer.Argument(help="A draft of a saved flow: HubSpot v4 flow JSON with the flow's ID.")],
    portal: Portal,
    last: Annotated[str, typer.Option(help="Period of the events: 30m, 12h, 7d, 2w.")] = "7d",
    api: ApiUrl = None,
    stack: StackName = "enroll",
    utc: Utc = False,
    as_json: AsJson = False,
) -> None:
    """Show which records a draft would gain and lose against the saved flow, by past events. Nothing is stored."""
    drafts = read_objects(file)
    if len(drafts) != 1:
        fail(f"{file}: expected one flow; got {len(drafts)}", INVALID)
    body = {"flow": drafts[0], "since": iso(max(0, now() - read_duration("--last", last))), "limit": PAGE_EVENTS}
    opened = open_api(api, portal, stack)
    with api_errors_reported(), progress_bar("Deciding", unit="events", quiet=as_json) as progress:
        result = compare(_pages(opened, body, progress))
    if as_json:
        print_json(_document(result))
    else:
        _print(result, str(drafts[0].get("id")), times(utc), is_draft_on=drafts[0].get("isEnabled") is True)


def _pages(opened: Api, body: Mapping[str, Any], progress: ProgressBar) -> Iterator[dict[str, Any]]:
    """Yield the pages, from the latest events to the earliest. Raises ApiError."""
    after: dict[str, Any] = {}
    while True:
        page = opened.call("POST", PATH, {**body, **after})
        progress.advance(len(page["results"]))
        yield page
        if "paging" not in page:
            return
        after = page["paging"]["next"]


def _document(result: FlowImpact) -> dict[str, Any]:
    return {
        "since": result.since,
        "until": result.until,
        "events": result.events,
        "savedRevisionId": result.saved_revision,
        "savedIsEnabled": result.is_saved_enabled,
        "gained": result.of_change("gained"),
        "lost": result.of_change("lost"),
        "records": [
            {
                "record": name,
                "saved": record.saved,
                "draft": record.draft,
                "change": record.change,
                "because": None if record.change == "same" else record.because,
                "eventId": None if record.change == "same" else record.event_id,
            }
            for name, record in result.records.items()
        ],
    }


def _print(result: FlowImpact, flow_id: str, clock: Times, *, is_draft_on: bool) -> None:
    since = clock.text(result.since)
    if result.saved_revision is None:
        print_note(f"Flow {flow_id} is not saved, so every entry is gained.", "")
    if not result.events:
        print_note(f"No event since {since} triggers the draft or the saved flow.", "")
        return
    gained, lost = result.of_change("gained"), result.of_change("lost")
    events = count_of(result.events, "event")
    counted = f"{count_of(len(gained), 'record')} gained, {count_of(len(lost), 'record')} lost"
    print_note(f"{counted}, by {events} since {since}.", "bold")
    for version, title in (("saved", "Saved flow"), ("draft", "Draft")):
        counts = [getattr(record, version) for record in result.records.values()]
        records = count_of(sum(count > 0 for count in counts), "record")
        entries = "1 entry" if sum(counts) == 1 else f"{sum(counts)} entries"
        print_note(f"{title}: {records}, {entries}.", "")
    _print_changes(result)
    states = (("The saved flow", result.is_saved_enabled), ("The draft", is_draft_on))
    for name in (name for name, is_on in states if is_on is False):
        print_note(f"{name} is off. It is compared as if it were on.", "yellow")


def _print_changes(result: FlowImpact) -> None:
    names = [name for change in CHANGES for name in result.of_change(change)]
    rows = [(name, result.records[name]) for name in names[:MAX_ROWS]]
    if rows:
        print_table(
            ("record", "change", "saved", "draft", Column("why", is_message=True)),
            [(name, record.change, record.saved, record.draft, record.because) for name, record in rows],
            is_full=True,
        )
    if len(names) > len(rows):
        print_note(f"{len(names) - len(rows)} more records. --json prints all of them.")
