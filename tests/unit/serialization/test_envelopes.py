"""Every broken envelope has a stable reason, and a message that names the field."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrollment.catalog import EVENT_TYPES
from enrollment.domain.enrollment.portal_settings import PortalSettings
from enrollment.domain.events.event import OWN_SOURCE, InvalidEvent
from enrollment.domain.events.manual import manual_event
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.values import read_instant
from enrollment.serialization.envelopes import read_event, read_routed_event, read_stored_event, write_event
from enrollment.serialization.redeliveries import read_redelivery, write_redelivery

NESTED: Any = []
for _ in range(900):
    NESTED = [NESTED]


def envelope(**changes: Any) -> dict[str, Any]:
    """A valid one; a dotted name changes the detail, `...` removes."""
    detail: dict[str, Any] = {
        "id": "e-1",
        "portalId": "p1",
        "objectType": "contact",
        "objectId": "101",
        "occurredAt": "2026-11-23T10:00:00Z",
        "properties": {"hs_form_id": "f-1"},
    }
    made: dict[str, Any] = {
        "id": "bus-1",
        "detail-type": "forms.submitted",
        "source": "acme",
        "time": "2026-11-23T10:00:01Z",
        "detail": detail,
    }
    for name, value in changes.items():
        holder, key = (detail, name.removeprefix("detail_")) if name.startswith("detail_") else (made, name)
        key = key.replace("_type", "-type")
        if value is ...:
            del holder[key]
        else:
            holder[key] = value
    return made


def prop(value: Any) -> dict[str, Any]:
    return envelope(detail_properties={"hs_form_id": value})


BROKEN = [
    ("no object", [], "INVALID_ENVELOPE", "$"),
    ("null", None, "INVALID_ENVELOPE", "$"),
    ("no detail-type", envelope(**{"detail-type": ...}), "INVALID_ENVELOPE", "detail-type"),
    ("detail-type number", envelope(**{"detail-type": 3}), "INVALID_ENVELOPE", "detail-type"),
    ("unknown event", envelope(**{"detail-type": "forms.submited"}), "UNKNOWN_EVENT_TYPE", "detail-type"),
    ("other category", envelope(**{"detail-type": "email.opened"}), "WRONG_CATEGORY", "detail-type"),
    ("no detail", envelope(detail=...), "INVALID_ENVELOPE", "detail"),
    ("detail text", envelope(detail="{}"), "INVALID_ENVELOPE", "detail"),
    ("no time", envelope(time=...), "INVALID_ENVELOPE", "time"),
    ("half a millisecond before 1970", envelope(detail_occurredAt=-0.5), "BAD_TIME", "detail.occurredAt"),
    ("no id", envelope(id=...), "INVALID_ENVELOPE", "id"),
    ("no source", envelope(source=...), "INVALID_ENVELOPE", "source"),
    ("portal absent", envelope(detail_portalId=...), "MISSING_FIELD", "detail.portalId"),
    ("portal null", envelope(detail_portalId=None), "WRONG_TYPE", "detail.portalId"),
    ("portal fraction", envelope(detail_portalId=1.5), "WRONG_TYPE", "detail.portalId"),
    ("portal true", envelope(detail_portalId=True), "WRONG_TYPE", "detail.portalId"),
    ("portal of 65 digits", envelope(detail_portalId=10**64), "BAD_NUMBER", "detail.portalId"),
    ("portal empty", envelope(detail_portalId=""), "WRONG_LENGTH", "detail.portalId"),
    ("portal long", envelope(detail_portalId="p" * 65), "WRONG_LENGTH", "detail.portalId"),
    ("portal control", envelope(detail_portalId="p\n1"), "BAD_CHARACTERS", "detail.portalId"),
    ("portal surrogate", envelope(detail_portalId="\ud800"), "BAD_CHARACTERS", "detail.portalId"),
    ("portal noncharacter", envelope(detail_portalId="\uffff"), "BAD_CHARACTERS", "detail.portalId"),
    ("id fraction", envelope(detail_id=7.5), "WRONG_TYPE", "detail.id"),
    ("id list", envelope(detail_id=[7]), "WRONG_TYPE", "detail.id"),
    ("id long", envelope(detail_id="x" * 129), "WRONG_LENGTH", "detail.id"),
    ("object type absent", envelope(detail_objectType=...), "MISSING_FIELD", "detail.objectType"),
    ("object type unknown", envelope(detail_objectType="contct"), "UNKNOWN_OBJECT_TYPE", "detail.objectType"),
    ("object type list", envelope(detail_objectType=["contact"]), "WRONG_TYPE", "detail.objectType"),
    ("object id float", envelope(detail_objectId=1.5), "WRONG_TYPE", "detail.objectId"),
    ("object id beyond what a float can tell", envelope(detail_objectId=1e17), "BAD_NUMBER", "detail.objectId"),
    ("object id true", envelope(detail_objectId=True), "WRONG_TYPE", "detail.objectId"),
    ("object id empty", envelope(detail_objectId=""), "WRONG_LENGTH", "detail.objectId"),
    ("object id huge", envelope(detail_objectId=10**4000), "BAD_NUMBER", "detail.objectId"),
    ("occurred local", envelope(detail_occurredAt="2026-11-23T10:00:00"), "BAD_TIME", "detail.occurredAt"),
    ("occurred day 30", envelope(detail_occurredAt="2026-02-30T10:00:00Z"), "BAD_TIME", "detail.occurredAt"),
    ("occurred text", envelope(detail_occurredAt="now"), "BAD_TIME", "detail.occurredAt"),
    ("occurred true", envelope(detail_occurredAt=True), "BAD_TIME", "detail.occurredAt"),
    ("occurred negative", envelope(detail_occurredAt=-1), "BAD_TIME", "detail.occurredAt"),
    ("occurred in 11 digits", envelope(detail_occurredAt=17_954_280_200), "BAD_TIME", "detail.occurredAt"),
    ("occurred date", envelope(detail_occurredAt=20_261_123), "BAD_TIME", "detail.occurredAt"),
    ("occurred far", envelope(detail_occurredAt=10**16), "BAD_TIME", "detail.occurredAt"),
    ("occurred NaN", envelope(detail_occurredAt=float("nan")), "BAD_TIME", "detail.occurredAt"),
    ("properties list", envelope(detail_properties=[]), "WRONG_TYPE", "detail.properties"),
    (
        "201 properties",
        envelope(detail_properties={f"p{n}": n for n in range(201)}),
        "TOO_MANY_PROPERTIES",
        "detail.properties",
    ),
    (
        "10,000 properties",
        envelope(detail_properties={f"p{n}": n for n in range(10_000)}),
        "TOO_MANY_PROPERTIES",
        "detail.properties",
    ),
    ("name empty", envelope(detail_properties={"": 1}), "WRONG_LENGTH", "detail.properties (a name)"),
    ("name long", envelope(detail_properties={"n" * 129: 1}), "WRONG_LENGTH", "detail.properties (a name)"),
    ("value object", prop({}), "WRONG_TYPE", "detail.properties.hs_form_id"),
    ("value list of numbers", prop([1]), "WRONG_TYPE", "detail.properties.hs_form_id"),
    ("value NaN", prop(float("nan")), "BAD_NUMBER", "detail.properties.hs_form_id"),
    ("value infinite", prop(float("-inf")), "BAD_NUMBER", "detail.properties.hs_form_id"),
    ("value huge", prop(10**4000), "BAD_NUMBER", "detail.properties.hs_form_id"),
    ("value long", prop("x" * 8193), "WRONG_LENGTH", "detail.properties.hs_form_id"),
    ("value long in bytes", prop("é" * 4097), "WRONG_LENGTH", "detail.properties.hs_form_id"),
    ("value surrogate", prop("a\udfff"), "BAD_CHARACTERS", "detail.properties.hs_form_id"),
    ("list surrogate", prop(["a", "\udfff"]), "BAD_CHARACTERS", "detail.properties.hs_form_id"),
    ("record list", envelope(detail_record=[]), "WRONG_TYPE", "detail.record"),
    ("record value", envelope(detail_record={"properties": {"a": {}}}), "WRONG_TYPE", "detail.record.properties.a"),
    ("chain text", envelope(detail_chain="1"), "WRONG_TYPE", "detail.chain"),
    ("chain numbers", envelope(detail_chain=[1]), "WRONG_TYPE", "detail.chain"),
    ("chain long", envelope(detail_chain=["x"] * 101), "WRONG_LENGTH", "detail.chain"),
    ("too deep", envelope(detail_extra=NESTED), "DETAIL_TOO_DEEP", "detail"),
    ("too large", envelope(detail_extra="x" * 204_800), "DETAIL_TOO_LARGE", "detail"),
]


@pytest.mark.parametrize(("broken", "reason", "field"), [one[1:] for one in BROKEN], ids=[one[0] for one in BROKEN])
def test_broken(broken: Any, reason: str, field: str) -> None:
    with pytest.raises(InvalidEvent) as raised:
        read_event(broken, "forms")
    assert (raised.value.reason, raised.value.field) == (reason, field)
    assert raised.value.message.startswith(field)
    assert len(raised.value.message) < 600
    raised.value.message.encode()


def test_event_without_a_required_property_is_rejected() -> None:
    broken = envelope(**{"detail-type": "crm.property_changed"}, detail_properties={"hs_value": "x"})
    with pytest.raises(InvalidEvent) as raised:
        read_event(broken, "crm")
    assert (raised.value.reason, raised.value.field) == ("MISSING_PROPERTY", "detail.properties.hs_name")


@pytest.mark.parametrize(
    ("name", "properties", "reason", "field"),
    [
        ("lists.membership_changed", {"hs_list_id": "4"}, "MISSING_PROPERTY", "hs_membership_change"),
        (
            "lists.membership_changed",
            {"hs_list_id": "4", "hs_membership_change": "MOVED"},
            "UNKNOWN_OPTION",
            "hs_membership_change",
        ),
        ("crm.property_changed", {"hs_name": "x" * 129}, "WRONG_LENGTH", "hs_name"),
        ("sales_documents.viewed", {"hs_document_id": ""}, "MISSING_PROPERTY", "hs_document_id"),
    ],
)
def test_record_snapshot_of_an_event_can_be_stored(
    name: str, properties: dict[str, Any], reason: str, field: str
) -> None:
    broken = envelope(**{"detail-type": name}, detail_properties=properties)
    with pytest.raises(InvalidEvent) as raised:
        read_event(broken, name.partition(".")[0])
    assert (raised.value.reason, raised.value.field) == (reason, f"detail.properties.{field}")


CHANGED = {"hs_name": "a", "hs_value": "1", "hs_previous_value": "0"}


@pytest.mark.parametrize("name", [one for one in EVENT_TYPES if not one.startswith("crm.")])
def test_only_crm_events_accept_co_changed_properties(name: str) -> None:
    """From another one, criteria would see values that nothing has stored."""
    properties = {"hs_list_id": "4", "hs_membership_change": "ADDED", "hs_document_id": "7"}
    given = {"detail-type": name, "source": OWN_SOURCE}
    broken = envelope(**given, detail_properties=properties, detail_changedWith={"city": "Cork"})
    with pytest.raises(InvalidEvent) as raised:
        read_event(broken, name.partition(".")[0])
    assert (raised.value.reason, raised.value.field) == ("CHANGED_WITH_NOT_ALLOWED", "detail.changedWith")
    assert "record.properties" in raised.value.message
    # What is empty says nothing.
    plain = envelope(**given, detail_properties=properties, detail_changedWith={})
    assert read_event(plain, name.partition(".")[0]).changed_with == {}


@pytest.mark.parametrize(("name", "properties"), [("crm.property_changed", CHANGED), ("crm.object_created", {})])
def test_crm_events_accept_co_changed_properties(name: str, properties: dict[str, Any]) -> None:
    given = envelope(**{"detail-type": name}, detail_properties=properties, detail_changedWith={"city": "Cork"})
    assert read_event(given, "crm").changed_with == {"city": "Cork"}


@pytest.mark.parametrize("source", ["acme", "Enroll", "enroll.x", "enroll ", "aws.events"])
def test_workflows_enrolled_is_accepted_only_from_the_stack(source: str) -> None:
    forged = envelope(**{"detail-type": "workflows.enrolled"}, source=source, detail_properties={})
    with pytest.raises(InvalidEvent) as raised:
        read_event(forged, "workflows")
    assert (raised.value.reason, raised.value.field) == ("SOURCE_NOT_ALLOWED", "source")


@pytest.mark.parametrize("name", ["workflows.goal_achieved", "workflows.unenrolled"])
def test_other_workflow_events_are_accepted_from_other_sources(name: str) -> None:
    assert read_event(envelope(**{"detail-type": name}, detail_properties={}), "workflows").source == "acme"


def test_announcement_of_the_stack_is_read() -> None:
    own = envelope(**{"detail-type": "workflows.enrolled"}, source=OWN_SOURCE, detail_properties={})
    assert read_event(own, "workflows").source == OWN_SOURCE


def test_an_event_that_was_accepted_before_is_read_again() -> None:
    """As a version of before accepted it: what is stored is not to be lost by a rule of today."""
    stored = envelope(**{"detail-type": "workflows.enrolled"}, detail_properties={}, detail_changedWith={"a": "1"})
    assert read_stored_event(stored).changed_with == {"a": "1"}


# Sources of a portal -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "source", "is_allowed"),
    [
        ((), "acme", True),
        (("acme",), "acme", True),
        (("a", "acme"), "acme", True),
        (("acme",), "acme.website", False),
        (("acme",), "ACME", False),
        (("acme",), "evil", False),
        (("acme",), OWN_SOURCE, True),
    ],
)
def test_a_portal_accepts_its_sources(allowed: tuple[str, ...], source: str, is_allowed: bool) -> None:
    event = read_event(envelope(source=source), "forms")
    settings = PortalSettings(allowed_sources=allowed)
    if is_allowed:
        settings.check_source(event)
        return
    with pytest.raises(InvalidEvent, match="--allow-source") as raised:
        settings.check_source(event)
    assert (raised.value.reason, raised.value.field) == ("SOURCE_NOT_ALLOWED", "source")


def test_rejection_message_stays_short_with_many_sources() -> None:
    settings = PortalSettings(allowed_sources=tuple(f"{number}" * 256 for number in range(50)))
    with pytest.raises(InvalidEvent) as raised:
        settings.check_source(read_event(envelope(source="x" * 256), "forms"))
    assert len(raised.value.message) < 1_000


def test_valid_event_is_read_completely() -> None:
    event = read_event(
        envelope(
            detail_objectType="COMPANY",
            detail_objectId=7,
            detail_occurredAt=1_763_892_000_000,
            detail_record={"properties": {"city": "Dublin"}, "more": 1},
            detail_chain=["9"],
            detail_unknown={"kept": "and ignored"},
        ),
        "forms",
    )
    assert event.event_type.name == "forms.submitted"
    assert (event.id, event.portal_id, event.object_type_id, event.object_id) == ("e-1", "p1", "0-2", "7")
    assert event.occurred_at == 1_763_892_000_000
    assert event.sent_at == read_instant("2026-11-23T10:00:01Z")
    assert event.record_properties == {"city": "Dublin"}
    assert event.chain == ("9",)
    assert event.source == "acme"


@pytest.mark.parametrize("found", [1_795_428_020, "1795428020", 1_795_428_020.0, 1_795_428_020_000])
def test_occurred_at_is_read_in_epoch_seconds_and_milliseconds(found: Any) -> None:
    event = read_event(envelope(detail_occurredAt=found), "forms")
    assert event.occurred_at == read_instant("2026-11-23T10:00:20Z")


@pytest.mark.parametrize("occurred_at", ["1970-01-01T00:00:00Z", "1972-06-01T00:00:00.5Z", "9999-12-31T23:59:59.999Z"])
def test_a_stored_event_keeps_a_time_that_epoch_digits_could_not_say(occurred_at: str) -> None:
    event = read_event(envelope(detail_occurredAt=occurred_at), "forms")
    assert event.occurred_at == read_instant(occurred_at)
    assert read_stored_event(write_event(event)) == event


def test_optional_fields_may_be_absent() -> None:
    event = read_event(
        envelope(detail_id=..., detail_objectId=..., detail_occurredAt=..., detail_properties=...), "forms"
    )
    assert (event.id, event.object_id, event.occurred_at) == ("bus-1", None, event.sent_at)
    assert event.properties == {}
    assert read_event(envelope(detail_objectId=None), "forms").object_id is None


OPTIONAL = ("id", "objectId", "occurredAt", "properties", "record", "changedWith", "chain")


@pytest.mark.parametrize("key", OPTIONAL)
def test_null_means_absent(key: str) -> None:
    given = {"record": {"properties": {"a": "1"}}, "changedWith": {"a": "1"}, "chain": ["9"]}
    whole = {f"detail_{name}": value for name, value in given.items()}
    null, absent = envelope(**whole, **{}), envelope(**whole)
    null["detail"][key] = None
    del absent["detail"][key]
    null["detail-type"] = absent["detail-type"] = "crm.object_created"
    assert read_event(null, "crm") == read_event(absent, "crm")


def test_null_snapshot_properties_mean_no_properties() -> None:
    assert read_event(envelope(detail_record={"properties": None}), "forms").record_properties is None


def test_every_optional_field_may_be_null_at_once() -> None:
    event = read_event(envelope(**{f"detail_{key}": None for key in OPTIONAL}), "forms")
    assert (event.id, event.object_id, event.occurred_at) == ("bus-1", None, event.sent_at)
    assert (event.properties, event.record_properties, event.changed_with, event.chain) == ({}, None, {}, ())


def test_null_properties_do_not_satisfy_required_properties() -> None:
    broken = envelope(**{"detail-type": "crm.property_changed"}, detail_properties=None)
    with pytest.raises(InvalidEvent) as raised:
        read_event(broken, "crm")
    assert (raised.value.reason, raised.value.field) == ("MISSING_PROPERTY", "detail.properties.hs_name")


def call(value: Any) -> dict[str, Any]:
    return envelope(**{"detail-type": "calls.ended"}, detail_properties={"hs_logged_manually": value})


@pytest.mark.parametrize("value", ["maybe", "2", 2, -1, "y", "t", "true;false", ["true", "false"], " ", 0.5])
def test_a_boolean_that_decides_eligibility_is_not_guessed(value: Any) -> None:
    with pytest.raises(InvalidEvent, match="expected true, yes, 1, on") as raised:
        read_event(call(value), "calls")
    assert (raised.value.reason, raised.value.field) == ("BAD_BOOL", "detail.properties.hs_logged_manually")


@pytest.mark.parametrize("value", [None, "", [], True, "TRUE", 1, "1", 1.0, "Yes", " on ", False, "no", 0, "0", "OFF"])
def test_a_boolean_that_decides_eligibility_is_read_in_every_spelling(value: Any) -> None:
    assert read_event(call(value), "calls").properties == {"hs_logged_manually": value}


def test_integer_is_read_in_every_json_spelling() -> None:
    for found in ("101", 101, 101.0, 1.01e2):
        assert read_event(envelope(detail_objectId=found), "forms").object_id == "101"
    assert read_event(envelope(detail_objectId=-0.0), "forms").object_id == "0"


def test_limits_are_inclusive() -> None:
    read_event(envelope(detail_properties={f"{n:0128d}": "x" for n in range(200)}, detail_portalId="p" * 64), "forms")
    read_event(prop("x" * 8192), "forms")
    read_event(envelope(detail_id="i" * 128, detail_objectId="\u00e9" * 128), "forms")
    largest = 204_800 - len(json.dumps(envelope(detail_extra="")["detail"]))
    read_event(envelope(detail_extra="x" * largest), "forms")
    # Counted in UTF-8, not in the longer ASCII of JSON escapes.
    read_event(envelope(detail_extra="é" * (largest // 2)), "forms")


# All faults at once ---------------------------------------------------------------------------------------------------


def faults(broken: Any, category: str = "forms") -> list[tuple[str, str]]:
    """The reason and the field of every fault, in the order of the rules."""
    with pytest.raises(InvalidEvent) as raised:
        read_event(broken, category)
    return [(fault.reason, fault.field) for fault in (raised.value, *raised.value.further)]


def test_all_faults_of_an_event_are_reported() -> None:
    broken = envelope(
        source=...,
        detail_portalId=...,
        detail_objectType="contct",
        detail_occurredAt="yesterday",
        detail_properties={"hs_form_id": {}, "hs_url": "x" * 8193, "fine": "1"},
        detail_record={"properties": {"a": "1", "A": "2"}},
        detail_chain=[1],
    )
    assert faults(broken) == [
        ("BAD_TIME", "detail.occurredAt"),
        ("INVALID_ENVELOPE", "source"),
        ("UNKNOWN_OBJECT_TYPE", "detail.objectType"),
        ("WRONG_TYPE", "detail.properties.hs_form_id"),
        ("WRONG_LENGTH", "detail.properties.hs_url"),
        ("MISSING_FIELD", "detail.portalId"),
        ("GIVEN_TWICE", "detail.record.properties.a"),
        ("WRONG_TYPE", "detail.chain"),
    ]


def test_faults_beside_an_unknown_event_type_are_reported() -> None:
    broken = envelope(**{"detail-type": "forms.submited"}, detail_portalId="", detail_properties={"hs_url": [1]})
    assert faults(broken) == [
        ("UNKNOWN_EVENT_TYPE", "detail-type"),
        ("WRONG_TYPE", "detail.properties.hs_url"),
        ("WRONG_LENGTH", "detail.portalId"),
    ]


def test_missing_properties_are_all_reported() -> None:
    broken = envelope(**{"detail-type": "lists.membership_changed"}, detail_properties={"hs_list_id": {}})
    assert faults(broken, "lists") == [
        ("WRONG_TYPE", "detail.properties.hs_list_id"),
        ("MISSING_PROPERTY", "detail.properties.hs_membership_change"),
    ]


def test_one_event_has_a_bounded_number_of_faults() -> None:
    assert len(faults(envelope(detail_properties={f"p{number}": {} for number in range(200)}))) == 21


@pytest.mark.parametrize("broken", [one[1] for one in BROKEN], ids=[one[0] for one in BROKEN])
def test_a_single_fault_has_no_further_faults(broken: Any) -> None:
    with pytest.raises(InvalidEvent) as raised:
        read_event(broken, "forms")
    assert raised.value.further == ()


# Spellings -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"detail_portalId": 12345}, "portal_id", "12345"),
        ({"detail_portalId": 12345.0}, "portal_id", "12345"),
        ({"detail_id": 8124}, "id", "8124"),
        ({"detail_objectType": "contacts"}, "object_type_id", "0-1"),
        ({"detail_objectType": "Companies"}, "object_type_id", "0-2"),
        ({"detail_objectType": "LINE_ITEMS"}, "object_type_id", "0-8"),
    ],
)
def test_clear_spellings_are_accepted(changes: dict[str, Any], field: str, value: str) -> None:
    assert getattr(read_event(envelope(**changes), "forms"), field) == value


def test_event_type_is_read_in_any_case() -> None:
    event = read_event(envelope(**{"detail-type": "forms.Submitted"}), "forms")
    assert event.event_type.name == "forms.submitted"
    assert write_event(event)["detail-type"] == "forms.submitted"


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        (envelope(**{"detail-type": "forms.submited"}), "did you mean forms.submitted?"),
        (envelope(detail_objectType="Contakts"), "did you mean contact?"),
        (envelope(**{"detail_portalId": ..., "detail_portalid": "p1"}), "Rename 'portalid' to portalId"),
        (envelope(**{"detail_objectType": ..., "detail_objecttype": "contact"}), "Rename 'objecttype' to objectType"),
    ],
)
def test_message_names_the_nearest_name(broken: dict[str, Any], expected: str) -> None:
    with pytest.raises(InvalidEvent) as raised:
        read_event(broken, "forms")
    assert expected in raised.value.message


def test_message_names_the_property_that_stands_for_a_required_one() -> None:
    broken = envelope(
        **{"detail-type": "lists.membership_changed"},
        detail_properties={"hs_listid": "4", "hs_membership_change": "ADD"},
    )
    with pytest.raises(InvalidEvent) as raised:
        read_event(broken, "lists")
    assert "Rename 'hs_listid' to hs_list_id" in raised.value.message
    assert "did you mean ADDED?" in raised.value.further[0].message


@pytest.mark.parametrize("name", ["Forms.Submitted", "FORMS.SUBMITTED", "4-1639801", "form.submitted"])
def test_event_type_that_the_bus_cannot_route_is_named_in_the_suggestion(name: str) -> None:
    with pytest.raises(InvalidEvent, match=r"did you mean forms\.submitted\?") as raised:
        read_routed_event(envelope(**{"detail-type": name}))
    assert raised.value.reason == "UNKNOWN_CATEGORY"


# Unknown names -------------------------------------------------------------------------------------------------------


def test_unknown_names_are_kept_with_the_event() -> None:
    event = read_event(
        envelope(
            detail_objectid="101",
            detail_properties={"hs_form_id": "f-1", "hs_formid": "f-1"},
            detail_record={"properties": {"anything": "1"}, "property": {}},
        ),
        "forms",
    )
    names = ("detail.objectid", "detail.properties.hs_formid", "detail.record.property")
    assert event.unknown_names == names
    assert read_stored_event(write_event(event)).unknown_names == names


def test_known_names_are_not_reported() -> None:
    event = read_event(envelope(**{"detail_replay-name": "x", "detail_record": {}, "detail_chain": None}), "forms")
    assert event.unknown_names == ()


def test_unknown_names_are_bounded_and_printable() -> None:
    hostile = {"\ud800\n" * 100: 1, **{f"key{number}": 1 for number in range(50)}}
    names = read_event(envelope(**{f"detail_{key}": value for key, value in hostile.items()}), "forms").unknown_names
    assert len(names) == 10
    assert all(name.isprintable() and len(name) < 1_000 for name in names)


# Text like that of hostile sources, from few enough pieces that examples are made fast.
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "x", "\ud800", "é" * 5000])
nested = st.lists(scalars, max_size=3) | st.dictionaries(st.sampled_from(["a", "", "properties"]), scalars, max_size=3)


def test_manual_enrollment_is_read_when_it_is_stored_and_refused_from_the_bus() -> None:
    key = RecordKey("p1", "2-77", "a/b")
    event = manual_event(key, "x" * 100, caller="arn:" + "y" * 300, chain=("8", "1"), now=1_795_514_400_123)
    text = write_redelivery(event, ["5"], 1_795_514_500_000)
    assert read_redelivery(text) == (event, frozenset({"5"}), 1_795_514_500_000, "")
    with pytest.raises(InvalidEvent) as refused:
        read_event(json.loads(text)["event"], "workflows")
    assert refused.value.reason == "UNKNOWN_EVENT_TYPE"


def test_redelivery_names_the_change_of_a_filter_based_flow() -> None:
    event = read_event(envelope(), "forms")
    change = "at:2026-11-24T10:00:00.000Z"

    text = write_redelivery(event, ["5"], 1_795_514_500_000, change)

    assert read_redelivery(text) == (event, frozenset({"5"}), 1_795_514_500_000, change)


KEYS = ["id", "portalId", "objectType", "objectId", "occurredAt", "properties", "record", "chain", "unknown"]


@given(st.dictionaries(st.sampled_from(KEYS), scalars | nested | st.lists(nested, max_size=2)))
def test_any_detail_is_read_or_rejected_with_a_reason(detail: dict[str, Any]) -> None:
    whole = envelope()
    whole["detail"] = {**whole["detail"], **detail}
    try:
        read_event(whole, "forms")
    except InvalidEvent as invalid:
        refused = invalid
    else:
        return
    assert refused.reason.isupper()
    assert refused.field
