"""Reading the JSON files that commands are given."""

import json
from pathlib import Path
from typing import Any

from enroll.output import INVALID, fail


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        fail(f"{path}: {error.strerror}", INVALID)
    except UnicodeDecodeError as error:
        fail(f"{path}: not UTF-8 (byte {error.start})", INVALID)
    except json.JSONDecodeError as error:
        fail(f"{path}: not JSON: {error.msg} at line {error.lineno}, column {error.colno}", INVALID)
    except RecursionError:
        fail(f"{path}: nested too deep", INVALID)
    except ValueError as error:
        fail(f"{path}: not JSON: {error}", INVALID)


def read_objects(path: Path) -> list[dict[str, Any]]:
    """A file with one JSON object, or a list of them."""
    found = read_json(path)
    objects = found if isinstance(found, list) else [found]
    for number, one in enumerate(objects):
        if not isinstance(one, dict):
            fail(f"{path}: element {number} is {type(one).__name__}, allowed is an object", INVALID)
    return objects
