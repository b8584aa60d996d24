"""The samples and schemas under ``events/``."""

import json
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from jsonschema import Draft202012Validator

from enrollment.catalog import CATEGORIES, EVENT_TYPES
from enrollment.domain.enrollment.enrollments import Enrollment, TriggerEvent
from enrollment.domain.events.event import InvalidEvent
from enrollment.domain.events.event_types import EventType
from enrollment.domain.identifiers import RecordKey
from enrollment.serialization.envelopes import read_event
from enrollment.serialization.messages import write_message
from enrollment.serialization.schemas import all_schemas, enrollment_schema, event_schema, written
from tests.support.samples import REASONS

EVENTS = Path(__file__).parents[3] / "events"
TOUR = EVENTS.parent / "docs" / "get-started.md"
SAMPLES = sorted(file for category in CATEGORIES for file in (EVENTS / category).glob("*.json"))
INVALID = sorted((EVENTS / "invalid").glob("*.json"))

ENVELOPE = {"version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"}

# Reasons without a sample: a file of more than 200 KB, and a record that many events made too large.
WITHOUT_SAMPLE = {"DETAIL_TOO_LARGE", "RECORD_TOO_LARGE"}


# A time without a fraction of a second is known to the second only.
MILLISECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z?")


def name_of(file: Path) -> str:
    return f"{file.parent.name}/{file.stem}"


def read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def test_every_event_has_a_sample() -> None:
    sampled = {read(file)["detail-type"] for file in SAMPLES}
    assert sampled <= set(EVENT_TYPES), "events/: a sample has a type that the catalog does not have"
    missing = [f"events/{name.replace('.', '/', 1)}.json" for name in EVENT_TYPES if name not in sampled]
    assert not missing, f"expected a sample event, as EventBridge delivers it, in {', '.join(missing)}"


def test_every_event_has_a_sample_in_the_file_of_its_name() -> None:
    files = {f"{file.parent.name}.{file.stem}" for file in SAMPLES}
    missing = [f"events/{name.replace('.', '/', 1)}.json" for name in EVENT_TYPES if name not in files]
    assert not missing, f"expected the first sample of an event type in the file of its name: {', '.join(missing)}"


def test_sample_ids_are_unique() -> None:
    samples = {file: read(file) for file in SAMPLES}
    invalid = {file: read(file)["event"] for file in INVALID}
    envelope_ids = {file: sample["id"] for file, sample in (samples | invalid).items() if "id" in sample}
    event_ids = {file: sample["detail"]["id"] for file, sample in samples.items()}
    for field, ids in (("id", envelope_ids), ("detail.id", event_ids)):
        counts = Counter(ids.values())
        repeated = [f"{file.relative_to(EVENTS.parent)}: {ids[file]}" for file in ids if counts[ids[file]] > 1]
        assert not repeated, f"samples with the same `{field}`; give each sample its own: {', '.join(repeated)}"


@pytest.mark.parametrize("file", SAMPLES, ids=name_of)
def test_sample(file: Path) -> None:
    sample = read(file)
    name = sample["detail-type"]

    assert set(sample) == ENVELOPE
    assert name.partition(".")[0] == file.parent.name
    assert file.stem.startswith(name.partition(".")[2])
    Draft202012Validator(event_schema(EVENT_TYPES[name]), format_checker=Draft202012Validator.FORMAT_CHECKER).validate(
        sample
    )
    event = read_event(sample, file.parent.name)
    assert event.portal_id == "demo"
    known = {property_.name for property_ in EVENT_TYPES[name].properties}
    assert known.issuperset(event.properties)
    assert event.sent_at >= event.occurred_at
    assert MILLISECONDS.fullmatch(sample["detail"]["occurredAt"])


@pytest.mark.parametrize("file", INVALID, ids=name_of)
def test_invalid_sample(file: Path) -> None:
    wrapped = read(file)
    assert set(wrapped) - {"function"} == {"reason", "field", "event"}
    # The event is delivered to the function of its prefix, unless the sample names another one.
    category = wrapped.get("function") or wrapped["event"].get("detail-type", "forms.").partition(".")[0]

    with pytest.raises(InvalidEvent) as caught:
        read_event(wrapped["event"], category)

    assert (caught.value.reason, caught.value.field) == (wrapped["reason"], wrapped["field"])
    assert str(caught.value).startswith(f"{wrapped['field']}: ")
    detail = wrapped["event"]["detail"]
    assert isinstance(detail, str) or MILLISECONDS.fullmatch(detail["occurredAt"])


