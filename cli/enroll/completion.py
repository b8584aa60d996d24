"""Complete flows, event types, properties, records and categories in bash and zsh.

Typer calls these functions when Tab is pressed. A completion never prints an error and never blocks the shell: what
cannot be read within MAX_SECONDS is not completed. Flows and records need the portal, from --portal or ENROLL_PORTAL.

The shell inserts a completion into the command line as it is. IDs and names come from strangers, so a value that has
any other character than those of _SAFE is not offered.
"""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from enroll.api import Api

MAX_SECONDS = 2.5
MAX_VALUES = 100
# Flows whose recent enrollments are read for the completion of records, and the enrollments of each.
MAX_FLOWS_READ = 5
ENROLLMENTS_READ = 20

FLOWS = "/automation/v4/flows"

_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+/-]*")
_UNSAFE_IN_HELP = re.compile(r"[^\w ,.-]")

Completion = tuple[str, str]
"""A value and its description, which zsh shows."""


def complete_flows(ctx: typer.Context, incomplete: str) -> list[Completion]:
    """Complete the ID of a flow of the portal, with its name as the description."""
    return _offered(incomplete, lambda: ((flow["id"], flow.get("name") or "") for flow in _flows(_api(ctx))))


def complete_records(ctx: typer.Context, incomplete: str) -> list[Completion]:
    """Complete a record as <type>/<id>: the object types, and records that were enrolled recently."""
    return _offered(incomplete, lambda: _records(ctx, incomplete))


def complete_event_types(incomplete: str) -> list[Completion]:
    """Complete the name of an event type of the catalog, for example forms.submitted."""
    from enrollment.catalog import EVENT_TYPES

    return _offered(incomplete, lambda: ((event.name, event.label) for event in EVENT_TYPES.values()))


def complete_categories(incomplete: str) -> list[Completion]:
    """Complete a category of events, for example forms."""
    from enrollment.catalog import CATEGORIES

    return _offered(incomplete, lambda: ((category, "") for category in CATEGORIES))


def complete_properties(ctx: typer.Context, incomplete: str) -> list[Completion]:
    """Complete a property of the event type that the option or argument `event` names, otherwise of all types."""
    from enrollment.catalog import EVENT_TYPES

    event_type = EVENT_TYPES.get(ctx.params.get("event") or "")
    event_types = EVENT_TYPES.values() if event_type is None else [event_type]
    labels = {definition.name: definition.label for each in event_types for definition in each.properties}
    return _offered(incomplete, labels.items)


def _records(ctx: typer.Context, incomplete: str) -> Iterator[Completion]:
    from enrollment.domain.identifiers import OBJECT_TYPE_IDS

    names = {type_id: name for name, type_id in OBJECT_TYPE_IDS.items()}
    if "/" not in incomplete:
        yield from ((f"{name}/", type_id) for name, type_id in OBJECT_TYPE_IDS.items())
    by_name = not incomplete[:1].isdigit()
    api = _api(ctx)
    for flow in list(_flows(api))[:MAX_FLOWS_READ]:
        path = f"/enrollment/v1/flows/{flow['id']}/enrollments"
        if not _SAFE.fullmatch(flow["id"]):
            continue
        for enrollment in api.call("GET", path, query={"limit": str(ENROLLMENTS_READ)})["results"]:
            type_id = enrollment["objectTypeId"]
            object_type = names.get(type_id, type_id) if by_name else type_id
            yield f"{object_type}/{enrollment['objectId']}", enrollment["flowName"]


def _flows(api: Api) -> list[dict[str, Any]]:
    return list(api.call("GET", FLOWS, query={"limit": str(MAX_VALUES)})["results"])


def _api(ctx: typer.Context) -> Api:
    from enroll.api import open_api

    return open_api(ctx.params.get("api"), ctx.params["portal"], ctx.params.get("stack") or "enroll")


def _offered(incomplete: str, read: Callable[[], Iterable[Completion]]) -> list[Completion]:
    """Return the safe values that begin with the text, each once. Returns what was read in time."""
    found: dict[str, str] = {}

    def collect() -> None:
        try:
            for value, description in read():
                if value.startswith(incomplete) and _SAFE.fullmatch(value) and len(found) < MAX_VALUES:
                    found.setdefault(value, _UNSAFE_IN_HELP.sub("", description))
        except (Exception, SystemExit):
            # Without credentials, an endpoint or a portal there is nothing to complete.
            return

    # An error message would appear in the middle of the command line.
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        reader = threading.Thread(target=collect, daemon=True)
        reader.start()
        reader.join(MAX_SECONDS)
    return list(found.copy().items())
