"""`enroll console`"""

import asyncio
import signal
import threading
from contextlib import suppress
from dataclasses import replace
from typing import Annotated, Any

import typer

from enroll.api import TOKEN, Api, ApiUrl, open_api
from enroll.output import FAILED, INVALID, NOT_REACHED, AsJson, console, errors, fail, print_json
from enroll.stack import StackName, plain

DEFAULT_PORT = 4569


def console_command(
    portal: Annotated[
        str | None,
        typer.Option("--portal", envvar="ENROLL_PORTAL", help="The portal to open first.", show_default=False),
    ] = None,
    stack: StackName = "enroll",
    api: ApiUrl = None,
    port: Annotated[int, typer.Option(help="Port of 127.0.0.1. 0: any free port.", min=0, max=65535)] = DEFAULT_PORT,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Forward only requests that change nothing.", show_default=False)
    ] = False,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the address in the browser of this machine.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Open the web console of a deployed stack.

    It is a page of a server on this machine, which signs the requests to the
    HTTP API with your AWS credentials, or with ENROLL_API_TOKEN. The printed
    address can be opened once. Ctrl-C ends the server.
    """
    from enroll.console_server import ConsoleServer

    stack_api = open_api(api, portal or "", stack)
    _check_credentials(stack_api)
    hosting = {"portalId": portal, "isPortalChosen": portal is not None, "isReadOnly": read_only}
    server = ConsoleServer(replace(_site(), hosting=hosting), stack_api, is_read_only=read_only)
    asyncio.run(_serve(server, port, opens_browser=browser, as_json=as_json))
    errors.print("Stopped.")


def _check_credentials(api: Api) -> None:
    """End the command with NOT_REACHED if requests cannot be signed, before a browser is opened."""
    if not api.is_signed:
        return
    import botocore.session
    from botocore.exceptions import BotoCoreError

    try:
        credentials = botocore.session.get_session().get_credentials()
    except BotoCoreError as error:
        fail(f"cannot read the AWS credentials: {plain(error)}. Run `aws sso login`, or set AWS_PROFILE", NOT_REACHED)
    if credentials is None:
        fail(f"there are no AWS credentials to sign requests. Set AWS_PROFILE or {TOKEN}", NOT_REACHED)


def _site() -> Any:
    """Return the page: of a checkout, where it is built if its sources changed, otherwise of the installed package."""
    from enroll.local.console_build import ConsoleBuild, build_if_needed
    from enroll.local.console_site import ConsoleSite

    build = ConsoleBuild()
    if build.has_sources:
        build_if_needed(build, errors)
        site = build.site
        if site.problem is not None:
            fail(f"the web console could not be built: {site.problem}", FAILED)
        return site
    site = ConsoleSite.of_package()
    if site.problem is not None:
        fail(
            "this installation of enroll has no web console, because its package was built without it. Run the command "
            "in a checkout, or build the package there again: `make console`, then `uv build --wheel`",
            FAILED,
        )
    return site


async def _serve(server: Any, port: int, *, opens_browser: bool, as_json: bool) -> None:
    """Serve until Ctrl-C or SIGTERM. End the command with INVALID if the port is in use."""
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
    try:
        listener = await server.listen(port)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        fail(f"--port: cannot listen at 127.0.0.1:{port}: {reason}. Choose another port with --port", INVALID)
    _announce(server, as_json)
    if opens_browser:
        threading.Thread(target=_open_browser, args=(server.start_address,), daemon=True).start()
    await until(ended)
    listener.close()


async def until(ended: asyncio.Event) -> None:
    await ended.wait()


def _announce(server: Any, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "url": server.start_address,
                "api": server.api.url,
                "portal": server.api.portal or None,
                "isReadOnly": server.is_read_only,
            }
        )
        return
    console.print(f"HTTP API  {server.api.url}{' (reading only)' if server.is_read_only else ''}")
    if server.api.portal:
        console.print(f"Portal    {server.api.portal}")
    console.print("Console, which can be opened once at this address:")
    console.print(server.start_address, is_wrapped=False)
    console.print("Ctrl-C stops the server.")


def _open_browser(address: str) -> None:
    import webbrowser

    with suppress(webbrowser.Error):
        webbrowser.open(address)
