"""The command `enroll local run`: start the embedded AWS, deploy, run the demonstration, and stay up."""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

from enroll.decision_stream import LogFiles, rendered
from enroll.local import console_site, demonstration, gateway
from enroll.local.console_site import ConsoleSite
from enroll.local.data_folder import DataFolder, Origin, unusable_state
from enroll.local.demonstration import Demonstration, Enrollee
from enroll.local.deployment import OMISSIONS, Deployment, client, deploy
from enroll.local.emulator import Emulator, ministack_version
from enroll.local.lambda_service import CompletedAttempt, LambdaService
from enroll.local.relay import Relay
from enroll.local.settings import LocalRunError, Settings
from enroll.local.shell import announced, shell_lines, shell_variables
from enroll.output import LineConsole, print_json, print_table, times
from enroll.progress import progress_bar
from enroll.times import Times

StorePortal = Callable[[str, Demonstration, Callable[[], None]], None]
"""Stores the flows and records of the demonstration through the HTTP API. Arguments: see `portal.store_portal`."""

ALL_RECEIVED_WITHIN_SECONDS = 120.0
QUIET_SECONDS = 2.0
"""All enrollments have arrived when none arrives for this time. The wait also reveals unexpected enrollments."""

PARENT_POLLED_SECONDS = 0.5
STOPPED_WITHIN_SECONDS = 15.0
"""Maximum duration of an orderly stop after the parent has ended."""

SAVED_WITHIN_SECONDS = 90.0
"""The same with `--data`, which waits for invocations and for MiniStack to write its state."""

IDLE_WITHIN_SECONDS = 15.0
"""Maximum time for which a stop with `--data` waits for invocations in progress."""

SHOWN_ROWS = 20
LIVE_SECONDS = 0.25
EVENTS_A_CALL = 10
"""The limit of PutEvents."""


class Observer:
    """Counts the decisions of functions and forwards each attempt to `follow`. Runs on the Lambda service's thread."""

    def __init__(self) -> None:
        self.decisions: Counter[str] = Counter()
        self.gave_up = 0
        self.follow: Callable[[CompletedAttempt], None] | None = None
        self._lock = threading.Lock()

    def __call__(self, finished: CompletedAttempt) -> None:
        with self._lock:
            if finished.failed:
                self.gave_up += finished.final
            else:
                self.decisions.update(codes(finished.payload))
        if self.follow:
            self.follow(finished)


def codes(answer: Any) -> list[str]:
    """Return the decision codes in a handler's result, or the reason why the event was not processed."""
    if not isinstance(answer, dict):
        return []
    if unprocessed := answer.get("unprocessed"):
        return [f"unprocessed: {unprocessed['reason']}"]
    return [decision["code"] for decision in answer.get("decisions", [])]


@dataclass
class Received:
    """The enrollments that arrived: the latest are shown, and all are compared."""

    enrollee: Callable[[dict[str, Any]], Enrollee]
    latest: list[dict[str, Any]] = field(default_factory=list)
    enrollees: Counter[Enrollee] = field(default_factory=Counter)
    ids: set[str] = field(default_factory=set)

    def add(self, message: dict[str, Any]) -> None:
        # The queue may deliver a message again. The ID identifies an enrollment.
        if message["enrollmentId"] in self.ids:
            return
        self.ids.add(message["enrollmentId"])
        self.enrollees[self.enrollee(message)] += 1
        self.latest = [*self.latest, message][-SHOWN_ROWS:]

    def print(self) -> None:
        """Print a table of the latest enrollments."""
        clock = times(utc=False)
        print_table(
            ("occurred", "record", "event", "flow", "enrollment"),
            [
                (
                    clock.text(message["trigger"]["occurredAt"]),
                    f"{message['objectTypeId']}/{message['objectId']}",
                    message["trigger"]["eventType"],
                    f"{message['flowName']} ({message['flowId']})",
                    message["enrollmentId"],
                )
                for message in self.latest
            ],
            title=f"The latest {len(self.latest)} of {len(self.ids)} enrollments",
        )


