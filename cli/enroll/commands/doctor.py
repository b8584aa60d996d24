"""`enroll doctor`"""

import shlex
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from enroll.api import ApiUrl, open_api
from enroll.doctor import (
    DEFAULT_WAIT_SECONDS,
    PORTAL,
    CheckResult,
    EventCheck,
    Finding,
    check_configuration,
    check_update,
    find_stack,
)
from enroll.durations import read_timeout
from enroll.output import FAILED, INVALID, NOT_FOUND, NOT_REACHED, AsJson, fail, print_json, print_table, styled
from enroll.stack import aws_errors_reported, client_of
from enroll.tables import Column

STYLES = {CheckResult.OK: "green", CheckResult.FAULT: "red", CheckResult.NOT_CHECKED: "yellow"}


def doctor(
    stack: Annotated[
        str | None,
        typer.Option("--stack", envvar="ENROLL_STACK", help="The CloudFormation stack. Default: enroll."),
    ] = None,
    events: Annotated[
        bool, typer.Option(help="Send a valid, an invalid and an unroutable event, and check their outcomes.")
    ] = True,
    portal: Annotated[str, typer.Option(help="The portal of these events. It need not be in use.")] = PORTAL,
    timeout: Annotated[
        str, typer.Option(help="The longest wait for the outcomes of the events, for example 90s or 5m.")
    ] = f"{DEFAULT_WAIT_SECONDS:g}s",
    before_update: Annotated[
        bool,
        typer.Option("--check-update", help="Check the stack name and the parameters of the next deployment instead."),
    ] = False,
    config_file: Annotated[
        Path, typer.Option(help="With --check-update: the file with the settings of `sam deploy`.", dir_okay=False)
    ] = Path("samconfig.toml"),
    config_env: Annotated[str, typer.Option(help="With --check-update: the section of that file.")] = "default",
    parameter: Annotated[
        list[str] | None,
        typer.Option(help="With --check-update: NAME=VALUE, instead of the parameters in that file. Repeatable."),
    ] = None,
    api: ApiUrl = None,
    as_json: AsJson = False,
) -> None:
    """Check a deployed stack from end to end. Exit code 1 if anything is wrong."""
    wait_seconds = read_timeout(timeout, minimum_seconds=1)
    if before_update:
        name, changes = _next_deployment(config_file, config_env, stack, parameter)
        with aws_errors_reported():
            findings = list(check_update(name, find_stack(name, client_of), changes))
    else:
        name = stack or "enroll"
        with aws_errors_reported():
            deployed = find_stack(name, client_of)
            if deployed is None:
                fail(f"expected a deployed stack; there is no stack {name}. Name the stack with --stack", NOT_FOUND)
            if "EventBusName" not in deployed.outputs:
                fail(f"expected a stack of Enroll; the stack {name} has no output EventBusName", NOT_REACHED)
            findings = list(check_configuration(deployed))
            if events:
                findings += EventCheck(deployed, open_api(api, portal, name), wait_seconds).findings()
    _print(findings, as_json)
    if any(finding.result == CheckResult.FAULT for finding in findings):
        raise typer.Exit(FAILED)


def _next_deployment(
    file: Path, environment: str, stack: str | None, parameter: list[str] | None
) -> tuple[str, dict[str, str]]:
    """Return the stack's name and the parameters that `sam deploy` would set."""
    if stack is not None and parameter is not None:
        return stack, _pairs(parameter, "--parameter")
    settings = _settings_of(file, environment)
    configured = settings.get("parameter_overrides", "")
    overrides = shlex.split(configured) if isinstance(configured, str) else list(map(str, configured))
    changes = _pairs(overrides if parameter is None else parameter, f"{file}, parameter_overrides")
    return stack or str(settings.get("stack_name", "enroll")), changes


def _settings_of(file: Path, environment: str) -> Mapping[str, Any]:
    """Return a table of a configuration file. End the command with INVALID if the file has none."""
    table = f"[{environment}.deploy.parameters]"
    try:
        settings: Any = tomllib.loads(file.read_text(encoding="utf-8"))
        for name in (environment, "deploy", "parameters"):
            settings = settings.get(name) if isinstance(settings, dict) else None
        problem = "got a file without it"
    except OSError as error:
        settings, problem = None, str(error.strerror)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError):
        settings, problem = None, "got a file that is not TOML"
    if not isinstance(settings, dict):
        fail(
            f"{file}: expected {table}; {problem}. Run this command in the project's folder, or set --stack and "
            "--parameter",
            INVALID,
        )
    return settings


def _pairs(assignments: Iterable[str], where: str) -> dict[str, str]:
    pairs = [assignment.partition("=") for assignment in assignments]
    for name, equals, _ in pairs:
        if not (name and equals):
            fail(f"{where}: expected NAME=VALUE, for example CrmDelivery=buffered; got {name!r}", INVALID)
    return {name: value for name, _, value in pairs}


def _print(findings: list[Finding], as_json: bool) -> None:
    if as_json:
        print_json(
            [{"check": finding.check, "result": finding.result, "detail": finding.detail} for finding in findings]
        )
        return
    print_table(
        ("result", "check", Column("detail", is_message=True)),
        [(styled(finding.result, STYLES[finding.result]), finding.check, finding.detail) for finding in findings],
        is_full=True,
    )
