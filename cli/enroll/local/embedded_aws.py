"""MiniStack with the changes that the local run needs: `python child.py embedded_aws.py [ALLOWED_HOST…]`.

- The guard refuses requests of other web pages before they reach MiniStack.
- Functions run in the local Lambda service only: this process may not start other processes, and may connect only to
  the loopback interface. MiniStack's own executors (Lambda, Glue, JavaScript resolvers, Docker) therefore run nothing.
- SQS has fair queues, which MiniStack lacks (`fair_queues.py`).

It runs in MiniStack's environment. It loads two files of this folder by path and imports nothing else of this project.
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
"""Python audit events for starting a process or replacing this one."""

CONNECT_EVENTS = frozenset({"socket.connect", "socket.sendto"})

NO_PROCESS = "The embedded AWS may not start processes: the local run executes only the functions of its stack."


def refuse_to_leave(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse to start processes and to connect beyond the loopback interface. Raises PermissionError.

    This is an audit hook: no later code can remove it.
    """
    if event in PROCESS_EVENTS:
        raise PermissionError(f"{NO_PROCESS} Refused: {event}.")
    if event in CONNECT_EVENTS and not is_loopback(arguments[1]):
        raise PermissionError(f"The embedded AWS connects to the loopback interface only. Refused: {arguments[1]!r}.")


def is_loopback(address: Any) -> bool:
    """Return whether the address of a socket is an IP address of the loopback interface."""
    if not isinstance(address, tuple):
        return False  # a Unix socket, such as Docker's
    try:
        return ipaddress.ip_address(address[0]).is_loopback
    except ValueError:
        return bool(address[0] == "localhost")


def load(path: Path) -> Any:
    """Import the module at a path."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    allowed_hosts = frozenset(sys.argv[1:])
    # MiniStack parses the remaining command line.
    sys.argv = sys.argv[:1]
    here = Path(__file__).parent
    load(here / "fair_queues.py").install()
    ministack.app.app = load(here / "guard.py").guarded(ministack.app.app, allowed_hosts)
    sys.addaudithook(refuse_to_leave)
    ministack.app.main()


if __name__ == "__main__":
    main()
