"""The figures of docs/measurements.md: `make measure`.

Start the embedded AWS on separate ports and measure against it: AWS calls and CPU time an event in comparison with a
bare function (``path``), cold start in comparison with a bare boto3 handler, events and enrollments a second, and the
sizes of the built artifacts.
"""

import compileall
import json
import os
import platform
import shutil
import site
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from enrollment.config import NAMES, Config
from tests.benchmarks.path import costs
from tests.support.fakes import store
from tests.support.scenario import event, flow
from tests.support.stores import stores as open_stores

ROOT = Path(__file__).parents[2]
PORT, LAMBDA_PORT, API_PORT = 4586, 4587, 4588
OUTPUTS = (
    "FlowsTableName",
    "RecordsTableName",
    "EnrollmentsTableName",
    "EnrollmentsQueueUrl",
    "UnprocessedEventsQueueUrl",
    "RedeliveriesQueueUrl",
    "EventBusName",
)
STARTS = 15
BURST = 3_000


@contextmanager
def embedded(*options: str) -> Iterator[Config]:
    """Run the local run without its demonstration. It is the AWS of this process' environment."""
    command = [Path(sys.executable).with_name("enroll"), "local", "run", "--no-demo"]
    ports = ["--port", str(PORT), "--lambda-port", str(LAMBDA_PORT), "--api-port", str(API_PORT)]
    with subprocess.Popen([*command, *ports, *options], cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        try:
            os.environ.update(
                AWS_ENDPOINT_URL=f"http://127.0.0.1:{PORT}",
                AWS_DEFAULT_REGION="eu-west-1",
                AWS_ACCESS_KEY_ID="test",
                AWS_SECRET_ACCESS_KEY="test",
                POWERTOOLS_METRICS_NAMESPACE="Enroll",
                POWERTOOLS_SERVICE_NAME="enroll",
            )
            outputs = _outputs(process)
            config = Config(*(outputs[name] for name in OUTPUTS))
            os.environ.update(zip(NAMES, (outputs[name] for name in OUTPUTS), strict=True))
            yield config
        finally:
            process.terminate()
            process.wait(30)


def _outputs(process: subprocess.Popen[bytes]) -> Mapping[str, str]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/", timeout=1).close()
            stacks = boto3.client("cloudformation").describe_stacks(StackName="enroll")["Stacks"]
        except (OSError, BotoCoreError, ClientError):  # not started yet, or without a stack yet
            time.sleep(0.3)
            continue
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stacks[0].get("Outputs", [])}
        if set(OUTPUTS) <= set(outputs):
            time.sleep(2)  # the functions are registered after the stack is created
            if process.poll() is None:  # otherwise the stack of another run answered on this port
                return outputs
    raise SystemExit("the embedded AWS did not start")


# Cold start ----------------------------------------------------------------------------------------------------------

BARE_BOTO3, BARE_SAME_CALLS = "bare boto3, a call of each client", "bare boto3, the same calls"

BARE = """
import time; began = time.perf_counter()
import os, boto3
dynamodb, sqs, events = (boto3.client(name) for name in ("dynamodb", "sqs", "events"))
imported = time.perf_counter()
dynamodb.get_item(TableName=os.environ["RECORDS_TABLE"], Key={"pk": {"S": "x"}, "sk": {"S": "record"}})
sqs.send_message(QueueUrl=os.environ["UNPROCESSED_QUEUE_URL"], MessageBody="{}")
events.put_events(Entries=[{"EventBusName": os.environ["EVENT_BUS_NAME"], "Source": "bare", "DetailType": "bare",
                            "Detail": "{}"}])
print("TIMES", imported - began, time.perf_counter() - began)
"""

