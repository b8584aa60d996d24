"""The catalog against its contract (docs/events.md), which ROWS repeats as a table."""

import re
from collections import Counter
from collections.abc import Collection
from itertools import pairwise
from pathlib import Path

import pytest

from enrollment.catalog import CATEGORIES, EVENT_TYPE_IDS, EVENT_TYPES
from enrollment.domain.events.event_types import PropertyType, RecordEffect, Trigger

ROOT = Path(__file__).parents[3]

CONTACT = {"0-1"}
ALL = {"0-1", "0-2", "0-3", "0-5", "0-14", "2-77"}
LISTED = {"0-1", "0-2", "0-3", "2-77"}

ADS = (
    "hs_ad_network hs_interaction_type hs_ad_account_id hs_ad_campaign_id hs_ad_campaign_name hs_ad_group_id "
    "hs_ad_group_name hs_ad_id hs_ad_name hs_utm_source hs_utm_medium hs_utm_campaign"
)
CALLS = (
    "hs_call_source hs_call_direction hs_call_disposition hs_call_status hs_call_duration hs_call_from_number "
    "hs_call_to_number hs_call_title hs_activity_type hs_logged_manually"
)
EMAIL = "hs_email_campaign_id hs_email_meta_content_id hs_email_subject hs_email_type"
URL = "hs_url hs_base_url hs_url_domain hs_url_path hs_query_params"
UTM = "hs_utm_source hs_utm_medium hs_utm_campaign hs_utm_content hs_utm_term"
FORMS = f"hs_form_id hs_form_type hs_form_title {URL} hs_page_id hs_page_title hs_referrer {UTM}"
MEETINGS = (
    "hs_meeting_id hs_meeting_title hs_activity_type hs_meeting_outcome hs_meeting_location hs_meeting_start_time "
    "hs_meeting_source"
)
DOCUMENTS = "hs_document_id hs_presentation_id hs_document_name hs_user_id"
SEQUENCES = "hs_sequence_id hs_sequence_name hs_user_id"
CTA = f"hs_cta_id hs_cta_name hs_cta_type {URL}"
PAGE = (
    f"{URL} hs_page_id hs_page_title hs_page_content_type hs_referrer hs_device_type hs_browser hs_country hs_region "
    f"hs_city {UTM}"
)
FLOWS = "hs_flow_id hs_flow_name"

