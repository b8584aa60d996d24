"""The API against its own OpenAPI document, with generated requests."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from enrollment.entrypoints.http_api.routes import openapi_document
from enrollment.serialization.flow_schemas import FLOW_SCHEMAS
from tests.support.portal import example_portal
from tests.support.serving import served

# What the generated requests have in place of the criteria of a flow. Their schemas have too many combinations of
# parts, and a flow that is off may have others. tests/unit/serialization/test_flow_schemas.py compares them with the
# reader.
CRITERIA = {
    "type": "object",
    "properties": {
        "type": {"enum": ["EVENT_BASED", "LIST_BASED", "MANUAL"]},
        "shouldReEnroll": {"type": ["boolean", "null"]},
    },
}


def document() -> dict[str, Any]:
    whole = openapi_document()
    schemas = {name: one for name, one in whole["components"]["schemas"].items() if name not in FLOW_SCHEMAS}
    plain = {"EnrollmentCriteria": CRITERIA, "CriteriaBranch": {}}
    return whole | {"components": whole["components"] | {"schemas": schemas | plain}}


schema = schemathesis.openapi.from_dict(document())

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]


@pytest.fixture(scope="module")
def url():
    with served(example_portal()) as address:
        yield address


def with_examples(max_examples: int) -> settings:
    return settings(
        max_examples=max_examples,
        deadline=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


def check_response(case: schemathesis.Case, url: str) -> None:
    # API Gateway cuts a path at a decoded "?", so such a request reaches another route (docs/api.md, IDs in paths).
    assume(not any("?" in str(value) for value in (case.path_parameters or {}).values()))
    case.call_and_validate(base_url=url, headers={"X-Portal-Id": "p1"}, checks=CHECKS)


@schema.parametrize()
@with_examples(4)
def test_responses_conform_to_the_openapi_document(case: schemathesis.Case, url: str) -> None:
    check_response(case, url)


@pytest.mark.verify
@schema.parametrize()
@with_examples(30)
def test_every_response_conforms_to_the_openapi_document(case: schemathesis.Case, url: str) -> None:
    check_response(case, url)
