"""`enroll flows …`"""

import difflib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from enroll.api import Api, ApiUrl, Portal, api_errors_reported, open_api, path_segment
from enroll.associated_records import found_associated
from enroll.command_group import CommandGroup
from enroll.commands.flow_backfills import (
    RecordsPerSecond,
    dry_run_backfill,
    enrolled_number,
    list_backfills,
    run_backfill,
)
from enroll.commands.flow_enrollment import enroll_records
from enroll.commands.flow_impact import impact
from enroll.commands.flow_relist import relist
from enroll.completion import complete_flows, complete_records
from enroll.decision_rendering import print_preview
from enroll.files import read_objects
from enroll.flow_differences import differences
from enroll.flow_files import CheckedFlow, check_files, check_flow, exit_code_of, load_flows, print_report
from enroll.flow_names import FLOWS, find_flow, get_flow, get_flow_if_stored
from enroll.output import (
    INVALID,
    AsJson,
    Utc,
    confirm,
    console,
    errors,
    fail,
    print_json,
    print_json_document,
    print_note,
    print_table,
    shown,
    times,
)
from enroll.progress import progress_bar
from enroll.records import record_id_of
from enroll.stack import StackName
from enroll.tables import Lines
from enrollment.catalog import EVENT_TYPES
from enrollment.domain.describe import describe_flow, is_association
from enrollment.domain.flows.flow import KEPT_KEYS, SYSTEM_KEYS, Flow, revised
from enrollment.serialization.flow_documents import write_flow
from enrollment.serialization.flow_warnings import warnings
from enrollment.serialization.flows import InvalidFlow, read_new_flow
from enrollment.serialization.validation_errors import format_value

app = CommandGroup("Write flows, which say which events enroll which records.")

# Not by name: repeating the command must never delete another flow, whose name is the ID of the deleted one.
FlowId = Annotated[str, typer.Argument(help="The flow's ID.", autocompletion=complete_flows)]
FlowName = Annotated[
    str,
    typer.Argument(help="The flow's ID, or its name if no other flow has it.", autocompletion=complete_flows),
]
Files = Annotated[list[Path], typer.Argument(help="HubSpot v4 flow JSON: files with a flow or a list, or folders.")]

CHECK = "/enrollment/v1/flows/check"
# How `isEnabled` is shown. None: the flow is not stored.
_STATES = {True: "on", False: "off", None: ""}
# Events in a page of a preview.
PAGE_EVENTS = 100
MIN_FLOWS_FOR_PROGRESS = 10


