"""Each function may do what its code does, and no more: the calls that it makes are recorded while every scenario and
every example is played on the deployed code, and compared with its policies."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.client
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends
from msgspec.structs import replace

from enrollment.adapters import sqs as queues
from enrollment.adapters.dynamodb.associations import DynamoAssociations
from enrollment.adapters.dynamodb.due_items import DynamoDueItems
from enrollment.adapters.dynamodb.flow_repository import DynamoFlowRepository
from enrollment.adapters.dynamodb.record_listing import DynamoRecordListing
from enrollment.adapters.dynamodb.records import DynamoRecords
from enrollment.adapters.dynamodb.run_repository import DynamoRuns
from enrollment.adapters.observability import PowertoolsDecisionLog
from enrollment.adapters.sqs import SqsQueue
from enrollment.application.backfills import BackfillRequest, Backfills
from enrollment.application.enrollment_publisher import NotDelivered
from enrollment.catalog import CATEGORIES
from enrollment.domain.enrollment.decisions import Code, Decision
from enrollment.domain.events.associated_change import AssociatedChange
from enrollment.domain.events.event import Event
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.associations import Association, AssociationType, associated
from enrollment.domain.records.record import Record, TimestampedValue, deleted
from enrollment.domain.timers.due_item import DUE_SHARDS, DueKind, due_item
from enrollment.domain.values import LATEST
from enrollment.entrypoints import bootstrap, run_bootstrap, timer_bootstrap
from enrollment.entrypoints.bootstrap import now
from enrollment.entrypoints.http_api import handler as api_handler
from enrollment.serialization.flows import read_flow_or_retired
from enrollment.serialization.redeliveries import read_redelivery
from tests.support.api_function import call, example_portal, play_examples
from tests.support.aws import REGION
from tests.support.fakes import store
from tests.support.functions import CONTEXT, Stack, batch, function, invoke
from tests.support.permissions import Permission, granted, needed, of_the_key, taken
from tests.support.scenario import event, flow, load, play, property_filter
from tests.support.stores import open_tables
from tests.support.template import DEFAULTS, FUNCTIONS, RESOURCES, logical, values_of

SCENARIOS = load(Path(__file__).parents[1] / "scenarios")


class Recorder:
    """The calls of each function, by the folder of its code. Calls of the tests themselves are not kept."""

    def __init__(self) -> None:
        self.calls: dict[str, set[Permission]] = defaultdict(set)
        self._function: str | None = None

    @contextmanager
    def of(self, function: str) -> Iterator[None]:
        self._function = function
        yield
        self._function = None

    @contextmanager
    def recording(self, stack: Stack) -> Iterator[None]:
        make = botocore.client.BaseClient._make_api_call

        def noted(client: Any, operation: str, arguments: Any) -> Any:
            if self._function is not None:
                service = client.meta.service_model.service_name
                self.calls[self._function] |= set(needed(service, operation, arguments, stack.config))
            return make(client, operation, arguments)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(botocore.client.BaseClient, "_make_api_call", noted)
            yield


class Deployed:
    """A portal of the deployed functions, in the place of the one in memory that scenarios are usually played on. `now`
    is the functions' clock too."""

    now = 0
    decision_log = SimpleNamespace(decisions=[])

    def __init__(self, stack: Stack, recorder: Recorder, name: str) -> None:
        Deployed.decision_log.decisions = []
        self.scheduled: list[tuple[int, str]] = []
        self.authoring = _OfPortal(stack.stores.authoring, name)
        self._stack = stack
        self._recorder = recorder
        self._name = name

    def put_flow(self, document: Mapping[str, Any], *, at: int | None = None) -> None:
        is_new = str(document["id"]) not in self.authoring.get_many("p1", [str(document["id"])])
        store(self.authoring, "p1", document, (0 if is_new else self.now) if at is None else at)

    def put_record(self, key: RecordKey, record: Record) -> None:
        self._stack.stores.records.save(replace(record, key=replace(key, portal_id=f"{key.portal_id} {self._name}")))

    @property
    def record_service(self) -> Any:
        """What scenarios use of it: a deletion, as the API makes it."""
        records = self._stack.stores.records

        def delete(key: RecordKey, now: int) -> None:
            stored = records.get(replace(key, portal_id=f"{key.portal_id} {self._name}"))
            assert stored is not None
            records.save(deleted(stored, now))

        return SimpleNamespace(delete=delete)

    def deliver(self, envelope: dict[str, Any]) -> None:
        category = envelope["detail-type"].partition(".")[0]
        envelope["detail"]["portalId"] += f" {self._name}"
        Deployed.now = self.now
        with self._recorder.of(category):
            invoke(envelope, category)

    @property
    def associations(self) -> Any:
        """What scenarios use of them: an association is stored before its event."""
        stored = DynamoAssociations(open_tables(self._stack.config))

        def get(*keys: RecordKey) -> Any:
            return stored.get(*(replace(key, portal_id=f"{key.portal_id} {self._name}") for key in keys))

        return SimpleNamespace(get=get, save=stored.save)

    def decide_associated(self) -> None:
        while changes := self._receive():
            for number, body in enumerate(changes):
                with self._recorder.of("redeliveries"):
                    message = {"messageId": f"m{number}", "body": body}
                    answer = function("redeliveries").handler({"Records": [message]}, CONTEXT)
                assert answer == {"batchItemFailures": []}

    def _receive(self) -> list[str]:
        """Return the messages about associated records. The others are scheduled, and so are the due items."""
        queue, changes = self._stack.config.redeliveries_queue_url, []
        due_items = DynamoDueItems(open_tables(self._stack.config))
        for shard in range(DUE_SHARDS):
            for item in list(due_items.due_before(shard, LATEST)):
                due_items.delete([item])
                redelivery = read_redelivery(item.message)
                if not isinstance(redelivery, AssociatedChange) and redelivery[0].portal_id.endswith(f" {self._name}"):
                    self.scheduled.append((redelivery[2], item.message))
        answer = self._stack.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
        for message in answer.get("Messages", []):
            redelivery = read_redelivery(message["Body"])
            if isinstance(redelivery, AssociatedChange):
                changes.append(message["Body"])
            # What a scenario before this one has left is not delivered.
            elif redelivery[0].portal_id.endswith(f" {self._name}"):
                self.scheduled.append((redelivery[2], message["Body"]))
            self._stack.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return changes

    def pass_time(self, to: int) -> None:
        while True:
            assert self._receive() == []
            due = sorted(redelivery for redelivery in self.scheduled if redelivery[0] <= to)
            if not due:
                break
            self.scheduled.remove(due[0])
            Deployed.now = max(Deployed.now, due[0][0])
            with self._recorder.of("redeliveries"):
                take = function("redeliveries").handler
                assert take({"Records": [{"messageId": "m", "body": due[0][1]}]}, CONTEXT) == {"batchItemFailures": []}
        Deployed.now = max(Deployed.now, to)