# The calls that the first event makes, in the same order.
SAME_CALLS = """
import time; began = time.perf_counter()
import os, sys, boto3
dynamodb, sqs, events = (boto3.client(name) for name in ("dynamodb", "sqs", "events"))
imported = time.perf_counter()
name, key = sys.argv[2], {"pk": {"S": sys.argv[2]}, "sk": {"S": "record"}}
records, enrollments = os.environ["RECORDS_TABLE"], os.environ["ENROLLMENTS_TABLE"]
dynamodb.get_item(TableName=records, Key=key, ConsistentRead=True)
dynamodb.put_item(TableName=records, Item=key, ConditionExpression="attribute_not_exists(pk)")
dynamodb.query(TableName=os.environ["FLOWS_TABLE"], KeyConditionExpression="pk = :key",
               ExpressionAttributeValues={":key": {"S": name}}, ConsistentRead=True)
dynamodb.batch_get_item(RequestItems={enrollments: {"Keys": [key], "ConsistentRead": True}})
dynamodb.put_item(TableName=enrollments, Item=key, ConditionExpression="attribute_not_exists(pk)")
sqs.send_message_batch(QueueUrl=os.environ["ENROLLMENTS_QUEUE_URL"], Entries=[
    {"Id": "0", "MessageBody": "{}", "MessageGroupId": name, "MessageDeduplicationId": name}])
events.put_events(Entries=[{"EventBusName": os.environ["EVENT_BUS_NAME"], "Source": "bare", "DetailType": "bare",
                            "Detail": "{}"}])
dynamodb.update_item(TableName=enrollments, Key=key, UpdateExpression="SET done = :now",
                     ExpressionAttributeValues={":now": {"S": name}})
print("TIMES", imported - began, time.perf_counter() - began)
"""

OURS = """
import time; began = time.perf_counter()
import sys, json
from enrollment.entrypoints.event_handlers import handler_for
handler = handler_for("forms")
imported = time.perf_counter()
handler(json.loads(sys.argv[1]), None)
print("TIMES", imported - began, time.perf_counter() - began)
"""


def cold_starts(config: Config) -> dict[str, tuple[float, float]]:
    """Return the median milliseconds of the imports, and until the first event is answered. Each start has a new
    process; the variants take turns. The event enrolls, so that it needs all three clients. One bare handler calls each
    client once, the other makes the same calls as the real handler."""
    store(open_stores(config).authoring, "p8", flow({"id": 8, "event": "forms.submitted"}), 0)
    # Compile the bytecode, as the build of the layers does. Otherwise each start would compile everything.
    with warnings.catch_warnings(action="ignore"):  # dependencies use features that a later Python deprecates
        for folder in (*site.getsitepackages(), str(ROOT / "layers" / "enrollment")):
            compileall.compile_dir(folder, quiet=2)
    codes = {BARE_BOTO3: BARE, BARE_SAME_CALLS: SAME_CALLS, "enroll": OURS}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in codes}
    for number in range(STARTS + 1):
        for name, code in codes.items():
            fields = {"id": f"cold-{number}", "portal": "p8", "record": {}}
            envelope = event({"forms.submitted": f"cold-{number}", **fields})
            done = subprocess.run(
                [sys.executable, "-c", code, json.dumps(envelope), f"bare-{number}"],
                check=True,
                capture_output=True,
                text=True,
            )
            line = next(text for text in done.stdout.splitlines() if text.startswith("TIMES"))
            if number:  # the first start fills the disk caches
                _, imported, answered = line.split()
                times[name].append((float(imported) * 1e3, float(answered) * 1e3))
    return {
        name: (statistics.median(row[0] for row in all_), statistics.median(row[1] for row in all_))
        for name, all_ in times.items()
    }


# The embedded run ----------------------------------------------------------------------------------------------------


