"""`enroll records …`"""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from enroll.api import Api, ApiError, ApiUrl, Portal, api_errors_reported, fits_in_path, open_api, path_segment
from enroll.output import FAILED, INVALID, AsJson, console, errors, fail, print_json, print_table, shown
from enroll.record_import import UnreadableFile, read_import
from enroll.records import read_record
from enroll.stack import StackName
from enrollment.domain.identifiers import object_type_id

app = typer.Typer(help="Look at stored records, and import them.", no_args_is_help=True)

# Enrollments shown of a record.
LATEST = 100


@app.command()
def show(
    record: Annotated[str, typer.Argument(help="Type and id: contact/101, or 0-1/101.")],
    portal: Portal,
    api: ApiUrl = None,
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """Show a record: its properties with the times of their changes, its lists and its enrollments."""
    type_id, object_id = read_record(record)
    opened = open_api(api, portal, stack)
    with api_errors_reported():
        found, enrollments = _read(opened, type_id, object_id)
    if as_json:
        print_json({**found, "enrollments": enrollments})
        return
    console.print(f"{record} of portal {portal}, created {found['createdAt']}")
    print_table(
        ("property", "value", "changed"),
        ((name, shown(one["value"]), one["changedAt"]) for name, one in found["properties"].items()),
    )
    if found["lists"]:
        print_table(
            ("list", "member", "changed"),
            ((one["listId"], "yes" if one["isMember"] else "no", one["changedAt"]) for one in found["lists"]),
        )
    if enrollments:
        print_table(
            ("flow", "event", "event id", "enrolled", "enrollment", "delivered"),
            (
                (
                    f"{one['flowName']} ({one['flowId']})",
                    one["trigger"]["eventType"],
                    one["trigger"]["eventId"],
                    one["enrolledAt"],
                    one["enrollmentId"],
                    "yes" if one["isPublished"] and one["isAnnounced"] else "not yet",
                )
                for one in enrollments
            ),
        )


def _read(api: Api, type_id: str, object_id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The record and its enrollments. Raises ApiError."""
    path = f"/enrollment/v1/records/{type_id}"
    if fits_in_path(object_id):
        # By GET, which a policy that only lets its holder read allows.
        path = f"{path}/{path_segment(object_id)}"
        found = api.call("GET", path)
        return found, api.call("GET", f"{path}/enrollments", query={"limit": str(LATEST)})["results"]
    answer = api.call("POST", f"{path}/batch/read", {"inputs": [{"id": object_id}]})
    if not answer["results"]:
        raise ApiError(404, {"message": f"no record {type_id}/{object_id} in this portal"})
    query = {"objectId": object_id, "limit": LATEST}
    return answer["results"][0], api.call("POST", f"{path}/enrollments", query)["results"]


@app.command("import")
def import_records(
    file: Annotated[
        Path, typer.Argument(help="FILE.csv, a column a property; or FILE.jsonl, as batch/upsert has them.")
    ],
    portal: Portal,
    object_type: Annotated[str, typer.Option("--type", help="contact, company, 0-3, 2-77…")] = "contact",
    id_column: Annotated[str, typer.Option(help="The column, or key, that has the record's id.")] = "id",
    api: ApiUrl = None,
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """Upsert records from a file. Resumable. Rejected rows are written to <file>.refused.jsonl."""
    if object_type_id(object_type) is None:
        fail(f"--type: expected an object type, for example contact, 0-1 or 2-77; got {object_type!r}", INVALID)
    try:
        work = read_import(open_api(api, portal, stack), object_type, file, id_column)
    except UnreadableFile as error:
        fail(str(error), INVALID)
    work.resume()
    if work.done and not as_json:
        console.print(f"Resuming after {work.done} rows.")
    columns = (TextColumn("Importing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with api_errors_reported(), Progress(*columns, console=errors, disable=as_json, transient=True) as progress:
        task = progress.add_task("Importing", total=len(work.rows), completed=work.done)
        work.run(lambda count: progress.advance(task, count))
    report = str(work.report_file) if work.refused else None
    if as_json:
        counts = {"rows": len(work.rows), "created": work.created, "changed": work.changed, "refused": work.refused}
        print_json({**counts, "report": report})
    else:
        console.print(f"{len(work.rows)} rows: {work.created} created, {work.changed} changed, {work.refused} refused.")
    if report:
        fail(f"refused rows, each with its reason: {report}", FAILED)
