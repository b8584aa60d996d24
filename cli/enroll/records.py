"""How commands are told of a record."""

from enroll.output import INVALID, fail
from enrollment.domain.identifiers import object_type_id


def read_record(given: str) -> tuple[str, str]:
    """The id of its type, and its own. Ends the command when it is neither contact/101 nor 0-1/101."""
    kind, slash, object_id = given.partition("/")
    type_id = object_type_id(kind)
    if not slash or type_id is None or not object_id:
        fail(f"found {given!r}, allowed is a type and an id, as contact/101 or 0-3/77", INVALID)
    return type_id, object_id
