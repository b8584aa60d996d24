"""Read the JSON files that commands take as arguments."""

import json
from pathlib import Path
from typing import Any

from enroll.output import INVALID, fail


class InvalidFile(ValueError):
    """A file cannot be read, or does not contain what was expected. The message names the file."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
        self.message = message


def load_json(path: Path) -> Any:
    """Return the value in a JSON file. Raises InvalidFile."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidFile(path, error.strerror or "cannot be read") from None
    except UnicodeDecodeError as error:
        raise InvalidFile(path, f"expected UTF-8; got an invalid byte at position {error.start}") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidFile(path, f"expected JSON; {error.msg} at {where}") from None
    except RecursionError:
        raise InvalidFile(path, "the JSON is nested too deeply") from None
    except ValueError as error:
        raise InvalidFile(path, f"expected JSON; {error}") from None


def load_objects(path: Path) -> list[dict[str, Any]]:
    """Return the objects in a file with one JSON object or a list of them. Raises InvalidFile."""
    content = load_json(path)
    objects = content if isinstance(content, list) else [content]
    for index, element in enumerate(objects):
        if not isinstance(element, dict):
            raise InvalidFile(path, f"expected a JSON object; element {index} is {type(element).__name__}")
    return objects


def read_json(path: Path) -> Any:
    """Return the value in a JSON file. End the command with INVALID if the file cannot be read."""
    try:
        return load_json(path)
    except InvalidFile as invalid:
        fail(str(invalid), INVALID)


def read_objects(path: Path) -> list[dict[str, Any]]:
    """Return the objects in a file with one JSON object or a list of them.

    Ends the command with INVALID if the file contains anything else.
    """
    try:
        return load_objects(path)
    except InvalidFile as invalid:
        fail(str(invalid), INVALID)
