"""Makes the embedded AWS reachable at another address of this machine, for functions in containers.

On Linux, a container can't reach the loopback interface of its host, but it can reach the host's address on Docker's
bridge. The relay accepts connections there and forwards them to the same port of the loopback interface.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import threading
from types import TracebackType

from enroll.local.emulator import refuse_taken_port
from enroll.local.settings import HOST

OPTION = "--bind"
CHUNK_BYTES = 64 * 1024


def bind_problem(address: str) -> str | None:
    """Return why the embedded AWS must not be reachable at this address, or None if it may be."""
    expected = "expected the address of a container bridge, for example 172.17.0.1"
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return f"{expected}; got {address!r}"
    if parsed.is_unspecified:
        return f"{expected}; got {address}, which means all networks of this machine"
    if parsed == ipaddress.ip_address(HOST):
        return f"{expected}; got {address}, where the local run always listens"
    if parsed.is_multicast or not parsed.is_private:
        return f"{expected}; got {address}, which is not a private address"
    return None


class Relay:
    """Forwards connections unchanged. `with` starts and stops it."""

    def __init__(self, address: str, port: int) -> None:
        self._address = address
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Relay:
        refuse_taken_port(self._port, OPTION, self._address)
        self._thread.start()
        try:
            self._server = asyncio.run_coroutine_threadsafe(
                asyncio.start_server(self._relay, self._address, self._port), self._loop
            ).result()
        except BaseException:
            self._stop_loop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._stop_loop()

    def _stop_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        connections = list(self._connections)
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            # If a connection breaks, end it: the client sees the same as without the relay.
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                to_reader, to_writer = await asyncio.open_connection(HOST, self._port)
                await asyncio.gather(_copy(reader, to_writer), _copy(to_reader, writer))
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            self._connections.discard(task)


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while chunk := await source.read(CHUNK_BYTES):
            target.write(chunk)
            await target.drain()
    finally:
        target.close()
