"""No command lets text of strangers act on the operator's terminal.

A flow's name, a visitor's form value and an event that nobody could process are foreign text. Every command is run
with it here: a new command is added to ``CASES``, or a test fails.
"""

import ast
import io
import json
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from botocore.exceptions import ClientError
from rich.live import Live
from rich.table import Table
from rich.text import Text
from typer.testing import CliRunner

import enroll.commands.adopt as adopt_commands
import enroll.commands.console as console_commands
import enroll.commands.doctor as doctor_commands
import enroll.commands.records as record_commands
from enroll import doctor as doctor_checks
from enroll import output
from enroll.commands import dead_enrollments as dead_enrollment_commands
from enroll.commands import invoke as invoking
from enroll.commands import portal as portal_commands
from enroll.commands import queue as queue_commands
from enroll.commands import replay as replaying
from enroll.commands import send as sending
from enroll.commands import unprocessed as unprocessed_commands
from enroll.dead_letters import queue as dead_letter_queue
from enroll.local import commands as local
from enroll.local.console_site import ConsoleSite
from enroll.local.invocation import FunctionAnswer
from enroll.local.settings import LocalRunError
from enroll.local.shell import AliveRun
from enroll.main import app
from enroll.output import json_text, print_table, printable
from enroll.stack import Stack
from enroll.tables import cell_width
from enroll.terminal import PrintableConsole
from enrollment.domain.enrollment.runs import Run, RunStatus
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record, TimestampedValue
from enrollment.domain.values import iso
from tests.support.command_line import MESSAGE
from tests.support.hostile_text import FLOW_ID, ID, MARK, TEXT, unprintable
from tests.support.portal import NOW, Api, example_portal
from tests.support.replays import BUS, Aws
from tests.support.scenario import event, flow, property_filter
from tests.support.serving import served

# The one place --------------------------------------------------------------------------------------------------------


def test_every_unprintable_character_is_escaped_and_no_other() -> None:
    for number in range(sys.maxunicode + 1):
        one = chr(number)
        if unprintable(one) or one == "\n":
            assert printable(one).isascii(), f"U+{number:04X}"
            assert printable(one).startswith("\\"), f"U+{number:04X}"
        elif unicodedata.category(one) != "Cn":
            assert printable(one) == one, f"U+{number:04X}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[31m", r"\x1b[31m"),
        ("\x9b2J", r"\x9b2J"),
        ("a\u202eb", r"a\u202eb"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\U000e0041", r"\U000e0041"),
        ("\ud800", r"\ud800"),
        ("Grüße, 日本語, 👍, [red]", "Grüße, 日本語, 👍, [red]"),
    ],
)
def test_printable_text(text: str, expected: str) -> None:
    assert printable(text) == expected


@pytest.mark.parametrize("indent", [None, 2])
def test_json_is_the_same_value_without_unprintable_characters(indent: int | None) -> None:
    every = "".join(chr(number) for number in range(sys.maxunicode + 1) if unprintable(chr(number)) or number == 10)
    value = {TEXT: [TEXT, {ID: None}], "every": every, "plain": "Grüße [red]"}
    text = json_text(value, indent)
    assert not unprintable(text)
    # Halves of a pair that stand side by side are one character in JSON.
    assert json.loads(text) == json.loads(json.dumps(value))
    assert "Grüße [red]" in text


@pytest.mark.parametrize("is_terminal", [False, True])
def test_every_way_of_printing_escapes(is_terminal: bool) -> None:
    file = io.StringIO()
    console = PrintableConsole(file=file, force_terminal=is_terminal, width=500)
    table = Table(TEXT, title=TEXT)
    table.add_row(TEXT)
    table.add_row(Text(TEXT))
    ways: Sequence[Callable[[], object]] = (
        lambda: console.print(TEXT),
        lambda: console.print(TEXT, markup=True, emoji=True, style="red"),
        lambda: console.print(Text(TEXT), TEXT, 7),
        lambda: console.print(table),
        lambda: console.print([TEXT], {TEXT: ID}),
        lambda: console.log(TEXT),
        lambda: console.rule(TEXT),
        lambda: console.print_json(json.dumps(TEXT)),
    )
    for way in ways:
        file.seek(0)
        file.truncate()
        way()
        # The console's own: colours, and links to this file in a log.
        found = re.sub(r"\x1b\[[0-9;]*m|\x1b\]8;[^\x1b]*\x1b\\", "", file.getvalue())
        assert unprintable(found) == set()
        for part in (MARK, ":smile:", "[/x]", "[31m"):
            assert part in found