class _OfPortal:
    """An authoring of which each portal has another name."""

    def __init__(self, authoring: Any, name: str) -> None:
        self._authoring = authoring
        self._name = name

    def __getattr__(self, method: str) -> Callable[..., Any]:
        return lambda portal, *rest, **named: getattr(self._authoring, method)(f"{portal} {self._name}", *rest, **named)


def empty_tables() -> None:
    """No scenario reads what another wrote. moto sorts or copies all items of a table at each query or transaction."""
    for table in dynamodb_backends[DEFAULT_ACCOUNT_ID][REGION].tables.values():
        table.items.clear()


def play_category(stack: Stack, recorder: Recorder, category: str) -> None:
    """Every scenario that begins with an event of the category, what can't be processed, and criteria that look at
    associated records, twice: the second time by a function that remembers its flows."""
    for number, (name, scenario) in enumerate(SCENARIOS):
        events = (key for event in scenario["events"] for key in event if key.partition(".")[0] in CATEGORIES)
        if next(events).partition(".")[0] == category:
            deployed = Deployed(stack, recorder, str(number))
            decisions = play(scenario, deployed)  # type: ignore[arg-type]
            assert decisions == [[str(part) for part in decision] for decision in scenario["decisions"]], name
            # Receives what still waits, so that the next scenario does not.
            deployed.pass_time(0)
            empty_tables()
    with recorder.of(category):
        assert "unprocessed" in invoke({}, category)

    event_types = CATEGORIES[category].event_types
    event_type = next((event_type for event_type in event_types if event_type.also), event_types[-1])
    lists = [["IN_LIST", str(number)] for number in range(3)]
    trigger = {"lists": lists} if category == "lists" else {"event": event_type.name}
    document = flow({"id": "associated", "re_enroll": True, **trigger})
    branch = {
        "filterBranchType": "ASSOCIATION",
        "objectTypeId": "0-2",
        "associationCategory": "HUBSPOT_DEFINED",
        "associationTypeId": 279,
        "filters": [property_filter(["name", "IS_UNKNOWN"])],
    }
    document["enrollmentCriteria"]["refinementCriteria"] = {"filterBranchType": "AND", "filterBranches": [branch]}
    store(stack.stores.authoring, category, document, 0)
    contact, company = RecordKey(category, "0-1", "101"), RecordKey(category, "0-2", "201")
    associations = DynamoAssociations(open_tables(stack.config))
    kinds = [AssociationType("HUBSPOT_DEFINED", 279)]
    associations.save([associated(associations.get(contact, company), kinds, 0, holds=True)])
    for key in (contact, company):
        stack.stores.records.save(Record(key, 0))

    def happened(number: int) -> dict[str, Any]:
        """Another change than the others, another document."""
        properties = {"hs_list_id": str(number), "hs_membership_change": "ADDED"}
        properties |= {"hs_name": "x", "hs_value": str(number), "hs_document_id": str(number)}
        properties |= {"hs_association_change": "ADDED", "hs_to_object_type_id": "0-2", "hs_to_object_id": str(number)}
        fields = {event_type.name: "101", "id": f"e{number}", "portal": category, "record": {"n": number}}
        return event({**fields, "properties": properties})

    for number in range(2):
        with recorder.of(category):
            answer = invoke(happened(number), category)
        assert [decision["code"] for decision in answer["decisions"]] == ["ENROLLED"]
    # The same as a batch, of its buffer.
    with recorder.of(category):
        assert invoke(batch(happened(2)), category) == {"batchItemFailures": []}


