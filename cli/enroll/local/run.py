"""Run `enroll local run` from top to bottom: start, deploy, demonstrate, and stay up."""

from __future__ import annotations

import json
import logging
import os
import signal
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

from rich.live import Live
from rich.table import Table

from enroll.local import demonstration
from enroll.local.data_folder import DataFolder, Origin, unusable_state
from enroll.local.demonstration import Demonstration, Enrollee
from enroll.local.deployment import OMISSIONS, Deployment, client, deploy
from enroll.local.emulator import Emulator, ministack_version
from enroll.local.lambda_service import CompletedAttempt, LambdaService
from enroll.local.relay import Relay
from enroll.local.settings import ACCESS_KEY, REGION, LocalRunError, Settings
from enroll.output import PrintableConsole

StorePortal = Callable[[str, Demonstration, Callable[[], None]], None]
"""Sets the demonstration's portal up, through the HTTP API at a URL."""

ALL_RECEIVED_WITHIN_SECONDS = 120.0
QUIET_SECONDS = 2.0
"""How long nothing more must arrive before what has arrived is all: only then are surplus enrollments seen."""

PARENT_POLLED_SECONDS = 0.5
STOPPED_WITHIN_SECONDS = 15.0
"""How long stopping in order may take when the parent is gone."""

SAVED_WITHIN_SECONDS = 90.0
"""The same with `--data`: the invocations end first, then MiniStack writes its state."""

IDLE_WITHIN_SECONDS = 15.0
"""How long a stop with `--data` waits for the invocations in progress."""

SHOWN_ROWS = 20
EVENTS_A_CALL = 10
"""PutEvents' own limit."""


class Observer:
    """Counts what the functions answered, and passes each answer on. Called from the Lambda service's thread."""

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
    """The codes of a handler's answer: of its decisions, or the reason for which the event was not processed."""
    if not isinstance(answer, dict):
        return []
    if unprocessed := answer.get("unprocessed"):
        return [f"unprocessed: {unprocessed['reason']}"]
    return [decision["code"] for decision in answer.get("decisions", [])]


@dataclass
class Received:
    """The enrollments that arrived: the latest to show, all of them to compare."""

    enrollee: Callable[[dict[str, Any]], Enrollee]
    latest: list[dict[str, Any]] = field(default_factory=list)
    enrollees: Counter[Enrollee] = field(default_factory=Counter)
    ids: set[str] = field(default_factory=set)

    def add(self, message: dict[str, Any]) -> None:
        # The queue may deliver a message again; an enrollment is the same one as long as its id is.
        if message["enrollmentId"] in self.ids:
            return
        self.ids.add(message["enrollmentId"])
        self.enrollees[self.enrollee(message)] += 1
        self.latest = [*self.latest, message][-SHOWN_ROWS:]

    def table(self) -> Table:
        table = Table(title=f"Enrollments: {len(self.ids)}", title_justify="left")
        for heading in ("occurred", "record", "event", "flow", "enrollment"):
            table.add_column(heading)
        for message in self.latest:
            trigger = message["trigger"]
            record = f"{message['objectTypeId']}/{message['objectId']}"
            flow = f"{message['flowName']} ({message['flowId']})"
            cells = (trigger["occurredAt"], record, trigger["eventType"], flow, message["enrollmentId"])
            table.add_row(*map(str, cells))
        return table


def run(settings: Settings, store_portal: StorePortal | None, *, once: bool, console: PrintableConsole) -> int:
    """Runs until the demonstration is over (`once`) or until interrupted; the answer is the exit code.

    Without `store_portal` there is no demonstration.
    """
    if once and not store_portal:
        raise LocalRunError("--once compares the enrollments of the demonstration: it cannot be without one.")
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
                    f"The embedded AWS also accepts connections at {settings.bind}:{settings.port}, from everyone who "
                    "reaches that address.",
                    style="yellow",
                    soft_wrap=True,
                )
            deployment = deploy(settings)
            service.deploy(deployment.functions)
            if data:
                stack.callback(_save_after_stop, data, emulator, service, console)
            for omission in OMISSIONS:
                console.print(f"  {omission.resource_type}: {omission.reason}", style="dim")
            console.print(f"Deployed {settings.template.name} in {time.monotonic() - started:.1f} s.")
            _write_environment(settings, deployment)
            code = 0
            if store_portal:
                code = _demonstrate(settings, deployment, service, observer, store_portal, console)
            if once:
                return code
            _explain(settings, deployment, console)
            _stay(emulator, observer, console)
            raise LocalRunError(f"The embedded AWS ended by itself; its log is {emulator.log}.")
    except KeyboardInterrupt:
        console.print("Stopped.")
        # What is asked for and done is no failure; a run that was to finish by itself did not.
        return 130 if once else 0


