"""Backfills on the embedded AWS, where conditional writes are atomic, with two applications and live events.

BACKFILL_RECORDS=20000 measures a larger backfill: `pytest tests/e2e/test_backfill.py -m verify -s` prints records a
second.
"""

import os
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from enrollment.adapters.dynamodb.flow_repository import DynamoFlowRepository
from enrollment.adapters.dynamodb.record_listing import DynamoRecordListing
from enrollment.adapters.dynamodb.run_repository import DynamoRuns
from enrollment.application.backfills import BackfillRequest, Backfills
from enrollment.domain.enrollment.decisions import Code
from enrollment.domain.enrollment.runs import Run, RunStatus
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record, TimestampedValue
from enrollment.domain.values import iso
from enrollment.entrypoints.bootstrap import application, new_id, now
from enrollment.entrypoints.event_handlers import handler_for
from enrollment.entrypoints.run_bootstrap import assemble
from enrollment.entrypoints.run_handler import evaluate_runs
from enrollment.serialization.flows import read_flow, read_flow_or_retired
from tests.support.emulated import emulated_aws
from tests.support.fakes import store
from tests.support.functions import CONTEXT
from tests.support.scenario import event, flow
from tests.support.stores import open_tables, stores

RECORDS = int(os.environ.get("BACKFILL_RECORDS", "400"))


@pytest.mark.verify
def test_two_workers_and_live_events_enroll_each_record_once() -> None:
    """Every second record meets the criteria. During the backfill, events make every tenth record meet them."""
    with emulated_aws() as emulated:
        opened, tables = stores(emulated.config), open_tables(emulated.config)
        application.cache_clear()
        store(opened.authoring, "p1", flow({"id": 1, "filters": [["city", "IS_EQUAL_TO", "Dublin"]]}), 0)

        def save(number: int) -> None:
            city = TimestampedValue("Cork" if number % 2 else "Dublin", 1_000)
            opened.records.save(Record(RecordKey("p1", "0-1", str(number)), 1_000, {"city": city}))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(save, range(RECORDS)))
        flows = DynamoFlowRepository(tables, read_flow_or_retired)
        backfills = Backfills(DynamoRuns(tables), flows, read_flow, DynamoRecordListing(tables), new_id)

        dry_run = backfills.start(BackfillRequest("p1", "1", True, "ada"), now())
        seconds = {"dry run": evaluated(backfills, dry_run, [assemble(emulated.config)])}
        assert backfills.progress(dry_run).counts == {Code.ENROLLED: RECORDS // 2, Code.NOT_MATCHED: RECORDS // 2}

        moving = range(1, RECORDS, 10)

        def move() -> None:
            handler = handler_for("crm")
            for number in moving:
                change = {"hs_name": "city", "hs_value": "Dublin"}
                handler(
                    event(
                        {
                            "crm.property_changed": str(number),
                            "id": f"e{number}",
                            "at": iso(now()),
                            "properties": change,
                        }
                    ),
                    CONTEXT,
                )

        run = backfills.start(BackfillRequest("p1", "1", False, "ada", dry_run_id=dry_run.id), now())
        live = threading.Thread(target=move)
        live.start()
        seconds["backfill"] = evaluated(backfills, run, [assemble(emulated.config) for _ in range(2)])
        live.join(600)
        done = backfills.get("p1", "1", run.id)
        assert done.status is RunStatus.DONE
        assert backfills.progress(done).records == RECORDS
        # A scan, because the index by flow reads 16 partitions for each page.
        scan = tables.client.get_paginator("scan").paginate(TableName=emulated.config.enrollments_table)
        items = [item for page in scan for item in page["Items"]]
        assert all("publishedAt" in item and "announcedAt" in item for item in items)
        entered = Counter(item["pk"]["S"].rpartition("/")[2] for item in items)
        expected = {str(number) for number in range(RECORDS) if number % 2 == 0} | set(map(str, moving))
        assert entered == dict.fromkeys(expected, 1)
        application.cache_clear()
        for name, taken in seconds.items():
            print(f"{name}: {RECORDS:,} records in {taken:.1f} s, {RECORDS / taken:,.0f} a second")


def evaluated(backfills: Backfills, run: Run, apps: list) -> float:  # type: ignore[type-arg]
    """Let the applications evaluate the run until it is finished. Return the seconds."""
    began = time.monotonic()
    with ThreadPoolExecutor(len(apps)) as pool:
        while not backfills.get("p1", "1", run.id).is_finished:
            list(pool.map(evaluate_runs, apps))
            assert time.monotonic() - began < 900
    return time.monotonic() - began
