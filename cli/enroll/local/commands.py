"""`enroll local …`"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from enroll.command_group import CommandGroup
from enroll.local.guard import EXAMPLE_HOST
from enroll.local.relay import OPTION, bind_problem
from enroll.local.run import StorePortal, run
from enroll.local.settings import API_PORT, EMULATOR_PORT, LAMBDA_PORT, PROJECT, LocalRunError, Settings
from enroll.output import INVALID, AsJson, console, errors, fail

app = CommandGroup("Run the whole system on this machine, without an AWS account.")

HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?", re.ASCII)

store_portal: StorePortal | None = None
"""Stores the demonstration's flows and records. `enroll.commands.local` sets it, because it needs the API client."""


@app.callback()
def local() -> None:
    """Run the whole system on this machine, without an AWS account."""


@app.command("run")
def run_command(
    once: Annotated[
        bool,
        typer.Option(
            "--once", help="Run the demonstration and exit. Exit code 0 only if the enrollments are the expected ones."
        ),
    ] = False,
    port: Annotated[int, typer.Option(help="Port of the embedded AWS.", min=1, max=65535)] = EMULATOR_PORT,
    lambda_port: Annotated[int, typer.Option(help="Port of the local Lambda service.", min=1, max=65535)] = LAMBDA_PORT,
    api_port: Annotated[int, typer.Option(help="Port of the HTTP API.", min=1, max=65535)] = API_PORT,
    demo: Annotated[bool, typer.Option(help="Load the demonstration portal and send the sample events.")] = True,
    retry_delay: Annotated[
        list[float], typer.Option(help="Seconds before a retry of a failed event. Repeat it for each retry.", min=0)
    ] = [1.0, 2.0],  # noqa: B006 - typer reads the list, and nothing changes it
    parameter: Annotated[
        list[str] | None, typer.Option(help="A parameter of the template as NAME=VALUE. Repeatable.")
    ] = None,
    bind: Annotated[
        str | None,
        typer.Option(
            help="Address of a container bridge, for example 172.17.0.1, at which the embedded AWS also listens.",
            show_default=False,
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="A host name that requests may use, in addition to 127.0.0.1, localhost and [::1]. Repeatable. "
            "Containers need host.docker.internal."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder that keeps the state between runs, for example .enroll/data. Without it, the state is lost.",
            file_okay=False,
            show_default=False,
        ),
    ] = None,
    project: Annotated[Path, typer.Option(help="The folder of the project.", file_okay=False)] = PROJECT,
    emulator_python: Annotated[
        Path | None, typer.Option(help="Interpreter of the environment that has MiniStack.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start the embedded AWS, deploy the template, run the demonstration, and stay up until Ctrl-C."""
    if bind is not None and (problem := bind_problem(bind)):
        raise typer.BadParameter(problem, param_hint=OPTION)
    if as_json and not once:
        fail("--json: expected it with --once, because only a demonstration that ends has a result", INVALID)
    settings = Settings(
        port=port,
        lambda_port=lambda_port,
        api_port=api_port,
        retry_delays=tuple(retry_delay),
        allowed_hosts=_hosts([*(allow_host or []), *([EXAMPLE_HOST] if bind else [])]),
        parameters=_parameters(parameter or []),
        bind=bind,
        data=data.resolve() if data else None,
        project=project.resolve(),
        # Not resolved: in an environment, the interpreter is a symbolic link, and its place selects the environment.
        emulator_python=(emulator_python or project.resolve() / ".venv-emulator" / "bin" / "python").absolute(),
    )
    try:
        if demo and store_portal is None:
            raise LocalRunError("The demonstration needs store_portal, which is not set. Use --no-demo.")
        code = run(
            settings,
            store_portal if demo else None,
            once=once,
            as_json=as_json,
            console=errors if as_json else console,
        )
    except LocalRunError as error:
        fail(str(error).split("\n"), INVALID)
    raise typer.Exit(code)


def _parameters(assignments: list[str]) -> dict[str, str]:
    pairs = [assignment.partition("=") for assignment in assignments]
    if wrong := [name for name, equals, _ in pairs if not (name and equals)]:
        raise typer.BadParameter(
            f"expected NAME=VALUE, for example CrmDelivery=buffered; got {', '.join(wrong)}", param_hint="--parameter"
        )
    return {name: value for name, _, value in pairs}


def _hosts(host_names: list[str]) -> tuple[str, ...]:
    names = tuple(name.lower() for name in host_names)
    if wrong := [name for name in names if not HOST_NAME.fullmatch(name)]:
        expected = f"expected a host name without scheme and port, for example {EXAMPLE_HOST}"
        raise typer.BadParameter(f"{expected}; got {', '.join(map(repr, wrong))}", param_hint="--allow-host")
    return names
