"""`enroll records …`"""

from typing import Annotated

import typer

from enroll.output import INVALID, NOT_FOUND, AsJson, console, fail, print_json, print_table, shown
from enroll.stack import Portal, StackName, explained, open_stack
from enrollment.domain.identifiers import RecordKey, object_type_id
from enrollment.domain.values import iso

app = typer.Typer(help="Look at stored records.", no_args_is_help=True)

# Enrollments shown of a record.
LATEST = 100


@app.callback()
def records() -> None:
    """Look at stored records."""


@app.command()
def show(
    record: Annotated[str, typer.Argument(help="Type and id: contact/101, or 0-1/101.")],
    portal: Portal,
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """A record: its properties with the times of their changes, its lists, its enrollments."""
    kind, slash, object_id = record.partition("/")
    type_id = object_type_id(kind)
    if not slash or type_id is None or not object_id:
        fail(f"found {record!r}, allowed is a type and an id, as contact/101 or 0-3/77", INVALID)
    key = RecordKey(portal, type_id, object_id)
    with explained():
        opened = open_stack(stack).stores
        found = opened.records.get(key)
        enrollments = opened.enrollments.of_record(key, LATEST)
    if found is None:
        fail(f"no record {record} in portal {portal}", NOT_FOUND)
    if as_json:
        print_json(
            {
                "objectTypeId": type_id,
                "objectId": object_id,
                "createdAt": iso(found.created_at),
                "properties": {
                    name: {"value": one.value, "changedAt": iso(one.changed_at)}
                    for name, one in found.properties.items()
                },
                "lists": sorted(name for name, one in found.memberships.items() if one.value),
                "enrollments": [
                    {
                        "enrollmentId": one.enrollment.id,
                        "flowId": one.enrollment.flow_id,
                        "eventId": one.enrollment.cause.event_id,
                        "enrolledAt": iso(one.enrollment.enrolled_at),
                        "isConfirmed": one.is_confirmed,
                    }
                    for one in enrollments
                ],
            }
        )
        return
    console.print(f"{record} of portal {portal}, created {iso(found.created_at)}", markup=False)
    print_table(
        ("property", "value", "changed"),
        ((name, shown(one.value), iso(one.changed_at)) for name, one in sorted(found.properties.items())),
    )
    if found.memberships:
        print_table(
            ("list", "member", "changed"),
            (
                (name, "yes" if one.value else "no", iso(one.changed_at))
                for name, one in sorted(found.memberships.items())
            ),
        )
    if enrollments:
        print_table(
            ("flow", "event", "event id", "enrolled", "enrollment", "delivered"),
            (
                (
                    f"{one.enrollment.flow_name} ({one.enrollment.flow_id})",
                    one.enrollment.cause.event_type,
                    one.enrollment.cause.event_id,
                    iso(one.enrollment.enrolled_at),
                    one.enrollment.id,
                    "yes" if one.is_confirmed else "not yet",
                )
                for one in enrollments
            ),
        )
