"""The demonstration's flows, records and samples lead to what its ``expected.json`` says, in any order of arrival."""

import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from enrollment.catalog import CATEGORIES, EVENT_TYPES
from enrollment.domain.enrollment.decisions import Code, Decision
from enrollment.domain.flows.flow import FlowRevision
from enrollment.domain.identifiers import RecordKey, object_type_id
from enrollment.domain.records.record import Record, TimestampedValue
from enrollment.domain.values import Instant, read_instant
from enrollment.serialization.flows import read_flow
from enrollment.serialization.messages import write_announcement
from tests.support.fakes import World
from tests.support.portal import Api

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "cli" / "enroll" / "demo"
FLOWS = [json.loads(file.read_text(encoding="utf-8")) for file in sorted((DEMO / "flows").glob("*.json"))]
RECORDS = json.loads((DEMO / "records.json").read_text(encoding="utf-8"))
EXPECTED = json.loads((DEMO / "expected.json").read_text(encoding="utf-8"))
PAGES = [ROOT / "README.md", ROOT / "docs" / "get-started.md", *sorted((ROOT / "docs").glob("*.md"))]
SAMPLES = sorted(
    (
        json.loads(file.read_text(encoding="utf-8"))
        for name in CATEGORIES
        for file in (ROOT / "events" / name).glob("*")
    ),
    key=lambda sample: sample["detail"]["occurredAt"],
)


def instant(text: str) -> Instant:
    found = read_instant(text)
    assert found is not None, text
    return found


def portal() -> World:
    world = World(now=instant("2026-11-24T08:00:00Z"))
    for flow in FLOWS:
        world.put_flow(flow, portal="demo", at=instant("2026-01-01T00:00:00Z"))
    for given in RECORDS:
        created = instant(given["createdAt"])
        key = RecordKey("demo", object_type_id(given["objectType"]) or "", given["objectId"])
        properties = {name: TimestampedValue(value, created) for name, value in given["properties"].items()}
        lists = {one: TimestampedValue(True, created) for one in given.get("lists", [])}
        world.put_record(key, Record(key, created, properties, lists))
    return world


def play(world: World, samples: list[Any]) -> list[Decision]:
    """Every sample, each followed by what the system itself puts on the bus because of it."""
    decisions: list[Decision] = []
    announced = 0
    for sample in samples:
        decisions += world.deliver(sample)
        while announced < len(world.bus.announcements):
            announcement = world.bus.announcements[announced]
            announced += 1
            decisions += world.deliver(
                {
                    "id": f"bus-{announced}",
                    "detail-type": "workflows.enrolled",
                    "source": "enroll",
                    "time": "2026-11-24T08:00:00Z",
                    "detail": json.loads(write_announcement(announcement)),
                }
            )
    return decisions


def enrolled(world: World) -> list[list[str]]:
    """As expected.json writes them: an event of our own is named by the flow that it announces."""
    flows = {one.id: one.flow_id for one in world.queue.messages}
    return sorted(
        [one.flow_id, one.record_key.object_type_id, one.record_key.object_id, event_id]
        for one in world.queue.messages
        for event_id in [
            f"workflows.enrolled:{flows[one.cause.event_id]}" if one.cause.event_id in flows else one.cause.event_id
        ]
    )


def test_samples_in_order_of_occurrence_give_the_expected_decisions() -> None:
    world = portal()
    decisions = play(world, SAMPLES)
    assert enrolled(world) == EXPECTED["enrollments"]
    assert Counter(str(one.code) for one in decisions) == EXPECTED["decisions"]


@pytest.mark.parametrize("seed", range(20))
def test_samples_in_any_order_give_the_expected_decisions(seed: int) -> None:
    """The bus keeps no order. Of two views of one document, the one that arrives first is the first."""

    def named(enrollments: list[list[str]]) -> list[list[str]]:
        return [[part.removesuffix("-again") for part in one] for one in enrollments]

    world = portal()
    decisions = play(world, random.Random(seed).sample(SAMPLES, len(SAMPLES)))
    assert named(enrolled(world)) == EXPECTED["enrollments"]
    assert Counter(str(one.code) for one in decisions) == EXPECTED["decisions"]


