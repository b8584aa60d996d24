"""The program `enroll`."""

import gc

# The allocations after which Python looks for unreachable objects. Imported modules make many objects, which all stay,
# so the default lets the collector run in vain. Long commands still collect. See docs/decisions/0021-start-of-commands.md.
ALLOCATIONS_BEFORE_COLLECTION = 200_000


def main() -> None:
    gc.set_threshold(ALLOCATIONS_BEFORE_COLLECTION)
    from enroll.main import app

    app()
