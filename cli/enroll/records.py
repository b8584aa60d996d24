"""Read the record that a command's option or argument names."""

from enroll.output import INVALID, fail
from enrollment.domain.identifiers import any_object_type_id


def read_record(text: str) -> tuple[str, str]:
    """Return the ID of the object type and the ID of the record, for example from contact/101 or 0-1/101.

    Ends the command with INVALID for any other text.
    """
    object_type, slash, object_id = text.partition("/")
    type_id = any_object_type_id(object_type)
    if not slash or type_id is None or not object_id:
        fail(f"expected a record as <type>/<id>, for example contact/101 or 0-3/77; got {text!r}", INVALID)
    return type_id, object_id
