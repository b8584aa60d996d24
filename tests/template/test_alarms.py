"""Alarms and the dashboard: against the runbook, and against the metrics that there are."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from enroll.local.deployment import load_template
from enrollment.adapters.observability import METRIC_OF
from enrollment.domain.enrollment.decisions import Code
from tests.support.metrics import Metric, emitted_metrics

ROOT = Path(__file__).parents[2]
OPERATIONS_PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
TEMPLATE = load_template(ROOT / "template.yaml")
RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]
VARIABLES = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]

# What AWS's own services emit, by their documentation.
AWS_METRICS: set[Metric] = {
    (namespace, name, frozenset(dimensions))
    for namespace, dimensions, names in (
        ("AWS/SQS", ["QueueName"], ["ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"]),
        (
            "AWS/Lambda",
            ["FunctionName"],
            [
                *("Errors", "Throttles", "Duration", "ConcurrentExecutions"),
                *("AsyncEventAge", "AsyncEventsDropped", "DestinationDeliveryFailures", "RecursiveInvocationsDropped"),
            ],
        ),
        (
            "AWS/Events",
            ["EventBusName", "RuleName"],
            ["FailedInvocations", "InvocationsSentToDlq", "InvocationsFailedToBeSentToDlq"],
        ),
        ("AWS/DynamoDB", ["Operation", "TableName"], ["ThrottledRequests", "SystemErrors"]),
        ("AWS/ApiGateway", ["ApiId"], ["Count", "4xx", "5xx", "Latency"]),
    )
    for name in names
}


def of_type(resources: dict[str, dict[str, Any]], resource_type: str) -> dict[str, dict[str, Any]]:
    return {name: resource["Properties"] for name, resource in resources.items() if resource["Type"] == resource_type}


NESTED = of_type(RESOURCES, "AWS::CloudFormation::Stack")
NESTED_TEMPLATES = {
    path: load_template(ROOT / path) for path in sorted({stack["TemplateURL"] for stack in NESTED.values()})
}
ALARMS = {
    (path, name): alarm
    for path, template in {"template.yaml": TEMPLATE, **NESTED_TEMPLATES}.items()
    for name, alarm in of_type(template["Resources"], "AWS::CloudWatch::Alarm").items()
}


# The runbook


def anchor(alarm: dict[str, Any]) -> str:
    found = re.search(r"\. docs/operations\.md#([a-z-]+)$", alarm["AlarmDescription"])
    assert found, alarm["AlarmDescription"]
    return found[1]


def runbook() -> dict[str, str]:
    """The entries, by the anchor that a heading has."""
    text = OPERATIONS_PAGE.partition("\n## Runbook\n")[2].partition("\n## ")[0]
    entries = dict(re.findall(r"^### (.+)\n((?:(?!### ).*\n)+)", text + "\n", re.MULTILINE))
    return {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-"): entry for title, entry in entries.items()}


def test_every_alarm_has_its_entry_in_the_runbook_and_every_entry_its_alarm() -> None:
    assert sorted(map(anchor, ALARMS.values())) == sorted(runbook())


@pytest.mark.parametrize("entry", runbook().values(), ids=list(runbook()))
def test_runbook_entry_has_the_four_required_sections(entry: str) -> None:
    assert re.findall(r"^- \*\*(.+?)\*\*", entry, re.MULTILINE) == ["Means.", "Look.", "Do.", "Over."]


def test_alarms_notify_the_topic_if_it_is_set() -> None:
    assert TEMPLATE["Parameters"]["AlarmTopicArn"]["Default"] == ""
    actions = {"Fn::If": ["Notifies", [{"Ref": "AlarmTopicArn"}], []]}
    for alarm in ALARMS.values():
        assert (alarm["AlarmActions"], alarm["OKActions"]) == (actions, actions)
        # Each sweep emits this metric, so a missing one means that the timer does not run.
        is_always_emitted = alarm.get("MetricName") == "OldestDueItemSeconds"
        expected = "breaching" if is_always_emitted else "notBreaching"
        assert alarm["TreatMissingData"] == expected, "functions and queues without traffic are in order"
    for template in (TEMPLATE, *NESTED_TEMPLATES.values()):
        assert template["Conditions"]["Notifies"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "AlarmTopicArn"}, ""]}]}
    assert all(stack["Parameters"]["AlarmTopicArn"] == {"Ref": "AlarmTopicArn"} for stack in NESTED.values())


def test_alarm_names_are_unique() -> None:
    names = [alarm["AlarmName"]["Fn::Sub"] for (path, _), alarm in ALARMS.items() if path == "template.yaml"]
    for nested in NESTED.values():
        inner = of_type(NESTED_TEMPLATES[nested["TemplateURL"]]["Resources"], "AWS::CloudWatch::Alarm")
        name = nested["Parameters"]["Name"]["Fn::Sub"]
        names += [alarm["AlarmName"]["Fn::Sub"].replace("${Name}", name) for alarm in inner.values()]
    assert len(names) == len(set(names))
    assert all(name.startswith("${AWS::StackName}-") for name in names)


def test_every_function_and_every_table_has_its_alarms() -> None:
    for path, parameter, resource_type in (
        ("templates/alarms/function.yaml", "FunctionName", "AWS::Serverless::Function"),
        ("templates/alarms/table.yaml", "TableName", "AWS::DynamoDB::Table"),
    ):
        watched = [stack["Parameters"][parameter]["Ref"] for stack in NESTED.values() if stack["TemplateURL"] == path]
        assert sorted(watched) == sorted(of_type(RESOURCES, resource_type))


def test_duration_alarm_threshold_is_below_every_function_timeout() -> None:
    path = "templates/alarms/function.yaml"
    assert ALARMS[path, "Duration"]["Threshold"] == {"Ref": "SlowMilliseconds"}
    default = NESTED_TEMPLATES[path]["Parameters"]["SlowMilliseconds"]["Default"]
    for nested in NESTED.values():
        if nested["TemplateURL"] == path:
            function = RESOURCES[nested["Parameters"]["FunctionName"]["Ref"]]["Properties"]
            timeout = function.get("Timeout", TEMPLATE["Globals"]["Function"]["Timeout"])
            threshold = nested["Parameters"].get("SlowMilliseconds", default)
            # The API's time-out is a second shorter than that of the others.
            assert 0.8 * timeout * 1_000 <= threshold < 0.84 * timeout * 1_000


# The metrics of the alarms and the dashboard


def of_query(expression: str) -> Iterator[Metric]:
    """Of Metrics Insights, which takes = and AND only, and of a SEARCH, which an alarm can't have."""
    for name, namespace, dimensions in re.findall(
        r"SELECT \w+\((\w+)\) FROM SCHEMA\(\"([\w/]+)\", ([\w, ]+)\)", expression
    ):
        yield namespace, name, frozenset(dimensions.split(", "))
    for namespace, dimensions, names in re.findall(
        r"SEARCH\('\{([\w/]+),([\w,]+)\} MetricName=(\([^)]*\)|\"\w+\")", expression
    ):
        for name in re.findall(r"\"(\w+)\"", names):
            yield namespace, name, frozenset(dimensions.split(","))


