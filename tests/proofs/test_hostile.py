"""Hostile input: whatever comes, an event ends as decisions or in the unprocessed queue with a reason, a flow and a
body are read or refused with their faults, nothing else is raised, and nothing takes long.

What once failed is kept in found.json and tried each time. `make prove` tries more, and lets a fuzzer that sees which
lines run (coverage_guided.py) look for what these strategies do not think of.
"""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from jsonschema import Draft202012Validator

from enrollment.catalog import EVENT_TYPES
from enrollment.domain.events.event import InvalidEvent
from enrollment.entrypoints.http_api.routes import ENDPOINTS
from enrollment.serialization.envelopes import read_event
from enrollment.serialization.schemas import event_schema
from tests.proofs.documents import BODIES, FLOWS, allowed, mutated
from tests.proofs.filter_trees import FILTER_BASED_FLOWS, faulty_flows, largest_flows
from tests.proofs.targets import (
    LONGEST,
    Crowded,
    Events,
    Tried,
    read_any_body,
    read_any_flow,
    read_faulty_flow,
)
from tests.support.api_document import filled
from tests.support.portal import example_portal

pytestmark = pytest.mark.verify

FOUND = json.loads((Path(__file__).parent / "found.json").read_text(encoding="utf-8"))

ANY_FLOWS = st.one_of(FLOWS, FILTER_BASED_FLOWS)

# An event with the name of its type.
Named = tuple[str, Any]

SCHEMAS = {name: event_schema(one) for name, one in EVENT_TYPES.items()}
ALLOWED = {name: allowed(schema) for name, schema in SCHEMAS.items()}

# What an event is about, in most of what is tried: the record that the portal has, so that the whole story is told.
AIM = {"portalId": "p1", "objectType": "contact", "objectId": "101", "occurredAt": 1_764_000_000_000}
ENVELOPE = {"id": "bus-1", "source": "acme", "time": "2026-11-23T10:00:00Z"}


def _aimed(event: Any) -> Any:
    return {**event, **ENVELOPE, "detail": {**event["detail"], **AIM}}


def events(of: Callable[[SearchStrategy[Any]], SearchStrategy[Any]]) -> SearchStrategy[Named]:
    return st.sampled_from(list(EVENT_TYPES)).flatmap(
        lambda name: st.tuples(st.just(name), of(st.one_of(ALLOWED[name].map(_aimed), ALLOWED[name])))
    )


def attempt(
    target: Callable[[Any], str], inputs: SearchStrategy[Any], count: int, *, longest: float = LONGEST
) -> Tried:
    """The same inputs each time, unless the count is another. ``longest``: CPU seconds that one may take."""
    tried = Tried(longest)

    @settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs)
    def each(one: Any) -> None:
        tried.run(target, one)

    each()
    return tried


def test_events_are_decided_or_kept_with_a_reason(prove: bool) -> None:
    target = Events()
    for label, of in (("allowed", lambda one: one), ("mutated", mutated)):
        tried = attempt(lambda one: target(one[1], one[0].partition(".")[0]), events(of), 5_000 if prove else 400)
        print(f"\nevents, {label}: {tried}")
        assert tried.outcomes["decided"] > tried.count / 20
    # The few inputs of the short run do not always have an event about an unknown record.
    assert target.codes >= {"ENROLLED", "NOT_ELIGIBLE", *(["UNKNOWN_RECORD"] if prove else [])}


def test_flows_are_read_or_refused_with_their_faults(prove: bool) -> None:
    kinds = (("event-based", FLOWS), ("filter-based", FILTER_BASED_FLOWS))
    for label, inputs in [*kinds, *((f"mutated {kind}", mutated(flows)) for kind, flows in kinds)]:
        tried = attempt(read_any_flow, inputs, 1_500 if prove else 60)
        print(f"\nflows, {label}: {tried}")
        assert tried.outcomes["flow"] > tried.count / 20


def test_trees_are_refused_with_all_their_faults_at_their_paths(prove: bool) -> None:
    print(f"\ntrees with faults: {attempt(read_faulty_flow, faulty_flows(), 5_000 if prove else 200)}")


