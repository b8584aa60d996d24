"""A program written for HubSpot's API works here by changing its host: HubSpot's own client for Python."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hubspot import HubSpot
from hubspot.crm.associations.v4 import AssociationSpec
from hubspot.crm.objects import (
    BatchInputSimplePublicObjectBatchInputUpsert,
    BatchReadInputSimplePublicObjectId,
    SimplePublicObjectBatchInputUpsert,
    SimplePublicObjectId,
    SimplePublicObjectInput,
    SimplePublicObjectInputForCreate,
)

from enrollment.domain.values import iso
from tests.support.portal import NOW, example_portal
from tests.support.scenario import event, flow
from tests.support.serving import served

# What HubSpot's own API marks as required of every flow.
REQUIRED = {
    "actions", "blockedDates", "canEnrollFromSalesforce", "createdAt", "crmObjectCreationStatus", "customProperties",
    "dataSources", "flowType", "id", "isEnabled", "nextAvailableActionId", "objectTypeId", "revisionId",
    "suppressionListIds", "timeWindows", "type", "updatedAt",
}  # fmt: skip


@pytest.fixture
def client() -> Iterator[HubSpot]:
    with served(example_portal()) as url:
        yield HubSpot(access_token="of-no-use-here", base_url=url)


def request(client: HubSpot, method: str, path: str, **extra_options: Any) -> Any:
    options = {"method": method, "path": path, "headers": {"X-Portal-Id": "p1"}, **extra_options}
    return client.api_request(options)


def test_flows_are_created_read_listed_updated_and_deleted(client: HubSpot) -> None:
    path = "/automation/v4/flows"
    document = {
        **flow({"id": "ignored", "event": "4-1639801"}),
        "name": "New",
        "actions": [{"actionId": "7", "x": None}],
    }

    created = request(client, "POST", path, body=document)
    assert created.status_code == 201
    stored = created.json()
    assert stored.keys() >= REQUIRED
    assert (stored["revisionId"], stored["nextAvailableActionId"], stored["actions"]) == ("1", "8", document["actions"])
    assert stored["id"].isdigit()

    assert request(client, "GET", f"{path}/{stored['id']}").json() == stored
    assert stored["id"] in {result["id"] for result in request(client, "GET", path).json()["results"]}

    changed = request(client, "PUT", f"{path}/{stored['id']}", body={**stored, "name": "Newer"})
    assert changed.status_code == 200
    assert (changed.json()["name"], changed.json()["revisionId"]) == ("Newer", "2")
    stale = request(client, "PUT", f"{path}/{stored['id']}", body={**stored, "name": "Lost"})
    assert (stale.status_code, stale.json()["category"]) == (409, "CONFLICT")

    assert request(client, "DELETE", f"{path}/{stored['id']}").status_code == 204
    assert request(client, "GET", f"{path}/{stored['id']}").status_code == 404


def test_flows_are_listed_page_by_page(client: HubSpot) -> None:
    first = request(client, "GET", "/automation/v4/flows", qs={"limit": 1}).json()
    after = first["paging"]["next"]["after"]
    second = request(client, "GET", "/automation/v4/flows", qs={"limit": 1, "after": after}).json()
    assert [result["id"] for result in (*first["results"], *second["results"])] == ["1001", "1002"]
    assert "paging" not in second


def test_flows_are_read_in_a_batch(client: HubSpot) -> None:
    inputs = [{"flowId": flow_id, "type": "FLOW_ID"} for flow_id in ("1002", "9", "1001")]
    answer = request(client, "POST", "/automation/v4/flows/batch/read", body={"inputs": inputs})
    assert answer.status_code == 207
    assert [result["id"] for result in answer.json()["results"]] == ["1002", "1001"]
    assert answer.json()["errors"][0]["context"] == {"ids": ["9"]}


def pointed(api: Any, url: str) -> Any:
    """One of the client's APIs, at this host."""
    api.api_client.configuration.host = url
    api.api_client.set_default_header("X-Portal-Id", "p1")
    return api


def test_the_typed_client_of_records() -> None:
    """Its models refuse what HubSpot would not answer."""
    with served(example_portal()) as url:
        crm = HubSpot(access_token="x").crm
        basic, batch = pointed(crm.objects.basic_api, url), pointed(crm.objects.batch_api, url)

        created = basic.create("contacts", SimplePublicObjectInputForCreate(properties={"email": "eve@example.com"}))
        assert created.properties["email"] == "eve@example.com"
        assert set(created.properties) == {"email", "createdate", "lastmodifieddate", "hs_object_id"}
        updated = basic.update(
            "contacts", created.id, SimplePublicObjectInput(properties={"city": "Cork", "email": ""})
        )
        assert (updated.properties["email"], updated.properties["city"]) == (None, "Cork")
        assert updated.created_at == created.created_at
        read = basic.get_by_id("contacts", created.id, properties=["city"])
        assert read.properties == {"city": "Cork"}

        upserted = batch.upsert(
            "contacts",
            BatchInputSimplePublicObjectBatchInputUpsert(
                inputs=[
                    SimplePublicObjectBatchInputUpsert(id=record_id, properties={"city": "Bray"})
                    for record_id in ("101", "new")
                ]
            ),
        )
        assert [(result.id, result.new) for result in upserted.results] == [("101", False), ("new", True)]
        found = batch.read(
            "contacts",
            BatchReadInputSimplePublicObjectId(
                inputs=[SimplePublicObjectId(id="101")], properties=["city"], properties_with_history=["city"]
            ),
        )
        assert [result.properties for result in found.results] == [{"city": "Bray"}]
        basic.archive("contacts", created.id)
        with pytest.raises(Exception, match="OBJECT_NOT_FOUND"):
            basic.get_by_id("contacts", created.id)


def test_the_typed_client_of_associations_and_lists() -> None:
    with served(example_portal()) as url:
        crm = HubSpot(access_token="x").crm
        associations = pointed(crm.associations.v4.basic_api, url)
        memberships = pointed(crm.lists.memberships_api, url)

        primary = [AssociationSpec(association_category="HUBSPOT_DEFINED", association_type_id=1)]
        associations.create("contacts", "101", "companies", "201", primary)
        found = associations.get_page("companies", "201", "contacts").results
        assert [
            (association.to_object_id, [kind.type_id for kind in association.association_types])
            for association in found
        ] == [("101", [2])]
        associations.archive("contacts", "101", "companies", "201")
        assert associations.get_page("companies", "201", "contacts").results == []

        added = memberships.add("42", ["101", "999"])
        assert (added.records_ids_added, added.record_ids_missing) == (["101"], ["999"])


def test_the_typed_client_of_events() -> None:
    api = example_portal()
    api.world.deliver(event({"calls.ended": "101", "id": "call", "at": iso(NOW - 2_500)}))
    with served(api) as url:
        events = pointed(HubSpot(access_token="x").events.events_api, url)

        first = events.get_page(object_type="contact", object_id=101, limit=1)
        assert [(result.id, result.event_type, result.object_id) for result in first.results] == [
            ("e1", "forms.submitted", "101")
        ]
        second = events.get_page(object_type="contact", object_id=101, after=first.paging.next.after)
        assert [result.occurred_at for result in second.results] == [datetime.fromtimestamp(NOW / 1000 - 2.5, UTC)]
        assert second.paging is None
        since = datetime.fromtimestamp(NOW / 1000 - 1, UTC)
        narrowed = events.get_page(object_type="contact", object_id=101, occurred_after=since, sort=["ASCENDING"])
        assert [result.properties for result in narrowed.results] == [{"hs_form_id": "f-1"}]
