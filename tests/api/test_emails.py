"""Contacts are found by their email, over HTTP."""

from typing import Any

import pytest

from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record
from tests.support.counting import Counted
from tests.support.portal import Answer, Api, example_portal, token

CONTACTS = "/crm/v3/objects/contacts"
ENROLL = "/automation/v2/workflows/1002/enrollments/contacts"
BY_EMAIL = {"idProperty": "email"}


def store(api: Api, object_id: str, email: object, object_type: str = "contacts") -> None:
    inputs = {"inputs": [{"id": object_id, "properties": {"email": email}}]}
    assert api("POST", f"/crm/v3/objects/{object_type}/batch/upsert", inputs).status == 200


def read(api: Api, email: str, **query: str) -> Answer:
    return api("GET", f"{CONTACTS}/{email}", query={**BY_EMAIL, **query})


def read_batch(api: Api, *emails: str, **body: Any) -> Answer:
    return api("POST", f"{CONTACTS}/batch/read", {**BY_EMAIL, "inputs": [{"id": one} for one in emails], **body})


@pytest.mark.parametrize("email", ["101@example.com", "101@EXAMPLE.com", " 101@example.com "])
def test_contact_is_found_by_its_email_without_case(email: str) -> None:
    answer = read(example_portal(), email, properties="email,city")
    assert (answer.status, answer.json["id"]) == (200, "101")
    assert answer.json["properties"] == {"email": "101@example.com", "city": "Dublin"}


def test_contact_is_found_by_its_current_email_only() -> None:
    api = example_portal()
    store(api, "101", "Ada+new@Example.com")
    assert read(api, "ada+new@example.com").json["id"] == "101"
    assert read(api, "101@example.com").status == 404
    store(api, "101", None)
    assert read(api, "ada+new@example.com").status == 404
    assert api("DELETE", f"{CONTACTS}/103").status == 204
    assert read(api, "103@example.com").status == 404


def test_entry_of_the_index_that_is_behind_the_record_does_not_count() -> None:
    api = example_portal()
    key = RecordKey("p1", "0-1", "101")
    api.world.records.with_email = lambda *_: [key, RecordKey("p1", "0-1", "gone")]  # type: ignore[method-assign]
    assert read(api, "101@example.com").json["id"] == "101"
    assert read(api, "earlier@example.com").status == 404


def test_email_of_two_contacts_is_a_conflict_that_names_both() -> None:
    api = example_portal()
    store(api, "104", "101@EXAMPLE.COM")
    answer = read(api, "101@example.com")
    assert (answer.status, answer.json["category"]) == (409, "CONFLICT")
    assert answer.faults == [("idProperty", "AMBIGUOUS_EMAIL")]
    assert answer.json["errors"][0]["context"] == {"ids": ["101", "104"]}


def test_message_says_that_more_contacts_have_the_email_than_it_names() -> None:
    api = example_portal()
    for number in range(501, 512):
        store(api, str(number), "shared@example.com")
    answer = read(api, "shared@example.com")
    ids = [str(number) for number in range(501, 511)]
    assert answer.json["message"].startswith(f"More than 10 contacts have the email shared@example.com: {ids[0]}, ")
    assert answer.json["errors"][0]["context"] == {"ids": ids}


def test_contacts_of_a_batch_are_found_by_their_emails() -> None:
    api = example_portal()
    store(api, "104", "101@example.com")
    store(api, "201", "201@example.com", "companies")
    records = Counted(api.world.records)
    api.world.records = records  # type: ignore[assignment]
    api.world.__post_init__()
    api = Api(api.world)
    answer = read_batch(
        api, "103@example.com", "101@example.com", "201@example.com", "103@EXAMPLE.com", "no email", properties=["city"]
    )
    assert answer.status == 207
    assert [(one["id"], one["properties"]) for one in answer.json["results"]] == [("103", {"city": "Dublin"})]
    assert [(one["category"], one["context"]["ids"]) for one in answer.json["errors"]] == [
        ("OBJECT_NOT_FOUND", ["201@example.com", "no email"]),
        ("CONFLICT", ["101@example.com"]),
    ]
    assert answer.json["numErrors"] == 3
    # One query for each email, and one read of all contacts.
    assert records.calls == ["with_email"] * 3 + ["get_many"]
    assert read_batch(api, "103@example.com").status == 200


def test_email_of_another_portal_is_not_found() -> None:
    of_other = {"authorizer": token(portal_id="p2"), "headers": {"x-portal-id": "p2"}}
    api = example_portal()
    assert api("GET", f"{CONTACTS}/101@example.com", query=BY_EMAIL, **of_other).status == 404


def test_only_contacts_are_found_by_their_email() -> None:
    api = example_portal()
    answer = api("GET", "/crm/v3/objects/companies/201@example.com", query=BY_EMAIL)
    assert (answer.status, answer.faults) == (400, [("idProperty", "NOT_SUPPORTED")])
    answer = api("POST", "/crm/v3/objects/companies/batch/read", {**BY_EMAIL, "inputs": [{"id": "201@example.com"}]})
    assert (answer.status, answer.faults) == (400, [("$.idProperty", "NOT_SUPPORTED")])


@pytest.mark.parametrize("id_property", ["hs_email", "", "EMAIL", "vat"])
def test_other_id_properties_are_rejected(id_property: str) -> None:
    answer = example_portal()("GET", f"{CONTACTS}/101", query={"idProperty": id_property})
    assert (answer.status, answer.faults) == (400, [("idProperty", "NOT_SUPPORTED")])
    assert "hs_object_id or email" in answer.json["message"]


def test_longest_email_is_found_by_a_batch_and_a_longer_one_is_rejected() -> None:
    api, longest = example_portal(), "x" * 242 + "@example.com"
    store(api, "101", longest)
    assert read_batch(api, longest).json["results"][0]["id"] == "101"
    assert read_batch(api, "x" + longest).faults == [("$.inputs[0].id", "WRONG_LENGTH")]


def test_hubspots_route_enrolls_a_contact_by_its_email() -> None:
    api = example_portal()
    answer = api("POST", f"{ENROLL}/103@EXAMPLE.com")
    assert (answer.status, answer.headers["X-Enroll-Decision"]) == (204, "ENROLLED")
    assert api.world.queue.messages[-1].record_key.object_id == "103"
    assert api("POST", f"{ENROLL}/unknown@example.com").status == 404


def test_hubspots_route_enrolls_no_contact_if_two_have_the_email() -> None:
    api = example_portal()
    store(api, "104", "103@example.com")
    count = len(api.world.queue.messages)
    answer = api("POST", f"{ENROLL}/103@example.com")
    assert (answer.status, answer.faults) == (409, [("idProperty", "AMBIGUOUS_EMAIL")])
    assert len(api.world.queue.messages) == count


def test_hubspots_route_takes_an_id_that_looks_like_an_email_if_no_contact_has_it() -> None:
    api = example_portal()
    key = RecordKey("p1", "0-1", "ada@example.com")
    api.world.put_record(key, Record(key, 1_000))
    assert api("POST", f"{ENROLL}/ada@example.com").status == 204
    assert api.world.queue.messages[-1].record_key.object_id == "ada@example.com"
    store(api, "101", "ada@example.com")
    assert api("POST", f"{ENROLL}/ada@example.com").status == 204
    assert api.world.queue.messages[-1].record_key.object_id == "101"
