"""The example portal, in memory, and a caller of its API, in the place of API Gateway."""

import base64
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from aws_lambda_powertools import Logger

from enrollment.application.explanation import DecisionExplainer
from enrollment.application.flow_activity import FlowActivityReader
from enrollment.domain.enrollment.replays import Replay
from enrollment.domain.enrollment.runs import Run
from enrollment.domain.identifiers import RecordKey
from enrollment.domain.records.record import Record, TimestampedValue
from enrollment.domain.values import Instant, iso
from enrollment.entrypoints.http_api.endpoint import Services, Stack
from enrollment.entrypoints.http_api.routes import ENDPOINTS
from enrollment.entrypoints.http_api.server import Server
from enrollment.serialization.flows import read_flow_or_retired
from tests.support.fakes import World
from tests.support.scenario import event, flow

NOW: Instant = 1_795_514_400_000
# The functions do not use the context of an invocation in memory.
NO_CONTEXT: Any = None
IAM = {"iam": {"userArn": "arn:aws:iam::123456789012:user/ada", "accountId": "123456789012"}}


def token(
    scope: str = "enroll/read enroll/flows.write enroll/records.write enroll/enrollments.write", **claims: str
) -> dict[str, Any]:
    return {"jwt": {"claims": {"sub": "user-1", "portal_id": "p1", "scope": scope, **claims}, "scopes": None}}


EXAMPLE_REPLAY = Replay("enroll-example", "p1", frozenset(["1001"]), frozenset(["forms.submitted"]), True, NOW)


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def faults(self) -> list[tuple[str, str]]:
        return [(one["in"], one["code"]) for one in self.json.get("errors", [])]


def services_of(world: World) -> Services:
    explainer = DecisionExplainer(world.processor, world.flows, read_flow_or_retired)
    return Services(
        world.authoring,
        world.evaluator,
        world.portals,
        world.record_service,
        world.enrollments,
        FlowActivityReader(world.enrollments, world.history, explainer),
        world.history,
        world.processor,
        explainer,
        world.replays,
        world.manual_enrollment,
        world.backfills,
        world.unprocessed,
        world.new_id,
        Stack("enroll", "eu-west-1", False, 30, 20, ("eventHistory", "findEventsById")),
    )


class Uncounted:
    """Metrics are of one invocation at a time; here are many, in threads."""

    def count(self, *_: object) -> None:
        pass


@dataclass
class Api:
    """Calls as an operator of the portal `p1`, unless told otherwise."""

    world: World
    authorizer: Mapping[str, Any] | None = field(default_factory=lambda: IAM)
    headers: Mapping[str, str] = field(
        default_factory=lambda: {"x-portal-id": "p1", "content-type": "application/json"}
    )

    def __post_init__(self) -> None:
        services = services_of(self.world)
        logger = Logger(service="test", level="CRITICAL")
        self.server = Server(ENDPOINTS, services, self._tick, logger, Uncounted())  # type: ignore[arg-type]

    def _tick(self) -> Instant:
        """No two requests come at the same moment."""
        self.world.now += 1
        return self.world.now

    def __call__(self, method: str, path: str, body: Any = None, **given: Any) -> Answer:
        """`raw`: the body as text; `query`, `headers`, `authorizer`."""
        query = given.get("query") or {}
        headers = {**self.headers, **given.get("headers", {})}
        raw = given.get("raw", None if body is None else json.dumps(body))
        answer = self.server.answer(
            {
                "version": "2.0",
                "routeKey": "ANY /{proxy+}",
                "rawPath": path,
                "rawQueryString": urlencode(query),
                "headers": {name: value for name, value in headers.items() if value is not None},
                **({"queryStringParameters": query} if query else {}),
                "requestContext": {
                    "requestId": "request-1",
                    "stage": "$default",
                    "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
                    **(
                        {"authorizer": dict(authorizer)}
                        if (authorizer := given.get("authorizer", self.authorizer))
                        else {}
                    ),
                },
                **({} if raw is None else {"body": raw}),
                "isBase64Encoded": given.get("base64", False),
            },
            NO_CONTEXT,
        )
        text = answer["body"] or ""
        if answer.get("isBase64Encoded"):
            text = gzip.decompress(base64.b64decode(text, validate=True)).decode()
        return Answer(answer["statusCode"], answer["headers"], text)


def portal_of_examples() -> Api:
    """What the examples of the API refer to: the example portal, and two filter-based flows, one with a backfill."""
    api = example_portal()
    for flow_id in (1003, 1004):
        api.world.put_flow(flow({"id": flow_id, "filters": [["city", "IS_EQUAL_TO", "Dublin"]]}))
    api.world.runs.create(Run("01EXAMPLE", "p1", "1004", "0-1", 1, "", 0, True, 3, "ada", NOW))
    return api


def example_portal() -> Api:
    """Two flows, four records, an enrollment, a replay."""
    world = World(now=NOW)
    criteria = [["city", "IS_ANY_OF", ["Dublin", "Cork"]]]
    world.put_flow(
        flow(
            {
                "id": 1001,
                "event": "forms.submitted",
                "where": [["hs_form_id", "IS_ANY_OF", ["f-1"]]],
                "criteria": criteria,
            }
        )
    )
    world.put_flow(flow({"id": 1002, "event": "crm.property_changed", "re_enroll": True}))
    for object_type, object_id in (("0-1", "101"), ("0-1", "103"), ("0-1", "104"), ("0-2", "201")):
        key = RecordKey("p1", object_type, object_id)
        properties = {
            "email": TimestampedValue(f"{object_id}@example.com", 1_000),
            "city": TimestampedValue("Dublin", 1_000),
        }
        world.put_record(key, Record(key, 1_000, properties))
    submitted = {"forms.submitted": "101", "id": "e1", "at": iso(NOW), "properties": {"hs_form_id": "f-1"}}
    world.deliver(event(submitted))
    world.replays.save(EXAMPLE_REPLAY)
    refused = event({"forms.submitted": "101", "id": "no-zone", "at": "2026-11-24T10:00:00"})
    world.unprocessed_queue.put("m1", NOW, refused, "BAD_TIME", "detail.occurredAt: expected a time")
    return Api(world)