def test_a_text_is_as_wide_as_its_escapes() -> None:
    file = io.StringIO()
    console = PrintableConsole(file=file, width=200)
    table = Table("a", "b")
    table.add_row("\x1b\x1b", "x")
    table.add_row("y", "x")
    console.print(table)
    assert len({len(line) for line in file.getvalue().splitlines()}) == 1


def test_a_value_can_not_imitate_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        output.fail([f"first {TEXT}", "second"], 2)
    output.errors.print(TEXT)
    lines = capsys.readouterr().err.splitlines()
    assert [line[:12] for line in lines] == ["Error: first", "second", r"\x1b[31mred\\"[:12]]
    print_table(("a",), [(TEXT,)])
    assert not [line for line in capsys.readouterr().out.splitlines() if line.startswith("Error")]


WRITERS = re.compile(r"(?:typer|click)\.(?:echo|secho|confirm|prompt)|print|sys\.std(?:out|err)\.write|input")


def test_only_one_module_writes_to_the_terminal() -> None:
    """Others print with its console, or its functions."""
    folder = Path(output.__file__).parent
    found = []
    for path in folder.rglob("*.py"):
        if path == Path(output.__file__):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=function) if WRITERS.fullmatch(ast.unparse(function)):
                    found.append(f"{path.name}:{node.lineno}: {ast.unparse(function)}")
                case ast.ImportFrom(module="rich.markup"):
                    found.append(f"{path.name}:{node.lineno}: markup is off, and an escape visible; use styled()")
                case ast.Call(func=ast.Name(id="Console")) | ast.Call(func=ast.Attribute(attr="Console")):
                    found.append(f"{path.name}:{node.lineno}: a console of its own")
                case ast.Call(func=function, args=[ast.Constant(value=str(text)), *_]) if (
                    ast.unparse(function).endswith(("console.print", "errors.print")) and "\n" in text
                ):
                    found.append(f"{path.name}:{node.lineno}: a line feed in a string is shown as \\n; print each line")
                case ast.Name(id="Text") | ast.Attribute(attr="from_markup"):
                    if path.name != "terminal.py":
                        found.append(f"{path.name}:{node.lineno}: use styled() for foreign text")
    assert found == []


# Every command --------------------------------------------------------------------------------------------------------


@dataclass
class Stage:
    portal: Api
    folder: Path
    patch: pytest.MonkeyPatch

    def file(self, name: str, content: Any) -> str:
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return str(path)

    def stack(self, module: Any, client: Any) -> None:
        """The module's commands open this stack."""
        outputs = {"EventBusName": "enroll-events", "EventBusArn": BUS, "EnrollmentsQueueUrl": TEXT}
        outputs["UnprocessedEventsQueueUrl"] = "unprocessed"
        outputs["RecordsTableName"] = TEXT
        outputs["EnrollmentsDeadLetterQueueUrl"] = f"https://sqs/{TEXT}"
        self.patch.setattr(module, "open_stack", lambda _: Stack("enroll", outputs, lambda _: client))


Case = Callable[[Stage], Iterable[Sequence[str]]]
CASES: dict[str, Case] = {}


def case(name: str) -> Callable[[Case], Case]:
    """The arguments of each run of a command, without --json."""

    def add(function: Case) -> Case:
        CASES[name] = function
        return function

    return add


def hostile_flow(flow_id: str = FLOW_ID) -> dict[str, Any]:
    given = {"id": flow_id, "event": "forms.submitted", "re_enroll": True, "criteria": [["city", "IS_EQUAL_TO", TEXT]]}
    return flow(given) | {"name": TEXT, TEXT: TEXT}


