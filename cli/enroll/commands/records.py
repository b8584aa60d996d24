"""`enroll records …`"""

from pathlib import Path
from typing import Annotated, Any

import typer

from enroll.api import Api, ApiError, ApiUrl, Portal, api_errors_reported, fits_in_path, open_api, path_segment
from enroll.command_group import CommandGroup
from enroll.completion import complete_records
from enroll.decision_rendering import count_of
from enroll.output import FAILED, INVALID, AsJson, Utc, console, fail, print_json, print_note, print_table, shown, times
from enroll.progress import progress_bar
from enroll.record_import import UnreadableFile, read_import
from enroll.record_index import Indexing, index_records, read_position, write_position
from enroll.records import read_record
from enroll.stack import StackName, aws_errors_reported, open_stack
from enroll.tables import Column
from enrollment.domain.identifiers import object_type_id

app = CommandGroup("Show stored records and import records.")

# Number of recent enrollments that `show` prints.
SHOWN_ENROLLMENTS = 100

# Items that one request of `index` reads, and the default number of items that it reads in a second.
INDEX_PAGE_ITEMS = 500
INDEX_RATE = 1_000


@app.command()
def show(
    record: Annotated[
        str,
        typer.Argument(
            help="Type and ID of the record, for example contact/101 or 0-1/101.", autocompletion=complete_records
        ),
    ],
    portal: Portal,
    api: ApiUrl = None,
    stack: StackName = "enroll",
    utc: Utc = False,
    as_json: AsJson = False,
) -> None:
    """Show a record: its properties and when they changed, its lists and its enrollments."""
    type_id, object_id = read_record(record)
    opened = open_api(api, portal, stack)
    with api_errors_reported():
        content, enrollments = _read(opened, type_id, object_id)
    if as_json:
        print_json({**content, "enrollments": enrollments})
        return
    clock = times(utc)
    print_note(f"{record} of portal {portal}, created {clock.text(content['createdAt'])}", "bold")
    print_table(
        ("property", "changed", Column("value", is_message=True)),
        (
            (name, clock.text(value["changedAt"]), shown(value["value"]))
            for name, value in content["properties"].items()
        ),
    )
    if content["lists"]:
        print_table(
            ("list", "member", "changed"),
            (
                (membership["listId"], "yes" if membership["isMember"] else "no", clock.text(membership["changedAt"]))
                for membership in content["lists"]
            ),
        )
    if enrollments:
        print_table(
            ("enrollment", "enrolled", "delivered", "flow", "event", "event ID"),
            (
                (
                    enrollment["enrollmentId"],
                    clock.text(enrollment["enrolledAt"]),
                    "yes" if enrollment["isPublished"] and enrollment["isAnnounced"] else "not yet",
                    f"{enrollment['flowName']} ({enrollment['flowId']})",
                    enrollment["trigger"]["eventType"],
                    enrollment["trigger"]["eventId"],
                )
                for enrollment in enrollments
            ),
        )


def _read(api: Api, type_id: str, object_id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the record and its enrollments. Raises ApiError, with status 404 if there is no such record."""
    path = f"/enrollment/v1/records/{type_id}"
    if fits_in_path(object_id):
        # A GET request needs only a policy that permits reading.
        path = f"{path}/{path_segment(object_id)}"
        content = api.call("GET", path)
        return content, api.call("GET", f"{path}/enrollments", query={"limit": str(SHOWN_ENROLLMENTS)})["results"]
    answer = api.call("POST", f"{path}/batch/read", {"inputs": [{"id": object_id}]})
    if not answer["results"]:
        raise ApiError(404, {"message": f"there is no record {type_id}/{object_id} in this portal"})
    query = {"objectId": object_id, "limit": SHOWN_ENROLLMENTS}
    return answer["results"][0], api.call("POST", f"{path}/enrollments", query)["results"]


@app.command("import")
def import_records(
    file: Annotated[
        Path,
        typer.Argument(help="FILE.csv with a column for each property, or FILE.jsonl with the inputs of batch/upsert."),
    ],
    portal: Portal,
    object_type: Annotated[
        str, typer.Option("--type", help="Object type, for example contact, company, 0-3 or 2-77.")
    ] = "contact",
    id_column: Annotated[str, typer.Option(help="The column or key with the record's ID.")] = "id",
    api: ApiUrl = None,
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """Upsert records from a file. Rejected rows are written to <file>.refused.jsonl.

    If a run is interrupted, run the command again: it continues after the rows that are done.
    """
    if object_type_id(object_type) is None:
        fail(f"--type: expected an object type, for example contact, 0-1 or 2-77; got {object_type!r}", INVALID)
    try:
        work = read_import(open_api(api, portal, stack), object_type, file, id_column)
    except UnreadableFile as error:
        fail(str(error), INVALID)
    work.resume()
    if work.done and not as_json:
        console.print(f"Resuming after {count_of(work.done, 'row')}.")
    bar = progress_bar("Importing", len(work.rows), completed=work.done, quiet=as_json)
    with api_errors_reported(), bar as progress:
        work.run(progress.advance)
    report = str(work.report_file) if work.refused else None
    if as_json:
        counts = {"rows": len(work.rows), "created": work.created, "changed": work.changed, "refused": work.refused}
        print_json({**counts, "report": report})
    else:
        console.print(
            f"{count_of(len(work.rows), 'row')}: {work.created} created, {work.changed} changed, "
            f"{work.refused} refused."
        )
    if report:
        fail(f"some rows were refused; {report} has each of them with its reason", FAILED)


@app.command()
def index(
    after: Annotated[
        str | None, typer.Option(help="Continue at the position that an interrupted command printed.")
    ] = None,
    rate: Annotated[
        int, typer.Option(help="Items that are read in a second, events of the history included.", min=1, max=100_000)
    ] = INDEX_RATE,
    stack: StackName = "enroll",
    as_json: AsJson = False,
) -> None:
    """Add the records of earlier versions to the indexes by object type, from which backfills list them, and by email.
    It is safe to repeat this."""
    try:
        progress = Indexing(None if after is None else read_position(after))
    except ValueError as error:
        fail(f"--after: expected the position that the command printed; {error}", INVALID)
    with aws_errors_reported():
        opened = open_stack(stack)
        table, client = opened.outputs["RecordsTableName"], opened.client("dynamodb")
        try:
            with progress_bar("Reading", unit="items", quiet=as_json) as bar:
                for _ in index_records(client, table, rate, progress, page_items=INDEX_PAGE_ITEMS):
                    bar.update(progress.items_read, f"{progress.records_added:,} records added")
        except BaseException:
            if progress.position is not None:
                print_note(f"Continue with: enroll records index --after {write_position(progress.position)}")
            raise
    if as_json:
        print_json({"itemsRead": progress.items_read, "recordsAdded": progress.records_added})
        return
    console.print(f"{progress.items_read:,} items read, {progress.records_added:,} records added to the index.")
