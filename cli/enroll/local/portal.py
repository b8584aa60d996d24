"""Stores the flows and records of the demonstration through the HTTP API."""

from collections.abc import Callable
from itertools import groupby

from enroll.api import Api
from enroll.local.demonstration import Demonstration
from enroll.local.settings import DEMO_PORTAL


def store_portal(api_url: str, demonstration: Demonstration, wait: Callable[[], None]) -> None:
    """Store the records first, so that the events of their creation match no flow. Raises ApiError.

    ``wait`` returns when the functions have processed these events.
    """
    api = Api(api_url, DEMO_PORTAL)
    for object_type, records in groupby(demonstration.records, lambda record: record["objectType"]):
        inputs = [
            {"id": record["objectId"], "properties": record["properties"], "occurredAt": record["createdAt"]}
            for record in records
        ]
        api.call("POST", f"/crm/v3/objects/{object_type}/batch/upsert", {"inputs": inputs})
    for record in demonstration.records:
        for list_id in record.get("lists", []):
            query = {"objectTypeId": record["objectType"], "occurredAt": record["createdAt"]}
            api.call("PUT", f"/crm/v3/lists/{list_id}/memberships/add", [record["objectId"]], query)
    wait()
    for flow in demonstration.flows:
        api.call("PUT", f"/automation/v4/flows/{flow['id']}", flow)
