"""The program `enroll`."""

import gc

# The allocations after which Python looks for unreachable objects. Imported modules make many objects, which all stay:
# with the default, the collector takes a sixth of the time of a command. Long commands still collect.
ALLOCATIONS_BEFORE_COLLECTION = 200_000


def main() -> None:
    gc.set_threshold(ALLOCATIONS_BEFORE_COLLECTION)
    from enroll.main import app

    app()