def test_repeated_samples_do_not_enroll_twice() -> None:
    world = portal()
    play(world, SAMPLES)
    again = play(world, SAMPLES)
    assert enrolled(world) == EXPECTED["enrollments"]
    assert Code.ENROLLED not in {one.code for one in again}


def flows_of(page: Path) -> list[Any]:
    """The flows in a page that can be stored as they are."""
    blocks = re.findall(r"```json\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return [json.loads(block) for block in blocks if '"enrollmentCriteria"' in block and "…" not in block]


def test_examples_of_the_docs_do_not_change_the_demonstration() -> None:
    """Readers run the examples in the demonstration's portal."""
    demonstration = {flow["id"] for flow in FLOWS}
    examples = {flow["id"] for page in PAGES for flow in flows_of(page)}
    assert "2001" in examples
    assert not examples & demonstration
    tour = "".join(page.read_text(encoding="utf-8") for page in PAGES[:2])
    written = re.findall(r"enroll (?:flows (?:on|off|delete)|replay .*?--flow) (\d+)", tour)
    assert set(written) == {"2001"}


def test_the_tour_works_beside_the_demonstration() -> None:
    world = portal()
    play(world, SAMPLES)
    (document,) = flows_of(ROOT / "docs" / "get-started.md")
    sample = json.loads((ROOT / "events" / "forms" / "submitted.json").read_text(encoding="utf-8"))
    api = Api(world, headers={"x-portal-id": "demo", "content-type": "application/json"})

    assert api("PUT", f"/automation/v4/flows/{document['id']}", document).status == 201
    simulated = api("POST", "/enrollment/v1/simulate", {"event": sample, "flows": [document]}).json
    assert [(each["flowId"], each["code"]) for each in simulated["decisions"]] == [("2001", "ENROLLED")]
    order = {"flowIds": [document["id"]], "isDryRun": True}
    assert api("POST", "/enrollment/v1/replays", order).status == 201


def test_demonstration_flows_use_every_category_and_describe_themselves() -> None:
    read = [read_flow(FlowRevision("demo", flow["id"], 1, flow, flow["isEnabled"], 0, 0, 0)) for flow in FLOWS]
    used = {EVENT_TYPES[name].category for flow in read for name in flow.event_types & set(EVENT_TYPES)}
    missing = [name for name in CATEGORIES if name not in used]
    assert not missing, (
        f"cli/enroll/demo/flows/: expected a flow that an event of {', '.join(missing)} triggers. Add a flow, and its "
        "enrollments by the samples of events/ to cli/enroll/demo/expected.json"
    )
    assert used == set(CATEGORIES), "cli/enroll/demo/flows/: a flow has an event type that the catalog does not have"
    assert len({flow.id for flow in read}) == len(read) >= 12
    assert {flow.object_type_id for flow in read} == {"0-1", "0-2", "0-3"}
    assert {flow.should_re_enroll for flow in read} == {flow.is_enabled for flow in read} == {True, False}
    assert any(flow.criteria is not None for flow in read)


def test_demonstration_has_a_flow_that_takes_manual_enrollments_only() -> None:
    (document,) = (flow for flow in FLOWS if flow["enrollmentCriteria"]["type"] == "MANUAL")
    world = portal()
    play(world, SAMPLES)
    api = Api(world, headers={"x-portal-id": "demo", "content-type": "application/json"})
    path = f"/enrollment/v1/flows/{document['id']}/enrollments"

    simulated = api("POST", f"{path}/simulate", {"inputs": [{"objectId": "102"}, {"objectId": "104"}]}).json
    assert [each["code"] for each in simulated["results"]] == ["ENROLLED", "SUPPRESSED"]
    assert api("POST", path, {"objectId": "102"}).json["code"] == "ENROLLED"