def _data_folder(settings: Settings) -> DataFolder:
    assert settings.data is not None
    ports = {"--port": settings.port, "--lambda-port": settings.lambda_port, "--api-port": settings.api_port}
    return DataFolder(settings.data, Origin(ministack_version(settings.emulator_python), ports))


def _announce_state(data: DataFolder, console: PrintableConsole, *, once: bool) -> None:
    if data.restored_from and once:
        raise LocalRunError(
            f"--once compares the enrollments of a new demonstration, but {data.folder} has the state of an earlier "
            "run. Choose a new folder with --data, or leave --data out."
        )
    if data.interrupted:
        console.print(
            f"The previous run with {data.folder} did not stop in order: its changes are lost.",
            style="yellow",
            soft_wrap=True,
        )
    if data.restored_from:
        console.print(f"Using the state in {data.folder}, saved at {data.restored_from}.", soft_wrap=True)


def _save_after_stop(data: DataFolder, emulator: Emulator, service: LambdaService, console: PrintableConsole) -> None:
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
    console.print(f"Saving the state in {data.folder}…", soft_wrap=True)
    data.save_after_stop(time.time(), emulator.state_problem)


def container_environment(settings: Settings, deployed: Mapping[str, str]) -> dict[str, str]:
    """What a function in a container needs to talk to the local run, from its environment as it is `deployed`.

    SAM passes on only variables that the template declares. Region and credentials are no variables of a template:
    SAM takes them from the shell in which it runs (docs/local.md).
    """
    return {
        **deployed,
        "AWS_ENDPOINT_URL": settings.container_endpoint,
        "POWERTOOLS_TRACE_DISABLED": "true",
    }


def _write_environment(settings: Settings, deployment: Deployment) -> None:
    """For `sam local invoke --env-vars`, where Docker exists."""
    variables = container_environment(settings, next(iter(deployment.functions.values())).environment)
    text = json.dumps({"Parameters": variables}, indent=2)
    (settings.run_folder / "sam-env.json").write_text(text, encoding="utf-8")


def end_when_interrupted() -> None:
    """Install the handlers. A shell starts what a script puts into the background with SIGINT ignored, and then Python
    installs none itself."""
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


