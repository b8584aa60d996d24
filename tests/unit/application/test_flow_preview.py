"""Previews read the events and the records, each once, and no enrollments."""

from collections import Counter

from enrollment.application.flow_preview import PreviewQuery, preview
from enrollment.domain.flows.flow import Flow, revised
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.associations import associated
from enrollment.domain.records.record import Record
from enrollment.domain.values import iso
from enrollment.serialization.flows import read_flow
from tests.support.counting import Counted
from tests.support.criteria import TO_COMPANY, with_company
from tests.support.fakes import World
from tests.support.scenario import event, flow, property_filter

EVENT_COUNT = 65
PORTS = ("flows", "records", "associations", "enrollments", "kept_events")


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
    ports = {name: Counted(getattr(world, name)) for name in PORTS}
    for name, port in ports.items():
        setattr(world, name, port)
    world.__post_init__()
    return world, ports


def draft(**fields: object) -> Flow:
    document = flow({"id": 1, "event": "forms.submitted", "criteria": [["city", "IS_UNKNOWN"]], **fields})
    return read_flow(revised(None, "p1", "1", document, 0))


def calls(ports: dict[str, Counted]) -> dict[str, Counter[str]]:
    return {name: Counter(port.calls) for name, port in ports.items() if port.calls}


ONCE = {"records": Counter(get_many=1), "kept_events": Counter(keys_of_types=1, get_many=1)}


def test_a_preview_reads_no_enrollments() -> None:
    world, ports = counted_world()
    result = preview(world.processor, world.history, draft(), world.now, PreviewQuery(100))
    assert Counter(str(decision.code) for _, decision in result.decisions) == {"ENROLLED": 5, "ALREADY_ENROLLED": 60}
    assert calls(ports) == ONCE


def test_a_comparison_of_two_versions_reads_what_one_preview_reads() -> None:
    world, ports = counted_world()
    query = PreviewQuery(100, since=world.now - 5_000)
    result = preview(world.processor, world.history, draft(re_enroll=True), world.now, query, draft())
    codes = Counter(
        (str(each.decision.code), str(each.compared.code))
        for each in result.outcomes
        if each.decision and each.compared
    )
    assert codes == {("ENROLLED", "ENROLLED"): 5, ("ENROLLED", "ALREADY_ENROLLED"): 60}
    assert calls(ports) == ONCE


def test_a_preview_with_criteria_of_associated_records_reads_them_once_for_each_record() -> None:
    world, ports = counted_world()
    company = RecordKey("p1", "0-2", "900")
    world.put_record(company, Record(company, 1_000))
    for number in range(5):
        contact = RecordKey("p1", "0-1", str(number))
        association = world.associations.get(contact, company)
        world.associations.save([associated(association, [TO_COMPANY], 1_000, holds=True)])
    for port in ports.values():
        port.calls.clear()
    document = flow({"id": 1, "event": "forms.submitted", "criteria": []})
    document["enrollmentCriteria"]["refinementCriteria"]["filterBranches"] = [
        with_company(property_filter(["city", "IS_KNOWN"]))
    ]
    about_company = read_flow(revised(None, "p1", "1", document, 0))
    result = preview(world.processor, world.history, about_company, world.now, PreviewQuery(100), about_company)
    assert len(result.decisions) == EVENT_COUNT
    assert calls(ports) == {
        # The five contacts, and their company.
        "records": Counter(get_many=2),
        "associations": Counter(all_of=5),
        "kept_events": Counter(keys_of_types=1, get_many=1),
    }


def test_a_preview_of_one_record_reads_its_own_history() -> None:
    world, ports = counted_world()
    record = world.records.get(RecordKey("p1", "0-1", "3"))
    for port in ports.values():
        port.calls.clear()
    result = preview(world.processor, world.history, draft(), world.now, PreviewQuery(100, record=record))
    assert (len(result.decisions), result.events_read) == (13, 13)
    assert calls(ports) == {"records": Counter(get_many=1), "kept_events": Counter(of_record=1)}
