"""The example portal's API over HTTP on the loopback interface, through the gateway of the local run."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from enroll.local import gateway
from enroll.local.loopback_http import HttpRequest, Response, listen, port_of
from enroll.local.sandbox import Outcome
from tests.support.portal import NO_CONTEXT, Api


@contextmanager
def served(api: Api) -> Iterator[str]:
    """Serve the API. Yield its URL."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def answer(request: HttpRequest) -> Response:
        event = json.loads(gateway.to_event(request))
        return gateway.to_response(Outcome(json.dumps(api.server.answer(event, NO_CONTEXT)).encode()))

    server = asyncio.run_coroutine_threadsafe(listen(answer), loop).result()
    try:
        yield f"http://127.0.0.1:{port_of(server)}"
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