def hostile_event(**given: Any) -> dict[str, Any]:
    properties = {"hs_form_id": TEXT, ID: TEXT}
    return event({"forms.submitted": "evil", "id": ID, "at": iso(NOW), "properties": properties} | given)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    api = example_portal()
    world = api.world
    key = RecordKey("p1", "0-1", "evil")
    world.put_record(
        key, Record(key, 1_000, {"city": TimestampedValue(TEXT, 1_000), TEXT: TimestampedValue(TEXT, 1_000)})
    )
    world.put_flow(hostile_flow())
    # Of this flow the record meets no criteria.
    world.put_flow(flow({"id": "[y]", "event": "forms.submitted", "criteria": [[TEXT, "IS_EQUAL_TO", "x"]]}))
    world.deliver(hostile_event(at=iso(world.now)))
    joined = {"hs_list_id": ID, "hs_membership_change": "ADDED"}
    world.deliver(event({"lists.membership_changed": "evil", "id": "j", "at": iso(world.now), "properties": joined}))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(dead_letter_queue, "WAIT_SECONDS", 0)
    with served(api) as url:
        monkeypatch.setenv("ENROLL_API", url)
        monkeypatch.setenv("ENROLL_PORTAL", "p1")
        yield Stage(api, tmp_path, monkeypatch)


def commands() -> dict[str, Any]:
    def walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        if not hasattr(command, "commands"):
            yield " ".join(path), command
            return
        for name, one in command.commands.items():
            yield from walk(one, (*path, name))

    return dict(walk(typer.main.get_command(app), ()))


def test_every_command_has_a_case() -> None:
    assert set(CASES) == set(commands()), "add the command to CASES, with foreign text in all that it prints"


@pytest.mark.parametrize("name", commands())
def test_no_command_prints_unprintable_characters(name: str, stage: Stage) -> None:
    printed = []
    has_json = any("--json" in one.opts for one in commands()[name].params)
    for arguments in CASES[name](stage):
        for json_option in ((), ("--json",)) if has_json else ((),):
            result = CliRunner().invoke(app, [*name.split(), *arguments, *json_option])
            assert isinstance(result.exception, SystemExit | None), result.exception
            assert "Traceback" not in result.output, result.output[-700:]
            # In a pipe, tabs separate the columns of a table. Tabs of values are escapes.
            assert unprintable(result.output) - {"\t"} == set(), result.output
            assert not [line for line in result.output.splitlines() if line.startswith("Error: a line")]
            if json_option and result.exit_code == 0:
                assert [json.loads(line) for line in result.stdout.splitlines()] if name in LINES else result.stdout
                if name not in LINES:
                    json.loads(result.stdout)
            printed.append((json_option, result.output))
    for wanted in ((), ("--json",)) if has_json else ((),):
        assert any(MARK in text for json_option, text in printed if json_option == wanted), f"{wanted}: {printed}"


WIDTH = 80
# Their output is JSON, or lines of a file, which people copy as they are.
COPIED = ("flows diff", "flows show", "unprocessed show", "trigger", "env")


@pytest.mark.parametrize("name", sorted(set(commands()) - set(COPIED)))
def test_output_fits_the_terminal(name: str, stage: Stage) -> None:
    """A line is wider only if it is a word, for example an ID, a path or a URL, that is itself wider."""
    stage.patch.setattr(output.LineConsole, "is_terminal", True)
    stage.patch.setenv("NO_COLOR", "1")
    stage.patch.setenv("COLUMNS", str(WIDTH))
    for arguments in CASES[name](stage):
        result = CliRunner().invoke(app, [*name.split(), *arguments])
        wide = [line for line in result.output.splitlines() if cell_width(line) > WIDTH and " " in line.strip()]
        assert wide == [], arguments


# Commands whose JSON is a value a line.
LINES = ("tail", "queue receive")


@case("catalog")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    yield ("--event", TEXT)
    yield ("--category", TEXT)


class Bus:
    def put_events(self, Entries: list[Any]) -> dict[str, Any]:
        return {"Entries": [{"ErrorCode": TEXT, "ErrorMessage": TEXT} for _ in Entries]}


@case("send")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    stage.stack(sending, Bus())
    stage.patch.setattr("enroll.bus.FIRST_WAIT_SECONDS", 0)
    yield (stage.file("event.json", hostile_event() | {"detail-type": TEXT}),)
    yield (stage.file("\x1b[31m\u202e.json", {"detail": {}}),)


