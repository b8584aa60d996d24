"""The function that a schedule invokes each minute: it evaluates the records of backfills."""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import botocore.client
import pytest

from enrollment.adapters.dynamodb.flow_repository import DynamoFlowRepository
from enrollment.adapters.dynamodb.record_listing import DynamoRecordListing
from enrollment.adapters.dynamodb.run_repository import DynamoRuns
from enrollment.application.backfills import BackfillRequest, Backfills
from enrollment.domain.enrollment.decisions import Code
from enrollment.domain.enrollment.runs import LEASE_MS, Run, RunStatus
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record, TimestampedValue
from enrollment.entrypoints import bootstrap
from enrollment.entrypoints.run_bootstrap import run_application
from enrollment.serialization.flows import read_flow, read_flow_or_retired
from tests.support.fakes import store
from tests.support.functions import CONTEXT, Stack, calls, function
from tests.support.scenario import flow
from tests.support.stores import open_tables

RECORDS = 40


@pytest.fixture(autouse=True)
def new_application() -> Iterator[None]:
    run_application.cache_clear()
    yield
    run_application.cache_clear()


@pytest.fixture
def backfills(stack: Stack) -> Backfills:
    """With a flow that half of the contacts enter."""
    tables = open_tables(stack.config)
    document = flow({"id": 1, "filters": [["city", "IS_EQUAL_TO", "Dublin"]]})
    store(stack.stores.authoring, "p1", document, 0)
    for number in range(RECORDS):
        city = TimestampedValue("Dublin" if number % 2 else "Cork", 1_000)
        stack.stores.records.save(Record(RecordKey("p1", "0-1", str(number)), 1_000, {"city": city}))
    flows = DynamoFlowRepository(tables, read_flow_or_retired)
    return Backfills(DynamoRuns(tables), flows, read_flow, DynamoRecordListing(tables), bootstrap.new_id)


def start(backfills: Backfills, *, dry: bool = False) -> Run:
    confirm = None if dry else RECORDS
    return backfills.start(BackfillRequest("p1", "1", dry, "arn:ada", confirm=confirm), bootstrap.now())


def invoke() -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(json.dumps(function("runs").handler({"source": "aws.events"}, CONTEXT)))
    return answer


def sent(stack: Stack) -> Counter[str]:
    found: Counter[str] = Counter()
    while messages := stack.enrollments():
        found.update(json.loads(message["Body"])["objectId"] for message in messages)
        for message in messages:
            stack.sqs.delete_message(
                QueueUrl=stack.config.enrollments_queue_url, ReceiptHandle=message["ReceiptHandle"]
            )
    return found


def test_invocation_without_runs_reads_once(
    stack: Stack, backfills: Backfills, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    with monkeypatch.context() as patch:
        calls(patch, lambda operation, _: bool(made.append(operation)))
        assert invoke() == {"pages": 0, "records": 0, "failed": 0}
    # Each of the four workers looks for a run.
    assert made == ["Query"] * 4


def test_backfill_is_evaluated_published_and_logged(
    stack: Stack, backfills: Backfills, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = start(backfills)
    written: list[str] = []
    make = botocore.client.BaseClient._make_api_call

    def noted(client: Any, operation: str, arguments: Any) -> Any:
        if operation in ("PutItem", "DeleteItem") and arguments["TableName"] == stack.config.flows_table:
            written.append(arguments.get("Item", arguments.get("Key"))["pk"]["S"])
        if operation == "TransactWriteItems":
            written.extend(request["Put"]["Item"]["pk"]["S"] for request in arguments["TransactItems"])
        return make(client, operation, arguments)

    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(botocore.client.BaseClient, "_make_api_call", noted)
        answer = invoke()
    assert (answer["records"], answer["failed"]) == (RECORDS, 0)
    assert {pk.split("/")[0] for pk in written} == {"runs", "run-shards", "active-runs"}
    done = backfills.get("p1", "1", run.id)
    assert done.status is RunStatus.DONE
    assert backfills.progress(done).counts == {Code.ENROLLED: 20, Code.NOT_MATCHED: 20}
    assert sent(stack) == {str(number): 1 for number in range(1, RECORDS, 2)}
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    pages = [line for line in lines if line.get("message") == "page"]
    assert {line["shard"] for line in pages} == set(range(16))
    assert {line["runId"] for line in pages} == {run.id}
    (metrics,) = [line for line in lines if "_aws" in line]
    assert (metrics["RunRecords"], metrics["RunPagesFailed"], metrics["Enrolled"]) == (RECORDS, 0, 20)
    assert invoke() == {"pages": 0, "records": 0, "failed": 0}


def test_dry_run_writes_no_enrollment(stack: Stack, backfills: Backfills) -> None:
    run = start(backfills, dry=True)
    invoke()
    assert backfills.progress(run).counts == {Code.ENROLLED: 20, Code.NOT_MATCHED: 20}
    assert sent(stack) == {}
    assert list(stack.stores.enrollments.of_flow("p1", "1", 9)) == []


@pytest.mark.parametrize("operation", ["PutItem", "SendMessageBatch", "PutEvents", "UpdateItem", "BatchGetItem"])
def test_page_that_fails_is_logged_and_evaluated_again(
    stack: Stack, backfills: Backfills, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    run = start(backfills)
    failing = iter([False] * 2 + [True] * 3)
    with monkeypatch.context() as patch:
        calls(patch, lambda called, _: called == operation and next(failing, False))
        clock = iter(range(0, 10**9, 400))
        patch.setattr(bootstrap, "now", lambda: 1_795_514_400_000 + next(clock))
        patch.setattr("time.sleep", lambda _: None)
        # An error outside a page ends the invocation, and the clock starts the next one.
        with contextlib.suppress(ConnectionError):
            invoke()
        for _ in range(4):
            run_application.cache_clear()
            clock = iter(range(LEASE_MS, 10**9, 400))
            invoke()
    assert backfills.get("p1", "1", run.id).status is RunStatus.DONE
    assert backfills.progress(run).counts == {Code.ENROLLED: 20, Code.NOT_MATCHED: 20}
    assert set(sent(stack)) == {str(number) for number in range(1, RECORDS, 2)}


def test_two_invocations_at_once_evaluate_each_record_once(stack: Stack, backfills: Backfills) -> None:
    run = start(backfills)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: invoke(), range(2)))
    assert sum(answer["records"] for answer in answers) == RECORDS
    assert sum(backfills.progress(run).counts.values()) == RECORDS
    assert sent(stack) == {str(number): 1 for number in range(1, RECORDS, 2)}
