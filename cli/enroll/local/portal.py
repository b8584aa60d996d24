"""Stores the demonstration's portal in the deployed tables."""

from enroll.local.demonstration import Demonstration
from enroll.local.deployment import Deployment
from enroll.local.settings import ACCESS_KEY, REGION, Settings
from enrollment.bootstrap import Stores, stores
from enrollment.config import Config
from enrollment.domain.identifiers import RecordKey, object_type_id
from enrollment.domain.records import Dated, Record
from enrollment.domain.values import Instant, read_instant

PORTAL = "demo"

# The demonstration's flows have been on since before its events occurred.
ON_SINCE = "2026-01-01T00:00:00Z"


def store_portal(settings: Settings, deployment: Deployment, demonstration: Demonstration) -> None:
    opened = _stores(settings, deployment)
    for flow in demonstration.flows:
        opened.authoring.put(PORTAL, flow["id"], flow, _instant(ON_SINCE))
    for given in demonstration.records:
        created = _instant(given["createdAt"])
        key = RecordKey(PORTAL, object_type_id(given["objectType"]) or given["objectType"], str(given["objectId"]))
        opened.records.save(
            Record(
                key,
                created,
                properties={name: Dated(value, created) for name, value in given.get("properties", {}).items()},
                memberships={str(one): Dated(True, created) for one in given.get("lists", [])},
            )
        )


def _stores(settings: Settings, deployment: Deployment) -> Stores:
    outputs = deployment.outputs
    config = Config(
        flows_table=outputs["FlowsTableName"],
        records_table=outputs["RecordsTableName"],
        enrollments_table=outputs["EnrollmentsTableName"],
        enrollments_queue_url=outputs["EnrollmentsQueueUrl"],
        unprocessed_queue_url=outputs["UnprocessedEventsQueueUrl"],
        event_bus_name=outputs["EventBusName"],
    )
    return stores(
        config,
        region=REGION,
        host=settings.endpoint,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=ACCESS_KEY,
    )


def _instant(text: str) -> Instant:
    instant = read_instant(text)
    if instant is None:
        raise ValueError(f"{text!r} is no time")
    return instant