@case("event")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    kept = {"reason": TEXT, "field": TEXT, "message": TEXT, "keptSince": TEXT}
    stage.patch.setattr("enroll.commands.event.unprocessed_events", lambda _: lambda ids: dict.fromkeys(ids, kept))
    yield (ID, "--details")
    yield (TEXT,)


@case("trigger")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    yield ("forms.submitted", f"{ID}={TEXT}", "--record", "contact/evil", "--print")
    yield (TEXT,)


@case("explain")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    yield ("--record", "contact/evil", "--details")
    yield ("--record", "contact/evil", "--event", ID, "--flow", FLOW_ID)
    yield ("--record", TEXT)


@case("simulate")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    path = stage.file("event.json", hostile_event())
    yield (path, "--details")
    yield (path, "--flow", stage.file("flow.json", hostile_flow()))
    yield (stage.file("refused.json", hostile_event() | {"detail-type": TEXT}),)
    yield ("--manual", "evil", "--in-flow", FLOW_ID, "--details")
    yield ("--manual", TEXT, "--in-flow", FLOW_ID)
    yield ("--manual", "evil", "--in-flow", TEXT)


@case("tail")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    yield ("--enrollments", "--timeout", "0", "--record", "contact/evil")
    decision = dict.fromkeys(("timestamp", "code", "flowId", "because", "portalId", "objectId", "eventId"), TEXT)
    failure = {"property": TEXT, "found": TEXT, "operation": {"operationType": TEXT, "operator": TEXT}}
    lines = [
        {**decision, "message": "decision"},
        {**decision, "message": "decision", "groups": [failure], "filter": TEXT},
        {**decision, "message": "refused", "reason": TEXT, "explanation": TEXT, "further": [TEXT]},
        {**decision, "message": "unknown names", "names": [TEXT, f"detail.{TEXT}"]},
    ]
    log = stage.file("forms.log", "".join(f"{json.dumps(line)}\n" for line in lines))
    yield ("--timeout", "0", "--portal", TEXT, "--logs", str(Path(log).parent))
    yield ("--timeout", "0", "--record", TEXT)
    yield ("--timeout", "0", "--flow", TEXT)
    yield ("--timeout", "0", "--flow", TEXT, "--enrollments")


@case("replay")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    aws = Aws()
    stage.stack(replaying, aws)
    stage.patch.setattr(replaying, "POLL_SECONDS", 0)
    stage.patch.setattr(replaying, "QUIET_SECONDS", 0)
    stage.patch.setattr(replaying, "_counts", lambda *_: {TEXT: Counter({TEXT: 1})})
    period = ("--from", "2026-11-01T00:00:00Z", "--to", "2026-11-02T00:00:00Z")
    yield ("--from", TEXT)
    for _ in range(2):
        aws.states = ["COMPLETED", "COMPLETED"]
        yield (*period, "--dry-run")
    aws.archives = [TEXT, TEXT]
    yield period


@case("invoke")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    decision = {"flowId": ID, "code": TEXT, "because": TEXT}
    tried = {"property": TEXT, "operation": {"operator": TEXT, "value": TEXT}, "found": TEXT}
    answers = [
        FunctionAnswer({"eventId": ID, "decisions": [{**decision, "groups": [tried, tried]}]}, False),
        FunctionAnswer({"eventId": ID, "decisions": []}, False),
        FunctionAnswer({"eventId": ID, "skipped": TEXT}, False),
        FunctionAnswer({"eventId": ID, "unprocessed": {"reason": TEXT, "message": TEXT}}, False),
        FunctionAnswer({"errorMessage": TEXT}, True),
    ]
    path = stage.file("event.json", hostile_event())
    for one in answers:
        stage.patch.setattr(invoking, "invoke", lambda *_, one=one: one)
        yield ("forms", "--event", path)
    yield (TEXT, "--event", path)


@case("flows put")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    yield (stage.file("flow.json", hostile_flow()),)
    yield (stage.file("faulty.json", hostile_flow() | {"objectTypeId": TEXT, "type": TEXT}),)
    loop = flow({"id": FLOW_ID, "event": "workflows.enrolled", "where": [["hs_flow_id", "IS_ANY_OF", [FLOW_ID]]]})
    yield (stage.file("loop.json", loop),)
    yield (str(stage.folder / "none\x1b.json"),)


