"""The program `enroll`."""

import atexit
import gc

# The allocations after which Python looks for unreachable objects. Imported modules make many objects, which all stay,
# so with the default the collector mostly runs in vain. Long commands still collect.
# docs/decisions/0021-start-of-commands.md has the figures.
ALLOCATIONS_BEFORE_COLLECTION = 200_000


def main() -> None:
    gc.set_threshold(ALLOCATIONS_BEFORE_COLLECTION)
    # Python looks for unreachable objects again when it ends, which takes as long as importing botocore. The system
    # frees the memory anyway. This runs after all other exit functions, because it is registered first.
    atexit.register(gc.freeze)
    from enroll.main import app

    app()
