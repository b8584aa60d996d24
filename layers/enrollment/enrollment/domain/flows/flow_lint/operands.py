"""The operands of an operation, as the author of the flow wrote them."""

import json
from collections.abc import Sequence

from enrollment.domain.operators.property_operators import OPERATION_TYPES, Operation
from enrollment.domain.values import as_text

MAX_SHOWN = 80

# Operators whose operand is a whole value, not a part of it.
WHOLE_VALUES = frozenset(
    {
        *("IS_ANY_OF", "IS_NONE_OF", "IS_EQUAL_TO", "IS_NOT_EQUAL_TO"),
        *("CONTAINS_EXACTLY", "DOES_NOT_CONTAIN_EXACTLY"),
    }
)


def operand_key(operation: Operation) -> str:
    """The key of the operand in the operation's JSON, such as ``value`` or ``values``."""
    return OPERATION_TYPES[operation.type.name].keys[0]


def operand_texts(operation: Operation) -> Sequence[str]:
    """The operands as the author wrote them."""
    operand = operation.given[operand_key(operation)]
    return [as_text(value) for value in (operand if isinstance(operand, list) else [operand])]


def quoted(text: str) -> str:
    """The text as a JSON string, for a warning. Only the first 80 characters of a long text are shown."""
    return json.dumps(text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…", ensure_ascii=False)