@case("flows check")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    yield (stage.file("flow.json", hostile_flow()),)
    yield (stage.file("nameless.json", hostile_flow() | {"name": None}),)
    yield (stage.file("\x1b[2J\u202e.json", hostile_flow() | {"objectTypeId": TEXT, "suppressionListIds": [TEXT]}),)


@case("flows pull")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    stage.file("local.json", hostile_flow("only here [/x]") | {"id": f"only {ID}"})
    yield (str(stage.folder),)


@case("flows diff")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    yield (stage.file("flow.json", hostile_flow() | {"name": f"another {TEXT}"}),)
    yield (stage.file("new.json", hostile_flow("new")),)


@case("flows backfills")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    run = Run("01B", "p1", FLOW_ID, "0-1", 1, "", 0, False, 3, TEXT, 0)
    stage.portal.world.runs.create(run)
    stage.portal.world.runs.save(stage.portal.world.runs.runs["01B"].moved(RunStatus.PAUSED, 0, TEXT))
    yield (FLOW_ID,)
    yield (FLOW_ID, ID)
    yield (FLOW_ID, "cancel", ID)
    yield (FLOW_ID, "cancel")


@case("flows relist")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    for _ in range(2):
        stage.portal.world.flows.forget("p1", FLOW_ID, "forms.submitted")
        yield ("--dry-run",)
        yield ()


@case("flows list")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    yield ()


@case("flows show")
@case("flows on")
@case("flows off")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    yield (FLOW_ID,)
    yield ("unknown\u202e",)
    yield (f"unknown {ID}",)


@case("flows delete")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    yield ("unknown\u202e",)
    yield (f"unknown {ID}",)
    yield (FLOW_ID,)
    yield (FLOW_ID, "--yes")


@case("flows test")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    yield (FLOW_ID, "evil")
    yield (FLOW_ID, TEXT)


@case("flows enroll")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    suppressed = {"filterBranchType": "AND", "filters": [property_filter([TEXT, "IS_UNKNOWN"])]}
    stage.portal.world.put_flow(hostile_flow("s") | {"suppressionFilterBranch": suppressed})
    yield ("s", "evil")
    yield (FLOW_ID, "evil")
    yield (FLOW_ID, TEXT)
    path = stage.folder / "evil.csv"
    path.write_text(f"id,{ID}\nevil,{ID}\n,{ID}\n{ID},x\n", encoding="utf-8")
    yield (FLOW_ID, "--file", str(path))


@case("flows preview")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    stage.portal.world.deliver(hostile_event(id="other", at=iso(stage.portal.world.now)) | {"source": ID})
    draft = {"id": "9", "event": "forms.submitted", "criteria": [["city", "IS_EQUAL_TO", "x"]]}
    yield (stage.file("draft.json", flow(draft)),)


@case("flows impact")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    stage.portal.world.deliver(hostile_event(id="other", at=iso(stage.portal.world.now)) | {"source": ID})
    draft = {"id": "9", "event": "forms.submitted", "criteria": [["city", "IS_EQUAL_TO", "x"]]}
    yield (stage.file("draft.json", flow(draft)), "--last", "99999w")
    yield (stage.file("new.json", hostile_flow("new")), "--last", "99999w")
    yield (stage.file("new.json", hostile_flow("new")), "--last", TEXT)


class Queue:
    """A queue that returns the same messages at every second receive."""

    def __init__(self, *bodies: str) -> None:
        self.bodies = bodies
        self.is_read = False

    def receive_message(self, **_: Any) -> dict[str, Any]:
        self.is_read = not self.is_read
        if not self.is_read:
            return {}
        messages = [
            {"MessageId": str(number), "ReceiptHandle": "r", "Body": body} for number, body in enumerate(self.bodies)
        ]
        return {"Messages": messages}

    def get_queue_attributes(self, **_: Any) -> dict[str, Any]:
        policy = {"deadLetterTargetArn": f"arn:{TEXT}", "maxReceiveCount": 5}
        return {"Attributes": {"RedrivePolicy": json.dumps(policy)}}

    def change_message_visibility_batch(self, **_: Any) -> None:
        pass

    def delete_message_batch(self, Entries: list[Any], **_: Any) -> dict[str, Any]:
        return {}

    def send_message_batch(self, Entries: list[Any], **_: Any) -> dict[str, Any]:
        """Accept the first message only."""
        refused = [{"Id": one["Id"], "Code": TEXT, "Message": TEXT} for one in Entries[1:]]
        return {"Successful": [{"Id": one["Id"]} for one in Entries[:1]], "Failed": refused}

    put_events = Bus.put_events


