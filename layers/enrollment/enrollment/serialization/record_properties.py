"""Definitions of record properties as JSON, in the shape of HubSpot's properties API."""

from typing import Any

from enrollment.domain.criteria.record_operators import RECORD_OPERATION_TYPES
from enrollment.domain.operators.record_properties import RECORD_OPERATIONS_OF, RecordProperty, RecordPropertyType

_FIELD_TYPES = {
    RecordPropertyType.STRING: "text",
    RecordPropertyType.NUMBER: "number",
    RecordPropertyType.DATE: "date",
    RecordPropertyType.DATETIME: "date",
    RecordPropertyType.ENUMERATION: "select",
    RecordPropertyType.BOOL: "booleancheckbox",
    RecordPropertyType.PHONE_NUMBER: "phonenumber",
}


def write_record_property(known: RecordProperty) -> dict[str, Any]:
    """Return a property in HubSpot's shape, with ``operations``: what an editor of criteria offers for its type."""
    return {
        "name": known.name,
        "label": known.label,
        "type": known.type.value,
        "fieldType": _FIELD_TYPES[known.type],
        "options": [
            {"label": label, "value": value, "displayOrder": number, "hidden": False}
            for number, (value, label) in enumerate(known.options)
        ],
        "hubspotDefined": True,
        "archived": False,
        "operations": [_operation(name) for name in RECORD_OPERATIONS_OF[known.type]],
    }


def _operation(name: str) -> dict[str, Any]:
    row = RECORD_OPERATION_TYPES[name]
    return {
        "operationType": name,
        "operators": sorted(row.operators),
        "operands": list(row.keys),
        "optionalOperands": list(row.optional_keys),
    }
