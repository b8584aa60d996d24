"""Names that options had before. Scripts can use them, and no help shows them."""

from collections.abc import Sequence

# By command. ``--limit`` is a number of things, ``--last`` a period, ``--timeout`` a duration.
CURRENT_NAMES = {
    "doctor": {"--wait": "--timeout"},
    "explain": {"--last": "--limit"},
    "flows preview": {"--last": "--limit"},
    "queue receive": {"--count": "--limit"},
    "tail": {"--last": "--limit", "--type": "--event-type"},
}


def with_current_names(command: str, arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a command with the current names of its options, up to ``--``."""
    names = CURRENT_NAMES.get(command, {})
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return [*(_renamed(argument, names) for argument in arguments[:end]), *arguments[end:]]


def _renamed(argument: str, names: dict[str, str]) -> str:
    name, equals, value = argument.partition("=")
    return names[name] + equals + value if name in names else argument
