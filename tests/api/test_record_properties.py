"""`/crm/v3/properties`: what an editor of criteria offers for the properties of records."""

from typing import Any

import pytest

from enrollment.catalog.record_properties import DEFAULT_PROPERTIES
from enrollment.catalog.record_property_definitions import DEFAULT_DEFINITIONS
from enrollment.domain.criteria.record_operators import RECORD_OPERATION_TYPES
from enrollment.domain.operators.record_properties import RECORD_OPERATIONS_OF, RecordPropertyType
from tests.support.api_document import conforms
from tests.support.portal import example_portal

PROPERTIES = "/crm/v3/properties"


def properties_of(object_type: str) -> dict[str, dict[str, Any]]:
    answer = example_portal()("GET", f"{PROPERTIES}/{object_type}")
    assert answer.status == 200, answer.text
    conforms(answer.json, "RecordProperties")
    return {each["name"]: each for each in answer.json["results"]}


@pytest.mark.parametrize(("name", "object_type_id"), [("contacts", "0-1"), ("companies", "0-2"), ("deals", "0-3")])
def test_all_default_properties_are_listed_by_their_labels(name: str, object_type_id: str) -> None:
    found = properties_of(name)
    assert set(found) == DEFAULT_PROPERTIES[object_type_id]
    labels = [each["label"].lower() for each in found.values()]
    assert labels == sorted(labels)
    assert properties_of(object_type_id) == found


def test_operations_are_those_of_the_type() -> None:
    found = properties_of("contacts")
    types = {
        name: found[name]["type"]
        for name in ("city", "lifecyclestage", "createdate", "hs_email_optout", "num_notes", "phone")
    }
    assert types == {
        "city": "string",
        "lifecyclestage": "enumeration",
        "createdate": "datetime",
        "hs_email_optout": "bool",
        "num_notes": "number",
        "phone": "phone_number",
    }
    first = {name: found[name]["operations"][0]["operationType"] for name in types}
    assert first == {
        "city": "STRING",
        "lifecyclestage": "ENUMERATION",
        "createdate": "DATE",
        "hs_email_optout": "BOOL",
        "num_notes": "NUMBER",
        "phone": "STRING",
    }
    stage = found["lifecyclestage"]
    assert [option["value"] for option in stage["options"]][:2] == ["subscriber", "lead"]
    assert "HAS_EVER_BEEN_ANY_OF" in stage["operations"][0]["operators"]
    assert stage["operations"][0]["operands"] == ["values"]


def test_every_type_has_operations_that_criteria_know() -> None:
    assert set(RECORD_OPERATIONS_OF) == set(RecordPropertyType)
    for operations in RECORD_OPERATIONS_OF.values():
        assert set(operations) <= set(RECORD_OPERATION_TYPES)
    offered = {name for operations in RECORD_OPERATIONS_OF.values() for name in operations}
    assert offered == set(RECORD_OPERATION_TYPES)


def test_labels_of_an_object_type_are_readable() -> None:
    for definitions in DEFAULT_DEFINITIONS.values():
        for known in definitions.values():
            assert known.label[0].isupper()
            assert "_" not in known.label


def test_other_object_types_have_no_default_properties() -> None:
    assert properties_of("2-77") == {}
    assert example_portal()("GET", f"{PROPERTIES}/faxes").status == 400


def test_one_property_is_read_by_its_name_in_any_case() -> None:
    api = example_portal()
    answer = api("GET", f"{PROPERTIES}/contacts/LifecycleStage")
    conforms(answer.json, "RecordProperty")
    assert (answer.status, answer.json) == (200, properties_of("contacts")["lifecyclestage"])
    unknown = api("GET", f"{PROPERTIES}/contacts/lifecyclestag")
    assert unknown.status == 404
    assert "lifecyclestage" in unknown.json["message"]
