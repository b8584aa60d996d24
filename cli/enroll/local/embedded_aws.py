"""MiniStack as the local run needs it: `python child.py embedded_aws.py [ALLOWED_HOST…]`.

- The guard refuses what other web pages send, before MiniStack sees it.
- Functions run in the local Lambda service only: this process may start no other process, and may connect to the
  loopback interface only. MiniStack's own executors (Lambda, Glue, JavaScript resolvers, Docker) therefore run nothing,
  whatever a request asks for.
- It has the fair queues of SQS, which MiniStack lacks (`fair_queues.py`).

Run in MiniStack's own environment: it loads its neighbours by their paths and imports nothing else of this project.
"""

import importlib.util
import ipaddress
import sys
from pathlib import Path
from typing import Any

import ministack.app

PROCESS_EVENTS = frozenset(
    {
        "subprocess.Popen",
        "os.system",
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.spawn",
        "os.startfile",
        "pty.spawn",
    }
)
"""Events of Python's audit table that start a process, or replace this one."""

CONNECT_EVENTS = frozenset({"socket.connect", "socket.sendto"})

NO_PROCESS = "The embedded AWS starts no process: the local run executes only the functions of its own stack."


def refuse_to_leave(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook, which nothing can remove. Raises PermissionError."""
    if event in PROCESS_EVENTS:
        raise PermissionError(f"{NO_PROCESS} Refused: {event}.")
    if event in CONNECT_EVENTS and not is_loopback(arguments[1]):
        raise PermissionError(f"The embedded AWS connects to the loopback interface only. Refused: {arguments[1]!r}.")


def is_loopback(address: Any) -> bool:
    """Whether a socket's address is one of an IP socket on the loopback interface."""
    if not isinstance(address, tuple):
        return False  # a Unix socket, such as Docker's
    try:
        return ipaddress.ip_address(address[0]).is_loopback
    except ValueError:
        return bool(address[0] == "localhost")


def load(path: Path) -> Any:
    """A module by its path."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    allowed_hosts = frozenset(sys.argv[1:])
    # MiniStack reads the command line itself.
    sys.argv = sys.argv[:1]
    here = Path(__file__).parent
    load(here / "fair_queues.py").install()
    ministack.app.app = load(here / "guard.py").guarded(ministack.app.app, allowed_hosts)
    sys.addaudithook(refuse_to_leave)
    ministack.app.main()


if __name__ == "__main__":
    main()
