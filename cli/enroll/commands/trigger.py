"""`enroll trigger`"""

import uuid
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from enroll.api import ApiUrl, Portal
from enroll.commands.send import SentEvents, Timeout, Wait, report, send_events
from enroll.completion import complete_event_types, complete_records
from enroll.durations import read_timeout
from enroll.output import INVALID, AsJson, Utc, fail, print_json
from enroll.producer_events import Changes, check_events, prepare, routed_name
from enroll.records import read_record
from enroll.stack import StackName
from enrollment.entrypoints.bootstrap import now


def trigger(
    event: Annotated[
        str,
        typer.Argument(
            metavar="EVENT", help="The event type, for example forms.submitted.", autocompletion=complete_event_types
        ),
    ],
    portal: Portal,
    properties: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=VALUE", help="Properties of the event.")
    ] = None,
    record: Annotated[
        str | None,
        typer.Option(
            help="Type and ID of the record, for example contact/101. Default: an unknown visitor.",
            autocompletion=complete_records,
        ),
    ] = None,
    event_id: Annotated[str | None, typer.Option("--id", help="ID of the event. Default: a new ID.")] = None,
    source: Annotated[str, typer.Option(help="Source of the event.")] = "enroll.trigger",
    print_only: Annotated[bool, typer.Option("--print", help="Print the event and do not send it.")] = False,
    wait: Wait = False,
    timeout: Timeout = "30s",
    api: ApiUrl = None,
    stack: StackName = "enroll",
    utc: Utc = False,
    as_json: AsJson = False,
) -> None:
    """Make a valid event from the catalog and put it on the bus.

    Properties that the event needs get a sample value, unless you set them.
    The event occurs now. With --wait, the command prints what became of it,
    and its exit code is that of `enroll event`.
    """
    timeout_seconds = read_timeout(timeout)
    envelope = _envelope(event, portal, record, event_id, source, _read_properties(properties or []))
    prepared = prepare("the event", envelope, Changes(), now)
    check_events([prepared], now())
    if print_only:
        print_json(prepared.envelope)
        return
    refused = send_events([prepared], stack)
    report(SentEvents([prepared], refused, wait, timeout_seconds, api, stack), utc=utc, as_json=as_json)


def _envelope(
    name: str, portal: str, record: str | None, event_id: str | None, source: str, properties: dict[str, str]
) -> dict[str, Any]:
    from enroll.event_samples import sample_properties
    from enrollment.catalog import EVENT_TYPES
    from enrollment.serialization.event_fields import nearest_event_type
    from enrollment.serialization.validation_errors import expectation, hint

    event_type = EVENT_TYPES.get(routed_name(name))
    if event_type is None:
        action = "`enroll catalog` lists all event types"
        expected = expectation("an event type of the catalog, for example forms.submitted", name, action)
        fail(f"{expected}{hint(nearest_event_type(name))}", INVALID)
    type_id, object_id = ("0-1", None) if record is None else read_record(record)
    return {
        "detail-type": event_type.name,
        "source": source,
        "detail": {
            "id": event_id or str(uuid.uuid4()),
            "portalId": portal,
            "objectType": type_id,
            "objectId": object_id,
            "properties": sample_properties(event_type, properties),
        },
    }


def _read_properties(texts: Sequence[str]) -> dict[str, str]:
    properties: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name:
            fail(f"expected a property as NAME=VALUE, for example hs_form_id=f-1; got {text!r}", INVALID)
        properties[name] = value
    return properties
