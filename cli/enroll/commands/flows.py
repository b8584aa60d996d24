"""`enroll flows …`"""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import track

from enroll.files import read_objects
from enroll.output import INVALID, AsJson, console, errors, fail, print_json, print_table
from enroll.stack import Portal, StackName, explained, open_stack
from enrollment.bootstrap import now
from enrollment.domain.flows import FlowRevision, revised
from enrollment.domain.values import iso
from enrollment.wire.flows import InvalidFlow, read_flow

app = typer.Typer(help="Write flows: who enters a workflow, by which events.", no_args_is_help=True)

FlowId = Annotated[str, typer.Argument(help="The flow's id.")]


@app.command()
def put(
    files: Annotated[list[Path], typer.Argument(help="HubSpot v4 flow JSON: one flow a file, or a list.")],
    portal: Portal,
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """Store flows. All are checked first; with a fault in one, none is stored."""
    flows = _checked(files, portal)
    authoring = open_stack(stack).stores.authoring
    stored = []
    with explained():
        for flow_id, document in track(
            flows, "Storing", console=errors, disable=len(flows) < 10 or as_json, transient=True
        ):
            current = authoring.get_many(portal, [flow_id]).get(flow_id)
            based_on = None if current is None else str(current.revision)
            stored.append(authoring.put(portal, flow_id, document, now(), based_on=based_on))
    _print(stored, as_json)


@app.command("list")
def list_flows(portal: Portal, stack: StackName = "enroll", as_json: AsJson = False) -> None:
    """The flows of a portal."""
    with explained():
        _print(list(open_stack(stack).stores.authoring.list(portal, 1000)), as_json)


@app.command()
def show(flow_id: FlowId, portal: Portal, stack: StackName = "enroll", as_json: AsJson = False) -> None:
    """A flow, as it was written."""
    with explained():
        revision = open_stack(stack).stores.authoring.get(portal, flow_id)
    if as_json:
        print_json(_document(revision))
    else:
        console.print_json(data=_document(revision))


@app.command()
def on(flow_id: FlowId, portal: Portal, stack: StackName = "enroll", as_json: AsJson = False) -> None:
    """Turn a flow on: it enrolls by events that occur from now on."""
    with explained():
        _print([open_stack(stack).stores.authoring.switch(portal, flow_id, now(), on=True)], as_json)


@app.command()
def off(flow_id: FlowId, portal: Portal, stack: StackName = "enroll", as_json: AsJson = False) -> None:
    """Turn a flow off: it holds at the next event."""
    with explained():
        _print([open_stack(stack).stores.authoring.switch(portal, flow_id, now(), on=False)], as_json)


@app.command()
def delete(flow_id: FlowId, portal: Portal, stack: StackName = "enroll", as_json: AsJson = False) -> None:
    """Delete a flow. The enrollments that it made stay."""
    with explained():
        revision = open_stack(stack).stores.authoring.delete(portal, flow_id, now())
    if as_json:
        print_json({"id": revision.id, "deleted": True})
    else:
        console.print(f"Deleted flow {revision.id}.", markup=False)


def _checked(files: list[Path], portal: str) -> list[tuple[str, dict[str, Any]]]:
    flows: dict[str, dict[str, Any]] = {}
    faults: list[str] = []
    for path in files:
        for document in read_objects(path):
            flow_id = document.get("id")
            if not isinstance(flow_id, str | int) or isinstance(flow_id, bool):
                faults.append(f"{path}: $.id: found {flow_id!r}, allowed is the flow's id")
                continue
            if str(flow_id) in flows:
                faults.append(f"{path}: $.id: found {flow_id} a second time")
            flows[str(flow_id)] = document
            try:
                read_flow(revised(None, portal, str(flow_id), document, 0))
            except InvalidFlow as invalid:
                faults += [f"{path}: flow {flow_id}: {fault}" for fault in invalid.faults]
    if faults:
        fail("nothing is stored, for these faults:\n" + "\n".join(faults), INVALID)
    return list(flows.items())


def _document(revision: FlowRevision) -> dict[str, Any]:
    return {"id": revision.id, "revisionId": str(revision.revision), **revision.document}


def _print(revisions: list[FlowRevision], as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "id": one.id,
                    "name": one.document.get("name"),
                    "revisionId": str(one.revision),
                    "isEnabled": one.is_enabled,
                    "enabledAt": None if one.enabled_at is None else iso(one.enabled_at),
                }
                for one in revisions
            ]
        )
        return
    print_table(
        ("flow", "name", "triggers", "revision", "state", "on since"),
        (
            (
                one.id,
                one.document.get("name"),
                ", ".join(sorted(read_flow(one).event_types)),
                one.revision,
                "on" if one.is_enabled else "off",
                iso(one.enabled_at) if one.is_enabled and one.enabled_at is not None else "",
            )
            for one in revisions
        ),
    )