# Event type, the object types that may use it, HubSpot's ids, properties.
ROWS: list[tuple[str, set[str], list[str], str]] = [
    ("ads.interaction", CONTACT, ["4-1553675"], ADS),
    ("calls.ended", CONTACT, ["4-1741072"], CALLS),
    ("calls.started", CONTACT, ["4-1733817"], CALLS),
    ("crm.object_created", ALL, ["4-1463224"], ""),
    ("crm.property_changed", ALL, ["4-655002"], "hs_name hs_value hs_previous_value"),
    (
        "crm.association_changed",
        ALL,
        [],
        "hs_association_change hs_association_category hs_association_type_id hs_to_object_type_id hs_to_object_id",
    ),
    ("email.link_clicked", CONTACT, ["4-666288"], f"{EMAIL} hs_click_raw_url hs_click_original_url"),
    ("email.bounced", CONTACT, ["4-5470331", "4-666439"], f"{EMAIL} hs_bounce_type"),
    ("email.delivered", CONTACT, ["4-665536"], EMAIL),
    ("email.sent", CONTACT, ["4-667638"], EMAIL),
    ("email.opened", CONTACT, ["4-666440"], EMAIL),
    ("email.replied", CONTACT, ["4-665538"], EMAIL),
    (
        "email.subscription_updated",
        CONTACT,
        ["4-666289"],
        "hs_subscription_id hs_subscription_status hs_subscription_channel",
    ),
    ("forms.interaction", CONTACT, ["4-1639799"], f"{FORMS} hs_field_name"),
    ("forms.submitted", CONTACT, ["4-1639801"], FORMS),
    ("forms.viewed", CONTACT, ["4-1639797"], FORMS),
    ("lists.membership_changed", LISTED, [], "hs_list_id hs_membership_change"),
    ("meetings.booked", CONTACT, ["4-1720599"], MEETINGS),
    ("meetings.outcome_changed", CONTACT, ["4-1724222"], MEETINGS),
    ("sales_documents.view_finished", CONTACT, [], f"{DOCUMENTS} hs_view_duration hs_pages_viewed"),
    ("sales_documents.viewed", CONTACT, [], DOCUMENTS),
    ("sales_documents.shared", CONTACT, [], DOCUMENTS),
    ("sequences.meeting_booked", CONTACT, ["4-675773"], SEQUENCES),
    ("sequences.enrolled", CONTACT, ["4-675777"], SEQUENCES),
    ("sequences.finished", CONTACT, ["4-675778"], SEQUENCES),
    ("sequences.unenrolled", CONTACT, ["4-675776"], f"{SEQUENCES} hs_unenrolled_by hs_flow_id"),
    ("sequences.unenrolled_by_workflow", CONTACT, [], SEQUENCES),
    ("sequences.unenrolled_manually", CONTACT, [], SEQUENCES),
    ("website.cta_clicked", CONTACT, ["4-1555805"], CTA),
    ("website.cta_viewed", CONTACT, ["4-1555804"], CTA),
    ("website.legacy_cta_clicked", CONTACT, [], CTA),
    ("website.legacy_cta_viewed", CONTACT, [], CTA),
    ("website.page_visited", CONTACT, ["4-96000"], PAGE),
    ("workflows.goal_achieved", CONTACT, ["4-1753168"], FLOWS),
    ("workflows.enrolled", ALL, ["4-1466013"], FLOWS),
    ("workflows.unenrolled", ALL, ["4-1466014"], f"{FLOWS} hs_unenrollment_reason"),
]

OPTIONS = {
    "hs_ad_network": ("LINKEDIN", "ADWORDS", "FACEBOOK"),
    "hs_call_direction": ("INBOUND", "OUTBOUND"),
    "hs_email_type": ("AB_TEST", "AUTOMATED", "BATCH"),
    "hs_bounce_type": ("HARD", "SOFT"),
    "hs_subscription_status": ("SUBSCRIBED", "UNSUBSCRIBED", "NOT_OPTED"),
    "hs_membership_change": ("ADDED", "REMOVED"),
    "hs_association_change": ("ADDED", "REMOVED"),
    "hs_association_category": ("HUBSPOT_DEFINED", "USER_DEFINED", "INTEGRATOR_DEFINED"),
    "hs_meeting_outcome": ("SCHEDULED", "COMPLETED", "RESCHEDULED", "NO_SHOW", "CANCELED"),
    "hs_meeting_source": ("MEETINGS_TOOL", "INTEGRATION", "MANUAL"),
    "hs_unenrolled_by": ("WORKFLOW", "MANUAL", "REPLY", "BOUNCE", "OTHER"),
}

TYPES = {
    "hs_call_duration": PropertyType.NUMBER,
    "hs_view_duration": PropertyType.NUMBER,
    "hs_pages_viewed": PropertyType.NUMBER,
    "hs_logged_manually": PropertyType.BOOL,
    "hs_meeting_start_time": PropertyType.DATETIME,
}

PROPERTIES = [(event_type, property_) for event_type in EVENT_TYPES.values() for property_ in event_type.properties]


def test_events_are_those_of_the_contract_in_its_order() -> None:
    expected = [name for name, _, _, _ in ROWS]
    missing = [name for name in EVENT_TYPES if name not in expected]
    assert not missing, f"expected a row in ROWS of this file for {', '.join(missing)}, in the order of docs/events.md"
    assert list(EVENT_TYPES) == expected, "ROWS of this file and enrollment.catalog.CATEGORIES have different orders"


