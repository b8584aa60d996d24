"""Due items: what a million of them cost, how precise they are, and how many a sweep sends.

The costs are computed from the sizes of the items of the samples in ``events/``, from the requests that the batch sizes
of the code imply, and from list prices. ``run`` measures the emulator and a simulation in memory.
"""

import json
import math
import random
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger

from enrollment.adapters import aws_clients as clients
from enrollment.adapters.dynamodb.due_items import DynamoDueItems
from enrollment.adapters.dynamodb.tables import WRITE_BATCH
from enrollment.adapters.observability import Metrics
from enrollment.adapters.sqs import BATCH_ENTRIES, SqsWorkQueue
from enrollment.application.timer_sweep import BATCH_SIZE, TimerSweep
from enrollment.config import Config
from enrollment.domain.timers.due_item import DUE_SHARDS, LOOK_AHEAD_MS, DueKind, due_item
from enrollment.domain.values import iso
from enrollment.entrypoints import timer_handler
from enrollment.entrypoints.bootstrap import now
from enrollment.entrypoints.timer_bootstrap import WORKERS, TimerApplication
from enrollment.entrypoints.timer_handler import WORK_SECONDS
from enrollment.serialization.envelopes import read_event
from enrollment.serialization.redeliveries import write_redelivery
from tests.benchmarks.capacity import item_bytes, write_units
from tests.benchmarks.counts import ITEM_OVERHEAD
from tests.benchmarks.durations import MEMORY_MB, WAITS, processor_share
from tests.benchmarks.tables import Found, Table
from tests.support.emulated import emulated_aws
from tests.support.fakes import FakeDueItems, FakeWorkQueue
from tests.support.stores import open_tables

EVENTS = Path(__file__).parents[2] / "events"
MILLION, MINUTES_OF_A_DAY, DAYS_OF_A_MONTH = 1_000_000, 24 * 60, 30
PAGE_BYTES = 1024 * 1024

# CPU milliseconds for an item that is sent and deleted, and for a sweep that finds nothing. These are assumptions, not
# measurements. They are a small part of the costs.
CPU_MS_OF_AN_ITEM, CPU_MS_OF_A_SWEEP = 0.3, 15.0

PRECISE_ITEMS, PRECISE_SECONDS = 200, 60
AT_ONCE = 20_000


def sizes() -> list[int]:
    """Return the bytes of the due item of each sample event, in ascending order."""
    found = []
    for path in sorted(EVENTS.glob("*/*.json")):
        envelope = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(envelope, dict) or "detail-type" not in envelope:
            continue
        event = read_event(envelope, envelope["detail-type"].partition(".")[0])
        message = write_redelivery(event, ["585051946"], now())
        key = {"pk": f"due/{DUE_SHARDS - 1}", "sk": f"{iso(now())}/{DueKind.EVENT.value}/{'0' * 32}"}
        found.append(item_bytes({name: {"S": text} for name, text in {**key, "message": message}.items()}))
    return sorted(found)


def usage_of_items(count: int) -> Mapping[str, float]:
    """Return the usage of items that are written, sent and deleted in the course of a day, by the names of the prices.

    The sweeps are included, and receiving and deleting the messages in batches of ten. The work itself is not: an
    enrollment, for example, costs what it costs without a delay."""
    bytes_of_items = sizes()
    units = sum(map(write_units, bytes_of_items)) / len(bytes_of_items)
    average = sum(bytes_of_items) / len(bytes_of_items)
    sweeps = MINUTES_OF_A_DAY
    in_a_shard = count / sweeps / DUE_SHARDS
    batches = math.ceil(in_a_shard / BATCH_SIZE)
    rounds = math.ceil(DUE_SHARDS / WORKERS)
    waits = WAITS["DynamoDB"] + in_a_shard * (WAITS["SQS"] / BATCH_ENTRIES + WAITS["DynamoDB"] / WRITE_BATCH)
    waits += batches * WAITS["DynamoDB"]
    cpu = CPU_MS_OF_A_SWEEP + CPU_MS_OF_AN_ITEM * count / sweeps
    milliseconds = rounds * waits + cpu / processor_share()
    # A query takes half a unit for each 4 KB, eventually consistent.
    reads = sweeps * DUE_SHARDS * max(0.5, math.ceil(in_a_shard * average / 4_096) / 2)
    return {
        "DynamoDB, writes": 2 * units * count,
        "DynamoDB, reads": reads,
        "SQS, standard": 3 * count / BATCH_ENTRIES,
        "Lambda, requests": sweeps + count / BATCH_ENTRIES,
        "Lambda, GB-seconds": sweeps * MEMORY_MB / 1024 * milliseconds / 1000,
        "storage, tables": count * (average + ITEM_OVERHEAD) / 1e9 / DAYS_OF_A_MONTH / 2,
    }


# Measured ------------------------------------------------------------------------------------------------------------


def run() -> Found:
    """Measure the emulator, then the simulation."""
    with emulated_aws() as emulated:
        rows = [_precision(emulated.config), _at_once(emulated.config)]
    rows.append(_million())
    return Found([Table("Timers", ["what", "result"], rows)])


