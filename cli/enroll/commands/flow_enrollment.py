"""`enroll flows enroll`"""

import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from enroll.api import Api, ApiUrl, Portal, api_errors_reported, open_api
from enroll.completion import complete_flows, complete_records
from enroll.decision_rendering import count_of
from enroll.enrollment_import import IN_FLOW, enroll, read_enrollment_import
from enroll.flow_names import find_flow
from enroll.output import FAILED, INVALID, AsJson, console, fail, print_json
from enroll.progress import progress_bar
from enroll.record_import import UnreadableFile
from enroll.records import record_id_of
from enroll.stack import StackName


def enroll_records(
    flow: Annotated[
        str,
        typer.Argument(help="The flow's ID, or its name if no other flow has it.", autocompletion=complete_flows),
    ],
    portal: Portal,
    record: Annotated[
        str | None,
        typer.Argument(
            help="A stored record: type and ID, for example contact/101, or its ID.", autocompletion=complete_records
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", help="FILE.csv or FILE.jsonl with the record's ID in each row, instead of a record."),
    ] = None,
    id_column: Annotated[str, typer.Option(help="The column or key with the record's ID.")] = "id",
    key: Annotated[
        str | None,
        typer.Option("--key", help="Idempotency key of the enrollment of one record. Default: a new key each time."),
    ] = None,
    api: ApiUrl = None,
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """Enroll a record, or the records of a file, in a flow that is on. Its triggers and criteria need not match.

    If a run with --file is interrupted, run the command again: it continues after the rows that are done. Rows whose
    record is not enrolled are written to <file>.not-enrolled.jsonl.
    """
    if (record is None) == (file is None):
        found = "neither" if record is None else "both"
        fail(f"expected a record, for example contact/101, or --file; got {found}", INVALID)
    opened = open_api(api, portal, stack)
    with api_errors_reported():
        stored = find_flow(opened, flow)
    if record is not None:
        _enroll_record(opened, stored, record, key or f"cli-{uuid.uuid4()}", as_json=as_json)
    elif file is not None:
        if key is not None:
            fail("--key: expected it with one record; got it with --file, whose runs have a key of their own", INVALID)
        _enroll_file(opened, stored, file, id_column, as_json=as_json)


def _enroll_record(opened: Api, flow: dict[str, Any], record: str, key: str, *, as_json: bool) -> None:
    object_id = record_id_of(record, flow)
    with api_errors_reported():
        (decision,) = enroll(opened, flow["id"], [object_id], key)["results"]
    if as_json:
        print_json(decision)
    elif decision["code"] == "ENROLLED":
        console.print(f"Enrolled record {record} in flow {flow['id']}: enrollment {decision['enrollmentId']}.")
    else:
        console.print(f"{decision['code']}: {decision['because']}.")
    if decision["code"] not in IN_FLOW:
        raise typer.Exit(FAILED)


def _enroll_file(opened: Api, flow: dict[str, Any], file: Path, id_column: str, *, as_json: bool) -> None:
    try:
        work = read_enrollment_import(opened, flow, file, id_column)
    except UnreadableFile as error:
        fail(str(error), INVALID)
    work.resume()
    if work.done and not as_json:
        console.print(f"Resuming after {count_of(work.done, 'row')}.")
    bar = progress_bar("Enrolling", len(work.rows), completed=work.done, quiet=as_json)
    with api_errors_reported(), bar as progress:
        work.run(progress.advance)
    report = str(work.report_file) if work.not_in_flow else None
    if as_json:
        print_json({"rows": len(work.rows), "codes": dict(work.codes), "report": report})
    else:
        counts = ", ".join(f"{count} {code}" for code, count in sorted(work.codes.items())) or "none"
        console.print(f"{count_of(len(work.rows), 'row')}: {counts}.")
    if report:
        fail(f"some records were not enrolled; {report} has each of them with its reason", FAILED)
