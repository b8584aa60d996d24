"""Runs a Python module, or a file, that ends when its parent ends: `python child.py MODULE [ARGUMENT…]`.

The parent holds the writing end of the pipe that is this process's standard input and never writes to it. When the
parent is gone, killed included, the operating system closes the pipe, the read below returns, and the process ends.
This needs nothing that only one operating system has, and no process between the two that could itself be orphaned.

Run by path, with any interpreter: it must import nothing but the standard library.
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
    # Python put this file's folder first on the path; the module must not find its neighbours there.
    sys.path.pop(0)
    sys.argv = sys.argv[1:]
    threading.Thread(target=end_with_parent, name="end-with-parent", daemon=True).start()
    if module.endswith(".py"):
        runpy.run_path(module, run_name="__main__")
    else:
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