def _application(config: Config) -> tuple[DynamoDueItems, TimerSweep, Any]:
    sqs = clients.sqs(clients.open_session())
    due_items = DynamoDueItems(open_tables(config))
    return due_items, TimerSweep(due_items, SqsWorkQueue(sqs, config.redeliveries_queue_url, now), now), sqs


def _sweep(sweep: TimerSweep) -> int:
    """Sweep all shards by the function. Return the number of items that were sent."""
    with ThreadPoolExecutor(WORKERS) as executor:
        logger, metrics = Logger(level="CRITICAL"), Metrics("Enroll", "bench", now)
        return int(timer_handler.sweep(TimerApplication(sweep, logger, metrics, executor))["sent"])


def _receive(sqs: Any, config: Config, expected: int, received: dict[str, int], deadline: float) -> None:
    url = config.redeliveries_queue_url
    while len(received) < expected and time.monotonic() < deadline:
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        messages, at = answer.get("Messages", []), now()
        for message in messages:
            received.setdefault(message["Body"], at)
        if messages:
            entries = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(messages)]
            sqs.delete_message_batch(QueueUrl=url, Entries=entries)


def _precision(config: Config) -> list[str]:
    """Items that are due at random times of a minute, which one sweep has sent with their delays."""
    due_items, sweep, sqs = _application(config)
    chance, began = random.Random(22), now()
    due = {str(number): began + 20_000 + chance.randrange(PRECISE_SECONDS * 1000) for number in range(PRECISE_ITEMS)}
    assert max(due.values()) < began + LOOK_AHEAD_MS
    with ThreadPoolExecutor(WORKERS) as executor:
        list(executor.map(due_items.save, (due_item(DueKind.EVENT, at, name, name) for name, at in due.items())))
    assert _sweep(sweep) == PRECISE_ITEMS
    if now() > began + 20_000:
        raise RuntimeError("the machine is too busy: the items were sent after the first of them was due")
    received: dict[str, int] = {}
    _receive(sqs, config, PRECISE_ITEMS, received, time.monotonic() + 3 * PRECISE_SECONDS)
    late = sorted((received[name] - at) / 1000 for name, at in due.items())
    median, most = late[len(late) // 2], late[len(late) * 95 // 100]
    return [
        f"{PRECISE_ITEMS} items that are due within a minute, on the emulator: how late they are received",
        f"median {median:.1f} s, 95 % within {most:.1f} s, at most {late[-1]:.1f} s",
    ]


def _at_once(config: Config) -> list[str]:
    """Items that are due at the same time."""
    due_items, sweep, sqs = _application(config)
    at = now()
    with ThreadPoolExecutor(WORKERS) as executor:
        items = [due_item(DueKind.EVENT, at, str(number), str(number)) for number in range(AT_ONCE)]
        list(executor.map(due_items.save, items))
    began, sent, sweeps = time.monotonic(), 0, 0
    while sent < AT_ONCE:
        sent, sweeps = sent + _sweep(sweep), sweeps + 1
    took = time.monotonic() - began
    received: dict[str, int] = {}
    _receive(sqs, config, AT_ONCE, received, time.monotonic() + 600)
    left = sum(1 for shard in range(DUE_SHARDS) for _ in due_items.due_before(shard, at + 1))
    return [
        f"{AT_ONCE:,} items that are due at once, on the emulator",
        f"{len(received):,} of them received, {left} left; sent in {sweeps} sweeps, {took:.0f} s, "
        f"{AT_ONCE / took:,.0f} a second",
    ]


def _million() -> list[str]:
    """A million items of the same minute, in memory, with the waiting times of AWS on a clock that the calls move.

    One sweep starts each minute. The shards take turns, and the threads share them evenly, so the time of a batch is
    divided by them."""
    due_items, queue = FakeDueItems(), FakeWorkQueue()
    for number in range(MILLION):
        due_items.save(due_item(DueKind.EVENT, number * 60_000 // MILLION, "", str(number)))
    per_batch = BATCH_SIZE / BATCH_ENTRIES * WAITS["SQS"] + BATCH_SIZE / WRITE_BATCH * WAITS["DynamoDB"]
    per_batch += BATCH_SIZE * CPU_MS_OF_AN_ITEM / processor_share() * WORKERS
    clock, sweeps, sent = [60_000.0], 0, 0
    while sent < MILLION:
        clock[0] = max(clock[0], 60_000.0 + sweeps * 60_000)
        began, sweeps = clock[0], sweeps + 1
        sweep = TimerSweep(due_items, queue, lambda: round(clock[0]))
        running = [sweep.sweep(shard, round(began + WORK_SECONDS * 1000)) for shard in range(DUE_SHARDS)]
        while running:
            for each in list(running):
                batch = next(each, None)
                if batch is None:
                    running.remove(each)
                else:
                    sent += batch.sent
                    clock[0] += per_batch / WORKERS
    assert len({item.id for item in queue.sent}) == len(queue.sent) == MILLION
    minutes = (clock[0] - 60_000) / 60_000
    return [
        "1,000,000 items that are due in the same minute, simulated in memory with the assumed times of AWS",
        f"each sent once, in {sweeps} sweeps; the last one {minutes:.0f} minutes after it was due",
    ]
