"""Sets the demonstration's portal up, through the HTTP API."""

from collections.abc import Callable
from itertools import groupby

from enroll.api import Api
from enroll.local.demonstration import Demonstration

PORTAL = "demo"


def store_portal(api_url: str, demonstration: Demonstration, wait: Callable[[], None]) -> None:
    """Records first: what their creation puts on the bus then meets no flow. ``wait`` returns when the functions have
    dealt with it."""
    api = Api(api_url, PORTAL)
    for object_type, records in groupby(demonstration.records, lambda one: one["objectType"]):
        inputs = [
            {"id": one["objectId"], "properties": one["properties"], "occurredAt": one["createdAt"]} for one in records
        ]
        api.call("POST", f"/crm/v3/objects/{object_type}/batch/upsert", {"inputs": inputs})
    for one in demonstration.records:
        for list_id in one.get("lists", []):
            query = {"objectTypeId": one["objectType"], "occurredAt": one["createdAt"]}
            api.call("PUT", f"/crm/v3/lists/{list_id}/memberships/add", [one["objectId"]], query)
    wait()
    for flow in demonstration.flows:
        api.call("PUT", f"/automation/v4/flows/{flow['id']}", flow)
