"""The example portal's API over HTTP on the loopback interface, through the gateway of the local run."""

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from enroll.local import gateway
from enroll.local.loopback_http import HttpRequest, Response, listen, port_of
from enroll.local.sandbox import Outcome
from tests.support.portal import NO_CONTEXT, Api


@contextmanager
def served(api: Api) -> Iterator[str]:
    """Serve the API. Yield its URL."""

    async def answer(request: HttpRequest) -> Response:
        event = json.loads(gateway.to_event(request))
        return gateway.to_response(Outcome(json.dumps(api.server.answer(event, NO_CONTEXT)).encode()))

    with running(lambda: listen(answer)) as server:
        yield f"http://127.0.0.1:{port_of(server)}"


@contextmanager
def running(start: Callable[[], Coroutine[Any, Any, asyncio.Server]]) -> Iterator[asyncio.Server]:
    """Run a server in an event loop of another thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(_stop(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _stop(server: asyncio.Server) -> None:
    server.close()
    connections = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in connections:
        task.cancel()
    await asyncio.gather(*connections, return_exceptions=True)