def test_texts_give_the_number_of_events_and_categories() -> None:
    counts = (str(len(EVENT_TYPES)), str(len(CATEGORIES)))
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        for match in re.finditer(r"(\d+) (?:events|kinds|event types) in (\d+) categories", text):
            assert match.groups() == counts, (
                f"{path.relative_to(ROOT)}: {match.group()!r}, but the catalog has {counts[0]} events in {counts[1]} "
                "categories: correct the sentence"
            )


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_every_event_is_documented(name: str) -> None:
    text = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
    assert f"`{name}`" in text, f"docs/events.md: expected a row for `{name}` in the table of its category"


@pytest.mark.parametrize("name", CATEGORIES)
def test_every_category_has_a_scenario(name: str) -> None:
    text = (ROOT / "tests" / "scenarios" / "catalog.yaml").read_text(encoding="utf-8")
    assert f"{name}." in text, f"tests/scenarios/catalog.yaml: expected a scenario with an event of {name}"


def test_an_event_is_named_after_its_category() -> None:
    for name, category in CATEGORIES.items():
        assert category.name == name
        assert category.label
        assert all(event_type.category == name for event_type in category.event_types)


@pytest.mark.parametrize(("name", "object_types", "ids", "properties"), ROWS, ids=[row[0] for row in ROWS])
def test_catalog_row_matches_the_contract(name: str, object_types: set[str], ids: list[str], properties: str) -> None:
    row = EVENT_TYPES[name]
    assert {object_type for object_type in ALL if row.object_types.allow(object_type)} == object_types
    assert [id_.id for id_ in row.ids] == ids
    assert row.event_type_id == (ids[0] if ids else None)
    assert [property_.name for property_ in row.properties] == properties.split()


def test_ids_are_unique_and_lead_to_their_events() -> None:
    ids = [id_ for _, _, ids, _ in ROWS for id_ in ids]
    repeated = [event_type_id for event_type_id, count in Counter(ids).items() if count > 1]
    assert not repeated, f"ROWS of this file: {', '.join(repeated)} is in two rows; expected each event type ID once"
    expected = {id_: name for name, _, ids, _ in ROWS for id_ in ids}
    for event_type_id, (event_type, _) in EVENT_TYPE_IDS.items():
        assert expected.get(event_type_id) == event_type.name, (
            f"the catalog gives the ID {event_type_id} to {event_type.name}: add it to the row of this event type in "
            "ROWS of this file, or correct the module of its category in catalog/"
        )
    assert set(EVENT_TYPE_IDS) == set(expected), "ROWS of this file has IDs that the catalog does not have"


def test_labels_are_readable_and_unique() -> None:
    labels = [event_type.label for event_type in EVENT_TYPES.values()]
    assert len(set(labels)) == len(labels)
    for event_type, property_ in PROPERTIES:
        assert property_.label, f"{event_type.name} {property_.name}"
        assert "_" not in property_.label


def test_properties_are_named_once_in_an_event() -> None:
    for event_type in EVENT_TYPES.values():
        names = sorted(property_.name for property_ in event_type.properties)
        assert all(before != after for before, after in pairwise(names)), event_type.name


def test_options_and_types() -> None:
    for event_type, event_property in PROPERTIES:
        name = event_property.name
        where = f"catalog/{event_type.category}.py, {event_type.name}, {name}"
        options = OPTIONS.get(name, ())
        assert event_property.options == options, (
            f"{where}: the options are {event_property.options}; OPTIONS of this file has {options}. Correct one"
        )
        is_option = bool(options) or name.endswith("_id")
        if name in TYPES:
            expected = [TYPES[name]]
        elif is_option:
            expected = [PropertyType.ENUMERATION]
        else:
            expected = [PropertyType.STRING, PropertyType.ENUMERATION]
        assert event_property.type in expected, (
            f"{where}: expected the type {' or '.join(expected)}, got {event_property.type}. A property whose name "
            "ends with _id, or that has options, is an ENUMERATION. Add any other type to TYPES of this file"
        )
        assert event_property.holds_any_type == (name in ("hs_value", "hs_previous_value")), where