@case("queue receive")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    enrollment = MESSAGE | {"flowName": TEXT, "objectId": TEXT, "trigger": {"eventType": TEXT, "eventId": TEXT}}
    for body in (json.dumps(enrollment), TEXT, json.dumps(TEXT)):
        stage.stack(queue_commands, Queue(body))
        yield ("--yes",)
        yield ()
        yield ("--no-delete",)


@case("queue list")
@case("queue redrive")
@case("queue discard")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    hostile = dict.fromkeys(("enrollmentId", "portalId", "flowId", "flowName", "objectTypeId", "objectId"), TEXT)
    enrollment = MESSAGE | hostile | {"trigger": {"eventType": TEXT, "eventId": TEXT}}
    other = enrollment | {"enrollmentId": ID, "flowId": None}
    stage.stack(dead_enrollment_commands, Queue(json.dumps(enrollment), json.dumps(other), TEXT, json.dumps([TEXT])))
    yield ()
    yield ("--enrollment", ID)
    yield ("--enrollment", "unknown\u202e")


@case("records show")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    yield ("contact/evil",)
    yield (f"contact/{ID}",)
    yield (TEXT,)


@case("records import")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    yield (stage.file("\x1b\u202e.csv", f"id,a\n1,2,{ID}\n"),)
    yield (stage.file("x.csv", f"{ID}\n1\n"),)
    yield (stage.file("y.csv", "id\n1\n"), "--type", TEXT)


@case("records index")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    def scan(**request: Any) -> Any:
        item = {"pk": {"S": f"p1/0-1/{ID}"}, "sk": {"S": TEXT}}
        last = {} if "ExclusiveStartKey" in request else {"LastEvaluatedKey": item}
        return {"Items": [item], "ScannedCount": 1, **last}

    stage.stack(record_commands, SimpleNamespace(scan=scan, update_item=lambda **_: {}))
    yield ()
    yield ("--after", TEXT)


class HostileApi:
    def call(self, *_: Any) -> dict[str, Any]:
        return {
            "portalId": TEXT,
            "caller": TEXT,
            "scopes": ["enroll/read", TEXT],
            "timeZone": TEXT,
            "criteriaTolerance": 0,
            "recordTolerance": 60,
            "allowedSources": [TEXT],
        }

    def pages(self, *_: Any) -> Iterator[Any]:
        return iter([])


@case("portal show")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    stage.patch.setattr(portal_commands, "open_api", lambda *_: HostileApi())
    yield ()


@case("portal set")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    yield ("--time-zone", TEXT)
    stage.patch.setattr(portal_commands, "open_api", lambda *_: HostileApi())
    yield ("--time-zone", "UTC")


@case("doctor")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    """Of a stack whose resources have hostile names."""
    stack = SimpleNamespace(outputs={"EventBusName": TEXT})
    findings = [doctor_checks.Finding(TEXT, result, TEXT) for result in doctor_checks.CheckResult]
    stage.patch.setattr(doctor_commands, "find_stack", lambda *_: stack)
    stage.patch.setattr(doctor_commands, "check_configuration", lambda _: findings)
    yield ("--no-events",)
    stage.patch.setattr(doctor_commands, "find_stack", lambda *_: None)
    yield ("--stack", TEXT)
    yield ("--check-update", "--stack", "enroll", "--parameter", TEXT)


@case("adopt")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    """Two tables have the wanted name's beginning, and hostile ends."""

    def client_of(service: str) -> Any:
        if service == "dynamodb":
            names = [f"enroll-FlowsTable-{TEXT}", "enroll-FlowsTable-2"]
            return SimpleNamespace(get_paginator=lambda _: SimpleNamespace(paginate=lambda: [{"TableNames": names}]))
        answer = {"Error": {"Code": "ValidationError", "Message": "Stack does not exist"}}

        def describe_stacks(**_: str) -> Any:
            raise ClientError(answer, "DescribeStacks")

        return SimpleNamespace(describe_stacks=describe_stacks)

    stage.patch.setattr(adopt_commands, "client_of", client_of)
    yield ()
    yield ("--template", str(stage.folder / "none"), "--flows-table", TEXT)