def burst(config: Config) -> tuple[float, float, int]:
    """Put BURST events as fast as boto3 can. Return events put a second, enrollments a second, and the number of
    enrollments."""
    bus, sqs = boto3.client("events"), boto3.client("sqs")
    document = flow({"id": 9, "event": "forms.viewed", "re_enroll": True})
    store(open_stores(config).authoring, "p9", document, 0)

    def put(numbers: range) -> None:
        made = [event({"forms.viewed": str(n % 500), "id": f"b{n}", "portal": "p9", "record": {}}) for n in numbers]
        entries = [
            {
                "EventBusName": config.event_bus_name,
                "Source": "burst",
                "DetailType": envelope["detail-type"],
                "Detail": json.dumps(envelope["detail"]),
            }
            for envelope in made
        ]
        answer = bus.put_events(Entries=entries)  # type: ignore[arg-type]
        assert answer["FailedEntryCount"] == 0

    started = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, (range(start, start + 10) for start in range(0, BURST, 10))))
    put_in = time.monotonic() - started
    arrived: set[str] = set()
    deadline = time.monotonic() + 240
    while len(arrived) < BURST and time.monotonic() < deadline:
        answer = sqs.receive_message(QueueUrl=config.enrollments_queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        messages = answer.get("Messages", [])
        for message in messages:
            body = json.loads(message["Body"])
            if body.get("portalId") == "p9":  # excludes the messages of the bare handlers
                arrived.add(body["trigger"]["eventId"])
        if messages:
            sqs.delete_message_batch(
                QueueUrl=config.enrollments_queue_url,
                Entries=[
                    {"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(messages)
                ],
            )
    return BURST / put_in, len(arrived) / (time.monotonic() - started), len(arrived)


# Sizes ---------------------------------------------------------------------------------------------------------------


def sizes() -> list[tuple[str, float]]:
    """Return the KB of each built layer, of each dependency in it, and of the largest function folder."""
    sam = ROOT / ".venv-sam" / "bin" / "sam"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sam, "build", "--build-dir", folder], cwd=ROOT, check=True, capture_output=True, env=_without_endpoint()
        )
        layers = [(name, _kilobytes(Path(folder) / name)) for name in ("DependenciesLayer", "EnrollmentLayer")]
        dependencies = [
            (f"- {path.name.removesuffix('.dist-info')}", _installed_kilobytes(path))
            for path in Path(folder, "DependenciesLayer", "python").glob("*.dist-info")
        ]
        layers[1:1] = sorted(dependencies, key=lambda layer: -layer[1])
    shutil.rmtree(ROOT / ".aws-sam" / "build", ignore_errors=True)
    return [*layers, ("a function", max(_kilobytes(path) for path in (ROOT / "functions").iterdir()))]


def _kilobytes(folder: Path) -> float:
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return sum(file.stat().st_size for file in files) / 1024


def _installed_kilobytes(metadata: Path) -> float:
    """Return the KB of all files of a distribution, as its RECORD lists them."""
    paths = (metadata.parent / line.split(",")[0] for line in (metadata / "RECORD").read_text().splitlines())
    return sum(path.stat().st_size for path in paths if path.is_file() and "__pycache__" not in path.parts) / 1024


def _without_endpoint() -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "SAM_CLI_TELEMETRY": "0",
    }


def main() -> None:
    print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"boto3 {boto3.__version__}\n"
    )
    with embedded() as config:
        print(
            "| event | AWS calls | handler CPU, ms | bare boto3 | ratio | bare that logs | ratio |\n"
            + "| --- " * 7
            + "|"
        )
        for cost in costs(config):
            print(
                f"| {cost.event} | {cost.calls} | {cost.handler:.2f} "
                f"| {cost.bare:.2f} | {cost.handler / cost.bare:.2f} "
                f"| {cost.bare_that_logs:.2f} | {cost.handler / cost.bare_that_logs:.2f} |"
            )
        starts = cold_starts(config)
        print(
            "\n| cold start, median ms | imports and clients | until the first event is answered |\n| --- | --- | --- |"
        )
        for name, (imported, answered) in starts.items():
            print(f"| {name} | {imported:.0f} | {answered:.0f} |")
        for name in (BARE_BOTO3, BARE_SAME_CALLS):
            print(f"| to {name} | | {starts['enroll'][1] / starts[name][1]:.2f} |")
        put, enrolled, arrived = burst(config)
        print(f"\nA burst of {BURST}: {put:.0f} events/s put, {enrolled:.0f} enrollments/s, {arrived} arrived.")
    print("\n| built | KB |\n| --- | --- |")
    for name, kilobytes in sizes():
        print(f"| {name} | {kilobytes:,.1f} |")


if __name__ == "__main__":
    main()