def of_alarm(alarm: dict[str, Any]) -> Iterator[Metric]:
    if "MetricName" in alarm:
        dimensions = frozenset(dimension["Name"] for dimension in alarm["Dimensions"])
        yield alarm["Namespace"], alarm["MetricName"], dimensions
    for query in alarm.get("Metrics", []):
        if "MetricStat" in query:
            metric = query["MetricStat"]["Metric"]
            yield (
                metric["Namespace"],
                metric["MetricName"],
                frozenset(dimension["Name"] for dimension in metric["Dimensions"]),
            )
        else:
            expression = query["Expression"]
            yield from of_query(expression["Fn::Sub"] if isinstance(expression, dict) else expression)


def dashboard() -> dict[str, Any]:
    text, variables = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    for name, value in variables.items():
        text = text.replace(f"${{{name}}}", value["Fn::Sub"])
    body: dict[str, Any] = json.loads(text)
    return body


def of_widget(widget: dict[str, Any]) -> Iterator[Metric]:
    before: Sequence[Any] = ()
    for line in widget["properties"]["metrics"]:
        named = [part for part in line if not isinstance(part, dict)]
        if not named:
            yield from of_query(line[0]["expression"])
            continue
        # "..." stands for all that is not said, "." for the same as above.
        if named[0] == "...":
            named = [*before[: len(before) - len(named) + 1], *named[1:]]
        before = [above if part == "." else part for part, above in zip(named, before or named, strict=True)]
        yield before[0], before[1], frozenset(before[2::2])


