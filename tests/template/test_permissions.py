"""Each function may do what its code does, and no more: the calls that it makes are recorded while every scenario and
every example is played on the deployed code, and compared with its policies."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.client
import pytest

from enrollment.adapters.associations import DynamoAssociations
from enrollment.adapters.tables import Tables
from enrollment.api import handler as api_handler
from enrollment.catalog import CATEGORIES
from enrollment.domain.associations import AssociationType, associated
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records import Record
from tests.fakes import store
from tests.functions.test_api import example_portal, play_examples
from tests.functions.test_handlers import Stack, invoke
from tests.functions.test_handlers import stack as stack  # the fixture
from tests.scenarios.scenario import event, flow, load, play, property_filter
from tests.template.permissions import Permission, granted, needed, of_the_key
from tests.template.test_template import DEFAULTS, FUNCTIONS, logical

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
    """A portal of the deployed functions, in the place of the one in memory that scenarios are usually played on."""

    def __init__(self, stack: Stack, recorder: Recorder, name: str) -> None:
        self.now = 0
        self.authoring = _OfPortal(stack.stores.authoring, name)
        self._stack = stack
        self._recorder = recorder
        self._name = name

    def put_flow(self, document: Mapping[str, Any], *, at: int | None = None) -> None:
        is_new = str(document["id"]) not in self.authoring.get_many("p1", [str(document["id"])])
        store(self.authoring, "p1", document, (0 if is_new else self.now) if at is None else at)

    def put_record(self, key: RecordKey, record: Record) -> None:
        self._stack.stores.records.save(replace(record, key=replace(key, portal_id=f"{key.portal_id} {self._name}")))

    def deliver(self, envelope: dict[str, Any]) -> list[SimpleNamespace]:
        category = envelope["detail-type"].partition(".")[0]
        envelope["detail"]["portalId"] += f" {self._name}"
        with self._recorder.of(category):
            answer = invoke(envelope, category)
        return [SimpleNamespace(flow_id=one["flowId"], code=one["code"]) for one in answer["decisions"]]


class _OfPortal:
    """An authoring of which each portal has another name."""

    def __init__(self, authoring: Any, name: str) -> None:
        self._authoring = authoring
        self._name = name

    def __getattr__(self, method: str) -> Callable[..., Any]:
        return lambda portal, *rest, **named: getattr(self._authoring, method)(f"{portal} {self._name}", *rest, **named)


def play_category(stack: Stack, recorder: Recorder, category: str) -> None:
    """Every scenario that begins with an event of the category, what can't be processed, and criteria that look at
    associated records, twice: the second time by a function that remembers its flows."""
    for number, (name, scenario) in enumerate(SCENARIOS):
        events = (key for one in scenario["events"] for key in one if key.partition(".")[0] in CATEGORIES)
        if next(events).partition(".")[0] == category:
            decisions = play(scenario, Deployed(stack, recorder, str(number)))  # type: ignore[arg-type]
            assert decisions == [[str(part) for part in one] for one in scenario["decisions"]], name
    with recorder.of(category):
        assert "unprocessed" in invoke({}, category)

    event_types = CATEGORIES[category].event_types
    event_type = next((one for one in event_types if one.also), event_types[-1])
    trigger = {"lists": [["IN_LIST", "42"]]} if category == "lists" else {"event": event_type.name}
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
    associations = DynamoAssociations(Tables(stack.config))
    kinds = [AssociationType("HUBSPOT_DEFINED", 279)]
    associations.save([associated(associations.get(contact, company), kinds, 0, holds=True)])
    for key in (contact, company):
        stack.stores.records.save(Record(key, 0))
    properties = {"hs_list_id": "42", "hs_membership_change": "ADDED", "hs_name": "x", "hs_value": "y"}
    for number in range(2):
        given = {event_type.name: "101", "id": f"e{number}", "portal": category, "record": {"n": number}}
        with recorder.of(category):
            answer = invoke(event({**given, "properties": {**properties, "hs_document_id": str(number)}}), category)
        assert [one["code"] for one in answer["decisions"]] == ["ENROLLED"]


def play_api(stack: Stack, recorder: Recorder, function: str) -> None:
    api_handler._parts.cache_clear()
    names = example_portal()
    with recorder.of(function):
        play_examples(names)
    api_handler._parts.cache_clear()


# A new function joins here: what to do with it, to see all that it calls.
PLAYS: Mapping[str, Callable[[Stack, Recorder, str], None]] = {
    **dict.fromkeys(CATEGORIES, play_category),
    "api": play_api,
}


def test_functions_may_do_what_they_do_and_no_more(stack: Stack) -> None:
    """Those that share their policies are looked at together: what one of them never does another does."""
    assert {logical(one, "Function") for one in PLAYS} == set(FUNCTIONS), "a play for every function"
    recorder = Recorder()
    with recorder.recording(stack):
        for function, played in PLAYS.items():
            played(stack, recorder, function)

    sharing = defaultdict(list)
    for function in PLAYS:
        sharing[json.dumps(FUNCTIONS[logical(function, "Function")]["Policies"])].append(function)
    assert len(sharing) > 1
    for functions in sharing.values():
        called = set[Permission]().union(*(recorder.calls[one] for one in functions))
        may_do = granted(logical(functions[0], "Function"))
        assert sorted(called) == sorted(may_do), f"called, and allowed, of {', '.join(functions)}"
        with_key = granted(logical(functions[0], "Function"), uses_key=True)
        assert with_key - may_do == of_the_key(called)


def test_no_function_has_other_permissions() -> None:
    """SAM adds its own for logs and traces, and for the destination of failed events."""
    assert "Policies" not in DEFAULTS
    assert not any("Role" in one for one in [DEFAULTS, *FUNCTIONS.values()])