def test_the_event_of_the_tour_occurs_at_a_millisecond(monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"## Post an event\n\n```python\n(.*?)```", TOUR.read_text(encoding="utf-8"), re.DOTALL)
    put: list[Any] = []
    monkeypatch.setattr(boto3, "client", lambda _: SimpleNamespace(put_events=lambda Entries: put.extend(Entries)))
    exec(code, {})
    (entry,) = put
    detail = json.loads(entry["Detail"])
    assert re.fullmatch(r".*\.\d{3}\+00:00", detail["occurredAt"])
    envelope = {"id": "1", "source": entry["Source"], "detail-type": entry["DetailType"], "detail": detail}
    assert read_event({**envelope, "time": "2040-01-01T00:00:00Z"}, "forms").id == "submission-8123"


def test_every_reason_has_an_invalid_sample() -> None:
    assert {read(file)["reason"] for file in INVALID} == REASONS - WITHOUT_SAMPLE


# Rules that a schema cannot express: sizes in bytes of lists, depth, characters, days of a month, zones, ranges of
# numbers, options in any case.
ONLY_THE_PARSER = {
    "DETAIL_TOO_DEEP",
    "UNKNOWN_OPTION",
    "BAD_CHARACTERS",
    "BAD_NUMBER",
    "BAD_TIME",
    "BAD_BOOL",
    "GIVEN_TWICE",
    "UNKNOWN_OBJECT_TYPE",
}


@pytest.mark.parametrize("file", INVALID, ids=name_of)
def test_schemas_reject_invalid_samples(file: Path) -> None:
    wrapped = read(file)
    if wrapped["reason"] in ONLY_THE_PARSER:
        return
    category = wrapped.get("function") or "forms"
    name = wrapped["event"].get("detail-type")
    event_type = EVENT_TYPES[name] if name in EVENT_TYPES and "function" not in wrapped else None
    schema = event_schema(event_type or CATEGORIES[category].event_types[0])
    assert not Draft202012Validator(schema).is_valid(wrapped["event"])


@pytest.mark.parametrize("name", all_schemas())
def test_committed_schema_is_the_generated_one(name: str) -> None:
    schema = all_schemas()[name]
    Draft202012Validator.check_schema(schema)
    file = EVENTS / "schemas" / name
    committed = file.read_text(encoding="utf-8") if file.exists() else None
    assert committed == written(schema), f"events/schemas/{name}: run `make schemas`"


@pytest.mark.parametrize("event_type", EVENT_TYPES.values(), ids=lambda event_type: event_type.name)
def test_schemas_allow_null_for_the_optional_fields_of_every_event(event_type: EventType) -> None:
    optional = ("id", "occurredAt", "record", "changedWith", "chain")
    properties = event_schema(event_type)["properties"]["detail"]["properties"]
    assert [key for key in optional if not Draft202012Validator(properties[key]).is_valid(None)] == []


def test_every_committed_schema_is_generated() -> None:
    committed = {file.relative_to(EVENTS / "schemas").as_posix() for file in (EVENTS / "schemas").rglob("*.json")}
    assert committed == set(all_schemas()), "events/schemas: run `make schemas`, and delete schemas of removed events"
    assert len(committed) == len(EVENT_TYPES) + 1, "expected a schema for each event, and one for enrollments"


@pytest.mark.parametrize("properties", [{"hs_form_id": "f-1"}, {f"p{n}": "x" * 8000 for n in range(40)}])
@pytest.mark.parametrize("event_type_id", ["4-1639801", None])
def test_written_enrollment_conforms_to_its_schema(properties: dict[str, Any], event_type_id: str | None) -> None:
    enrollment = Enrollment(
        id="01TEST",
        record_key=RecordKey("demo", "0-1", "101"),
        flow_id="1001",
        flow_name="",
        flow_revision_id="7",
        idempotency_key="demo/1001/0-1/101",
        is_re_enrollment=False,
        cause=TriggerEvent(0, "forms.submitted", event_type_id, "e-1", 1_795_428_000_000, "acme", properties),
        enrolled_at=1_795_428_000_412,
    )
    validator = Draft202012Validator(enrollment_schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)
    message = json.loads(write_message(enrollment))
    validator.validate(message)
    assert message.get("trigger", {}).get("propertiesTruncated", False) == (len(properties) > 1)
    assert not validator.is_valid({key: value for key, value in message.items() if key != "flowId"})