def kept(stage: Stage) -> None:
    envelopes = [hostile_event(), hostile_event(id=TEXT, portal=TEXT) | {"detail-type": TEXT}]
    bodies = [json.dumps({"reason": TEXT, "message": TEXT, "field": TEXT, "event": one}) for one in envelopes]
    # With half of a surrogate pair, which no encoding can write.
    stage.stack(unprocessed_commands, Queue(*bodies, TEXT, json.dumps(["\ud800", TEXT]), '{"x": "\\ud800\\u202e"}'))


@case("unprocessed list")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    kept(stage)
    yield ()
    yield ("--since", TEXT)


@case("unprocessed show")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    kept(stage)
    yield (ID,)
    yield (TEXT,)
    yield (f"unknown {TEXT}",)


@case("unprocessed redrive")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    stage.patch.setattr("enroll.bus.FIRST_WAIT_SECONDS", 0)
    kept(stage)
    yield ("--dry-run",)
    yield ("--rate", "1000")


@case("unprocessed discard")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    kept(stage)
    yield ()
    yield ("--yes", "--keep", str(stage.folder / "\x1b\u202e" / "kept.jsonl"))
    yield ("--yes", "--keep", str(stage.folder / "\u202ekept.jsonl"))


@case("console")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    async def ends(_: object) -> None:
        pass

    site = ConsoleSite(stage.folder, stage.folder / "problem.txt")
    stage.patch.setattr(console_commands, "_site", lambda: site)
    stage.patch.setattr(console_commands, "until", ends)
    yield ("--port", "0", "--no-browser", "--portal", TEXT)
    yield ("--api", TEXT)


@case("env")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    """The values are those of a file that the run wrote. An escape in quotes has no effect in a shell."""
    stage.patch.setattr("enroll.commands.env.alive_runs", lambda _: [AliveRun(4566, {"ENROLL_API": TEXT})])
    yield ()


@case("local run")
def _(stage: Stage) -> Iterable[Sequence[str]]:
    """Its live screen is in tests/local/test_screen.py."""

    def fails(*_: Any, **__: Any) -> int:
        raise LocalRunError(f"two lines {ID}\n\x1b[31m")

    stage.patch.setattr(local, "run", fails)
    yield ("--once",)


def test_a_flow_id_that_looks_like_markup_is_printed_as_it_is(stage: Stage) -> None:
    kept(stage)
    decision = {"flowId": "[/x]", "code": "ENROLLED"}
    stage.patch.setattr(
        unprocessed_commands, "open_api", lambda *_: SimpleNamespace(call=lambda *_: {"decisions": [decision]})
    )
    result = CliRunner().invoke(app, ["unprocessed", "redrive", "--dry-run"])
    assert result.exit_code == 0
    assert "[/x] ENROLLED" in result.stdout
    assert "each event simulated alone: [/x] 1." in result.stderr


# Errors ---------------------------------------------------------------------------------------------------------------


def test_an_unexpected_error_is_printed_with_escapes(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise KeyError(f"[/x] {TEXT}")

    monkeypatch.setattr(portal_commands, "open_api", fails)
    result = CliRunner().invoke(app, ["portal", "show"])
    assert result.exit_code == 1
    assert "a fault in enroll" in result.stderr
    assert "KeyError" not in result.output
    monkeypatch.setenv("ENROLL_TRACEBACK", "1")
    result = CliRunner().invoke(app, ["portal", "show"])
    assert "KeyError" in result.stderr
    assert unprintable(result.output) == set()


@pytest.mark.parametrize("arguments", [[TEXT], ["flows", TEXT], ["explain", f"--{TEXT}"], ["explain", "--last", TEXT]])
def test_a_usage_error_quotes_arguments_with_escapes(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert unprintable(result.output) == set()


def test_the_live_display_escapes() -> None:
    file = io.StringIO()
    console = PrintableConsole(file=file, force_terminal=True, width=500)
    with Live(Text(TEXT), console=console, refresh_per_second=1) as live:
        live.update(Text(ID))
    found = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())
    assert unprintable(found) - {"\r"} == set()
