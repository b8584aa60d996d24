"""Read the JSON files that commands take as arguments."""

import json
from pathlib import Path
from typing import Any

from enroll.output import INVALID, fail


def read_json(path: Path) -> Any:
    """Return the value in a JSON file. End the command with INVALID if the file cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        fail(f"{path}: {error.strerror}", INVALID)
    except UnicodeDecodeError as error:
        fail(f"{path}: expected UTF-8; got an invalid byte at position {error.start}", INVALID)
    except json.JSONDecodeError as error:
        fail(f"{path}: expected JSON; {error.msg} at line {error.lineno}, column {error.colno}", INVALID)
    except RecursionError:
        fail(f"{path}: the JSON is nested too deeply", INVALID)
    except ValueError as error:
        fail(f"{path}: expected JSON; {error}", INVALID)


def read_objects(path: Path) -> list[dict[str, Any]]:
    """Return the objects in a file with one JSON object or a list of them.

    Ends the command with INVALID if the file contains anything else.
    """
    content = read_json(path)
    objects = content if isinstance(content, list) else [content]
    for index, element in enumerate(objects):
        if not isinstance(element, dict):
            fail(f"{path}: expected a JSON object; element {index} is {type(element).__name__}", INVALID)
    return objects