def _lambda_service(settings: Settings, observer: Observer, console: PrintableConsole) -> LambdaService:
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
        allowed_hosts=settings.allowed_hosts,
        aws_endpoint=settings.endpoint,
        search_path=[settings.layer],
        retry_delays=settings.retry_delays,
        destination=send,
        watch=observer,
        python=settings.python,
        code_folders=settings.code_folders,
        code_changed=lambda files: console.print(code_changed_message(files, settings.project), soft_wrap=True),
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
    console: PrintableConsole,
) -> int:
    """Loads the portal, sends every sample, and compares what arrives with what must; the answer is an exit code."""
    events = demonstration.samples(settings.events)
    portal = demonstration.load(events)
    store_portal(settings.api_url, portal, lambda: _wait_until_idle(service))
    console.print(f"Loaded {len(portal.flows)} flows and {len(portal.records)} records; sending {len(events)} events.")
    _send(settings, deployment, demonstration.occurring_now(events, time.time_ns() // 1_000_000))
    received = _receive(settings, deployment, service, portal, console)

    console.print()
    console.print(f"Events sent: {len(events)}. Enrollments received: {len(received.ids)}.")
    console.print(
        "Decisions: " + (", ".join(f"{code} {count}" for code, count in observer.decisions.most_common())),
        soft_wrap=True,
    )
    differences = portal.differences(received.enrollees)
    if observer.gave_up:
        differences.append(f"{observer.gave_up} events were given up after their retries: see {settings.run_folder}")
    for difference in differences:
        console.print(difference, style="red")
    if not differences:
        console.print("Exactly the enrollments that the demonstration defines.", style="green")
    return 1 if differences else 0


def _wait_until_idle(service: LambdaService) -> None:
    deadline = time.monotonic() + ALL_RECEIVED_WITHIN_SECONDS
    quiet_since = time.monotonic()
    # The bus may not have handed over yet what it took a moment ago.
    while time.monotonic() - quiet_since < QUIET_SECONDS / 4:
        if time.monotonic() > deadline:
            raise LocalRunError(f"The functions did not come to rest in {ALL_RECEIVED_WITHIN_SECONDS:.0f} s.")
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
            raise LocalRunError(f"The bus refused sample events: {answer['Entries']}")


def _receive(
    settings: Settings, deployment: Deployment, service: LambdaService, portal: Demonstration, console: PrintableConsole
) -> Received:
    """Receives until all has arrived that is expected and no more comes, or the time is over."""
    sqs = client(settings, "sqs")
    queue = deployment.outputs["EnrollmentsQueueUrl"]
    received = Received(portal.enrollee)
    deadline = time.monotonic() + ALL_RECEIVED_WITHIN_SECONDS
    quiet_since = time.monotonic()
    with Live(received.table(), console=console, refresh_per_second=8) as live:
        while time.monotonic() < deadline:
            answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            messages = answer.get("Messages", [])
            for message in messages:
                received.add(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            live.update(received.table())
            if messages or service.unfinished:
                quiet_since = time.monotonic()
            # Quiet is the end whether or not all came: with nothing left to run, nothing more can come.
            if time.monotonic() - quiet_since >= QUIET_SECONDS:
                break
    return received


def _explain(settings: Settings, deployment: Deployment, console: PrintableConsole) -> None:
    outputs = deployment.outputs
    console.print()
    console.print(f"Endpoint    {settings.endpoint}", soft_wrap=True)
    console.print(f"HTTP API    {settings.api_url} (browse {settings.api_url}/docs)", soft_wrap=True)
    console.print(f"Event bus   {outputs['EventBusName']}", soft_wrap=True)
    console.print(f"Queue       {outputs['EnrollmentsQueueUrl']}", soft_wrap=True)
    console.print(f"Functions   {settings.lambda_endpoint} (enroll invoke, aws lambda invoke)", soft_wrap=True)
    console.print(f"Logs        {settings.run_folder}", soft_wrap=True)
    console.print()
    console.print("To use it from another shell:")
    console.print()
    for name, value in {
        "AWS_ENDPOINT_URL": settings.endpoint,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
        "ENROLL_API": settings.api_url,
        "ENROLL_PORTAL": "demo",
    }.items():
        console.print(f"export {name}={value}", soft_wrap=True)
    console.print(put_events_command(outputs["EventBusName"]), soft_wrap=True)
    console.print()
    console.print("Ctrl-C stops it. Decisions, as events arrive:")
    console.print()


def put_events_command(bus_name: str) -> str:
    """A command for any POSIX shell that puts an event on the bus. The event occurs when the command runs, to the
    millisecond."""
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


def _stay(emulator: Emulator, observer: Observer, console: PrintableConsole) -> None:
    """Shows every decision until interrupted. The queue is left alone: its messages are the user's now."""

    def show(finished: CompletedAttempt) -> None:
        now = datetime.now().strftime("%H:%M:%S")
        if finished.failed:
            what = f"failed{'' if finished.final else ', will be retried'}: {finished.payload}"
        elif isinstance(finished.payload, dict) and "statusCode" in finished.payload:
            what = f"answered {finished.payload['statusCode']}"
        elif isinstance(finished.payload, dict) and "batchItemFailures" in finished.payload:
            what = f"took a batch of events, {len(finished.payload['batchItemFailures'])} failed"
        else:
            what = ", ".join(codes(finished.payload)) or "no flow is triggered by it"
        console.print(f"{now} {finished.function} {what}", soft_wrap=True)

    observer.follow = show
    while emulator.running:
        time.sleep(0.5)