def play_api(stack: Stack, recorder: Recorder, function: str) -> None:
    api_handler._parts.cache_clear()
    # The API has the clock of this machine, and its events are sent after what it changes.
    Deployed.now = now() + 60_000
    names = example_portal()
    limited = flow({"id": 7, "event": "forms.submitted", "re_enroll": True, "limit": {"count": 1, "period": "MINUTE"}})
    with recorder.of(function):
        play_examples(names)
        assert call("GET", "/crm/v3/objects/contacts/ada@example.com", idProperty="email")[0] == 404
        assert call("PUT", "/automation/v4/flows/7", limited)[0] == 201
        # The message of the second is delayed. The third becomes a due item.
        for _ in range(3):
            assert call("POST", "/enrollment/v1/flows/7/enrollments", {"objectId": "101"})[0] == 201
    api_handler._parts.cache_clear()


def play_redeliveries(stack: Stack, recorder: Recorder, function: str) -> None:
    """What waits is played with the scenarios of categories; here what a flow's limit delays."""
    deployed = Deployed(stack, recorder, function)
    limit = {"count": 1, "period": "MINUTE"}
    deployed.put_flow(flow({"id": 1, "event": "forms.submitted", "re_enroll": True, "limit": limit}))
    for number in range(2):
        deployed.now = bootstrap.now()
        deployed.deliver(event({"forms.submitted": "101", "id": f"e{number}", "record": {}}))
    deployed.pass_time(deployed.now + 60_000)
    assert [decision.code for _, decision in Deployed.decision_log.decisions] == ["ENROLLED", "ENROLLED"]
    assert deployed.scheduled == []


def play_unconfirmed(stack: Stack, recorder: Recorder, function_name: str) -> None:
    """What a delivery has claimed, and could not publish."""
    deployed = Deployed(stack, recorder, function_name)
    deployed.put_flow(flow({"id": 1, "event": "forms.submitted"}))
    Deployed.now = deployed.now = bootstrap.now()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqsQueue, "publish", lambda *_: ())
        with pytest.raises(NotDelivered):
            deployed.deliver(event({"forms.submitted": "101", "id": "e", "record": {}}))
    Deployed.now += 600_000
    with recorder.of(function_name):
        assert function(function_name).handler({}, CONTEXT)["published"] == 1


def play_runs(stack: Stack, recorder: Recorder, function_name: str) -> None:
    """A backfill of a flow with a rate limit: one record enters at once, and two later. The criteria are about
    companies."""
    deployed = Deployed(stack, recorder, function_name)
    Deployed.now = deployed.now = bootstrap.now()
    # The second enrollment is delayed by a minute, so its message is delayed. The third becomes a due item.
    limit = {"count": 1, "period": "MINUTE"}
    document = flow({"id": 1, "filters": [["city", "IS_EQUAL_TO", "Cork"]], "limit": limit})
    company = {"filterBranchType": "ASSOCIATION", "objectTypeId": "0-2", "operator": "IN_LIST", "filterBranches": []}
    company |= {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279, "filters": []}
    document["enrollmentCriteria"]["listFilterBranch"]["filterBranches"][0]["filterBranches"] = [company]
    deployed.put_flow(document)
    portal = f"p1 {function_name}"
    records = DynamoRecords(open_tables(stack.config))
    city = {"city": TimestampedValue("Cork", 1_000)}
    records.save(Record(RecordKey(portal, "0-2", "9"), 1_000))
    for number in range(3):
        key, other = RecordKey(portal, "0-1", f"10{number}"), RecordKey(portal, "0-2", "9")
        records.save(Record(key, 1_000, city))
        kind = AssociationType("HUBSPOT_DEFINED", 279)
        stored = associated(Association(key, other), [kind], 1_000, holds=True)
        DynamoAssociations(open_tables(stack.config)).save([stored])
    tables = open_tables(stack.config)
    listing = DynamoRecordListing(tables)
    backfills = Backfills(
        DynamoRuns(tables),
        DynamoFlowRepository(tables, read_flow_or_retired),
        read_flow_or_retired,
        listing,
        bootstrap.new_id,
    )
    backfills.start(BackfillRequest(portal, "1", False, "ada", confirm=3), Deployed.now)
    run_bootstrap.run_application.cache_clear()
    with recorder.of(function_name):
        answer = function(function_name).handler({}, CONTEXT)
    run_bootstrap.run_application.cache_clear()
    assert (answer["records"], answer["failed"]) == (3, 0)


