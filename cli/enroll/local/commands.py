"""`enroll local …`"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from enroll.local.guard import EXAMPLE_HOST
from enroll.local.relay import OPTION, bind_problem
from enroll.local.run import StorePortal, run
from enroll.local.settings import API_PORT, EMULATOR_PORT, LAMBDA_PORT, PROJECT, LocalRunError, Settings
from enroll.output import INVALID, console, fail

app = typer.Typer(help="The whole system on this machine, without an AWS account.", no_args_is_help=True)

HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?", re.ASCII)

store_portal: StorePortal | None = None
"""Set by what mounts these commands, which knows the stores."""


@app.callback()
def local() -> None:
    """The whole system on this machine, without an AWS account."""


@app.command("run")
def run_command(
    once: Annotated[bool, typer.Option("--once", help="Demonstrate, compare, exit: 0 only if all is right.")] = False,
    port: Annotated[int, typer.Option(help="Port of the embedded AWS.", min=1, max=65535)] = EMULATOR_PORT,
    lambda_port: Annotated[int, typer.Option(help="Port of the local Lambda service.", min=1, max=65535)] = LAMBDA_PORT,
    api_port: Annotated[int, typer.Option(help="Port of the HTTP API.", min=1, max=65535)] = API_PORT,
    demo: Annotated[bool, typer.Option(help="Load the demonstration portal and send the sample events.")] = True,
    retry_delay: Annotated[
        list[float], typer.Option(help="Seconds before each retry of a failed event; give it once for each.", min=0)
    ] = [1.0, 2.0],  # noqa: B006 - typer reads it, and nothing changes it
    parameter: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE of the template's parameters; give it once for each.")
    ] = None,
    bind: Annotated[
        str | None,
        typer.Option(
            help="Address of a container bridge, as 172.17.0.1, where the embedded AWS listens too.",
            show_default=False,
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="A host name, beside 127.0.0.1, localhost and [::1], under which programs may address the local run: "
            "host.docker.internal for containers. Give it once for each."
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
    project: Annotated[Path, typer.Option(help="Folder of the project.", file_okay=False)] = PROJECT,
    emulator_python: Annotated[
        Path | None, typer.Option(help="Interpreter of the environment that has MiniStack.", show_default=False)
    ] = None,
) -> None:
    """Start the embedded AWS, deploy the template, demonstrate it, and stay up until Ctrl-C."""
    if bind is not None and (problem := bind_problem(bind)):
        raise typer.BadParameter(problem, param_hint=OPTION)
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
        emulator_python=emulator_python or project.resolve() / ".venv-emulator" / "bin" / "python",
    )
    try:
        if demo and store_portal is None:
            raise LocalRunError("Nothing here can store the demonstration's portal: run with --no-demo.")
        code = run(settings, store_portal if demo else None, once=once, console=console)
    except LocalRunError as error:
        fail(str(error).split("\n"), INVALID)
    raise typer.Exit(code)


def _parameters(given: list[str]) -> dict[str, str]:
    pairs = [one.partition("=") for one in given]
    if wrong := [name for name, equals, _ in pairs if not (name and equals)]:
        raise typer.BadParameter(
            f"expected NAME=VALUE, for example CrmDelivery=buffered; got {', '.join(wrong)}", param_hint="--parameter"
        )
    return {name: value for name, _, value in pairs}


def _hosts(given: list[str]) -> tuple[str, ...]:
    names = tuple(one.lower() for one in given)
    if wrong := [one for one in names if not HOST_NAME.fullmatch(one)]:
        expected = f"expected a host name without scheme and port, for example {EXAMPLE_HOST}"
        raise typer.BadParameter(f"{expected}; got {', '.join(map(repr, wrong))}", param_hint="--allow-host")
    return names