def run(
    settings: Settings, store_portal: StorePortal | None, *, once: bool, as_json: bool, console: LineConsole
) -> int:
    """Run until the demonstration is over (`once`) or until Ctrl-C, and return the exit code.

    Without `store_portal`, there is no demonstration. `as_json` prints the result of the demonstration to stdout as
    JSON; `console` has the lines for people. Raises LocalRunError.
    """
    if once and not store_portal:
        raise LocalRunError(
            "--once compares the enrollments of the demonstration, so it cannot be combined with --no-demo."
        )
    end_when_interrupted()
    stop_seconds = SAVED_WITHIN_SECONDS if settings.data else STOPPED_WITHIN_SECONDS
    threading.Thread(
        target=end_with_parent, args=(os.getppid(), stop_seconds), name="end-with-parent", daemon=True
    ).start()
    started = time.monotonic()
    observer = Observer()
    try:
        with ExitStack() as stack:
            data = stack.enter_context(_data_folder(settings)) if settings.data else None
            if data:
                _announce_state(data, console, once=once)
                if data.restored_from:
                    # Its events are in the state already: they would not enroll the records again.
                    store_portal = None
            service = stack.enter_context(_lambda_service(settings, observer, console))
            console.print("Starting the embedded AWS…")
            emulator = stack.enter_context(Emulator(settings, data.working_folder if data else None))
            if data and (problem := emulator.state_problem()):
                raise unusable_state(data.folder, f"MiniStack reports: {problem}")
            if settings.bind:
                stack.enter_context(Relay(settings.bind, settings.port))
                console.print(
                    f"The embedded AWS also accepts connections at {settings.bind}:{settings.port}, from every program "
                    "that can reach that address.",
                    style="yellow",
                )
            deployment = deploy(settings)
            service.deploy(deployment.functions)
            if data:
                stack.callback(_save_after_stop, data, emulator, service, console)
            for omission in OMISSIONS:
                console.print(f"  {omission.resource_type}: {omission.reason}", style="dim")
            console.print(f"Deployed {settings.template.name} in {time.monotonic() - started:.1f} s.")
            _write_environment(settings, deployment)
            stack.enter_context(announced(settings))
            code = 0
            if store_portal:
                code = _demonstrate(settings, deployment, service, observer, store_portal, console, as_json=as_json)
            if once:
                return code
            _explain(settings, deployment, console)
            _stay(emulator, observer, console, settings.run_folder)
            raise LocalRunError(f"The embedded AWS ended unexpectedly. Its log is {emulator.log}.")
    except KeyboardInterrupt:
        console.print("Stopped.")
        # Ctrl-C is the normal end of a run, except with --once, which ends by itself.
        return 130 if once else 0


def _data_folder(settings: Settings) -> DataFolder:
    assert settings.data is not None
    ports = {"--port": settings.port, "--lambda-port": settings.lambda_port, "--api-port": settings.api_port}
    return DataFolder(settings.data, Origin(ministack_version(settings.emulator_python), ports))


def _announce_state(data: DataFolder, console: LineConsole, *, once: bool) -> None:
    if data.restored_from and once:
        raise LocalRunError(
            f"--once compares the enrollments of a new demonstration, but {data.folder} has the state of an earlier "
            "run. Choose a new folder with --data, or leave --data out."
        )
    if data.interrupted:
        console.print(
            f"The previous run with {data.folder} did not stop in order: its changes are lost.",
            style="yellow",
        )
    if data.restored_from:
        console.print(f"Using the state in {data.folder}, saved at {data.restored_from}.")