@app.command()
def put(
    files: Files,
    portal: Portal,
    replace_triggers: Annotated[
        bool,
        typer.Option("--replace-triggers", help="Allow that a filter-based or scheduled flow becomes event-based."),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Store nothing unless every flow can be stored as it is.")
    ] = False,
    api: ApiUrl = None,
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """Store flows from files. A flow that Enroll cannot run is stored turned off, and the report says why.

    Exit code 0: every flow is stored as its file says. 1: flows were turned off or not stored. 2: nothing was stored.
    """
    checked = check_files(files, portal)
    faults = [line for flow in checked for line in flow.lines]
    if faults and (strict or not any(flow.is_storable for flow in checked)):
        fail(["nothing was stored, because flows are invalid:", *faults], INVALID)
    opened = open_api(api, portal, stack)
    to_store = [flow for flow in checked if flow.is_storable]
    for flow in to_store:
        path_segment(flow.id)  # fails for an invalid ID before the first flow is stored
    rows = []
    quiet = as_json or len(to_store) < MIN_FLOWS_FOR_PROGRESS
    with api_errors_reported(), progress_bar("Storing", len(to_store), quiet=quiet) as progress:
        for flow in to_store:
            progress.advance()
            rows.append(_store(opened, flow, replace_triggers=replace_triggers))
    rows += [flow.row() for flow in checked if not flow.is_storable]
    _print(rows, as_json)
    if not as_json:
        print_report(checked)
    if code := exit_code_of(checked):
        raise typer.Exit(code)


def _store(opened: Api, flow: CheckedFlow, *, replace_triggers: bool) -> dict[str, Any]:
    """Store a flow unless an equal one is stored. Return its row."""
    document = flow.document_to_store
    current = get_flow_if_stored(opened, flow.id)
    if current is not None and _same(current, document):
        return _row(current, "unchanged") | flow.report()
    # A file with a revision ID may only replace that revision. A new flow replaces none.
    based_on = None if current is None else document.get("revisionId", current["revisionId"])
    query = {"replaceTriggers": "true"} if replace_triggers else None
    stored = opened.call("PUT", f"{FLOWS}/{path_segment(flow.id)}", {**document, "revisionId": based_on}, query)
    return _row(stored, "created" if current is None else "changed") | flow.report()


@app.command()
def check(files: Files, as_json: AsJson = False) -> None:
    """Explain flows in plain sentences, or list their faults. Needs no stack.

    Loops are reported only among the flows in these files.
    """
    documents, unreadable = load_flows(files)
    flows = [flow for _, document in documents if (flow := _flow(document)) is not None]
    answers = [_check(path, document, flows) for path, document in documents]
    answers += [_answer(invalid.path, faults=[invalid.message]) for invalid in unreadable]
    if as_json:
        print_json(answers)
    else:
        for answer in answers:
            name = answer["name"] or answer["id"] or ("not a flow" if answer["faults"] else "a flow without a name")
            console.print(f"{answer['file']}: {shown(name)}", style="bold")
            for line in answer["explanation"]:
                console.print(f"  {line}")
            for warning in answer["warnings"]:
                console.print(f"  Warning: {warning}.", style="yellow")
            for fault in answer["faults"]:
                console.print(f"  {fault}", style="red")
    if any(answer["faults"] for answer in answers):
        raise typer.Exit(INVALID)


@app.command()
def pull(
    folder: Annotated[Path, typer.Argument(help="Folder for the files, one for each flow.")],
    portal: Portal,
    api: ApiUrl = None,
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """Write the portal's flows into files, for example to keep them in git. Equal files are not changed."""
    opened = open_api(api, portal, stack)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"{folder}: expected a folder; {error.strerror}", INVALID)
    files: dict[str, tuple[Path, dict[str, Any]]] = {}
    for path, document in _read([folder]):
        if any(path == known_path for known_path, _ in files.values()):
            fail(f"{path}: expected one flow in each file; got a list of flows", INVALID)
        if "id" in document:
            files[str(document["id"])] = (path, document)
    rows = []
    with api_errors_reported():
        for summary in opened.pages(FLOWS):
            remote = get_flow(opened, summary["id"])
            path, local = files.pop(remote["id"], (folder / _file_name(remote), None))
            state = "new" if local is None else "unchanged" if _same(remote, local) else "changed"
            if state != "unchanged":
                path.write_text(_text(_kept(remote)), encoding="utf-8")
            rows.append(_row(remote, f"{state}: {path}"))
    _print(rows, as_json)
    for flow_id, (path, _) in files.items():
        errors.print(f"{path}: flow {flow_id} is not in portal {portal}")


@app.command()
def diff(
    files: Files,
    portal: Portal,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="End with exit code 1 if there is a difference.")
    ] = False,
    api: ApiUrl = None,
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """Show what `enroll flows put` would change."""
    opened = open_api(api, portal, stack)
    documents = [(path, _id_of(path, document), document) for path, document in _read(files)]
    rows: list[dict[str, Any]] = []
    with api_errors_reported():
        for path, flow_id, document in documents:
            current = get_flow_if_stored(opened, flow_id)
            before = None if current is None else _canonical(current)
            flow = check_flow(path, flow_id, document, portal)
            proposed = _completed(current, flow.document_to_store)
            after = _canonical(proposed)
            changes = list(differences(before or {}, after))
            row = {
                "file": str(path),
                "id": flow_id,
                "revisionId": None if current is None else current["revisionId"],
                "state": "new" if current is None else "changed" if changes else "unchanged",
                "changes": changes,
                "warnings": _warnings(opened, flow, proposed) if changes else [],
            }
            rows.append(row)
            if changes and not as_json:
                _print_difference(
                    row, f"portal {portal}: flow {flow_id}" if current else "no stored flow", before, after
                )
    if as_json:
        print_json(rows)
    if exit_code and any(row["changes"] for row in rows):
        raise typer.Exit(1)


