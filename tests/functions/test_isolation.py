"""Nothing of one portal is seen in another, nor enrolled by its events, whatever the ids are: the functions and the
API on DynamoDB, with portals whose names are made to be mistaken for each other."""

import pytest

from enrollment.domain.values import iso
from enrollment.entrypoints import bootstrap
from tests.support.api_function import CONTACTS, call
from tests.support.fakes import store
from tests.support.functions import Stack, invoke
from tests.support.scenario import event, flow

pytestmark = pytest.mark.usefixtures("fresh_api")

PORTALS = ("a", "a/b", "a%2Fb", "A", "a\u200b", "\u0430", "flows/a", "a/0-1/101")
# A flow and a record of each portal have, beside ids that all portals use, one that says where a key would end.
OWN = {portal: f"{portal}/0-1" for portal in PORTALS}
NEIGHBOURS = dict(zip(PORTALS, (*PORTALS[1:], PORTALS[0]), strict=True))


@pytest.fixture
def portals(stack: Stack) -> None:
    for portal in PORTALS:
        for flow_id in {"1", OWN[portal]} if portal.isprintable() else {"1"}:
            document = flow({"id": flow_id, "event": "forms.submitted"})
            store(stack.stores.authoring, portal, document | {"name": portal}, 0)
        inputs = [{"id": one, "properties": {"name": portal}} for one in ("101", OWN[portal])]
        inputs[0]["properties"] |= {"email": "ada@example.com"}
        assert call("POST", f"{CONTACTS}/batch/upsert", {"inputs": inputs}, portal)[0] == 200


def test_portal_sees_and_enrolls_only_its_own_data(portals: None) -> None:
    enrollments = {}
    for portal in PORTALS:
        invoke(event({"forms.submitted": "101", "id": "refused", "portal": portal, "at": "2026-11-24T10:00:00"}))
    for portal in PORTALS:
        _, found = call("GET", "/automation/v4/flows", None, portal)
        assert {one["name"] for one in found["results"]} == {portal}
        inputs = [{"id": one} for one in ["101", *OWN.values()]]
        _, records = call("POST", f"{CONTACTS}/batch/read", {"inputs": inputs}, portal)
        named = {(one["id"], one["properties"]["name"]) for one in records["results"]}
        assert named == {("101", portal), (OWN[portal], portal)}
        of_another = {"inputs": [{"id": OWN[NEIGHBOURS[portal]]}]}
        assert call("POST", f"{CONTACTS}/batch/read", of_another, portal)[1]["results"] == []
        inputs = [{"flowId": OWN[NEIGHBOURS[portal]], "type": "FLOW_ID"}]
        assert call("POST", "/automation/v4/flows/batch/read", {"inputs": inputs}, portal)[1]["results"] == []

        submitted = event({"forms.submitted": "101", "id": "e", "portal": portal, "at": iso(bootstrap.now())})
        decisions = invoke(submitted)["decisions"]
        assert {(one["code"], one["portalId"]) for one in decisions} == {("ENROLLED", portal)}
        enrollments[portal] = {one["enrollmentId"] for one in decisions}

    unprocessed = {}
    for portal in PORTALS:
        status, contact = call("GET", f"{CONTACTS}/ada@example.com", None, portal, {}, idProperty="email")
        assert (status, contact["properties"]["name"]) == (200, portal)
        _, happened = call("GET", "/enrollment/v1/occurrences", None, portal, {}, eventId="e")
        assert [(one["id"], one["objectId"]) for one in happened["results"]] == [("e", "101")]
        _, latest = call(
            "GET", "/enrollment/v1/activity", None, portal, {}, eventTypes="forms.submitted", decisions="true"
        )
        (decided,) = latest["results"]
        assert {one["portalId"] for one in decided["decisions"]} == {portal}
        _, refused = call("GET", "/enrollment/v1/unprocessed", None, portal)
        (unprocessed[portal],) = (one["id"] for one in refused["results"])
    for portal in PORTALS:
        assert call("GET", f"/enrollment/v1/unprocessed/{unprocessed[portal]}", None, portal)[0] == 200
        assert call("GET", f"/enrollment/v1/unprocessed/{unprocessed[NEIGHBOURS[portal]]}", None, portal)[0] == 404

    for portal in PORTALS:
        _, of_record = call("GET", "/enrollment/v1/records/contacts/101/enrollments", None, portal)
        assert {one["enrollmentId"] for one in of_record["results"]} == enrollments[portal]
        assert {(one["portalId"], one["flowName"]) for one in of_record["results"]} == {(portal, portal)}
        _, of_flow = call("GET", "/enrollment/v1/flows/1/enrollments", None, portal)
        assert {one["portalId"] for one in of_flow["results"]} == {portal}
        (mine, *_), (another, *_) = enrollments[portal], enrollments[NEIGHBOURS[portal]]
        assert call("GET", f"/enrollment/v1/enrollments/{mine}", None, portal)[0] == 200
        assert call("GET", f"/enrollment/v1/enrollments/{another}", None, portal)[0] == 404
