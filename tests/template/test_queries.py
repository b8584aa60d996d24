"""The saved queries ask for fields that the log lines have."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.api_function import call
from tests.support.functions import Stack, invoke, put
from tests.support.scenario import event
from tests.support.template import FUNCTIONS, of_type

pytestmark = pytest.mark.usefixtures("fresh_api")

QUERIES = of_type("AWS::Logs::QueryDefinition")

# Keywords of the query language, and names that a query defines.
LANGUAGE = {"fields", "filter", "stats", "sort", "limit", "by", "as", "and", "in", "asc", "desc", "count", "latest"}
NAMED = re.compile(r"\bas (\w+)")


def fields_of(query: str) -> set[str]:
    text = re.sub(r'"[^"]*"', "", query)
    words = set(re.findall(r"`([^`]+)`", text)) | set(
        re.findall(r"(?<![@\w.])[A-Za-z_][\w.]*", re.sub("`[^`]*`", "", text))
    )
    return words - LANGUAGE - set(NAMED.findall(text))


def paths(value: Any, prefix: str = "") -> Iterator[str]:
    """Yield the names of nested fields as Logs Insights writes them: `groups.0.property`."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield f"{prefix}{key}"
        if isinstance(inner, dict | list):
            yield from paths(inner, f"{prefix}{key}.")


def logged(stack: Stack, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Of every kind of line, with every field that a line may have."""
    put(stack, id=1, where=[["hs_form_id", "IS_ANY_OF", ["f-1"]]], re_enroll=True, limit={"count": 1, "period": "DAY"})
    put(stack, id=2, criteria=[["city", "IS_EQUAL_TO", "Cork"]])
    for number in range(3):
        invoke(event({"forms.submitted": "101", "id": f"e{number}", "record": {}, "properties": {"hs_form_id": "f-1"}}))
    invoke(event({"forms.submitted": "101", "id": "e9", "properties": {"hs_form_id": "f-2"}}))
    invoke({"id": "bus-1"})
    call("GET", "/automation/v4/flows/none")
    stack.sqs.delete_queue(QueueUrl=stack.config.unprocessed_queue_url)
    with pytest.raises(Exception, match="NonExistentQueue"):
        invoke({})
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_every_field_of_a_query_is_in_a_line_that_it_finds(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    lines = logged(stack, capsys)
    for name, query in QUERIES.items():
        text = query["QueryString"]
        (message,) = re.findall(r'message = "(\w+)"', text)
        known = {path for line in lines if line.get("message") == message for path in paths(line)}
        assert fields_of(text) <= known, name
        codes = set(re.findall(r'"([A-Z]+_[A-Z_]+)"', text))
        assert codes <= {"FILTERED_OUT", "WAITING", "NOT_MATCHED"}


def test_queries_cover_the_log_groups_of_the_functions_that_write_their_lines() -> None:
    all_groups = {function["LoggingConfig"]["LogGroup"]["Ref"] for function in FUNCTIONS.values()}
    deciding = all_groups - {"ApiLogGroup", "RunsLogGroup", "TimersLogGroup", "UnconfirmedLogGroup"}
    assert len(QUERIES) == 8
    for name, query in QUERIES.items():
        groups = {log_group_name["Ref"] for log_group_name in query["LogGroupNames"]}
        expected = {"FailuresQuery": all_groups, "ApiProblemsQuery": {"ApiLogGroup"}}
        assert groups == expected.get(name, deciding)
        assert query["Name"]["Fn::Sub"].startswith("${AWS::StackName}/")