def _warnings(opened: Api, flow: CheckedFlow, proposed: Mapping[str, Any]) -> list[str]:
    """Return the warnings that storing the flow would give. Raises ApiError if it cannot be stored."""
    if flow.is_storable and flow.faults:
        return [f"the flow cannot be turned on; {fault}" for fault in flow.faults]
    return list(opened.call("POST", CHECK, proposed)["warnings"])


def _print_difference(
    row: Mapping[str, Any], title: str, before: Mapping[str, Any] | None, after: Mapping[str, Any]
) -> None:
    lines = difflib.unified_diff(
        [] if before is None else _text(before).splitlines(keepends=True),
        _text(after).splitlines(keepends=True),
        title,
        row["file"],
    )
    for line in lines:
        style = {"+": "green", "-": "red", "@": "cyan"}.get(line[0], "")
        console.print(line.rstrip("\n"), style=style, is_wrapped=False)
    _print_warnings(row["id"], row["warnings"])


@app.command("list")
def list_flows(
    portal: Portal, api: ApiUrl = None, stack: StackName = "enroll", utc: Utc = False, as_json: AsJson = False
) -> None:
    """List the flows of a portal."""
    with api_errors_reported():
        flows = list(open_api(api, portal, stack).pages(FLOWS))
    if as_json:
        print_json(flows)
        return
    if not flows:
        print_note(f"There are no flows in portal {portal}.")
        return
    clock = times(utc)
    print_table(
        ("flow", "state", "on since", "revision", "object", "enrollment", "name"),
        (
            (
                flow["id"],
                "on" if flow["isEnabled"] else "off",
                clock.text(flow["enabledAt"]),
                flow["revisionId"],
                flow["objectTypeId"],
                flow["enrollmentType"],
                flow.get("name"),
            )
            for flow in flows
        ),
    )


@app.command()
def show(
    flow: FlowName, portal: Portal, api: ApiUrl = None, stack: StackName = "enroll", as_json: AsJson = False
) -> None:
    """Show a flow as its author wrote it."""
    with api_errors_reported():
        document = find_flow(open_api(api, portal, stack), flow)
    if as_json:
        print_json(document)
    else:
        print_json_document(document)