def _save_after_stop(data: DataFolder, emulator: Emulator, service: LambdaService, console: LineConsole) -> None:
    """Wait for the invocations in progress, and have the state saved once MiniStack stopped.

    Ctrl-C ends the wait; the state is not saved then.
    """
    if not emulator.running:
        return
    deadline = time.monotonic() + IDLE_WITHIN_SECONDS
    if service.unfinished:
        console.print("Waiting for the invocations in progress. Ctrl-C stops without saving the state.")
    while service.unfinished and time.monotonic() < deadline:
        time.sleep(0.1)
    if service.unfinished:
        console.print(
            f"{service.unfinished} invocations did not end in {IDLE_WITHIN_SECONDS:.0f} s and are not saved.",
            style="yellow",
        )
    console.print(f"Saving the state in {data.folder}…")
    data.save_after_stop(time.time(), emulator.state_problem)


def container_environment(settings: Settings, deployed: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with which a function in a container reaches the local run. `deployed`: its variables here.

    SAM passes only variables that the template declares. It takes the region and the credentials from the shell
    (docs/local.md).
    """
    return {
        **deployed,
        "AWS_ENDPOINT_URL": settings.container_endpoint,
        "POWERTOOLS_TRACE_DISABLED": "true",
    }


def _write_environment(settings: Settings, deployment: Deployment) -> None:
    """Write the file for `sam local invoke --env-vars`."""
    variables = container_environment(settings, next(iter(deployment.functions.values())).environment)
    text = json.dumps({"Parameters": variables}, indent=2)
    (settings.run_folder / "sam-env.json").write_text(text, encoding="utf-8")


def end_when_interrupted() -> None:
    """Install the signal handlers.

    A shell starts the background processes of a script with SIGINT ignored. Python then installs no handler itself.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def end_with_parent(parent: int, stop_seconds: float) -> None:
    """Interrupt this process when `parent`, which started it, has ended, for example because `make` was killed. Ctrl-C
    no longer reaches this process then. The parent is polled, because PR_SET_PDEATHSIG exists on Linux only, and is
    sent when the thread that started this process ends, although its process lives on."""
    while os.getppid() == parent:
        time.sleep(PARENT_POLLED_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(stop_seconds)
    # The children see their pipes close and end too (see `child.py`).
    os._exit(1)


def _lambda_service(settings: Settings, observer: Observer, console: LineConsole) -> LambdaService:
    sqs = client(settings, "sqs")

    def send(arn: str, record: str) -> None:
        queue = sqs.get_queue_url(QueueName=arn.rsplit(":", 1)[1])["QueueUrl"]
        sqs.send_message(QueueUrl=queue, MessageBody=record)

    settings.run_folder.mkdir(parents=True, exist_ok=True)
    log = logging.FileHandler(settings.run_folder / "lambda.log", mode="w")
    log.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("enroll.local")
    logger.addHandler(log)
    logger.propagate = False
    return LambdaService(
        log_folder=settings.run_folder,
        port=settings.lambda_port,
        api_port=settings.api_port,
        console=ConsoleSite.of_project(settings.project),
        allowed_hosts=settings.allowed_hosts,
        aws_endpoint=settings.endpoint,
        search_path=[settings.layer],
        retry_delays=settings.retry_delays,
        destination=send,
        watch=observer,
        python=settings.python,
        code_folders=settings.code_folders,
        code_changed=lambda files: console.print(code_changed_message(files, settings.project)),
    )


def code_changed_message(files: list[Path], project: Path) -> str:
    """One line: the first changed file, relative to the project, and the number of further ones."""
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"code changed: {files[0].relative_to(project)}{more}; functions restart at their next invocation"


def _demonstrate(
    settings: Settings,
    deployment: Deployment,
    service: LambdaService,
    observer: Observer,
    store_portal: StorePortal,
    console: LineConsole,
    *,
    as_json: bool,
) -> int:
    """Store the portal, send every sample, and compare the enrollments. Return the exit code."""
    events = demonstration.samples(settings.events)
    portal = demonstration.load(events)
    store_portal(settings.api_url, portal, lambda: _wait_until_idle(service))
    console.print(f"Loaded {len(portal.flows)} flows and {len(portal.records)} records; sending {len(events)} events.")
    _send(settings, deployment, demonstration.occurring_now(events, time.time_ns() // 1_000_000))
    received = _receive(settings, deployment, service, portal)
    differences = portal.differences(received.enrollees)
    if observer.gave_up:
        differences.append(f"{observer.gave_up} events failed after all retries: see the logs in {settings.run_folder}")
    if as_json:
        print_json(
            {
                "eventsSent": len(events),
                "enrollments": len(received.ids),
                "decisions": dict(observer.decisions.most_common()),
                "differences": differences,
            }
        )
        return 1 if differences else 0
    received.print()
    console.print()
    console.print(f"Events sent: {len(events)}. Enrollments received: {len(received.ids)}.")
    console.print("Decisions: " + ", ".join(f"{code} {count}" for code, count in observer.decisions.most_common()))
    for difference in differences:
        console.print(difference, style="red")
    if not differences:
        console.print("Exactly the enrollments that the demonstration defines.", style="green")
    return 1 if differences else 0


def _wait_until_idle(service: LambdaService) -> None:
    deadline = time.monotonic() + ALL_RECEIVED_WITHIN_SECONDS
    quiet_since = time.monotonic()
    # The bus may not have delivered the latest events yet.
    while time.monotonic() - quiet_since < QUIET_SECONDS / 4:
        if time.monotonic() > deadline:
            raise LocalRunError(f"The functions did not become idle within {ALL_RECEIVED_WITHIN_SECONDS:.0f} s.")
        if service.unfinished:
            quiet_since = time.monotonic()
        time.sleep(0.05)


def _send(settings: Settings, deployment: Deployment, events: list[dict[str, Any]]) -> None:
    bus = client(settings, "events")
    entries = [
        {
            "EventBusName": deployment.outputs["EventBusName"],
            "Source": event["source"],
            "DetailType": event["detail-type"],
            "Time": event["time"],
            "Detail": json.dumps(event["detail"]),
        }
        for event in events
    ]
    for start in range(0, len(entries), EVENTS_A_CALL):
        answer = bus.put_events(Entries=entries[start : start + EVENTS_A_CALL])
        if answer["FailedEntryCount"]:
            raise LocalRunError(f"The bus rejected sample events: {answer['Entries']}")


def _receive(settings: Settings, deployment: Deployment, service: LambdaService, portal: Demonstration) -> Received:
    """Receive enrollments until none arrives for QUIET_SECONDS, or until the time limit."""
    sqs = client(settings, "sqs")
    queue = deployment.outputs["EnrollmentsQueueUrl"]
    received = Received(portal.enrollee)
    deadline = time.monotonic() + ALL_RECEIVED_WITHIN_SECONDS
    quiet_since = time.monotonic()
    with progress_bar("Receiving enrollments", portal.expected.total()) as progress:
        while time.monotonic() < deadline:
            answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            messages = answer.get("Messages", [])
            for message in messages:
                received.add(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            progress.update(len(received.ids))
            if messages or service.unfinished:
                quiet_since = time.monotonic()
            # This is the end even if enrollments are missing: nothing is running that could still cause them.
            if time.monotonic() - quiet_since >= QUIET_SECONDS:
                break
    return received


def _explain(settings: Settings, deployment: Deployment, console: LineConsole) -> None:
    outputs = deployment.outputs
    console.print()
    console.print(f"Endpoint    {settings.endpoint}")
    console.print(f"HTTP API    {settings.api_url} (browse {settings.api_url}/docs)")
    console.print(f"Console     {_console_address(settings)}")
    console.print(f"Event bus   {outputs['EventBusName']}")
    console.print(f"Queue       {outputs['EnrollmentsQueueUrl']}")
    console.print(f"Functions   {settings.lambda_endpoint} (enroll invoke, aws lambda invoke)")
    console.print(f"Logs        {settings.run_folder}")
    console.print()
    console.print("To use the local run from another shell:")
    console.print()
    activate = Path(sys.prefix) / "bin" / "activate"
    if activate.exists():
        console.print(f"source {shlex.quote(str(activate))}", is_wrapped=False)
    for line in shell_lines(shell_variables(settings)):
        console.print(line, is_wrapped=False)
    console.print()
    console.print('eval "$(enroll env)" sets the same variables. To put an event on the bus:')
    console.print()
    console.print(put_events_command(outputs["EventBusName"]), is_wrapped=False)
    console.print()
    console.print("Ctrl-C stops it. Decisions, as events arrive:")
    console.print()


def _console_address(settings: Settings) -> str:
    problem = ConsoleSite.of_project(settings.project).problem
    return f"{settings.api_url}{console_site.PATH}" if problem is None else f"missing: {problem}"


def put_events_command(bus_name: str) -> str:
    """Return a command for a POSIX shell that puts an event on the bus.

    The event occurs at the time at which the command runs, with milliseconds.
    """
    detail = {
        "id": "my-event-1",
        "portalId": "demo",
        "objectType": "contact",
        "objectId": "101",
        "occurredAt": "NOW",
        "properties": {"hs_form_id": "f-1"},
    }
    entry = {
        "EventBusName": bus_name,
        "Source": "my.shell",
        "DetailType": "forms.submitted",
        "Detail": json.dumps(detail),
    }
    now = "'$(python3 -c 'import time; print(time.time_ns() // 1_000_000)')'"
    entries = json.dumps([entry]).replace(r"\"NOW\"", now)
    return f"aws events put-events --entries '{entries}'"


def _stay(emulator: Emulator, observer: Observer, console: LineConsole, logs: Path) -> None:
    """Print what `enroll tail` prints until Ctrl-C, and what the logs lack: failures, and events without a flow. Does
    not receive from the queue: its messages are for the user. ``logs``: the folder of the functions' logs."""
    clock = Times()
    files = LogFiles(logs)
    files.read()
    reads = ReadCounter()

    def show(finished: CompletedAttempt) -> None:
        now = datetime.now().strftime("%H:%M:%S")
        if finished.failed:
            outcome = f"failed{'' if finished.final else ', will be retried'}: {finished.payload}"
        elif isinstance(finished.payload, dict) and "statusCode" in finished.payload:
            if reads.takes(finished):
                return
            method, path = finished.request or ("", "")
            outcome = " ".join(part for part in (method, path, f"answered {finished.payload['statusCode']}") if part)
        elif isinstance(finished.payload, dict) and finished.payload.get("decisions") == []:
            outcome = f"event {finished.payload.get('eventId')}: no flow of its object type is triggered by it"
        elif isinstance(finished.payload, dict) and finished.payload.get("batchItemFailures"):
            outcome = f"{len(finished.payload['batchItemFailures'])} events of a batch failed"
        else:
            return
        if count := reads.take():
            console.print(f"{now}  api  requests answered that changed nothing: {count}", style="dim")
        console.print(f"{now}  {short_name(finished.function)}  {outcome}")

    observer.follow = show
    while True:
        for line in files.read():
            for text in rendered(line, clock):
                console.print(text)
        if not emulator.running:
            return
        time.sleep(LIVE_SECONDS)


class ReadCounter:
    """Counts the requests to the HTTP API that the screen does not show, because they changed nothing."""

    def __init__(self) -> None:
        self._count = 0

    def takes(self, finished: CompletedAttempt) -> bool:
        """Return whether the answer is only counted, and not shown: a read that succeeded, or that found nothing."""
        status = finished.payload["statusCode"]
        is_fine = isinstance(status, int) and (status < 400 or status == 404)
        if finished.request is None or gateway.is_change(*finished.request) or not is_fine:
            return False
        self._count += 1
        return True

    def take(self) -> int:
        """Return the number of the counted requests, and begin again."""
        count, self._count = self._count, 0
        return count


def short_name(function: str) -> str:
    """Return the name of a function in the template: forms for enroll-FormsFunction-1A2B3C4D."""
    match = re.fullmatch(r".*?-(\w+)Function-\w+", function)
    return re.sub(r"(?<!^)(?=[A-Z])", "_", match[1]).lower() if match else function
