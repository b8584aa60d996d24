"""Run commands of `enroll` in this process."""

import json
from typing import Any

from typer.testing import CliRunner

from enroll.main import app


def run(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result


def answer(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


MESSAGE = {
    "enrollmentId": "01K",
    "portalId": "p1",
    "flowId": "1",
    "flowName": "Welcome",
    "objectTypeId": "0-1",
    "objectId": "101",
    "isReEnrollment": False,
    "enrolledAt": "2026-11-23T10:00:00.000Z",
    "trigger": {"eventType": "forms.submitted", "eventId": "e1"},
}
