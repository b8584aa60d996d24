"""How long `enroll --help` and `enroll unprocessed list` take, beside another version of the command line.

    .venv/bin/python -m tests.benchmarks.command_line OTHER/.venv/bin/enroll

The two versions alternate. Both read the same queue of 18 unprocessed events, from moto in another process, and use
compiled bytecode in a temporary folder. The result is the median.
"""

import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROUNDS = 15
EVENTS = 18
COMMANDS = {"enroll --help": ["--help"], "enroll unprocessed list": ["unprocessed", "list"]}
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "eu-west-1"}

TEMPLATE = {
    "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
    "Outputs": {
        "UnprocessedEventsQueueUrl": {"Value": {"Ref": "Queue"}},
        "FlowsTableName": {"Value": "flows"},
        "EventBusName": {"Value": "events"},
    },
}


class Duration(NamedTuple):
    cpu_ms: float
    wall_ms: float


def serve(ready: Any) -> None:
    """Serve a stack with a queue of unprocessed events. Sends the URL through the pipe ``ready``."""
    import boto3
    from moto.server import ThreadedMotoServer

    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # moto logs each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    _, port = server.get_host_and_port()
    url = f"http://127.0.0.1:{port}"
    os.environ |= CREDENTIALS
    cloudformation = boto3.client("cloudformation", endpoint_url=url)
    cloudformation.create_stack(StackName="enroll", TemplateBody=json.dumps(TEMPLATE))
    outputs = cloudformation.describe_stacks(StackName="enroll")["Stacks"][0]["Outputs"]
    queue = next(output["OutputValue"] for output in outputs if output["OutputKey"] == "UnprocessedEventsQueueUrl")
    sqs = boto3.client("sqs", endpoint_url=url)
    for number in range(EVENTS):
        detail = {"id": f"event-{number}", "portalId": "demo", "objectType": "contact", "objectId": str(number)}
        event = {"id": str(number), "source": "acme", "detail-type": "forms.submitted", "detail": detail}
        message = {"reason": "WRONG_TYPE", "message": "expected text", "field": "detail.properties", "event": event}
        sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(message))
    ready.send(url)
    time.sleep(3600)


def duration(program: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Duration:
    started = time.perf_counter()
    process = os.posix_spawn(
        program,
        [program, *arguments],
        environment,
        file_actions=[(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_WRONLY, 0) for descriptor in (1, 2)],
    )
    _, status, usage = os.wait4(process, 0)
    wall_ms = (time.perf_counter() - started) * 1000
    if status:
        raise SystemExit(f"{program} {' '.join(arguments)} ended with status {status}")
    return Duration((usage.ru_utime + usage.ru_stime) * 1000, wall_ms)


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m tests.benchmarks.command_line OTHER/.venv/bin/enroll")
    programs = {"before": sys.argv[1], "now": str(Path(sys.executable).with_name("enroll"))}
    receiver, sender = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(sender,), daemon=True)
    server.start()
    if not receiver.poll(60):
        raise SystemExit("moto did not start within 60 seconds")
    with tempfile.TemporaryDirectory() as bytecode:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ENROLL_", "PYTHON"))},
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": receiver.recv(),
            "PYTHONPYCACHEPREFIX": bytecode,
        }
        print("| command | | before, ms | now, ms | ratio |\n| --- | --- | --- | --- | --- |")
        for name, arguments in COMMANDS.items():
            for program in programs.values():
                duration(program, arguments, environment)  # compiles
            rounds = [
                {version: duration(program, arguments, environment) for version, program in programs.items()}
                for _ in range(ROUNDS)
            ]
            for kind, index in (("CPU", 0), ("elapsed", 1)):
                before, now = (statistics.median(round_[version][index] for round_ in rounds) for version in programs)
                print(f"| `{name}` | {kind} | {before:.0f} | {now:.0f} | {now / before:.2f} |")
    server.terminate()


if __name__ == "__main__":
    main()