def test_the_largest_trees_take_bounded_time_and_reads(prove: bool) -> None:
    """At the limits of filters, levels and associated records; beyond them they are refused."""
    tried = attempt(Crowded(), largest_flows(), 60 if prove else 4, longest=4 * Crowded.LONGEST)
    print(f"\nlargest trees: {tried}")
    assert not prove or len(tried.outcomes) >= 4


def test_bodies_are_read_or_refused_with_their_faults(prove: bool) -> None:
    for label, inputs in (("written", BODIES), ("mutated", mutated(BODIES))):
        tried = attempt(read_any_body, inputs, 10_000 if prove else 200)
        print(f"\nbodies, {label}: {tried}")


def test_the_api_answers_any_body(prove: bool) -> None:
    """Without an error of its own, on every operation that takes a body."""
    api = example_portal()
    taking = [one for one in ENDPOINTS if one.body is not None]
    bodies = st.sampled_from(taking).flatmap(
        lambda one: st.tuples(
            st.just(one), st.one_of(BODIES, ANY_FLOWS, mutated(st.just(one.example.body)), mutated(ANY_FLOWS))
        )
    )

    def ask(one: Any) -> str:
        operation, body = one
        answer = api(operation.method, filled(operation.path, operation.example.path), body)
        assert answer.status < 500, answer.text
        return str(answer.status)

    print(f"\nrequests: {attempt(ask, bodies, 3_000 if prove else 100)}")


# What the reader alone can say (sizes in bytes, characters, depth, ranges of times and of numbers, options in any case,
# ids of object types), and what it does not look at: the rest of the envelope.
ONLY_THE_READER = {
    "BAD_BOOL",
    "BAD_CHARACTERS",
    "BAD_NUMBER",
    "BAD_TIME",
    "DETAIL_TOO_DEEP",
    "DETAIL_TOO_LARGE",
    "GIVEN_TWICE",
    "UNKNOWN_OBJECT_TYPE",
    "UNKNOWN_OPTION",
    "WRONG_LENGTH",
}
NOT_READ = ("version", "account", "region", "resources", "time")


def _refusal(name: str, event: Any) -> str | None:
    """Times and characters of the envelope are named by their reason here, as those of the detail are."""
    try:
        read_event(event, name.partition(".")[0])
    except InvalidEvent as invalid:
        if invalid.reason == "INVALID_ENVELOPE" and invalid.field in ("time", "id", "source"):
            return "BAD_TIME" if invalid.field == "time" else "BAD_CHARACTERS"
        return invalid.reason
    return None


def test_schemas_and_the_reader_agree(prove: bool) -> None:
    validators = {name: Draft202012Validator(schema) for name, schema in SCHEMAS.items()}

    def compare(one: Named) -> str:
        name, event = one
        is_allowed = validators[name].is_valid(event)
        refusal = _refusal(name, event)
        if refusal is not None:
            assert not is_allowed or refusal in ONLY_THE_READER
            return "refused by the reader" if is_allowed else "refused by both"
        if is_allowed:
            return "accepted by both"
        read = {key: value for key, value in event.items() if key not in NOT_READ} | {"time": "2026-11-23T10:00:00Z"}
        assert validators[name].is_valid(read), [error.message[:200] for error in validators[name].iter_errors(read)]
        return "accepted by the reader"

    for label, of in (("allowed", lambda one: one), ("mutated", mutated)):
        tried = attempt(compare, events(of), 5_000 if prove else 150)
        print(f"\nschemas, {label}: {tried}")
        assert tried.outcomes["accepted by both"] > tried.count / 20


@pytest.mark.parametrize("case", FOUND, ids=[one["what"] for one in FOUND])
def test_what_was_found(case: dict[str, Any]) -> None:
    targets: dict[str, Callable[[Any], str]] = {
        "event": lambda one: Events()(one, "forms"),
        "flow": read_any_flow,
        "body": read_any_body,
    }
    tried = Tried()
    tried.run(targets[case["target"]], case["input"])
    assert tried.outcomes == Counter([case["outcome"]])