def assert_listed(actual: Collection[str], field: str, expected: Collection[str]) -> None:
    """Compare the event types that set a field, or their values of it, with the list in the test."""
    different = sorted(set(actual) ^ set(expected))
    if not different and actual != expected:
        different = sorted(name for name in expected if actual[name] != expected[name])
    assert actual == expected, (
        f"{', '.join(different)}: `{field}` in catalog/ differs from the list in this test. If it is intended, correct "
        "the list, and add a scenario that shows it to tests/scenarios/"
    )


def test_only_listed_events_have_a_rule_an_effect_or_a_special_trigger() -> None:
    """The rules themselves are played in tests/scenarios."""
    rows = EVENT_TYPES.values()
    assert_listed(
        {row.name for row in rows if row.rules},
        "rules",
        {
            "calls.ended",
            "calls.started",
            "crm.property_changed",
            "meetings.booked",
            "sequences.unenrolled_by_workflow",
            "sequences.unenrolled_manually",
        },
    )
    assert_listed(
        {row.name: row.first_of for row in rows if row.first_of},
        "first_of",
        {"sales_documents.viewed": "hs_document_id"},
    )
    assert_listed(
        {row.name: row.effect for row in rows if row.effect is not RecordEffect.NOTHING},
        "effect",
        {
            "crm.object_created": RecordEffect.CREATES,
            "crm.property_changed": RecordEffect.CHANGES_PROPERTY,
            "crm.association_changed": RecordEffect.CHANGES_ASSOCIATION,
            "lists.membership_changed": RecordEffect.CHANGES_MEMBERSHIP,
        },
    )
    by_list = {row.name for row in rows if row.trigger is Trigger.LIST_MEMBERSHIP}
    assert_listed(by_list, "trigger", {"lists.membership_changed"})
    assert_listed(
        {row.name: row.required for row in rows if row.required},
        "required",
        {
            "crm.property_changed": ("hs_name",),
            "crm.association_changed": ("hs_association_change", "hs_to_object_type_id", "hs_to_object_id"),
            "lists.membership_changed": ("hs_list_id", "hs_membership_change"),
            "sales_documents.viewed": ("hs_document_id",),
        },
    )


def test_marketing_emails_are_narrowed_when_a_trigger_names_one() -> None:
    narrowed = {
        event_type.name: event_type.narrowing for event_type in EVENT_TYPES.values() if event_type.narrowing is not None
    }
    assert len(narrowed) == 6
    for name, narrowing in narrowed.items():
        assert name.startswith("email.")
        assert narrowing.on_properties == {"hs_email_campaign_id", "hs_email_meta_content_id"}
        assert narrowing.implies.property == "hs_email_type"
        assert narrowing.implies.operation.given["values"] == ["AB_TEST", "AUTOMATED"]


def test_the_second_id_of_bounces_stands_for_hard_ones() -> None:
    plain, hard = EVENT_TYPES["email.bounced"].ids
    assert plain.implies == ()
    assert [(implied.property, implied.operation.given["values"]) for implied in hard.implies] == [
        ("hs_bounce_type", ["HARD"])
    ]


def test_references_of_a_row_exist() -> None:
    for row in EVENT_TYPES.values():
        property_names = {property_.name for property_ in row.properties}
        assert property_names.issuperset(row.required), row.name
        assert row.first_of is None or row.first_of in property_names, row.name
        assert row.narrowing is None or property_names.issuperset(row.narrowing.on_properties), row.name
        for also in row.also:
            target = EVENT_TYPES[also.event_type]
            assert property_names.issuperset({also.when.property} if also.when else ()), row.name
            assert {property_.name for property_ in target.properties}.issuperset(also.adds), row.name


def test_every_event_with_a_url_has_url_parts() -> None:
    for row in EVENT_TYPES.values():
        names = {property_.name for property_ in row.properties}
        assert bool(row.derivations) == bool(names & {"hs_url", "hs_click_raw_url"}), row.name