def play_timers(stack: Stack, recorder: Recorder, function_name: str) -> None:
    """An event that waits, and is due."""
    at = bootstrap.now()
    Deployed.now = at
    DynamoDueItems(open_tables(stack.config)).save(due_item(DueKind.EVENT, at, "{}", function_name))
    timer_bootstrap.timer_application.cache_clear()
    with recorder.of(function_name):
        assert function(function_name).handler({}, CONTEXT)["sent"] >= 1
    timer_bootstrap.timer_application.cache_clear()
    stack.sqs.purge_queue(QueueUrl=stack.config.redeliveries_queue_url)


# A new function joins here: what to do with it, to see all that it calls.
PLAYS: Mapping[str, Callable[[Stack, Recorder, str], None]] = {
    **dict.fromkeys(CATEGORIES, play_category),
    "redeliveries": play_redeliveries,
    "unconfirmed": play_unconfirmed,
    "timers": play_timers,
    "runs": play_runs,
    "api": play_api,
}


@pytest.mark.verify
def test_functions_have_exactly_the_permissions_that_they_use(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that share a policy are looked at together: what one of them never does another does."""
    monkeypatch.setattr(bootstrap, "now", lambda: Deployed.now)
    monkeypatch.setenv("EVENT_HISTORY_DAYS", "30")
    # What is to be delivered again later is seen at once.
    monkeypatch.setattr(queues, "MAX_DELAY_SECONDS", 0)
    log_decisions = PowertoolsDecisionLog.log_decisions

    def noted(
        decision_log: PowertoolsDecisionLog, event: Event, decisions: Sequence[Decision], others: Mapping[Code, int]
    ) -> None:
        Deployed.decision_log.decisions += [(event, decision) for decision in decisions]
        log_decisions(decision_log, event, decisions, others)

    monkeypatch.setattr(PowertoolsDecisionLog, "log_decisions", noted)
    assert {logical(function, "Function") for function in PLAYS} == set(FUNCTIONS), "a play for every function"
    recorder = Recorder()
    with recorder.recording(stack):
        for function, played in PLAYS.items():
            played(stack, recorder, function)

    sharing = defaultdict(list)
    for function in PLAYS:
        sharing[json.dumps(FUNCTIONS[logical(function, "Function")]["Policies"][0])].append(function)
    assert len(sharing) > 1
    for functions in sharing.values():
        called = set[Permission]().union(*(recorder.calls[function] for function in functions))
        names = [logical(function, "Function") for function in functions]
        called |= set[Permission]().union(*(taken(name) for name in names))
        may_do = set[Permission]().union(*(granted(name) for name in names))
        assert sorted(called) == sorted(may_do), f"called, and allowed, of {', '.join(functions)}"
        with_key = set[Permission]().union(*(granted(name, uses_key=True) for name in names))
        assert with_key - may_do == of_the_key(called)


def test_no_function_has_other_permissions() -> None:
    """SAM adds its own for logs and traces, and for the destination of failed events."""
    assert "Policies" not in DEFAULTS
    assert not any("Role" in resource for resource in [DEFAULTS, *FUNCTIONS.values()])


@pytest.mark.parametrize("function_name", ["TimersFunction", "RunsFunction"])
def test_functions_that_may_write_due_items_may_write_no_record_beside_them(function_name: str) -> None:
    (patterns,) = [
        keys for keys in values_of(RESOURCES[function_name], "dynamodb:LeadingKeys") if keys[0].startswith("due/")
    ]

    def is_allowed(key: str) -> bool:
        return any(fnmatchcase(key, pattern) for pattern in patterns)

    assert all(is_allowed(f"due/{shard}") for shard in range(DUE_SHARDS))
    record_of_portal_due = str(RecordKey("due", "0-1", "1"))
    assert not is_allowed(record_of_portal_due)