@app.command()
def on(
    flow: FlowName,
    portal: Portal,
    enroll_existing: Annotated[
        bool,
        typer.Option(
            "--enroll-existing",
            help="Also enroll the existing records that meet the criteria of a filter-based flow. "
            "A dry run counts them first.",
        ),
    ] = False,
    records_per_second: RecordsPerSecond = None,
    yes: Annotated[bool, typer.Option("--yes", help="With --enroll-existing: do not ask for confirmation.")] = False,
    api: ApiUrl = None,
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """Turn a flow on. Events that occur from now on can trigger it."""
    opened = open_api(api, portal, stack)
    if not enroll_existing:
        if yes or records_per_second is not None:
            option = "--yes" if yes else "--records-per-second"
            fail(f"{option}: expected it with --enroll-existing; got it without", INVALID)
        _switch(opened, flow, is_on=True, as_json=as_json)
        return
    with api_errors_reported():
        stored = find_flow(opened, flow)
    dry_run = dry_run_backfill(opened, stored, records_per_second, quiet=as_json)
    if not yes:
        records = f"{enrolled_number(dry_run):,} existing records"
        confirm(
            f"Enroll {records} in flow {stored['id']}?"
            if stored["isEnabled"]
            else f"Turn flow {stored['id']} on and enroll {records}?"
        )
    is_on_already = stored["isEnabled"]
    current = stored if is_on_already else _write_enabled(opened, stored, is_on=True)
    row = _row(current, "on already" if is_on_already else "on")
    if not as_json:
        _print([row], as_json)
    backfill = run_backfill(opened, stored, dry_run, records_per_second, quiet=as_json)
    if as_json:
        print_json({"flow": row, "dryRun": dry_run, "backfill": backfill})


@app.command()
def off(
    flow: FlowName, portal: Portal, api: ApiUrl = None, stack: StackName = "enroll", as_json: AsJson = False
) -> None:
    """Turn a flow off. Takes effect at the next event."""
    _switch(open_api(api, portal, stack), flow, is_on=False, as_json=as_json)


@app.command()
def delete(
    flow_id: FlowId,
    portal: Portal,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    api: ApiUrl = None,
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """Delete a flow by its ID. Its enrollments are kept."""
    path = f"{FLOWS}/{path_segment(flow_id)}"
    with api_errors_reported():
        opened = open_api(api, portal, stack)
        if not yes:
            stored = opened.call("GET", path)
            errors.print(
                f"This deletes the flow {flow_id}, {stored['name']}, of the portal {portal}. It is "
                f"{'on, and stops enrolling records' if stored['isEnabled'] else 'off'}. Its enrollments are kept."
            )
            confirm(f"Delete flow {flow_id}?")
        opened.call("DELETE", path)
    if as_json:
        print_json({"id": flow_id, "deleted": True})
    else:
        console.print(f"Deleted flow {flow_id}.")


@app.command("test")
def enrollment_test(
    flow: FlowName,
    record: Annotated[
        str,
        typer.Argument(
            help="A stored record: type and ID, for example contact/101, or its ID.", autocompletion=complete_records
        ),
    ],
    portal: Portal,
    api: ApiUrl = None,
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """Check whether a record passes the flow's refinement criteria. Triggers are not considered."""
    with api_errors_reported():
        opened = open_api(api, portal, stack)
        stored = find_flow(opened, flow)
        flow_id, object_id = stored["id"], record_id_of(record, stored)
        result = opened.call("POST", f"/enrollment/v1/flows/{path_segment(flow_id)}/test", {"objectId": object_id})
    if as_json:
        print_json(result)
        return
    passes = "passes" if result["passed"] else "does not pass"
    console.print(f"Record {record} {passes} the criteria of flow {flow_id}.")
    filters = list(_filters(result["refinementCriteria"] or {}))
    if not filters:
        console.print("The flow has no refinement criteria.")
        return
    print_table(
        ("filter", "value", "passes"),
        (
            (
                f"{condition['property']} {condition['expected']}",
                _value(condition),
                "yes" if condition["passed"] else "no",
            )
            for condition in filters
        ),
    )


app.command("enroll")(enroll_records)
app.command("backfills")(list_backfills)
app.command("relist")(relist)


@app.command()
def preview(
    file: Annotated[Path, typer.Argument(help="A draft flow: HubSpot v4 flow JSON.")],
    portal: Portal,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="Number of recent events that can trigger the flow.")
    ] = 1000,
    api: ApiUrl = None,
    stack: StackName = "enroll",
    utc: Utc = False,
    as_json: AsJson = False,
) -> None:
    """Show which records a draft flow would have enrolled from past events, and why. Nothing is stored."""
    drafts = read_objects(file)
    if len(drafts) != 1:
        fail(f"{file}: expected one flow; got {len(drafts)}", INVALID)
    opened = open_api(api, portal, stack)
    decisions: list[dict[str, Any]] = []
    body: dict[str, Any] = {"flow": drafts[0]}
    with api_errors_reported(), progress_bar("Deciding", limit, quiet=as_json) as progress:
        while len(decisions) < limit:
            body["limit"] = min(PAGE_EVENTS, limit - len(decisions))
            page = opened.call("POST", "/enrollment/v1/preview", body)
            decisions += page["results"]
            progress.update(len(decisions))
            if "paging" not in page:
                break
            body["after"] = page["paging"]["next"]["after"]
    enrolled = {
        (decision["objectTypeId"], decision["objectId"]): decision
        for decision in decisions
        if decision["code"] == "ENROLLED"
    }
    if as_json:
        records = [f"{kind}/{object_id}" for kind, object_id in enrolled]
        print_json({"records": records, "isOnce": page["isOnce"], "decisions": decisions})
        return
    print_preview(decisions, len(enrolled), times(utc))


app.command()(impact)


def _switch(opened: Api, flow: str, *, is_on: bool, as_json: bool) -> None:
    with api_errors_reported():
        current = find_flow(opened, flow)
    state = "on" if is_on else "off"
    if current["isEnabled"] == is_on:
        # Writing it again would make a revision, and for a flow that is on also a new time of activation.
        _print([_row(current, f"{state} already")], as_json)
        if not as_json:
            print_note(f"Nothing was changed: flow {current['id']} was {state} already.")
        return
    _print([_row(_write_enabled(opened, current, is_on=is_on), state)], as_json)


def _write_enabled(opened: Api, current: Mapping[str, Any], *, is_on: bool) -> dict[str, Any]:
    with api_errors_reported():
        return opened.call("PUT", f"{FLOWS}/{path_segment(current['id'])}", {**current, "isEnabled": is_on})


def _flow(document: dict[str, Any]) -> Flow | None:
    """Return the flow in a document, or None if the document is invalid."""
    try:
        return read_new_flow(revised(None, "", str(document.get("id", "new")), document, 0))
    except InvalidFlow:
        return None


def _check(path: Path, document: dict[str, Any], flows: list[Flow]) -> dict[str, Any]:
    answer = _answer(path, id=document.get("id"), name=document.get("name"))
    try:
        flow = read_new_flow(revised(None, "", str(document.get("id", "new")), document, 0))
    except InvalidFlow as invalid:
        return answer | {"faults": [str(fault) for fault in invalid.faults]}
    flows_of_type = [other for other in flows if other.object_type_id == flow.object_type_id]
    return answer | {
        "explanation": list(describe_flow(flow, EVENT_TYPES)),
        "warnings": list(warnings(flow, flows_of_type)),
    }


def _answer(path: Path, **parts: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {
        "file": str(path),
        "id": None,
        "name": None,
        "explanation": [],
        "warnings": [],
        "faults": [],
    }
    return empty | parts


def _read(paths: list[Path]) -> list[tuple[Path, dict[str, Any]]]:
    """Return the flows in files and folders. End the command with INVALID if a file cannot be read."""
    documents, faults = load_flows(paths)
    if faults:
        fail([str(fault) for fault in faults], INVALID)
    return documents


def _id_of(path: Path, document: Mapping[str, Any]) -> str:
    flow_id = document.get("id")
    if not isinstance(flow_id, str | int) or isinstance(flow_id, bool):
        fail(f"{path}: $.id: expected the flow's ID, for example 1001; got {format_value(flow_id)}", INVALID)
    return str(flow_id)


def _kept(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a flow that its author writes, its ID first."""
    return {"id": str(document["id"])} | {key: value for key, value in document.items() if key not in SYSTEM_KEYS}


def _canonical(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a form that is equal for all spellings of the same flow, with the keys that the system adds."""
    filled = write_flow(revised(None, "", str(document["id"]), document, 0))
    return dict(sorted(_kept(filled).items()))


def _completed(current: Mapping[str, Any] | None, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document with the keys that a stored flow keeps if a change omits them."""
    return {key: current[key] for key in KEPT_KEYS if current and key in current} | dict(document)


def _same(current: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    return _canonical(current) == _canonical(_completed(current, document))


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _file_name(document: Mapping[str, Any]) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", str(document.get("name") or "").lower()).strip("-")[:60]
    flow_id = document["id"]
    if re.fullmatch(r"[A-Za-z0-9_]{1,64}", flow_id) is None:
        # The digest makes the names of two IDs different on every file system.
        digest = hashlib.sha256(flow_id.encode()).hexdigest()[:12]
        flow_id = f"{re.sub(r'[^A-Za-z0-9_]', '_', flow_id)[:40]}-{digest}"
    return f"{flow_id}-{words}.json" if words else f"{flow_id}.json"


def _row(document: Mapping[str, Any], outcome: str) -> dict[str, Any]:
    return {
        "id": document["id"],
        "name": document.get("name"),
        "revisionId": document["revisionId"],
        "isEnabled": document["isEnabled"],
        "outcome": outcome,
        "warnings": document.get("warnings", []),
    }


def _filters(result: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "property" in result:
        yield result
    for part in (*result.get("filters", []), *result.get("filterBranches", [])):
        yield from _filters(part)


def _value(result: Mapping[str, Any]) -> str | Lines:
    if is_association(result["operation"]):
        return Lines(found_associated(result))
    return "no value" if result["found"] is None else shown(result["found"])


def _print(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    print_table(
        ("flow", "state", "revision", "outcome", "name"),
        ((row["id"], _STATES[row["isEnabled"]], row["revisionId"], row["outcome"], row["name"]) for row in rows),
    )
    for row in rows:
        # The report has the reasons why a flow cannot be turned on.
        if not row.get("reasons"):
            _print_warnings(row["id"], row["warnings"])


def _print_warnings(flow_id: str, warning_texts: list[str]) -> None:
    for warning in warning_texts:
        errors.print(f"Warning: flow {flow_id}: {warning}.", style="yellow")
