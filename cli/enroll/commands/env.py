"""`enroll env`"""

from pathlib import Path
from typing import Annotated

import typer

from enroll.local.settings import PROJECT
from enroll.local.shell import AliveRun, alive_runs, shell_lines
from enroll.output import INVALID, NOT_REACHED, AsJson, console, fail, print_json


def env(
    port: Annotated[
        int | None,
        typer.Option(help="Port of the run's embedded AWS. Default: the only run that is up.", min=1, max=65535),
    ] = None,
    project: Annotated[Path, typer.Option(help="The folder of the project.", show_default=False)] = PROJECT,
    as_json: AsJson = False,
) -> None:
    """Print the shell's settings for the local run that is up.

    They are the lines that `make run` prints. Run eval "$(enroll env)" in
    another terminal; the commands of that shell then use the local run.
    """
    run = _selected(alive_runs(project.resolve()), port)
    if as_json:
        print_json(run.variables)
        return
    for line in shell_lines(run.variables):
        console.print(line, is_wrapped=False)


def _selected(runs: list[AliveRun], port: int | None) -> AliveRun:
    matching = [run for run in runs if port in (None, run.port)]
    ports = ", ".join(str(run.port) for run in runs)
    if len(matching) > 1:
        fail(f"expected --port, because {len(runs)} local runs are up; their ports are {ports}", INVALID)
    if not matching and runs:
        fail(f"no local run is up at port {port}. Runs are up at these ports: {ports}", NOT_REACHED)
    if not matching:
        fail("no local run is up. Start it in another terminal with `make run`", NOT_REACHED)
    return matching[0]