@pytest.fixture(scope="module")
def emitted() -> set[Metric]:
    return emitted_metrics(VARIABLES["POWERTOOLS_METRICS_NAMESPACE"])


def test_alarms_use_only_existing_metrics(emitted: set[Metric]) -> None:
    for (path, name), alarm in ALARMS.items():
        used = set(of_alarm(alarm))
        assert used, f"{path}: {name}"
        assert used <= emitted | AWS_METRICS, f"{path}: {name}"


def test_alarm_metrics_have_a_dimension_of_the_stack() -> None:
    """By a dimension of this stack's: Metrics Insights takes no OR, an alarm no SEARCH and ten metrics at most."""
    for alarm in ALARMS.values():
        for metric in [alarm, *alarm.get("Metrics", [])]:
            for dimension in metric.get(
                "Dimensions", metric.get("MetricStat", {}).get("Metric", {}).get("Dimensions", [])
            ):
                assert set(dimension["Value"]) <= {"Ref", "Fn::GetAtt"}
            expression = metric.get("Expression", "")
            if isinstance(expression, dict):
                assert re.search(r" WHERE \w+ = '\$\{\w+\}'$", expression["Fn::Sub"])
            else:
                assert not re.search("SELECT|SEARCH", expression)


def test_dashboard_uses_only_existing_metrics(emitted: set[Metric]) -> None:
    widgets = dashboard()["widgets"]
    assert all(set(of_widget(widget)) <= emitted | AWS_METRICS for widget in widgets)
    drawn = {metric for widget in widgets for metric in of_widget(widget)}
    assert {("Enroll", METRIC_OF[code], frozenset({"service"})) for code in Code} <= drawn
    assert {metric for alarm in ALARMS.values() for metric in of_alarm(alarm)} <= drawn, (
        "what an alarm sees can be seen"
    )


def test_the_dashboard_shows_every_function_and_every_table() -> None:
    _, variables = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    for variable, resource_type in (("Functions", "AWS::Serverless::Function"), ("Tables", "AWS::DynamoDB::Table")):
        assert sorted(re.findall(r"\$\{(\w+)\}", variables[variable]["Fn::Sub"])) == sorted(
            of_type(RESOURCES, resource_type)
        )


def test_dashboard_shows_the_buffer_of_every_category() -> None:
    _, variables = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    (queue,) = of_type(NESTED_TEMPLATES["templates/routes/category.yaml"]["Resources"], "AWS::SQS::Queue").values()
    routes = [
        stack["Parameters"]["Name"]
        for stack in NESTED.values()
        if stack["TemplateURL"] == "templates/routes/category.yaml"
    ]
    buffers = [queue["QueueName"]["Fn::Sub"].replace("${Name}", route["Fn::Sub"]) for route in routes]
    assert re.findall(r'"(\S+)\\"', variables["Buffers"]["Fn::Sub"]) == buffers


def test_every_custom_metric_is_documented(emitted: set[Metric]) -> None:
    text = OPERATIONS_PAGE.partition("\n## Metrics\n")[2].partition("\n## ")[0]
    documented = {
        name for row in re.findall(r"^\| (`.+?) \|", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    assert emitted == {("Enroll", name, frozenset({"service"})) for name in documented}


def test_every_metric_in_the_code_is_emitted_in_the_test(emitted: set[Metric]) -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "layers").rglob("*.py"))
    named = set(re.findall(r"metrics\.count\(\s*\"(\w+)\"", code))
    assert named
    assert named <= {name for _, name, _ in emitted}
