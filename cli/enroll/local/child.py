"""Run a Python module or file in a process that ends when its parent ends: `python child.py MODULE [ARGUMENT…]`.

Standard input is a pipe whose writing end the parent keeps open and never writes to. When the parent ends, even by
SIGKILL, the operating system closes the pipe, the read below returns, and this process ends. This works on every POSIX
system and needs no process in between, which could itself be orphaned.

Any interpreter may run this file by its path: it must import nothing but the standard library.
"""

import os
import runpy
import sys
import threading


def end_with_parent() -> None:
    os.read(0, 1)
    os._exit(1)


def main() -> None:
    module = sys.argv[1]
    # Python put this file's folder first on the path. The module must not import files of this folder.
    sys.path.pop(0)
    sys.argv = sys.argv[1:]
    threading.Thread(target=end_with_parent, name="end-with-parent", daemon=True).start()
    if module.endswith(".py"):
        runpy.run_path(module, run_name="__main__")
    else:
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
