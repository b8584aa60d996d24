"""Previews read the events and the records, each once, and no enrollments."""

from collections import Counter

from enrollment.application.flow_preview import impact, preview
from enrollment.domain.flows.flow import Flow, revised
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record
from enrollment.domain.values import iso
from enrollment.serialization.flows import read_flow
from tests.support.counting import Counted
from tests.support.fakes import World
from tests.support.scenario import event, flow

EVENT_COUNT = 65


def counted_world() -> tuple[World, dict[str, Counted]]:
    """A portal whose stored flow has enrolled every contact, with ports that count."""
    world = World()
    world.put_flow(flow({"id": 1, "event": "forms.submitted", "re_enroll": True}))
    for number in range(EVENT_COUNT):
        key = RecordKey("p1", "0-1", str(number % 5))
        if number < 5:
            world.put_record(key, Record(key, 1_000))
        world.deliver(event({"forms.submitted": key.object_id, "id": f"e{number}", "at": iso(world.now + number)}))
    world.now += 1_000
    assert len(world.enrollments.items) == EVENT_COUNT
    ports = {name: Counted(getattr(world, name)) for name in ("flows", "records", "enrollments", "kept_events")}
    for name, port in ports.items():
        setattr(world, name, port)
    world.__post_init__()
    return world, ports


def draft(**fields: object) -> Flow:
    document = flow({"id": 1, "event": "forms.submitted", "criteria": [["city", "IS_UNKNOWN"]], **fields})
    return read_flow(revised(None, "p1", "1", document, 0))


def calls(ports: dict[str, Counted]) -> dict[str, Counter[str]]:
    return {name: Counter(port.calls) for name, port in ports.items() if port.calls}


ONCE = {"records": Counter(get_many=1), "kept_events": Counter(of_types=1)}


def test_a_preview_reads_no_enrollments() -> None:
    world, ports = counted_world()
    result = preview(world.processor, world.history, draft(), world.now, 100, None)
    assert Counter(str(decision.code) for _, decision in result.decisions) == {"ENROLLED": 5, "ALREADY_ENROLLED": 60}
    assert calls(ports) == ONCE


def test_a_comparison_of_two_versions_reads_what_one_preview_reads() -> None:
    world, ports = counted_world()
    result = impact(
        world.processor, world.history, draft(re_enroll=True), draft(), world.now, world.now - 5_000, 100, None
    )
    codes = Counter((str(mine.code), str(saved.code)) for _, mine, saved in result.outcomes if mine and saved)
    assert codes == {("ENROLLED", "ENROLLED"): 5, ("ENROLLED", "ALREADY_ENROLLED"): 60}
    assert calls(ports) == ONCE
