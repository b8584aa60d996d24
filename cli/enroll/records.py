"""Read the record that a command's option or argument names."""

from collections.abc import Mapping
from typing import Any

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


def record_id_of(record: str, flow: Mapping[str, Any]) -> str:
    """Return the ID of a record of the flow's type. Ends the command with INVALID for a record of another type."""
    prefix, slash, _ = record.partition("/")
    if not slash or any_object_type_id(prefix) is None:
        return record
    type_id, object_id = read_record(record)
    flow_type = flow.get("objectTypeId", "0-1")
    if type_id != any_object_type_id(flow_type):
        fail(f"expected a record of the flow's type, for example {flow_type}/{object_id}; got {record!r}", INVALID)
    return object_id
